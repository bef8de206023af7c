//! Which columns of a table are the text, the label and the split: as asked for, or inferred from names and from the first
//! thousand rows. What was inferred is said.

use std::collections::BTreeSet;

use super::record::{Record, is_missing};
use super::table::Table;
use super::{TextReading, words};
use crate::data::column_names::{TEXTS, find, listing};
use crate::data::grouping::COLUMN_FLAG;
use crate::data::label_columns::LabelColumns;
use crate::data::split_column::SplitColumn;
use crate::data::task;
use crate::data::{Finding, FindingKind, Severity};
use crate::error::{Error, Problem, Result};

/// Names that columns of labels usually have, the surest first.
const LABEL_NAMES: [&str; 18] = [
    "label",
    "labels",
    "class",
    "category",
    "target",
    "stars",
    "sentiment",
    "rating",
    "topic",
    "intent",
    "emotion",
    "tag",
    "score",
    "polarity",
    "is_spam",
    "spam",
    "language",
    "y",
];
/// Of those, how many are a label whatever the column holds.
const SURE: usize = 5;
/// So many columns of zeros and ones are labels of one set, whatever one of them is called.
const MANY_FLAGS: usize = 4;
/// Up to this many different values, a column may hold labels however few its rows are.
const FEW_VALUES: usize = 10;
/// More words than this on average, and a column holds texts, not labels.
const WORDS_OF_A_LABEL: f64 = 4.0;
/// Up to this many words on average, different cells may be names of things.
const WORDS_OF_A_NAME: f64 = 2.5;
/// As many words on average are a text, however often it comes back.
const WORDS_OF_A_TEXT: f64 = 6.0;
/// As many columns of numbers are features, not what is said about a text.
pub(crate) const FEATURES: usize = 2;

/// The columns that were chosen.
#[derive(Debug, Clone)]
pub(crate) struct Columns {
    /// One of a text, or two of a pair.
    pub(crate) text: Vec<usize>,
    /// The label, or columns of zeros and ones.
    pub(super) label: Option<LabelColumns>,
    /// The split, if the table has one.
    pub(crate) split: Option<SplitColumn>,
    /// What says which texts belong together.
    pub(crate) group: Option<usize>,
    /// What was inferred and why.
    pub(crate) remarks: Vec<String>,
    /// Columns of numbers that have no part in it.
    pub(super) unused: Option<Finding>,
}

impl Columns {
    /// The columns of labels.
    pub(super) fn labels(&self) -> &[usize] {
        self.label.as_ref().map_or(&[], LabelColumns::columns)
    }
}

/// What a column holds, as far as the sample shows.
struct Look {
    /// Values that are there.
    values: usize,
    /// Different ones.
    distinct: usize,
    /// Words in a value, on average.
    words: f64,
    /// Whether all are numbers, or there are none.
    numbers: bool,
    /// Whether they are whole numbers, each there once.
    are_row_numbers: bool,
}

/// Chooses the columns; a label only where `with_label`.
///
/// - A column that is asked for must be there once, in any case of its letters.
/// - The label is the first column with a usual name (`label`, `class`, `category`, `target`, `stars`, `sentiment`, ...),
///   else all columns of zeros and ones where there are several, else the one with the fewest different values, at least two
///   and few for the rows.
/// - The text is the column with the most words on average.
///
/// # Errors
/// [`Error::Usage`] where more than two columns of text are asked for, or one for two purposes; [`Error::Data`] where a
/// column is missing or there twice, or none can be the text or the label.
pub(crate) fn choose(table: &Table, sample: &[Record], reading: &TextReading, with_label: bool) -> Result<Columns> {
    let names = table.columns();
    if with_label && names.len() == 1 {
        return Err(Error::Data(one_column(table, sample)));
    }
    let mut text: Vec<usize> =
        reading.text.iter().map(|name| find(table.columns(), name, "--text", table.path())).collect::<Result<_>>()?;
    let asked = reading.label.as_ref().filter(|_| with_label);
    let label = asked.map(|name| find(table.columns(), name, "--label", table.path())).transpose()?;
    let cells =
        |column: usize| sample.iter().map(|record| record.fields[column].as_deref().unwrap_or_default()).collect();
    let group = reading.grouping.column.as_deref();
    let group = group.map(|name| find(names, name, COLUMN_FLAG, table.path())).transpose()?;
    let is_free = |column: usize| !text.contains(&column) && ![label, group].contains(&Some(column));
    let found = SplitColumn::find_beside_content(names, is_free, cells, |column| table.words_of(column));
    let split = found.as_ref().map(|split| split.column);
    if text.len() > 2 || text.len() == 2 && text[0] == text[1] {
        let problem = Problem::new("a text is one column, or a pair of two").found(reading.text.join(","));
        return Err(Error::Usage(problem.at("--text")));
    }
    let looks: Vec<Look> = (0..names.len()).map(|column| look(sample, column)).collect();
    let mut remarks = Vec::new();
    let label = match (with_label, label) {
        (false, _) => None,
        (true, Some(label)) => Some(LabelColumns::of_one(table, label, None)),
        (true, None) => {
            let free: Vec<usize> =
                (0..names.len()).filter(|&c| !text.contains(&c) && Some(c) != split && Some(c) != group).collect();
            let flags = LabelColumns::of_zeros_and_ones(table, &free, cells);
            let named = named_label(names, &looks, &free);
            let label = match flags.filter(|flags| named.is_none_or(|named| are_labels_beside(flags, named, sample))) {
                Some(flags) => flags,
                None => LabelColumns::of_one(table, infer_label(table, &looks, &free, &mut remarks)?, None),
            };
            remarks.extend(label.reason());
            Some(label)
        }
    };
    let labels = label.as_ref().map_or(&[][..], LabelColumns::columns);
    if let Some(&both) = labels.iter().find(|label| text.contains(label)) {
        let problem = Problem::new("one column cannot be the text and the label").found(&names[both]);
        return Err(Error::Usage(problem.at("--text and --label")));
    }
    let mut unused = None;
    if text.is_empty() {
        let is_free = |&c: &usize| !labels.contains(&c) && ![split, group].contains(&Some(c));
        let free: Vec<usize> = (0..names.len()).filter(is_free).collect();
        let column = infer_text(table, &looks, &free, &mut remarks)?;
        unused = unused_numbers(names, &looks, column, &free);
        text.push(column);
    }
    if let Some(both) = group.filter(|group| text.contains(group) || labels.contains(group)) {
        let problem = Problem::new("one column cannot be the group and the text or label").found(&names[both]);
        return Err(Error::Usage(problem.at(COLUMN_FLAG)));
    }
    for &column in text.iter().chain(labels).chain(&split).chain(&group) {
        table.require_once(column)?;
    }
    Ok(Columns { text, label, split: found, group, remarks, unused })
}

