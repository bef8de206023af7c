//! Beam search beside all hypotheses there are, and beside a plain search that knows no states.

use proptest::prelude::*;
use rand::RngExt;

use super::*;
use crate::progress::Silent;
use crate::rng::rng;

const BEGIN: u32 = 0;
const END: u32 = 1;

/// A model whose next token depends on the sentence and on all tokens before, drawn from a stream for them.
#[derive(Clone)]
struct Toy {
    seed: u64,
    vocabulary: usize,
    sources: Vec<Source>,
    /// How sharp the attention is: a scale of what the softmax takes.
    sharpness: f32,
    /// What is added to the logit of the end.
    end: f32,
    /// The tokens of each row, as a recurrent state would hold them.
    states: Vec<Vec<u32>>,
    calls: usize,
    /// Rows that were computed in all.
    computed: usize,
}

fn softmax(logits: &[f32]) -> Vec<f32> {
    let most = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let sum: f32 = logits.iter().map(|logit| (logit - most).exp()).sum();
    logits.iter().map(|logit| (logit - most).exp() / sum).collect()
}

impl Toy {
    fn new(seed: u64, vocabulary: usize, sources: &[(usize, usize)]) -> Self {
        let sources = sources.iter().map(|&(length, limit)| Source { length, limit }).collect();
        Self { seed, vocabulary, sources, sharpness: 3.0, end: 0.0, states: Vec::new(), calls: 0, computed: 0 }
    }

    /// Log-probabilities and attention after these tokens, by teacher forcing.
    fn after(&self, sentence: usize, tokens: &[u32]) -> (Vec<f32>, Vec<f32>) {
        let purpose = format!("toy {sentence} {tokens:?}");
        let mut stream = rng(self.seed, &purpose, 0);
        let mut logits: Vec<f32> = (0..self.vocabulary).map(|_| stream.random_range(-2.0..2.0)).collect();
        logits[END as usize] += self.end;
        logits[BEGIN as usize] = f32::NEG_INFINITY;
        let log_probs = softmax(&logits).into_iter().map(f32::ln).collect();
        let length = self.sources[sentence].length;
        let attention: Vec<f32> = (0..length).map(|_| self.sharpness * stream.random_range(-1.0_f32..1.0)).collect();
        (log_probs, softmax(&attention))
    }
}

impl BeamModel for Toy {
    fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    fn width(&self) -> usize {
        self.sources.iter().map(|source| source.length).max().unwrap_or(0)
    }

    fn step(&mut self, rows: &[LiveRow], output: &mut StepOutput) -> Result<()> {
        let states: Vec<Vec<u32>> = rows
            .iter()
            .map(|row| match self.calls {
                0 => vec![row.token],
                _ => [self.states[row.parent].as_slice(), &[row.token]].concat(),
            })
            .collect();
        let width = self.width();
        for (row, tokens) in rows.iter().zip(&states) {
            let (log_probs, mut attention) = self.after(row.sentence, tokens);
            output.log_probs.extend(log_probs);
            // What lies beyond the sentence is not looked at.
            attention.resize(width, f32::NAN);
            output.attention.extend(attention);
        }
        self.states = states;
        self.calls += 1;
        self.computed += rows.len();
        Ok(())
    }
}

fn search(toy: &Toy, settings: &BeamSettings) -> Vec<Vec<Hypothesis>> {
    let mut model = toy.clone();
    beam_search(&mut model, &toy.sources, BEGIN, END, settings, &Silent).unwrap()
}

/// A hypothesis by teacher forcing: its log-probability, its coverage and its score.
fn forced(toy: &Toy, settings: &BeamSettings, sentence: usize, tokens: &[u32], ended: bool) -> (f64, f64, f64) {
    let mut prefix = vec![BEGIN];
    let (mut log_prob, mut sums) = (0.0, vec![0.0; toy.sources[sentence].length]);
    let end = [END];
    for &token in tokens.iter().chain(ended.then_some(&end[0])) {
        let (log_probs, attention) = toy.after(sentence, &prefix);
        log_prob += f64::from(log_probs[token as usize]);
        sums.iter_mut().zip(attention).for_each(|(sum, weight)| *sum += f64::from(weight));
        prefix.push(token);
    }
    let n = prefix.len() - 1;
    let coverage: f64 = match settings.coverage_penalty {
        0.0 => 0.0,
        beta => beta * sums.iter().map(|sum: &f64| sum.min(1.0).ln()).sum::<f64>(),
    };
    (log_prob, coverage, log_prob / ((5.0 + n as f64) / 6.0).powf(settings.length_penalty) + coverage)
}

