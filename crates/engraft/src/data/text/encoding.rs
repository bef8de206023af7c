//! How a text file is written: found out over the whole of it, and said.
//!
//! A byte order mark decides. Without one, text in which every other byte is zero is UTF-16; what is UTF-8 without a
//! fault is that; what has more characters of several bytes that are right than faults is UTF-8 that was broken, and its
//! faults become U+FFFD; anything else is one of the old encodings, guessed as Firefox does (`chardetng`) and said.
//! What has too many control characters is no text.

use std::io::{self, Read};
use std::path::Path;

use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
use encoding_rs::{Decoder, DecoderResult, Encoding, UTF_8, UTF_16BE, UTF_16LE, WINDOWS_1252};

use crate::data::finding::{Finding, FindingKind, Severity};
use crate::error::{Error, Problem, Result};
use crate::files::open_regular;
use crate::progress::{Observer, Silent};

/// Lines with faults that are remembered.
const SHOWN: usize = 8;
/// Bytes that are read at once.
const PIECE: usize = 64 << 10;
/// Bytes, from the first that is not ASCII, by which an old encoding is guessed.
const GUESSED_BY: usize = 4 << 20;
/// Bytes that a glance at a file reads.
const GLANCE: u64 = 1 << 20;

/// How a file is written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detected {
    /// The encoding.
    pub(crate) encoding: &'static Encoding,
    /// Why it is that one.
    pub(crate) reason: Reason,
    /// Places that are not characters of the encoding; each becomes U+FFFD.
    pub(crate) faults: u64,
    /// The lines of the first of them, counted from 1.
    pub(crate) lines: Vec<u64>,
}

/// Why a file is read in an encoding.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// A byte order mark says so.
    Marked,
    /// It was asked for.
    Asked,
    /// It is UTF-8, but for faults.
    Utf8,
    /// Every other byte is zero.
    Zeros,
    /// The bytes look like it.
    Guessed,
}

impl Detected {
    /// The encoding's usual name.
    pub(crate) fn name(&self) -> &'static str {
        self.encoding.name()
    }

    /// What was guessed.
    pub(crate) fn finding(&self) -> Option<Finding> {
        let message = self.remark().filter(|_| self.reason == Reason::Guessed)?;
        Some(Finding::new(FindingKind::Guessed, Severity::Info, message, Vec::new()))
    }

    /// What is worth saying; nothing about plain UTF-8.
    pub fn remark(&self) -> Option<String> {
        let mut said = Vec::new();
        let latin = if self.encoding == WINDOWS_1252 { " (Latin-1)" } else { "" };
        match self.reason {
            Reason::Utf8 => {}
            Reason::Marked => said.push(format!("written as {}, as its byte order mark says", self.name())),
            Reason::Asked => said.push(format!("read as {}, as it was asked for", self.name())),
            Reason::Zeros => said.push(format!("read as {}, since every other byte is zero", self.name())),
            Reason::Guessed => said.push(format!(
                "not UTF-8, and read as {}{latin} by what its bytes look like; --encoding NAME says otherwise",
                self.name()
            )),
        }
        if self.faults > 0 {
            let lines: Vec<String> = self.lines.iter().map(u64::to_string).collect();
            let more = if self.faults as usize > lines.len() { " and others" } else { "" };
            said.push(format!(
                "bytes that are not {} became U+FFFD, places: {} (lines {}{more})",
                self.name(),
                self.faults,
                lines.join(", ")
            ));
        }
        (!said.is_empty()).then(|| said.join("; "))
    }
}

/// Finds out how a file is written, or checks the encoding of the name that was asked for; a byte order mark is stronger. It
/// is read once, and again where it is not UTF-8; the observer may end that.
///
/// # Errors
/// [`Error::Data`] where it is not text, or cannot be read; [`Error::Usage`] for an unknown name; [`Error::Interrupted`].
pub fn detect_file(path: &Path, asked: Option<&str>, observer: &dyn Observer) -> Result<Detected> {
    detect_as(path, encoding_of(asked)?, observer)
}

/// As [`detect_file`], of an encoding that was looked up.
///
/// # Errors
/// As there.
pub(crate) fn detect_as(path: &Path, asked: Option<&'static Encoding>, observer: &dyn Observer) -> Result<Detected> {
    let found = match asked {
        Some(encoding) => as_asked(|| open_regular(path), encoding, observer),
        None => detect(|| open_regular(path), observer),
    };
    found.map_err(|refused| refused.at(path))
}

