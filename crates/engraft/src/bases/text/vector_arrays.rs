//! Word vectors as an array with a list of words beside it: NumPy's `.npy`, safetensors, and the parameters that GloVe's C program
//! saves (`.bin`).

use std::io::{BufReader, Seek, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use engraft_weights::{Tensor, Tensors};
use npyz::{DType, NpyFile, Order, TypeChar, WriterBuilder};

use crate::bases::text::vector_rows::{COLUMNS, Rows, WordList, too_many};
use crate::bases::text::vectors::WordVectors;
use crate::error::{Error, Problem, Result, printable};
use crate::files::open_regular;
use crate::guard::guarded;
use crate::weight_files;

/// What an array begins with.
pub(super) const NPY: &[u8] = b"\x93NUMPY";
/// Endings of the list of words beside `NAME.npy` and `NAME.safetensors`.
const ENDINGS: [&str; 4] = [".words.txt", ".words", ".vocab", ".txt"];
/// Names of a list of words in the same folder.
const NAMES: [&str; 3] = ["words.txt", "vocab.txt", "vectors.words"];

/// The list of words of an array, if there is one.
pub(super) fn words_of(path: &Path) -> Option<PathBuf> {
    WordList::beside(path, &ENDINGS, &NAMES)
}

fn list_of(path: &Path) -> Result<WordList> {
    let Some(beside) = words_of(path) else {
        let stem = path.file_stem().map(|stem| printable(Path::new(stem))).unwrap_or_default();
        let problem = Problem::new("there is no list of words beside the array of word vectors");
        let problem =
            problem.expected(format_args!("{stem}.words.txt: a word in each line, one for each row")).at(path);
        return Err(Error::Weights(problem));
    };
    WordList::read(&beside)
}

fn together(list: WordList, columns: usize, values: Vec<f32>, path: &Path) -> Result<WordVectors> {
    list.check(values.len() / columns.max(1), path)?;
    let count = list.words.len();
    let ranks = match list.ranks {
        Some(ranks) => ranks,
        None => (0..u32::try_from(count).map_err(|_| too_many(path))?).collect(),
    };
    let total = ranks.iter().map(|rank| *rank as usize + 1).max().unwrap_or(0).max(count);
    if let Some(at) = values.iter().position(|value| !value.is_finite()) {
        let problem = Problem::new(format_args!("row {} of the word vectors is damaged", at / columns + 1));
        return Err(Error::Weights(problem.expected("finite numbers").found(values[at]).at(path)));
    }
    WordVectors::ranked(list.words, columns, values, ranks, total)
}

/// Reads an array of f32 or f64, `[words, columns]`.
pub(super) fn read_npy(path: &Path) -> Result<WordVectors> {
    let broken = |found: &dyn std::fmt::Display| {
        let problem = Problem::new("the array of word vectors cannot be read").found(found);
        Error::Weights(problem.expected("a NumPy array of f32 or f64 with two axes").at(path))
    };
    let mut file = open_regular(path).map_err(|source| Error::read(path, &source))?;
    let size = file.metadata().map_err(|source| Error::read(path, &source))?.len();
    // The header's length is checked before the header is read: it may say four gigabytes.
    let mut head = [0; 12];
    file.read_exact_at(&mut head, 0).map_err(|_| broken(&"a file that ends within its header"))?;
    let header = match head[6] {
        1 => 10 + u64::from(u16::from_le_bytes([head[8], head[9]])),
        _ => 12 + u64::from(u32::from_le_bytes([head[8], head[9], head[10], head[11]])),
    };
    if header > (1 << 16) {
        return Err(broken(&format!("a header of {header} bytes")));
    }
    file.rewind().map_err(|source| Error::read(path, &source))?;
    let npy = guarded("the reader of arrays", || NpyFile::new(BufReader::new(file)))
        .map_err(|panicked| broken(&panicked))?
        .map_err(|source| broken(&source))?;
    let DType::Plain(dtype) = npy.dtype() else { return Err(broken(&"a structured array")) };
    let (kind, width) = (dtype.type_char(), dtype.num_bytes().unwrap_or(0));
    let shape = npy.shape().to_vec();
    let &[rows, columns] = shape.as_slice() else { return Err(broken(&format!("the shape {shape:?}"))) };
    if kind != TypeChar::Float || ![4, 8].contains(&width) {
        return Err(broken(&format!("the type {dtype}")));
    }
    let needed = rows.checked_mul(columns).and_then(|count| count.checked_mul(width as u64));
    if columns == 0 || columns > COLUMNS as u64 || needed != Some(size.saturating_sub(header)) {
        return Err(broken(&format!("{size} bytes, which do not fit the shape {shape:?} of {dtype}")));
    }
    let (rows, columns, order) = (rows as usize, columns as usize, npy.order());
    let list = list_of(path)?;
    list.check(rows, path)?;
    let read = guarded("the reader of arrays", || -> std::result::Result<Vec<f32>, String> {
        let text = |error: std::io::Error| error.to_string();
        match width {
            4 => npy.data::<f32>().map_err(|e| e.to_string())?.map(|x| x.map_err(text)).collect(),
            _ => npy.data::<f64>().map_err(|e| e.to_string())?.map(|x| x.map(|x| x as f32).map_err(text)).collect(),
        }
    });
    let mut values = read.map_err(|panicked| broken(&panicked))?.map_err(|source| broken(&source))?;
    if order == Order::Fortran {
        values = (0..rows)
            .flat_map(|row| (0..columns).map(move |column| (row, column)))
            .map(|(row, column)| values[column * rows + row])
            .collect();
    }
    let mut vectors = together(list, columns, values, path)?;
    if width == 8 {
        vectors.remark("numbers of 64 bits were rounded to 32".into());
    }
    Ok(vectors)
}

/// Writes an array of f32.
pub(super) fn write_npy(vectors: &WordVectors, file: &mut impl Write) -> std::io::Result<()> {
    let shape = [vectors.len() as u64, vectors.columns() as u64];
    let mut writer = npyz::WriteOptions::new().default_dtype().shape(&shape).writer(file).begin_nd()?;
    writer.extend(vectors.values().iter().copied())?;
    writer.finish()
}

/// Reads the tensor `vectors`, or the only one with two axes, and the list of words beside.
pub(super) fn read_safetensors(path: &Path) -> Result<WordVectors> {
    let fail = |source: engraft_weights::Error| weight_files::unreadable(&source, path);
    let source = weight_files::source(path).map_err(|source| Error::read(path, &source))?;
    let opened = weight_files::open(source).map_err(fail)?;
    let tables: Vec<String> = (opened.headers().tensors.iter())
        .filter(|(_, tensor)| tensor.shape.len() == 2)
        .map(|(name, _)| name.clone())
        .collect();
    let name =
        match tables.iter().find(|name| *name == "vectors").or(if tables.len() == 1 { tables.first() } else { None }) {
            Some(name) => name,
            None => {
                let problem = Problem::new("the file holds no word vectors")
                    .expected("a tensor `vectors`, or one alone, of two axes");
                return Err(Error::Weights(problem.found(format_args!("{} of two axes", tables.len())).at(path)));
            }
        };
    let Some(tensor) = opened.tensor(name).map_err(fail)? else {
        return Err(Error::Weights(Problem::new("the file holds no word vectors").at(path)));
    };
    let Tensor { shape, values, .. } = tensor.into_owned();
    if shape[1] == 0 || shape[1] > COLUMNS {
        let problem = Problem::new("the file holds no word vectors").expected(format_args!("1 to {COLUMNS} columns"));
        return Err(Error::Weights(problem.found(shape[1]).at(path)));
    }
    together(list_of(path)?, shape[1], values, path)
}

/// The vocabulary of parameters that GloVe's C program saved, if there is one.
pub(super) fn vocabulary_of(path: &Path) -> Option<PathBuf> {
    WordList::beside(path, &[".vocab.txt", ".vocab"], &["vocab.txt"])
}

/// Reads the parameters that GloVe's C program saves with `-binary 1` or `2`, `2 words (columns + 1)` numbers of 64 bits: a row for
/// each word, the last number its bias, then the same for contexts. A word's vector is the sum of both without biases, as in the
/// program's text (`-model 2`).
pub(super) fn read_c_parameters(path: &Path, vocabulary: &Path) -> Result<WordVectors> {
    let file = open_regular(path).map_err(|source| Error::read(path, &source))?;
    let size = file.metadata().map_err(|source| Error::read(path, &source))?.len();
    let list = WordList::read(vocabulary)?;
    let words = list.words.len() as u64;
    if size % 16 != 0 {
        let problem = Problem::new("the parameters are cut off").expected("a multiple of 16 bytes");
        return Err(Error::Weights(problem.found(format_args!("{size} bytes")).at(path)));
    }
    let width = (size / 16).checked_div(words).unwrap_or(0);
    if words == 0 || size / 16 % words != 0 || width < 2 || width > COLUMNS as u64 {
        let problem = Problem::new("the parameters do not belong to the vocabulary beside them");
        let problem = problem.expected(format_args!("2 x {words} rows of equally many numbers of 8 bytes"));
        let problem = problem.found(format_args!("{size} bytes")).at(path);
        let hint = format!("is {} of another run?", printable(vocabulary));
        return Err(Error::Weights(problem.hint(hint)));
    }
    let (count, width) = (words as usize, width as usize);
    let mut rows = Rows { words: list.words, ..Rows::default() };
    rows.values.reserve_exact(count * (width - 1));
    let (mut own, mut context) = (vec![0; width * 8], vec![0; width * 8]);
    let number = |bytes: &[u8], at: usize| {
        let part: [u8; 8] = bytes[at * 8..at * 8 + 8].try_into().unwrap_or_default();
        f64::from_le_bytes(part)
    };
    for row in 0..count {
        let place = (row * width * 8) as u64;
        let read = file.read_exact_at(&mut own, place);
        let read = read.and_then(|()| file.read_exact_at(&mut context, place + words * width as u64 * 8));
        read.map_err(|source| Error::read(path, &source))?;
        for column in 0..width - 1 {
            let value = number(&own, column) + number(&context, column);
            if !(value as f32).is_finite() {
                let problem = Problem::new(format_args!("row {} of the parameters is damaged", row + 1));
                let problem =
                    problem.expected("finite numbers").found(format_args!("{value} in column {}", column + 1));
                return Err(Error::Weights(problem.at(path)));
            }
            rows.values.push(value as f32);
        }
    }
    let mut vectors = rows.finish(width - 1, None, path)?;
    vectors.remark(
        "vectors of words and contexts were added; biases are left out; numbers of 64 bits were rounded to 32".into(),
    );
    Ok(vectors)
}