/// All hypotheses there are, the best first.
fn all(toy: &Toy, settings: &BeamSettings, sentence: usize) -> Vec<(Vec<u32>, bool, f64)> {
    let limit = toy.sources[sentence].limit;
    let (mut open, mut found) = (vec![Vec::new()], Vec::new());
    while let Some(tokens) = open.pop() {
        if tokens.len() == limit {
            found.push((tokens, false));
            continue;
        }
        for token in 2..toy.vocabulary as u32 {
            open.push([tokens.as_slice(), &[token]].concat());
        }
        found.push((tokens, true));
    }
    let mut scored: Vec<(Vec<u32>, bool, f64)> = found
        .into_iter()
        .map(|(tokens, ended)| {
            let score = forced(toy, settings, sentence, &tokens, ended).2;
            (tokens, ended, score)
        })
        .collect();
    scored.sort_by(|a, b| b.2.total_cmp(&a.2));
    scored
}

/// What a plain search keeps of a hypothesis: tokens, log-probability, and with `follows` false the coverage of whatever stood in its row.
type Plain = (Vec<u32>, f64);

/// Beam search without states, sums or early stops: every hypothesis is scored anew from its tokens. With `follows` false the attention is summed by
/// the places in the beam, which is the mistake that other programs make.
fn plain(toy: &Toy, settings: &BeamSettings, sentence: usize, follows: bool) -> Vec<(Vec<u32>, bool, f64)> {
    let Source { length, limit } = toy.sources[sentence];
    let mut live: Vec<Plain> = vec![(Vec::new(), 0.0)];
    let mut finished: Vec<(Vec<u32>, bool, f64)> = Vec::new();
    let mut sums = vec![vec![0.0; length]; settings.beam];
    for n in 1..=limit {
        let mut candidates: Vec<(f64, usize, u32)> = Vec::new();
        for (row, (tokens, log_prob)) in live.iter().enumerate() {
            let (log_probs, attention) = toy.after(sentence, &[&[BEGIN], tokens.as_slice()].concat());
            sums[row].iter_mut().zip(attention).for_each(|(sum, weight)| *sum += f64::from(weight));
            candidates.extend(
                (1..toy.vocabulary as u32).map(|token| (log_prob + f64::from(log_probs[token as usize]), row, token)),
            );
        }
        candidates.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.1.cmp(&b.1)).then(a.2.cmp(&b.2)));
        let mut next: Vec<Plain> = Vec::new();
        for (log_prob, row, token) in candidates {
            if next.len() == settings.beam {
                break;
            }
            let tokens = &live[row].0;
            let coverage = || settings.coverage(&sums[row]);
            let lp = ((5.0 + n as f64) / 6.0).powf(settings.length_penalty);
            if token == END {
                let score =
                    if follows { forced(toy, settings, sentence, tokens, true).2 } else { log_prob / lp + coverage() };
                finished.push((tokens.clone(), true, score));
                continue;
            }
            let tokens = [tokens.as_slice(), &[token]].concat();
            if n == limit {
                let score = if follows {
                    forced(toy, settings, sentence, &tokens, false).2
                } else {
                    log_prob / lp + coverage()
                };
                finished.push((tokens.clone(), false, score));
            }
            next.push((tokens, log_prob));
        }
        live = next;
    }
    finished.sort_by(|a, b| b.2.total_cmp(&a.2));
    finished
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() < 1e-9
}

