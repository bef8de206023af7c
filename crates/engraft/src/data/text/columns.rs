//! Which columns of a table are the text, the label and the split: as asked for, or inferred from names and from the first
//! thousand rows. What was inferred is said.

use std::collections::BTreeSet;

use super::record::Record;
use super::table::Table;
use super::{TextReading, words};
use crate::data::column_names::{find, listing};
use crate::data::grouping::COLUMN_FLAG;
use crate::data::split_column::SplitColumn;
use crate::data::task;
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
/// Up to this many different values, a column may hold labels however few its rows are.
const FEW_VALUES: usize = 10;
/// More words than this on average, and a column holds texts, not labels.
const WORDS_OF_A_LABEL: f64 = 4.0;

/// The columns that were chosen.
#[derive(Debug, Clone)]
pub(crate) struct Columns {
    /// One of a text, or two of a pair.
    pub(crate) text: Vec<usize>,
    /// The label.
    pub(crate) label: Option<usize>,
    /// The split, if the table has one.
    pub(crate) split: Option<SplitColumn>,
    /// What says which texts belong together.
    pub(crate) group: Option<usize>,
    /// What was inferred and why.
    pub(crate) remarks: Vec<String>,
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
}

/// Chooses the columns; a label only where `with_label`.
///
/// - A column that is asked for must be there once, in any case of its letters.
/// - The label is the first column with a usual name (`label`, `class`, `category`, `target`, `stars`, `sentiment`, ...),
///   else the one with the fewest different values, at least two and few for the rows.
/// - The text is the column with the most words on average.
///
/// # Errors
/// [`Error::Usage`] where more than two columns of text are asked for, or one for two purposes; [`Error::Data`] where a
/// column is missing or there twice, or none can be the text or the label.
pub(crate) fn choose(table: &Table, sample: &[Record], reading: &TextReading, with_label: bool) -> Result<Columns> {
    let names = table.columns();
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
        (true, Some(label)) => Some(label),
        (true, None) => {
            let free: Vec<usize> =
                (0..names.len()).filter(|&c| !text.contains(&c) && Some(c) != split && Some(c) != group).collect();
            Some(infer_label(table, &looks, &free, &mut remarks)?)
        }
    };
    if let Some(both) = label.filter(|label| text.contains(label)) {
        let problem = Problem::new("one column cannot be the text and the label").found(&names[both]);
        return Err(Error::Usage(problem.at("--text and --label")));
    }
    if text.is_empty() {
        let free: Vec<usize> = (0..names.len()).filter(|&c| ![label, split, group].contains(&Some(c))).collect();
        text.push(infer_text(table, &looks, &free, &mut remarks)?);
    }
    if let Some(both) = group.filter(|group| text.contains(group) || Some(*group) == label) {
        let problem = Problem::new("one column cannot be the group and the text or label").found(&names[both]);
        return Err(Error::Usage(problem.at(COLUMN_FLAG)));
    }
    for &column in text.iter().chain(&label).chain(&split).chain(&group) {
        once(table, column)?;
    }
    Ok(Columns { text, label, split: found, group, remarks })
}

/// Refuses a column whose name another has too: nobody knows which of the two is meant.
pub(crate) fn once(table: &Table, column: usize) -> Result<()> {
    let name = &table.columns()[column];
    match table.columns().iter().filter(|other| *other == name).count() {
        1 => Ok(()),
        times => Err(Error::Data(
            Problem::new(format!("the column `{name}` is there {times} times"))
                .expected("columns with different names")
                .found(listing(table.columns()))
                .hint("rename the others in the header")
                .at(table.path()),
        )),
    }
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
    }
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

fn infer_label(table: &Table, looks: &[Look], free: &[usize], remarks: &mut Vec<String>) -> Result<usize> {
    let names = table.columns();
    let is_label = |column: usize| {
        let look = &looks[column];
        let few = look.distinct <= FEW_VALUES || 2 * look.distinct <= look.values;
        look.distinct >= 2 && few && look.words <= WORDS_OF_A_LABEL
    };
    for (place, usual) in LABEL_NAMES.iter().enumerate() {
        let named = free.iter().copied().find(|&column| names[column].eq_ignore_ascii_case(usual));
        if let Some(column) = named.filter(|&column| place < SURE || is_label(column)) {
            remarks.push(format!("the labels are read from the column `{}`, by its name", names[column]));
            return Ok(column);
        }
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

/// Whether a field says that there is nothing: empty, or `NA`, `N/A`, `NaN`, `null`, `<NA>` in any case.
pub(crate) fn is_missing(field: &str) -> bool {
    let field = field.trim();
    field.is_empty() || ["na", "n/a", "nan", "null", "<na>"].iter().any(|word| field.eq_ignore_ascii_case(word))
}
