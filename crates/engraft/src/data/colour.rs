//! Colour profiles (ICC): pixels to sRGB, which is what networks were trained on and what screens show.
//!
//! The profile is untrusted: it is read within limits, a panic of its reader is caught, and one that is damaged or does
//! not fit the image is ignored, which is said. A profile that moves no colour by more than one level of 255 (that of
//! sRGB itself, which most cameras write) is not applied: such images keep their bits.

use std::sync::Arc;

use image::{ColorType, DynamicImage};
use moxcms::{
    ColorProfile, DataColorSpace, Layout, ParsingOptions, Transform8BitExecutor, Transform16BitExecutor,
    TransformExecutor, TransformOptions,
};

use super::pixels::{DecodeError, one_line};
use crate::guard::guarded;

/// Changes whenever the same bytes would be decoded to other pixels; part of the keys of what is computed from them.
pub(crate) const DECODING: u32 = 2;

/// The largest profile that is read, in bytes. The largest ones in use, of printing presses, have 3 MB.
pub(super) const LIMIT: usize = 8 << 20;

/// Pixels that are converted at once.
const RUN: usize = 4096;

/// How far a profile may move a colour without being applied, in levels of 255.
const SAME: u8 = 1;

/// Whose panics are caught.
const READER: &str = "the reader of colour profiles";

/// Converts an image to sRGB by its profile, and says why it was not, where it has a profile that cannot be used.
pub(super) fn to_srgb(
    image: DynamicImage,
    profile: Option<&[u8]>,
) -> Result<(DynamicImage, Option<String>), DecodeError> {
    let Some(profile) = profile else { return Ok((image, None)) };
    let prepared = guarded(READER, || Conversion::of(&image, &parsed(profile)?));
    match prepared.map_err(|panic| panic.to_string()).and_then(|prepared| prepared) {
        Ok(None) => Ok((image, None)),
        Ok(Some(conversion)) => Ok((conversion.apply(image)?, None)),
        Err(note) => Ok((image, Some(note))),
    }
}

/// Converts inks (`[c, m, y, k]`, 255 for full) to sRGB, shape `[pixels, 3]`.
pub(super) fn inks_to_srgb(inks: &[u8], profile: &[u8]) -> Result<Vec<u8>, String> {
    let converted = guarded(READER, || {
        let profile = parsed(profile)?;
        if profile.color_space != DataColorSpace::Cmyk {
            return Err(format!("a profile of {:?} for pixels of four inks", profile.color_space));
        }
        let srgb = ColorProfile::new_srgb();
        let transform = profile.create_transform_8bit(Layout::Rgba, &srgb, Layout::Rgb, options());
        let transform = transform.map_err(|problem| one_line(&problem))?;
        let mut colours = vec![0; inks.len() / 4 * 3];
        for (inks, colours) in inks.chunks(4 * RUN).zip(colours.chunks_mut(3 * RUN)) {
            transform.transform(inks, colours).map_err(|problem| one_line(&problem))?;
        }
        Ok(colours)
    });
    converted.unwrap_or_else(|panic| Err(panic.to_string()))
}

fn parsed(profile: &[u8]) -> Result<ColorProfile, String> {
    if profile.len() >= LIMIT {
        return Err(format!("a profile of {} bytes, over the limit of {LIMIT}", profile.len()));
    }
    let limits = ParsingOptions { max_profile_size: LIMIT, ..ParsingOptions::default() };
    ColorProfile::new_from_slice_with_options(profile, limits).map_err(|problem| one_line(&problem))
}

fn options() -> TransformOptions {
    TransformOptions::default()
}

/// sRGB, or grey with its curve.
fn target(space: DataColorSpace) -> ColorProfile {
    let srgb = ColorProfile::new_srgb();
    if space != DataColorSpace::Gray {
        return srgb;
    }
    let mut grey = ColorProfile::new_gray_with_gamma(2.2);
    grey.gray_trc = srgb.red_trc;
    grey
}

/// Whether a profile moves no colour (of a grid) by more than [`SAME`].
fn moves_nothing(profile: &ColorProfile) -> Result<bool, String> {
    const STEPS: [u8; 10] = [0, 8, 24, 48, 80, 112, 144, 184, 224, 255];
    let (layout, before): (_, Vec<u8>) = match profile.color_space {
        DataColorSpace::Gray => (Layout::Gray, (0..=255).collect()),
        _ => {
            let colour = |index: usize| [index / 100, index / 10 % 10, index % 10].map(|step| STEPS[step]);
            (Layout::Rgb, (0..1000).flat_map(colour).collect())
        }
    };
    let transform = profile.create_transform_8bit(layout, &target(profile.color_space), layout, options());
    let mut after = vec![0; before.len()];
    transform.and_then(|transform| transform.transform(&before, &mut after)).map_err(|problem| one_line(&problem))?;
    Ok(before.iter().zip(&after).all(|(before, after)| before.abs_diff(*after) <= SAME))
}

