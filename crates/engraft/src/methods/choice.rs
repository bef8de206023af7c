//! The choice of the depth: the probe, then deeper cuts while the budget lasts, each measured on folds and seeds, on fewer of
//! them where the budget is short. One rule for every input and target.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use crate::bases::text::{LstmEncoder, TextBase, TextBody};
use crate::data::Task;
use crate::error::{Error, Problem, Result};
use crate::features::Features;
use crate::methods::contrastive::{pairs_for, settings_for, tune_pairs};
use crate::methods::depth::{
    Difference, Fold, FoldOutcome, Measured, Protocol, best_of, choose, hold_out, measure_folds,
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
/// Depths without a gain after which no other is tried.
const PATIENCE: usize = 2;
/// More examples of a class than this, and pairs have nothing to add to labels.
const FEW_SHOT: usize = 200;
/// Up to so many texts of a class, on average, contrastive pairs are presumed to be best: that is where they gain most
/// over a head (Tunstall et al. 2022, figure 3), and where the answers tell least.
const PRESUMED: usize = 64;
/// Passes over the examples of a head on frozen tokens, and the peak rates that are tried: its states are computed once, and
/// it takes larger steps than blocks.
const HEAD_EPOCHS: u64 = 10;
const HEAD_RATES: [f64; 3] = [1e-3, 5e-3, 2e-2];
/// Words of a usual paragraph.
const WORDS: f64 = 150.0;
/// MACs, in units of 10^12, that a second of the budget stands for: about what two cores of a laptop do.
const PER_SECOND: f64 = 0.05;

/// What the choice of the depth may cost. Counted in MACs, so that the same command gives the same model on
/// every machine; said in the minutes that they take on two cores of a laptop.
///
/// ```
/// use engraft::methods::Budget;
/// let budget: Budget = "5m".parse().unwrap();
/// assert_eq!((budget.multiply_adds(), budget.to_string()), (15.0, "5m".into()));
/// assert_eq!("90s".parse::<Budget>().unwrap().multiply_adds(), 4.5);
/// assert!("soon".parse::<Budget>().is_err());
/// ```
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Budget {
    text: String,
    seconds: f64,
}

impl Budget {
    /// MACs in units of 10^12.
    pub fn multiply_adds(&self) -> f64 {
        self.seconds * PER_SECOND
    }
}

impl FromStr for Budget {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let trimmed = text.trim();
        let (number, unit) = trimmed.split_at(trimmed.len() - usize::from(trimmed.ends_with(['s', 'm', 'h'])));
        let factor = match unit {
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => 0.0,
        };
        let refuse = |what: &str| {
            Problem::new(what).expected("a time with its unit, such as 90s, 5m or 1h").found(text).at("--budget")
        };
        match number.trim().parse::<f64>() {
            Ok(number) if number.is_finite() && number >= 0.0 => match unit {
                // Nothing is nothing in any unit.
                "" if number > 0.0 => {
                    let hint = format!("{number}s for seconds, {number}m for minutes, {number}h for hours");
                    Err(Error::Usage(refuse("the budget has no unit").hint(hint)))
                }
                _ => Ok(Self { text: trimmed.to_owned(), seconds: number * factor }),
            },
            _ => Err(Error::Usage(refuse("the budget is not a time"))),
        }
    }
}

