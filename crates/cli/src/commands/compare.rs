//! `engraft compare`

use engraft::bases::refuse_other_kind;
use engraft::compare::{Comparison, LEVEL, Typical, WordShift, compare, with_base};
use engraft::data::{compared_kind, open_sides};
use engraft::error::shown;
use engraft::features::open_inspections;
use engraft::files::{Made, Staging};
use engraft::run::save_comparison;
use engraft::settings::{Adapt, Fit, laid_over};

use crate::args::CompareArgs;
use crate::commands::cache_of;
use crate::commands::fit::{flags_of, quoted};
use crate::exit::Outcome;
use crate::output;
use crate::terminal::Terminal;

/// Examples, words and properties that the terminal shows of each side.
const SHOWN: usize = 5;
/// Characters of an example.
const CHARACTERS: usize = 80;

/// Runs the command.
pub fn run(args: &CompareArgs, json: bool, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let mut config: Fit = laid_over(&Fit::default(), args)?;
    config.data.clone_from(&args.a);
    let other = Adapt {
        to: args.b.clone(),
        to_text: args.to_text.clone(),
        to_label: args.to_label.clone(),
        ..Adapt::default()
    };
    if let Some(out) = &args.out {
        Staging::claim(out, Made::Comparison, args.force, &[("A", args.a.as_path()), ("B", args.b.as_path())])?;
    }
    let kind = compared_kind(&config, terminal)?;
    refuse_other_kind(&config.base, kind.is_of_texts(), kind.unit())?;
    let cache = cache_of(&args.cache, terminal);
    let sides = {
        let stores = [&args.a, &args.b].map(|data| open_inspections(cache.as_ref(), data));
        let sides = open_sides(&config, kind, &other, [stores[0].store(), stores[1].store()], terminal)?;
        stores.into_iter().for_each(|store| store.save(terminal));
        sides
    };
    let config = with_base(config, &sides, terminal)?;
    let compared = compare(&config, sides, cache.as_ref(), terminal)?;
    let found = &compared.comparison;
    if let Some(out) = &args.out {
        let told = Fit { adapt: Some(other), ..config.clone() };
        let flags = flags_of(&told, &Fit::default(), &["data", "to", "method", "shares"])?;
        let line = format!("engraft compare {} {}{flags}", quoted(&args.a), quoted(&args.b));
        save_comparison(&compared, out, args.force, &line)?;
    }
    if json {
        output::json(found)?;
    } else {
        let mut text = told(found);
        if let Some(out) = &args.out {
            text.push_str(&format!("page             {}\n", shown(out.join("compare.html"))));
        }
        output::text(&text)?;
    }
    Ok(Outcome::Done)
}

