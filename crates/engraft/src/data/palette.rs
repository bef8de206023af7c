//! TIFFs whose pixels are places in a table of colours: read as grey, then looked up.

use std::io::Cursor;

use image::{DynamicImage, RgbImage};
use tiff::decoder::Decoder;
use tiff::tags::Tag;

use super::pixels::DecodeError;

/// `PhotometricInterpretation` of a table of colours, and of grey where 0 is black.
const PALETTE: u8 = 3;
const GREY: u8 = 1;
/// Entries of a table for pixels of 8 bits.
const COLOURS: usize = 256;

/// A TIFF with a table of colours.
pub(super) struct Palette {
    /// The file, with its pixels said to be grey.
    pub(super) as_grey: Vec<u8>,
    colours: Vec<[u8; 3]>,
}

/// The table of colours of a TIFF of 8 bits a pixel, if it has one.
pub(super) fn of_tiff(bytes: &[u8]) -> Option<Palette> {
    let mut decoder = Decoder::new(Cursor::new(bytes)).ok()?;
    if decoder.find_tag_unsigned::<u16>(Tag::PhotometricInterpretation).ok()?? != u16::from(PALETTE) {
        return None;
    }
    let map = decoder.get_tag_u16_vec(Tag::ColorMap).ok()?;
    if map.len() != 3 * COLOURS {
        return None;
    }
    // Channel after channel, 16 bits each.
    let level = |at: usize| (map[at] >> 8) as u8;
    let colours = (0..COLOURS).map(|at| [level(at), level(COLOURS + at), level(2 * COLOURS + at)]).collect();
    let mut as_grey = bytes.to_vec();
    let value = value_of_photometric(bytes)?;
    as_grey[value] = GREY;
    Some(Palette { as_grey, colours })
}

/// Where the byte of the first image's interpretation stands.
fn value_of_photometric(bytes: &[u8]) -> Option<usize> {
    let little = bytes.starts_with(b"II");
    let number = |at: usize, length: usize| -> Option<usize> {
        let bytes = bytes.get(at..at.checked_add(length)?)?;
        let add = |sum: usize, byte: &u8| sum << 8 | usize::from(*byte);
        Some(if little { bytes.iter().rev().fold(0, add) } else { bytes.iter().fold(0, add) })
    };
    let big = number(2, 2)? == 43;
    let (first, count_length, entry, value_at) =
        if big { (number(8, 8)?, 8, 20, 12) } else { (number(4, 4)?, 2, 12, 8) };
    let entries = number(first, count_length)?.min(4096);
    let start = first.checked_add(count_length)?;
    let at = (0..entries).map(|index| start + entry * index).find(|&at| number(at, 2) == Some(262))?;
    let value = at + value_at + usize::from(!little);
    (*bytes.get(value)? == PALETTE).then_some(value)
}

impl Palette {
    /// The colours of the pixels of [`Palette::as_grey`].
    pub(super) fn colours(&self, image: DynamicImage) -> Result<DynamicImage, DecodeError> {
        let DynamicImage::ImageLuma8(places) = image else {
            return Err(DecodeError::Unsupported("a table of colours for pixels of other than 8 bits".to_owned()));
        };
        let data = places.as_raw().iter().flat_map(|&place| self.colours[usize::from(place)]).collect();
        let image = RgbImage::from_raw(places.width(), places.height(), data);
        image.map(DynamicImage::ImageRgb8).ok_or_else(|| DecodeError::Damaged("fewer pixels than it says".to_owned()))
    }
}
