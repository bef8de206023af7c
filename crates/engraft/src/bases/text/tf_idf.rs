//! Words and pairs of words counted: a base that is learnt from the texts themselves, and the baseline of every other.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use rayon::prelude::*;

use crate::data::text::{Text, words};
use crate::error::{Error, Problem, Result};

/// The name of the base.
pub const TF_IDF_BASE: &str = "tfidf";

/// Most terms where a head takes them dense.
pub(crate) const DENSE_TERMS: usize = 2_000;
/// The same of the base where there are fewer texts than that, so that a head is solved on rows and not on axes: on 2,000 sentences that
/// is as accurate as all terms, and two to three points better than `DENSE_TERMS`.
const FEW_TEXTS_TERMS: usize = 5_000;

/// Most terms of the base for so many texts.
pub(crate) fn terms_for(texts: usize) -> usize {
    if texts < FEW_TEXTS_TERMS { FEW_TEXTS_TERMS } else { DENSE_TERMS }
}

/// Which words and pairs of words are counted, and how much each counts: `(1 + ln tf) idf`, with
/// `idf = ln((1 + n) / (1 + df)) + 1`, and rows of length one (Salton and Buckley 1988; scikit-learn's `TfidfVectorizer` with
/// `sublinear_tf` and `ngram_range=(1, 2)`).
#[derive(Debug, Clone, PartialEq)]
pub struct TfIdf {
    columns: HashMap<String, u32>,
    idf: Vec<f32>,
}

impl TfIdf {
    /// Of the texts that are learnt from, with the `most` terms that most texts have.
    pub(crate) fn of(texts: &[&Text], most: usize) -> Self {
        let terms: Vec<BTreeSet<String>> = texts.par_iter().map(|text| terms(text).into_keys().collect()).collect();
        let mut frequency: BTreeMap<&str, usize> = BTreeMap::new();
        for term in terms.iter().flatten() {
            *frequency.entry(term).or_default() += 1;
        }
        let mut kept: Vec<(&str, usize)> = frequency.into_iter().collect();
        // Stable: of equally frequent terms the first by their bytes.
        kept.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
        kept.truncate(most);
        let n = texts.len() as f64;
        Self {
            idf: kept.iter().map(|(_, count)| (((1.0 + n) / (1.0 + *count as f64)).ln() + 1.0) as f32).collect(),
            columns: kept.into_iter().enumerate().map(|(at, (term, _))| (term.to_owned(), at as u32)).collect(),
        }
    }

    /// Number of terms.
    pub(crate) fn columns(&self) -> usize {
        self.idf.len()
    }

    /// The row of a text: columns ascending, and their values.
    pub(crate) fn row(&self, text: &Text) -> Vec<(u32, f32)> {
        let mut row: Vec<(u32, f32)> = terms(text)
            .into_iter()
            .filter_map(|(term, count)| {
                let column = *self.columns.get(&term)?;
                Some((column, (1.0 + (count as f32).ln()) * self.idf[column as usize]))
            })
            .collect();
        row.sort_unstable_by_key(|(column, _)| *column);
        let length = row.iter().map(|(_, value)| value * value).sum::<f32>().sqrt();
        row.iter_mut().for_each(|(_, value)| *value /= length.max(f32::MIN_POSITIVE));
        row
    }

    /// The same with all zeros, `[columns]`.
    pub(crate) fn dense(&self, text: &Text) -> Vec<f32> {
        let mut dense = vec![0.0; self.columns()];
        self.row(text).into_iter().for_each(|(column, value)| dense[column as usize] = value);
        dense
    }

    /// Whether a word is counted.
    pub(crate) fn knows(&self, word: &str) -> bool {
        self.columns.contains_key(word)
    }

    /// How many of a text's words are counted, and how many there are.
    pub(crate) fn covered(&self, text: &str) -> (usize, usize) {
        words(text).fold((0, 0), |(known, all), (_, word)| (known + usize::from(self.knows(&word)), all + 1))
    }

    /// The terms in the order of their columns.
    pub(crate) fn terms(&self) -> Vec<&str> {
        let mut terms: Vec<(&u32, &str)> = self.columns.iter().map(|(term, column)| (column, term.as_str())).collect();
        terms.sort_unstable();
        terms.into_iter().map(|(_, term)| term).collect()
    }

