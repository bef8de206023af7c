//! Prepared images for training: kept in memory where they fit, prepared anew where they do not.

use rayon::prelude::*;

use crate::data::ImageSource;
use crate::data::image::{Limits, Pixels};
use crate::data::preprocess::Preprocessing;
use crate::error::{Error, Problem, Result};
use crate::progress::Observer;

/// Bytes of prepared images that are kept in memory.
const KEPT: usize = 128 << 20;

/// The images of a training set, decoded and resized by one preprocessing.
#[derive(Debug)]
pub struct TrainingImages {
    preprocessing: Preprocessing,
    limits: Limits,
    sources: Vec<ImageSource>,
    kept: Option<Vec<Vec<u8>>>,
}

impl TrainingImages {
    /// Prepares the images of `sources`, in parallel, if all of them fit into memory; else each when it is asked for.
    pub fn new(
        sources: Vec<ImageSource>,
        preprocessing: Preprocessing,
        limits: Limits,
        observer: &dyn Observer,
    ) -> Result<Self> {
        let size = preprocessing.height * preprocessing.width * preprocessing.channels;
        let mut images = Self { preprocessing, limits, sources, kept: None };
        if images.sources.len().saturating_mul(size) <= KEPT {
            let all = (0..images.sources.len())
                .into_par_iter()
                .map(|index| {
                    observer.check()?;
                    images.bytes(index)
                })
                .collect::<Result<Vec<_>>>()?;
            images.kept = Some(all);
        }
        Ok(images)
    }

    /// The first of them alone.
    pub(crate) fn first(&self, images: usize, observer: &dyn Observer) -> Result<Self> {
        Self::new(self.sources[..images].to_vec(), self.preprocessing.clone(), self.limits, observer)
    }

    /// How the images were prepared.
    pub(crate) fn preprocessing(&self) -> &Preprocessing {
        &self.preprocessing
    }

    /// Number of images.
    pub fn len(&self) -> usize {
        self.sources.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.sources.is_empty()
    }

    /// An image's file, in words.
    pub(crate) fn name(&self, index: usize) -> String {
        self.sources[index].name()
    }

    /// One prepared image, `[H, W, C]` bytes.
    pub(crate) fn bytes(&self, index: usize) -> Result<Vec<u8>> {
        if let Some(kept) = &self.kept {
            return Ok(kept[index].clone());
        }
        Ok(self.preprocessing.prepare(&self.decoded(index)?)?.data)
    }

    /// One whole image, as it is in its file.
    pub(crate) fn decoded(&self, index: usize) -> Result<Pixels> {
        let source = &self.sources[index];
        let fail = |reason: String| {
            let problem = Problem::new("an image that could be read before can be no more");
            Error::Data(problem.found(reason).at(source.name()))
        };
        let bytes = source.read(self.limits.bytes).map_err(|problem| fail(problem.to_string()))?;
        self.preprocessing.decode(&bytes, &self.limits).map_err(|problem| fail(problem.to_string()))
    }
}
