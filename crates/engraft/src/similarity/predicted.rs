//! What is to be predicted of each row, as scores of features take it.

use super::moments::check_labels;
use crate::error::{Error, Problem, Result};

/// What is to be predicted of each row.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Predicted<'a> {
    /// One of some classes.
    Classes {
        /// The class of each row, `[rows]`.
        labels: &'a [usize],
        /// The number of classes.
        classes: usize,
    },
    /// A number, `[rows]`.
    Numbers(&'a [f64]),
    /// Any of some labels.
    LabelSets {
        /// Whether each row has each label, `[rows, count]`.
        labels: &'a [bool],
        /// The number of labels.
        count: usize,
    },
}

impl Predicted<'_> {
    /// Refuses what does not belong to so many rows.
    ///
    /// # Errors
    /// [`Error::Data`] for another number of rows, a label that is not a class, a number that is not finite.
    pub(crate) fn check(&self, rows: usize) -> Result<()> {
        let (found, expected) = match *self {
            Self::Classes { labels, classes } => return check_labels(labels, rows, classes),
            Self::Numbers(numbers) => (numbers.len(), rows),
            Self::LabelSets { labels, count } => (labels.len(), rows.saturating_mul(count)),
        };
        if found != expected {
            return Err(Error::Data(
                Problem::new("features and what is to be predicted do not belong together")
                    .expected(format!("{expected} values for {rows} rows"))
                    .found(format!("{found} values")),
            ));
        }
        if let Self::Numbers(numbers) = *self
            && let Some(row) = numbers.iter().position(|number| !number.is_finite())
        {
            return Err(Error::Data(
                Problem::new("a target is not a finite number")
                    .expected("finite numbers")
                    .found(format!("{} in row {row} (counted from 0)", numbers[row])),
            ));
        }
        Ok(())
    }

    /// Columns of numbers, `[columns][rows]`: a column of zeros and ones for each class or label, or the numbers.
    pub(crate) fn columns(&self) -> Vec<Vec<f64>> {
        let indicator = |is: bool| f64::from(u8::from(is));
        match *self {
            Self::Classes { labels, classes } => {
                (0..classes).map(|class| labels.iter().map(|&label| indicator(label == class)).collect()).collect()
            }
            Self::Numbers(numbers) => vec![numbers.to_vec()],
            Self::LabelSets { labels, count } => {
                (0..count).map(|label| labels.chunks_exact(count).map(|row| indicator(row[label])).collect()).collect()
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_belong_to_the_rows_is_refused() {
        let classes = Predicted::Classes { labels: &[0, 2, 1], classes: 3 };
        assert!(classes.check(3).is_ok() && classes.check(2).is_err());
        assert_eq!(classes.columns()[2], [0.0, 1.0, 0.0]);
        assert!(Predicted::Classes { labels: &[0, 3], classes: 3 }.check(2).is_err());
        assert!(Predicted::Numbers(&[1.0, f64::NAN]).check(2).unwrap_err().to_string().contains("row 1"));
        let sets = Predicted::LabelSets { labels: &[true, false, true, true], count: 2 };
        assert!(sets.check(2).is_ok() && sets.check(4).is_err());
        assert_eq!(sets.columns(), [[1.0, 1.0], [0.0, 1.0]]);
        assert!(Predicted::LabelSets { labels: &[], count: 0 }.columns().is_empty());
    }
}
