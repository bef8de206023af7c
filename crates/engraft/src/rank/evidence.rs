//! LogME: how likely the labels are under the best linear model of the features, every weight integrated out.

use faer::Mat;

use super::table::Table;
use crate::error::Result;
use crate::features::Features;
use crate::heads::axes::{eigen, gram};

/// Powers of ten by which the signal of a feature may stand above or below the noise.
const RANGE: f64 = 8.0;
/// Places of the grid that a maximum is looked for on before it is narrowed down.
const GRID: usize = 33;
/// Halvings, by the golden ratio, of the interval about the best place: 0.5 powers of ten become 1e-9.
const NARROWINGS: usize = 42;
/// Eigenvalues below this share of the largest are rounding.
const NEGLIGIBLE: f64 = 1e-12;

/// The largest log-evidence of a linear model with Gaussian weights and noise, in nats for each example, the mean over `targets`
/// (a column of zeros and ones for each class or label, or of numbers), `[targets][rows]`.
///
/// You, Liu, Wang and Long (2021), "LogME: practical assessment of pre-trained models for transfer learning", equation 2, with the
/// weights' prior `N(0, 1/alpha)` and the noise `N(0, 1/beta)` at their joint maximum. The features are standardised and the
/// targets centred and scaled to a variance of 1 (as a head with an intercept has them), so that one direction is taken away from
/// the rows and evidences of other targets can be compared. In the eigenvectors of `F Fᵀ` the evidence is that of independent normal
/// numbers of variance `1/beta + lambda/alpha`; `beta` has its maximum in closed form and the ratio of the two is looked
/// for on a line, so that nothing is left out where there are fewer rows than columns.
///
/// # Errors
/// Numbers that are not finite; a decomposition that fails.
pub(super) fn log_evidence(features: &Features, targets: &[Vec<f64>]) -> Result<f64> {
    let table = Table::of(features)?;
    let spectrum = Spectrum::of(&table)?;
    let evidences: Vec<f64> = targets.iter().filter_map(|target| spectrum.evidence(target)).collect();
    Ok(evidences.iter().sum::<f64>() / evidences.len().max(1) as f64)
}

/// What of a table an evidence depends on.
struct Spectrum {
    /// Eigenvalues of `F Fᵀ` above zero.
    values: Vec<f64>,
    /// The eigenvector of each, `[values, rows]`.
    axes: Vec<Vec<f64>>,
    rows: usize,
}

impl Spectrum {
    fn of(table: &Table) -> Result<Self> {
        let (rows, columns) = (table.rows, table.columns);
        let x = table.matrix();
        let side = rows.min(columns);
        let mut product = Mat::zeros(side, side);
        let by_rows = rows <= columns;
        gram(product.as_mut(), if by_rows { x } else { x.transpose() }, 1.0);
        let (values, vectors) = eigen(&product)?;
        let largest = values.last().copied().unwrap_or(0.0);
        // Centred rows span one direction less.
        let most = side.min(rows.saturating_sub(1));
        let kept = (0..side).rev().take(most).filter(|&axis| values[axis] > NEGLIGIBLE * largest);
        let kept: Vec<usize> = kept.collect();
        let axis = |&axis: &usize| -> Vec<f64> {
            let vector = vectors.col(axis);
            if by_rows {
                return vector.iter().copied().collect();
            }
            let root = values[axis].sqrt();
            let along = |row: &[f64]| row.iter().zip(vector.iter()).map(|(x, v)| x * v).sum::<f64>() / root;
            table.values.chunks_exact(columns.max(1)).map(along).collect()
        };
        Ok(Self {
            values: kept.iter().map(|&axis| values[axis]).collect(),
            axes: kept.iter().map(axis).collect(),
            rows,
        })
    }

    /// In nats for each example; nothing for a target that does not vary.
    fn evidence(&self, target: &[f64]) -> Option<f64> {
        let n = self.rows.saturating_sub(1) as f64;
        let mean = target.iter().sum::<f64>() / self.rows.max(1) as f64;
        let variance = target.iter().map(|y| (y - mean).powi(2)).sum::<f64>() / self.rows.max(1) as f64;
        if variance <= 0.0 || n < 1.0 {
            return None;
        }
        let y: Vec<f64> = target.iter().map(|y| (y - mean) / variance.sqrt()).collect();
        let along = |axis: &Vec<f64>| axis.iter().zip(&y).map(|(a, y)| a * y).sum::<f64>().powi(2);
        let energies: Vec<f64> = self.axes.iter().map(along).collect();
        let rest = (y.iter().map(|y| y * y).sum::<f64>() - energies.iter().sum::<f64>()).max(0.0);
        let unit = self.values.iter().sum::<f64>() / self.values.len().max(1) as f64;
        // With `g` = beta / alpha the variances are `(1 + g lambda) / beta`, and `beta` is at its maximum.
        let profile = |power: f64| {
            let g = 10f64.powf(power) / unit.max(f64::MIN_POSITIVE);
            let parts = self.values.iter().zip(&energies).map(|(lambda, energy)| energy / (1.0 + g * lambda));
            let noise = (rest + parts.sum::<f64>()) / n;
            let spread: f64 = self.values.iter().map(|lambda| (1.0 + g * lambda).ln()).sum();
            -0.5 * n * ((std::f64::consts::TAU * noise.max(f64::MIN_POSITIVE)).ln() + 1.0) - 0.5 * spread
        };
        Some(maximum(&profile) / n)
    }
}

/// The largest value of a function of a power of ten.
fn maximum(of: &dyn Fn(f64) -> f64) -> f64 {
    let step = 2.0 * RANGE / (GRID - 1) as f64;
    let place = |at: usize| step * at as f64 - RANGE;
    let best = (0..GRID).max_by(|&a, &b| of(place(a)).total_cmp(&of(place(b)))).unwrap_or(0);
    let (mut low, mut high) = (place(best) - step, place(best) + step);
    let golden = (5f64.sqrt() - 1.0) / 2.0;
    for _ in 0..NARROWINGS {
        let (left, right) = (high - golden * (high - low), low + golden * (high - low));
        if of(left) < of(right) { low = left } else { high = right }
    }
    of(f64::midpoint(low, high)).max(of(place(best)))
}
