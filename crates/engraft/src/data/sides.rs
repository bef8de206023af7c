//! Two data sets that are compared: what is in them, and the class of each example where that is known.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};

use super::bit_depth::used_bit_depth;
use super::column_names::listing;
use super::inspect::{Inspection, InspectionStore, Outcome};
use super::intake::{InputKind, Intake, text_reading};
use super::label_text::review;
use super::text::Text;
use super::text::minhash::{Sketch, normalised, search as search_texts};
use super::text::stream_texts;
use super::unlabelled::{Opened, Owned, labels_of, open_like};
use super::vectors::{
    Cell, Cells, Column, Encoding, VectorReading, VectorSet, find_label, is_identifier, open_unlabelled,
};
use super::{Contents, ImageSource, SourceForm, Task, Unlabelled, near};
use crate::error::{Error, Problem, Result, first_of, printable};
use crate::progress::{Observer, Silent};
use crate::settings::{Adapt, BitDepth, Fit};

/// Characters of a text, and cells of a row, by which an example is shown.
const SHOWN: (usize, usize) = (300, 12);
/// Rows of a table by which it is told whether it is one of texts, and the words of a cell that it then has on average.
const LOOKED_AT: usize = 200;
const LEAST_WORDS: usize = 2;
/// Columns and classes that are named.
const NAMED: usize = 5;

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

    /// How many different examples there are.
    pub(crate) fn different(&self) -> usize {
        let digests = self.unlabelled.digests();
        digests.len() - digests.windows(2).filter(|pair| pair[0] == pair[1]).count()
    }

    fn len(&self) -> usize {
        self.unlabelled.len()
    }
}

/// Opens two data sets as examples of one kind. The columns of the second are called as those of the first where `other` says
/// nothing. Either may be without labels; rows are compared by the columns that both have.
///
/// # Errors
/// [`Error::Data`] where either cannot be read or has no example, or they have nothing in common; [`Error::Usage`] for columns
/// that are not there, settings that the kind does not have, and kinds that are not compared.
pub fn open_sides(
    config: &Fit,
    kind: InputKind,
    other: &Adapt,
    stores: [&dyn InspectionStore; 2],
    observer: &dyn Observer,
) -> Result<Sides> {
    refuse_useless(config, kind, other)?;
    let mut notes = Vec::new();
    let (form, are_classes) = form_of(config, kind, stores[0], observer, &mut notes)?;
    let own = Adapt {
        to: config.data.clone(),
        to_text: config.text.clone(),
        to_label: config.label_column.clone(),
        ..Adapt::default()
    };
    let mut encoding = None;
    let [first, second] = if kind == InputKind::Vectors {
        let (read, learnt) = read_rows(config, [&own, other], &form, observer, &mut notes)?;
        encoding = Some(learnt);
        read
    } else {
        let read = |side: &Adapt, store: &dyn InspectionStore| open_like(config, side, &form, store, observer);
        [read(&own, stores[0])?, read(other, stores[1])?]
    };
    let mut both = [Read::of(first, &own.to, kind, &mut notes)?, Read::of(second, &other.to, kind, &mut notes)?];
    for (read, side) in both.iter_mut().zip([&own, other]) {
        if read.classes.iter().any(Option::is_none) {
            read.find_classes(config, side, &form, observer)?;
        }
    }
    let (classes, [ours, theirs]) = match are_classes {
        true => agreed(&both, config.merge_classes, &mut notes),
        false => (Vec::new(), [None, None]),
    };
    let [first, second] = both;
    let both = [Side { labels: ours, ..first.side }, Side { labels: theirs, ..second.side }];
    let mut bit_depth = None;
    if kind == InputKind::Images {
        let images: Vec<ImageSource> =
            both.iter().flat_map(|side| (0..side.len()).filter_map(|at| side.image(at).cloned())).collect();
        let (depth, said) = used_bit_depth(&images, config.bit_depth.unwrap_or(BitDepth::Auto), None, observer)?;
        bit_depth = depth;
        notes.extend(said);
    }
    Ok(Sides { kind, classes, both, encoding, bit_depth, notes })
}

