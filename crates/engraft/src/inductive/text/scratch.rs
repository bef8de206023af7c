//! The from-scratch control for texts: a small encoder of the base's kind with random weights, on the same texts.

use std::sync::Arc;

use crate::backbone::Device;
use crate::backbone::Statistics;
use crate::backbone::text::{EncoderConfig, SentenceEncoder, SentenceLayout, TextBase, TextBody, TextEncoder};
use crate::data::text::Text;
use crate::error::Result;
use crate::evaluate::{Evaluation, evaluate};
use crate::features::Features;
use crate::head::softmax;
use crate::inductive::text::states::TextStates;
use crate::inductive::text::tune::{TextTarget, costs_of, tune_texts};
use crate::inductive::tuning::{Journal, Learners, Plan, Regularisers, STEP_COST, Spread, Start, TuneSettings};
use crate::progress::Observer;
use crate::train::{Curve, Optimiser, Schedule, Settings, argmax};

/// Blocks of the network: more are not learnt from few texts.
const BLOCKS: usize = 2;
/// Tokens of a text that it reads.
const TOKENS: usize = 64;
/// Epochs that are worth their time, and those that make fewer folds the better choice.
const EPOCHS: [u64; 2] = [20, 8];
/// Peak rate of AdamW.
const RATE: f64 = 5e-4;

/// What a small encoder learnt from the labels alone.
#[derive(Debug)]
pub struct ScratchTexts {
    /// How it was trained, in words.
    pub how: String,
    /// The training texts, by their places among these, that it was measured on.
    pub rows: Vec<usize>,
    /// Whether its out-of-fold answer to each of these was right.
    pub correct: Vec<bool>,
    /// Its numbers.
    pub evaluation: Evaluation,
    /// Learning curves, fold by fold.
    pub curves: Vec<Curve>,
}

impl ScratchTexts {
    /// Trains within `budget` x 10^12 multiply-adds: on fewer folds, then in fewer epochs, then on fewer texts, where the
    /// budget asks for it. Nothing where the base is no encoder: then there is nothing of its kind to train.
    #[expect(clippy::too_many_arguments, reason = "one call, with all that the fit knows")]
    pub fn run(
        base: &TextBase,
        texts: &[&Text],
        labels: &[usize],
        (folds, count): (&[usize], usize),
        classes: usize,
        budget: f64,
        seed: u64,
        observer: &dyn Observer,
    ) -> Result<Option<Self>> {
        let TextBody::Encoder(sentence) = &base.body else { return Ok(None) };
        let config = EncoderConfig { layers: sentence.config.layers.min(BLOCKS), ..sentence.config.clone() };
        let layout = SentenceLayout { limit: sentence.layout.limit.min(TOKENS), ..sentence.layout.clone() };
        let device = Device::flex();
        let encoder = TextEncoder::random(&config, seed, &device);
        let small = SentenceEncoder { encoder, config: config.clone(), layout, ..(**sentence).clone() };
        let small = Arc::new(TextBase { body: TextBody::Encoder(Box::new(small)), ..base.clone() });
        let TextBody::Encoder(sentence) = &small.body else { unreachable!("it was just made") };

        let states = TextStates::new(sentence, texts, 0, observer)?;
        let costs = costs_of(sentence, states.tokens() / texts.len().max(1));
        let each = costs.iter().map(|cost| cost.multiply_adds).sum::<u64>() as f64 * STEP_COST / 1e12;
        let train = texts.len() * (count - 1) / count;
        let epochs_of = |run: usize| (budget / (each * (train * run) as f64)) as u64;
        let run = (1..=count).rev().find(|run| epochs_of(*run) >= EPOCHS[1]).unwrap_or(1);
        let epochs = epochs_of(run).clamp(1, EPOCHS[0]);
        let most = ((budget / (each * epochs as f64 * run as f64)) as usize).max(2 * classes);

        let spread = Spread {
            rate_factor: 1.0,
            head_rate: 1.0,
            weight_decay: 0.01,
            anchor: 0.0,
            gradual: false,
            statistics: Statistics::Stored,
        };
        let plan = Plan::new(&sentence.encoder, &costs, Learners::From(0), &spread);
        let settings = Settings {
            epochs,
            batch_size: 32,
            shard_size: 16,
            optimiser: Optimiser::AdamW,
            lr: RATE,
            schedule: Schedule::Cosine,
            clip: Some(1.0),
            seed,
            ..Settings::default()
        };
        let settings = TuneSettings {
            train: settings,
            start: Start::Random,
            regularisers: Regularisers {
                dropout: 0.1,
                feature_distance: 0.0,
                mixup: 0.0,
                cutmix: 0.0,
                label_smoothing: 0.0,
            },
            stochastic_depth: 0.0,
            low_rank: None,
            adapt_statistics: false,
            balanced: false,
        };
        let columns = small.columns();
        let features = Features::new(texts.len(), columns, vec![0.0; texts.len() * columns])?;
        let target = TextTarget {
            base: &small,
            sentence,
            plan: &plan,
            states: &states,
            texts,
            features: &features,
            strength: 1.0,
            labels,
            classes,
        };
        let rows: Vec<usize> = (0..texts.len()).filter(|&at| folds[at] < run).collect();
        let mut answers = vec![Vec::new(); texts.len()];
        let mut curves = Vec::new();
        let mut used = 0;
        observer.begin("control: from scratch", epochs * (train.min(most) * run) as u64, "texts");
        for fold in 0..run {
            let (held, training): (Vec<usize>, Vec<usize>) = (0..texts.len()).partition(|&at| folds[at] == fold);
            let training = thinned(&training, most, seed);
            used = training.len();
            let name = format!("scratch/fold{fold}");
            let none = (&Journal::none(), name.as_str());
            let grown = tune_texts(target, &settings, &training, &[], none, observer, &name)?;
            let held_texts: Vec<&Text> = held.iter().map(|&at| texts[at]).collect();
            for (row, &at) in grown.logits(&held_texts)?.chunks_exact(classes).zip(&held) {
                answers[at] = row.to_vec();
            }
            curves.push(grown.curve);
        }
        observer.end();
        let truth: Vec<usize> = rows.iter().map(|&at| labels[at]).collect();
        let correct = rows.iter().map(|&at| argmax(&answers[at]) == labels[at]).collect();
        let probabilities: Vec<f32> = (rows.iter())
            .flat_map(|&at| {
                let row: Vec<f64> = answers[at].iter().map(|z| f64::from(*z)).collect();
                softmax(&row, 1.0).into_iter().map(|p| p as f32).collect::<Vec<_>>()
            })
            .collect();
        let part = if used < train { format!(" of {used} texts each") } else { String::new() };
        let how = format!(
            "{} blocks of {} with random weights, {epochs} epochs{part}, {run} of {count} folds, AdamW at {RATE:.0e}",
            config.layers, base.architecture
        );
        let evaluation = evaluate(&probabilities, &truth, classes, seed, &format!("{run} of {count} folds"))?;
        Ok(Some(Self { how, rows, correct, evaluation, curves }))
    }
}

/// At most so many of the texts, drawn without a look at their labels.
fn thinned(training: &[usize], most: usize, seed: u64) -> Vec<usize> {
    let mut chosen: Vec<usize> = crate::rng::permutation(training.len(), seed, "scratch-texts", 0)
        .into_iter()
        .take(most)
        .map(|at| training[at])
        .collect();
    chosen.sort_unstable();
    chosen
}
