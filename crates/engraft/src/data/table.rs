//! A data set as a table of images: CSV, TSV, JSON lines or Parquet with a column that names image files or holds their
//! bytes ([`super::image_columns`]), one of labels, and one of splits if there is one.
//!
//! A label is a class, several labels with `|` between them, or a number (see [`super::task`]); columns that say yes and no
//! are labels, too ([`super::label_flags`]). Without a column of splits the folders in the paths may say them. Paths are relative to the table's folder; the usual repairs are tried ([`super::image_paths`]). Names of
//! columns are found in any case. A column of groups is none of the others. A file that does not exist is kept: the audit
//! leaves it out.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::column_names::find;
use super::dataset::{Dataset, Row, Split};
use super::finding::{Finding, FindingKind, Severity};
use super::group_hints::{is_named_like_groups, of_cell, suggested_column, suggested_pattern};
use super::grouping::COLUMN_FLAG;
use super::image_columns::{self, ImageColumn, ImageForm, from_base64, holds_base64};
use super::image_labels;
use super::image_paths::{Finder, Found, Use, root_of};
use super::image_source::ImageSource;
use super::label_columns::LabelColumns;
use super::label_text::{Tidied, review};
use super::split_column::SplitColumn;
use super::split_names::loose;
use super::task::{Inferred, SEPARATOR, Task, infer, label_set, number};
use super::text::Limits;
use super::text::encoding::encoding_of;
use super::text::record::at;
use super::text::table::{Blobs, Opening, Record, Table};
use super::{Opened, Reading};
use crate::error::{Error, Problem, Result, first_of, printable};
use crate::progress::Silent;

/// Rows that are looked at to find out what the cells of a column are.
const LOOKED_AT: usize = 16;
/// The most bytes of images that are kept in memory.
const IN_MEMORY: u64 = 4 << 30;
/// Contradicting lines that a message names.
const LINES: usize = 10;

/// Reads a table of classes.
///
/// # Errors
/// [`Error::Data`], with the line's number, when a column, a path or a label is missing, a split is unknown, or a row has
/// more or fewer fields than the header; and when there are fewer than two classes.
pub fn read(path: &Path) -> Result<(Dataset, Vec<Finding>)> {
    let opened = read_as(path, &Reading { task: Some(Task::SingleLabel), ..Reading::default() })?;
    Ok((opened.dataset, opened.findings))
}

