//! What kind of image a file is, by its first bytes and never by its name; and which names are usual for images.

use std::path::Path;

use image::ImageFormat;

use super::{ENDINGS, ending};

/// Bytes from the beginning that tell.
pub(super) const ENOUGH: usize = 160;

/// A kind of image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// One that is decoded.
    Read(ImageFormat),
    /// One that is known and not decoded, by its name.
    Known(&'static str),
}

/// The kind of image that bytes begin like; nothing where they begin like none.
pub(super) fn kind(bytes: &[u8]) -> Option<Kind> {
    use ImageFormat::{Bmp, Gif, Jpeg, Png, Pnm, Tiff, WebP};
    if let Some(brand) = bytes.get(4..12).and_then(|box_| box_.strip_prefix(b"ftyp")) {
        return match brand {
            b"avif" | b"avis" => Some(Kind::Known("AVIF")),
            b"heic" | b"heix" | b"heim" | b"heis" | b"hevc" | b"hevx" | b"mif1" | b"msf1" => Some(Kind::Known("HEIC")),
            b"crx " => Some(Kind::Known("Canon RAW")),
            _ => None,
        };
    }
    match bytes {
        [0, 0, 0, 12, b'j', b'P', b' ', b' ', ..] | [0xFF, 0x4F, 0xFF, 0x51, ..] => Some(Kind::Known("JPEG 2000")),
        [0, 0, 0, 12, b'J', b'X', b'L', b' ', ..] | [0xFF, 0x0A, ..] => Some(Kind::Known("JPEG XL")),
        [b'8', b'B', b'P', b'S', ..] => Some(Kind::Known("Photoshop")),
        [0x76, 0x2F, 0x31, 0x01, ..] => Some(Kind::Known("OpenEXR")),
        [b'q', b'o', b'i', b'f', ..] => Some(Kind::Known("QOI")),
        [b'D', b'D', b'S', b' ', ..] => Some(Kind::Known("DDS")),
        [b'f', b'a', b'r', b'b', b'f', b'e', b'l', b'd', ..] => Some(Kind::Known("Farbfeld")),
        [b'i', b'c', b'n', b's', ..] => Some(Kind::Known("Apple icons (ICNS)")),
        [0xC5, 0xD0, 0xD3, 0xC6, ..] => Some(Kind::Known("EPS")),
        _ if bytes.starts_with(b"%!PS-Adobe") => Some(Kind::Known("EPS")),
        _ if bytes.starts_with(b"#?RADIANCE") => Some(Kind::Known("Radiance HDR")),
        _ if is_svg(bytes) => Some(Kind::Known("SVG")),
        _ if is_ico(bytes) => Some(Kind::Known("ICO")),
        _ if is_pcx(bytes) => Some(Kind::Known("PCX")),
        _ if is_tga(bytes) => Some(Kind::Known("TGA")),
        _ if bytes.get(128..132) == Some(b"DICM") => Some(Kind::Known("DICOM")),
        // BigTIFF, which has another number than a TIFF has.
        [b'I', b'I', 43, 0, ..] | [b'M', b'M', 0, 43, ..] => Some(Kind::Read(Tiff)),
        [b'P', b'1'..=b'6', space, next, ..] if space.is_ascii_whitespace() && is_of_pnm(*next) => {
            Some(Kind::Read(Pnm))
        }
        // Guessed from two or three common bytes elsewhere: such a file is more likely no image at all.
        _ => image::guess_format(bytes)
            .ok()
            .filter(|format| match format {
                Bmp => is_bmp(bytes),
                other => matches!(other, Jpeg | Png | WebP | Tiff | Gif),
            })
            .map(Kind::Read),
    }
}

/// Whether the header that follows has one of the sizes that there are: `BM` alone begins many texts.
fn is_bmp(bytes: &[u8]) -> bool {
    let size = bytes.get(14..18).and_then(|size| size.try_into().ok()).map(u32::from_le_bytes);
    size.is_some_and(|size| [12, 16, 40, 52, 56, 64, 108, 124].contains(&size))
}

fn is_svg(bytes: &[u8]) -> bool {
    let text = bytes.trim_ascii_start();
    text.starts_with(b"<svg") || text.starts_with(b"<?xml") && text.windows(4).take(ENOUGH).any(|part| part == b"<svg")
}

/// Few bytes tell: the first icon's own numbers have to fit.
fn is_ico(bytes: &[u8]) -> bool {
    let [0, 0, 1 | 2, 0, count, 0, rest @ ..] = bytes else { return false };
    let size = rest.get(8..12).and_then(|size| size.try_into().ok()).map_or(0, u32::from_le_bytes);
    let offset = rest.get(12..16).and_then(|offset| offset.try_into().ok()).map_or(0, u32::from_le_bytes);
    *count > 0 && rest.get(3) == Some(&0) && size > 0 && offset == 6 + 16 * u32::from(*count)
}

