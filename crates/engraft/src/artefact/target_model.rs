//! The heads of numbers and of sets of labels in `model.json` and `model.safetensors`.

use std::path::Path;

use engraft_weights::{Precision, Tensor, Weights};
use serde::{Deserialize, Serialize};

use crate::artefact::model::damaged;
use crate::error::Result;
use crate::evaluate::CvPlus;
use crate::features::Features;
use crate::head::{Novelty, OneVsRest, RidgeRegression};
use crate::inductive::{LabelsPredictor, NumberPredictor};

/// What `model.json` says of a head of numbers. Its tensors are `head.weight` `[1, features]`, `head.bias` `[1]`,
/// `folds.weight` `[folds, features]`, `folds.bias` `[folds]`, `folds.residuals` `[examples]` (absolute errors, ascending
/// within each fold) and `novelty.references`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NumberHeadFile {
    /// How often the prediction intervals are to hold the truth.
    pub level: f64,
    /// How many residuals each fold has.
    pub fold_sizes: Vec<usize>,
    /// Distances above this are unlike the training data.
    pub unlike_threshold: f32,
    /// Which neighbour's distance counts.
    pub unlike_k: usize,
}

/// What `model.json` says of a head of labels. Its tensors are `head.weight` `[labels, features]`, `head.bias` `[labels]`
/// and `novelty.references`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LabelsHeadFile {
    /// Divides the logits.
    pub temperature: f64,
    /// From which probability on each label is given; nothing where it never is.
    pub thresholds: Vec<Option<f64>>,
    /// Distances above this are unlike the training data.
    pub unlike_threshold: f32,
    /// Which neighbour's distance counts.
    pub unlike_k: usize,
}

impl NumberHeadFile {
    /// Writes a predictor's tensors, at f32, and says what they mean.
    pub fn of(predictor: &NumberPredictor, weights: &mut Weights) -> Self {
        let NumberPredictor { head, fold_heads, intervals, novelty } = predictor;
        let columns = head.weights.len();
        put(weights, "head.weight", vec![1, columns], &head.weights);
        put(weights, "head.bias", vec![1], &[head.intercept]);
        let rows: Vec<f64> = fold_heads.iter().flat_map(|head| head.weights.iter().copied()).collect();
        put(weights, "folds.weight", vec![fold_heads.len(), columns], &rows);
        let intercepts: Vec<f64> = fold_heads.iter().map(|head| head.intercept).collect();
        put(weights, "folds.bias", vec![fold_heads.len()], &intercepts);
        let residuals: Vec<f64> = intervals.residuals.iter().flatten().copied().collect();
        put(weights, "folds.residuals", vec![residuals.len()], &residuals);
        put_novelty(weights, novelty);
        Self {
            level: intervals.level,
            fold_sizes: intervals.residuals.iter().map(Vec::len).collect(),
            unlike_threshold: novelty.threshold,
            unlike_k: novelty.k,
        }
    }

    /// The predictor again. Takes its tensors out of `weights`; `path` is where they were, for errors.
    ///
    /// # Errors
    /// [`Error::Weights`](crate::error::Error::Weights) where a tensor is missing, has another shape than it must, or holds what is no number.
    pub fn predictor(&self, weights: &mut Weights, path: &Path) -> Result<NumberPredictor> {
        let head = take(weights, "head.weight", path)?;
        let columns = head.shape.last().copied().unwrap_or(0);
        let head = checked(head, &[1, columns], "head.weight", path)?;
        let bias = checked(take(weights, "head.bias", path)?, &[1], "head.bias", path)?;
        let folds = self.fold_sizes.len();
        let rows = checked(take(weights, "folds.weight", path)?, &[folds, columns], "folds.weight", path)?;
        let biases = checked(take(weights, "folds.bias", path)?, &[folds], "folds.bias", path)?;
        let n = self.fold_sizes.iter().try_fold(0usize, |sum, &size| sum.checked_add(size)).unwrap_or(usize::MAX);
        let mut residuals = checked(take(weights, "folds.residuals", path)?, &[n], "folds.residuals", path)?;
        let novelty = take_novelty(weights, columns, self.unlike_k, self.unlike_threshold, path)?;
        if !(self.level > 0.0 && self.level < 1.0) {
            return Err(damaged(path, "a level between 0 and 1", &self.level.to_string()));
        }
        let mut split = Vec::with_capacity(folds);
        for &size in &self.fold_sizes {
            let rest = residuals.split_off(size);
            split.push(std::mem::replace(&mut residuals, rest));
        }
        let head = RidgeRegression { weights: head, intercept: bias[0] };
        head.check()?;
        let fold_heads = rows
            .chunks_exact(columns)
            .zip(biases)
            .map(|(weights, intercept)| RidgeRegression { weights: weights.to_vec(), intercept })
            .collect();
        Ok(NumberPredictor { head, fold_heads, intervals: CvPlus { level: self.level, residuals: split }, novelty })
    }
}

