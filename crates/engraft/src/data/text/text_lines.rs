//! Lines of a text file, blank ones too: for files of which the lines belong together.

use std::path::Path;

use encoding_rs::UTF_8;

use super::Limits;
use super::encoding::{Detected, detect_as};
use super::lines::Lines;
use super::record::at;
use crate::error::{Error, Problem, Result};
use crate::progress::Observer;

/// The lines of a file one after the other, each within the usual limit of 16 MiB. A line ends at a line feed; a carriage return before it
/// and a byte order mark at the beginning of the file are no part of it.
pub(crate) struct TextLines {
    lines: Lines,
    count: u64,
}

impl TextLines {
    /// Opens a file whose encoding is known ([`require_utf8`], [`detect_as`]).
    ///
    /// # Errors
    /// [`Error::Data`] where it cannot be opened.
    pub(crate) fn open(path: &Path, encoding: &Detected) -> Result<Self> {
        Ok(Self { lines: Lines::open(path, encoding, &Limits::default())?, count: 0 })
    }

    /// The next line, none at the end. The last one need not end in a line feed.
    ///
    /// # Errors
    /// [`Error::Data`] for a line over the limit, with its number.
    pub(crate) fn next_line(&mut self) -> Result<Option<&str>> {
        let line = self.lines.next_of_any()?;
        self.count += u64::from(line.is_some());
        Ok(line)
    }

    /// Lines that were read so far; the number of the last of them, from 1.
    pub(crate) fn count(&self) -> u64 {
        self.count
    }
}

/// Makes sure that a whole file is UTF-8 (or UTF-16 with a byte order mark), without a guess.
///
/// # Errors
/// [`Error::Data`] with the first line that is not, or where it is no text; [`Error::Interrupted`].
pub(crate) fn require_utf8(path: &Path, observer: &dyn Observer) -> Result<Detected> {
    let detected = detect_as(path, Some(UTF_8), observer)?;
    let Some(&line) = detected.lines.first().filter(|_| detected.faults > 0) else { return Ok(detected) };
    let problem = Problem::new(format!("the file is not {}", detected.name())).expected("UTF-8 to the last byte");
    let problem = problem.found(format!("bytes that are no characters, places: {}", detected.faults));
    let hint = "convert it: iconv -f windows-1252 -t utf-8 FILE > NEW (with the encoding that it is in)";
    Err(Error::Data(problem.at(at(path, line)).hint(hint)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    fn lines(bytes: &[u8]) -> Result<Vec<String>> {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("a.txt");
        std::fs::write(&path, bytes).unwrap();
        let mut lines = TextLines::open(&path, &require_utf8(&path, &Silent)?)?;
        let mut read = Vec::new();
        while let Some(line) = lines.next_line()? {
            read.push(line.to_owned());
        }
        assert_eq!(lines.count(), read.len() as u64);
        Ok(read)
    }

    #[test]
    fn blank_lines_marks_and_carriage_returns() {
        assert_eq!(lines(b"\xef\xbb\xbfa\r\n\r\n b\xc2\x85c\n\n").unwrap(), ["a", "", " b\u{85}c", ""]);
        assert_eq!(lines(b"a\n\nb").unwrap(), ["a", "", "b"]);
        assert_eq!(lines(b"\n").unwrap(), [""]);
        assert!(lines(b"").is_ok_and(|lines| lines.is_empty()));
    }

    #[test]
    fn what_is_not_utf8_is_refused_with_its_line() {
        let refused = lines(b"a\nb\xe9\nc\xff\n").unwrap_err().to_string();
        assert!(
            refused.contains("not UTF-8") && refused.contains("a.txt, line 2") && refused.contains("places: 2"),
            "{refused}"
        );
        // U+FFFD that stands in the file is a character.
        assert_eq!(lines("a\u{fffd}\n".as_bytes()).unwrap(), ["a\u{fffd}"]);
    }
}
