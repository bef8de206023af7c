//! `model.json`, `model.safetensors` and what else a run needs to answer, in one folder; one shape for every input and
//! target.

use std::path::Path;

use burn::tensor::Device;
use engraft_weights::Weights;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::data::intake::InputKind;
use crate::data::text::{Text, word_places};
use crate::data::vectors::{VectorReading, VectorSet, open_unlabelled};
use crate::data::{ImageSource, Task};
use crate::error::{Error, Problem, Result};
use crate::features::Features;
use crate::files;
use crate::fit::Fitted;
use crate::fit::{WordWeight, explain};
use crate::methods::BaseFacts;
use crate::methods::tokens::TokenExample;
use crate::progress::Observer;
use crate::run::body_file::{BodyFile, Reader};
use crate::run::head_file::HeadFile;
use crate::run::report::SCHEMA;
use crate::run::run_files::{Files, JSON, SAFETENSORS, damaged, not_a_run};
use crate::settings::Fit;
use crate::targets::{Predictor, QuestionAnswer, TagsAnswer, TargetAnswer};
use crate::weight_files;

/// Longest `model.json` that is read.
const JSON_LIMIT: u64 = 64 << 20;
/// `model.json`: what the tensors mean.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct ModelFile {
    /// Version of the shapes.
    pub schema: u32,
    /// Version of the program that wrote it.
    pub version: String,
    /// What is predicted.
    pub task: Task,
    /// Names of the classes or labels, in the order of the head's outputs; none for numbers.
    pub classes: Vec<String>,
    /// What is said of the base. Its tensors are in `model.safetensors`, or its file beside it.
    pub(crate) base: BaseFacts,
    /// What the base's tensors mean, and how it reads an example.
    pub body: BodyFile,
    /// What the head's tensors mean.
    pub(crate) head: HeadFile,
    /// SHA-256 over the training data.
    pub data_fingerprint: String,
    /// Seed of everything that was drawn.
    pub seed: u64,
    /// The settings.
    pub config: Fit,
    /// SHA-256 of `model.safetensors`.
    pub model_sha256: String,
}

/// Writes a fitted model to bytes; equal models give equal bytes.
pub(super) fn to_bytes(fitted: &Fitted) -> Result<Files> {
    let mut weights = Weights::default();
    let (body, mut files) = BodyFile::of(fitted, &mut weights)?;
    let head = HeadFile::of(&fitted.predictor, &mut weights);
    let safetensors = engraft_weights::write(&weights);
    let dataset = &fitted.intake.dataset;
    let file = ModelFile {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION").into(),
        task: dataset.task(),
        classes: dataset.classes.clone(),
        base: fitted.base.facts(),
        body,
        head,
        data_fingerprint: fitted.intake.fingerprint(),
        seed: fitted.config.seed,
        config: fitted.config.clone(),
        model_sha256: files::sha256_hex(&safetensors),
    };
    let mut json = serde_json::to_vec_pretty(&file).expect("a model file is plain data");
    json.push(b'\n');
    files.extend([(SAFETENSORS, safetensors), (JSON, json)]);
    Ok(files)
}

/// A saved model, ready to answer.
pub struct Model {
    /// What the tensors mean.
    pub file: ModelFile,
    pub(super) predictor: Predictor,
    pub(super) reader: Reader,
}

impl Model {
    /// Opens the model of a run's folder, checking every hash and shape.
    ///
    /// # Errors
    /// [`Error::Weights`] where the folder is not a run, is damaged, or was written by another version.
    pub fn open(run: impl AsRef<Path>) -> Result<Self> {
        let (run, device) = (run.as_ref(), &Device::flex());
        let json = read_json(run)?;
        check_schema(run, &json)?;
        let file: ModelFile = parse_json(run, &json)?;
        let path = run.join(SAFETENSORS);
        let mut weights = read_weights(run, &file.model_sha256)?;
        let predictor = file.head.predictor(&mut weights, file.task, file.classes.len(), &path)?;
        let reader = file.body.open(run, &file.base, file.config.exact, weights, device)?;
        let columns = if let Reader::Tokens(_, reader) = &reader { reader.columns() } else { reader.columns() };
        let tokens = matches!(reader, Reader::Tokens(..));
        for (what, wanted, found) in [
            ("a head", columns, predictor.head.columns()),
            ("references", reader.columns(), predictor.novelty.references.columns),
        ] {
            if wanted != found || tokens == file.task.has_label_column() {
                let expected = format!("{what} for {wanted} features of {}", file.task);
                return Err(damaged(&path, &expected, &format!("one for {found}")));
            }
        }
        Ok(Self { file, predictor, reader })
    }

    /// What it reads.
    pub fn kind(&self) -> InputKind {
        match self.reader {
            Reader::Images(_) => InputKind::Images,
            Reader::Texts(..) => InputKind::Texts,
            Reader::Vectors(_) => InputKind::Vectors,
            Reader::Tokens(..) if self.file.task == Task::Tags => InputKind::Words,
            Reader::Tokens(..) => InputKind::Questions,
        }
    }

