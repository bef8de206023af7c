//! Batch norms of a network of images on another domain: its statistics (AdaBN), and their factors and summands (TENT). Both give
//! another base, not a head.

use std::cell::Cell;
use std::collections::BTreeSet;

use burn::module::{Module, ModuleMapper, Param};
use burn::prelude::*;
use burn::tensor::{Device, TensorData};
use rayon::prelude::*;

use super::certainty::entropies;
use super::trained::{Interrupts, value};
use super::{Alignment, Applied, Domains, Outcome};
use crate::bases::{Activation, Mode, Network, Pass, move_statistics};
use crate::error::{Error, Problem, Result};
use crate::heads::Linear;
use crate::methods::body::{Body, Tuned};
use crate::progress::Observer;
use crate::train::{Optimiser, Rule, Rules, Schedule, Score, Settings, ShardLoss, Task, shards_of, train};

/// Images whose statistics are taken together: as many as a small set has, and enough for one mean of a channel.
const BATCH: usize = 64;
/// What stays of the moving mean of entropies from step to step (Niu et al. 2023, section 4).
const MOVING: f64 = 0.9;
/// The least moving mean entropy, as a fraction of `ln K`: the 0.2 of Niu et al. 2023 ("Towards stable test-time adaptation in dynamic
/// wild world") for 1,000 classes. Below it predictions have become one class.
const FLOOR: f64 = 0.03;

/// Images of a target, prepared.
pub(crate) struct Images<'a> {
    /// How many there are. Their order says nothing.
    pub(crate) count: usize,
    /// Rows, columns and channels.
    pub(crate) shape: [usize; 3],
    /// One image, `[rows, columns, channels]`, normalised.
    pub(crate) image: Box<dyn Fn(usize) -> Result<Vec<f32>> + Sync + 'a>,
}

impl Images<'_> {
    /// `[which, rows, columns, channels]`
    fn batch(&self, which: &[usize], device: &Device) -> Result<Tensor<4>> {
        let images = which.par_iter().map(|&at| (self.image)(at)).collect::<Result<Vec<Vec<f32>>>>()?;
        let [rows, columns, channels] = self.shape;
        Ok(Tensor::from_data(TensorData::new(images.concat(), [which.len(), rows, columns, channels]), device))
    }
}

/// [`adabn`] as a method.
pub(super) struct AdaBn;

impl Alignment for AdaBn {
    fn name(&self) -> &'static str {
        "adabn"
    }

    fn is_trained(&self) -> bool {
        true
    }

    fn adapt(&self, domains: &Domains<'_>) -> Result<Outcome> {
        of_images(domains, |network, images| Ok((adabn(network, images, domains.observer)?, Vec::new())))
    }
}

/// [`tent`] as a method.
pub(super) struct Tent;

impl Alignment for Tent {
    fn name(&self) -> &'static str {
        "tent"
    }

    fn is_trained(&self) -> bool {
        true
    }

    fn adapt(&self, domains: &Domains<'_>) -> Result<Outcome> {
        of_images(domains, |network, images| {
            let options = TentOptions { seed: domains.seed, ..TentOptions::default() };
            let head = (domains.head, domains.temperature);
            let Tented { network, entropy: [first, last], reset } =
                tent(network, head, images, options, domains.observer)?;
            let mut notes = vec![format!("mean entropy: {first:.3} at first, {last:.3} at last")];
            if reset {
                notes.push("the answers became one class: factors and summands are those of the base".into());
            }
            Ok((network, notes))
        })
    }
}

