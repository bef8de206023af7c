//! A target domain: examples without anything that could tell a label, and labels under seal.
//!
//! [`open_target`] is the only way to them. [`Unlabelled`] has contents and their digests, and neither a class, a path nor a
//! split; it is ordered by digest, so that the order of files and folders tells nothing. [`Sealed`] labels come out once, for a
//! [`Decided`], which the job of adaptation makes when nothing is left to choose.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use super::image::Limits;
use super::inspect::{Inspection, InspectionStore, Outcome, inspect_all};
use super::intake::{InputKind, Intake};
use super::text::{Text, TextReading, open_texts, stream_texts};
use super::vectors::{Encoding, VectorReading, VectorSet, open_unlabelled, open_vectors};
use super::{Dataset, Grouping, ImageSource, Left, Reading, Split, Task, ending, images, open_as};
use crate::error::{Error, Problem, Result, first_of};
use crate::progress::Observer;
use crate::settings::{Adapt, Fit};

/// Characters of a text, and cells of a row, by which an example is shown.
const SHOWN: (usize, usize) = (2000, 40);
/// What names a column of texts.
const HINT: &str = "--to-text names the column of the target's texts";
/// Words of a cell, on average, of a column that looks like texts.
const LEAST_WORDS: usize = 2;
/// Examples of both domains that are named.
const NAMED: usize = 3;

/// Examples of a target domain: what is in them, and nothing else.
#[derive(Debug)]
pub struct Unlabelled {
    contents: Owned,
    digests: Vec<String>,
}

/// The contents of examples, by their kind.
#[derive(Debug)]
pub(super) enum Owned {
    Images(Vec<ImageSource>),
    Texts(Vec<Text>),
    Rows(Box<VectorSet>),
}

/// What a base reads of examples.
#[derive(Debug)]
pub(crate) enum Contents<'a> {
    /// Images, each with the SHA-256 of its bytes.
    Images(Vec<(ImageSource, String)>),
    /// Texts and the SHA-256 of each.
    Texts(Vec<&'a Text>, Vec<String>),
    /// Some rows.
    Rows(&'a VectorSet, Vec<usize>),
}

impl Unlabelled {
    /// Rows in the order of their digests, and what each was called.
    pub(super) fn of_rows(rows: &VectorSet, digests: &[String]) -> (Self, Vec<String>) {
        let (rows, digests) = sorted(rows, digests);
        let places = rows.names.clone();
        (Self { contents: Owned::Rows(Box::new(rows)), digests }, places)
    }

    /// The number of examples.
    pub fn len(&self) -> usize {
        self.digests.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.digests.is_empty()
    }

    /// The contents themselves.
    pub(super) fn owned(&self) -> &Owned {
        &self.contents
    }

    /// SHA-256 of the content of every example, ascending.
    pub(crate) fn digests(&self) -> &[String] {
        &self.digests
    }

    /// What a base reads.
    pub(crate) fn contents(&self) -> Contents<'_> {
        self.contents_of(&(0..self.len()).collect::<Vec<_>>())
    }

    /// What a base reads of some of them.
    pub(crate) fn contents_of(&self, which: &[usize]) -> Contents<'_> {
        let digests = || which.iter().map(|&at| self.digests[at].clone());
        match &self.contents {
            Owned::Images(images) => {
                Contents::Images(which.iter().map(|&at| images[at].clone()).zip(digests()).collect())
            }
            Owned::Texts(texts) => Contents::Texts(which.iter().map(|&at| &texts[at]).collect(), digests().collect()),
            Owned::Rows(set) => Contents::Rows(set, which.to_vec()),
        }
    }

    /// What an example is, for somebody who is to label it: its text, its cells, or nothing of an image, which has a file.
    pub(crate) fn shown(&self, index: usize) -> String {
        match &self.contents {
            Owned::Images(_) => String::new(),
            Owned::Texts(texts) => texts[index].beginning(SHOWN.0),
            Owned::Rows(set) => set.beginning(index, SHOWN.1),
        }
    }
}

/// That nothing is left to choose: made by the job of adaptation alone, when it has finished.
#[derive(Debug)]
pub struct Decided(());

impl Decided {
    /// Called once everything is chosen (a test of the architecture looks for it elsewhere).
    pub(crate) fn now() -> Self {
        Self(())
    }
}

