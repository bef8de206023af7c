//! A folder of text files, one folder per class: the layouts of images ([`crate::data::folder`]), read as texts.

use std::collections::BTreeMap;
use std::path::Path;

use rayon::prelude::*;

use super::encoding::{decode, detect_bytes, encoding_of};
use super::record::too_much;
use super::strays::Strays;
use super::{Limits, Text, TextDataset, TextExample, TextFormat, TextReading, TextSource};
use crate::data::folder::{Content, read_of};
use crate::data::group_hints::suggested_pattern;
use crate::data::left_out::Left;
use crate::data::{Example, Finding, FindingKind, Inferred, Targets, Task};
use crate::error::{Error, Problem, Result};
use crate::files::read_limited;
use crate::progress::Observer;
use encoding_rs::Encoding;

const TEXTS: Content = Content {
    noun: "texts",
    layout: "CLASS/text.txt with one folder per class, or train/CLASS/text.txt beside val/ and test/",
};

/// One file as text.
struct Page {
    text: String,
    encoding: &'static str,
    faults: u64,
}

pub(super) fn read(
    path: &Path,
    reading: &TextReading,
    limits: &Limits,
    observer: &dyn Observer,
) -> Result<(TextDataset, Vec<Finding>)> {
    if let Some(column) = reading.text.first().or(reading.label.as_ref()).or(reading.grouping.column.as_ref()) {
        let problem = Problem::new("a folder has no columns").expected("a table where a column is named").found(column);
        return Err(Error::Usage(problem.at(path)));
    }
    let (mut dataset, mut findings) = read_of(path, &TEXTS, reading.merge_classes)?;
    dataset.group_by(&reading.grouping)?;
    if !reading.grouping.is_asked() {
        findings.extend(suggested_pattern(&dataset, "texts"));
    }
    let total: u64 = dataset.examples.iter().map(|example| example.source.size().min(limits.record as u64)).sum();
    if total > limits.total {
        return Err(Error::Data(too_much(limits).at(path)));
    }
    let asked = encoding_of(reading.encoding.as_deref())?;
    let pages: Vec<Result<Page>> = dataset
        .examples
        .par_iter()
        .map(|example| {
            observer.check()?;
            Ok(page(example.source.file().unwrap_or(Path::new("")), asked, limits))
        })
        .collect::<Result<_>>()?;
    let (mut examples, mut refused, mut others) = (Vec::new(), Left::default(), 0);
    let mut encodings: BTreeMap<&str, usize> = BTreeMap::new();
    let mut strays = Strays::default();
    for (example, page) in dataset.examples.into_iter().zip(pages) {
        match page {
            Ok(page) => {
                let mut text = Text::single(page.text);
                strays.note(&example.name, &mut text, page.faults > 0);
                if page.encoding != "UTF-8" {
                    others += 1;
                    *encodings.entry(page.encoding).or_default() += 1;
                }
                let Example { name, label, split, group, .. } = example;
                examples.push(TextExample { name, text, label, split, group });
            }
            Err(error) => refused.note(&error.reason(), &example.name),
        }
    }
    let what = format!("files that cannot be read, are not text or are over {} bytes, left out", limits.record);
    findings.extend(refused.finding(FindingKind::NotText, &what));
    findings.extend(strays.findings());
    if examples.is_empty() {
        let problem = Problem::new("no file in the folder reads as text").expected(TEXTS.layout);
        return Err(Error::Data(problem.at(path)));
    }
    let mut remarks = vec!["each folder is a class, each file a text".to_owned()];
    if others > 0 {
        let told: Vec<String> = encodings.iter().map(|(encoding, files)| format!("{encoding}: {files}")).collect();
        remarks.push(format!("files that are not UTF-8, by how they were read ({}): {others}", told.join(", ")));
    }
    let source = TextSource {
        format: TextFormat::Folder,
        encoding: (others == 0).then(|| "UTF-8".to_owned()),
        text_columns: Vec::new(),
        label_column: None,
        remarks,
    };
    let inferred = match reading.task {
        Some(task) => Inferred { task, reason: "it was asked for".into() },
        None => Inferred { task: Task::SingleLabel, reason: "each folder is a class".into() },
    };
    let plain = TextDataset {
        root: dataset.root,
        classes: dataset.classes,
        examples,
        source,
        targets: Targets::Classes,
        inferred,
        grouping: dataset.grouping,
    };
    Ok((plain.recast()?, findings))
}

fn page(path: &Path, asked: Option<&'static Encoding>, limits: &Limits) -> Result<Page> {
    let bytes = read_limited(path, limits.record as u64).map_err(|source| crate::data::missing(path, &source))?;
    let detected = detect_bytes(&bytes, path, asked)?;
    Ok(Page { text: decode(&bytes, &detected).trim().to_owned(), encoding: detected.name(), faults: detected.faults })
}
