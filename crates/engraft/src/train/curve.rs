//! Learning curves: what training tells of itself, step by step and epoch by epoch.

use serde::{Deserialize, Serialize};

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
    pub step: u64,
    /// The epoch it belongs to, counted from 1.
    pub epoch: u64,
    /// On the batch of the step, with augmentation and smoothing, before the step.
    pub train: Score,
    /// Peak learning rate of the step; stages may have a share of it.
    pub lr: f64,
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
    pub lr: f64,
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
    pub epochs: Vec<EpochRecord>,
}

/// Learning curves as CSV: one row an epoch. `run` names the curve.
pub fn curves_csv(curves: &[(String, Vec<EpochRecord>)]) -> String {
    let mut text = String::from("run,epoch,lr,train_loss,train_accuracy,validation_loss,validation_accuracy\n");
    for (run, records) in curves {
        for r in records {
            let validation = r.validation.map_or_else(|| ",".into(), |v| format!("{:.6},{:.6}", v.loss, v.accuracy));
            text.push_str(&format!(
                "{run},{},{:.6e},{:.6},{:.6},{validation}\n",
                r.epoch, r.lr, r.train.loss, r.train.accuracy
            ));
        }
    }
    text
}