/// Reads a table of classes, sets of labels or numbers.
///
/// In multi-label a file may stand in several rows: it has the labels of all. Labels that are not finite numbers are kept
/// for the audit to leave out.
///
/// # Errors
/// As [`read`]; and where the task is to be inferred and cannot be ([`infer`]), or a label is not a number in regression.
pub fn read_as(path: &Path, reading: &Reading) -> Result<Opened> {
    let asked = [&reading.path_column, &reading.label_column, &reading.grouping.column];
    let named: Vec<&str> = asked.into_iter().flatten().map(String::as_str).collect();
    let encoding = encoding_of(reading.encoding.as_deref())?;
    let table = Table::open(path, &Opening { named: &named, encoding, glance: false }, &Limits::default(), &Silent)?;
    let mut columns = Columns::find(&table, reading)?;
    let Rows { mut lines, mut unlabelled, empty, mut findings, suggested } = columns.rows(&table)?;
    findings.extend(without_cells(empty, "rows whose cells are empty, left out"));
    if columns.split.is_none() {
        findings.extend(split_by_paths(lines.iter_mut().map(|line| &mut line.row)));
    }
    if lines.is_empty() {
        return Err(Error::Data(Problem::new("the table has no rows").expected("one row per image").at(path)));
    }
    let decimal_comma = table.decimal_comma();
    let inferred = match (reading.task, columns.label.task()) {
        (Some(task), _) => Inferred { task, reason: "it was asked for".into() },
        (None, Some(inferred)) => inferred,
        (None, None) => {
            let labels: Vec<&str> = lines.iter().map(|line| line.row.class.as_str()).collect();
            infer(&labels, decimal_comma).map_err(|error| match error {
                Error::Data(problem) => Error::Data(problem.at(path)),
                other => other,
            })?
        }
    };
    // An empty cell is no class; in other tasks it may be a set without labels, or a number that is missing.
    let has_label = |line: &Line| inferred.task != Task::SingleLabel || !line.row.class.trim().is_empty();
    let (lines, without): (Vec<Line>, Vec<Line>) = lines.into_iter().partition(has_label);
    unlabelled.extend(without.into_iter().map(|line| line.row.name));
    let mut labels: Vec<String> = Vec::with_capacity(lines.len());
    for Line { line, row, .. } in &lines {
        let label = canonical(&row.class, inferred.task, decimal_comma);
        labels.push(label.map_err(|problem| Error::Data(problem.at(at(path, *line))))?);
    }
    if matches!(inferred.task, Task::SingleLabel | Task::MultiLabel) {
        let (mut tidied, several) = (Tidied::default(), inferred.task == Task::MultiLabel);
        for (label, line) in labels.iter_mut().zip(&lines) {
            *label = tidied.label(label, line.padded, several);
        }
        findings.extend(tidied.finding());
        findings.extend(review(&mut labels, several, reading.merge_classes));
    }
    // Every line that names a file, by the file's name: repetitions are told, contradictions left out.
    let mut rows: BTreeMap<String, Vec<(u64, Row)>> = BTreeMap::new();
    for (Line { line, row, .. }, class) in lines.into_iter().zip(labels) {
        rows.entry(row.name.clone()).or_default().push((line, Row { class, ..row }));
    }
    if inferred.task == Task::MultiLabel {
        rows.values_mut().for_each(unite);
    }

    let (rows, settled) = settle(rows);
    let contradictions = settled.iter().find(|finding| finding.severity == Severity::Serious);
    let contradictions = contradictions.map(|finding| finding.message.clone());
    findings.extend(settled);
    findings.extend(columns.findings(&table));
    findings.extend(without_cells(unlabelled, "rows without a label, left out"));
    let mut dataset = Dataset::assemble(root_of(path), rows).recast(inferred.task)?;
    dataset.group_by(&reading.grouping)?;
    if !reading.grouping.is_asked() {
        findings.extend(suggested.or_else(|| suggested_pattern(&dataset, "images")));
    }
    let (least, expected) = match inferred.task {
        Task::SingleLabel => (2, "at least two different labels in the column of labels"),
        Task::MultiLabel => (1, "at least one label in the column of labels"),
        Task::Regression | Task::Tags | Task::Answers => (0, ""),
    };
    if dataset.classes.len() < least {
        let found = dataset.classes.first().map_or("none", String::as_str);
        let what = if least == 2 { "there are fewer than two classes" } else { "there are no labels" };
        let problem = Problem::new(what).expected(expected).at(path);
        return Err(Error::Data(match contradictions {
            Some(left_out) => problem
                .found(format!("{found}; {left_out}"))
                .hint("where an image has several labels, as in tables of boxes, add --task multi-label"),
            None => problem.found(found),
        }));
    }
    if !dataset.has(Split::Train) {
        return Err(Error::Data(
            Problem::new("there is no training data").expected("rows whose split is train or empty").at(path),
        ));
    }
    Ok(Opened { dataset, findings, inferred })
}

/// The images of a table, without their labels: for what is to be answered or embedded.
///
/// # Errors
/// [`Error::Data`] where it cannot be read or has no column of images.
pub(super) fn images_of(path: &Path) -> Result<(Vec<ImageSource>, Vec<Finding>)> {
    let table = Table::open(path, &Opening::default(), &Limits::default(), &Silent)?;
    let image = image_columns::find(&table, None)?.ok_or_else(|| no_images(&table))?;
    table.require_once(image.column)?;
    let mut images = Images::new(&table, &image)?;
    let wanted: Vec<usize> = if image.form == ImageForm::Bytes { Vec::new() } else { vec![image.column] };
    let (mut read, mut empty) = (Vec::new(), Vec::new());
    for record in table.records(&wanted)? {
        let record = record?;
        let cell = record.fields.first().and_then(Option::as_deref);
        match image.form {
            ImageForm::Path if cell.is_none_or(str::is_empty) => empty.push(format!("row {}", record.row)),
            _ => read.push(images.next(record.row, cell, None)?),
        }
    }
    images.refuse_urls(read.len(), path)?;
    images.finder.refuse_ambiguous(path)?;
    let sources = read.into_iter().map(|image| images.settled(image).source).collect();
    let mut findings: Vec<Finding> = image.reason.map(guessed).into_iter().collect();
    findings.extend(without_cells(empty, "rows without an image, left out"));
    findings.extend(table.findings());
    findings.extend(images.finder.findings());
    Ok((sources, findings))
}

