//! Word pieces of a translation model: byte-pair encoding over both languages (Sennrich et al., "Neural Machine Translation of Rare Words with
//! Subword Units", 2016), learnt here, applied and kept by the crate `tokenizers`.
//!
//! Learning is our own loop, since the one of `tokenizers` counts in 32 bits, cannot be stopped, and goes through hash maps whose order is drawn anew
//! for every process. On equal data both learn the same merges (`pieces_tests.rs`). The same sentences give the same bytes for any number of
//! threads.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, BinaryHeap, HashMap};

use rayon::prelude::*;
use serde_json::{Value, json};

use super::tokenizer::Tokenizer;
use crate::error::{Error, Problem, Result};
use crate::progress::Observer;

/// The number of padding.
pub const PAD: u32 = 0;
/// The number of what the pieces cannot spell.
pub const UNK: u32 = 1;
/// The number of the beginning of a sentence.
pub const BOS: u32 = 2;
/// The number of the end of a sentence.
pub const EOS: u32 = 3;

/// The names of the four, by number. No text can produce one but as its letters and signs.
const SPECIAL: [&str; 4] = ["<pad>", "<unk>", "<s>", "</s>"];
/// What stands for the space before a word.
const SPACE: char = '\u{2581}';
/// The fewest and the most pieces that may be asked for.
pub const SIZES: (usize, usize) = (64, 1 << 18);
/// At most this part of the pieces are single characters: of an alphabet with more the rarest are left out.
const ALPHABET: usize = 2;
/// Two pieces are made one where they stand side by side at least so often.
const LEAST: u64 = 2;
/// Sentences that are counted at once.
const BATCH: usize = 8192;
/// Merges between two questions whether to stop.
const ASKED: usize = 64;
/// Different characters without a piece that are named.
const NAMED: usize = 20;

/// Word pieces with PAD, UNK, BOS and EOS as 0 to 3.
#[derive(Debug, Clone)]
pub struct Pieces {
    tokenizer: Tokenizer,
}

/// Pieces that were learnt.
#[derive(Debug, Clone)]
pub struct LearntPieces {
    /// The pieces.
    pub pieces: Pieces,
    /// Characters that were too rare to have a piece, the most frequent first, each with how often it came.
    pub left_out: Vec<(char, u64)>,
    /// Different words (between spaces and signs) that were counted.
    pub words: usize,
}

/// A sentence in pieces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spelt {
    /// The pieces, without beginning and end.
    pub ids: Vec<u32>,
    /// Characters that no piece spells; a run of them is one [`UNK`].
    pub unknown: usize,
}

/// What pieces cannot spell of many sentences.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Unspelt {
    /// Sentences that were looked at.
    pub sentences: u64,
    /// Sentences with such a character.
    pub touched: u64,
    /// Such characters, and all.
    pub characters: (u64, u64),
    /// The pieces of all sentences.
    pub pieces: u64,
    /// Such characters, each with how often it comes.
    pub by_character: BTreeMap<char, u64>,
}

impl Unspelt {
    /// In words; nothing where all is spelt.
    pub fn remark(&self) -> Option<String> {
        if self.characters.0 == 0 {
            return None;
        }
        let mut frequent: Vec<(&char, &u64)> = self.by_character.iter().collect();
        frequent.sort_by_key(|&(&character, &count)| (Reverse(count), character));
        let named: Vec<String> = frequent
            .iter()
            .take(NAMED)
            .map(|(character, count)| format!("{} ({count})", character.escape_debug()))
            .collect();
        let more =
            if frequent.len() > NAMED { format!(", and {} more", frequent.len() - NAMED) } else { String::new() };
        Some(format!(
            "{} of {} characters have no piece, in {} of {} sentences: {}{more}",
            self.characters.0,
            self.characters.1,
            self.touched,
            self.sentences,
            named.join(", ")
        ))
    }
}

/// What counting makes of sentences: words with how often they come, in order.
type Words = BTreeMap<String, u64>;
/// Pieces that become one, in the order in which that is done.
type Merges = Vec<(String, String)>;

