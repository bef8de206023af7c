//! Rows of tables. They are read twice: once to learn what every column holds, once to keep it as that.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use super::decide::{Survey, is_usable, value};
use super::labels::{FLAG, guess_label, label_column};
use super::raw::{Raw, check_size};
use super::sources::Source;
use super::{Cells, Column, Kind, VectorReading, is_missing};
use crate::data::class_numbers::ClassNumbers;
use crate::data::column_names::{find, listing, may_list_labels, shortened};
use crate::data::group_hints::of_cell;
use crate::data::grouping::COLUMN_FLAG;
use crate::data::split_column::SplitColumn;
use crate::data::text::Limits;
use crate::data::text::encoding::encoding_of;
use crate::data::text::record::{at, nested};
use crate::data::text::table::{Opening, Table};
use crate::data::{Finding, FindingKind, Severity, Split};
use crate::error::{Error, Problem, Result, printable};
use crate::progress::Observer;

/// One table, and what its columns are for.
struct Part {
    table: Table,
    split: Option<Split>,
    prefix: String,
    /// The columns to read, as they lie in the table: first the features, in the order of the first table's, then the label,
    /// the split and the group where there are any.
    columns: Vec<usize>,
    features: usize,
    has_label: bool,
    has_group: bool,
    splits: Option<SplitColumn>,
}

/// Reads the tables. `path` is what was asked for: a table, or the folder of them.
pub(super) fn read(
    path: &Path,
    sources: &[Source],
    reading: &VectorReading,
    with_labels: bool,
    observer: &dyn Observer,
) -> Result<Raw> {
    let named = reading.named();
    let mut parts: Vec<Part> = Vec::new();
    let (mut features, mut label, mut guessed) = (Vec::new(), None::<String>, None);
    let opening = Opening { named: &named, encoding: encoding_of(reading.encoding.as_deref())?, ..Opening::default() };
    for source in sources {
        let table = Table::open(&source.path, &opening, &Limits::default(), observer)?;
        let names = column_names(&table)?;
        // What was guessed of the first table holds for the others.
        let asked = reading.label.as_deref().or(guessed.as_ref().and(label.as_deref()));
        let roles = Roles::find(&names, &table, source, reading, asked, with_labels)?;
        if parts.is_empty() {
            features = roles.features.iter().map(|&column| names[column].clone()).collect();
            label = roles.label.map(|column| names[column].clone());
            guessed = label.as_ref().filter(|_| roles.is_guess).map(|label| of_guess(label));
        }
        parts.push(roles.part(table, &names, &features, source)?);
    }
    let decimal_comma = parts.iter().any(|part| part.table.decimal_comma());
    let mut remarks: Vec<String> = Vec::new();
    parts.iter().flat_map(|part| part.table.remarks()).for_each(|remark| {
        if !remarks.contains(&remark) {
            remarks.push(remark);
        }
    });
    let (columns, is_guess, findings) = (Vec::new(), guessed.is_some(), guessed.into_iter().collect());
    let (names, labels, splits, groups) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut raw = Raw { names, columns, labels, splits, groups, label, is_guess, decimal_comma, remarks, findings };

    let mut surveys: Vec<Survey> = features.iter().map(|_| Survey::default()).collect();
    for part in &mut parts {
        let before = raw.names.len();
        part.survey(&mut surveys, &mut raw, observer)?;
        if raw.names.len() == before {
            let problem = Problem::new("there are no rows").expected("at least one below the header");
            return Err(Error::Data(problem.at(part.table.path())));
        }
        raw.findings.extend(part.splits.as_ref().and_then(SplitColumn::finding));
        raw.findings.extend(part.table.findings());
    }
    let mut cells = Vec::with_capacity(features.len());
    for (name, survey) in features.iter().zip(&surveys) {
        // Columns that whoever knows the kinds does not know are of no use to them, and may hold anything.
        let unknown = (!reading.kinds.is_empty()).then_some(Kind::Categorical);
        let (kind, finding) = survey.decide(name, path, reading.kinds.get(name).copied().or(unknown))?;
        raw.findings.extend(finding);
        cells.push(Builder::new(kind, raw.names.len()));
    }
    for part in &parts {
        part.fill(&mut cells, decimal_comma, observer)?;
    }
    let column = |(name, cells): (String, Builder)| Column { name, cells: cells.finish() };
    raw.columns = features.into_iter().zip(cells).map(column).collect();
    Ok(raw)
}

