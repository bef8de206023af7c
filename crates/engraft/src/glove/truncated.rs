//! Truncated singular value decomposition of a co-occurrence matrix, randomised (Halko, Martinsson and Tropp 2011, "Finding structure
//! with randomness", algorithms 4.4 and 5.1).

use faer::{Mat, MatRef};
use rand_distr::{Distribution, StandardNormal};
use rayon::prelude::*;

use super::principal::sign_of;
use super::records::Record;
use crate::error::{Error, Problem, Result};
use crate::progress::Observer;
use crate::rng::rng;
use crate::settings::{ReduceVectors, Weighting};

/// Columns beyond those that are kept: the paper's `p`.
const OVERSAMPLING: usize = 10;
/// Columns that a thread multiplies at a time by the transposed matrix.
const PANEL: usize = 32;
/// Rows that share one stream of random numbers.
const STREAM: usize = 256;
/// Records between two looks at whether to stop.
const LOOK: usize = 1 << 20;

/// A sparse square matrix, row by row; columns of a row ascend.
struct Sparse {
    /// Where each row begins, `[words + 1]`.
    starts: Vec<usize>,
    columns: Vec<u32>,
    values: Vec<f64>,
}

/// What a decomposition found.
pub(super) struct Truncated {
    /// Descending.
    pub(super) singular: Vec<f64>,
    /// `[words, columns]`: `U S^power`. Of each column the number that is largest in size, the first of equals, is positive.
    pub(super) vectors: Vec<f32>,
    /// Entries of the matrix that are not zero.
    pub(super) entries: usize,
    /// The squared Frobenius norm of the matrix.
    pub(super) square: f64,
}

/// Decomposes a matrix over `words` words. `records` is asked twice for all records, in any order: their order changes no bit.
pub(super) fn decompose<I: Iterator<Item = Result<Record>>>(
    words: usize,
    records: impl Fn() -> Result<I>,
    settings: &ReduceVectors,
    observer: &dyn Observer,
) -> Result<Truncated> {
    let kept = settings.columns;
    if kept == 0 || kept > words {
        let problem = Problem::new("a matrix has no more singular vectors than words");
        let problem = problem.expected(format_args!("1 to {words}")).found(kept).at("--columns");
        return Err(Error::Usage(problem));
    }
    let width = (kept + OVERSAMPLING).min(words);
    let mut matrix = Sparse::of(words, &records, width, settings.memory, observer)?;
    matrix.weigh(settings);
    let square = matrix.values.iter().map(|x| x * x).sum();
    // Two for the first products and the last, two for each power iteration.
    observer.begin("decompose", 2 + 2 * settings.iterations as u64, "products");
    let mut basis = matrix.times(&gaussian(words, width, settings.seed), width);
    observer.advance(1);
    basis = orthonormal(&basis, words, width);
    for _ in 0..settings.iterations {
        observer.check()?;
        let other = orthonormal(&matrix.transposed_times(&basis, width), words, width);
        observer.advance(1);
        observer.check()?;
        basis = orthonormal(&matrix.times(&other, width), words, width);
        observer.advance(1);
    }
    // B = Qᵀ A. With Bᵀ = P R its singular values are those of the small Rᵀ.
    observer.check()?;
    let reduced = matrix.transposed_times(&basis, width);
    observer.advance(1);
    observer.end();
    let factor = MatRef::from_row_major_slice(&reduced, words, width).to_owned().qr().thin_R().to_owned();
    let failed = |_| Error::Training(Problem::new("the singular values of a matrix were not found"));
    let small = factor.transpose().to_owned().thin_svd().map_err(failed)?;
    let singular: Vec<f64> = small.S().column_vector().iter().take(kept).copied().collect();
    let u = MatRef::from_row_major_slice(&basis, words, width) * small.U().get(.., ..kept);
    let scales: Vec<f64> =
        (0..kept).map(|axis| sign_of(u.col(axis).iter().copied()) * singular[axis].powf(settings.power)).collect();
    let cells = (0..words).flat_map(|row| (0..kept).map(move |axis| (row, axis)));
    let vectors = cells.map(|(row, axis)| (u[(row, axis)] * scales[axis]) as f32).collect();
    Ok(Truncated { singular, vectors, entries: matrix.values.len(), square })
}

