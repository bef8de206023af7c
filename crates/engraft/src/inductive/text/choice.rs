//! The choice of the depth for texts: the probe, contrastive pairs, the last blocks, all of them; each measured on folds
//! and seeds while the budget lasts, on fewer of them where it is short.

use std::sync::Arc;

use crate::backbone::text::{LstmEncoder, SentenceEncoder, TextBase, TextBody};
use crate::data::text::Text;
use crate::error::{Error, Problem, Result};
use crate::features::Features;
use crate::inductive::text::contrastive::{pairs_for, settings_for, tune_pairs};
use crate::inductive::text::states::TextStates;
use crate::inductive::text::tune::{GrownBase, TextTarget, costs_of, tune_texts};
use crate::inductive::text::ulmfit::{UlmfitSettings, tune_lstm};
use crate::inductive::tuning::{
    Budget, DepthCut, Difference, Fold, FoldOutcome, Journal, Learners, Measured, Plan, Planned, Protocol, STEP_COST,
    Spread, TuneSettings, choose, cut_of, hold_out, measure_folds, reason, usual_cuts,
};
use crate::progress::Observer;
use crate::train::Settings;

/// More texts of a class than this, and pairs have nothing to add to labels.
const FEW_SHOT: usize = 200;

/// Up to so many texts of a class, on average, contrastive pairs are presumed to be best: that is where they gain most
/// over a head (Tunstall et al. 2022, figure 3), and where the answers tell least.
const PRESUMED: usize = 64;

/// How a base of texts is retrained.
#[derive(Debug, Clone, PartialEq)]
pub enum TextDepth {
    /// Contrastive pairs through all blocks, then a solved head.
    Contrastive(Plan),
    /// Labels, from a cut on.
    Cut(Planned),
    /// A language model's own recipe: its fine-tuning on the target's texts, then the classifier, unfrozen gradually.
    LanguageModel,
}

impl TextDepth {
    /// What it is called.
    pub fn label(&self) -> &str {
        match self {
            TextDepth::Contrastive(_) => "contrastive",
            TextDepth::Cut(planned) => &planned.depth.label,
            TextDepth::LanguageModel => "all",
        }
    }
}

/// Everything that depths are measured with.
#[derive(Clone, Copy)]
pub(super) struct TextGround<'a> {
    pub base: &'a Arc<TextBase>,
    pub texts: &'a [&'a Text],
    pub labels: &'a [usize],
    pub classes: usize,
    /// The base's features of the texts.
    pub features: &'a Features,
    /// Strength of the probe's regularisation.
    pub strength: f64,
    pub protocol: Protocol<'a>,
    pub settings: &'a TuneSettings,
    pub spread: Spread,
    /// Pairs of a contrastive training; 0 for the usual number.
    pub pairs: usize,
    /// Mean number of tokens.
    pub tokens: usize,
    pub journal: (&'a Journal, &'a str),
    pub observer: &'a dyn Observer,
}

/// The depth that was taken, and why.
#[derive(Debug, Clone)]
pub struct TextChosen {
    /// Every depth that was measured, the probe first, and the training texts that each was measured on.
    pub tried: Vec<(Measured, Vec<usize>)>,
    /// Which of them was taken.
    pub chosen: usize,
    /// How it retrains; nothing for the probe.
    pub depth: Option<TextDepth>,
    /// Why.
    pub reason: String,
    /// Depths that were not measured, or on less than all, and why.
    pub left_out: Vec<String>,
}