/// What the source's head is worth on a network that is changed for the target's images.
fn of_images(
    domains: &Domains<'_>,
    change: impl FnOnce(&Network, &Images<'_>) -> Result<(Network, Vec<String>)>,
) -> Result<Outcome> {
    let Some(images) = domains.images else {
        return Ok(Outcome::Refused("only a network of images has batch norms to adapt".into()));
    };
    let Some(network) = images.network() else {
        return Ok(Outcome::Refused("the base is frozen as a whole".into()));
    };
    if let Some(why) = unsuited(network) {
        return Ok(Outcome::Refused(why.into()));
    }
    let (network, notes) = change(network, &images.prepared())?;
    let base = images.changed(network, domains.observer)?;
    Ok(Outcome::Applied(Applied { head: domains.head.clone(), base: Some(base), notes }))
}

/// Why a network has no statistics that could be others.
fn unsuited(network: &Network) -> Option<&'static str> {
    match () {
        () if network.norm_affines().is_empty() => Some("the base has no batch norms"),
        () if !network.has_statistics() => {
            Some("the base's batch norms have no statistics: they were folded into its convolutions")
        }
        () => None,
    }
}

/// The network with the target's statistics in its batch norms (Li et al. 2018, "Adaptive batch normalization for practical domain
/// adaptation"): one pass, in which every batch is normalised by its own statistics, and means and unbiased variances of the
/// batches are averaged. This is what PyTorch's batch norms do in training mode with `momentum=None`. A last batch of one
/// image joins the one before.
///
/// # Errors
/// [`Error::Usage`] for a network without batch norms; fewer than two images; images that cannot be read; interruption.
pub(crate) fn adabn(network: &Network, images: &Images<'_>, observer: &dyn Observer) -> Result<Network> {
    adabn_by(network, images, BATCH, observer)
}

fn adabn_by(network: &Network, images: &Images<'_>, batch: usize, observer: &dyn Observer) -> Result<Network> {
    check(network, images)?;
    let mut network = network.valid();
    let order: Vec<usize> = (0..images.count).collect();
    for (done, which) in shards_of(&order, batch).into_iter().enumerate() {
        observer.check()?;
        let pass = Pass::default();
        let x = Activation::from(images.batch(which, &Device::flex())?);
        let _ = network.forward(x, 0..network.stages().len(), Mode::Train(&pass));
        network = move_statistics(network, &[pass.into_statistics()], 1.0 / (done + 1) as f32);
    }
    Ok(network)
}

fn check(network: &Network, images: &Images<'_>) -> Result<()> {
    if let Some(why) = unsuited(network) {
        return Err(Error::Usage(Problem::new(why).expected("a network with batch norms, as ResNets have")));
    }
    if images.count < 2 {
        let problem = Problem::new("too few images for the statistics of batch norms").expected("at least 2");
        return Err(Error::Data(problem.found(images.count)));
    }
    Ok(())
}

/// How to adapt by entropy.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TentOptions {
    /// AdamW without decay is Adam, the paper's for small networks.
    pub(crate) optimiser: Optimiser,
    /// The paper's for Adam; it does not change.
    pub(crate) lr: f64,
    /// Images in a step, which batch norms see together.
    pub(crate) batch: usize,
    /// The least moving mean entropy, as a fraction of `ln K`.
    pub(crate) floor: f64,
    /// Seed of the images' order.
    pub(crate) seed: u64,
}

impl Default for TentOptions {
    fn default() -> Self {
        Self { optimiser: Optimiser::AdamW, lr: 1e-3, batch: BATCH, floor: FLOOR, seed: 0 }
    }
}

/// What TENT gives.
pub(crate) struct Tented {
    /// With the target's statistics; where `reset` is set, with those alone.
    pub(crate) network: Network,
    /// The mean entropy of the predictions for the first batch, and the moving mean at the end.
    pub(crate) entropy: [f64; 2],
    /// Whether entropies collapsed, and factors and summands are those of the start.
    pub(crate) reset: bool,
}