    /// Whether an answer takes two texts.
    pub fn pairs(&self) -> bool {
        matches!(self.reader, Reader::Texts(_, true))
    }

    /// Bits that images of 16 bits a channel are read by, where those are fewer: as in training, unless it was said otherwise.
    pub fn bit_depth(&self) -> Option<u8> {
        if let Reader::Images(extractor) = &self.reader { extractor.reader().bit_depth() } else { None }
    }

    /// Reads images of 16 bits a channel by so many of them from now on (see [`crate::data::used_bit_depth`]).
    pub fn set_bit_depth(&mut self, depth: Option<u8>) {
        if let Reader::Images(extractor) = &mut self.reader {
            extractor.reader_mut().set_bit_depth(depth);
        }
    }

    /// The answer to the image in `path`.
    ///
    /// # Errors
    /// [`Error::Data`] where it cannot be read; [`Error::Usage`] where the run reads anything else.
    pub fn predict(&self, path: impl AsRef<Path>) -> Result<TargetAnswer> {
        self.predict_image(&ImageSource::from(path.as_ref()))
    }

    /// The answer to an image, wherever its bytes are.
    ///
    /// # Errors
    /// As [`Model::predict`].
    pub fn predict_image(&self, image: &ImageSource) -> Result<TargetAnswer> {
        let Reader::Images(extractor) = &self.reader else { return Err(self.reads()) };
        let bytes = extractor.reader().read(image)?;
        extractor.row(&bytes).map(|row| self.predictor.answer(&row))
    }

    /// Answers to texts, in this order; of a text that is empty, or is not a pair where the run takes pairs, an error. No
    /// answer depends on the texts beside it.
    ///
    /// # Errors
    /// [`Error::Weights`] where the run gives features that are not finite; [`Error::Usage`] where it reads anything else.
    pub fn predict_texts(&self, texts: &[&Text]) -> Result<Vec<Result<TargetAnswer>>> {
        let Reader::Texts(extractor, _) = &self.reader else { return Err(self.reads()) };
        let checked: Vec<Result<()>> = texts.iter().map(|text| self.check(text)).collect();
        let usable: Vec<&Text> =
            texts.iter().zip(&checked).filter(|(_, check)| check.is_ok()).map(|(text, _)| *text).collect();
        let mut rows = extractor.rows(&usable)?.into_iter();
        let answer = |check: Result<()>| {
            check.map(|()| self.predictor.answer(&rows.next().expect("a row for each text that can be used")))
        };
        Ok(checked.into_iter().map(answer).collect())
    }

    /// How many of these texts are longer than what the base reads.
    ///
    /// # Errors
    /// [`Error::Usage`] where the run reads anything else.
    pub fn truncated(&self, texts: &[&Text]) -> Result<usize> {
        match &self.reader {
            Reader::Texts(extractor, _) => extractor.truncated(texts),
            _ => Err(self.reads()),
        }
    }

    /// What each word of a text, or each run of neighbouring words of a long one, gives to the probability of a class.
    ///
    /// # Errors
    /// As [`Model::predict_texts`].
    pub fn explain(&self, text: &Text, class: usize) -> Result<Vec<WordWeight>> {
        match &self.reader {
            Reader::Texts(extractor, _) => explain(extractor, &self.predictor, text, class),
            _ => Err(self.reads()),
        }
    }

    /// Rows to be answered: a table, or an array, with the columns of training. What is different from the training data, and
    /// what is made of it, is told.
    ///
    /// # Errors
    /// [`Error::Data`] where it cannot be read or lacks a column; [`Error::Usage`] where the run reads anything else.
    pub fn open_rows(&self, path: impl AsRef<Path>, observer: &dyn Observer) -> Result<VectorSet> {
        let Reader::Vectors(encoding) = &self.reader else { return Err(self.reads()) };
        let label = if let BodyFile::Vectors { label, .. } = &self.file.body { label.clone() } else { None };
        let reading = VectorReading { label, kinds: encoding.kinds(), ..VectorReading::default() };
        let (set, _) = open_unlabelled(path.as_ref(), &reading, observer)?;
        let notes = set.source.remarks.iter().cloned().chain(encoding.align(&set)?);
        notes.for_each(|note| observer.say(&note));
        Ok(set)
    }

    /// Answers to some rows, in this order. No answer depends on the rows beside it.
    ///
    /// # Errors
    /// As [`Model::open_rows`].
    ///
    /// # Panics
    /// If a row does not exist.
    pub fn predict_rows(&self, set: &VectorSet, rows: &[usize]) -> Result<Vec<TargetAnswer>> {
        let Reader::Vectors(encoding) = &self.reader else { return Err(self.reads()) };
        let features = Features::new(rows.len(), encoding.columns(), encoding.values(set, rows)?)?;
        Ok(self.predictor.answers(&features))
    }