/// `[rows, width]` of the standard normal distribution.
fn gaussian(rows: usize, width: usize, seed: u64) -> Vec<f64> {
    let mut out = vec![0.0; rows * width];
    out.par_chunks_mut(STREAM * width).enumerate().for_each(|(part, out)| {
        let mut stream = rng(seed, "glove/svd", part as u64);
        out.iter_mut().for_each(|x| *x = StandardNormal.sample(&mut stream));
    });
    out
}

/// An orthonormal basis of the columns, by Householder's QR on one thread.
fn orthonormal(columns: &[f64], rows: usize, width: usize) -> Vec<f64> {
    let q: Mat<f64> = MatRef::from_row_major_slice(columns, rows, width).to_owned().qr().compute_thin_Q();
    (0..rows).flat_map(|row| (0..width).map(move |column| (row, column))).map(|at| q[at]).collect()
}

impl Sparse {
    fn of<I: Iterator<Item = Result<Record>>>(
        words: usize,
        records: &impl Fn() -> Result<I>,
        width: usize,
        memory: u64,
        observer: &dyn Observer,
    ) -> Result<Self> {
        let checked = |record: &Record| {
            let is_known = (record.row as usize) < words && (record.column as usize) < words;
            let is_count = record.value > 0.0 && record.value.is_finite();
            if is_known && is_count {
                return Ok(());
            }
            let problem = Problem::new("a co-occurrence record is damaged");
            let problem = problem.expected(format_args!("words 0 to {}, a finite count above 0", words - 1));
            Err(Error::Data(problem.found(format_args!("{record:?}"))))
        };
        observer.begin("read the co-occurrences", 0, "records");
        let mut starts = vec![0usize; words + 1];
        let mut total = 0usize;
        for record in records()? {
            let record = record?;
            checked(&record)?;
            starts[record.row as usize + 1] += 1;
            total += 1;
            if total.is_multiple_of(LOOK) {
                observer.check()?;
                observer.advance(LOOK as u64);
            }
        }
        // The matrix, and five arrays as wide as the basis.
        let needed = total as u64 * 12 + (words * width) as u64 * 8 * 5;
        if needed > memory << 20 {
            let problem = Problem::new("the decomposition does not fit into its memory");
            let problem = problem.expected(format_args!("at most {memory} MiB"));
            let found = format!("{total} records of {words} words: {} MiB", needed.div_ceil(1 << 20));
            let hint = "a larger --memory, a larger minimum count of words, or fewer --columns";
            return Err(Error::Usage(problem.found(found).hint(hint).at("--memory")));
        }
        (0..words).for_each(|row| starts[row + 1] += starts[row]);
        let (mut columns, mut values) = (vec![0u32; total], vec![0.0; total]);
        let mut next = starts.clone();
        for (at, record) in records()?.enumerate() {
            let record = record?;
            checked(&record)?;
            let place = &mut next[record.row as usize];
            if *place >= starts[record.row as usize + 1] {
                return Err(Error::Data(Problem::new("the co-occurrence records changed while they were read")));
            }
            (columns[*place], values[*place]) = (record.column, record.value);
            *place += 1;
            if at.is_multiple_of(LOOK) {
                observer.check()?;
            }
        }
        observer.end();
        let mut matrix = Self { starts, columns, values };
        matrix.sort();
        Ok(matrix)
    }

    /// Orders each row by columns and adds up what stands in the same place.
    fn sort(&mut self) {
        let sorted: Vec<Vec<(u32, f64)>> = (0..self.starts.len() - 1)
            .into_par_iter()
            .map(|row| {
                let mut entries: Vec<(u32, f64)> = self.row(row).collect();
                entries.sort_unstable_by(|a, b| a.0.cmp(&b.0).then(a.1.total_cmp(&b.1)));
                entries.dedup_by(|next, kept| {
                    let is_same = next.0 == kept.0;
                    if is_same {
                        kept.1 += next.1;
                    }
                    is_same
                });
                entries
            })
            .collect();
        self.replace(&sorted);
    }

