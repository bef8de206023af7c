//! Words and how often they come: counting them, and `vocab.txt`.
//!
//! A line is a word, a space and its count; the most frequent word first. Words of equal counts stand in the order in which
//! the C tools' x86 build puts them: by their bytes as signed numbers, so that anything but ASCII stands before ASCII.

use std::cmp::Ordering;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering as Atomic};

use rayon::prelude::*;

use super::corpus::{Corpus, LONGEST_WORD, PassedOver};
use super::tokens::{PADDING, Token};
use super::word_table::{Key, WordTable};
use crate::bases::text::UNKNOWN_WORD;
use crate::error::{Error, Problem, Result, printable_text};
use crate::files;
use crate::progress::Observer;
use crate::settings::Glove;

/// The largest `vocab.txt` that is read, in bytes.
const LARGEST: u64 = 16 << 30;
/// Bytes that a word takes in memory beside its letters, when a vocabulary is counted, at most.
const PER_WORD: u64 = 96;

/// The words of a corpus, the most frequent first, with their counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vocabulary {
    /// All words, one after the other.
    letters: Vec<u8>,
    /// Where each word ends in `letters`.
    ends: Vec<usize>,
    counts: Vec<u64>,
}

/// A vocabulary, and what was seen on the way.
#[derive(Debug)]
pub struct Counted {
    /// The words that are kept.
    pub vocabulary: Vocabulary,
    /// Words of the corpus, each as often as it comes, without those that are too long.
    pub tokens: u64,
    /// Different words.
    pub different: u64,
    /// Words of more than 1,000 bytes, which are not in the vocabulary.
    pub too_long: u64,
}

impl Vocabulary {
    /// Counts the words of a corpus on all threads, and keeps those that come at least `min-count` times and, of these, the
    /// `max-vocab` most frequent ones (0 for all). Of words that are equally frequent at that limit those are kept that the C tool
    /// keeps: in the order of its hash, which has nothing to do with the alphabet.
    ///
    /// # Errors
    /// [`Error::Data`] where the text is not usable (see [`Corpus`]) or holds no word that is frequent enough; [`Error::Usage`]
    /// where the different words take more than `memory`.
    pub fn count(corpus: &Corpus, settings: &Glove, observer: &dyn Observer) -> Result<Counted> {
        settings.check_memory()?;
        struct Part {
            table: WordTable,
            passed_over: PassedOver,
            tokens: u64,
        }
        let part = || Part { table: WordTable::new(), passed_over: PassedOver::default(), tokens: 0 };
        let mut parts: Vec<Part> = (0..rayon::current_num_threads()).map(|_| part()).collect();
        let limit = settings.memory_bytes();
        corpus.read("counting words", observer, |pieces| {
            let next = AtomicUsize::new(0);
            let faults: Vec<(usize, Error)> = parts
                .par_iter_mut()
                .filter_map(|part| {
                    loop {
                        let at = next.fetch_add(1, Atomic::Relaxed);
                        let piece = pieces.get(at)?;
                        let Part { table, passed_over, tokens } = part;
                        let counted = corpus.words(piece, passed_over, true, |bytes, token| {
                            if let Token::Word(start, end) = token {
                                table.add(Key::new(bytes, start, end), 1);
                                *tokens += 1;
                            }
                        });
                        if let Err(fault) = counted {
                            return Some((at, fault));
                        }
                    }
                })
                .collect();
            if let Some((_, fault)) = faults.into_iter().min_by_key(|(at, _)| *at) {
                return Err(fault);
            }
            // A table doubles at once, and in the end there is one of all.
            let taken: u64 = parts.iter().map(|part| part.table.bytes() as u64).sum();
            let words: u64 = parts.iter().map(|part| part.table.len() as u64).sum();
            if taken * 2 + words * PER_WORD > limit {
                let problem = Problem::new("the different words of the corpus do not fit in the memory")
                    .expected(format_args!("at most {} MB, as --memory says", settings.memory))
                    .found(format_args!("{words} words after a part of the corpus"));
                return Err(Error::Usage(
                    problem.hint("raise --memory, or tokenise the corpus so that it has fewer words"),
                ));
            }
            Ok(())
        })?;
        let mut parts = parts.into_iter();
        let Part { mut table, mut passed_over, mut tokens } = parts.next().unwrap_or_else(part);
        for part in parts {
            let mut padded = Vec::new();
            part.table.each(|word, count| {
                padded.clear();
                padded.extend_from_slice(word);
                padded.extend([0; PADDING]);
                table.add(Key::new(&padded, 0, word.len()), count);
            });
            passed_over.merge(part.passed_over);
            tokens += part.tokens;
        }
        passed_over.tell(observer);
        let different = table.len() as u64;
        let vocabulary = Self::kept(&table, settings)?;
        observer.say(&format!("words: {tokens}, different: {different}, in the vocabulary: {}", vocabulary.len()));
        Ok(Counted { vocabulary, tokens, different, too_long: passed_over.words })
    }

