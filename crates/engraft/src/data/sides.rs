//! Two data sets that are compared: what is in them, and the class of each example where that is known.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::PathBuf;

use super::bit_depth::sampled_bit_depth;
use super::inspect::{Inspection, InspectionStore, Outcome};
use super::intake::{InputKind, Intake, text_reading};
use super::text::Text;
use super::text::minhash::{Sketch, normalised, search as search_texts};
use super::text::stream_texts;
use super::unlabelled::{Opened, Owned, open_like};
use super::vectors::{Encoding, VectorReading, VectorSet, open_unlabelled};
use super::{Contents, ImageSource, SourceForm, Task, Unlabelled, near};
use crate::error::{Error, Problem, Result, printable};
use crate::progress::{Observer, Silent};
use crate::settings::{Adapt, BitDepth, Fit};

/// Characters of a text, and cells of a row, by which an example is shown.
const SHOWN: (usize, usize) = (300, 12);
/// Rows of a table by which it is told whether it is one of texts, and the words of a cell that it then has on average.
const LOOKED_AT: usize = 200;
const LEAST_WORDS: usize = 2;

/// One of the data sets, in the order of its examples' digests.
pub struct Side {
    /// Where it is, as given.
    pub(crate) path: PathBuf,
    /// What is in it.
    pub(crate) unlabelled: Unlabelled,
    /// What each example is called.
    pub(crate) names: Vec<String>,
    /// What was seen of each image; nothing where they are none.
    pub(crate) inspections: Vec<Inspection>,
    /// The class of each by its place in [`Sides::classes`]; nothing where any example has none.
    pub(crate) labels: Option<Vec<usize>>,
}

/// Two data sets of one kind, read alike.
pub struct Sides {
    /// What examples are.
    pub(crate) kind: InputKind,
    /// Names of the classes of both, sorted; none where those of either are not known.
    pub(crate) classes: Vec<String>,
    /// The data sets.
    pub(crate) both: [Side; 2],
    /// How rows become numbers; nothing where they are no rows.
    pub(crate) encoding: Option<Encoding>,
    /// Bits that images of 16 bits a channel are read by, where those are fewer than all.
    pub(crate) bit_depth: Option<u8>,
    /// What is to be said of how they were read.
    pub(crate) notes: Vec<String>,
}

/// Examples that are in both.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// Examples of the second that are equal to one of the first, each with it.
    pub(crate) equal: Vec<(usize, usize)>,
    /// Other examples of the second that are nearly the same as one of the first, each with it.
    pub(crate) near: Vec<(usize, usize)>,
}

impl Side {
    /// What an example is: its text or cells; nothing of an image, which is looked at.
    pub(crate) fn shown(&self, index: usize) -> String {
        match self.unlabelled.owned() {
            Owned::Images(_) => String::new(),
            Owned::Texts(texts) => texts[index].beginning(SHOWN.0),
            Owned::Rows(set) => set.beginning(index, SHOWN.1),
        }
    }

    /// An image's bytes.
    pub(crate) fn image(&self, index: usize) -> Option<&ImageSource> {
        if let Owned::Images(images) = self.unlabelled.owned() { images.get(index) } else { None }
    }

    /// The texts; none where they are not.
    pub(crate) fn texts(&self) -> &[Text] {
        if let Owned::Texts(texts) = self.unlabelled.owned() { texts } else { &[] }
    }

    /// The rows, where they are.
    pub(crate) fn rows(&self) -> Option<&VectorSet> {
        if let Owned::Rows(set) = self.unlabelled.owned() { Some(set) } else { None }
    }

    /// What a base reads of some examples.
    pub(crate) fn contents_of(&self, which: &[usize]) -> Contents<'_> {
        self.unlabelled.contents_of(which)
    }

    fn len(&self) -> usize {
        self.unlabelled.len()
    }
}

