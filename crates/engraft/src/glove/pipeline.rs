//! All stages into a folder: `vectors.txt`, `vocab.txt`, `glove.json`.
//!
//! What is done lies in `OUT.unfinished`, so that a stopped run goes on: `vocab.txt` and `cooccurrence.bin` with what they were made of
//! (`stages.json`), the blocks of the training and its last checkpoint. The output appears when all is done.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Serialize};

use super::checkpoint;
use super::cooccurrence;
use super::corpus::Corpus;
use super::records::Records;
use super::spool::spool;
use super::train::{self, Start, Trained};
use super::vectors::{Extra, write_binary, write_squares, write_text};
use super::vocabulary::Vocabulary;
use crate::error::{Error, Problem, Result, printable};
use crate::files::{self, Lock, Made, Staging, fault, write_atomic};
use crate::progress::Observer;
use crate::settings::Glove;

/// What a run led to, as it stands in `glove.json`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Summary {
    schema: u32,
    version: String,
    command: String,
    /// Words of the corpus; 0 where only its co-occurrences were given.
    pub tokens: u64,
    /// Different words of the corpus; 0 where only its co-occurrences were given.
    pub different: u64,
    /// Rows of `vectors.txt`, without the one of unknown words.
    pub words: u64,
    /// Co-occurrences.
    pub records: u64,
    /// The cost of each epoch: the mean of f(X) diff^2 / 2 over all co-occurrences.
    pub costs: Vec<f64>,
    /// Seconds of each stage that this process ran.
    pub seconds: BTreeMap<String, f64>,
    /// The settings.
    pub settings: Glove,
}

/// What was done in the folder of unfinished work.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
struct Stages {
    vocabulary: Option<(String, u64, u64)>,
    cooccurrence: Option<(String, u64)>,
}

/// The unfinished work of an output, locked.
pub(super) struct Work {
    pub(super) folder: PathBuf,
    out: PathBuf,
    force: bool,
    _lock: Lock,
}

impl Work {
    /// Checks that the output may be written, and opens or makes the folder beside it.
    ///
    /// # Errors
    /// [`Error::Output`] where the output may not be written, or another process is at it.
    pub(super) fn open(
        out: &Path,
        force: bool,
        inputs: &[(&str, &Path)],
        settings: &Glove,
        observer: &dyn Observer,
    ) -> Result<Self> {
        let mut name = out.file_name().unwrap_or_default().to_owned();
        name.push(".unfinished");
        let folder = out.with_file_name(name);
        files::remove_leftovers_of(&folder);
        if !force {
            tidy_up(out, &folder, settings, observer)?;
        }
        Staging::claim(out, Made::Vectors, force, inputs)?;
        if folder.exists() {
            // It has to be ours: files in it are replaced.
            files::remove_leftovers_in(&folder);
            Made::Unfinished.require(&folder)?;
        }
        let lock = Lock::of_unfinished(&folder)?;
        let text = toml::to_string(settings)
            .map_err(|source| Error::Usage(Problem::new("the settings cannot be written as TOML").found(source)))?;
        write_atomic(&folder.join("run.toml"), text.as_bytes())?;
        Ok(Self { folder, out: out.to_owned(), force, _lock: lock })
    }

