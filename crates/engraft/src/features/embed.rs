//! Features of unlabelled images, one row each, in the order given; images that cannot be used are told.

use std::collections::HashMap;
use std::path::Path;

use rayon::prelude::*;

use crate::data::ImageSource;
use crate::error::{Error, Result};
use crate::features::cache::RowIndex;
use crate::features::extract::{BATCH, SHARD, prepared_unchanged};
use crate::features::parts::Parts;
use crate::features::{Cache, Extractor, Format};
use crate::files;
use crate::progress::Observer;

/// SHA-256 of an image, and the base's input where its row is not in the cache.
type Seen = (String, Option<Vec<f32>>);

/// Where the row of an image comes from.
enum Row {
    /// It was there.
    Known(Vec<f32>),
    /// It is that of an equal image of the batch, by its place there.
    Same(usize),
    /// It is computed.
    New,
}

/// Rows of images, which are kept beside the output, and which images they are.
#[derive(Debug)]
pub struct Embedding {
    /// Where each row's image is, as given: of those that could be used.
    pub sources: Vec<ImageSource>,
    /// SHA-256 of each row's image.
    pub digests: Vec<String>,
    /// Images that could not be used, and why.
    pub failed: Vec<(ImageSource, Error)>,
    /// Rows that a stopped command had computed.
    pub resumed: usize,
    /// Length of a row.
    pub columns: usize,
    /// The row of each digest, by the digest's first half.
    places: HashMap<u128, usize>,
    parts: Parts,
}

impl Embedding {
    /// Writes the rows to `out`, complete or not at all, with `replace` over a file that is there. There is a name for each.
    ///
    /// # Errors
    /// An output that cannot be written: the finished parts then stay in `OUT.unfinished`.
    pub fn write(self, out: &Path, format: Format, names: &[String], replace: bool) -> Result<()> {
        self.parts.write(out, format, names, replace)
    }

    /// Drops the rows, where nothing is to be written.
    ///
    /// # Errors
    /// What was kept of them cannot be removed.
    pub fn discard(self) -> Result<()> {
        self.parts.drop_all()
    }
}

/// Computes the rows of `images`, or takes them from the cache; a part of them at a time, which is kept in `OUT.unfinished`
/// until [`Embedding::write`] puts them together. Memory holds a batch of images and no more rows than are written to the cache
/// together.
///
/// # Errors
/// Interruption, and weights that give no finite numbers: the finished parts stay. An image that cannot be read
/// or decoded is not an error here: it stands in [`Embedding::failed`].
pub fn embed(
    extractor: &Extractor,
    images: &[ImageSource],
    out: &Path,
    cache: Option<&Cache>,
    observer: &dyn Observer,
) -> Result<Embedding> {
    let columns = extractor.columns();
    let parts = Parts::of(out, columns)?;
    let goes_on = parts.has_some();
    let (sources, digests, failed) = (Vec::new(), Vec::new(), Vec::new());
    let mut embedding = Embedding { sources, digests, failed, resumed: 0, columns, places: HashMap::new(), parts };
    let space = cache.map(|cache| cache.space(extractor.space(), columns));
    let mut known = match &space {
        Some(space) => space.index(observer)?,
        None => RowIndex::default(),
    };
    let mut new: Vec<(String, Vec<f32>)> = Vec::new();
    observer.begin("features", images.len() as u64, "images");
    for batch in images.chunks(BATCH) {
        if !(goes_on && embedding.take_finished(extractor, batch, observer)?) {
            embedding.compute(extractor, batch, &mut known, &mut new, observer)?;
        }
        observer.advance(batch.len() as u64);
        if let Some(space) = space.as_ref().filter(|_| new.len() >= SHARD) {
            space.store(&new, observer);
            new.clear();
        }
        if space.is_none() {
            new.clear();
        }
    }
    if let Some(space) = space.filter(|_| !new.is_empty()) {
        space.store(&new, observer);
    }
    observer.end();
    if let Some(cache) = cache {
        cache.trim(observer);
    }
    Ok(embedding)
}