/// Refuses settings that a kind of examples does not have: nothing is ignored in silence.
fn refuse_useless(config: &Fit, kind: InputKind, other: &Adapt) -> Result<()> {
    if kind.is_of_tokens() {
        let problem = Problem::new(format_args!("{} are not compared", kind.unit())).found(printable(&config.data));
        return Err(Error::Usage(problem.expected("images, texts or rows")));
    }
    let (images, texts, rows) = (kind == InputKind::Images, kind == InputKind::Texts, kind == InputKind::Vectors);
    let given = [
        ("--text", config.text.is_some() && !texts),
        ("--to-text", other.to_text.is_some() && !texts),
        ("--prompt", config.prompt.is_some() && !texts),
        ("--bit-depth", config.bit_depth.is_some() && !images),
        ("--ignore-column", !config.ignore_columns.is_empty() && !rows),
        ("--encoding", config.encoding.is_some() && images && config.data.is_dir() && other.to.is_dir()),
        ("--label-column", config.label_column.is_some() && config.data.is_dir() && !rows),
        ("--to-label", other.to_label.is_some() && other.to.is_dir() && !rows),
    ];
    match given.into_iter().find(|(_, useless)| *useless) {
        None => Ok(()),
        Some((flag, _)) => {
            let problem = Problem::new(format_args!("{flag} means nothing for these {}", kind.unit())).at(flag);
            Err(Error::Usage(problem.hint("leave it out")))
        }
    }
}

/// A data set, and the classes of its examples as far as they are known.
struct Read {
    side: Side,
    classes: Vec<Option<String>>,
    /// Why labels that are there could not be read.
    refused: Option<String>,
}

impl Read {
    fn of(opened: Opened, path: &Path, kind: InputKind, notes: &mut Vec<String>) -> Result<Self> {
        let Opened { unlabelled, places, inspections, labels, refused, notes: own } = opened;
        notes.extend(own.into_iter().map(|note| format!("{}: {note}", printable(path))));
        if unlabelled.is_empty() {
            let problem = Problem::new("there is no example to compare").expected(kind.unit());
            return Err(Error::Data(problem.found("none").at(path)));
        }
        let labels = labels.unwrap_or_default();
        let classes = places.iter().map(|place| labels.get(place).cloned()).collect();
        let side = Side { path: path.to_owned(), unlabelled, names: places, inspections, labels: None };
        Ok(Self { side, classes, refused })
    }

    /// Looks for classes where the reader of labelled data finds none, as of a set with one class alone: in the column of a table,
    /// or in the names of folders.
    fn find_classes(&mut self, config: &Fit, side: &Adapt, form: &SourceForm, observer: &dyn Observer) -> Result<()> {
        let mut found: Vec<Option<String>> = Vec::new();
        if side.to.is_dir() {
            let folder = |name: &String| {
                let parent = Path::new(name).parent()?.file_name()?.to_str()?.to_owned();
                form.classes.contains(&parent).then_some(parent)
            };
            found = self.side.names.iter().map(folder).collect();
        } else if form.kind == InputKind::Texts {
            let reading = VectorReading { encoding: config.encoding.clone(), ..VectorReading::default() };
            match open_unlabelled(&side.to, &reading, observer) {
                Ok((set, _)) => {
                    let column = label_column(&set, side, form);
                    let cells: HashMap<&String, Option<String>> =
                        column.into_iter().flat_map(|column| set.names.iter().zip(cells_of(column))).collect();
                    found = self.side.names.iter().map(|name| cells.get(name).cloned().flatten()).collect();
                }
                Err(Error::Interrupted) => return Err(Error::Interrupted),
                // The table is no table of cells: what was told before holds.
                Err(_) => {}
            }
        }
        let known = |classes: &[Option<String>]| classes.iter().flatten().count();
        if known(&found) > known(&self.classes) {
            self.classes = found;
        }
        Ok(())
    }
}

/// The column that holds the labels: the one that is asked for, else one called as the first data set's, else by its name.
fn label_column<'a>(set: &'a VectorSet, side: &Adapt, form: &SourceForm) -> Option<&'a Column> {
    let named = |name: &String| set.columns.iter().find(|column| column.name.eq_ignore_ascii_case(name));
    match &side.to_label {
        Some(asked) => named(asked),
        None => {
            let names: Vec<String> = set.columns.iter().map(|column| column.name.clone()).collect();
            form.label.as_ref().and_then(named).or_else(|| find_label(&names).map(|at| &set.columns[at]))
        }
    }
}

/// The cells of a column as names of classes.
fn cells_of(column: &Column) -> Vec<Option<String>> {
    let rows = match &column.cells {
        Cells::Numbers(numbers) => numbers.len(),
        Cells::Words { codes, .. } => codes.len(),
    };
    let name = |row: usize| match column.cell(row) {
        Cell::Missing => None,
        Cell::Number(number) => Some(number.to_string()),
        Cell::Word(word) => Some(word.to_owned()),
    };
    (0..rows).map(name).collect()
}