#[test]
fn a_beam_of_everything_finds_the_best_there_is() {
    for (seed, length_penalty, coverage_penalty) in
        [(1, 0.6, 0.1), (2, 0.0, 0.0), (3, 1.0, 0.5), (4, 2.0, 0.0), (5, 0.0, 2.0)]
    {
        let toy = Toy::new(seed, 5, &[(3, 4), (1, 1), (5, 3), (4, 4)]);
        let settings =
            BeamSettings { beam: 81, n_best: 7, length_penalty, coverage_penalty, ..BeamSettings::default() };
        for (sentence, found) in search(&toy, &settings).into_iter().enumerate() {
            let expected = all(&toy, &settings, sentence);
            assert_eq!(found.len(), 7.min(expected.len()));
            for (found, (tokens, ended, score)) in found.iter().zip(&expected) {
                assert!(close(found.score, *score), "{seed} {sentence}: {} {score}", found.score);
                assert_eq!((&found.tokens, found.ended), (tokens, *ended));
            }
        }
    }
}

/// The sentences of the plain comparison: 480 of different lengths, in batches.
fn sharp(seed: u64) -> Toy {
    let mut stream = rng(seed, "lengths", 0);
    let sources: Vec<(usize, usize)> =
        (0..16).map(|_| (stream.random_range(1..12), stream.random_range(1..14))).collect();
    Toy { sharpness: 40.0, end: -1.5, ..Toy::new(seed, 12, &sources) }
}

#[test]
fn four_hundred_and_eighty_sentences_equal_a_plain_search() {
    let (mut sentences, mut mistaken, mut spared) = (0, 0, 0);
    for seed in 0..30 {
        let toy = sharp(seed);
        let settings = BeamSettings { beam: 5, coverage_penalty: 0.3, attention: true, ..BeamSettings::default() };
        let mut model = toy.clone();
        let found = beam_search(&mut model, &toy.sources, BEGIN, END, &settings, &Silent).unwrap();
        spared += toy.sources.iter().map(|source| 5 * source.limit).sum::<usize>() - model.computed;
        for (sentence, found) in found.iter().enumerate() {
            let best = &found[0];
            let expected = &plain(&toy, &settings, sentence, true)[0];
            assert_eq!((&best.tokens, best.ended), (&expected.0, expected.1), "{seed} {sentence}");
            assert!(close(best.score, expected.2));
            // What was summed along the way is what teacher forcing attends to.
            let (log_prob, coverage, score) = forced(&toy, &settings, sentence, &best.tokens, best.ended);
            assert!(close(best.log_prob, log_prob) && close(best.coverage, coverage) && close(best.score, score));
            let steps = best.tokens.len() + usize::from(best.ended);
            assert_eq!((best.attention.len(), best.token_log_probs.len()), (steps, steps));
            for (step, attention) in best.attention.iter().enumerate() {
                let forced = toy.after(sentence, &[&[BEGIN], &best.tokens[..step]].concat()).1;
                assert_eq!(*attention, forced);
                let most = forced.iter().copied().fold(0.0, f32::max);
                assert!(best.alignment().get(step).is_none_or(|&place| forced[place] == most));
            }
            let wrong = &plain(&toy, &settings, sentence, false)[0];
            mistaken += usize::from(!close(wrong.2, best.score));
            sentences += 1;
        }
    }
    assert_eq!(sentences, 480);
    // Attention that stays in its row would be seen in most sentences, and stopping early spares work.
    assert!(mistaken > 240, "{mistaken}");
    assert!(spared > 1000, "{spared}");
}

#[test]
fn sentences_do_not_depend_on_each_other_nor_on_threads() {
    let toy = sharp(77);
    let settings = BeamSettings { n_best: 3, ..BeamSettings::default() };
    let run = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| search(&toy, &settings))
    };
    let together = run(1);
    assert_eq!(together, run(3));
    for (sentence, expected) in together.iter().enumerate() {
        struct Alone<'a>(&'a mut Toy, usize);
        impl BeamModel for Alone<'_> {
            fn vocabulary(&self) -> usize {
                self.0.vocabulary
            }
            fn width(&self) -> usize {
                self.0.width()
            }
            fn step(&mut self, rows: &[LiveRow], output: &mut StepOutput) -> Result<()> {
                let rows: Vec<LiveRow> = rows.iter().map(|row| LiveRow { sentence: self.1, ..*row }).collect();
                self.0.step(&rows, output)
            }
        }
        let mut model = toy.clone();
        let mut alone = Alone(&mut model, sentence);
        let found = beam_search(&mut alone, &toy.sources[sentence..=sentence], BEGIN, END, &settings, &Silent).unwrap();
        assert_eq!(&found[0], expected);
    }
}

