//! finalfusion's files (`.fifu`): chunks of a vocabulary, an array, lengths and metadata.
//!
//! The format is that of the crate `finalfusion` 0.18: a header (`FiFu`, version 0, the chunks' kinds), then chunks of a kind, a
//! length in bytes and contents. Arrays begin at a multiple of four bytes, with one to four bytes of padding before.

use std::io::Write;
use std::path::Path;

use crate::bases::text::subwords::{Hashing, Subwords};
use crate::bases::text::vector_rows::{Bytes, COLUMNS, Rows, WORD};
use crate::bases::text::vectors::WordVectors;
use crate::error::{Error, Problem, Result};
use crate::files::open_regular;

/// What a file begins with.
pub(super) const MAGIC: &[u8; 4] = b"FiFu";
/// f32 among the types of numbers.
const F32: u32 = 10;
const SIMPLE: u32 = 1;
const ARRAY: u32 = 2;
const BUCKETS: u32 = 3;
const NORMS: u32 = 6;
const FASTTEXT: u32 = 7;
const EXPLICIT: u32 = 8;
/// Chunks by their numbers.
const NAMES: [&str; 10] = [
    "a header",
    "a vocabulary",
    "an array",
    "a vocabulary with hashed n-grams",
    "a quantised array",
    "metadata",
    "lengths",
    "a vocabulary with fastText's n-grams",
    "a vocabulary with listed n-grams",
    "a vocabulary with floret's n-grams",
];
/// Most chunks of a file.
const CHUNKS: u32 = 16;

/// Reads a file. Rows are multiplied by their lengths where these are kept.
pub(super) fn read(path: &Path) -> Result<WordVectors> {
    let mut bytes = Bytes::open(path)?;
    bytes.skip(4, "the sign")?;
    let version = bytes.u32("the version")?;
    let listed = bytes.u32("the number of chunks")?;
    if version != 0 || listed == 0 || listed > CHUNKS {
        let found = format!("version {version} with {listed} chunks");
        return Err(bytes.wrong(
            "this finalfusion file cannot be read",
            format!("version 0, 1 to {CHUNKS} chunks"),
            found,
        ));
    }
    bytes.skip(u64::from(listed) * 4, "the list of chunks")?;
    let (mut words, mut array, mut norms, mut hashing) = (None, None, None, None);
    let mut is_explicit = false;
    while bytes.left() > 0 {
        let kind = bytes.u32("a chunk's kind")?;
        let length = bytes.u64("a chunk's length")?;
        bytes.check(length, 1, "bytes of a chunk")?;
        let end = bytes.at() + length;
        match kind {
            SIMPLE | BUCKETS | FASTTEXT | EXPLICIT => {
                let count = bytes.u64("the number of words")?;
                if kind == EXPLICIT {
                    bytes.skip(8, "the number of n-grams")?;
                    is_explicit = true;
                }
                if kind != SIMPLE {
                    let lengths = [bytes.u32("n-grams")?, bytes.u32("n-grams")?];
                    let buckets = if kind == EXPLICIT { 0 } else { bytes.u32("the number of buckets")? };
                    let is_wrong = lengths[0] > lengths[1] || lengths[1] > 64 || (kind == BUCKETS && buckets > 40);
                    if is_wrong || (kind == FASTTEXT && buckets == 0) {
                        let found = format!("n-grams of {} to {}, buckets {buckets}", lengths[0], lengths[1]);
                        return Err(bytes.wrong(
                            "the vocabulary is damaged",
                            "n-grams of at most 64 characters",
                            found,
                        ));
                    }
                    hashing = match kind {
                        BUCKETS => Some((Hashing::Finalfusion { exponent: buckets }, lengths, 1u64 << buckets)),
                        FASTTEXT => Some((Hashing::FastText { rows: buckets.into() }, lengths, buckets.into())),
                        _ => None,
                    };
                }
                let count = bytes.check(count, 4, "words")?;
                let mut rows = Rows::default();
                for _ in 0..count {
                    let length = bytes.u32("a word's length")? as usize;
                    if length == 0 || length > WORD {
                        return Err(bytes.wrong("a word is damaged", format!("1 to {WORD} bytes"), length));
                    }
                    let mut word = vec![0; length];
                    bytes.fill(&mut word, "a word")?;
                    rows.push(&word);
                }
                words = Some(rows);
            }
            ARRAY => {
                let (rows, columns, kind) = (bytes.u64("rows")?, bytes.u32("columns")?, bytes.u32("a type")?);
                if kind != F32 || columns == 0 || columns as usize > COLUMNS {
                    let found = format!("{columns} columns of type {kind}");
                    return Err(bytes.wrong("the array cannot be read", "columns of f32 (type 10)", found));
                }
                pad(&mut bytes)?;
                let start = bytes.at();
                bytes.check(rows.saturating_mul(u64::from(columns)), 4, "numbers")?;
                // Rows of n-grams stay where they are.
                let known = words.as_ref().map_or(rows, |words: &Rows| words.words.len() as u64);
                if words.is_none() || known > rows {
                    let found = format!("{rows} rows");
                    return Err(bytes.wrong(
                        "the array does not fit the vocabulary",
                        format!("{known} words before it"),
                        found,
                    ));
                }
                let values = bytes.floats(known as usize, columns as usize, "a row")?;
                array = Some((rows, columns as usize, start, values));
            }
            NORMS => {
                let count = bytes.u64("the number of lengths")?;
                let kind = bytes.u32("a type")?;
                if kind != F32 {
                    return Err(bytes.wrong("the lengths cannot be read", "f32 (type 10)", format!("type {kind}")));
                }
                pad(&mut bytes)?;
                let count = bytes.check(count, 4, "lengths")?;
                norms = Some(bytes.floats(count, 1, "a length")?);
            }
            // Metadata is for readers.
            5 => {}
            other => {
                let name = NAMES.get(other as usize).copied().unwrap_or("an unknown chunk");
                let problem = Problem::new("this kind of finalfusion file is not read");
                let problem = problem.expected("a plain array, and a vocabulary of words or of hashed n-grams");
                let problem = problem.found(format_args!("{name} (kind {other})")).at(path);
                return Err(Error::Weights(
                    problem.hint("`finalfusion convert` writes word2vec's and GloVe's formats"),
                ));
            }
        }
        if bytes.at() > end {
            return Err(bytes.wrong("a chunk is longer than it says", format!("its end at byte {end}"), "more"));
        }
        bytes.skip(end - bytes.at(), "the rest of a chunk")?;
    }
    let (Some(mut rows), Some((total, columns, start, values))) = (words, array) else {
        return Err(bytes.wrong("the finalfusion file is not whole", "a vocabulary and an array", "one of them"));
    };
    let known = rows.words.len();
    let expected = known as u64 + hashing.as_ref().map_or(0, |(_, _, buckets)| *buckets);
    if total != expected && !is_explicit {
        let expected = format!("{expected} rows");
        return Err(bytes.wrong("the array does not fit the vocabulary", expected, format!("{total} rows")));
    }
    rows.values = values;
    if let Some(norms) = &norms {
        if norms.len() != known {
            return Err(bytes.wrong("the lengths do not fit the vocabulary", known, norms.len()));
        }
        rows.values
            .chunks_exact_mut(columns)
            .zip(norms)
            .for_each(|(row, norm)| row.iter_mut().for_each(|x| *x *= norm));
    }
    let mut vectors = rows.finish(columns, None, path)?;
    if vectors.len() != known {
        return Err(bytes.wrong("the vocabulary is damaged", "each word once", "a word that comes twice"));
    }
    match hashing {
        Some((hashing, [shortest, longest], _)) => vectors.set_subwords(Subwords {
            hashing,
            shortest: shortest as usize,
            longest: longest as usize,
            file: open_regular(path).map_err(|source| Error::read(path, &source))?,
            path: path.to_owned(),
            start: start + (known * columns * 4) as u64,
            columns,
        }),
        None if is_explicit => {
            vectors.remark("the n-grams of the vocabulary are listed one by one, and not read".into());
        }
        None => {}
    }
    Ok(vectors)
}