    /// Answers to questions about paragraphs, or the spans of sentences of words, in this order. No answer depends on the
    /// examples beside it.
    ///
    /// # Errors
    /// [`Error::Data`] for a paragraph of more than 16 MiB; [`Error::Usage`] where the run reads anything else.
    pub fn predict_tokens(&self, examples: &[TokenExample<'_>]) -> Result<Vec<TargetAnswer>> {
        let Reader::Tokens(extractor, reader) = &self.reader else { return Err(self.reads()) };
        let wanted = |example: &TokenExample<'_>| match example {
            TokenExample::Words(_) => self.file.task == Task::Tags,
            TokenExample::Question { .. } => self.file.task == Task::Answers,
        };
        if !examples.iter().all(wanted) {
            return Err(self.reads());
        }
        let text = |example: &TokenExample<'_>| match *example {
            TokenExample::Words(words) => Text::single(words.join(" ")),
            TokenExample::Question { question, context } => {
                Text { first: question.to_owned(), second: Some(context.to_owned()) }
            }
        };
        let texts: Vec<Text> = examples.iter().map(text).collect();
        let rows = extractor.rows(&texts.iter().collect::<Vec<_>>())?;
        let outputs = reader.outputs(&self.predictor.head, examples)?;
        let wide = |row: Vec<f32>| row.into_iter().map(f64::from).collect();
        Ok(outputs.into_iter().zip(&rows).map(|(outputs, row)| self.predictor.answer_of(wide(outputs), row)).collect())
    }

    /// The answer to a question about a paragraph.
    ///
    /// # Errors
    /// As [`Model::predict_tokens`].
    pub fn answer(&self, question: &str, context: &str) -> Result<QuestionAnswer> {
        match self.predict_tokens(&[TokenExample::Question { question, context }])?.pop() {
            Some(TargetAnswer::Question(answer)) => Ok(answer),
            _ => Err(self.reads()),
        }
    }

    /// The spans of a text, whose words are told apart by `word_places`: `start` and `end` are bytes of the text, and their
    /// types those of [`ModelFile::classes`].
    ///
    /// # Errors
    /// As [`Model::predict_tokens`].
    pub fn tags(&self, text: &str) -> Result<TagsAnswer> {
        let places = word_places(text);
        let words: Vec<String> = places.iter().map(|place| text[place.clone()].to_owned()).collect();
        let Some(TargetAnswer::Tags(mut answer)) = self.predict_tokens(&[TokenExample::Words(&words)])?.pop() else {
            return Err(self.reads());
        };
        for span in &mut answer.spans {
            (span.start, span.end) = (places[span.start].start, places[span.end - 1].end);
        }
        Ok(answer)
    }

    /// The error of a question about another kind of input.
    fn reads(&self) -> Error {
        Error::Usage(Problem::new("the run answers other inputs").expected(self.kind().unit()))
    }

    fn check(&self, text: &Text) -> Result<()> {
        if text.parts().all(|part| part.trim().is_empty()) {
            return Err(Error::Data(Problem::new("the text is empty")));
        }
        if self.pairs() != text.second.is_some() {
            let expected = if self.pairs() { "two texts" } else { "one text" };
            let found = if text.second.is_some() { "two" } else { "one" };
            return Err(Error::Data(Problem::new("the run answers other inputs").expected(expected).found(found)));
        }
        Ok(())
    }
}

/// The bytes of a run's `model.json`.
pub(super) fn read_json(run: &Path) -> Result<Vec<u8>> {
    files::read_limited(&run.join(JSON), JSON_LIMIT).map_err(|source| not_a_run(run, &source.to_string()))
}

pub(super) fn parse_json<T: DeserializeOwned>(run: &Path, json: &[u8]) -> Result<T> {
    serde_json::from_slice(json)
        .map_err(|source| damaged(&run.join(JSON), "a model.json of this program", &source.to_string()))
}

/// Refuses a run of another version of the shapes; what is no `model.json` at all is left to [`parse_json`].
pub(super) fn check_schema(run: &Path, json: &[u8]) -> Result<()> {
    #[derive(Deserialize)]
    struct Version {
        schema: u32,
        #[serde(default)]
        version: String,
    }
    match serde_json::from_slice::<Version>(json) {
        Ok(Version { schema, version }) if schema != SCHEMA => Err(Error::Weights(
            Problem::new("the run was written by another version of engraft")
                .expected(format_args!("schema {SCHEMA}, as engraft {} writes it", env!("CARGO_PKG_VERSION")))
                .found(format_args!("schema {schema}, of engraft {version}"))
                .at(run.join(JSON))
                .hint("fit again: `engraft fit --config RUN/run.toml --out NEW` takes the same settings"),
        )),
        _ => Ok(()),
    }
}

/// The tensors of a run, whose file has this SHA-256.
pub(super) fn read_weights(run: &Path, expected: &str) -> Result<Weights> {
    let path = run.join(SAFETENSORS);
    let source = weight_files::source(&path).map_err(|source| not_a_run(run, &source.to_string()))?;
    let broken = |source: engraft_weights::Error| damaged(&path, "a whole safetensors file", &source.to_string());
    let sha256 = weight_files::sha256(&source).map_err(broken)?;
    if sha256 != expected {
        return Err(damaged(&path, &format!("SHA-256 {expected}"), &sha256));
    }
    weight_files::read(source).map_err(broken)
}
