//! `engraft predict`

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use engraft::artefact::{Model, RunModel, TargetAnswer, TargetModel, TextModel, is_span_run};
use engraft::backbone::Device;
use engraft::error::{Error, Problem, Result, from_printable, printable};
use engraft::inductive::{Answer, OwnClasses};
use engraft::progress::Observer;
use rayon::prelude::*;
use serde_json::json;

use crate::args::{Format, PredictArgs};
use crate::commands::lines::{in_batches, lines_of_stdin};
use crate::commands::predict_spans;
use crate::commands::predict_target::TargetColumns;
use crate::commands::predict_texts;
use crate::exit::Outcome;
use crate::output;
use crate::terminal::Terminal;

/// Classes that are printed where the number is not told.
const TOP: usize = 3;
/// Pictures that are answered between two writes.
const BATCH: usize = 64;

/// Runs the command.
pub fn run(args: &PredictArgs, terminal: &Terminal) -> anyhow::Result<Outcome> {
    if args.base.is_none() && args.inputs.first().is_some_and(|run| is_span_run(run)) {
        return predict_spans::run(args, terminal);
    }
    if let Some(context) = &args.context {
        let problem = Problem::new("--context is for runs that answer questions, and this one does not").at(context);
        return Err(Error::Usage(problem.expected("no --context")).into());
    }
    let (model, given) = match Answerer::open(args, terminal)? {
        (Answerer::Texts(model), given) => return predict_texts::run(&model, given, args, terminal),
        other => other,
    };
    for (flag, given) in [("--text", args.text.is_some()), ("--explain", args.explain)] {
        if given {
            let problem = Problem::new(format_args!("{flag} is for runs of texts, and this one answers pictures"));
            return Err(Error::Usage(problem.expected(format_args!("no {flag}"))).into());
        }
    }
    let mut writer = Answers::new(args, &model)?;
    let failed = in_batches(inputs(given, terminal), BATCH, |batch| answer(&model, batch, &mut writer, terminal))?;
    if failed > 0 {
        terminal.say(&format!("{failed} of the inputs could not be answered: see the column `error`"));
        return Ok(Outcome::BadData);
    }
    Ok(Outcome::Done)
}

/// What answers: a run, of one class or of numbers or sets of labels, or a base by its own classes.
enum Answerer {
    Run(Box<Model>),
    Target(Box<TargetModel>),
    Base(Box<OwnClasses>),
    Texts(Box<TextModel>),
}

impl Answerer {
    /// What the arguments name, and the inputs among them.
    fn open<'a>(args: &'a PredictArgs, terminal: &Terminal) -> anyhow::Result<(Self, &'a [PathBuf])> {
        let device = Device::flex();
        if let Some(base) = &args.base {
            let own = OwnClasses::open(&args.about.of(base), &device)?;
            for remark in own.remarks() {
                terminal.say(remark);
            }
            return Ok((Answerer::Base(Box::new(own)), &args.inputs));
        }
        args.about.refuse("a run, which has its base in it")?;
        match args.inputs.split_first() {
            Some((run, inputs)) if !inputs.is_empty() => Ok(match RunModel::open(run, &device)? {
                RunModel::Classes(model) => (Answerer::Run(model), inputs),
                RunModel::Targets(model) => (Answerer::Target(model), inputs),
                RunModel::Texts(model) => (Answerer::Texts(model), inputs),
            }),
            _ => {
                let problem = Problem::new("nothing to answer").expected("RUN and pictures, or --base and pictures");
                Err(Error::Usage(problem.hint("engraft predict runs/first photo.jpg")).into())
            }
        }
    }

    fn classes(&self) -> &[String] {
        match self {
            Answerer::Run(model) => &model.file.classes,
            Answerer::Target(model) => &model.file.classes,
            Answerer::Base(own) => own.classes(),
            Answerer::Texts(model) => &model.file.classes,
        }
    }

    fn answer(&self, path: &Path) -> Result<Answered> {
        match self {
            Answerer::Run(model) => model.predict(path).map(Answered::Class),
            Answerer::Target(model) => model.predict(path).map(Answered::Target),
            Answerer::Base(own) => own.answer(path).map(Answered::Class),
            Answerer::Texts(_) => unreachable!("texts are answered by `predict_texts`"),
        }
    }
}

/// An answer, whatever is answered.
enum Answered {
    Class(Answer),
    Target(TargetAnswer),
}

/// One thing to answer, or why it cannot be found.
enum Input {
    Picture(PathBuf),
    Failed(PathBuf, Error),
}

/// Files, the pictures of folders, and the lines of stdin for `-`; nothing where stdin pauses.
fn inputs<'a>(given: &'a [PathBuf], terminal: &'a Terminal) -> impl Iterator<Item = Option<Input>> + 'a {
    given.iter().flat_map(move |path| -> Box<dyn Iterator<Item = Option<Input>> + 'a> {
        if path.as_os_str() != "-" {
            return Box::new(expand(path).into_iter().map(Some));
        }
        match lines_of_stdin(terminal) {
            Ok(lines) => Box::new(lines.flat_map(|line| match line {
                None => vec![None],
                Some((_, Ok(line))) => expand(&from_printable(&line)).into_iter().map(Some).collect(),
                Some((number, Err(error))) => {
                    vec![Some(Input::Failed(PathBuf::from(format!("line {number}")), error))]
                }
            })),
            Err(error) => Box::new(std::iter::once(Some(Input::Failed(path.clone(), error)))),
        }
    })
}

