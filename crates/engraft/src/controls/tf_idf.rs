//! The baseline that no text classifier may leave out: TF-IDF, and a linear classifier on the counts, learnt from
//! the same labels and from nothing else.

use rayon::prelude::*;

use super::{Baseline, ControlData};
use crate::bases::text::TfIdf;
use crate::data::text::Text;
use crate::error::Result;
use crate::features::Features;
use crate::heads::{SparseClassifier, SparseFits, SparseRows, softmax};
use crate::progress::Observer;
use crate::targets::Predictions;
use crate::train::argmax;

/// Most words and pairs of words that are counted: those that most texts have.
const MOST_TERMS: usize = 100_000;
/// Strengths that are tried, ascending, as the solver likes them: scikit-learn's `C`.
const STRENGTHS: [f64; 3] = [1.0, 10.0, 100.0];

/// The rows of texts.
fn rows_of(tf_idf: &TfIdf, texts: &[&Text]) -> SparseRows {
    let rows: Vec<Vec<(u32, f32)>> = texts.par_iter().map(|text| tf_idf.row(text)).collect();
    SparseRows::new(tf_idf.columns(), rows)
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
            let rows = rows_of(&tf_idf, &of(&training));
            let held_rows = rows_of(&tf_idf, &of(&held));
            let truth: Vec<usize> = training.iter().map(|&at| labels[at]).collect();
            let mut fits = SparseFits::new(&rows, &truth, classes, observer);
            for (c, out) in STRENGTHS.into_iter().zip(&mut probabilities) {
                let model = fits.fit(c)?;
                for (row, &at) in held.iter().enumerate() {
                    out[at * classes..][..classes].copy_from_slice(&probabilities_of(&model, held_rows.row(row)));
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
        let model = SparseFits::new(&rows_of(&tf_idf, texts), labels, classes, observer).fit(STRENGTHS[best])?;
        let predictions = Predictions::Classes(probabilities.swap_remove(best));
        Ok(Self { c: STRENGTHS[best], predictions, model: (tf_idf, model) })
    }
}

/// Probabilities of the classes of a row.
fn probabilities_of(model: &SparseClassifier, row: &[(u32, f32)]) -> Vec<f32> {
    softmax(&model.logits(row), 1.0).into_iter().map(|p| p as f32).collect()
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
        let rows: Vec<Vec<f32>> = texts.par_iter().map(|text| probabilities_of(model, &tf_idf.row(text))).collect();
        Ok(Predictions::Classes(rows.concat()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    fn text(first: &str) -> Text {
        Text { first: first.into(), second: None }
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
        let again: Vec<f32> = all.iter().flat_map(|text| probabilities_of(model, &tf_idf.row(text))).collect();
        assert_eq!(right(&again), 60);
    }
}