/// Labels of a target domain that nobody may look at yet.
///
/// They are opened once, for a [`Decided`], which only a finished adaptation has:
/// ```compile_fail
/// fn look(sealed: engraft::data::Sealed) {
///     let labels = &sealed.labels;
/// }
/// ```
/// ```compile_fail
/// fn look(sealed: engraft::data::Sealed) {
///     println!("{sealed:?}");
/// }
/// ```
/// ```compile_fail
/// fn look(sealed: engraft::data::Sealed) {
///     sealed.open(&engraft::data::Decided::now());
/// }
/// ```
pub struct Sealed {
    labels: Vec<Option<usize>>,
    foreign: BTreeMap<String, usize>,
}

/// Labels that were under seal.
pub(crate) struct Unsealed {
    /// The class of every example among the source's; none where it has no label, or one that the source does not know.
    pub(crate) labels: Vec<Option<usize>>,
    /// Labels that the source does not know, with the number of their examples.
    pub(crate) foreign: BTreeMap<String, usize>,
}

impl Sealed {
    /// The labels, now that nothing depends on them any more.
    pub(crate) fn open(self, _: &Decided) -> Unsealed {
        Unsealed { labels: self.labels, foreign: self.foreign }
    }
}

/// Where the examples are, to be told once everything is chosen: a folder's name may be a label.
pub struct Places(Vec<String>);

impl Places {
    /// The place of an example.
    pub(crate) fn of(&self, index: usize, _: &Decided) -> &str {
        &self.0[index]
    }
}

/// How a source was read, which its target is to be read like.
pub struct SourceForm {
    /// What its examples are.
    pub(crate) kind: InputKind,
    /// Its classes.
    pub(crate) classes: Vec<String>,
    /// The columns of its texts; none where each was a file.
    pub(crate) text_columns: Vec<String>,
    /// Whether each example is two texts.
    pub(crate) pairs: bool,
    /// The column of its labels, where there was one.
    pub(crate) label: Option<String>,
    /// How its rows become numbers.
    pub(crate) encoding: Option<Encoding>,
    /// SHA-256 of the content of its training examples, with their names; none where it is not there.
    pub(crate) contents: Vec<(String, String)>,
}

impl SourceForm {
    /// Of a source that is there.
    ///
    /// # Errors
    /// [`Error::Data`] where rows cannot be encoded.
    pub fn of(source: &Intake) -> Result<Self> {
        let train = source.usable(Split::Train);
        let encoding = source.vectors().map(|set| Encoding::fit(set, &train)).transpose()?;
        let of_rows =
            source.vectors().zip(encoding.as_ref()).map(|(set, encoding)| encoding.digests(set)).transpose()?;
        let digest = |index: usize| of_rows.as_ref().map_or(&source.digests[index], |digests| &digests[index]).clone();
        let texts = source.texts().map(|texts| &texts.source);
        Ok(Self {
            kind: source.kind(),
            classes: source.dataset.classes.clone(),
            text_columns: texts.map(|texts| texts.text_columns.clone()).unwrap_or_default(),
            pairs: texts.is_some_and(|texts| texts.text_columns.len() == 2),
            label: match (texts, source.vectors()) {
                (Some(texts), _) => texts.label_column.clone(),
                (_, Some(set)) => set.source.label.clone(),
                _ => None,
            },
            encoding,
            contents: train
                .into_iter()
                .map(|index| (digest(index), source.dataset.examples[index].name.clone()))
                .collect(),
        })
    }
}

/// A target domain as it was opened.
pub struct Target {
    /// The examples.
    pub unlabelled: Unlabelled,
    /// Their labels, where there are any.
    pub sealed: Option<Sealed>,
    /// Where they are.
    pub(crate) places: Places,
    /// Examples of the source that are in the target too, by their names.
    pub duplicates: Vec<String>,
    /// What is to be said of how they were read.
    pub notes: Vec<String>,
}

impl Target {
    /// Says how it was read, and what it has in common with the source.
    pub(crate) fn tell(&self, observer: &dyn Observer) {
        self.notes.iter().for_each(|note| observer.say(&format!("target: {note}")));
        if !self.duplicates.is_empty() {
            let named = first_of(self.duplicates.iter().map(String::as_str), NAMED);
            let count = self.duplicates.len();
            observer.say(&format!("examples of the source that are in the target too: {count} ({named})"));
        }
    }
}

/// An example on its way into the order of digests.
struct Read<T> {
    digest: String,
    place: String,
    content: T,
}

/// An image, and what was seen of it.
type Seen = (ImageSource, Inspection);

/// Examples that were read like those of another data set, in the order of digests.
pub(super) struct Opened {
    pub(super) unlabelled: Unlabelled,
    pub(super) places: Vec<String>,
    /// What was seen of every image; nothing where they are none.
    pub(super) inspections: Vec<Inspection>,
    /// The class of every example by its place, where there are any.
    pub(super) labels: Option<HashMap<String, String>>,
    /// Why labels that are there could not be read.
    pub(super) refused: Option<String>,
    /// What is to be said of how they were read.
    pub(super) notes: Vec<String>,
}

