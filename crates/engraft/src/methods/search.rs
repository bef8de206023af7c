//! Depths to retrain a base at: which there are, what they cost, how they are trained and measured.

use std::sync::Arc;
use std::time::Instant;

use crate::bases::text::{LstmEncoder, TextBase, TextBody};
use crate::data::Task;
use crate::error::{Error, Problem, Result};
use crate::features::Features;
use crate::methods::activations::{KeyedImages, Views};
use crate::methods::budget::{Speed, to_two_digits};
use crate::methods::contrastive::{pairs_for, settings_for, tune_pairs};
use crate::methods::depth::{
    Fold, FoldOutcome, GivesUp, Measured, Prior, Protocol, Trainings, hold_out, measure_folds,
};
use crate::methods::journal::Journal;
use crate::methods::material::{AtCut, FineTuned, Material};
use crate::methods::plan::{DepthCut, Learners, Plan, Spread, cut_of, usual_cuts};
use crate::methods::quiet::Quiet;
use crate::methods::tune::{Adapted, TuneSettings, Tuning, best_rate, tune};
use crate::methods::ulmfit::{UlmfitSettings, tune_lstm};
use crate::progress::Observer;
use crate::settings::Start;
use crate::targets::Target;
use crate::train::Settings;

/// A training step costs about three forward passes: one forwards, one to the inputs, one to the weights.
pub(crate) const STEP_COST: f64 = 3.0;
/// More examples of a class than this, and pairs have nothing to add to labels.
const FEW_SHOT: usize = 200;
/// Up to so many texts of a class, on average, contrastive pairs gain most over a head (Tunstall et al. 2022, figure 3).
const PAIRS_GAIN: usize = 64;
/// Passes over the examples of a head on frozen tokens, and the peak rates that are tried: its states are computed once, and
/// it takes larger steps than blocks.
const HEAD_EPOCHS: u64 = 10;
const HEAD_RATES: [f64; 3] = [1e-3, 5e-3, 2e-2];
/// Words of a usual paragraph.
const WORDS: f64 = 150.0;
/// What two cores of a laptop do, in 10^12 MACs per second: taken where a recipe has no step that could be measured.
const USUAL_SPEED: f64 = 0.05;
/// MACs, in units of 10^12, that the speed is measured over, and the fewest and most examples.
const SPEED_WORK: f64 = 0.01;
const SPEED_EXAMPLES: [usize; 2] = [4, 32];

/// Everything that depths are measured with.
#[derive(Clone, Copy)]
pub(crate) struct DepthSearch<'a> {
    /// The base and the training examples.
    pub(crate) material: Material<'a>,
    /// Their labels.
    pub(crate) target: &'a dyn Target,
    /// The base's features of them.
    pub(crate) features: &'a Features,
    /// Strength of the probe's regularisation.
    pub(crate) strength: f64,
    /// Folds and seeds.
    pub(crate) protocol: Protocol<'a>,
    /// How to fine-tune.
    pub(crate) settings: &'a TuneSettings,
    /// How rates are spread.
    pub(crate) spread: Spread,
    /// What is finished, and under which name.
    pub(crate) journal: (&'a Journal, &'a str),
    /// Hears of the work.
    pub(crate) observer: &'a dyn Observer,
}

/// A depth with its plan.
#[derive(Debug, Clone, PartialEq)]
pub struct Planned {
    /// What it is called.
    pub(crate) depth: DepthCut,
    /// What learns.
    pub(crate) plan: Plan,
}

/// How a base is retrained.
#[derive(Debug, Clone, PartialEq)]
pub enum Depth {
    /// Contrastive pairs through all blocks, then a solved head.
    Contrastive(Plan),
    /// Labels, from a cut on.
    Cut(Planned),
    /// A language model's own recipe: its fine-tuning on the target's texts, then the classifier, unfrozen gradually.
    LanguageModel,
    /// A head that is trained by steps on the frozen base: linear on an encoder's tokens, at its best rate, or a reader on
    /// word vectors, which have no plan.
    Head(Option<(Plan, f64)>),
}