    fn kept(table: &WordTable, settings: &Glove) -> Result<Self> {
        let mut letters = Vec::new();
        let mut words: Vec<(u64, usize, usize)> = Vec::new();
        table.each(|word, count| {
            if count >= settings.min_count {
                words.push((count, letters.len(), letters.len() + word.len()));
                letters.extend_from_slice(word);
            }
        });
        if words.is_empty() {
            let problem = Problem::new("no word of the corpus is frequent enough");
            let problem =
                problem.expected(format_args!("a word that comes {} times, as --min-count says", settings.min_count));
            let found = if table.len() == 0 { "no words".into() } else { format!("{} words, all rarer", table.len()) };
            return Err(Error::Data(problem.found(found).hint("lower --min-count, or use a larger corpus")));
        }
        let word = |&(_, start, end): &(u64, usize, usize)| &letters[start..end];
        let most = usize::try_from(settings.max_vocab).unwrap_or(usize::MAX);
        if most > 0 && most < words.len() {
            words.par_sort_unstable_by(|a, b| {
                let by_bucket = || bucket(word(a)).cmp(&bucket(word(b)));
                b.0.cmp(&a.0).then_with(by_bucket).then_with(|| signed_order(word(a), word(b)))
            });
            words.truncate(most);
        }
        words.par_sort_unstable_by(|a, b| b.0.cmp(&a.0).then_with(|| signed_order(word(a), word(b))));
        let mut vocabulary = Self {
            letters: Vec::new(),
            ends: Vec::with_capacity(words.len()),
            counts: Vec::with_capacity(words.len()),
        };
        for entry in &words {
            vocabulary.push(word(entry), entry.0);
        }
        Ok(vocabulary)
    }

    fn push(&mut self, word: &[u8], count: u64) {
        self.letters.extend_from_slice(word);
        self.ends.push(self.letters.len());
        self.counts.push(count);
    }

    /// Words in it.
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there are none. There never are.
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// The word of a row, from 0: the most frequent one.
    ///
    /// # Panics
    /// If there is no such row.
    pub fn word(&self, row: usize) -> &str {
        let start = if row == 0 { 0 } else { self.ends[row - 1] };
        // Checked where it was made.
        std::str::from_utf8(&self.letters[start..self.ends[row]]).unwrap_or_default()
    }

    /// All words, the most frequent first.
    pub fn words(&self) -> impl ExactSizeIterator<Item = &str> {
        (0..self.len()).map(|row| self.word(row))
    }

    /// How often each word comes.
    pub fn counts(&self) -> &[u64] {
        &self.counts
    }

    /// The rows of words, counted from 1.
    pub(super) fn table(&self) -> WordTable {
        let mut table = WordTable::new();
        let mut padded = Vec::new();
        for (row, word) in self.words().enumerate() {
            padded.clear();
            padded.extend_from_slice(word.as_bytes());
            padded.extend([0; PADDING]);
            table.add(Key::new(&padded, 0, word.len()), row as u64 + 1);
        }
        table
    }

    /// The bytes of `vocab.txt`: a word, a space and its count on each line.
    pub fn to_text(&self) -> Vec<u8> {
        let mut text = Vec::with_capacity(self.letters.len() + 8 * self.len());
        for (word, count) in self.words().zip(&self.counts) {
            text.extend_from_slice(word.as_bytes());
            text.push(b' ');
            text.extend_from_slice(count.to_string().as_bytes());
            text.push(b'\n');
        }
        text
    }

