//! What was seen of a data set's files, remembered by their content, so that a second look does not decode.
//!
//! `CACHE/inspections/ROOT`, one file for each data set's folder (see [`Cache::put`]): the inspections as JSON.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;

use crate::data::inspect::{Inspection, InspectionStore, NoStore, VERSION};
use crate::data::intake::{InputKind, Intake};
use crate::error::Result;
use crate::features::Cache;
use crate::files;
use crate::progress::Observer;
use crate::settings::Fit;

const KIND: &str = "inspections";

/// The inspections of one data set's folder.
pub(crate) struct Inspections<'a> {
    cache: &'a Cache,
    key: String,
    known: BTreeMap<String, Inspection>,
    new: Mutex<Vec<Inspection>>,
}

impl<'a> Inspections<'a> {
    /// What is remembered of `data`.
    pub fn open(cache: &'a Cache, data: &Path) -> Self {
        let place = data.canonicalize().unwrap_or_else(|_| data.to_owned());
        let identity = [format!("v{VERSION} ").as_bytes(), place.as_os_str().as_encoded_bytes()].concat();
        let key = files::sha256_hex(&identity)[..32].to_owned();
        let body = cache.get(KIND, &key).unwrap_or_default();
        let known: Vec<Inspection> = serde_json::from_slice(&body).unwrap_or_default();
        let known = known.into_iter().map(|seen| (seen.sha256.clone(), seen)).collect();
        Self { cache, key, known, new: Mutex::default() }
    }

    /// Keeps what is new, if anything is and the cache can be written.
    pub fn save(self, observer: &dyn Observer) {
        let new = self.new.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        if new.is_empty() {
            return;
        }
        let mut all = self.known;
        all.extend(new.into_iter().map(|seen| (seen.sha256.clone(), seen)));
        let entries: Vec<&Inspection> = all.values().collect();
        let body = serde_json::to_vec(&entries).expect("inspections are plain data");
        self.cache.put(KIND, &self.key, &body, observer);
    }
}

/// What is remembered of the images of one folder, where anything is remembered at all.
pub struct Remembered<'a>(Option<Inspections<'a>>);

/// What the cache remembers of `data`; nothing without one.
pub fn open_inspections<'a>(cache: Option<&'a Cache>, data: &Path) -> Remembered<'a> {
    Remembered(cache.map(|cache| Inspections::open(cache, data)))
}

impl Remembered<'_> {
    /// As readers of data want it.
    pub fn store(&self) -> &dyn InspectionStore {
        match &self.0 {
            Some(inspections) => inspections,
            None => &NoStore,
        }
    }

    /// Keeps what is new, if anything is and the cache can be written.
    pub fn save(self, observer: &dyn Observer) {
        if let Some(inspections) = self.0 {
            inspections.save(observer);
        }
    }
}

/// Opens what a fit is about, and remembers in the cache what was seen of its files.
///
/// # Errors
/// As [`Intake::open`].
pub fn open_intake(config: &Fit, kind: InputKind, cache: Option<&Cache>, observer: &dyn Observer) -> Result<Intake> {
    let store = open_inspections(cache, &config.data);
    let intake = Intake::open(config, kind, store.store(), observer)?;
    store.save(observer);
    Ok(intake)
}

impl InspectionStore for Inspections<'_> {
    fn get(&self, sha256: &str) -> Option<Inspection> {
        self.known.get(sha256).cloned()
    }

    fn put(&self, inspection: &Inspection) {
        self.new.lock().unwrap_or_else(std::sync::PoisonError::into_inner).push(inspection.clone());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::image::Limits;
    use crate::data::inspect::inspect;

    #[test]
    fn what_was_seen_is_remembered_and_damage_is_forgotten() {
        let temp = tempfile::tempdir().unwrap();
        let cache = Cache::new(temp.path().into(), Cache::LIMIT);
        let seen = inspect(b"no image", &Limits::default());
        let store = Inspections::open(&cache, Path::new("somewhere"));
        assert_eq!(store.get(&seen.sha256), None);
        store.put(&seen);
        let file = temp.path().join(KIND).join(&store.key);
        store.save(&crate::progress::Silent);
        assert_eq!(Inspections::open(&cache, Path::new("somewhere")).get(&seen.sha256), Some(seen.clone()));
        assert_eq!(Inspections::open(&cache, Path::new("elsewhere")).get(&seen.sha256), None);
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[80] ^= 1;
        files::write_atomic(&file, &bytes).unwrap();
        assert_eq!(Inspections::open(&cache, Path::new("somewhere")).get(&seen.sha256), None);
    }
}
