//! Convolution's patches as rows (`im2col`), and their sum back into the picture.

use crate::convolution::Geometry;

/// `[N, H, W, C]` to `[N H' W', taps C]`: row = output pixel, column = (tap row, tap column, channel).
pub(crate) fn gather(x: &[f32], images: usize, channels: usize, g: &Geometry) -> Vec<f32> {
    let mut out = Vec::with_capacity(images * g.output[0] * g.output[1] * g.kernel[0] * g.kernel[1] * channels);
    visit(images, g, |image, row, column| match (row, column) {
        (Some(row), Some(column)) => {
            let at = ((image * g.input[0] + row) * g.input[1] + column) * channels;
            out.extend_from_slice(&x[at..at + channels]);
        }
        _ => out.resize(out.len() + channels, 0.0),
    });
    out
}

/// The transpose of [`gather`]: every patch value is added to the pixel it was copied from.
pub(crate) fn scatter(patches: &[f32], images: usize, channels: usize, g: &Geometry) -> Vec<f32> {
    let mut x = vec![0.0; images * g.input[0] * g.input[1] * channels];
    let mut rows = patches.chunks_exact(channels);
    visit(images, g, |image, row, column| {
        let patch = rows.next().expect("one patch row for each tap");
        if let (Some(row), Some(column)) = (row, column) {
            let at = ((image * g.input[0] + row) * g.input[1] + column) * channels;
            for (sum, value) in x[at..at + channels].iter_mut().zip(patch) {
                *sum += value;
            }
        }
    });
    x
}

/// Calls with (image, input row, input column) for every output pixel and tap, in the order of the patch rows.
#[inline(always)]
fn visit(images: usize, g: &Geometry, mut each: impl FnMut(usize, Option<usize>, Option<usize>)) {
    for image in 0..images {
        for i in 0..g.output[0] {
            for j in 0..g.output[1] {
                for u in 0..g.kernel[0] {
                    let row = g.source(0, i, u);
                    for v in 0..g.kernel[1] {
                        each(image, row, g.source(1, j, v));
                    }
                }
            }
        }
    }
}
