use proptest::prelude::*;

use super::*;
use crate::activation::Activation;
use crate::geometry::{ConvOptions, Padding};
use crate::reference::{
    ACTIVATIONS, Distance, assert_same_on_any_threads, bits, cases, convolution, distance, gradient_to_input,
    gradient_to_weight, normal, on_threads, values,
};

/// Of a result's terms: some roundings of a long sum.
const CLOSE: f64 = 1e-6;

/// Of the largest terms of all results: what Winograd's transforms may add.
fn close(way: Way) -> f64 {
    match way {
        Way::Winograd(Tile::Four) => 4e-6,
        _ => CLOSE,
    }
}

fn way(prepared: &Prepared) -> Way {
    match prepared {
        Prepared::Depthwise(_) => Way::Depthwise,
        Prepared::Winograd(filters) => Way::Winograd(filters.tile()),
        Prepared::Gather(_) => Way::Gather,
    }
}

fn padding() -> impl Strategy<Value = Padding> {
    let pair = || [0usize..5, 0usize..5];
    prop_oneof![
        3 => pair().prop_map(Padding::Symmetric),
        3 => (pair(), pair()).prop_map(|(before, after)| Padding::Explicit { before, after }),
        2 => Just(Padding::Same),
        1 => pair().prop_map(Padding::Ceil),
    ]
}

/// Channels of a group: below, at and above what a vector holds, and not multiples of it.
fn width() -> impl Strategy<Value = usize> {
    prop_oneof![1usize..6, Just(8), 13usize..20, Just(31), Just(32), 33usize..50]
}

/// Groups, channels and outputs.
fn widths() -> impl Strategy<Value = [usize; 3]> {
    prop_oneof![
        (width(), width()).prop_map(|(channels, outputs)| [1, channels, outputs]),
        width().prop_map(|channels| [channels, channels, channels]),
        // A few outputs for each channel.
        (1usize..20, 2usize..4).prop_map(|(channels, each)| [channels, channels, channels * each]),
        (2usize..5, 1usize..20, 1usize..20)
            .prop_map(|(groups, channels, outputs)| { [groups, groups * channels, groups * outputs] }),
    ]
}

fn side() -> impl Strategy<Value = usize> {
    prop_oneof![1 => Just(1), 6 => 1usize..14]
}

/// Any convolution.
fn shape() -> impl Strategy<Value = Shape> {
    let window = ([1usize..8, 1usize..8], [1usize..5, 1usize..5], [1usize..4, 1usize..4]);
    (1usize..4, [side(), side()], window, padding(), widths()).prop_map(
        |(images, input, (kernel, stride, mut dilation), mut padding, [groups, channels, outputs])| {
            // Half of them are not dilated, as in most networks.
            if (kernel[0] + kernel[1]) % 2 == 0 {
                dilation = [1, 1];
            }
            let reach = [0, 1].map(|axis| (kernel[axis] - 1) * dilation[axis] + 1);
            let missing = [0, 1].map(|axis| match padding {
                Padding::Symmetric(pad) | Padding::Ceil(pad) => reach[axis].saturating_sub(input[axis] + 2 * pad[axis]),
                Padding::Explicit { before, after } => {
                    reach[axis].saturating_sub(input[axis] + before[axis] + after[axis])
                }
                Padding::Same => 0,
            });
            let enough = |pad: [usize; 2], by: usize| [0, 1].map(|axis| pad[axis] + missing[axis].div_ceil(by));
            padding = match padding {
                Padding::Symmetric(pad) => Padding::Symmetric(enough(pad, 2)),
                Padding::Ceil(pad) => Padding::Ceil(enough(pad, 2)),
                Padding::Explicit { before, after } => Padding::Explicit { before, after: enough(after, 1) },
                Padding::Same => Padding::Same,
            };
            let geometry =
                Geometry::new(input, kernel, &ConvOptions { stride, padding, dilation, groups, ..Default::default() });
            Shape { images, channels, outputs, groups, geometry }
        },
    )
}

