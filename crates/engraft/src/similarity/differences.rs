//! Where two domains differ: which examples, which classes, and whether in what is shown or only in how often.

use std::fmt;

use super::class_shares::{ShareShift, matched, share_shift};
use super::mmd::{Discrepancy, mmd, mmd_in_strata};
use super::moments::check_labels;
use super::permuted::{Permuted, permuted, permuted_in_strata};
use super::two_sample::{EqualRows, Judged, TwoSample, accuracy_in_strata, examples, two_sample};
use crate::error::Result;
use crate::features::Features;
use crate::progress::Observer;

/// Fewest rows of a class on each side for distances of their own, and of all classes for those at equal shares.
const FEWEST_ROWS: usize = 20;
/// Most rows of each side at equal shares: the time grows with their cube.
const MOST_ROWS: usize = 500;
/// How often domains that are alike are said to differ, at most.
const LEVEL: f64 = 0.05;

/// A domain: its features, and the class of each row where that is known.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Compared<'a> {
    /// `[rows, columns]`
    pub(crate) features: &'a Features,
    /// `[rows]`, counted as the other domain's.
    pub(crate) labels: Option<&'a [usize]>,
}

/// Distances of some rows of both domains.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Distances {
    /// The accuracy of a classifier out of fold, as [`TwoSample::accuracy`].
    pub(crate) accuracy: f64,
    /// Whether a classifier tells them apart by more than chance.
    pub(crate) permuted: Permuted,
    /// Their maximum mean discrepancy.
    pub(crate) discrepancy: Discrepancy,
}

impl Distances {
    /// The p of both tests together (Bonferroni).
    pub(crate) fn p(&self) -> f64 {
        (2.0 * self.permuted.p.min(self.discrepancy.p)).min(1.0)
    }
}

/// How far apart the examples of one class are.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct ClassDistance {
    /// The class.
    pub(crate) class: usize,
    /// Rows of it in the source and in the target that count: equal rows once, equally many of both.
    pub(crate) rows: usize,
    /// Their distances.
    pub(crate) distances: Distances,
    /// The p of both tests, corrected for all classes that are compared (Holm, 1979, "A simple sequentially rejective multiple
    /// test procedure", Scand. J. Stat. 6).
    pub(crate) corrected_p: f64,
}

/// What differs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Nothing that these rows show.
    Alike,
    /// The examples differ; whether in shares or in content cannot be said without classes on both sides, or with too few
    /// rows of classes that both have.
    Apart,
    /// The shares of the classes alone.
    Shares,
    /// What the examples of the same classes look like.
    Content,
    /// Both.
    SharesAndContent,
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Alike => "no measurable difference",
            Self::Apart => "the examples differ",
            Self::Shares => "only the class shares differ: at equal shares the examples are alike",
            Self::Content => {
                "the content differs: examples of the same classes are told apart, at the same class shares"
            }
            Self::SharesAndContent => "both the class shares and the content differ",
        })
    }
}

/// Where two domains differ.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Differences {
    /// How well a classifier tells them apart.
    pub(crate) two_sample: TwoSample,
    /// Distances of all rows.
    pub(crate) distances: Distances,
    /// Rows of the source and of the target, those first that the classifier is surest to be of their own side.
    pub(crate) surest: [Vec<Judged>; 2],
    /// The classes' shares, where both sides have labels.
    pub(crate) shares: Option<ShareShift>,
    /// Distances of equally many rows of each class, where both sides have labels and at least 20 such rows.
    pub(crate) at_equal_shares: Option<Distances>,
    /// Distances of the classes that have 20 rows on both sides, ascending class.
    pub(crate) classes: Vec<ClassDistance>,
    /// The least p of the tests that the verdict is made of, corrected for their number (Bonferroni).
    pub(crate) p: f64,
    /// What differs.
    pub(crate) verdict: Verdict,
}

