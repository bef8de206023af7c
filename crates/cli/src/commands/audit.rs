//! `engraft audit`

use engraft::config::Fit;
use engraft::data::{Reading, Severity};

use crate::args::AuditArgs;
use crate::exit::Outcome;
use crate::output;
use crate::terminal::Terminal;

/// Runs the command.
pub fn run(args: &AuditArgs, json: bool, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let mut config = Fit::default();
    args.reading.lay_over(&mut config);
    let intake = super::intake(&args.data, &Reading::of(&config)?, None, terminal)?;
    if json {
        output::json(&intake.audit)?;
    } else {
        output::text(&intake.audit.render())?;
    }
    let bad = intake.audit.worst().is_some_and(|worst| worst >= Severity::Warning);
    Ok(if args.strict && bad { Outcome::BadData } else { Outcome::Done })
}
