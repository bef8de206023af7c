//! `engraft fit`

use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use engraft::artefact::{Rendered, save};
use engraft::backbone::text::TextBody;
use engraft::config::{self, Device, Fit, Tune};
use engraft::data::Reading;
use engraft::data::intake::InputKind;
use engraft::data::text::conll::is_tagged;
use engraft::data::text::squad::is_questions;
use engraft::error::{Error, Problem, printable, shown, steers};
use engraft::features::Cache;
use engraft::files::{Made, Staging};
use engraft::inductive::tuning::{Budget, Difference, Journal, Measured};
use engraft::inductive::{AnyBase, Context, FitEvent, check_settings, find_rate, fit, usual_settings, with_base};
use engraft::progress::Observer;
use engraft::targets::Predictions;
use engraft::train::{Curve, RateFinding, tensorboard};

use crate::args::{DeviceArg, FitArgs};
use crate::commands::summary::{measures_line, summary};
use crate::commands::{cache_of, intake, tell_audit};
use crate::exit::Outcome;
use crate::interruption;
use crate::output::{self, percent};
use crate::span_args::SpanArgs;
use crate::terminal::Terminal;
use crate::tune_args::flags_of;

/// Runs the command.
pub fn run(args: &FitArgs, json: bool, terminal: &Terminal) -> anyhow::Result<Outcome> {
    if args.find_lr {
        return find_lr(args, json, terminal);
    }
    let begun = begin(args, terminal)?;
    let run = begun.out.clone();
    interruption::on_hard_end(move || Journal::is_beside(&run).then(|| resume_hint(&run)));
    let outcome = work(&begun, args, json, terminal);
    let Err(error) = &outcome else { return outcome };
    if begun.journal.close_if_empty().unwrap_or(true) {
        let left = Journal::beside(&begun.out);
        match error.downcast_ref::<Error>() {
            // Going on would only fail again.
            Some(Error::Training(_) | Error::Data(_)) => {
                terminal.say(&format!("the last good state is kept in {}", shown(&left)));
            }
            _ => terminal.say(&resume_hint(&begun.out)),
        }
    }
    outcome
}

