//! Pairs one after the other, from a table or from two files.

use std::path::{Path, PathBuf};

use encoding_rs::Encoding;

use super::SentencePair;
use super::columns::{Chosen, choose, is_name};
use crate::data::text::encoding::{detect_as, encoding_of};
use crate::data::text::record::at;
use crate::data::text::table::{Opening, Records, Table};
use crate::data::text::{Limits, TextLines};
use crate::data::{Finding, ending};
use crate::error::{Error, Problem, Result, shown};
use crate::progress::Observer;

/// Pairs that are read into memory at most: their numbers are of 32 bits.
const MOST_PAIRS: usize = u32::MAX as usize - 1;
/// Pairs between two questions whether to stop.
const ASKED: usize = 4096;
/// Endings of tables whose rows are not lines.
const TABLES: [&str; 6] = ["csv", "jsonl", "ndjson", "json", "parquet", "pq"];

/// Where pairs lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PairFiles {
    /// Both sides in the rows of one table. Names that end in `.csv`, `.jsonl`, `.ndjson`, `.json` and `.parquet` are read as such; every other
    /// file has fields with tabs between them and no quotes, a row a line.
    Table(PathBuf),
    /// A sentence a line, with its translation on the same line of another file.
    Parallel {
        /// The sentences.
        source: PathBuf,
        /// The translations.
        target: PathBuf,
    },
}

impl PairFiles {
    /// The table, or the file of the sentences.
    pub fn path(&self) -> &Path {
        match self {
            Self::Table(path) | Self::Parallel { source: path, .. } => path,
        }
    }
}

/// How pairs are to be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PairReading {
    /// The column of the sentences: a name, the last part of a name (`de` of `translation.de`), or a number from 1. Default: `source`, the first
    /// part of `translation`, or the first column.
    pub source: Option<String>,
    /// The column of the translations, likewise. Default: `target`, the second part of `translation`, or the second column.
    pub target: Option<String>,
    /// The encoding; found out where it is not said.
    pub encoding: Option<String>,
}

/// Pairs in memory.
#[derive(Debug, Clone, PartialEq)]
pub struct PairDataset {
    /// Where they lie.
    pub files: PairFiles,
    /// The pairs, in the order of the files; a side may be empty.
    pub pairs: Vec<SentencePair>,
    /// What was detected and inferred, in words.
    pub remarks: Vec<String>,
    /// What was guessed or looks wrong in the file.
    pub findings: Vec<Finding>,
}

/// Reads all pairs into memory.
///
/// # Errors
/// As [`stream_pairs`], and [`Error::Data`] where there is none, or more text than 2 GiB.
pub fn read_pairs(files: &PairFiles, reading: &PairReading, observer: &dyn Observer) -> Result<PairDataset> {
    let mut stream = stream_pairs(files, reading, observer)?;
    let limit = Limits::default().total;
    let (mut pairs, mut bytes) = (Vec::new(), 0_u64);
    while let Some(pair) = stream.next_pair()? {
        if pairs.len().is_multiple_of(ASKED) {
            observer.check()?;
        }
        bytes += (pair.source.len() + pair.target.len()) as u64;
        if bytes > limit || pairs.len() == MOST_PAIRS {
            let problem = Problem::new("there are more pairs than are read at once");
            let problem = problem.expected(format!("at most {} MiB of text", limit >> 20)).at(files.path());
            return Err(Error::Data(problem.hint("take a sample of them")));
        }
        pairs.push(pair);
    }
    if pairs.is_empty() {
        let problem = Problem::new("there are no sentence pairs").expected("at least one").found("no row");
        return Err(Error::Data(problem.at(files.path())));
    }
    let (remarks, findings) = stream.told();
    Ok(PairDataset { files: files.clone(), pairs, remarks, findings })
}

/// Pairs one after the other, each read when it is asked for; after an error nothing comes any more.
///
/// A tab-separated file has no quotes (as Anki, Tatoeba and OPUS write it): every line is a row, and its first is a header only where columns
/// are asked for by name, or where both of its cells are names of columns or languages. White space around a sentence is taken off, and so are
/// zeros in it.
///
/// # Errors
/// [`Error::Data`] where a file is missing or no such table, a column is not there, a row has too few fields (with its line), or two files have
/// different numbers of lines (with both); [`Error::Usage`] for an unknown encoding, or one column as both sides; [`Error::Interrupted`].
pub fn stream_pairs(files: &PairFiles, reading: &PairReading, observer: &dyn Observer) -> Result<PairStream> {
    let encoding = encoding_of(reading.encoding.as_deref())?;
    let (kind, remarks) = match files {
        PairFiles::Parallel { source, target } => open_parallel(source, target, reading, encoding, observer)?,
        PairFiles::Table(path) if ending(path).is_some_and(|ending| TABLES.contains(&ending.as_str())) => {
            open_table(path, reading, encoding, observer)?
        }
        PairFiles::Table(path) => open_lines(path, reading, encoding, observer)?,
    };
    Ok(PairStream { kind, remarks, row: 0, ended: false })
}

