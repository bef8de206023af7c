//! `engraft fit`

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use engraft::bases::text::TextBody;
use engraft::data::Reading;
use engraft::data::intake::InputKind;
use engraft::data::text::conll::is_tagged;
use engraft::data::text::squad::is_questions;
use engraft::error::{Error, Problem, printable, shown, steers};
use engraft::features::Cache;
use engraft::files::{Made, Staging};
use engraft::fit::{Context, FitEvent, check_settings, find_rate, fit};
use engraft::methods::{AnyBase, usual_settings, with_base};
use engraft::methods::{Budget, Difference, Journal, Measured};
use engraft::progress::Observer;
use engraft::rank::{AUTO_BASE, with_ranked_base};
use engraft::run::{Rendered, save};
use engraft::settings::{self, Differing, Fit, differing, laid_over};
use engraft::targets::Predictions;
use engraft::train::{Curve, RateFinding, tensorboard};

use crate::args::FitArgs;
use crate::commands::summary::{measures_line, summary};
use crate::commands::{cache_of, intake, tell_audit};
use crate::exit::Outcome;
use crate::interruption;
use crate::output::{self, percent};
use crate::terminal::Terminal;

/// Runs the command.
pub fn run(args: &FitArgs, json: bool, terminal: &Terminal) -> anyhow::Result<Outcome> {
    if args.find_lr {
        return find_lr(args, json, terminal);
    }
    let begun = begin(args, &FIT, terminal)?;
    finishing(&begun, &FIT, terminal, || work(&begun, args, json, terminal))
}

/// What `fit` and `adapt`, which begins with one, do otherwise.
pub struct Command<'a> {
    /// Its name.
    pub name: &'a str,
    /// What was typed, as a table of settings.
    pub told: &'a dyn Fn(&Fit, &FitArgs) -> engraft::error::Result<Fit>,
    /// What is usual for a kind of input on a base.
    pub usual: fn(InputKind, &str) -> Fit,
}

/// `fit`.
const FIT: Command<'static> =
    Command { name: "fit", told: &|config, args| laid_over(config, args), usual: usual_settings };

/// Does the work of what was begun; where that fails, says how to go on.
pub fn finishing(
    begun: &Begun,
    command: &Command<'_>,
    terminal: &Terminal,
    work: impl FnOnce() -> anyhow::Result<Outcome>,
) -> anyhow::Result<Outcome> {
    let (run, name) = (begun.out.clone(), command.name.to_owned());
    interruption::on_hard_end(move || Journal::is_beside(&run).then(|| resume_hint(&name, &run)));
    let outcome = work();
    let Err(error) = &outcome else { return outcome };
    if begun.journal.close_if_empty().unwrap_or(true) {
        let left = Journal::beside(&begun.out);
        match error.downcast_ref::<Error>() {
            // Going on would only fail again.
            Some(Error::Training(_) | Error::Data(_)) => {
                terminal.say(&format!("the last good state is kept in {}", shown(&left)));
            }
            _ => terminal.say(&resume_hint(command.name, &begun.out)),
        }
    }
    outcome
}

fn resume_hint(command: &str, out: &Path) -> String {
    format!("`engraft {command} --resume {}` goes on from here", quoted(out))
}

/// An error about data that another task would read says so.
pub fn of_another_task(error: Error, config: &Fit) -> Error {
    let task = match config.task {
        None if is_questions(&config.data) => "qa",
        None if is_tagged(&config.data) => "tags",
        _ => return error,
    };
    match error {
        Error::Data(problem) => Error::Data(problem.hint(format_args!("this looks like data for --task {task}"))),
        other => other,
    }
}