/// As [`detect_file`], by the first mebibyte alone.
///
/// # Errors
/// As there.
pub(crate) fn glance(path: &Path) -> Result<Detected> {
    detect(|| open_regular(path).map(|file| file.take(GLANCE)), &Silent).map_err(|refused| refused.at(path))
}

/// As [`detect_as`], of bytes.
///
/// # Errors
/// As there.
pub(crate) fn detect_bytes(bytes: &[u8], path: &Path, asked: Option<&'static Encoding>) -> Result<Detected> {
    let found = match asked {
        Some(encoding) => as_asked(|| Ok(bytes), encoding, &Silent),
        None => detect(|| Ok(bytes), &Silent),
    };
    found.map_err(|refused| refused.at(path))
}

/// The encoding of a name: `windows-1251`, `gb18030`, `shift_jis`, `latin1`, ...
///
/// # Errors
/// [`Error::Usage`] where there is none of that name.
pub(crate) fn encoding_of(name: Option<&str>) -> Result<Option<&'static Encoding>> {
    let Some(name) = name else { return Ok(None) };
    let found = Encoding::for_label_no_replacement(name.trim().as_bytes());
    found.map(Some).ok_or_else(|| {
        let names =
            ["utf-8", "utf-16le", "utf-16be", "windows-1252", "windows-1251", "gb18030", "shift_jis", "big5", "euc-kr"];
        let problem =
            Problem::new("no such encoding").expected("a name as web pages have it: windows-1251, gb18030, shift_jis");
        Error::Usage(problem.found(name).suggest(name, names).at("--encoding"))
    })
}

fn as_asked<R: Read>(
    open: impl Fn() -> io::Result<R>,
    encoding: &'static Encoding,
    observer: &dyn Observer,
) -> std::result::Result<Detected, Refused> {
    let mut head = Vec::new();
    open()?.take(8).read_to_end(&mut head)?;
    if let Some(problem) = known_otherwise(&head) {
        return Err(Refused::NoText(problem));
    }
    let (encoding, reason) = match Encoding::for_bom(&head) {
        Some((marked, _)) => (marked, Reason::Marked),
        None => (encoding, Reason::Asked),
    };
    let survey = survey(encoding, &mut open()?, observer)?;
    Ok(Detected { encoding, reason, faults: survey.faults, lines: survey.lines })
}

/// The old encoding that bytes look like.
fn guess<R: Read>(reader: &mut R, observer: &dyn Observer) -> std::result::Result<&'static Encoding, Refused> {
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    let (mut piece, mut fed) = (vec![0; PIECE], 0);
    while fed < GUESSED_BY {
        observer.check().map_err(|_| Refused::Interrupted)?;
        let read = read_some(reader, &mut piece)?;
        if read == 0 {
            break;
        }
        if fed > 0 || !piece[..read].is_ascii() {
            detector.feed(&piece[..read], false);
            fed += read;
        }
    }
    detector.feed(&[], true);
    Ok(detector.guess(None, Utf8Detection::Deny))
}

/// Whether a file's first bytes read as text.
pub(in crate::data) fn looks_like_text(path: &Path) -> bool {
    let head = open_regular(path).and_then(|file| {
        let mut head = Vec::new();
        file.take(PIECE as u64).read_to_end(&mut head).map(|_| head)
    });
    head.is_ok_and(|head| !head.is_empty() && detect(|| Ok(head.as_slice()), &Silent).is_ok())
}

enum Refused {
    Io(io::Error),
    NoText(Problem),
    Interrupted,
}

impl Refused {
    fn at(self, path: &Path) -> Error {
        match self {
            Refused::Io(source) => crate::data::missing(path, &source),
            Refused::NoText(problem) => Error::Data(problem.at(path)),
            Refused::Interrupted => Error::Interrupted,
        }
    }
}

impl From<io::Error> for Refused {
    fn from(source: io::Error) -> Self {
        Refused::Io(source)
    }
}

