//! The baseline that no text classifier may leave out: TF-IDF, and a linear classifier on the counts, learnt from
//! the same labels and from nothing else.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use rayon::prelude::*;

use super::{Baseline, ControlData};
use crate::data::text::{Text, words};
use crate::error::Result;
use crate::features::Features;
use crate::heads::{SparseClassifier, SparseRows, fit_sparse, softmax};
use crate::progress::{Observer, Silent};
use crate::targets::Predictions;
use crate::train::argmax;

/// Most words and pairs of words that are counted: those that most texts have.
const MOST_TERMS: usize = 100_000;
/// Strengths that are tried: scikit-learn's `C`.
const STRENGTHS: [f64; 3] = [1.0, 10.0, 100.0];

/// Which words and pairs of words are counted, and how much each counts: `(1 + ln tf) idf`, with
/// `idf = ln((1 + n) / (1 + df)) + 1`, and rows of length one (Salton and Buckley 1988; scikit-learn's `TfidfVectorizer` with
/// `sublinear_tf` and `ngram_range=(1, 2)`).
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct TfIdf {
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

    /// The rows of texts.
    pub(crate) fn rows(&self, texts: &[&Text]) -> SparseRows {
        let rows: Vec<Vec<(u32, f32)>> = texts.par_iter().map(|text| self.row(text)).collect();
        SparseRows::new(self.columns(), rows)
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

/// TF-IDF and logistic regression on the same folds and splits.
pub(super) struct TfIdfBaseline {
    /// The strength with the most right out-of-fold answers: chosen in the baseline's favour.
    c: f64,
    predictions: Predictions,
    /// Fitted to all training texts.
    model: (TfIdf, SparseClassifier),
}

impl TfIdfBaseline {
    /// Measures it on the folds of the training texts.
    pub(crate) fn of(data: &ControlData<'_>, observer: &dyn Observer) -> Result<Self> {
        let (texts, labels) = (data.intake.texts_of(data.train), data.target.strata());
        Self::run(&texts, &labels, data.folds, data.target.outputs(), observer)
    }

    fn run(
        texts: &[&Text],
        labels: &[usize],
        folds: &[usize],
        classes: usize,
        observer: &dyn Observer,
    ) -> Result<Self> {
        let count = folds.iter().max().map_or(0, |last| last + 1);
        observer.begin("baseline: TF-IDF", (count * STRENGTHS.len()) as u64, "fits");
        // One after the other: each fit is parallel inside.
        let mut probabilities = vec![vec![0.0f32; labels.len() * classes]; STRENGTHS.len()];
        for fold in 0..count {
            let (held, training): (Vec<usize>, Vec<usize>) = (0..labels.len()).partition(|&at| folds[at] == fold);
            let of = |which: &[usize]| which.iter().map(|&at| texts[at]).collect::<Vec<_>>();
            let tf_idf = TfIdf::of(&of(&training), MOST_TERMS);
            let rows = tf_idf.rows(&of(&training));
            let truth: Vec<usize> = training.iter().map(|&at| labels[at]).collect();
            for (c, out) in STRENGTHS.into_iter().zip(&mut probabilities) {
                observer.check()?;
                let model = fit_sparse(&rows, &truth, classes, c, &Silent)?;
                for &at in &held {
                    out[at * classes..][..classes].copy_from_slice(&probabilities_of(&tf_idf, &model, texts[at]));
                }
                observer.advance(1);
            }
        }
        observer.end();
        let right = |probabilities: &[f32]| {
            let rows = probabilities.chunks_exact(classes).zip(labels);
            rows.filter(|(row, label)| argmax(row) == **label).count()
        };
        let best =
            (0..STRENGTHS.len()).fold(0, |best, at| match right(&probabilities[at]) > right(&probabilities[best]) {
                true => at,
                false => best,
            });
        let tf_idf = TfIdf::of(texts, MOST_TERMS);
        let model = fit_sparse(&tf_idf.rows(texts), labels, classes, STRENGTHS[best], observer)?;
        let predictions = Predictions::Classes(probabilities.swap_remove(best));
        Ok(Self { c: STRENGTHS[best], predictions, model: (tf_idf, model) })
    }
}

/// Probabilities of the classes of a text.
fn probabilities_of(tf_idf: &TfIdf, model: &SparseClassifier, text: &Text) -> Vec<f32> {
    softmax(&model.logits(&tf_idf.row(text)), 1.0).into_iter().map(|p| p as f32).collect()
}

impl Baseline for TfIdfBaseline {
    fn name(&self) -> &'static str {
        "TF-IDF"
    }

    fn how(&self) -> String {
        format!(
            "TF-IDF of {} words and pairs of words, logistic regression at C = {}, the best of {}",
            self.model.0.columns(),
            self.c,
            STRENGTHS.len()
        )
    }

    fn predictions(&self) -> &Predictions {
        &self.predictions
    }

    fn predict(&self, data: &ControlData<'_>, examples: &[usize], _features: &Features) -> Result<Predictions> {
        let (tf_idf, model) = &self.model;
        let texts = data.intake.texts_of(examples);
        let rows: Vec<Vec<f32>> = texts.par_iter().map(|text| probabilities_of(tf_idf, model, text)).collect();
        Ok(Predictions::Classes(rows.concat()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(first: &str) -> Text {
        Text { first: first.into(), second: None }
    }

    /// scikit-learn 1.9: `TfidfVectorizer(sublinear_tf=True, ngram_range=(1, 2))` on the same three texts.
    #[test]
    fn rows_are_those_of_the_reference() {
        let texts = [text("good good film"), text("bad film"), text("good soup")];
        let all: Vec<&Text> = texts.iter().collect();
        let tf_idf = TfIdf::of(&all, MOST_TERMS);
        assert_eq!(tf_idf.columns(), 8);
        let row = tf_idf.row(&texts[0]);
        let value = |term: &str| {
            let column = tf_idf.columns[term];
            row.iter().find(|(at, _)| *at == column).map_or(0.0, |(_, value)| *value)
        };
        for (term, expected) in REFERENCE {
            assert!((value(term) - expected).abs() < 2e-6, "{term}: {} {expected}", value(term));
        }
        assert_eq!(tf_idf.row(&text("nothing known here")), []);
    }
    const REFERENCE: [(&str, f32); 4] =
        [("good", 0.625_610), ("film", 0.369_495), ("good good", 0.485_842), ("good film", 0.485_842)];

    #[test]
    fn words_of_the_second_text_are_others() {
        let pair = Text { first: "soup".into(), second: Some("Soup".into()) };
        assert_eq!(terms(&pair).len(), 2);
    }

    #[test]
    fn what_words_tell_is_learnt() {
        let texts: Vec<Text> =
            (0..60).map(|at| text(&format!("{} thing {}", ["fine", "poor", "odd"][at % 3], at / 9))).collect();
        let all: Vec<&Text> = texts.iter().collect();
        let labels: Vec<usize> = (0..60).map(|at| at % 3).collect();
        let folds: Vec<usize> = (0..60).map(|at| at / 3 % 4).collect();
        let baseline = TfIdfBaseline::run(&all, &labels, &folds, 3, &Silent).unwrap();
        let right = |rows: &[f32]| rows.chunks_exact(3).zip(&labels).filter(|(row, l)| argmax(row) == **l).count();
        let Predictions::Classes(out_of_fold) = &baseline.predictions else { panic!("classes") };
        assert!(right(out_of_fold) > 57, "{out_of_fold:?}");
        let (tf_idf, model) = &baseline.model;
        let again: Vec<f32> = all.iter().flat_map(|text| probabilities_of(tf_idf, model, text)).collect();
        assert_eq!(right(&again), 60);
    }
}
