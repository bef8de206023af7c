//! The words of a language model: how a text becomes numbers.
//!
//! Everything between two of Unicode's word boundaries that is not a blank is a word, punctuation too. Words are
//! lower-cased, and what that loses goes before them as a mark of its own, as fastai does it (Howard and Ruder 2018).

use std::collections::HashMap;
use std::sync::Arc;

use unicode_segmentation::UnicodeSegmentation;

use crate::bases::text::vectors::shown;
use crate::data::text::Text;
use crate::error::{Error, Problem, Result};

/// Marks, with fastai's names; their number is their position.
const MARKS: [&str; 6] = ["xxunk", "xxpad", "xxbos", "xxmaj", "xxup", "xxwrep"];
/// A word that is not in the vocabulary.
pub(crate) const UNKNOWN: u32 = 0;
/// What fills up shorter texts.
pub(crate) const PADDING: u32 = 1;
/// Stands before every text.
pub(crate) const BEGIN: u32 = 2;
/// Longest word, in bytes: longer ones are cut into such.
const WORD: usize = 64;
/// Words that are counted at a time; when there are more, the rarest are forgotten.
const COUNTED: usize = 8 << 20;

/// Calls `each` with every token of a text: marks, and words in lower case. There is no [`BEGIN`] among them.
pub fn tokens(text: &str, mut each: impl FnMut(&str)) {
    let mut before = String::new();
    let mut repeats = 0u32;
    let tell = |token: &str, repeats: u32, each: &mut dyn FnMut(&str)| match repeats {
        0 => {}
        1 => each(token),
        2 => [token, token].into_iter().for_each(each),
        _ => ["xxwrep", &repeats.to_string(), token].into_iter().for_each(each),
    };
    for word in text.split_word_bounds().filter(|word| !word.chars().all(char::is_whitespace)) {
        for word in cut(word) {
            if word == before {
                repeats += 1;
                continue;
            }
            tell(&marked(&before, &mut each, repeats), repeats, &mut each);
            word.clone_into(&mut before);
            repeats = 1;
        }
    }
    tell(&marked(&before, &mut each, repeats), repeats, &mut each);
}

/// A word in lower case, after its mark.
fn marked(word: &str, each: &mut impl FnMut(&str), repeats: u32) -> String {
    let mut letters = word.chars();
    let first_is_upper = letters.next().is_some_and(char::is_uppercase);
    if first_is_upper && repeats > 0 {
        let more = letters.clone().next().is_some();
        let rest_is_upper = letters.all(|letter| !letter.is_lowercase());
        each(if more && rest_is_upper { "xxup" } else { "xxmaj" });
    }
    word.to_lowercase()
}

/// A word in parts that are not too long.
fn cut(mut word: &str) -> impl Iterator<Item = &str> {
    std::iter::from_fn(move || {
        if word.is_empty() {
            return None;
        }
        let (part, rest) = word.split_at(word.floor_char_boundary(WORD).max(1).min(word.len()));
        word = rest;
        Some(part)
    })
}

/// How often each word comes.
#[derive(Debug, Clone, Default)]
pub(crate) struct WordCounts {
    counts: HashMap<String, u64>,
    /// Words that came fewer times were forgotten, to bound the memory.
    pruned: u64,
}

impl WordCounts {
    /// Counts the words of a text.
    pub(crate) fn add(&mut self, text: &str) {
        tokens(text, |token| match self.counts.get_mut(token) {
            Some(count) => *count += 1,
            None => {
                self.counts.insert(token.to_owned(), 1);
            }
        });
    }

    /// Adds other counts.
    pub(crate) fn merge(&mut self, others: Self) {
        for (word, count) in others.counts {
            *self.counts.entry(word).or_default() += count;
        }
        while self.counts.len() > COUNTED {
            self.pruned += 1;
            self.counts.retain(|_, count| *count > self.pruned);
        }
    }

    /// How many words were counted.
    #[cfg(test)]
    pub(crate) fn total(&self) -> u64 {
        self.counts.values().sum()
    }

    /// Words that come at least `least` times, the most frequent first, and of equals the first in order; at most `most`.
    pub(crate) fn frequent(self, least: u64, most: usize) -> Vec<String> {
        let mut found: Vec<(u64, String)> =
            self.counts.into_iter().filter(|(_, count)| *count >= least).map(|(word, count)| (count, word)).collect();
        found.sort_by(|(a, first), (b, second)| b.cmp(a).then_with(|| first.cmp(second)));
        found.truncate(most);
        found.into_iter().map(|(_, word)| word).collect()
    }
}

/// The words that a language model knows, each with its number.
#[derive(Debug, Clone)]
pub struct Vocabulary {
    words: Vec<Arc<str>>,
    numbers: HashMap<Arc<str>, u32>,
}

impl Vocabulary {
    /// The marks, then these words; one that is a mark, or comes twice, is passed over.
    pub fn new(words: impl IntoIterator<Item = String>) -> Self {
        let mut vocabulary = Self { words: Vec::new(), numbers: HashMap::new() };
        MARKS.map(str::to_owned).into_iter().chain(words).for_each(|word| vocabulary.push(&word));
        vocabulary
    }

    fn push(&mut self, word: &str) {
        if !self.numbers.contains_key(word) {
            let word: Arc<str> = Arc::from(word);
            self.numbers.insert(word.clone(), self.words.len() as u32);
            self.words.push(word);
        }
    }

    /// The same with more words behind its own.
    #[must_use]
    pub(crate) fn extended(mut self, words: impl IntoIterator<Item = String>) -> Self {
        words.into_iter().for_each(|word| self.push(&word));
        self
    }

    /// How many words there are, marks among them.
    pub fn len(&self) -> usize {
        self.words.len()
    }

