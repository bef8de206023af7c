//! Files of translations against files of references, line by line: what `engraft translate score` does.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::data::text::{TextLines, require_utf8};
use crate::error::{Error, Problem, Result, printable, shown};
use crate::metrics::{TranslationComparison, TranslationMetric, TranslationScore, TranslationStatistics};
use crate::progress::Observer;

/// Lines that are scored at once: memory holds no more text than these.
const BATCH: usize = 2048;
/// As many translations that end in a full stop with a blank before it look as if they were tokenised (sacrebleu's rule).
const TOKENISED: usize = 100;
/// References that a translation may have.
const MOST_REFERENCES: usize = 64;

/// What is to be scored.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreRequest {
    /// The translations, one a line.
    pub translations: PathBuf,
    /// The references, one file for each translator, with as many lines.
    pub references: Vec<PathBuf>,
    /// Translations of another system, to compare with.
    pub against: Option<PathBuf>,
    /// The metrics; each is computed in the same pass over the files.
    pub metrics: Vec<TranslationMetric>,
    /// Seed of the resamples.
    pub seed: u64,
    /// Resamples of the paired bootstrap ([`crate::metrics::BOOTSTRAP_RESAMPLES`]).
    pub resamples: usize,
    /// Trials of approximate randomisation ([`crate::metrics::RANDOMISATION_TRIALS`]); 0 leaves it out.
    pub trials: usize,
    /// Whether the score of each sentence is part of the report.
    pub sentences: bool,
}

/// How good translations are.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoreReport {
    /// The file of the translations, printable.
    pub translations: String,
    /// The files of the references, printable.
    pub references: Vec<String>,
    /// The file of the other system's translations, printable.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub against: Option<String>,
    /// Number of sentences.
    pub lines: usize,
    /// Translations that are empty (they count, and score nothing).
    pub empty_translations: usize,
    /// Lines of references that are empty, over all files.
    pub empty_references: usize,
    /// The scores, one for each metric that was asked for.
    pub scores: Vec<TranslationScore>,
    /// The scores of the other system, in the same order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub scores_against: Vec<TranslationScore>,
    /// The paired tests of the two, in the same order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub comparisons: Vec<TranslationComparison>,
    /// The scores of each sentence, `[metrics][sentences]`, where asked for.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub sentence_scores: Vec<Vec<f64>>,
    /// What a reader should know.
    pub remarks: Vec<String>,
}

/// Scores a file of translations against files of references.
///
/// Lines end at a line feed; a carriage return before it and a byte order mark at the beginning are no part of a line, and white space at
/// its end does not count. Empty lines count as sentences. The files are read line by line, so that memory holds the statistics of each
/// sentence (112 bytes for BLEU and chrF together) and no texts.
///
/// # Errors
/// [`Error::Usage`] for invalid settings, no metric, no reference or more than 64; [`Error::Data`] where a file is not UTF-8 (with the line), is
/// no text, has a line of more than 16 MiB or none at all, or the files have different numbers of lines (with each number);
/// [`Error::Interrupted`].
pub fn score_files(request: &ScoreRequest, observer: &dyn Observer) -> Result<ScoreReport> {
    if request.metrics.is_empty() {
        return Err(Error::Usage(Problem::new("there is no metric to score by").expected("bleu, chrf or both")));
    }
    if !(1..=MOST_REFERENCES).contains(&request.references.len()) {
        let problem = Problem::new("invalid number of references").expected(format!("1 to {MOST_REFERENCES} files"));
        return Err(Error::Usage(problem.found(request.references.len()).hint("name one with --reference FILE")));
    }
    let of_metric = |metric: &TranslationMetric| TranslationStatistics::new(*metric, request.references.len());
    let mut mine: Vec<TranslationStatistics> = request.metrics.iter().map(of_metric).collect::<Result<_>>()?;
    let mut theirs = if request.against.is_some() { mine.clone() } else { Vec::new() };
    let mut files = Files::open(request, observer)?;
    let count = |lines: &[String]| lines.iter().filter(|line| line.is_empty()).count();
    let (mut empty_translations, mut empty_references, mut tokenised) = (0, 0, 0);
    observer.begin("score", 0, "lines");
    let mut read = || -> Result<()> {
        while let Some(batch) = files.batch(observer)? {
            empty_translations += count(&batch.translations);
            empty_references += batch.references.iter().map(|references| count(references)).sum::<usize>();
            tokenised += batch.translations.iter().filter(|line| line.ends_with(" .")).count();
            for statistics in &mut mine {
                statistics.extend(&batch.translations, &batch.references)?;
            }
            for statistics in &mut theirs {
                statistics.extend(&batch.against, &batch.references)?;
            }
            observer.advance(batch.translations.len() as u64);
        }
        Ok(())
    };
    let outcome = read();
    observer.end();
    outcome?;
    observer.check()?;
    let lines = mine.first().map_or(0, TranslationStatistics::len);
    let mut remarks = Vec::new();
    if empty_translations > 0 {
        remarks.push(format!("empty translations: {empty_translations} of {lines}; they count and score nothing"));
    }
    if empty_references > 0 {
        remarks.push(format!("empty lines in the references: {empty_references}"));
    }
    if tokenised >= TOKENISED {
        remarks.push(format!(
            "{tokenised} translations end in ` .`: they look tokenised, which BLEU is not comparable for; detokenise them first"
        ));
    }
    let evaluate = |statistics: &Vec<TranslationStatistics>| {
        statistics.iter().map(|statistics| statistics.evaluate(request.seed)).collect::<Result<Vec<TranslationScore>>>()
    };
    let compared = mine.iter().zip(&theirs).map(|(mine, theirs)| {
        observer.check()?;
        mine.compare(theirs, request.seed, request.resamples, request.trials)
    });
    Ok(ScoreReport {
        translations: printable(&request.translations),
        references: request.references.iter().map(|path| printable(path)).collect(),
        against: request.against.as_deref().map(printable),
        lines,
        empty_translations,
        empty_references,
        comparisons: compared.collect::<Result<_>>()?,
        scores: evaluate(&mine)?,
        scores_against: evaluate(&theirs)?,
        sentence_scores: match request.sentences {
            true => mine.iter().map(TranslationStatistics::sentence_scores).collect(),
            false => Vec::new(),
        },
        remarks,
    })
}

