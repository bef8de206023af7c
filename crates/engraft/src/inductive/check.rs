//! Settings that a fit refuses before any work: invalid ones, and those that the input, the base or the target does not have.

use crate::backbone::text::TextBody;
use crate::config::{Fit, Input};
use crate::data::Task;
use crate::data::intake::{InputKind, Intake};
use crate::error::{Error, Problem, Result};
use crate::inductive::any_base::AnyBase;

/// Refuses settings that are invalid, or that the input, the base or the target does not have, before any work.
///
/// # Errors
/// [`Error::Usage`] that names them.
pub fn check_settings(config: &Fit, base: &AnyBase, intake: &Intake) -> Result<()> {
    check(config)?;
    refuse_foreign(config, intake)?;
    base.refuse_unknown_depth(config)?;
    refuse_for_target(config, base, intake.dataset.task())
}

fn check(config: &Fit) -> Result<()> {
    if config.folds < 2 {
        let problem = Problem::new("cross-validation needs folds").expected("at least 2").found(config.folds);
        return Err(Error::Usage(problem.at("--folds")));
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

/// Refuses settings that the input does not have: an option is never accepted and ignored.
fn refuse_foreign(config: &Fit, intake: &Intake) -> Result<()> {
    use InputKind::{Images, Texts, Vectors};
    let kind = intake.kind();
    let all = kind.usual_settings();
    let (usual, tune) = (&all.tune, &config.tune);
    let rows_differ = |differs: bool| kind == Vectors && differs;
    let settings: [(&str, bool, &[InputKind]); 23] = [
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
        ("--pooling", config.pooling.is_some(), &[Texts]),
        ("--pairs", tune.pairs != 0, &[Texts]),
        ("--ignore-column", !config.ignore_columns.is_empty(), &[Vectors]),
        ("--labels", config.labels.is_some(), &[Vectors]),
        (
            "--control-budget",
            rows_differ(![0.0, all.control_budget].contains(&config.control_budget)),
            &[Images, Texts],
        ),
        ("--budget", rows_differ(config.budget != all.budget), &[Images, Texts]),
        ("--seeds", rows_differ(config.seeds != all.seeds), &[Images, Texts]),
        ("settings of a training", rows_differ(*tune != all.tune), &[Images, Texts]),
    ];
    let given = settings.iter().filter(|(_, set, kinds)| *set && !kinds.contains(&kind));
    let given: Vec<&str> = given.map(|(name, _, _)| *name).collect();
    if given.is_empty() {
        return Ok(());
    }
    let problem = Problem::new(format_args!("these settings do not apply to {}", kind.unit()));
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