fn pad(bytes: &mut Bytes<'_>) -> Result<()> {
    bytes.skip(4 - bytes.at() % 4, "padding")
}

/// Writes vectors as a plain vocabulary, an array of rows of length 1, and their lengths.
pub(super) fn write(vectors: &WordVectors, file: &mut impl Write) -> std::io::Result<()> {
    let (words, columns) = (vectors.len() as u64, vectors.columns());
    let length = |row: &[f32]| row.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
    let norms: Vec<f64> = (0..vectors.len()).map(|row| length(vectors.at(row))).collect();
    let mut at = 0u64;
    let mut put = |bytes: &[u8]| {
        at += bytes.len() as u64;
        file.write_all(bytes).map(|()| at)
    };
    put(MAGIC)?;
    for number in [0, 3, SIMPLE, ARRAY, NORMS] {
        put(&u32::to_le_bytes(number))?;
    }
    put(&SIMPLE.to_le_bytes())?;
    let text: u64 = vectors.words().map(|word| 4 + word.len() as u64).sum();
    put(&(8 + text).to_le_bytes())?;
    put(&words.to_le_bytes())?;
    for word in vectors.words() {
        put(&(word.len() as u32).to_le_bytes())?;
        put(word.as_bytes())?;
    }
    let before = put(&ARRAY.to_le_bytes())?;
    // Behind the length: rows, columns and the type.
    let padding = 4 - (before + 8 + 16) % 4;
    put(&(16 + padding + words * columns as u64 * 4).to_le_bytes())?;
    put(&words.to_le_bytes())?;
    put(&(columns as u32).to_le_bytes())?;
    put(&F32.to_le_bytes())?;
    put(&[0; 4][..padding as usize])?;
    for (row, norm) in norms.iter().enumerate() {
        let scale = if *norm > 0.0 { 1.0 / norm } else { 0.0 };
        let bytes: Vec<u8> =
            vectors.at(row).iter().flat_map(|x| ((f64::from(*x) * scale) as f32).to_le_bytes()).collect();
        put(&bytes)?;
    }
    let before = put(&NORMS.to_le_bytes())?;
    let padding = 4 - (before + 8 + 12) % 4;
    put(&(12 + padding + words * 4).to_le_bytes())?;
    put(&words.to_le_bytes())?;
    put(&F32.to_le_bytes())?;
    put(&[0; 4][..padding as usize])?;
    for norm in norms {
        put(&(norm as f32).to_le_bytes())?;
    }
    Ok(())
}
