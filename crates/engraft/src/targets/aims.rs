//! What a training by steps aims at: the loss of logits against the labels, for each kind of target.

use burn::prelude::*;
use burn::tensor::TensorData;
use burn::tensor::activation::log_sigmoid;

use crate::heads::Linear;
use crate::train::{Curve, Score, ShardLoss, argmax, count_correct, cross_entropy};

/// Labels in the form that a loss takes.
#[derive(Debug, Clone, PartialEq)]
pub enum Aims {
    /// Cross-entropy with one class of each example.
    Classes {
        /// `[examples]`
        labels: Vec<usize>,
        /// Weight of an example of each class, `[classes]`.
        weights: Vec<f32>,
    },
    /// Binary cross-entropy with each label.
    LabelSets {
        /// `[examples, labels]`, 1 where the example has the label.
        has: Vec<f32>,
        /// Number of labels.
        labels: usize,
    },
    /// Half the mean squared error of numbers in units of the training examples' standard deviation.
    Numbers {
        /// `[examples]`, standardised.
        values: Vec<f32>,
        /// Mean and standard deviation of the training examples.
        scale: (f64, f64),
    },
    /// What each token is to give; the loss is that of the examples' tokens.
    Tokens {
        /// Numbers that the head gives for a token.
        outputs: usize,
    },
}

/// Within how many standard deviations a number counts as answered rightly on a learning curve.
const NEAR: f32 = 0.5;

impl Aims {
    /// Numbers that the head gives for an example.
    pub(crate) fn outputs(&self) -> usize {
        match self {
            Aims::Classes { weights, .. } => weights.len(),
            Aims::LabelSets { labels, .. } => *labels,
            Aims::Numbers { .. } => 1,
            Aims::Tokens { outputs } => *outputs,
        }
    }

    /// Adds a share of an example's target to a row `[outputs]`, smoothed over all classes.
    pub(crate) fn add_smoothed_target(&self, row: &mut [f32], example: usize, share: f32, smoothing: f64) {
        let outputs = row.len() as f32;
        let smoothing = smoothing as f32;
        match self {
            Aims::Classes { labels, weights } => {
                let label = labels[example];
                let share = share * weights[label];
                row.iter_mut().for_each(|target| *target += share * smoothing / outputs);
                row[label] += share * (1.0 - smoothing);
            }
            Aims::LabelSets { has, labels } => {
                let own = &has[example * labels..][..*labels];
                for (target, has) in row.iter_mut().zip(own) {
                    *target += share * (has * (1.0 - smoothing) + 0.5 * smoothing);
                }
            }
            Aims::Numbers { values, .. } => row[0] += share * values[example],
            Aims::Tokens { .. } => unreachable!("tokens have a loss of their own"),
        }
    }

    /// The loss of logits `[N, outputs]` of some examples against targets `[N, outputs]`, and how many are answered rightly.
    pub(crate) fn loss(&self, logits: Tensor<2>, targets: Vec<f32>, examples: &[usize]) -> ShardLoss {
        let [n, outputs] = logits.dims();
        if let Aims::Classes { labels, .. } = self {
            let truth: Vec<usize> = examples.iter().map(|&at| labels[at]).collect();
            let correct = count_correct(&logits, &truth);
            return ShardLoss { loss: cross_entropy(logits, targets), correct };
        }
        let values = logits.clone().into_data().try_to_vec::<f32>().expect("logits are f32");
        let right = |(row, &at): (&[f32], &usize)| self.is_right(row, at);
        let correct = values.chunks_exact(outputs).zip(examples).filter(|pair| right((pair.0, pair.1))).count();
        let targets = Tensor::<2>::from_data(TensorData::new(targets, [n, outputs]), &logits.device());
        let loss = match self {
            Aims::Numbers { .. } => (logits - targets).square().mean().mul_scalar(0.5),
            // -(y ln s(z) + (1 - y) ln s(-z))
            _ => {
                let yes = log_sigmoid(logits.clone()) * targets.clone();
                let no = log_sigmoid(logits.neg()) * (targets.neg().add_scalar(1.0));
                (yes + no).mean().neg()
            }
        };
        ShardLoss { loss, correct }
    }

    fn is_right(&self, row: &[f32], example: usize) -> bool {
        match self {
            Aims::Classes { labels, .. } => argmax(row) == labels[example],
            Aims::LabelSets { has, labels } => {
                row.iter().zip(&has[example * labels..][..*labels]).all(|(z, has)| (*z > 0.0) == (*has > 0.5))
            }
            Aims::Numbers { values, .. } => (row[0] - values[example]).abs() <= NEAR,
            Aims::Tokens { .. } => unreachable!("tokens have a loss of their own"),
        }
    }

    /// The loss of one example's logits `[outputs]`.
    fn loss_of(&self, row: &[f32], example: usize) -> f64 {
        match self {
            Aims::Classes { labels, .. } => {
                let most = row.iter().fold(f64::NEG_INFINITY, |most, z| most.max(f64::from(*z)));
                let sum: f64 = row.iter().map(|z| (f64::from(*z) - most).exp()).sum();
                sum.ln() + most - f64::from(row[labels[example]])
            }
            Aims::LabelSets { has, labels } => {
                let each = row.iter().zip(&has[example * labels..][..*labels]).map(|(z, has)| {
                    let z = f64::from(*z);
                    z.max(0.0) - z * f64::from(*has) + (-z.abs()).exp().ln_1p()
                });
                each.sum::<f64>() / *labels as f64
            }
            Aims::Numbers { values, .. } => 0.5 * f64::from(row[0] - values[example]).powi(2),
            Aims::Tokens { .. } => unreachable!("tokens have a loss of their own"),
        }
    }