/// A convolution that Winograd's way is for.
fn winograd_shape() -> impl Strategy<Value = Shape> {
    let pad = || [0usize..4, 0usize..4];
    // Sides around the multiples of a tile, and between two tiles.
    let output = || prop_oneof![4usize..12, 12usize..31];
    let width = || prop_oneof![Just(16usize), Just(32), Just(48)];
    (1usize..4, [output(), output()], pad(), pad(), width(), width()).prop_map(
        |(images, output, before, after, channels, outputs)| {
            let input = [0, 1].map(|axis| (output[axis] + 2).saturating_sub(before[axis] + after[axis]).max(1));
            let after = [0, 1].map(|axis| output[axis] + 2 - before[axis].min(output[axis] + 1) - input[axis]);
            let before = [0, 1].map(|axis| before[axis].min(output[axis] + 1));
            let options = ConvOptions { padding: Padding::Explicit { before, after }, ..Default::default() };
            let geometry = Geometry::new(input, [3, 3], &options);
            assert_eq!(geometry.output, output);
            Shape { images, channels, outputs, groups: 1, geometry }
        },
    )
}

/// Which way it should be, said in other words than the code's.
fn expected_way(shape: &Shape, exact: bool) -> Way {
    let g = shape.geometry;
    let square = g.kernel == [3, 3] && g.stride == [1, 1] && g.dilation == [1, 1];
    let smallest = *g.output.iter().min().expect("two sides");
    if shape.groups > 1 && shape.groups == shape.channels && shape.groups == shape.outputs {
        Way::Depthwise
    } else if exact || !square || shape.groups > 1 || shape.channels % 16 + shape.outputs % 16 > 0 || smallest < 4 {
        Way::Gather
    } else if smallest < 12 {
        Way::Winograd(Tile::Two)
    } else {
        Way::Winograd(Tile::Four)
    }
}

/// What comes after a convolution, and its numbers.
fn epilogues() -> impl Strategy<Value = (bool, bool, Activation)> {
    (any::<bool>(), any::<bool>(), proptest::sample::select(ACTIVATIONS.to_vec()))
}

fn check_forward(shape: &Shape, exact: bool, (bias, residual, activation): (bool, bool, Activation)) {
    let (x, weight) = (values(shape.input_len(), 1), values(shape.weight_len(), 2));
    let bias = bias.then(|| values(shape.outputs, 3));
    let residual = residual.then(|| values(shape.output_len(), 4));
    let prepared = Prepared::new(shape, &weight, exact);
    let way = way(&prepared);
    assert_eq!(way, expected_way(shape, exact), "{shape:?}");
    let epilogue = Epilogue { bias: bias.as_deref(), residual: residual.as_deref(), activation };
    // What was in the output does not matter.
    let mut y = vec![f32::NAN; shape.output_len()];
    forward(shape, &x, &prepared, &mut y, &epilogue);
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
    assert_close(way, found, shape);
}

fn assert_close(way: Way, found: Distance, shape: &Shape) {
    let error = if matches!(way, Way::Winograd(_)) { found.of_most_terms } else { found.of_terms };
    assert!(error < close(way), "{way:?} of {shape:?}: {found:?}");
}

fn check_gradients(shape: &Shape, exact: bool) {
    let (x, weight) = (values(shape.input_len(), 5), values(shape.weight_len(), 6));
    let gradient = values(shape.output_len(), 7);
    let gx = backward_input(shape, &gradient, &weight, exact);
    assert_eq!(gx.len(), x.len());
    // Gradients go back through a convolution of their own, which has its own way.
    let way = shape.transposed().map_or(Way::Gather, |transposed| transposed.way(exact));
    assert_close(way, distance(&gx, |at| gradient_to_input(shape, &gradient, &weight, at)), shape);
    let gw = backward_weight(shape, &x, &gradient, exact);
    assert_eq!(gw.len(), weight.len());
    assert_close(shape.way(exact), distance(&gw, |at| gradient_to_weight(shape, &x, &gradient, at)), shape);
}

proptest! {
    #![proptest_config(cases(400))]

    #[test]
    fn agrees_with_the_definition(shape in shape(), exact in any::<bool>(), after in epilogues()) {
        check_forward(&shape, exact, after);
    }

    #[test]
    fn gradients_agree_with_the_definition(shape in shape(), exact in any::<bool>()) {
        check_gradients(&shape, exact);
    }
}