/// Whether columns of zeros and ones are the labels although one column is `named` like labels: it is one of them by a doubtful
/// name, and they exclude each other (`text,spam,ham`) or are many.
fn are_labels_beside(flags: &LabelColumns, (named, is_sure): (usize, bool), sample: &[Record]) -> bool {
    let columns = flags.columns();
    let ones =
        |record: &Record| columns.iter().filter(|&&column| record.fields[column].as_deref() == Some("1")).count();
    let are_one_label = || columns.len() >= MANY_FLAGS || sample.iter().all(|record| ones(record) == 1);
    !is_sure && columns.contains(&named) && are_one_label()
}

/// Columns of numbers beside a text that was inferred, where there are several: whoever wants to learn from them is told how.
fn unused_numbers(names: &[String], looks: &[Look], text: usize, free: &[usize]) -> Option<Finding> {
    let is_number = |&column: &usize| {
        let look = &looks[column];
        look.values > 0 && look.numbers && !look.are_row_numbers
    };
    let unused: Vec<String> = free.iter().copied().filter(is_number).map(|column| names[column].clone()).collect();
    if unused.len() < FEATURES {
        return None;
    }
    let is_text =
        looks[text].words >= WORDS_OF_A_TEXT || TEXTS.iter().any(|usual| names[text].eq_ignore_ascii_case(usual));
    let severity = if is_text { Severity::Info } else { Severity::Warning };
    let message = format!(
        "columns of numbers that are not used, since the text is read from the column `{}`: {}; --base none reads the table as rows of \
         numbers and categories",
        names[text],
        listing(&unused)
    );
    Some(Finding::new(FindingKind::Guessed, severity, message, unused))
}

/// The refusal of a table in which only one column was found: why, as far as its cells show.
fn one_column(table: &Table, sample: &[Record]) -> Problem {
    let cells: Vec<&str> = sample.iter().filter_map(|record| record.fields.first()?.as_deref()).collect();
    let most = |holds: &dyn Fn(&str) -> bool| 2 * cells.iter().filter(|cell| holds(cell)).count() > cells.len();
    let hint = if most(&|cell| cell.contains([',', ';', '\t'])) {
        "rows that are quoted as a whole are one field each: write them without the quotes around them"
    } else if most(&|cell| cell.trim().contains(char::is_whitespace)) {
        "fields with blanks between them are not told apart: write commas or tabs there"
    } else {
        "a column of texts and one of labels are needed"
    };
    Problem::new("only one column was found")
        .expected("a column of texts and one of labels, with a tab, a comma, a semicolon or `|` between them")
        .found(table.listing())
        .hint(hint)
        .at(table.path())
}

