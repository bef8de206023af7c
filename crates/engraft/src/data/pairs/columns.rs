//! Which two columns of a table are a sentence and its translation.

use std::path::Path;

use crate::data::column_names::{find, listing};
use crate::error::{Error, Problem, Result};

/// Names that the columns of sentences and of translations usually have.
const SOURCES: [&str; 5] = ["source", "src", "source_text", "input", "sentence"];
const TARGETS: [&str; 7] = ["target", "tgt", "trg", "target_text", "output", "translation", "reference"];
/// Names of languages as headers have them, beside codes of two or three letters.
const LANGUAGES: [&str; 16] = [
    "english",
    "german",
    "swedish",
    "french",
    "spanish",
    "italian",
    "portuguese",
    "dutch",
    "danish",
    "norwegian",
    "finnish",
    "polish",
    "russian",
    "turkish",
    "chinese",
    "japanese",
];

/// The two columns that were chosen, and what is worth saying about the choice.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Chosen {
    pub(super) source: usize,
    pub(super) target: usize,
    pub(super) remark: Option<String>,
}

/// The columns by name or number (from 1), or by what they are called: `source` and `target`, the two parts of `translation`, else the first
/// two of all.
///
/// # Errors
/// [`Error::Data`] where a column is not there; [`Error::Usage`] where one column is to be both sides.
pub(super) fn choose(names: &[String], source: Option<&str>, target: Option<&str>, path: &Path) -> Result<Chosen> {
    let asked = |name: Option<&str>, flag: &str| name.map(|name| column(names, name, flag, path)).transpose();
    let (asked_source, asked_target) = (asked(source, "--source")?, asked(target, "--target")?);
    let found = match (asked_source, asked_target) {
        (Some(source), Some(target)) => Chosen { source, target, remark: None },
        (None, None) => infer(names, path)?,
        // Of two columns the other one; of more it is to be said.
        (Some(source), None) if names.len() == 2 => Chosen { source, target: 1 - source.min(1), remark: None },
        (None, Some(target)) if names.len() == 2 => Chosen { source: 1 - target.min(1), target, remark: None },
        (one, _) => {
            let missing = if one.is_some() { "--target" } else { "--source" };
            let problem = Problem::new(format!("{missing} is missing")).expected("both columns of a pair, or neither");
            return Err(Error::Usage(problem.found(format!("a table with the columns {}", listing(names))).at(path)));
        }
    };
    if found.source == found.target {
        let problem = Problem::new("one column cannot be both the sentence and its translation");
        let problem = problem.expected("two columns").found(format!("`{}` for both", names[found.source]));
        return Err(Error::Usage(problem.hint("--source and --target take names, or numbers from 1").at(path)));
    }
    Ok(found)
}

/// A column by its name, the last part of its name (`de` of `translation.de`), or its number.
fn column(names: &[String], asked: &str, flag: &str, path: &Path) -> Result<usize> {
    if let Some(place) = names.iter().position(|name| name == asked) {
        return Ok(place);
    }
    let mut parts = names.iter().enumerate().filter(|(_, name)| part(name).eq_ignore_ascii_case(asked));
    if let (Some((place, _)), None) = (parts.next(), parts.next()) {
        return Ok(place);
    }
    if let Ok(number) = asked.trim().parse::<usize>() {
        return match number {
            0 => Err(Error::Usage(Problem::new("columns are counted from 1").found(0).at(flag))),
            number if number <= names.len() => Ok(number - 1),
            number => {
                let problem = Problem::new(format!("there is no column {number}"));
                Err(Error::Data(
                    problem.expected(format!("{flag} of 1 to {}", names.len())).found(listing(names)).at(path),
                ))
            }
        };
    }
    find(names, asked, flag, path)
}

/// The last part of a name with dots.
fn part(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

fn infer(names: &[String], path: &Path) -> Result<Chosen> {
    let named =
        |known: &[&str]| names.iter().position(|name| known.iter().any(|known| known.eq_ignore_ascii_case(name)));
    if let (Some(source), Some(target)) = (named(&SOURCES), named(&TARGETS)) {
        return Ok(Chosen { source, target, remark: None });
    }
    let is_part = |name: &&String| name.to_ascii_lowercase().starts_with("translation.");
    let parts: Vec<usize> = (0..names.len()).filter(|&at| is_part(&&names[at])).collect();
    let (source, target) = match parts.as_slice() {
        &[first, second] => (first, second),
        [] if names.len() >= 2 => (0, 1),
        _ => {
            let problem = Problem::new("nobody knows which two columns are a sentence and its translation");
            let problem = problem.expected("two columns").found(listing(names)).at(path);
            return Err(Error::Data(problem.hint("name them with --source and --target")));
        }
    };
    let remark = format!(
        "the sentences are read from the column `{}`, their translations from `{}`; --source and --target say otherwise",
        names[source], names[target]
    );
    Ok(Chosen { source, target, remark: Some(remark) })
}

/// Whether a cell in a first row says what is below it: a usual name, a language, or the code of one.
pub(super) fn is_name(cell: &str) -> bool {
    let is_in = |known: &[&str]| known.iter().any(|known| known.eq_ignore_ascii_case(cell));
    let code = || whatlang::Lang::from_code(cell).is_some() || is_short_code(cell);
    is_in(&SOURCES) || is_in(&TARGETS) || is_in(&LANGUAGES) || code()
}

/// Codes of two letters (ISO 639-1) of the languages that corpora have most.
fn is_short_code(cell: &str) -> bool {
    const CODES: &str = "en de sv fr es it pt nl da no nb nn fi pl ru uk cs sk sl hr sr bg ro hu el tr ar he fa hi bn zh ja ko vi th id et lv lt";
    cell.len() == 2 && CODES.split(' ').any(|code| code == cell)
}
