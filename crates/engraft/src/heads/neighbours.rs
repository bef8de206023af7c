//! When to say "unlike anything seen".

use rand::seq::SliceRandom;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Problem, Result};
use crate::features::Features;
use crate::rng::rng;

/// Most rows that are kept to compare with.
pub(crate) const MOST_REFERENCES: usize = 2000;

/// Which neighbour's distance counts at most.
const NEIGHBOUR: usize = 10;

/// Of this many references of a class one is looked at: with few, a farther neighbour would be of another class, and
/// nothing would be far.
const REFERENCES_PER_NEIGHBOUR: usize = 5;

/// What is measured between two rows.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Metric {
    /// The distance of the two brought to length 1, from 0 to 2: for features of a network, whose lengths say little.
    #[default]
    Direction,
    /// The distance of the two as they are: for columns of a table.
    Distance,
}

/// How far an example is from the training data: the distance to its k-th nearest neighbour among reference rows, of
/// features of a network all of length 1 (Sun, Ming, Zhu and Li, 2022, "Out-of-distribution detection with deep nearest neighbors").
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Novelty {
    /// Rows of the training data, as they were.
    pub(crate) kept: Features,
    /// The class of each, by which they were drawn in proportion; none where a run does not tell.
    pub(crate) classes: Vec<usize>,
    /// The same rows as they are compared: each of length 1 where directions are measured.
    pub(crate) references: Features,
    /// What is measured.
    pub(crate) metric: Metric,
    /// Which neighbour's distance counts, from 1.
    pub(crate) k: usize,
    /// Distances above this are unlike the training data.
    pub(crate) threshold: f32,
}

impl Novelty {
    /// Takes at most [`MOST_REFERENCES`] rows, of each class in proportion and at least one, drawn from the stream
    /// `(seed, "novelty", class)`, and sets the threshold to the `quantile` of their own distances.
    ///
    /// A row's own distance leaves out the row and all others of its group (`groups[i]`: duplicates, or photos of
    /// one thing, share a group), as a new example has no duplicate among the references either. The quantile is the
    /// `ceil((n + 1) · quantile)`-th smallest distance, at most the greatest. Where no row has a neighbour outside its
    /// group, nothing can be told apart and the threshold is one that no distance exceeds.
    ///
    /// # Errors
    /// [`Error::Data`] for fewer than two rows, or features that are not finite; [`Error::Usage`] for a quantile outside of 0
    /// to 1.
    pub(crate) fn fit(
        features: &Features,
        labels: &[usize],
        groups: &[usize],
        metric: Metric,
        seed: u64,
        quantile: f64,
    ) -> Result<Self> {
        features.check()?;
        if features.rows != labels.len() || features.rows != groups.len() || features.rows < 2 {
            return Err(Error::Data(
                Problem::new("features, labels and groups do not belong together")
                    .expected("a label and a group for each of at least 2 rows")
                    .found(format!("{} rows, {} labels, {} groups", features.rows, labels.len(), groups.len())),
            ));
        }
        if !(0.0..=1.0).contains(&quantile) {
            return Err(Error::Usage(
                Problem::new("the quantile is not a fraction").expected("from 0 to 1").found(quantile),
            ));
        }
        let rows = stratified(labels, seed);
        let classes = labels.iter().collect::<std::collections::BTreeSet<_>>().len().max(1);
        let k = (rows.len() / classes / REFERENCES_PER_NEIGHBOUR).clamp(1, NEIGHBOUR);
        let drawn = rows.iter().map(|&row| labels[row]).collect();
        let mut novelty = Self::of(features.select(&rows), drawn, metric, k, metric.farthest());
        let own = |at: usize| {
            let others = (0..rows.len()).filter(|&other| other != at && groups[rows[other]] != groups[rows[at]]);
            novelty.kth_distance(novelty.references.row(at), others)
        };
        let mut distances: Vec<f32> = (0..rows.len()).into_par_iter().filter_map(own).collect();
        distances.sort_unstable_by(f32::total_cmp);
        if !distances.is_empty() {
            let rank = ((distances.len() + 1) as f64 * quantile).ceil() as usize;
            novelty.threshold = distances[rank.clamp(1, distances.len()) - 1];
        }
        Ok(novelty)
    }

