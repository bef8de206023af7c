//! Linear substructure: whether the pairs of a relation differ by the same vector.

use rand::seq::SliceRandom;
use serde::Serialize;

use super::questions::Kind;
use super::scores::{Unit, dot, unit, unit_of};
use crate::rng::rng;

/// Fewest pairs of a relation.
const PAIRS: usize = 5;

/// How alike the offsets of a relation's pairs are.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Substructure {
    /// The kind of questions that the pairs are from.
    pub kind: String,
    /// Different pairs that both have vectors.
    pub pairs: usize,
    /// Mean cosine of each pair's offset with the mean offset of the others; offsets are of vectors of length 1.
    pub consistency: f64,
    /// The same for random pairings of the relation's first words with its second words: their mean.
    pub floor: f64,
    /// The largest of the random pairings.
    pub floor_highest: f64,
    /// Random pairings that were made.
    pub permutations: usize,
    /// `(1 + random pairings at least as consistent) / (1 + random pairings)`.
    pub p: f64,
}

/// Measures a relation: the different pairs of a kind of questions. None for fewer than five pairs.
pub(super) fn measure(unit_rows: &Unit<'_>, kind: &Kind, permutations: usize, seed: u64) -> Option<Substructure> {
    let mut pairs: Vec<(usize, usize)> = Vec::new();
    for [a, b, c, d] in &kind.questions {
        for (first, second) in [(a, b), (c, d)] {
            if let (Some(first), Some(second)) = (unit_rows.find(first), unit_rows.find(second)) {
                pairs.push((first, second));
            }
        }
    }
    pairs.sort_unstable();
    pairs.dedup();
    if pairs.len() < PAIRS {
        return None;
    }
    let rows = |of: fn(&(usize, usize)) -> usize| -> Vec<Vec<f64>> {
        pairs.iter().map(|pair| unit(unit_rows.vectors.at(of(pair)))).collect()
    };
    let (first, second) = (rows(|pair| pair.0), rows(|pair| pair.1));
    let identity: Vec<usize> = (0..pairs.len()).collect();
    let consistency = consistency(&first, &second, &identity);
    let random: Vec<f64> = (0..permutations)
        .map(|step| {
            // A random circle: no word keeps its partner.
            let mut order = identity.clone();
            order.shuffle(&mut rng(seed, &format!("glove/substructure/{}", kind.name), step as u64));
            let mut partner = identity.clone();
            (0..order.len()).for_each(|at| partner[order[at]] = order[(at + 1) % order.len()]);
            self::consistency(&first, &second, &partner)
        })
        .collect();
    let reached = random.iter().filter(|&&one| one >= consistency).count();
    Some(Substructure {
        kind: kind.name.clone(),
        pairs: pairs.len(),
        consistency,
        floor: random.iter().sum::<f64>() / permutations.max(1) as f64,
        floor_highest: random.iter().copied().fold(f64::NEG_INFINITY, f64::max).max(-1.0),
        permutations,
        p: (1 + reached) as f64 / (1 + permutations) as f64,
    })
}

/// The mean cosine of each offset `second[partner[i]] - first[i]` with the mean of the others.
fn consistency(first: &[Vec<f64>], second: &[Vec<f64>], partner: &[usize]) -> f64 {
    let offsets: Vec<Vec<f64>> = first
        .iter()
        .zip(partner)
        .map(|(first, &partner)| first.iter().zip(&second[partner]).map(|(a, b)| b - a).collect())
        .collect();
    let mut sum = vec![0.0; first[0].len()];
    offsets.iter().for_each(|offset| sum.iter_mut().zip(offset).for_each(|(sum, x)| *sum += x));
    let cosine = |offset: &Vec<f64>| {
        let others: Vec<f64> = sum.iter().zip(offset).map(|(sum, x)| sum - x).collect();
        dot(&unit_of(offset), &unit_of(&others))
    };
    offsets.iter().map(cosine).sum::<f64>() / offsets.len() as f64
}
