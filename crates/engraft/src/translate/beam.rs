//! Beam search with length normalisation and coverage penalty (Wu et al., "Google's Neural Machine Translation System", 2016, section 7).
//!
//! A hypothesis of `n` tokens, its end included, has the score `s = log P / lp + cp` with `lp = ((5 + n) / 6)^alpha` and
//! `cp = beta * sum_i log(min(sum_j p_ij, 1))`: `p_ij` is the attention of step `j` on position `i` of the sentence. What was attended to follows
//! its hypothesis: with every step the search says of which row of the step before each row is the continuation, and the sums move with it.

use rayon::prelude::*;

use crate::error::{Error, Problem, Result};
use crate::progress::Observer;

/// Rows of a beam that may be asked for.
pub const WIDEST_BEAM: usize = 1024;
/// The least attention on a position that is told from none, the smallest of 32 bits: the logarithm of a coverage is never below its.
const LEAST_ATTENTION: f64 = 1.401_298_464_324_817e-45;
/// Log-probabilities that are looked at together.
const BLOCK: usize = 64;
/// By so much rounding may lift the logarithm of a probability over 0.
const ROUNDING: f32 = 1e-3;

/// How beam search searches.
#[derive(Debug, Clone, PartialEq)]
pub struct BeamSettings {
    /// Hypotheses that live on at each step, 1 to 1024.
    pub beam: usize,
    /// Hypotheses that are given for each sentence, at most `beam`.
    pub n_best: usize,
    /// `alpha`, 0 to 10: 0 compares log-probabilities as they are.
    pub length_penalty: f64,
    /// `beta`, 0 to 10: 0 leaves coverage out.
    pub coverage_penalty: f64,
    /// The paper's pruning (3.0 there): tokens that are more than this below the best one of their step, and once a hypothesis is finished those whose
    /// score is more than this below the best finished score, are given up. Faster and not exact; none by default.
    pub pruning: Option<f64>,
    /// Tokens that are never produced: padding, the beginning of a sentence.
    pub forbidden: Vec<u32>,
    /// Whether the attention of every step is kept and given.
    pub attention: bool,
}

impl Default for BeamSettings {
    fn default() -> Self {
        Self {
            beam: 5,
            n_best: 1,
            length_penalty: 0.6,
            coverage_penalty: 0.1,
            pruning: None,
            forbidden: Vec::new(),
            attention: false,
        }
    }
}

impl BeamSettings {
    /// Refuses settings that make no search.
    ///
    /// # Errors
    /// [`Error::Usage`].
    pub fn check(&self) -> Result<()> {
        let refuse = |what: &str, expected: String, found: String| {
            Err(Error::Usage(Problem::new(format!("invalid {what}")).expected(expected).found(found)))
        };
        if !(1..=WIDEST_BEAM).contains(&self.beam) {
            return refuse("beam", format!("1 to {WIDEST_BEAM} hypotheses"), self.beam.to_string());
        }
        if !(1..=self.beam).contains(&self.n_best) {
            return refuse(
                "number of best hypotheses",
                format!("1 to the beam, {}", self.beam),
                self.n_best.to_string(),
            );
        }
        for (what, value) in [("length penalty", self.length_penalty), ("coverage penalty", self.coverage_penalty)] {
            if !(0.0..=10.0).contains(&value) {
                return refuse(what, "0 to 10".to_owned(), value.to_string());
            }
        }
        match self.pruning {
            Some(pruning) if pruning.is_nan() || pruning <= 0.0 => {
                refuse("pruning", "a number above 0, 3 in the paper".to_owned(), pruning.to_string())
            }
            _ => Ok(()),
        }
    }

    /// `lp` of a hypothesis of `n` tokens, its end included.
    pub fn normaliser(&self, n: usize) -> f64 {
        ((5.0 + n as f64) / 6.0).powf(self.length_penalty)
    }

    /// `cp` of the attention on each position, summed over all steps; at most 0.
    pub fn coverage(&self, sums: &[f64]) -> f64 {
        if self.coverage_penalty == 0.0 {
            return 0.0;
        }
        self.coverage_penalty * sums.iter().map(|&sum| sum.clamp(LEAST_ATTENTION, 1.0).ln()).sum::<f64>()
    }
}