fn work(begun: &Begun, args: &FitArgs, json: bool, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let start = Instant::now();
    let Begun { config, kind, out, force, journal } = begun;
    let cache = cache_of(&args.cache, terminal);
    let intake = intake(config, *kind, cache.as_ref(), terminal).map_err(|error| of_another_task(error, config))?;
    let base = AnyBase::open(config, &intake)?;
    check_settings(config, &base, &intake)?;
    refuse_useless(args, config, *kind, &base)?;
    tell_audit(&intake.audit, terminal);
    let audit_seconds = start.elapsed().as_secs_f64();
    let means = Context { cache: cache.as_ref(), journal, observer: terminal };
    let fitted = fit(config, base, intake, means, audit_seconds, &mut |news| tell(news, terminal))?;
    terminal.check()?;
    let rendered = Rendered::of(&fitted, &command_line(fitted.settings(), *kind, out)?)?;
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

/// Refuses flags that the depth that is asked for does not have: an option is never accepted and ignored. What a file says
/// beside is for other depths.
pub fn refuse_useless(args: &FitArgs, config: &Fit, kind: InputKind, base: &AnyBase) -> engraft::error::Result<()> {
    let given = toml::Table::try_from(&args.tune).unwrap_or_default();
    let given: Vec<String> = given.iter().map(|(flag, value)| format!("--{flag} {}", told(value))).collect();
    // A solved head is the same for every seed: --seeds says nothing wrong of it.
    let flags = [("--budget", args.budget.is_some()), ("--speed", args.speed.is_some())];
    let budget = flags.into_iter().filter(|(_, given)| *given).map(|(flag, _)| flag.to_owned());
    let on_words = matches!(base, AnyBase::Texts(base) if matches!(base.body, TextBody::Words(_)));
    let on_counts = matches!(base, AnyBase::Texts(base) if matches!(base.body, TextBody::TfIdf(_)));
    let (useless, why): (Vec<String>, String) = match config.depth.as_str() {
        _ if matches!(base, AnyBase::None) => return Ok(()),
        // A reader on word vectors is trained by steps, whatever the depth is called.
        "head" | "auto" if on_words && kind.is_of_tokens() => {
            (budget.collect(), "a reader on word vectors leaves nothing to choose".into())
        }
        "head" if config.only.is_none() => {
            (given.into_iter().chain(budget).collect(), "--depth head trains no stage".into())
        }
        "auto" if on_words => (given, "word vectors have no blocks to train".into()),
        "auto" if on_counts => (given, "TF-IDF has no blocks to train".into()),
        "auto" => return Ok(()),
        "contrastive" => (budget.collect(), "--depth contrastive leaves nothing to choose".into()),
        depth => {
            let pairs = given.into_iter().filter(|flag| flag.starts_with("--pairs"));
            (pairs.chain(budget).collect(), format!("--depth {depth} trains on labels, and leaves nothing to choose"))
        }
    };
    if useless.is_empty() {
        return Ok(());
    }
    Err(Error::Usage(
        Problem::new(why).found(useless.join(", ")).hint("leave these flags out, or choose another --depth"),
    ))
}

/// A fit, new or to be gone on with.
pub struct Begun {
    /// The settings.
    pub config: Fit,
    /// What the data is.
    pub kind: InputKind,
    /// The run's folder.
    pub out: PathBuf,
    /// Whether it may replace one that is there.
    pub force: bool,
    /// What is finished of it.
    pub journal: Journal,
}

/// Seconds between two checkpoints where it is not told.
const USUAL_EVERY: f64 = 30.0;

/// Begins anew, or goes on with what was begun.
///
/// # Errors
/// Settings that cannot be, and outputs that cannot be written.
pub fn begin(args: &FitArgs, command: &Command<'_>, terminal: &Terminal) -> anyhow::Result<Begun> {
    let every = checkpoint_interval(args.checkpoint_every.unwrap_or(USUAL_EVERY))?;
    if let Some(out) = &args.resume {
        let (journal, settings) = Journal::resume(out, every)?;
        let config = settings::read::<Fit>(&settings)?;
        of_command(&config, command.name)?;
        claim(&config, out, false, args)?;
        let kind = InputKind::of(&config);
        return Ok(Begun { config, kind, out: out.clone(), force: false, journal });
    }
    let (config, kind) = resolve(args, command, terminal)?;
    let out = args.out.clone().expect("required by the flags' rules");
    claim(&config, &out, args.force, args)?;
    // A probe alone takes no time worth keeping.
    let journal = match config.depth.as_str() {
        "head" if config.only.is_none() && !kind.is_of_tokens() => Journal::none(),
        _ if kind == InputKind::Vectors => Journal::none(),
        _ => {
            let resume = format!("engraft {} --resume {}", command.name, quoted(&out));
            Journal::begin(&out, &toml::to_string(&config)?, every, args.force, &resume)?
        }
    };
    Ok(Begun { config, kind, out, force: args.force, journal })
}

/// Checks before any work that everything a fit writes may be written.
fn claim(config: &Fit, out: &Path, force: bool, args: &FitArgs) -> engraft::error::Result<()> {
    let base = PathBuf::from(&config.base);
    let cache = args.cache.folder.clone().or_else(Cache::default_folder).unwrap_or_default();
    let card = config.card.clone().unwrap_or_default();
    let target = config.adapt.as_ref().map(|adapt| adapt.to.clone()).unwrap_or_default();
    let inputs = [
        ("the data", config.data.as_path()),
        ("the base", &base),
        ("the base's card", &card),
        ("the cache", &cache),
        ("the target", &target),
    ];
    claim_outputs(out, args.tensorboard.as_deref(), force, &inputs)
}

/// As [`claim`], of a run's folder and event files, with inputs of any kind.
fn claim_outputs(
    out: &Path,
    tensorboard: Option<&Path>,
    force: bool,
    inputs: &[(&str, &Path)],
) -> engraft::error::Result<()> {
    Staging::claim(out, Made::Run, force, inputs)?;
    let Some(folder) = tensorboard else { return Ok(()) };
    let real = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    if real(folder).starts_with(real(out)) || real(out).starts_with(real(folder)) {
        let problem = Problem::new("two outputs lie in one another").expected("event files beside the run's folder");
        return Err(Error::Usage(problem.found(shown(folder)).at("--tensorboard")));
    }
    Staging::claim(folder, Made::EventFiles, force, inputs)
}

/// The time between two checkpoints.
///
/// # Errors
/// [`Error::Usage`] for one that is negative or not a number.
pub fn checkpoint_interval(seconds: f64) -> engraft::error::Result<Duration> {
    Duration::try_from_secs_f64(seconds).map_err(|_| {
        let problem = Problem::new("invalid value for --checkpoint-every").expected("0 or more seconds");
        Error::Usage(problem.found(seconds).at("--checkpoint-every"))
    })
}

/// Tells of a fit.
pub fn tell(news: FitEvent<'_>, terminal: &Terminal) {
    match news {
        FitEvent::Probe(measures) => terminal.say(&format!("linear probe, out-of-fold {}", measures_line(measures))),
        FitEvent::Baseline(name, measures) => {
            terminal.say(&format!("{name}, out-of-fold {}", measures_line(measures)));
        }
        FitEvent::Outlook(line) => terminal.say(line),
        FitEvent::Depth(measured, gain) => tell_depth(measured, gain, terminal),
        FitEvent::Chosen(chosen) => tell_choice(&chosen.reason, &chosen.left_out, terminal),
    }
}

/// A depth that was measured.
fn tell_depth(measured: &Measured, gain: &Difference, terminal: &Terminal) {
    let seeds = format!("over {} seed{}", measured.seeds, if measured.seeds == 1 { "" } else { "s" });
    let depth = &measured.depth;
    let score = measured.score();
    terminal.say(&match measured.calibrated.predictions {
        Predictions::Numbers { .. } => format!(
            "{depth}: R² {score:.3} {seeds}, {:+.3} ({:+.3} to {:+.3}) against the probe",
            gain.mean, gain.low, gain.high
        ),
        _ => format!(
            "{depth}: {}{} {seeds}, {:+.1} points ({:+.1} to {:+.1}) against the probe",
            if matches!(measured.calibrated.predictions, Predictions::Classes(_)) { "" } else { "mean F1 " },
            percent(score),
            100.0 * gain.mean,
            100.0 * gain.low,
            100.0 * gain.high
        ),
    });
}

fn tell_choice(reason: &str, left_out: &[String], terminal: &Terminal) {
    terminal.say(&format!("depth: {reason}"));
    left_out.iter().for_each(|note| terminal.say(note));
}

/// Event files for TensorBoard, a folder for each curve.
pub fn save_tensorboard<'a>(
    curves: impl Iterator<Item = (&'a str, &'a Curve)>,
    folder: &Path,
    force: bool,
    terminal: &Terminal,
) -> anyhow::Result<()> {
    let mut curves = curves.peekable();
    if curves.peek().is_none() {
        terminal.say("no event files: a head that is solved has no learning curve");
        return Ok(());
    }
    let staging = Staging::create(folder, Made::EventFiles, force)?;
    for (name, curve) in curves {
        // A name of several parts, as `scratch/fold0`, is one folder: what is in the folder is known by its layout.
        let path = Path::new(&name.replace('/', "-")).join(tensorboard::event_file_name(0.0));
        staging.write(path, &tensorboard::event_file(curve, 0.0))?;
    }
    Ok(staging.commit()?)
}

