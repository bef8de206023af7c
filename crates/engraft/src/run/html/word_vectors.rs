//! An evaluation of word vectors as a page.

use std::fmt::Write as _;

use maud::{Markup, PreEscaped, html};

use super::format::{count, decimal, name, path, percent};
use super::frame::{Section, data_name, page};
use super::parts::{figure, scroll};
use crate::glove::{Analogies, AnalogyTotal, Substructure, VectorEvaluation, WordMap, WordSimilarity};

/// The map's size, in units of its drawing.
const WIDTH: f64 = 900.0;
const HEIGHT: f64 = 640.0;
const MARGIN: f64 = 24.0;
/// Size of the words on it, and the width of a letter at most.
const FONT: f64 = 12.0;
const LETTER: f64 = 6.6;

/// The page. `reproduce` is the command that gives the same numbers again.
pub fn render_word_vectors(found: &VectorEvaluation, reproduce: &str) -> String {
    let title = data_name(&found.vectors);
    let mut sections: Vec<Section> = Vec::new();
    if let Some(map) = &found.map {
        sections.push(("map", "Map", map_of(map)));
    }
    if !found.similarity.is_empty() {
        sections.push(("similarity", "Word similarity", similarity(&found.similarity)));
    }
    if let Some(analogies) = &found.analogies {
        sections.push(("analogies", "Analogies", analogies_of(analogies)));
    }
    if !found.substructure.is_empty() {
        sections.push(("substructure", "Linear substructure", substructure(&found.substructure)));
    }
    if !found.neighbours.is_empty() {
        sections.push(("neighbours", "Neighbours", neighbours(found)));
    }
    sections.push(("reproduce", "How to get this again", html! { pre { code { (reproduce) } } }));
    page(found.version, &title, header(found, &title), &sections, "the command's output as JSON")
}

fn header(found: &VectorEvaluation, title: &str) -> Markup {
    html! {
        header {
            p.eyebrow { "Engraft evaluation of word vectors" }
            h1 { (name(title)) }
            p.facts {
                span { (path(&found.vectors)) }
                span { (count(found.words)) " words" }
                span { (count(found.columns)) " columns" }
                @if found.candidates < found.words { span { "the " (count(found.candidates)) " most frequent words answer" } }
            }
            @if let Some(share) = found.analogies.as_ref().and_then(|it| it.all.add_share()) {
                p.answer { "Analogies: " strong { (percent(share)) } " right (3CosAdd)." }
            }
            @for note in &found.notes { p.beside { (name(note)) } }
        }
    }
}

fn similarity(lists: &[WordSimilarity]) -> Markup {
    html! {
        p.lead { "Spearman's rank correlation of cosines with people's ratings: 1 is the same order, 0 none. Pairs with an unknown word are left out." }
        (scroll("Word similarity", html! {
            table {
                thead { tr {
                    th scope="col" { "List" } th.number scope="col" { "Pairs" } th.number scope="col" { "Rated" }
                    th.number scope="col" { "Coverage" } th.number scope="col" { "Spearman" } th.number scope="col" { "95 % interval" }
                } }
                tbody { @for list in lists { tr {
                    th scope="row" { (name(&list.list))
                        @if list.composed > 0 { small { (count(list.composed)) " pairs with a word made of its n-grams" } }
                    }
                    td.number { (count(list.pairs)) } td.number { (count(list.rated)) }
                    td.number { (percent(list.rated as f64 / list.pairs.max(1) as f64)) }
                    @match &list.spearman {
                        Some(it) => { td.number { (decimal(it.mean, 3)) } td.number { (decimal(it.low, 3)) " to " (decimal(it.high, 3)) } }
                        None => { td.number { "–" } td.number { "–" } }
                    }
                } } }
            }
        }))
    }
}

fn analogies_of(found: &Analogies) -> Markup {
    let share = |share: Option<f64>| share.map_or_else(|| "–".to_owned(), percent);
    let row = |what: &str, it: &AnalogyTotal| {
        html! { tr {
            th scope="row" { (name(what)) }
            td.number { (count(it.questions)) } td.number { (count(it.asked)) } td.number { (percent(it.coverage())) }
            td.number { (share(it.add_share())) } td.number { (share(it.mul_share())) }
        } }
    };
    html! {
        p.lead {
            "“a is to b as c is to what?” A question is asked where its four words have vectors; its own words are no answers. "
            "Shares are of the questions asked."
        }
        (scroll("Analogies", html! {
            table {
                thead { tr {
                    th scope="col" { "Kind" } th.number scope="col" { "Questions" } th.number scope="col" { "Asked" }
                    th.number scope="col" { "Coverage" } th.number scope="col" { "3CosAdd" } th.number scope="col" { "3CosMul" }
                } }
                tbody {
                    @for kind in &found.kinds { (row(&kind.kind, &kind.total)) }
                    (row("all of meaning", &found.semantic))
                    (row("all of word forms", &found.syntactic))
                    (row("all", &found.all))
                }
            }
        }))
        @if found.unknown_words > 0 {
            p.caption { (count(found.unknown_words)) " words of the questions have no vector, such as "
                @for (at, word) in found.unknown.iter().take(8).enumerate() { @if at > 0 { ", " } (name(word)) } "." }
        }
    }
}

