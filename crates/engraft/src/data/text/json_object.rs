//! JSON files that are one object: the rows within it, where it is known how they lie there; else what the file looks like.

use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use serde::de::IgnoredAny;
use serde_json::{Map, Value};

use super::Limits;
use super::encoding::Detected;
use super::json_repair::repaired;
use super::lines::Lines;
use super::record::decoded;
use super::words;
use crate::data::column_names::listing;
use crate::data::{ENDINGS, ending};
use crate::error::{Error, Problem, Result};

/// The most bytes of such a file.
const LIMIT: u64 = 256 << 20;
/// Names of the list that holds the rows, beside what is said about them.
const LISTS: [&str; 8] = ["data", "rows", "records", "items", "examples", "instances", "samples", "results"];
/// Fewer keys than this may be the columns of a single row.
const FEW_KEYS: usize = 10;

/// The rows of an object.
#[derive(Debug, Clone)]
pub(super) struct Within {
    /// Each as an object of its own.
    pub(super) rows: Arc<Vec<String>>,
    /// Where they were found, in words.
    pub(super) told: String,
}

impl Within {
    /// The rows within the object that a file is; nothing where the file is none, or a row itself.
    ///
    /// # Errors
    /// [`Error::Data`] for a file of another kind, by its name, with what to do about it.
    pub(super) fn open(path: &Path, encoding: &Detected, limits: &Limits) -> Result<Option<Self>> {
        if !is_alone(path, encoding, limits)? {
            return Ok(None);
        }
        let mut text = String::new();
        let read = decoded(path, encoding)?.take(LIMIT).read_to_string(&mut text);
        read.map_err(|source| crate::data::missing(path, &source))?;
        let value = serde_json::from_str(&text).or_else(|_| serde_json::from_str(&repaired(&text)));
        let Ok(Value::Object(object)) = value else { return Ok(None) };
        if let Some((found, hint)) = foreign(&object) {
            let problem =
                Problem::new("this JSON file is not a table").expected("a list of objects, or one object a line");
            return Err(Error::Data(problem.found(found).hint(hint).at(path)));
        }
        Ok(rows(&object).map(|(rows, told)| {
            let rows = rows.into_iter().map(|row| Value::Object(row).to_string()).collect();
            Self { rows: Arc::new(rows), told }
        }))
    }
}

/// Whether a file is one object: it is the only line, or goes on after its first line.
fn is_alone(path: &Path, encoding: &Detected, limits: &Limits) -> Result<bool> {
    let mut lines = Lines::open(path, encoding, limits)?;
    // What is too long to be a line is told by who reads lines.
    let Ok(Some(first)) = lines.next() else { return Ok(false) };
    if !first.trim_start().starts_with('{') {
        return Ok(false);
    }
    let is_whole = serde_json::from_str::<IgnoredAny>(first).is_ok();
    Ok(!is_whole || matches!(lines.next(), Ok(None)))
}

/// What an object is that holds no table, and what to do about it.
fn foreign(object: &Map<String, Value>) -> Option<(String, &'static str)> {
    if object.get("images").is_some_and(Value::is_array) && object.get("annotations").is_some_and(Value::is_array) {
        let hint = "write a table with a line for each image, its file_name and the name of its category (path,label)";
        return Some(("COCO annotations".to_owned(), hint));
    }
    let has_paragraphs = |rows: &Vec<Value>| rows.first().is_some_and(|row| row.get("paragraphs").is_some());
    if object.get("data").and_then(Value::as_array).is_some_and(has_paragraphs) {
        return Some(("questions about paragraphs, as SQuAD has them".to_owned(), "read them with --task qa"));
    }
    let is_value = |value: &Value| value.is_string() || value.is_number();
    let is_name = |name: &&String| {
        let path = Path::new(name.as_str());
        ending(path).is_some_and(|ending| ENDINGS.contains(&ending.as_str())) || words::spans(name).count() > 2
    };
    let is_map = object.len() >= FEW_KEYS && object.values().all(is_value);
    if is_map && 2 * object.keys().filter(is_name).count() > object.len() {
        let hint = "write a table with a line for each of them: path,label for images, text,label for texts";
        return Some(("one object that gives each of its keys a label".to_owned(), hint));
    }
    let lists: Vec<String> =
        object.iter().filter(|(_, value)| objects(value).is_some()).map(|(name, _)| name.clone()).collect();
    if lists.len() > 1 && lists.len() == object.len() {
        let hint = "write each list as a file of its own, or as one list whose objects have a key `split`";
        return Some((format!("an object with several lists: {}", listing(&lists)), hint));
    }
    None
}

/// The elements of a list of objects.
fn objects(value: &Value) -> Option<Vec<Map<String, Value>>> {
    let list = value.as_array().filter(|list| !list.is_empty())?;
    list.iter().map(|element| element.as_object().cloned()).collect()
}

