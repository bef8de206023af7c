//! One file for each command: what was typed becomes settings, the library works, the outcome is told.

pub mod adapt;
mod answer_columns;
mod answers;
pub mod audit;
pub mod bases;
pub mod cache;
pub mod compare;
pub mod embed;
mod embed_texts;
pub mod fit;
pub mod glove;
mod lines;
pub mod predict;
mod predict_rows;
mod predict_texts;
mod predict_tokens;
pub mod pretrain;
pub mod rank;
pub mod report;
pub mod shell;
mod summary;
pub mod translate;
pub mod verify;

use engraft::data::Task;
use engraft::data::audit::Audit;
use engraft::data::intake::{InputKind, Intake};
use engraft::error::Result;
use engraft::features::{Cache, open_intake};
use engraft::progress::Observer;
use engraft::settings::Fit;

use crate::args::CacheArgs;

/// The cache that the flags mean; none with `--no-cache`, or, which is said, where nothing tells a folder.
pub fn cache_of(args: &CacheArgs, observer: &dyn Observer) -> Option<Cache> {
    if args.no_cache {
        return None;
    }
    let Some(folder) = args.folder.clone().or_else(Cache::default_folder) else {
        observer.say(
            "warning: nothing is cached, since neither HOME nor ENGRAFT_CACHE is set\n  \
             hint: --cache DIR names a folder, --no-cache says that none is wanted",
        );
        return None;
    };
    let advice = "--cache DIR puts the cache elsewhere, --no-cache leaves it out";
    Some(Cache::new(folder, args.limit.saturating_mul(1 << 20)).with_advice(advice))
}

/// Reads what a fit is about, remembering in the cache what was seen, and says what it was taken for where that was
/// inferred.
pub fn intake(config: &Fit, kind: InputKind, cache: Option<&Cache>, observer: &dyn Observer) -> Result<Intake> {
    let intake = open_intake(config, kind, cache, observer)?;
    let inferred = &intake.inferred;
    if config.task.is_none() && inferred.task != Task::SingleLabel {
        observer.say(&format!("task: {}, since {}; --task says otherwise", inferred.task, inferred.reason));
    }
    Ok(intake)
}

/// Says what the audit found, in a line or in full.
pub fn tell_audit(audit: &Audit, observer: &dyn Observer) {
    if audit.findings.is_empty() {
        observer.say("audit: nothing to complain about");
    } else {
        observer.say(audit.render().trim_end());
    }
}

/// The columns that `--text` names; none where it is not given.
fn columns_of(text: Option<&str>) -> Vec<String> {
    text.map(|text| text.split(',').map(str::to_owned).collect()).unwrap_or_default()
}
