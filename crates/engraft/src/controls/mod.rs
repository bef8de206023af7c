//! What one gets without transfer, on the same folds and splits: a network of the base's kind from random weights, and
//! baselines without a network, one file each.

mod boosted;
mod boosted_trees;
mod constant;
mod scratch;
mod tf_idf;
mod tf_idf_probe;
mod word_overlap;
mod word_tags;

use std::collections::BTreeMap;

use crate::data::intake::{Content, Intake};
use crate::data::{Split, Task};
use crate::error::Result;
use crate::features::Features;
use crate::heads::ReaderSizes;
use crate::methods::tokens::Cutting;
use crate::metrics::{Estimate, Paired};
use crate::progress::Observer;
use crate::targets::{Measures, Predictions, Target};

pub(crate) use scratch::Scratch;

/// What a control shares with the transfer: examples, labels and folds.
pub(crate) struct ControlData<'a> {
    pub(crate) intake: &'a Intake,
    pub(crate) train: &'a [usize],
    /// Those of the training examples, as the base gives them.
    pub(crate) features: &'a Features,
    pub(crate) target: &'a dyn Target,
    pub(crate) folds: &'a [usize],
    pub(crate) groups: &'a [usize],
    pub(crate) count: usize,
    pub(crate) seed: u64,
    /// How tokens are cut, and the sizes of a reader on word vectors; of words and questions.
    pub(crate) tokens: Option<(Cutting, ReaderSizes)>,
}

impl ControlData<'_> {
    /// The places of the training examples outside a fold, and in it.
    fn fold(&self, fold: usize) -> (Vec<usize>, Vec<usize>) {
        (0..self.train.len()).partition(|&at| self.folds[at] != fold)
    }

    /// The examples of the data set at some places of the training data.
    fn examples(&self, places: &[usize]) -> Vec<usize> {
        places.iter().map(|&at| self.train[at]).collect()
    }

    /// Out-of-fold predictions of all training examples, given what makes those of each fold: of the places to train on
    /// and those to predict.
    fn out_of_fold(&self, mut of: impl FnMut(&[usize], &[usize]) -> Result<Predictions>) -> Result<Predictions> {
        let mut parts = Vec::with_capacity(self.count);
        for fold in 0..self.count {
            let (training, held) = self.fold(fold);
            let predictions = of(&training, &held)?;
            parts.push((held, predictions));
        }
        Ok(Predictions::joined(parts))
    }
}

/// A way to predict without a network, as it was measured.
pub(crate) trait Baseline {
    /// What it is called.
    fn name(&self) -> &'static str;
    /// How it was made, in words.
    fn how(&self) -> String;
    /// Whether it learns from the examples themselves, so that it could stand in for the model.
    fn learns(&self) -> bool {
        true
    }
    /// Its out-of-fold predictions of all training examples.
    fn predictions(&self) -> &Predictions;
    /// What it predicts for other examples of the data, having learnt from all training examples. `features` are those that
    /// the base gives of them.
    fn predict(&self, data: &ControlData<'_>, examples: &[usize], features: &Features) -> Result<Predictions>;
}

/// The baselines that the input and the target have, but for the one that the model itself is: `counted` where its base is
/// TF-IDF.
pub(crate) fn baselines(
    data: &ControlData<'_>,
    counted: bool,
    observer: &dyn Observer,
) -> Result<Vec<Box<dyn Baseline>>> {
    let mut found: Vec<Box<dyn Baseline>> = vec![Box::new(constant::Constant::of(data)?)];
    match (data.intake.texts().filter(|_| !counted), data.target.task()) {
        (Some(_), Task::SingleLabel) => found.push(Box::new(tf_idf::TfIdfBaseline::of(data, observer)?)),
        (Some(_), _) => found.push(Box::new(tf_idf_probe::TfIdfProbe::of(data, observer)?)),
        (None, _) => {}
    }
    match &data.intake.content {
        Content::Vectors(_) => found.push(Box::new(boosted::Boosted::of(data, observer)?)),
        Content::Words(set, _) => found.push(Box::new(word_tags::WordTagsBaseline::of(set, data)?)),
        Content::Questions(set, _) => found.push(Box::new(word_overlap::WordOverlap::of(set, data)?)),
        Content::Images(_) | Content::Texts(_) => {}
    }
    Ok(found)
}

/// What a baseline came to, beside the model.
#[derive(Debug, Clone)]
pub(crate) struct BaselineResult {
    /// What it is called.
    pub(crate) name: &'static str,
    /// How it was made, in words.
    pub(crate) how: String,
    /// Whether it learns from the examples themselves, so that it could stand in for the model.
    pub(crate) learns: bool,
    /// What its out-of-fold predictions are worth.
    pub(crate) measures: Measures,
    /// By how much the model is better, out of fold.
    pub(crate) paired: Paired,
    /// The same of every held-out split.
    pub(crate) held_out: Vec<(Split, Paired)>,
}

/// The main numbers of what was measured, by name.
pub(crate) fn numbers_of(measures: &Measures) -> BTreeMap<String, Estimate> {
    let named: Vec<(&str, &Estimate)> = match measures {
        Measures::Classes(it) => {
            vec![("accuracy", &it.accuracy), ("macro_f1", &it.macro_f1), ("log_loss", &it.log_loss)]
        }
        Measures::LabelSets(it) => vec![("map", &it.map), ("macro_f1", &it.macro_f1)],
        Measures::Numbers { evaluation: it, .. } => vec![("mae", &it.mae), ("r2", &it.r2)],
        Measures::Tags(it) => vec![("span_f1", &it.span_f1), ("macro_f1", &it.macro_f1)],
        Measures::Answers(it) => vec![("f1", &it.f1), ("em", &it.em)],
    };
    named.into_iter().map(|(name, estimate)| (name.to_owned(), estimate.clone())).collect()
}
