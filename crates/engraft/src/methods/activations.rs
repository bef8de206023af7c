//! What training starts from: the images at the cut, several views of each, computed once and kept; or computed for
//! every batch where nothing is frozen, or where they would not fit into memory.

use rayon::prelude::*;

use crate::bases::{Base, Device, Network};
use crate::data::augment::{Augment, Recipe};
use crate::data::image::Limits;
use crate::error::Result;
use crate::features::{Cache, Extractor, Features, extract_keyed};
use crate::methods::frozen::FrozenPart;
use crate::progress::Observer;
use crate::rng::rng;
use crate::train::TrainingImages;

/// Bytes of activations that are kept in memory.
const KEPT: usize = 768 << 20;

/// Images whose rows are at hand together.
const BATCH: usize = 64;

/// What is changed in an image.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Change {
    /// Nothing.
    None,
    /// It is moved, turned and scaled a little.
    Small(Augment),
    /// It is cropped, mirrored, coloured: for photos.
    Photo(Recipe),
}

impl Change {
    /// What decides its results, in words.
    fn fingerprint(&self) -> String {
        match self {
            Change::Photo(recipe) => recipe.fingerprint(),
            other => serde_json::to_string(other).expect("settings are plain data"),
        }
    }
}

/// Random changes to images, and how many changed views of each are kept where a part of the base is frozen.
#[derive(Debug, Clone, PartialEq)]
pub struct Views {
    /// Views of each image, the first of which is the image as it is.
    pub count: usize,
    /// What is changed in the others.
    pub change: Change,
    /// Seed of the changes.
    pub seed: u64,
}

/// The images of a training set.
#[derive(Debug, Clone, Copy)]
pub struct KeyedImages<'a> {
    /// Prepared by the base's card.
    pub images: &'a TrainingImages,
    /// SHA-256 of the bytes of each.
    pub digests: &'a [String],
}

/// The images of a training set at a cut.
#[derive(Debug)]
pub struct Activations<'a> {
    shown: KeyedImages<'a>,
    views: Views,
    cut: usize,
    shapes: Vec<Vec<usize>>,
    /// All views of all images, view after view; nothing where they are computed for each batch.
    kept: Option<Features>,
    /// Whether views are computed once.
    keeps: bool,
    /// Frozen stages that are run for each batch, where nothing is kept.
    parts: Vec<FrozenPart>,
}

impl<'a> Activations<'a> {
    /// The images at a cut of a base.
    ///
    /// Fewer views than asked for are kept where memory is short, and it is said.
    pub fn new(
        base: &Base,
        cut: usize,
        shown: KeyedImages<'a>,
        mut views: Views,
        cache: Option<&Cache>,
        observer: &dyn Observer,
    ) -> Result<Self> {
        let network = &base.staged()?.network;
        let shapes = network.shapes_at(cut, base.input());
        let size = shapes.iter().map(|shape| shape.iter().product::<usize>()).sum::<usize>() * size_of::<f32>();
        let fit = KEPT / (size * shown.images.len()).max(1);
        if cut == 0 || fit == 0 {
            if cut > 0 {
                observer.say(&format!(
                    "the activations do not fit into memory ({} KB for each image): the frozen part runs in every epoch",
                    size / 1024,
                ));
            }
            let parts = if cut == 0 { Vec::new() } else { vec![FrozenPart::new(network, 0..cut, base.input())] };
            return Ok(Self { shown, views, cut, shapes, kept: None, keeps: false, parts });
        }
        if views.change == Change::None {
            views.count = 1;
        } else if fit < views.count {
            observer.say(&format!("{fit} views of each image instead of {}: more do not fit into memory", views.count));
            views.count = fit;
        }
        let mut activations = Self { shown, views, cut, shapes, kept: None, keeps: true, parts: Vec::new() };
        let extractor = Extractor::new(base, cut, Limits::default(), &Device::flex())?;
        let n = shown.images.len();
        let keys: Vec<String> = (0..activations.views.count * n).map(|at| activations.key(at % n, at / n)).collect();
        let task = format!("activations after {}", base.stages()[cut - 1]);
        let kept = extract_keyed(&extractor, &keys, &task, cache, observer, |at| {
            activations.prepared(at % n, (at / n) as u64, at >= n)
        })?;
        activations.kept = Some(kept);
        Ok(activations)
    }