fn substructure(relations: &[Substructure]) -> Markup {
    html! {
        p.lead {
            "Whether the pairs of a relation differ by the same vector: the mean cosine of each pair's offset with the mean offset of the "
            "others. The floor is the same for random pairings of the same words; p is the share of random pairings that reach the value."
        }
        (scroll("Linear substructure", html! {
            table {
                thead { tr {
                    th scope="col" { "Relation" } th.number scope="col" { "Pairs" } th.number scope="col" { "Consistency" }
                    th.number scope="col" { "Floor" } th.number scope="col" { "p" }
                } }
                tbody { @for it in relations { tr {
                    th scope="row" { (name(&it.kind)) } td.number { (count(it.pairs)) } td.number { (decimal(it.consistency, 3)) }
                    td.number { (decimal(it.floor, 3)) } td.number { (decimal(it.p, 2)) }
                } } }
            }
        }))
    }
}

fn neighbours(found: &VectorEvaluation) -> Markup {
    html! {
        p.lead { "The words with the largest cosines." }
        (scroll("Neighbours", html! {
            table {
                thead { tr { th scope="col" { "Word" } th scope="col" { "Neighbours" } } }
                tbody { @for it in &found.neighbours { tr {
                    th scope="row" { (name(&it.word)) }
                    td { @for (at, near) in it.near.iter().enumerate() { @if at > 0 { ", " } (name(&near.word)) " " (decimal(near.cosine, 2)) } }
                } } }
            }
        }))
    }
}

fn map_of(map: &WordMap) -> Markup {
    let caption = format!(
        "{} words along the two axes in which they differ most, which hold {} and {} of their variance. What is near here need not be \
         near in all columns. A point without a word has its word in its tooltip.",
        count(map.words.len()),
        percent(map.explained[0]),
        percent(map.explained[1])
    );
    html! {
        (figure(PreEscaped(drawn(map)), &caption))
        @if !map.unknown.is_empty() {
            p.caption { "Without a vector: " @for (at, word) in map.unknown.iter().enumerate() { @if at > 0 { ", " } (name(word)) } }
        }
    }
}

/// The map as SVG. Words are escaped, and written where they cover no other word.
fn drawn(map: &WordMap) -> String {
    let range = |of: fn(&crate::glove::MappedWord) -> f32| {
        let (low, high) =
            map.words.iter().map(of).fold((f32::MAX, f32::MIN), |(low, high), x| (low.min(x), high.max(x)));
        (f64::from(low), f64::from(high).max(f64::from(low) + 1e-9))
    };
    let (xs, ys) = (range(|word| word.x), range(|word| word.y));
    let place = |value: f32, (low, high): (f64, f64), size: f64| {
        MARGIN + (f64::from(value) - low) / (high - low) * (size - 2.0 * MARGIN)
    };
    let mut svg = format!(
        "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"Map of words\" style=\"width:100%;height:auto\" \
         font-family=\"sans-serif\" font-size=\"{FONT}\">"
    );
    let mut taken: Vec<[f64; 4]> = Vec::new();
    for word in &map.words {
        let (x, y) = (place(word.x, xs, WIDTH), HEIGHT - place(word.y, ys, HEIGHT));
        let text = html! { (word.word) }.into_string();
        let _ = write!(
            svg,
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"2\" fill=\"var(--first)\"><title>{text}</title></circle>"
        );
        let wide = word.word.chars().count() as f64 * LETTER;
        // To the right of its point, and at the edge to the left.
        let (begin, anchor) = if x + 5.0 + wide < WIDTH { (x + 4.0, "start") } else { (x - 4.0 - wide, "end") };
        let own = [begin, y - FONT * 0.6, begin + wide, y + FONT * 0.5];
        let covers =
            |other: &[f64; 4]| own[0] < other[2] && other[0] < own[2] && own[1] < other[3] && other[1] < own[3];
        if !taken.iter().any(covers) {
            let at = if anchor == "start" { begin } else { x - 4.0 };
            let _ = write!(
                svg,
                "<text x=\"{at:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\" fill=\"var(--ink)\">{text}</text>",
                y + FONT * 0.35
            );
            taken.push(own);
        }
    }
    svg.push_str("</svg>");
    svg
}
