//! Ways of quoting that differ from the usual one: quotes after a backslash, blanks before a quote. They are turned into
//! the usual one while a table is read.

use std::io::{self, Read};

/// Bytes that are read at once.
const PIECE: usize = 64 << 10;

/// How the fields of a table are quoted, where that is not the usual way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Dialect {
    /// A quote within quotes has a backslash before it.
    pub(super) backslashes: bool,
    /// A quoted field may have blanks before its quote.
    pub(super) blanks: bool,
}

/// What a table's beginning says for ways of quoting.
#[derive(Debug, Default)]
pub(super) struct Signs {
    /// Quotes after a backslash and within quotes, after which the field goes on.
    pub(super) backslashes: usize,
    /// Fields that begin with blanks and a quote, and end with a quote.
    pub(super) blanks: usize,
    /// Fields that begin so and end otherwise.
    pub(super) odd: usize,
}

/// Where in a table a byte stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Start,
    Blank(usize),
    Plain,
    Quoted,
    Backslash,
    /// After a quote within quotes.
    Quote,
}

/// Turns one way of quoting into the usual one.
#[derive(Debug)]
struct Machine {
    dialect: Dialect,
    delimiter: u8,
    place: Place,
    signs: Signs,
    /// Whether the field began with blanks.
    after_blanks: bool,
}

impl Machine {
    fn new(dialect: Dialect, delimiter: u8) -> Self {
        Self { dialect, delimiter, place: Place::Start, signs: Signs::default(), after_blanks: false }
    }

    fn ends(&self, byte: u8) -> bool {
        byte == self.delimiter || matches!(byte, b'\n' | b'\r')
    }

    fn push(&mut self, byte: u8, out: &mut Vec<u8>) {
        if let Place::Blank(count) = self.place {
            match byte {
                b' ' => {
                    self.place = Place::Blank(count + 1);
                    return;
                }
                b'"' => {
                    self.after_blanks = true;
                    out.push(byte);
                    self.place = Place::Quoted;
                    return;
                }
                _ => {
                    out.extend(std::iter::repeat_n(b' ', count));
                    self.place = Place::Plain;
                }
            }
        }
        self.place = match (self.place, byte) {
            (Place::Start, b'"') => {
                self.after_blanks = false;
                Place::Quoted
            }
            (Place::Start, b' ') if self.dialect.blanks => {
                self.place = Place::Blank(1);
                return;
            }
            (Place::Start | Place::Plain, byte) if self.ends(byte) => Place::Start,
            (Place::Start | Place::Plain, _) => Place::Plain,
            (Place::Quoted, b'\\') if self.dialect.backslashes => {
                self.place = Place::Backslash;
                return;
            }
            (Place::Quoted, b'"') => Place::Quote,
            (Place::Quoted, _) => Place::Quoted,
            (Place::Backslash, b'"') => {
                out.push(b'"');
                Place::Quoted
            }
            (Place::Backslash, _) => {
                out.push(b'\\');
                Place::Quoted
            }
            (Place::Quote, b'"') => Place::Quoted,
            (Place::Quote, byte) if self.ends(byte) => {
                self.signs.blanks += usize::from(self.after_blanks);
                Place::Start
            }
            (Place::Quote, _) => {
                self.signs.odd += usize::from(self.after_blanks);
                Place::Plain
            }
            (Place::Blank(_), _) => unreachable!("blanks are told above"),
        };
        out.push(byte);
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        match self.place {
            Place::Blank(count) => out.extend(std::iter::repeat_n(b' ', count)),
            Place::Backslash => out.push(b'\\'),
            _ => {}
        }
        self.place = Place::Plain;
    }
}

impl Dialect {
    /// Whether it is the usual one.
    pub(super) fn is_usual(self) -> bool {
        self == Self::default()
    }

    /// The beginning of a table, quoted in the usual way.
    pub(super) fn apply(self, head: &[u8], delimiter: u8) -> Vec<u8> {
        self.read(head, delimiter).0
    }

