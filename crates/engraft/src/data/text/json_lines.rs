//! Tables as JSON: one object a line, or a list of objects, whose keys are the columns. The parts of an object within an object
//! are columns too: `image.path`.

use std::borrow::Cow;
use std::fmt;
use std::path::Path;

use serde::de::{DeserializeSeed, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

use super::Limits;
use super::encoding::{Detected, detect_as, glance};
use super::json_records::{JsonForm, JsonRecords};
use super::json_repair::repaired;
use super::record::{KINDS, Opening, Record, Records, SAMPLE, at, nested};
use crate::data::column_names::may_list_labels;
use crate::data::task::SEPARATOR;
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
    form: JsonForm,
}

/// Objects within objects whose parts are columns.
const DEPTH: usize = 3;

impl JsonLines {
    pub(super) fn open(path: &Path, opening: &Opening, limits: &Limits, observer: &dyn Observer) -> Result<Self> {
        let encoding = if opening.glance { glance(path)? } else { detect_as(path, opening.encoding, observer)? };
        let form = JsonForm::of(path, &encoding, limits)?;
        let mut lines = JsonRecords::open(path, &encoding, &form, limits)?;
        let (mut columns, mut repaired): (Vec<String>, usize) = (Vec::new(), 0);
        for _ in 0..SAMPLE {
            let Some(line) = lines.next()? else { break };
            let mut keys = Vec::new();
            let read = parse(line, |json| {
                keys.clear();
                let name = String::new();
                Keys { keys: &mut keys, name, depth: 0, named: opening.named }.deserialize(json)
            });
            repaired += usize::from(read.map_err(|problem| Error::Data(problem.at(at(path, lines.line()))))?);
            for key in keys {
                if !columns.contains(&key) {
                    columns.push(key);
                }
            }
        }
        if columns.is_empty() {
            return Err(Error::Data(Problem::new("the table has no columns").expected(KINDS).at(path)));
        }
        Ok(Self { encoding, columns, repaired, form })
    }

    /// What was repaired among the first lines.
    pub(super) fn remark(&self) -> Option<String> {
        let what =
            "lines with NaN, Infinity or halves of surrogate pairs, which are no JSON, read as missing and as U+FFFD";
        match &self.form {
            JsonForm::List => return Some("the file is one list, of which each element is a row".to_owned()),
            JsonForm::Within(within) => return Some(within.told.clone()),
            JsonForm::Lines => {}
        }
        (self.repaired > 0).then(|| format!("{what}: {} of the first", self.repaired))
    }

    /// With `lenient`, objects and lists that are not labels are no fields; otherwise objects are refused.
    pub(super) fn records(&self, path: &Path, columns: &[usize], lenient: bool, limits: &Limits) -> Result<Records> {
        let names: Vec<String> = columns.iter().map(|&column| self.columns[column].clone()).collect();
        let mut lines = JsonRecords::open(path, &self.encoding, &self.form, limits)?;
        let place = path.to_owned();
        let (mut row, mut ended) = (0, false);
        Ok(Box::new(std::iter::from_fn(move || {
            if ended {
                return None;
            }
            row += 1;
            let fields = lines.next().map(|line| line.map(|line| fields(line, &names, lenient)));
            let record = match fields {
                Ok(Some(Ok(Fields { fields, padded, lists }))) => {
                    Ok(Some(Record { row, line: lines.line(), fields, padded, lists }))
                }
                Ok(Some(Err(problem))) => Err(Error::Data(problem.at(at(&place, lines.line())))),
                Ok(None) => Ok(None),
                Err(error) => Err(error),
            };
            ended = !matches!(record, Ok(Some(_)));
            record.transpose()
        })))
    }
}

/// The values of some keys as fields.
#[derive(Default)]
struct Fields {
    fields: Vec<Option<String>>,
    /// Places of those that had blanks around them, and of lists.
    padded: Vec<usize>,
    lists: Vec<usize>,
}

fn fields(line: &str, names: &[String], lenient: bool) -> std::result::Result<Fields, Problem> {
    let mut values = vec![None; names.len()];
    parse(line, |json| {
        values.fill(None);
        Wanted { names, values: &mut values }.deserialize(json)
    })?;
    let mut found = Fields::default();
    for (place, (name, value)) in names.iter().zip(values).enumerate() {
        let field = match value {
            None | Some(Value::Null) => None,
            Some(Value::String(text)) => {
                let trimmed = text.trim();
                if trimmed.len() < text.len() {
                    found.padded.push(place);
                }
                Some(trimmed.to_owned())
            }
            Some(value @ (Value::Number(_) | Value::Bool(_))) => Some(value.to_string()),
            Some(Value::Array(elements)) if !lenient || may_list_labels(name) => match several(name, &elements) {
                Ok(labels) => {
                    found.lists.push(place);
                    Some(labels)
                }
                Err(_) if lenient => None,
                Err(problem) => return Err(problem),
            },
            Some(_) if lenient => None,
            Some(_) => return Err(nested(name, "an object")),
        };
        found.fields.push(field);
    }
    Ok(found)
}

