//! Data on stdout. Names of files and classes may hold anything: nothing that steers a terminal reaches one.

use std::io::{self, IsTerminal, Write};
use std::sync::LazyLock;

use engraft::error::{printable_text, steers};
use serde::Serialize;
use serde_json::Value;

/// Prints text for a reader, of as many lines as it has.
pub fn text(text: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(lines_for_reader(text).as_bytes())?;
    out.flush()
}

/// Prints one JSON document.
pub fn json<T: Serialize>(value: &T) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{}", escaped_json(serde_json::to_string_pretty(value)?))?;
    out.flush()
}

/// Writes a JSON value on one line, to what leads to stdout.
pub fn json_row(out: &mut impl Write, value: &Value) -> io::Result<()> {
    writeln!(out, "{}", escaped_json(value.to_string()))
}

/// Writes a row of CSV to what leads to stdout: as it is where a program reads it, and without what steers a terminal
/// where stdout is one.
pub fn csv_row(out: &mut impl Write, fields: impl IntoIterator<Item = String>) -> anyhow::Result<()> {
    static TERMINAL: LazyLock<bool> = LazyLock::new(|| io::stdout().is_terminal());
    let mut row = csv::WriterBuilder::new().flexible(true).from_writer(Vec::new());
    row.write_record(fields)?;
    let row = String::from_utf8(row.into_inner()?)?;
    if *TERMINAL {
        writeln!(out, "{}", printable_text(row.trim_end_matches('\n')))?;
    } else {
        out.write_all(row.as_bytes())?;
    }
    Ok(())
}

/// Text of several lines, of which none steers a terminal.
pub fn lines_for_reader(text: &str) -> String {
    text.split('\n').map(printable_text).collect::<Vec<_>>().join("\n")
}

/// The same JSON with characters that steer a terminal as escapes, which mean the same. (JSON itself demands it of
/// those below U+0020 only, which are left between its tokens alone.)
fn escaped_json(json: String) -> String {
    let escaped = |letter: char| letter > '~' && steers(letter);
    if !json.contains(escaped) {
        return json;
    }
    json.chars().fold(String::with_capacity(json.len() + 16), |mut out, letter| {
        if escaped(letter) {
            let mut units = [0; 2];
            letter.encode_utf16(&mut units).iter().for_each(|unit| out.push_str(&format!("\\u{unit:04x}")));
        } else {
            out.push(letter);
        }
        out
    })
}

/// A share as a percentage with one decimal.
pub fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_says_the_same_without_steering_a_terminal() {
        let value = serde_json::json!({ "path": "a\u{1b}\u{9b}1m\u{202e}\u{e0041}\u{7f}\u{e9}\n" });
        let mut line = Vec::new();
        json_row(&mut line, &value).unwrap();
        let line = String::from_utf8(line).unwrap();
        assert_eq!(line, "{\"path\":\"a\\u001b\\u009b1m\\u202e\\udb40\\udc41\\u007f\u{e9}\\n\"}\n");
        assert_eq!(serde_json::from_str::<Value>(&line).unwrap(), value);
    }

    #[test]
    fn lines_stay_lines() {
        assert_eq!(lines_for_reader("a\u{7}\n\tb\n"), "a\\u{7}\n\\tb\n");
    }
}