/// Opens what `other` names, as a source was read.
///
/// # Errors
/// As [`open_target`].
pub(super) fn open_like(
    config: &Fit,
    other: &Adapt,
    source: &SourceForm,
    store: &dyn InspectionStore,
    observer: &dyn Observer,
) -> Result<Opened> {
    let kind = source.kind;
    let (mut notes, mut inspections) = (Vec::new(), Vec::new());
    let label = other.to_label.clone().or_else(|| source.label.clone());
    let (contents, digests, places) = match kind {
        InputKind::Images => {
            let (read, left) = read_images(&other.to, store, observer)?;
            notes.extend((left.count() > 0).then(|| format!("images left out: {}", left.told())));
            let (seen, digests, places) = in_order(read);
            let (images, seen) = seen.into_iter().unzip();
            inspections = seen;
            (Owned::Images(images), digests, places)
        }
        InputKind::Texts => {
            let (read, empty) = read_texts(config, other, source, observer, &mut notes)?;
            notes.extend((empty > 0).then(|| format!("empty texts left out: {empty}")));
            let (contents, digests, places) = in_order(read);
            (Owned::Texts(contents), digests, places)
        }
        InputKind::Vectors => {
            let (set, digests, places) = read_rows(config, other, source, label.as_deref(), observer, &mut notes)?;
            (Owned::Rows(Box::new(set)), digests, places)
        }
        InputKind::Words | InputKind::Questions => {
            let problem =
                Problem::new(format_args!("{} are not read without what they are labelled with", kind.unit()));
            return Err(Error::Usage(problem.expected("images, texts or rows").at(&other.to)));
        }
    };
    let (labels, refused) = match labels_of(config, other, source, label.as_deref(), observer) {
        Ok(labels) => (labels, None),
        Err(error) if other.to_label.is_some() || matches!(error, Error::Interrupted) => return Err(error),
        Err(error) => (None, Some(error.reason())),
    };
    Ok(Opened { unlabelled: Unlabelled { contents, digests }, places, inspections, labels, refused, notes })
}

/// Opens the target of an adaptation, as the source was read.
///
/// # Errors
/// [`Error::Data`] where nothing can be read, or lacks columns that the source has; [`Error::Usage`] where a column is named that
/// is not there.
pub fn open_target(
    config: &Fit,
    adapt: &Adapt,
    source: &SourceForm,
    store: &dyn InspectionStore,
    observer: &dyn Observer,
) -> Result<Target> {
    let Opened { unlabelled, places, labels, refused, mut notes, .. } =
        open_like(config, adapt, source, store, observer)?;
    notes.extend(refused.map(|why| format!("labels were not read: {why}")));
    let is_there = |digest: &String| unlabelled.digests.binary_search(digest).is_ok();
    let shared = source.contents.iter().filter(|(digest, _)| is_there(digest));
    let duplicates = shared.map(|(_, name)| name.clone()).collect();
    let sealed = labels.map(|labels| seal(&labels, &places, &source.classes, &adapt.to)).transpose()?;
    Ok(Target { unlabelled, sealed, places: Places(places), duplicates, notes })
}

/// Contents, digests and places in the order of digests.
fn in_order<T>(mut read: Vec<Read<T>>) -> (Vec<T>, Vec<String>, Vec<String>) {
    read.sort_by(|a, b| a.digest.cmp(&b.digest).then_with(|| a.place.cmp(&b.place)));
    let (mut contents, mut digests, mut places) = (Vec::new(), Vec::new(), Vec::new());
    for Read { digest, place, content } in read {
        contents.push(content);
        digests.push(digest);
        places.push(place);
    }
    (contents, digests, places)
}

/// Rows in the order of their digests, equal ones in that of their names.
fn sorted(rows: &VectorSet, digests: &[String]) -> (VectorSet, Vec<String>) {
    let mut order: Vec<usize> = (0..rows.rows()).collect();
    order.sort_by(|&a, &b| digests[a].cmp(&digests[b]).then_with(|| rows.names[a].cmp(&rows.names[b])));
    (rows.rows_only(&order), order.iter().map(|&row| digests[row].clone()).collect())
}

