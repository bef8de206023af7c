//! The safetensors format, both ways: <https://github.com/huggingface/safetensors>.

use std::collections::{BTreeMap, HashMap};

use half::{bf16, f16};
use safetensors::tensor::{Dtype, Metadata, SafeTensorError, TensorView};

use crate::element::Element;
use crate::source::Source;
use crate::{Error, Format, HEADER_LIMIT, Precision, Tensor, Weights};

/// The most colons and commas of a header, of which a tensor has about ten: entries take more room in memory than there.
const MARKS: usize = 1_000_000;

/// Where the numbers of a file's tensors lie, by name.
pub(crate) type Places<'a> = BTreeMap<String, (Source<'a>, Element)>;

/// Reads the header of a safetensors file: the tensors without their numbers, and where those lie.
pub(crate) fn open(source: Source<'_>) -> Result<(Weights, Places<'_>), Error> {
    let found = source.length();
    if found < 8 {
        return Err(Error::Truncated { expected: 8, found });
    }
    let mut length = [0; 8];
    source.fill(0, &mut length)?;
    let header = u64::from_le_bytes(length);
    if header > HEADER_LIMIT {
        return Err(Error::HeaderTooLong { limit: HEADER_LIMIT, found: header });
    }
    if 8 + header > found {
        return Err(Error::Truncated { expected: 8 + header, found });
    }
    let damaged = |reason: &dyn std::fmt::Display| Error::Header { reason: reason.to_string() };
    let text = source.bytes(8, header)?;
    let (names, marks) = count(&text);
    if marks > MARKS {
        let (limit, found) = (MARKS as u64, marks as u64);
        return Err(Error::TooLarge { what: "colons and commas in the header".into(), limit, found });
    }
    let parsed: Metadata = serde_json::from_slice(&text).map_err(|reason| damaged(&reason))?;
    let kept = parsed.offset_keys().len() + usize::from(parsed.metadata().is_some());
    if names != kept {
        return Err(Error::Header { reason: format!("expected names of their own, found {names} for {kept} entries") });
    }
    // Made anew, which is where the library compares shapes and offsets with each other.
    let tensors = parsed.offset_keys().into_iter().filter_map(|name| Some((name.clone(), parsed.info(&name)?.clone())));
    let parsed = Metadata::new(parsed.metadata().clone(), tensors.collect()).map_err(|reason| damaged(&reason))?;
    let whole = (8 + header).saturating_add(parsed.data_len() as u64);
    if found < whole {
        return Err(Error::Truncated { expected: whole, found });
    }
    let data = source.part(8 + header, found - 8 - header).filter(|data| data.length() == parsed.data_len() as u64);
    let data = data.ok_or_else(|| damaged(&SafeTensorError::MetadataIncompleteBuffer))?;
    let metadata = parsed.metadata().clone().unwrap_or_default().into_iter().collect();
    let mut headers = Weights { metadata, format: Format::Safetensors, ..Weights::default() };
    let mut places = BTreeMap::new();
    for (name, info) in parsed.tensors() {
        let element = element_of(info.dtype);
        let (start, end) = info.data_offsets;
        let part = data.part(start as u64, (end - start) as u64);
        places.insert(name.clone(), (part.ok_or_else(|| damaged(&"offsets outside of the file"))?, element));
        let tensor = Tensor { shape: info.shape.clone(), values: Vec::new(), precision: element.precision() };
        headers.tensors.insert(name, tensor);
    }
    Ok((headers, places))
}

/// How many entries a header has, by the colons of its outermost braces, and how many colons and commas in all.
///
/// Of two entries of one name the library keeps the last.
fn count(header: &[u8]) -> (usize, usize) {
    let (mut names, mut marks, mut depth, mut quoted, mut escaped) = (0, 0, 0usize, false, false);
    for &byte in header {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            _ if quoted => {}
            b'{' | b'[' => depth += 1,
            b'}' | b']' => depth = depth.saturating_sub(1),
            b':' | b',' => {
                marks += 1;
                names += usize::from(byte == b':' && depth == 1);
            }
            _ => {}
        }
    }
    (names, marks)
}

