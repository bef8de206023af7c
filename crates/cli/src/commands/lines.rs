//! Lines of stdin, and the moments at which no more of them are there.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::time::Duration;

use engraft::error::{Error, Problem, Result};
use engraft::progress::Observer;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Longest line, in bytes.
const LINE: usize = 16 << 20;
/// Bytes that are read at once.
const PIECE: usize = 64 << 10;
/// The byte order mark of UTF-8.
const MARK: &[u8] = b"\xEF\xBB\xBF";
/// How long is waited for input before the wish to stop is looked for again.
const WAIT: Duration = Duration::from_millis(50);

/// A line with its number from 1, or nothing where no more input is there at the moment.
///
/// A blank line is one too: who writes a text waits for its answer. A line that is not UTF-8, or too long, is an error of its own: those after it are read. At a pause everything that was read
/// is to be answered, since who writes may wait for it; and it is to be seen whether the user asked to stop.
pub type Line = Option<(usize, Result<String>)>;

/// Lines of stdin.
///
/// # Errors
/// Where stdin cannot be opened a second time.
pub fn lines_of_stdin(observer: &dyn Observer) -> Result<impl Iterator<Item = Line>> {
    let stdin = io::stdin().as_fd().try_clone_to_owned();
    let stdin = stdin.map_err(|source| Error::Io(Problem::new("stdin cannot be read").found(source)))?;
    Ok(Lines::new(Stdin(File::from(stdin)), observer))
}

/// Hands over items in batches of `most`, and what there is of one at every pause (nothing) and at the end; the sum of what
/// `each` gives.
pub fn in_batches<T>(
    items: impl Iterator<Item = Option<T>>,
    most: usize,
    mut each: impl FnMut(&mut Vec<T>) -> anyhow::Result<usize>,
) -> anyhow::Result<usize> {
    let (mut batch, mut sum) = (Vec::with_capacity(most), 0);
    for item in items {
        let is_pause = item.is_none();
        batch.extend(item);
        if is_pause || batch.len() == most {
            sum += each(&mut batch)?;
            batch.clear();
        }
    }
    Ok(sum + each(&mut batch)?)
}

/// What lines are read from.
trait Source: Read {
    /// Waits for input, or the end of it, no longer than this; whether it is there.
    fn is_ready(&mut self, wait: Duration) -> bool;
}

struct Stdin(File);

impl Read for Stdin {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Source for Stdin {
    fn is_ready(&mut self, wait: Duration) -> bool {
        let wait = Timespec { tv_sec: 0, tv_nsec: wait.subsec_nanos().into() };
        match poll(&mut [PollFd::new(&self.0, PollFlags::IN)], Some(&wait)) {
            Ok(ready) => ready > 0,
            Err(rustix::io::Errno::INTR) => false,
            // What cannot be asked is read, which says what is wrong.
            Err(_) => true,
        }
    }
}

struct Lines<'a, S> {
    source: S,
    observer: &'a dyn Observer,
    bytes: Vec<u8>,
    /// Where the next line begins in `bytes`, and how far no end of it was found.
    from: usize,
    seen: usize,
    number: usize,
    /// Whether a line that was too long is still coming in.
    skipping: bool,
    /// Whether a pause was told and nothing has come since.
    paused: bool,
    ended: bool,
}

impl<'a, S: Source> Lines<'a, S> {
    fn new(source: S, observer: &'a dyn Observer) -> Self {
        let (bytes, from, seen, number) = (Vec::new(), 0, 0, 0);
        Self { source, observer, bytes, from, seen, number, skipping: false, paused: false, ended: false }
    }

    /// The next line that is there whole, with its number; one that is too long is nothing.
    fn whole(&mut self) -> Option<(usize, Option<&[u8]>)> {
        let end = self.bytes[self.seen..].iter().position(|byte| *byte == b'\n').map(|at| self.seen + at + 1);
        let rest = self.bytes.len();
        let end = match end {
            Some(end) => end,
            None if self.ended && rest > self.from => rest,
            None => {
                self.seen = rest;
                if self.skipping {
                    self.from = rest;
                } else if rest - self.from > LINE {
                    // What is left of it belongs to no other line.
                    (self.skipping, self.from) = (true, rest);
                    self.number += 1;
                    return Some((self.number, None));
                }
                return None;
            }
        };
        let line = self.from..end;
        (self.from, self.seen) = (end, end);
        if std::mem::take(&mut self.skipping) {
            return self.whole();
        }
        self.number += 1;
        Some((self.number, (line.len() <= LINE).then(|| &self.bytes[line])))
    }

    /// Reads more; an error is the end.
    fn more(&mut self) -> Option<Error> {
        self.bytes.drain(..self.from);
        self.seen -= self.from;
        self.from = 0;
        let length = self.bytes.len();
        self.bytes.resize(length + PIECE, 0);
        let read = self.source.read(&mut self.bytes[length..]);
        self.bytes.truncate(length + *read.as_ref().unwrap_or(&0));
        match read {
            Ok(read) => self.ended = read == 0,
            Err(source) if matches!(source.kind(), io::ErrorKind::Interrupted | io::ErrorKind::WouldBlock) => {}
            Err(source) => {
                self.ended = true;
                return Some(Error::Io(Problem::new("the input cannot be read").found(source)));
            }
        }
        None
    }
}

