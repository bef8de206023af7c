//! `engraft adapt`

use std::path::{Path, PathBuf};
use std::time::Instant;

use engraft::adapt::{Adapted, Questions, adapt};
use engraft::data::inspect::NoStore;
use engraft::data::intake::{InputKind, Intake};
use engraft::data::{SourceForm, open_target};
use engraft::error::{Error, Problem, shown};
use engraft::files::{self, Made, Staging};
use engraft::fit::{Context, check_settings};
use engraft::methods::{AnyBase, Journal, usual_settings};
use engraft::progress::Observer;
use engraft::run::{Rendered, adapt_run, save};
use engraft::settings::{self, Adapt, Fit, differing, laid_over};

use crate::args::{AdaptArgs, FitArgs};
use crate::commands::fit::{
    Begun, Command, begin, command_line, finishing, flags_of, of_another_task, quoted, refuse_useless, resolve,
    save_tensorboard, tell,
};
use crate::commands::summary::summary;
use crate::commands::{cache_of, intake, tell_audit};
use crate::exit::Outcome;
use crate::output;
use crate::terminal::Terminal;

/// What a run's folder has.
const RUN: &str = "model.json";
/// What the beginning of a file of a check looks like.
const CHECK: &[u8] = b"id,label,example,content";

/// Runs the command.
pub fn run(args: &AdaptArgs, json: bool, terminal: &Terminal) -> anyhow::Result<Outcome> {
    if args.fit.find_lr {
        let problem = Problem::new("a learning rate is searched for by `engraft fit --find-lr`").found("--find-lr");
        return Err(Error::Usage(problem).into());
    }
    let told = |config: &Fit, _: &FitArgs| {
        let mut config = laid_over(config, args)?;
        // Laid over nothing, an empty table is one.
        config.adapt = config.adapt.filter(|adapt| *adapt != Adapt::default());
        Ok(config)
    };
    let command = Command { name: "adapt", told: &told, usual };
    if let Some(run) = args.fit.data.as_deref().filter(|source| source.join(RUN).is_file()) {
        return source_free(run, args, json, terminal);
    }
    match (args.adapt.check, &args.fit.resume) {
        (Some(count), resumed) => check(count, args, &command, resumed.as_deref(), terminal),
        (None, Some(run)) if !Journal::is_beside(run) => {
            let begun = again(run, args)?;
            finishing(&begun, &command, terminal, || work(&begun, &args.fit, json, terminal))
        }
        _ => {
            let begun = begin(&args.fit, &command, terminal)?;
            finishing(&begun, &command, terminal, || work(&begun, &args.fit, json, terminal))
        }
    }
}

/// Adapts a run without its data.
fn source_free(run: &Path, args: &AdaptArgs, json: bool, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let config = match &args.fit.config {
        Some(path) => settings::read_over(path, &Fit::default())?,
        None => Fit::default(),
    };
    let mut config: Fit = laid_over(&config, args)?;
    let asked = config.adapt.take().unwrap_or_default();
    let given: Vec<String> = differing(&config, &Fit::default())?
        .into_iter()
        .filter(|setting| setting.flag != "data")
        .map(|setting| format!("--{}", setting.flag))
        .collect();
    if !given.is_empty() {
        let problem = Problem::new("a run that is adapted keeps its settings").found(given.join(", ")).at(run);
        return Err(
            Error::Usage(problem.hint("leave these flags out, or name the source's data in place of the run")).into()
        );
    }
    let out = args.fit.out.clone().expect("required by the flags' rules");
    let force = args.fit.force;
    let inputs = [("the run", run), ("the target", asked.to.as_path())];
    match args.adapt.check {
        Some(_) => files::claim_file(&out, force, &inputs, is_check)?,
        None => Staging::claim(&out, Made::Run, force, &inputs)?,
    }
    let cache = cache_of(&args.fit.cache, terminal);
    let adapting = Fit { adapt: Some(asked.clone()), ..Fit::default() };
    let flags = flags_of(&adapting, &Fit::default(), &["run"])?;
    let line = format!("engraft adapt {} --out {}{flags}", quoted(run), quoted(&out));
    let adapted = adapt_run(run, &asked, &NoStore, cache.as_ref(), terminal, &line)?;
    if let Some(count) = args.adapt.check {
        return write_check(&adapted.questions, count, &out, force, terminal);
    }
    save(&adapted.rendered, &out, force, &terminal.log())?;
    if json {
        output::json(&adapted.rendered.report)?;
    } else {
        output::text(&summary(&adapted.rendered.report, &out.join("report.html")))?;
    }
    Ok(Outcome::Done)
}

/// The settings that are usual for an adaptation: the base stays as it is.
pub fn usual(kind: InputKind, base: &str) -> Fit {
    Fit { depth: "head".into(), ..usual_settings(kind, base) }
}