fn no_images(table: &Table) -> Error {
    let expected = "a header with the columns path and label (and split, if the data is split already), or a column of image files";
    let problem = Problem::new("a column is missing").expected(expected).found(table.listing());
    let hint = "columns of other names are named with --path-column and --label-column";
    Error::Data(problem.suggest("path", table.columns().iter().map(String::as_str)).hint(hint).at(at(table.path(), 1)))
}

/// Rows without what they need, where there are any.
fn without_cells(rows: Vec<String>, what: &str) -> Option<Finding> {
    let message = format!("{what}: {}", rows.len());
    (!rows.is_empty()).then(|| Finding::new(FindingKind::MissingValue, Severity::Warning, message, rows))
}

/// Gives rows the splits that the folders in their paths say, as folders of images do: one that stands at the same place in all
/// paths, where all of them say a split, and one the training data. A folder that is the row's class says none.
fn split_by_paths<'a>(rows: impl Iterator<Item = &'a mut Row>) -> Option<Finding> {
    let mut rows: Vec<&mut Row> = rows.collect();
    let of_files = rows.iter().all(|row| row.source.file().is_some());
    let parents = |row: &Row| row.name.rsplit_once('/').map_or(0, |(parents, _)| parents.split('/').count());
    let depth = if of_files { rows.iter().map(|row| parents(row)).min().unwrap_or(0) } else { 0 };
    let said = |row: &Row, at: usize| {
        let folder = row.name.split('/').nth(at).unwrap_or_default();
        let split = loose(folder).filter(|_| !row.class.eq_ignore_ascii_case(folder))?;
        Some((folder.to_owned(), split))
    };
    let says_splits = |at: &usize| {
        let splits: Option<BTreeSet<Split>> = rows.iter().map(|row| said(row, *at).map(|(_, split)| split)).collect();
        splits.is_some_and(|splits| splits.len() > 1 && splits.contains(&Split::Train))
    };
    let at = (0..depth).find(says_splits)?;
    let mut folders = BTreeMap::new();
    for row in &mut rows {
        if let Some((folder, split)) = said(row, at) {
            row.split = split;
            folders.insert(folder, split);
        }
    }
    let told: Vec<String> = folders.iter().map(|(folder, split)| format!("`{folder}` is {}", split.name())).collect();
    let message =
        format!("the folders in the paths say the splits: {}; a column named split says otherwise", told.join(", "));
    Some(guessed(message))
}

fn guessed(message: String) -> Finding {
    Finding::new(FindingKind::Guessed, Severity::Info, message, Vec::new())
}

/// One row with its line.
struct Line {
    line: u64,
    row: Row,
    /// Whether its label had blanks around it.
    padded: bool,
}

/// The image of a row.
struct Image {
    source: ImageSource,
    name: String,
    /// Of a file that lies elsewhere than the table says the cell, and how it was found.
    repaired: Option<(String, Use)>,
}

#[derive(Default)]
struct Rows {
    lines: Vec<Line>,
    unlabelled: Vec<String>,
    /// Rows of which all cells are empty.
    empty: Vec<String>,
    findings: Vec<Finding>,
    /// A column that may be groups, where none are asked for.
    suggested: Option<Finding>,
}

/// The images of a table, row by row.
struct Images {
    finder: Finder,
    form: ImageForm,
    bytes: Option<Blobs>,
    table: String,
    total: u64,
}