impl Pieces {
    /// Learns at most `size` pieces (the four special ones and all single characters among them) from sentences of both languages.
    ///
    /// Words are parted at spaces, around signs and around each digit; the space before a word belongs to it. Fewer pieces come out where nothing more
    /// comes twice. Memory holds the different words, not the sentences.
    ///
    /// # Errors
    /// [`Error::Usage`] for fewer than 64 or more than 262,144 pieces; [`Error::Data`] where there is no word; [`Error::Interrupted`]; what the
    /// sentences return.
    pub fn learn(
        sentences: impl IntoIterator<Item = Result<String>>,
        size: usize,
        observer: &dyn Observer,
    ) -> Result<LearntPieces> {
        if !(SIZES.0..=SIZES.1).contains(&size) {
            let problem = Problem::new("invalid number of word pieces").expected(format!("{} to {}", SIZES.0, SIZES.1));
            return Err(Error::Usage(problem.found(size)));
        }
        let empty = Self::of(&SPECIAL.map(str::to_owned), &[])?;
        let words = empty.counted(sentences, observer)?;
        let mut vocabulary = Vocabulary::new(SPECIAL.map(str::to_owned).to_vec());
        let left_out = vocabulary.add_alphabet(&words, (size / ALPHABET).max(1), 1);
        if vocabulary.tokens.len() == SPECIAL.len() {
            let problem = Problem::new("word pieces cannot be learnt of nothing").expected("at least one sentence");
            return Err(Error::Data(problem.found("no word")));
        }
        let spelt = words.iter().map(|(word, &count)| (vocabulary.characters(word), count)).collect();
        let merges = vocabulary.merge(spelt, size, &[], observer)?;
        let pieces = Self::of(&vocabulary.tokens, &merges)?;
        Ok(LearntPieces { pieces, left_out, words: words.len() })
    }

    /// These pieces, numbers and all, and at most `more` that are learnt of other sentences on top: first characters that have no piece and come twice at
    /// least, then what these sentences have side by side in the pieces that there are.
    ///
    /// # Errors
    /// As [`Pieces::learn`].
    pub fn extended(
        &self,
        sentences: impl IntoIterator<Item = Result<String>>,
        more: usize,
        observer: &dyn Observer,
    ) -> Result<LearntPieces> {
        let size = self.len() + more;
        if size > SIZES.1 {
            let problem = Problem::new("invalid number of word pieces").expected(format!("{} in all at most", SIZES.1));
            return Err(Error::Usage(problem.found(size)));
        }
        let words = self.counted(sentences, observer)?;
        let (tokens, before) = self.parts()?;
        let mut vocabulary = Vocabulary::new(tokens);
        let left_out = vocabulary.add_alphabet(&words, more / ALPHABET, LEAST);
        // The words as the pieces spell them with the new characters.
        let with_alphabet = Self::of(&vocabulary.tokens, &before)?;
        let all: Vec<(&String, &u64)> = words.iter().collect();
        let spell = |&(word, &count): &(&String, &u64)| Ok((with_alphabet.tokenizer.pieces_of_word(word)?, count));
        let spelt = all.par_iter().map(spell).collect::<Result<Vec<(Vec<u32>, u64)>>>()?;
        let mut merges = before;
        let new = vocabulary.merge(spelt, size, &merges, observer)?;
        merges.extend(new);
        let pieces = Self::of(&vocabulary.tokens, &merges)?;
        Ok(LearntPieces { pieces, left_out, words: words.len() })
    }

