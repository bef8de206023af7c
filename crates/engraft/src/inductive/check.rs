//! Settings that a fit refuses before any work: invalid ones, and those that the input, the base or the target does not have.

use crate::backbone::text::TextBody;
use crate::config::{Fit, Input};
use crate::data::Task;
use crate::data::intake::{InputKind, Intake};
use crate::error::{Error, Problem, Result};
use crate::inductive::any_base::{AnyBase, usual_settings};
use crate::inductive::tokens::Cutting;

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
    if let Some(level) = config.interval_level.filter(|level| !(*level > 0.0 && *level < 1.0)) {
        let problem = Problem::new("invalid level of the prediction intervals").expected("a number between 0 and 1");
        return Err(Error::Usage(problem.found(level).at("--interval-level")));
    }
    Ok(())
}

/// Refuses settings that the input or its base does not have: an option is never accepted and ignored.
fn refuse_foreign(config: &Fit, base: &AnyBase, intake: &Intake) -> Result<()> {
    use InputKind::{Images, Questions, Texts, Vectors, Words};
    let kind = intake.kind();
    let all = usual_settings(kind, &config.base);
    let (usual, tune) = (&all.tune, &config.tune);
    let rows_differ = |differs: bool| kind == Vectors && differs;
    let on_vectors = matches!(base, AnyBase::Texts(base) if matches!(base.body, TextBody::Words(_)));
    // What only an encoder has of words and questions, and what only a reader on word vectors has.
    let encoder: &[InputKind] = if on_vectors { &[] } else { &[Words, Questions] };
    let reader: &[InputKind] = if on_vectors { &[Questions] } else { &[] };
    let stages: &[InputKind] = if on_vectors { &[Images, Texts] } else { &[Images, Texts, Words, Questions] };
    let trained: &[InputKind] = &[Images, Texts, Words, Questions];
    let settings: [(&str, bool, &[InputKind]); 33] = [
        ("--only", config.only.is_some(), &[Images]),
        ("--channels", config.channels.is_some(), &[Images]),
        ("--image-size", config.image_size.is_some(), &[Images]),
        ("--input-size and what goes with it", config.input != Input::default(), &[Images]),
        ("--card", config.card.is_some(), &[Images]),
        ("--onnx-output", config.onnx_output.is_some(), &[Images]),
        ("--path-column", config.path_column.is_some(), &[Images]),
        ("--exact", config.exact, &[Images]),
        ("--batch-norm", tune.batch_norm != usual.batch_norm, &[Images]),
        ("--feature-distance", tune.feature_distance != 0.0, &[Images]),
        ("--stochastic-depth", tune.stochastic_depth != 0.0, &[Images]),
        ("--mixup", tune.mixup != 0.0, &[Images]),
        ("--cutmix", tune.cutmix != 0.0, &[Images]),
        ("--augment", tune.augment != usual.augment, &[Images]),
        ("--views", tune.views != usual.views, &[Images]),
        ("--text", config.text.is_some(), &[Texts]),
        ("--label-column", config.label_column.is_some(), &[Images, Texts, Vectors]),
        ("--pooling", config.pooling.is_some(), &[Texts]),
        ("--pairs", tune.pairs != 0, &[Texts]),
        ("--ignore-column", !config.ignore_columns.is_empty(), &[Vectors]),
        ("--labels", config.labels.is_some(), &[Vectors]),
        ("--start", kind != Vectors && tune.start != usual.start, &[Images, Texts]),
        ("--label-smoothing", kind != Vectors && tune.label_smoothing != 0.0, &[Images, Texts]),
        ("--unfreeze", kind != Vectors && tune.unfreeze != usual.unfreeze, stages),
        ("--l2-sp", kind != Vectors && tune.l2_sp != 0.0, stages),
        ("--lora", kind != Vectors && tune.lora != 0, stages),
        ("--max-tokens", config.max_tokens.is_some(), encoder),
        ("--stride", config.stride.is_some(), if on_vectors { &[] } else { &[Questions] }),
        ("--max-answer", config.max_answer.is_some(), &[Questions]),
        ("--hidden or --layers", config.hidden.or(config.layers).is_some(), reader),
        ("--control-budget", rows_differ(![0.0, all.control_budget].contains(&config.control_budget)), trained),
        ("--budget or --seeds", rows_differ(config.budget != all.budget || config.seeds != all.seeds), trained),
        ("settings of a training", rows_differ(*tune != all.tune), trained),
    ];
    let given = settings.iter().filter(|(_, set, kinds)| *set && !kinds.contains(&kind));
    let given: Vec<&str> = given.map(|(name, _, _)| *name).collect();
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
