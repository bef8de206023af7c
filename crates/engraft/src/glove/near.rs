//! `engraft glove near`: the neighbours of a word, or of a sum of words.

use serde::Serialize;

use super::output::SCHEMA;
use super::scores::{Unit, unit};
use crate::bases::text::WordVectors;
use crate::error::{Error, Problem, Result, printable};
use crate::progress::Observer;
use crate::settings::NearWords;

/// Words that an unknown one is compared with: the most frequent.
const KNOWN: usize = 200_000;
/// Most words of a query.
const TERMS: usize = 64;

/// A neighbour.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Neighbour {
    /// The word.
    pub word: String,
    /// The cosine of its vector.
    pub cosine: f64,
}

/// The neighbours of a word.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Neighbours {
    /// The word.
    pub word: String,
    /// Its neighbours, the nearest first.
    pub near: Vec<Neighbour>,
}

/// What `near` found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Near {
    /// The schema of this report: 1.
    pub schema: u32,
    /// `glove near`
    pub command: &'static str,
    /// The file of vectors.
    pub vectors: String,
    /// What was asked for, with the words as they are in the file.
    pub query: String,
    /// Words of the query whose vectors are made of their character n-grams.
    pub composed: Vec<String>,
    /// The nearest words, the nearest first; none is a word of the query.
    pub near: Vec<Neighbour>,
}

/// The nearest words to a sum of words' vectors of length 1: `king - man + woman`.
///
/// # Errors
/// [`Error::Usage`] for a query that cannot be read, or an unknown word, with what it may have been meant for; as
/// [`WordVectors::open`].
pub fn near(settings: &NearWords, observer: &dyn Observer) -> Result<Near> {
    let terms = parse(&settings.query)?;
    let vectors = WordVectors::open(&settings.vectors)?;
    observer.check()?;
    let unit_rows = Unit::of(&vectors, settings.most_frequent);
    let mut sum = vec![0.0; vectors.columns()];
    let (mut left_out, mut composed, mut shown) = (Vec::new(), Vec::new(), Vec::new());
    for (sign, word) in &terms {
        let Some(vector) = vectors.composed(word)? else {
            let problem = Problem::new(format_args!("the word `{word}` has no vector"));
            let problem = problem.at(&settings.vectors).suggest(word, vectors.words().take(KNOWN));
            return Err(Error::Usage(problem));
        };
        let known = vectors.find(word);
        match known {
            Some(row) => left_out.push(row),
            None => composed.push(word.clone()),
        }
        let name = known.map_or(word.as_str(), |row| vectors.word(row));
        let mark = if *sign < 0.0 {
            "- "
        } else if shown.is_empty() {
            ""
        } else {
            "+ "
        };
        shown.push(format!("{mark}{name}"));
        sum.iter_mut().zip(unit(&vector)).for_each(|(sum, x)| *sum += sign * x);
    }
    if sum.iter().all(|x| x.abs() < 1e-12) {
        let problem = Problem::new("the words of the query cancel each other").found(shown.join(" "));
        return Err(Error::Usage(problem.hint("nothing is nearest to a vector of zeros")));
    }
    let near = unit_rows.nearest(&sum, &left_out, settings.count);
    Ok(Near {
        schema: SCHEMA,
        command: "glove near",
        vectors: printable(&settings.vectors),
        query: shown.join(" "),
        composed,
        near: named(&vectors, near),
    })
}

/// Neighbours with their words.
pub(super) fn named(vectors: &WordVectors, near: Vec<(usize, f64)>) -> Vec<Neighbour> {
    near.into_iter().map(|(row, cosine)| Neighbour { word: vectors.word(row).to_owned(), cosine }).collect()
}

/// Words and their signs. Signs stand alone, between blanks: a hyphen within a word is a part of it.
fn parse(query: &[String]) -> Result<Vec<(f64, String)>> {
    let whole = query.join(" ");
    let wrong = |what: &str, expected: &str| {
        let problem = Problem::new(format_args!("the query cannot be read: {what}"));
        Error::Usage(problem.expected(expected).found(format_args!("`{whole}`")))
    };
    let mut terms = Vec::new();
    let mut sign: Option<f64> = Some(1.0);
    let mut is_sign = false;
    for token in whole.split_whitespace() {
        match (token, sign) {
            ("+" | "-" | "\u{2212}", None) => {
                sign = Some(if token == "+" { 1.0 } else { -1.0 });
                is_sign = true;
            }
            ("-" | "\u{2212}", Some(_)) if terms.is_empty() && !is_sign => {
                sign = Some(-1.0);
                is_sign = true;
            }
            ("+" | "-" | "\u{2212}", Some(_)) => {
                return Err(wrong("two signs without a word between them", "WORD - WORD + WORD"));
            }
            (_, None) => return Err(wrong(&format!("no sign before `{token}`"), "a + or a - between two words")),
            (word, Some(sign_of_word)) => {
                terms.push((sign_of_word, word.to_owned()));
                (sign, is_sign) = (None, false);
            }
        }
    }
    if terms.is_empty() || is_sign {
        return Err(wrong(if terms.is_empty() { "no word" } else { "a sign at the end" }, "WORD - WORD + WORD"));
    }
    if terms.len() > TERMS {
        return Err(wrong("too many words", &format!("at most {TERMS}")));
    }
    Ok(terms)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    fn read(query: &str) -> Result<Vec<(f64, String)>> {
        parse(&[query.to_owned()])
    }

    #[test]
    fn signs_stand_between_words() {
        let term = |sign: f64, word: &str| (sign, word.to_owned());
        assert_eq!(read("king - man + woman").unwrap(), [term(1.0, "king"), term(-1.0, "man"), term(1.0, "woman")]);
        let parts = ["well-known", "-", "c++"].map(str::to_owned);
        assert_eq!(parse(&parts).unwrap(), [term(1.0, "well-known"), term(-1.0, "c++")]);
        assert_eq!(read("- man").unwrap(), [term(-1.0, "man")]);
        for (query, found) in [
            ("", "no word"),
            ("king -", "a sign at the end"),
            ("king - + man", "two signs"),
            ("- - man", "two signs"),
            ("king queen", "no sign before `queen`"),
        ] {
            let said = read(query).unwrap_err().to_string();
            assert!(said.contains(found), "{query}: {said}");
        }
    }

    #[test]
    fn the_nearest_word_is_found_and_an_unknown_one_is_suggested() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("v.txt");
        std::fs::write(&path, "man 1 0 0\nwoman 1 1 0\nking 1 0 1\nqueen 1 1 1\nstone -1 0.5 -2\n<unk> 1 1 1\n")
            .unwrap();
        let ask = |query: &str| {
            near(&NearWords { vectors: path.clone(), query: vec![query.into()], ..NearWords::default() }, &Silent)
        };
        let found = ask("King - man + woman").unwrap();
        assert_eq!((found.near[0].word.as_str(), found.query.as_str()), ("queen", "king - man + woman"));
        assert!(found.near.iter().all(|near| !["king", "man", "woman", "<unk>"].contains(&near.word.as_str())));
        let said = ask("quen").unwrap_err().to_string();
        assert!(said.contains("`quen` has no vector") && said.contains("did you mean `queen`?"), "{said}");
        assert!(ask("king - king").unwrap_err().to_string().contains("cancel"));
    }
}