/// The rows within an object, and where they were found.
fn rows(object: &Map<String, Value>) -> Option<(Vec<Map<String, Value>>, String)> {
    let told = |orient: &str| format!("the file is read as pandas writes it with to_json(orient=\"{orient}\")");
    let is_list = |name: &str| object.len() == 1 || LISTS.contains(&name);
    let list = object.iter().find_map(|(name, value)| Some((name, objects(value).filter(|_| is_list(name))?)));
    if let Some((name, rows)) = list {
        return Some((rows, format!("the rows are the elements of the list `{name}` in the file's object")));
    }
    if let (Some(names), Some(data)) = (object.get("columns"), object.get("data")) {
        let names: Vec<&str> = names.as_array()?.iter().map(Value::as_str).collect::<Option<_>>()?;
        let row = |cells: &Value| {
            let cells = cells.as_array().filter(|cells| cells.len() == names.len())?;
            Some(names.iter().map(|name| (*name).to_owned()).zip(cells.iter().cloned()).collect())
        };
        return Some((data.as_array()?.iter().map(row).collect::<Option<_>>()?, told("split")));
    }
    let values: Vec<&Map<String, Value>> = object.values().map(Value::as_object).collect::<Option<_>>()?;
    let first = values.first()?;
    let number = |name: &String| name.parse::<u64>().ok();
    if values.iter().all(|value| value.keys().eq(first.keys())) {
        if let Some(places) = first.keys().map(number).collect::<Option<Vec<_>>>().filter(|places| !places.is_empty()) {
            let mut places: Vec<(u64, &String)> = places.into_iter().zip(first.keys()).collect();
            places.sort_unstable();
            let row = |(_, place): (u64, &String)| {
                object.iter().map(|(name, column)| (name.clone(), column[place.as_str()].clone())).collect()
            };
            return Some((places.into_iter().map(row).collect(), told("columns")));
        }
        let mut numbered: Vec<(u64, &Map<String, Value>)> =
            object.keys().zip(values).map(|(name, row)| Some((number(name)?, row))).collect::<Option<_>>()?;
        numbered.sort_by_key(|(place, _)| *place);
        return Some((numbered.into_iter().map(|(_, row)| row.clone()).collect(), told("index")));
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::text::encoding::glance;

    fn read(text: &str) -> Result<Option<(Vec<String>, String)>> {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("t.json");
        std::fs::write(&path, text).unwrap();
        let found = Within::open(&path, &glance(&path).unwrap(), &Limits::default())?;
        Ok(found.map(|found| (found.rows.to_vec(), found.told)))
    }

    #[test]
    fn rows_within_an_object_are_found() {
        let rows = [r#"{"label":"x","text":"a"}"#, r#"{"label":"y","text":"b"}"#];
        for (text, told) in [
            (r#"{"version": 1, "data": [{"text": "a", "label": "x"}, {"text": "b", "label": "y"}]}"#, "list `data`"),
            (
                "{\"sentences\": [\n {\"text\": \"a\", \"label\": \"x\"},\n {\"text\": \"b\", \"label\": \"y\"}]}",
                "list `sentences`",
            ),
            (r#"{"text": {"0": "a", "10": "b"}, "label": {"0": "x", "10": "y"}}"#, "orient=\"columns\""),
            (r#"{"2": {"text": "a", "label": "x"}, "10": {"text": "b", "label": "y"}}"#, "orient=\"index\""),
            (
                r#"{"columns": ["text", "label"], "index": [0, 1], "data": [["a", "x"], ["b", "y"]]}"#,
                "orient=\"split\"",
            ),
        ] {
            let (found, reason) = read(text).unwrap().unwrap_or_else(|| panic!("{text}"));
            assert_eq!(found, rows, "{text}");
            assert!(reason.contains(told), "{reason}");
        }
    }

    #[test]
    fn a_row_is_no_object_of_rows() {
        for text in [
            "{\"text\": \"a\", \"label\": \"x\"}\n{\"text\": \"b\", \"label\": \"y\"}\n",
            "{\"text\": \"a\", \"entities\": [{\"type\": \"x\"}]}",
            "{\"text\": \"a\", \"label\": \"x\"}",
            "{\"text\": {\"0\": \"a\"}}\n{\"text\": {\"0\": \"b\"}}\n",
            "[{\"text\": \"a\"}]",
            "not json",
            "{\n\"text\": \"a\"}",
            "{}",
        ] {
            assert_eq!(read(text).unwrap(), None, "{text}");
        }
    }

    #[test]
    fn other_objects_are_refused_by_name() {
        let map: Vec<String> = (0..12).map(|at| format!("\"img/{at}.png\": \"{}\"", ["cat", "dog"][at % 2])).collect();
        for (text, words) in [
            (format!("{{{}}}", map.join(", ")), "gives each of its keys a label"),
            (r#"{"images": [{"id": 1}], "annotations": [], "categories": []}"#.into(), "COCO"),
            (r#"{"data": [{"title": "a", "paragraphs": []}]}"#.into(), "--task qa"),
            (r#"{"train": [{"a": 1}], "test": [{"a": 2}]}"#.into(), "several lists: `test`, `train`"),
        ] {
            let problem = read(&text).unwrap_err().to_string();
            assert!(problem.contains(words) && problem.contains("this JSON file is not a table"), "{problem}");
        }
    }
}
