//! Features as files that other programs read: NumPy, Parquet, JSON lines.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use npyz::WriterBuilder;
use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, FloatType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use crate::error::{Error, Problem, Result};
use crate::features::Features;
use crate::files::Aside;

/// Rows of one row group of a Parquet file.
const GROUP: usize = 4096;

/// The formats of features.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// NumPy's `.npy`: f32, `[rows, columns]`, C order.
    Npy,
    /// Parquet: `row`, `path`, and `features`, a list of f32.
    Parquet,
    /// One JSON object a line: `row`, `path`, `features`.
    JsonLines,
}

impl Format {
    /// The format that a file's ending names.
    pub fn of(path: &Path) -> Result<Self> {
        let ending = path.extension().map(|ending| ending.to_string_lossy().to_ascii_lowercase());
        match ending.as_deref() {
            Some("npy") => Ok(Format::Npy),
            Some("parquet") => Ok(Format::Parquet),
            Some("jsonl" | "ndjson") => Ok(Format::JsonLines),
            _ => Err(Error::Usage(
                Problem::new("the output's ending names no format of features")
                    .expected(".npy, .parquet or .jsonl")
                    .at(path),
            )),
        }
    }
}

/// Writes features to `path`, complete or not at all. `names` are the rows' pictures.
pub fn write_features(path: &Path, format: Format, features: &Features, names: &[String]) -> Result<()> {
    let mut file = Aside::create(path)?;
    let written = match format {
        Format::Npy => npy(&mut file, features),
        Format::Parquet => parquet(&mut file, features, names),
        Format::JsonLines => json_lines(&mut file, features, names),
    };
    written.map_err(|source| Error::write(path, &source))?;
    file.commit()
}

fn npy(file: &mut Aside, features: &Features) -> std::io::Result<()> {
    let shape = [features.rows as u64, features.columns as u64];
    let mut writer = npyz::WriteOptions::new().default_dtype().shape(&shape).writer(file).begin_nd()?;
    writer.extend(&features.values)?;
    writer.finish()
}

fn parquet(file: &mut Aside, features: &Features, names: &[String]) -> std::io::Result<()> {
    let other = |source: parquet::errors::ParquetError| std::io::Error::other(source.to_string());
    let schema = "message features {
        required int64 row;
        required binary path (UTF8);
        required group features (LIST) { repeated group list { required float element; } }
    }";
    let schema = Arc::new(parse_message_type(schema).map_err(other)?);
    let properties = Arc::new(
        WriterProperties::builder().set_compression(Compression::SNAPPY).set_dictionary_enabled(false).build(),
    );
    let mut writer = SerializedFileWriter::new(file, schema, properties).map_err(other)?;
    for begin in (0..features.rows).step_by(GROUP) {
        let rows = begin..(begin + GROUP).min(features.rows);
        let mut group = writer.next_row_group().map_err(other)?;
        let numbers: Vec<i64> = rows.clone().map(|row| row as i64).collect();
        let paths: Vec<ByteArray> = names[rows.clone()].iter().map(|name| name.as_str().into()).collect();
        let values = &features.values[rows.start * features.columns..rows.end * features.columns];
        // The first element of every row begins a new list.
        let repetition: Vec<i16> = (0..values.len()).map(|i| i16::from(i % features.columns != 0)).collect();
        let definition = vec![1i16; values.len()];
        let mut position = 0;
        while let Some(mut column) = group.next_column().map_err(other)? {
            match position {
                0 => column.typed::<Int64Type>().write_batch(&numbers, None, None).map(drop),
                1 => column.typed::<ByteArrayType>().write_batch(&paths, None, None).map(drop),
                _ => column.typed::<FloatType>().write_batch(values, Some(&definition), Some(&repetition)).map(drop),
            }
            .map_err(other)?;
            column.close().map_err(other)?;
            position += 1;
        }
        group.close().map_err(other)?;
    }
    writer.close().map(drop).map_err(other)
}

fn json_lines(file: &mut Aside, features: &Features, names: &[String]) -> std::io::Result<()> {
    let mut out = std::io::BufWriter::new(file);
    for (row, name) in names.iter().enumerate() {
        let line = serde_json::json!({ "row": row, "path": name, "features": features.row(row) });
        writeln!(out, "{line}")?;
    }
    out.flush()
}
