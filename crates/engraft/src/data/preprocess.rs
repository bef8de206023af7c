//! What a base expects of its input: size, crop, channels, scale. It comes from the base's card and nowhere else.

use std::borrow::Cow;

use fast_image_resize::images::{Image, ImageRef};
use fast_image_resize::{FilterType, IntoImageView, MulDiv, PixelType, ResizeAlg, ResizeError, ResizeOptions, Resizer};
use serde::{Deserialize, Serialize};

use super::image::{DecodeError, Limits, Pixels, decode_and_tell, decode_rgba};
use crate::error::{Error, Problem, Result};
use crate::files::sha256_hex;

/// The largest height or width a base may ask for.
pub(crate) const LARGEST: usize = 4096;

/// The most channels of an image.
const CHANNELS: usize = 64;

/// The most pixels between the two passes of a resize, unless the other order would need more.
const IN_BETWEEN: usize = 1 << 25;

/// How an image becomes a network's input.
///
/// ```
/// use engraft::data::preprocess::{ChannelOrder, Interpolation, Preprocessing, Resize};
/// let imagenet = Preprocessing {
///     height: 224,
///     width: 224,
///     channels: 3,
///     channel_order: ChannelOrder::Rgb,
///     resize: Resize::ShortestSide(256),
///     interpolation: Interpolation::Bilinear,
///     mean: vec![0.485, 0.456, 0.406],
///     std: vec![0.229, 0.224, 0.225],
///     bit_depth: None,
/// };
/// assert!(imagenet.validate().is_ok());
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preprocessing {
    /// Rows of the input.
    pub height: usize,
    /// Columns of the input.
    pub width: usize,
    /// 1 (grey), 3 (colours) or 4 (colours and alpha). Files give no others; a program that has images of other
    /// numbers of channels may prepare them too.
    pub channels: usize,
    /// Which colour comes first; mean and std are in the same order.
    #[serde(default, skip_serializing_if = "ChannelOrder::is_rgb")]
    pub channel_order: ChannelOrder,
    /// How the image is fitted.
    pub resize: Resize,
    /// How pixels in between are computed.
    pub interpolation: Interpolation,
    /// Subtracted per channel, where a byte `b` counts as `b / 255`.
    pub mean: Vec<f64>,
    /// Divided by per channel, in the same unit.
    pub std: Vec<f64>,
    /// Bits that images of 16 bits a channel use: 8, 10, 12 or 14, whose largest value becomes white. All 16 where it is not
    /// told.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bit_depth: Option<u8>,
}

/// How an image of any shape is fitted into the input's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub enum Resize {
    /// Straight to height and width, whatever that does to the proportions.
    Stretch,
    /// The shorter side to this many pixels, proportions kept, then the centre is cut out (torchvision's `Resize` and
    /// `CenterCrop`). Not smaller than height or width.
    ShortestSide(usize),
}

/// How pixels in between are computed. All but the last widen with the reduction, as Pillow does (antialiasing).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Interpolation {
    /// Triangle filter.
    Bilinear,
    /// Cubic filter, a = -0.5.
    Bicubic,
    /// The nearest pixel.
    Nearest,
}

/// Which colour comes first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ChannelOrder {
    /// Red, green, blue.
    #[default]
    Rgb,
    /// Blue, green, red, as OpenCV reads and Caffe's networks want them.
    Bgr,
}

impl ChannelOrder {
    fn is_rgb(&self) -> bool {
        *self == ChannelOrder::Rgb
    }
}

/// An image in a network's size, not yet scaled: bytes of shape `[height, width, channels]`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Prepared {
    /// Rows.
    pub(crate) height: usize,
    /// Columns.
    pub(crate) width: usize,
    /// Channels.
    pub(crate) channels: usize,
    /// Shape `[height, width, channels]`.
    pub(crate) data: Vec<u8>,
}

impl Preprocessing {
    /// Rows, columns and channels of the input.
    pub fn shape(&self) -> [usize; 3] {
        [self.height, self.width, self.channels]
    }

