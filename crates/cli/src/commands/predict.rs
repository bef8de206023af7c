//! `engraft predict`

use std::path::{Path, PathBuf};

use engraft::bases::Device;
use engraft::data::intake::InputKind;
use engraft::data::{ImageSource, Left, used_bit_depth};
use engraft::error::{Error, Problem, Result, from_printable, printable};
use engraft::fit::OwnClasses;
use engraft::progress::{Observer, Silent};
use engraft::run::Model;
use engraft::settings::BitDepth;
use engraft::targets::TargetAnswer;
use rayon::prelude::*;

use crate::args::PredictArgs;
use crate::commands::answer_columns::AnswerColumns;
use crate::commands::answers::{Answers, Field};
use crate::commands::lines::{in_batches, lines_of_stdin};
use crate::commands::{predict_rows, predict_texts, predict_tokens};
use crate::exit::Outcome;
use crate::terminal::Terminal;

/// Images that are answered between two writes.
const BATCH: usize = 64;

/// Runs the command.
pub fn run(args: &PredictArgs, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let (mut model, given) = Answerer::open(args, terminal)?;
    let kind = model.kind();
    if args.bit_depth.is_some() && kind != InputKind::Images {
        let problem = Problem::new(format_args!("--bit-depth is for images, and this run answers {}", kind.unit()));
        return Err(Error::Usage(problem.expected("no --bit-depth")).into());
    }
    if let (Answerer::Run(model), true) = (&model, kind.is_of_tokens()) {
        return predict_tokens::run(model, given, args, terminal);
    }
    if let Some(context) = &args.context {
        let problem = Problem::new("--context is for runs that answer questions, and this one does not").at(context);
        return Err(Error::Usage(problem.expected("no --context")).into());
    }
    for (flag, given) in
        [("--text", args.text.is_some()), ("--encoding", args.encoding.is_some()), ("--explain", args.explain)]
    {
        if given && kind != InputKind::Texts {
            let problem =
                Problem::new(format_args!("{flag} is for runs of texts, and this one answers {}", kind.unit()));
            return Err(Error::Usage(problem.expected(format_args!("no {flag}"))).into());
        }
    }
    match (&model, kind) {
        (Answerer::Run(model), InputKind::Texts) => return predict_texts::run(model, given, args, terminal),
        (Answerer::Run(model), InputKind::Vectors) => return predict_rows::run(model, given, args, terminal),
        _ => {}
    }
    let given = expanded(given, terminal);
    let known: Vec<ImageSource> = given.iter().flatten().flatten().filter_map(Input::image).cloned().collect();
    let (depth, said) = used_bit_depth(&known, model.asked_bit_depth(args), model.bit_depth(), terminal)?;
    said.iter().for_each(|said| terminal.say(said));
    model.set_bit_depth(depth);
    let mut deep = Deep { asked: model.asked_bit_depth(args), is_told: false };
    let mut writer = Answers::new(args, model.columns(args)?, &["path"], &[])?;
    let mut left = Left::default();
    in_batches(inputs(given, terminal), BATCH, |batch| {
        deep.look(&model, batch, terminal)?;
        answer(&model, batch, &mut writer, &mut left, terminal)
    })?;
    if left.count() > 0 {
        let failed = left.count();
        terminal.say(&format!("{failed} of the inputs could not be answered: see the column `error`; {}", left.told()));
        return Ok(Outcome::BadData);
    }
    Ok(Outcome::Done)
}

/// What answers: a run, or a base by its own classes.
enum Answerer {
    Run(Box<Model>),
    Base(Box<OwnClasses>),
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
            Some((run, inputs)) if !inputs.is_empty() => Ok((Answerer::Run(Box::new(Model::open(run)?)), inputs)),
            _ => {
                let problem = Problem::new("nothing to answer").expected("RUN and images, or --base and images");
                Err(Error::Usage(problem.hint("engraft predict runs/first photo.jpg")).into())
            }
        }
    }

    fn kind(&self) -> InputKind {
        match self {
            Answerer::Run(model) => model.kind(),
            Answerer::Base(_) => InputKind::Images,
        }
    }

    /// As asked now, else as asked of the training images.
    fn asked_bit_depth(&self, args: &PredictArgs) -> BitDepth {
        let trained = if let Answerer::Run(model) = self { model.file.config.bit_depth } else { None };
        args.bit_depth.or(trained).unwrap_or(BitDepth::Auto)
    }

    fn bit_depth(&self) -> Option<u8> {
        match self {
            Answerer::Run(model) => model.bit_depth(),
            Answerer::Base(own) => own.bit_depth(),
        }
    }

    fn set_bit_depth(&mut self, depth: Option<u8>) {
        match self {
            Answerer::Run(model) => model.set_bit_depth(depth),
            Answerer::Base(own) => own.set_bit_depth(depth),
        }
    }

    fn columns(&self, args: &PredictArgs) -> Result<AnswerColumns> {
        match self {
            Answerer::Run(model) => AnswerColumns::of_run(args, &model.file),
            Answerer::Base(own) => Ok(AnswerColumns::of_classes(args, own.classes())),
        }
    }

    fn answer(&self, image: &ImageSource) -> Result<TargetAnswer> {
        match self {
            Answerer::Run(model) => model.predict_image(image),
            Answerer::Base(own) => own.answer(image).map(TargetAnswer::Class),
        }
    }
}