    /// Loss and share of right answers of logits `[examples, outputs]`, for a learning curve.
    pub(crate) fn score(&self, logits: &[f32], examples: &[usize]) -> Score {
        let (mut loss, mut correct) = (0.0, 0);
        for (row, &example) in logits.chunks_exact(self.outputs()).zip(examples) {
            loss += self.loss_of(row, example);
            correct += usize::from(self.is_right(row, example));
        }
        let n = examples.len().max(1) as f64;
        Score { loss: loss / n, accuracy: correct as f64 / n }
    }

    /// The loss of a head that knows nothing.
    fn chance(&self) -> f64 {
        match self {
            Aims::Classes { weights, .. } => (weights.len() as f64).ln(),
            Aims::LabelSets { .. } => 2.0_f64.ln(),
            Aims::Numbers { .. } => 0.5,
            Aims::Tokens { .. } => 0.0,
        }
    }

    /// What went wrong in a training, by its logits for examples that it was trained on, and its curve.
    pub(crate) fn failure(&self, logits: &[f32], examples: &[usize], curve: &Curve) -> Option<String> {
        if !logits.iter().all(|z| z.is_finite()) {
            return Some("the answers are not numbers".into());
        }
        if let Aims::Classes { labels, weights } = self {
            let answers: Vec<usize> = logits.chunks_exact(weights.len()).map(argmax).collect();
            let several = examples.iter().any(|&at| labels[at] != labels[examples[0]]);
            if several && answers.iter().all(|answer| *answer == answers[0]) {
                return Some("the network collapsed: it gives one answer to all of its training examples".into());
            }
        }
        if let Aims::Tokens { .. } = self {
            return grew(curve, self.chance());
        }
        let (now, chance) = (self.score(logits, examples), self.chance());
        if now.loss > 2.0 * chance {
            return Some(format!("the training diverged: its loss is {:.2}, chance is {chance:.2}", now.loss));
        }
        grew(curve, chance)
    }

    /// A head for the user's units as one for the loss's.
    pub(crate) fn to_loss_units(&self, head: Linear) -> Linear {
        match self {
            Aims::Numbers { scale: (mean, deviation), .. } => Linear {
                weights: head.weights.iter().map(|w| w / deviation).collect(),
                intercepts: head.intercepts.iter().map(|b| (b - mean) / deviation).collect(),
                ..head
            },
            _ => head,
        }
    }

    /// The way back.
    pub(crate) fn to_user_units(&self, head: Linear) -> Linear {
        match self {
            Aims::Numbers { scale: (mean, deviation), .. } => Linear {
                weights: head.weights.iter().map(|w| w * deviation).collect(),
                intercepts: head.intercepts.iter().map(|b| mean + b * deviation).collect(),
                ..head
            },
            _ => head,
        }
    }
}

/// What went wrong where the loss of a training grew and ended above chance.
fn grew(curve: &Curve, chance: f64) -> Option<String> {
    let first = curve.epochs.first().map_or(f64::INFINITY, |epoch| epoch.train.loss);
    let last = curve.epochs.last().map_or(0.0, |epoch| epoch.train.loss);
    (last > 1.5 * first && last > chance)
        .then(|| format!("the training diverged: its loss went from {first:.2} to {last:.2}, chance is {chance:.2}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[test]
    fn a_loss_and_its_score_agree() {
        let logits = vec![0.3f32, -1.2, 0.9, 0.1, 2.0, -0.4];
        let aims = [
            Aims::Classes { labels: vec![2, 1], weights: vec![1.0; 3] },
            Aims::LabelSets { has: vec![1.0, 0.0, 0.0, 1.0, 1.0, 0.0], labels: 3 },
        ];
        for aims in aims {
            let mut targets = vec![0.0; 6];
            targets.chunks_exact_mut(3).enumerate().for_each(|(at, row)| aims.add_smoothed_target(row, at, 1.0, 0.0));
            let tensor = Tensor::<2>::from_data(TensorData::new(logits.clone(), [2, 3]), &Device::flex());
            let shard = aims.loss(tensor, targets, &[0, 1]);
            let score = aims.score(&logits, &[0, 1]);
            assert!((f64::from(shard.loss.into_scalar::<f32>()) - score.loss).abs() < 1e-6, "{aims:?}");
            assert_eq!(shard.correct as f64 / 2.0, score.accuracy);
        }
    }

    #[test]
    fn units_of_numbers_go_there_and_back() {
        let aims = Aims::Numbers { values: vec![-1.0, 1.0], scale: (10.0, 2.0) };
        let head = Linear { outputs: 1, columns: 2, weights: vec![4.0, -2.0], intercepts: vec![12.0] };
        let inside = aims.to_loss_units(head.clone());
        assert_eq!((inside.weights.as_slice(), inside.intercepts[0]), ([2.0, -1.0].as_slice(), 1.0));
        assert_eq!(aims.to_user_units(inside), head);
    }
}
