//! Features of unlabelled pictures, one row each, in the order given; pictures that cannot be used are told.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use crate::error::{Error, Result};
use crate::features::extract::SHARD;
use crate::features::{Cache, Extractor, Features};
use crate::files;
use crate::progress::Observer;

/// Rows of pictures, and which pictures they are.
#[derive(Debug)]
pub struct Embedding {
    /// One row for each picture that could be used.
    pub features: Features,
    /// Path of each row's picture, as given.
    pub paths: Vec<PathBuf>,
    /// SHA-256 of each row's picture.
    pub digests: Vec<String>,
    /// Pictures that could not be used, and why.
    pub failed: Vec<(PathBuf, Error)>,
}

/// Computes the rows of `pictures`, or takes them from the cache.
///
/// # Errors
/// Interruption, weights that give no finite numbers, a cache that cannot be written. A picture that cannot be read
/// or decoded is no error here: it stands in [`Embedding::failed`].
pub fn embed(
    extractor: &Extractor,
    pictures: &[PathBuf],
    cache: Option<&Cache>,
    observer: &dyn Observer,
) -> Result<Embedding> {
    let space = cache.map(|cache| cache.space(extractor.space(), extractor.columns()));
    let mut known: HashMap<String, Vec<f32>> = match &space {
        Some(space) => space.load(observer)?,
        None => HashMap::new(),
    };
    let (mut paths, mut digests, mut failed) = (Vec::new(), Vec::new(), Vec::new());
    observer.begin("features", pictures.len() as u64, "images");
    for shard in pictures.chunks(SHARD) {
        let digested: Vec<(&PathBuf, Result<String>)> = shard
            .par_iter()
            .map(|path| {
                observer.check()?;
                Ok((path, extractor.read(path).map(|bytes| files::sha256_hex(&bytes))))
            })
            .collect::<Result<_>>()?;
        let mut asked = HashSet::new();
        let missing: Vec<(&Path, &String)> = digested
            .iter()
            .filter_map(|(path, digest)| Some((path.as_path(), digest.as_ref().ok()?)))
            .filter(|(_, digest)| !known.contains_key(*digest) && asked.insert(*digest))
            .collect();
        let computed: Vec<(&String, Result<Vec<f32>>)> = missing
            .into_par_iter()
            .map(|(path, digest)| {
                observer.check()?;
                Ok((digest, extractor.read(path).and_then(|bytes| extractor.row(&bytes))))
            })
            .collect::<Result<_>>()?;
        let mut refused: HashMap<&String, Error> = HashMap::new();
        let mut rows = Vec::new();
        for (digest, row) in computed {
            match row {
                Ok(row) => rows.push((digest.clone(), row)),
                Err(Error::Data(problem)) => {
                    refused.insert(digest, Error::Data(problem));
                }
                Err(other) => return Err(other),
            }
        }
        if let Some(space) = &space {
            space.store(&rows)?;
        }
        known.extend(rows);
        for (path, digest) in &digested {
            match digest {
                Ok(digest) if known.contains_key(digest) => {
                    paths.push((*path).clone());
                    digests.push(digest.clone());
                }
                Ok(digest) => {
                    let why = refused.get(digest).map_or_else(|| "it cannot be decoded".to_owned(), Error::to_string);
                    failed.push(((*path).clone(), Error::Data(crate::error::Problem::new(why))));
                }
                Err(error) => {
                    failed.push(((*path).clone(), Error::Data(crate::error::Problem::new(error))));
                }
            }
        }
        observer.advance(shard.len() as u64);
    }
    observer.end();
    if let Some(cache) = cache {
        cache.trim()?;
    }
    let columns = extractor.columns();
    let values = digests.iter().flat_map(|digest| known[digest].iter().copied()).collect();
    Ok(Embedding { features: Features::new(paths.len(), columns, values)?, paths, digests, failed })
}