impl Depth {
    /// What it is called.
    pub(crate) fn label(&self) -> &str {
        match self {
            Depth::Contrastive(_) => "contrastive",
            Depth::Cut(planned) => &planned.depth.label,
            Depth::LanguageModel => "all",
            Depth::Head(_) => "head",
        }
    }

    /// From the shallowest to the deepest: the order that "of equals the shallower" means.
    pub(super) fn rank(depth: Option<&Self>) -> usize {
        match depth {
            None | Some(Depth::Head(_)) => 0,
            Some(Depth::Cut(planned)) => usize::MAX - planned.depth.cut,
            Some(Depth::Contrastive(_)) => usize::MAX - 1,
            Some(Depth::LanguageModel) => usize::MAX,
        }
    }

    /// The stage after which training begins, and what learns, in words.
    fn described(&self) -> (String, String) {
        match self {
            Depth::Contrastive(plan) => (String::new(), format!("pairs, then a solved head: {}", plan.describe())),
            Depth::LanguageModel => (
                String::new(),
                "the language model on the target's texts, then the classifier, unfrozen gradually".into(),
            ),
            Depth::Head(Some((plan, rate))) => {
                let last = plan.stages.len().checked_sub(2).map(|stage| plan.stages[stage].name.clone());
                (last.unwrap_or_default(), format!("head, {HEAD_EPOCHS} epochs at {rate:.0e}"))
            }
            Depth::Head(None) => ("words".into(), "a reader on frozen word vectors".into()),
            Depth::Cut(Planned { depth, plan }) => {
                let cut = depth.cut.checked_sub(1).map(|stage| plan.stages[stage].name.clone()).unwrap_or_default();
                (cut, plan.describe())
            }
        }
    }
}

