//! The library's error: what is wrong, what was expected, what was found, where, and what to do.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::suggestion::did_you_mean;

/// Shorthand for results of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Everything that can go wrong, sorted by whose turn it is to act.
///
/// The program maps each kind to an exit code (see `cli/src/exit.rs`).
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The command was asked for something that makes no sense (exit code 2).
    #[error("{0}")]
    Usage(Problem),
    /// The user's data is unusable (exit code 3).
    #[error("{0}")]
    Data(Problem),
    /// A base's weights or card are unusable (exit code 4).
    #[error("{0}")]
    Weights(Problem),
    /// The output cannot be written: no space, read-only, already there (exit code 5).
    #[error("{0}")]
    Output(Problem),
    /// Reading or other input/output failed (exit code 1).
    #[error("{0}")]
    Io(Problem),
    /// Training went wrong: a loss that is not a number, a solver that did not converge (exit code 1).
    #[error("{0}")]
    Training(Problem),
    /// The user asked to stop (exit code 130).
    #[error("interrupted")]
    Interrupted,
}

impl Error {
    /// An error for a failed write of `path`: out of space, not writable, or another cause.
    pub fn write(path: &Path, source: &io::Error) -> Self {
        let problem = match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Problem::new("no space left to write").hint("free some space, or choose another folder")
            }
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                Problem::new("the folder is not writable")
                    .hint("choose another folder with --out, or change its permissions")
            }
            _ => Problem::new("writing failed"),
        };
        Error::Output(problem.found(source).at(path))
    }

    /// An error for a failed read of `path`.
    pub fn read(path: &Path, source: &io::Error) -> Self {
        Error::Io(Problem::new("reading failed").found(source).at(path))
    }
}

/// The text of an error: what, expected, found, where, what to do. Every part but the first is optional.
///
/// ```
/// use engraft::error::Problem;
/// let problem = Problem::new("too few classes").expected("at least 2").found(1).at("photos/").hint("one folder per class");
/// assert_eq!(
///     problem.to_string(),
///     "too few classes\n  expected: at least 2\n  found: 1\n  where: photos/\n  hint: one folder per class"
/// );
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem(Box<Parts>);

/// Boxed, so that a `Result` stays small.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Parts {
    what: String,
    expected: Option<String>,
    found: Option<String>,
    place: Option<String>,
    suggestion: Option<String>,
    hint: Option<String>,
}

impl Problem {
    /// Starts with what is wrong, in a few words.
    pub fn new(what: impl fmt::Display) -> Self {
        let what = what.to_string();
        Self(Box::new(Parts { what, expected: None, found: None, place: None, suggestion: None, hint: None }))
    }

    /// What would have been right.
    #[must_use]
    pub fn expected(mut self, expected: impl fmt::Display) -> Self {
        self.0.expected = Some(expected.to_string());
        self
    }

    /// What was there instead.
    #[must_use]
    pub fn found(mut self, found: impl fmt::Display) -> Self {
        self.0.found = Some(found.to_string());
        self
    }

    /// The file, folder, tensor or flag concerned.
    #[must_use]
    pub fn at(mut self, place: impl AsRef<Path>) -> Self {
        self.0.place = Some(place.as_ref().display().to_string());
        self
    }

    /// Begins the hint with the known names that `found` may have been meant for, where there are any.
    #[must_use]
    pub fn suggest<'a>(mut self, found: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        self.0.suggestion = did_you_mean(found, known);
        self
    }

    /// What the user can do now.
    #[must_use]
    pub fn hint(mut self, hint: impl fmt::Display) -> Self {
        self.0.hint = Some(hint.to_string());
        self
    }

    /// The first line alone: what is wrong.
    pub fn what(&self) -> &str {
        &self.0.what
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.what)?;
        let parts = &self.0;
        for (label, part) in [("expected", &parts.expected), ("found", &parts.found), ("where", &parts.place)] {
            if let Some(part) = part {
                write!(f, "\n  {label}: {part}")?;
            }
        }
        match (&parts.suggestion, &parts.hint) {
            (None, None) => Ok(()),
            (Some(part), None) | (None, Some(part)) => write!(f, "\n  hint: {part}"),
            (Some(suggestion), Some(hint)) => write!(f, "\n  hint: {suggestion} {hint}"),
        }
    }
}

/// A path as text that is safe to print and to store: bytes that are not UTF-8 become `\xNN`.
pub fn printable(path: &Path) -> String {
    use std::os::unix::ffi::OsStrExt;
    path.as_os_str().as_bytes().utf8_chunks().fold(String::new(), |mut text, chunk| {
        text.push_str(chunk.valid());
        for byte in chunk.invalid() {
            text.push_str(&format!("\\x{byte:02X}"));
        }
        text
    })
}

/// The reverse of [`printable`]; a literal `\xNN` in a real name is not told apart.
pub fn from_printable(text: &str) -> PathBuf {
    use std::os::unix::ffi::OsStringExt;
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = bytes[at..].strip_prefix(b"\\x").and_then(|rest| rest.get(..2));
        let byte = escaped.and_then(|hex| u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok());
        match byte {
            Some(byte) if byte >= 0x80 => {
                out.push(byte);
                at += 4;
            }
            _ => {
                out.push(bytes[at]);
                at += 1;
            }
        }
    }
    PathBuf::from(std::ffi::OsString::from_vec(out))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::ffi::OsStrExt;

    #[test]
    fn names_that_are_not_utf8_survive_printing() {
        let path = Path::new(std::ffi::OsStr::from_bytes(b"a/\xff\xfe b\xc3\xa9.png"));
        assert_eq!(printable(path), "a/\\xFF\\xFE b\u{e9}.png");
        assert_eq!(from_printable(&printable(path)), path);
    }
}
