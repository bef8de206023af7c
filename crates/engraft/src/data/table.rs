//! A data set as a CSV table with the columns `path` and `label` (or others that are named), and `split` if there is one.
//!
//! A label is a class, several labels with `|` between them, or a number (see [`super::task`]). Paths are relative to the table's folder. The header is required; its names are found in any order and case. The
//! delimiter is a comma, or a semicolon or tab where the header has those instead (as spreadsheets in much of Europe
//! write it). A file that does not exist is not looked for here: the audit finds it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use csv::{ByteRecord, ReaderBuilder, Trim};

use super::column_names::find;
use super::dataset::{Dataset, Row, Split};
use super::finding::{Finding, FindingKind, Severity};
use super::group_hints::{is_named_like_groups, of_cell, suggested_column, suggested_pattern};
use super::grouping::COLUMN_FLAG;
use super::task::{Inferred, SEPARATOR, Task, infer, label_set, number};
use super::{Opened, Reading};
use crate::error::{Error, Problem, Result, printable};

/// The largest table that is read, in bytes.
const LIMIT: u64 = 1 << 30;

/// Reads a table of classes.
///
/// # Errors
/// [`Error::Data`], with the line's number, when a column, a path or a label is missing, a split is unknown, a row has
/// more or fewer fields than the header, or the text is not UTF-8; and when there are fewer than two classes.
pub fn read(path: &Path) -> Result<(Dataset, Vec<Finding>)> {
    let opened = read_as(path, &Reading { task: Some(Task::SingleLabel), ..Reading::default() })?;
    Ok((opened.dataset, opened.findings))
}

/// Reads a table of classes, sets of labels or numbers.
///
/// In multi-label a file may stand in several rows: it has the labels of all. Labels that are not finite numbers are kept
/// for the audit to leave out.
///
/// # Errors
/// As [`read`]; and where the task is to be inferred and cannot be ([`infer`]), or a label is not a number in regression.
pub fn read_as(path: &Path, reading: &Reading) -> Result<Opened> {
    let bytes = crate::files::read_limited(path, LIMIT).map_err(|source| super::missing(path, &source))?;
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let delimiter = delimiter(text);
    let mut reader = ReaderBuilder::new().delimiter(delimiter).trim(Trim::All).from_reader(text);
    let malformed = |problem: csv::Error| {
        let line = problem.position().map_or(1, csv::Position::line);
        Error::Data(Problem::new("the table cannot be read").found(&problem).at(at(path, line)))
    };
    let header = reader.byte_headers().map_err(malformed)?.clone();
    let columns = Columns::find(&header, path, reading)?;
    let root = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };

    let mut lines: Vec<(u64, Row)> = Vec::new();
    // Columns that may be groups, where none are asked for.
    let free = |column: &usize| ![Some(columns.path), Some(columns.label), columns.split].contains(&Some(*column));
    let name = |column: usize| String::from_utf8_lossy(header.get(column).unwrap_or_default()).into_owned();
    let mut suggestible: Vec<(String, Vec<String>)> = Vec::new();
    let suggested: Vec<usize> = (0..header.len()).filter(free).filter(|&at| is_named_like_groups(&name(at))).collect();
    if !reading.grouping.is_asked() {
        suggestible.extend(suggested.iter().map(|&column| (name(column), Vec::new())));
    }
    let mut record = ByteRecord::new();
    while reader.read_byte_record(&mut record).map_err(malformed)? {
        let line = record.position().map_or(0, csv::Position::line);
        let row = columns.row(&record, &root).map_err(|problem| Error::Data(problem.at(at(path, line))))?;
        for ((_, cells), &column) in suggestible.iter_mut().zip(&suggested) {
            cells.push(String::from_utf8_lossy(record.get(column).unwrap_or_default()).into_owned());
        }
        lines.push((line, row));
    }
    if lines.is_empty() {
        return Err(Error::Data(Problem::new("the table has no rows").expected("one row per image").at(path)));
    }
    let decimal_comma = delimiter == b';';
    let inferred = match reading.task {
        Some(task) => Inferred { task, reason: "it was asked for".into() },
        None => {
            let labels: Vec<&str> = lines.iter().map(|(_, row)| row.class.as_str()).collect();
            infer(&labels, decimal_comma).map_err(|error| match error {
                Error::Data(problem) => Error::Data(problem.at(path)),
                other => other,
            })?
        }
    };
    // Every line that names a file, by the file's name: repetitions are told, contradictions left out.
    let mut rows: BTreeMap<String, Vec<(u64, Row)>> = BTreeMap::new();
    for (line, mut row) in lines {
        row.class = canonical(&row.class, inferred.task, decimal_comma)
            .map_err(|problem| Error::Data(problem.at(at(path, line))))?;
        rows.entry(row.name.clone()).or_default().push((line, row));
    }
    if inferred.task == Task::MultiLabel {
        rows.values_mut().for_each(unite);
    }

    let (rows, mut findings) = settle(rows);
    let mut dataset = Dataset::assemble(root, rows).recast(inferred.task)?;
    match reading.grouping.is_asked() {
        true => dataset.group_by(&reading.grouping)?,
        false => {
            let of_column = |(column, cells): &(String, Vec<String>)| {
                suggested_column(column, cells.iter().map(|cell| Some(cell.as_str())), "images")
            };
            let named = suggestible.iter().find_map(of_column);
            findings.extend(named.or_else(|| suggested_pattern(&dataset, "images")));
        }
    }
    let (least, expected) = match inferred.task {
        Task::SingleLabel => (2, "at least two different labels in the column of labels"),
        Task::MultiLabel => (1, "at least one label in the column of labels"),
        Task::Regression | Task::Tags | Task::Answers => (0, ""),
    };
    if dataset.classes.len() < least {
        let found = dataset.classes.first().map_or("none", String::as_str);
        let what = if least == 2 { "there are fewer than two classes" } else { "there are no labels" };
        return Err(Error::Data(Problem::new(what).expected(expected).found(found).at(path)));
    }
    if !dataset.has(Split::Train) {
        return Err(Error::Data(
            Problem::new("there is no training data").expected("rows whose split is train or empty").at(path),
        ));
    }
    Ok(Opened { dataset, findings, inferred })
}