    /// What a view of an image is filed under.
    fn key(&self, image: usize, view: usize) -> String {
        let digest = &self.shown.digests[image];
        if view == 0 {
            return digest.clone();
        }
        let change = self.views.change.fingerprint();
        crate::files::sha256_hex(format!("{digest}/{change}/{}/{view}", self.views.seed).as_bytes())
    }

    /// One image as the base's input, changed or as it is. The changes follow from the image's bytes, so that they
    /// are the same among whatever other images it stands.
    fn prepared(&self, image: usize, draw: u64, changed: bool) -> Result<Vec<f32>> {
        let KeyedImages { images, digests } = self.shown;
        let p = images.preprocessing();
        if !changed {
            return Ok(p.normalise(&images.bytes(image)?));
        }
        let mut stream = rng(self.views.seed, &format!("view/{}", digests[image]), draw);
        let bytes = match &self.views.change {
            Change::None => images.bytes(image)?,
            Change::Small(augment) => augment.apply(&images.bytes(image)?, p.shape().into(), &mut stream),
            // What is kept is changed once and may be cut from the whole image; decoding it anew in every epoch would
            // cost more than the training.
            Change::Photo(recipe) if self.keeps => recipe.apply(&images.decoded(image)?, p, &mut stream)?,
            Change::Photo(recipe) => recipe.apply_prepared(&images.bytes(image)?, p.shape().into(), &mut stream)?,
        };
        Ok(p.normalise(&bytes))
    }

    /// The cut.
    pub(crate) fn cut(&self) -> usize {
        self.cut
    }

    /// Shapes of one image's activation.
    pub(crate) fn shapes(&self) -> &[Vec<usize>] {
        &self.shapes
    }

    /// An image in words.
    pub(crate) fn describe(&self, image: usize) -> String {
        self.shown.images.name(image)
    }

    /// Rows `[images, columns]` in an epoch of training, or as they are at prediction.
    ///
    /// Kept views take turns, each image beginning with another one; where nothing is kept, every epoch changes every
    /// image anew.
    pub fn rows(&self, images: &[usize], epoch: Option<u64>) -> Result<Vec<f32>> {
        let changed = epoch.filter(|_| self.views.change != Change::None && self.views.count > 1);
        if let Some(kept) = &self.kept {
            let view = |image: usize| changed.map_or(0, |epoch| (image + epoch as usize) % self.views.count);
            let row = |&image: &usize| kept.row(view(image) * self.shown.images.len() + image);
            return Ok(images.iter().flat_map(row).copied().collect());
        }
        let prepare = |&image: &usize| self.prepared(image, 1 + changed.unwrap_or(0), changed.is_some());
        let prepared = images.par_iter().map(prepare).collect::<Result<Vec<_>>>()?.concat();
        Ok(self.parts.iter().fold(prepared, |rows, part| part.run(&rows)))
    }

    /// Features of images, as they are, by a network whose stages before the cut are those of the base.
    pub(crate) fn features(&self, network: &Network, images: &[usize], input: [usize; 2]) -> Result<Features> {
        let part = FrozenPart::new(network, self.cut..network.stages().len(), input);
        let mut values = Vec::with_capacity(images.len() * part.columns());
        for batch in images.chunks(BATCH) {
            values.extend(part.run(&self.rows(batch, None)?));
        }
        Features::new(images.len(), part.columns(), values)
    }

    /// The same images and views after further frozen stages, up to a later cut.
    #[must_use]
    pub(crate) fn run_on(&self, network: &Network, cut: usize, input: [usize; 2]) -> Self {
        let part = || FrozenPart::new(network, self.cut..cut, input);
        let (kept, parts) = match &self.kept {
            Some(kept) => (Some(part().run_table(kept)), Vec::new()),
            // The parts before are made again: they are cheap beside what they compute.
            None => (None, vec![FrozenPart::new(network, 0..cut, input)]),
        };
        let shapes = network.shapes_at(cut, input);
        Self { shown: self.shown, views: self.views.clone(), cut, shapes, kept, keeps: self.keeps, parts }
    }
}