/// Pairs that are being read.
pub struct PairStream {
    kind: Kind,
    remarks: Vec<String>,
    row: u64,
    ended: bool,
}

enum Kind {
    /// The table, which knows what it found when it has been read, and the rows of its two columns.
    Table(Box<Table>, Records),
    Lines(Box<TabLines>),
    Parallel(Box<[(PathBuf, TextLines); 2]>),
}

impl PairStream {
    /// The next pair, none at the end.
    ///
    /// # Errors
    /// As [`stream_pairs`].
    pub fn next_pair(&mut self) -> Result<Option<SentencePair>> {
        if self.ended {
            return Ok(None);
        }
        self.row += 1;
        let next = match &mut self.kind {
            Kind::Table(table, records) => next_record(table, records),
            Kind::Lines(lines) => lines.next(),
            Kind::Parallel(files) => next_of_both(files, self.row),
        };
        self.ended = !matches!(next, Ok(Some(_)));
        next
    }

    /// What was detected and inferred, in words, and what looks wrong; whole once all was read.
    pub fn told(&self) -> (Vec<String>, Vec<Finding>) {
        let mut remarks = self.remarks.clone();
        let mut findings = Vec::new();
        match &self.kind {
            Kind::Table(table, _) => findings = table.findings(),
            Kind::Lines(lines) => remarks.extend(lines.told()),
            Kind::Parallel(_) => {}
        }
        (remarks, findings)
    }
}

impl Iterator for PairStream {
    type Item = Result<SentencePair>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_pair().transpose()
    }
}

/// A sentence as it is kept.
fn clean(text: &str) -> String {
    text.trim().chars().filter(|&c| c != '\0').collect()
}

fn open_table(
    path: &Path,
    reading: &PairReading,
    encoding: Option<&'static Encoding>,
    observer: &dyn Observer,
) -> Result<(Kind, Vec<String>)> {
    let asked = [&reading.source, &reading.target].into_iter().flatten().map(String::as_str);
    let named: Vec<&str> = asked.filter(|name| name.parse::<usize>().is_err()).chain(["source", "target"]).collect();
    let opening = Opening { named: &named, encoding, glance: false };
    let table = Table::open(path, &opening, &Limits::default(), observer)?;
    let Chosen { source, target, remark } =
        choose(table.columns(), reading.source.as_deref(), reading.target.as_deref(), path)?;
    table.require_once(source)?;
    table.require_once(target)?;
    let records = table.records(&[source, target])?;
    let remarks = table.remarks().into_iter().chain(remark).collect();
    Ok((Kind::Table(Box::new(table), records), remarks))
}

fn next_record(table: &Table, records: &mut Records) -> Result<Option<SentencePair>> {
    let Some(record) = records.next().transpose()? else { return Ok(None) };
    record.refuse_lists(&["source", "target"], table.path())?;
    let mut sides = record.fields.iter().map(|field| clean(field.as_deref().unwrap_or_default()));
    let mut side = || sides.next().unwrap_or_default();
    Ok(Some(SentencePair { row: record.row, source: side(), target: side() }))
}

/// A table of lines with tabs in them.
struct TabLines {
    path: PathBuf,
    lines: TextLines,
    source: usize,
    target: usize,
    /// The first line, where it is no header.
    first: Option<SentencePair>,
    /// Blank lines that were passed over.
    blank: u64,
    /// Rows with a field in quotes that a program seems to have put there.
    quoted: u64,
}

fn open_lines(
    path: &Path,
    reading: &PairReading,
    encoding: Option<&'static Encoding>,
    observer: &dyn Observer,
) -> Result<(Kind, Vec<String>)> {
    let detected = detect_as(path, encoding, observer)?;
    let mut remarks: Vec<String> = detected.remark().into_iter().collect();
    let mut lines = TextLines::open(path, &detected)?;
    let (mut first, mut blank) = (None, 0);
    while let Some(line) = lines.next_line()? {
        if line.trim().is_empty() {
            blank += 1;
            continue;
        }
        first = Some(line.to_owned());
        break;
    }
    let Some(first) = first else {
        let problem =
            Problem::new("there are no sentence pairs").expected("a sentence, a tab and its translation a line");
        return Err(Error::Data(problem.found("no line").at(path)));
    };
    let cells: Vec<String> = first.split('\t').map(clean).collect();
    if cells.len() < 2 {
        let problem = Problem::new("this is not a table of sentence pairs");
        let problem =
            problem.expected("a sentence, a tab and its translation a line").found("a first line without a tab");
        let hint = "of two files with a sentence a line name both; a comma-separated file has to be named .csv";
        return Err(Error::Data(problem.at(at(path, lines.count())).hint(hint)));
    }
    let is_number = |name: &String| name.trim().parse::<usize>().is_ok();
    let by_name = [&reading.source, &reading.target].into_iter().flatten().any(|name| !is_number(name));
    let numbers: Vec<String> = (1..=cells.len()).map(|number| number.to_string()).collect();
    let of = |names: &[String]| choose(names, reading.source.as_deref(), reading.target.as_deref(), path);
    let chosen = of(if by_name { &cells } else { &numbers });
    // Of a header without names that were asked for, the columns are chosen by what it calls them.
    let (chosen, is_header) = match chosen {
        Ok(chosen) if !by_name => {
            let is_header = is_name(&cells[chosen.source]) && is_name(&cells[chosen.target]);
            (if is_header { of(&cells)? } else { chosen }, is_header)
        }
        chosen => (chosen?, by_name),
    };
    remarks.extend(chosen.remark);
    if is_header {
        remarks.push(format!("the first line is read as the header: `{}`", cells.join("`, `")));
    }
    let (source, target) = (chosen.source, chosen.target);
    let mut table = TabLines { path: path.to_owned(), lines, source, target, first: None, blank, quoted: 0 };
    if !is_header {
        table.first = Some(table.pair(&first)?);
    }
    Ok((Kind::Lines(Box::new(table)), remarks))
}

