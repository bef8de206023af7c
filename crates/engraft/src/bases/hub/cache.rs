//! Where files lie: the layout of `huggingface_hub` (`models--OWNER--NAME/{blobs,refs,snapshots}`), and PyTorch's
//! folder of checkpoints for files from plain addresses.

use std::path::{Path, PathBuf};

use super::pins;
use super::reference::{Reference, is_commit, is_sha256};
use super::settings::Settings;
use crate::error::Result;
use crate::files;

/// A repository's folder.
#[derive(Debug, Clone)]
pub(super) struct Repository {
    pub(super) root: PathBuf,
    locks: PathBuf,
}

impl Repository {
    /// The folder of `owner/name`, which was checked.
    pub(super) fn new(cache: &Path, name: &str) -> Self {
        let folder = format!("models--{}", name.replace('/', "--"));
        Self { root: cache.join(&folder), locks: cache.join(".locks").join(folder) }
    }

    pub(super) fn blob(&self, etag: &str) -> PathBuf {
        self.root.join("blobs").join(etag)
    }

    pub(super) fn lock(&self, etag: &str) -> PathBuf {
        self.locks.join(format!("{etag}.lock"))
    }

    pub(super) fn snapshot(&self, commit: &str, file: &str) -> PathBuf {
        self.root.join("snapshots").join(commit).join(file)
    }

    /// The commit that a revision was the last time.
    pub(super) fn commit_of(&self, revision: &str) -> Option<String> {
        if is_commit(revision) {
            return Some(revision.to_owned());
        }
        let bytes = files::read_limited(&self.root.join("refs").join(revision), 100).ok()?;
        let text = String::from_utf8(bytes).ok()?;
        is_commit(text.trim()).then(|| text.trim().to_owned())
    }

    /// Notes the commit that a branch or tag is now.
    pub(super) fn set_commit(&self, revision: &str, commit: &str) -> Result<()> {
        if revision == commit || self.commit_of(revision).as_deref() == Some(commit) {
            return Ok(());
        }
        files::write_atomic(&self.root.join("refs").join(revision), commit.as_bytes())
    }

    /// Links a file of a commit to its blob.
    pub(super) fn link(&self, commit: &str, file: &str, etag: &str) -> Result<PathBuf> {
        let path = self.snapshot(commit, file);
        let up = "../".repeat(2 + file.matches('/').count());
        let target = PathBuf::from(format!("{up}blobs/{etag}"));
        if std::fs::read_link(&path).ok().as_deref() != Some(&target) || !path.is_file() {
            files::link(&target, &path)?;
        }
        Ok(path)
    }

    /// The commits that have a folder, in order.
    fn commits(&self) -> Vec<String> {
        let mut commits: Vec<String> = std::fs::read_dir(self.root.join("snapshots"))
            .into_iter()
            .flatten()
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| is_commit(name))
            .collect();
        commits.sort();
        commits
    }
}

/// A file that is here.
#[derive(Debug)]
pub(super) struct Found {
    pub(super) weights: PathBuf,
    pub(super) commit: Option<String>,
    /// What its SHA-256 must be, where that is known without reading it.
    pub(super) sha256: Option<String>,
    pub(super) config: Option<PathBuf>,
}

/// The folder where a base would be.
pub(super) fn folder(settings: &Settings, reference: &Reference) -> PathBuf {
    match reference.repository() {
        Some(repository) => Repository::new(&settings.cache, repository).root,
        None => settings.checkpoints.clone(),
    }
}

/// The folder of a commit.
pub(super) fn snapshot(settings: &Settings, repository: &str, commit: &str) -> PathBuf {
    Repository::new(&settings.cache, repository).root.join("snapshots").join(commit)
}

/// The local copy of a base, by names only.
pub(super) fn find(settings: &Settings, reference: &Reference) -> Option<Found> {
    let pin = reference.pin();
    // Without its record nothing is trusted; `pull` and `require` say what is wrong with it.
    let recorded = pins::read(&settings.cache).ok()?;
    let Some(name) = reference.repository() else {
        let entry = reference.entry()?;
        let weights = settings.checkpoints.join(&entry.file);
        let url = entry.url.as_deref()?;
        let sha256 = pin
            .and_then(|pin| pin.whole().map(str::to_owned))
            .or_else(|| recorded.iter().find(|pin| pin.repo == url).map(|pin| pin.sha256.clone()));
        return weights.is_file().then_some(Found { weights, commit: None, sha256, config: None });
    };
    let repository = Repository::new(&settings.cache, name);
    let now = repository.commit_of(reference.revision());
    // With a pin, any commit that has those bytes will do.
    let others = if pin.is_some() { repository.commits() } else { Vec::new() };
    for commit in now.into_iter().chain(others) {
        for file in reference.files() {
            let weights = repository.snapshot(&commit, file);
            if !weights.is_file() {
                continue;
            }
            let blob = std::fs::read_link(&weights)
                .ok()
                .and_then(|target| target.file_name().map(|name| name.to_string_lossy().into_owned()))
                .filter(|name| is_sha256(name));
            if let (Some(pin), Some(blob)) = (pin, &blob)
                && !pin.accepts(blob)
            {
                continue;
            }
            let sha256 = pin
                .and_then(|pin| pin.whole().map(str::to_owned))
                .or_else(|| pins::find(&recorded, name, file, &commit).map(|pin| pin.sha256.clone()))
                .or(blob);
            let config = Some(repository.snapshot(&commit, "config.json")).filter(|config| config.is_file());
            return Some(Found { weights, commit: Some(commit), sha256, config });
        }
    }
    None
}