/// A live hypothesis, as the model sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LiveRow {
    /// Which of the sentences it translates.
    pub sentence: usize,
    /// The row of the last call that it continues: the model takes its state from there. In the first call the number of the row itself.
    pub parent: usize,
    /// The last token, which the model reads next.
    pub token: u32,
}

/// What one step gives, both by rows.
#[derive(Debug, Default)]
pub struct StepOutput {
    /// Logarithms of the probabilities of the next token, `[rows, vocabulary]`.
    pub log_probs: Vec<f32>,
    /// The attention by which they were computed, `[rows, width]`; what lies beyond a sentence's length is not looked at.
    pub attention: Vec<f32>,
}

/// A model that is searched.
pub trait BeamModel {
    /// The number of tokens.
    fn vocabulary(&self) -> usize;
    /// Columns of the attention: the length of the longest sentence.
    fn width(&self) -> usize;
    /// Reads the last token of each row, whose state it takes from the row's parent, and fills the output (whose lists are empty).
    ///
    /// # Errors
    /// Whatever goes wrong in the model.
    fn step(&mut self, rows: &[LiveRow], output: &mut StepOutput) -> Result<()>;
}

/// A sentence to be translated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Source {
    /// Its length in tokens, of which the attention has as many columns. Of 0 the translation is empty, and the model not asked.
    pub length: usize,
    /// Tokens of a translation at most, the end not counted; at least 1.
    pub limit: usize,
}

/// A translation.
#[derive(Debug, Clone, PartialEq)]
pub struct Hypothesis {
    /// Its tokens, without the end.
    pub tokens: Vec<u32>,
    /// `log P / lp + cp`.
    pub score: f64,
    /// `log P`, of the end too where there is one.
    pub log_prob: f64,
    /// `cp`.
    pub coverage: f64,
    /// Whether it ended by itself, and not at the limit.
    pub ended: bool,
    /// The log-probability of each token, and of the end where there is one.
    pub token_log_probs: Vec<f32>,
    /// The attention of each of those, `[tokens (+ 1), length]`; empty unless it was asked for.
    pub attention: Vec<Vec<f32>>,
}

impl Hypothesis {
    /// For each token the position that had most attention, the first of equals; the end is left out. Empty unless attention was asked for.
    pub fn alignment(&self) -> Vec<usize> {
        let most = |weights: &Vec<f32>| {
            weights
                .iter()
                .enumerate()
                .fold(0, |best, (place, &weight)| if weight > weights[best] { place } else { best })
        };
        self.attention.iter().take(self.tokens.len()).map(most).collect()
    }
}

/// Where a hypothesis came from.
struct Node {
    /// The node before; none of a first token.
    parent: Option<u32>,
    token: u32,
    log_prob: f32,
    /// The row of the kept attention.
    attention: u32,
}

/// A live hypothesis.
struct Live {
    node: Option<u32>,
    log_prob: f64,
    /// Attention on each position, summed over its steps.
    sums: Vec<f64>,
}

/// A hypothesis that ended, or was cut at the limit.
struct Finished {
    /// The last node; that of the end is not among them.
    node: Option<u32>,
    end: Option<(f32, u32)>,
    score: f64,
    log_prob: f64,
    coverage: f64,
}

/// The search of one sentence.
struct Search {
    source: Source,
    nodes: Vec<Node>,
    /// Attention of each row of each step, where it is kept.
    kept: Vec<f32>,
    live: Vec<Live>,
    /// The best so far, at most as many as are wanted, the best first.
    finished: Vec<Finished>,
}

/// A continuation of a live hypothesis.
#[derive(Clone, Copy)]
struct Candidate {
    log_prob: f64,
    row: usize,
    token: u32,
    step: f32,
}