/// Opens two data sets as examples of one kind. The columns of the second are called as those of the first where `other` says
/// nothing. Either may be without labels.
///
/// # Errors
/// [`Error::Data`] where either cannot be read or has no example, or lacks columns that the first has; [`Error::Usage`] for
/// columns that are not there and kinds that are not compared.
pub fn open_sides(
    config: &Fit,
    kind: InputKind,
    other: &Adapt,
    stores: [&dyn InspectionStore; 2],
    observer: &dyn Observer,
) -> Result<Sides> {
    if kind.is_of_tokens() {
        let problem = Problem::new(format_args!("{} are not compared", kind.unit())).found(printable(&config.data));
        return Err(Error::Usage(problem.expected("images, texts or rows")));
    }
    let mut notes = Vec::new();
    let form = form_of(config, kind, stores[0], observer, &mut notes)?;
    let own = Adapt {
        to: config.data.clone(),
        to_text: config.text.clone(),
        to_label: config.label_column.clone(),
        ..Adapt::default()
    };
    let first = open_like(config, &own, &form, stores[0], observer)?;
    let second = open_like(config, other, &form, stores[1], observer)?;
    let (classes, labels) = labels_of([&first, &second], &form.classes, &mut notes);
    let [ours, theirs] = labels;
    let side = |opened: Opened, path: &PathBuf, labels, notes: &mut Vec<String>| {
        let Opened { unlabelled, places, inspections, notes: own, .. } = opened;
        notes.extend(own.into_iter().map(|note| format!("{}: {note}", printable(path))));
        if unlabelled.is_empty() {
            let problem = Problem::new("there is no example to compare").expected(kind.unit());
            return Err(Error::Data(problem.found("none").at(path)));
        }
        Ok(Side { path: path.clone(), unlabelled, names: places, inspections, labels })
    };
    let both = [side(first, &own.to, ours, &mut notes)?, side(second, &other.to, theirs, &mut notes)?];
    let mut bit_depth = None;
    if kind == InputKind::Images {
        let images: Vec<ImageSource> =
            both.iter().flat_map(|side| (0..side.len()).filter_map(|at| side.image(at).cloned())).collect();
        let (depth, said) = sampled_bit_depth(&images, config.bit_depth.unwrap_or(BitDepth::Auto), None);
        bit_depth = depth;
        notes.extend(said);
    }
    Ok(Sides { kind, classes, both, encoding: form.encoding, bit_depth, notes })
}

/// What the examples of the first data set are. As a fit has it ([`InputKind::of`]), but that a table without labels is one of rows
/// where no column of it looks like texts.
pub fn compared_kind(config: &Fit, observer: &dyn Observer) -> Result<InputKind> {
    let kind = InputKind::of(config);
    if kind != InputKind::Texts || config.text.is_some() || config.label_column.is_some() || !config.data.is_file() {
        return Ok(kind);
    }
    let words = |text: &Text| text.parts().map(|part| part.split_whitespace().count()).sum::<usize>();
    let texts = stream_texts(&config.data, &text_reading(config)?, &Silent).and_then(|rows| {
        let few = rows.take(LOOKED_AT).collect::<Result<Vec<_>>>()?;
        Ok(few.iter().map(|row| words(&row.text)).sum::<usize>() >= LEAST_WORDS * few.len())
    });
    if texts.unwrap_or(false) {
        return Ok(kind);
    }
    match unlabelled_form(config, InputKind::Vectors, observer) {
        Ok(_) => Ok(InputKind::Vectors),
        Err(Error::Interrupted) => Err(Error::Interrupted),
        Err(_) => Ok(kind),
    }
}

/// How the first data set is read: as one with labels, else as one without.
fn form_of(
    config: &Fit,
    kind: InputKind,
    store: &dyn InspectionStore,
    observer: &dyn Observer,
    notes: &mut Vec<String>,
) -> Result<SourceForm> {
    let refused = match Intake::open(config, kind, store, observer) {
        Ok(intake) => {
            let mut form = SourceForm::of(&intake)?;
            let task = intake.dataset.task();
            if task != Task::SingleLabel {
                form.classes.clear();
                notes.push(format!("the labels are no classes ({task}): they are not compared"));
            }
            return Ok(form);
        }
        Err(error @ (Error::Interrupted | Error::Usage(_))) => return Err(error),
        Err(error) if config.label_column.is_some() => return Err(error),
        Err(error) => error,
    };
    // What cannot be read at all is told by the reader of labelled data, which says more.
    unlabelled_form(config, kind, observer).map_err(|error| match error {
        Error::Interrupted => error,
        _ => refused,
    })
}