impl<S: Source> Iterator for Lines<'_, S> {
    type Item = Line;

    fn next(&mut self) -> Option<Line> {
        loop {
            if let Some((number, line)) = self.whole() {
                let text = text(number, line);
                self.paused = false;
                return Some(Some((number, text)));
            }
            if self.ended {
                return None;
            }
            if !self.paused && !self.source.is_ready(Duration::ZERO) {
                self.paused = true;
                return Some(None);
            }
            while !self.source.is_ready(WAIT) {
                if self.observer.interrupted() {
                    return Some(None);
                }
            }
            if let Some(error) = self.more() {
                return Some(Some((self.number + 1, Err(error))));
            }
        }
    }
}

/// A line's text without its end.
fn text(number: usize, line: Option<&[u8]>) -> Result<String> {
    let Some(bytes) = line else {
        return Err(Error::Data(Problem::new("the line is too long").expected(format!("at most {LINE} bytes"))));
    };
    let bytes = match number {
        1 => bytes.strip_prefix(MARK).unwrap_or(bytes),
        _ => bytes,
    };
    match std::str::from_utf8(bytes) {
        Ok(line) => Ok(line.trim_end_matches(['\n', '\r']).to_owned()),
        Err(source) => {
            let problem = Problem::new("the line is not UTF-8").found(source);
            Err(Error::Data(problem.hint("convert it, as with `iconv -f latin1 -t utf8`")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use engraft::progress::Silent;

    /// Input in pieces; before one that is nothing there is none at the moment.
    struct Pieces(std::collections::VecDeque<Option<Vec<u8>>>);

    impl Pieces {
        fn new(pieces: &[Option<&[u8]>]) -> Self {
            Self(pieces.iter().map(|piece| piece.map(<[u8]>::to_vec)).collect())
        }
    }

    impl Read for Pieces {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let Some(Some(mut piece)) = self.0.pop_front() else { return Ok(0) };
            let rest = piece.split_off(piece.len().min(buffer.len()));
            buffer[..piece.len()].copy_from_slice(&piece);
            if !rest.is_empty() {
                self.0.push_front(Some(rest));
            }
            Ok(piece.len())
        }
    }

    impl Source for Pieces {
        fn is_ready(&mut self, wait: Duration) -> bool {
            let is_ready = !matches!(self.0.front(), Some(None));
            if !is_ready && !wait.is_zero() {
                self.0.pop_front();
            }
            is_ready
        }
    }

    fn found(pieces: Pieces) -> Vec<Option<(usize, Option<String>)>> {
        Lines::new(pieces, &Silent).map(|line| line.map(|(number, line)| (number, line.ok()))).collect()
    }

    fn line(number: usize, text: &str) -> Option<(usize, Option<String>)> {
        Some((number, Some(text.to_owned())))
    }

    #[test]
    fn a_broken_line_is_one_error_and_the_rest_is_read() {
        let mut bytes = b"\xEF\xBB\xBFfirst\r\n\n\xff bad\nlast".to_vec();
        let expected = [line(1, "first"), line(2, ""), Some((3, None)), line(4, "last")];
        assert_eq!(found(Pieces::new(&[Some(&bytes)])), expected);
        bytes.push(b'\n');
        bytes.extend(std::iter::repeat_n(b'x', LINE + 10));
        bytes.extend(b"\nafter\n");
        assert_eq!(found(Pieces::new(&[Some(&bytes)]))[4..], [Some((5, None)), line(6, "after")]);
        let mut bytes = vec![b'x'; LINE + PIECE];
        assert_eq!(found(Pieces::new(&[Some(&bytes)])), [Some((1, None))]);
        (bytes[LINE - 1], bytes[LINE]) = (b'\n', b'y');
        bytes.truncate(LINE + 1);
        let lines = found(Pieces::new(&[Some(&bytes)]));
        assert_eq!(lines[1], line(2, "y"));
        assert_eq!(lines[0].as_ref().unwrap().1.as_ref().unwrap().len(), LINE - 1, "the longest line");
    }

    #[test]
    fn a_pause_is_told_once_and_half_a_line_waits_for_its_end() {
        let pieces =
            [Some(b"one\ntwo\nth".as_slice()), None, None, Some(b"ree\n"), Some(b"four\n"), None, Some(b"five")];
        let expected = [line(1, "one"), line(2, "two"), None, line(3, "three"), line(4, "four"), None, line(5, "five")];
        assert_eq!(found(Pieces::new(&pieces)), expected);
        assert_eq!(found(Pieces::new(&[None, Some(b"one\n")])), [None, line(1, "one")]);
        assert_eq!(found(Pieces::new(&[])), []);
    }

    #[test]
    fn batches_are_full_or_end_at_a_pause() {
        let mut sizes = Vec::new();
        let items = [Some(1), Some(2), Some(3), None, None, Some(4)];
        let sum = in_batches(items.into_iter(), 2, |batch| {
            sizes.push(batch.len());
            Ok(batch.len())
        });
        assert_eq!(sum.unwrap(), 4);
        assert_eq!(sizes, [2, 1, 0, 1]);
    }
}
