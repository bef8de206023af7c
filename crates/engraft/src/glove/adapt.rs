//! Word vectors for a domain: published vectors go on learning from a small corpus and are pulled back to where they were.
//!
//! Dingwall and Potts 2018 ("Mittens: an extension of GloVe for learning domain-specialized representations", equation 6) add
//! mu |w + c - r|^2 to the cost of each word with a given vector r, and learn from a dense V x V matrix. Here nothing is ever V x V: the
//! gradient of the pull is shared out over the steps in which a row learns anyway, so that an epoch pulls a word as strongly whether it has
//! ten co-occurrences or a million. w and c are never in one block; each is pulled to where it stood when the epoch began, moved by half of
//! what the sum lacked then, which is the nearest place where the sum is r. Both begin at r / 2.
//!
//! Biases, which published vectors lack, begin where they fit the co-occurrences best as the vectors stand. Words of the corpus that the given vectors
//! do not have begin at random; words of the given vectors that the corpus does not have stay as they are, in the same space, since
//! the pull keeps the axes.

use std::collections::BTreeMap;
use std::path::Path;

use rayon::prelude::*;

use super::blocks::{Blocks, pair};
use super::kernel::stride;
use super::parameters::{Parameters, Side};
use super::pipeline::{Stage, Summary, Work};
use super::records::Records;
use super::train::check;
use super::vectors::{Extra, line};
use crate::bases::text::{UNKNOWN_WORD, WordVectors};
use crate::error::{Error, Problem, Result};
use crate::progress::Observer;
use crate::settings::{Glove, GloveModel};

/// Rounds in which biases of words and of contexts are fitted in turn.
const ROUNDS: usize = 3;

/// Trains the vectors of `base` further on the corpus of the settings, into the folder `out`, which holds what [`super::run`] makes: first
/// the words of the corpus, then those that the base alone has. Vectors are as long as those of the base. A run that was stopped goes on.
///
/// # Errors
/// As [`super::run`]; [`Error::Usage`] where no word of the corpus has a vector, or another `model` than the sum is asked for.
pub fn adapt(
    base: &WordVectors,
    out: &Path,
    force: bool,
    settings: &Glove,
    observer: &dyn Observer,
) -> Result<Summary> {
    let settings = &Glove { vector_size: base.columns(), ..settings.clone() };
    check(settings)?;
    settings.check_counting()?;
    if settings.model != GloveModel::Sum {
        let problem = Problem::new("invalid value for --model")
            .expected("the sum of both vectors, which the given ones stand for");
        return Err(Error::Usage(problem.found(settings.model)));
    }
    let mut inputs: Vec<(&str, &Path)> = settings.corpus.iter().map(|path| ("the corpus", path.as_path())).collect();
    inputs.extend(settings.base.iter().map(|path| ("the base", path.as_path())));
    let work = Work::open(out, force, &inputs, settings, observer)?;
    let mut stage = Stage { work: &work, settings, observer, seconds: BTreeMap::new() };
    let (vocabulary, tokens, different) = stage.vocabulary_and_records()?;
    let row_of = |word: &str| base.find(word).filter(|&row| base.word(row) == word);
    let given: Vec<Option<usize>> = vocabulary.words().map(row_of).collect();
    let shared = given.iter().flatten().count();
    if shared == 0 {
        let problem = Problem::new("no word of the corpus has a vector in the base").found(format_args!(
            "{} words of the corpus, `{}` first; {} of the base",
            vocabulary.len(),
            vocabulary.word(0),
            base.len()
        ));
        return Err(Error::Usage(problem.hint("are both in one language, and tokenised and lower-cased alike?")));
    }
    observer.say(&format!(
        "words of the corpus with a given vector: {shared}, without: {}; given words that the corpus lacks and that stay: {}",
        vocabulary.len() - shared,
        base.len() - shared
    ));
    let start = |parameters: &mut Parameters, blocks: &Blocks| {
        set_given(parameters, base, &given, &blocks.of_word, settings.pull);
        for _ in 0..ROUNDS {
            fit_biases(parameters, blocks, Side::Word)?;
            fit_biases(parameters, blocks, Side::Context)?;
        }
        Ok(())
    };
    let checksum = base.values().iter().fold(0, |sum, number| crc32c::crc32c_append(sum, &number.to_le_bytes()));
    let inputs = format!("base {} {checksum:08x} pull {}", base.len(), settings.pull);
    let records = Records::open(&work.folder.join("cooccurrence.bin"))?;
    let trained = stage.train(&records, &vocabulary, &inputs, Some(&start))?;
    let mut is_shared = vec![false; base.len()];
    given.iter().flatten().for_each(|&row| is_shared[row] = true);
    let carried: Vec<usize> =
        (0..base.len()).filter(|&row| !is_shared[row] && base.word(row) != UNKNOWN_WORD).collect();
    let extra = Extra {
        rows: carried.len(),
        line: &|at, text| line(base.word(carried[at]), base.at(carried[at]).iter().copied(), text),
    };
    let words = (vocabulary.len() + carried.len()) as u64;
    let summary = stage.summary([tokens, different], words, records.count(), &trained);
    work.finish(&trained, &vocabulary, &summary, &extra)?;
    Ok(summary)
}