impl LabelsHeadFile {
    /// Writes a predictor's tensors, at f32, and says what they mean.
    pub fn of(predictor: &LabelsPredictor, weights: &mut Weights) -> Self {
        let LabelsPredictor { head, temperature, thresholds, novelty } = predictor;
        put(weights, "head.weight", vec![head.labels, head.columns], &head.weights);
        put(weights, "head.bias", vec![head.labels], &head.intercepts);
        put_novelty(weights, novelty);
        Self {
            temperature: *temperature,
            thresholds: thresholds.clone(),
            unlike_threshold: novelty.threshold,
            unlike_k: novelty.k,
        }
    }

    /// The predictor again. Takes its tensors out of `weights`; `path` is where they were, for errors.
    ///
    /// # Errors
    /// As [`NumberHeadFile::predictor`].
    pub fn predictor(&self, weights: &mut Weights, path: &Path) -> Result<LabelsPredictor> {
        let labels = self.thresholds.len();
        let head = take(weights, "head.weight", path)?;
        let columns = head.shape.last().copied().unwrap_or(0);
        let head = OneVsRest {
            labels,
            columns,
            weights: checked(head, &[labels, columns], "head.weight", path)?,
            intercepts: checked(take(weights, "head.bias", path)?, &[labels], "head.bias", path)?,
        };
        head.check()?;
        let novelty = take_novelty(weights, columns, self.unlike_k, self.unlike_threshold, path)?;
        // Both were f32 when they were written: through f32 they come back to the bit from any decimal text.
        let temperature = f64::from(self.temperature as f32);
        if !(temperature > 0.0 && temperature.is_finite()) {
            return Err(damaged(path, "a temperature above 0", &self.temperature.to_string()));
        }
        let thresholds = self.thresholds.iter().map(|least| least.map(|least| f64::from(least as f32))).collect();
        Ok(LabelsPredictor { head, temperature, thresholds, novelty })
    }
}

fn put(weights: &mut Weights, name: &str, shape: Vec<usize>, values: &[f64]) {
    let values = values.iter().map(|&value| value as f32).collect();
    weights.tensors.insert(name.into(), Tensor { shape, values, precision: Precision::F32 });
}

fn put_novelty(weights: &mut Weights, novelty: &Novelty) {
    let Features { rows, columns, values } = &novelty.references;
    let tensor = Tensor { shape: vec![*rows, *columns], values: values.clone(), precision: Precision::F32 };
    weights.tensors.insert("novelty.references".into(), tensor);
}

fn take_novelty(weights: &mut Weights, columns: usize, k: usize, threshold: f32, path: &Path) -> Result<Novelty> {
    let tensor = take(weights, "novelty.references", path)?;
    let rows = tensor.shape.first().copied().unwrap_or(0);
    if rows == 0 || k == 0 || tensor.shape != [rows, columns] {
        return Err(damaged(path, &format!("references of {columns} features"), &format!("{:?}", tensor.shape)));
    }
    let references = Features::new(rows, columns, tensor.values)?;
    references.check()?;
    Ok(Novelty { references, k, threshold })
}

fn take(weights: &mut Weights, name: &str, path: &Path) -> Result<Tensor> {
    weights.tensors.remove(name).ok_or_else(|| damaged(path, &format!("a tensor `{name}`"), "none"))
}

