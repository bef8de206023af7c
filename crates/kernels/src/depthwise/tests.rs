use proptest::prelude::*;

use super::*;
use crate::convolution::Shape;
use crate::geometry::{ConvOptions, Padding};
use crate::reference::{
    ACTIVATIONS, assert_same_on_any_threads, cases, convolution, distance, gradient_to_input, gradient_to_weight,
    normal, on_threads, values,
};

/// Of a result's terms: some roundings of a long sum.
const CLOSE: f64 = 1e-6;

/// Windows that have code of their own, and others.
fn window() -> impl Strategy<Value = ([usize; 2], [usize; 2], [usize; 2])> {
    let own = (proptest::sample::select(vec![3usize, 5, 7]), 1usize..3).prop_map(|(k, s)| ([k; 2], [s; 2], [1; 2]));
    let any = ([1usize..8, 1usize..8], [1usize..5, 1usize..5], [1usize..4, 1usize..4]);
    // A little off of what has code of its own.
    let near = (proptest::sample::select(vec![3usize, 5, 7]), 0usize..4).prop_map(|(k, kind)| match kind {
        0 => ([k, k], [1, 2], [1, 1]),
        1 => ([k, k], [1, 1], [2, 1]),
        2 => ([k, k - 1], [1, 1], [1, 1]),
        _ => ([k, k], [3, 3], [1, 1]),
    });
    prop_oneof![3 => own, 2 => any, 1 => near]
}

fn shape() -> impl Strategy<Value = Shape> {
    let pad = || [0usize..5, 0usize..5];
    (1usize..4, [1usize..18, 1usize..18], window(), proptest::option::of((pad(), pad())), 1usize..41).prop_map(
        |(images, input, (kernel, stride, dilation), pad, channels)| {
            let padding = match pad {
                None => Padding::Same,
                Some((before, mut after)) => {
                    for axis in 0..2 {
                        let reach = (kernel[axis] - 1) * dilation[axis] + 1;
                        after[axis] += reach.saturating_sub(input[axis] + before[axis] + after[axis]);
                    }
                    Padding::Explicit { before, after }
                }
            };
            let options = ConvOptions { stride, padding, dilation, groups: channels, ..Default::default() };
            let geometry = Geometry::new(input, kernel, &options);
            Shape { images, channels, outputs: channels, groups: channels, geometry }
        },
    )
}

fn check(shape: &Shape, (bias, residual, activation): (bool, bool, Activation)) {
    let (x, weight) = (values(shape.input_len(), 1), values(shape.weight_len(), 2));
    let bias = bias.then(|| values(shape.outputs, 3));
    let residual = residual.then(|| values(shape.output_len(), 4));
    let taps = Taps { values: &weight, channels: shape.channels };
    let epilogue = Epilogue { bias: bias.as_deref(), residual: residual.as_deref(), activation };
    let mut y = vec![f32::NAN; shape.output_len()];
    forward(&x, &taps, &shape.geometry, &mut y, &epilogue);
    let found = distance(&y, |at| {
        let mut sum = convolution(shape, &x, &weight, at);
        if let Some(bias) = &bias {
            sum = sum.and(f64::from(bias[at % shape.outputs]));
        }
        if let Some(residual) = &residual {
            sum = sum.and(f64::from(residual[at]));
        }
        sum.activated(activation)
    });
    assert!(found.of_terms < CLOSE, "{shape:?}: {found:?}");

    let gradient = values(shape.output_len(), 5);
    let mut gx = vec![f32::NAN; shape.input_len()];
    backward_input(&gradient, &taps, &shape.geometry, &mut gx);
    let found = distance(&gx, |at| gradient_to_input(shape, &gradient, &weight, at));
    assert!(found.of_terms < CLOSE, "gradient to the input of {shape:?}: {found:?}");
    let gw = backward_taps(&x, &gradient, &shape.geometry, shape.channels);
    assert_eq!(gw.len(), weight.len());
    let found = distance(&gw, |at| gradient_to_weight(shape, &x, &gradient, at));
    assert!(found.of_terms < CLOSE, "gradient to the weights of {shape:?}: {found:?}");
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn agrees_with_the_definition(
        shape in shape(),
        bias in any::<bool>(),
        residual in any::<bool>(),
        activation in proptest::sample::select(ACTIVATIONS.to_vec()),
    ) {
        check(&shape, (bias, residual, activation));
    }
}

/// Images that are more than one task, of every window with code of its own and of one without.
fn large() -> Vec<Shape> {
    let make = |kernel: [usize; 2], stride: usize, channels: usize| {
        let options =
            ConvOptions { stride: [stride; 2], padding: Padding::Same, groups: channels, ..Default::default() };
        let geometry = Geometry::new([45, 50], kernel, &options);
        let shape = Shape { images: 2, channels, outputs: channels, groups: channels, geometry };
        let windows = Windows::forward(&geometry);
        assert!(windows.rows_per_task() < geometry.output[0], "{kernel:?} is one task");
        shape
    };
    let sides = [3, 5, 7].into_iter().flat_map(|side| [1, 2].map(|stride| ([side; 2], stride)));
    sides.chain([([4, 2], 1)]).zip([40, 3, 16, 17, 9, 24, 33]).map(|((k, s), channels)| make(k, s, channels)).collect()
}

#[test]
fn images_of_several_tasks_agree_with_the_definition() {
    for shape in large() {
        check(&shape, (true, true, Activation::Relu));
    }
}

#[test]
fn threads_do_not_change_the_bits() {
    for shape in large() {
        let (x, weight) = (normal(shape.input_len(), 1), normal(shape.weight_len(), 2));
        let (gradient, what) = (normal(shape.output_len(), 3), format!("{:?}", shape.geometry));
        let taps = Taps { values: &weight, channels: shape.channels };
        assert_same_on_any_threads(&what, || {
            let mut y = vec![f32::NAN; shape.output_len()];
            forward(&x, &taps, &shape.geometry, &mut y, &Epilogue::NONE);
            y
        });
        assert_same_on_any_threads(&what, || {
            let mut gx = vec![f32::NAN; shape.input_len()];
            backward_input(&gradient, &taps, &shape.geometry, &mut gx);
            gx
        });
        assert_same_on_any_threads(&what, || backward_taps(&x, &gradient, &shape.geometry, shape.channels));
    }
}

#[test]
fn memory_of_a_larger_image_is_not_seen_by_a_smaller_one() {
    let [large, small] = [21, 5].map(|side| {
        let options = ConvOptions { padding: Padding::Symmetric([2, 2]), groups: 5, ..Default::default() };
        let geometry = Geometry::new([side, side], [5, 5], &options);
        Shape { images: 1, channels: 5, outputs: 5, groups: 5, geometry }
    });
    on_threads(1, || {
        for shape in [large, small] {
            check(&shape, (false, false, Activation::None));
        }
    });
}