/// Writes a safetensors file; equal weights give equal bytes.
///
/// Precisions other than F16 and BF16 are written as F32.
///
/// # Panics
/// If a tensor's shape does not fit its values: a mistake of the caller.
pub fn write(weights: &Weights) -> Vec<u8> {
    let stored: Vec<(&String, Dtype, &[usize], Vec<u8>)> = weights
        .tensors
        .iter()
        .map(|(name, tensor)| {
            let (dtype, bytes) = match tensor.precision {
                Precision::F16 => {
                    (Dtype::F16, tensor.values.iter().flat_map(|&v| f16::from_f32(v).to_le_bytes()).collect())
                }
                Precision::Bf16 => {
                    (Dtype::BF16, tensor.values.iter().flat_map(|&v| bf16::from_f32(v).to_le_bytes()).collect())
                }
                _ => (Dtype::F32, tensor.values.iter().flat_map(|v| v.to_le_bytes()).collect()),
            };
            (name, dtype, tensor.shape.as_slice(), bytes)
        })
        .collect();
    let views = stored.iter().map(|(name, dtype, shape, bytes)| {
        let view = TensorView::new(*dtype, shape.to_vec(), bytes).expect("a tensor's values fit its shape");
        (name.as_str(), view)
    });
    // The header is written by hand-sorted key: the library keeps metadata in a hash map.
    let metadata =
        (!weights.metadata.is_empty()).then(|| weights.metadata.clone().into_iter().collect::<HashMap<_, _>>());
    let bytes = safetensors::serialize(views, metadata).expect("names and shapes make a valid header");
    if weights.metadata.len() > 1 { sort_metadata(&bytes, &weights.metadata) } else { bytes }
}

/// The same file with the header's metadata in sorted order, so that equal weights give equal bytes.
fn sort_metadata(bytes: &[u8], metadata: &BTreeMap<String, String>) -> Vec<u8> {
    let length = u64::from_le_bytes(*bytes.first_chunk().expect("a header has a length")) as usize;
    let mut header: BTreeMap<String, serde_json::Value> =
        serde_json::from_slice(&bytes[8..8 + length]).expect("the header was just written");
    header.insert("__metadata__".into(), serde_json::json!(metadata));
    let mut text = serde_json::to_vec(&header).expect("text and numbers make JSON");
    text.resize(text.len().next_multiple_of(8), b' ');
    let mut out = (text.len() as u64).to_le_bytes().to_vec();
    out.extend_from_slice(&text);
    out.extend_from_slice(&bytes[8 + length..]);
    out
}