/// The numbers of a tensor of this shape, all of them finite.
fn checked(tensor: Tensor, shape: &[usize], name: &str, path: &Path) -> Result<Vec<f64>> {
    if tensor.shape != shape || shape.contains(&0) {
        return Err(damaged(path, &format!("`{name}` of shape {shape:?}"), &format!("{:?}", tensor.shape)));
    }
    if tensor.values.iter().any(|value| !value.is_finite()) {
        return Err(damaged(path, &format!("finite numbers in `{name}`"), "others"));
    }
    Ok(tensor.values.into_iter().map(f64::from).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Error;

    fn novelty() -> Novelty {
        let references = Features::new(2, 3, vec![1.0, 0.0, 0.0, 0.0, 1.0, 0.0]).unwrap();
        Novelty { references, k: 1, threshold: 0.5 }
    }

    fn numbers() -> NumberPredictor {
        let head = |by: f32| RidgeRegression {
            weights: [0.1, -0.2, 0.3f32].map(|w| f64::from(w + by)).to_vec(),
            intercept: f64::from(by),
        };
        let residuals = vec![vec![0.25, 0.5], vec![0.125, 1.0, 2.0]];
        NumberPredictor {
            head: head(0.0),
            fold_heads: vec![head(0.01), head(-0.01)],
            intervals: CvPlus { level: 0.5, residuals },
            novelty: novelty(),
        }
    }

    fn labels() -> LabelsPredictor {
        let head = OneVsRest {
            labels: 2,
            columns: 3,
            weights: [0.1f32, 0.2, 0.3, -0.1, -0.2, -0.3].map(f64::from).to_vec(),
            intercepts: vec![0.5, -0.5],
        };
        LabelsPredictor {
            head,
            temperature: f64::from(1.1f32),
            thresholds: vec![Some(f64::from(0.3f32)), None],
            novelty: novelty(),
        }
    }

    #[test]
    fn predictors_come_back_to_the_bit() {
        let path = Path::new("model.safetensors");
        let mut weights = Weights::default();
        let file = NumberHeadFile::of(&numbers(), &mut weights);
        let mut read = engraft_weights::read(&engraft_weights::write(&weights)).unwrap();
        let file: NumberHeadFile = serde_json::from_str(&serde_json::to_string(&file).unwrap()).unwrap();
        assert_eq!(file.predictor(&mut read, path).unwrap(), numbers());
        let row = [0.3, 0.1, 0.9];
        assert!(numbers().answer(&row).interval.is_some());

        let mut weights = Weights::default();
        let file = LabelsHeadFile::of(&labels(), &mut weights);
        let mut read = engraft_weights::read(&engraft_weights::write(&weights)).unwrap();
        let file: LabelsHeadFile = serde_json::from_str(&serde_json::to_string(&file).unwrap()).unwrap();
        assert_eq!(file.predictor(&mut read, path).unwrap(), labels());
        assert!(!labels().answer(&row).given[1], "a label without a threshold is never given");
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let path = Path::new("model.safetensors");
        let refused = |spoil: &dyn Fn(&mut NumberHeadFile, &mut Weights)| {
            let mut weights = Weights::default();
            let mut file = NumberHeadFile::of(&numbers(), &mut weights);
            spoil(&mut file, &mut weights);
            assert!(matches!(file.predictor(&mut weights, path), Err(Error::Weights(_) | Error::Data(_))));
        };
        refused(&|file, _| file.fold_sizes = vec![5]);
        refused(&|file, _| file.fold_sizes = vec![2, 4]);
        refused(&|file, _| file.fold_sizes = vec![usize::MAX, 2]);
        refused(&|file, _| file.fold_sizes.clear());
        refused(&|file, _| file.level = f64::NAN);
        refused(&|file, _| file.unlike_k = 0);
        for name in ["head.weight", "head.bias", "folds.weight", "folds.bias", "folds.residuals", "novelty.references"]
        {
            refused(&|_, weights| drop(weights.tensors.remove(name)));
            refused(&|_, weights| weights.tensors.get_mut(name).unwrap().shape = vec![]);
            refused(&|_, weights| weights.tensors.get_mut(name).unwrap().values[0] = f32::NAN);
        }
        let mut weights = Weights::default();
        let mut file = LabelsHeadFile::of(&labels(), &mut weights);
        file.thresholds.push(None);
        assert!(file.predictor(&mut weights, path).is_err());
    }
}