    /// Reads `vocab.txt`.
    ///
    /// # Errors
    /// [`Error::Data`] that names the line where it is not a word and a count, where a word comes twice, counts rise, or the word
    /// is `<unk>`.
    pub fn read(path: &Path) -> Result<Self> {
        let bytes = files::read_limited(path, LARGEST)
            .map_err(|source| Error::Data(Problem::new("the vocabulary cannot be read").found(source).at(path)))?;
        Self::parse(&bytes, path)
    }

    /// As [`Vocabulary::read`], of bytes.
    pub(super) fn parse(bytes: &[u8], path: &Path) -> Result<Self> {
        let mut vocabulary = Self { letters: Vec::with_capacity(bytes.len()), ends: Vec::new(), counts: Vec::new() };
        let mut table = WordTable::new();
        let mut padded = Vec::new();
        let text = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let text = text.strip_suffix(b"\n").unwrap_or(text);
        let refuse = |row: usize, what: &str, expected: &str, found: &str| {
            let place = format!("{}, line {}", printable_text(&printable_path(path)), row + 1);
            let problem = Problem::new(what).expected(expected).found(format_args!("`{found}`")).at(place);
            Err(Error::Data(problem.hint("`engraft glove vocab` makes one that is right")))
        };
        if text.is_empty() {
            let problem =
                Problem::new("the vocabulary is empty").expected("a word and its count on each line").at(path);
            return Err(Error::Data(problem));
        }
        for (row, line) in text.split(|&byte| byte == b'\n').enumerate() {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let shown = String::from_utf8_lossy(line);
            let parts = std::str::from_utf8(line).ok().and_then(|line| line.rsplit_once(' '));
            let count = parts.and_then(|(_, count)| count.parse::<u64>().ok().filter(|&count| count > 0));
            let (Some((word, _)), Some(count)) = (parts, count) else {
                return refuse(row, "the vocabulary cannot be read", "a word, a space and its count", &shown);
            };
            let is_word = !word.is_empty()
                && word.len() <= LONGEST_WORD
                && !word.bytes().any(|byte| matches!(byte, b' ' | b'\t' | b'\r' | b'\n' | 0x0b | 0x0c | 0));
            if !is_word {
                return refuse(
                    row,
                    "the vocabulary has a word that no corpus can have",
                    "at most 1,000 bytes without blanks",
                    &shown,
                );
            }
            if word == UNKNOWN_WORD {
                return refuse(
                    row,
                    "the vocabulary has the word `<unk>`, which stands for all unknown words",
                    "other words",
                    &shown,
                );
            }
            if let Some(&before) = vocabulary.counts.last()
                && before < count
            {
                let expected = format!("counts that do not rise: at most {before}");
                return refuse(row, "the vocabulary is not sorted", &expected, &shown);
            }
            padded.clear();
            padded.extend_from_slice(word.as_bytes());
            padded.extend([0; PADDING]);
            let key = Key::new(&padded, 0, word.len());
            if let Some(first) = table.get(key) {
                let expected = format!("each word once: it is on line {first} already");
                return refuse(row, "the vocabulary has a word twice", &expected, &shown);
            }
            table.add(key, row as u64 + 1);
            vocabulary.push(word.as_bytes(), count);
        }
        Ok(vocabulary)
    }
}

fn printable_path(path: &Path) -> String {
    crate::error::printable(path)
}

/// The order of the C tools: by bytes as signed numbers, with a 0 after the last.
fn signed_order(a: &[u8], b: &[u8]) -> Ordering {
    let same = a.iter().zip(b).take_while(|(a, b)| a == b).count();
    let byte = |word: &[u8]| word.get(same).map_or(0, |&byte| byte as i8);
    byte(a).cmp(&byte(b))
}

/// The bucket of a word in the C tools' hash table, whose order decides among equally frequent words.
fn bucket(word: &[u8]) -> u32 {
    let mut hash = 1_159_241_u32;
    for &byte in word {
        hash ^= (hash << 5).wrapping_add(byte as i8 as u32).wrapping_add(hash >> 2);
    }
    (hash & 0x7fff_ffff) % (1 << 20)
}
