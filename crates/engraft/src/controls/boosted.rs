//! The baseline of rows of a table: gradient-boosted trees on the same columns.

use super::boosted_trees::{boosted_classes, boosted_labels, boosted_numbers};
use super::{Baseline, ControlData};
use crate::data::Targets;
use crate::error::Result;
use crate::features::Features;
use crate::progress::{Observer, Silent};
use crate::targets::Predictions;

pub(super) struct Boosted {
    predictions: Predictions,
}

impl Boosted {
    pub(crate) fn of(data: &ControlData<'_>, observer: &dyn Observer) -> Result<Self> {
        observer.begin("baseline: boosted trees", data.count as u64, "folds");
        let predictions = data.out_of_fold(|training, held| {
            let predictions = fitted(data, data.features, training, held, observer)?;
            observer.advance(1);
            Ok(predictions)
        })?;
        observer.end();
        Ok(Self { predictions })
    }
}

/// Predictions for the rows `held`, by trees on the rows `training`; of the training examples' labels.
fn fitted(
    data: &ControlData<'_>,
    features: &Features,
    training: &[usize],
    held: &[usize],
    observer: &dyn Observer,
) -> Result<Predictions> {
    let (intake, outputs, seed) = (data.intake, data.target.outputs(), data.seed);
    Ok(match intake.dataset.targets {
        Targets::Classes => {
            let labels = intake.labels(data.train);
            Predictions::Classes(boosted_classes(features, &labels, outputs, training, held, seed, observer)?)
        }
        Targets::Labels(_) => {
            let sets: Vec<Vec<bool>> =
                intake.label_sets(data.train).chunks_exact(outputs).map(<[bool]>::to_vec).collect();
            let probabilities = boosted_labels(features, &sets, outputs, training, held, seed, observer)?;
            let given = probabilities.iter().map(|p| *p >= 0.5).collect();
            Predictions::LabelSets { probabilities, given }
        }
        Targets::Values(_) => {
            let values = boosted_numbers(features, &intake.values(data.train), training, held, seed, observer)?;
            Predictions::Numbers { intervals: vec![None; values.len()], values }
        }
        Targets::Tags(_) | Targets::Answers(_) => unreachable!("a table has a label a row"),
    })
}

impl Baseline for Boosted {
    fn name(&self) -> &'static str {
        "boosted trees"
    }

    fn how(&self) -> String {
        "gradient-boosted trees on the same columns, 100 trees of up to 31 leaves".into()
    }

    fn predictions(&self) -> &Predictions {
        &self.predictions
    }

    fn predict(&self, data: &ControlData<'_>, examples: &[usize], features: &Features) -> Result<Predictions> {
        let n = data.features.rows;
        let values = [data.features.values.as_slice(), &features.values].concat();
        let both = Features::new(n + examples.len(), features.columns, values)?;
        let (training, held): (Vec<usize>, Vec<usize>) = (0..both.rows).partition(|&row| row < n);
        fitted(data, &both, &training, &held, &Silent)
    }
}
