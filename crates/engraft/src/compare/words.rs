//! Terms that one of two sets of texts has more often.

use rayon::prelude::*;
use statrs::distribution::{DiscreteCDF, Hypergeometric};

use super::LEVEL;
use super::report::WordShift;
use crate::bases::text::TfIdf;
use crate::data::text::Text;

/// Terms that are looked at: the most frequent ones.
const TERMS: usize = 20_000;
/// Terms of each side that are tested, by the difference of their TF-IDF, and those that are told.
const TESTED: usize = 60;
const TOLD: usize = 15;
/// What stands before terms of a second text.
const SECOND: char = '\u{1f}';

/// The terms whose mean TF-IDF differs most, of A and of B, as far as they differ by more than chance: by Fisher's exact test of
/// how many texts have them (Fisher, 1935, "The logic of inductive inference"), corrected for all terms.
pub(super) fn words(first: &[&Text], second: &[&Text]) -> [Vec<WordShift>; 2] {
    let all: Vec<&Text> = first.iter().chain(second).copied().collect();
    let tf_idf = TfIdf::of(&all, TERMS);
    let names = tf_idf.terms();
    let rows: Vec<Vec<(u32, f32)>> = all.par_iter().map(|text| tf_idf.row(text)).collect();
    let (mut sums, mut counts) =
        ([vec![0.0f64; names.len()], vec![0.0; names.len()]], [vec![0u64; names.len()], vec![0; names.len()]]);
    for (at, row) in rows.iter().enumerate() {
        let side = usize::from(at >= first.len());
        for &(term, value) in row {
            sums[side][term as usize] += f64::from(value);
            counts[side][term as usize] += 1;
        }
    }
    let sizes = [first.len() as f64, second.len() as f64];
    let difference = |term: usize| sums[0][term] / sizes[0] - sums[1][term] / sizes[1];
    let mut order: Vec<usize> = (0..names.len()).collect();
    // Stable: of equal ones the more frequent.
    order.sort_by(|&a, &b| difference(b).total_cmp(&difference(a)));
    let told = |terms: &mut dyn Iterator<Item = usize>, side: usize| -> Vec<WordShift> {
        let shift = |term: usize| {
            let p = exact(counts[side][term], counts[1 - side][term], all.len(), sizes[side] as usize);
            WordShift {
                term: shown(names[term]),
                a: counts[0][term] as f64 / sizes[0],
                b: counts[1][term] as f64 / sizes[1],
                difference: difference(term),
                corrected_p: (2.0 * p * names.len() as f64).min(1.0),
            }
        };
        terms.take(TESTED).map(shift).filter(|shift| shift.corrected_p <= LEVEL).take(TOLD).collect()
    };
    [told(&mut order.iter().copied(), 0), told(&mut order.iter().rev().copied(), 1)]
}

/// The probability that so many or more of the texts that have a term are of the side, were they drawn at random.
fn exact(here: u64, there: u64, texts: usize, of_side: usize) -> f64 {
    match (here.checked_sub(1), Hypergeometric::new(texts as u64, here + there, of_side as u64)) {
        (Some(below), Ok(drawn)) => drawn.sf(below),
        _ => 1.0,
    }
}

/// A term in words.
fn shown(term: &str) -> String {
    match term.contains(SECOND) {
        true => format!("{} (second text)", term.replace(SECOND, "")),
        false => term.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_one_side_are_told_and_those_of_both_are_not() {
        let text = |first: String| Text { first, second: None };
        let of = |word: &str, n: usize| -> Vec<Text> {
            (0..n).map(|at| text(format!("the {word} was {}", ["good", "bad", "cold"][at % 3]))).collect()
        };
        let (a, b) = (of("soup", 40), of("film", 30));
        let [of_a, of_b] = words(&a.iter().collect::<Vec<_>>(), &b.iter().collect::<Vec<_>>());
        let terms = |found: &[WordShift]| found.iter().map(|it| it.term.clone()).collect::<Vec<_>>();
        assert!(terms(&of_a).contains(&"soup".into()) && !terms(&of_a).contains(&"good".into()), "{of_a:?}");
        assert!(terms(&of_b).contains(&"film".into()) && of_b[0].b > of_b[0].a, "{of_b:?}");
        let half: Vec<&Text> = a.iter().step_by(2).collect();
        let other: Vec<&Text> = a.iter().skip(1).step_by(2).collect();
        assert_eq!(words(&half, &other), [Vec::new(), Vec::new()]);
        assert_eq!(words(&half, &[]), [Vec::new(), Vec::new()]);
    }

    #[test]
    fn the_exact_test_is_that_of_the_textbook() {
        // The lady who tastes tea: 4 of 4 right of 8 cups.
        assert!((exact(4, 0, 8, 4) - 1.0 / 70.0).abs() < 1e-12);
        assert!((exact(3, 1, 8, 4) - 17.0 / 70.0).abs() < 1e-12);
        assert_eq!(exact(0, 4, 8, 4), 1.0);
    }
}