/// Shows how the loss answers to a rate that grows.
fn find_lr(args: &FitArgs, json: bool, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let (config, kind) = resolve(args, &FIT, terminal)?;
    let cache = cache_of(&args.cache, terminal);
    let intake = intake(&config, kind, cache.as_ref(), terminal)?;
    let means = Context { cache: cache.as_ref(), journal: &Journal::none(), observer: terminal };
    let finding = find_rate(&config, AnyBase::open(&config, &intake)?, &intake, means)?;
    if json {
        output::json(&finding)?;
    } else {
        output::text(&rates(&finding))?;
    }
    Ok(Outcome::Done)
}

/// The curve as a table with bars, and what it says.
fn rates(finding: &RateFinding) -> String {
    let losses = || finding.curve.iter().map(|point| point.loss);
    let (least, most) = (losses().fold(f64::INFINITY, f64::min), losses().fold(0.0, f64::max));
    let mut lines = vec!["rate      loss".to_owned()];
    for point in finding.curve.iter().step_by(2) {
        let length = 48.0 * (point.loss - least) / (most - least).max(1e-12);
        lines.push(format!("{:<8.1e} {:>6.3}  {}", point.lr, point.loss, "#".repeat(length.round() as usize)));
    }
    let rate = |rate: Option<f64>| rate.map_or_else(|| "none".into(), |rate| format!("{rate:.1e}"));
    lines.push(format!(
        "falls fastest at {}; a tenth of the rate with the least loss is {}",
        rate(finding.steepest),
        rate(finding.tenth_of_least)
    ));
    lines.push("a rate between the two is a good --lr".into());
    lines.join("\n") + "\n"
}

