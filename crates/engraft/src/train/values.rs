//! A model's numbers by the identity of their parameter, outside of Burn: for the optimiser, averages and checkpoints.
//!
//! Identities are hashes of canonical names, the same in every process.

use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::prelude::*;
use burn::tensor::TensorData;
use rayon::prelude::*;

/// Numbers that are worked on together: long enough for a thread, short enough for all of them.
pub(super) const BLOCK: usize = 1 << 16;

/// Numbers by parameter.
pub(crate) type Values = BTreeMap<u64, Vec<f32>>;

/// The numbers of the parameters (and running statistics) that `wanted` names by identity and number of axes.
pub fn values_of<M: Module>(model: &M, wanted: impl Fn(u64, usize) -> bool) -> Values {
    struct Collect<F>(Values, F);
    impl<F: Fn(u64, usize) -> bool> ModuleVisitor for Collect<F> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if (self.1)(param.id.val(), D) {
                self.0.insert(param.id.val(), numbers(param.val()));
            }
        }
    }
    let mut collect = Collect(Values::new(), wanted);
    model.visit(&mut collect);
    collect.0
}

/// Number of axes of every parameter and running statistic.
pub(crate) fn axes_of<M: Module>(model: &M) -> BTreeMap<u64, usize> {
    struct Collect(BTreeMap<u64, usize>);
    impl ModuleVisitor for Collect {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            self.0.insert(param.id.val(), D);
        }
    }
    let mut collect = Collect(BTreeMap::new());
    model.visit(&mut collect);
    collect.0
}

/// The model with these numbers in place of its own.
///
/// # Panics
/// If there are more or fewer of them than the parameter has.
pub fn with_values<M: Module>(model: M, values: Values) -> M {
    struct Replace(Values);
    impl ModuleMapper for Replace {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            let Some(values) = self.0.remove(&param.id.val()) else { return param };
            let (id, tensor, mapper) = param.consume();
            let requires = tensor.is_require_grad();
            let moved = Tensor::from_data(TensorData::new(values, tensor.dims()), &tensor.device());
            Param::from_mapped_value(id, moved.set_require_grad(requires), mapper)
        }
    }
    model.map(&mut Replace(values))
}

/// Gradients of a model's parameters.
#[derive(Debug, Clone, Default)]
pub struct Gradients(pub Values);

impl Gradients {
    /// Takes them from Burn's, for the parameters that have one.
    pub fn of<M: Module>(model: &M, gradients: GradientsParams) -> Self {
        struct Take(Values, GradientsParams);
        impl ModuleVisitor for Take {
            fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
                if let Some(gradient) = self.1.remove::<D>(param.id) {
                    self.0.insert(param.id.val(), numbers(gradient));
                }
            }
        }
        let mut take = Take(Values::new(), gradients);
        model.visit(&mut take);
        Self(take.0)
    }

    /// Adds others. The order of adding decides the last bits: callers keep to the order of the shards.
    pub(crate) fn add(&mut self, others: Gradients) {
        for (id, other) in others.0 {
            match self.0.get_mut(&id) {
                Some(sum) => zip_blocks(sum, &other, |sum, other| *sum += other),
                None => {
                    self.0.insert(id, other);
                }
            }
        }
    }

    /// The norm of all of them as one vector: sums of blocks of a fixed length, in order.
    pub(crate) fn norm(&self) -> f64 {
        let squares = |values: &[f32]| values.iter().map(|v| f64::from(*v) * f64::from(*v)).sum::<f64>();
        let of_parameter =
            |values: &Vec<f32>| values.par_chunks(BLOCK).map(squares).collect::<Vec<f64>>().into_iter().sum::<f64>();
        self.0.values().map(of_parameter).sum::<f64>().sqrt()
    }

    /// Multiplies all of them.
    pub(crate) fn scale(&mut self, factor: f32) {
        for values in self.0.values_mut() {
            values.par_chunks_mut(BLOCK).for_each(|block| block.iter_mut().for_each(|v| *v *= factor));
        }
    }
}

/// Does something to every pair of numbers, on all threads where there are many.
pub(super) fn zip_blocks(left: &mut [f32], right: &[f32], each: impl Fn(&mut f32, f32) + Sync) {
    assert_eq!(left.len(), right.len(), "both are of one parameter");
    left.par_chunks_mut(BLOCK).zip(right.par_chunks(BLOCK)).for_each(|(left, right)| {
        left.iter_mut().zip(right).for_each(|(left, right)| each(left, *right));
    });
}

/// The numbers of a tensor: moved where nobody else has it, copied where somebody has.
pub(super) fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor.into_data().try_into_vec().expect("parameters are f32")
}