proptest! {
    #![proptest_config(cases(60))]

    #[test]
    fn winograd_agrees_with_the_definition(shape in winograd_shape(), after in epilogues()) {
        check_forward(&shape, false, after);
        check_forward(&shape, true, after);
    }

    #[test]
    fn gradients_of_winograd_agree_with_the_definition(shape in winograd_shape()) {
        check_gradients(&shape, false);
        check_gradients(&shape, true);
    }
}

/// One shape for every way and every piece of code of its own, large enough for several tasks.
fn every_way(images: usize) -> Vec<(&'static str, Way, Shape)> {
    let same = |stride: usize, dilation: usize, groups: usize| ConvOptions {
        stride: [stride; 2],
        padding: Padding::Same,
        dilation: [dilation; 2],
        groups,
        ..Default::default()
    };
    let make = |name, way, side: usize, kernel: [usize; 2], [channels, outputs]: [usize; 2], options: ConvOptions| {
        let geometry = Geometry::new([side, side + 3], kernel, &options);
        (name, way, Shape { images, channels, outputs, groups: options.groups, geometry })
    };
    vec![
        make("pointwise", Way::Gather, 17, [1, 1], [40, 70], same(1, 1, 1)),
        make("gathered", Way::Gather, 17, [3, 5], [24, 40], same(1, 1, 1)),
        make("gathered at a stride", Way::Gather, 23, [3, 3], [32, 16], same(2, 1, 1)),
        make("of few channels", Way::Gather, 30, [7, 7], [3, 24], same(2, 1, 1)),
        make("of one channel", Way::Gather, 30, [5, 5], [1, 6], same(1, 1, 1)),
        make("in groups", Way::Gather, 17, [3, 3], [24, 36], same(1, 2, 3)),
        make("with a step over pixels", Way::Gather, 30, [1, 1], [20, 33], same(3, 1, 1)),
        make("two by two", Way::Winograd(Tile::Two), 11, [3, 3], [32, 48], same(1, 1, 1)),
        make("four by four", Way::Winograd(Tile::Four), 29, [3, 3], [48, 48], same(1, 1, 1)),
        make("depthwise", Way::Depthwise, 40, [3, 3], [37, 37], same(1, 1, 37)),
        make("depthwise at a stride", Way::Depthwise, 41, [5, 5], [20, 20], same(2, 1, 20)),
        make("depthwise, dilated", Way::Depthwise, 30, [3, 2], [20, 20], same(1, 2, 20)),
    ]
}

fn run_forward(shape: &Shape, x: &[f32], weight: &[f32], residual: &[f32]) -> Vec<f32> {
    let bias = normal(shape.outputs, 13);
    let epilogue = Epilogue { bias: Some(&bias), residual: Some(residual), activation: Activation::Silu };
    let mut y = vec![f32::NAN; shape.output_len()];
    forward(shape, x, &Prepared::new(shape, weight, false), &mut y, &epilogue);
    y
}

#[test]
fn threads_do_not_change_the_bits() {
    for (name, way, shape) in every_way(5) {
        assert_eq!(shape.way(false), way, "{name}");
        let (x, weight) = (normal(shape.input_len(), 10), normal(shape.weight_len(), 11));
        let (gradient, residual) = (normal(shape.output_len(), 12), normal(shape.output_len(), 14));
        assert_same_on_any_threads(name, || run_forward(&shape, &x, &weight, &residual));
        assert_same_on_any_threads(name, || backward_input(&shape, &gradient, &weight, false));
        assert_same_on_any_threads(name, || backward_weight(&shape, &x, &gradient, false));
    }
}