    /// Whether the numbers make sense together.
    ///
    /// # Errors
    /// [`Error::Weights`], because these numbers come with a base.
    pub fn validate(&self) -> Result<()> {
        let refuse = |what: &str, expected: String, found: String| {
            Err(Error::Weights(Problem::new(what).expected(expected).found(found).at("preprocessing")))
        };
        for (what, side) in [("height", self.height), ("width", self.width)] {
            if !(1..=LARGEST).contains(&side) {
                return refuse(&format!("invalid {what}"), format!("1 to {LARGEST}"), side.to_string());
            }
        }
        if !(1..=CHANNELS).contains(&self.channels) {
            let expected = format!("1 to {CHANNELS}");
            return refuse("invalid number of channels", expected, self.channels.to_string());
        }
        let least = self.height.max(self.width);
        if let Resize::ShortestSide(side) = self.resize
            && !(least..=LARGEST).contains(&side)
        {
            let expected = format!("{least} (the larger of height and width) to {LARGEST}");
            return refuse("the shortest side does not fit the crop", expected, side.to_string());
        }
        for (what, values) in [("mean", &self.mean), ("std", &self.std)] {
            if values.len() != self.channels {
                let expected = format!("{} values, one per channel", self.channels);
                return refuse(&format!("the {what} does not fit the channels"), expected, values.len().to_string());
            }
            if let Some(value) = values.iter().find(|value| !value.is_finite()) {
                return refuse(&format!("the {what} is not a number"), "finite numbers".to_owned(), value.to_string());
            }
        }
        if let Some(value) = self.std.iter().find(|value| **value < 1e-6) {
            return refuse("the std is too small to divide by", "at least 0.000001".to_owned(), value.to_string());
        }
        Ok(())
    }

    /// How many times larger an image of `width` by `height` pixels becomes on its way to the input, along the side
    /// that grows most. Below 1 it shrinks. An image smaller than the input is enlarged by the same rule and filter by
    /// which others are reduced.
    pub(crate) fn enlargement(&self, width: usize, height: usize) -> f64 {
        let times = |wanted: usize, side: usize| wanted as f64 / side.max(1) as f64;
        match self.resize {
            Resize::Stretch => times(self.width, width).max(times(self.height, height)),
            Resize::ShortestSide(shortest) => times(shortest, width.min(height)),
        }
    }

    /// The same for an input of another size: the shorter side before the cut grows or shrinks with it.
    pub fn scale_to(&mut self, [height, width]: [usize; 2]) {
        let scale = height as f64 / self.height as f64;
        (self.height, self.width) = (height, width);
        if let Resize::ShortestSide(side) = &mut self.resize {
            *side = ((*side as f64 * scale).ceil() as usize).max(height.max(width));
        }
    }

    /// Decodes an image's file for this input: with alpha where the input has four channels, else over white.
    ///
    /// # Errors
    /// What the bytes lack.
    pub(crate) fn decode(&self, bytes: &[u8], limits: &Limits) -> std::result::Result<Pixels, DecodeError> {
        match self.channels {
            4 => decode_rgba(bytes, limits, self.bit_depth),
            _ => decode_and_tell(bytes, limits, self.bit_depth).map(|decoded| decoded.pixels),
        }
    }

    /// Fits an image: channels first, then the size. Bytes of shape `[height, width, channels]`.
    ///
    /// What lies outside the centre is not computed, so that an image of any proportions costs little memory; the
    /// filter still sees the pixels beside the cut, so that the result is that of resizing first and cutting after.
    ///
    /// # Errors
    /// [`Error::Data`] for an image without pixels, with the wrong number of bytes, or with channels that cannot become
    /// those of the input.
    pub(crate) fn prepare(&self, pixels: &Pixels) -> Result<Prepared> {
        let source = match (self.channels, pixels.channels) {
            (own, theirs) if own == theirs => Cow::Borrowed(pixels.data.as_slice()),
            (1, 3 | 4) => Cow::Owned(pixels.grey()),
            (3, 1 | 4) => Cow::Owned(pixels.rgb()),
            (4, 1 | 3) => Cow::Owned(pixels.rgba()),
            (own, theirs) => {
                return Err(Error::Data(
                    Problem::new("an image has channels that cannot become those of the base's input")
                        .expected(format_args!("{own} channels"))
                        .found(format_args!("{theirs} channels")),
                ));
            }
        };
        let refuse = |found: String| {
            let size = format!("{} x {}", pixels.width, pixels.height);
            Error::Data(Problem::new("an image cannot be resized").expected(size).found(found))
        };
        if pixels.width == 0 || pixels.height == 0 {
            return Err(refuse("no pixels".to_owned()));
        }
        let size = (pixels.width as u32, pixels.height as u32);
        let resized = match self.channels {
            1 => self.fit_bytes(&source, size, PixelType::U8),
            3 => self.fit_bytes(&source, size, PixelType::U8x3),
            4 => self.fit_rgba(source.into_owned(), size),
            _ => self.fit_planes(&source, size),
        };
        let data = resized.map_err(refuse)?;
        Ok(Prepared { height: self.height, width: self.width, channels: self.channels, data })
    }

