//! `engraft glove evaluate`: what vectors know.

use serde::Serialize;

use super::analogies::{Analogies, answer};
use super::near::{Neighbours, named};
use super::output::SCHEMA;
use super::questions::{read_questions, read_rated};
use super::scores::{Unit, unit};
use super::substructure::{Substructure, measure};
use super::word_map::{WordMap, map};
use super::word_similarity::{WordSimilarity, rate};
use crate::bases::text::WordVectors;
use crate::error::{Error, Problem, Result, printable};
use crate::progress::Observer;
use crate::settings::EvaluateVectors;

/// Places of the words whose neighbours are listed where none is named: from frequent to less so.
const PLACES: [usize; 8] = [150, 300, 600, 1200, 2400, 4800, 9600, 19_200];
/// Most random pairings.
const MOST_PERMUTATIONS: usize = 100_000;
/// Letters of such a word at least.
const LETTERS: usize = 4;

/// What there is to say about word vectors.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct VectorEvaluation {
    /// The schema of this report: 1.
    pub schema: u32,
    /// The version of the program.
    pub version: &'static str,
    /// `glove evaluate`
    pub command: &'static str,
    /// The file of vectors.
    pub vectors: String,
    /// Words of the file.
    pub words: usize,
    /// Numbers of a vector.
    pub columns: usize,
    /// Words that answer: the most frequent.
    pub candidates: usize,
    /// What is worth knowing about the file.
    pub notes: Vec<String>,
    /// Analogies, where there were questions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub analogies: Option<Analogies>,
    /// Word similarity, a list each.
    pub similarity: Vec<WordSimilarity>,
    /// The consistency of the relations that the questions are made of.
    pub substructure: Vec<Substructure>,
    /// Neighbours of some words.
    pub neighbours: Vec<Neighbours>,
    /// A map of some words.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub map: Option<WordMap>,
}

/// Evaluates word vectors. The result does not depend on the number of threads.
///
/// # Errors
/// As [`WordVectors::open`]; [`Error::Data`] for questions and lists that cannot be read, with file and line; [`Error::Usage`] for a
/// word without a vector whose neighbours are asked for.
pub fn evaluate(settings: &EvaluateVectors, observer: &dyn Observer) -> Result<VectorEvaluation> {
    if settings.permutations > MOST_PERMUTATIONS {
        let problem = Problem::new("invalid value for --permutations");
        let problem = problem.expected(format_args!("at most {MOST_PERMUTATIONS}")).found(settings.permutations);
        return Err(Error::Usage(problem));
    }
    let kinds = settings.analogies.as_deref().map(read_questions).transpose()?.unwrap_or_default();
    let lists = settings.similarity.as_deref().map(read_rated).transpose()?.unwrap_or_default();
    let vectors = WordVectors::open(&settings.vectors)?;
    observer.check()?;
    let unit_rows = Unit::of(&vectors, settings.most_frequent);
    let analogies = if kinds.is_empty() { None } else { Some(answer(&unit_rows, &kinds, observer)?) };
    let similarity = lists.iter().map(|list| rate(&vectors, unit_rows.words, list)).collect::<Result<_>>()?;
    let mut substructure = Vec::new();
    for kind in &kinds {
        observer.check()?;
        substructure.extend(measure(&unit_rows, kind, settings.permutations, settings.seed));
    }
    let mut notes = vectors.remarks().to_vec();
    let without = unit_rows.may_answer.iter().enumerate();
    let without = without.filter(|(row, may)| !**may && vectors.word(*row) != "<unk>").count();
    if without > 0 {
        notes.push(format!("{without} words have vectors of zeros: they have no direction, and are left out"));
    }
    Ok(VectorEvaluation {
        schema: SCHEMA,
        version: env!("CARGO_PKG_VERSION"),
        command: "glove evaluate",
        vectors: printable(&settings.vectors),
        words: vectors.len(),
        columns: vectors.columns(),
        candidates: unit_rows.words,
        notes,
        analogies,
        similarity,
        substructure,
        neighbours: neighbours(&unit_rows, settings)?,
        map: map(&unit_rows, &settings.map_words, settings.map)?,
    })
}

fn neighbours(unit_rows: &Unit<'_>, settings: &EvaluateVectors) -> Result<Vec<Neighbours>> {
    let vectors = unit_rows.vectors;
    let mut rows = Vec::new();
    for word in &settings.neighbours_of {
        let Some(row) = unit_rows.find(word) else {
            let problem = Problem::new(format_args!("the word `{word}` has no vector among those that answer"));
            return Err(Error::Usage(
                problem.at("--neighbours-of").suggest(word, vectors.words().take(unit_rows.words)),
            ));
        };
        rows.push(row);
    }
    if settings.neighbours_of.is_empty() {
        let is_plain = |row: &usize| {
            let word = vectors.word(*row);
            unit_rows.may_answer[*row] && word.chars().count() >= LETTERS && word.chars().all(char::is_alphabetic)
        };
        rows.extend(PLACES.iter().filter_map(|&place| (place..unit_rows.words.min(place + 100)).find(is_plain)));
    }
    let near = |row: usize| unit_rows.nearest(&unit(vectors.at(row)), &[row], settings.neighbours);
    Ok(rows
        .into_iter()
        .map(|row| Neighbours { word: vectors.word(row).to_owned(), near: named(vectors, near(row)) })
        .collect())
}

#[cfg(test)]
#[path = "evaluate_tests.rs"]
mod tests;
