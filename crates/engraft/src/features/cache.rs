//! Rows on disk, filed by what they mean and by the content they were computed from.
//!
//! `CACHE/features/SPACE/CHECKSUM.rows`, one file for each shard of rows: a magic word, the number of columns and rows,
//! the SHA-256 of each image, the rows as f32, and the SHA-256 of all that. A file that does not hold what its
//! checksum says is dropped and its rows are computed again.
//!
//! A cache only saves time, so that nothing about it fails the work: what cannot be read is computed, and after the first
//! write that fails the observer is told once and nothing more is written.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result, printable, shown};
use crate::features::Store;
use crate::files;
use crate::progress::Observer;

const MAGIC: &[u8; 8] = b"ENGRROW1";

/// What is kept beside the rows, by [`Cache::put`].
const KINDS: [&str; 2] = ["inspections", "controls"];

/// Most rows of a file. Those that are written have fewer; a file that is longer is none of ours and is not read.
const ROWS: u64 = 1024;

/// A folder of cached rows with a limit on its size. Clones share what they know of its state.
#[derive(Debug, Clone)]
pub struct Cache {
    folder: PathBuf,
    limit: u64,
    advice: Option<&'static str>,
    /// Whether a write has failed.
    failed: Arc<AtomicBool>,
}

/// What a cache holds.
#[derive(Debug, Clone, Serialize)]
pub struct CacheSummary {
    /// Where it is.
    pub folder: String,
    /// Bytes it may hold.
    pub limit: u64,
    /// Bytes it holds.
    pub bytes: u64,
    /// Its spaces: rows of features, one for each base, preprocessing and cut.
    pub spaces: Vec<SpaceSummary>,
}

/// The rows of one base, preprocessing and cut.
#[derive(Debug, Clone, Serialize)]
pub struct SpaceSummary {
    /// Its identity.
    pub id: String,
    /// Number of files.
    pub files: usize,
    /// Bytes on disk.
    pub bytes: u64,
}

impl Cache {
    /// Megabytes that a cache usually may hold.
    pub const USUAL_MEGABYTES: u64 = 4096;

    /// The default limit: 4 GiB.
    pub const LIMIT: u64 = 4 << 30;

    /// A cache in `folder` of at most `limit` bytes.
    pub fn new(folder: PathBuf, limit: u64) -> Self {
        Self { folder, limit, advice: None, failed: Arc::default() }
    }

    /// With what a user can do where the cache cannot be written: the hint of the warning.
    #[must_use]
    pub fn with_advice(self, advice: &'static str) -> Self {
        Self { advice: Some(advice), ..self }
    }

    /// Where the user's caches live: `$ENGRAFT_CACHE`, `$XDG_CACHE_HOME/engraft`, `~/.cache/engraft`.
    pub fn default_folder() -> Option<PathBuf> {
        let set = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        set("ENGRAFT_CACHE")
            .or_else(|| set("XDG_CACHE_HOME").map(|folder| folder.join("engraft")))
            .or_else(|| set("HOME").map(|folder| folder.join(".cache/engraft")))
    }

    /// What was kept under `kind/key`, if it is whole.
    pub(crate) fn get(&self, kind: &str, key: &str) -> Option<Vec<u8>> {
        Store::new(self.folder.clone()).get(kind, key)
    }

    /// Keeps `body` under `kind/key`, if the cache can be written.
    pub(crate) fn put(&self, kind: &str, key: &str, body: &[u8], observer: &dyn Observer) {
        self.attempt(observer, || Store::new(self.folder.clone()).put(kind, key, body));
    }

    /// Writes, unless a write has failed before. A failure is told, and is no more than that.
    fn attempt(&self, observer: &dyn Observer, write: impl FnOnce() -> Result<()>) {
        if self.failed.load(Ordering::Relaxed) {
            return;
        }
        let Err(error) = write() else { return };
        if self.failed.swap(true, Ordering::Relaxed) {
            return;
        }
        let error = match (error, self.advice) {
            (Error::Output(problem), Some(advice)) => Error::Output(problem.hint(advice)),
            (error, _) => error,
        };
        observer.say(&format!("warning: nothing more is cached, and the work goes on without: {error}"));
    }