fn detect<R: Read>(
    open: impl Fn() -> io::Result<R>,
    observer: &dyn Observer,
) -> std::result::Result<Detected, Refused> {
    let mut counting = Counting { inner: open()?, head: Vec::new(), counts: Counts::default() };
    let utf8 = survey(UTF_8, &mut counting, observer)?;
    let (head, counts) = (counting.head, counting.counts);
    if let Some(problem) = known_otherwise(&head) {
        return Err(Refused::NoText(problem));
    }
    if let Some((encoding, _)) = Encoding::for_bom(&head) {
        let survey = if encoding == UTF_8 { utf8 } else { survey(encoding, &mut open()?, observer)? };
        return Ok(Detected { encoding, reason: Reason::Marked, faults: survey.faults, lines: survey.lines });
    }
    if let Some(encoding) = counts.wide() {
        let survey = survey(encoding, &mut open()?, observer)?;
        if survey.faults == 0 {
            return Ok(Detected { encoding, reason: Reason::Zeros, faults: 0, lines: Vec::new() });
        }
    }
    // A table with a few stray control characters is still a table; a program or image has them everywhere.
    let zeros = counts.zeros[0] + counts.zeros[1];
    if 50 * (counts.controls + zeros) > counts.bytes + 400 {
        let found = format!("{} control characters among {} bytes", counts.controls + zeros, counts.bytes);
        return Err(Refused::NoText(Problem::new("this is not text").expected("a text file").found(found)));
    }
    if utf8.faults <= utf8.wide {
        return Ok(Detected { encoding: UTF_8, reason: Reason::Utf8, faults: utf8.faults, lines: utf8.lines });
    }
    let encoding = guess(&mut open()?, observer)?;
    let survey = survey(encoding, &mut open()?, observer)?;
    Ok(Detected { encoding, reason: Reason::Guessed, faults: survey.faults, lines: survey.lines })
}

/// Files of other kinds that are often given the name of a table.
fn known_otherwise(head: &[u8]) -> Option<Problem> {
    let (found, hint) = other_kind(head)?;
    let problem = Problem::new("this is not text that is read").expected("UTF-8, UTF-16 or Latin-1");
    Some(problem.because(found).hint(hint))
}

/// Whether the first file of a ZIP archive is an array of NumPy, by its name.
pub(in crate::data) fn holds_arrays(head: &[u8]) -> bool {
    head.get(30..).is_some_and(|name| name.windows(4).take(256).any(|part| part == b".npy"))
}

/// What kind of file it is that is no text, by its first bytes, and what to do about it.
pub(in crate::data) fn other_kind(head: &[u8]) -> Option<(&'static str, &'static str)> {
    Some(match head {
        [b'P', b'K', 3, 4, ..] if holds_arrays(head) => (
            "an archive of NumPy arrays (.npz)",
            "save the array of features alone: np.save('x.npy', np.load('FILE.npz')['x']), and the labels as x_labels.npy",
        ),
        _ if head.get(257..262) == Some(b"ustar") => ("a tar archive", "unpack it first"),
        [b'P', b'K', 3, 4, ..] => ("a spreadsheet or another ZIP archive", "export it as CSV (UTF-8)"),
        [0xD0, 0xCF, 0x11, 0xE0, ..] => ("an old Excel or Word file", "export it as CSV (UTF-8)"),
        [0x1F, 0x8B, ..] => ("a file packed by gzip", "unpack it first"),
        [0xFD, b'7', b'z', b'X', ..] => ("a file packed by xz", "unpack it first"),
        [b'P', b'A', b'R', b'1', ..] => ("a Parquet file", "let its name end in .parquet"),
        [b'%', b'P', b'D', b'F', ..] => ("a PDF", "extract its text first"),
        [0xFF, 0xFE, 0, 0, ..] | [0, 0, 0xFE, 0xFF, ..] => ("UTF-32", "save it as UTF-8"),
        _ => return None,
    })
}

#[derive(Default)]
struct Counts {
    bytes: u64,
    /// Control characters other than zero, white space and escape.
    controls: u64,
    /// Zeros at even and at odd places.
    zeros: [u64; 2],
}

impl Counts {
    /// UTF-16, where the zeros lie as they do in it.
    fn wide(&self) -> Option<&'static Encoding> {
        let [even, odd] = self.zeros;
        let all = even + odd;
        if !self.bytes.is_multiple_of(2) || all < 2 || 10 * all < self.bytes {
            return None;
        }
        match (20 * odd >= 19 * all, 20 * even >= 19 * all) {
            (true, _) => Some(UTF_16LE),
            (_, true) => Some(UTF_16BE),
            _ => None,
        }
    }
}

/// A reader that counts what passes through.
struct Counting<R> {
    inner: R,
    head: Vec<u8>,
    counts: Counts,
}

impl<R: Read> Read for Counting<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buffer)?;
        for &byte in &buffer[..read] {
            match byte {
                0 => self.counts.zeros[(self.counts.bytes % 2) as usize] += 1,
                1..=8 | 14..=26 | 28..=31 | 127 => self.counts.controls += 1,
                _ => {}
            }
            self.counts.bytes += 1;
        }
        let room = 8_usize.saturating_sub(self.head.len());
        self.head.extend(&buffer[..read.min(room)]);
        Ok(read)
    }
}