fn read_images(path: &Path, store: &dyn InspectionStore, observer: &dyn Observer) -> Result<(Vec<Read<Seen>>, Left)> {
    let rows = images(path, observer)?.into_iter().map(|source| super::dataset::Row {
        name: source.name(),
        source,
        class: String::new(),
        split: Split::Train,
        group: None,
    });
    let listed = Dataset::assemble(path.to_owned(), rows.collect());
    let inspections = inspect_all(&listed, &Limits::default(), store, observer)?;
    let (mut read, mut left) = (Vec::new(), Left::default());
    for (example, inspection) in listed.examples.into_iter().zip(inspections) {
        match &inspection.outcome {
            Outcome::Image { .. } => {
                let digest = inspection.sha256.clone();
                read.push(Read { digest, place: example.name, content: (example.source, inspection) });
            }
            Outcome::Bad { reason, .. } => left.note(reason, &example.name),
        }
    }
    Ok((read, left))
}

fn text_columns(adapt: &Adapt) -> Option<Vec<String>> {
    adapt.to_text.as_deref().map(|text| text.split(',').map(|name| name.trim().to_owned()).collect())
}

fn read_texts(
    config: &Fit,
    adapt: &Adapt,
    source: &SourceForm,
    observer: &dyn Observer,
    notes: &mut Vec<String>,
) -> Result<(Vec<Read<Text>>, usize)> {
    let of_source = source.text_columns.clone();
    let reading = |text: Vec<String>| TextReading { text, encoding: config.encoding.clone(), ..TextReading::default() };
    let is_table = adapt.to.is_file() && ending(&adapt.to).as_deref() != Some("txt");
    let mut guessed = false;
    let rows = match text_columns(adapt) {
        Some(asked) => stream_texts(&adapt.to, &reading(asked), observer)?,
        None if !is_table || of_source.is_empty() => stream_texts(&adapt.to, &reading(Vec::new()), observer)?,
        None => match stream_texts(&adapt.to, &reading(of_source.clone()), observer) {
            Ok(rows) => rows,
            Err(Error::Interrupted) => return Err(Error::Interrupted),
            Err(_) => {
                notes.push(format!(
                    "no column is called `{}`: the texts are found by what stands in the columns; --to-text names them",
                    of_source.join(",")
                ));
                guessed = true;
                stream_texts(&adapt.to, &reading(Vec::new()), observer).map_err(|error| match error {
                    Error::Data(problem) => Error::Data(problem.hint(HINT)),
                    other => other,
                })?
            }
        },
    };
    let pairs = source.pairs;
    let (mut read, mut empty) = (Vec::new(), 0);
    for row in rows {
        observer.check()?;
        let row = row?;
        if row.text.parts().all(|part| part.trim().is_empty()) {
            empty += 1;
            continue;
        }
        if pairs != row.text.second.is_some() {
            let expected = if pairs {
                "two texts in a row, as the other data set has"
            } else {
                "one text in a row, as the other data set has"
            };
            let problem = Problem::new("these are texts of different kinds").expected(expected);
            return Err(Error::Data(problem.at(&adapt.to).hint("--to-text names the column, or two")));
        }
        read.push(Read { digest: row.text.digest(), place: row.name, content: row.text });
    }
    let count = |text: &Text| text.parts().map(|part| part.split_whitespace().count()).sum::<usize>();
    let words: usize = read.iter().map(|row| count(&row.content)).sum();
    if guessed && words < LEAST_WORDS * read.len() {
        let problem = Problem::new(
            "the target has no column of texts that is called as the source's, and none that looks like texts",
        );
        let found = "columns with fewer than two words in a cell";
        let problem = problem.expected(of_source.join(",")).found(found).at(&adapt.to);
        return Err(Error::Data(problem.hint(HINT)));
    }
    Ok((read, empty))
}

fn read_rows(
    config: &Fit,
    adapt: &Adapt,
    source: &SourceForm,
    label: Option<&str>,
    observer: &dyn Observer,
    notes: &mut Vec<String>,
) -> Result<(VectorSet, Vec<String>, Vec<String>)> {
    let encoding = source.encoding.as_ref().expect("the source is rows");
    let reading = VectorReading {
        label: label.map(str::to_owned),
        kinds: encoding.kinds(),
        ignore: config.ignore_columns.clone(),
        encoding: config.encoding.clone(),
        ..VectorReading::default()
    };
    let (rows, _) = open_unlabelled(&adapt.to, &reading, observer)?;
    notes.extend(rows.source.remarks.iter().cloned());
    notes.extend(encoding.align(&rows)?);
    let digests = encoding.digests(&rows)?;
    let (mut sorted, digests) = sorted(&rows, &digests);
    let places = std::mem::take(&mut sorted.names);
    // Nobody is to know in which split a row was, nor what it was called.
    sorted.splits = vec![Split::Train; digests.len()];
    sorted.names = (1..=digests.len()).map(|at| format!("example {at}")).collect();
    Ok((sorted, digests, places))
}