/// How the pixels of one image become sRGB.
enum Conversion {
    Eight(Arc<Transform8BitExecutor>),
    Sixteen(Arc<Transform16BitExecutor>),
    /// Grey pixels by a profile of colours, which has its say about each as a colour of three equal parts.
    AsColours(Box<Conversion>),
}

impl Conversion {
    /// Nothing where the profile moves no colour.
    fn of(image: &DynamicImage, profile: &ColorProfile) -> Result<Option<Self>, String> {
        let (space, kind) = (profile.color_space, image.color());
        let as_colours = space == DataColorSpace::Rgb && !kind.has_color();
        let layout = match (space, kind.has_color(), kind.has_alpha()) {
            (DataColorSpace::Rgb, _, false) => Layout::Rgb,
            (DataColorSpace::Rgb, _, true) => Layout::Rgba,
            (DataColorSpace::Gray, false, false) => Layout::Gray,
            (DataColorSpace::Gray, false, true) => Layout::GrayAlpha,
            (_, has_color, _) => {
                let pixels = if has_color { "RGB" } else { "grey" };
                return Err(format!("a profile of {space:?} for pixels that are {pixels}"));
            }
        };
        if moves_nothing(profile)? {
            return Ok(None);
        }
        let target = target(space);
        let made = match kind.bytes_per_pixel() / kind.channel_count() {
            1 => profile.create_transform_8bit(layout, &target, layout, options()).map(Self::Eight),
            _ => profile.create_transform_16bit(layout, &target, layout, options()).map(Self::Sixteen),
        };
        let made = made.map_err(|problem| one_line(&problem))?;
        Ok(Some(if as_colours { Self::AsColours(Box::new(made)) } else { made }))
    }

    fn apply(&self, mut image: DynamicImage) -> Result<DynamicImage, DecodeError> {
        use DynamicImage::{
            ImageLuma8, ImageLuma16, ImageLumaA8, ImageLumaA16, ImageRgb8, ImageRgb16, ImageRgba8, ImageRgba16,
        };
        let channels = usize::from(image.color().channel_count());
        match (self, &mut image) {
            (Self::AsColours(inner), _) => return inner.apply(in_colours(image)),
            (Self::Eight(transform), ImageLuma8(pixels)) => run(&**transform, channels, pixels),
            (Self::Eight(transform), ImageLumaA8(pixels)) => run(&**transform, channels, pixels),
            (Self::Eight(transform), ImageRgb8(pixels)) => run(&**transform, channels, pixels),
            (Self::Eight(transform), ImageRgba8(pixels)) => run(&**transform, channels, pixels),
            (Self::Sixteen(transform), ImageLuma16(pixels)) => run(&**transform, channels, pixels),
            (Self::Sixteen(transform), ImageLumaA16(pixels)) => run(&**transform, channels, pixels),
            (Self::Sixteen(transform), ImageRgb16(pixels)) => run(&**transform, channels, pixels),
            (Self::Sixteen(transform), ImageRgba16(pixels)) => run(&**transform, channels, pixels),
            (_, other) => return Err(DecodeError::Unsupported(format!("pixels of the kind {:?}", other.color()))),
        }?;
        Ok(image)
    }
}

/// Converts pixels where they lie, some at a time.
fn run<T: Copy + Default>(
    transform: &(dyn TransformExecutor<T> + Send + Sync),
    channels: usize,
    pixels: &mut [T],
) -> Result<(), DecodeError> {
    let mut before = Vec::with_capacity(RUN * channels);
    for pixels in pixels.chunks_mut(RUN * channels) {
        before.clear();
        before.extend_from_slice(pixels);
        let done = transform.transform(&before, pixels);
        done.map_err(|problem| DecodeError::Damaged(format!("its colour profile: {}", one_line(&problem))))?;
    }
    Ok(())
}

fn in_colours(grey: DynamicImage) -> DynamicImage {
    match grey.color() {
        ColorType::L8 => DynamicImage::ImageRgb8(grey.into_rgb8()),
        ColorType::La8 => DynamicImage::ImageRgba8(grey.into_rgba8()),
        ColorType::L16 => DynamicImage::ImageRgb16(grey.into_rgb16()),
        ColorType::La16 => DynamicImage::ImageRgba16(grey.into_rgba16()),
        _ => grey,
    }
}

#[cfg(test)]
#[path = "colour_tests.rs"]
mod tests;