/// A label as one and the same text for one and the same target.
pub(super) fn canonical(text: &str, task: Task, decimal_comma: bool) -> std::result::Result<String, Problem> {
    match task {
        Task::SingleLabel if text.is_empty() => {
            Err(Problem::new("a field is empty").expected("a path and a label in every row"))
        }
        Task::SingleLabel => Ok(text.to_owned()),
        Task::MultiLabel => Ok(label_set(text).join(&SEPARATOR.to_string())),
        Task::Regression => number(text, decimal_comma).map(|value| value.to_string()).ok_or_else(|| {
            Problem::new("a label is not a number").expected("a number, or nothing where it is missing").found(text)
        }),
        // Refused where all labels are read together.
        Task::Tags | Task::Answers => Ok(text.to_owned()),
    }
}

/// The rows of one file as one row with the labels of all, where they are of one split.
fn unite(rows: &mut Vec<(u64, Row)>) {
    let [(_, first), rest @ ..] = rows.as_slice() else { return };
    if rest.is_empty() || rest.iter().any(|(_, row)| row.split != first.split) {
        return;
    }
    let all: Vec<&str> = rows.iter().map(|(_, row)| row.class.as_str()).collect();
    let united = label_set(&all.join(&SEPARATOR.to_string())).join(&SEPARATOR.to_string());
    rows.truncate(1);
    rows[0].1.class = united;
}

/// Keeps one row for each file; none where the rows contradict each other.
fn settle(rows: BTreeMap<String, Vec<(u64, Row)>>) -> (Vec<Row>, Vec<Finding>) {
    let (mut kept, mut repeated, mut contradicting) = (Vec::new(), Vec::new(), Vec::new());
    let mut lines = Vec::new();
    for (name, group) in rows {
        let alike = group.iter().all(|(_, row)| row.class == group[0].1.class && row.split == group[0].1.split);
        if !alike {
            lines.push(group.iter().map(|(line, _)| line.to_string()).collect::<Vec<_>>().join(" and "));
            contradicting.push(name);
            continue;
        }
        if group.len() > 1 {
            repeated.push(name);
        }
        kept.extend(group.into_iter().next().map(|(_, row)| row));
    }
    let mut findings = Vec::new();
    if !repeated.is_empty() {
        let message = format!("files named by several rows, used once: {}", repeated.len());
        findings.push(Finding::new(FindingKind::DuplicateRow, Severity::Warning, message, repeated));
    }
    if !contradicting.is_empty() {
        let message = format!(
            "files that rows give different labels or splits, left out: {} (lines {})",
            contradicting.len(),
            lines.join(", ")
        );
        findings.push(Finding::new(FindingKind::DuplicateRow, Severity::Serious, message, contradicting));
    }
    (kept, findings)
}

struct Columns {
    path: usize,
    label: usize,
    split: Option<usize>,
    group: Option<usize>,
}