impl Images {
    fn new(table: &Table, image: &ImageColumn) -> Result<Self> {
        Ok(Self {
            finder: Finder::of_table(table),
            form: image.form,
            bytes: (image.form == ImageForm::Bytes).then(|| table.bytes(image.column)).transpose()?,
            table: printable(table.path()),
            total: 0,
        })
    }

    /// The image of the next row; `split` is its split, where a column says it.
    fn next(&mut self, row: u64, cell: Option<&str>, split: Option<Split>) -> Result<Image> {
        let cell = match &mut self.bytes {
            None if self.form == ImageForm::Path => {
                let cell = cell.unwrap_or_default();
                let Found { path, repair, .. } = self.finder.find(cell, split);
                let repaired = repair.map(|repair| (cell.to_owned(), repair));
                return Ok(self.at(&path, repaired));
            }
            None => from_base64(cell.unwrap_or_default()),
            Some(bytes) => bytes.next().transpose()?.flatten().unwrap_or_default(),
        };
        self.total += cell.len() as u64;
        if self.total > IN_MEMORY {
            let problem = Problem::new("the table holds more images than are kept in memory");
            let expected = format!("at most {} GiB", IN_MEMORY >> 30);
            return Err(Error::Data(problem.expected(expected).hint("write the images to files").at(&self.table)));
        }
        let name = format!("row {row}");
        let source = ImageSource::Cell { name: format!("{} {name}", self.table), bytes: cell.into() };
        Ok(Image { source, name, repaired: None })
    }

    fn at(&self, path: &Path, repaired: Option<(String, Use)>) -> Image {
        Image { source: ImageSource::File(self.finder.place(path)), name: printable(path), repaired }
    }

    /// An image now that all rows are known: where its cell says, if the repair that found it holds no longer.
    fn settled(&self, image: Image) -> Image {
        match &image.repaired {
            Some((cell, repair)) if self.finder.is_withdrawn(repair) => self.at(&Finder::as_named(cell), None),
            _ => image,
        }
    }

    /// Refuses images of which all are named by URL.
    fn refuse_urls(&self, rows: usize, path: &Path) -> Result<()> {
        match self.finder.urls() {
            [first, ..] if self.finder.urls().len() == rows => {
                let problem = Problem::new("the images are named by URL, and are not fetched");
                let problem = problem.expected("paths of files, relative to the table's folder").found(first);
                let hint = "download them into a folder beside the table, and name the files; --text names a column of texts to \
                            learn from in their place";
                Err(Error::Data(problem.hint(hint).at(path)))
            }
            _ => Ok(()),
        }
    }
}

/// What the columns of a table are for.
struct Columns {
    image: ImageColumn,
    label: LabelColumns,
    split: Option<SplitColumn>,
    /// What says which images belong together.
    group: Option<usize>,
    /// Columns that are named like groups, where none are asked for.
    suggestible: Vec<usize>,
}