/// One thing to answer, or why it cannot be found.
enum Input {
    Image(ImageSource),
    /// An image that a line of stdin names.
    Line(ImageSource),
    Failed(PathBuf, Error),
}

impl Input {
    fn image(&self) -> Option<&ImageSource> {
        match self {
            Input::Image(image) | Input::Line(image) => Some(image),
            Input::Failed(..) => None,
        }
    }
}

/// Images of 16 bits a channel on stdin. What bits they use is not guessed, since an answer would depend on what comes with it;
/// it is said once.
struct Deep {
    asked: BitDepth,
    is_told: bool,
}

impl Deep {
    fn look(&mut self, model: &Answerer, batch: &[Input], terminal: &Terminal) -> Result<()> {
        if self.is_told || self.asked != BitDepth::Auto {
            return Ok(());
        }
        let lines = batch.iter().filter_map(|input| if let Input::Line(image) = input { Some(image) } else { None });
        let lines: Vec<ImageSource> = lines.cloned().collect();
        let (depth, said) = used_bit_depth(&lines, self.asked, model.bit_depth(), &Silent)?;
        if said.is_some() && depth != model.bit_depth() {
            self.is_told = true;
            let (used, read) = (depth.unwrap_or(16), model.bit_depth().unwrap_or(16));
            terminal.say(&format!(
                "images of 16 bits a channel on stdin whose values use {used} bits are read as {read} bits, since one image alone \
                 does not tell: --bit-depth {used} reads all of them by {used} bits"
            ));
        }
        Ok(())
    }
}

/// The images of every input that is named; nothing for `-`, whose lines come later.
fn expanded(given: &[PathBuf], terminal: &Terminal) -> Vec<Option<Vec<Input>>> {
    given.iter().map(|path| (path.as_os_str() != "-").then(|| expand(path, Input::Image, terminal))).collect()
}

/// Files, the images of folders, and the lines of stdin for `-`; nothing where stdin pauses.
fn inputs<'a>(given: Vec<Option<Vec<Input>>>, terminal: &'a Terminal) -> impl Iterator<Item = Option<Input>> + 'a {
    given.into_iter().flat_map(move |known| -> Box<dyn Iterator<Item = Option<Input>> + 'a> {
        if let Some(known) = known {
            return Box::new(known.into_iter().map(Some));
        }
        match lines_of_stdin(terminal) {
            Ok(lines) => Box::new(lines.flat_map(|line| match line {
                None => vec![None],
                // A list of paths may have blank lines.
                Some((_, Ok(line))) if line.trim().is_empty() => Vec::new(),
                Some((_, Ok(line))) => {
                    expand(&from_printable(&line), Input::Line, terminal).into_iter().map(Some).collect()
                }
                Some((number, Err(error))) => {
                    vec![Some(Input::Failed(PathBuf::from(format!("line {number}")), error))]
                }
            })),
            Err(error) => Box::new(std::iter::once(Some(Input::Failed(PathBuf::from("-"), error)))),
        }
    })
}

fn expand(path: &Path, input: fn(ImageSource) -> Input, observer: &dyn Observer) -> Vec<Input> {
    match engraft::data::images(path, observer) {
        Ok(images) => images.into_iter().map(input).collect(),
        Err(error) => vec![Input::Failed(path.to_owned(), error)],
    }
}

/// Answers a batch in parallel and writes it in order; notes what failed.
fn answer(
    model: &Answerer,
    batch: &mut Vec<Input>,
    writer: &mut Answers,
    left: &mut Left,
    terminal: &Terminal,
) -> anyhow::Result<usize> {
    terminal.check()?;
    let answers: Vec<(String, Result<TargetAnswer>)> = batch
        .par_drain(..)
        .map(|input| match input {
            Input::Image(image) | Input::Line(image) => {
                let answer = terminal.check().and_then(|()| model.answer(&image));
                (image.name(), answer)
            }
            Input::Failed(path, error) => (printable(&path), Err(error)),
        })
        .collect();
    for (name, answer) in answers {
        match answer {
            Err(Error::Interrupted) => return Err(Error::Interrupted.into()),
            Err(error @ Error::Weights(_)) => return Err(error.into()),
            Err(error) => {
                left.note(&error.reason(), &name);
                writer.failure(vec![named(name)], &error)?;
            }
            Ok(answer) => writer.answer(vec![named(name)], &answer, Vec::new())?,
        }
    }
    writer.flush()?;
    Ok(0)
}

fn named(name: String) -> Field {
    ("path", name.clone(), name.into())
}