#[derive(Default)]
struct Survey {
    faults: u64,
    lines: Vec<u64>,
    /// Characters beyond ASCII that are right.
    wide: u64,
}

fn survey(
    encoding: &'static Encoding,
    reader: &mut impl Read,
    observer: &dyn Observer,
) -> std::result::Result<Survey, Refused> {
    let mut decoder = encoding.new_decoder_with_bom_removal();
    let (mut raw, mut out) = (vec![0; PIECE], vec![0; 2 * PIECE]);
    let (mut found, mut line) = (Survey::default(), 1);
    loop {
        observer.check().map_err(|_| Refused::Interrupted)?;
        let read = read_some(reader, &mut raw)?;
        let mut at = 0;
        loop {
            let (result, taken, written) =
                decoder.decode_to_utf8_without_replacement(&raw[at..read], &mut out, read == 0);
            at += taken;
            for &byte in &out[..written] {
                line += u64::from(byte == b'\n');
                found.wide += u64::from(byte >= 0xC0);
            }
            match result {
                DecoderResult::InputEmpty => break,
                DecoderResult::OutputFull => {}
                DecoderResult::Malformed(..) => {
                    found.faults += 1;
                    if found.lines.len() < SHOWN && found.lines.last() != Some(&line) {
                        found.lines.push(line);
                    }
                }
            }
        }
        if read == 0 {
            return Ok(found);
        }
    }
}

fn read_some(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        match reader.read(buffer) {
            Err(source) if source.kind() == io::ErrorKind::Interrupted => {}
            other => return other,
        }
    }
}

/// Whole bytes as text, without the byte order mark.
pub(super) fn decode(bytes: &[u8], detected: &Detected) -> String {
    detected.encoding.decode_with_bom_removal(bytes).0.into_owned()
}

/// Reads a file of some encoding as UTF-8, without the byte order mark and always valid.
pub(super) struct Decoding<R> {
    inner: R,
    decoder: Decoder,
    raw: Vec<u8>,
    raw_at: usize,
    raw_end: usize,
    out: Vec<u8>,
    out_at: usize,
    out_end: usize,
    ended: bool,
    finished: bool,
}

impl<R: Read> Decoding<R> {
    pub(super) fn new(inner: R, encoding: &'static Encoding) -> Self {
        Self {
            inner,
            decoder: encoding.new_decoder_with_bom_removal(),
            raw: vec![0; PIECE],
            raw_at: 0,
            raw_end: 0,
            out: vec![0; PIECE],
            out_at: 0,
            out_end: 0,
            ended: false,
            finished: false,
        }
    }
}