    fn read(self, head: &[u8], delimiter: u8) -> (Vec<u8>, Signs) {
        let (mut machine, mut out) = (Machine::new(self, delimiter), Vec::with_capacity(head.len()));
        head.iter().for_each(|&byte| machine.push(byte, &mut out));
        machine.finish(&mut out);
        (out, machine.signs)
    }
}

impl Signs {
    /// Those in a table's beginning.
    pub(super) fn of(head: &[u8], delimiter: u8) -> Self {
        let (_, signs) = Dialect { blanks: true, backslashes: false }.read(head, delimiter);
        // After a closing quote a field ends: one that goes on after a backslash and a quote was not closed.
        let ends =
            |byte: Option<&u8>| byte.is_none_or(|&byte| byte == delimiter || matches!(byte, b'\n' | b'\r' | b'"'));
        let pairs = head.windows(2).enumerate().filter(|(_, pair)| *pair == b"\\\"");
        Self { backslashes: pairs.filter(|(at, _)| !ends(head.get(at + 2))).count(), ..signs }
    }
}

/// A table quoted in the usual way, whatever it was.
pub(super) struct Usual<R> {
    inner: R,
    machine: Machine,
    raw: Vec<u8>,
    out: Vec<u8>,
    at: usize,
    ended: bool,
}

impl<R: Read> Usual<R> {
    pub(super) fn new(inner: R, dialect: Dialect, delimiter: u8) -> Self {
        let raw = if dialect.is_usual() { Vec::new() } else { vec![0; PIECE] };
        Self { inner, machine: Machine::new(dialect, delimiter), raw, out: Vec::new(), at: 0, ended: false }
    }
}

impl<R: Read> Read for Usual<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.machine.dialect.is_usual() {
            return self.inner.read(buffer);
        }
        while self.at == self.out.len() && !self.ended {
            (self.at, self.ended) = (0, false);
            self.out.clear();
            let read = self.inner.read(&mut self.raw)?;
            self.raw[..read].iter().for_each(|&byte| self.machine.push(byte, &mut self.out));
            if read == 0 {
                self.machine.finish(&mut self.out);
                self.ended = true;
            }
        }
        let ready = &self.out[self.at..];
        let given = ready.len().min(buffer.len());
        buffer[..given].copy_from_slice(&ready[..given]);
        self.at += given;
        Ok(given)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn usual(text: &str, backslashes: bool, blanks: bool) -> String {
        let mut out = String::new();
        Usual::new(text.as_bytes(), Dialect { backslashes, blanks }, b',').read_to_string(&mut out).unwrap();
        out
    }

    #[test]
    fn quotes_after_backslashes_become_double_quotes() {
        assert_eq!(usual(r#"a,"he said \"hi\", twice",b"#, true, false), r#"a,"he said ""hi"", twice",b"#);
        assert_eq!(usual(r#""C:\dir\file","x\\""#, true, false), r#""C:\dir\file","x\\""#);
        assert_eq!(usual(r#"5\" pipe,x"#, true, false), r#"5\" pipe,x"#, "outside of quotes nothing is changed");
    }

    #[test]
    fn blanks_before_quotes_are_dropped_and_others_kept() {
        assert_eq!(usual("a,  \"b, c\"\n d,e", false, true), "a,\"b, c\"\n d,e");
        assert_eq!(usual("a,  ", false, true), "a,  ");
        assert_eq!(usual("\"x, \"\"y\"\"\", \"z\"", false, true), "\"x, \"\"y\"\"\",\"z\"");
    }

    #[test]
    fn signs_are_counted() {
        let signs = Signs::of(
            br#"text,label
"a \"b\" c",x
"C:\d\",y
"#,
            b',',
        );
        assert_eq!((signs.backslashes, signs.blanks), (2, 0));
        let signs = Signs::of(b"text, label\n\"a\", \"b, c\"\nd, \"e\" f\n", b',');
        assert_eq!((signs.backslashes, signs.blanks, signs.odd), (0, 1, 1));
    }

    proptest! {
        #[test]
        fn what_is_quoted_in_the_usual_way_stays(text in "[a, \"\n]{0,60}") {
            prop_assert_eq!(usual(&text, false, false), text);
        }
    }
}
