//! Random resized crops (Szegedy et al. 2015, section 6, as torchvision's `RandomResizedCrop` draws them).

use rand::{Rng, RngExt};

use crate::data::image::Pixels;
use crate::data::preprocess::{Interpolation, Preprocessing, Resize};
use crate::error::{Error, Problem, Result};

/// Width over height of a crop, least and most.
pub(crate) const RATIO: (f64, f64) = (3.0 / 4.0, 4.0 / 3.0);

/// How often a shape is drawn before the centre is taken.
const TRIES: usize = 10;

/// A part of an image, in pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Crop {
    /// The first row.
    pub(crate) top: usize,
    /// The first column.
    pub(crate) left: usize,
    /// Rows.
    pub(crate) height: usize,
    /// Columns.
    pub(crate) width: usize,
}

impl Crop {
    /// A part of an image of `height` rows and `width` columns whose share of the area is uniform in `area` and whose
    /// ratio of width to height is log-uniform in [`RATIO`]. Where ten draws do not fit into the image, the largest
    /// part in the centre with such a ratio.
    ///
    /// 22 numbers are drawn, whatever fits.
    pub fn random((height, width): (usize, usize), area: (f64, f64), rng: &mut impl Rng) -> Self {
        let (least, most) = (RATIO.0.ln(), RATIO.1.ln());
        let mut drawn = None;
        for _ in 0..TRIES {
            let share: f64 = area.0 + (area.1 - area.0) * rng.random::<f64>();
            let ratio = (least + (most - least) * rng.random::<f64>()).exp();
            let target = share * (height * width) as f64;
            let (columns, rows) = ((target * ratio).sqrt().round() as usize, (target / ratio).sqrt().round() as usize);
            let fits = (1..=width).contains(&columns) && (1..=height).contains(&rows);
            drawn = drawn.or(fits.then_some((rows, columns)));
        }
        let places: [f64; 2] = [rng.random(), rng.random()];
        let Some((rows, columns)) = drawn else { return Self::centre(height, width) };
        let place = |place: f64, free: usize| ((place * (free + 1) as f64) as usize).min(free);
        Self {
            top: place(places[0], height - rows),
            left: place(places[1], width - columns),
            height: rows,
            width: columns,
        }
    }

    /// The largest part in the centre whose ratio is within [`RATIO`].
    fn centre(height: usize, width: usize) -> Self {
        let ratio = width as f64 / height.max(1) as f64;
        let (rows, columns) = if ratio < RATIO.0 {
            (((width as f64 / RATIO.0).round() as usize).min(height), width)
        } else if ratio > RATIO.1 {
            (height, ((height as f64 * RATIO.1).round() as usize).min(width))
        } else {
            (height, width)
        };
        Self { top: (height - rows) / 2, left: (width - columns) / 2, height: rows, width: columns }
    }

    /// The part as an image of its own.
    ///
    /// # Errors
    /// [`Error::Data`] where the image does not hold the part, or not the bytes that its size promises.
    pub(crate) fn of(&self, pixels: &Pixels) -> Result<Pixels> {
        let Pixels { width, height, channels, ref data } = *pixels;
        let inside = self.left + self.width <= width && self.top + self.height <= height;
        if !inside || data.len() != width * height * channels {
            let found = format!("{width} x {height} pixels of {channels} channels in {} bytes", data.len());
            return Err(Error::Data(
                Problem::new("a part cannot be cut out of an image").expected(format_args!("{self:?}")).found(found),
            ));
        }
        let rows = data.chunks_exact((width * channels).max(1)).skip(self.top).take(self.height);
        let cut = rows.flat_map(|row| &row[self.left * channels..(self.left + self.width) * channels]);
        Ok(Pixels { width: self.width, height: self.height, channels, data: cut.copied().collect() })
    }

    /// The part, resized to the input of `preprocessing` by its filter: bytes `[height, width, channels]`.
    ///
    /// Nothing beside the part is seen by the filter.
    pub(crate) fn prepared(&self, pixels: &Pixels, preprocessing: &Preprocessing) -> Result<Vec<u8>> {
        let whole = Preprocessing { resize: Resize::Stretch, ..preprocessing.clone() };
        Ok(whole.prepare(&self.of(pixels)?)?.data)
    }
}

/// A preprocessing that resizes bytes of a shape to the same shape, bilinear.
pub(super) fn same_shape((height, width, channels): super::geometry::Shape) -> Preprocessing {
    Preprocessing {
        height,
        width,
        channels,
        channel_order: Default::default(),
        resize: Resize::Stretch,
        interpolation: Interpolation::Bilinear,
        mean: vec![0.0; channels],
        std: vec![1.0; channels],
        bit_depth: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::rng;
    use proptest::prelude::*;

    #[test]
    fn shares_are_uniform_and_ratios_log_uniform() {
        let crops: Vec<Crop> =
            (0..4000).map(|step| Crop::random((1000, 1000), (0.3, 0.7), &mut rng(1, "augment", step))).collect();
        let n = crops.len() as f64;
        let mean = |of: &dyn Fn(&Crop) -> f64| crops.iter().map(of).sum::<f64>() / n;
        // Standard errors: 0.4 / sqrt(12 n) = 0.0018, ln(16/9) / sqrt(12 n) = 0.0026.
        let share = mean(&|crop| (crop.height * crop.width) as f64 / 1e6);
        assert!((share - 0.5).abs() < 0.006, "{share}");
        let ratio = mean(&|crop| (crop.width as f64 / crop.height as f64).ln());
        assert!(ratio.abs() < 0.009, "{ratio}");
        let place = mean(&|crop| crop.left as f64 / (1000 - crop.width).max(1) as f64);
        assert!((place - 0.5).abs() < 0.015, "{place}");
    }

    #[test]
    fn what_cannot_fit_takes_the_centre() {
        let crop = |size| Crop::random(size, (0.9, 1.0), &mut rng(1, "augment", 0));
        assert_eq!(crop((10, 1000)), Crop { top: 0, left: 493, height: 10, width: 13 });
        assert_eq!(crop((1000, 30)), Crop { top: 480, left: 0, height: 40, width: 30 });
        assert_eq!(crop((1, 1)), Crop { top: 0, left: 0, height: 1, width: 1 });
    }

    #[test]
    fn a_part_outside_is_refused() {
        let pixels = Pixels { width: 4, height: 3, channels: 1, data: (0..12).collect() };
        let crop = Crop { top: 1, left: 2, height: 2, width: 2 };
        assert_eq!(crop.of(&pixels).unwrap().data, [6, 7, 10, 11]);
        assert!(Crop { width: 3, ..crop }.of(&pixels).is_err());
        assert!(crop.of(&Pixels { data: vec![0; 11], ..pixels }).is_err());
    }

    proptest! {
        #[test]
        fn a_crop_lies_in_its_image(height in 1..300_usize, width in 1..300_usize, least in 0.01..1.0_f64, seed: u64) {
            let (mut used, mut counted) = (rng(seed, "augment", 0), rng(seed, "augment", 0));
            let crop = Crop::random((height, width), (least, 1.0), &mut used);
            prop_assert!(crop.height >= 1 && crop.width >= 1);
            prop_assert!(crop.top + crop.height <= height && crop.left + crop.width <= width);
            for _ in 0..2 * TRIES + 2 {
                counted.random::<f64>();
            }
            prop_assert_eq!(used.random::<u64>(), counted.random::<u64>());
        }
    }
}
