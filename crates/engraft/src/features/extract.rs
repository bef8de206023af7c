//! Running a frozen base over pictures: each worker reads, decodes, resizes and runs one picture at a time, so that
//! decoding and the network share the cores, memory is bounded, and no row depends on its neighbours.

use std::path::PathBuf;

use burn::tensor::Device;
use rayon::prelude::*;

use crate::backbone::{Base, Runner};
use crate::data::image::{Limits, decode};
use crate::data::preprocess::Preprocessing;
use crate::error::{Error, Problem, Result, printable};
use crate::features::{Cache, Features};
use crate::files;
use crate::progress::Observer;

/// Rows that are written to the cache together: what an interruption can lose.
pub(super) const SHARD: usize = 256;

/// Pictures as a base's input: within limits, by the base's preprocessing.
#[derive(Debug)]
pub struct PictureReader {
    preprocessing: Preprocessing,
    limits: Limits,
}

impl PictureReader {
    /// Reads pictures for `base`.
    pub fn new(base: &Base, limits: Limits) -> Self {
        Self { preprocessing: base.card.preprocessing.clone(), limits }
    }

    /// Reads a picture's bytes within the limits.
    pub fn read(&self, path: &std::path::Path) -> Result<Vec<u8>> {
        files::read_limited(path, self.limits.bytes)
            .map_err(|source| Error::Data(Problem::new("the picture cannot be read").found(source).at(printable(path))))
    }

    /// One picture's bytes as the base's input, `[H, W, C]`.
    pub fn prepared(&self, bytes: &[u8]) -> Result<Vec<f32>> {
        let pixels = decode(bytes, &self.limits)
            .map_err(|source| Error::Data(Problem::new("the picture cannot be decoded").found(source)))?;
        let p = &self.preprocessing;
        Ok(p.normalise(&p.prepare(&pixels)?.data))
    }
}

/// A frozen base, ready to run: batch norms folded, on one device, up to a cut.
pub struct Extractor {
    runner: Runner,
    reader: PictureReader,
    device: Device,
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
            runner: base.runner(cut)?,
            reader: PictureReader::new(base, limits),
            device: device.clone(),
            columns,
            space: space_of(base, cut),
        })
    }

    /// Prepares `base` to run to its features.
    pub fn to_features(base: &Base, device: &Device) -> Result<Self> {
        Self::new(base, base.stages().len(), Limits::default(), device)
    }

    /// Length of a row.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The identity of what the rows mean: preprocessing, architecture, weights and cut.
    pub fn space(&self) -> &str {
        &self.space
    }

    /// What reads its pictures.
    pub fn reader(&self) -> &PictureReader {
        &self.reader
    }

    /// The row of one picture's bytes.
    pub fn row(&self, bytes: &[u8]) -> Result<Vec<f32>> {
        let row = self.runner.row(self.reader.prepared(bytes)?, &self.reader.preprocessing, &self.device)?;
        if row.iter().all(|value| value.is_finite()) {
            Ok(row)
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
        "format": 1,
        "architecture": base.card.architecture,
        "padding": base.card.padding,
        "epsilon": base.card.style().epsilon,
        "preprocessing": base.card.preprocessing.fingerprint(),
        "weights": base.weights_fingerprint(),
        "cut": cut,
    });
    files::sha256_hex(description.to_string().as_bytes())
}

/// The features of pictures given by path and by the SHA-256 of their bytes, in this order.
///
/// Rows in the cache are not computed; computed rows go to the cache in shards, so that an interruption loses little.
pub fn extract(
    extractor: &Extractor,
    pictures: &[(PathBuf, String)],
    cache: Option<&Cache>,
    observer: &dyn Observer,
) -> Result<Features> {
    let columns = extractor.columns();
    let space = cache.map(|cache| cache.space(extractor.space(), columns));
    let mut known = match &space {
        Some(space) => space.load(observer)?,
        None => std::collections::HashMap::new(),
    };
    let mut missing: Vec<&(PathBuf, String)> = Vec::new();
    let mut asked = std::collections::HashSet::new();
    for picture in pictures {
        if !known.contains_key(&picture.1) && asked.insert(&picture.1) {
            missing.push(picture);
        }
    }
    if !missing.is_empty() {
        observer.begin("features", missing.len() as u64, "images");
        for shard in missing.chunks(SHARD) {
            let rows = shard
                .par_iter()
                .map(|(path, sha256)| {
                    observer.check()?;
                    let bytes = extractor.reader.read(path)?;
                    if files::sha256_hex(&bytes) != *sha256 {
                        let problem = Problem::new("a picture changed while we worked").at(printable(path));
                        return Err(Error::Data(
                            problem.hint("run the command again when nothing writes to the folder"),
                        ));
                    }
                    let row = extractor.row(&bytes)?;
                    observer.advance(1);
                    Ok((sha256.clone(), row))
                })
                .collect::<Result<Vec<_>>>()?;
            if let Some(space) = &space {
                space.store(&rows)?;
            }
            known.extend(rows);
        }
        observer.end();
    }
    if let Some(cache) = cache {
        cache.trim()?;
    }
    let mut values = Vec::with_capacity(pictures.len() * columns);
    for (_, sha256) in pictures {
        values.extend_from_slice(&known[sha256]);
    }
    Features::new(pictures.len(), columns, values)
}