impl Columns {
    fn find(table: &Table, reading: &Reading) -> Result<Self> {
        let (names, path) = (table.columns(), table.path());
        let group = reading.grouping.column.as_deref();
        let group = group.map(|name| find(names, name, COLUMN_FLAG, path)).transpose()?;
        let bytes = table.byte_columns();
        if let Some(group) = group.filter(|group| bytes.contains(group)) {
            let problem = Problem::new("a column of bytes cannot be the group").found(&names[group]);
            return Err(Error::Usage(problem.at(COLUMN_FLAG)));
        }
        let image = match &reading.path_column {
            Some(asked) => {
                let column = find(names, asked, "--path-column", path)?;
                let form = if bytes.contains(&column) { ImageForm::Bytes } else { text_form(table, column)? };
                ImageColumn { column, form, reason: None }
            }
            None => image_columns::find(table, group)?.ok_or_else(|| no_images(table))?,
        };
        let others: Vec<usize> = (0..names.len()).filter(|column| !bytes.contains(column)).collect();
        let sample = table.sample_of(&others, 1000)?;
        let cells = |column: usize| -> Vec<&str> {
            let Some(at) = others.iter().position(|other| *other == column) else { return Vec::new() };
            sample.iter().map(|row| row.fields[at].as_deref().unwrap_or_default()).collect()
        };
        let asked =
            reading.label_column.as_ref().map(|asked| find(names, asked, "--label-column", path)).transpose()?;
        // The parts of one structure, as `image.bytes` and `image.path`, are of one image.
        let part = |column: usize| names[column].rsplit_once('.').map(|(whole, _)| whole);
        let of_image =
            |column: usize| column == image.column || part(column).is_some() && part(column) == part(image.column);
        let may_split = |column: usize| !of_image(column) && ![asked, group].contains(&Some(column));
        let split = SplitColumn::find_beside_content(names, may_split, cells, |column| table.words_of(column));
        let at = split.as_ref().map(|split| split.column);
        let is_free = |column: &usize| !of_image(*column) && ![at, group].contains(&Some(*column));
        let free: Vec<usize> = others.iter().copied().filter(is_free).collect();
        let label = image_labels::find(table, asked, &free, &others, &sample)?;
        if asked == Some(image.column) {
            let problem = Problem::new("one column cannot be the images and the label").found(&names[image.column]);
            return Err(Error::Usage(problem.at("--path-column and --label-column")));
        }
        if let Some(both) = group.filter(|group| *group == image.column || label.columns().contains(group)) {
            let problem = Problem::new("one column cannot be the group and the images or label").found(&names[both]);
            return Err(Error::Usage(problem.at(COLUMN_FLAG)));
        }
        for column in [Some(image.column), at, group].into_iter().flatten() {
            table.require_once(column)?;
        }
        label.require_once(table)?;
        let is_suggestible =
            |column: &usize| !label.columns().contains(column) && is_named_like_groups(&names[*column]);
        let suggestible = match reading.grouping.is_asked() {
            true => Vec::new(),
            false => free.into_iter().filter(is_suggestible).collect(),
        };
        Ok(Self { image, label, split, group, suggestible })
    }

    fn rows(&mut self, table: &Table) -> Result<Rows> {
        let path = table.path();
        let labels = self.label.columns().len();
        let mut wanted = self.label.columns().to_vec();
        wanted.extend(self.split.as_ref().map(|split| split.column));
        let after_split = wanted.len();
        wanted.extend(self.group.iter().chain(&self.suggestible));
        let mut suggestible = vec![Vec::new(); self.suggestible.len()];
        let of_bytes = self.image.form == ImageForm::Bytes;
        if !of_bytes {
            wanted.push(self.image.column);
        }
        let mut images = Images::new(table, &self.image)?;
        let (mut rows, mut read) = (Rows::default(), Vec::new());
        for record in table.records(&wanted)? {
            let record = record?;
            let image = wanted.len() - 1;
            if !of_bytes && record.lists.contains(&image) {
                let problem = Problem::new("a cell of the column of images is a list").expected("one image");
                return Err(Error::Data(problem.found(&table.columns()[self.image.column]).at(at(path, record.line))));
            }
            let Record { row, line, fields, padded, .. } = record;
            if !of_bytes && fields.iter().flatten().all(String::is_empty) {
                rows.empty.push(format!("row {row}"));
                continue;
            }
            let refused = |problem: Problem| Error::Data(problem.at(at(path, line)));
            let cell = |at: usize| fields.get(at).and_then(Option::as_deref).unwrap_or_default();
            let place = if of_bytes { None } else { Some(cell(image)) };
            // Whether a label may be empty depends on the task.
            if place == Some("") {
                let column = &table.columns()[self.image.column];
                let problem =
                    Problem::new("a field is empty").expected("a path or an image in every row that has other cells");
                return Err(refused(problem.found(format!("nothing in the column `{column}`"))));
            }
            let said = self.split.as_mut().map(|split| split.read(cell(labels), Split::Train));
            let said = said.transpose().map_err(refused)?;
            let image = images.next(row, place, said)?;
            let split = said.unwrap_or(Split::Train);
            let group = self.group.and_then(|_| of_cell(Some(cell(after_split))));
            match self.label.label(&fields[..labels]).map_err(refused)? {
                Some(class) => {
                    let padded = padded.iter().any(|&at| at < labels);
                    let of_column = suggestible.iter_mut().zip(after_split..);
                    of_column.for_each(|(cells, at)| cells.push(cell(at).to_owned()));
                    read.push((image, line, class, split, group, padded));
                }
                None => rows.unlabelled.push(image.name),
            }
        }
        images.refuse_urls(read.len() + rows.unlabelled.len(), path)?;
        images.finder.refuse_ambiguous(path)?;
        rows.lines.extend(read.into_iter().map(|(image, line, class, split, group, padded)| {
            let Image { source, name, .. } = images.settled(image);
            Line { line, row: Row { source, name, class, split, group }, padded }
        }));
        rows.findings = images.finder.findings();
        rows.suggested = self.suggestible.iter().zip(&suggestible).find_map(|(&column, cells): (_, &Vec<String>)| {
            suggested_column(&table.columns()[column], cells.iter().map(|cell| Some(cell.as_str())), "images")
        });
        Ok(rows)
    }