    /// A tokenizer of these pieces, by number, and these merges, by rank.
    fn of(tokens: &[String], merges: &[(String, String)]) -> Result<Self> {
        let vocabulary: serde_json::Map<String, Value> =
            tokens.iter().enumerate().map(|(number, token)| (token.clone(), number.into())).collect();
        let metaspace = json!({"type": "Metaspace", "replacement": SPACE, "prepend_scheme": "always", "split": true});
        let tokenizer = json!({
            "version": "1.0",
            "truncation": null,
            "padding": null,
            "added_tokens": [],
            "normalizer": {"type": "NFC"},
            "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
                metaspace,
                {"type": "Punctuation", "behavior": "Isolated"},
                {"type": "Digits", "individual_digits": true},
            ]},
            "post_processor": null,
            "decoder": metaspace,
            "model": {
                "type": "BPE", "dropout": null, "unk_token": SPECIAL[UNK as usize], "continuing_subword_prefix": null,
                "end_of_word_suffix": null, "fuse_unk": true, "byte_fallback": false, "ignore_merges": false,
                "vocab": vocabulary, "merges": merges,
            },
        });
        Self::from_bytes(tokenizer.to_string().as_bytes())
    }

    /// Reads a `tokenizer.json` of word pieces.
    ///
    /// # Errors
    /// [`Error::Weights`] where it is no tokenizer, no byte-pair encoding, or has not PAD, UNK, BOS and EOS as 0 to 3.
    pub fn from_bytes(json: &[u8]) -> Result<Self> {
        let pieces = Self { tokenizer: Tokenizer::from_bytes(json)? };
        let (tokens, _) = pieces.parts()?;
        match tokens.get(..SPECIAL.len()) {
            Some(special) if special == SPECIAL => Ok(pieces),
            found => {
                let problem = Problem::new("these are not word pieces of a translation model");
                let problem = problem.expected(format!("{} as the pieces 0 to 3", SPECIAL.join(", ")));
                Err(Error::Weights(problem.found(found.unwrap_or_default().join(", "))))
            }
        }
    }

    /// The pieces as `tokenizer.json`.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.tokenizer.to_bytes()
    }

    /// The number of pieces, the special ones among them.
    pub fn len(&self) -> usize {
        self.tokenizer.vocabulary()
    }

    /// Whether there are none. There never are: the special pieces are always there.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The pieces of a sentence.
    ///
    /// # Errors
    /// [`Error::Data`] where the crate `tokenizers` fails.
    pub fn encode(&self, sentence: &str) -> Result<Spelt> {
        self.spelt(sentence, |_| {})
    }

    fn spelt(&self, sentence: &str, mut unknown: impl FnMut(char)) -> Result<Spelt> {
        let encoded = self.tokenizer.encode_single(sentence)?;
        let mut count = 0;
        for (_, &(from, to)) in encoded.ids.iter().zip(&encoded.offsets).filter(|&(&id, _)| id == UNK) {
            let characters = sentence.get(from as usize..to as usize).unwrap_or_default().chars();
            for character in characters.filter(|c| !c.is_whitespace()) {
                count += 1;
                unknown(character);
            }
        }
        Ok(Spelt { ids: encoded.ids, unknown: count })
    }

    /// The sentence of some pieces: special ones are left out, but for [`UNK`], which becomes `⁇`.
    ///
    /// # Errors
    /// [`Error::Data`] for a number that is not that of a piece.
    pub fn decode(&self, ids: &[u32]) -> Result<String> {
        if let Some(id) = ids.iter().find(|&&id| id as usize >= self.len()) {
            let problem =
                Problem::new("this is not the number of a word piece").expected(format!("one below {}", self.len()));
            return Err(Error::Data(problem.found(id)));
        }
        let mut text = String::new();
        for &id in ids.iter().filter(|&&id| id == UNK || id > EOS) {
            match id {
                UNK => text.push_str(" \u{2047} "),
                id => text.push_str(&self.tokenizer.token(id).unwrap_or_default()),
            }
        }
        Ok(text.replace(SPACE, " ").trim().to_owned())
    }

    /// What these pieces cannot spell of sentences.
    ///
    /// # Errors
    /// As [`Pieces::encode`]; [`Error::Interrupted`]; what the sentences return.
    pub fn unspelt(
        &self,
        sentences: impl IntoIterator<Item = Result<String>>,
        observer: &dyn Observer,
    ) -> Result<Unspelt> {
        let mut all = Unspelt::default();
        let look = |sentence: &String| -> Result<(Spelt, Vec<char>, usize)> {
            let mut characters = Vec::new();
            let spelt = self.spelt(sentence, |character| characters.push(character))?;
            Ok((spelt, characters, sentence.chars().filter(|c| !c.is_whitespace()).count()))
        };
        batches(sentences, observer, |batch| {
            for looked in batch.par_iter().map(look).collect::<Result<Vec<_>>>()? {
                let (spelt, characters, count) = looked;
                all.sentences += 1;
                all.touched += u64::from(spelt.unknown > 0);
                all.characters.0 += spelt.unknown as u64;
                all.characters.1 += count as u64;
                all.pieces += spelt.ids.len() as u64;
                characters.into_iter().for_each(|character| *all.by_character.entry(character).or_default() += 1);
            }
            Ok(())
        })?;
        Ok(all)
    }

    /// The different words of sentences, as they are parted before pieces are found.
    fn counted(&self, sentences: impl IntoIterator<Item = Result<String>>, observer: &dyn Observer) -> Result<Words> {
        let mut all = Words::new();
        batches(sentences, observer, |batch| {
            let words = |sentence: &String| self.tokenizer.words_of(sentence);
            for words in batch.par_iter().map(words).collect::<Result<Vec<Vec<String>>>>()? {
                words.into_iter().for_each(|word| *all.entry(word).or_default() += 1);
            }
            Ok(())
        })?;
        Ok(all)
    }

    /// The pieces by number, and the merges by rank.
    fn parts(&self) -> Result<(Vec<String>, Merges)> {
        let refuse = |found: &str| {
            let problem = Problem::new("these are not word pieces of a translation model");
            Error::Weights(problem.expected("a byte-pair encoding, its pieces numbered without a gap").found(found))
        };
        let whole: Value =
            serde_json::from_slice(&self.tokenizer.to_bytes()).map_err(|source| refuse(&source.to_string()))?;
        let model = &whole["model"];
        if model["type"] != "BPE" {
            return Err(refuse(&format!("a model of the type {}", model["type"])));
        }
        let vocabulary = model["vocab"].as_object().ok_or_else(|| refuse("no vocabulary"))?;
        let mut tokens = vec![None; vocabulary.len()];
        for (token, number) in vocabulary {
            let place = number.as_u64().and_then(|number| tokens.get_mut(usize::try_from(number).ok()?));
            *place.ok_or_else(|| refuse(&format!("the number {number} of {} pieces", vocabulary.len())))? =
                Some(token.clone());
        }
        let tokens = tokens.into_iter().collect::<Option<Vec<String>>>().ok_or_else(|| refuse("a number twice"))?;
        let merges = serde_json::from_value(model["merges"].clone()).map_err(|source| refuse(&source.to_string()))?;
        Ok((tokens, merges))
    }
}

