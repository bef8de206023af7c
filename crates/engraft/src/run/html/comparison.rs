//! A comparison of two data sets as a page.

use maud::{Markup, html};

use super::format::{amount, capital, count, decimal, name, path, percent, probability};
use super::frame::{Section, data_name, page};
use super::gallery::{by_file, picture};
use super::parts::{Thumbnail, scroll};
use crate::compare::{Comparison, Farthest, LEVEL, Property, SideReport, Surest, Told, Typical, WordShift};

/// Properties that are shown.
const PROPERTIES: usize = 40;

/// The page. `images` are what is to be seen of the examples of both that it names.
pub(crate) fn render_comparison(found: &Comparison, images: &[Vec<Thumbnail>; 2], reproduce: &str) -> String {
    let title = format!("{} and {}", data_name(&found.a.path), data_name(&found.b.path));
    let mut sections: Vec<Section> = vec![("distance", "How far apart", distance(found))];
    if found.shares.is_some() {
        sections.push(("classes", "Class shares and content", classes(found)));
    }
    sections.push(("examples", "Examples that the other does not have", examples(found, images)));
    if !found.words_a.is_empty() || !found.words_b.is_empty() {
        sections.push(("words", "Words", words(found)));
    }
    sections.push(("properties", "Properties", properties(found)));
    sections.push(("duplicates", "Examples in both", duplicates(found)));
    sections.push(("reproduce", "How to get this again", html! { pre { code { (reproduce) } } }));
    page(found.version, &title, header(found, &title), &sections, "compare.json")
}

fn header(found: &Comparison, title: &str) -> Markup {
    let side = |letter: &str, side: &SideReport| {
        html! { span { (letter) ": " (path(&side.path)) ", " (count(side.examples)) " " (found.unit)
            @if side.compared < side.examples { " (" (count(side.compared)) " drawn)" }
        } }
    };
    html! {
        header {
            p.eyebrow { "Engraft comparison of two data sets" }
            h1 { (name(title)) }
            p.facts { (side("A", &found.a)) (side("B", &found.b)) span { "base " (name(&found.base)) } }
            p.answer { (capital(&found.verdict)) "." }
            p.beside { "All tests together: p " (decimal(found.p, 3)) "." }
            @for note in &found.notes { p.beside { (name(note)) } }
        }
    }
}

fn distance(found: &Comparison) -> Markup {
    let it = &found.distance;
    let row = |what: &str, value: String, floor: String, p: Option<f64>, means: &str| {
        html! { tr {
            th scope="row" { (what) small { (means) } }
            td.number { (value) } td.number { (floor) } td.number { (p.map_or_else(|| "–".to_owned(), |p| decimal(p, 3))) }
        } }
    };
    html! {
        p.lead {
            "Each number stands beside its floor: the same between random halves of one of the data sets, where nothing differs. The p are by \
             permutations, and exact: of data sets that are alike one in twenty has a p of at most 0.05."
        }
        (scroll("Distances", html! {
            table {
                thead { tr {
                    th scope="col" { "Distance" } th.number scope="col" { "A and B" } th.number scope="col" { "Floor" } th.number scope="col" { "p" }
                } }
                tbody {
                    (row("Told apart by a classifier", percent(it.accuracy), percent(it.accuracy_floor), Some(it.p),
                        "50 % is a guess. With the discrepancy below, and the class shares where they are known, it decides whether they differ."))
                    (row("Proxy A-distance", decimal(it.proxy_a_distance, 2), decimal(it.proxy_a_distance_floor, 2), None,
                        "The same from 0 to 2. It soon reaches its end, and does not tell what adapting gains."))
                    (row("Maximum mean discrepancy, squared", decimal(it.mmd2, 4), decimal(it.mmd2_floor, 4), Some(it.mmd_p),
                        "Sees differences that no straight line divides."))
                    (row(&format!("Fréchet distance, {} of each", count(it.frechet_rows)), amount(it.frechet),
                        format!("{} and {}", amount(it.frechet_floors[0]), amount(it.frechet_floors[1])), None,
                        "Of Gaussians of the features. To be compared with others of the same base and as many examples only."))
                    (row("Effective sample size of A, weighted like B", percent(it.effective_sample), "–".into(), None, &format!(
                        "Importance weighting is {}: {}.", if it.importance_weighting { "worth trying" } else { "not worth trying" }, it.importance_reason)))
                }
            }
        }))
    }
}

fn told_cells(told: &Told) -> Markup {
    html! {
        td.number { (percent(told.accuracy)) } td.number { (decimal(told.mmd2, 4)) } td.number { (decimal(told.p, 3)) }
    }
}

fn classes(found: &Comparison) -> Markup {
    let Some(shares) = &found.shares else { return html! {} };
    html! {
        p.lead {
            "The shares of the classes differ by " (percent(shares.distance)) " in all (p " (decimal(shares.p, 3)) "). "
            "What the examples look like is compared at equal shares, so that one is not taken for the other."
        }
        (scroll("Classes", html! {
            table {
                thead { tr {
                    th scope="col" { "Class" } th.number scope="col" { "Share of A" } th.number scope="col" { "Share of B" }
                    th.number scope="col" { "Told apart" } th.number scope="col" { "MMD²" } th.number scope="col" { "p" }
                } }
                tbody {
                    @if let Some(told) = &found.at_equal_shares {
                        tr { th scope="row" { "all, at equal shares" } td.number { "–" } td.number { "–" } (told_cells(told)) }
                    }
                    @for share in &shares.classes { tr {
                        th scope="row" { (name(&share.class)) } td.number { (percent(share.a)) } td.number { (percent(share.b)) }
                        @match found.classes.iter().find(|class| class.class == share.class) {
                            Some(class) => (told_cells(&class.told)),
                            None => { td.number { "–" } td.number { "–" } td.number { "–" } }
                        }
                    } }
                }
            }
        }))
        p.caption { "A class is compared where both have 20 examples of it; its p is corrected for all classes (Holm)." }
    }
}

