//! What was seen of a data set's files, remembered by their content, so that a second look does not decode.
//!
//! `CACHE/inspections/ROOT.json`, one file for each data set's folder: a line with the SHA-256 of the rest, and the
//! inspections as JSON. A file that does not hold what its first line says counts as absent.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use crate::data::inspect::{Inspection, InspectionStore, VERSION};
use crate::error::Result;
use crate::features::Cache;
use crate::files;

/// The largest file that is read.
const LIMIT: u64 = 1 << 30;

/// The inspections of one data set's folder.
pub struct Inspections {
    file: PathBuf,
    known: BTreeMap<String, Inspection>,
    new: Mutex<Vec<Inspection>>,
}

impl Inspections {
    /// What is remembered of `data`.
    pub fn open(cache: &Cache, data: &Path) -> Self {
        let place = data.canonicalize().unwrap_or_else(|_| data.to_owned());
        let id = files::sha256_hex(place.as_os_str().as_encoded_bytes());
        let file = cache.folder().join("inspections").join(format!("v{VERSION}-{}.json", &id[..32]));
        let known = read(&file).unwrap_or_default().into_iter().map(|seen| (seen.sha256.clone(), seen)).collect();
        Self { file, known, new: Mutex::default() }
    }

    /// Writes what is new, if anything is.
    pub fn save(self) -> Result<()> {
        let new = self.new.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
        if new.is_empty() {
            return Ok(());
        }
        let mut all = self.known;
        all.extend(new.into_iter().map(|seen| (seen.sha256.clone(), seen)));
        let entries: Vec<&Inspection> = all.values().collect();
        let body = serde_json::to_vec(&entries).expect("inspections are plain data");
        let text = [files::sha256_hex(&body).as_bytes(), b"\n", &body].concat();
        files::write_atomic(&self.file, &text)
    }
}

fn read(file: &Path) -> Option<Vec<Inspection>> {
    let bytes = files::read_limited(file, LIMIT).ok()?;
    let (checksum, rest) = bytes.split_first_chunk::<64>()?;
    let body = rest.strip_prefix(b"\n")?;
    if files::sha256_hex(body).as_bytes() != checksum {
        return None;
    }
    serde_json::from_slice(body).ok()
}

impl InspectionStore for Inspections {
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
        let seen = inspect(b"no picture", &Limits::default());
        let store = Inspections::open(&cache, Path::new("somewhere"));
        assert_eq!(store.get(&seen.sha256), None);
        store.put(&seen);
        let file = store.file.clone();
        store.save().unwrap();
        assert_eq!(Inspections::open(&cache, Path::new("somewhere")).get(&seen.sha256), Some(seen.clone()));
        assert_eq!(Inspections::open(&cache, Path::new("elsewhere")).get(&seen.sha256), None);
        let mut bytes = std::fs::read(&file).unwrap();
        bytes[80] ^= 1;
        files::write_atomic(&file, &bytes).unwrap();
        assert_eq!(Inspections::open(&cache, Path::new("somewhere")).get(&seen.sha256), None);
    }
}