fn look(sample: &[Record], column: usize) -> Look {
    let values: Vec<&str> = sample
        .iter()
        .filter_map(|record| record.fields[column].as_deref())
        .filter(|value| !is_missing(value))
        .collect();
    let words: usize = values.iter().map(|value| words::spans(value).count()).sum();
    Look {
        values: values.len(),
        distinct: values.iter().collect::<BTreeSet<_>>().len(),
        words: words as f64 / values.len().max(1) as f64,
        numbers: values.iter().all(|value| task::number(value, true).is_some()),
        are_row_numbers: values.iter().collect::<BTreeSet<_>>().len() == values.len()
            && values.iter().all(|value| value.bytes().all(|byte| byte.is_ascii_digit())),
    }
}

/// Whether cells are running text: several words with letters in each and most of them different, or many words in each.
pub(crate) fn are_texts(cells: &[&str]) -> bool {
    let words = |cell: &&str| match cell.contains(char::is_whitespace) || !cell.is_ascii() {
        true => words::spans(cell).filter(|(_, word)| word.contains(char::is_alphabetic)).count(),
        // Identifiers, addresses of pages and times have no blanks.
        false => usize::from(!cell.is_empty()),
    };
    let mean = cells.iter().map(words).sum::<usize>() as f64 / cells.len().max(1) as f64;
    let distinct = cells.iter().collect::<BTreeSet<_>>().len();
    mean > WORDS_OF_A_NAME && 2 * distinct > cells.len() || mean >= WORDS_OF_A_TEXT && distinct > FEW_VALUES
}

/// The column of labels among those that are free, by its name or by what the sample shows; what was inferred is said.
///
/// # Errors
/// [`Error::Data`] where none looks like labels.
pub(crate) fn label_among(
    table: &Table,
    sample: &[Record],
    free: &[usize],
    remarks: &mut Vec<String>,
) -> Result<usize> {
    let looks: Vec<Look> = (0..table.columns().len()).map(|column| look(sample, column)).collect();
    infer_label(table, &looks, free, remarks)
}

/// Whether few different values of few words stand in a column.
fn is_label(look: &Look) -> bool {
    let few = look.distinct <= FEW_VALUES || 2 * look.distinct <= look.values;
    look.distinct >= 2 && few && look.words <= WORDS_OF_A_LABEL
}

/// The column that is called like labels, and whether that name is a sure one.
fn named_label(names: &[String], looks: &[Look], free: &[usize]) -> Option<(usize, bool)> {
    let named = |usual: &str| free.iter().copied().find(|&column| names[column].eq_ignore_ascii_case(usual));
    let mut all = LABEL_NAMES.iter().enumerate().filter_map(|(place, usual)| Some((named(usual)?, place < SURE)));
    all.find(|&(column, is_sure)| is_sure || is_label(&looks[column]))
}

fn infer_label(table: &Table, looks: &[Look], free: &[usize], remarks: &mut Vec<String>) -> Result<usize> {
    let names = table.columns();
    let is_label = |column: usize| is_label(&looks[column]);
    if let Some((column, _)) = named_label(names, looks, free) {
        remarks.push(format!("the labels are read from the column `{}`, by its name", names[column]));
        return Ok(column);
    }
    // The longest text is not a label, however few rows there are. Of equals the last: labels often stand at the end.
    let longest = free.iter().copied().max_by(|&a, &b| looks[a].words.total_cmp(&looks[b].words).then(b.cmp(&a)));
    let candidates =
        free.iter().copied().filter(|&column| is_label(column) && (free.len() < 2 || Some(column) != longest));
    match candidates.min_by_key(|&column| (looks[column].distinct, std::cmp::Reverse(column))) {
        Some(column) => {
            remarks.push(format!(
                "the labels are read from the column `{}`: it has {} different values in {} rows",
                names[column], looks[column].distinct, looks[column].values
            ));
            Ok(column)
        }
        None => Err(Error::Data(
            Problem::new("no column looks like labels")
                .expected("a column with few different values, or one named label")
                .found(table.listing())
                .hint("name the column that holds the classes with --label")
                .at(table.path()),
        )),
    }
}

fn infer_text(table: &Table, looks: &[Look], free: &[usize], remarks: &mut Vec<String>) -> Result<usize> {
    let names = table.columns();
    let mut texts: Vec<usize> = free.iter().copied().filter(|&column| !looks[column].numbers).collect();
    let by_words = |&a: &usize, &b: &usize| looks[b].words.total_cmp(&looks[a].words).then(a.cmp(&b));
    texts.sort_by(by_words);
    let Some(&column) = texts.first() else {
        return Err(Error::Data(
            Problem::new("no column looks like a text")
                .expected("a column of texts beside the labels")
                .found(table.listing())
                .hint("name the column that holds the texts with --text")
                .at(table.path()),
        ));
    };
    let mut remark =
        format!("the text is read from the column `{}`: {:.1} words on average", names[column], looks[column].words);
    if let Some(&other) = texts.get(1).filter(|&&other| 2.0 * looks[other].words >= looks[column].words) {
        remark.push_str(&format!(
            "; `{0}` looks like text too and is not read (--text {1},{0} reads both as a pair)",
            names[other], names[column]
        ));
    }
    remarks.push(remark);
    Ok(column)
}