fn examples(found: &Comparison, images: &[Vec<Thumbnail>; 2]) -> Markup {
    let share = |unlike: Option<f64>| unlike.map_or_else(|| "an unknown share".to_owned(), percent);
    let known = [by_file(&images[0]), by_file(&images[1])];
    let tiles = |side: usize, each: Vec<(&str, String)>| {
        html! { ul.tiles { @for (example, detail) in each { li {
            (picture(example, known[side].get(example).copied()))
            p.detail { (detail) }
            p.file { (path(example)) }
        } } } }
    };
    let surest = |of: &'_ Vec<Surest>, side: usize| {
        tiles(
            side,
            of.iter().map(|it| (it.example.as_str(), format!("probability {}", probability(it.probability)))).collect(),
        )
    };
    let farthest = |of: &'_ Vec<Farthest>, side: usize| {
        let detail =
            |it: &Farthest| format!("distance {}{}", amount(it.distance), if it.unlike { ", unlike" } else { "" });
        tiles(side, of.iter().map(|it| (it.example.as_str(), detail(it))).collect())
    };
    html! {
        p.lead {
            "Farthest from the other: these look like nothing there. " (share(found.unlike_a)) " of A is unlike B, and "
            (share(found.unlike_b)) " of B is unlike A; where nothing differs, about " (percent(LEVEL)) " is."
        }
        h3 { "Of A, farthest from B" } (farthest(&found.farthest_a, 0))
        h3 { "Of B, farthest from A" } (farthest(&found.farthest_b, 1))
        h3 { "Surest to be of A" }
        p.lead {
            "Typical of what tells the two apart, by a classifier that did not see them. "
            @if found.distance.p > LEVEL { "It does not tell them apart, so that these are the ends of chance." }
        }
        (surest(&found.surest_a, 0))
        h3 { "Surest to be of B" } (surest(&found.surest_b, 1))
    }
}

fn words(found: &Comparison) -> Markup {
    let table = |heading: &str, words: &[WordShift]| {
        html! {
            h3 { (heading) }
            @if words.is_empty() { p.empty { "None, as far as can be told." } } @else {
                (scroll(heading, html! {
                    table {
                        thead { tr {
                            th scope="col" { "Term" } th.number scope="col" { "Texts of A" } th.number scope="col" { "Texts of B" }
                        } }
                        tbody { @for word in words { tr {
                            th scope="row" { (name(&word.term)) } td.number { (percent(word.a)) } td.number { (percent(word.b)) }
                        } } }
                    }
                }))
            }
        }
    };
    html! {
        p.lead { "By the difference of the mean TF-IDF; only what differs by more than chance (Fisher's exact test, corrected for all terms)." }
        (table("More in A", &found.words_a))
        (table("More in B", &found.words_b))
    }
}

fn typical(of: &Typical) -> String {
    match of {
        Typical::Number { median, quartiles: [low, high] } => {
            format!("{} ({} to {})", amount(*median), amount(*low), amount(*high))
        }
        Typical::Category { category, share } => format!("{category}: {}", percent(*share)),
        Typical::Missing {} => "–".into(),
    }
}

fn properties(found: &Comparison) -> Markup {
    let row = |it: &Property| {
        html! { tr {
            th scope="row" { (name(&it.name)) }
            td { (name(&typical(&it.a))) } td { (name(&typical(&it.b))) }
            td.number { (decimal(it.distance, 2)) } td.number { (decimal(it.corrected_p, 3)) }
        } }
    };
    html! {
        @if found.properties.is_empty() { p.empty { "None that both have." } } @else {
            p.lead { "Of numbers the median and the quartiles, of categories the one that differs most. Distance: 0 is alike, 1 nothing in common; the p is corrected for all rows." }
            (scroll("Properties", html! {
                table {
                    thead { tr {
                        th scope="col" { "Property" } th scope="col" { "A" } th scope="col" { "B" }
                        th.number scope="col" { "Distance" } th.number scope="col" { "p" }
                    } }
                    tbody { @for it in found.properties.iter().take(PROPERTIES) { (row(it)) } }
                }
            }))
            @if found.properties.len() > PROPERTIES { p.caption { "compare.json has all " (count(found.properties.len())) "." } }
        }
    }
}

fn duplicates(found: &Comparison) -> Markup {
    let it = &found.duplicates;
    html! {
        @if it.equal + it.near == 0 { p.empty { "None was found." } } @else {
            p.lead { (count(it.equal)) " " (found.unit) " of B are in A too, and " (count(it.near)) " others are nearly the same as one of A." }
            (scroll("Examples in both", html! {
                table {
                    thead { tr { th scope="col" { "A" } th scope="col" { "B" } th scope="col" { "How" } } }
                    tbody { @for pair in &it.named { tr {
                        td { (path(&pair.a)) } td { (path(&pair.b)) } td { (if pair.equal { "equal" } else { "nearly the same" }) }
                    } } }
                }
            }))
        }
    }
}
