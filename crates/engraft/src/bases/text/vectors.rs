//! Static word vectors: a row of numbers for each word of a vocabulary.

use std::borrow::Cow;
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use engraft_weights::{Precision, Tensor, Weights};

use crate::bases::text::subwords::Subwords;
use crate::data::text::words::spans;
use crate::error::{Error, Problem, Result};
use crate::weight_files;

/// The word that stands for all unknown ones in files of vectors.
pub(crate) const UNKNOWN_WORD: &str = "<unk>";
/// Name of the tensor in a run's folder.
const TENSOR: &str = "vectors";

/// Word vectors in the order of their file, which is mostly that of frequency, the most frequent first.
#[derive(Debug, Clone)]
pub struct WordVectors {
    words: Vec<Arc<str>>,
    rows: HashMap<Arc<str>, u32>,
    columns: usize,
    /// `[words, columns]`
    values: Vec<f32>,
    /// Position of each word in the file that it came from, from 0.
    ranks: Vec<u32>,
    /// Words of that file.
    total: usize,
    remarks: Vec<String>,
    /// Character n-grams that unknown words are made of, where the file has them.
    subwords: Option<Arc<Subwords>>,
}

impl WordVectors {
    /// Vectors of these words, `[words, columns]`, the most frequent first.
    ///
    /// # Errors
    /// [`Error::Weights`] where there are no words or columns, or the numbers are not as many, or not all finite.
    pub fn new(words: Vec<String>, columns: usize, values: Vec<f32>) -> Result<Self> {
        let total = words.len();
        let ranks = (0..u32::try_from(total).unwrap_or(u32::MAX)).collect();
        Self::ranked(words.into_iter().map(Arc::from).collect(), columns, values, ranks, total)
    }

    /// As [`WordVectors::new`], for a part of a file of `total` words.
    pub(super) fn ranked(
        mut words: Vec<Arc<str>>,
        columns: usize,
        mut values: Vec<f32>,
        mut ranks: Vec<u32>,
        total: usize,
    ) -> Result<Self> {
        if words.is_empty() || columns == 0 || words.len().checked_mul(columns) != Some(values.len()) {
            let problem = Problem::new("these are not word vectors").expected("a row of numbers for each word");
            return Err(Error::Weights(problem.found(format_args!(
                "{} words, {columns} columns, {} numbers",
                words.len(),
                values.len()
            ))));
        }
        if ranks.len() != words.len() {
            let problem = Problem::new("the words' ranks do not fit").expected(words.len()).found(ranks.len());
            return Err(Error::Weights(problem));
        }
        if let Some(at) = values.iter().position(|value| !value.is_finite()) {
            let problem = Problem::new("a word's vector holds something that is not a finite number");
            return Err(Error::Weights(problem.found(format_args!(
                "{} for `{}`",
                values[at],
                shown(&words[at / columns])
            ))));
        }
        let mut rows = HashMap::with_capacity(words.len());
        let mut kept = 0;
        for row in 0..words.len() {
            if rows.contains_key(&words[row]) {
                continue;
            }
            rows.insert(words[row].clone(), kept as u32);
            if kept < row {
                words.swap(kept, row);
                ranks[kept] = ranks[row];
                values.copy_within(row * columns..(row + 1) * columns, kept * columns);
            }
            kept += 1;
        }
        let mut remarks = Vec::new();
        if kept < words.len() {
            remarks.push(format!("{} words came twice: their first vectors were taken", words.len() - kept));
        }
        words.truncate(kept);
        ranks.truncate(kept);
        values.truncate(kept * columns);
        Ok(Self { words, rows, columns, values, ranks, total, remarks, subwords: None })
    }

    /// Adds something worth knowing.
    pub(super) fn remark(&mut self, remark: String) {
        self.remarks.push(remark);
    }

    /// Keeps the n-grams that unknown words are made of.
    pub(super) fn set_subwords(&mut self, subwords: Subwords) {
        self.subwords = Some(Arc::new(subwords));
    }

    /// Whether unknown words get a vector from their character n-grams ([`WordVectors::composed`]).
    pub(crate) fn has_subwords(&self) -> bool {
        self.subwords.is_some()
    }

