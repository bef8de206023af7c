//! Words on a map: their vectors of length 1 along their two first principal axes.

use serde::Serialize;

use super::principal::Principal;
use super::scores::Unit;
use crate::error::{Error, Problem, Result};

/// Most words of a map.
const WORDS: usize = 2000;

/// A map.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct WordMap {
    /// The words, in the order of the file or as they were named.
    pub words: Vec<MappedWord>,
    /// The share of these words' variance along each axis.
    pub explained: [f64; 2],
    /// Words that were named and have no vector.
    pub unknown: Vec<String>,
}

/// A word on a map.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct MappedWord {
    /// The word.
    pub word: String,
    /// Coordinate along the first axis.
    pub x: f32,
    /// Coordinate along the second axis.
    pub y: f32,
}

/// A map of the named words, or else of the first `count`. None for fewer than three words.
pub(super) fn map(unit: &Unit<'_>, named: &[String], count: usize) -> Result<Option<WordMap>> {
    let mut unknown = Vec::new();
    let mut rows = Vec::new();
    if named.is_empty() {
        rows = (0..unit.words).filter(|&row| unit.may_answer[row]).take(count).collect();
    }
    for word in named {
        match unit.find(word) {
            Some(row) if !rows.contains(&row) => rows.push(row),
            Some(_) => {}
            None => unknown.push(word.clone()),
        }
    }
    if rows.len() > WORDS {
        let problem = Problem::new("too many words for a map").expected(format_args!("at most {WORDS}"));
        return Err(Error::Usage(problem.found(rows.len()).at("--map")));
    }
    let columns = unit.vectors.columns();
    if rows.len() < 3 || columns < 2 {
        return Ok(None);
    }
    let values: Vec<f32> = rows.iter().flat_map(|&row| unit.row(row)).copied().collect();
    let principal = Principal::of(&values, columns, true)?;
    let coordinates = principal.coordinates(&values, 0..2);
    let explained = principal.explained(0..2);
    let words = rows.iter().zip(coordinates.chunks_exact(2));
    let words = words.map(|(&row, at)| MappedWord { word: unit.vectors.word(row).to_owned(), x: at[0], y: at[1] });
    Ok(Some(WordMap { words: words.collect(), explained: [explained[0], explained[1]], unknown }))
}
