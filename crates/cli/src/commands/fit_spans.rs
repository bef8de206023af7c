//! `engraft fit --task qa` and `--task tags`.

use std::path::{Path, PathBuf};
use std::time::Instant;

use engraft::artefact::{QUESTIONS, Rendered, SpanReport, save};
use engraft::backbone::text::{TextBase, TextBody, open_text_base};
use engraft::backbone::{DataKind, Device};
use engraft::config::SpanFit;
use engraft::error::{Error, Problem, Result};
use engraft::evaluate::{AnswerEvaluation, SpanEvaluation};
use engraft::files;
use engraft::inductive::spans::{SpanIntake, SpanSettings, fit_questions, fit_tags};
use engraft::progress::Observer;

use crate::args::FitArgs;
use crate::commands::fit::{claim_outputs, quoted, save_tensorboard};
use crate::commands::summary::{interval, page};
use crate::commands::tell_audit;
use crate::exit::Outcome;
use crate::output;
use crate::span_args::SpanArgs;
use crate::terminal::Terminal;
use crate::tune_args::flags_of;
use engraft::backbone::base_for;

/// The names of the two tasks.
const TASKS: [&str; 2] = ["qa", "tags"];

/// Whether what was typed, or the configuration file, asks for spans.
pub fn is_asked(args: &FitArgs) -> bool {
    let told = args.reading.task.clone().or_else(|| {
        let table = file_table(args.config.as_deref()?).ok()?;
        table.get("task")?.as_str().map(str::to_owned)
    });
    told.is_some_and(|task| TASKS.contains(&task.as_str()))
}

fn file_table(path: &Path) -> Result<toml::Table> {
    let fail = |found: String| {
        let problem = Problem::new("invalid configuration file").found_lines(found).at(path);
        Error::Usage(problem.hint("its names are those of the flags, as `max-tokens = 256`"))
    };
    let bytes = files::read_limited(path, 1 << 20).map_err(|source| fail(source.to_string()))?;
    let text = String::from_utf8(bytes).map_err(|source| fail(source.to_string()))?;
    text.parse().map_err(|source: toml::de::Error| fail(source.to_string()))
}

/// Runs the command.
pub fn run(args: &FitArgs, json: bool, terminal: &Terminal) -> anyhow::Result<Outcome> {
    refuse(args)?;
    let out = args.out.clone().expect("required by the flags' rules");
    let (config, base) = resolve(args, terminal)?;
    let inputs = [("the data", config.data.as_path()), ("the base", Path::new(&config.base))];
    claim_outputs(&out, args.tensorboard.as_deref(), args.force, &inputs)?;
    let start = Instant::now();
    let (rendered, curves) = if config.task == "qa" {
        let intake = SpanIntake::questions(&config)?;
        tell_audit(&intake.audit, terminal);
        let audit = start.elapsed().as_secs_f64();
        let mut fitted = fit_questions(&config, intake, base, terminal, &mut |place, measured| {
            terminal.say(&format!("{place}: {}", answers_line(&measured.evaluation)));
        })?;
        fitted.seconds.audit = audit;
        fitted.seconds.total += audit;
        (Rendered::of_questions(&fitted, &command_line(&config, &out))?, fitted.driven.curves)
    } else {
        let intake = SpanIntake::tagged(&config)?;
        tell_audit(&intake.audit, terminal);
        let audit = start.elapsed().as_secs_f64();
        let mut fitted = fit_tags(&config, intake, base, terminal, &mut |place, measured| {
            terminal.say(&format!("{place}: {}", spans_line(&measured.evaluation)));
        })?;
        fitted.seconds.audit = audit;
        fitted.seconds.total += audit;
        (Rendered::of_tags(&fitted, &command_line(&config, &out))?, fitted.driven.curves)
    };
    terminal.check()?;
    save(&rendered, &out, args.force, &terminal.log())?;
    if let Some(folder) = &args.tensorboard {
        let curves = curves.iter().map(|(name, curve)| (name.as_str(), curve));
        save_tensorboard(curves, folder, args.force, terminal)?;
    }
    if json {
        output::json(&rendered.report)?;
    } else {
        let time = format!("time              {:.1} s\n", rendered.report.seconds.total);
        output::text(&(summary(&rendered.report) + &time + &page(&out.join("report.html"))))?;
    }
    Ok(Outcome::Done)
}