/// What is usual, then the configuration file, then flags; and the base that fits the data where none is named.
pub fn resolve(args: &FitArgs, command: &Command<'_>, terminal: &Terminal) -> anyhow::Result<(Fit, InputKind)> {
    let read = |usual: Fit| -> engraft::error::Result<Fit> {
        let mut config = match &args.config {
            Some(path) => settings::read_over(path, &usual)?,
            None => usual,
        };
        if args.depth.is_some() {
            config.only = None;
        }
        (command.told)(&config, args)
    };
    // What is usual depends on what the data is, which a flag or the file may tell.
    let asked = read(Fit::default())?;
    let kind = InputKind::of(&asked);
    let config = read((command.usual)(kind, &asked.base))?;
    of_command(&config, command.name)?;
    // A task that there is not is told before anything is read or made; so is a budget that is not a time.
    Reading::of(&config)?;
    config.budget.parse::<Budget>()?;
    if config.data == PathBuf::new() {
        let problem = Problem::new("no data to fit to").expected("DATA, a folder with one folder of images per class");
        return Err(Error::Usage(problem.hint("engraft fit photos/ --out runs/first")).into());
    }
    let config = match config.base.as_str() {
        AUTO_BASE => with_ranked_base(config, kind, cache_of(&args.cache, terminal).as_ref(), terminal)?,
        _ => config,
    };
    let based = with_base(config.clone(), kind, terminal).map_err(|error| of_another_task(error, &config))?;
    Ok((based, kind))
}