impl<R: Read> Read for Decoding<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        while self.out_at == self.out_end && !self.finished {
            if self.raw_at == self.raw_end && !self.ended {
                (self.raw_at, self.raw_end) = (0, read_some(&mut self.inner, &mut self.raw)?);
                self.ended = self.raw_end == 0;
            }
            let raw = &self.raw[self.raw_at..self.raw_end];
            let (result, taken, written, _) = self.decoder.decode_to_utf8(raw, &mut self.out, self.ended);
            self.raw_at += taken;
            (self.out_at, self.out_end) = (0, written);
            self.finished = self.ended && result == encoding_rs::CoderResult::InputEmpty;
        }
        let ready = &self.out[self.out_at..self.out_end];
        let given = ready.len().min(buffer.len());
        buffer[..given].copy_from_slice(&ready[..given]);
        self.out_at += given;
        Ok(given)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn found(bytes: &[u8]) -> Detected {
        detect_bytes(bytes, Path::new("x"), None).unwrap()
    }

    fn read(bytes: &[u8]) -> String {
        let mut text = String::new();
        Decoding::new(bytes, found(bytes).encoding).read_to_string(&mut text).unwrap();
        assert_eq!(text, decode(bytes, &found(bytes)));
        text
    }

    fn utf16(text: &str, bytes: fn(u16) -> [u8; 2]) -> Vec<u8> {
        text.encode_utf16().flat_map(bytes).collect()
    }

    #[test]
    fn every_encoding_is_found_with_and_without_its_mark() {
        let text = "text,label\nÄpfel über alles,gut\n";
        let marked = format!("\u{feff}{text}");
        for (bytes, name) in [
            (text.as_bytes().to_vec(), "UTF-8"),
            (marked.as_bytes().to_vec(), "UTF-8"),
            (utf16(text, u16::to_le_bytes), "UTF-16LE"),
            (utf16(text, u16::to_be_bytes), "UTF-16BE"),
            (utf16(&marked, u16::to_le_bytes), "UTF-16LE"),
            (utf16(&marked, u16::to_be_bytes), "UTF-16BE"),
            (WINDOWS_1252.encode(text).0.into_owned(), "windows-1252"),
        ] {
            assert_eq!(found(&bytes).name(), name);
            assert_eq!(read(&bytes), text, "{name}");
        }
        assert_eq!(found(text.as_bytes()).remark(), None);
        assert!(found(marked.as_bytes()).remark().unwrap().contains("byte order mark"));
        assert!(found(b"caf\xe9 \x80 5").remark().unwrap().contains("windows-1252"));
    }

    #[test]
    fn old_encodings_are_guessed_by_their_bytes() {
        for (name, text) in [
            ("windows-1251", "text,label\nОчень хороший фильм, всем советую,хорошо\nСкучно и слишком долго,плохо\n"),
            ("Shift_JIS", "text,label\nとても良い映画でした、おすすめです,良い\n退屈で長すぎます,悪い\n"),
            ("GBK", "text,label\n这部电影非常好看推荐大家去看,好\n太无聊了而且太长,不好\n"),
            ("EUC-KR", "text,label\n정말 좋은 영화입니다 추천합니다,좋음\n지루하고 너무 깁니다,나쁨\n"),
        ] {
            let encoding = Encoding::for_label(name.as_bytes()).unwrap();
            let bytes = encoding.encode(text).0.into_owned();
            assert_eq!((found(&bytes).name(), found(&bytes).faults), (name, 0));
            assert_eq!(read(&bytes), text, "{name}");
            let said = found(&bytes).remark().unwrap();
            assert!(said.contains(name) && said.contains("--encoding"), "{said}");
        }
    }

    #[test]
    fn an_encoding_that_is_asked_for_is_taken() {
        let asked = encoding_of(Some("windows-1251")).unwrap();
        let detected = detect_bytes(b"\xcf\xf0", Path::new("x"), asked).unwrap();
        assert_eq!((detected.name(), detected.reason), ("windows-1251", Reason::Asked));
        assert_eq!(decode(b"\xcf\xf0", &detected), "Пр");
        // A byte order mark cannot be wrong.
        assert_eq!(detect_bytes(b"\xef\xbb\xbfa", Path::new("x"), asked).unwrap().name(), "UTF-8");
        let problem = encoding_of(Some("windows-125")).unwrap_err().to_string();
        assert!(problem.contains("no such encoding") && problem.contains("--encoding"), "{problem}");
    }

    #[test]
    fn broken_utf8_is_said_with_its_lines() {
        let detected = found(b"\xc3\xa9\n\xc3\xa9\xc3\xa9 x\xff\n\xc3\xa9\n\xc3");
        assert_eq!((detected.name(), detected.faults, detected.lines.as_slice()), ("UTF-8", 2, [2, 4].as_slice()));
        assert_eq!(detected.remark().unwrap(), "bytes that are not UTF-8 became U+FFFD, places: 2 (lines 2, 4)");
        // Faults in UTF-16, too: half a pair.
        let mut bytes = utf16("\u{feff}ab\n", u16::to_le_bytes);
        bytes.extend([0x00, 0xd8, b'c', 0]);
        assert_eq!((found(&bytes).faults, found(&bytes).lines), (1, vec![2]));
    }

    #[test]
    fn what_is_no_text_is_refused_by_its_name() {
        for (bytes, words) in [
            (b"PK\x03\x04rest".as_slice(), "export it as CSV"),
            (b"\x1f\x8b\x08rest", "unpack it"),
            (b"\xff\xfe\0\0a\0\0\0", "UTF-32"),
            (b"PAR1....", "end in .parquet"),
            (&[7; 100], "100 control characters"),
        ] {
            let problem = detect_bytes(bytes, Path::new("x"), None).unwrap_err().to_string();
            assert!(problem.contains(words), "{problem}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(detected) = detect_bytes(&bytes, Path::new("x"), None) {
                let mut text = Vec::new();
                Decoding::new(bytes.as_slice(), detected.encoding).read_to_end(&mut text).unwrap();
                prop_assert_eq!(String::from_utf8(text).unwrap(), decode(&bytes, &detected));
            }
        }

        #[test]
        fn utf8_comes_back(text in "\\PC{0,200}") {
            let detected = found(text.as_bytes());
            prop_assert_eq!((detected.faults, detected.name()), (0, "UTF-8"));
        }
    }
}
