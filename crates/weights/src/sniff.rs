//! What kind of file it is, by its bytes and never by its name.

use crate::archive::Archive;
use crate::source::Source;
use crate::{Format, HEADER_LIMIT};

/// The format of a file, if it is one that is known. Only looks at the first bytes, and at the directory of an archive.
pub fn format<'a>(source: impl Into<Source<'a>>) -> Option<Format> {
    let source = source.into();
    let head = source.head().ok()?;
    if is_zip(&head) {
        drop(head);
        return Archive::open(source).ok().and_then(|archive| archive_format(&archive));
    }
    of_head(&head)
}

/// The format of a file that is not an archive, by its first bytes.
pub(crate) fn of_head(bytes: &[u8]) -> Option<Format> {
    if bytes.starts_with(b"\x89HDF\r\n\x1a\n") {
        Some(Format::KerasH5)
    } else if is_safetensors(bytes) {
        Some(Format::Safetensors)
    } else if bytes.get(4..8) == Some(b"TFL3") {
        Some(Format::TfLite)
    } else if is_pickle(bytes) {
        Some(Format::PyTorchLegacy)
    } else if is_onnx(bytes) {
        Some(Format::Onnx)
    } else {
        None
    }
}

pub(crate) fn is_zip(bytes: &[u8]) -> bool {
    bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06")
}

/// The format of a zip archive, by the names of its entries.
pub(crate) fn archive_format(archive: &Archive<'_>) -> Option<Format> {
    if archive.pickle().is_some() {
        Some(Format::PyTorch)
    } else if archive.has("model.weights.h5") || archive.has("config.json") {
        Some(Format::KerasZip)
    } else {
        None
    }
}

fn is_safetensors(bytes: &[u8]) -> bool {
    let length = bytes.first_chunk().map(|length| u64::from_le_bytes(*length));
    length.is_some_and(|length| (2..=HEADER_LIMIT).contains(&length)) && bytes.get(8) == Some(&b'{')
}

/// A pickle: protocols 2 to 5 say so; the textual protocols begin with a global or a mark.
fn is_pickle(bytes: &[u8]) -> bool {
    match bytes {
        [0x80, 2..=5, ..] => true,
        [b'c', rest @ ..] => {
            let line = rest.split(|&byte| byte == b'\n').next().unwrap_or_default();
            line.len() < rest.len()
                && !line.is_empty()
                && line.iter().all(|&byte| byte.is_ascii_alphanumeric() || b"._".contains(&byte))
        }
        [b'(', opcode, ..] => b"cidltpSUVXIJKLMNF(}])".contains(opcode) && bytes.contains(&b'.'),
        [b'}' | b']', opcode, ..] => b"qp(r".contains(opcode) && bytes.contains(&b'.'),
        _ => false,
    }
}

/// An ONNX `ModelProto`: `ir_version` first, and then only fields that it has.
fn is_onnx(bytes: &[u8]) -> bool {
    let mut fields = Fields { rest: bytes };
    let Some((1, Wire::Number(3..=100))) = fields.next() else { return false };
    let known = |(field, wire): &(u64, Wire)| match wire {
        Wire::Number(_) => *field == 5,
        Wire::Bytes(_) => matches!(field, 2..=4 | 6..=8 | 14 | 20 | 25 | 26),
    };
    fields.next().is_some_and(|field| known(&field))
}

/// A TensorFlow `SavedModel`: schema version 1, then a graph, whose first field is its information.
pub(crate) fn is_saved_model(bytes: &[u8]) -> bool {
    let mut fields = Fields { rest: bytes };
    matches!(fields.next(), Some((1, Wire::Number(1))))
        && matches!(fields.next(), Some((2, Wire::Bytes(start))) if start.first() == Some(&0x0a))
}

/// The top-level fields of a protocol buffer, as far as they can be read.
struct Fields<'a> {
    rest: &'a [u8],
}

enum Wire<'a> {
    Number(u64),
    /// As much as there is: a truncated file is recognised too.
    Bytes(&'a [u8]),
}

impl Fields<'_> {
    fn number(&mut self) -> Option<u64> {
        let mut value = 0u64;
        for shift in (0..63).step_by(7) {
            let (&byte, rest) = self.rest.split_first()?;
            self.rest = rest;
            value |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Some(value);
            }
        }
        None
    }
}

impl<'a> Iterator for Fields<'a> {
    type Item = (u64, Wire<'a>);

    fn next(&mut self) -> Option<Self::Item> {
        let tag = self.number()?;
        let wire = match tag & 7 {
            0 => Wire::Number(self.number()?),
            2 => {
                let length = usize::try_from(self.number()?).ok()?;
                let (content, rest) = self.rest.split_at(length.min(self.rest.len()));
                self.rest = rest;
                Wire::Bytes(content)
            }
            _ => return None,
        };
        Some((tag >> 3, wire))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_their_bytes() {
        let onnx = b"\x08\x08\x12\x07pytorch\x1a\x052.4.0:\x10";
        for (bytes, expected) in [
            (&b"\x89HDF\r\n\x1a\n"[..], Some(Format::KerasH5)),
            (b"\x02\0\0\0\0\0\0\0{}", Some(Format::Safetensors)),
            (b"\x1c\0\0\0TFL3", Some(Format::TfLite)),
            (b"\x80\x02\x8a\x0al\xfc", Some(Format::PyTorchLegacy)),
            (b"cos\nsystem\n(S'true'\ntR.", Some(Format::PyTorchLegacy)),
            (b"(dp0\n.", Some(Format::PyTorchLegacy)),
            (onnx, Some(Format::Onnx)),
            (b"", None),
            (b"copyright is held by nobody", None),
            (b"PK\x03\x04....", None),
        ] {
            assert_eq!(format(bytes), expected, "{bytes:?}");
        }
    }

    #[test]
    fn what_is_not_read_is_named() {
        let mut tar = vec![0; 512];
        tar[257..262].copy_from_slice(b"ustar");
        for (bytes, name) in [
            (&b"\x08\x08\x12\x07pytorch"[..], "ONNX"),
            (b"\x1c\0\0\0TFL3....", "TensorFlow Lite"),
            (b"\x08\x01\x12\x10\x0a\x04....", "SavedModel"),
            (&tar, "tar"),
            (b"PK\x03\x04....", "archive"),
        ] {
            let error = crate::read(bytes).unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}
