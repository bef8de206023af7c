//! A data set as a CSV table with the columns `path` and `label`, and `split` if there is one.
//!
//! Paths are relative to the table's folder. The header is required; its names are found in any order and case. The
//! delimiter is a comma, or a semicolon or tab where the header has those instead (as spreadsheets in much of Europe
//! write it). A file that does not exist is not looked for here: the audit finds it.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::path::{Component, Path, PathBuf};

use csv::{ByteRecord, ReaderBuilder, Trim};

use super::dataset::{Dataset, Row, Split};
use super::finding::{Finding, FindingKind, Severity};
use crate::error::{Error, Problem, Result, printable};

/// The largest table that is read, in bytes.
const LIMIT: u64 = 1 << 30;

const COLUMNS: &str = "a header with the columns path and label (and split, if the data is split already)";

/// Reads a table.
///
/// # Errors
/// [`Error::Data`], with the line's number, when a column, a path or a label is missing, a split is unknown, a row has
/// more or fewer fields than the header, or the text is no UTF-8; and when there are fewer than two classes.
pub fn read(path: &Path) -> Result<(Dataset, Vec<Finding>)> {
    let bytes = crate::files::read_limited(path, LIMIT).map_err(|source| super::missing(path, &source))?;
    let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(&bytes);
    let mut reader = ReaderBuilder::new().delimiter(delimiter(text)).trim(Trim::All).from_reader(text);
    let malformed = |problem: csv::Error| {
        let line = problem.position().map_or(1, csv::Position::line);
        Error::Data(Problem::new("the table cannot be read").found(&problem).at(at(path, line)))
    };
    let header = reader.byte_headers().map_err(malformed)?.clone();
    let columns = Columns::find(&header, path)?;
    let root = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent.to_owned(),
        _ => PathBuf::from("."),
    };

    // Every line that names a file, by the file's name: repetitions are told, contradictions left out.
    let mut rows: BTreeMap<String, Vec<(u64, Row)>> = BTreeMap::new();
    let mut record = ByteRecord::new();
    while reader.read_byte_record(&mut record).map_err(malformed)? {
        let line = record.position().map_or(0, csv::Position::line);
        let row = columns.row(&record, &root).map_err(|problem| Error::Data(problem.at(at(path, line))))?;
        rows.entry(row.name.clone()).or_default().push((line, row));
    }
    if rows.is_empty() {
        return Err(Error::Data(Problem::new("the table has no rows").expected("one row per picture").at(path)));
    }

    let (rows, findings) = settle(rows);
    let dataset = Dataset::assemble(root, rows);
    if dataset.classes.len() < 2 {
        return Err(Error::Data(
            Problem::new("there are fewer than two classes")
                .expected("at least two different labels in the column label")
                .found(dataset.classes.first().map_or("none", String::as_str))
                .at(path),
        ));
    }
    if !dataset.has(Split::Train) {
        return Err(Error::Data(
            Problem::new("there is no training data").expected("rows whose split is train or empty").at(path),
        ));
    }
    Ok((dataset, findings))
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
        findings.push(Finding::new(FindingKind::DuplicateRow, Severity::Error, message, contradicting));
    }
    (kept, findings)
}

struct Columns {
    path: usize,
    label: usize,
    split: Option<usize>,
}

impl Columns {
    fn find(header: &ByteRecord, path: &Path) -> Result<Self> {
        let column = |name: &str| header.iter().position(|field| field.eq_ignore_ascii_case(name.as_bytes()));
        match (column("path"), column("label")) {
            (Some(path), Some(label)) => Ok(Self { path, label, split: column("split") }),
            _ => {
                let found: Vec<_> = header.iter().take(8).map(String::from_utf8_lossy).collect();
                Err(Error::Data(
                    Problem::new("a column is missing").expected(COLUMNS).found(found.join(", ")).at(at(path, 1)),
                ))
            }
        }
    }

    fn row(&self, record: &ByteRecord, root: &Path) -> std::result::Result<Row, Problem> {
        let field = |column: usize| record.get(column).unwrap_or_default();
        let text = |column: usize| {
            std::str::from_utf8(field(column)).map_err(|_| {
                Problem::new("a field is no UTF-8")
                    .found(String::from_utf8_lossy(field(column)))
                    .hint("save the table as CSV UTF-8")
            })
        };
        let file = Path::new(OsStr::from_bytes(field(self.path)));
        let class = text(self.label)?;
        if file.as_os_str().is_empty() || class.is_empty() {
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
        // `./a//b` and `a/b` are one file and get one name.
        let tidy: PathBuf = file.components().filter(|part| *part != Component::CurDir).collect();
        Ok(Row { path: root.join(&tidy), name: printable(&tidy), class: class.to_owned(), split })
    }
}

/// A comma, unless the header line holds none and does hold a semicolon or a tab.
fn delimiter(text: &[u8]) -> u8 {
    let header = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
    [b',', b';', b'\t'].into_iter().find(|delimiter| header.contains(delimiter)).unwrap_or(b',')
}

fn at(path: &Path, line: u64) -> String {
    format!("{}, line {line}", path.display())
}

#[cfg(test)]
mod tests {
    use super::*;

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
            (Severity::Error, ["b".to_owned()].as_slice())
        );
        assert!(findings[1].message.contains("lines 4 and 5"), "{}", findings[1].message);
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