impl TextGround<'_> {
    fn sentence(&self) -> Result<&SentenceEncoder> {
        match &self.base.body {
            TextBody::Encoder(sentence) => Ok(sentence),
            _ => {
                let problem = Problem::new("this base has no blocks to cut between").found(&self.base.architecture);
                Err(Error::Usage(problem.expected("an encoder").hint("choose --depth head, all or auto")))
            }
        }
    }

    fn planned(&self, depth: DepthCut) -> Result<Planned> {
        let sentence = self.sentence()?;
        let costs = costs_of(sentence, self.tokens);
        let plan = Plan::new(&sentence.encoder, &costs, Learners::From(depth.cut), &self.spread);
        Ok(Planned { plan, depth })
    }

    /// The depth of a name.
    pub fn depth(&self, name: &str) -> Result<TextDepth> {
        match (&self.base.body, name) {
            (TextBody::Lstm(_), "all") => return Ok(TextDepth::LanguageModel),
            (TextBody::Lstm(_), _) => {
                let problem = Problem::new("a language model is retrained as a whole, by its own recipe");
                return Err(Error::Usage(problem.expected("head, all or auto").found(name).at("--depth")));
            }
            (TextBody::Words(_), _) => {
                let problem = Problem::new("word vectors have no stages that could be retrained");
                return Err(Error::Usage(problem.expected("head or auto").found(name).at("--depth")));
            }
            _ => {}
        }
        let sentence = self.sentence()?;
        if name == "contrastive" {
            // Few texts have few of the words: the table of all of them stays, which is half of a small encoder.
            let blocks = DepthCut { label: name.into(), cut: 1 };
            return Ok(TextDepth::Contrastive(self.planned(blocks)?.plan));
        }
        let depth = cut_of(name, &sentence.encoder, &costs_of(sentence, self.tokens))?;
        Ok(TextDepth::Cut(self.planned(depth)?))
    }

    /// Depths worth trying, in the order in which the budget is spent on them. For texts deeper is often better (Howard and
    /// Ruder 2018, table 7), so that the deepest comes before what lies between.
    fn usual(&self) -> Result<Vec<TextDepth>> {
        match &self.base.body {
            TextBody::Words(_) => Ok(Vec::new()),
            TextBody::Lstm(_) => Ok(vec![TextDepth::LanguageModel]),
            TextBody::Encoder(sentence) => {
                let mut depths = Vec::new();
                if self.labels.len() <= FEW_SHOT * self.classes {
                    depths.push(self.depth("contrastive")?);
                }
                let mut cuts = usual_cuts(&costs_of(sentence, self.tokens));
                cuts.rotate_right(1);
                for cut in cuts {
                    depths.push(TextDepth::Cut(self.planned(cut)?));
                }
                Ok(depths)
            }
        }
    }

    /// Multiply-adds, in units of 10^12, of one training on so many texts.
    fn cost_of(&self, depth: &TextDepth, texts: usize) -> f64 {
        let epochs = self.settings.train.epochs as f64;
        let (tail, seen) = match (&self.base.body, depth) {
            (TextBody::Encoder(sentence), TextDepth::Contrastive(plan) | TextDepth::Cut(Planned { plan, .. })) => {
                let costs = costs_of(sentence, self.tokens);
                let tail: u64 = costs[plan.cut()..].iter().map(|cost| cost.multiply_adds).sum();
                let pairs = matches!(depth, TextDepth::Contrastive(_)).then(|| pairs_for(texts, self.pairs));
                (tail as f64, pairs.map_or(epochs * texts as f64, |pairs| 2.0 * pairs as f64))
            }
            (TextBody::Lstm(model), _) => (model.multiply_adds(self.tokens) as f64, epochs * 2.0 * texts as f64),
            _ => (0.0, 0.0),
        };
        tail * seen * STEP_COST / 1e12
    }

    /// Multiply-adds of measuring a depth on the first folds, and of training the model itself.
    fn cost(&self, depth: &TextDepth, run_folds: usize, seeds: usize) -> f64 {
        let n = self.labels.len();
        let trained = n * (self.protocol.count - 1) / self.protocol.count;
        self.cost_of(depth, trained) * (run_folds * seeds) as f64 + self.cost_of(depth, n)
    }

    /// Trains one depth on some of the texts.
    pub fn train(&self, depth: &TextDepth, fold: Fold<'_>, watched: bool) -> Result<GrownBase> {
        let train = Settings { seed: fold.seed, ..self.settings.train.clone() };
        let settings = TuneSettings { train, ..self.settings.clone() };
        let journal = (self.journal.0, fold.identity);
        match depth {
            TextDepth::LanguageModel => {
                let TextBody::Lstm(lstm) = &self.base.body else { return Err(self.sentence().unwrap_err()) };
                let asked = &settings.train;
                let usual = UlmfitSettings::default();
                let ulmfit = UlmfitSettings {
                    epochs: 2 * asked.epochs,
                    language_epochs: asked.epochs,
                    weight_decay: asked.weight_decay,
                    clip: asked.clip.unwrap_or(0.0),
                    limit: lstm.limit,
                    seed: asked.seed,
                    ..usual
                };
                let tuned = tune_lstm(
                    &lstm.model,
                    self.texts,
                    self.labels,
                    self.classes,
                    fold.training,
                    &ulmfit,
                    self.observer,
                )?;
                let (hidden, head) = tuned.head.split();
                let body = LstmEncoder { model: tuned.model, hidden: Some(hidden), limit: tuned.limit };
                let base = Arc::new(TextBase { body: TextBody::Lstm(Box::new(body)), ..(**self.base).clone() });
                let [_, curve] = tuned.curves;
                Ok(GrownBase { base, head, curve, remarks: Vec::new() })
            }
            TextDepth::Contrastive(plan) => {
                let sentence = self.sentence()?;
                let states = TextStates::new(sentence, self.texts, plan.cut(), self.observer)?;
                let target = self.target(plan, &states)?;
                let pairs = pairs_for(fold.training.len(), self.pairs);
                let settings = settings_for(&settings);
                tune_pairs(target, &settings, pairs, fold.training, journal, self.observer, fold.curve)
            }
            TextDepth::Cut(planned) => {
                let sentence = self.sentence()?;
                let states = TextStates::new(sentence, self.texts, planned.plan.cut(), self.observer)?;
                let target = self.target(&planned.plan, &states)?;
                let chooses = settings.train.patience.is_some() || settings.train.average > 0;
                let (training, validation) = match (chooses, watched) {
                    (true, _) => hold_out(fold.training, self.labels, settings.train.seed),
                    (false, true) => (fold.training.to_vec(), fold.held.to_vec()),
                    (false, false) => (fold.training.to_vec(), Vec::new()),
                };
                tune_texts(target, &settings, &training, &validation, journal, self.observer, fold.curve)
            }
        }
    }

    fn target<'t>(&'t self, plan: &'t Plan, states: &'t TextStates) -> Result<TextTarget<'t>> {
        let TextGround { base, texts, labels, classes, features, strength, .. } = *self;
        Ok(TextTarget { base, sentence: self.sentence()?, plan, states, texts, features, strength, labels, classes })
    }

    /// Measures one depth on the first folds.
    pub fn measure(&self, depth: &TextDepth, run_folds: usize, seeds: usize) -> Result<(Measured, Vec<usize>)> {
        let protocol = Protocol { seeds, ..self.protocol };
        let label = depth.label();
        let truth = (self.labels, self.classes);
        let seed = self.settings.train.seed;
        let trained = self.labels.len() * (self.protocol.count - 1) / self.protocol.count * run_folds * seeds;
        let (work, unit) = match depth {
            TextDepth::Contrastive(_) => {
                let pairs = pairs_for(self.labels.len() * (self.protocol.count - 1) / self.protocol.count, self.pairs);
                (pairs * run_folds * seeds, "pairs")
            }
            _ => (self.settings.train.epochs as usize * trained, "texts"),
        };
        self.observer.begin(&format!("fine-tuning: {label}"), work as u64, unit);
        let (mut measured, rows) = measure_folds(label, truth, protocol, run_folds, seed, self.journal, &mut |fold| {
            let grown = self.train(depth, fold, true)?;
            let held: Vec<&Text> = fold.held.iter().map(|&at| self.texts[at]).collect();
            Ok(FoldOutcome { logits: grown.logits(&held)?, curve: grown.curve, remarks: grown.remarks })
        })?;
        self.observer.end();
        measured.cost = self.cost(depth, run_folds, seeds);
        (measured.cut, measured.plan) = match depth {
            TextDepth::Contrastive(plan) => (String::new(), format!("pairs, then a solved head: {}", plan.describe())),
            TextDepth::LanguageModel => (
                String::new(),
                "the language model on the target's texts, then the classifier, unfrozen gradually".into(),
            ),
            TextDepth::Cut(Planned { depth, plan }) => {
                let cut = depth.cut.checked_sub(1).map(|stage| plan.stages[stage].name.clone()).unwrap_or_default();
                (cut, plan.describe())
            }
        };
        Ok((measured, rows))
    }

    /// Tries the usual depths after the probe, which is `tried` already on all texts.
    pub fn choose(
        &self,
        probe: Measured,
        budget: &Budget,
        hear: &mut dyn FnMut(&Measured, &Difference),
    ) -> Result<TextChosen> {
        let Protocol { count, seeds, .. } = self.protocol;
        let mut tried = vec![(probe, (0..self.labels.len()).collect::<Vec<usize>>())];
        let mut depths = vec![None];
        let mut left_out = Vec::new();
        let mut left = budget.multiply_adds();
        let usual = self.usual()?;
        for (at, depth) in usual.iter().enumerate() {
            let label = depth.label();
            // No depth may take what would have paid for a first look at those after it.
            let share = left / (usual.len() - at) as f64;
            let ways = [(count, seeds), (count, 1)].into_iter().chain((1..count).rev().map(|folds| (folds, 1)));
            let paid = |(folds, seeds): &(usize, usize), most: f64| self.cost(depth, *folds, *seeds) <= most;
            let way = ways.clone().find(|way| paid(way, share)).or_else(|| Some((1, 1)).filter(|way| paid(way, left)));
            let Some((folds, seeds_run)) = way else {
                left_out.push(format!(
                    "`{label}` was not tried: {:.1} x 10^12 multiply-adds at least, and {left:.1} are left of the budget of {budget}",
                    self.cost(depth, 1, 1)
                ));
                continue;
            };
            if (folds, seeds_run) != (count, seeds) {
                left_out.push(format!(
                    "`{label}` was measured on {folds} of {count} folds with 1 seed: more was not within the budget of {budget}"
                ));
            }
            let (measured, rows) = match self.measure(depth, folds, seeds_run) {
                Ok(measured) => measured,
                Err(Error::Training(problem)) => {
                    left_out.push(format!("`{label}` could not be trained: {}", problem.what()));
                    continue;
                }
                Err(error) => return Err(error),
            };
            left -= measured.cost;
            hear(&measured, &gain(&measured, &rows, &tried[0].0));
            tried.push((measured, rows));
            depths.push(Some(depth.clone()));
        }
        sort_by_depth(&mut tried, &mut depths);
        // Compared on the texts that all of them answered.
        let common: Vec<usize> =
            (0..self.labels.len()).filter(|at| tried.iter().all(|(_, rows)| rows.binary_search(at).is_ok())).collect();
        let compared: Vec<Measured> = tried.iter().map(|(measured, rows)| on(measured, rows, &common)).collect();
        let few = self.labels.len() <= PRESUMED * self.classes;
        let presumed = depths.iter().position(|depth| few && matches!(depth, Some(TextDepth::Contrastive(_))));
        let chosen = choose(&compared, presumed);
        let mut reason = reason(&compared, chosen, presumed);
        if common.len() < self.labels.len() && compared.len() > 1 {
            reason.push_str(&format!(" (compared on the {} texts that all answered)", common.len()));
        }
        Ok(TextChosen { depth: depths.swap_remove(chosen), tried, chosen, reason, left_out })
    }
}

