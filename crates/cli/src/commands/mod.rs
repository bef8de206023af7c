//! One file for each command: what was typed becomes settings, the library works, the outcome is told.

pub mod audit;
pub mod bases;
pub mod cache;
pub mod embed;
pub mod fit;
pub mod predict;
pub mod pretrain;
pub mod report;
pub mod verify;

use std::path::{Path, PathBuf};

use engraft::data::audit::Audit;
use engraft::data::image::Limits;
use engraft::data::inspect::NoStore;
use engraft::error::{Error, Problem, Result};
use engraft::features::{Cache, Inspections};
use engraft::inductive::Intake;
use engraft::progress::Observer;

use crate::args::CacheArgs;

/// The cache that the flags mean; none with `--no-cache`, or where there is no home.
pub fn cache_of(args: &CacheArgs) -> Option<Cache> {
    if args.no_cache {
        return None;
    }
    let folder = args.folder.clone().or_else(Cache::default_folder)?;
    Some(Cache::new(folder, args.limit << 20))
}

/// Reads a data set, remembering in the cache what was seen.
pub fn intake(data: &Path, cache: Option<&Cache>, observer: &dyn Observer) -> Result<Intake> {
    let limits = Limits::default();
    let Some(cache) = cache else { return Intake::read(data, &limits, &NoStore, observer) };
    let store = Inspections::open(cache, data);
    let intake = Intake::read(data, &limits, &store, observer)?;
    store.save()?;
    Ok(intake)
}

/// Refuses, without `force`, to replace files that are there.
pub fn refuse_existing(paths: [&PathBuf; 2], force: bool) -> Result<()> {
    match paths.into_iter().find(|path| !force && path.symlink_metadata().is_ok()) {
        Some(path) => {
            let problem = Problem::new("the output exists already").at(path);
            Err(Error::Output(problem.hint("choose another --out, or add --force to replace it")))
        }
        None => Ok(()),
    }
}

/// Says what the audit found, in a line or in full.
pub fn tell_audit(audit: &Audit, observer: &dyn Observer) {
    if audit.findings.is_empty() {
        observer.say("audit: nothing to complain about");
    } else {
        observer.say(audit.render().trim_end());
    }
}