/// Reads rows of both alike: the columns that both have, of one kind, without the labels and without what only numbers the rows.
/// How they become numbers is learnt from all rows, so that neither is the measure of the other.
fn read_rows(
    config: &Fit,
    both: [&Adapt; 2],
    form: &SourceForm,
    observer: &dyn Observer,
    notes: &mut Vec<String>,
) -> Result<([Opened; 2], Encoding)> {
    let mut read = |side| read_table(config, side, form, observer, notes);
    let sets = [read(both[0])?, read(both[1])?];
    let columns = shared_columns([&sets[0].0, &sets[1].0], both, notes)?;
    let select =
        |set: &VectorSet| -> Vec<Column> { columns.iter().filter_map(|name| set.column(name).cloned()).collect() };
    let sets = sets.map(|(set, labels)| (VectorSet { columns: select(&set), ..set }, labels));
    let [first, second] = [&sets[0].0, &sets[1].0];
    let mut pooled = first.clone();
    pooled.names.extend(second.names.iter().cloned());
    pooled.columns = pooled.columns.into_iter().zip(second.columns.clone()).map(|(a, b)| a.followed_by(b)).collect();
    let encoding = Encoding::fit(&pooled, &(0..pooled.rows()).collect::<Vec<_>>())?;
    let opened = sets.map(|(set, labels)| {
        let (unlabelled, places) = Unlabelled::of_rows(&set, &set.digests());
        Opened { unlabelled, places, inspections: Vec::new(), labels, refused: None, notes: Vec::new() }
    });
    Ok((opened, encoding))
}

/// The rows of one table without its labels, and the class of each row by its name where there are any.
fn read_table(
    config: &Fit,
    side: &Adapt,
    form: &SourceForm,
    observer: &dyn Observer,
    notes: &mut Vec<String>,
) -> Result<(VectorSet, Option<HashMap<String, String>>)> {
    let reading = VectorReading {
        ignore: config.ignore_columns.clone(),
        encoding: config.encoding.clone(),
        ..VectorReading::default()
    };
    let (mut set, _) = open_unlabelled(&side.to, &reading, observer)?;
    let remarks = std::mem::take(&mut set.source.remarks);
    notes.extend(remarks.into_iter().map(|remark| format!("{}: {remark}", printable(&side.to))));
    let label = label_column(&set, side, form).map(|column| (column.name.clone(), cells_of(column)));
    if let (None, Some(asked)) = (&label, &side.to_label) {
        let names: Vec<String> = set.columns.iter().map(|column| column.name.clone()).collect();
        let problem = Problem::new(format_args!("there is no column `{asked}`")).expected("a column of the table");
        return Err(Error::Usage(problem.found(listing(&names)).at(&side.to)));
    }
    // An array has its labels beside it; of a table some may look like missing values, which the reader of labels knows.
    let told = labels_of(config, side, form, label.as_ref().map(|(name, _)| name.as_str()), observer);
    if matches!(told, Err(Error::Interrupted)) {
        return Err(Error::Interrupted);
    }
    let mut labels = told.unwrap_or_default();
    if let Some((name, cells)) = label {
        set.columns.retain(|column| column.name != name);
        let named = || set.names.iter().zip(cells).filter_map(|(name, cell)| Some((name.clone(), cell?))).collect();
        labels = labels.or_else(|| Some(named()));
    }
    Ok((set, labels))
}