impl Candidate {
    /// The most probable first; of equals that of the better hypothesis, then the smaller token.
    fn order(&self, other: &Self) -> std::cmp::Ordering {
        other.log_prob.total_cmp(&self.log_prob).then(self.row.cmp(&other.row)).then(self.token.cmp(&other.token))
    }
}

/// Translates sentences by beam search, all in step: the best hypotheses of each, the best first, at least one and at most `n_best`.
///
/// At each step the continuations of a sentence's hypotheses are gone through from the most probable on, until `beam` are found that go on; those
/// that end before that are finished. At the limit those that live are finished as they are ([`Hypothesis::ended`] is false) and normalised as all
/// others. A live hypothesis is given up when `log P / lp(longest)`, which no continuation of it can exceed, is below the score of the worst of the
/// `n_best` finished ones; so the search stops exactly when nothing can get better. Ties go to the better hypothesis of the step before, then to the
/// smaller token, then to what was finished first. The result of a sentence does not depend on the others, nor on threads, as far as
/// the model's numbers do not.
///
/// # Errors
/// [`Error::Usage`] for invalid settings; [`Error::Weights`] where the model gives numbers that are no log-probabilities or no attention (NaN,
/// infinite), of the wrong number, or no token a probability; [`Error::Interrupted`]; what the model's steps return.
pub fn beam_search(
    model: &mut impl BeamModel,
    sources: &[Source],
    begin: u32,
    end: u32,
    settings: &BeamSettings,
    observer: &dyn Observer,
) -> Result<Vec<Vec<Hypothesis>>> {
    settings.check()?;
    let (vocabulary, width) = (model.vocabulary(), model.width());
    require(sources, width, vocabulary, end)?;
    let mut searches: Vec<Search> = sources.iter().map(|&source| Search::begin(source)).collect();
    let mut rows: Vec<LiveRow> = Vec::new();
    for (sentence, search) in searches.iter().enumerate().filter(|(_, search)| !search.live.is_empty()) {
        debug_assert_eq!(search.live.len(), 1);
        rows.push(LiveRow { sentence, parent: rows.len(), token: begin });
    }
    let mut output = StepOutput::default();
    let mut n = 0;
    while !rows.is_empty() {
        observer.check()?;
        n += 1;
        output.log_probs.clear();
        output.attention.clear();
        model.step(&rows, &mut output)?;
        let (found, expected) =
            ((output.log_probs.len(), output.attention.len()), (rows.len() * vocabulary, rows.len() * width));
        if found != expected {
            return Err(broken("outputs of the wrong shape", format!("{expected:?} numbers"), format!("{found:?}")));
        }
        let best: Vec<Vec<(f32, u32)>> = output
            .log_probs
            .par_chunks_exact(vocabulary)
            .map(|log_probs| most_probable(log_probs, end, settings))
            .collect::<Result<_>>()?;
        let mut next = Vec::with_capacity(rows.len());
        let mut from = 0;
        for (sentence, search) in searches.iter_mut().enumerate().filter(|(_, search)| !search.live.is_empty()) {
            let to = from + search.live.len();
            let attention = &output.attention[from * width..to * width];
            for (parent, token) in search.step(&best[from..to], attention, width, n, end, settings)? {
                next.push(LiveRow { sentence, parent: from + parent, token });
            }
            from = to;
        }
        rows = next;
    }
    Ok(searches.into_iter().map(|search| search.hypotheses(settings)).collect())
}

fn require(sources: &[Source], width: usize, vocabulary: usize, end: u32) -> Result<()> {
    if end as usize >= vocabulary {
        return Err(broken("no token for the end of a sentence", format!("one below {vocabulary}"), end.to_string()));
    }
    if let Some(source) = sources.iter().find(|source| source.length > width || source.limit == 0) {
        let found = format!("a length of {} and a limit of {}", source.length, source.limit);
        return Err(Error::Usage(
            Problem::new("invalid sentence to translate")
                .expected(format!("at most {width} tokens, a limit of 1 or more"))
                .found(found),
        ));
    }
    Ok(())
}

