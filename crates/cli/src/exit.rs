//! Exit codes: 0 done, 1 failed, 2 wrong usage, 3 bad data, 4 bad weights, 5 no space or not writable, 130 interrupted.

use std::process::ExitCode;

use engraft::error::Error;

use crate::terminal::Terminal;

/// The code of what was interrupted.
pub const INTERRUPTED: u8 = 130;
/// The code of a failure that is neither the user's, the data's nor the disk's.
pub const FAILED: u8 = 1;

/// How a command that did not fail ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// Done.
    Done,
    /// Done, but some of the data was bad, or a check did not hold.
    BadData,
    /// Done, but what was to be confirmed was not.
    NotConfirmed,
}

/// Prints an error, and gives the code.
pub fn report(outcome: anyhow::Result<Outcome>, terminal: &Terminal) -> ExitCode {
    let code = match outcome {
        Ok(Outcome::Done) => 0,
        Ok(Outcome::NotConfirmed) => 1,
        Ok(Outcome::BadData) => 3,
        Err(error) if is_broken_pipe(&error) => 0,
        Err(error) => {
            terminal.error(&error);
            code_of(&error)
        }
    };
    ExitCode::from(code)
}

fn code_of(error: &anyhow::Error) -> u8 {
    match error.downcast_ref::<Error>() {
        Some(Error::Usage(_)) => 2,
        Some(Error::Data(_)) => 3,
        Some(Error::Weights(_)) => 4,
        Some(Error::Output(_)) => 5,
        Some(Error::Interrupted) => INTERRUPTED,
        Some(Error::Io(_) | Error::Training(_)) | None => 1,
    }
}

/// Whether whoever read our stdout went away: no fault, nothing to say.
fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<std::io::Error>().is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use engraft::error::Problem;

    #[test]
    fn each_kind_has_its_code() {
        let problem = || Problem::new("x");
        for (error, code) in [
            (Error::Usage(problem()), 2),
            (Error::Data(problem()), 3),
            (Error::Weights(problem()), 4),
            (Error::Output(problem()), 5),
            (Error::Io(problem()), 1),
            (Error::Training(problem()), 1),
            (Error::Interrupted, 130),
        ] {
            assert_eq!(code_of(&error.into()), code);
        }
    }
}
