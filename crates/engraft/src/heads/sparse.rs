//! Rows of which only some columns are not zero, and linear classifiers of them: for words counted in texts.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// Multiplications that are worth a task of their own.
const TASK: usize = 1 << 14;

/// Rows of which only some columns are not zero.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct SparseRows {
    /// Number of columns.
    pub(crate) columns: usize,
    /// Where each row begins in `entries`, and the end of the last.
    starts: Vec<usize>,
    /// Column and value, row after row.
    entries: Vec<(u32, f32)>,
}

impl SparseRows {
    /// Rows of pairs of column and value.
    ///
    /// # Panics
    /// If a column is not below `columns`.
    pub fn new(columns: usize, rows: impl IntoIterator<Item = Vec<(u32, f32)>>) -> Self {
        let mut sparse = Self { columns, starts: vec![0], entries: Vec::new() };
        for row in rows {
            assert!(row.iter().all(|(column, _)| (*column as usize) < columns), "columns below {columns}");
            sparse.entries.extend(row);
            sparse.starts.push(sparse.entries.len());
        }
        sparse
    }

    /// Number of rows.
    pub(crate) fn rows(&self) -> usize {
        self.starts.len().saturating_sub(1)
    }

    /// The entries of a row.
    ///
    /// # Panics
    /// If there is no such row.
    pub(crate) fn row(&self, at: usize) -> &[(u32, f32)] {
        &self.entries[self.starts[at]..self.starts[at + 1]]
    }

    /// A copy of some rows, in the order given.
    #[must_use]
    #[cfg(test)]
    pub(crate) fn select(&self, rows: &[usize]) -> Self {
        Self::new(self.columns, rows.iter().map(|&at| self.row(at).to_vec()))
    }

    /// The same numbers by column: for each, the rows that have it and their values.
    pub(super) fn by_column(&self) -> Self {
        let mut starts = vec![0; self.columns + 1];
        self.entries.iter().for_each(|(column, _)| starts[*column as usize + 1] += 1);
        for column in 0..self.columns {
            starts[column + 1] += starts[column];
        }
        let (mut next, mut entries) = (starts.clone(), vec![(0, 0.0); self.entries.len()]);
        for at in 0..self.rows() {
            for &(column, value) in self.row(at) {
                entries[next[column as usize]] = (at as u32, value);
                next[column as usize] += 1;
            }
        }
        Self { columns: self.rows(), starts, entries }
    }

    /// Has `of` make `width` numbers of each row's entries; rows are shared out among threads by their entries.
    pub(super) fn each(&self, width: usize, out: &mut [f64], of: &(impl Fn(&[(u32, f32)], &mut [f64]) + Sync)) {
        self.each_of(0..self.rows(), width, out, of);
    }

    fn each_of(
        &self,
        rows: Range<usize>,
        width: usize,
        out: &mut [f64],
        of: &(impl Fn(&[(u32, f32)], &mut [f64]) + Sync),
    ) {
        let (first, last) = (self.starts[rows.start], self.starts[rows.end]);
        if rows.len() < 2 || (last - first + rows.len()) * width <= TASK {
            return rows.zip(out.chunks_exact_mut(width)).for_each(|(at, out)| of(self.row(at), out));
        }
        let half = self.starts.partition_point(|&start| start < first.midpoint(last));
        let half = half.clamp(rows.start + 1, rows.end - 1);
        let (left, right) = out.split_at_mut((half - rows.start) * width);
        rayon::join(
            || self.each_of(rows.start..half, width, left, of),
            || self.each_of(half..rows.end, width, right, of),
        );
    }
}

/// A linear classifier on sparse rows.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SparseClassifier {
    /// Number of classes.
    pub(crate) classes: usize,
    /// `[columns, classes]`, row-major.
    pub(crate) weights: Vec<f64>,
    /// `[classes]`
    pub(crate) intercepts: Vec<f64>,
}

impl SparseClassifier {
    /// Logits of one row, `[classes]`.
    pub(crate) fn logits(&self, row: &[(u32, f32)]) -> Vec<f64> {
        let mut logits = self.intercepts.clone();
        for &(column, value) in row {
            let weights = &self.weights[column as usize * self.classes..][..self.classes];
            logits.iter_mut().zip(weights).for_each(|(logit, weight)| *logit += weight * f64::from(value));
        }
        logits
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_selected_turned_and_shared_out() {
        // Rows of very different lengths, more than one task.
        let lengths = (0..300).map(|at| if at == 7 { 40_000 } else { at % 50 });
        let of = |length: usize| (0..length as u32).map(|column| (column, 1.0 + column as f32)).collect::<Vec<_>>();
        let rows = SparseRows::new(40_000, lengths.map(of));
        let twice = rows.by_column().by_column();
        assert_eq!(twice, rows);
        assert_eq!(rows.select(&[3, 3]).row(1), rows.row(3));
        let mut out = vec![0.0; 600];
        rows.each(2, &mut out, &|row, out| out.copy_from_slice(&[row.len() as f64, 1.0]));
        let each = (0..300).flat_map(|at| [rows.row(at).len() as f64, 1.0]);
        assert!(out.into_iter().eq(each));
    }
}
