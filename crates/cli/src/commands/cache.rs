//! `engraft cache`

use engraft::error::{Error, Problem};
use engraft::features::Cache;
use engraft::progress::Silent;
use serde_json::json;

use crate::args::{CacheArgs, CacheCommand};
use crate::commands::cache_of;
use crate::exit::Outcome;
use crate::output;

/// Runs the command.
pub fn run(command: &CacheCommand, json: bool) -> anyhow::Result<Outcome> {
    match command {
        CacheCommand::Show(args) => show(&existing(args)?, json),
        CacheCommand::Clear(args) => clear(&existing(args)?, json),
    }
}

fn existing(args: &CacheArgs) -> Result<Cache, Error> {
    cache_of(args, &Silent).ok_or_else(|| {
        Error::Usage(
            Problem::new("there is no cache").hint("set ENGRAFT_CACHE, or give --cache DIR without --no-cache"),
        )
    })
}

fn show(cache: &Cache, json: bool) -> anyhow::Result<Outcome> {
    let summary = cache.summary();
    if json {
        output::json(&summary)?;
        return Ok(Outcome::Done);
    }
    let megabytes = |bytes: u64| bytes as f64 / f64::from(1 << 20);
    let mut text = format!(
        "{}\n  {:.1} of at most {:.0} MB\n",
        summary.folder,
        megabytes(summary.bytes),
        megabytes(summary.limit)
    );
    for space in &summary.spaces {
        text.push_str(&format!("  {}  {:4} files  {:8.1} MB\n", space.id, space.files, megabytes(space.bytes)));
    }
    output::text(&text)?;
    Ok(Outcome::Done)
}

fn clear(cache: &Cache, json: bool) -> anyhow::Result<Outcome> {
    let freed = cache.clear()?;
    if json {
        output::json(&json!({ "freed": freed }))?;
    } else {
        output::text(&format!("{:.1} MB freed\n", freed as f64 / f64::from(1 << 20)))?;
    }
    Ok(Outcome::Done)
}
