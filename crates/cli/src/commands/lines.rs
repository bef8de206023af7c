//! Lines of stdin.

use std::io::{self, BufRead};

use engraft::error::{Error, Problem, Result};

/// Longest line, in bytes.
const LINE: usize = 16 << 20;
/// The byte order mark of UTF-8.
const MARK: &[u8] = b"\xEF\xBB\xBF";

/// Every line that is not empty, with its number from 1. A line that is no UTF-8, or too long, is an error of its own: those
/// after it are read.
pub fn lines(mut reader: impl BufRead + 'static) -> impl Iterator<Item = (usize, Result<String>)> {
    let mut number = 0;
    std::iter::from_fn(move || {
        loop {
            let mut bytes = Vec::new();
            let read = io::Read::take(&mut reader, LINE as u64 + 1).read_until(b'\n', &mut bytes);
            number += 1;
            match read {
                Ok(0) => return None,
                Err(source) => {
                    return Some((number, Err(Error::Io(Problem::new("the line cannot be read").found(source)))));
                }
                Ok(_) if bytes.len() > LINE => {
                    // What is left of it belongs to no other line.
                    let _ = skip_line(&mut reader);
                    let problem = Problem::new("the line is too long").expected(format!("at most {LINE} bytes"));
                    return Some((number, Err(Error::Data(problem))));
                }
                Ok(_) => {}
            }
            let bytes = match number {
                1 => bytes.strip_prefix(MARK).unwrap_or(&bytes),
                _ => bytes.as_slice(),
            };
            match std::str::from_utf8(bytes) {
                Ok(line) if line.trim().is_empty() => continue,
                Ok(line) => return Some((number, Ok(line.trim_end_matches(['\n', '\r']).to_owned()))),
                Err(source) => {
                    let problem = Problem::new("the line is no UTF-8").found(source);
                    let problem = problem.hint("convert it, as with `iconv -f latin1 -t utf8`");
                    return Some((number, Err(Error::Data(problem))));
                }
            }
        }
    })
}

fn skip_line(reader: &mut impl BufRead) -> io::Result<()> {
    loop {
        let buffer = reader.fill_buf()?;
        let (used, done) = match buffer.iter().position(|byte| *byte == b'\n') {
            Some(end) => (end + 1, true),
            None => (buffer.len(), buffer.is_empty()),
        };
        reader.consume(used);
        if done {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_line_is_one_error_and_the_rest_is_read() {
        let mut bytes = b"\xEF\xBB\xBFfirst\r\n\n\xff bad\nlast".to_vec();
        let found = |bytes: Vec<u8>| -> Vec<(usize, Option<String>)> {
            lines(io::Cursor::new(bytes)).map(|(number, line)| (number, line.ok())).collect()
        };
        let expected = [(1, Some("first".to_owned())), (3, None), (4, Some("last".to_owned()))];
        assert_eq!(found(bytes.clone()), expected);
        bytes.push(b'\n');
        bytes.extend(std::iter::repeat_n(b'x', LINE + 10));
        bytes.extend(b"\nafter\n");
        assert_eq!(found(bytes)[3..], [(5, None), (6, Some("after".to_owned()))]);
    }
}