fn expand(path: &Path) -> Vec<Input> {
    match engraft::data::images(path) {
        Ok(pictures) => pictures.into_iter().map(Input::Picture).collect(),
        Err(error) => vec![Input::Failed(path.to_owned(), error)],
    }
}

/// Answers a batch in parallel and writes it in order; how many failed.
fn answer(
    model: &Answerer,
    batch: &mut Vec<Input>,
    writer: &mut Answers,
    terminal: &Terminal,
) -> anyhow::Result<usize> {
    terminal.check()?;
    let answers: Vec<(PathBuf, Result<Answered>)> = batch
        .par_drain(..)
        .map(|input| match input {
            Input::Picture(path) => {
                let answer = terminal.check().and_then(|()| model.answer(&path));
                (path, answer)
            }
            Input::Failed(path, error) => (path, Err(error)),
        })
        .collect();
    let mut failed = 0;
    for (path, answer) in answers {
        match answer {
            Err(Error::Interrupted) => return Err(Error::Interrupted.into()),
            Err(error @ Error::Weights(_)) => return Err(error.into()),
            Err(error) => {
                failed += 1;
                writer.failure(&path, &error)?;
            }
            Ok(Answered::Class(answer)) => writer.answer(&path, &answer)?,
            Ok(Answered::Target(answer)) => writer.target(&path, &answer)?,
        }
    }
    writer.out.flush()?;
    Ok(failed)
}

/// The rows on stdout.
struct Answers {
    out: io::BufWriter<io::Stdout>,
    format: Format,
    top: usize,
    classes: Vec<String>,
    /// Where no single class is answered: the columns of what is.
    target: Option<TargetColumns>,
}

impl Answers {
    fn new(args: &PredictArgs, model: &Answerer) -> anyhow::Result<Self> {
        let classes = model.classes().to_vec();
        let target = match model {
            Answerer::Target(model) => Some(TargetColumns::of(args, &model.file)?),
            _ => None,
        };
        let top = args.top.unwrap_or(TOP).clamp(1, classes.len().max(1));
        let mut answers = Self { out: io::BufWriter::new(io::stdout()), format: args.format, top, classes, target };
        if args.format == Format::Csv {
            if let Some(target) = &answers.target {
                let header = target.header();
                answers.row(header)?;
                return Ok(answers);
            }
            let fixed = ["path", "answer", "label", "probability", "unlike", "distance", "error"].map(str::to_owned);
            let tops = (2..=top).flat_map(|rank| [format!("label_{rank}"), format!("probability_{rank}")]);
            answers.row(fixed.into_iter().chain(tops))?;
        }
        Ok(answers)
    }

    fn row(&mut self, fields: impl IntoIterator<Item = String>) -> anyhow::Result<()> {
        output::csv_row(&mut self.out, fields)
    }

    /// `answer` is the label, or "unsure"; `label` is the most probable class either way.
    fn answer(&mut self, path: &Path, answer: &Answer) -> anyhow::Result<()> {
        let label = self.classes[answer.class].clone();
        let said = if answer.unsure { "unsure".to_owned() } else { label.clone() };
        let ranking = answer.ranking();
        let top =
            ranking.iter().take(self.top).map(|&class| (self.classes[class].clone(), answer.probabilities[class]));
        match self.format {
            Format::Csv => {
                let rest: Vec<String> = top.skip(1).flat_map(|(label, p)| [label, p.to_string()]).collect();
                let fixed = [
                    printable(path),
                    said,
                    label,
                    answer.probability().to_string(),
                    answer.distance.map_or_else(String::new, |_| answer.unlike.to_string()),
                    answer.distance.map_or_else(String::new, |distance| distance.to_string()),
                    String::new(),
                ];
                self.row(fixed.into_iter().chain(rest))
            }
            Format::Jsonl => {
                let top: Vec<_> =
                    top.map(|(label, probability)| json!({ "label": label, "probability": probability })).collect();
                let line = json!({
                    "path": printable(path),
                    "answer": said,
                    "label": label,
                    "probability": answer.probability(),
                    "unsure": answer.unsure,
                    "unlike": answer.unlike,
                    "distance": answer.distance,
                    "top": top,
                });
                Ok(output::json_row(&mut self.out, &line)?)
            }
        }
    }

    /// A number, or a set of labels.
    fn target(&mut self, path: &Path, answer: &TargetAnswer) -> anyhow::Result<()> {
        let Some(target) = &self.target else { return Ok(()) };
        match self.format {
            Format::Csv => {
                let row = target.row(path, answer);
                self.row(row)
            }
            Format::Jsonl => Ok(output::json_row(&mut self.out, &target.object(path, answer))?),
        }
    }

    fn failure(&mut self, path: &Path, error: &Error) -> anyhow::Result<()> {
        let reason = error.to_string().split_whitespace().collect::<Vec<_>>().join(" ");
        if let (Some(target), Format::Csv) = (&self.target, self.format) {
            let row = target.failure(path, reason);
            return self.row(row);
        }
        match self.format {
            Format::Csv => {
                let empty = || String::new();
                let fixed = [printable(path), "error".into(), empty(), empty(), empty(), empty(), reason];
                let rest = std::iter::repeat_with(empty).take(2 * (self.top - 1));
                self.row(fixed.into_iter().chain(rest))
            }
            Format::Jsonl => {
                let line = json!({ "path": printable(path), "answer": "error", "error": reason });
                Ok(output::json_row(&mut self.out, &line)?)
            }
        }
    }
}