    /// What was guessed of the table.
    fn findings(&self, table: &Table) -> Vec<Finding> {
        let remarks: Vec<String> = self.image.reason.clone().into_iter().chain(self.label.reason()).collect();
        let of_encoding = table.encoding().and_then(|encoding| encoding.remark());
        let of_table = table.remarks().into_iter().filter(|remark| Some(remark) != of_encoding.as_ref());
        let mut findings: Vec<Finding> = remarks.into_iter().chain(of_table).map(guessed).collect();
        findings.extend(table.findings());
        findings.extend(self.label.findings());
        findings.extend(self.split.as_ref().and_then(SplitColumn::finding));
        findings
    }
}

/// What the cells of a column of text are that was asked for.
fn text_form(table: &Table, column: usize) -> Result<ImageForm> {
    let sample = table.sample_of(&[column], LOOKED_AT)?;
    let cells: Vec<&str> = sample.iter().filter_map(|row| row.fields[0].as_deref()).collect();
    Ok(if holds_base64(&cells) { ImageForm::Base64 } else { ImageForm::Path })
}

/// A label as one and the same text for one and the same target.
pub(super) fn canonical(text: &str, task: Task, decimal_comma: bool) -> std::result::Result<String, Problem> {
    match task {
        Task::SingleLabel if text.is_empty() => {
            Err(Problem::new("a field is empty").expected("a path and a label in every row"))
        }
        Task::SingleLabel => Ok(text.to_owned()),
        Task::MultiLabel => Ok(label_set(text).join(&SEPARATOR.to_string())),
        Task::Regression => number(text, decimal_comma).map(|value| value.to_string()).ok_or_else(|| {
            Problem::new("a label is not a number").expected("a number, or nothing where it is missing").found(text)
        }),
        // Refused where all labels are read together.
        Task::Tags | Task::Answers => Ok(text.to_owned()),
    }
}

/// The rows of one file as one row with the labels of all, where they are of one split.
fn unite(rows: &mut Vec<(u64, Row)>) {
    let [(_, first), rest @ ..] = rows.as_slice() else { return };
    if rest.is_empty() || rest.iter().any(|(_, row)| row.split != first.split) {
        return;
    }
    let all: Vec<&str> = rows.iter().map(|(_, row)| row.class.as_str()).collect();
    let united = label_set(&all.join(&SEPARATOR.to_string())).join(&SEPARATOR.to_string());
    rows.truncate(1);
    rows[0].1.class = united;
}