#[test]
fn the_image_next_to_it_does_not_change_the_bits() {
    for (name, _, shape) in every_way(5) {
        let (x, weight) = (normal(shape.input_len(), 20), normal(shape.weight_len(), 21));
        let (gradient, residual) = (normal(shape.output_len(), 22), normal(shape.output_len(), 23));
        let (of_x, of_y) = (x.len() / 5, gradient.len() / 5);
        let in_batches = |batches: &[usize]| {
            let (mut y, mut gx) = (Vec::new(), Vec::new());
            for &images in batches {
                let part = Shape { images, ..shape };
                let (from_x, from_y) = (gx.len(), y.len());
                let (to_x, to_y) = (from_x + images * of_x, from_y + images * of_y);
                y.extend(run_forward(&part, &x[from_x..to_x], &weight, &residual[from_y..to_y]));
                gx.extend(backward_input(&part, &gradient[from_y..to_y], &weight, false));
            }
            (bits(&y), bits(&gx))
        };
        let together = on_threads(2, || in_batches(&[5]));
        for batches in [&[2, 3][..], &[1, 1, 1, 1, 1]] {
            assert!(on_threads(2, || in_batches(batches)) == together, "{name} in batches of {batches:?}");
        }
    }
}

#[test]
fn nan_in_a_image_reaches_every_pixel_that_sees_it() {
    for (name, _, shape) in every_way(2) {
        let mut x = normal(shape.input_len(), 30);
        let weight = normal(shape.weight_len(), 31);
        // About the middle, and one that strides of 2 and 3 do not step over.
        let [row, column] = shape.geometry.input.map(|size| size / 2 / 6 * 6);
        let middle = (row * shape.geometry.input[1] + column) * shape.channels;
        x[middle] = f32::NAN;
        for activation in ACTIVATIONS {
            let mut y = vec![0.0; shape.output_len()];
            let epilogue = Epilogue { activation, ..Epilogue::NONE };
            forward(&shape, &x, &Prepared::new(&shape, &weight, false), &mut y, &epilogue);
            let missed =
                (0..y.len()).find(|&at| convolution(&shape, &x, &weight, at).value.is_nan() && !y[at].is_nan());
            assert_eq!(missed, None, "{name}, {activation:?}");
            let (first, second) = y.split_at(y.len() / 2);
            assert!(first.iter().any(|value| value.is_nan()), "{name}, {activation:?}");
            assert!(second.iter().all(|value| value.is_finite()), "{name}, {activation:?}: the other image");
        }
    }
}

#[test]
fn a_image_of_one_pixel_meets_the_middle_of_the_window() {
    let options = ConvOptions { padding: Padding::Symmetric([1, 1]), ..Default::default() };
    let geometry = Geometry::new([1, 1], [3, 3], &options);
    let shape = Shape { images: 1, channels: 1, outputs: 2, groups: 1, geometry };
    let mut weight = [0.0; 18];
    (weight[8], weight[9]) = (2.0, -3.0);
    let mut y = [f32::NAN; 2];
    forward(&shape, &[5.0], &Prepared::new(&shape, &weight, false), &mut y, &Epilogue::NONE);
    assert_eq!(y, [10.0, -15.0]);
}

#[test]
fn no_images_give_nothing() {
    for (name, _, shape) in every_way(0) {
        let weight = normal(shape.weight_len(), 40);
        assert!(run_forward(&shape, &[], &weight, &[]).is_empty(), "{name}");
        assert!(backward_input(&shape, &[], &weight, false).is_empty(), "{name}");
        assert_eq!(backward_weight(&shape, &[], &[], false), vec![0.0; weight.len()], "{name}");
    }
}

#[test]
#[should_panic(expected = "weights of")]
fn weights_of_another_shape_are_refused() {
    let (_, _, shape) = every_way(1)[0];
    Prepared::new(&shape, &vec![0.0; shape.weight_len() + 1], false);
}

#[test]
#[should_panic(expected = "one bias for each output channel")]
fn a_bias_of_another_length_is_refused() {
    let (_, _, shape) = every_way(1)[0];
    let (x, weight) = (vec![0.0; shape.input_len()], vec![0.0; shape.weight_len()]);
    let bias = vec![0.0; shape.outputs - 1];
    let epilogue = Epilogue { bias: Some(&bias), ..Epilogue::NONE };
    forward(&shape, &x, &Prepared::new(&shape, &weight, false), &mut vec![0.0; shape.output_len()], &epilogue);
}