    /// The vector of any word, `[columns]`: its own ([`WordVectors::row`]), or the mean of its character n-grams where the file has
    /// them; none where neither is there.
    ///
    /// # Errors
    /// [`Error::Io`] where the n-grams' rows cannot be read.
    pub(crate) fn composed(&self, word: &str) -> Result<Option<Cow<'_, [f32]>>> {
        match (self.row(word), &self.subwords) {
            (Some(row), _) => Ok(Some(Cow::Borrowed(row))),
            (None, Some(subwords)) => Ok(subwords.vector(word)?.map(Cow::Owned)),
            (None, None) => Ok(None),
        }
    }

    /// Adds, behind the others, those of the given words that have no vector of their own but character n-grams, and says how many
    /// these are. Without n-grams in the file, nothing is added. The new words are taken for the least frequent.
    ///
    /// # Errors
    /// [`Error::Io`] where the n-grams' rows cannot be read.
    pub(crate) fn extend<'a>(&mut self, words: impl IntoIterator<Item = &'a str>) -> Result<usize> {
        let Some(subwords) = self.subwords.clone() else { return Ok(0) };
        let before = self.words.len();
        for word in words {
            if self.find(word).is_some() {
                continue;
            }
            let Some(vector) = subwords.vector(word)? else { continue };
            let word: Arc<str> = Arc::from(word);
            self.rows.insert(word.clone(), self.words.len() as u32);
            self.words.push(word);
            self.values.extend_from_slice(&vector);
            self.ranks.push(self.total as u32);
        }
        let added = self.words.len() - before;
        self.total += added;
        Ok(added)
    }

    /// The first `count` words; all where there are no more.
    ///
    /// # Errors
    /// [`Error::Weights`] for no words.
    pub(crate) fn first(&self, count: usize) -> Result<Self> {
        let count = count.min(self.len());
        let (words, ranks) = (self.words[..count].to_vec(), self.ranks[..count].to_vec());
        Self::ranked(words, self.columns, self.values[..count * self.columns].to_vec(), ranks, self.total)
    }

    /// The same words with other numbers, `[words, columns]`.
    ///
    /// # Errors
    /// As [`WordVectors::new`].
    pub(crate) fn with_values(&self, columns: usize, values: Vec<f32>) -> Result<Self> {
        Self::ranked(self.words.clone(), columns, values, self.ranks.clone(), self.total)
    }

    /// What is worth knowing about the file.
    pub(crate) fn remarks(&self) -> &[String] {
        &self.remarks
    }

    /// Numbers of a word's vector.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// How many words there are.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether there are none. There never are.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The words, in the file's order.
    pub(crate) fn words(&self) -> impl ExactSizeIterator<Item = &str> {
        self.words.iter().map(|word| &**word)
    }

    /// All numbers, `[words, columns]`.
    pub(crate) fn values(&self) -> &[f32] {
        &self.values
    }

    /// The row of a word: of the word as it stands, or else in lower case.
    pub(crate) fn find(&self, word: &str) -> Option<usize> {
        let found = self.rows.get(word).or_else(|| {
            // Most words are lower-case already: they are not asked for twice.
            let is_lower = word.bytes().all(|byte| byte.is_ascii() && !byte.is_ascii_uppercase());
            if is_lower { None } else { self.rows.get(&*word.to_lowercase()) }
        });
        found.map(|&row| row as usize)
    }

    /// The word of a row.
    ///
    /// # Panics
    /// If there is no such row.
    pub(crate) fn word(&self, row: usize) -> &str {
        &self.words[row]
    }

    /// The vector of a word, as [`WordVectors::find`] finds it, `[columns]`.
    pub(crate) fn row(&self, word: &str) -> Option<&[f32]> {
        self.find(word).map(|row| self.at(row))
    }

    /// The vector of a row, `[columns]`.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn at(&self, row: usize) -> &[f32] {
        &self.values[row * self.columns..(row + 1) * self.columns]
    }

    /// Position of a row's word in the file that it came from, from 1: of a word's frequency it tells the order.
    pub(super) fn rank(&self, row: usize) -> u32 {
        self.ranks[row].saturating_add(1)
    }

    #[cfg(test)]
    pub(super) fn ranks(&self) -> &[u32] {
        &self.ranks
    }

    /// Words of the file that these vectors came from.
    pub(super) fn total(&self) -> usize {
        self.total
    }

    /// How many words of a text have a vector, and how many words it has.
    pub(crate) fn covered(&self, text: &str) -> (usize, usize) {
        spans(text).fold((0, 0), |(known, all), (_, word)| (known + usize::from(self.find(word).is_some()), all + 1))
    }

    /// The vectors of these words alone, for a run's folder: the rows that [`WordVectors::find`] takes for them, in the
    /// file's order, each with the rank that it had.
    ///
    /// # Errors
    /// [`Error::Data`] where none of the words has a vector.
    pub(crate) fn restrict<'a>(&self, words: impl IntoIterator<Item = &'a str>) -> Result<Self> {
        let mut kept: Vec<usize> = words.into_iter().filter_map(|word| self.find(word)).collect();
        kept.sort_unstable();
        kept.dedup();
        if kept.is_empty() {
            let problem = Problem::new("no word of the texts has a vector");
            return Err(Error::Data(problem.hint("use vectors of the texts' language, or another base")));
        }
        let words = kept.iter().map(|&row| self.words[row].clone()).collect();
        let values = kept.iter().flat_map(|&row| self.at(row)).copied().collect();
        let ranks = kept.iter().map(|&row| self.ranks[row]).collect();
        Self::ranked(words, self.columns, values, ranks, self.total)
    }

    /// As two files: the numbers as safetensors (`vectors`, `[words, columns]`), and the vocabulary as lines of a rank, a
    /// tab and a word.
    pub(crate) fn to_parts(&self) -> (Vec<u8>, Vec<u8>) {
        let shape = vec![self.words.len(), self.columns];
        let tensor = Tensor { shape, values: self.values.clone(), precision: Precision::F32 };
        let weights = Weights {
            tensors: BTreeMap::from([(TENSOR.to_owned(), tensor)]),
            metadata: BTreeMap::from([("words".to_owned(), self.total.to_string())]),
            ..Weights::default()
        };
        let lines: String =
            self.ranks.iter().zip(&self.words).map(|(rank, word)| format!("{rank}\t{word}\n")).collect();
        (engraft_weights::write(&weights), lines.into_bytes())
    }

    /// The reverse of [`WordVectors::to_parts`].
    ///
    /// # Errors
    /// [`Error::Weights`] where the files are damaged or do not fit each other.
    pub(crate) fn from_parts(weights: &[u8], vocabulary: &[u8]) -> Result<Self> {
        let wrong = |what: &str, found: String| Error::Weights(Problem::new(what).found(found));
        let mut weights = weight_files::read(weights)
            .map_err(|source| wrong("the word vectors cannot be read", source.to_string()))?;
        let tensor = weights
            .tensors
            .remove(TENSOR)
            .filter(|tensor| tensor.shape.len() == 2)
            .ok_or_else(|| wrong("the file holds no word vectors", "no tensor `vectors` of two axes".into()))?;
        let vocabulary = std::str::from_utf8(vocabulary)
            .map_err(|source| wrong("the words' vocabulary is not text", source.to_string()))?;
        let (mut words, mut ranks) = (Vec::new(), Vec::new());
        for (number, line) in vocabulary.split_terminator('\n').enumerate() {
            let parts = line.split_once('\t').and_then(|(rank, word)| Some((rank.parse::<u32>().ok()?, word)));
            let (rank, word) = parts.ok_or_else(|| {
                let found = format!("`{}` in line {}", shown(line), number + 1);
                wrong("the words' vocabulary is damaged: a rank, a tab and a word in every line", found)
            })?;
            words.push(Arc::from(word));
            ranks.push(rank);
        }
        let total = weights.metadata.get("words").and_then(|total| total.parse().ok()).unwrap_or(words.len());
        let (count, columns) = (words.len(), tensor.shape[1]);
        if tensor.shape[0] != count {
            return Err(wrong("vectors and vocabulary do not fit", format!("{} and {count}", tensor.shape[0])));
        }
        let vectors = Self::ranked(words, columns, tensor.values, ranks, total.max(count))?;
        if vectors.len() != count {
            return Err(wrong("the words' vocabulary is damaged", "a word that comes twice".into()));
        }
        Ok(vectors)
    }
}

/// The beginning of something that may be long or unprintable.
pub(super) fn shown(text: &str) -> String {
    let mut shown: String = text.chars().take(40).flat_map(char::escape_debug).collect();
    if text.chars().nth(40).is_some() {
        shown.push('…');
    }
    shown
}
