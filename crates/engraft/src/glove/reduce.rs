//! `engraft glove reduce`: word vectors of fewer columns.

use std::path::Path;

use serde::Serialize;

use super::output::{Output, SCHEMA};
use super::principal::Principal;
use super::records::{Record, Records};
use super::truncated::decompose;
use super::vocabulary::Vocabulary;
use crate::bases::text::WordVectors;
use crate::error::{Error, Problem, Result, printable};
use crate::progress::Observer;
use crate::settings::{ReduceVectors, Reduction, VectorFormat, Weighting};

/// What `reduce` did.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reduced {
    /// The schema of this report: 1.
    pub schema: u32,
    /// The version of the program.
    pub version: &'static str,
    /// `glove reduce`
    pub command: &'static str,
    /// The file of vectors or co-occurrences.
    pub vectors: String,
    /// How columns were reduced.
    pub method: Reduction,
    /// Words.
    pub words: usize,
    /// Columns before; for a decomposition the words.
    pub from: usize,
    /// Columns after.
    pub to: usize,
    /// The share of the variance along each axis that was kept; for a decomposition the share of each singular value's square in the sum
    /// of the squares of all entries.
    pub explained: Vec<f64>,
    /// Their sum.
    pub explained_total: f64,
    /// The share along the most common directions, which `ppa` removes; empty otherwise.
    pub removed: Vec<f64>,
    /// What was factorised, of a decomposition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub factorisation: Option<Factorisation>,
    /// The format that was written.
    pub format: VectorFormat,
    /// All files that were written.
    pub files: Vec<String>,
    /// What is worth knowing, and what was lost on the way.
    pub notes: Vec<String>,
}

/// What was factorised, and how.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Factorisation {
    /// What stood in place of a count.
    pub weighting: Weighting,
    /// Entries of the matrix that are not zero.
    pub entries: usize,
    /// Singular values, descending.
    pub singular_values: Vec<f64>,
    /// Exponent of the singular values in the vectors.
    pub power: f64,
    /// Power iterations.
    pub iterations: usize,
    /// Seed of the random start.
    pub seed: u64,
}

/// Reduces vectors (`pca`, `ppa`) or factorises co-occurrences (`svd`), and writes vectors and a report beside them, `OUT.json`.
///
/// With `pca` a word's new numbers are the coordinates of its vector along the `columns` axes that hold most of all vectors' squares: of all
/// maps to so few columns the one that keeps inner products best. With `centre` the mean of all vectors is subtracted before, as in textbooks. `ppa` (Raunak, Gupta and Metze 2019, algorithm 1) removes the mean and the `remove` most common directions (Mu and
/// Viswanath 2018, "All-but-the-top", algorithm 1), reduces by `pca`, and does so again. In coordinates along the axes the second
/// removal leaves `remove` columns of zeros. These are not kept: `columns` others are, the axes from number `2 remove` on.
///
/// The result does not depend on the number of threads.
///
/// # Errors
/// [`Error::Usage`] for settings that do not fit the vectors; [`Error::Weights`] and [`Error::Data`] for files that cannot be read;
/// [`Error::Output`] where the output cannot be written.
pub fn reduce(settings: &ReduceVectors, observer: &dyn Observer) -> Result<Reduced> {
    refuse_without_effect(settings)?;
    let inputs = [("the vectors", settings.vectors.as_path())];
    let vocabulary = settings.vocab.iter().map(|path| ("the vocabulary", path.as_path()));
    let inputs: Vec<(&str, &Path)> = inputs.into_iter().chain(vocabulary).collect();
    let output = Output::claim(&settings.out, settings.to, settings.force, &inputs)?;
    let (vectors, mut reduced) = match settings.method {
        Reduction::Svd => of_records(settings, observer)?,
        Reduction::Pca | Reduction::Ppa => {
            let read = WordVectors::open(&settings.vectors)?;
            observer.check()?;
            let (vectors, reduced) = reduce_vectors(&read, settings)?;
            let mut notes = read.remarks().to_vec();
            if read.has_subwords() {
                notes.push("character n-grams are left out: unknown words have no vector there".into());
            }
            (vectors, Reduced { notes, ..reduced })
        }
    };
    observer.check()?;
    reduced.format = output.format();
    output.write(&vectors, |files, lost| {
        reduced.notes.extend(lost);
        Reduced { files, ..reduced }
    })
}

/// Refuses settings that the method does not have.
fn refuse_without_effect(settings: &ReduceVectors) -> Result<()> {
    let usual = ReduceVectors::default();
    let of_svd = [
        ("--vocab", settings.vocab != usual.vocab),
        ("--weighting", settings.weighting != usual.weighting),
        ("--shift", settings.shift != usual.shift),
        ("--context-smoothing", settings.context_smoothing != usual.context_smoothing),
        ("--power", settings.power != usual.power),
        ("--iterations", settings.iterations != usual.iterations),
        ("--seed", settings.seed != usual.seed),
        ("--memory", settings.memory != usual.memory),
    ];
    let of_ppmi = [&of_svd[2], &of_svd[3]];
    let centre = ("--centre", settings.centre != usual.centre);
    let remove = ("--remove", settings.remove != usual.remove);
    let without: Vec<&(&str, bool)> = match settings.method {
        Reduction::Pca => of_svd.iter().chain([&remove]).collect(),
        Reduction::Ppa => of_svd.iter().chain([&centre]).collect(),
        Reduction::Svd if settings.weighting == Weighting::Ppmi => vec![&centre, &remove],
        Reduction::Svd => of_ppmi.into_iter().chain([&centre, &remove]).collect(),
    };
    match without.into_iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((flag, _)) => {
            let problem = Problem::new(format_args!("--method {} does not use {flag}", settings.method)).at(*flag);
            Err(Error::Usage(problem.hint("leave the flag out, or choose another --method or --weighting")))
        }
    }
}

