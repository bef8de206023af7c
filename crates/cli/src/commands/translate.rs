//! `engraft translate`

use engraft::error::{Error, Problem};
use engraft::metrics::{BleuSettings, ChrfSettings, TranslationMetric};
use engraft::translate::{ScoreReport, ScoreRequest, score_files};

use crate::exit::Outcome;
use crate::output;
use crate::terminal::Terminal;
use crate::translate_args::{Metric, ScoreArgs, TranslateCommand};

/// Runs the command.
pub fn run(command: &TranslateCommand, json: bool, terminal: &Terminal) -> anyhow::Result<Outcome> {
    match command {
        TranslateCommand::Score(args) => score(args, json, terminal),
    }
}

fn score(args: &ScoreArgs, json: bool, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let request = ScoreRequest {
        translations: args.translations.clone(),
        references: args.reference.clone(),
        against: args.against.clone(),
        metrics: metrics_of(args)?,
        seed: args.seed,
        resamples: args.resamples,
        trials: args.trials,
        sentences: args.sentences,
    };
    let report = score_files(&request, terminal)?;
    if json {
        output::json(&report)?;
    } else {
        output::text(&told(&report))?;
    }
    Ok(Outcome::Done)
}

/// The metrics with their settings; a setting of a metric that is not asked for is refused.
fn metrics_of(args: &ScoreArgs) -> Result<Vec<TranslationMetric>, Error> {
    let wanted = |metric: Metric| args.metric.is_empty() || args.metric.contains(&metric);
    let of_bleu = [
        ("--tokeniser", args.tokeniser.is_some()),
        ("--smoothing", args.smoothing.is_some()),
        ("--smooth-value", args.smooth_value.is_some()),
        ("--effective-order", args.effective_order),
    ];
    let of_chrf = [
        ("--char-order", args.char_order.is_some()),
        ("--word-order", args.word_order.is_some()),
        ("--beta", args.beta.is_some()),
        ("--whitespace", args.whitespace),
        ("--eps-smoothing", args.eps_smoothing),
    ];
    for (metric, name, flags) in [(Metric::Bleu, "bleu", &of_bleu[..]), (Metric::Chrf, "chrf", &of_chrf)] {
        if let Some((flag, _)) = flags.iter().find(|(_, given)| *given && !wanted(metric)) {
            let problem = Problem::new(format_args!("only {name} has the setting {flag}")).found("--metric without it");
            return Err(Error::Usage(problem.at(*flag).hint("leave the flag out, or add the metric")));
        }
    }
    let bleu = BleuSettings {
        lowercase: args.lowercase,
        tokeniser: args.tokeniser.unwrap_or_default(),
        smoothing: args.smoothing.unwrap_or_default(),
        smooth_value: args.smooth_value,
        effective_order: args.effective_order,
    };
    let usual = ChrfSettings::default();
    let chrf = ChrfSettings {
        char_order: args.char_order.unwrap_or(usual.char_order),
        word_order: args.word_order.unwrap_or(usual.word_order),
        beta: args.beta.unwrap_or(usual.beta),
        lowercase: args.lowercase,
        whitespace: args.whitespace,
        eps_smoothing: args.eps_smoothing,
    };
    let both = [(Metric::Bleu, TranslationMetric::Bleu(bleu)), (Metric::Chrf, TranslationMetric::Chrf(chrf))];
    Ok(both.into_iter().filter(|(metric, _)| wanted(*metric)).map(|(_, metric)| metric).collect())
}

fn told(report: &ScoreReport) -> String {
    let mut text = String::new();
    let against = report.against.as_ref().map(|name| (name, &report.scores_against));
    for (name, scores) in [(&report.translations, &report.scores)].into_iter().chain(against) {
        text.push_str(&format!("{name}, {} sentences\n", report.lines));
        for score in scores {
            let (low, high) = (score.estimate.low, score.estimate.high);
            text.push_str(&format!("  {}\n    95 % interval {low:.1} to {high:.1}\n", score.line));
        }
    }
    for it in &report.comparisons {
        let randomisation = it.p_randomisation.map(|p| format!(", {p:.4} by approximate randomisation"));
        text.push_str(&format!(
            "{}: {:+.2} ({:+.2} to {:+.2}), p {:.4} by paired bootstrap{}\n",
            it.metric,
            it.difference,
            it.low,
            it.high,
            it.p_bootstrap,
            randomisation.unwrap_or_default()
        ));
    }
    for (at, scores) in report.sentence_scores.iter().enumerate() {
        let metric = report.scores.get(at).map_or("", |score| score.metric.as_str());
        text.push_str(&format!("{metric} of each sentence\n"));
        scores.iter().enumerate().for_each(|(line, score)| text.push_str(&format!("  {:>6}  {score:.2}\n", line + 1)));
    }
    report.remarks.iter().for_each(|remark| text.push_str(&format!("note: {remark}\n")));
    text
}
