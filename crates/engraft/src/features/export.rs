//! Features as files that other programs read: NumPy, Parquet, JSON lines.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use npyz::WriterBuilder;
use parquet::basic::Compression;
use parquet::data_type::{ByteArray, ByteArrayType, FloatType, Int64Type};
use parquet::file::properties::WriterProperties;
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::parser::parse_message_type;

use crate::error::{Error, Problem, Result};
use crate::features::Features;
use crate::files::{self, Aside};

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

    /// What a file of this format begins with.
    fn magic(self) -> &'static [u8] {
        match self {
            Format::Npy => b"\x93NUMPY",
            Format::Parquet => b"PAR1",
            Format::JsonLines => b"{\"row\":",
        }
    }
}

/// The header of the index beside features.
pub const INDEX_HEADER: [&str; 3] = ["row", "path", "sha256"];

/// Checks, before any work, that features may be written to `out` and their index beside it, `OUT.index.csv`, whose path is
/// given back. With `force` they may replace features and an index that [`write_features`] made.
///
/// # Errors
/// As [`files::claim_file`].
pub fn claim_features(out: &Path, format: Format, force: bool, inputs: &[(&str, &Path)]) -> Result<PathBuf> {
    let mut index = out.as_os_str().to_owned();
    index.push(".index.csv");
    let index = PathBuf::from(index);
    let is_index = |path: &Path| files::begins_with(path, INDEX_HEADER.join(",").as_bytes());
    // Other programs write such files too: the index beside tells ours.
    files::claim_file(out, force, inputs, |path| is_index(&index) && files::begins_with(path, format.magic()))?;
    files::claim_file(&index, force, inputs, is_index)?;
    Ok(index)
}

/// Some of the rows that are written, and their names.
pub(crate) type Part = (Features, Vec<String>);

/// Writes features to `path`, complete or not at all. `names` are the rows' images. Without `replace` a file that is there
/// by then is an error.
pub fn write_features(path: &Path, format: Format, features: &Features, names: &[String], replace: bool) -> Result<()> {
    let size = [features.rows, features.columns];
    let parts = (0..features.rows).step_by(GROUP).map(|begin| {
        let rows: Vec<usize> = (begin..(begin + GROUP).min(features.rows)).collect();
        let names = names[begin..begin + rows.len()].to_vec();
        Ok((features.select(&rows), names))
    });
    write_parts(path, format, size, parts, replace)
}

/// Writes `[rows, columns]` features that come part by part to `path`, complete or not at all: more than memory holds.
///
/// # Errors
/// What a part fails with; a file that cannot be written; parts that are not `rows` rows together.
pub(crate) fn write_parts(
    path: &Path,
    format: Format,
    [rows, columns]: [usize; 2],
    parts: impl Iterator<Item = Result<Part>>,
    replace: bool,
) -> Result<()> {
    let mut file = Aside::create(path, replace)?;
    let failed = |source: std::io::Error| Error::write(path, &source);
    let mut counted = 0;
    let parts = parts.inspect(|part| counted += part.as_ref().map_or(0, |(features, _)| features.rows));
    match format {
        Format::Npy => npy(&mut file, [rows, columns], parts, &failed),
        Format::Parquet => parquet(&mut file, parts, &failed),
        Format::JsonLines => json_lines(&mut file, parts, &failed),
    }?;
    if counted != rows {
        let problem = Problem::new("the rows changed while they were written").expected(rows).found(counted);
        return Err(Error::Data(problem.at(path)));
    }
    file.commit()
}

type Failed<'a> = &'a dyn Fn(std::io::Error) -> Error;

fn npy(
    file: &mut Aside,
    size: [usize; 2],
    parts: impl Iterator<Item = Result<Part>>,
    failed: Failed<'_>,
) -> Result<()> {
    let shape = size.map(|length| length as u64);
    let mut writer = npyz::WriteOptions::new().default_dtype().shape(&shape).writer(file).begin_nd().map_err(failed)?;
    for part in parts {
        let (features, _) = part?;
        writer.extend(features.values).map_err(failed)?;
    }
    writer.finish().map_err(failed)
}

fn parquet(file: &mut Aside, parts: impl Iterator<Item = Result<Part>>, failed: Failed<'_>) -> Result<()> {
    let other = |source: parquet::errors::ParquetError| failed(std::io::Error::other(source.to_string()));
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
    let mut before = 0;
    for part in parts {
        let (features, names) = part?;
        let mut group = writer.next_row_group().map_err(other)?;
        let numbers: Vec<i64> = (before..before + features.rows).map(|row| row as i64).collect();
        before += features.rows;
        let paths: Vec<ByteArray> = names.iter().map(|name| name.as_str().into()).collect();
        let values = &features.values;
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

fn json_lines(file: &mut Aside, parts: impl Iterator<Item = Result<Part>>, failed: Failed<'_>) -> Result<()> {
    let mut out = std::io::BufWriter::new(file);
    let mut row = 0;
    for part in parts {
        let (features, names) = part?;
        for (at, name) in names.iter().enumerate() {
            let line = serde_json::json!({ "row": row, "path": name, "features": features.row(at) });
            writeln!(out, "{line}").map_err(failed)?;
            row += 1;
        }
    }
    out.flush().map_err(failed)
}