/// Begins both vectors of a word at half of the given one, and sets how strongly a step pulls to it.
fn set_given(parameters: &mut Parameters, base: &WordVectors, given: &[Option<usize>], of_word: &[u32], pull: f64) {
    let (columns, stride) = (parameters.columns, stride(parameters.columns));
    for (word, row) in given.iter().enumerate().filter_map(|(word, row)| Some((word, (*row)?))) {
        let vector = base.at(row);
        for side in [Side::Word, Side::Context] {
            let row = parameters.row_mut(side, word);
            let (learned, kept) = row.split_at_mut(2 * stride);
            for ((learned, kept), &number) in learned.iter_mut().zip(&mut *kept).zip(vector) {
                (*learned, *kept) = (number / 2.0, number / 2.0);
            }
            kept[columns] = (4.0 * pull / f64::from(of_word[word].max(1))) as f32;
        }
    }
}

/// Sets the biases of one side to what fits best, all else as it is: the mean of ln X - w c - the other bias, weighted by f(X).
fn fit_biases(parameters: &mut Parameters, blocks: &Blocks, side: Side) -> Result<()> {
    let (columns, length) = (parameters.columns, parameters.row_length());
    let count = parameters.sides[0].len();
    let fitted: Vec<Result<Vec<f32>>> = (0..count)
        .into_par_iter()
        .map(|own| {
            let rows = parameters.sides[side as usize][own].len() / length;
            let mut sums = vec![(0.0_f64, 0.0_f64); rows];
            for other in 0..count {
                let (word_block, context_block) = if side == Side::Word { (own, other) } else { (other, own) };
                blocks.each(word_block, context_block, |part| {
                    for pair in part.iter().map(pair) {
                        let word = &parameters.sides[0][word_block][pair.word as usize * length..][..columns + 2];
                        let context =
                            &parameters.sides[1][context_block][pair.context as usize * length..][..columns + 2];
                        let product: f32 = word.iter().zip(context).map(|(word, context)| word * context).sum();
                        let (row, bias) = match side {
                            Side::Word => (pair.word, word[columns]),
                            Side::Context => (pair.context, context[columns + 1]),
                        };
                        let weight = f64::from(pair.weight);
                        let sum = &mut sums[row as usize];
                        sum.0 += weight * f64::from(pair.log - product + bias);
                        sum.1 += weight;
                    }
                })?;
            }
            Ok(sums.iter().map(|(sum, weight)| if *weight > 0.0 { (sum / weight) as f32 } else { 0.0 }).collect())
        })
        .collect();
    let place = side.bias(columns);
    for (block, fitted) in parameters.sides[side as usize].iter_mut().zip(fitted) {
        for (row, bias) in block.chunks_exact_mut(length).zip(fitted?) {
            row[place] = bias;
        }
    }
    Ok(())
}