    /// What compares with these rows.
    pub(crate) fn of(kept: Features, classes: Vec<usize>, metric: Metric, k: usize, threshold: f32) -> Self {
        let mut references = kept.clone();
        references.values.chunks_exact_mut(kept.columns.max(1)).for_each(|row| metric.prepare(row));
        Self { kept, classes, references, metric, k, threshold }
    }

    /// Distance of an example from the training data.
    ///
    /// # Panics
    /// If the row is shorter than the references.
    pub(crate) fn distance(&self, row: &[f32]) -> f32 {
        let mut row = row[..self.references.columns].to_vec();
        self.metric.prepare(&mut row);
        self.kth_distance(&row, 0..self.references.rows).unwrap_or(self.metric.farthest())
    }

    /// Whether an example of this distance is unlike the training data.
    pub(crate) fn is_unlike(&self, distance: f32) -> bool {
        distance > self.threshold
    }

    /// The k-th smallest distance to the given references, or the greatest where there are fewer than k.
    fn kth_distance(&self, row: &[f32], references: impl Iterator<Item = usize>) -> Option<f32> {
        let mut distances: Vec<f32> = references.map(|at| squared_distance(row, self.references.row(at))).collect();
        let k = self.k.min(distances.len());
        if k == 0 {
            return None;
        }
        let (_, kth, _) = distances.select_nth_unstable_by(k - 1, f32::total_cmp);
        Some(kth.sqrt())
    }
}

impl Metric {
    /// Brings a row to the form in which it is compared.
    fn prepare(self, row: &mut [f32]) {
        if self == Self::Direction {
            normalise(row);
        }
    }

    /// A distance that no other exceeds.
    fn farthest(self) -> f32 {
        match self {
            Self::Direction => 2.0,
            Self::Distance => f32::MAX,
        }
    }
}

/// Brings a row to length 1; a row of zeros stays as it is.
fn normalise(row: &mut [f32]) {
    let length = row.iter().map(|&x| f64::from(x) * f64::from(x)).sum::<f64>().sqrt();
    if length > 0.0 {
        row.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
    }
}