/// Refuses flags that mean nothing here.
fn refuse(args: &FitArgs) -> Result<()> {
    args.about.refuse("answers and tags")?;
    let given = [
        ("--resume", args.resume.is_some()),
        ("--checkpoint-every", args.checkpoint_every.is_some()),
        ("--pairs", args.tune.pairs.is_some()),
        ("--find-lr", args.find_lr),
        ("--only", args.only.is_some()),
        ("--budget", args.budget.is_some()),
        ("--seeds", args.seeds.is_some()),
        ("--balanced", args.balanced),
        ("--max-error", args.max_error.is_some()),
        ("--interval-level", args.interval_level.is_some()),
        ("--text", args.reading.text.is_some()),
        ("--pooling", args.pooling.is_some()),
        ("--path-column", args.reading.path_column.is_some()),
        ("--label-column", args.reading.label_column.is_some()),
    ];
    match given.into_iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((flag, _)) => {
            let problem = Problem::new(format_args!("{flag} has no effect where answers or tags are learnt"));
            Err(Error::Usage(problem.expected("it left out")))
        }
    }
}

/// Defaults, as the base has them, then the configuration file, then flags; and the base.
fn resolve(args: &FitArgs, observer: &dyn Observer) -> Result<(SpanFit, TextBase)> {
    let file = args.config.as_deref().map(file_table).transpose()?;
    let said = file.as_ref().and_then(|table| table.get("base")?.as_str());
    let name = base_for(args.base.as_deref().or(said), || Ok(DataKind::Texts), observer)?;
    let base = open_text_base(&name, &Device::flex())?;
    base.remarks.iter().for_each(|remark| observer.say(remark));
    let on_words = matches!(base.body, TextBody::Words(_));
    let mut config = if on_words { SpanFit::on_words() } else { SpanFit::default() };
    if let (Some(file), Some(path)) = (file, &args.config) {
        config = laid_over(&config, file, path)?;
    }
    config.base = name;
    if let Some(data) = &args.data {
        config.data.clone_from(data);
    }
    if let Some(task) = &args.reading.task {
        config.task.clone_from(task);
    }
    if let Some(depth) = &args.depth {
        config.depth.clone_from(depth);
    }
    config.folds = args.folds.unwrap_or(config.folds);
    config.seed = args.seed.unwrap_or(config.seed);
    config.control_budget = args.control_budget.unwrap_or(config.control_budget);
    config.strict |= args.strict;
    args.spans.lay_over(&mut config);
    args.tune.lay_over(&mut config.tune);
    if config.data == PathBuf::new() {
        let problem = Problem::new("no data to fit to").expected("DATA, as questions.json or tags.conll");
        return Err(Error::Usage(problem.hint("engraft fit questions.json --task qa --base ENCODER --out runs/first")));
    }
    refuse_of_base(&args.spans, &config.task, on_words)?;
    SpanSettings::of(&config, on_words)?;
    if let TextBody::Encoder(sentence) = &base.body {
        let longest = sentence.config.longest();
        if args.spans.max_tokens.is_some_and(|tokens| tokens > longest) {
            observer
                .say(&format!("--max-tokens {}: the base has places for {longest}, and sees these", config.max_tokens));
        }
    }
    Ok((config, base))
}

/// Refuses flags that mean nothing to this task on this base.
fn refuse_of_base(flags: &SpanArgs, task: &str, on_words: bool) -> Result<()> {
    let on_encoder = !on_words;
    let given = [
        ("--max-answer", flags.max_answer, task == "tags", "where tags are learnt"),
        ("--stride", flags.stride, task == "tags", "where tags are learnt"),
        ("--hidden", flags.hidden, on_encoder, "on an encoder"),
        ("--layers", flags.layers, on_encoder, "on an encoder"),
        ("--max-tokens", flags.max_tokens, on_words, "on word vectors"),
        ("--stride", flags.stride, on_words, "on word vectors"),
    ];
    match given.into_iter().find(|(_, flag, useless, _)| *useless && flag.is_some()) {
        None => Ok(()),
        Some((flag, _, _, place)) => {
            let problem = Problem::new(format_args!("{flag} has no effect {place}"));
            Err(Error::Usage(problem.expected("it left out")))
        }
    }
}

