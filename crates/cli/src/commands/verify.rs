//! `engraft verify`

use engraft::run::verify;

use crate::args::VerifyArgs;
use crate::exit::Outcome;
use crate::output;
use crate::terminal::Terminal;

/// Runs the command.
pub fn run(args: &VerifyArgs, json: bool, terminal: &Terminal) -> anyhow::Result<Outcome> {
    let verification = verify(&args.run, args.data.as_deref(), terminal)?;
    if json {
        output::json(&verification)?;
    } else if verification.reproduced {
        output::text("reproduced: model, report and predictions are the same to the bit\n")?;
    } else {
        let lines: Vec<String> = verification.differences.iter().map(|line| format!("  {line}\n")).collect();
        output::text(&format!("not reproduced:\n{}", lines.concat()))?;
    }
    Ok(if verification.reproduced { Outcome::Done } else { Outcome::NotConfirmed })
}
