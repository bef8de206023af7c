//! `engraft audit`

use engraft::config::Fit;
use engraft::data::{Reading, Severity};
use engraft::inductive::text::{TextIntake, is_about_texts, text_reading};

use crate::args::AuditArgs;
use crate::exit::Outcome;
use crate::output;
use crate::terminal::Terminal;

/// Runs the command.
pub fn run(args: &AuditArgs, json: bool, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let mut config = Fit::default();
    args.reading.lay_over(&mut config);
    config.data.clone_from(&args.data);
    let audit = if is_about_texts(&config) {
        TextIntake::read(&args.data, &text_reading(&config)?, terminal)?.audit
    } else {
        super::intake(&args.data, &Reading::of(&config)?, None, terminal)?.audit
    };
    if json {
        output::json(&audit)?;
    } else {
        output::text(&audit.render())?;
    }
    let bad = audit.worst().is_some_and(|worst| worst >= Severity::Warning);
    Ok(if args.strict && bad { Outcome::BadData } else { Outcome::Done })
}