    fn stages(&self) -> Stages {
        let read = files::read_limited(&self.folder.join("stages.json"), 1 << 20).ok();
        read.and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    fn save(&self, stages: &Stages) -> Result<()> {
        let text = serde_json::to_vec(stages)
            .map_err(|source| Error::Output(Problem::new("the stages cannot be written").found(source)))?;
        write_atomic(&self.folder.join("stages.json"), &text)
    }

    /// Writes the output, makes it appear, and removes the unfinished work.
    pub(super) fn finish(
        self,
        trained: &Trained,
        vocabulary: &Vocabulary,
        summary: &Summary,
        extra: &Extra<'_>,
    ) -> Result<()> {
        let settings = &summary.settings;
        let staging = Staging::create(&self.out, Made::Vectors, self.force)?;
        let parameters = &trained.parameters;
        staging.write_with("vectors.txt", |to| write_text(parameters, vocabulary, settings, extra, to))?;
        staging.write("vocab.txt", &vocabulary.to_text())?;
        if settings.binary {
            staging.write_with("vectors.bin", |to| write_binary(parameters, false, to))?;
        }
        if settings.save_gradsq {
            staging.write_with("gradsq.txt", |to| write_squares(parameters, vocabulary, to))?;
            if settings.binary {
                staging.write_with("gradsq.bin", |to| write_binary(parameters, true, to))?;
            }
        }
        let text = serde_json::to_vec_pretty(summary)
            .map_err(|source| Error::Output(Problem::new("glove.json cannot be written").found(source)))?;
        staging.write("glove.json", &text)?;
        let records = self.folder.join("cooccurrence.bin");
        if settings.keep_cooccurrence && records.exists() {
            staging.take("cooccurrence.bin", &records)?;
        }
        fault("glove-staged");
        staging.commit()?;
        fault("glove-committed");
        files::remove_folder(&self.folder, Made::Unfinished)
    }
}

/// Removes the unfinished work of vectors that are complete, if it is theirs: a process was killed after the vectors had appeared and
/// before the work was removed.
fn tidy_up(out: &Path, folder: &Path, settings: &Glove, observer: &dyn Observer) -> Result<()> {
    if !folder.is_dir() || Made::Vectors.require(out).is_err() || Made::Unfinished.require(folder).is_err() {
        return Ok(());
    }
    let report = files::read_limited(&out.join("glove.json"), 1 << 30).ok();
    let summary = report.and_then(|bytes| serde_json::from_slice::<Summary>(&bytes).ok());
    let is_complete = summary.is_some_and(|summary| {
        summary.settings == *settings
            && summary.costs.len() as u64 == settings.iter
            && checkpoint::costs(folder).is_some_and(|costs| costs == summary.costs)
    });
    if is_complete {
        let _lock = Lock::of_unfinished(folder)?;
        observer.say(&format!(
            "the vectors are complete; what an earlier run left of its work is removed: {}",
            printable(folder)
        ));
        files::remove_folder(folder, Made::Unfinished)?;
    }
    Ok(())
}

/// Vocabulary, co-occurrences and a training in a folder of unfinished work.
pub(super) struct Stage<'a> {
    pub(super) work: &'a Work,
    pub(super) settings: &'a Glove,
    pub(super) observer: &'a dyn Observer,
    pub(super) seconds: BTreeMap<String, f64>,
}

impl Stage<'_> {
    fn timed<T>(&mut self, stage: &str, run: impl FnOnce(&Self) -> Result<T>) -> Result<T> {
        let begun = Instant::now();
        let done = run(self)?;
        self.seconds.insert(stage.to_owned(), begun.elapsed().as_secs_f64());
        Ok(done)
    }

    /// The vocabulary of the corpus, and the words of the corpus and the different ones of them.
    pub(super) fn vocabulary_and_records(&mut self) -> Result<(Vocabulary, u64, u64)> {
        let (work, settings, observer) = (self.work, self.settings, self.observer);
        let mut corpus = Corpus::find(&settings.corpus, observer)?;
        let mut inputs = corpus.fingerprint();
        if corpus.has_stdin() {
            // It is read twice, and after a stop again.
            let path = work.folder.join("corpus.txt");
            let checksum = self.timed("corpus", |_| spool(&corpus, &path, observer))?;
            inputs = format!("stdin {checksum}");
            corpus = Corpus::find(&[path], observer)?;
        }
        let Glove { min_count, max_vocab, window_size, symmetric, distance_weighting, .. } = settings;
        let of_vocabulary = format!("{} {inputs} min {min_count} max {max_vocab}", env!("CARGO_PKG_VERSION"));
        let of_records = format!("{of_vocabulary} window {window_size} {symmetric} {distance_weighting}");
        let mut stages = work.stages();
        // Work of other settings is refused before any of it is lost.
        let of_others = stages.vocabulary.as_ref().is_some_and(|(made_of, ..)| *made_of != of_vocabulary)
            || stages.cooccurrence.as_ref().is_some_and(|(made_of, _)| *made_of != of_records);
        if of_others && checkpoint::is_there(&work.folder) {
            return Err(checkpoint::of_others(&work.folder));
        }
        let path = work.folder.join("vocab.txt");
        let known = stages.vocabulary.clone().filter(|(made_of, ..)| *made_of == of_vocabulary);
        let read = known.and_then(|(_, tokens, different)| Some((Vocabulary::read(&path).ok()?, tokens, different)));
        let (vocabulary, tokens, different) = match read {
            Some(read) => {
                observer.say("the vocabulary is there already");
                read
            }
            None => {
                let counted = self.timed("vocabulary", |_| Vocabulary::count(&corpus, settings, observer))?;
                write_atomic(&path, &counted.vocabulary.to_text())?;
                fault("glove-vocabulary");
                stages =
                    Stages { vocabulary: Some((of_vocabulary, counted.tokens, counted.different)), cooccurrence: None };
                work.save(&stages)?;
                (counted.vocabulary, counted.tokens, counted.different)
            }
        };
        let path = work.folder.join("cooccurrence.bin");
        let is_there = stages.cooccurrence.as_ref().is_some_and(|(made_of, records)| {
            *made_of == of_records && Records::open(&path).is_ok_and(|found| found.count() == *records)
        });
        if is_there {
            observer.say("the co-occurrences are there already");
        } else {
            let counted = self.timed("cooccurrence", |_| {
                cooccurrence::count(&corpus, &vocabulary, &path, true, settings, observer)
            })?;
            fault("glove-cooccurrence");
            stages.cooccurrence = Some((of_records, counted.records));
            work.save(&stages)?;
        }
        Ok((vocabulary, tokens, different))
    }

    /// Trains on the co-occurrences of a file.
    pub(super) fn train(
        &mut self,
        records: &Records,
        vocabulary: &Vocabulary,
        inputs: &str,
        start: Option<&Start<'_>>,
    ) -> Result<Trained> {
        let trained =
            train::train(&self.work.folder, records, vocabulary, inputs, start, self.settings, self.observer)?;
        for (stage, seconds) in ["blocks", "training"].into_iter().zip(trained.seconds) {
            self.seconds.insert(stage.to_owned(), seconds);
        }
        Ok(trained)
    }

    pub(super) fn summary(&self, tokens: [u64; 2], words: u64, records: u64, trained: &Trained) -> Summary {
        Summary {
            schema: 1,
            version: env!("CARGO_PKG_VERSION").into(),
            command: "glove".into(),
            tokens: tokens[0],
            different: tokens[1],
            words,
            records,
            costs: trained.costs.clone(),
            seconds: self.seconds.clone(),
            settings: self.settings.clone(),
        }
    }
}

