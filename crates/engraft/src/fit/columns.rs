//! What is told of rows of a table alone: how they become numbers, and which columns the model goes by.

use rayon::prelude::*;

use crate::data::vectors::{Encoding, Kind};
use crate::features::Features;
use crate::heads::Linear;

/// What a fit to rows of a table knows of its columns.
#[derive(Debug, Clone)]
pub(crate) struct ColumnFacts {
    /// How a row becomes numbers.
    pub(crate) encoding: Encoding,
    /// What each column does, the strongest first.
    pub(crate) effects: Vec<ColumnEffect>,
}

/// What a column does to the answers.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
pub struct ColumnEffect {
    /// The column.
    pub name: String,
    /// What its cells are.
    pub(crate) kind: Kind,
    /// By how much it moves the head's outputs from row to row: the standard deviation of its part in them over the
    /// training rows, as a root mean square over the outputs. Outputs are logits, or the number itself.
    pub effect: f64,
}

impl ColumnFacts {
    /// Of training rows `[rows, columns]` as the encoding gives them, and the head on them.
    pub(super) fn of(encoding: &Encoding, features: &Features, head: &Linear) -> Self {
        let mut begins = vec![0];
        begins.extend(encoding.inputs.iter().scan(0, |end, input| {
            *end += input.columns();
            Some(*end)
        }));
        let kinds = encoding.kinds();
        let effect = |(input, ends): (&crate::data::vectors::Input, &[usize])| {
            let variance = |output: usize| {
                let weights = &head.weights[output * head.columns..][ends[0]..ends[1]];
                let part = |row: usize| -> f64 {
                    let cells = &features.row(row)[ends[0]..ends[1]];
                    cells.iter().zip(weights).map(|(&cell, weight)| f64::from(cell) * weight).sum()
                };
                let n = features.rows.max(1) as f64;
                let mean = (0..features.rows).map(part).sum::<f64>() / n;
                (0..features.rows).map(|row| (part(row) - mean).powi(2)).sum::<f64>() / n
            };
            let effect = ((0..head.outputs).map(variance).sum::<f64>() / head.outputs.max(1) as f64).sqrt();
            ColumnEffect { name: input.name.clone(), kind: kinds[&input.name], effect }
        };
        let pairs: Vec<_> = encoding.inputs.iter().zip(begins.windows(2)).collect();
        let mut effects: Vec<ColumnEffect> = pairs.into_par_iter().map(effect).collect();
        // Stable: of equal ones the first in the table.
        effects.sort_by(|a, b| b.effect.total_cmp(&a.effect));
        Self { encoding: encoding.clone(), effects }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::vectors::{Input, InputKind};

    #[test]
    fn the_column_that_moves_the_output_comes_first() {
        let numeric = |name: &str| Input {
            name: name.into(),
            kind: InputKind::Numeric { median: 0.0, mean: 0.0, deviation: 1.0, missing: false },
        };
        let category = Input {
            name: "c".into(),
            kind: InputKind::Categorical { categories: vec!["u".into(), "v".into()], other: false, missing: false },
        };
        let encoding = Encoding { inputs: vec![numeric("a"), category, numeric("b")], notes: Vec::new() };
        let rows = vec![1.0, 1.0, 0.0, 3.0, -1.0, 0.0, 1.0, 3.0];
        let head = Linear { outputs: 1, columns: 4, weights: vec![0.5, 2.0, -2.0, 9.0], intercepts: vec![0.0] };
        let facts = ColumnFacts::of(&encoding, &Features::new(2, 4, rows).unwrap(), &head);
        let told: Vec<(&str, f64)> = facts.effects.iter().map(|one| (one.name.as_str(), one.effect)).collect();
        assert_eq!(told, [("c", 2.0), ("a", 0.5), ("b", 0.0)], "a constant moves nothing, however large its weight");
    }
}