/// Test-time entropy minimisation (Wang et al. 2021, "TENT: fully test-time adaptation by entropy minimization"): in one pass over
/// the images the factors and summands of the batch norms, and nothing else, descend the mean entropy of the predictions, with
/// every batch normalised by its own statistics. `head` takes features to logits, which `temperature` divides.
///
/// More passes collapse to one class. If the moving mean entropy falls below the floor, factors and summands are put back to
/// the start. The stored statistics are those of [`adabn`] for the network that results, so that an image's answer does not
/// depend on its neighbours.
///
/// # Errors
/// As [`adabn`].
pub(crate) fn tent(
    network: &Network,
    (head, temperature): (&Linear, f64),
    images: &Images<'_>,
    options: TentOptions,
    observer: &dyn Observer,
) -> Result<Tented> {
    check(network, images)?;
    let TentOptions { optimiser, lr, batch, floor, seed } = options;
    let device = Device::flex().autodiff();
    let settings = Settings {
        epochs: 1,
        batch_size: batch,
        shard_size: batch,
        optimiser,
        lr,
        schedule: Schedule::Constant,
        warmup: 0.0,
        weight_decay: 0.0,
        seed,
        ..Settings::default()
    };
    let mut task = TentTask {
        images,
        temperature,
        floor: floor * (head.outputs as f64).ln(),
        entropy: Cell::new(None),
        device: device.clone(),
    };
    let model = Tuned::new(Body::Network(learning(network)), head, &device);
    let trained = train(&mut task, model, &settings, None, &Interrupts(observer), |_, _| ());
    let entropy = task.entropy.get().unwrap_or_default();
    let (network, reset) = match trained {
        Ok((model, _)) => match model.valid().body {
            Body::Network(network) => (network, false),
            Body::Encoder(_) => unreachable!("a network was given"),
        },
        // Collapsed, or not a number.
        Err(Error::Training(_)) => (network.valid(), true),
        Err(error) => return Err(error),
    };
    Ok(Tented { network: adabn_by(&network, images, batch, observer)?, entropy, reset })
}

/// The network on a device with gradients, which the factors and summands of its batch norms get.
fn learning(network: &Network) -> Network {
    struct Learn(BTreeSet<u64>);
    impl ModuleMapper for Learn {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let learns = self.0.contains(&param.id.val());
            if learns { param.set_require_grad(true) } else { param }
        }
    }
    network.valid().train().map(&mut Learn(network.norm_affines().into_iter().collect()))
}

struct TentTask<'a> {
    images: &'a Images<'a>,
    temperature: f64,
    floor: f64,
    /// First, and moving mean.
    entropy: Cell<Option<[f64; 2]>>,
    device: Device,
}

impl Task for TentTask<'_> {
    type Model = Tuned;

    fn len(&self) -> usize {
        self.images.count
    }

    fn whole_batch(&self) -> bool {
        true
    }

    fn rules(&self, model: &Tuned, _epoch: u64, _weight_decay: f64) -> Rules {
        let network = model.body.network().expect("a network was given");
        let rule = Rule { rate: 1.0, weight_decay: 0.0, anchor: 0.0 };
        Rules(network.norm_affines().into_iter().map(|id| (id, rule)).collect())
    }

    fn loss(&self, model: &Tuned, shard: &[usize], _epoch: u64, pass: &Pass) -> Result<ShardLoss> {
        let network = model.body.network().expect("a network was given");
        let x = Activation::from(self.images.batch(shard, &self.device)?);
        let features = network.forward(x, 0..network.stages().len(), Mode::Train(pass)).vector();
        let entropy = entropies(model.head.logits(features).div_scalar(self.temperature)).mean();
        let value = value(&entropy);
        let [first, mean] = self.entropy.get().unwrap_or([value; 2]);
        let mean = MOVING * mean + (1.0 - MOVING) * value;
        self.entropy.set(Some([first, mean]));
        if mean < self.floor {
            return Err(Error::Training(Problem::new("the predictions have become one class")));
        }
        Ok(ShardLoss { loss: entropy, correct: 0 })
    }

    fn validate(&self, _model: &Tuned) -> Result<Option<Score>> {
        Ok(None)
    }
}

#[cfg(test)]
#[path = "batch_norms_tests.rs"]
mod tests;
