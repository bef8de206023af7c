use super::*;
use crate::convolution::{Prepared, backward_input, backward_weight, forward};
use crate::geometry::{ConvOptions, Geometry, Padding};
use crate::reference::{convolution, distance, gradient_to_input, gradient_to_weight, normal};

/// Errors of the output and of the gradients to input and weights, against f64, as parts of the largest.
fn errors(side: usize, channels: usize, exact: bool) -> [f64; 3] {
    let shape = shape(2, side, channels, channels);
    let x = normal(shape.input_len(), 1);
    // As He et al. 2015 initialise them: the output is as large as the input.
    let spread = (2.0 / (9 * channels) as f32).sqrt();
    let weight: Vec<f32> = normal(shape.weight_len(), 2).iter().map(|value| value * spread).collect();
    let gradient = normal(shape.output_len(), 3);

    let prepared = Prepared::new(&shape, &weight, exact);
    match (&prepared, tile(&shape)) {
        (Prepared::Winograd(filters), Some(tile)) => assert!(!exact && filters.tile == tile),
        (Prepared::Gather(_), _) => assert!(exact),
        _ => panic!("another way"),
    }
    let mut y = vec![0.0; shape.output_len()];
    forward(&shape, &x, &prepared, &mut y, &Epilogue::NONE);
    let gx = backward_input(&shape, &gradient, &weight, exact);
    let gw = backward_weight(&shape, &x, &gradient, exact);
    [
        distance(&y, |at| convolution(&shape, &x, &weight, at)).of_largest,
        distance(&gx, |at| gradient_to_input(&shape, &gradient, &weight, at)).of_largest,
        distance(&gw, |at| gradient_to_weight(&shape, &x, &gradient, at)).of_largest,
    ]
}

/// Measured over all outputs, on AVX2 and in plain code, as the worst of output and gradient to the input, then of the
/// gradient to the weights:
///
/// | channels | F(4 x 4)       | F(2 x 2)       | gathering      |
/// |----------|----------------|----------------|----------------|
/// | 64       | 6.4e-6, 2.7e-6 | 4.8e-7, 3.3e-7 | 8.2e-7, 3.6e-7 |
/// | 256      | 1.5e-5, 4.5e-6 | 6.5e-7, 4.0e-7 | 1.9e-6, 6.5e-7 |
/// | 512      | 1.7e-5, 4.6e-6 | 9.2e-7, 4.0e-7 | 3.6e-6, 5.5e-7 |
#[test]
fn errors_stay_within_their_bounds() {
    for (side, exact, bounds) in [
        (14, false, [[1e-5, 4e-6], [2e-5, 7e-6], [2.5e-5, 7e-6]]),
        (10, false, [[8e-7, 6e-7], [1e-6, 7e-7], [1.4e-6, 7e-7]]),
        (14, true, [[1.2e-6, 6e-7], [3e-6, 1e-6], [5e-6, 1e-6]]),
    ] {
        for (channels, [bound, weight_bound]) in [64, 256, 512].into_iter().zip(bounds) {
            let [y, gx, gw] = errors(side, channels, exact);
            let what = format!("{channels} channels of side {side}, exact {exact}: {y:e}, {gx:e}, {gw:e}");
            assert!(y < bound && gx < bound && gw < weight_bound, "{what}");
        }
    }
}

fn shape(images: usize, side: usize, channels: usize, outputs: usize) -> Shape {
    let options = ConvOptions { padding: Padding::Symmetric([1, 1]), ..Default::default() };
    Shape { images, channels, outputs, groups: 1, geometry: Geometry::new([side, side], [3, 3], &options) }
}

#[test]
fn two_by_two_is_exact_on_small_whole_numbers() {
    // Halves and quarters of them are exact too, and so are all sums: nothing is left to round.
    let shape = shape(2, 9, 32, 16);
    assert_eq!(tile(&shape), Some(Tile::Two));
    let whole = |count, seed| -> Vec<f32> { normal(count, seed).iter().map(|value| (value * 3.0).round()).collect() };
    let (x, weight) = (whole(shape.input_len(), 1), whole(shape.weight_len(), 2));
    let gradient = whole(shape.output_len(), 3);
    let run = |exact: bool| {
        let mut y = vec![f32::NAN; shape.output_len()];
        forward(&shape, &x, &Prepared::new(&shape, &weight, exact), &mut y, &Epilogue::NONE);
        let gx = backward_input(&shape, &gradient, &weight, exact);
        (y, gx, backward_weight(&shape, &x, &gradient, exact))
    };
    assert_eq!(run(false), run(true));
}

#[test]
fn a_batch_of_more_tiles_than_are_transformed_at_once_has_its_gradient() {
    let shape = shape(8, 24, 48, 48);
    let per_tile = 36 * (shape.channels + shape.outputs);
    let tiles = shape.images * 36;
    assert!(tiles > 2 * BLOCK_TILES && CHUNK_NUMBERS / (per_tile * BLOCK_TILES) <= 2, "all at once");
    let (x, gradient) = (normal(shape.input_len(), 1), normal(shape.output_len(), 2));
    let gw = super::backward_weight(Tile::Four, &shape, &x, &gradient);
    let found = distance(&gw, |at| gradient_to_weight(&shape, &x, &gradient, at));
    assert!(found.of_most_terms < 1e-6, "{found:?}");
}

#[test]
fn tiles_are_for_whole_vectors_of_channels_and_for_images_that_they_fit() {
    for (side, expected) in [(3, None), (4, Some(Tile::Two)), (11, Some(Tile::Two)), (12, Some(Tile::Four))] {
        assert_eq!(tile(&shape(1, side, 16, 32)), expected, "side {side}");
        assert_eq!(tile(&shape(7, side, 16, 32)), expected, "the number of images does not count");
        assert_eq!((tile(&shape(1, side, 24, 32)), tile(&shape(1, side, 16, 40))), (None, None));
    }
}