impl TryFrom<String> for Budget {
    type Error = Error;

    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Budget> for String {
    fn from(budget: Budget) -> String {
        budget.text
    }
}

impl fmt::Display for Budget {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

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
    fn rank(depth: Option<&Self>) -> usize {
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

/// The depth that was taken, and why.
#[derive(Debug, Clone)]
pub struct Chosen {
    /// Every depth that was measured, the probe first.
    pub(crate) tried: Vec<Measured>,
    /// Which of them was taken.
    pub(crate) chosen: usize,
    /// How it retrains; nothing for the probe.
    pub(crate) depth: Option<Depth>,
    /// Why.
    pub reason: String,
    /// Depths that were not measured, or on less than all, and why.
    pub left_out: Vec<String>,
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
        let (rate, tried) = best_rate(
            tuning,
            &HEAD_RATES,
            &settings_of,
            &training,
            self.protocol.groups,
            self.settings.train.seed,
            &quiet,
        )?;
        self.observer.end();
        Ok((Depth::Head(Some((plan, rate))), tried))
    }

    /// Depths worth trying, in the order in which the budget is spent on them. For texts deeper is often better (Howard and
    /// Ruder 2018, table 7), so that the deepest comes before what lies between.
    fn usual(&self) -> Result<Vec<Depth>> {
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

    /// MACs of measuring a depth on the first folds, and of training the model itself.
    fn cost(&self, depth: &Depth, run_folds: usize, seeds: usize) -> f64 {
        let n = self.target.len();
        let trained = n * (self.protocol.count - 1) / self.protocol.count;
        let prefix = match (depth, self.material) {
            (Depth::Cut(Planned { plan, .. }), Material::Images { .. }) => {
                let before = self.material.costs()[..plan.cut()].iter().map(|cost| cost.multiply_adds).sum::<u64>();
                before as f64 * (n * self.material.views()) as f64 / 1e12
            }
            _ => 0.0,
        };
        prefix + self.cost_of(depth, trained) * (run_folds * seeds) as f64 + self.cost_of(depth, n)
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
        self.observer.begin(&format!("fine-tuning: {label}"), (work * run_folds * seeds) as u64, unit);
        let mut measured = measure_folds(label, self.target, protocol, run_folds, seed, self.journal, &mut |fold| {
            let adapted = self.train(depth, at.as_ref(), fold, true)?;
            let logits = adapted.outputs(&self.material, at.as_ref(), fold.held)?;
            Ok(FoldOutcome { logits, curve: adapted.curve, remarks: adapted.remarks })
        })?;
        self.observer.end();
        measured.cost = self.cost(depth, run_folds, seeds);
        (measured.cut, measured.plan) = depth.described();
        Ok(measured)
    }

    /// What is going to be tried after the probe, in words; for whoever waits.
    ///
    /// # Errors
    /// Where the base's stages cannot be read.
    pub(crate) fn outlook(&self, budget: &Budget) -> Result<String> {
        let usual = self.usual()?;
        let names: Vec<&str> = usual.iter().map(Depth::label).collect();
        Ok(match names.as_slice() {
            [] => "no depth but the linear probe is tried".into(),
            names => format!("depths to try after the linear probe, within {budget}: {}", names.join(", ")),
        })
    }

    /// Tries the usual depths after the probe, each on as many folds and seeds as the budget pays for.
    ///
    /// # Errors
    /// Interruption; trainings that fail are told in [`Chosen::left_out`].
    pub(crate) fn choose(
        &self,
        probe: Measured,
        budget: &Budget,
        on_event: &mut dyn FnMut(&Measured, &Difference),
    ) -> Result<Chosen> {
        let Protocol { count, run, seeds, .. } = self.protocol;
        let mut tried = vec![probe];
        let mut depths: Vec<Option<Depth>> = vec![None];
        let mut left_out = Vec::new();
        let (mut left, mut without_gain) = (budget.multiply_adds(), 0);
        let usual = self.usual()?;
        for (at, depth) in usual.iter().enumerate() {
            let label = depth.label();
            if without_gain >= PATIENCE {
                left_out.push(format!("`{label}` was not tried: the {PATIENCE} depths before it gained nothing"));
                continue;
            }
            // No depth may take what would have paid for a first look at those after it.
            let share = left / (usual.len() - at) as f64;
            let ways = [(run, seeds), (run, 1)].into_iter().chain((1..run).rev().map(|folds| (folds, 1)));
            let paid = |(folds, seeds): &(usize, usize), most: f64| self.cost(depth, *folds, *seeds) <= most;
            let way = ways.clone().find(|way| paid(way, share)).or_else(|| Some((1, 1)).filter(|way| paid(way, left)));
            let Some((folds, seeds_run)) = way else {
                left_out.push(format!(
                    "`{label}` was not tried: {:.1} x 10^12 MACs at least, and {left:.1} are left of the budget of {budget}",
                    self.cost(depth, 1, 1)
                ));
                continue;
            };
            if (folds, seeds_run) != (run, seeds) {
                left_out.push(format!(
                    "`{label}` was measured on {folds} of {count} folds with 1 seed: more was not within the budget of {budget}"
                ));
            }
            let measured = match self.measure(depth, folds, seeds_run) {
                Ok(measured) => measured,
                Err(Error::Training(problem)) => {
                    left_out.push(format!("`{label}` could not be trained: {}", problem.what()));
                    continue;
                }
                Err(error) => return Err(error),
            };
            left -= measured.cost;
            let gain = measured.gain_over(&tried[0]);
            on_event(&measured, &gain);
            without_gain = if gain.mean > gain.standard_error { 0 } else { without_gain + 1 };
            tried.push(measured);
            depths.push(Some(depth.clone()));
        }
        let mut order: Vec<usize> = (0..tried.len()).collect();
        order.sort_by_key(|&at| Depth::rank(depths[at].as_ref()));
        let tried: Vec<Measured> = order.iter().map(|&at| tried[at].clone()).collect();
        let mut depths: Vec<Option<Depth>> = order.iter().map(|&at| depths[at].clone()).collect();
        // Compared on the examples that all of them answered.
        let n = self.target.len();
        let common: Vec<usize> =
            (0..n).filter(|at| tried.iter().all(|measured| measured.rows.binary_search(at).is_ok())).collect();
        let compared: Vec<Measured> = tried.iter().map(|measured| measured.on(&common)).collect();
        let few = n <= PRESUMED * self.target.outputs();
        let presumed = depths.iter().position(|depth| few && matches!(depth, Some(Depth::Contrastive(_))));
        let chosen = choose(&compared, presumed);
        let mut reason = reason(&compared, chosen, presumed);
        if common.len() < n && compared.len() > 1 {
            reason.push_str(&format!(" (compared on the {} {} that all answered)", common.len(), self.material.unit()));
        }
        Ok(Chosen { depth: depths.swap_remove(chosen), tried, chosen, reason, left_out })
    }
}

/// How a head on frozen tokens is trained.
fn head_settings(settings: &TuneSettings, rate: f64) -> TuneSettings {
    let train = Settings { epochs: HEAD_EPOCHS, lr: rate, ..settings.train.clone() };
    TuneSettings { train, start: Start::Random, low_rank: None, ..settings.clone() }
}

/// Why a depth was chosen, in words; all were measured on the same examples. `presumed` is what [`choose`] was told.
pub(crate) fn reason(tried: &[Measured], chosen: usize, presumed: Option<usize>) -> String {
    if tried.len() == 1 {
        return "no deeper depth was within the budget: the linear probe stands".into();
    }
    let points =
        |d: &Difference| format!("{:+.1} points ({:+.1} to {:+.1})", 100.0 * d.mean, 100.0 * d.low, 100.0 * d.high);
    let best = best_of(tried);
    let taken = &tried[chosen].depth;
    let mut text = match chosen {
        0 => "the linear probe, with every stage frozen, is kept".to_owned(),
        _ => {
            let gain = Difference::of(&tried[chosen].scores, &tried[0].scores);
            format!("`{taken}` is {} against the linear probe on the same examples", points(&gain))
        }
    };
    if best != chosen {
        let gain = Difference::of(&tried[best].scores, &tried[chosen].scores);
        let rule = match presumed == Some(chosen) {
            true => "of equals the one that few examples usually gain most from",
            false => "of equals the shallower",
        };
        text.push_str(&format!(
            "; `{}` is {} against it, within one standard error ({:.1}): {rule}",
            tried[best].depth,
            points(&gain),
            100.0 * gain.standard_error
        ));
    } else if chosen == 0 {
        text.push_str(": nothing deeper answered more examples rightly");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn budgets_are_times() {
        for (text, seconds) in
            [("5m", 300.0), ("90s", 90.0), ("1h", 3600.0), ("0", 0.0), ("2.5m", 150.0), (" 7 s ", 7.0)]
        {
            assert_eq!(text.parse::<Budget>().unwrap().seconds, seconds, "{text}");
        }
        for text in ["", "m", "-1s", "five", "1d", "inf", "NaN", "5", " 7 "] {
            assert!(text.parse::<Budget>().unwrap_err().to_string().contains("--budget"), "{text}");
        }
    }
}
