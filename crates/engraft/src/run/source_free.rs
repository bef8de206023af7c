//! A run adapted to a target without its data: what it keeps of its training rows stands for the source.

use std::path::Path;

use crate::adapt::{Answering, Questions, Seen, Settled, Source, check, settle};
use crate::data::inspect::InspectionStore;
use crate::data::intake::InputKind;
use crate::data::{SourceForm, open_target};
use crate::error::{Error, Problem, Result, printable};
use crate::features::Cache;
use crate::files;
use crate::heads::Head;
use crate::methods::Reading;
use crate::methods::domain::TargetImages;
use crate::progress::Observer;
use crate::run::body_file::{BodyFile, Reader, SIDE_FILES, keep_network};
use crate::run::head_file::HeadFile;
use crate::run::html::render;
use crate::run::model::{Model, ModelFile, read_weights};
use crate::run::report::Report;
use crate::run::run_files::{JSON, SAFETENSORS, not_a_run};
use crate::run::save::{Rendered, json, toml_of};
use crate::settings::{Adapt, Fit};

/// The largest file of a run that is copied.
const LIMIT: u64 = 4 << 30;
/// What a run has that says nothing of its head.
const COPIED: [&str; 3] = ["predictions.csv", "predictions.json", "curves.csv"];
/// Tensors that another head has of its own.
const OF_HEAD: [&str; 4] = ["head.weight", "head.bias", "novelty.references", "novelty.classes"];

/// A run that was adapted.
pub struct AdaptedRun {
    /// Its files.
    pub rendered: Rendered,
    /// The examples to be labelled for a check.
    pub questions: Questions,
}

/// Adapts the run in a folder to a target, without the run's data. `command_line` is what gives it again.
///
/// The up to 2,000 training rows that a run keeps, to tell what is unlike them, stand for its source; the base is not changed.
///
/// # Errors
/// [`Error::Weights`] where it is no run, or one that does not keep such rows; and as [`crate::adapt::adapt`].
pub fn adapt_run(
    run: &Path,
    asked: &Adapt,
    store: &dyn InspectionStore,
    cache: Option<&Cache>,
    observer: &dyn Observer,
    command_line: &str,
) -> Result<AdaptedRun> {
    let Model { file, mut predictor, reader } = Model::open(run)?;
    let asked = &Adapt { run: Some(run.to_owned()), ..asked.clone() };
    let mut report: Report = serde_json::from_slice(&read(run, "report.json")?)
        .map_err(|source| not_a_run(run, &format!("report.json: {source}")))?;
    let config = Fit { adapt: Some(asked.clone()), ..file.config.clone() };
    let form = form_of(&file, &reader);
    let reading = match reader {
        Reader::Images(extractor) => Reading::Images(extractor),
        Reader::Texts(extractor, _) => Reading::Texts(extractor, None),
        Reader::Vectors(encoding) => Reading::Vectors(Box::new(encoding)),
        Reader::Tokens(..) => {
            let problem = Problem::new("only models that answer with one class are adapted to a target");
            return Err(Error::Usage(problem.found(file.task).at(run)));
        }
    };
    let target = open_target(&config, asked, &form, store, observer)?;
    check(asked, file.task, &file.classes, &target)?;
    target.tell(observer);
    let features = reading.features_of(&target.unlabelled.contents(), cache, observer)?;
    let source = Source::of_run(&predictor, &file.classes, report.choice.strength, config.balanced, config.seed)?;
    observer.say(&format!("the run keeps {} of its training rows: they stand for the source", source.features.rows));
    let mut weights = read_weights(run, &file.model_sha256)?;
    let base = file.body.network(&file.base, config.exact, &weights)?;
    let images = base.as_ref().and_then(|base| TargetImages::of(base, target.unlabelled.contents()));
    let seen = Seen { target, features: &features, metric: reading.metric(), images };
    let Settled { adaptation, questions, adapted } = settle(source, seen, asked, config.unlike_rate, observer)?;
    if let Some(Answering { head, novelty, network }) = adapted {
        predictor.head = Head::Linear(head);
        predictor.novelty = novelty;
        if let (Some(network), Some(base)) = (network, &base) {
            keep_network(&base.staged()?.manifest, &network, &mut weights);
        }
    }

    OF_HEAD.iter().for_each(|name| drop(weights.tensors.remove(*name)));
    let head = HeadFile::of(&predictor, &mut weights);
    let safetensors = engraft_weights::write(&weights);
    let model_sha256 = files::sha256_hex(&safetensors);
    let file = ModelFile { head, config: config.clone(), model_sha256, ..file };
    report.command = "adapt".into();
    report.config = config.clone();
    report.adaptation = Some(adaptation);
    let html = render(&report, &[], &[], command_line);
    let mut files = vec![
        (SAFETENSORS, safetensors),
        (JSON, json(&file)),
        ("report.json", json(&report)),
        ("report.html", html.into_bytes()),
        ("run.toml", toml_of(&config)?),
    ];
    for name in COPIED.iter().chain(&SIDE_FILES) {
        if run.join(name).is_file() {
            files.push((name, read(run, name)?));
        }
    }
    Ok(AdaptedRun { rendered: Rendered { report, files }, questions })
}

fn read(run: &Path, name: &str) -> Result<Vec<u8>> {
    files::read_limited(&run.join(name), LIMIT)
        .map_err(|source| not_a_run(run, &format!("{}: {source}", printable(Path::new(name)))))
}

/// How the run's source was read.
fn form_of(file: &ModelFile, reader: &Reader) -> SourceForm {
    let (text_columns, label) = match &file.body {
        BodyFile::Texts { text_columns, .. } => (text_columns.clone(), file.config.label_column.clone()),
        BodyFile::Vectors { label, .. } => (Vec::new(), label.clone()),
        BodyFile::Images { .. } => (Vec::new(), file.config.label_column.clone()),
    };
    let (kind, pairs) = match reader {
        Reader::Images(_) => (InputKind::Images, false),
        Reader::Texts(_, pairs) => (InputKind::Texts, *pairs),
        Reader::Vectors(_) => (InputKind::Vectors, false),
        Reader::Tokens(..) => (InputKind::Words, false),
    };
    let encoding = if let Reader::Vectors(encoding) = reader { Some(encoding.clone()) } else { None };
    SourceForm { kind, classes: file.classes.clone(), text_columns, pairs, label, encoding, contents: Vec::new() }
}