/// The names of a table's columns; one without a name is called by its place.
///
/// # Errors
/// [`Error::Data`] where two are the same.
fn column_names(table: &Table) -> Result<Vec<String>> {
    let name = |(place, name): (usize, &String)| match name.is_empty() {
        true => format!("column {}", place + 1),
        false => name.clone(),
    };
    let names: Vec<String> = table.columns().iter().enumerate().map(name).collect();
    let mut seen = BTreeSet::new();
    match names.iter().find(|name| !seen.insert(name.as_str())) {
        None => Ok(names),
        Some(twice) => {
            let problem =
                Problem::new(format!("two columns are called `{twice}`")).expected("columns of different names");
            Err(Error::Data(problem.found(listing(&names)).hint("rename one in the header").at(table.path())))
        }
    }
}

/// What is told of a column of labels that only its cells speak for.
fn of_guess(label: &str) -> Finding {
    let message = format!(
        "no column is named like labels: they are read from `{}`, the last column of words that come back; {FLAG} names another",
        shortened(label)
    );
    Finding::new(FindingKind::Guessed, Severity::Warning, message, vec![label.to_owned()])
}

/// What the columns of a table are for.
struct Roles {
    features: Vec<usize>,
    label: Option<usize>,
    /// Whether only its cells speak for the label.
    is_guess: bool,
    split: Option<SplitColumn>,
    group: Option<usize>,
}

impl Roles {
    fn find(
        names: &[String],
        table: &Table,
        source: &Source,
        reading: &VectorReading,
        asked: Option<&str>,
        with_labels: bool,
    ) -> Result<Self> {
        let ignored: Vec<usize> = reading
            .ignore
            .iter()
            .map(|name| find(names, name, "--ignore-column", &source.path))
            .collect::<Result<_>>()?;
        // Rows to be predicted need no group.
        let group = reading.grouping.column.as_deref().filter(|_| with_labels);
        let group = group.map(|name| find(names, name, COLUMN_FLAG, &source.path)).transpose()?;
        let sample = table.sample()?;
        let cells = |column: usize| -> Vec<&str> {
            sample.iter().map(|row| row.fields[column].as_deref().unwrap_or_default()).collect()
        };
        // What a row is for is nothing to learn from; rows to be answered have all columns of training but for that.
        let split_beside = |label: Option<usize>| {
            let is_free = |column: usize| {
                source.split.is_none() && ![label, group].contains(&Some(column)) && !ignored.contains(&column)
            };
            SplitColumn::find(names, is_free, cells, |column| table.words_of(column))
                .filter(|split| reading.kinds.is_empty() || !reading.kinds.contains_key(&names[split.column]))
        };
        let label = label_column(names, asked, &source.path);
        let trains = with_labels && matches!(source.split, None | Some(Split::Train));
        let guess = if trains && asked.is_none() && label.is_err() {
            let split = split_beside(None).map(|split| split.column);
            let free = |column: &usize| ![split, group].contains(&Some(*column)) && !ignored.contains(column);
            guess_label((0..names.len()).filter(free), cells, table.decimal_comma())
        } else {
            None
        };
        let label = match (trains, with_labels) {
            (true, _) => Some(guess.map_or(label, Ok)?),
            (_, true) => label.ok(),
            // A column is only passed over where it was named.
            _ => label.ok().filter(|_| reading.label.is_some()),
        };
        if let Some(both) = label.filter(|label| ignored.contains(label)) {
            let problem = Problem::new("the column of labels cannot be ignored").found(&names[both]);
            return Err(Error::Usage(problem.at("--ignore-column")));
        }
        if let Some(both) = group.filter(|group| label == Some(*group) || ignored.contains(group)) {
            let problem = Problem::new("the column of groups cannot be the label, or ignored").found(&names[both]);
            return Err(Error::Usage(problem.at(COLUMN_FLAG)));
        }
        let split = split_beside(label);
        let at = split.as_ref().map(|split| split.column);
        let other = |column: &usize| ![label, at, group].contains(&Some(*column)) && !ignored.contains(column);
        let (features, is_guess) = ((0..names.len()).filter(other).collect(), guess.is_some());
        Ok(Self { features, label, is_guess, split, group })
    }

    /// The table with its features in the order of the first table's.
    fn part(self, table: Table, names: &[String], features: &[String], source: &Source) -> Result<Part> {
        let places: BTreeMap<&str, usize> =
            self.features.iter().map(|&column| (names[column].as_str(), column)).collect();
        let lacking: Vec<String> =
            features.iter().filter(|name| !places.contains_key(name.as_str())).cloned().collect();
        let more: Vec<String> =
            places.keys().filter(|name| !features.iter().any(|f| f == *name)).map(|&name| name.to_owned()).collect();
        if !lacking.is_empty() || !more.is_empty() {
            let problem = Problem::new("the tables of the splits have different columns")
                .expected("the columns of the training table");
            let found = match lacking.is_empty() {
                true => format!("also {}", listing(&more)),
                false => format!("no {}", listing(&lacking)),
            };
            return Err(Error::Data(problem.found(found).at(table.path())));
        }
        let mut columns: Vec<usize> = features.iter().map(|name| places[name.as_str()]).collect();
        columns.extend(self.label.iter().chain(&self.split.as_ref().map(|split| split.column)).chain(&self.group));
        let (split, prefix, has_label) = (source.split, source.prefix(), self.label.is_some());
        let (has_group, splits) = (self.group.is_some(), self.split);
        Ok(Part { table, split, prefix, features: features.len(), columns, has_label, has_group, splits })
    }
}