    /// The terms, one a line in the order of their columns, and how much each counts.
    pub(crate) fn to_parts(&self) -> (Vec<u8>, Vec<f32>) {
        let lines: String = self.terms().into_iter().map(|term| format!("{term}\n")).collect();
        (lines.into_bytes(), self.idf.clone())
    }

    /// The same from what a run keeps.
    ///
    /// # Errors
    /// [`Error::Weights`] where they do not fit each other.
    pub(crate) fn from_parts(terms: &[u8], idf: Vec<f32>, place: &Path) -> Result<Self> {
        let refuse = |found: String| {
            let problem = Problem::new("the terms of TF-IDF do not fit their weights").found(found).at(place);
            Error::Weights(problem.expected("a finite weight for each of the terms, and none of them twice"))
        };
        let text = std::str::from_utf8(terms).map_err(|source| refuse(source.to_string()))?;
        // Not `lines`, which would take a carriage return off a term.
        let columns: HashMap<String, u32> =
            text.split_terminator('\n').enumerate().map(|(at, term)| (term.to_owned(), at as u32)).collect();
        if columns.len() != idf.len() || idf.iter().any(|weight| !weight.is_finite()) {
            return Err(refuse(format!("{} terms, {} weights", columns.len(), idf.len())));
        }
        Ok(Self { columns, idf })
    }
}

/// Words and pairs of neighbours, with how often each stands there. Those of a second text are told apart.
fn terms(text: &Text) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    let parts = [(Some(text.first.as_str()), ""), (text.second.as_deref(), "\u{1f}")];
    for (part, mark) in parts {
        let Some(part) = part else { continue };
        let known: Vec<String> = words(part).map(|(_, word)| format!("{mark}{word}")).collect();
        for pair in known.windows(2) {
            *counts.entry(format!("{} {}", pair[0], pair[1])).or_default() += 1;
        }
        for word in known {
            *counts.entry(word).or_default() += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_comes_back_from_its_parts_and_refuses_others() {
        let texts = ["fine soup, fine bread", "cold soup", "no soup at all"].map(Text::single);
        let all: Vec<&Text> = texts.iter().collect();
        let counted = TfIdf::of(&all, 100);
        let (terms, idf) = counted.to_parts();
        let again = TfIdf::from_parts(&terms, idf.clone(), Path::new("x")).unwrap();
        assert_eq!(again, counted);
        assert_eq!(again.dense(&texts[0]), counted.dense(&texts[0]));
        assert!(terms.starts_with(b"soup\n"), "the commonest first");
        assert_eq!(counted.covered("cold soup today"), (2, 3));
        assert!(TfIdf::from_parts(&terms, idf[1..].to_vec(), Path::new("x")).is_err());
        assert!(TfIdf::from_parts(b"a\na\n", vec![1.0; 2], Path::new("x")).is_err());
        assert!(TfIdf::from_parts(b"a\n", vec![f32::NAN], Path::new("x")).is_err());
    }

    /// scikit-learn 1.9: `TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2))` on the same three texts.
    #[test]
    fn rows_are_those_of_the_reference() {
        let texts = [Text::single("good good film"), Text::single("bad film"), Text::single("good soup")];
        let all: Vec<&Text> = texts.iter().collect();
        let tf_idf = TfIdf::of(&all, 100);
        assert_eq!(tf_idf.columns(), 8);
        let row = tf_idf.row(&texts[0]);
        let value = |term: &str| {
            let column = tf_idf.columns[term];
            row.iter().find(|(at, _)| *at == column).map_or(0.0, |(_, value)| *value)
        };
        for (term, expected) in REFERENCE {
            assert!((value(term) - expected).abs() < 2e-6, "{term}: {} {expected}", value(term));
        }
        assert_eq!(tf_idf.row(&Text::single("nothing known here")), []);
    }
    const REFERENCE: [(&str, f32); 4] =
        [("good", 0.625_610), ("film", 0.369_495), ("good good", 0.485_842), ("good film", 0.485_842)];

    #[test]
    fn words_of_the_second_text_are_others() {
        let pair = Text { first: "soup".into(), second: Some("Soup".into()) };
        assert_eq!(terms(&pair).len(), 2);
    }
}