/// The files, read in step: the translations, the other system's where there are some, then the references.
struct Files {
    files: Vec<(PathBuf, TextLines)>,
    against: bool,
}

/// As many lines of each.
struct Batch {
    translations: Vec<String>,
    against: Vec<String>,
    references: Vec<Vec<String>>,
}

impl Files {
    fn open(request: &ScoreRequest, observer: &dyn Observer) -> Result<Self> {
        let paths = [&request.translations].into_iter().chain(&request.against).chain(&request.references);
        let open = |path: &PathBuf| {
            let encoding = require_utf8(path, observer)?;
            Ok((path.clone(), TextLines::open(path, &encoding)?))
        };
        Ok(Self { files: paths.map(open).collect::<Result<_>>()?, against: request.against.is_some() })
    }

    /// The next lines; none at the end of all files.
    fn batch(&mut self, observer: &dyn Observer) -> Result<Option<Batch>> {
        observer.check()?;
        let mut batch = Batch { translations: Vec::new(), against: Vec::new(), references: Vec::new() };
        while batch.translations.len() < BATCH {
            let mut lines = Vec::with_capacity(self.files.len());
            for (_, file) in &mut self.files {
                lines.push(file.next_line()?.map(|line| line.trim_end().to_owned()));
            }
            if lines.iter().all(Option::is_none) {
                break;
            }
            let Some(mut lines) = lines.into_iter().collect::<Option<Vec<String>>>() else {
                return Err(self.unequal(observer)?);
            };
            let references = lines.split_off(1 + usize::from(self.against));
            batch.against.extend(lines.drain(1..));
            batch.translations.append(&mut lines);
            batch.references.push(references);
        }
        Ok((!batch.translations.is_empty()).then_some(batch))
    }

    /// The refusal of files with different numbers of lines; the longer ones are counted to their ends.
    fn unequal(&mut self, observer: &dyn Observer) -> Result<Error> {
        let mut counts = Vec::new();
        for (path, file) in &mut self.files {
            while file.next_line()?.is_some() {
                observer.check()?;
            }
            counts.push((path.clone(), file.count()));
        }
        let told = |(path, lines): &(PathBuf, u64)| format!("{lines} in {}", shown(Path::new(path)));
        let problem = Problem::new("the files have different numbers of lines");
        let problem =
            problem.expected("as many translations as references, one a line, with empty lines for missing ones");
        let counts: Vec<String> = counts.iter().map(told).collect();
        Ok(Error::Data(problem.found(format!("lines: {}", counts.join(", "))).at(&self.files[0].0)))
    }
}

#[cfg(test)]
#[path = "score_tests.rs"]
mod tests;
