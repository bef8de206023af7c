//! `engraft audit`

use engraft::data::Severity;

use crate::args::AuditArgs;
use crate::exit::Outcome;
use crate::output;
use crate::terminal::Terminal;

/// Runs the command.
pub fn run(args: &AuditArgs, json: bool, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let intake = super::intake(&args.data, None, terminal)?;
    if json {
        output::json(&intake.audit)?;
    } else {
        output::text(&intake.audit.render())?;
    }
    let bad = intake.audit.worst().is_some_and(|worst| worst >= Severity::Warning);
    Ok(if args.strict && bad { Outcome::BadData } else { Outcome::Done })
}