    pub(crate) fn space(&self, id: &str, columns: usize) -> Space {
        let folder = self.folder.join("features").join(&id[..32.min(id.len())]);
        Space { folder, columns, cache: self.clone() }
    }

    /// The cache's own files. Whatever else lies in its folders is somebody's, and is neither counted nor removed.
    fn shards(&self) -> Vec<(PathBuf, u64, SystemTime)> {
        let mut folders = entries(&self.folder.join("features"));
        folders.retain(|folder| is_own(folder));
        folders.extend(KINDS.map(|kind| self.folder.join(kind)));
        let mut all = Vec::new();
        for file in folders.iter().flat_map(|folder| entries(folder)).filter(|file| is_own(file)) {
            // A folder in a file's place is nothing that was written here.
            if let Some(metadata) = fs::symlink_metadata(&file).ok().filter(|metadata| !metadata.is_dir()) {
                let used = metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH);
                all.push((file, metadata.len(), used));
            }
        }
        all
    }

    /// What is there.
    pub fn summary(&self) -> CacheSummary {
        let mut spaces: Vec<SpaceSummary> = Vec::new();
        let mut total = 0;
        for (file, bytes, _) in self.shards() {
            total += bytes;
            if file.extension().is_none_or(|ending| ending != "rows") {
                continue;
            }
            let id = file.parent().and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
            match spaces.iter_mut().find(|space| space.id == id) {
                Some(space) => {
                    space.files += 1;
                    space.bytes += bytes;
                }
                None => spaces.push(SpaceSummary { id, files: 1, bytes }),
            }
        }
        spaces.sort_by(|a, b| a.id.cmp(&b.id));
        CacheSummary { folder: printable(&self.folder), limit: self.limit, bytes: total, spaces }
    }

    /// Removes everything; the bytes freed.
    ///
    /// # Errors
    /// [`Error::Output`] where something cannot be removed; what can be is.
    pub fn clear(&self) -> Result<u64> {
        self.shrink_to(0).map_err(|error| match error {
            Error::Output(problem) => Error::Output(problem.hint("change the permissions of the cache's folder")),
            other => other,
        })
    }

    /// Drops what was used longest ago until the limit holds, where the cache can be written.
    pub(crate) fn trim(&self, observer: &dyn Observer) {
        self.attempt(observer, || self.shrink_to(self.limit).map(|_| ()));
    }

    fn shrink_to(&self, limit: u64) -> Result<u64> {
        for folder in entries(&self.folder.join("features")).into_iter().chain(KINDS.map(|kind| self.folder.join(kind)))
        {
            files::remove_leftovers_in(&folder);
        }
        let mut shards = self.shards();
        shards.sort_by(|a, b| (a.2, &a.0).cmp(&(b.2, &b.0)));
        let mut left: u64 = shards.iter().map(|(_, bytes, _)| bytes).sum();
        let (mut freed, mut outcome) = (0, Ok(()));
        for (file, bytes, _) in shards {
            // Without a limit what takes no room goes too.
            if left <= limit && limit > 0 {
                break;
            }
            match files::remove_file(&file) {
                Ok(()) => {
                    left -= bytes;
                    freed += bytes;
                }
                Err(error) => outcome = outcome.and(Err(error)),
            }
        }
        outcome.map(|()| freed)
    }
}

/// Whether a name is one that the cache gives.
fn is_own(path: &Path) -> bool {
    files::is_digest_name(&path.file_name().unwrap_or_default().to_string_lossy())
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let mut entries: Vec<PathBuf> = fs::read_dir(folder).into_iter().flatten().flatten().map(|e| e.path()).collect();
    entries.sort();
    entries
}

