//! Analogies: "`a` is to `b` as `c` is to what?" (Mikolov et al. 2013), answered in two ways.
//!
//! `3CosAdd` takes the word `x` with the largest `cos(x, b) - cos(x, a) + cos(x, c)`, `3CosMul` that with the largest
//! `s(x, b) s(x, c) / (s(x, a) + 0.001)` for `s = (1 + cos) / 2` (Levy and Goldberg 2014, "Linguistic regularities in sparse and
//! explicit word representations", equations 1 and 4). The question's own words are no answers, as in GloVe's `evaluate.py`.
//!
//! All cosines with the questions' words are products of blocks in f32. Words that come near the best are looked at again in f64, so that
//! rounding decides nothing, and neither do threads.

use std::collections::BTreeMap;

use rayon::prelude::*;
use serde::Serialize;

use super::questions::Kind;
use super::scores::{Unit, dot, unit};
use crate::error::Result;
use crate::progress::Observer;

/// Questions that are answered at a time.
const QUESTIONS: usize = 512;
/// Blocks whose answers are in memory at a time.
const WAVE: usize = 32;
/// What keeps the denominator of `3CosMul` from zero.
const EPSILON: f64 = 1e-3;
/// How far below the best sum of f32 the best of f64 may be: 30 times the rounding of three cosines.
const SUM_SLACK: f32 = 3e-5;
/// The same as a share of the product, whose denominator may be small.
const PRODUCT_SLACK: f32 = 2e-3;
/// Unknown words that are named.
const NAMED: usize = 20;

/// Right answers of one kind of question.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AnalogyKind {
    /// The kind: the file's name, or what a line `: NAME` says.
    pub kind: String,
    /// Whether it asks for word forms: its name begins by `gram`.
    pub syntactic: bool,
    /// The numbers.
    #[serde(flatten)]
    pub total: AnalogyTotal,
}

/// Questions and right answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct AnalogyTotal {
    /// All questions.
    pub questions: usize,
    /// Those whose four words have vectors. The others are left out.
    pub asked: usize,
    /// Right answers by `3CosAdd`.
    pub add: usize,
    /// Right answers by `3CosMul`.
    pub mul: usize,
}

impl AnalogyTotal {
    /// The share of right answers among those asked by `3CosAdd`; none where nothing was asked.
    pub fn add_share(&self) -> Option<f64> {
        (self.asked > 0).then(|| self.add as f64 / self.asked as f64)
    }

    /// The same by `3CosMul`.
    pub fn mul_share(&self) -> Option<f64> {
        (self.asked > 0).then(|| self.mul as f64 / self.asked as f64)
    }

    /// The share of questions that were asked.
    pub fn coverage(&self) -> f64 {
        self.asked as f64 / self.questions.max(1) as f64
    }

    fn plus(self, other: &Self) -> Self {
        Self {
            questions: self.questions + other.questions,
            asked: self.asked + other.asked,
            add: self.add + other.add,
            mul: self.mul + other.mul,
        }
    }
}

/// Right answers, by kind and in all.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Analogies {
    /// By kind, in the order of the files.
    pub kinds: Vec<AnalogyKind>,
    /// Kinds that ask for what is known of the world.
    pub semantic: AnalogyTotal,
    /// Kinds that ask for word forms.
    pub syntactic: AnalogyTotal,
    /// All kinds.
    pub all: AnalogyTotal,
    /// Different words of the questions that have no vector.
    pub unknown_words: usize,
    /// Some of them: those in most questions first.
    pub unknown: Vec<String>,
}

/// Answers questions by the words of `unit`.
pub(super) fn answer(unit: &Unit<'_>, kinds: &[Kind], observer: &dyn Observer) -> Result<Analogies> {
    let mut unknown: BTreeMap<&str, usize> = BTreeMap::new();
    let mut answered = Vec::new();
    let questions: usize = kinds.iter().map(|kind| kind.questions.len()).sum();
    observer.begin("answer analogies", questions as u64, "questions");
    for kind in kinds {
        let mut known = Vec::new();
        for question in &kind.questions {
            let rows = question.each_ref().map(|word| unit.find(word));
            for (word, _) in question.iter().zip(&rows).filter(|(_, row)| row.is_none()) {
                *unknown.entry(word).or_default() += 1;
            }
            if let [Some(a), Some(b), Some(c), Some(d)] = rows {
                known.push([a, b, c, d]);
            }
        }
        let mut total = AnalogyTotal { questions: kind.questions.len(), asked: known.len(), add: 0, mul: 0 };
        for questions in known.chunks(QUESTIONS) {
            observer.check()?;
            for (question, [add, mul]) in questions.iter().zip(best(unit, questions)) {
                total.add += usize::from(add == Some(question[3]));
                total.mul += usize::from(mul == Some(question[3]));
            }
        }
        observer.advance(kind.questions.len() as u64);
        answered.push(AnalogyKind { kind: kind.name.clone(), syntactic: kind.is_syntactic(), total });
    }
    observer.end();
    let sum = |of: &dyn Fn(&AnalogyKind) -> bool| {
        answered.iter().filter(|kind| of(kind)).fold(AnalogyTotal::default(), |sum, kind| sum.plus(&kind.total))
    };
    let mut by_count: Vec<(&str, usize)> = unknown.into_iter().collect();
    by_count.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    Ok(Analogies {
        semantic: sum(&|kind| !kind.syntactic),
        syntactic: sum(&|kind| kind.syntactic),
        all: sum(&|_| true),
        unknown_words: by_count.len(),
        unknown: by_count.iter().take(NAMED).map(|(word, _)| (*word).to_owned()).collect(),
        kinds: answered,
    })
}

