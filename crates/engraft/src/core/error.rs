//! The library's error: what is wrong, what was expected, what was found, where, and what to do.

use std::borrow::Cow;
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
    /// The command was asked for something that is invalid (exit code 2).
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
    pub(crate) fn write(path: &Path, source: &io::Error) -> Self {
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

    /// Why it went wrong, in a few words that do not depend on the place: to count equal ones.
    pub fn reason(&self) -> String {
        match self {
            Error::Usage(problem)
            | Error::Data(problem)
            | Error::Weights(problem)
            | Error::Output(problem)
            | Error::Io(problem)
            | Error::Training(problem) => {
                let cause = problem.0.found.first().filter(|_| problem.0.is_caused);
                cause.unwrap_or(&problem.0.what).clone()
            }
            Error::Interrupted => self.to_string(),
        }
    }

    /// An error for a failed read of `path`.
    pub(crate) fn read(path: &Path, source: &io::Error) -> Self {
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
    /// Line by line.
    found: Vec<String>,
    /// Whether what was found is the reason, and the rest the same for all reasons.
    is_caused: bool,
    place: Option<String>,
    suggestion: Option<String>,
    hint: Option<String>,
}

impl Problem {
    /// Starts with what is wrong, in a few words.
    pub fn new(what: impl fmt::Display) -> Self {
        let what = what.to_string();
        let (expected, found, place, suggestion, hint) = (None, Vec::new(), None, None, None);
        Self(Box::new(Parts { what, expected, found, is_caused: false, place, suggestion, hint }))
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
        self.0.found = vec![found.to_string()];
        self
    }

    /// The same for what is the reason, by which errors are counted ([`Error::reason`]).
    #[must_use]
    pub(crate) fn because(self, found: impl fmt::Display) -> Self {
        let mut problem = self.found(found);
        problem.0.is_caused = true;
        problem
    }

    /// The same for what goes over several lines, such as a parser's image of a place in a text.
    #[must_use]
    pub(crate) fn found_lines(mut self, found: impl fmt::Display) -> Self {
        self.0.found = found.to_string().trim().lines().map(str::to_owned).collect();
        self
    }

    /// The file, folder, tensor or flag concerned.
    #[must_use]
    pub fn at(mut self, place: impl AsRef<Path>) -> Self {
        self.0.place = Some(printable(place.as_ref()));
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

    /// Whether a column that was asked for is missing, or nobody knows which one is meant.
    pub fn is_about_columns(&self) -> bool {
        ["there is no column", "no column looks like", "the column `"].iter().any(|what| self.0.what.starts_with(what))
    }

    /// The first line alone: what is wrong.
    pub(crate) fn what(&self) -> &str {
        &self.0.what
    }
}

impl fmt::Display for Problem {
    /// Every part on one line: what stands in it may be from a file, or be a file's name.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&clipped(&self.0.what))?;
        let Parts { expected, found, place, suggestion, hint, .. } = &*self.0;
        let advice: Vec<&str> = suggestion.iter().chain(hint).map(String::as_str).collect();
        let advice = (!advice.is_empty()).then(|| advice.join(" "));
        let parts = [("expected", expected.as_slice()), ("found", found), ("where", place.as_slice())];
        for (label, lines) in parts.into_iter().chain([("hint", advice.as_slice())]) {
            for (line, text) in lines.iter().enumerate() {
                match line {
                    0 => write!(f, "\n  {label}: ")?,
                    _ => f.write_str("\n    ")?,
                }
                f.write_str(&clipped(text))?;
            }
        }
        Ok(())
    }
}

/// Characters of a part of an error that are shown: what stands in it may be from a file, and as long as that.
const LONGEST: usize = 1000;

/// A part of an error for a terminal.
fn clipped(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}... ({} bytes)", printable_text(&text[..end]), text.len()).into(),
        None => printable_text(text),
    }
}

/// The first of several things in words, and that there are more: `a, b, c, ...`.
pub(crate) fn first_of(things: impl IntoIterator<Item = impl fmt::Display>, most: usize) -> String {
    let mut things = things.into_iter();
    let first: Vec<String> = things.by_ref().take(most).map(|thing| thing.to_string()).collect();
    let more = if things.next().is_some() { ", ..." } else { "" };
    format!("{}{more}", first.join(", "))
}

/// Text that cannot steer a terminal or hide what it says: control characters (of which the names of files may hold any),
/// separators of lines and paragraphs, and marks that turn the direction of writing become `\n`, `\t`, `\u{1b}` and so on.
/// Everything else is left as it is, backslashes too: the result is for readers, and for no program.
pub fn printable_text(text: &str) -> Cow<'_, str> {
    if !text.contains(steers) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(text.chars().fold(String::with_capacity(text.len() + 16), |mut out, letter| {
        if steers(letter) {
            out.extend(letter.escape_default());
        } else {
            out.push(letter);
        }
        out
    }))
}

/// A path on one line for a reader (see [`printable`] and [`printable_text`]).
pub fn shown(path: impl AsRef<Path>) -> String {
    printable_text(&printable(path.as_ref())).into_owned()
}

/// Whether a character does something to a terminal or to its neighbours instead of being shown.
pub fn steers(letter: char) -> bool {
    letter.is_control()
        || matches!(letter,
            // Direction: marks, embeddings and overrides, isolates.
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
            // Separators of lines and paragraphs.
            | '\u{2028}' | '\u{2029}'
            // Deprecated format characters, annotations, tags: invisible.
            | '\u{206a}'..='\u{206f}' | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e007f}')
}

/// A path as text to store, and to print by what escapes it for a terminal ([`printable_text`]): bytes that are not UTF-8 become `\xNN`.
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
    fn nothing_in_an_error_steers_a_terminal_or_makes_a_line_of_its_own() {
        let name = Path::new(std::ffi::OsStr::from_bytes(b"a\x1b]0;x\x07\n  hint: rm\xff\xe2\x80\xae"));
        let problem = Problem::new("odd\r").found("\u{9b}1m").at(name);
        let expected = "odd\\r\n  found: \\u{9b}1m\n  where: a\\u{1b}]0;x\\u{7}\\n  hint: rm\\xFF\\u{202e}";
        assert_eq!(problem.to_string(), expected);
        assert_eq!(printable_text("na\u{ef}ve \u{5d0}\u{200d} \\n"), "na\u{ef}ve \u{5d0}\u{200d} \\n");
    }

    #[test]
    fn long_parts_are_cut_and_reasons_do_not_depend_on_what_was_found() {
        let problem = Problem::new("a label is odd").found("x".repeat(5000));
        assert_eq!(Error::Data(problem.clone()).reason(), "a label is odd");
        assert!(problem.to_string().ends_with("xxx... (5000 bytes)") && problem.to_string().len() < 1100);
        assert_eq!(Error::Data(Problem::new("the image cannot be read").because("cut off")).reason(), "cut off");
    }

    #[test]
    fn names_that_are_not_utf8_survive_printing() {
        let path = Path::new(std::ffi::OsStr::from_bytes(b"a/\xff\xfe b\xc3\xa9.png"));
        assert_eq!(printable(path), "a/\\xFF\\xFE b\u{e9}.png");
        assert_eq!(from_printable(&printable(path)), path);
    }
}