    fn fit_bytes(&self, source: &[u8], (width, height): (u32, u32), kind: PixelType) -> Resized {
        let image = ImageRef::new(width, height, source, kind).map_err(text)?;
        Ok(self.fit(&image).map_err(text)?.into_vec())
    }

    /// Colours are weighed by their alpha, as Pillow does: what hides under transparency does not bleed out.
    fn fit_rgba(&self, source: Vec<u8>, (width, height): (u32, u32)) -> Resized {
        let opaque = source.iter().skip(3).step_by(4).all(|alpha| *alpha == u8::MAX);
        if opaque || self.interpolation == Interpolation::Nearest {
            return self.fit_bytes(&source, (width, height), PixelType::U8x4);
        }
        let mut image = Image::from_vec_u8(width, height, source, PixelType::U8x4).map_err(text)?;
        MulDiv::new().multiply_alpha_inplace(&mut image).map_err(text)?;
        let mut resized =
            self.fit(&ImageRef::new(width, height, image.buffer(), PixelType::U8x4).map_err(text)?).map_err(text)?;
        MulDiv::new().divide_alpha_inplace(&mut resized).map_err(text)?;
        Ok(resized.into_vec())
    }

    /// Channels of which nothing is known, each by itself.
    fn fit_planes(&self, source: &[u8], (width, height): (u32, u32)) -> Resized {
        let channels = self.channels;
        if source.len() != width as usize * height as usize * channels {
            return Err(format!("{} bytes", source.len()));
        }
        let mut out = vec![0; self.height * self.width * channels];
        for channel in 0..channels {
            let plane: Vec<u8> = source.iter().skip(channel).step_by(channels).copied().collect();
            let plane = self.fit_bytes(&plane, (width, height), PixelType::U8)?;
            for (out, value) in out.iter_mut().skip(channel).step_by(channels).zip(plane) {
                *out = value;
            }
        }
        Ok(out)
    }

