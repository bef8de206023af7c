//! Features of unlabelled images, one row each, in the order given; images that cannot be used are told.

use std::collections::{BTreeMap, HashMap};

use rayon::prelude::*;

use crate::data::ImageSource;
use crate::error::{Error, Result};
use crate::features::extract::{BATCH, SHARD};
use crate::features::{Cache, Extractor, Features};
use crate::files;
use crate::progress::Observer;

/// SHA-256 of an image, and the base's input where its row was not known.
type Seen = (String, Option<Vec<f32>>);

/// Rows of images, and which images they are.
#[derive(Debug)]
pub struct Embedding {
    /// One row for each image that could be used.
    pub features: Features,
    /// Where each row's image is, as given.
    pub sources: Vec<ImageSource>,
    /// SHA-256 of each row's image.
    pub digests: Vec<String>,
    /// Images that could not be used, and why.
    pub failed: Vec<(ImageSource, Error)>,
}

/// Computes the rows of `images`, or takes them from the cache.
///
/// # Errors
/// Interruption, and weights that give no finite numbers. An image that cannot be read
/// or decoded is not an error here: it stands in [`Embedding::failed`].
pub fn embed(
    extractor: &Extractor,
    images: &[ImageSource],
    cache: Option<&Cache>,
    observer: &dyn Observer,
) -> Result<Embedding> {
    let space = cache.map(|cache| cache.space(extractor.space(), extractor.columns()));
    let mut known: HashMap<String, Vec<f32>> = match &space {
        Some(space) => space.load(observer)?,
        None => HashMap::new(),
    };
    let (mut sources, mut digests, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    observer.begin("features", images.len() as u64, "images");
    for shard in images.chunks(SHARD) {
        let mut rows: BTreeMap<String, Vec<f32>> = BTreeMap::new();
        for batch in shard.chunks(BATCH) {
            let seen: Vec<(&ImageSource, Result<Seen>)> = batch
                .par_iter()
                .map(|source| {
                    observer.check()?;
                    let reader = extractor.reader();
                    let outcome = reader.read(source).and_then(|bytes| {
                        let digest = files::sha256_hex(&bytes);
                        let new = !known.contains_key(&digest);
                        Ok((digest, if new { Some(reader.prepared(&bytes)?) } else { None }))
                    });
                    Ok((source, outcome))
                })
                .collect::<Result<_>>()?;
            let (mut new, mut prepared) = (Vec::new(), Vec::new());
            for (source, outcome) in seen {
                match outcome {
                    Ok((digest, values)) => {
                        if let Some(values) = values {
                            new.push(digest.clone());
                            prepared.push(values);
                        }
                        sources.push(source.clone());
                        digests.push(digest);
                    }
                    Err(Error::Data(problem)) => failed.push((source.clone(), Error::Data(problem))),
                    Err(other) => return Err(other),
                }
            }
            rows.extend(new.into_iter().zip(extractor.rows(&prepared)?));
            observer.advance(batch.len() as u64);
        }
        let rows: Vec<(String, Vec<f32>)> = rows.into_iter().collect();
        if let Some(space) = &space {
            space.store(&rows, observer);
        }
        known.extend(rows);
    }
    observer.end();
    if let Some(cache) = cache {
        cache.trim(observer);
    }
    let columns = extractor.columns();
    let values = digests.iter().flat_map(|digest| known[digest].iter().copied()).collect();
    Ok(Embedding { features: Features::new(sources.len(), columns, values)?, sources, digests, failed })
}