/// From a corpus to vectors in the folder `out`: all stages, each of which is skipped where an earlier run of the same settings
/// finished it. With `force` vectors that are there are replaced.
///
/// # Errors
/// Those of the stages, and [`Error::Output`] where `out` may not be written or another process is at it.
pub fn run(out: &Path, force: bool, settings: &Glove, observer: &dyn Observer) -> Result<Summary> {
    train::check(settings)?;
    settings.check_counting()?;
    let inputs: Vec<(&str, &Path)> = settings.corpus.iter().map(|path| ("the corpus", path.as_path())).collect();
    let work = Work::open(out, force, &inputs, settings, observer)?;
    let mut stage = Stage { work: &work, settings, observer, seconds: BTreeMap::new() };
    let (vocabulary, tokens, different) = stage.vocabulary_and_records()?;
    let records = Records::open(&work.folder.join("cooccurrence.bin"))?;
    let trained = stage.train(&records, &vocabulary, "glove", None)?;
    let summary = stage.summary([tokens, different], vocabulary.len() as u64, records.count(), &trained);
    work.finish(&trained, &vocabulary, &summary, &Extra::NONE)?;
    Ok(summary)
}

/// From a file of co-occurrences and its vocabulary, Engraft's or the C tools', to vectors in the folder `out`. The records may be
/// in any order.
///
/// # Errors
/// Those of the training, and [`Error::Output`] where `out` may not be written or another process is at it.
pub fn train_files(
    records: &Path,
    vocabulary: &Path,
    out: &Path,
    force: bool,
    settings: &Glove,
    observer: &dyn Observer,
) -> Result<Summary> {
    train::check(settings)?;
    let words = Vocabulary::read(vocabulary)?;
    let found = Records::open(records)?;
    let inputs = [("the co-occurrences", records), ("the vocabulary", vocabulary)];
    let work = Work::open(out, force, &inputs, settings, observer)?;
    let mut stage = Stage { work: &work, settings, observer, seconds: BTreeMap::new() };
    let trained = stage.train(&found, &words, "glove", None)?;
    let summary = stage.summary([0, 0], words.len() as u64, found.count(), &trained);
    work.finish(&trained, &words, &summary, &Extra::NONE)?;
    Ok(summary)
}