/// Settings with those of a file over them.
fn laid_over(settings: &SpanFit, file: toml::Table, path: &Path) -> Result<SpanFit> {
    let fail = |found: String| Error::Usage(Problem::new("invalid configuration file").found_lines(found).at(path));
    let mut whole = toml::Table::try_from(settings).map_err(|source| fail(source.to_string()))?;
    for (name, value) in file {
        match (whole.get_mut(&name), value) {
            (Some(toml::Value::Table(inner)), toml::Value::Table(over)) => inner.extend(over),
            (_, value) => {
                whole.insert(name, value);
            }
        }
    }
    whole.try_into().map_err(|source: toml::de::Error| fail(source.to_string()))
}

/// The flags that give this configuration again.
fn command_line(config: &SpanFit, out: &Path) -> String {
    let on_words = SpanFit::on_words();
    // What is usual on word vectors shows in the rate.
    let usual = if config.max_answer == on_words.max_answer { on_words } else { SpanFit::default() };
    let base = quoted(Path::new(&config.base));
    let mut line =
        format!("engraft fit {} --task {} --base {base} --out {}", quoted(&config.data), config.task, quoted(out));
    let mut flag = |differs: bool, text: String| {
        if differs {
            line.push_str(&format!(" {text}"));
        }
    };
    flag(config.depth != usual.depth, format!("--depth {}", config.depth));
    flag(config.folds != usual.folds, format!("--folds {}", config.folds));
    flag(config.seed != usual.seed, format!("--seed {}", config.seed));
    flag(config.control_budget != usual.control_budget, format!("--control-budget {}", config.control_budget));
    SpanArgs::flags_of(config, &usual).into_iter().for_each(|text| flag(true, text));
    flags_of(&config.tune, &usual.tune).into_iter().for_each(|text| flag(true, text));
    flag(config.strict, "--strict".into());
    line
}

/// The numbers of a report in a few lines.
pub fn summary(report: &SpanReport) -> String {
    let unit = if report.task == QUESTIONS { "questions" } else { "sentences" };
    let mut lines = Vec::new();
    for held in &report.held_out {
        let place = format!("on {}", held.split);
        lines.extend(held.answers.as_ref().map(|a| format!("{place:<17} {} on {} {unit}", answers_line(a), a.f1.n)));
        lines.extend(held.spans.as_ref().map(|s| format!("{place:<17} {} on {} {unit}", spans_line(s), s.span_f1.n)));
    }
    lines
        .extend(report.answers.as_ref().map(|a| format!("out-of-fold       {} on {} {unit}", answers_line(a), a.f1.n)));
    lines.extend(
        report.spans.as_ref().map(|s| format!("out-of-fold       {} on {} {unit}", spans_line(s), s.span_f1.n)),
    );
    lines.push(format!("depth             {}", report.choice.depth));
    let controls = &report.controls;
    let named =
        [("from scratch", &controls.scratch), ("linear probe", &controls.probe), ("no network", &controls.baseline)];
    for (name, control) in named {
        if let Some(control) = control {
            let [difference, low, high] =
                [control.paired.difference, control.paired.low, control.paired.high].map(|x| 100.0 * x);
            lines.push(format!(
                "{name:<17} F1 {} on {}: the transfer is {difference:+.1} points better ({low:+.1} to {high:+.1})",
                interval(&control.f1),
                controls.ground
            ));
        }
    }
    lines.push(format!("verdict           {}", report.verdict));
    lines.join("\n") + "\n"
}

fn answers_line(answers: &AnswerEvaluation) -> String {
    format!("F1 {}, exact match {}", interval(&answers.f1), interval(&answers.em))
}

fn spans_line(spans: &SpanEvaluation) -> String {
    format!("span F1 {}, macro-F1 {}", interval(&spans.span_f1), interval(&spans.macro_f1))
}