/// Finds out where two domains differ.
///
/// **Shares apart from content.** Where both have labels, as many rows of each class are drawn from both, and compared by tests that
/// permute sides within each class. What differs then is not a matter of shares. Shares have a test of their own, of all rows.
/// Those two and the test of all rows have a third of the level of 5 % each, so that domains that are alike are said to differ in
/// one of twenty cases at most. Without labels on both sides nothing is said of shares.
///
/// Equal rows of a side count once (but see [`EqualRows::Copies`]). Who is surest is told of the rows that take part, 2,000 of each
/// side at most.
///
/// # Errors
/// [`crate::error::Error::Data`] for tables that do not fit each other or have fewer than 8 rows, and labels that are not classes;
/// interruption; what cross-validation returns.
pub(crate) fn differences(
    source: Compared<'_>,
    target: Compared<'_>,
    classes: usize,
    seed: u64,
    observer: &dyn Observer,
) -> Result<Differences> {
    for side in [source, target] {
        side.labels.map_or(Ok(()), |labels| check_labels(labels, side.features.rows, classes))?;
    }
    let (a, b) = (source.features, target.features);
    let told = two_sample(a, b, EqualRows::Copies, seed, observer)?;
    let distances = Distances {
        accuracy: told.accuracy,
        permuted: permuted(a, b, EqualRows::Copies, seed)?,
        discrepancy: mmd(a, b, seed)?,
    };
    let mut found = Differences {
        surest: surest(&told),
        two_sample: told,
        p: distances.p(),
        verdict: if distances.p() <= LEVEL { Verdict::Apart } else { Verdict::Alike },
        distances,
        shares: None,
        at_equal_shares: None,
        classes: Vec::new(),
    };
    let (Some(of_source), Some(of_target)) = (source.labels, target.labels) else { return Ok(found) };
    let rows = examples(a, b, EqualRows::Copies)?;
    let labels = [
        rows[0].iter().map(|&row| of_source[row]).collect::<Vec<_>>(),
        rows[1].iter().map(|&row| of_target[row]).collect(),
    ];
    let shares = share_shift(of_source, of_target, classes, seed);
    let equal = matched([&labels[0], &labels[1]], classes, MOST_ROWS, seed);
    if equal[0].len() >= FEWEST_ROWS {
        let strata = [0, 1].map(|side| equal[side].iter().map(|&at| labels[side][at]).collect::<Vec<_>>());
        let of = |side: usize| equal[side].iter().map(|&at| rows[side][at]).collect::<Vec<_>>();
        let tables = (&a.select(&of(0)), &b.select(&of(1)));
        found.at_equal_shares = Some(in_strata(tables, [&strata[0], &strata[1]], seed, observer)?);
    }
    for class in 0..classes {
        let of = |side: usize| {
            let mine = rows[side].iter().zip(&labels[side]).filter(|(_, label)| **label == class);
            mine.map(|(&row, _)| row).collect::<Vec<_>>()
        };
        let (ours, theirs) = (of(0), of(1));
        if ours.len().min(theirs.len()) < FEWEST_ROWS {
            continue;
        }
        let of_class = matched([&vec![0; ours.len()], &vec![0; theirs.len()]], 1, MOST_ROWS, seed);
        let [ours, theirs] = [(ours, &of_class[0]), (theirs, &of_class[1])]
            .map(|(rows, at)| at.iter().map(|&at| rows[at]).collect::<Vec<_>>());
        let strata = vec![0; ours.len()];
        let tables = (&a.select(&ours), &b.select(&theirs));
        let distances = in_strata(tables, [&strata, &strata], seed, observer)?;
        found.classes.push(ClassDistance { class, rows: ours.len(), distances, corrected_p: 1.0 });
    }
    holm(&mut found.classes);
    let content = found.at_equal_shares.as_ref().map(Distances::p);
    let tests = [Some(found.distances.p()), Some(shares.p), content];
    let count = tests.iter().flatten().count() as f64;
    let differs = |p: f64| p * count <= LEVEL;
    found.p = (count * tests.into_iter().flatten().fold(1.0, f64::min)).min(1.0);
    found.verdict = match (differs(shares.p), content.map(differs)) {
        (true, Some(false)) => Verdict::Shares,
        (false, Some(true)) => Verdict::Content,
        (true, Some(true)) => Verdict::SharesAndContent,
        // Other classes, or next to nothing of those that both have.
        (true, None) => Verdict::Apart,
        (false, _) if differs(found.distances.p()) => Verdict::Apart,
        (false, _) => Verdict::Alike,
    };
    found.shares = Some(shares);
    Ok(found)
}

fn in_strata(
    tables: (&Features, &Features),
    strata: [&[usize]; 2],
    seed: u64,
    observer: &dyn Observer,
) -> Result<Distances> {
    observer.check()?;
    Ok(Distances {
        accuracy: accuracy_in_strata(tables, strata, seed, observer)?,
        permuted: permuted_in_strata(tables, strata, seed)?,
        discrepancy: mmd_in_strata(tables, strata, seed)?,
    })
}

/// The rows of each side, the surest first; of equals the first row.
fn surest(told: &TwoSample) -> [Vec<Judged>; 2] {
    let mut sides = told.sides.clone();
    sides[0].sort_by(|a, b| a.probability.total_cmp(&b.probability));
    sides[1].sort_by(|a, b| b.probability.total_cmp(&a.probability));
    sides
}

/// Holm's correction: the k-th smallest of m times `m - k + 1`, and none smaller than one before.
fn holm(classes: &mut [ClassDistance]) {
    let mut order: Vec<usize> = (0..classes.len()).collect();
    order.sort_by(|&a, &b| classes[a].distances.p().total_cmp(&classes[b].distances.p()));
    let mut least = 0.0f64;
    for (before, &at) in order.iter().enumerate() {
        least = least.max((classes[at].distances.p() * (order.len() - before) as f64).min(1.0));
        classes[at].corrected_p = least;
    }
}

#[cfg(test)]
#[path = "differences_tests.rs"]
mod tests;
