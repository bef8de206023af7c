//! Tables as JSON lines: one object a line, whose keys are the columns.

use std::borrow::Cow;
use std::fmt;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor};
use serde_json::Value;

use super::Limits;
use super::encoding::{Decoding, Detected, detect_as, glance};
use super::json_repair::repaired;
use super::record::{KINDS, Opening, Record, Records, SAMPLE, at, decoded, too_long};
use crate::error::{Error, Problem, Result};
use crate::progress::Observer;

/// What was found out about a file of JSON lines.
#[derive(Debug)]
pub(super) struct JsonLines {
    pub(super) encoding: Detected,
    /// The keys of the first objects, in the order in which they first come.
    pub(super) columns: Vec<String>,
    /// Lines among the first that are JSON only after a repair.
    repaired: usize,
}

impl JsonLines {
    pub(super) fn open(path: &Path, opening: &Opening, limits: &Limits, observer: &dyn Observer) -> Result<Self> {
        let encoding = if opening.glance { glance(path)? } else { detect_as(path, opening.encoding, observer)? };
        let mut lines = Lines::open(path, &encoding, limits)?;
        let (mut columns, mut repaired): (Vec<String>, usize) = (Vec::new(), 0);
        for _ in 0..SAMPLE {
            let Some(line) = lines.next()? else { break };
            let mut keys = Vec::new();
            let read = parse(line, |json| {
                keys.clear();
                Keys(&mut keys).deserialize(json)
            });
            repaired += usize::from(read.map_err(|problem| Error::Data(problem.at(at(path, lines.line))))?);
            for key in keys {
                if !columns.contains(&key) {
                    columns.push(key);
                }
            }
        }
        if columns.is_empty() {
            return Err(Error::Data(Problem::new("the table has no columns").expected(KINDS).at(path)));
        }
        Ok(Self { encoding, columns, repaired })
    }

    /// What was repaired among the first lines.
    pub(super) fn remark(&self) -> Option<String> {
        let what =
            "lines with NaN, Infinity or halves of surrogate pairs, which are no JSON, read as missing and as U+FFFD";
        (self.repaired > 0).then(|| format!("{what}: {} of the first", self.repaired))
    }

    /// With `lenient`, lists and objects are not fields; otherwise they are refused.
    pub(super) fn records(&self, path: &Path, columns: &[usize], lenient: bool, limits: &Limits) -> Result<Records> {
        let names: Vec<String> = columns.iter().map(|&column| self.columns[column].clone()).collect();
        let mut lines = Lines::open(path, &self.encoding, limits)?;
        let place = path.to_owned();
        let (mut row, mut ended) = (0, false);
        Ok(Box::new(std::iter::from_fn(move || {
            if ended {
                return None;
            }
            row += 1;
            let fields = lines.next().map(|line| line.map(|line| fields(line, &names, lenient)));
            let record = match fields {
                Ok(Some(Ok((fields, padded)))) => Ok(Some(Record { row, line: lines.line, fields, padded })),
                Ok(Some(Err(problem))) => Err(Error::Data(problem.at(at(&place, lines.line)))),
                Ok(None) => Ok(None),
                Err(error) => Err(error),
            };
            ended = !matches!(record, Ok(Some(_)));
            record.transpose()
        })))
    }
}

/// The values of some keys as fields, and the places of those that had blanks around them.
type Fields = (Vec<Option<String>>, Vec<usize>);

fn fields(line: &str, names: &[String], lenient: bool) -> std::result::Result<Fields, Problem> {
    let mut values = vec![None; names.len()];
    parse(line, |json| {
        values.fill(None);
        Wanted { names, values: &mut values }.deserialize(json)
    })?;
    let has_blanks = |value: &Option<Value>| {
        value.as_ref().and_then(Value::as_str).is_some_and(|text| text.trim().len() < text.len())
    };
    let padded = (0..values.len()).filter(|&at| has_blanks(&values[at])).collect();
    let field = |(name, value): (&String, Option<Value>)| match value {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.trim().to_owned())),
        Some(value @ (Value::Number(_) | Value::Bool(_))) => Ok(Some(value.to_string())),
        Some(_) if lenient => Ok(None),
        Some(value) => Err(Problem::new(format!("the value of `{name}` is nested"))
            .expected("a text, a number, true or false")
            .found(if value.is_array() { "a list" } else { "an object" })
            .hint("write its parts as columns of their own")),
    };
    Ok((names.iter().zip(values).map(field).collect::<std::result::Result<_, _>>()?, padded))
}