    /// Resizes the wanted part in two passes, across and then down, as Pillow does: the bytes in between are rounded,
    /// so the order shows in the result.
    ///
    /// The passes are made by hand also because `fast_image_resize` 6.1 reads out of bounds when one call both crops
    /// and resizes along both axes with a cubic filter whose first centre falls on a pixel.
    fn fit(&self, image: &ImageRef) -> std::result::Result<Image<'static>, ResizeError> {
        let (columns, rows) = (image.width() as usize, image.height() as usize);
        let (left, across) = self.window(columns, rows, self.width);
        let (top, down) = self.window(rows, columns, self.height);
        let (filter, radius) = match self.interpolation {
            Interpolation::Bilinear => (FilterType::Bilinear, 1.0),
            Interpolation::Bicubic => (FilterType::CatmullRom, 2.0),
            Interpolation::Nearest => {
                let window = (left, top, across, down);
                return pass(image, (self.width, self.height), ResizeAlg::Nearest, window);
            }
        };
        let algorithm = ResizeAlg::Convolution(filter);
        let (first_row, row_count) = needed(top, down, self.height, radius, rows);
        let (first_column, column_count) = needed(left, across, self.width, radius, columns);
        // A very tall image takes the other order: the bytes may differ by a level, but they fit in memory.
        if row_count * self.width <= IN_BETWEEN || row_count * self.width <= column_count * self.height {
            let window = (left, first_row as f64, across, row_count as f64);
            let between = pass(image, (self.width, row_count), algorithm, window)?;
            let window = (0.0, top - first_row as f64, self.width as f64, down);
            pass(&between, (self.width, self.height), algorithm, window)
        } else {
            let window = (first_column as f64, top, column_count as f64, down);
            let between = pass(image, (column_count, self.height), algorithm, window)?;
            let window = (left - first_column as f64, 0.0, across, self.height as f64);
            pass(&between, (self.width, self.height), algorithm, window)
        }
    }

    /// Along one side of length `side` (the other is `other`): where the part of the source begins that becomes the
    /// `wanted` output pixels, and how long it is.
    fn window(&self, side: usize, other: usize, wanted: usize) -> (f64, f64) {
        match self.resize {
            Resize::Stretch => (0.0, side as f64),
            Resize::ShortestSide(shortest) => {
                // torchvision: the longer side becomes int(size * long / short).
                let resized = if side <= other { shortest } else { shortest.saturating_mul(side) / other };
                // torchvision: int(round(margin / 2.0)), and Python rounds a half to the even neighbour.
                let margin = resized.saturating_sub(wanted);
                let offset = margin / 2 + usize::from(margin % 4 == 3);
                let scale = side as f64 / resized as f64;
                let begin = offset as f64 * scale;
                (begin, (wanted as f64 * scale).min(side as f64 - begin))
            }
        }
    }

    /// Scales prepared bytes `[height, width, channels]`, red first, to a network's input in its own channel order:
    /// `(byte / 255 - mean) / std`, computed in double precision and rounded once.
    pub fn normalise(&self, prepared: &[u8]) -> Vec<f32> {
        let tables: Vec<[f32; 256]> = self.mean.iter().zip(&self.std).map(|(&mean, &std)| table(mean, std)).collect();
        let mut out = Vec::with_capacity(prepared.len());
        match tables.as_slice() {
            [grey] => out.extend(prepared.iter().map(|&byte| grey[usize::from(byte)])),
            tables => {
                for pixel in prepared.chunks(tables.len().max(1)) {
                    let scaled = |(&byte, table): (&u8, &[f32; 256])| table[usize::from(byte)];
                    match (self.channel_order, pixel) {
                        (ChannelOrder::Bgr, [red, green, blue, rest @ ..]) => {
                            out.extend([blue, green, red].into_iter().chain(rest).zip(tables).map(scaled));
                        }
                        _ => out.extend(pixel.iter().zip(tables).map(scaled)),
                    }
                }
            }
        }
        out
    }

    /// SHA-256 of the settings, for cache keys: of their JSON with the fields in the order of the struct.
    pub(crate) fn fingerprint(&self) -> String {
        // Numbers, names and lists of numbers always serialise.
        sha256_hex(&serde_json::to_vec(self).unwrap_or_default())
    }
}

/// Bytes of a resized image, or why there are none.
type Resized = std::result::Result<Vec<u8>, String>;

fn text(problem: impl ToString) -> String {
    problem.to_string()
}

/// Resizes a window (left, top, width, height) of `source` to `width` by `height` pixels.
fn pass(
    source: &impl IntoImageView,
    (width, height): (usize, usize),
    algorithm: ResizeAlg,
    (left, top, across, down): (f64, f64, f64, f64),
) -> std::result::Result<Image<'static>, ResizeError> {
    let kind = source.pixel_type().ok_or(ResizeError::PixelTypesAreDifferent)?;
    let mut out = Image::new(width as u32, height as u32, kind);
    let options = ResizeOptions::new().resize_alg(algorithm).crop(left, top, across, down).use_alpha(false);
    Resizer::new().resize(source, &mut out, &options)?;
    Ok(out)
}

/// The source pixels that the filter sees: the first and how many, with one to spare on either side.
fn needed(begin: f64, length: f64, wanted: usize, radius: f64, side: usize) -> (usize, usize) {
    let reach = radius * (length / wanted as f64).max(1.0) + 1.0;
    let first = (begin - reach).max(0.0) as usize;
    let last = ((begin + length + reach).ceil() as usize).min(side);
    (first, last - first)
}

/// The scaled value of every byte. In units of the byte, so that a mean of 128/255 and a std of 128/255 give exactly
/// `(byte - 128) / 128`.
fn table(mean: f64, std: f64) -> [f32; 256] {
    let (mean, std) = (mean * 255.0, std * 255.0);
    std::array::from_fn(|byte| ((byte as f64 - mean) / std) as f32)
}

#[cfg(test)]
#[path = "preprocess_tests.rs"]
mod tests;