/// Refuses the settings of one command for another.
fn of_command(config: &Fit, command: &str) -> engraft::error::Result<()> {
    let of = if config.adapt.is_some() { "adapt" } else { "fit" };
    if of == command {
        return Ok(());
    }
    let problem = Problem::new(format_args!("these are the settings of `engraft {of}`"));
    let problem = problem.expected(format_args!("settings of `engraft {command}`"));
    Err(Error::Usage(problem.hint(match of {
        "fit" => "`--to` names the target",
        _ => "`engraft adapt --config FILE` takes them",
    })))
}

/// The flags that give this configuration again.
///
/// # Errors
/// [`Error::Usage`] for a path that cannot be written.
pub fn command_line(config: &Fit, kind: InputKind, out: &Path) -> engraft::error::Result<String> {
    let (command, usual) = match config.adapt {
        Some(_) => ("adapt", super::adapt::usual(kind, &config.base)),
        None => ("fit", usual_settings(kind, &config.base)),
    };
    let mut left_out = vec!["data", "base"];
    left_out.extend(config.only.is_some().then_some("depth"));
    let flags = flags_of(config, &usual, &left_out)?;
    Ok(format!("engraft {command} {} --base {} --out {}{flags}", quoted(&config.data), config.base, quoted(out)))
}

/// The flags of what differs from the usual settings, each with a blank before it.
///
/// # Errors
/// [`Error::Usage`] for a path that cannot be written.
pub fn flags_of(config: &Fit, usual: &Fit, left_out: &[&str]) -> engraft::error::Result<String> {
    let mut line = String::new();
    for Differing { flag, value, .. } in differing(config, usual)? {
        match (flag.as_str(), &value) {
            (name, _) if left_out.contains(&name) => (),
            ("ignore-column", toml::Value::Array(columns)) => {
                columns.iter().for_each(|column| line.push_str(&format!(" --{flag} {}", told(column))));
            }
            (_, toml::Value::Boolean(_)) => line.push_str(&format!(" --{flag}")),
            (_, toml::Value::Array(values)) => {
                let values: Vec<String> = values.iter().map(told).collect();
                line.push_str(&format!(" --{flag} {}", values.join(",")));
            }
            (_, value) => line.push_str(&format!(" --{flag} {}", told(value))),
        }
    }
    Ok(line)
}

/// A value as a shell takes it.
fn told(value: &toml::Value) -> String {
    match value {
        toml::Value::String(text) => quoted(Path::new(text)),
        toml::Value::Float(number) => number.to_string(),
        other => other.to_string(),
    }
}

