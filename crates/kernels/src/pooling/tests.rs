use proptest::prelude::*;

use super::*;
use crate::geometry::{Padding, PoolOptions};
use crate::reference::{Sum, assert_same_on_any_threads, bits, cases, distance, normal, values};

const POOLS: [Pool; 3] = [Pool::Max, Pool::Average(false), Pool::Average(true)];

/// Images, channels and where the windows lie.
#[derive(Debug, Clone, Copy)]
struct Case {
    images: usize,
    channels: usize,
    g: Geometry,
}

impl Case {
    fn input_len(&self) -> usize {
        self.images * self.g.input[0] * self.g.input[1] * self.channels
    }

    fn output_len(&self) -> usize {
        self.images * self.g.output[0] * self.g.output[1] * self.channels
    }

    /// What an output sees, in row-major order: indices into the input.
    fn seen(&self, at: usize) -> Vec<usize> {
        let Self { channels, g, .. } = *self;
        let (pixel, channel) = (at / channels, at % channels);
        let (image, i, j) = (pixel / g.output[1] / g.output[0], pixel / g.output[1] % g.output[0], pixel % g.output[1]);
        let mut seen = Vec::new();
        for (u, v) in (0..g.kernel[0]).flat_map(|u| (0..g.kernel[1]).map(move |v| (u, v))) {
            let row = (i * g.stride[0] + u) as isize - g.before[0] as isize;
            let column = (j * g.stride[1] + v) as isize - g.before[1] as isize;
            if (0..g.input[0] as isize).contains(&row) && (0..g.input[1] as isize).contains(&column) {
                let pixel = (image * g.input[0] + row as usize) * g.input[1] + column as usize;
                seen.push(pixel * channels + channel);
            }
        }
        seen
    }

    fn forward(&self, pool: Pool, x: &[f32]) -> Vec<f32> {
        let mut y = vec![f32::NAN; self.output_len()];
        forward(pool, x, self.channels, &self.g, &mut y);
        y
    }

    fn backward(&self, pool: Pool, x: &[f32], gradient: &[f32]) -> Vec<f32> {
        let mut gx = vec![0.0; x.len()];
        backward(pool, x, &self.forward(pool, x), gradient, self.channels, &self.g, &mut gx);
        gx
    }

    /// How much of the gradient of an output each input that it sees gets.
    fn shares(&self, pool: Pool, x: &[f32], at: usize) -> Vec<(usize, f64)> {
        let seen = self.seen(at);
        match pool {
            Pool::Max => {
                // The first of the largest, or the first that is not a number.
                let most = seen.iter().map(|&at| x[at]).fold(f32::NEG_INFINITY, f32::max);
                let not_a_number = seen.iter().find(|&&at| x[at].is_nan());
                not_a_number.or(seen.iter().find(|&&at| x[at] == most)).map(|&at| (at, 1.0)).into_iter().collect()
            }
            Pool::Average(count_padding) => {
                let over = if count_padding { self.g.kernel[0] * self.g.kernel[1] } else { seen.len() };
                seen.iter().map(|&at| (at, 1.0 / over as f64)).collect()
            }
        }
    }

    fn check(&self, pool: Pool, x: &[f32], close: f64) {
        let y = self.forward(pool, x);
        let found = distance(&y, |at| {
            let shares = self.shares(pool, x, at);
            shares.iter().fold(Sum::default(), |sum, &(from, share)| sum.and(share * f64::from(x[from])))
        });
        assert!(found.of_terms <= close, "{pool:?} of {self:?}: {found:?}");

        let gradient = values(self.output_len(), 2);
        let mut expected = vec![Sum::default(); x.len()];
        for (at, gradient) in gradient.iter().enumerate() {
            for (from, share) in self.shares(pool, x, at) {
                expected[from] = expected[from].and(share * f64::from(*gradient));
            }
        }
        let found = distance(&self.backward(pool, x, &gradient), |at| expected[at]);
        assert!(found.of_terms < 5e-7, "gradient of {pool:?} of {self:?}: {found:?}");
    }
}

/// Every kind of padding, none as large as its window.
fn case() -> impl Strategy<Value = Case> {
    let small = || 1usize..5;
    (1usize..4, [1usize..12, 1usize..12], 1usize..41, [small(), small()], [small(), small()], 0usize..5).prop_map(
        |(images, mut input, channels, kernel, stride, kind)| {
            let half = [kernel[0] / 2, kernel[1] / 2];
            let padding = match kind {
                0 => Padding::Symmetric([0, 0]),
                1 => Padding::Symmetric(half),
                2 => Padding::Same,
                3 => Padding::Ceil(half),
                _ => Padding::Explicit { before: [0, half[1]], after: [half[0], 0] },
            };
            for axis in 0..2 {
                input[axis] = input[axis].max(kernel[axis]);
            }
            let g = PoolOptions { kernel, stride, padding }.geometry(input);
            Case { images, channels, g }
        },
    )
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn agrees_with_the_definition(case in case()) {
        let x = values(case.input_len(), 1);
        for pool in POOLS {
            case.check(pool, &x, if pool == Pool::Max { 0.0 } else { 5e-7 });
        }
    }

    #[test]
    fn the_first_of_the_largest_gets_the_gradient(case in case(), levels in 1i32..4) {
        // So few different values that many of a window are the largest.
        let x: Vec<f32> = values(case.input_len(), 1).iter().map(|x| (x * levels as f32).round()).collect();
        case.check(Pool::Max, &x, 0.0);
    }
}