impl Part {
    /// Counts what stands in the columns; adds names, labels and splits.
    fn survey(&mut self, surveys: &mut [Survey], raw: &mut Raw, observer: &dyn Observer) -> Result<()> {
        let class_names = self.has_label.then(|| self.table.class_names(self.columns[self.features])).flatten();
        let mut numbers = ClassNumbers::new(class_names);
        let split_field = self.features + usize::from(self.has_label);
        for record in self.table.records(&self.columns)? {
            observer.check()?;
            let record = record?;
            // Lists of names are categories, as they are labels.
            let name = |place: usize| &self.table.columns()[self.columns[place]];
            let is_refused = |place: &&usize| **place < self.features && !may_list_labels(name(**place));
            if let Some(&place) = record.lists.iter().find(is_refused) {
                return Err(Error::Data(nested(name(place), "a list").at(at(self.table.path(), record.line))));
            }
            let name = format!("{}row {}", self.prefix, record.row);
            for (survey, cell) in surveys.iter_mut().zip(&record.fields) {
                survey.note(&name, cell.as_deref(), raw.decimal_comma);
            }
            let mut label = String::new();
            if self.has_label {
                label = record.fields[self.features].clone().unwrap_or_default();
                label = numbers.label(&label).unwrap_or_default();
            }
            if self.has_group {
                raw.groups.push(of_cell(record.fields.last().and_then(Option::as_deref)));
            }
            let word = record.fields.get(split_field).filter(|_| self.splits.is_some()).and_then(Option::as_deref);
            let (word, usual) = (word.unwrap_or_default(), self.split.unwrap_or(Split::Train));
            let split = self.splits.as_mut().map_or(Ok(usual), |splits| splits.read(word, usual));
            let place = || format!("{}, {name}", printable(self.table.path()));
            let split = split.map_err(|problem| Error::Data(problem.at(place())))?;
            raw.names.push(name);
            raw.labels.push(label);
            raw.splits.push(split);
            check_size(raw.names.len(), surveys.len(), self.table.path())?;
        }
        raw.findings.extend(numbers.finding());
        Ok(())
    }

    fn fill(&self, cells: &mut [Builder], decimal_comma: bool, observer: &dyn Observer) -> Result<()> {
        for record in self.table.records(&self.columns[..self.features])? {
            observer.check()?;
            let record = record?;
            for (cells, field) in cells.iter_mut().zip(record.fields) {
                if !cells.push(field, decimal_comma) {
                    let problem = Problem::new("the table changed while it was read");
                    return Err(Error::Data(problem.at(format!(
                        "{}, row {}",
                        printable(self.table.path()),
                        record.row
                    ))));
                }
            }
        }
        Ok(())
    }
}

/// A column under way.
enum Builder {
    Numbers(Vec<f64>),
    Words { places: BTreeMap<String, u32>, codes: Vec<Option<u32>> },
}

impl Builder {
    fn new(kind: Kind, rows: usize) -> Self {
        match kind {
            Kind::Numeric => Self::Numbers(Vec::with_capacity(rows)),
            Kind::Categorical => Self::Words { places: BTreeMap::new(), codes: Vec::with_capacity(rows) },
        }
    }

    /// Adds a cell; `false` where it cannot be one of this column.
    fn push(&mut self, cell: Option<String>, decimal_comma: bool) -> bool {
        match self {
            Self::Numbers(numbers) => {
                let Some(number) = value(cell.as_deref(), decimal_comma).filter(|&number| is_usable(number)) else {
                    return false;
                };
                numbers.push(number);
            }
            Self::Words { places, codes } => {
                let word = cell.filter(|cell| !is_missing(cell));
                codes.push(word.map(|word| {
                    let next = places.len() as u32;
                    *places.entry(word).or_insert(next)
                }));
            }
        }
        true
    }

    fn finish(self) -> Cells {
        match self {
            Self::Numbers(numbers) => Cells::Numbers(numbers),
            Self::Words { places, codes } => {
                let mut words: Vec<(u32, String)> = places.into_iter().map(|(word, place)| (place, word)).collect();
                words.sort_unstable();
                Cells::Words { words: words.into_iter().map(|(_, word)| word).collect(), codes }
            }
        }
    }
}