impl Columns {
    fn find(header: &ByteRecord, path: &Path, reading: &Reading) -> Result<Self> {
        let column = |name: &str| header.iter().position(|field| field.eq_ignore_ascii_case(name.as_bytes()));
        let (file, label) = (reading.path_column(), reading.label_column());
        let group = reading.grouping.column.as_deref();
        match (column(file), column(label)) {
            (Some(path), Some(label)) if group.is_none_or(|group| column(group).is_some()) => {
                Ok(Self { path, label, split: column("split"), group: group.and_then(column) })
            }
            (Some(_), Some(_)) => {
                let names: Vec<String> = header.iter().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
                find(&names, group.unwrap_or_default(), COLUMN_FLAG, path)?;
                unreachable!("it is not there")
            }
            _ => {
                let found: Vec<_> = header.iter().take(8).map(String::from_utf8_lossy).collect();
                let expected =
                    format!("a header with the columns {file} and {label} (and split, if the data is split already)");
                let problem = Problem::new("a column is missing").expected(expected).found(found.join(", "));
                let missing = if column(file).is_none() { file } else { label };
                Err(Error::Data(
                    problem
                        .suggest(missing, found.iter().map(AsRef::as_ref))
                        .hint("columns of other names are named with --path-column and --label-column")
                        .at(at(path, 1)),
                ))
            }
        }
    }

    fn row(&self, record: &ByteRecord, root: &Path) -> std::result::Result<Row, Problem> {
        let field = |column: usize| record.get(column).unwrap_or_default();
        let text = |column: usize| {
            std::str::from_utf8(field(column)).map_err(|_| {
                Problem::new("a field is not UTF-8")
                    .found(String::from_utf8_lossy(field(column)))
                    .hint("save the table as CSV UTF-8")
            })
        };
        let file = Path::new(OsStr::from_bytes(field(self.path)));
        let class = text(self.label)?;
        // Whether a label may be empty depends on the task.
        if file.as_os_str().is_empty() {
            return Err(Problem::new("a field is empty").expected("a path and a label in every row"));
        }
        let split = match self.split {
            Some(column) => match text(column)? {
                "" => Split::Train,
                word => Split::from_name(word).ok_or_else(|| {
                    Problem::new("an unknown split").expected("train, val, test or nothing").found(word)
                })?,
            },
            None => Split::Train,
        };
        let group = of_cell(self.group.map(&text).transpose()?);
        // `./a//b` and `a/b` are one file and get one name.
        let tidy: PathBuf = file.components().filter(|part| *part != Component::CurDir).collect();
        Ok(Row { path: root.join(&tidy), name: printable(&tidy), class: class.to_owned(), split, group })
    }
}

/// A comma, unless the header line holds none and does hold a semicolon or a tab.
fn delimiter(text: &[u8]) -> u8 {
    let header = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
    [b',', b';', b'\t'].into_iter().find(|delimiter| header.contains(delimiter)).unwrap_or(b',')
}

