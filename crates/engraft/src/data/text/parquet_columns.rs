//! Columns of a Parquet file: what their cells are, what they are called, which are not read, and how decimal numbers become text.

use std::collections::BTreeMap;

use parquet::basic::{ConvertedType, LogicalType, Type as PhysicalType};
use parquet::file::metadata::ParquetMetaData;
use parquet::schema::types::ColumnDescPtr;

use crate::data::column_names::may_list_labels;

/// What the cells of a column are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Form {
    /// One value each.
    One,
    /// A list of labels.
    Labels,
    /// A list of bytes: an image, written by who has no other type for one.
    Bytes,
}

impl Form {
    pub(super) fn of(column: &ColumnDescPtr) -> Self {
        match column.max_rep_level() {
            0 => Self::One,
            _ if is_of_bytes(column) => Self::Bytes,
            _ => Self::Labels,
        }
    }
}

/// Whether whole numbers are bytes.
pub(super) fn is_of_bytes(column: &ColumnDescPtr) -> bool {
    column.physical_type() == PhysicalType::INT32
        && matches!(column.converted_type(), ConvertedType::UINT_8 | ConvertedType::INT_8)
}

/// The name of a column: of a list without what stands around its elements.
pub(super) fn name_of(column: &ColumnDescPtr) -> String {
    let path = column.path().string();
    if column.max_rep_level() == 0 {
        return path;
    }
    let wrappers = [".list.element", ".list.item", ".bag.array_element", ".array.array", ".array", ".element"];
    wrappers.iter().find_map(|wrapper| path.strip_suffix(wrapper)).unwrap_or(&path).to_owned()
}

/// Why a column is not read: all are but lists that are neither labels, asked for, nor bytes, and values that are neither text,
/// number nor truth value.
pub(super) fn not_read(column: &ColumnDescPtr, name: &str, asked: &[&str]) -> Option<&'static str> {
    let elements = column.physical_type();
    let are_texts = elements == PhysicalType::BYTE_ARRAY && column.converted_type() == ConvertedType::UTF8
        || matches!(column.logical_type_ref(), Some(LogicalType::String));
    let are_whole = matches!(elements, PhysicalType::INT32 | PhysicalType::INT64) && scale(column).is_none();
    let is_asked = may_list_labels(name) || asked.iter().any(|asked| asked.eq_ignore_ascii_case(name));
    match column.max_rep_level() {
        0 => {}
        1 if is_of_bytes(column) || is_asked && (are_texts || are_whole) => return None,
        1 if are_texts => return Some("a list of texts"),
        1 if are_whole => return Some("a list of whole numbers"),
        1 if matches!(elements, PhysicalType::FLOAT | PhysicalType::DOUBLE) => return Some("a list of numbers"),
        1 => return Some("a list"),
        _ => return Some("lists within lists"),
    }
    match column.physical_type() {
        PhysicalType::INT96 => Some("times of 96 bits"),
        PhysicalType::FIXED_LEN_BYTE_ARRAY if scale(column).is_none() && !is_half(column) => {
            Some("bytes of a fixed length")
        }
        _ => None,
    }
}

/// The digits after the point of a decimal number.
pub(super) fn scale(column: &ColumnDescPtr) -> Option<u32> {
    let is_decimal = column.converted_type() == ConvertedType::DECIMAL
        || matches!(column.logical_type_ref(), Some(LogicalType::Decimal { .. }));
    is_decimal.then(|| u32::try_from(column.type_scale()).unwrap_or_default())
}

/// What dates and times count from 1970-01-01; nothing of other columns.
pub(super) fn unit_of_time(column: &ColumnDescPtr) -> Option<&'static str> {
    match (column.logical_type_ref(), column.converted_type()) {
        (Some(LogicalType::Date), _) | (_, ConvertedType::DATE) => Some("days"),
        (_, ConvertedType::TIMESTAMP_MILLIS) => Some("milliseconds"),
        (_, ConvertedType::TIMESTAMP_MICROS) => Some("microseconds"),
        (Some(LogicalType::Timestamp { .. }), _) => Some("nanoseconds"),
        _ => None,
    }
}

pub(super) fn is_half(column: &ColumnDescPtr) -> bool {
    matches!(column.logical_type_ref(), Some(LogicalType::Float16))
}

/// A decimal number of so many digits after the point.
pub(super) fn decimal(unscaled: i128, scale: u32) -> String {
    if scale == 0 {
        return unscaled.to_string();
    }
    let (digits, places) = (unscaled.unsigned_abs().to_string(), scale as usize);
    let digits = format!("{digits:0>width$}", width = places + 1);
    let (whole, part) = digits.split_at(digits.len() - places);
    format!("{}{whole}.{part}", if unscaled < 0 { "-" } else { "" })
}

/// A number of any length, the most significant byte first, negative where its first bit is set.
pub(super) fn big_endian(bytes: &[u8]) -> Option<i128> {
    let negative = bytes.first().is_some_and(|byte| byte & 0x80 != 0);
    let sign = if negative { 0xFF } else { 0 };
    let spare = bytes.len().saturating_sub(16);
    if bytes[..spare].iter().any(|&byte| byte != sign) {
        return None;
    }
    let start = if negative { -1 } else { 0 };
    Some(bytes[spare..].iter().fold(start, |value, &byte| value << 8 | i128::from(byte)))
}

pub(super) fn class_names(metadata: &ParquetMetaData) -> BTreeMap<String, Vec<String>> {
    let entries = metadata.file_metadata().key_value_metadata();
    let entry = entries.into_iter().flatten().find(|entry| entry.key == "huggingface");
    let json = entry.and_then(|entry| entry.value.as_deref());
    let value: serde_json::Value = json.and_then(|json| serde_json::from_str(json).ok()).unwrap_or_default();
    let features = value["info"]["features"].as_object().into_iter().flatten();
    let names = features.filter_map(|(column, feature)| {
        // Of a list the names are those of its elements.
        let of_list = if feature.is_array() { &feature[0] } else { &feature["feature"] };
        let names = feature["names"].as_array().or_else(|| of_list["names"].as_array())?;
        let names: Option<Vec<String>> = names.iter().map(|name| name.as_str().map(str::to_owned)).collect();
        Some((column.clone(), names?))
    });
    names.collect()
}