/// Keeps one row for each file; none where the rows contradict each other.
fn settle(rows: BTreeMap<String, Vec<(u64, Row)>>) -> (Vec<Row>, Vec<Finding>) {
    let (mut kept, mut repeated, mut contradicting) = (Vec::new(), Vec::new(), Vec::new());
    let mut lines = Vec::new();
    for (name, group) in rows {
        let alike = group.iter().all(|(_, row)| row.class == group[0].1.class && row.split == group[0].1.split);
        if !alike {
            lines.push(group.iter().map(|(line, _)| line.to_string()).collect::<Vec<_>>().join(" and "));
            contradicting.push(name);
            continue;
        }
        if group.len() > 1 {
            repeated.push(name);
        }
        kept.extend(group.into_iter().next().map(|(_, row)| row));
    }
    let mut findings = Vec::new();
    if !repeated.is_empty() {
        let message = format!("files named by several rows, used once: {}", repeated.len());
        findings.push(Finding::new(FindingKind::DuplicateRow, Severity::Warning, message, repeated));
    }
    if !contradicting.is_empty() {
        let message = format!(
            "files that rows give different labels or splits, left out: {} (lines {})",
            contradicting.len(),
            first_of(&lines, LINES)
        );
        findings.push(Finding::new(FindingKind::DuplicateRow, Severity::Serious, message, contradicting));
    }
    (kept, findings)
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStrExt;

    use super::*;
    use crate::data::Targets;

    fn table(text: &[u8]) -> (tempfile::TempDir, Result<(Dataset, Vec<Finding>)>) {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("labels.csv");
        std::fs::write(&path, text).unwrap();
        let read = read(&path);
        (temp, read)
    }

    #[test]
    fn columns_are_found_by_name_in_any_order_and_case() {
        let (temp, read) = table(
            b"\xef\xbb\xbfsize,Label,SPLIT,Path\r\n1,dog,,b.jpg\r\n2,cat,Valid,./x//a.jpg\r\n3,\"c,d\",test,c.jpg\r\n",
        );
        let (dataset, findings) = read.unwrap();
        assert_eq!(dataset.classes, ["c,d", "cat", "dog"]);
        let rows: Vec<_> = dataset.examples.iter().map(|row| (row.name.as_str(), row.label, row.split)).collect();
        assert_eq!(rows, [("b.jpg", 2, Split::Train), ("c.jpg", 0, Split::Test), ("x/a.jpg", 1, Split::Val)]);
        assert_eq!(dataset.examples[2].source.file().unwrap(), temp.path().join("x/a.jpg"));
        assert_eq!(findings, []);
    }

    #[test]
    fn semicolons_and_tabs_are_understood() {
        assert_eq!(table(b"path;label\na;x\nb;y\n").1.unwrap().0.examples.len(), 2);
        assert_eq!(table(b"path\tlabel\na\tx\nb\ty\n").1.unwrap().0.examples.len(), 2);
    }

    #[test]
    fn paths_that_are_not_utf8_are_read() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("labels.csv");
        std::fs::write(&path, b"path,label\n\xff.png,x\nb,y\n").unwrap();
        std::fs::write(temp.path().join(std::ffi::OsStr::from_bytes(b"\xff.png")), b"x").unwrap();
        let dataset = read(&path).unwrap().0;
        assert_eq!(dataset.examples[0].name, "\\xFF.png");
        assert!(dataset.examples[0].source.file().unwrap().as_os_str().as_bytes().ends_with(b"/\xff.png"));
    }

    #[test]
    fn repetitions_are_told_and_contradictions_left_out() {
        let (_temp, read) = table(b"path,label\na,x\n./a,x\nb,x\nb,y\nc,y\n");
        let (dataset, findings) = read.unwrap();
        assert_eq!(dataset.examples.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["a", "c"]);
        assert_eq!(findings[0].files, ["a"]);
        assert_eq!(
            (findings[1].severity, findings[1].files.as_slice()),
            (Severity::Serious, ["b".to_owned()].as_slice())
        );
        assert!(findings[1].message.contains("lines 4 and 5"), "{}", findings[1].message);
    }

    fn reading(text: &[u8], reading: &Reading) -> Result<Opened> {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("labels.csv");
        std::fs::write(&path, text).unwrap();
        read_as(&path, reading)
    }

    #[test]
    fn the_task_follows_from_the_labels() {
        let opened = reading(b"path,label\na,cat|dog\nb,\nc,dog\n", &Reading::default()).unwrap();
        assert_eq!(opened.inferred.task, Task::MultiLabel);
        assert_eq!(opened.dataset.classes, ["cat", "dog"]);
        let opened = reading(b"path;label\na;1,5\nb;\nc;-2\n", &Reading::default()).unwrap();
        assert_eq!(opened.inferred.task, Task::Regression);
        let Targets::Values(values) = &opened.dataset.targets else { panic!("{:?}", opened.dataset.targets) };
        assert!(values[0] == 1.5 && values[1].is_nan() && values[2] == -2.0, "{values:?}");
        let opened = reading(b"path,label\na,3\nb,5\n", &Reading::default()).unwrap();
        assert_eq!((opened.inferred.task, opened.dataset.targets), (Task::SingleLabel, Targets::Classes));
        let forced = Reading { task: Some(Task::Regression), ..Reading::default() };
        assert_eq!(
            reading(b"path,label\na,3\nb,5\n", &forced).unwrap().dataset.targets,
            Targets::Values(vec![3.0, 5.0])
        );
        let problem = reading(b"path,label\na,3\nb,many\n", &forced).unwrap_err().to_string();
        assert!(problem.contains("a label is not a number") && problem.contains("line 3"), "{problem}");
        let opened = reading(b"path,label\na,x\nb,\nc,y\n", &Reading::default()).unwrap();
        let names: Vec<&str> = opened.dataset.examples.iter().map(|example| example.name.as_str()).collect();
        let told: Vec<&str> = opened.findings.iter().map(|finding| finding.message.as_str()).collect();
        assert!(names == ["a", "c"] && told.contains(&"rows without a label, left out: 1"), "{told:?}");
    }

    #[test]
    fn columns_of_other_names_are_read() {
        let named = |label: &str| Reading {
            path_column: Some("File".into()),
            label_column: Some(label.into()),
            ..Reading::default()
        };
        let text = b"file,Age,species\na,1.5,cat\nb,2.5,dog\n";
        assert_eq!(reading(text, &named("age")).unwrap().dataset.task(), Task::Regression);
        assert_eq!(reading(text, &named("species")).unwrap().dataset.classes, ["cat", "dog"]);
        let problem = reading(text, &named("weight")).unwrap_err().to_string();
        assert!(problem.contains("no column `weight`") && problem.contains("--label-column"), "{problem}");
    }

    #[test]
    fn rows_of_one_file_are_united_in_multi_label() {
        let several = Reading { task: Some(Task::MultiLabel), ..Reading::default() };
        let opened = reading(b"path,label,split\na,x,\n./a,y,\nb,x,\nc,x,\nc,y,test\n", &several).unwrap();
        let names: Vec<_> = opened.dataset.examples.iter().map(|example| example.name.as_str()).collect();
        assert_eq!((names, opened.dataset.target_text(0)), (vec!["a", "b"], "x|y".into()));
        assert_eq!(opened.findings[0].files, ["c"], "two splits contradict each other");
    }

    #[test]
    fn errors_name_the_line() {
        let refused = |text: &[u8], words: &[&str]| {
            let problem = table(text).1.unwrap_err();
            assert!(matches!(problem, Error::Data(_)));
            for words in words {
                assert!(problem.to_string().contains(words), "{problem}");
            }
        };
        refused(b"", &["the table is empty"]);
        refused(b"file,label\na,b\n", &["a column is missing", "`file`, `label`", "line 1"]);
        refused(b"path,label\n", &["no rows"]);
        refused(b"path,label\na,x\nb,\n", &["fewer than two classes"]);
        refused(b"path,label\na,x\n,y\n", &["a field is empty", "line 3"]);
        refused(b"path,label\na,x\nb,y,z\n", &["another number of fields", "line 3"]);
        refused(b"path,label,split\na,x,train\nb,y,maybe\n", &["unknown split", "maybe", "line 3"]);
        refused(b"path,label,split\r\na,x,train\r\nb,y,maybe\r\n", &["unknown split", "line 3"]);
        refused(b"path,label\na,x\nb,x\n", &["fewer than two classes"]);
        refused(b"path,label,split\na,x,test\nb,y,test\n", &["no training data"]);
    }
}
