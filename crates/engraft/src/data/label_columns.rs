//! Which columns of a table have the labels: one of a usual name, columns of zeros and ones, or the one whose cells come back
//! most. Tables of texts have names and a choice of their own (`text::columns`), and the rest in common.

use super::class_numbers::ClassNumbers;
use super::column_names::listing;
use super::finding::Finding;
use super::task::{Inferred, SEPARATOR, Task};
use super::text::columns::label_among;
use super::text::table::{Record, Table};
use crate::error::{Error, Problem, Result};

/// Names that such a column has, the surest first.
const NAMES: [&str; 16] = [
    "label",
    "labels",
    "class",
    "classes",
    "category",
    "target",
    "class_name",
    "label_name",
    "classname",
    "species",
    "breed",
    "diagnosis",
    "tags",
    "tag",
    "fine_label",
    "y",
];

/// The columns of labels.
#[derive(Debug, Clone)]
pub(super) struct LabelColumns {
    columns: Vec<usize>,
    /// The labels that columns of zeros and ones stand for; none where a column holds the label itself.
    one_hot: Vec<String>,
    /// Whether a row has more or fewer than one of them.
    several: bool,
    /// Names of classes that the file gives to whole numbers.
    numbers: ClassNumbers,
    reason: Option<String>,
}

fn flag(cell: &str) -> Option<bool> {
    match cell.to_ascii_lowercase().as_str() {
        "1" | "1.0" | "true" => Some(true),
        "0" | "0.0" | "false" => Some(false),
        _ => None,
    }
}

/// What the columns of zeros and ones are labels of: their names, without that of an object that holds them all (`cats.good`).
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
        Self { columns: vec![column], one_hot: Vec::new(), several: false, numbers, reason }
    }

    /// The columns of zeros and ones among those that are `free`, where there are several; `cells` are the first of a column.
    pub(super) fn of_flags<'a, C: IntoIterator<Item = &'a str>>(
        names: &[String],
        free: &[usize],
        cells: impl Fn(usize) -> C,
    ) -> Option<Self> {
        let is_flags = |column: &usize| {
            let mut cells = cells(*column).into_iter().peekable();
            cells.peek().is_some() && cells.all(|cell| flag(cell).is_some())
        };
        let columns: Vec<usize> = free.iter().copied().filter(is_flags).collect();
        if columns.len() < 2 {
            return None;
        }
        let listed: Vec<String> = columns.iter().map(|&column| names[column].clone()).collect();
        let reason =
            Some(format!("the labels are read from the columns {}, which hold zeros and ones", listing(&listed)));
        let one_hot = labels_of(&columns, names);
        Some(Self { columns, one_hot, several: false, numbers: ClassNumbers::default(), reason })
    }

    /// The columns of labels: the one that is asked for, else among those that are `free`. `sample` holds the first rows,
    /// with the columns `of_sample`.
    ///
    /// # Errors
    /// [`Error::Data`] where none looks like labels.
    pub(super) fn find(
        table: &Table,
        asked: Option<usize>,
        free: &[usize],
        of_sample: &[usize],
        sample: &[Record],
    ) -> Result<Self> {
        let names = table.columns();
        let one = |column: usize, reason: Option<String>| Self::of_one(table, column, reason);
        if let Some(asked) = asked {
            return Ok(one(asked, None));
        }
        let named = |name: &&str| free.iter().copied().find(|&column| names[column].eq_ignore_ascii_case(name));
        if let Some(column) = NAMES.iter().find_map(named) {
            let reason = format!("the labels are read from the column `{}`, by its name", names[column]);
            return Ok(one(column, (!names[column].eq_ignore_ascii_case(NAMES[0])).then_some(reason)));
        }
        let cells = |column: usize| {
            let at = of_sample.iter().position(|other| *other == column);
            sample.iter().map(move |row| at.and_then(|at| row.fields[at].as_deref()).unwrap_or_default())
        };
        if let Some(flags) = Self::of_flags(names, free, cells) {
            return Ok(flags);
        }
        match free {
            [] => {
                let problem =
                    Problem::new("a column is missing").expected("a column of labels beside that of the images");
                let hint = "columns of other names are named with --path-column and --label-column";
                Err(Error::Data(problem.found(table.listing()).hint(hint).at(super::text::record::at(table.path(), 1))))
            }
            [only] => {
                let reason = format!("the labels are read from the column `{}`, the only other one", names[*only]);
                Ok(one(*only, Some(reason)))
            }
            _ => {
                let mut remarks = Vec::new();
                let whole = sample.iter().map(|row| {
                    let mut fields = vec![None; names.len()];
                    of_sample.iter().zip(&row.fields).for_each(|(&column, field)| fields[column].clone_from(field));
                    Record { fields, ..row.clone() }
                });
                let column = label_among(table, &whole.collect::<Vec<_>>(), free, &mut remarks)?;
                Ok(one(column, remarks.pop()))
            }
        }
    }

    /// Their places in the table.
    pub(super) fn columns(&self) -> &[usize] {
        &self.columns
    }

    /// Why they are those, where their name alone does not say so.
    pub(super) fn reason(&self) -> Option<String> {
        self.reason.clone()
    }

    /// Labels that are no numbers of classes, where the file names those.
    pub(super) fn finding(&self) -> Option<Finding> {
        self.numbers.finding()
    }

    /// The one column that holds the labels; nothing of columns of zeros and ones.
    pub(super) fn only(&self) -> Option<usize> {
        if self.one_hot.is_empty() { self.columns.first().copied() } else { None }
    }

    /// What is learnt of columns of zeros and ones, by the rows that were read: a class where each has one label, else a set of
    /// labels; nothing of others.
    pub(super) fn task(&self) -> Option<Inferred> {
        let (task, reason) = match self.several {
            true => (Task::MultiLabel, "the columns of zeros and ones name several labels, or none, in some rows"),
            false => (Task::SingleLabel, "in every row one of the columns of zeros and ones is one"),
        };
        self.only().is_none().then(|| Inferred { task, reason: reason.into() })
    }

    /// The label of a row by its cells in these columns; nothing where the file says that there is none.
    ///
    /// # Errors
    /// A problem without a place, where one of several columns holds something other than 0 and 1.
    pub(super) fn label(&mut self, cells: &[Option<String>]) -> std::result::Result<Option<String>, Problem> {
        if self.one_hot.is_empty() {
            let cell = cells.first().cloned().flatten().unwrap_or_default();
            return Ok(self.numbers.label(&cell));
        }
        let mut labels: Vec<&str> = Vec::new();
        for (cell, label) in cells.iter().zip(&self.one_hot) {
            let cell = cell.as_deref().unwrap_or_default();
            let has = flag(cell).ok_or_else(|| {
                let problem = Problem::new(format!("the column `{label}` holds something other than 0 and 1"));
                problem.expected("zeros and ones, as in the rows before").found(format!("`{cell}`"))
            })?;
            if has {
                labels.push(label);
            }
        }
        self.several |= labels.len() != 1;
        Ok(Some(labels.join(&SEPARATOR.to_string())))
    }
}