fn broken(what: &str, expected: impl std::fmt::Display, found: impl std::fmt::Display) -> Error {
    let problem = Problem::new(format!("the translation model gives {what}")).expected(expected).found(found);
    Error::Weights(problem.hint("its weights may be damaged: check the base's or the run's files"))
}

/// The most probable tokens of a row, as many as the beam beside the end, the most probable first; of equals the smaller.
fn most_probable(log_probs: &[f32], end: u32, settings: &BeamSettings) -> Result<Vec<(f32, u32)>> {
    let mut best: Vec<(f32, u32)> = Vec::with_capacity(settings.beam + 2);
    let mut of_end = None;
    // What a token has to exceed once there are as many as can go on.
    let mut least = f32::NEG_INFINITY;
    for (block, values) in log_probs.chunks(BLOCK).enumerate() {
        let from = block * BLOCK;
        // Nearly all blocks have nothing of interest, which is seen at once; what is not a number is never below anything.
        let holds_end = (from..from + values.len()).contains(&(end as usize));
        if !holds_end && values.iter().fold(true, |below, &value| below & (value <= least)) {
            continue;
        }
        for (&log_prob, token) in values.iter().zip(from as u32..) {
            if log_prob.is_nan() || log_prob > ROUNDING {
                let found = format!("{log_prob} for token {token}");
                return Err(broken("numbers that are no log-probabilities", "0 or less", found));
            }
            let log_prob = log_prob.min(0.0);
            if log_prob == f32::NEG_INFINITY || settings.forbidden.contains(&token) {
                continue;
            }
            if token == end {
                of_end = Some((log_prob, token));
            } else if best.len() < settings.beam || log_prob > least {
                let place = best.partition_point(|&(other, _)| other >= log_prob);
                best.insert(place, (log_prob, token));
                best.truncate(settings.beam);
                if best.len() == settings.beam {
                    least = best[settings.beam - 1].0;
                }
            }
        }
    }
    if let Some(of_end) = of_end {
        let place = best.partition_point(|&(other, token)| other > of_end.0 || other == of_end.0 && token < end);
        best.insert(place, of_end);
    }
    if let (Some(pruning), Some(&(most, _))) = (settings.pruning, best.first()) {
        best.retain(|&(log_prob, _)| f64::from(most - log_prob) <= pruning);
    }
    Ok(best)
}

impl Search {
    fn begin(source: Source) -> Self {
        let mut search = Self { source, nodes: Vec::new(), kept: Vec::new(), live: Vec::new(), finished: Vec::new() };
        match source.length {
            0 => search.finished.push(Finished { node: None, end: None, score: 0.0, log_prob: 0.0, coverage: 0.0 }),
            length => search.live.push(Live { node: None, log_prob: 0.0, sums: vec![0.0; length] }),
        }
        search
    }