/// Reduces vectors that are in memory, by `pca` or `ppa`; [`reduce`] says how.
///
/// # Errors
/// [`Error::Usage`] where there are not so many columns.
pub(crate) fn reduce_vectors(vectors: &WordVectors, settings: &ReduceVectors) -> Result<(WordVectors, Reduced)> {
    let (from, to) = (vectors.columns(), settings.columns);
    let removed = if settings.method == Reduction::Ppa { 2 * settings.remove } else { 0 };
    if to == 0 || to.saturating_add(removed) > from {
        let problem = Problem::new("the vectors have not so many columns").at("--columns");
        let most = from.saturating_sub(removed);
        let problem = problem.expected(match settings.method {
            Reduction::Ppa => {
                format!("1 to {most}: {from} less twice the {} directions that are removed", settings.remove)
            }
            _ => format!("1 to {most}"),
        });
        return Err(Error::Usage(problem.found(to)));
    }
    let centre = settings.centre || settings.method == Reduction::Ppa;
    let principal = Principal::of(vectors.values(), from, centre)?;
    let axes = removed..removed + to;
    let values = principal.coordinates(vectors.values(), axes.clone());
    let explained = principal.explained(axes);
    let reduced = Reduced {
        method: settings.method,
        words: vectors.len(),
        from,
        to,
        explained_total: explained.iter().sum(),
        explained,
        removed: principal.explained(0..removed),
        ..Reduced::begun(settings)
    };
    Ok((vectors.with_values(to, values)?, reduced))
}

impl Reduced {
    fn begun(settings: &ReduceVectors) -> Self {
        Self {
            schema: SCHEMA,
            version: env!("CARGO_PKG_VERSION"),
            command: "glove reduce",
            vectors: printable(&settings.vectors),
            method: settings.method,
            words: 0,
            from: 0,
            to: settings.columns,
            explained: Vec::new(),
            explained_total: 0.0,
            removed: Vec::new(),
            factorisation: None,
            format: VectorFormat::Glove,
            files: Vec::new(),
            notes: Vec::new(),
        }
    }
}

fn of_records(settings: &ReduceVectors, observer: &dyn Observer) -> Result<(WordVectors, Reduced)> {
    let Some(vocabulary) = &settings.vocab else {
        let problem =
            Problem::new("co-occurrence records have no words").expected("--vocab FILE: a word and its count a line");
        return Err(Error::Usage(problem.at(&settings.vectors)));
    };
    let words: Vec<String> = Vocabulary::read(vocabulary)?.words().map(str::to_owned).collect();
    let (count, records) = (words.len(), Records::open(&settings.vectors)?);
    factorise(words, || Ok(records.of_words(count)), settings, observer)
}

/// Vectors of words from how often they come together: rows of `U S^power` of the weighed matrix's truncated singular value
/// decomposition. `records` is asked twice for all records, in any order.
///
/// # Errors
/// [`Error::Usage`] for settings out of range, or where memory does not suffice; what `records` fails with; [`Error::Data`] for
/// records of no word.
pub fn factorise<I: Iterator<Item = Result<Record>>>(
    words: Vec<String>,
    records: impl Fn() -> Result<I>,
    settings: &ReduceVectors,
    observer: &dyn Observer,
) -> Result<(WordVectors, Reduced)> {
    let is_sound = settings.shift > 0.0
        && settings.shift.is_finite()
        && (0.0..=1.0).contains(&settings.context_smoothing)
        && (0.0..=1.0).contains(&settings.power)
        && settings.iterations <= 100;
    if !is_sound {
        let problem = Problem::new("invalid settings of the decomposition");
        let problem =
            problem.expected("--shift above 0, --context-smoothing and --power from 0 to 1, --iterations up to 100");
        return Err(Error::Usage(problem.found(format_args!(
            "{}, {} and {}, {}",
            settings.shift, settings.context_smoothing, settings.power, settings.iterations
        ))));
    }
    let count = words.len();
    let found = decompose(count, records, settings, observer)?;
    let share = |x: &f64| if found.square > 0.0 { x * x / found.square } else { 0.0 };
    let explained: Vec<f64> = found.singular.iter().map(share).collect();
    let reduced = Reduced {
        words: count,
        from: count,
        explained_total: explained.iter().sum(),
        explained,
        factorisation: Some(Factorisation {
            weighting: settings.weighting,
            entries: found.entries,
            singular_values: found.singular,
            power: settings.power,
            iterations: settings.iterations,
            seed: settings.seed,
        }),
        ..Reduced::begun(settings)
    };
    Ok((WordVectors::new(words, settings.columns, found.vectors)?, reduced))
}

#[cfg(test)]
#[path = "reduce_tests.rs"]
mod tests;
