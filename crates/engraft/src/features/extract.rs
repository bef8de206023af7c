//! Running a frozen base over images: a batch is read, decoded and resized side by side, then run as one, on all cores
//! both times. Memory is bounded by the batch, and no row depends on its neighbours.

use std::borrow::Cow;

use burn::tensor::Device;
use rayon::prelude::*;

use crate::bases::{Base, Runner};
use crate::data::ImageSource;
use crate::data::colour::DECODING;
use crate::data::image::Limits;
use crate::data::preprocess::Preprocessing;
use crate::error::{Error, Problem, Result};
use crate::features::{Cache, Features};
use crate::files;
use crate::progress::Observer;

/// Rows that are written to the cache together: what an interruption can lose.
pub(super) const SHARD: usize = 256;

/// Images that run together: enough that packed weights are used many times for each time that they are read.
pub(super) const BATCH: usize = 32;

/// Images as a base's input: within limits, by the base's preprocessing.
#[derive(Debug)]
pub struct ImageReader {
    preprocessing: Preprocessing,
    limits: Limits,
}

impl ImageReader {
    /// Reads images for `base`.
    pub fn new(base: &Base, limits: Limits) -> Self {
        Self::by(base.card.preprocessing.clone(), limits)
    }

    /// Reads images by a preprocessing.
    pub(crate) fn by(preprocessing: Preprocessing, limits: Limits) -> Self {
        Self { preprocessing, limits }
    }

    /// Bits that images of 16 bits a channel are read by, where those are fewer.
    pub(crate) fn bit_depth(&self) -> Option<u8> {
        self.preprocessing.bit_depth
    }

    /// Reads images of 16 bits a channel by so many of them.
    pub(crate) fn set_bit_depth(&mut self, depth: Option<u8>) {
        self.preprocessing.bit_depth = depth;
    }

    /// Reads an image's bytes within the limits.
    pub(crate) fn read<'a>(&self, image: &'a ImageSource) -> Result<Cow<'a, [u8]>> {
        image
            .read(self.limits.bytes)
            .map_err(|problem| Error::Data(Problem::new("the image cannot be read").because(problem).at(image.name())))
    }

    /// One image's bytes as the base's input, `[H, W, C]`.
    pub fn prepared(&self, bytes: &[u8]) -> Result<Vec<f32>> {
        let p = &self.preprocessing;
        let pixels = p
            .decode(bytes, &self.limits)
            .map_err(|source| Error::Data(Problem::new("the image cannot be decoded").because(source)))?;
        Ok(p.normalise(&p.prepare(&pixels)?.data))
    }
}

/// A frozen base, ready to run up to a cut.
pub struct Extractor {
    runner: Runner,
    reader: ImageReader,
    columns: usize,
    space: String,
}

impl Extractor {
    /// Prepares `base` to run up to `cut` (a position in [`Base::stages`]). An ONNX model has no cut but the end.
    ///
    /// Where the activation at the cut is a map, it is flattened.
    pub fn new(base: &Base, cut: usize, limits: Limits, device: &Device) -> Result<Self> {
        let costs = base.costs();
        let columns = match cut.checked_sub(1) {
            Some(last) => costs[last].columns(),
            None => base.input().iter().product::<usize>() * base.card.preprocessing.channels,
        };
        Ok(Self {
            runner: base.runner(cut, device)?,
            reader: ImageReader::new(base, limits),
            columns,
            space: space_of(base, cut),
        })
    }

    /// Prepares `base` to run to its features.
    pub fn to_features(base: &Base, device: &Device) -> Result<Self> {
        Self::new(base, base.stages().len(), Limits::default(), device)
    }

    /// Length of a row.
    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// The identity of what the rows mean: preprocessing, architecture, weights and cut.
    pub fn space(&self) -> &str {
        &self.space
    }

    /// What reads its images.
    pub fn reader(&self) -> &ImageReader {
        &self.reader
    }

    /// What reads its images, to be changed: rows that were computed before are others.
    pub(crate) fn reader_mut(&mut self) -> &mut ImageReader {
        &mut self.reader
    }

    /// The row of one image's bytes.
    pub fn row(&self, bytes: &[u8]) -> Result<Vec<f32>> {
        let rows = self.rows(&[self.reader.prepared(bytes)?])?;
        Ok(rows.into_iter().next().unwrap_or_default())
    }

