//! What kind of image a file is, by its first bytes and never by its name.

use image::ImageFormat;

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
        _ if bytes.starts_with(b"#?RADIANCE") => Some(Kind::Known("Radiance HDR")),
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
        _ => "magick IN OUT.png",
    };
    format!("{name}; convert it to JPEG or PNG ({how})")
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
        assert_eq!(known(b"BMW is how this text begins"), "none", "two common bytes are not enough");
        assert_eq!(known(b""), "none");
    }
}