#[test]
fn what_never_ends_is_cut_at_the_limit_and_normalised() {
    let toy = Toy { end: f32::NEG_INFINITY, ..Toy::new(9, 6, &[(2, 5), (0, 3), (3, 1)]) };
    let settings = BeamSettings { n_best: 2, ..BeamSettings::default() };
    let found = search(&toy, &settings);
    for (sentence, limit) in [(0, 5), (2, 1)] {
        for hypothesis in &found[sentence] {
            assert!(!hypothesis.ended && hypothesis.tokens.len() == limit);
            let expected = forced(&toy, &settings, sentence, &hypothesis.tokens, false).2;
            assert!(close(hypothesis.score, expected), "{} {expected}", hypothesis.score);
        }
    }
    // An empty sentence has an empty translation.
    assert_eq!((found[1].len(), found[1][0].tokens.len(), found[1][0].ended, found[1][0].score), (1, 0, true, 0.0));
    assert!(found[1][0].alignment().is_empty());
    let none: [Source; 0] = [];
    assert!(beam_search(&mut toy.clone(), &none, BEGIN, END, &settings, &Silent).unwrap().is_empty());
}

/// A model that gives the same at every step.
struct Fixed {
    log_probs: Vec<f32>,
    attention: Vec<f32>,
}

impl BeamModel for Fixed {
    fn vocabulary(&self) -> usize {
        4
    }
    fn width(&self) -> usize {
        2
    }
    fn step(&mut self, rows: &[LiveRow], output: &mut StepOutput) -> Result<()> {
        for _ in rows {
            output.log_probs.extend(&self.log_probs);
            output.attention.extend(&self.attention);
        }
        Ok(())
    }
}

fn fixed(log_probs: [f32; 4], attention: [f32; 2], settings: &BeamSettings) -> Result<Vec<Hypothesis>> {
    let mut model = Fixed { log_probs: log_probs.to_vec(), attention: attention.to_vec() };
    let source = Source { length: 2, limit: 3 };
    beam_search(&mut model, &[source], BEGIN, END, settings, &Silent).map(|mut found| found.remove(0))
}

#[test]
fn ties_go_to_the_smaller_token_and_to_what_was_finished_first() {
    let log = |p: f32| p.ln();
    let settings =
        BeamSettings { beam: 2, n_best: 2, length_penalty: 0.0, coverage_penalty: 0.0, ..BeamSettings::default() };
    let even = [log(0.25), f32::NEG_INFINITY, log(0.25), log(0.25)];
    let found = fixed(even, [0.5, 0.5], &BeamSettings { forbidden: vec![0], ..settings.clone() }).unwrap();
    assert_eq!(found[0].tokens, [2, 2, 2]);
    assert_eq!(found[1].tokens, [2, 2, 3]);
    // A token that is forbidden is not produced.
    let found = fixed(even, [0.5, 0.5], &BeamSettings { forbidden: vec![0, 2], ..settings }).unwrap();
    assert_eq!((found.len(), found[0].tokens.as_slice()), (1, [3, 3, 3].as_slice()));
}

#[test]
fn positions_without_attention_cost_what_the_formula_says() {
    let settings = BeamSettings { beam: 1, coverage_penalty: 0.5, ..BeamSettings::default() };
    let sure = [f32::NEG_INFINITY, f32::NEG_INFINITY, 0.0, f32::NEG_INFINITY];
    for (attention, expected) in [
        ([1.0, 0.25], (0.75_f64).ln()),
        ([1.0, 1e-30], (3e-30_f64).ln()),
        // Less than 32 bits can tell from none.
        ([1.0, 0.0], LEAST_ATTENTION.ln()),
        ([0.5, 0.5], 0.0),
    ] {
        let found = fixed(sure, attention, &settings).unwrap();
        assert!((found[0].coverage - 0.5 * expected).abs() < 1e-6, "{} {expected}", found[0].coverage);
        assert!(found[0].score.is_finite());
    }
    let without = fixed(sure, [1.0, 0.0], &BeamSettings { coverage_penalty: 0.0, ..settings }).unwrap();
    assert_eq!((without[0].coverage, without[0].score), (0.0, 0.0));
}