    /// The rows of prepared images.
    pub(crate) fn rows(&self, prepared: &[Vec<f32>]) -> Result<Vec<Vec<f32>>> {
        let rows = self.runner.rows(prepared)?;
        if rows.iter().flatten().all(|value| value.is_finite()) {
            Ok(rows)
        } else {
            Err(Error::Weights(
                Problem::new("the base gave features that are not finite")
                    .hint("the weights are damaged, or the card's mean and std do not fit them"),
            ))
        }
    }
}

/// What the cached rows of a base and a cut are filed under.
fn space_of(base: &Base, cut: usize) -> String {
    let description = serde_json::json!({
        "format": 2,
        "decoding": DECODING,
        "architecture": base.card.architecture,
        "padding": base.card.padding,
        "epsilon": base.card.style().epsilon,
        "preprocessing": base.card.preprocessing.fingerprint(),
        "weights": base.weights_fingerprint(),
        "cut": cut,
        "exact": base.exact,
    });
    files::sha256_hex(description.to_string().as_bytes())
}

/// The features of images given by path and by the SHA-256 of their bytes, in this order.
///
/// Rows in the cache are not computed; computed rows go to the cache in shards, so that an interruption loses little.
pub(crate) fn extract(
    extractor: &Extractor,
    images: &[(ImageSource, String)],
    cache: Option<&Cache>,
    observer: &dyn Observer,
) -> Result<Features> {
    let keys: Vec<String> = images.iter().map(|(_, sha256)| sha256.clone()).collect();
    extract_keyed(extractor, &keys, "features", cache, observer, |index| {
        let (image, sha256) = &images[index];
        prepared_unchanged(extractor.reader(), image, sha256)
    })
}

/// A row for each key, in this order: from the cache, or by `prepare`, which gives the base's input for the key of an
/// index. Equal keys are computed once.
pub(crate) fn extract_keyed(
    extractor: &Extractor,
    keys: &[String],
    task: &str,
    cache: Option<&Cache>,
    observer: &dyn Observer,
    prepare: impl Fn(usize) -> Result<Vec<f32>> + Sync,
) -> Result<Features> {
    let columns = extractor.columns();
    let space = cache.map(|cache| cache.space(extractor.space(), columns));
    let asked: std::collections::HashSet<&String> = keys.iter().collect();
    let mut known = match &space {
        Some(space) => space.load(observer)?,
        None => std::collections::HashMap::new(),
    };
    known.retain(|key, _| asked.contains(key));
    let mut missing: Vec<usize> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for (index, key) in keys.iter().enumerate() {
        if !known.contains_key(key) && seen.insert(key) {
            missing.push(index);
        }
    }
    if !missing.is_empty() {
        observer.begin(task, missing.len() as u64, "images");
        for shard in missing.chunks(SHARD) {
            let mut rows = Vec::with_capacity(shard.len());
            for batch in shard.chunks(BATCH) {
                let prepared = batch
                    .par_iter()
                    .map(|&index| {
                        observer.check()?;
                        prepare(index)
                    })
                    .collect::<Result<Vec<_>>>()?;
                let names = batch.iter().map(|&index| keys[index].clone());
                rows.extend(names.zip(extractor.rows(&prepared)?));
                observer.advance(batch.len() as u64);
            }
            if let Some(space) = &space {
                space.store(&rows, observer);
            }
            known.extend(rows);
        }
        observer.end();
    }
    if let Some(cache) = cache {
        cache.trim(observer);
    }
    let mut values = Vec::with_capacity(keys.len() * columns);
    for key in keys {
        values.extend_from_slice(&known[key]);
    }
    Features::new(keys.len(), columns, values)
}

/// An image as the base's input, if it is still the one that was looked at.
pub(crate) fn prepared_unchanged(reader: &ImageReader, image: &ImageSource, sha256: &str) -> Result<Vec<f32>> {
    let bytes = reader.read(image)?;
    if files::sha256_hex(&bytes) == *sha256 {
        return reader.prepared(&bytes);
    }
    let problem = Problem::new("an image changed while we worked").at(image.name());
    Err(Error::Data(problem.hint("run the command again when nothing writes to the folder")))
}