fn element_of(dtype: Dtype) -> Element {
    let other = |name| Element::Other { name, size: dtype.bitsize().div_ceil(8) };
    match dtype {
        Dtype::F32 => Element::F32,
        Dtype::F16 => Element::F16,
        Dtype::BF16 => Element::Bf16,
        Dtype::F64 => Element::F64,
        Dtype::I64 => Element::I64,
        Dtype::I32 => Element::I32,
        Dtype::I16 => Element::I16,
        Dtype::I8 => Element::I8,
        Dtype::U8 => Element::U8,
        Dtype::BOOL => Element::Bool,
        Dtype::U16 => Element::U16,
        Dtype::U32 => Element::U32,
        Dtype::U64 => Element::U64,
        Dtype::F4 => other("F4"),
        Dtype::F6_E2M3 => other("F6_E2M3"),
        Dtype::F6_E3M2 => other("F6_E3M2"),
        Dtype::F8_E4M3 => other("F8_E4M3"),
        Dtype::F8_E5M2 => other("F8_E5M2"),
        Dtype::F8_E8M0 => other("F8_E8M0"),
        Dtype::C64 => other("C64"),
        _ => other("a newer one"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Tensors, WeightFile, read};
    use proptest::prelude::*;

    fn sample() -> Vec<u8> {
        let mut weights = Weights::default();
        for (name, shape) in [("a.weight", vec![2, 3]), ("a.bias", vec![2]), ("count", vec![])] {
            let values = (0..shape.iter().product::<usize>()).map(|i| i as f32).collect();
            weights.tensors.insert(name.into(), Tensor { shape, values, precision: Precision::F32 });
        }
        weights.metadata.extend([("one".into(), "1".into()), ("two".into(), "2".into())]);
        write(&weights)
    }

    fn with_header(header: &str, data: &[u8]) -> Vec<u8> {
        [&(header.len() as u64).to_le_bytes(), header.as_bytes(), data].concat()
    }

    #[test]
    fn equal_weights_give_equal_bytes() {
        assert!((0..20).all(|_| sample() == sample()));
        assert_eq!(read(&sample()).unwrap().metadata.len(), 2);
    }

    #[test]
    fn every_truncation_is_refused() {
        let bytes = sample();
        for length in 0..bytes.len() {
            assert!(read(&bytes[..length]).is_err(), "{length} of {} bytes", bytes.len());
        }
        let half = read(&bytes[..bytes.len() - 5]);
        let expected = bytes.len() as u64;
        assert_eq!(half, Err(Error::Truncated { expected, found: expected - 5 }), "the header is whole");
    }

    #[test]
    fn overlapping_offsets_are_refused() {
        let header = r#"{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}}"#;
        assert!(matches!(read(&with_header(header, &[0; 12])), Err(Error::Header { .. })));
    }

    #[test]
    fn a_shape_that_overflows_is_refused() {
        let header = r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296,2],"data_offsets":[0,8]}}"#;
        assert!(matches!(read(&with_header(header, &[0; 8])), Err(Error::Header { .. })));
    }

    #[test]
    fn a_type_without_a_meaning_beside_the_weights_keeps_its_name_and_shape_alone() {
        let header = r#"{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F8_E4M3","shape":[2,2],"data_offsets":[4,8]},"c":{"dtype":"U16","shape":[1],"data_offsets":[8,10]},"d":{"dtype":"C64","shape":[1],"data_offsets":[10,18]}}"#;
        let data = [&1.5f32.to_le_bytes()[..], &[0; 4], &40_000u16.to_le_bytes(), &[0; 8]].concat();
        let bytes = with_header(header, &data);
        let file = WeightFile::open(&bytes).unwrap();
        assert_eq!(file.tensor("a").unwrap().unwrap().values, [1.5]);
        assert_eq!(file.tensor("c").unwrap().unwrap().values, [40_000.0]);
        for (name, shape, found) in [("b", &[2, 2][..], "F8_E4M3"), ("d", &[1], "C64")] {
            let header = &file.headers().tensors[name];
            assert_eq!((header.shape.as_slice(), header.precision), (shape, Precision::Unread));
            assert_eq!(file.tensor(name), Err(Error::Type { name: name.into(), found: found.into() }));
        }
        assert!(matches!(read(&bytes), Err(Error::Type { .. })));
    }

    #[test]
    fn a_hundred_megabyte_header_is_refused_before_it_is_parsed() {
        let mut bytes = (100u64 << 20).to_le_bytes().to_vec();
        bytes.push(b'{');
        bytes.resize(100, b' ');
        assert!(matches!(read(&bytes), Err(Error::HeaderTooLong { .. })));
    }

    #[test]
    fn a_header_of_too_many_entries_is_refused_before_it_is_parsed() {
        let header = format!("{{\"a\":[{}0]}}", "0,".repeat(MARKS));
        assert!(matches!(read(&with_header(&header, &[])), Err(Error::TooLarge { .. })));
    }

    #[test]
    fn two_entries_of_one_name_are_refused() {
        let entry = r#""a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}"#;
        assert!(read(&with_header(&format!("{{{entry}}}"), &[0; 4])).is_ok());
        let error = read(&with_header(&format!("{{{entry},{entry}}}"), &[0; 4])).unwrap_err();
        assert!(error.to_string().contains("names of their own"), "{error}");
    }

    #[test]
    fn halves_and_integers_are_read() {
        let data: Vec<u8> = [f16::from_f32(1.5).to_le_bytes(), bf16::from_f32(-2.0).to_le_bytes()].concat();
        let header = r#"{"a":{"dtype":"F16","shape":[1],"data_offsets":[0,2]},"b":{"dtype":"BF16","shape":[1],"data_offsets":[2,4]}}"#;
        let weights = read(&with_header(header, &data)).unwrap();
        assert_eq!((weights.tensors["a"].values[0], weights.tensors["b"].values[0]), (1.5, -2.0));
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(mut at in 0usize..400, byte in any::<u8>(), tail in prop::collection::vec(any::<u8>(), 0..64)) {
            let mut bytes = sample();
            at %= bytes.len();
            bytes[at] = byte;
            let _ = read(&bytes);
            let _ = read(&tail);
        }
    }
}
