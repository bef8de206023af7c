//! `engraft audit`

use engraft::data::Severity;
use engraft::data::intake::InputKind;
use engraft::progress::Observer;
use engraft::settings::{Fit, laid_over};

use crate::args::AuditArgs;
use crate::exit::Outcome;
use crate::output;
use crate::terminal::Terminal;

/// Runs the command.
pub fn run(args: &AuditArgs, json: bool, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let mut config = laid_over(&Fit::default(), &args.reading)?;
    config.data.clone_from(&args.data);
    config.base = args.base.clone().unwrap_or_default();
    let audit = super::intake(&config, InputKind::of(&config), None, terminal)?.audit;
    if json {
        output::json(&audit)?;
    } else {
        output::text(&audit.render())?;
    }
    let bad = audit.worst().is_some_and(|worst| worst >= Severity::Warning);
    if bad && !args.strict {
        terminal.say("findings leave the exit code at 0; with --strict it is 3");
    }
    Ok(if args.strict && bad { Outcome::BadData } else { Outcome::Done })
}
