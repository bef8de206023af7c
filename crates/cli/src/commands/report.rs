//! `engraft report`

use engraft::artefact::{Report, TargetReport, is_page};
use engraft::data::Task;
use engraft::error::{Error, Problem, shown};
use engraft::files;
use serde::{Deserialize, Serialize};

use crate::args::ReportArgs;
use crate::commands::summary::{interval, of_target, page};
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
    let bytes = read("report.json")?;
    let damaged = |source| {
        let problem = Problem::new("the report is damaged, or of another version").found(source);
        Error::Weights(problem.at(args.run.join("report.json")))
    };
    let report = match kind(&bytes) {
        Some(Task::MultiLabel | Task::Regression | Task::Tags | Task::Answers) => {
            AnyReport::Targets(Box::new(serde_json::from_slice::<TargetReport>(&bytes).map_err(damaged)?))
        }
        _ => AnyReport::Classes(Box::new(serde_json::from_slice::<Report>(&bytes).map_err(damaged)?)),
    };
    if let Some(output) = &args.output {
        files::claim_file(output, args.force, &[("the run", &args.run)], |path| {
            files::read_limited(path, LIMIT).is_ok_and(|bytes| is_page(&bytes))
        })?;
        files::write_output(output, &read("report.html")?, args.force)?;
    }
    if json {
        output::json(&report)?;
        return Ok(Outcome::Done);
    }
    let html = args.output.clone().unwrap_or_else(|| args.run.join("report.html"));
    let report = match report {
        AnyReport::Classes(report) => report,
        AnyReport::Targets(report) => {
            output::text(&(of_target(&report) + &page(&html)))?;
            return Ok(Outcome::Done);
        }
    };
    let mut text = format!("out-of-fold accuracy  {}\n", interval(&report.accuracy));
    for held in &report.held_out {
        text.push_str(&format!("accuracy on {:<9} {}\n", held.split, interval(&held.evaluation.accuracy)));
    }
    text.push_str(&format!("verdict               {}\nreport                {}\n", report.verdict, shown(&html)));
    output::text(&text)?;
    Ok(Outcome::Done)
}

/// The report of a run of any task.
#[derive(Serialize)]
#[serde(untagged)]
enum AnyReport {
    Classes(Box<Report>),
    Targets(Box<TargetReport>),
}

#[derive(Deserialize)]
struct Kind {
    task: String,
}

/// The task that a report names, where it is not a single class.
fn kind(report: &[u8]) -> Option<Task> {
    serde_json::from_slice::<Kind>(report).ok()?.task.parse().ok()
}
