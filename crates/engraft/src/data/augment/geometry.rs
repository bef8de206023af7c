//! Mirroring, and affine changes as torchvision defines them (`affine` and `rotate` of
//! `torchvision.transforms.v2.functional`, bilinear, black outside).

/// Height, width and channels of an image.
pub type Shape = (usize, usize, usize);

/// Mirrors left to right.
pub(super) fn mirror(image: &mut [u8], (_, w, c): Shape) {
    if c == 0 || w == 0 {
        return;
    }
    for row in image.chunks_exact_mut(w * c) {
        for x in 0..w / 2 {
            let (left, right) = row.split_at_mut((w - 1 - x) * c);
            left[x * c..(x + 1) * c].swap_with_slice(&mut right[..c]);
        }
    }
}

/// Where a pixel comes from: `[a, b, c, d, e, f]` takes `(x, y)`, counted from the image's centre, to
/// `(a x + b y + c, d x + e y + f)`.
pub(super) type Matrix = [f32; 6];

/// Slanted along the rows by `slope` columns a row; the upper left corner stays.
pub(super) fn shear_x(slope: f32, (h, _, _): Shape) -> Matrix {
    [1.0, slope, slope * h as f32 / 2.0, 0.0, 1.0, 0.0]
}

/// Slanted along the columns by `slope` rows a column; the upper left corner stays.
pub(super) fn shear_y(slope: f32, (_, w, _): Shape) -> Matrix {
    [1.0, 0.0, 0.0, slope, 1.0, slope * w as f32 / 2.0]
}

/// Moved to the right and down by whole pixels.
pub(super) fn translation(right: f32, down: f32) -> Matrix {
    [1.0, 0.0, -right.trunc(), 0.0, 1.0, -down.trunc()]
}

/// Turned about the centre, counter-clockwise.
pub(super) fn rotation(degrees: f32) -> Matrix {
    let (sin, cos) = degrees.to_radians().sin_cos();
    [cos, -sin, 0.0, sin, cos, 0.0]
}

/// The image through a matrix: bilinear, with black around it.
pub(super) fn warp(image: &[u8], (h, w, c): Shape, [a, b, across, d, e, down]: Matrix) -> Vec<u8> {
    let (centre_x, centre_y) = ((w as f32 - 1.0) / 2.0, (h as f32 - 1.0) / 2.0);
    let mut out = Vec::with_capacity(image.len());
    for row in 0..h {
        for column in 0..w {
            let (x, y) = (column as f32 - centre_x, row as f32 - centre_y);
            let (from_x, from_y) = (a * x + b * y + across + centre_x, d * x + e * y + down + centre_y);
            let (left, top) = (from_x.floor(), from_y.floor());
            let (right_part, bottom_part) = (from_x - left, from_y - top);
            let corners = [
                (top, left, (1.0 - bottom_part) * (1.0 - right_part)),
                (top, left + 1.0, (1.0 - bottom_part) * right_part),
                (top + 1.0, left, bottom_part * (1.0 - right_part)),
                (top + 1.0, left + 1.0, bottom_part * right_part),
            ];
            let inside = |y: f32, x: f32| y >= 0.0 && x >= 0.0 && y < h as f32 && x < w as f32;
            for channel in 0..c {
                let value: f32 = corners
                    .iter()
                    .filter(|&&(y, x, _)| inside(y, x))
                    .map(|&(y, x, part)| part * f32::from(image[(y as usize * w + x as usize) * c + channel]))
                    .sum();
                out.push(value.round_ties_even() as u8);
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirroring_is_its_own_inverse() {
        for (h, w, c) in [(3, 5, 3), (2, 4, 1), (1, 1, 4), (0, 0, 3)] {
            let image: Vec<u8> = (0..h * w * c).map(|index| index as u8).collect();
            let mut twice = image.clone();
            mirror(&mut twice, (h, w, c));
            if w > 1 {
                assert_eq!(twice[..c], image[(w - 1) * c..w * c]);
            }
            mirror(&mut twice, (h, w, c));
            assert_eq!(twice, image);
        }
    }

    #[test]
    fn nothing_moved_nothing_changed_and_far_away_is_black() {
        let shape = (4, 6, 2);
        let image: Vec<u8> = (0..48).map(|index| 100 + index as u8).collect();
        assert_eq!(warp(&image, shape, rotation(0.0)), image);
        assert_eq!(warp(&image, shape, translation(0.9, -0.9)), image, "whole pixels only");
        assert_eq!(warp(&image, shape, translation(6.0, 0.0)), vec![0; 48]);
        let right = warp(&image, shape, translation(1.0, 0.0));
        assert_eq!((&right[..2], &right[2..12]), (&[0, 0][..], &image[..10]));
    }
}