/// The files of one space.
pub(crate) struct Space {
    folder: PathBuf,
    columns: usize,
    cache: Cache,
}

impl Space {
    /// Every row that is there and whole, by the SHA-256 of its image.
    ///
    /// # Errors
    /// [`Error::Interrupted`] alone.
    pub(crate) fn load(&self, observer: &dyn Observer) -> Result<HashMap<String, Vec<f32>>> {
        let mut rows = HashMap::new();
        self.each(observer, |_, shard| rows.extend(shard))?;
        Ok(rows)
    }

    /// Where every row is that is there and whole.
    ///
    /// # Errors
    /// [`Error::Interrupted`] alone.
    pub(crate) fn index(&self, observer: &dyn Observer) -> Result<RowIndex> {
        let mut index = RowIndex { columns: self.columns, ..RowIndex::default() };
        self.each(observer, |file, shard| {
            let at = index.files.len();
            index.files.push(file.to_owned());
            index.places.extend(shard.into_iter().map(|(key, _)| (key, at)));
        })?;
        Ok(index)
    }

    fn each(&self, observer: &dyn Observer, mut of: impl FnMut(&Path, Vec<(String, Vec<f32>)>)) -> Result<()> {
        let mut damaged = Vec::new();
        for file in entries(&self.folder) {
            observer.check()?;
            if !is_own(&file) {
                continue;
            }
            match files::read_limited(&file, longest(self.columns)) {
                Ok(bytes) => match parse(&bytes, self.columns) {
                    Some(shard) => {
                        files::touch(&file);
                        of(&file, shard);
                    }
                    None => damaged.push(file),
                },
                // Another process has dropped it.
                Err(source) if source.kind() == std::io::ErrorKind::NotFound && !file.is_symlink() => {}
                Err(_) => damaged.push(file),
            }
        }
        if let Some(first) = damaged.first() {
            let what = match damaged.len() {
                1 => "a damaged or unreadable cache file is".to_owned(),
                count => format!("{count} damaged or unreadable cache files are"),
            };
            observer.say(&format!("warning: {what} dropped and computed again: {}", shown(first)));
            for file in &damaged {
                // One that stays is passed over again the next time.
                let _ = files::remove_file(file);
            }
        }
        Ok(())
    }

    /// Writes a shard of rows, if the cache can be written.
    pub(crate) fn store(&self, rows: &[(String, Vec<f32>)], observer: &dyn Observer) {
        self.cache.attempt(observer, || {
            let bytes = serialise(rows, self.columns);
            let name = files::hex(&bytes[bytes.len() - 32..][..16]);
            files::write_atomic(&self.folder.join(format!("{name}.rows")), &bytes)
        });
    }
}

/// Where the rows of a space are, for whoever needs few of them at a time.
#[derive(Debug, Default)]
pub(crate) struct RowIndex {
    columns: usize,
    files: Vec<PathBuf>,
    /// The file of each row, by the SHA-256 of its image.
    places: HashMap<String, usize>,
    /// The file that was read last, by its number, and its rows: images mostly come in the order in which they were cached.
    latest: Option<(usize, HashMap<String, Vec<f32>>)>,
}

impl RowIndex {
    /// Whether the row of an image was there.
    pub(crate) fn has(&self, key: &str) -> bool {
        self.places.contains_key(key)
    }

    /// The row of an image, if it is still there and whole.
    pub(crate) fn row(&mut self, key: &str) -> Option<Vec<f32>> {
        let at = *self.places.get(key)?;
        if self.latest.as_ref().is_none_or(|(latest, _)| *latest != at) {
            let bytes = files::read_limited(&self.files[at], longest(self.columns)).ok()?;
            self.latest = Some((at, parse(&bytes, self.columns)?.into_iter().collect()));
        }
        self.latest.as_ref()?.1.get(key).cloned()
    }
}

/// The longest file of rows that is read.
fn longest(columns: usize) -> u64 {
    64 + ROWS * (32 + 4 * columns as u64)
}

