//! RandAugment (Cubuk et al. 2020): N operations of one magnitude, drawn from a list. The list and the magnitudes are
//! torchvision's (`torchvision.transforms.v2.RandAugment`), bilinear, black outside.

use rand::{Rng, RngExt};

use super::geometry::Shape;
use super::{colour, geometry};

/// Magnitudes go from 0 to this.
pub(crate) const LEVELS: u8 = 30;

/// N operations of magnitude M.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RandAugment {
    /// How many operations, one after the other.
    pub(crate) operations: u8,
    /// How strong, 0 to [`LEVELS`].
    pub(crate) magnitude: u8,
}

impl Default for RandAugment {
    /// Two operations of magnitude 9.
    fn default() -> Self {
        Self { operations: 2, magnitude: 9 }
    }
}

impl RandAugment {
    /// Changes an image of this shape. Two numbers are drawn for each operation, whichever it is.
    pub(crate) fn apply(&self, mut image: Vec<u8>, shape: Shape, rng: &mut impl Rng) -> Vec<u8> {
        for _ in 0..self.operations {
            let operation = Operation::ALL[rng.random_range(0..Operation::ALL.len())];
            let other_way = rng.random::<f64>() < 0.5;
            let magnitude = operation.magnitude(self.magnitude, shape);
            let signed = if operation.is_signed() && other_way { -magnitude } else { magnitude };
            image = operation.apply(signed, image, shape);
        }
        image
    }
}

/// One of the operations.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Operation {
    /// Nothing.
    Identity,
    /// Slanted along the rows; columns a row.
    ShearX,
    /// Slanted along the columns; rows a column.
    ShearY,
    /// Moved to the right; whole pixels.
    TranslateX,
    /// Moved down; whole pixels.
    TranslateY,
    /// Turned counter-clockwise; degrees.
    Rotate,
    /// Brighter by this share.
    Brightness,
    /// More colourful by this share; nothing on an image without colours.
    Colour,
    /// More contrast by this share.
    Contrast,
    /// Sharper by this share.
    Sharpness,
    /// This many bits of each colour kept.
    Posterise,
    /// Colours above this share of the largest inverted.
    Solarise,
    /// Every channel stretched over all values.
    AutoContrast,
    /// Every channel's histogram made even.
    Equalise,
}

impl Operation {
    /// Every operation, in torchvision's order.
    pub const ALL: [Operation; 14] = [
        Operation::Identity,
        Operation::ShearX,
        Operation::ShearY,
        Operation::TranslateX,
        Operation::TranslateY,
        Operation::Rotate,
        Operation::Brightness,
        Operation::Colour,
        Operation::Contrast,
        Operation::Sharpness,
        Operation::Posterise,
        Operation::Solarise,
        Operation::AutoContrast,
        Operation::Equalise,
    ];

    /// Whether it goes both ways: half of the time the magnitude is taken negative.
    pub(crate) fn is_signed(self) -> bool {
        use Operation::*;
        !matches!(self, Identity | Posterise | Solarise | AutoContrast | Equalise)
    }

    /// What a magnitude of 0 to [`LEVELS`] means, in the operation's own unit; 0 where it has none.
    pub(crate) fn magnitude(self, level: u8, (h, w, _): Shape) -> f32 {
        let share = f32::from(level.min(LEVELS)) / f32::from(LEVELS);
        match self {
            Operation::Identity | Operation::AutoContrast | Operation::Equalise => 0.0,
            Operation::ShearX | Operation::ShearY => 0.3 * share,
            Operation::TranslateX => 150.0 / 331.0 * w as f32 * share,
            Operation::TranslateY => 150.0 / 331.0 * h as f32 * share,
            Operation::Rotate => 30.0 * share,
            Operation::Brightness | Operation::Colour | Operation::Contrast | Operation::Sharpness => 0.9 * share,
            Operation::Posterise => (8.0 - 4.0 * share).round_ties_even(),
            Operation::Solarise => 1.0 - share,
        }
    }

    /// Does it, with a magnitude in the operation's own unit.
    ///
    /// # Panics
    /// When `image` does not have the shape.
    pub(crate) fn apply(self, magnitude: f32, mut image: Vec<u8>, shape: Shape) -> Vec<u8> {
        let (h, w, c) = shape;
        assert_eq!(image.len(), h * w * c, "bytes of shape [height, width, channels]");
        if image.is_empty() {
            return image;
        }
        let warp = |matrix| geometry::warp(&image, shape, matrix);
        match self {
            Operation::Identity => {}
            Operation::ShearX => return warp(geometry::shear_x(magnitude, shape)),
            Operation::ShearY => return warp(geometry::shear_y(magnitude, shape)),
            Operation::TranslateX => return warp(geometry::translation(magnitude, 0.0)),
            Operation::TranslateY => return warp(geometry::translation(0.0, magnitude)),
            Operation::Rotate => return warp(geometry::rotation(magnitude)),
            Operation::Brightness => colour::brightness(&mut image, c, 1.0 + magnitude),
            Operation::Colour => colour::saturation(&mut image, c, 1.0 + magnitude),
            Operation::Contrast => colour::contrast(&mut image, c, 1.0 + magnitude),
            Operation::Sharpness => colour::sharpness(&mut image, shape, 1.0 + magnitude),
            Operation::Posterise => colour::posterise(&mut image, c, magnitude as u32),
            Operation::Solarise => colour::solarise(&mut image, c, 255.0 * magnitude),
            Operation::AutoContrast => colour::auto_contrast(&mut image, c),
            Operation::Equalise => colour::equalise(&mut image, c),
        }
        image
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::rng;
    use proptest::prelude::*;

    #[test]
    fn grey_images_draw_the_same_numbers() {
        let all = RandAugment { operations: 9, magnitude: 12 };
        let mut streams = [rng(3, "augment", 0), rng(3, "augment", 0), rng(3, "augment", 0)];
        for (stream, c) in streams.iter_mut().zip([1, 3, 4]) {
            let image: Vec<u8> = (0..12 * 10 * c).map(|index| (index * 31 % 256) as u8).collect();
            assert_ne!(all.apply(image.clone(), (12, 10, c), stream), image);
        }
        let next = streams.map(|mut stream| stream.random::<u64>());
        assert_eq!(next, [next[0]; 3]);
    }

    proptest! {
        #[test]
        fn any_operation_keeps_the_shape(
            h in 0..9_usize, w in 0..9_usize, c in 1..6_usize, level in 0..=LEVELS, negative: bool, seed: u64,
        ) {
            let mut stream = rng(seed, "picture", 0);
            let image: Vec<u8> = (0..h * w * c).map(|_| stream.random()).collect();
            for operation in Operation::ALL {
                let magnitude = operation.magnitude(level, (h, w, c));
                let magnitude = if negative && operation.is_signed() { -magnitude } else { magnitude };
                let out = operation.apply(magnitude, image.clone(), (h, w, c));
                prop_assert_eq!(out.len(), image.len());
            }
        }
    }
}