/// `||a - b||²` with sixteen running sums, in a fixed order. Exactly 0 for equal rows, unlike `2 - 2 a·b`.
fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0f32; 16];
    let (x, y) = (a.chunks_exact(16), b.chunks_exact(16));
    let rest: f32 = x.remainder().iter().zip(y.remainder()).map(|(x, y)| (x - y) * (x - y)).sum();
    for (x, y) in x.zip(y) {
        for lane in 0..16 {
            let apart = x[lane] - y[lane];
            sums[lane] += apart * apart;
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// At most [`MOST_REFERENCES`] rows, ascending, of each class in proportion; at least one each while there is room.
fn stratified(labels: &[usize], seed: u64) -> Vec<usize> {
    if labels.len() <= MOST_REFERENCES {
        return (0..labels.len()).collect();
    }
    let mut by_class: std::collections::BTreeMap<usize, Vec<usize>> = std::collections::BTreeMap::new();
    for (row, &label) in labels.iter().enumerate() {
        by_class.entry(label).or_default().push(row);
    }
    let share = MOST_REFERENCES as f64 / labels.len() as f64;
    let mut drawn: Vec<(f64, usize, Vec<usize>)> = Vec::new();
    for (&class, rows) in &mut by_class {
        rows.shuffle(&mut rng(seed, "novelty", class as u64));
        let exact = rows.len() as f64 * share;
        let sure = (exact.floor() as usize).max(1);
        drawn.push((exact - sure as f64, sure, std::mem::take(rows)));
    }
    // What rounding left over goes to the largest remainders; what it took too much comes from the smallest.
    let mut order: Vec<usize> = (0..drawn.len()).collect();
    order.sort_by(|&a, &b| drawn[b].0.total_cmp(&drawn[a].0).then(a.cmp(&b)));
    let mut total: usize = drawn.iter().map(|(_, sure, _)| sure).sum();
    for &class in order.iter().cycle().take(2 * order.len()) {
        if total < MOST_REFERENCES && drawn[class].1 < drawn[class].2.len() {
            drawn[class].1 += 1;
            total += 1;
        }
    }
    while total > MOST_REFERENCES {
        let most = (0..drawn.len()).max_by_key(|&class| drawn[class].1);
        let Some(most) = most.filter(|&most| drawn[most].1 > 1) else { break };
        drawn[most].1 -= 1;
        total -= 1;
    }
    let mut rows: Vec<usize> = drawn.iter().flat_map(|(_, count, rows)| rows[..*count].iter().copied()).collect();
    // More classes than references: one row of each is still too many.
    rows.truncate(MOST_REFERENCES);
    rows.sort_unstable();
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cloud(rows: usize, columns: usize, seed: u64) -> Features {
        use rand::RngExt;
        let mut stream = rng(seed, "test", 0);
        let mut value = |at: usize| stream.random::<f32>() - 0.5 + if at % columns < 4 { 2.0 } else { 0.0 };
        Features::new(rows, columns, (0..rows * columns).map(&mut value).collect()).unwrap()
    }

    #[test]
    fn what_is_unlike_is_told_from_what_is_alike() {
        let features = cloud(600, 32, 1);
        let groups: Vec<usize> = (0..600).collect();
        let novelty = Novelty::fit(&features, &[0; 600], &groups, Metric::Direction, 1, 0.99).unwrap();
        let alike = cloud(500, 32, 2);
        let flagged = (0..500).filter(|&i| novelty.is_unlike(novelty.distance(alike.row(i)))).count();
        assert!(flagged <= 20, "{flagged} of 500 alike are flagged, 5 are expected");
        let mut unlike = vec![0.0; 32];
        unlike[20] = -3.0;
        assert!(novelty.is_unlike(novelty.distance(&unlike)));
    }

    #[test]
    fn a_duplicate_does_not_narrow_the_threshold() {
        let features = cloud(40, 16, 1);
        let thrice = (0..40).collect::<Vec<_>>().repeat(3);
        let labels = [0; 120];
        let tripled = features.select(&thrice);
        let grouped = Novelty::fit(&tripled, &labels, &thrice, Metric::Direction, 1, 0.9).unwrap();
        let apart = Novelty::fit(&tripled, &labels, &(0..120).collect::<Vec<_>>(), Metric::Direction, 1, 0.9).unwrap();
        assert!(apart.threshold < grouped.threshold);
    }

    #[test]
    fn how_far_a_row_of_a_table_lies_counts() {
        let features = cloud(600, 2, 1);
        let groups: Vec<usize> = (0..600).collect();
        let fit = |metric| Novelty::fit(&features, &[0; 600], &groups, metric, 1, 0.99).unwrap();
        let far = [40.0, 40.0];
        let unlike = |novelty: &Novelty| novelty.is_unlike(novelty.distance(&far));
        assert!(unlike(&fit(Metric::Distance)) && !unlike(&fit(Metric::Direction)));
    }

    #[test]
    fn two_rows_are_enough() {
        let features = Features::new(2, 2, vec![1.0, 0.0, 0.0, 3.0]).unwrap();
        let novelty = Novelty::fit(&features, &[0, 1], &[0, 1], Metric::Direction, 1, 0.99).unwrap();
        assert_eq!(novelty.k, 1);
        assert!((novelty.threshold - 2f32.sqrt()).abs() < 1e-6);
        assert_eq!(novelty.distance(&[5.0, 0.0]), 0.0);
        // Without a neighbour outside the group nothing is unlike.
        let novelty = Novelty::fit(&features, &[0, 1], &[7, 7], Metric::Direction, 1, 0.99).unwrap();
        assert!(!novelty.is_unlike(novelty.distance(&[-1.0, 0.0])));
        assert!(Novelty::fit(&features, &[0], &[0, 1], Metric::Direction, 1, 0.99).is_err());
    }

    #[test]
    fn the_sample_is_stratified_and_seeded() {
        let labels: Vec<usize> = (0..10_000).map(|i| if i == 77 { 2 } else { usize::from(i % 4 == 0) }).collect();
        let rows = stratified(&labels, 1);
        assert_eq!(rows.len(), MOST_REFERENCES);
        assert!(rows.contains(&77), "a class of one is kept");
        let ones = rows.iter().filter(|&&row| labels[row] == 1).count();
        assert!((499..=501).contains(&ones), "{ones}");
        assert_eq!(rows, stratified(&labels, 1));
        assert_ne!(rows, stratified(&labels, 2));
        assert_eq!(stratified(&(0..3000).collect::<Vec<_>>(), 1).len(), MOST_REFERENCES);
    }
}