    fn replace(&mut self, rows: &[Vec<(u32, f64)>]) {
        self.columns.clear();
        self.values.clear();
        for (row, entries) in rows.iter().enumerate() {
            self.columns.extend(entries.iter().map(|entry| entry.0));
            self.values.extend(entries.iter().map(|entry| entry.1));
            self.starts[row + 1] = self.values.len();
        }
    }

    fn row(&self, row: usize) -> impl Iterator<Item = (u32, f64)> {
        let place = self.starts[row]..self.starts[row + 1];
        self.columns[place.clone()].iter().copied().zip(self.values[place].iter().copied())
    }

    /// Puts what is factorised in place of the counts. Pointwise mutual information is
    /// `ln(x_ij sum_c s_c / (r_i s_j)) - ln(shift)`, `r` the sums of rows and `s` the sums of columns to the power of the smoothing
    /// (Levy, Goldberg and Dagan 2015, equation 6); what is not above 0 is 0.
    fn weigh(&mut self, settings: &ReduceVectors) {
        match settings.weighting {
            Weighting::Raw => {}
            Weighting::Sqrt => self.values.par_iter_mut().for_each(|x| *x = x.sqrt()),
            Weighting::Log => self.values.par_iter_mut().for_each(|x| *x = x.ln_1p()),
            Weighting::Ppmi => {
                let words = self.starts.len() - 1;
                let mut contexts = vec![0.0; words];
                let rows: Vec<f64> = (0..words).map(|row| self.row(row).map(|entry| entry.1).sum()).collect();
                self.columns.iter().zip(&self.values).for_each(|(column, x)| contexts[*column as usize] += x);
                contexts.iter_mut().for_each(|sum: &mut f64| *sum = sum.powf(settings.context_smoothing));
                let total: f64 = contexts.iter().sum();
                let shift = settings.shift.ln();
                let kept: Vec<Vec<(u32, f64)>> = (0..words)
                    .into_par_iter()
                    .map(|row| {
                        let weighed = self.row(row).map(|(column, x)| {
                            (column, (x * total / (rows[row] * contexts[column as usize])).ln() - shift)
                        });
                        weighed.filter(|(_, x)| *x > 0.0).collect()
                    })
                    .collect();
                self.replace(&kept);
            }
        }
    }

    /// The product with `[words, width]`. Each row is one sum in the order of columns.
    fn times(&self, right: &[f64], width: usize) -> Vec<f64> {
        let mut out = vec![0.0; right.len()];
        out.par_chunks_mut(width).enumerate().for_each(|(row, out)| {
            for (column, x) in self.row(row) {
                let right = &right[column as usize * width..][..width];
                out.iter_mut().zip(right).for_each(|(out, y)| *out += x * y);
            }
        });
        out
    }

    /// The product of the transposed matrix with `[words, width]`, some columns at a time: each sum is in the order of rows.
    fn transposed_times(&self, right: &[f64], width: usize) -> Vec<f64> {
        let words = self.starts.len() - 1;
        let panels: Vec<Vec<f64>> = (0..width.div_ceil(PANEL))
            .into_par_iter()
            .map(|panel| {
                let begin = panel * PANEL;
                let wide = PANEL.min(width - begin);
                let mut sums = vec![0.0; words * wide];
                for row in 0..words {
                    let right = &right[row * width + begin..][..wide];
                    for (column, x) in self.row(row) {
                        let sums = &mut sums[column as usize * wide..][..wide];
                        sums.iter_mut().zip(right).for_each(|(sum, y)| *sum += x * y);
                    }
                }
                sums
            })
            .collect();
        let mut out = vec![0.0; words * width];
        out.par_chunks_mut(width).enumerate().for_each(|(row, out)| {
            for (out, panel) in out.chunks_mut(PANEL).zip(&panels) {
                out.copy_from_slice(&panel[row * out.len()..][..out.len()]);
            }
        });
        out
    }
}