    /// Whether there are none. There never are.
    pub fn is_empty(&self) -> bool {
        self.words.is_empty()
    }

    /// The words in the order of their numbers.
    pub(crate) fn words(&self) -> impl ExactSizeIterator<Item = &str> {
        self.words.iter().map(|word| &**word)
    }

    /// The number of a word.
    pub(crate) fn number(&self, word: &str) -> Option<u32> {
        self.numbers.get(word).copied()
    }

    /// Adds the numbers of a text's tokens, [`BEGIN`] before them; how many are [`UNKNOWN`].
    pub(crate) fn encode_into(&self, text: &str, numbers: &mut Vec<u32>) -> usize {
        let mut unknown = 0;
        numbers.push(BEGIN);
        tokens(text, |token| {
            let number = self.number(token).unwrap_or(UNKNOWN);
            unknown += usize::from(number == UNKNOWN);
            numbers.push(number);
        });
        unknown
    }

    /// The numbers of a text; those of a pair's second follow, with their own [`BEGIN`].
    pub(crate) fn encode(&self, text: &Text) -> Vec<u32> {
        let mut numbers = Vec::new();
        self.encode_into(&text.first, &mut numbers);
        if let Some(second) = &text.second {
            self.encode_into(second, &mut numbers);
        }
        numbers
    }

    /// One word a line.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.words.iter().flat_map(|word| [word.as_bytes(), b"\n"].concat()).collect()
    }

    /// The reverse of [`Vocabulary::to_bytes`].
    ///
    /// # Errors
    /// [`Error::Weights`] where it does not begin with the marks, or a word is empty or comes twice.
    pub(crate) fn from_bytes(bytes: &[u8]) -> Result<Self> {
        let wrong = |what: &str, found: String| {
            Error::Weights(Problem::new(what).expected("one word a line, the marks first").found(found))
        };
        let text = std::str::from_utf8(bytes)
            .map_err(|source| wrong("the vocabulary of the language model is not text", source.to_string()))?;
        let mut vocabulary = Self { words: Vec::new(), numbers: HashMap::new() };
        for (line, word) in text.split_terminator('\n').enumerate() {
            vocabulary.push(word);
            let is_mark = MARKS.get(line).is_none_or(|mark| *mark == word);
            if word.is_empty() || vocabulary.words.len() != line + 1 || !is_mark {
                let found = format!("`{}` in line {}", shown(word), line + 1);
                return Err(wrong("the vocabulary of the language model is damaged", found));
            }
        }
        if vocabulary.words.len() < MARKS.len() {
            let found = format!("{} words", vocabulary.words.len());
            return Err(wrong("the vocabulary of the language model is cut off", found));
        }
        Ok(vocabulary)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn tokens_of(text: &str) -> Vec<String> {
        let mut found = Vec::new();
        tokens(text, |token| found.push(token.to_owned()));
        found
    }

    #[test]
    fn what_lower_case_loses_is_marked() {
        let found = tokens_of("The USA, I said: WOW!!!! It's no no good");
        let expected = "xxmaj the xxup usa , xxmaj i said : xxup wow xxwrep 4 ! xxmaj it's no no good";
        assert_eq!(found.join(" "), expected);
        assert_eq!(tokens_of("Ünï ÉTÉ 日本").join(" "), "xxmaj ünï xxup été 日 本");
        assert!(tokens_of(" \n\t ").is_empty());
        let long: String = (0..200).map(|i| if i % 7 == i % 3 { 'é' } else { 'e' }).collect();
        assert_eq!(tokens_of(&long).concat(), long);
        assert!(tokens_of(&long).iter().all(|part| part.len() <= WORD));
    }

    #[test]
    fn counts_make_a_vocabulary() {
        let mut counts = WordCounts::default();
        counts.add("b a c b");
        let mut more = WordCounts::default();
        more.add("a d");
        counts.merge(more);
        assert_eq!(counts.total(), 6);
        let vocabulary = Vocabulary::new(counts.clone().frequent(1, 3));
        assert_eq!(vocabulary.words().skip(MARKS.len()).collect::<Vec<_>>(), ["a", "b", "c"]);
        assert_eq!(counts.frequent(2, 9), ["a", "b"]);
        let text = Text { first: "A d".into(), second: Some("b".into()) };
        assert_eq!(vocabulary.encode(&text), [BEGIN, 3, 6, UNKNOWN, BEGIN, 7]);
        let longer = vocabulary.clone().extended(["a".into(), "d".into()]);
        assert_eq!((longer.len(), longer.number("d")), (10, Some(9)));
        for vocabulary in [vocabulary, longer] {
            let again = Vocabulary::from_bytes(&vocabulary.to_bytes()).unwrap();
            assert!(again.words().eq(vocabulary.words()));
        }
    }

    #[test]
    fn damaged_vocabularies_are_refused() {
        let whole = Vocabulary::new(["a".into(), "b".into()]).to_bytes();
        let text = String::from_utf8(whole).unwrap();
        for wrong in [
            text.replace("xxpad\n", ""),
            text.replace("b\n", "a\n"),
            text.replace("b\n", "\n"),
            "xxunk\n".into(),
            String::new(),
        ] {
            assert!(matches!(Vocabulary::from_bytes(wrong.as_bytes()), Err(Error::Weights(_))), "{wrong:?}");
        }
        assert!(Vocabulary::from_bytes(b"xxunk\n\xff\n").is_err());
    }

    proptest! {
        #[test]
        fn no_text_is_too_odd(text in "\\PC{0,60}") {
            prop_assert!(tokens_of(&text).iter().all(|token| !token.is_empty() && !token.contains('\n')));
        }
    }
}