/// The class of every example by its place, as a reader of labelled data finds it; nothing where there is none to find.
pub(super) fn labels_of(
    config: &Fit,
    adapt: &Adapt,
    source: &SourceForm,
    label: Option<&str>,
    observer: &dyn Observer,
) -> Result<Option<HashMap<String, String>>> {
    let path = &adapt.to;
    let known = |classes: &[String]| classes.iter().any(|class| source.classes.contains(class));
    let is_table = path.is_file();
    let dataset = match source.kind {
        InputKind::Texts if is_table && (label.is_none() || ending(path).as_deref() == Some("txt")) => return Ok(None),
        InputKind::Texts => {
            let mut text = text_columns(adapt).unwrap_or_default();
            if text.is_empty() && is_table {
                text.clone_from(&source.text_columns);
            }
            let reading = TextReading {
                text,
                label: label.filter(|_| is_table).map(str::to_owned),
                task: Some(Task::SingleLabel),
                encoding: config.encoding.clone(),
                merge_classes: config.merge_classes,
                ..TextReading::default()
            };
            match open_texts(path, &reading, observer) {
                Ok((set, _)) => set.labelled(),
                // Without a folder for each class there are no labels, and nothing is wrong.
                Err(_) if !is_table => return Ok(None),
                Err(error) => {
                    // The columns of texts may be called otherwise.
                    let other = TextReading { text: Vec::new(), ..reading };
                    open_texts(path, &other, observer).map_err(|_| error)?.0.labelled()
                }
            }
        }
        InputKind::Images => {
            let reading = Reading {
                task: Some(Task::SingleLabel),
                path_column: None,
                label_column: adapt.to_label.clone().or_else(|| config.label_column.clone()).filter(|_| is_table),
                grouping: Grouping::default(),
                encoding: config.encoding.clone(),
                merge_classes: config.merge_classes,
                bit_depth: None,
            };
            match open_as(path, &reading) {
                Ok(opened) => {
                    let mut dataset = opened.dataset;
                    dataset.examples.iter_mut().for_each(|example| example.name = example.source.name());
                    dataset
                }
                Err(error) if adapt.to_label.is_some() => return Err(error),
                Err(_) => return Ok(None),
            }
        }
        InputKind::Vectors => {
            let of_array = ending(path).as_deref() == Some("npy") || path.is_dir();
            if label.is_none() && !of_array {
                return Ok(None);
            }
            let reading = VectorReading {
                label: label.filter(|_| !of_array).map(str::to_owned),
                task: Some(Task::SingleLabel),
                ignore: config.ignore_columns.clone(),
                encoding: config.encoding.clone(),
                merge_classes: config.merge_classes,
                ..VectorReading::default()
            };
            match open_vectors(path, &reading, observer) {
                Ok((set, _)) => set.labelled(),
                Err(error) if adapt.to_label.is_some() => return Err(error),
                Err(_) => return Ok(None),
            }
        }
        InputKind::Words | InputKind::Questions => return Ok(None),
    };
    // Folders may stand for anything; a column that is named is one of labels.
    if !is_table && !known(&dataset.classes) {
        return Ok(None);
    }
    let class = |label: usize| dataset.classes[label].clone();
    Ok(Some(dataset.examples.iter().map(|example| (example.name.clone(), class(example.label))).collect()))
}

/// Labels in the order of the examples, under seal.
fn seal(labels: &HashMap<String, String>, places: &[String], classes: &[String], path: &Path) -> Result<Sealed> {
    let mut foreign: BTreeMap<String, usize> = BTreeMap::new();
    let labels: Vec<Option<usize>> = places
        .iter()
        .map(|place| {
            let label = labels.get(place)?;
            let known = classes.iter().position(|class| class == label);
            if known.is_none() {
                *foreign.entry(label.clone()).or_default() += 1;
            }
            known
        })
        .collect();
    if labels.iter().all(Option::is_none) && !foreign.is_empty() {
        let told: Vec<String> = foreign.keys().take(5).map(|name| format!("`{name}`")).collect();
        let expected: Vec<String> = classes.iter().take(5).map(|name| format!("`{name}`")).collect();
        return Err(Error::Data(
            Problem::new("source and target have no class in common")
                .expected(format!("labels as the source has: {}", expected.join(", ")))
                .found(told.join(", "))
                .at(path)
                .hint("leave the column of labels out of the target, or call the classes alike"),
        ));
    }
    Ok(Sealed { labels, foreign })
}