/// Takes sentences batch by batch.
fn batches(
    sentences: impl IntoIterator<Item = Result<String>>,
    observer: &dyn Observer,
    mut each: impl FnMut(&[String]) -> Result<()>,
) -> Result<()> {
    let mut sentences = sentences.into_iter();
    loop {
        observer.check()?;
        let batch: Vec<String> = sentences.by_ref().take(BATCH).collect::<Result<_>>()?;
        if batch.is_empty() {
            return Ok(());
        }
        each(&batch)?;
    }
}

/// Pieces that grow.
struct Vocabulary {
    tokens: Vec<String>,
    numbers: HashMap<String, u32>,
}

impl Vocabulary {
    fn new(tokens: Vec<String>) -> Self {
        let numbers = tokens.iter().enumerate().map(|(number, token)| (token.clone(), number as u32)).collect();
        Self { tokens, numbers }
    }

    /// The number of a piece, the next where it is new.
    fn number(&mut self, token: String) -> u32 {
        let next = self.tokens.len() as u32;
        match self.numbers.get(&token) {
            Some(&number) => number,
            None => {
                self.tokens.push(token.clone());
                self.numbers.insert(token, next);
                next
            }
        }
    }

    /// Adds the characters of words, at most so many that come so often, the most frequent, in the order of their code points; the others are given.
    fn add_alphabet(&mut self, words: &Words, most: usize, least: u64) -> Vec<(char, u64)> {
        let mut counts: BTreeMap<char, u64> = BTreeMap::new();
        for (word, count) in words {
            word.chars().for_each(|character| *counts.entry(character).or_default() += count);
        }
        counts.retain(|character, _| !self.numbers.contains_key(character.to_string().as_str()));
        let mut frequent: Vec<(char, u64)> = counts.into_iter().collect();
        // The space before words always has a piece.
        frequent.sort_by_key(|&(character, count)| (character != SPACE, Reverse(count), character));
        let kept = frequent.iter().take(most).take_while(|(_, count)| *count >= least).count();
        let left_out = frequent.split_off(kept);
        let alphabet: BTreeSet<char> = frequent.into_iter().map(|(character, _)| character).collect();
        for character in alphabet {
            self.number(character.to_string());
        }
        left_out
    }

