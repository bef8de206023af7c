use proptest::prelude::*;

use super::*;
use crate::reference::cases;

fn geometry(size: usize, kernel: usize, stride: usize, padding: Padding) -> Geometry {
    PoolOptions { kernel: [kernel; 2], stride: [stride; 2], padding }.geometry([size; 2])
}

#[test]
fn same_padding_puts_the_extra_column_at_the_end() {
    for (size, kernel, stride, output, before) in
        [(224, 3, 2, 112, 0), (225, 3, 2, 113, 1), (7, 4, 1, 7, 1), (5, 1, 3, 2, 0), (1, 7, 1, 1, 3)]
    {
        let g = geometry(size, kernel, stride, Padding::Same);
        assert_eq!((g.output, g.before), ([output; 2], [before; 2]), "{kernel} over {size} by {stride}");
    }
}

/// Sizes that PyTorch gives, with `ceil_mode` where the padding is [`Padding::Ceil`].
#[test]
fn sizes_are_pytorchs() {
    for (size, kernel, stride, padding, output) in [
        (112, 3, 2, Padding::Symmetric([1, 1]), 56),
        (112, 3, 2, Padding::Ceil([1, 1]), 57),
        (112, 3, 2, Padding::Ceil([0, 0]), 56),
        (7, 2, 2, Padding::Symmetric([0, 0]), 3),
        (7, 2, 2, Padding::Ceil([0, 0]), 4),
        (4, 2, 4, Padding::Ceil([1, 1]), 2),
        // A last window that would begin beyond the image is left out.
        (3, 1, 3, Padding::Ceil([0, 0]), 1),
        (5, 2, 3, Padding::Explicit { before: [0, 0], after: [1, 1] }, 2),
    ] {
        assert_eq!(geometry(size, kernel, stride, padding).output, [output; 2], "{kernel} over {size}, {padding:?}");
    }
}

#[test]
fn rows_and_columns_are_not_mixed_up() {
    let padding = Padding::Explicit { before: [1, 0], after: [2, 5] };
    let options = ConvOptions { stride: [2, 3], padding, dilation: [3, 1], ..Default::default() };
    let g = Geometry::new([10, 20], [2, 4], &options);
    assert_eq!((g.output, g.before), ([5, 8], [1, 0]));
    assert_eq!((g.source(0, 0, 0), g.source(0, 0, 1), g.source(1, 2, 3)), (None, Some(2), Some(9)));
    assert_eq!((g.source(0, 4, 1), g.source(1, 7, 3)), (None, None));
}

#[test]
#[should_panic(expected = "a kernel reaching 5 does not fit into 4 pixels")]
fn a_image_smaller_than_the_kernel_is_refused() {
    geometry(2, 5, 1, Padding::Symmetric([1, 1]));
}

#[test]
#[should_panic(expected = "stride is at least 1")]
fn a_stride_of_zero_is_refused() {
    geometry(4, 2, 0, Padding::Same);
}

#[test]
fn only_a_window_of_one_pixel_that_skips_none_is_pointwise() {
    assert!(geometry(5, 1, 1, Padding::Same).is_pointwise());
    assert!(!geometry(5, 1, 2, Padding::Same).is_pointwise());
    assert!(!geometry(5, 3, 1, Padding::Same).is_pointwise());
    for (before, after) in [([1, 0], [0, 0]), ([0, 0], [0, 1])] {
        assert!(!geometry(5, 1, 1, Padding::Explicit { before, after }).is_pointwise());
    }
}

proptest! {
    #![proptest_config(cases(300))]

    #[test]
    fn target_turns_source_around(
        [size, kernel, stride, dilation] in [1usize..12, 1usize..6, 1usize..5, 1usize..4],
        [before, after] in [0usize..6, 0usize..6],
    ) {
        let after = after + ((kernel - 1) * dilation + 1).saturating_sub(size + before + after);
        let padding = Padding::Explicit { before: [before; 2], after: [after; 2] };
        let options = ConvOptions { stride: [stride; 2], padding, dilation: [dilation; 2], ..Default::default() };
        let g = Geometry::new([size; 2], [kernel; 2], &options);
        for tap in 0..kernel {
            for input in 0..size {
                let seen: Vec<usize> =
                    (0..g.output[0]).filter(|&at| g.source(0, at, tap) == Some(input)).collect();
                prop_assert!(seen.len() <= 1);
                prop_assert_eq!(g.target(0, input, tap), seen.first().copied());
            }
        }
        // The windows fit, and one more would not.
        let reach = (kernel - 1) * dilation + 1;
        prop_assert!((g.output[0] - 1) * stride + reach <= size + before + after);
        prop_assert!(g.output[0] * stride + reach > size + before + after);
    }

    #[test]
    fn taps_of_a_pixel_are_those_that_see_the_image(
        input in [1usize..7, 1usize..7],
        kernel in [1usize..4, 1usize..4],
        stride in [1usize..4, 1usize..4],
        channels in 1usize..4,
    ) {
        let g = PoolOptions { kernel, stride, padding: Padding::Same }.geometry(input);
        let mut pixel = 0;
        for (image, i) in (0..2).flat_map(|image| (0..g.output[0]).map(move |i| (image, i))) {
            for j in 0..g.output[1] {
                let mut expected = Vec::new();
                for (u, v) in (0..kernel[0]).flat_map(|u| (0..kernel[1]).map(move |v| (u, v))) {
                    if let (Some(row), Some(column)) = (g.source(0, i, u), g.source(1, j, v)) {
                        let at = (image * input[0] + row) * input[1] + column;
                        expected.push((u * kernel[1] + v, at * channels));
                    }
                }
                prop_assert_eq!(g.window(pixel, false), expected.len().max(1));
                prop_assert_eq!(g.window(pixel, true), kernel[0] * kernel[1]);
                let mut seen = Vec::new();
                g.each_tap(pixel, channels, |tap, at| seen.push((tap, at)));
                prop_assert_eq!(seen, expected);
                pixel += 1;
            }
        }
    }
}
