//! Bases from elsewhere: the registry of known ones, and the Hugging Face hub, verified and resumable.
//!
//! [`Hub::locate`] looks in the local cache only; [`Hub::pull`] fetches what is missing. The cache has the layout of
//! Python's `huggingface_hub`, so that both use each other's files. No byte is believed before its SHA-256 is that of
//! the registry, of the hub's answer, or of the first time (`engraft-pins.toml`).

mod address;
mod cache;
mod download;
mod entry_card;
mod pins;
mod reference;
mod registry;
mod settings;
mod transport;

use std::path::PathBuf;

use crate::bases::text;
use crate::error::{Error, Problem, Result, shown};
use crate::files;
use crate::progress::Observer;

pub use pins::Pin;
pub use reference::Reference;
pub use registry::{Entry, registry};
pub use settings::{Patience, Proxies, Settings, Token};

/// A base's files on this machine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Local {
    /// The weights file.
    pub weights: PathBuf,
    /// The commit of its repository; none for a file from a plain address.
    pub commit: Option<String>,
    /// The SHA-256 that the weights must have. [`Local::check`] compares.
    pub sha256: String,
    /// The repository's `config.json`, where it has one.
    pub config: Option<PathBuf>,
}

impl Local {
    /// Compares the SHA-256 of the bytes that were read with the one that they must have.
    ///
    /// # Errors
    /// [`Error::Weights`] if they differ.
    pub fn check(&self, sha256: &str) -> Result<()> {
        if sha256 == self.sha256 {
            return Ok(());
        }
        Err(Error::Weights(
            Problem::new("the local copy of the base is damaged")
                .expected(format_args!("SHA-256 {}", self.sha256))
                .found(sha256)
                .at(&self.weights)
                .hint("`engraft bases pull` fetches it again"),
        ))
    }
}

/// The hub as one sees it from here: settings, cache and network.
#[derive(Debug)]
pub struct Hub {
    settings: Settings,
}

impl Hub {
    /// With the settings of the environment (`HF_HOME`, `HF_TOKEN`, `HF_HUB_OFFLINE`, `HTTPS_PROXY`, ...).
    ///
    /// # Errors
    /// [`Error::Usage`] for a variable that is invalid.
    pub fn from_environment() -> Result<Self> {
        Settings::from_lookup(|name| std::env::var(name).ok()).map(Self::new)
    }

    /// With these settings.
    pub fn new(settings: Settings) -> Self {
        Self { settings }
    }

    /// Whether the base's weights are here. Looks at names only.
    pub fn has(&self, reference: &Reference) -> bool {
        self.find(reference).is_some()
    }

    /// The local copy of a base, where there is one. Never asks the network.
    ///
    /// The bytes are not compared here: [`Local::check`] does, with the SHA-256 of what was read.
    pub fn locate(&self, reference: &Reference) -> Option<Local> {
        let found = self.find(reference)?;
        let sha256 = match found.sha256 {
            Some(sha256) => sha256,
            None => files::sha256_of_file(&found.weights, |_| Ok(())).ok()?,
        };
        if reference.pin().is_some_and(|pin| !pin.accepts(&sha256)) {
            return None;
        }
        Some(Local { weights: found.weights, commit: found.commit, sha256, config: found.config })
    }

    /// The local copy of a base that must be here.
    ///
    /// # Errors
    /// [`Error::Weights`] that says what is missing, where it was looked for and how to get it.
    pub fn require(&self, reference: &Reference) -> Result<Local> {
        self.pulled()?;
        self.locate(reference).ok_or_else(|| {
            let hint = if self.settings.offline {
                format!("HF_HUB_OFFLINE is set: unset it, then `engraft bases pull {reference}`")
            } else {
                format!("fetch it with `engraft bases pull {reference}`")
            };
            self.missing(reference, "the base is not on this machine").hint(hint).into_weights()
        })
    }

    /// What was pulled by this program and is recorded in `engraft-pins.toml`.
    ///
    /// # Errors
    /// [`Error::Weights`] if the record cannot be read.
    pub fn pulled(&self) -> Result<Vec<Pin>> {
        pins::read(&self.settings.cache)
    }

    /// Fetches a base unless it is here, and verifies it in both cases.
    ///
    /// What is here and has the right SHA-256 is used without a request. An interrupted pull leaves an `.incomplete`
    /// file, and the next one goes on from there.
    ///
    /// # Errors
    /// [`Error::Weights`] for what the hub refuses, for bytes that are not the expected ones, and offline;
    /// [`Error::Output`] if the cache cannot be written; [`Error::Interrupted`].
    pub fn pull(&self, reference: &Reference, observer: &dyn Observer) -> Result<Local> {
        if let Some(local) = self.verified(reference, observer)? {
            return Ok(local);
        }
        if self.settings.offline {
            return Err(self
                .missing(reference, "the base is not on this machine, and HF_HUB_OFFLINE forbids to fetch it")
                .hint("unset HF_HUB_OFFLINE, or copy the cache folder from a machine that has the base")
                .into_weights());
        }
        download::pull(&self.settings, reference, observer)
    }

    /// The local copy, if its bytes are right.
    fn verified(&self, reference: &Reference, observer: &dyn Observer) -> Result<Option<Local>> {
        let Some(found) = self.find(reference) else { return Ok(None) };
        let sha256 = files::sha256_of_file(&found.weights, |_| observer.check())?;
        let right = match &found.sha256 {
            Some(expected) => *expected == sha256,
            None => reference.pin().is_none_or(|pin| pin.accepts(&sha256)),
        };
        if !right {
            observer.say(&format!("{} is damaged: fetching it again", shown(&found.weights)));
            return Ok(None);
        }
        let local = Local { weights: found.weights, commit: found.commit, sha256, config: found.config };
        // Python may have fetched an encoder's weights alone.
        let alone = local.config.as_deref().is_some_and(text::is_encoder_config)
            && !text::TOKENIZERS.iter().any(|name| local.weights.with_file_name(name).is_file());
        Ok((self.settings.offline || !alone).then_some(local))
    }

    /// Compares the other files of a local copy with what they were when they were pulled, where this program did.
    ///
    /// # Errors
    /// [`Error::Weights`] if one differs.
    pub fn check_beside(&self, reference: &Reference, local: &Local) -> Result<()> {
        let (Some(repository), Some(commit)) = (reference.repository(), &local.commit) else { return Ok(()) };
        let folder = cache::snapshot(&self.settings, repository, commit);
        for pin in self.pulled()?.iter().filter(|pin| pin.repo == repository && pin.commit == *commit) {
            let path = folder.join(&pin.file);
            if path != local.weights && path.is_file() {
                let checked = Local { weights: path.clone(), sha256: pin.sha256.clone(), ..local.clone() };
                checked.check(&files::sha256_of_file(&path, |_| Ok(()))?)?;
            }
        }
        Ok(())
    }

    fn find(&self, reference: &Reference) -> Option<cache::Found> {
        cache::find(&self.settings, reference)
    }

    fn missing(&self, reference: &Reference, what: &str) -> Problem {
        Problem::new(what)
            .expected(format_args!("{} in {}", reference.file_names(), shown(cache::folder(&self.settings, reference))))
            .found("no such file")
            .at(reference.to_string())
    }
}

/// `Problem` to `Error`, at the end of a chain.
trait IntoWeights {
    fn into_weights(self) -> Error;
}

impl IntoWeights for Problem {
    fn into_weights(self) -> Error {
        Error::Weights(self)
    }
}