fn at(path: &Path, line: u64) -> String {
    format!("{}, line {line}", printable(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::Targets;

    fn table(text: &[u8]) -> (tempfile::TempDir, Result<(Dataset, Vec<Finding>)>) {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("labels.csv");
        std::fs::write(&path, text).unwrap();
        let read = read(&path);
        (temp, read)
    }

    #[test]
    fn columns_are_found_by_name_in_any_order_and_case() {
        let (temp, read) = table(
            b"\xef\xbb\xbfsize,Label,SPLIT,Path\r\n1,dog,,b.jpg\r\n2,cat,Valid,./x//a.jpg\r\n3,\"c,d\",test,c.jpg\r\n",
        );
        let (dataset, findings) = read.unwrap();
        assert_eq!(dataset.classes, ["c,d", "cat", "dog"]);
        let rows: Vec<_> = dataset.examples.iter().map(|row| (row.name.as_str(), row.label, row.split)).collect();
        assert_eq!(rows, [("b.jpg", 2, Split::Train), ("c.jpg", 0, Split::Test), ("x/a.jpg", 1, Split::Val)]);
        assert_eq!(dataset.examples[2].path, temp.path().join("x/a.jpg"));
        assert_eq!(findings, []);
    }

    #[test]
    fn semicolons_and_tabs_are_understood() {
        assert_eq!(table(b"path;label\na;x\nb;y\n").1.unwrap().0.examples.len(), 2);
        assert_eq!(table(b"path\tlabel\na\tx\nb\ty\n").1.unwrap().0.examples.len(), 2);
    }

    #[test]
    fn paths_that_are_not_utf8_are_read() {
        let (_temp, read) = table(b"path,label\n\xff.png,x\nb,y\n");
        let dataset = read.unwrap().0;
        assert_eq!(dataset.examples[0].name, "\\xFF.png");
        assert!(dataset.examples[0].path.as_os_str().as_bytes().ends_with(b"/\xff.png"));
    }

    #[test]
    fn repetitions_are_told_and_contradictions_left_out() {
        let (_temp, read) = table(b"path,label\na,x\n./a,x\nb,x\nb,y\nc,y\n");
        let (dataset, findings) = read.unwrap();
        assert_eq!(dataset.examples.iter().map(|row| row.name.as_str()).collect::<Vec<_>>(), ["a", "c"]);
        assert_eq!(findings[0].files, ["a"]);
        assert_eq!(
            (findings[1].severity, findings[1].files.as_slice()),
            (Severity::Serious, ["b".to_owned()].as_slice())
        );
        assert!(findings[1].message.contains("lines 4 and 5"), "{}", findings[1].message);
    }

    fn reading(text: &[u8], reading: &Reading) -> Result<Opened> {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("labels.csv");
        std::fs::write(&path, text).unwrap();
        read_as(&path, reading)
    }

    #[test]
    fn the_task_follows_from_the_labels() {
        let opened = reading(b"path,label\na,cat|dog\nb,\nc,dog\n", &Reading::default()).unwrap();
        assert_eq!(opened.inferred.task, Task::MultiLabel);
        assert_eq!(opened.dataset.classes, ["cat", "dog"]);
        let opened = reading(b"path;label\na;1,5\nb;\nc;-2\n", &Reading::default()).unwrap();
        assert_eq!(opened.inferred.task, Task::Regression);
        let Targets::Values(values) = &opened.dataset.targets else { panic!("{:?}", opened.dataset.targets) };
        assert!(values[0] == 1.5 && values[1].is_nan() && values[2] == -2.0, "{values:?}");
        let opened = reading(b"path,label\na,3\nb,5\n", &Reading::default()).unwrap();
        assert_eq!((opened.inferred.task, opened.dataset.targets), (Task::SingleLabel, Targets::Classes));
        let forced = Reading { task: Some(Task::Regression), ..Reading::default() };
        assert_eq!(
            reading(b"path,label\na,3\nb,5\n", &forced).unwrap().dataset.targets,
            Targets::Values(vec![3.0, 5.0])
        );
        let problem = reading(b"path,label\na,3\nb,many\n", &forced).unwrap_err().to_string();
        assert!(problem.contains("a label is not a number") && problem.contains("line 3"), "{problem}");
        let problem = reading(b"path,label\na,x\nb,\nc,y\n", &Reading::default()).unwrap_err().to_string();
        assert!(problem.contains("a field is empty") && problem.contains("line 3"), "{problem}");
    }

    #[test]
    fn columns_of_other_names_are_read() {
        let named = |label: &str| Reading {
            path_column: Some("File".into()),
            label_column: Some(label.into()),
            task: None,
            ..Reading::default()
        };
        let text = b"file,Age,species\na,1.5,cat\nb,2.5,dog\n";
        assert_eq!(reading(text, &named("age")).unwrap().dataset.task(), Task::Regression);
        assert_eq!(reading(text, &named("species")).unwrap().dataset.classes, ["cat", "dog"]);
        let problem = reading(text, &named("weight")).unwrap_err().to_string();
        assert!(problem.contains("columns File and weight") && problem.contains("--label-column"), "{problem}");
    }

    #[test]
    fn rows_of_one_file_are_united_in_multi_label() {
        let several = Reading { task: Some(Task::MultiLabel), ..Reading::default() };
        let opened = reading(b"path,label,split\na,x,\n./a,y,\nb,x,\nc,x,\nc,y,test\n", &several).unwrap();
        let names: Vec<_> = opened.dataset.examples.iter().map(|example| example.name.as_str()).collect();
        assert_eq!((names, opened.dataset.target_text(0)), (vec!["a", "b"], "x|y".into()));
        assert_eq!(opened.findings[0].files, ["c"], "two splits contradict each other");
    }

    #[test]
    fn errors_name_the_line() {
        let refused = |text: &[u8], words: &[&str]| {
            let problem = table(text).1.unwrap_err();
            assert!(matches!(problem, Error::Data(_)));
            for words in words {
                assert!(problem.to_string().contains(words), "{problem}");
            }
        };
        refused(b"", &["a column is missing"]);
        refused(b"file,label\na,b\n", &["a column is missing", "file, label", "line 1"]);
        refused(b"path,label\n", &["no rows"]);
        refused(b"path,label\na,x\nb,\n", &["a field is empty", "line 3"]);
        refused(b"path,label\na,x\nb,y,z\n", &["cannot be read", "line 3"]);
        refused(b"path,label,split\na,x,train\nb,y,dev\n", &["unknown split", "dev", "line 3"]);
        refused(b"path,label\na,\xff\n", &["UTF-8", "line 2"]);
        refused(b"path,label\na,x\nb,x\n", &["fewer than two classes"]);
        refused(b"path,label,split\na,x,test\nb,y,test\n", &["no training data"]);
    }
}