fn resume_hint(out: &Path) -> String {
    format!("`engraft fit --resume {}` goes on from here", quoted(out))
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
    let rendered = Rendered::of(&fitted, &command_line(config, *kind, out))?;
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
fn refuse_useless(args: &FitArgs, config: &Fit, kind: InputKind, base: &AnyBase) -> engraft::error::Result<()> {
    let mut given = Tune::default();
    args.tune.lay_over(&mut given);
    let given = flags_of(&given, &Tune::default());
    // A solved head is the same for every seed: --seeds says nothing wrong of it.
    let budget = args.budget.is_some().then(|| "--budget".to_owned());
    let on_words = matches!(base, AnyBase::Texts(base) if matches!(base.body, TextBody::Words(_)));
    let (useless, why): (Vec<String>, String) = match config.depth.as_str() {
        _ if matches!(base, AnyBase::None) => return Ok(()),
        // A reader on word vectors is trained by steps, whatever the depth is called.
        "head" | "auto" if on_words && kind.is_of_tokens() => {
            (budget.into_iter().collect(), "a reader on word vectors leaves nothing to choose".into())
        }
        "head" if config.only.is_none() => {
            (given.into_iter().chain(budget).collect(), "--depth head trains no stage".into())
        }
        "auto" if on_words => (given, "word vectors have no blocks to train".into()),
        "auto" => return Ok(()),
        "contrastive" => (budget.into_iter().collect(), "--depth contrastive leaves nothing to choose".into()),
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

fn begin(args: &FitArgs, terminal: &Terminal) -> anyhow::Result<Begun> {
    let every = checkpoint_interval(args.checkpoint_every.unwrap_or(USUAL_EVERY))?;
    if let Some(out) = &args.resume {
        let (journal, settings) = Journal::resume(out, every)?;
        let config = config::read::<Fit>(&settings)?;
        claim(&config, out, false, args)?;
        let kind = InputKind::of(&config);
        return Ok(Begun { config, kind, out: out.clone(), force: false, journal });
    }
    let (config, kind) = resolve(args, terminal)?;
    let out = args.out.clone().expect("required by the flags' rules");
    claim(&config, &out, args.force, args)?;
    // A probe alone takes no time worth keeping.
    let journal = match config.depth.as_str() {
        "head" if config.only.is_none() && !kind.is_of_tokens() => Journal::none(),
        _ if kind == InputKind::Vectors => Journal::none(),
        _ => {
            let resume = format!("engraft fit --resume {}", quoted(&out));
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
    let inputs =
        [("the data", config.data.as_path()), ("the base", &base), ("the base's card", &card), ("the cache", &cache)];
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

fn tell(news: FitEvent<'_>, terminal: &Terminal) {
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
fn save_tensorboard<'a>(
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
    let (config, kind) = resolve(args, terminal)?;
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

/// Defaults, then the configuration file, then flags; and the base that fits the data where none is named.
fn resolve(args: &FitArgs, terminal: &Terminal) -> anyhow::Result<(Fit, InputKind)> {
    let mut config = match &args.config {
        Some(path) => config::read::<Fit>(path)?,
        None => Fit::default(),
    };
    // What is usual depends on what the data is, which a flag or the file may tell.
    let mut asked = config.clone();
    args.reading.lay_over(&mut asked);
    asked.data = args.data.clone().unwrap_or(asked.data);
    asked.base = args.base.clone().unwrap_or(asked.base);
    let kind = InputKind::of(&asked);
    let usual = usual_settings(kind, &asked.base);
    config = match &args.config {
        Some(path) => config::read_over(path, &usual)?,
        None => usual,
    };
    fn set<T>(field: &mut T, flag: Option<T>) {
        if let Some(value) = flag {
            *field = value;
        }
    }
    set(&mut config.data, args.data.clone());
    set(&mut config.base, args.base.clone());
    if args.depth.is_some() {
        config.only = None;
    }
    set(&mut config.depth, args.depth.clone());
    if args.only.is_some() {
        config.only.clone_from(&args.only);
    }
    set(&mut config.budget, args.budget.clone());
    set(&mut config.seeds, args.seeds);
    args.tune.lay_over(&mut config.tune);
    set(&mut config.folds, args.folds);
    set(&mut config.seed, args.seed);
    set(&mut config.control_budget, args.control_budget);
    set(&mut config.device, args.device.map(|DeviceArg::Cpu| Device::Cpu));
    if args.about.card.is_some() {
        config.card.clone_from(&args.about.card);
    }
    if args.about.onnx_output.is_some() {
        config.onnx_output.clone_from(&args.about.onnx_output);
    }
    if args.about.channels.is_some() {
        config.channels = args.about.channels;
    }
    if args.about.image_size.is_some() {
        config.image_size = args.about.image_size;
    }
    args.reading.lay_over(&mut config);
    args.spans.lay_over(&mut config);
    if args.pooling.is_some() {
        config.pooling.clone_from(&args.pooling);
    }
    // A task that there is not is told before anything is read or made; so is a budget that is not a time.
    Reading::of(&config)?;
    config.budget.parse::<Budget>()?;
    config.max_error = args.max_error.or(config.max_error);
    config.interval_level = args.interval_level.or(config.interval_level);
    let said = args.about.input();
    if !said.is_empty() {
        config.input = said;
    }
    config.exact |= args.about.exact;
    config.balanced |= args.balanced;
    config.strict |= args.strict;
    if config.data == PathBuf::new() {
        let problem = Problem::new("no data to fit to").expected("DATA, a folder with one folder of images per class");
        return Err(Error::Usage(problem.hint("engraft fit photos/ --out runs/first")).into());
    }
    let based = with_base(config.clone(), kind, terminal).map_err(|error| of_another_task(error, &config))?;
    Ok((based, kind))
}

/// The flags that give this configuration again.
pub fn command_line(config: &Fit, kind: InputKind, out: &Path) -> String {
    let default = usual_settings(kind, &config.base);
    let mut line = format!("engraft fit {} --base {} --out {}", quoted(&config.data), config.base, quoted(out));
    let mut flag = |differs: bool, text: String| {
        if differs {
            line.push_str(&format!(" {text}"));
        }
    };
    for (name, value) in [
        ("text", &config.text),
        ("pooling", &config.pooling),
        ("task", &config.task),
        ("path-column", &config.path_column),
        ("label-column", &config.label_column),
    ] {
        if let Some(value) = value {
            flag(true, format!("--{name} {}", quoted(Path::new(value))));
        }
    }
    for column in &config.ignore_columns {
        flag(true, format!("--ignore-column {}", quoted(Path::new(column))));
    }
    for (name, file) in [("labels", &config.labels), ("card", &config.card)] {
        if let Some(file) = file {
            flag(true, format!("--{name} {}", quoted(file)));
        }
    }
    if let Some(output) = &config.onnx_output {
        flag(true, format!("--onnx-output {}", quoted(Path::new(output))));
    }
    let input = &config.input;
    let list = |values: &[f64]| values.iter().map(f64::to_string).collect::<Vec<_>>().join(",");
    for (name, value) in [
        ("input-size", input.size.map(|size| size.to_string())),
        ("resize", input.shortest_side.map(|side| side.to_string())),
        ("interpolation", input.interpolation.clone()),
        ("channel-order", input.channel_order.clone()),
        ("mean", input.mean.as_deref().map(list)),
        ("std", input.std.as_deref().map(list)),
    ] {
        flag(value.is_some(), format!("--{name} {}", value.unwrap_or_default()));
    }
    for (name, value) in [("channels", config.channels), ("image-size", config.image_size)] {
        flag(value.is_some(), format!("--{name} {}", value.unwrap_or_default()));
    }
    flag(config.folds != default.folds, format!("--folds {}", config.folds));
    flag(config.seed != default.seed, format!("--seed {}", config.seed));
    flag(config.balanced, "--balanced".into());
    for (name, value) in [("max-error", config.max_error), ("interval-level", config.interval_level)] {
        flag(value.is_some(), format!("--{name} {}", value.unwrap_or_default()));
    }
    flag(config.control_budget != default.control_budget, format!("--control-budget {}", config.control_budget));
    flag(config.only.is_none() && config.depth != default.depth, format!("--depth {}", config.depth));
    if let Some(stage) = &config.only {
        flag(true, format!("--only {stage}"));
    }
    flag(config.budget != default.budget, format!("--budget {}", config.budget));
    flag(config.seeds != default.seeds, format!("--seeds {}", config.seeds));
    for text in flags_of(&config.tune, &default.tune) {
        flag(true, text);
    }
    SpanArgs::flags_of(config).into_iter().for_each(|text| flag(true, text));
    flag(config.exact, "--exact".into());
    flag(config.strict, "--strict".into());
    line
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
