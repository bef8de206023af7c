//! A few labels settle what cannot be known without: the examples on which two models differ, and an exact sign test on them.

use std::path::Path;

use statrs::distribution::{Binomial, DiscreteCDF};

use super::report::Checked;
use crate::data::Unlabelled;
use crate::error::{Error, Problem, Result};
use crate::files;
use crate::rng::permutation;

/// Probability below which a check decides.
const LEVEL: f64 = 0.05;
/// Longest file of checked examples that is read.
const LIMIT: u64 = 64 << 20;
/// Letters of a digest that name an example.
const ID: usize = 16;

/// Examples to be labelled, by their places in the target: drawn evenly from those that the two models answer differently.
pub(super) fn to_check(source_only: &[usize], candidate: &[usize], count: usize, seed: u64) -> Vec<usize> {
    let differ: Vec<usize> = (0..source_only.len()).filter(|&at| source_only[at] != candidate[at]).collect();
    let order = permutation(differ.len(), seed, "check", 0);
    let mut drawn: Vec<usize> = order.into_iter().take(count).map(|at| differ[at]).collect();
    drawn.sort_unstable();
    drawn
}

/// The name of an example in a file of a check.
pub(super) fn id_of(digest: &str) -> &str {
    &digest[..ID.min(digest.len())]
}

/// Labels that somebody gave: the class of examples by their places in the target.
///
/// # Errors
/// [`Error::Data`] for a file that is not one of a check, labels that are no classes, examples that are not of this target, or no
/// label at all.
pub(super) fn read_checked(path: &Path, target: &Unlabelled, classes: &[String]) -> Result<Vec<(usize, usize)>> {
    let unreadable = |problem: Problem| Error::Data(problem.at(path));
    let bytes = files::read_limited(path, LIMIT)
        .map_err(|source| unreadable(Problem::new("the checked examples cannot be read").found(source)))?;
    let mut table = csv::ReaderBuilder::new().flexible(true).from_reader(&bytes[..]);
    let header = table.headers().cloned().unwrap_or_default();
    let column = |name: &str| {
        header.iter().position(|field| field.trim_start_matches('\u{feff}').trim() == name).ok_or_else(|| {
            let expected = "the columns id and label, as --check wrote them";
            let found = header.iter().collect::<Vec<_>>().join(",");
            unreadable(Problem::new("this is no file of checked examples").expected(expected).found(found))
        })
    };
    let (id, label) = (column("id")?, column("label")?);
    let mut checked = Vec::new();
    for (at, record) in table.records().enumerate() {
        let line = at + 2;
        let record =
            record.map_err(|source| unreadable(Problem::new("the checked examples cannot be read").found(source)))?;
        let given = record.get(label).unwrap_or_default().trim();
        if given.is_empty() {
            continue;
        }
        let Some(class) = classes.iter().position(|class| class == given) else {
            let problem = Problem::new(format_args!("line {line}: the label is not a class")).found(given);
            let problem = problem.expected(classes.join(", ")).suggest(given, classes.iter().map(String::as_str));
            return Err(unreadable(problem));
        };
        let named = record.get(id).unwrap_or_default().trim();
        let places: Vec<usize> = match named.len() {
            ID => (0..target.len()).filter(|&at| target.digests()[at].starts_with(named)).collect(),
            _ => Vec::new(),
        };
        if places.is_empty() {
            let problem = Problem::new(format_args!("line {line}: the example is not one of this target")).found(named);
            return Err(unreadable(problem.expected("an id as --check wrote it")));
        }
        checked.extend(places.first().map(|&place| (place, class)));
    }
    if checked.is_empty() {
        let problem = Problem::new("no example has a label").expected("a class in the column `label` of some rows");
        return Err(unreadable(problem));
    }
    Ok(checked)
}

/// What labels of some examples say of two models' answers: an exact sign test on those that one of them answers rightly.
pub(super) fn decide(checked: &[(usize, usize)], source_only: &[usize], candidate: &[usize]) -> Checked {
    let differ = checked.iter().filter(|(at, _)| source_only[*at] != candidate[*at]);
    let labelled = differ.clone().count();
    let better = differ.clone().filter(|(at, class)| candidate[*at] == *class).count();
    let worse = differ.filter(|(at, class)| source_only[*at] == *class).count();
    let p = sign_test(better, worse);
    let (n, other) = (better + worse, sign_test(worse, better));
    let verdict = match () {
        () if p <= LEVEL => format!("the adapted model is better: right on {better} of {n}, p = {p:.3}"),
        () if other <= LEVEL => format!("the source's model is better: right on {worse} of {n}, p = {other:.3}"),
        () if n == 0 => "neither model is right on any example that was labelled".into(),
        () => format!("undecided: the adapted model is right on {better} of {n}, p = {p:.3}; label more examples"),
    };
    Checked { labelled, better, worse, p, verdict }
}

/// Whether a check took the adapted model; nothing where it is undecided.
pub(super) fn taken(checked: &Checked) -> Option<bool> {
    match () {
        () if checked.p <= LEVEL => Some(true),
        () if sign_test(checked.worse, checked.better) <= LEVEL => Some(false),
        () => None,
    }
}

/// Probability of at least `better` of `better + worse` by the toss of a coin.
fn sign_test(better: usize, worse: usize) -> f64 {
    let n = (better + worse) as u64;
    match (n, better as u64) {
        (0, _) | (_, 0) => 1.0,
        (n, better) => Binomial::new(0.5, n).map_or(1.0, |law| law.sf(better - 1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sign_test_is_exact() {
        assert!((sign_test(5, 0) - 1.0 / 32.0).abs() < 1e-12);
        assert!((sign_test(9, 1) - 11.0 / 1024.0).abs() < 1e-12);
        assert_eq!((sign_test(0, 4), sign_test(0, 0)), (1.0, 1.0));
        let all = |n: usize| (0..n).map(|at| (at, 1)).collect::<Vec<_>>();
        let better = decide(&all(6), &[0; 6], &[1; 6]);
        assert_eq!((better.better, better.worse, taken(&better)), (6, 0, Some(true)));
        let worse = decide(&all(6), &[1; 6], &[0; 6]);
        assert_eq!((worse.worse, taken(&worse)), (6, Some(false)));
        assert_eq!(taken(&decide(&all(4), &[0; 4], &[1; 4])), None);
        // Examples that both answer alike say nothing.
        assert_eq!(decide(&all(6), &[1; 6], &[1; 6]).labelled, 0);
    }

    #[test]
    fn what_is_checked_differs_and_is_drawn_by_the_seed() {
        let (a, b): (Vec<usize>, Vec<usize>) =
            ((0..100).map(|at| at % 2).collect(), (0..100).map(|at| at % 3 % 2).collect());
        let drawn = to_check(&a, &b, 10, 1);
        assert!(drawn.len() == 10 && drawn.iter().all(|&at| a[at] != b[at]) && drawn.is_sorted());
        assert_eq!(drawn, to_check(&a, &b, 10, 1));
        assert_ne!(drawn, to_check(&a, &b, 10, 2));
        assert!(to_check(&a, &a, 10, 1).is_empty());
    }
}