fn is_pcx(bytes: &[u8]) -> bool {
    matches!(bytes, [0x0A, 0 | 2 | 3 | 4 | 5, 0 | 1, 1 | 2 | 4 | 8, ..]) && bytes.len() >= 128 && bytes[64] == 0
}

/// The header has no mark of its own: all that it says has to fit.
fn is_tga(bytes: &[u8]) -> bool {
    let [_, map, kind, rest @ ..] = bytes else { return false };
    let has_map = matches!(kind, 1 | 9);
    let fits = rest.len() > 15
        && rest[13].is_multiple_of(8) | (rest[13] == 15)
        && (8..=32).contains(&rest[13])
        && rest[14] & 0xC0 == 0
        && rest[9..13].as_chunks::<2>().0.iter().all(|side| *side != [0, 0]);
    matches!(kind, 1 | 2 | 3 | 9 | 10 | 11) && *map == u8::from(has_map) && (has_map || rest[..5] == [0; 5]) && fits
}

fn is_of_pnm(byte: u8) -> bool {
    byte.is_ascii_digit() || byte == b'#' || byte.is_ascii_whitespace()
}

/// What to do about an image of a kind that is not decoded.
pub(super) fn advice(name: &str) -> String {
    let how = match name {
        "HEIC" => "heif-convert IN OUT.jpg",
        "AVIF" => "avifdec IN OUT.png",
        "JPEG 2000" => "opj_decompress -i IN -o OUT.png",
        "JPEG XL" => "djxl IN OUT.png",
        "DICOM" => "dcmj2pnm --write-png IN OUT.png",
        "SVG" => "rsvg-convert IN -o OUT.png",
        _ => "magick IN OUT.png",
    };
    format!("{name}; convert it to JPEG or PNG ({how})")
}

/// Whether a cell ends like the name of an image file.
pub(super) fn is_named_like_an_image(cell: &str) -> bool {
    let path = cell.split(['?', '#']).next().unwrap_or(cell);
    ending(Path::new(path)).is_some_and(|ending| ENDINGS.contains(&ending.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_by_content() {
        let known = |bytes: &[u8]| match kind(bytes) {
            Some(Kind::Known(name)) => name,
            Some(Kind::Read(format)) => format.extensions_str()[0],
            None => "none",
        };
        assert_eq!(known(b"\0\0\0\x20ftypavif\0\0"), "AVIF");
        assert_eq!(known(b"\0\0\0\x20ftypheic\0\0"), "HEIC");
        assert_eq!(known(b"\0\0\0\x20ftypmp42\0\0"), "none");
        assert_eq!(known(b"\0\0\0\x0cjP  \r\n\x87\n"), "JPEG 2000");
        assert_eq!(known(b"II\x2b\0\x08\0\0\0"), "tiff");
        assert_eq!(known(b"\xff\xd8\xff\xe1"), "jpg");
        assert_eq!(known(b"P5 64 64 255\n"), "pbm");
        assert_eq!(known(b"P5 is a road"), "none");
        let ico = [[0, 0, 1, 0, 1, 0, 16, 16, 0, 0, 1, 0, 32, 0], [0, 4, 0, 0, 22, 0, 0, 0, 0, 0, 0, 0, 0, 0]].concat();
        assert_eq!((known(&ico), known(b"\0\0\x01\0")), ("ICO", "none"));
        let tga = |bits: u8| [[0, 0, 2, 0, 0, 0, 0, 0, 0, 0], [0, 0, 32, 0, 32, 0, bits, 0x20, 9, 9]].concat();
        assert_eq!((known(&tga(24)), known(&tga(7)), known(&[0; 40])), ("TGA", "none", "none"));
        let pcx = [[0x0A, 5, 1, 8].as_slice(), &[0; 124]].concat();
        assert_eq!((known(&pcx), known(b"\n\x05\x01\x08")), ("PCX", "none"));
        assert_eq!((known(b"icns\0\0"), known(b"%!PS-Adobe-3.0 EPSF-3.0\n")), ("Apple icons (ICNS)", "EPS"));
        assert_eq!((known(b"<svg xmlns="), known(b"<?xml?><svg>"), known(b"<?xml?><a>")), ("SVG", "SVG", "none"));
        assert_eq!(known(b"BMW is how this text begins"), "none", "two common bytes are not enough");
        assert_eq!(known(b""), "none");
    }
}