/// The elements of a list with a [`SEPARATOR`] between them.
fn several(name: &str, elements: &[Value]) -> std::result::Result<String, Problem> {
    let element = |value: &Value| match value {
        Value::String(text) if text.contains(SEPARATOR) => {
            let problem = Problem::new(format!("an element of the list `{name}` holds `{SEPARATOR}`"));
            Err(problem.expected("labels without it: it stands between several").found(format!("`{text}`")))
        }
        Value::String(text) => Ok(text.trim().to_owned()),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        Value::Null => Ok(String::new()),
        Value::Array(_) => Err(nested(name, "a list of lists")),
        Value::Object(_) => Err(nested(name, "a list of objects")),
    };
    let elements = elements.iter().map(element).collect::<std::result::Result<Vec<String>, Problem>>()?;
    Ok(elements.join(&SEPARATOR.to_string()))
}

/// What is read of a line by serde's rules.
type Parsed = std::result::Result<(), serde_json::Error>;

/// What is wrong with a row, with its place within the row: the row's own is told beside it.
fn reason(source: &serde_json::Error) -> String {
    let text = source.to_string();
    let (line, column) = (source.line(), source.column());
    match (text.strip_suffix(&format!(" at line {line} column {column}")), line) {
        (Some(reason), 1) => format!("{reason} (column {column})"),
        (Some(reason), _) => format!("{reason} (line {line} of this row, column {column})"),
        (None, _) => text,
    }
}

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
            _ => problem.found(reason(&source)),
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

/// Collects the keys of an object, and of those within it: `image.path`.
struct Keys<'a> {
    keys: &'a mut Vec<String>,
    /// What stands before them; empty for the row itself.
    name: String,
    depth: usize,
    /// Columns that are asked for: one that has parts is kept as it is.
    named: &'a [&'a str],
}

impl<'de> DeserializeSeed<'de> for Keys<'_> {
    type Value = ();

    fn deserialize<D: serde::Deserializer<'de>>(self, json: D) -> std::result::Result<(), D::Error> {
        match self.depth {
            0 => json.deserialize_map(self),
            _ => json.deserialize_any(self),
        }
    }
}

impl Keys<'_> {
    fn whole<E>(self) -> std::result::Result<(), E> {
        self.keys.push(self.name);
        Ok(())
    }
}

impl<'de> Visitor<'de> for Keys<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> std::result::Result<(), A::Error> {
        let is_whole = self.depth == DEPTH || self.named.iter().any(|name| name.eq_ignore_ascii_case(&self.name));
        while let Some(key) = map.next_key::<String>()? {
            if self.depth > 0 && is_whole {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let name = if self.depth == 0 { key } else { format!("{}.{key}", self.name) };
            map.next_value_seed(Keys { keys: self.keys, name, depth: self.depth + 1, named: self.named })?;
        }
        if self.depth > 0 && is_whole { self.whole() } else { Ok(()) }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> std::result::Result<(), A::Error> {
        while list.next_element::<IgnoredAny>()?.is_some() {}
        self.whole()
    }

    fn visit_unit<E>(self) -> std::result::Result<(), E> {
        self.whole()
    }

    fn visit_bool<E>(self, _: bool) -> std::result::Result<(), E> {
        self.whole()
    }

    fn visit_i64<E>(self, _: i64) -> std::result::Result<(), E> {
        self.whole()
    }

    fn visit_u64<E>(self, _: u64) -> std::result::Result<(), E> {
        self.whole()
    }

    fn visit_f64<E>(self, _: f64) -> std::result::Result<(), E> {
        self.whole()
    }

    fn visit_str<E>(self, _: &str) -> std::result::Result<(), E> {
        self.whole()
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
                None if self.names.iter().any(|name| part_of(name, &key).is_some()) => {
                    let whole: Value = map.next_value()?;
                    for (name, value) in self.names.iter().zip(self.values.iter_mut()) {
                        let part = part_of(name, &key).and_then(|part| within(&whole, part));
                        if let Some(part) = part {
                            *value = Some(part.clone());
                        }
                    }
                }
                None => {
                    map.next_value::<IgnoredAny>()?;
                }
            }
        }
        Ok(())
    }
}

/// What comes after a key in the name of a part of its value: `path` of `image.path`.
fn part_of<'n>(name: &'n str, key: &str) -> Option<&'n str> {
    name.strip_prefix(key)?.strip_prefix('.')
}

/// The part of an object that a name means.
fn within<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    let object = value.as_object()?;
    object.get(name).or_else(|| object.iter().find_map(|(key, value)| within(value, part_of(name, key)?)))
}