/// Names of the columns that both have and that can be compared, in the order of the first; what is left out is said.
fn shared_columns(sets: [&VectorSet; 2], paths: [&Adapt; 2], notes: &mut Vec<String>) -> Result<Vec<String>> {
    let names = sets.map(|set| set.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>());
    let numbered = |names: &[&str]| names.iter().enumerate().all(|(at, name)| *name == format!("f{at}"));
    if names[0].len() != names[1].len() && names.iter().all(|names| numbered(names)) {
        let problem =
            Problem::new("the features have different widths").expected(format!("{} columns", names[0].len()));
        return Err(Error::Data(problem.found(format!("{} columns", names[1].len())).at(&paths[1].to)));
    }
    for (one, other, letter) in [(0, 1, "A"), (1, 0, "B")] {
        let alone: Vec<&str> = names[one].iter().copied().filter(|name| !names[other].contains(name)).collect();
        if !alone.is_empty() {
            notes.push(format!("columns that only {letter} has, not compared: {}", first_of(alone, NAMED)));
        }
    }
    let rows = sets.map(|set| (0..set.rows()).collect::<Vec<_>>());
    let mut kept = Vec::new();
    for name in &names[0] {
        let Some(columns) = sets[0].column(name).zip(sets[1].column(name)) else { continue };
        let is_number = |column: &Column| matches!(column.cells, Cells::Numbers(_));
        if is_identifier(columns.0, &rows[0]) || is_identifier(columns.1, &rows[1]) {
            notes.push(format!("the column `{name}` only numbers or names the rows: not compared"));
        } else if is_number(columns.0) != is_number(columns.1) {
            notes.push(format!("the column `{name}` is numbers in one and words in the other: not compared"));
        } else {
            kept.push((*name).to_owned());
        }
    }
    if kept.is_empty() {
        let problem = Problem::new("the tables have no column in common that can be compared");
        let problem = problem.expected(listing(&names[0].iter().map(|name| (*name).to_owned()).collect::<Vec<_>>()));
        let found = listing(&names[1].iter().map(|name| (*name).to_owned()).collect::<Vec<_>>());
        return Err(Error::Data(problem.found(found).at(&paths[1].to)));
    }
    Ok(kept)
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

/// How the first data set is read, as one with labels, else as one without; and whether labels are classes.
fn form_of(
    config: &Fit,
    kind: InputKind,
    store: &dyn InspectionStore,
    observer: &dyn Observer,
    notes: &mut Vec<String>,
) -> Result<(SourceForm, bool)> {
    let refused = match Intake::open(config, kind, store, observer) {
        // What only looks like labels is a feature like others here.
        Ok(intake) if intake.vectors().is_some_and(|set| set.source.is_guess) => {
            return Ok((unlabelled_form(config, kind, observer)?, true));
        }
        Ok(intake) => {
            let mut source = SourceForm::of(&intake)?;
            let task = intake.dataset.task();
            let are_classes = task == Task::SingleLabel;
            if !are_classes {
                source.classes.clear();
                notes.push(format!("the labels are no classes ({task}): they are not compared"));
            }
            return Ok((source, are_classes));
        }
        Err(error @ (Error::Interrupted | Error::Usage(_))) => return Err(error),
        Err(error) => error,
    };
    // What cannot be read at all is told by the reader of labelled data, which says more.
    let source = unlabelled_form(config, kind, observer).map_err(|error| match error {
        Error::Interrupted => error,
        _ => refused,
    })?;
    Ok((source, true))
}

fn unlabelled_form(config: &Fit, kind: InputKind, observer: &dyn Observer) -> Result<SourceForm> {
    let mut form = SourceForm {
        kind,
        classes: Vec::new(),
        text_columns: Vec::new(),
        pairs: false,
        label: config.label_column.clone(),
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
            let reading = VectorReading { encoding: config.encoding.clone(), ..VectorReading::default() };
            open_unlabelled(&config.data, &reading, observer)?;
        }
        InputKind::Images | InputKind::Words | InputKind::Questions => {}
    }
    Ok(form)
}

/// The classes of both and the class of each example, where all of both have one and some are of the same class.
fn agreed(both: &[Read; 2], merge: bool, notes: &mut Vec<String>) -> (Vec<String>, [Option<Vec<usize>>; 2]) {
    let none = (Vec::new(), [None, None]);
    let known = [0, 1].map(|side: usize| both[side].classes.iter().flatten().count());
    if known == [0, 0] {
        return none;
    }
    for (read, (known, letter)) in both.iter().zip(known.into_iter().zip(["A", "B"])) {
        let all = read.classes.len();
        if known < all {
            let why = match (known, &read.refused) {
                (0, Some(why)) => format!("{letter} has none that could be read (labels were not read: {why})"),
                (0, None) => format!("{letter} has none that could be read"),
                _ => format!("{} of {all} examples of {letter} have none", all - known),
            };
            notes
                .push(format!("classes are not compared: {why}; --label-column and --to-label name columns of tables"));
            return none;
        }
    }
    let mut labels: Vec<String> = both.iter().flat_map(|read| read.classes.iter().flatten().cloned()).collect();
    review(&mut labels, false, merge);
    let second = labels.split_off(known[0]);
    let names = [&labels, &second].map(|labels| labels.iter().collect::<BTreeSet<_>>());
    if names[0].is_disjoint(&names[1]) {
        let shown = names.each_ref().map(|names| first_of(names.iter().map(|name| format!("`{name}`")), NAMED));
        notes.push(format!("classes are not compared: none is in both (A: {}; B: {})", shown[0], shown[1]));
        return none;
    }
    let classes: Vec<String> = names[0].union(&names[1]).map(|name| (*name).clone()).collect();
    let place: BTreeMap<&String, usize> = classes.iter().enumerate().map(|(at, name)| (name, at)).collect();
    let labels = [&labels, &second].map(|labels| Some(labels.iter().map(|name| place[name]).collect()));
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