/// What is read of a line by serde's rules.
type Parsed = std::result::Result<(), serde_json::Error>;

/// Reads a line, and reads it again where it is JSON only after a repair: whether it was.
fn parse(
    line: &str,
    mut read: impl FnMut(&mut serde_json::Deserializer<serde_json::de::StrRead<'_>>) -> Parsed,
) -> std::result::Result<bool, Problem> {
    let mut whole = |text: &str| {
        let mut json = serde_json::Deserializer::from_str(text);
        read(&mut json).and_then(|()| json.end())
    };
    let refused = |source: serde_json::Error| {
        let problem =
            Problem::new("a line is not a JSON object").expected("one object a line, with the columns as keys");
        match line.trim_start().as_bytes().first() {
            Some(b'[') => {
                problem.found("a list").hint("write every element on a line of its own, without the brackets")
            }
            Some(b'{') if source.is_eof() => {
                problem.found("an object that does not end here").hint("write every object on one line")
            }
            _ => problem.found(source),
        }
    };
    match whole(line) {
        Ok(()) => Ok(false),
        Err(source) => match repaired(line) {
            Cow::Owned(repaired) => whole(&repaired).map(|()| true).map_err(refused),
            Cow::Borrowed(_) => Err(refused(source)),
        },
    }
}

/// Collects the keys of an object.
struct Keys<'a>(&'a mut Vec<String>);

impl<'de> DeserializeSeed<'de> for Keys<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, json: D) -> std::result::Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Keys<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<(), A::Error> {
        while let Some(key) = map.next_key::<String>()? {
            map.next_value::<IgnoredAny>()?;
            self.0.push(key);
        }
        Ok(())
    }
}

/// Collects the values of some keys, each at most once.
struct Wanted<'a> {
    names: &'a [String],
    values: &'a mut [Option<Value>],
}

impl<'de> DeserializeSeed<'de> for Wanted<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, json: D) -> std::result::Result<(), D::Error> {
        json.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Wanted<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<(), A::Error> {
        while let Some(key) = map.next_key::<Cow<'de, str>>()? {
            match self.names.iter().position(|name| *name == key) {
                Some(at) if self.values[at].is_some() => {
                    return Err(serde::de::Error::custom(format!("the key `{key}` twice in one object")));
                }
                Some(at) => self.values[at] = Some(map.next_value()?),
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// Lines that are not blank, within the limit.
pub(super) struct Lines {
    reader: BufReader<Decoding<BufReader<File>>>,
    buffer: Vec<u8>,
    limit: usize,
    /// The number of the last line, from 1.
    pub(super) line: u64,
    place: std::path::PathBuf,
}

impl Lines {
    pub(super) fn open(path: &Path, encoding: &Detected, limits: &Limits) -> Result<Self> {
        let reader = BufReader::new(decoded(path, encoding)?);
        Ok(Self { reader, buffer: Vec::new(), limit: limits.record, line: 0, place: path.to_owned() })
    }

    /// The next line that is not blank, without its end.
    pub(super) fn next(&mut self) -> Result<Option<&str>> {
        loop {
            if !self.advance()? {
                return Ok(None);
            }
            if !self.buffer.trim_ascii().is_empty() {
                return self.text().map(Some);
            }
        }
    }

    /// The next line, blank or not.
    pub(super) fn next_of_any(&mut self) -> Result<Option<&str>> {
        if self.advance()? { self.text().map(Some) } else { Ok(None) }
    }

    fn advance(&mut self) -> Result<bool> {
        self.buffer.clear();
        self.line += 1;
        let read = self.reader.by_ref().take(self.limit as u64 + 1).read_until(b'\n', &mut self.buffer);
        read.map_err(|source| crate::data::missing(&self.place, &source))?;
        if self.buffer.len() > self.limit {
            return Err(Error::Data(too_long(self.limit).at(at(&self.place, self.line))));
        }
        Ok(!self.buffer.is_empty())
    }

    fn text(&self) -> Result<&str> {
        // Always UTF-8, as it is decoded; no panic should that ever be otherwise.
        std::str::from_utf8(&self.buffer).map(|line| line.trim_end_matches(['\n', '\r'])).map_err(|source| {
            Error::Data(Problem::new("a line is not UTF-8").found(source).at(at(&self.place, self.line)))
        })
    }
}