/// The settings of a finished run.
fn settings_of(run: &Path) -> anyhow::Result<(Fit, InputKind)> {
    let config = settings::read::<Fit>(&run.join("run.toml"))?;
    if config.adapt.is_none() {
        let problem = Problem::new("the run was not adapted to a target").expected("a run of `engraft adapt`");
        return Err(Error::Usage(problem.at(run)).into());
    }
    let kind = InputKind::of(&config);
    Ok((config, kind))
}

/// A finished run that labels of a check are to decide about: it is made again with them, and takes its own place.
fn again(run: &Path, args: &AdaptArgs) -> anyhow::Result<Begun> {
    let Some(checked) = &args.adapt.checked else {
        let problem = Problem::new("there is nothing to go on with: the run is finished").at(run);
        let hint = "--checked FILE decides about it by labels of a check; --check N --out FILE asks for some";
        return Err(Error::Usage(problem.hint(hint)).into());
    };
    let (mut config, kind) = settings_of(run)?;
    let adapt = config.adapt.get_or_insert_with(Adapt::default);
    adapt.checked = Some(checked.clone());
    Ok(Begun { config, kind, out: run.to_owned(), force: true, journal: Journal::none() })
}

/// Writes the examples of a check, and no run.
fn check(
    count: u32,
    args: &AdaptArgs,
    command: &Command<'_>,
    resumed: Option<&Path>,
    terminal: &Terminal,
) -> anyhow::Result<Outcome> {
    let out: PathBuf = args.fit.out.clone().ok_or_else(|| {
        Error::Usage(Problem::new("no file for the examples to be labelled").expected("--out FILE.csv").at("--check"))
    })?;
    let (config, kind) = match resumed {
        Some(run) => settings_of(run)?,
        None => resolve(&args.fit, command, terminal)?,
    };
    let target = config.adapt.as_ref().map(|adapt| adapt.to.clone()).unwrap_or_default();
    let inputs = [("the data", config.data.as_path()), ("the target", target.as_path())];
    files::claim_file(&out, args.fit.force, &inputs, is_check)?;
    let begun = Begun { config, kind, out: out.clone(), force: args.fit.force, journal: Journal::none() };
    let adapted = adapted(&begun, &args.fit, terminal)?;
    write_check(&adapted.questions, count, &out, args.fit.force, terminal)
}

/// Whether a file is one of a check.
fn is_check(path: &Path) -> bool {
    files::begins_with(path, CHECK)
}

fn write_check(
    questions: &Questions,
    count: u32,
    out: &Path,
    force: bool,
    terminal: &Terminal,
) -> anyhow::Result<Outcome> {
    let (rows, table) = questions.csv(count as usize)?;
    files::write_output(out, &table, force)?;
    terminal.say(&format!(
        "{rows} examples to be labelled are in {}: write a class into the column `label`, then give the file to --checked",
        shown(out)
    ));
    Ok(Outcome::Done)
}

fn work(begun: &Begun, args: &FitArgs, json: bool, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let adapted = adapted(begun, args, terminal)?;
    terminal.check()?;
    let Begun { kind, out, force, journal, .. } = begun;
    let fitted = &adapted.fitted;
    let rendered = Rendered::of_adapted(&adapted, &command_line(fitted.settings(), *kind, out)?)?;
    save(&rendered, out, *force, &terminal.log())?;
    journal.close()?;
    if let Some(folder) = &args.tensorboard {
        save_tensorboard(fitted.tuning_curves(), folder, *force, terminal)?;
    }
    if json {
        output::json(&rendered.report)?;
    } else {
        output::text(&summary(&rendered.report, &out.join("report.html")))?;
    }
    Ok(Outcome::Done)
}

fn adapted(begun: &Begun, args: &FitArgs, terminal: &Terminal) -> anyhow::Result<Adapted> {
    let start = Instant::now();
    let Begun { config, kind, journal, .. } = begun;
    let cache = cache_of(&args.cache, terminal);
    let source: Intake =
        intake(config, *kind, cache.as_ref(), terminal).map_err(|error| of_another_task(error, config))?;
    let base = AnyBase::open(config, &source)?;
    check_settings(config, &base, &source)?;
    refuse_useless(args, config, *kind, &base)?;
    tell_audit(&source.audit, terminal);
    let asked = config.adapt.clone().unwrap_or_default();
    let target = open_target(config, &asked, &SourceForm::of(&source)?, &NoStore, terminal)?;
    let audit_seconds = start.elapsed().as_secs_f64();
    let means = Context { cache: cache.as_ref(), journal, observer: terminal };
    Ok(adapt(config, base, source, target, means, audit_seconds, &mut |news| tell(news, terminal))?)
}
