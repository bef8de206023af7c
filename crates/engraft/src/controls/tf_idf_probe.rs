//! TF-IDF as a baseline of sets of labels and numbers: the target's own linear head on the commonest terms.

use rayon::prelude::*;

use super::{Baseline, ControlData};
use crate::bases::text::{DENSE_TERMS, TfIdf};
use crate::data::text::Text;
use crate::error::Result;
use crate::features::Features;
use crate::heads::{Metric, Novelty};
use crate::progress::Observer;
use crate::targets::{Predictions, Predictor};

pub(super) struct TfIdfProbe {
    tf_idf: TfIdf,
    strength: f64,
    predictions: Predictions,
    /// Fitted to all training texts.
    predictor: Predictor,
}

impl TfIdfProbe {
    /// Measures it on the folds of the training texts. How often terms occur is counted in all of them; labels are not seen.
    pub(crate) fn of(data: &ControlData<'_>, observer: &dyn Observer) -> Result<Self> {
        let texts = data.intake.texts_of(data.train);
        let tf_idf = TfIdf::of(&texts, DENSE_TERMS);
        let features = dense(&tf_idf, &texts)?;
        let solver = data.target.solver().expect("texts have a target of each, whose head is solved");
        let probe = solver.probe(&features, data.folds, observer)?;
        let all: Vec<usize> = (0..texts.len()).collect();
        let head = solver.solve(&features, &all, probe.strength, observer)?.into();
        // Nothing is told of what a baseline has not seen the like of.
        let novelty = Novelty::fit(&features, &data.target.strata(), &all, Metric::Direction, data.seed, 1.0)?;
        let calibration = probe.calibrated.calibration;
        let predictor = Predictor { head, calibration, novelty };
        Ok(Self { tf_idf, strength: probe.strength, predictions: probe.calibrated.predictions, predictor })
    }
}

/// Rows of all terms, `[texts, terms]`.
fn dense(tf_idf: &TfIdf, texts: &[&Text]) -> Result<Features> {
    let rows: Vec<Vec<f32>> = texts.par_iter().map(|text| tf_idf.dense(text)).collect();
    Features::new(texts.len(), tf_idf.columns(), rows.concat())
}

impl Baseline for TfIdfProbe {
    fn name(&self) -> &'static str {
        "TF-IDF"
    }

    fn how(&self) -> String {
        format!(
            "TF-IDF of the {} commonest words and pairs of words, a linear head at strength {}, the best by cross-validation",
            self.tf_idf.columns(),
            self.strength
        )
    }

    fn predictions(&self) -> &Predictions {
        &self.predictions
    }

    fn predict(&self, data: &ControlData<'_>, examples: &[usize], _features: &Features) -> Result<Predictions> {
        let features = dense(&self.tf_idf, &data.intake.texts_of(examples))?;
        Ok(data.target.collect(&self.predictor.answers(&features)))
    }
}
