//! Trained vectors as files: GloVe's text, and the parameters as the C tool writes them.

use std::io::{self, Write};

use rayon::prelude::*;

use super::parameters::{Parameters, Side};
use super::vocabulary::Vocabulary;
use crate::bases::text::UNKNOWN_WORD;
use crate::settings::{Glove, GloveModel};

/// The rarest words, whose mean stands for unknown ones.
const RAREST: usize = 100;
/// Rows that are written at once.
const ROWS: usize = 1024;

/// What is written for a word.
fn numbers(parameters: &Parameters, word: usize, model: GloveModel, into: &mut Vec<f32>) {
    into.clear();
    let (words, contexts) = (parameters.vector(Side::Word, word), parameters.vector(Side::Context, word));
    match model {
        GloveModel::All => {
            into.extend(parameters.with_bias(Side::Word, word));
            into.extend(parameters.with_bias(Side::Context, word));
        }
        GloveModel::Word => into.extend_from_slice(words),
        GloveModel::Sum => into.extend(words.iter().zip(contexts).map(|(word, context)| word + context)),
        GloveModel::Both => {
            into.extend_from_slice(words);
            into.extend_from_slice(contexts);
        }
    }
}

/// Numbers of a row of the file of vectors.
pub(super) fn width(columns: usize, model: GloveModel) -> usize {
    match model {
        GloveModel::All => 2 * (columns + 1),
        GloveModel::Word | GloveModel::Sum => columns,
        GloveModel::Both => 2 * columns,
    }
}

/// The vector of unknown words: the mean of those of the 100 rarest.
fn unknown(parameters: &Parameters, model: GloveModel) -> Vec<f32> {
    let rarest = parameters.words.min(RAREST);
    let mut mean = vec![0.0_f64; width(parameters.columns, model)];
    let mut row = Vec::new();
    for word in parameters.words - rarest..parameters.words {
        numbers(parameters, word, model, &mut row);
        mean.iter_mut().zip(&row).for_each(|(mean, &number)| *mean += f64::from(number) / rarest as f64);
    }
    mean.into_iter().map(|number| number as f32).collect()
}

/// A word and its numbers, with six digits after the point.
pub(super) fn line(word: &str, numbers: impl IntoIterator<Item = f32>, to: &mut Vec<u8>) {
    to.extend_from_slice(word.as_bytes());
    for number in numbers {
        to.push(b' ');
        fixed(number, to);
    }
    to.push(b'\n');
}

/// As `%.6f` of C writes it.
fn fixed(number: f32, to: &mut Vec<u8>) {
    // An f32 times a million is exact in f64 (24 + 20 bits); halves go to the even digit, as the exact decimal fraction does.
    let millionths = (f64::from(number) * 1e6).round_ties_even();
    if millionths.abs() < 1e15 {
        let whole = millionths.abs() as u64;
        if number.is_sign_negative() {
            to.push(b'-');
        }
        let mut digits = [b'0'; 24];
        let mut at = digits.len();
        let mut rest = whole;
        while rest > 0 || digits.len() - at < 7 {
            at -= 1;
            digits[at] = b'0' + (rest % 10) as u8;
            rest /= 10;
        }
        let point = digits.len() - 6;
        to.extend_from_slice(&digits[at..point]);
        to.push(b'.');
        to.extend_from_slice(&digits[point..]);
    } else {
        let _ = write!(to, "{number:.6}");
    }
}

/// Writes lines of rows, many at once on all threads.
fn in_parts(rows: usize, to: &mut dyn Write, line: impl Fn(usize, &mut Vec<u8>) + Sync) -> io::Result<()> {
    let step = ROWS * rayon::current_num_threads();
    for from in (0..rows).step_by(step) {
        let parts: Vec<Vec<u8>> = (from..(from + step).min(rows))
            .into_par_iter()
            .chunks(ROWS)
            .map(|rows| {
                let mut text = Vec::new();
                rows.into_iter().for_each(|row| line(row, &mut text));
                text
            })
            .collect();
        parts.iter().try_for_each(|part| to.write_all(part))?;
    }
    Ok(())
}

/// Rows of words that the vocabulary does not have.
pub(super) struct Extra<'a> {
    pub(super) rows: usize,
    /// Writes the line of a row.
    pub(super) line: &'a (dyn Fn(usize, &mut Vec<u8>) + Sync),
}

impl Extra<'_> {
    /// None.
    pub(super) const NONE: Self = Self { rows: 0, line: &|_, _| {} };
}

/// `vectors.txt`: a word and its numbers on each line, the most frequent word first, the vector of unknown words last where one is
/// asked for; a header, where one is asked for, counts it. `extra` writes rows of other words in between.
pub(super) fn write_text(
    parameters: &Parameters,
    vocabulary: &Vocabulary,
    settings: &Glove,
    extra: &Extra<'_>,
    to: &mut dyn Write,
) -> io::Result<()> {
    let model = settings.model;
    if settings.write_header {
        let rows = parameters.words + extra.rows + usize::from(settings.unk);
        writeln!(to, "{rows} {}", width(parameters.columns, model))?;
    }
    in_parts(parameters.words, to, |word, text| {
        let mut row = Vec::new();
        numbers(parameters, word, model, &mut row);
        line(vocabulary.word(word), row, text);
    })?;
    in_parts(extra.rows, to, |row, text| (extra.line)(row, text))?;
    if settings.unk {
        let mut text = Vec::new();
        line(UNKNOWN_WORD, unknown(parameters, model), &mut text);
        to.write_all(&text)?;
    }
    Ok(())
}

/// `gradsq.txt`: sums of squared gradients of both rows of each word, biases last.
pub(super) fn write_squares(parameters: &Parameters, vocabulary: &Vocabulary, to: &mut dyn Write) -> io::Result<()> {
    in_parts(parameters.words, to, |word, text| {
        let squares = parameters.squares(Side::Word, word).chain(parameters.squares(Side::Context, word));
        line(vocabulary.word(word), squares, text);
    })
}

/// `vectors.bin` or `gradsq.bin` in the C tool's form: float64, the rows of all words, then those of all contexts, each with
/// its bias last.
pub(super) fn write_binary(parameters: &Parameters, squares: bool, to: &mut dyn Write) -> io::Result<()> {
    for side in [Side::Word, Side::Context] {
        for word in 0..parameters.words {
            let mut bytes = Vec::with_capacity((parameters.columns + 1) * 8);
            let mut push = |number: f32| bytes.extend_from_slice(&f64::from(number).to_le_bytes());
            match squares {
                true => parameters.squares(side, word).for_each(&mut push),
                false => parameters.with_bias(side, word).for_each(&mut push),
            }
            to.write_all(&bytes)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_as_c_does() {
        let written = |number: f32| {
            let mut text = Vec::new();
            fixed(number, &mut text);
            String::from_utf8(text).unwrap()
        };
        for (number, expected) in [
            (0.0, "0.000000"),
            (-0.0, "-0.000000"),
            (-1e-9, "-0.000000"),
            (0.5, "0.500000"),
            (-12.345_678, "-12.345678"),
            (1_234_567.9, "1234567.875000"),
            (f32::MAX, "340282346638528859811704183484516925440.000000"),
        ] {
            assert_eq!(written(number), expected);
        }
        let mut random = crate::rng::rng(1, "test", 0);
        for _ in 0..20_000 {
            let number: f32 = (rand::RngExt::random::<f32>(&mut random) - 0.5) * 8.0;
            assert_eq!(written(number), format!("{:.6}", f64::from(number)));
        }
    }
}