impl DepthSearch<'_> {
    fn lstm(&self) -> Option<&LstmEncoder> {
        match self.material {
            Material::Texts { base, .. } => match &base.body {
                TextBody::Lstm(model) => Some(model),
                _ => None,
            },
            Material::Images { .. } | Material::Tokens { .. } => None,
        }
    }

    fn planned(&self, depth: DepthCut, learners: Learners) -> Result<Planned> {
        let plan = Plan::new(&self.material.body()?, &self.material.costs(), learners, &self.spread);
        Ok(Planned { plan, depth })
    }

    /// The depth of a name, or one stage alone.
    ///
    /// # Errors
    /// [`Error::Usage`] where the base or the target has no such depth.
    pub(crate) fn depth(&self, name: &str, only: bool) -> Result<Depth> {
        if self.lstm().is_some() {
            return match name {
                "all" if !only => Ok(Depth::LanguageModel),
                _ => {
                    let problem = Problem::new("a language model is retrained as a whole, by its own recipe");
                    Err(Error::Usage(problem.expected("head, all or auto").found(name).at("--depth")))
                }
            };
        }
        let body = self.material.body()?;
        if name == "contrastive" && matches!(self.material, Material::Texts { .. }) && !only {
            // Few texts have few of the words: the table of all of them stays, which is half of a small encoder.
            let blocks = DepthCut { label: name.into(), cut: 1 };
            return Ok(Depth::Contrastive(self.planned(blocks, Learners::From(1))?.plan));
        }
        let mut depth = cut_of(name, &body, &self.material.costs())?;
        let learners = if only { Learners::Only(depth.cut) } else { Learners::From(depth.cut) };
        if only {
            depth.label = format!("only {name}");
        }
        Ok(Depth::Cut(self.planned(depth, learners)?))
    }

    /// The head on frozen tokens, at the best of several rates, and the loss of each on a part of the first fold's training
    /// examples; of word vectors the reader, at the rate of the settings.
    ///
    /// # Errors
    /// Interruption; what the tokenizer refuses.
    pub(crate) fn token_head(&self) -> Result<(Depth, Vec<(f64, f64)>)> {
        let Ok(body) = self.material.body() else { return Ok((Depth::Head(None), Vec::new())) };
        let costs = self.material.costs();
        let spread = Spread { head_rate: 1.0, ..self.spread };
        let plan = Plan::new(&body, &costs, Learners::From(costs.len()), &spread);
        let at = self.material.at(plan.cut(), self.observer)?;
        let training: Vec<usize> = (0..self.target.len()).filter(|&row| self.protocol.folds[row] != 0).collect();
        let work = HEAD_RATES.len() as u64 * HEAD_EPOCHS * at.units(&training).len() as u64 * 6 / 7;
        self.observer.begin("rate of the head", work, self.material.unit());
        let settings_of = |rate: f64| head_settings(self.settings, rate);
        let (tuning, quiet) = (self.tuning(&plan, &at), Quiet(self.observer));
        let (groups, seed) = (self.protocol.groups, self.settings.train.seed);
        let (rate, tried) = best_rate(tuning, &HEAD_RATES, &settings_of, &training, groups, seed, &quiet)?;
        self.observer.end();
        Ok((Depth::Head(Some((plan, rate))), tried))
    }

    /// Depths worth trying, in the order in which the budget is spent on them. For texts deeper is often better (Howard and
    /// Ruder 2018, table 7), so that the deepest comes before what lies between.
    pub(super) fn usual(&self) -> Result<Vec<Depth>> {
        let single = self.target.task() == Task::SingleLabel;
        if self.lstm().is_some() {
            return Ok(if single { vec![Depth::LanguageModel] } else { Vec::new() });
        }
        let mut cuts = usual_cuts(&self.material.costs());
        let mut depths = Vec::new();
        if matches!(self.material, Material::Texts { .. } | Material::Tokens { .. }) {
            if single && self.target.len() <= FEW_SHOT * self.target.outputs() {
                depths.push(self.depth("contrastive", false)?);
            }
            cuts.rotate_right(1);
        }
        for cut in cuts {
            let learners = Learners::From(cut.cut);
            depths.push(Depth::Cut(self.planned(cut, learners)?));
        }
        Ok(depths)
    }

    /// MACs, in units of 10^12, of one training on so many examples.
    fn cost_of(&self, depth: &Depth, examples: usize) -> f64 {
        let epochs = self.settings.train.epochs as f64;
        let tail = |plan: &Plan| -> f64 {
            let costs = self.material.costs();
            costs[plan.cut().min(costs.len())..].iter().map(|cost| cost.multiply_adds).sum::<u64>() as f64
        };
        let (tail, seen) = match (depth, self.material) {
            // Its states are computed once, which the model does for every depth.
            (Depth::Head(Some(_)), _) => (0.0, 0.0),
            (Depth::Head(None), Material::Tokens { reader: Some(sizes), .. }) => {
                (sizes.multiply_adds() * WORDS, epochs * examples as f64)
            }
            (Depth::Head(None), _) => (0.0, 0.0),
            (Depth::Contrastive(plan), Material::Texts { pairs, .. }) => {
                (tail(plan), 2.0 * pairs_for(examples, pairs) as f64)
            }
            (Depth::LanguageModel, Material::Texts { tokens, .. }) => {
                (self.lstm().map_or(0.0, |model| model.multiply_adds(tokens) as f64), epochs * 2.0 * examples as f64)
            }
            (Depth::Contrastive(plan) | Depth::Cut(Planned { plan, .. }), _) => (tail(plan), epochs * examples as f64),
            (Depth::LanguageModel, Material::Images { .. } | Material::Tokens { .. }) => (0.0, 0.0),
        };
        tail * seen * STEP_COST / 1e12
    }

    /// MACs, in units of 10^12, of measuring a depth on so many folds, with one seed.
    pub(super) fn cost_of_folds(&self, depth: &Depth, folds: usize) -> f64 {
        let n = self.target.len();
        let trained = n * (self.protocol.count - 1) / self.protocol.count;
        let prefix = match (depth, self.material) {
            (Depth::Cut(Planned { plan, .. }), Material::Images { .. }) => {
                let before = self.material.costs()[..plan.cut()].iter().map(|cost| cost.multiply_adds).sum::<u64>();
                before as f64 * (n * self.material.views()) as f64 / 1e12
            }
            _ => 0.0,
        };
        prefix + self.cost_of(depth, trained) * folds as f64
    }

    /// MACs, in units of 10^12, of training the model itself.
    pub(super) fn cost_of_model(&self, depth: &Depth) -> f64 {
        self.cost_of(depth, self.target.len())
    }

    /// How fast this machine trains this base, to two digits: a short training, after a shorter one; of images at every usual
    /// depth, elsewhere at the deepest.
    ///
    /// # Errors
    /// Interruption; examples that cannot be read any more.
    pub(crate) fn speed(&self) -> Result<Speed> {
        let mut cuts = self.usual()?;
        cuts.retain(|depth| matches!(depth, Depth::Cut(_)));
        let deepest = cuts.iter().max_by_key(|depth| Depth::rank(Some(depth)));
        let Some(deepest) = deepest else { return Ok(Speed::same(USUAL_SPEED)) };
        let train = Settings { epochs: 1, patience: None, average: 0, ..self.settings.train.clone() };
        let settings = TuneSettings { train, start: Start::Random, ..self.settings.clone() };
        let (quiet, journal) = (Quiet(self.observer), Journal::none());
        let short = DepthSearch { settings: &settings, observer: &quiet, journal: (&journal, ""), ..*self };
        let Material::Images { base, shown, views, .. } = self.material else {
            let n = self.target.len();
            let spaced = |examples: usize| (0..examples).map(|at| at * n / examples).collect();
            return short.speed_of(deepest, &spaced).map(Speed::same);
        };
        // Only the first of them go through the frozen stages.
        let few = SPEED_EXAMPLES[1].min(self.target.len());
        let images = shown.images.first(few, &quiet)?;
        let shown = KeyedImages { images: &images, digests: &shown.digests[..few] };
        let views = Views { count: 1, ..views.clone() };
        let short = DepthSearch { material: Material::Images { base, shown, views: &views, cache: None }, ..short };
        self.observer.begin("speed of this machine", 0, self.material.unit());
        let of = |depth: &Depth| {
            let speed = short.speed_of(depth, &|examples| (0..examples).collect())?;
            Ok((depth.label().to_owned(), speed))
        };
        let speeds = cuts.iter().map(of).collect::<Result<_>>()?;
        self.observer.end();
        Ok(Speed::of_depths(speeds))
    }

    fn speed_of(&self, depth: &Depth, rows: &dyn Fn(usize) -> Vec<usize>) -> Result<f64> {
        let one = self.cost_of(depth, 1);
        let [fewest, most] = SPEED_EXAMPLES.map(|examples| examples.min(self.target.len()));
        let examples = ((SPEED_WORK / one.max(1e-12)) as usize).clamp(fewest, most);
        let at = self.at(depth)?;
        let mut seconds = 0.0;
        for examples in [fewest, examples] {
            let (rows, start) = (rows(examples), Instant::now());
            let seed = self.settings.train.seed;
            let fold = Fold { training: &rows, held: &[], seed, identity: "", curve: "speed" };
            self.train(depth, at.as_ref(), fold, false)?;
            seconds = start.elapsed().as_secs_f64();
        }
        Ok(to_two_digits(one * examples as f64 / seconds.max(1e-9)))
    }

    /// What is expected of a depth before anything is measured: means and deviations over tasks with 16 to 400 examples
    /// (docs/decisions.md, docs/text.md); of words and questions next to nothing is presumed.
    pub(super) fn prior(&self, depth: &Depth) -> Prior {
        let few = self.target.len() <= PAIRS_GAIN * self.target.outputs();
        let (means, deviation) = match self.material {
            Material::Images { .. } => ([0.015, 0.02, 0.005], 0.03),
            Material::Texts { .. } => ([0.015, 0.025, 0.035], 0.04),
            Material::Tokens { .. } => ([0.03, 0.04, 0.05], 0.1),
        };
        let [last, half, all] = means;
        let mean = match depth.label() {
            "contrastive" if few => 0.04,
            "contrastive" => 0.02,
            "last" => last,
            "half" => half,
            _ => all,
        };
        Prior { mean, deviation }
    }

    /// The examples where the trainings of a depth start from, the same for all folds; nothing for a recipe that starts
    /// from the texts.
    ///
    /// # Errors
    /// Examples that cannot be read any more, interruption.
    pub fn at(&self, depth: &Depth) -> Result<Option<AtCut<'_>>> {
        match depth {
            Depth::LanguageModel => Ok(None),
            Depth::Head(None) => self.material.at(0, self.observer).map(Some),
            Depth::Contrastive(plan) | Depth::Cut(Planned { plan, .. }) | Depth::Head(Some((plan, _))) => {
                self.material.at(plan.cut(), self.observer).map(Some)
            }
        }
    }

    /// Trains one depth on some of the examples, which start at `at` (see [`DepthSearch::at`]). Where the curve is not watched,
    /// nothing is measured on `fold.held`.
    ///
    /// # Errors
    /// As [`tune`].
    pub(crate) fn train(
        &self,
        depth: &Depth,
        at: Option<&AtCut<'_>>,
        fold: Fold<'_>,
        watched: bool,
    ) -> Result<Adapted> {
        let train = Settings { seed: fold.seed, ..self.settings.train.clone() };
        let mut settings = TuneSettings { train, ..self.settings.clone() };
        if let Depth::Head(Some((_, rate))) = depth {
            settings = head_settings(&settings, *rate);
        }
        let journal = (self.journal.0, fold.identity);
        let nothing = Plan::nothing(&self.spread);
        let (plan, at) = match (depth, at) {
            (Depth::Head(None), Some(at)) => (&nothing, at),
            (Depth::Contrastive(plan) | Depth::Cut(Planned { plan, .. }) | Depth::Head(Some((plan, _))), Some(at)) => {
                (plan, at)
            }
            _ => return self.train_language_model(&settings.train, fold),
        };
        let tuning = self.tuning(plan, at);
        if let (Depth::Contrastive(_), Material::Texts { pairs, .. }) = (depth, self.material) {
            let pairs = pairs_for(fold.training.len(), pairs);
            return tune_pairs(
                tuning,
                &settings_for(&settings),
                pairs,
                fold.training,
                journal,
                self.observer,
                fold.curve,
            );
        }
        // Where the validation loss chooses the weights, it may not be that of the fold that is judged.
        let chooses = settings.train.patience.is_some() || settings.train.average > 0;
        let (training, validation) = match (chooses, watched) {
            (true, _) => hold_out(fold.training, &self.target.strata(), self.protocol.groups, settings.train.seed),
            (false, true) => (fold.training.to_vec(), fold.held.to_vec()),
            (false, false) => (fold.training.to_vec(), Vec::new()),
        };
        tune(tuning, &settings, &training, &validation, journal, self.observer, fold.curve)
    }

    /// What is fine-tuned to what.
    pub(crate) fn tuning<'t>(&'t self, plan: &'t Plan, at: &'t AtCut<'t>) -> Tuning<'t> {
        let DepthSearch { material, features, strength, target, .. } = *self;
        Tuning { material, at, plan, features, strength, target }
    }

    fn train_language_model(&self, asked: &Settings, fold: Fold<'_>) -> Result<Adapted> {
        let (Some(lstm), Material::Texts { base, texts, .. }) = (self.lstm(), self.material) else {
            unreachable!("only a language model has its own recipe")
        };
        let settings = UlmfitSettings {
            epochs: 2 * asked.epochs,
            language_epochs: asked.epochs,
            weight_decay: asked.weight_decay,
            clip: asked.clip.unwrap_or(0.0),
            limit: lstm.limit,
            seed: asked.seed,
            ..UlmfitSettings::default()
        };
        let (labels, classes) = (self.target.strata(), self.target.outputs());
        let tuned = tune_lstm(&lstm.model, texts, &labels, classes, fold.training, &settings, self.observer)?;
        let (hidden, head) = tuned.head.split();
        let body = LstmEncoder { model: tuned.model, hidden: Some(hidden), limit: tuned.limit };
        let base = Arc::new(TextBase { body: TextBody::Lstm(Box::new(body)), ..(**base).clone() });
        let [_, curve] = tuned.curves;
        Ok(Adapted { grown: FineTuned::Text(base), head: head.into(), curve, remarks: Vec::new() })
    }

    /// Measures one depth on the first folds.
    ///
    /// # Errors
    /// As [`tune`].
    pub(crate) fn measure(&self, depth: &Depth, run_folds: usize, seeds: usize) -> Result<Measured> {
        self.go_on(depth, run_folds, seeds, &mut Trainings::default(), &|_, _| false)
    }

    /// The same, where some of its trainings may be done, and others not worth it.
    ///
    /// # Errors
    /// As [`tune`].
    pub(super) fn go_on(
        &self,
        depth: &Depth,
        run_folds: usize,
        seeds: usize,
        trainings: &mut Trainings,
        gives_up: &GivesUp<'_>,
    ) -> Result<Measured> {
        let protocol = Protocol { seeds, ..self.protocol };
        let label = depth.label();
        let seed = self.settings.train.seed;
        let trained = self.target.len() * (self.protocol.count - 1) / self.protocol.count;
        let (work, unit) = match (depth, self.material) {
            (Depth::Contrastive(_), Material::Texts { pairs, .. }) => (pairs_for(trained, pairs), "pairs"),
            (Depth::Head(Some(_)), Material::Tokens { set, .. }) => {
                ((HEAD_EPOCHS as f64 * trained as f64 * set.units_of_each()) as usize, self.material.unit())
            }
            (_, Material::Tokens { set, .. }) => {
                let units = self.settings.train.epochs as f64 * trained as f64 * set.units_of_each();
                (units as usize, self.material.unit())
            }
            _ => (self.settings.train.epochs as usize * trained, self.material.unit()),
        };
        let at = self.at(depth)?;
        let missing = run_folds * seeds - trainings.count(run_folds, seeds);
        self.observer.begin(&format!("fine-tuning: {label}"), (work * missing) as u64, unit);
        let journal = self.journal;
        let mut run = |fold: Fold<'_>| {
            let adapted = self.train(depth, at.as_ref(), fold, true)?;
            let logits = adapted.outputs(&self.material, at.as_ref(), fold.held)?;
            Ok(FoldOutcome { logits, curve: adapted.curve, remarks: adapted.remarks })
        };
        let mut measured =
            measure_folds(label, self.target, protocol, run_folds, seed, journal, trainings, gives_up, &mut run)?;
        self.observer.end();
        let each = self.cost_of_folds(depth, trainings.count(run_folds, 1));
        measured.cost = each + (seeds - 1) as f64 * (each - self.cost_of_folds(depth, 0));
        (measured.cut, measured.plan) = depth.described();
        Ok(measured)
    }
}

/// How a head on frozen tokens is trained.
fn head_settings(settings: &TuneSettings, rate: f64) -> TuneSettings {
    let train = Settings { epochs: HEAD_EPOCHS, lr: rate, ..settings.train.clone() };
    TuneSettings { train, start: Start::Random, low_rank: None, ..settings.clone() }
}
