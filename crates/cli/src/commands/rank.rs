//! `engraft rank`

use std::path::Path;

use engraft::bases::refuse_other_kind;
use engraft::data::intake::InputKind;
use engraft::error::printable;
use engraft::rank::{Ranked, Ranking, candidates, rank};
use engraft::settings::{By, Fit, Rank, laid_over};

use crate::args::RankArgs;
use crate::commands::{cache_of, intake, tell_audit};
use crate::exit::Outcome;
use crate::output;
use crate::terminal::Terminal;

/// Runs the command.
pub fn run(args: &RankArgs, json: bool, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let asked: Rank = laid_over(&Rank::default(), args)?;
    let mut config: Fit = laid_over(&Fit::default(), &args.reading)?;
    config.data.clone_from(&args.data);
    config.folds = args.folds.unwrap_or(config.folds);
    config.seed = args.seed.unwrap_or(config.seed);
    // What the data is may hang on what reads it.
    config.base = args.bases.first().cloned().unwrap_or_default();
    let kind = InputKind::of(&config);
    for base in &args.bases {
        refuse_other_kind(base, kind.is_of_texts(), kind.unit())?;
    }
    let bases = candidates(&args.bases, &config, kind)?;
    config.base.clone_from(&bases[0]);
    let cache = cache_of(&args.cache, terminal);
    let intake = intake(&config, kind, cache.as_ref(), terminal)?;
    tell_audit(&intake.audit, terminal);
    let ranking = rank(&config, &intake, &asked, &bases, cache.as_ref(), terminal)?;
    if json {
        output::json(&ranking)?;
    } else {
        output::text(&shown(&ranking))?;
    }
    Ok(Outcome::Done)
}

/// A table of the bases, and what follows from it.
fn shown(ranking: &Ranking) -> String {
    let probed = ranking.by == By::Probe;
    // Of files their names, where these tell them apart.
    let mut names: Vec<String> = ranking.bases.iter().map(|it| name_of(&it.base)).collect();
    if (1..names.len()).any(|at| names[..at].contains(&names[at])) {
        names = ranking.bases.iter().map(|it| it.base.clone()).collect();
    }
    let width = names.iter().map(|name| name.chars().count()).max().unwrap_or(0).max(14);
    let by = if probed { ranking.measure.as_str() } else { ranking.by.name() };
    let mut text = format!(
        "{:width$}  {:>9}  {:24}  {:>8}  {:>8}  {:>7}  {:>6}  licence\n",
        "base", by, "against the best", "LogME", "ImageNet", "ms each", "MB"
    );
    let number = |value: Option<f64>, digits: usize| value.map_or_else(|| "-".to_owned(), |x| format!("{x:.digits$}"));
    for (it, name) in ranking.bases.iter().zip(&names) {
        text.push_str(&format!(
            "{:width$}  {:>9}  {:24}  {:>8.3}  {:>8}  {:>7.1}  {:>6}  {}\n",
            name,
            of(it, ranking),
            against(it, ranking),
            it.evidence,
            number(it.imagenet, 1),
            1000.0 * it.seconds_per_example,
            number(it.megabytes, 0),
            it.licence
        ));
    }
    for it in &ranking.without_base {
        text.push_str(&format!("{:width$}  {:>9}  without a base\n", it.name, score(it.mean, ranking)));
    }
    text.push_str(&format!("\ntake            {}: {}\n", ranking.recommended, ranking.reason));
    if let Some(verdict) = &ranking.verdict {
        text.push_str(&format!("does it help    {verdict}\n"));
    }
    ranking.left_out.iter().for_each(|note| text.push_str(&format!("left out        {note}\n")));
    let Ranking { examples, looked_at, unit, .. } = ranking;
    text.push_str(&match probed {
        true => format!("measured        on {examples} {unit}, out of fold; LogME on {looked_at} of them\n"),
        false => format!("measured        on {looked_at} of {examples} {unit}\n"),
    });
    text
}

/// The last part of a file's path; of anything else the whole.
fn name_of(base: &str) -> String {
    let path = Path::new(base);
    let name = path.file_name().filter(|_| path.is_file());
    name.map_or_else(|| base.to_owned(), |name| printable(Path::new(name)))
}

/// A measure in per cent, but for errors of numbers.
fn score(mean: f64, ranking: &Ranking) -> String {
    if in_units(ranking) { format!("{mean:.4}") } else { format!("{:.1} %", 100.0 * mean) }
}

/// Whether the measure is in the unit of the numbers that are predicted.
fn in_units(ranking: &Ranking) -> bool {
    ranking.measure == "mean error"
}

fn of(it: &Ranked, ranking: &Ranking) -> String {
    match (&it.probe, it.score, ranking.by) {
        (Some(probe), ..) => score(probe.mean, ranking),
        (None, Some(score), _) => format!("{score:.3}"),
        (None, None, By::LogMe) => format!("{:.3}", it.evidence),
        _ => "-".into(),
    }
}

fn against(it: &Ranked, ranking: &Ranking) -> String {
    match it.probe.as_ref().map(|probe| (probe.against_best, probe.tied)) {
        Some((Some(it), tied)) => {
            let tied = if tied { " tied" } else { "" };
            if in_units(ranking) {
                return format!("{:+.4} ({:+.4} to {:+.4}){tied}", it.mean, it.low, it.high);
            }
            let [mean, low, high] = [it.mean, it.low, it.high].map(|x| 100.0 * x);
            format!("{mean:+.1} ({low:+.1} to {high:+.1}){tied}")
        }
        Some((None, _)) => "best".into(),
        None if ranking.by == By::Probe => "not probed".into(),
        None => String::new(),
    }
}