#[test]
fn padding_is_never_the_largest() {
    let g = PoolOptions { kernel: [3, 3], stride: [2, 2], padding: Padding::Ceil([1, 1]) }.geometry([4, 4]);
    let case = Case { images: 1, channels: 3, g };
    assert!(case.forward(Pool::Max, &[-5.0; 48]).iter().all(|&y| y == -5.0));
    // Not even where there is nothing else than what is smaller than all.
    assert!(case.forward(Pool::Max, &[f32::NEG_INFINITY; 48]).iter().all(|&y| y == f32::NEG_INFINITY));
}

#[test]
fn padding_that_counts_makes_a_mean_smaller() {
    let g = PoolOptions { kernel: [2, 2], stride: [2, 2], padding: Padding::Symmetric([1, 1]) }.geometry([2, 2]);
    let case = Case { images: 1, channels: 1, g };
    let x = [4.0, 8.0, 12.0, 16.0];
    assert_eq!(case.forward(Pool::Average(true), &x), [1.0, 2.0, 3.0, 4.0]);
    assert_eq!(case.forward(Pool::Average(false), &x), x);
}

#[test]
fn nan_reaches_the_windows_that_see_it_and_no_other() {
    let g = PoolOptions { kernel: [3, 2], stride: [1, 1], padding: Padding::Symmetric([1, 0]) }.geometry([6, 7]);
    let case = Case { images: 2, channels: 19, g };
    let mut x = normal(case.input_len(), 1);
    for at in [5, 19 * 20 + 7, 19 * 21 + 7, 19 * 60] {
        x[at] = f32::NAN;
    }
    for pool in POOLS {
        for (at, y) in case.forward(pool, &x).into_iter().enumerate() {
            assert_eq!(y.is_nan(), case.seen(at).iter().any(|&at| x[at].is_nan()), "{pool:?} at {at}");
        }
    }
    // And gets the gradient.
    let gradient = vec![1.0; case.output_len()];
    let gx = case.backward(Pool::Max, &x, &gradient);
    let given: f32 = gx.iter().sum();
    assert_eq!(given, gradient.len() as f32, "all gradients go somewhere");
    assert!(gx[5] >= 1.0 && gx[19 * 60] >= 1.0);
}

#[test]
fn the_global_average_agrees_with_the_definition() {
    for (images, pixels, channels) in [(1, 1, 1), (3, 49, 37), (2, 196, 16), (2, 3000, 5)] {
        let x = normal(images * pixels * channels, 1);
        let mut y = vec![f32::NAN; images * channels];
        global_average(&x, pixels, channels, &mut y);
        let found = distance(&y, |at| {
            let (image, channel) = (at / channels, at % channels);
            let of = |pixel: usize| f64::from(x[(image * pixels + pixel) * channels + channel]) / pixels as f64;
            (0..pixels).fold(Sum::default(), |sum, pixel| sum.and(of(pixel)))
        });
        assert!(found.of_terms < 3e-6, "{images} x {pixels} x {channels}: {found:?}");
        let gradient = normal(y.len(), 2);
        let mut gx = vec![f32::NAN; x.len()];
        global_average_backward(&gradient, pixels, channels, &mut gx);
        let found = distance(&gx, |at| {
            let (image, channel) = (at / channels / pixels, at % channels);
            Sum::default().and(f64::from(gradient[image * channels + channel]) / pixels as f64)
        });
        assert!(found.of_terms < 2e-7, "gradient: {found:?}");
    }
}

#[test]
#[should_panic(expected = "left == right")]
fn a_global_average_into_another_shape_is_refused() {
    global_average(&[0.0; 12], 4, 3, &mut [0.0; 6]);
}

#[test]
fn neither_threads_nor_images_change_the_bits() {
    let g = PoolOptions { kernel: [3, 3], stride: [2, 1], padding: Padding::Ceil([1, 1]) }.geometry([40, 33]);
    let case = Case { images: 5, channels: 21, g };
    let (x, gradient) = (normal(case.input_len(), 1), normal(case.output_len(), 2));
    let average = |x: &[f32], images: usize| {
        let mut y = vec![f32::NAN; images * 21];
        global_average(x, 40 * 33, 21, &mut y);
        y
    };
    assert_same_on_any_threads("the global average", || average(&x, 5));
    let each: Vec<f32> = x.chunks(40 * 33 * 21).flat_map(|x| average(x, 1)).collect();
    assert!(bits(&each) == bits(&average(&x, 5)));
    for pool in POOLS {
        assert_same_on_any_threads("a pool", || case.forward(pool, &x));
        assert_same_on_any_threads("a pool's gradient", || case.backward(pool, &x, &gradient));
        for images in [1, 2] {
            let (of_x, of_y) = (x.len() / 5 * images, gradient.len() / 5 * images);
            let (mut y, mut gx) = (Vec::new(), Vec::new());
            for (x, gradient) in x.chunks(of_x).zip(gradient.chunks(of_y)) {
                let part = Case { images: x.len() * 5 / case.input_len(), ..case };
                y.extend(part.forward(pool, x));
                gx.extend(part.backward(pool, x, gradient));
            }
            assert!(bits(&y) == bits(&case.forward(pool, &x)), "{pool:?}");
            assert!(bits(&gx) == bits(&case.backward(pool, &x, &gradient)), "{pool:?}");
        }
    }
}