fn serialise(rows: &[(String, Vec<f32>)], columns: usize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(64 + rows.len() * (32 + columns * 4));
    bytes.extend_from_slice(MAGIC);
    bytes.extend_from_slice(&(columns as u64).to_le_bytes());
    bytes.extend_from_slice(&(rows.len() as u64).to_le_bytes());
    for (key, _) in rows {
        bytes.extend((0..32).map(|i| u8::from_str_radix(&key[2 * i..2 * i + 2], 16).unwrap_or(0)));
    }
    for (_, row) in rows {
        bytes.extend(row.iter().flat_map(|value| value.to_le_bytes()));
    }
    let checksum = Sha256::digest(&bytes);
    bytes.extend_from_slice(&checksum);
    bytes
}

fn parse(bytes: &[u8], columns: usize) -> Option<Vec<(String, Vec<f32>)>> {
    let (body, checksum) = bytes.split_last_chunk::<32>()?;
    if Sha256::digest(body).as_slice() != checksum {
        return None;
    }
    let rest = body.strip_prefix(MAGIC)?;
    let (width, rest) = rest.split_first_chunk::<8>()?;
    let (count, rest) = rest.split_first_chunk::<8>()?;
    let count = usize::try_from(u64::from_le_bytes(*count)).ok()?;
    if u64::from_le_bytes(*width) != columns as u64 || rest.len() != count.checked_mul(32 + columns * 4)? {
        return None;
    }
    let (keys, values) = rest.split_at(count * 32);
    let row = |chunk: &[u8]| chunk.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b)).collect();
    Some(keys.chunks_exact(32).map(files::hex).zip(values.chunks_exact(columns * 4).map(row)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    /// Remembers what it is told.
    #[derive(Default)]
    struct Listen(std::sync::Mutex<Vec<String>>);
    impl Observer for Listen {
        fn begin(&self, _: &str, _: u64, _: &str) {}
        fn advance(&self, _: u64) {}
        fn end(&self) {}
        fn say(&self, line: &str) {
            self.0.lock().unwrap().push(line.into());
        }
        fn interrupted(&self) -> bool {
            false
        }
    }

    fn rows(count: usize) -> Vec<(String, Vec<f32>)> {
        (0..count).map(|i| (files::sha256_hex(&[i as u8]), vec![i as f32, -0.5, f32::MIN_POSITIVE])).collect()
    }

    #[test]
    fn rows_come_back_to_the_bit() {
        let temp = tempfile::tempdir().unwrap();
        let cache = Cache::new(temp.path().into(), Cache::LIMIT);
        let space = cache.space("0123456789abcdef", 3);
        space.store(&rows(10), &Silent);
        assert_eq!(space.load(&Silent).unwrap(), rows(10).into_iter().collect());
        let mut index = space.index(&Silent).unwrap();
        for (key, row) in rows(11) {
            assert_eq!((index.has(&key), index.row(&key)), (row[0] < 10.0, Some(row).filter(|row| row[0] < 10.0)));
        }
        assert_eq!(cache.summary().spaces[0].files, 1);
        assert!(cache.clear().unwrap() > 0);
        assert_eq!(cache.summary().bytes, 0);
    }

    #[test]
    fn files_of_somebody_else_are_neither_counted_nor_removed() {
        let temp = tempfile::tempdir().unwrap();
        let cache = Cache::new(temp.path().into(), 0);
        cache.space("0123456789abcdef", 3).store(&rows(1), &Silent);
        let own = cache.summary().bytes;
        let photos = ["features/x/1.jpg", "features/0123456789abcdef/1.rows", "controls/1.jpg", "features.jpg"];
        for name in photos {
            files::write_atomic(&temp.path().join(name), b"mine").unwrap();
        }
        assert_eq!(cache.summary().bytes, own, "not counted");
        cache.trim(&Silent);
        cache.clear().unwrap();
        assert_eq!(cache.summary().bytes, 0);
        assert!(photos.iter().all(|name| fs::read(temp.path().join(name)).unwrap() == b"mine"));
    }

    #[test]
    fn a_flipped_bit_anywhere_is_found() {
        let bytes = serialise(&rows(3), 3);
        assert!(parse(&bytes, 3).is_some());
        for at in 0..bytes.len() {
            let mut damaged = bytes.clone();
            damaged[at] ^= 1;
            assert!(parse(&damaged, 3).is_none(), "byte {at}");
        }
        assert!(parse(&bytes[..bytes.len() - 1], 3).is_none());
        assert!(parse(&bytes, 4).is_none());
    }

    #[test]
    fn a_damaged_file_is_dropped_and_said() {
        let temp = tempfile::tempdir().unwrap();
        let space = Cache::new(temp.path().into(), Cache::LIMIT).space("0123456789abcdef", 3);
        space.store(&rows(2), &Silent);
        let file = entries(&space.folder).remove(0);
        let mut bytes = fs::read(&file).unwrap();
        bytes[40] ^= 4;
        files::remove_file(&file).unwrap();
        files::write_atomic(&file, &bytes).unwrap();
        let listen = Listen::default();
        assert!(space.load(&listen).unwrap().is_empty());
        assert!(listen.0.lock().unwrap()[0].contains("damaged"));
        assert!(!file.exists());
    }

    #[test]
    fn what_cannot_be_a_file_of_rows_is_passed_over() {
        let temp = tempfile::tempdir().unwrap();
        let cache = Cache::new(temp.path().into(), Cache::LIMIT);
        let space = cache.space("0123456789abcdef", 3);
        space.store(&rows(2), &Silent);
        let name = |number: usize| format!("{number:032x}.rows");
        fs::create_dir(space.folder.join(name(1))).unwrap();
        files::link(Path::new("nowhere"), &space.folder.join(name(2))).unwrap();
        files::write_atomic(&space.folder.join(name(3)), b"").unwrap();
        files::write_atomic(&space.folder.join(name(4)), &vec![0; 64 + ROWS as usize * 44 + 1]).unwrap();
        let listen = Listen::default();
        assert_eq!(space.load(&listen).unwrap().len(), 2);
        let told = listen.0.into_inner().unwrap();
        assert!(told.len() == 1 && told[0].contains("4 damaged"), "{told:?}");
        cache.trim(&Silent);
        cache.clear().unwrap();
        assert_eq!(entries(&space.folder).len(), 1, "a folder is left alone");
    }

    #[test]
    fn a_cache_that_cannot_be_written_is_told_once() {
        let temp = tempfile::tempdir().unwrap();
        files::write_atomic(&temp.path().join("cache"), b"a file in its place").unwrap();
        let cache = Cache::new(temp.path().join("cache"), Cache::LIMIT).with_advice("leave it out");
        let listen = Listen::default();
        for _ in 0..3 {
            cache.space("abc", 3).store(&rows(2), &listen);
            cache.clone().put("controls", "key", b"body", &listen);
            cache.trim(&listen);
            assert!(cache.space("abc", 3).load(&listen).unwrap().is_empty());
        }
        let told = listen.0.into_inner().unwrap();
        assert!(told.len() == 1 && told[0].contains("warning") && told[0].contains("leave it out"), "{told:?}");
    }

    #[test]
    fn what_was_used_longest_ago_goes_first() {
        let temp = tempfile::tempdir().unwrap();
        let cache = Cache::new(temp.path().into(), 300);
        let space = cache.space("0123456789abcdef", 3);
        for part in rows(6).chunks(2) {
            space.store(part, &Silent);
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        assert!(cache.summary().bytes > 300);
        cache.trim(&Silent);
        assert!(cache.summary().bytes <= 300);
        assert!(space.load(&Silent).unwrap().contains_key(&rows(6)[5].0), "the newest stays");
    }
}