    /// A word as the numbers of its characters; those without a piece are [`UNK`].
    fn characters(&self, word: &str) -> Vec<u32> {
        let mut buffer = [0; 4];
        let mut number = |character: char| self.numbers.get(character.encode_utf8(&mut buffer) as &str).copied();
        word.chars().map(|character| number(character).unwrap_or(UNK)).collect()
    }

    /// Joins the two pieces that stand side by side most often, of equals those with the smaller numbers, until there are `size` pieces or none comes
    /// twice: the merges in their order. Those that are known before, and come about again, are made and not given.
    fn merge(
        &mut self,
        mut words: Vec<(Vec<u32>, u64)>,
        size: usize,
        before: &[(String, String)],
        observer: &dyn Observer,
    ) -> Result<Merges> {
        let number = |token: &String| self.numbers.get(token).copied();
        let mut known: BTreeSet<(u32, u32)> =
            before.iter().filter_map(|(a, b)| Some((number(a)?, number(b)?))).collect();
        let (mut counts, mut places) = (HashMap::<(u32, u32), u64>::new(), HashMap::<(u32, u32), BTreeSet<u32>>::new());
        for (place, (word, count)) in words.iter().enumerate() {
            for pair in word.windows(2).map(|pair| (pair[0], pair[1])).filter(|&(a, b)| a != UNK && b != UNK) {
                *counts.entry(pair).or_default() += count;
                places.entry(pair).or_default().insert(place as u32);
            }
        }
        // The first is the most frequent, of equals that with the smaller numbers, so that the order of the hash map does not matter. An entry
        // whose count has changed since is put back with what it is now.
        let mut queue: BinaryHeap<(u64, Reverse<(u32, u32)>)> =
            counts.iter().map(|(&pair, &count)| (count, Reverse(pair))).collect();
        let mut merges = Vec::new();
        observer.begin("learn word pieces", size.saturating_sub(self.tokens.len()) as u64, "pieces");
        while self.tokens.len() < size {
            let Some((count, Reverse(pair))) = queue.pop() else { break };
            let now = counts.get(&pair).copied().unwrap_or(0);
            if now != count {
                if now > 0 {
                    queue.push((now, Reverse(pair)));
                }
                continue;
            }
            if count < LEAST {
                break;
            }
            if merges.len() % ASKED == 0 && observer.interrupted() {
                observer.end();
                return Err(Error::Interrupted);
            }
            let (a, b) = (self.tokens[pair.0 as usize].clone(), self.tokens[pair.1 as usize].clone());
            let length = self.tokens.len();
            let new = self.number(format!("{a}{b}"));
            observer.advance((self.tokens.len() - length) as u64);
            if known.insert(pair) {
                merges.push((a, b));
            }
            counts.remove(&pair);
            let mut changed: BTreeSet<(u32, u32)> = BTreeSet::new();
            for place in places.remove(&pair).unwrap_or_default() {
                let (word, count) = &mut words[place as usize];
                let joined = joined(word, pair, new);
                if joined.len() == word.len() {
                    continue;
                }
                for old in word.windows(2).map(|pair| (pair[0], pair[1])) {
                    if let Some(sum) = counts.get_mut(&old) {
                        *sum = sum.saturating_sub(*count);
                    }
                }
                for fresh in joined.windows(2).map(|pair| (pair[0], pair[1])).filter(|&(a, b)| a != UNK && b != UNK) {
                    *counts.entry(fresh).or_default() += *count;
                    places.entry(fresh).or_default().insert(place);
                    if fresh.0 == new || fresh.1 == new {
                        changed.insert(fresh);
                    }
                }
                *word = joined;
            }
            queue.extend(changed.into_iter().filter_map(|pair| Some((*counts.get(&pair)?, Reverse(pair)))));
        }
        observer.end();
        Ok(merges)
    }
}

/// A word in which two pieces are one wherever they stand side by side, from the left.
fn joined(word: &[u32], pair: (u32, u32), new: u32) -> Vec<u32> {
    let mut out = Vec::with_capacity(word.len());
    let mut at = 0;
    while at < word.len() {
        if word.get(at + 1) == Some(&pair.1) && word[at] == pair.0 {
            out.push(new);
            at += 2;
        } else {
            out.push(word[at]);
            at += 1;
        }
    }
    out
}

#[cfg(test)]
#[path = "pieces_tests.rs"]
mod tests;
