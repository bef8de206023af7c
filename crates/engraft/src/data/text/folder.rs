//! A folder of text files, one folder per class: the layouts of images ([`crate::data::folder`]), read as texts.

use std::path::Path;

use rayon::prelude::*;

use super::encoding::{decode, detect_bytes};
use super::record::too_much;
use super::strays::Strays;
use super::{Limits, Text, TextDataset, TextExample, TextFormat, TextReading, TextSource};
use crate::data::folder::{Content, read_of};
use crate::data::group_hints::suggested_pattern;
use crate::data::{Example, Finding, FindingKind, Inferred, Severity, Targets, Task};
use crate::error::{Error, Problem, Result};
use crate::files::read_limited;
use crate::progress::Observer;

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
    let (mut dataset, mut findings) = read_of(path, &TEXTS)?;
    dataset.group_by(&reading.grouping)?;
    if !reading.grouping.is_asked() {
        findings.extend(suggested_pattern(&dataset, "texts"));
    }
    let total: u64 = dataset
        .examples
        .iter()
        .filter_map(|example| std::fs::metadata(&example.path).ok())
        .map(|metadata| metadata.len().min(limits.record as u64))
        .sum();
    if total > limits.total {
        return Err(Error::Data(too_much(limits).at(path)));
    }
    let pages: Vec<Result<Page>> = dataset
        .examples
        .par_iter()
        .map(|example| {
            observer.check()?;
            Ok(page(&example.path, limits))
        })
        .collect::<Result<_>>()?;
    let (mut examples, mut refused, mut others) = (Vec::new(), Vec::new(), 0);
    let mut strays = Strays::default();
    for (example, page) in dataset.examples.into_iter().zip(pages) {
        match page {
            Ok(page) => {
                let mut text = Text::single(page.text);
                strays.note(&example.name, &mut text, page.faults > 0);
                others += usize::from(page.encoding != "UTF-8");
                let Example { name, label, split, group, .. } = example;
                examples.push(TextExample { name, text, label, split, group });
            }
            Err(_) => refused.push(example.name),
        }
    }
    if !refused.is_empty() {
        let message = format!(
            "files that cannot be read, are not text or are over {} bytes, left out: {}",
            limits.record,
            refused.len()
        );
        findings.push(Finding::new(FindingKind::NotText, Severity::Warning, message, refused));
    }
    findings.extend(strays.findings());
    if examples.is_empty() {
        let problem = Problem::new("no file in the folder reads as text").expected(TEXTS.layout);
        return Err(Error::Data(problem.at(path)));
    }
    let mut remarks = vec!["each folder is a class, each file a text".to_owned()];
    if others > 0 {
        remarks.push(format!("files that are not UTF-8 and were read as UTF-16 or windows-1252 (Latin-1): {others}"));
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

fn page(path: &Path, limits: &Limits) -> Result<Page> {
    let bytes = read_limited(path, limits.record as u64).map_err(|source| crate::data::missing(path, &source))?;
    let detected = detect_bytes(&bytes, path)?;
    Ok(Page { text: decode(&bytes, &detected).trim().to_owned(), encoding: detected.name(), faults: detected.faults })
}