/// A path as a shell takes it.
pub fn quoted(path: &Path) -> String {
    let bytes = path.as_os_str().as_bytes();
    if path.to_str().is_none_or(|text| text.contains(steers)) {
        // As bash and others take it: bytes that would not survive the terminal by their numbers.
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"/._-+=:@, ".contains(&byte);
        let each = |&byte: &u8| if plain(byte) { char::from(byte).to_string() } else { format!("\\x{byte:02x}") };
        return format!("$'{}'", bytes.iter().map(each).collect::<String>());
    }
    let text = printable(path);
    let plain = |c: char| c.is_alphanumeric() || "/._-+=:@,".contains(c);
    if !text.is_empty() && text.chars().all(plain) { text } else { format!("'{}'", text.replace('\'', r"'\''")) }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;
    use crate::args::{Arguments, Command};

    /// Flags of `fit` that are no settings of it.
    const NO_SETTINGS: [&str; 16] = [
        "out",
        "resume",
        "find-lr",
        "tensorboard",
        "checkpoint-every",
        "force",
        "config",
        "cache",
        "no-cache",
        "cache-limit",
        "json",
        "quiet",
        "threads",
        "image-memory",
        "help",
        "version",
    ];
    /// Every other flag, with a value that is not the usual one.
    const EVERY: &str = "--task tags --text a,b --path-column p --label-column l --group-column g --encoding gb18030 --merge-classes --bit-depth 12 \
        --ignore-column c --ignore-column d \
        --labels y.npy --pooling sif --prompt q: --depth half --budget 1h --speed 0.25 --seeds 3 --folds 4 --seed 7 --balanced --max-error 0.1 \
        --interval-level 0.8 --unlike-rate 0.1 --control-budget 0.25 --strict --device cpu --card c.toml --onnx-output o --input-size 9 \
        --resize 8 --interpolation nearest --channel-order bgr --mean 0.5,-0.25 --std 2 --channels 4 --image-size 77 --exact \
        --epochs 3 --batch-size 5 --accumulate 2 --optimiser sgd --lr 0.001 --schedule step --warmup 0.2 \
        --weight-decay 0.5 --label-smoothing 0.1 --clip 2 --ema 0.9 --average 2 --patience 3 --rate-factor 2 --head-rate 3 \
        --unfreeze gradual --start random --batch-norm train --l2-sp 0.1 --feature-distance 0.1 --dropout 0.1 \
        --stochastic-depth 0.1 --mixup 0.1 --cutmix 0.1 --lora 4 --lora-alpha 8 --views 2 --augment none --pairs 9 \
        --max-tokens 99 --stride 9 --max-answer 8 --hidden 7 --layers 2";

    fn settings_of(line: &str) -> Fit {
        let parsed = Arguments::try_parse_from(line.split_whitespace()).unwrap();
        let Command::Fit(args) = parsed.command else { panic!("another command") };
        laid_over(&usual_settings(InputKind::Images, ""), &args).unwrap()
    }

    #[test]
    fn every_flag_is_a_setting_and_gives_it_again() {
        let config = settings_of(&format!("engraft fit photos --base glyphs --out r {EVERY}"));
        let line = command_line(&config, InputKind::Images, Path::new("r")).unwrap();
        assert_eq!(settings_of(&line), config, "{line}");
        // Beside --group-column it is refused.
        let grouped = settings_of(r"engraft fit photos --base glyphs --out r --group-by (p\d+)_");
        let line_of_group = command_line(&grouped, InputKind::Images, Path::new("r")).unwrap();
        assert!(line_of_group.ends_with(r" --group-by '(p\d+)_'"), "{line_of_group}");
        let program = Arguments::command();
        let fit = program.find_subcommand("fit").unwrap();
        for flag in fit.get_arguments().filter_map(clap::Arg::get_long) {
            let told = |line: &str| line.split_whitespace().any(|word| word == format!("--{flag}"));
            let known = NO_SETTINGS.contains(&flag) || ["base", "only", "group-by"].contains(&flag) || told(EVERY);
            assert!(known, "--{flag} is not tried here");
            // The one device there is cannot differ from the usual one.
            assert!(!told(EVERY) || flag == "device" || told(&line), "--{flag} is lost: {line}");
        }
    }

    #[test]
    fn one_stage_takes_the_place_of_a_depth() {
        let config = settings_of("engraft fit photos --base glyphs --out r --only pool");
        let line = command_line(&config, InputKind::Images, Path::new("r")).unwrap();
        assert_eq!(line, "engraft fit photos --base glyphs --out r --only pool");
        let usual = settings_of("engraft fit photos --base glyphs --out r");
        let line = command_line(&usual, InputKind::Images, Path::new("r")).unwrap();
        assert_eq!(line, "engraft fit photos --base glyphs --out r");
    }
}