fn unlabelled_form(config: &Fit, kind: InputKind, observer: &dyn Observer) -> Result<SourceForm> {
    let mut form = SourceForm {
        kind,
        classes: Vec::new(),
        text_columns: Vec::new(),
        pairs: false,
        label: None,
        encoding: None,
        contents: Vec::new(),
    };
    match kind {
        InputKind::Texts => {
            let reading = text_reading(config)?;
            form.text_columns.clone_from(&reading.text);
            let first = stream_texts(&config.data, &reading, observer)?.next().transpose()?;
            form.pairs = first.is_some_and(|row| row.text.second.is_some());
        }
        InputKind::Vectors => {
            let reading = VectorReading {
                ignore: config.ignore_columns.clone(),
                encoding: config.encoding.clone(),
                ..VectorReading::default()
            };
            let (set, _) = open_unlabelled(&config.data, &reading, observer)?;
            form.encoding = Some(Encoding::fit(&set, &(0..set.rows()).collect::<Vec<_>>())?);
        }
        InputKind::Images | InputKind::Words | InputKind::Questions => {}
    }
    Ok(form)
}

/// The classes of both and the class of each example, where all of both have one and some are of the same class.
fn labels_of(both: [&Opened; 2], known: &[String], notes: &mut Vec<String>) -> (Vec<String>, [Option<Vec<usize>>; 2]) {
    let none = (Vec::new(), [None, None]);
    if known.is_empty() {
        return none;
    }
    let of = |opened: &'_ Opened| -> Option<Vec<String>> {
        let labels: &HashMap<String, String> = opened.labels.as_ref()?;
        opened.places.iter().map(|place| labels.get(place).cloned()).collect()
    };
    let (Some(first), Some(second)) = (of(both[0]), of(both[1])) else {
        notes.push("classes are not compared: not every example of both has one that could be read".into());
        return none;
    };
    let names = [&first, &second].map(|labels| labels.iter().collect::<BTreeSet<_>>());
    if names[0].is_disjoint(&names[1]) {
        notes.push("classes are not compared: none is in both".into());
        return none;
    }
    let classes: Vec<String> = names[0].union(&names[1]).map(|name| (*name).clone()).collect();
    let place: BTreeMap<&String, usize> = classes.iter().enumerate().map(|(at, name)| (name, at)).collect();
    let labels = [&first, &second].map(|labels| Some(labels.iter().map(|name| place[name]).collect()));
    (classes, labels)
}

impl Sides {
    /// Examples that are in both, by their content; of images and texts also what is nearly the same.
    pub(crate) fn shared(&self) -> Shared {
        let [ours, theirs] = &self.both;
        let first = ours.len();
        let digest = |at: usize| match at.checked_sub(first) {
            None => &ours.unlabelled.digests()[at],
            Some(at) => &theirs.unlabelled.digests()[at],
        };
        let mut equal: BTreeMap<usize, usize> = BTreeMap::new();
        for at in 0..theirs.len() {
            if let Ok(own) = ours.unlabelled.digests().binary_search(&theirs.unlabelled.digests()[at]) {
                equal.insert(at, own);
            }
        }
        let mut near: BTreeMap<usize, usize> = BTreeMap::new();
        let mut found = |i: usize, j: usize| {
            if i < first && j >= first && digest(i) != digest(j) && !equal.contains_key(&(j - first)) {
                near.entry(j - first).or_insert(i);
            }
        };
        let wanted = |i: usize, j: usize| i < first && j >= first;
        match self.kind {
            InputKind::Images => {
                let seen = ours.inspections.iter().chain(&theirs.inspections);
                let looks: Vec<near::Look<'_>> = seen
                    .filter_map(|seen| match &seen.outcome {
                        Outcome::Image { thumbnail, width, height, .. } => {
                            Some(near::Look { thumbnail, size: (*width, *height) })
                        }
                        Outcome::Bad { .. } => None,
                    })
                    .collect();
                // Every one that was kept is an image.
                if looks.len() == first + theirs.len() {
                    near::search(&looks, wanted, found);
                }
            }
            InputKind::Texts => {
                let texts: Vec<String> = ours.texts().iter().chain(theirs.texts()).map(normalised).collect();
                let sketches: Vec<Sketch> = texts.iter().map(|text| Sketch::of(text)).collect();
                search_texts(&sketches.iter().collect::<Vec<_>>(), |at| texts[at].clone(), wanted, &mut found);
            }
            InputKind::Vectors | InputKind::Words | InputKind::Questions => {}
        }
        Shared { equal: pairs(equal), near: pairs(near) }
    }
}

/// Each of the second with the one of the first, turned.
fn pairs(found: BTreeMap<usize, usize>) -> Vec<(usize, usize)> {
    found.into_iter().map(|(theirs, own)| (own, theirs)).collect()
}
