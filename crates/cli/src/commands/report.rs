//! `engraft report`

use engraft::error::{Error, Problem};
use engraft::files;
use engraft::run::{Report, is_page};

use crate::args::ReportArgs;
use crate::commands::summary::summary;
use crate::exit::Outcome;
use crate::output;

/// The largest report that is read.
const LIMIT: u64 = 256 << 20;

/// Runs the command.
pub fn run(args: &ReportArgs, json: bool) -> anyhow::Result<Outcome> {
    let read = |name: &str| {
        let path = args.run.join(name);
        files::read_limited(&path, LIMIT).map_err(|source| {
            let expected = "a run's folder, as `engraft fit` writes it";
            Error::Weights(Problem::new("this is not a run's folder").expected(expected).found(source).at(path))
        })
    };
    let report: Report = serde_json::from_slice(&read("report.json")?).map_err(|source| {
        let problem = Problem::new("the report is damaged, or of another version").found(source);
        Error::Weights(problem.at(args.run.join("report.json")))
    })?;
    if let Some(output) = &args.output {
        files::claim_file(output, args.force, &[("the run", &args.run)], |path| {
            files::read_limited(path, LIMIT).is_ok_and(|bytes| is_page(&bytes))
        })?;
        files::write_output(output, &read("report.html")?, args.force)?;
    }
    if json {
        output::json(&report)?;
    } else {
        let html = args.output.clone().unwrap_or_else(|| args.run.join("report.html"));
        output::text(&summary(&report, &html))?;
    }
    Ok(Outcome::Done)
}
