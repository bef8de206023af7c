//! The columns of a table that have the labels: one that holds them, or several that each say yes or no. Which they are is found
//! for tables of images in `image_labels`, for tables of texts in `text::columns`.

use super::class_numbers::ClassNumbers;
use super::column_names::listing;
use super::finding::{Finding, FindingKind, Severity};
use super::label_flags::Flags;
use super::task::{Inferred, SEPARATOR, Task};
use super::text::table::Table;
use crate::error::{Problem, Result};

/// The columns of labels.
#[derive(Debug, Clone)]
pub(super) struct LabelColumns {
    columns: Vec<usize>,
    /// The labels that columns of yes and no stand for; none where a column holds the label itself.
    one_hot: Vec<String>,
    /// How those say yes and no.
    flags: Flags,
    /// How many rows have each of those labels.
    counts: Vec<usize>,
    /// Whether a row has more or fewer than one of them.
    several: bool,
    /// Names of classes that the file gives to whole numbers.
    numbers: ClassNumbers,
    reason: Option<String>,
}

/// What columns of yes and no are labels of: their names, without that of an object that holds them all (`cats.good`).
fn labels_of(columns: &[usize], names: &[String]) -> Vec<String> {
    let whole = |column: usize| names[column].rsplit_once('.').map(|(whole, _)| whole);
    let are_parts = columns.iter().all(|&column| whole(column).is_some() && whole(column) == whole(columns[0]));
    let name = |&column: &usize| match names[column].rsplit_once('.') {
        Some((_, part)) if are_parts => part.to_owned(),
        _ => names[column].clone(),
    };
    columns.iter().map(name).collect()
}

impl LabelColumns {
    /// One column that holds the labels.
    pub(super) fn of_one(table: &Table, column: usize, reason: Option<String>) -> Self {
        let numbers = ClassNumbers::new(table.class_names(column));
        let (one_hot, counts, flags) = (Vec::new(), Vec::new(), Flags::ZeroOne);
        Self { columns: vec![column], one_hot, flags, counts, several: false, numbers, reason }
    }

    /// The columns of zeros and ones among those that are `free`, where there are several by their first `cells`: those that
    /// hold nothing else in any row. One that is left alone holds the label itself.
    pub(super) fn of_zeros_and_ones<'a, C: IntoIterator<Item = &'a str>>(
        table: &Table,
        free: &[usize],
        cells: impl Fn(usize) -> C,
    ) -> Option<Self> {
        let (_, columns) = Flags::find(&[Flags::ZeroOne], free, cells, |_| None)?;
        let mut left = vec![true; columns.len()];
        // What cannot be read is told by who reads the rows.
        for record in table.records(&columns).into_iter().flatten().map_while(Result::ok) {
            for (left, cell) in left.iter_mut().zip(&record.fields) {
                let cell = cell.as_deref().unwrap_or_default();
                *left &= cell.is_empty() || Flags::ZeroOne.read(cell).is_some();
            }
        }
        let columns: Vec<usize> =
            columns.into_iter().zip(left).filter_map(|(column, left)| left.then_some(column)).collect();
        let names = table.columns();
        match columns[..] {
            [] => None,
            [only] => {
                let reason =
                    format!("the labels are read from the column `{}`, which holds zeros and ones", names[only]);
                Some(Self::of_one(table, only, Some(reason)))
            }
            _ => Some(Self::of_yes_and_no(names, columns, Flags::ZeroOne)),
        }
    }

    /// Columns that each say of one label whether a row has it.
    pub(super) fn of_yes_and_no(names: &[String], columns: Vec<usize>, flags: Flags) -> Self {
        let listed: Vec<String> = columns.iter().map(|&column| names[column].clone()).collect();
        let reason = format!("the labels are read from the columns {}, which hold {}", listing(&listed), flags.told());
        let (one_hot, counts) = (labels_of(&columns, names), vec![0; columns.len()]);
        let numbers = ClassNumbers::default();
        Self { columns, one_hot, flags, counts, several: false, numbers, reason: Some(reason) }
    }

    /// Their places in the table.
    pub(super) fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// Why they are those, where their name alone does not say so.
    pub(super) fn reason(&self) -> Option<String> {
        self.reason.clone()
    }

    /// Refuses columns whose name another column has too.
    ///
    /// # Errors
    /// [`Error::Data`] that names the first of them.
    pub(super) fn require_once(&self, table: &Table) -> Result<()> {
        self.columns.iter().try_for_each(|&column| table.require_once(column))
    }

    /// Labels that are no numbers of classes, where the file names those; and labels that no row has.
    pub(super) fn findings(&self) -> Vec<Finding> {
        let of_counts = self.one_hot.iter().zip(&self.counts);
        let without: Vec<String> =
            of_counts.filter(|(_, count)| **count == 0).map(|(label, _)| label.clone()).collect();
        let absent = (!without.is_empty()).then(|| {
            let message =
                format!("labels that no row of the table has, so that they are not learnt: {}", listing(&without));
            Finding::new(FindingKind::SmallClass, Severity::Warning, message, without)
        });
        self.numbers.finding().into_iter().chain(absent).collect()
    }

    /// The one column that holds the labels; nothing of columns of yes and no.
    pub(super) fn only(&self) -> Option<usize> {
        if self.one_hot.is_empty() { self.columns.first().copied() } else { None }
    }

    /// What is learnt of columns of yes and no, by the rows that were read: a class where each has one label, else a set of
    /// labels; nothing of others.
    pub(super) fn task(&self) -> Option<Inferred> {
        let (task, reason) = match self.several {
            true => (Task::MultiLabel, "the columns of labels name several labels, or none, in some rows"),
            false => (Task::SingleLabel, "in every row one of the columns of labels says yes"),
        };
        self.only().is_none().then(|| Inferred { task, reason: reason.into() })
    }

    /// The label of a row by its cells in these columns; nothing where the file says that there is none.
    ///
    /// # Errors
    /// A problem without a place, where one of several columns holds something other than yes and no.
    pub(super) fn label(&mut self, cells: &[Option<String>]) -> std::result::Result<Option<String>, Problem> {
        if self.one_hot.is_empty() {
            let cell = cells.first().cloned().flatten().unwrap_or_default();
            return Ok(self.numbers.label(&cell));
        }
        let mut labels: Vec<&str> = Vec::new();
        for ((cell, label), count) in cells.iter().zip(&self.one_hot).zip(&mut self.counts) {
            let cell = cell.as_deref().unwrap_or_default();
            let has = self.flags.read(cell).ok_or_else(|| {
                let told = self.flags.told();
                let problem = Problem::new(format!("the column `{label}` holds something other than {told}"));
                problem.expected(format!("{told}, as in the rows before")).found(format!("`{cell}`"))
            })?;
            if has {
                labels.push(label);
                *count += 1;
            }
        }
        self.several |= labels.len() != 1;
        Ok(Some(labels.join(&SEPARATOR.to_string())))
    }
}
