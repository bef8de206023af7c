//! Learning curves: what training tells of itself, step by step and epoch by epoch.

use serde::{Deserialize, Serialize};

use crate::progress::CurvePoint;

/// A loss and a metric.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// Mean loss; of a classifier the cross-entropy in nats.
    pub loss: f64,
    /// Share of right answers.
    pub accuracy: f64,
}

/// One step of training.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct StepRecord {
    /// Counted from 1 over the whole training.
    pub(crate) step: u64,
    /// The epoch it belongs to, counted from 1.
    pub(crate) epoch: u64,
    /// On the batch of the step, with augmentation and smoothing, before the step.
    pub train: Score,
    /// Peak learning rate of the step; stages may have a share of it.
    pub(crate) lr: f64,
}

/// One epoch of training.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct EpochRecord {
    /// Counted from 1.
    pub epoch: u64,
    /// While training, with augmentation and smoothing, as the weights moved.
    pub train: Score,
    /// On what is held out, after the epoch.
    pub validation: Option<Score>,
    /// Learning rate of the last step.
    pub(crate) lr: f64,
    /// Wall time of the epoch.
    #[serde(skip)]
    pub seconds: f64,
}

/// A learning curve.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Curve {
    /// Every step.
    pub steps: Vec<StepRecord>,
    /// Every epoch.
    pub(crate) epochs: Vec<EpochRecord>,
}

impl From<&EpochRecord> for CurvePoint {
    fn from(record: &EpochRecord) -> Self {
        Self {
            epoch: record.epoch as f64,
            train_loss: record.train.loss,
            validation_loss: record.validation.map(|score| score.loss),
            train_accuracy: record.train.accuracy,
            validation_accuracy: record.validation.map(|score| score.accuracy),
        }
    }
}

/// Columns of `curves.csv`.
const COLUMNS: [&str; 8] =
    ["run", "epoch", "lr", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy", "step"];

/// Learning curves as CSV: one row an epoch. `run` names the curve; `step` is empty, see [`steps_csv`].
pub(crate) fn curves_csv(curves: &[(String, Vec<EpochRecord>)]) -> String {
    let rows = curves.iter().flat_map(|(run, epochs)| epochs.iter().map(move |epoch| epoch_row(run, epoch)));
    csv_of(rows)
}

/// Learning curves as CSV with every step: the rows of [`curves_csv`], each after those of its epoch's steps.
///
/// A row that has a `step` is that step: its learning rate, and the loss and accuracy on its batch. A row that has
/// none is the whole epoch. So both readers find theirs by that column.
pub(crate) fn steps_csv(curves: &[(String, Curve)]) -> String {
    let mut rows = Vec::new();
    for (run, curve) in curves {
        let mut steps = curve.steps.iter().peekable();
        for epoch in &curve.epochs {
            while let Some(step) = steps.next_if(|step| step.epoch <= epoch.epoch) {
                rows.push(step_row(run, step));
            }
            rows.push(epoch_row(run, epoch));
        }
        rows.extend(steps.map(|step| step_row(run, step)));
    }
    csv_of(rows)
}

fn epoch_row(run: &str, record: &EpochRecord) -> [String; 8] {
    let [loss, accuracy] = record.validation.map_or_else(Default::default, written);
    let [train_loss, train_accuracy] = written(record.train);
    let (epoch, lr) = (record.epoch.to_string(), format!("{:.6e}", record.lr));
    [run.into(), epoch, lr, train_loss, train_accuracy, loss, accuracy, String::new()]
}

fn step_row(run: &str, record: &StepRecord) -> [String; 8] {
    let [loss, accuracy] = written(record.train);
    let (epoch, lr) = (record.epoch.to_string(), format!("{:.6e}", record.lr));
    [run.into(), epoch, lr, loss, accuracy, String::new(), String::new(), record.step.to_string()]
}

fn written(score: Score) -> [String; 2] {
    [format!("{:.6}", score.loss), format!("{:.6}", score.accuracy)]
}

fn csv_of(rows: impl IntoIterator<Item = [String; 8]>) -> String {
    let mut table = csv::Writer::from_writer(Vec::new());
    table.write_record(COLUMNS).expect("memory takes every row");
    for row in rows {
        table.write_record(row).expect("memory takes every row");
    }
    String::from_utf8(table.into_inner().expect("memory takes every row")).expect("rows are text")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn score(loss: f64, accuracy: f64) -> Score {
        Score { loss, accuracy }
    }

    fn curve() -> Curve {
        let step = |step, epoch| StepRecord { step, epoch, train: score(2.0 / step as f64, 0.5), lr: 0.01 };
        let epoch =
            |epoch, validation| EpochRecord { epoch, train: score(1.5, 0.5), validation, lr: 0.01, seconds: 9.0 };
        Curve {
            steps: vec![step(1, 1), step(2, 1), step(3, 2), step(4, 3)],
            epochs: vec![epoch(1, Some(score(1.25, 0.75))), epoch(2, None)],
        }
    }

    #[test]
    fn a_row_is_an_epoch() {
        let text = curves_csv(&[("scratch/fold0".into(), curve().epochs)]);
        let expected = "run,epoch,lr,train_loss,train_accuracy,validation_loss,validation_accuracy,step\n\
                        scratch/fold0,1,1.000000e-2,1.500000,0.500000,1.250000,0.750000,\n\
                        scratch/fold0,2,1.000000e-2,1.500000,0.500000,,,\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn steps_stand_before_their_epoch() {
        let text = steps_csv(&[("a".into(), curve()), ("b".into(), Curve::default())]);
        let rows: Vec<Vec<&str>> = text.lines().skip(1).map(|line| line.split(',').collect()).collect();
        let places: Vec<(&str, &str)> = rows.iter().map(|row| (row[1], row[7])).collect();
        assert_eq!(places, [("1", "1"), ("1", "2"), ("1", ""), ("2", "3"), ("2", ""), ("3", "4")]);
        assert_eq!(rows[1][3], "1.000000");
        // Without its steps it is the table of epochs.
        let epochs: Vec<&str> = text.lines().filter(|line| line.ends_with(",step") || line.ends_with(',')).collect();
        assert_eq!(epochs.join("\n") + "\n", curves_csv(&[("a".into(), curve().epochs)]));
    }

    #[test]
    fn a_name_cannot_break_a_row() {
        let text = curves_csv(&[("a,\"b\"\nc".into(), curve().epochs)]);
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let rows: Vec<csv::StringRecord> = reader.records().collect::<Result<_, _>>().unwrap();
        assert_eq!((rows.len(), &rows[0][0]), (2, "a,\"b\"\nc"));
    }
}