    /// Takes step `n` (from 1): what lives on, each with the place of its parent among those that lived, and its token.
    fn step(
        &mut self,
        best: &[Vec<(f32, u32)>],
        attention: &[f32],
        width: usize,
        n: usize,
        end: u32,
        settings: &BeamSettings,
    ) -> Result<Vec<(usize, u32)>> {
        let length = self.source.length;
        let kept_from = (self.kept.len() / length) as u32;
        for (live, attention) in self.live.iter_mut().zip(attention.chunks_exact(width)) {
            let attention = &attention[..length];
            if let Some(place) = attention.iter().position(|weight| !weight.is_finite() || *weight < 0.0) {
                let found = format!("{} for position {place}", attention[place]);
                return Err(broken("an attention that is none", "weights of 0 or more", found));
            }
            live.sums.iter_mut().zip(attention).for_each(|(sum, &weight)| *sum += f64::from(weight));
            if settings.attention {
                self.kept.extend_from_slice(attention);
            }
        }
        let attention_of = |row: usize| if settings.attention { kept_from + row as u32 } else { 0 };
        let mut candidates: Vec<Candidate> = Vec::with_capacity(best.iter().map(Vec::len).sum());
        for (row, (live, best)) in self.live.iter().zip(best).enumerate() {
            candidates.extend(best.iter().map(|&(step, token)| Candidate {
                log_prob: live.log_prob + f64::from(step),
                row,
                token,
                step,
            }));
        }
        candidates.sort_unstable_by(Candidate::order);
        let coverages: Vec<f64> = self.live.iter().map(|live| settings.coverage(&live.sums)).collect();
        let mut chosen: Vec<Candidate> = Vec::with_capacity(settings.beam);
        for candidate in candidates {
            if candidate.token == end {
                let end = Some((candidate.step, attention_of(candidate.row)));
                let (node, coverage) = (self.live[candidate.row].node, coverages[candidate.row]);
                self.finish(node, end, candidate.log_prob, coverage, n, settings);
            } else if chosen.len() < settings.beam {
                chosen.push(candidate);
            }
            if chosen.len() == settings.beam {
                break;
            }
        }
        let (mut live, mut rows) = (Vec::with_capacity(chosen.len()), Vec::with_capacity(chosen.len()));
        // The end after the last token that the limit allows is not waited for.
        let at_limit = n >= self.source.limit;
        let longest = settings.normaliser(self.source.limit);
        for Candidate { log_prob, row, token, step } in chosen {
            let node = Node { parent: self.live[row].node, token, log_prob: step, attention: attention_of(row) };
            let coverage = coverages[row];
            let number = self.nodes.len() as u32;
            if at_limit {
                self.nodes.push(node);
                self.finish(Some(number), None, log_prob, coverage, n, settings);
                continue;
            }
            // Nothing that begins with it can get better than this.
            if self.finished.len() == settings.n_best && log_prob / longest < self.worst() {
                continue;
            }
            let behind = |pruning: f64| {
                self.finished
                    .first()
                    .is_some_and(|best| log_prob / settings.normaliser(n) + coverage < best.score - pruning)
            };
            if settings.pruning.is_some_and(behind) {
                continue;
            }
            self.nodes.push(node);
            live.push(Live { node: Some(number), log_prob, sums: self.live[row].sums.clone() });
            rows.push((row, token));
        }
        self.live = live;
        if self.live.is_empty() && self.finished.is_empty() {
            return Err(broken("no token a probability", "a token that may come next", "none"));
        }
        Ok(rows)
    }

    fn worst(&self) -> f64 {
        self.finished.last().map_or(f64::NEG_INFINITY, |worst| worst.score)
    }

    fn finish(
        &mut self,
        node: Option<u32>,
        end: Option<(f32, u32)>,
        log_prob: f64,
        coverage: f64,
        n: usize,
        settings: &BeamSettings,
    ) {
        let score = log_prob / settings.normaliser(n) + coverage;
        let place = self.finished.partition_point(|other| other.score >= score);
        if place < settings.n_best {
            self.finished.insert(place, Finished { node, end, score, log_prob, coverage });
            self.finished.truncate(settings.n_best);
        }
    }

    fn hypotheses(self, settings: &BeamSettings) -> Vec<Hypothesis> {
        let length = self.source.length;
        let kept = |row: u32| self.kept[row as usize * length..][..length].to_vec();
        let hypothesis = |finished: &Finished| {
            let (mut tokens, mut token_log_probs, mut attention) = (Vec::new(), Vec::new(), Vec::new());
            if let Some((log_prob, row)) = finished.end {
                token_log_probs.push(log_prob);
                attention.push(row);
            }
            let mut at = finished.node;
            while let Some(number) = at {
                let node = &self.nodes[number as usize];
                tokens.push(node.token);
                token_log_probs.push(node.log_prob);
                attention.push(node.attention);
                at = node.parent;
            }
            tokens.reverse();
            token_log_probs.reverse();
            let attention = attention.into_iter().rev().filter(|_| settings.attention).map(kept).collect();
            Hypothesis {
                tokens,
                score: finished.score,
                log_prob: finished.log_prob,
                coverage: finished.coverage,
                ended: finished.end.is_some() || length == 0,
                token_log_probs,
                attention,
            }
        };
        self.finished.iter().map(hypothesis).collect()
    }
}

#[cfg(test)]
#[path = "beam_tests.rs"]
mod tests;