#[test]
fn pruning_is_narrower_and_off_by_default() {
    let toy = sharp(5);
    let (mut exact, mut pruned) = (toy.clone(), toy.clone());
    let settings = BeamSettings::default();
    let best = beam_search(&mut exact, &toy.sources, BEGIN, END, &settings, &Silent).unwrap();
    let narrow = BeamSettings { pruning: Some(1.0), ..settings };
    let found = beam_search(&mut pruned, &toy.sources, BEGIN, END, &narrow, &Silent).unwrap();
    assert!(pruned.computed < exact.computed, "{} {}", pruned.computed, exact.computed);
    assert!(found.iter().all(|found| !found.is_empty()) && best.len() == found.len());
}

#[test]
fn numbers_that_are_none_are_refused() {
    let settings = BeamSettings::default();
    let log = [-1.0; 4];
    let refused = |log_probs: [f32; 4], attention: [f32; 2]| match fixed(log_probs, attention, &settings) {
        Err(error @ Error::Weights(_)) => error.to_string(),
        other => panic!("{other:?}"),
    };
    assert!(refused([-1.0, f32::NAN, -1.0, -1.0], [0.5, 0.5]).contains("found: NaN for token 1"));
    assert!(refused([-1.0, -1.0, 1.0, -1.0], [0.5, 0.5]).contains("found: 1 for token 2"));
    assert!(refused([-1.0, -1.0, f32::INFINITY, -1.0], [0.5, 0.5]).contains("found: inf"));
    assert!(refused(log, [0.5, f32::NAN]).contains("found: NaN for position 1"));
    assert!(refused(log, [-0.5, 1.5]).contains("found: -0.5 for position 0"));
    assert!(refused([f32::NEG_INFINITY; 4], [0.5, 0.5]).contains("no token a probability"));
    let mut short = Fixed { log_probs: vec![-1.0; 3], attention: vec![0.5; 2] };
    let source = [Source { length: 2, limit: 3 }];
    let told = beam_search(&mut short, &source, BEGIN, END, &settings, &Silent).unwrap_err().to_string();
    assert!(told.contains("wrong shape"), "{told}");
    let mut model = Fixed { log_probs: log.to_vec(), attention: vec![0.5; 2] };
    for (length, limit) in [(3, 3), (2, 0)] {
        let source = [Source { length, limit }];
        assert!(matches!(beam_search(&mut model, &source, BEGIN, END, &settings, &Silent), Err(Error::Usage(_))));
    }
    assert!(beam_search(&mut model, &source, BEGIN, 4, &settings, &Silent).is_err());
}

#[test]
fn settings_that_make_no_search_are_refused() {
    let usual = BeamSettings::default;
    assert!(usual().check().is_ok());
    for settings in [
        BeamSettings { beam: 0, ..usual() },
        BeamSettings { beam: 2000, ..usual() },
        BeamSettings { n_best: 6, ..usual() },
        BeamSettings { n_best: 0, ..usual() },
        BeamSettings { length_penalty: -0.1, ..usual() },
        BeamSettings { length_penalty: f64::NAN, ..usual() },
        BeamSettings { coverage_penalty: 11.0, ..usual() },
        BeamSettings { pruning: Some(0.0), ..usual() },
        BeamSettings { pruning: Some(f64::NAN), ..usual() },
    ] {
        assert!(matches!(settings.check(), Err(Error::Usage(_))), "{settings:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn giving_up_what_cannot_win_never_costs_the_best(
        seed in any::<u64>(), beam in 1..6usize, alpha in 0.0..2.0f64, beta in 0.0..1.0f64, limit in 1..7usize,
    ) {
        let toy = Toy { sharpness: 10.0, ..Toy::new(seed, 6, &[(4, limit)]) };
        let settings = BeamSettings { beam, length_penalty: alpha, coverage_penalty: beta, ..BeamSettings::default() };
        let found = &search(&toy, &settings)[0][0];
        let expected = &plain(&toy, &settings, 0, true)[0];
        prop_assert!(found.score >= expected.2 - 1e-9, "{} {}", found.score, expected.2);
        prop_assert!(found.score <= all(&toy, &settings, 0)[0].2 + 1e-9);
    }
}
