//! Trust on first use: what was pulled is written down, and other bytes for the same commit are refused later.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::error::{Error, Problem, Result};
use crate::files::{self, Lock};
use crate::progress::Observer;

/// What was pulled once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pin {
    /// `owner/name` on the hub, or a plain address.
    pub repo: String,
    /// The branch, tag or commit that was asked for.
    pub(crate) revision: String,
    /// The file.
    pub file: String,
    /// The commit that the revision was; empty for a plain address.
    pub commit: String,
    /// SHA-256 of the file.
    pub sha256: String,
    /// Bytes of the file.
    pub size: u64,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Record {
    #[serde(default)]
    pin: Vec<Pin>,
}

fn place(cache: &Path) -> PathBuf {
    cache.join("engraft-pins.toml")
}

/// The record; empty where there is none.
pub(super) fn read(cache: &Path) -> Result<Vec<Pin>> {
    let path = place(cache);
    let bytes = match files::read_limited(&path, 64 << 20) {
        Ok(bytes) => bytes,
        Err(source) if matches!(source.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(source) => return Err(Error::read(&path, &source)),
    };
    toml::from_str::<Record>(&String::from_utf8_lossy(&bytes)).map(|record| record.pin).map_err(|source| {
        Error::Weights(
            Problem::new("the record of pulled bases cannot be read")
                .found(source.message())
                .at(&path)
                .hint("correct it, or remove it to trust what is pulled next"),
        )
    })
}

/// The pin of a file of a commit.
pub(super) fn find<'a>(pins: &'a [Pin], repo: &str, file: &str, commit: &str) -> Option<&'a Pin> {
    pins.iter().find(|pin| pin.repo == repo && pin.file == file && pin.commit == commit)
}

/// Refuses a SHA-256 that differs from the first one of the same commit.
pub(super) fn check(pins: &[Pin], repo: &str, file: &str, commit: &str, sha256: &str) -> Result<()> {
    match find(pins, repo, file, commit) {
        Some(pin) if pin.sha256 != sha256 => Err(Error::Weights(
            Problem::new("the file is not the one that was pulled before")
                .expected(format_args!("SHA-256 {} for commit {commit}", pin.sha256))
                .found(sha256)
                .at(format!("{repo}/{file}"))
                .hint(
                    "a commit never changes: ask the owner; to trust it anyway, remove its entry in engraft-pins.toml",
                ),
        )),
        _ => Ok(()),
    }
}

/// Adds a pin, under a lock.
pub(super) fn add(cache: &Path, pin: Pin, observer: &dyn Observer) -> Result<()> {
    let _lock = Lock::acquire(&cache.join(".locks").join("engraft-pins.lock"), || observer.check())?;
    let mut pins = read(cache)?;
    check(&pins, &pin.repo, &pin.file, &pin.commit, &pin.sha256)?;
    if pins.contains(&pin) {
        return Ok(());
    }
    pins.push(pin);
    pins.sort_by(|a, b| (&a.repo, &a.file, &a.revision, &a.commit).cmp(&(&b.repo, &b.file, &b.revision, &b.commit)));
    let text = toml::to_string(&Record { pin: pins }).expect("pins are plain tables");
    let text = format!("# Written by engraft: what was pulled, to notice if it changes.\n\n{text}");
    files::write_atomic(&place(cache), text.as_bytes())
}