/// The probe first, then from the shallowest to the deepest: the order that "of equals the shallower" means.
fn sort_by_depth(tried: &mut Vec<(Measured, Vec<usize>)>, depths: &mut Vec<Option<TextDepth>>) {
    let rank = |depth: &Option<TextDepth>| match depth {
        None => 0,
        Some(TextDepth::Cut(planned)) => usize::MAX - planned.depth.cut,
        Some(TextDepth::Contrastive(_)) => usize::MAX - 1,
        Some(TextDepth::LanguageModel) => usize::MAX,
    };
    let mut order: Vec<usize> = (0..tried.len()).collect();
    order.sort_by_key(|&at| rank(&depths[at]));
    *tried = order.iter().map(|&at| tried[at].clone()).collect();
    *depths = order.iter().map(|&at| depths[at].clone()).collect();
}

/// What of a depth was measured on some of its texts.
fn on(measured: &Measured, rows: &[usize], which: &[usize]) -> Measured {
    let correct = which.iter().map(|at| measured.correct[rows.binary_search(at).expect("one of its rows")]);
    Measured { correct: correct.collect(), ..measured.clone() }
}

/// The gain over the probe, which was measured on all texts.
pub(super) fn gain(measured: &Measured, rows: &[usize], probe: &Measured) -> Difference {
    let its: Vec<f64> = rows.iter().map(|&at| probe.correct[at]).collect();
    Difference::of(&measured.correct, &its)
}

/// The texts of the whole training set as one training, for the model itself.
pub(super) fn whole<'a>(all: &'a [usize], seed: u64, identity: &'a str) -> Fold<'a> {
    Fold { training: all, held: &[], seed, identity, curve: "final" }
}