/// Words whose score in f32 is near the best so far.
#[derive(Clone)]
struct Near {
    best: f32,
    rows: Vec<(u32, f32)>,
}

impl Near {
    fn new() -> Self {
        Self { best: f32::NEG_INFINITY, rows: Vec::new() }
    }

    fn add(&mut self, row: u32, score: f32, least: impl Fn(f32) -> f32) {
        if score >= least(self.best) {
            self.rows.push((row, score));
            if score > self.best {
                self.best = score;
                let least = least(score);
                self.rows.retain(|(_, score)| *score >= least);
            }
        }
    }
}

fn least_sum(best: f32) -> f32 {
    best - SUM_SLACK
}

fn least_product(best: f32) -> f32 {
    // Products are above zero; of no product yet everything is near.
    if best == f32::NEG_INFINITY { best } else { best * (1.0 - PRODUCT_SLACK) }
}

/// The answers to some questions by both ways.
fn best(unit: &Unit<'_>, questions: &[[usize; 4]]) -> Vec<[Option<usize>; 2]> {
    let mut words: Vec<usize> = questions.iter().flat_map(|question| &question[..3]).copied().collect();
    words.sort_unstable();
    words.dedup();
    let place = |word: usize| words.binary_search(&word).unwrap_or(0);
    let places: Vec<[usize; 3]> = questions.iter().map(|&[a, b, c, _]| [a, b, c].map(place)).collect();
    let queries: Vec<f32> = words.iter().flat_map(|&word| unit.row(word)).copied().collect();
    let mut near = vec![[Near::new(), Near::new()]; questions.len()];
    for wave in unit.blocks().chunks(WAVE) {
        let found: Vec<Vec<[Near; 2]>> = wave
            .par_iter()
            .map_init(Vec::new, |scores, block| {
                unit.block(block.clone(), &queries, scores);
                let of = |place: usize| &scores[place * block.len()..][..block.len()];
                let each = questions.iter().zip(&places).map(|(question, places)| {
                    let [a, b, c] = places.map(of);
                    look(unit, block.start, question, [a, b, c])
                });
                each.collect()
            })
            .collect();
        for block in found {
            for (near, found) in near.iter_mut().zip(block) {
                let [add, mul] = found;
                add.rows.into_iter().for_each(|(row, score)| near[0].add(row, score, least_sum));
                mul.rows.into_iter().for_each(|(row, score)| near[1].add(row, score, least_product));
            }
        }
    }
    near.par_iter().zip(questions).map(|([add, mul], question)| exactly(unit, add, mul, question)).collect()
}

/// The best words of a block, from their cosines with the words of a question.
fn look(unit: &Unit<'_>, start: usize, question: &[usize; 4], [a, b, c]: [&[f32]; 3]) -> [Near; 2] {
    let (mut add, mut mul) = (Near::new(), Near::new());
    let cells = || a.iter().zip(b).zip(c).map(|((a, b), c)| (*a, *b, *c)).enumerate();
    let is_answer = |at: usize| unit.may_answer[start + at] && !question[..3].contains(&(start + at));
    let sum = |(a, b, c): (f32, f32, f32)| b - a + c;
    let product = |(a, b, c): (f32, f32, f32)| (0.25 * (1.0 + b) * (1.0 + c)) / (0.5 * (1.0 + a) + EPSILON as f32);
    // The largest first, without the question's words, so that few words are near it.
    let largest = |of: &dyn Fn((f32, f32, f32)) -> f32| {
        let mut most = f32::NEG_INFINITY;
        cells().for_each(|(at, cell)| {
            let score = of(cell);
            if score > most && is_answer(at) {
                most = score;
            }
        });
        most
    };
    let (most_sum, most_product) = (largest(&sum), largest(&product));
    let (least_sum_here, least_product_here) = (least_sum(most_sum), least_product(most_product));
    for (at, cell) in cells() {
        let (sum, product) = (sum(cell), product(cell));
        if sum >= least_sum_here && is_answer(at) {
            add.add((start + at) as u32, sum, least_sum);
        }
        if product >= least_product_here && is_answer(at) {
            mul.add((start + at) as u32, product, least_product);
        }
    }
    [add, mul]
}

/// The best of the near words in f64; of equals the first.
fn exactly(unit_rows: &Unit<'_>, add: &Near, mul: &Near, question: &[usize; 4]) -> [Option<usize>; 2] {
    let row = |row: usize| unit(unit_rows.vectors.at(row));
    let [a, b, c] = [question[0], question[1], question[2]].map(row);
    let target: Vec<f64> = a.iter().zip(&b).zip(&c).map(|((a, b), c)| b - a + c).collect();
    let half = |x: &[f64], y: &[f64]| 0.5 * (1.0 + dot(x, y));
    let sum = |x: &[f64]| dot(x, &target);
    let product = |x: &[f64]| half(x, &b) * half(x, &c) / (half(x, &a) + EPSILON);
    let best = |near: &Near, score: &dyn Fn(&[f64]) -> f64| {
        let mut rows: Vec<usize> = near.rows.iter().map(|(row, _)| *row as usize).collect();
        rows.sort_unstable();
        let scored = rows.into_iter().map(|at| (at, score(&row(at))));
        scored.reduce(|best, next| if next.1 > best.1 { next } else { best }).map(|(row, _)| row)
    };
    [best(add, &sum), best(mul, &product)]
}
