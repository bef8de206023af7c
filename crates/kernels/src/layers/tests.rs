//! Every operation against Burn's own, forwards and backwards: the kernels and their hand-written gradients on one side,
//! Burn's operations and its autodiff on the other.

use burn::tensor::{TensorData, Tolerance};
use proptest::prelude::*;

use super::*;
use crate::geometry::Padding;

/// Numbers from -1 to 1 that follow from a seed.
fn values(count: usize, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

fn tracked<const D: usize>(shape: [usize; D], seed: u64) -> Tensor<D> {
    let data = TensorData::new(values(shape.iter().product(), seed), shape);
    Tensor::from_data(data, &Device::flex().autodiff()).require_grad()
}

/// A loss that weighs every output differently.
fn weighed<const D: usize>(y: Tensor<D>) -> Tensor<1> {
    let weights = values(y.dims().iter().product(), 99);
    let weights = Tensor::<D>::from_data(TensorData::new(weights, y.dims()), &y.device());
    (y * weights).sum()
}

fn close(ours: TensorData, burns: &TensorData) {
    ours.assert_approx_eq::<f32>(burns, Tolerance::rel_abs(2e-4, 2e-4));
}

/// Runs two ways to compute the same from the same tensors, and compares outputs and the gradients of every tensor.
macro_rules! agree {
    ($output:literal; $($name:ident: $rank:literal = $shape:expr),+; $ours:expr, $burns:expr) => {{
        let mut results = Vec::new();
        for side in 0..2 {
            let mut seed = 0;
            $(seed += 1; let $name: Tensor<$rank> = tracked($shape, seed);)+
            let y: Tensor<$output> = if side == 0 { $ours } else { $burns };
            let mut found = vec![y.clone().into_data()];
            let gradients = weighed(y).backward();
            $(found.push($name.grad(&gradients).expect(stringify!($name)).into_data());)+
            results.push(found);
        }
        let burns = results.pop().unwrap();
        for (ours, burns) in results.pop().unwrap().into_iter().zip(&burns) {
            close(ours, burns);
        }
    }};
}

fn activation() -> impl Strategy<Value = Activation> {
    prop_oneof![
        Just(Activation::None),
        Just(Activation::Relu),
        Just(Activation::Relu6),
        Just(Activation::Leaky(0.1)),
        Just(Activation::Silu),
        Just(Activation::Gelu),
        Just(Activation::GeluTanh),
    ]
}

fn padding() -> impl Strategy<Value = Padding> {
    prop_oneof![
        Just(Padding::Symmetric([1, 1])),
        Just(Padding::Same),
        Just(Padding::Explicit { before: [0, 1], after: [2, 0] }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn convolutions_agree_with_burn(
        (n, h, w, side) in (1usize..3, 3usize..9, 3usize..9, 1usize..4),
        (group_channels, group_outputs, groups) in (1usize..4, 1usize..4, 1usize..4),
        (stride, dilation) in (1usize..4, 1usize..2),
        padding in padding(),
        activation in activation(),
    ) {
        let options = ConvOptions { stride: [stride; 2], padding, dilation: [dilation; 2], groups, exact: false };
        let (channels, outputs) = (group_channels * groups, group_outputs * groups);
        let convolution = Convolution::new([h, w], [side, side], &options);
        let [rows, columns] = convolution.geometry.output;
        agree!(4;
            x: 4 = [n, h, w, channels], weight: 4 = [side, side, group_channels, outputs], bias: 1 = [outputs],
            residual: 4 = [n, rows, columns, outputs];
            conv2d(x.clone(), weight.clone(), Fused { bias: Some(bias.clone()), residual: Some(residual.clone()), activation }, &options),
            composed::conv2d(x.clone(), weight.clone(), Fused { bias: Some(bias.clone()), residual: Some(residual.clone()), activation }, &convolution)
        );
    }

    #[test]
    fn linear_layers_agree_with_burn(
        (rows, inputs, outputs) in (1usize..20, 1usize..40, 1usize..40),
        activation in activation(),
    ) {
        agree!(3;
            x: 3 = [2, rows, inputs], weight: 2 = [inputs, outputs], bias: 1 = [outputs], residual: 3 = [2, rows, outputs];
            linear(x.clone(), weight.clone(), Fused { bias: Some(bias.clone()), residual: Some(residual.clone()), activation }),
            composed::linear(x.clone(), weight.clone(), Fused { bias: Some(bias.clone()), residual: Some(residual.clone()), activation })
        );
    }

    #[test]
    fn batch_norms_agree_with_burn(
        (n, side, channels) in (2usize..4, 1usize..5, 1usize..20),
        activation in activation(),
    ) {
        agree!(4;
            x: 4 = [n, side, 3, channels], gamma: 1 = [channels], beta: 1 = [channels], residual: 4 = [n, side, 3, channels];
            batch_norm(x.clone(), gamma.clone(), beta.clone(), Some(residual.clone()), 1e-3, activation).output,
            composed::batch_norm(x.clone(), gamma.clone(), beta.clone(), Some(residual.clone()), 1e-3, activation).output
        );
        agree!(4;
            x: 4 = [n, side, 3, channels], scale: 1 = [channels], shift: 1 = [channels], residual: 4 = [n, side, 3, channels];
            affine(x.clone(), scale.clone(), shift.clone(), Some(residual.clone()), activation),
            composed::affine(x.clone(), scale.clone(), shift.clone(), Some(residual.clone()), activation)
        );
    }

    #[test]
    fn pools_agree_with_burn(
        (n, h, w, c) in (1usize..3, 4usize..9, 4usize..9, 1usize..20),
        (side, stride) in (2usize..4, 1usize..4),
        kind in 0usize..3,
        ceil in any::<bool>(),
    ) {
        let padding = if ceil { Padding::Ceil([1, 1]) } else { Padding::Same };
        let options = PoolOptions { kernel: [side; 2], stride: [stride; 2], padding };
        let geometry = options.geometry([h, w]);
        let what = [Pool::Max, Pool::Average(true), Pool::Average(false)][kind];
        agree!(4; x: 4 = [n, h, w, c];
            pool(x.clone(), what, &options),
            composed::pool(x.clone(), what, &geometry)
        );
        agree!(2; x: 4 = [n, h, w, c]; global_average(x.clone()), composed::global_average(x.clone()));
    }

    #[test]
    fn rows_agree_with_burn((rows, columns) in (1usize..9, 1usize..70), function in activation()) {
        agree!(3;
            x: 3 = [2, rows, columns], gamma: 1 = [columns], beta: 1 = [columns];
            layer_norm(x.clone(), gamma.clone(), beta.clone(), 1e-3),
            composed::layer_norm(x.clone(), gamma.clone(), beta.clone(), 1e-3)
        );
        agree!(2; x: 2 = [rows, columns]; softmax(x.clone()), composed::softmax(x.clone()));
        let classes: Vec<Option<u32>> = (0..rows).map(|row| (row % 4 != 3).then_some((row % columns) as u32)).collect();
        agree!(1; x: 2 = [rows, columns]; cross_entropy(x.clone(), &classes), composed::cross_entropy(x.clone(), &classes));
        agree!(2; x: 2 = [rows, columns];
            activate(x.clone() * 2.0, function),
            composed::activate(x.clone() * 2.0, function)
        );
    }

    #[test]
    fn attention_agrees_with_burn(
        (batch, queries, keys) in (1usize..3, 1usize..20, 1usize..20),
        (heads, width) in (1usize..4, 1usize..20),
        masked in 0usize..20,
    ) {
        // The first sequence sees only its first keys; at 0 it sees none, and gives zeros.
        let mask = || {
            let hidden = |at: usize| if at < keys && at >= masked.min(keys) { f32::NEG_INFINITY } else { 0.0 };
            let data = TensorData::new((0..batch * keys).map(hidden).collect::<Vec<f32>>(), [batch, keys]);
            Tensor::<2>::from_data(data, &Device::flex().autodiff())
        };
        let size = heads * width;
        agree!(3;
            query: 3 = [batch, queries, size], key: 3 = [batch, keys, size], value: 3 = [batch, keys, size];
            attention(query.clone(), key.clone(), value.clone(), Some(mask()), heads),
            composed::attention(query.clone(), key.clone(), value.clone(), Some(mask()), heads)
        );
    }

    #[test]
    fn lstms_agree_with_burn((batch, steps, inputs, width) in (1usize..4, 1usize..6, 1usize..10, 1usize..20)) {
        // Outputs and both states count, the cell among them.
        let together = |(y, state): (Tensor<3>, LstmState)| {
            Tensor::cat(vec![y.reshape([batch, steps * width]), state.hidden, state.cell], 1)
        };
        agree!(2;
            x: 3 = [batch, steps, inputs], input: 2 = [inputs, 4 * width], recurrent: 2 = [width, 4 * width],
            bias: 1 = [4 * width], hidden: 2 = [batch, width], cell: 2 = [batch, width];
            {
                let weights = LstmWeights { input: input.clone(), recurrent: recurrent.clone(), bias: bias.clone() };
                together(lstm(x.clone(), weights, Some(LstmState { hidden: hidden.clone(), cell: cell.clone() })))
            },
            {
                let weights = LstmWeights { input: input.clone(), recurrent: recurrent.clone(), bias: bias.clone() };
                together(composed::lstm(x.clone(), weights, LstmState { hidden: hidden.clone(), cell: cell.clone() }))
            }
        );
    }
}

#[test]
fn a_layer_without_bias_or_residual_has_no_gradient_for_them() {
    let (x, weight): (Tensor<4>, Tensor<4>) = (tracked([1, 4, 4, 3], 1), tracked([1, 1, 3, 5], 2));
    let y = conv2d(x.clone(), weight.clone(), Fused::default(), &ConvOptions::default());
    let gradients = weighed(y).backward();
    let found = x.grad(&gradients).unwrap().into_data();
    // What stands in for the missing inputs among the parents adds nothing.
    let y = composed::conv2d(
        x.clone(),
        weight,
        Fused::default(),
        &Convolution::new([4, 4], [1, 1], &ConvOptions::default()),
    );
    close(found, &x.grad(&weighed(y).backward()).unwrap().into_data());
}

#[test]
fn frozen_parameters_get_no_gradient_and_the_input_still_does() {
    let x: Tensor<4> = tracked([2, 5, 5, 4], 1);
    let weight = tracked([3, 3, 4, 4], 2).set_require_grad(false);
    let y = conv2d(
        x.clone(),
        weight.clone(),
        Fused { activation: Activation::Silu, ..Fused::default() },
        &ConvOptions::default(),
    );
    let gradients = weighed(y).backward();
    assert!(x.grad(&gradients).is_some());
    assert!(weight.grad(&gradients).is_none());
}