/// What was found, on a screen.
fn told(found: &Comparison) -> String {
    let it = &found.distance;
    let percent = |share: f64| format!("{:.1} %", 100.0 * share);
    let mut text = format!("{} (p {:.3}, all tests together)\n\n", one_line(&capital(&found.verdict)), found.p);
    let mut line = |name: &str, value: &str| text.push_str(&format!("{name:<16} {}\n", one_line(value)));
    line(
        "told apart",
        &format!("{}, p {:.3} (halves of one: {})", percent(it.accuracy), it.p, percent(it.accuracy_floor)),
    );
    line("proxy A-distance", &format!("{:.2} (halves of one: {:.2})", it.proxy_a_distance, it.proxy_a_distance_floor));
    line("MMD²", &format!("{:.4}, p {:.3} (halves of one: {:.4})", it.mmd2, it.mmd_p, it.mmd2_floor));
    let [a, b] = it.frechet_floors;
    line("Fréchet", &format!("{:.4} with {} of each (halves of A: {a:.4}, of B: {b:.4})", it.frechet, it.frechet_rows));
    let weighting = if it.importance_weighting { "worth trying" } else { "not worth trying" };
    line("weighting", &format!("{weighting}: {}", it.importance_reason));
    if let Some(shares) = &found.shares {
        let mut most: Vec<_> = shares.classes.iter().collect();
        most.sort_by(|x, y| (y.a - y.b).abs().total_cmp(&(x.a - x.b).abs()));
        let each: Vec<String> = most
            .iter()
            .take(SHOWN)
            .map(|share| format!("{} {} -> {}", share.class, percent(share.a), percent(share.b)))
            .collect();
        line("class shares", &format!("p {:.3}: {}", shares.p, each.join(", ")));
    }
    if let Some(told) = &found.at_equal_shares {
        line("at equal shares", &format!("told apart with {}, p {:.3}", percent(told.accuracy), told.p));
    }
    let differ: Vec<_> = found.classes.iter().filter(|class| class.told.p <= LEVEL).collect();
    if !differ.is_empty() {
        let each = differ.iter().take(SHOWN).map(|class| format!("{} ({})", class.class, percent(class.told.accuracy)));
        line("classes apart", &each.collect::<Vec<_>>().join(", "));
    }
    let properties: Vec<_> = found.properties.iter().filter(|it| it.corrected_p <= LEVEL).take(SHOWN).collect();
    for (at, it) in properties.iter().enumerate() {
        let name = if at == 0 { "differing" } else { "" };
        line(name, &format!("{}: {} -> {} (p {:.3})", it.name, typical(&it.a), typical(&it.b), it.corrected_p));
    }
    for (name, words) in [("words of A", &found.words_a), ("words of B", &found.words_b)] {
        if !words.is_empty() {
            let each = |word: &WordShift| word.term.clone();
            line(name, &words.iter().take(2 * SHOWN).map(each).collect::<Vec<_>>().join(", "));
        }
    }
    let share = |unlike: Option<f64>| unlike.map_or_else(|| "an unknown share".to_owned(), percent);
    let share = format!(
        "{} of A is unlike B, {} of B unlike A (5.0 % where nothing differs)",
        share(found.unlike_a),
        share(found.unlike_b)
    );
    line("unlike", &share);
    let what = |example: &str, shown: &str| -> String {
        let what = if shown.is_empty() { example } else { shown };
        what.chars().take(CHARACTERS).collect()
    };
    for (name, farthest) in [("farthest of A", &found.farthest_a), ("farthest of B", &found.farthest_b)] {
        for (at, it) in farthest.iter().filter(|it| it.unlike).take(SHOWN).enumerate() {
            line(if at == 0 { name } else { "" }, &format!("{:.3}  {}", it.distance, what(&it.example, &it.shown)));
        }
    }
    for (name, surest) in [("surest of A", &found.surest_a), ("surest of B", &found.surest_b)] {
        // Of what is not told apart nothing is sure.
        for (at, it) in surest.iter().filter(|_| found.distance.p <= LEVEL).take(SHOWN).enumerate() {
            line(if at == 0 { name } else { "" }, &format!("{:.3}  {}", it.probability, what(&it.example, &it.shown)));
        }
    }
    let it = &found.duplicates;
    line("in both", &format!("{} equal, {} nearly the same", it.equal, it.near));
    line("compared", &format!("{} and {} {}, by {}", found.a.compared, found.b.compared, found.unit, found.base));
    found.notes.iter().for_each(|note| line("note", note));
    text
}

/// A name may hold line ends, and a line is one of the program's.
fn one_line(text: &str) -> String {
    text.replace(['\n', '\r', '\u{2028}', '\u{2029}'], " ")
}

fn typical(of: &Typical) -> String {
    match of {
        Typical::Number { median, .. } => format!("{median:.4}"),
        Typical::Category { category, share } => format!("{category} {:.1} %", 100.0 * share),
        Typical::Missing {} => "nothing".into(),
    }
}

fn capital(text: &str) -> String {
    let mut rest = text.chars();
    rest.next().map(|first| first.to_uppercase().chain(rest).collect()).unwrap_or_default()
}