impl Embedding {
    /// Takes a batch that a stopped command had finished, if all of its images are among those.
    fn take_finished(&mut self, extractor: &Extractor, batch: &[ImageSource], observer: &dyn Observer) -> Result<bool> {
        let reader = extractor.reader();
        let seen: Vec<Option<String>> = batch
            .par_iter()
            .map(|source| {
                observer.check()?;
                Ok(reader.read(source).ok().map(|bytes| files::sha256_hex(&bytes)))
            })
            .collect::<Result<_>>()?;
        let Some(digests) = seen.into_iter().collect::<Option<Vec<String>>>() else { return Ok(false) };
        let is_finished = self.parts.take(&key_of(extractor, &digests), batch.len());
        if is_finished {
            self.resumed += batch.len();
            self.sources.extend_from_slice(batch);
            self.note(digests);
        }
        Ok(is_finished)
    }

    /// Notes whose the rows are that were just kept.
    fn note(&mut self, digests: Vec<String>) {
        for digest in digests {
            self.places.entry(half(&digest)).or_insert(self.digests.len());
            self.digests.push(digest);
        }
    }

    /// The row of an equal image before.
    fn row_before(&self, digest: &str) -> Option<Vec<f32>> {
        let place = *self.places.get(&half(digest))?;
        (self.digests[place] == digest).then(|| self.parts.row(place))?
    }

    /// Computes a batch, but for what is in the cache, and adds what is new to `new`.
    fn compute(
        &mut self,
        extractor: &Extractor,
        batch: &[ImageSource],
        known: &mut RowIndex,
        new: &mut Vec<(String, Vec<f32>)>,
        observer: &dyn Observer,
    ) -> Result<()> {
        let reader = extractor.reader();
        let seen: Vec<Result<Seen>> = batch
            .par_iter()
            .map(|source| {
                observer.check()?;
                Ok(reader.read(source).and_then(|bytes| {
                    let digest = files::sha256_hex(&bytes);
                    let is_new = !known.has(&digest) && !self.places.contains_key(&half(&digest));
                    Ok((digest, if is_new { Some(reader.prepared(&bytes)?) } else { None }))
                }))
            })
            .collect::<Result<_>>()?;
        let (mut digests, mut rows, mut inputs) = (Vec::new(), Vec::new(), Vec::new());
        let mut first: HashMap<String, usize> = HashMap::new();
        for (source, outcome) in batch.iter().zip(seen) {
            match outcome {
                Ok((digest, input)) => {
                    let place = *first.entry(digest.clone()).or_insert(digests.len());
                    let row = if place < digests.len() {
                        Row::Same(place)
                    } else if let Some(input) = input {
                        inputs.push(input);
                        Row::New
                    } else if let Some(row) = self.row_before(&digest).or_else(|| known.row(&digest)) {
                        Row::Known(row)
                    } else {
                        // What was there a moment ago is gone.
                        inputs.push(prepared_unchanged(reader, source, &digest)?);
                        Row::New
                    };
                    rows.push(row);
                    self.sources.push(source.clone());
                    digests.push(digest);
                }
                Err(Error::Data(problem)) => self.failed.push((source.clone(), Error::Data(problem))),
                Err(other) => return Err(other),
            }
        }
        if digests.is_empty() {
            return Ok(());
        }
        let mut computed = extractor.rows(&inputs)?.into_iter();
        let mut values = Vec::with_capacity(digests.len() * self.columns);
        for (digest, row) in digests.iter().zip(rows) {
            match row {
                Row::Known(row) => values.extend(row),
                Row::Same(place) => values.extend_from_within(place * self.columns..(place + 1) * self.columns),
                Row::New => {
                    let row = computed.next().expect("a row for each input");
                    values.extend_from_slice(&row);
                    new.push((digest.clone(), row));
                }
            }
        }
        self.parts.keep(key_of(extractor, &digests), &values)?;
        self.note(digests);
        Ok(())
    }
}

/// The first half of a SHA-256 in hexadecimal.
fn half(digest: &str) -> u128 {
    digest.get(..32).and_then(|half| u128::from_str_radix(half, 16).ok()).unwrap_or_default()
}

/// What a part is kept under: whatever decides its rows.
fn key_of(extractor: &Extractor, digests: &[String]) -> String {
    files::sha256_hex(format!("{}/{}", extractor.space(), digests.join(",")).as_bytes())
}
