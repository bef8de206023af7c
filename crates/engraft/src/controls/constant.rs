//! The baseline that looks at no example: the shares of the classes or labels, or the median number.

use super::{Baseline, ControlData};
use crate::data::Task;
use crate::error::Result;
use crate::features::Features;
use crate::targets::Predictions;

pub(super) struct Constant {
    task: Task,
    predictions: Predictions,
}

impl Constant {
    pub(crate) fn of(data: &ControlData<'_>) -> Result<Self> {
        let predictions = data.out_of_fold(|training, held| Ok(data.target.constant(training, held.len())))?;
        Ok(Self { task: data.target.task(), predictions })
    }
}

impl Baseline for Constant {
    fn name(&self) -> &'static str {
        match self.task {
            Task::SingleLabel => "majority class",
            Task::MultiLabel => "label shares",
            Task::Regression => "median",
            Task::Tags => "no span",
            Task::Answers => "no answer",
        }
    }

    fn how(&self) -> String {
        match self.task {
            Task::SingleLabel => "every example gets the shares of the classes in the training data",
            Task::MultiLabel => "every example gets the shares of the labels in the training data",
            Task::Regression => "every example gets the median of the training data",
            Task::Tags => "no word is tagged",
            Task::Answers => "no question is answered",
        }
        .into()
    }

    fn learns(&self) -> bool {
        false
    }

    fn predictions(&self) -> &Predictions {
        &self.predictions
    }

    fn predict(&self, data: &ControlData<'_>, examples: &[usize], _features: &Features) -> Result<Predictions> {
        let all: Vec<usize> = (0..data.train.len()).collect();
        Ok(data.target.constant(&all, examples.len()))
    }
}