impl TabLines {
    fn next(&mut self) -> Result<Option<SentencePair>> {
        if let Some(first) = self.first.take() {
            return Ok(Some(first));
        }
        loop {
            let Some(line) = self.lines.next_line()? else { return Ok(None) };
            if !line.trim().is_empty() {
                let line = line.to_owned();
                return self.pair(&line).map(Some);
            }
            self.blank += 1;
        }
    }

    /// The pair of the line that was read last.
    fn pair(&mut self, line: &str) -> Result<SentencePair> {
        let row = self.lines.count();
        let (mut source, mut target, mut fields) = (None, None, 0);
        for (place, field) in line.split('\t').enumerate() {
            fields += 1;
            if place == self.source {
                source = Some(field);
            } else if place == self.target {
                target = Some(field);
            }
        }
        let (Some(source), Some(target)) = (source, target) else {
            let wanted = self.source.max(self.target) + 1;
            let problem =
                Problem::new("a row has too few fields").expected(format!("at least {wanted}, with tabs between"));
            return Err(Error::Data(problem.found(format!("{fields}")).at(at(&self.path, row))));
        };
        self.quoted += u64::from([source, target].into_iter().any(is_quoted));
        Ok(SentencePair { row, source: clean(source), target: clean(target) })
    }

    fn told(&self) -> impl Iterator<Item = String> {
        let blank = (self.blank > 0).then(|| format!("blank lines, passed over: {}", self.blank));
        let quoted = (self.quoted > 0).then(|| {
            format!(
                "rows with a field in quotes and doubled quotes in it, which are read as part of the sentence: {}; if a program quoted them, \
                 name the file .csv",
                self.quoted
            )
        });
        blank.into_iter().chain(quoted)
    }
}

/// Whether a field looks as if a program had put it in quotes: between two quotes, all quotes are doubled, and there are some.
fn is_quoted(field: &str) -> bool {
    let within = field.trim().strip_prefix('"').and_then(|field| field.strip_suffix('"'));
    within.is_some_and(|within| within.contains("\"\"") && !within.replace("\"\"", "").contains('"'))
}

fn open_parallel(
    source: &Path,
    target: &Path,
    reading: &PairReading,
    encoding: Option<&'static Encoding>,
    observer: &dyn Observer,
) -> Result<(Kind, Vec<String>)> {
    if reading.source.is_some() || reading.target.is_some() {
        let problem =
            Problem::new("--source and --target name columns of a table").found("two files with a sentence a line");
        return Err(Error::Usage(
            problem.hint("leave them out: the first file has the sentences, the second the translations"),
        ));
    }
    let mut remarks = Vec::new();
    let mut open = |path: &Path| {
        let detected = detect_as(path, encoding, observer)?;
        remarks.extend(detected.remark().map(|remark| format!("{}: {remark}", shown(path))));
        Ok::<_, Error>((path.to_owned(), TextLines::open(path, &detected)?))
    };
    let files = [open(source)?, open(target)?];
    Ok((Kind::Parallel(Box::new(files)), remarks))
}

fn next_of_both(files: &mut [(PathBuf, TextLines); 2], row: u64) -> Result<Option<SentencePair>> {
    let [(source, sources), (target, targets)] = files;
    match (sources.next_line()?.map(clean), targets.next_line()?.map(clean)) {
        (Some(sentence), Some(translation)) => Ok(Some(SentencePair { row, source: sentence, target: translation })),
        (None, None) => Ok(None),
        _ => {
            while sources.next_line()?.is_some() {}
            while targets.next_line()?.is_some() {}
            let found =
                format!("{} lines in {}, {} in {}", sources.count(), shown(&*source), targets.count(), shown(&*target));
            let problem = Problem::new("the two files have different numbers of lines");
            let problem = problem.expected("a sentence a line, and its translation on the same line of the other file");
            Err(Error::Data(problem.found(found).at(source)))
        }
    }
}
