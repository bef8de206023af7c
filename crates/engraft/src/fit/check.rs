//! Settings that a fit refuses before any work: invalid ones, and those that the input, the base or the target does not have.

use crate::bases::text::TextBody;
use crate::data::Task;
use crate::data::intake::{InputKind, Intake};
use crate::error::{Error, Problem, Result};
use crate::methods::tokens::Cutting;
use crate::methods::{AnyBase, Speed, usual_settings};
use crate::settings::{Differing, Fit, differing};

/// Refuses settings that are invalid, or that the input, the base or the target does not have, before any work.
///
/// # Errors
/// [`Error::Usage`] that names them.
pub fn check_settings(config: &Fit, base: &AnyBase, intake: &Intake) -> Result<()> {
    check(config, intake.kind())?;
    refuse_foreign(config, base, intake)?;
    base.refuse_unknown_depth(config, intake.kind())?;
    refuse_for_target(config, base, intake.dataset.task())?;
    if let (true, AnyBase::Texts(base)) = (intake.kind().is_of_tokens(), base) {
        Cutting::of(config, base)?;
        for (flag, size) in [("hidden", config.hidden), ("layers", config.layers)] {
            if let Some(size) = size.filter(|size| !(1..=1 << 14).contains(size)) {
                let problem = Problem::new("invalid setting").expected("at least 1, at most 16384").found(size);
                return Err(Error::Usage(problem.at(format!("--{flag}"))));
            }
        }
    }
    Ok(())
}

fn check(config: &Fit, kind: InputKind) -> Result<()> {
    let least = if kind.is_of_tokens() { 1 } else { 2 };
    if config.folds < least {
        let problem = Problem::new("cross-validation needs folds").found(config.folds).at("--folds");
        let expected = if kind.is_of_tokens() { "at least 1, which runs one of five" } else { "at least 2" };
        return Err(Error::Usage(problem.expected(expected)));
    }
    if let Some(max_error) = config.max_error.filter(|rate| !(*rate > 0.0 && *rate < 1.0)) {
        let problem = Problem::new("invalid error rate").expected("a number between 0 and 1");
        return Err(Error::Usage(problem.found(max_error).at("--max-error")));
    }
    if !(config.control_budget >= 0.0 && config.control_budget.is_finite()) {
        let problem = Problem::new("invalid budget of the from-scratch control").expected("0 or a positive number");
        return Err(Error::Usage(problem.found(config.control_budget).at("--control-budget")));
    }
    config.speed.as_deref().map(str::parse::<Speed>).transpose()?;
    if let Some(level) = config.interval_level.filter(|level| !(*level > 0.0 && *level < 1.0)) {
        let problem = Problem::new("invalid level of the prediction intervals").expected("a number between 0 and 1");
        return Err(Error::Usage(problem.found(level).at("--interval-level")));
    }
    if !(config.unlike_rate >= 0.0 && config.unlike_rate < 1.0) {
        let problem = Problem::new("invalid rate of \"unlike the training data\"").expected("from 0 to less than 1");
        return Err(Error::Usage(problem.found(config.unlike_rate).at("--unlike-rate")));
    }
    Ok(())
}

/// Refuses settings that the input or its base does not have: an option is never accepted and ignored.
fn refuse_foreign(config: &Fit, base: &AnyBase, intake: &Intake) -> Result<()> {
    use InputKind::{Images, Questions, Texts, Vectors, Words};
    let kind = intake.kind();
    let on_vectors = matches!(base, AnyBase::Texts(base) if matches!(base.body, TextBody::Words(_)));
    // What only an encoder has of words and questions, and what only a reader on word vectors has.
    let encoder: &[InputKind] = if on_vectors { &[] } else { &[Words, Questions] };
    let windows: &[InputKind] = if on_vectors { &[] } else { &[Questions] };
    let reader: &[InputKind] = if on_vectors { &[Questions] } else { &[] };
    let stages: &[InputKind] = if on_vectors { &[Images, Texts] } else { &[Images, Texts, Words, Questions] };
    // Everything else applies to all of them, but of rows, which nothing is trained for by steps.
    let apply: [(&[&str], &[InputKind]); 15] = [
        (&["only", "channels", "image-size", "card", "onnx-output", "path-column", "exact"], &[Images]),
        (&["input-size", "resize", "interpolation", "channel-order", "mean", "std"], &[Images]),
        (&["batch-norm", "feature-distance", "stochastic-depth", "mixup", "cutmix", "augment", "views"], &[Images]),
        (&["bit-depth"], &[Images]),
        (&["encoding", "merge-classes"], &[Images, Texts, Vectors]),
        (&["text", "pooling", "prompt", "pairs"], &[Texts]),
        (&["label-column", "group-column", "group-by"], &[Images, Texts, Vectors]),
        (&["ignore-column", "labels"], &[Vectors]),
        (&["start", "label-smoothing"], &[Images, Texts]),
        (&["unfreeze", "l2-sp", "lora", "lora-alpha"], stages),
        (&["max-tokens"], encoder),
        (&["stride"], windows),
        (&["hidden", "layers"], reader),
        (&["max-answer"], &[Questions]),
        (&["budget", "speed", "seeds", "control-budget"], &[Images, Texts, Words, Questions]),
    ];
    let applies = |setting: &Differing| {
        // Nothing to leave out is no control.
        let left_out = setting.flag == "control-budget" && config.control_budget == 0.0;
        let kinds = apply.iter().find(|(flags, _)| flags.contains(&&*setting.flag));
        left_out || kinds.map_or(kind != Vectors || !setting.of_training, |(_, kinds)| kinds.contains(&kind))
    };
    let differing = differing(config, &usual_settings(kind, &config.base))?;
    let given: Vec<String> =
        differing.iter().filter(|setting| !applies(setting)).map(|setting| format!("--{}", setting.flag)).collect();
    if given.is_empty() {
        return Ok(());
    }
    let on = match (kind.is_of_tokens(), on_vectors) {
        (true, true) => " on word vectors",
        (true, false) => " on an encoder",
        _ => "",
    };
    let problem = Problem::new(format_args!("these settings do not apply to {}{on}", kind.unit()));
    Err(Error::Usage(problem.found(given.join(", ")).hint("leave them out")))
}

/// Refuses settings that the kind of target does not have.
fn refuse_for_target(config: &Fit, base: &AnyBase, task: Task) -> Result<()> {
    let refuse = |setting: &str, what: &str, hint: &str| -> Result<()> {
        let problem = Problem::new(format_args!("{what}, and the task is {task}")).at(setting);
        Err(Error::Usage(problem.hint(hint)))
    };
    if task != Task::Regression && config.interval_level.is_some() {
        return refuse("--interval-level", "only numbers have prediction intervals", "leave it out");
    }
    if task == Task::Regression && config.max_error.is_some() {
        let hint = "--interval-level says how often intervals are to hold the truth";
        return refuse("--max-error", "a number is never plainly wrong", hint);
    }
    if task == Task::SingleLabel {
        return Ok(());
    }
    if config.balanced {
        return refuse("--balanced", "only single classes are weighed by their frequency", "leave it out");
    }
    if config.depth == "contrastive" {
        return refuse("--depth", "contrastive pairs share a class or do not", "choose last, half, all or auto");
    }
    let lstm = matches!(base, AnyBase::Texts(base) if matches!(base.body, TextBody::Lstm(_)));
    if lstm && config.depth == "all" {
        return refuse("--depth", "the recipe of a language model ends in a classifier", "choose head or auto");
    }
    Ok(())
}
