//! The one splitter of texts into words, for static vectors, TF-IDF and reports.

use std::borrow::Cow;
use std::ops::Range;

use unicode_segmentation::UnicodeSegmentation;

/// The words of a text in lower case, each with the byte at which it begins.
///
/// Words are those of Unicode's text segmentation (UAX #29) that hold a letter or a digit: `don't` and `3.14` are one
/// word, punctuation and emoji are none. Lower-casing is Unicode's, whatever the language.
///
/// ```
/// use engraft::data::text::words;
/// let found: Vec<_> = words("Don't panic: ÉCLAIR!").map(|(at, word)| (at, word.into_owned())).collect();
/// assert_eq!(found, [(0, "don't".into()), (6, "panic".into()), (13, "éclair".into())]);
/// ```
pub fn words(text: &str) -> impl Iterator<Item = (usize, Cow<'_, str>)> {
    spans(text).map(|(at, word)| (at, lower_case(word)))
}

/// The same words as they are written: where each begins, in bytes, and the slice.
///
/// ```
/// use engraft::data::text::spans;
/// assert_eq!(spans("Good, bad").collect::<Vec<_>>(), [(0, "Good"), (6, "bad")]);
/// ```
pub fn spans(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.unicode_word_indices()
}

/// The words of a text, and the signs between them, in bytes (Unicode annex 29): what is tagged, or answered with.
pub(crate) fn word_places(text: &str) -> Vec<Range<usize>> {
    let words = text.split_word_bound_indices().filter(|(_, word)| !word.trim().is_empty());
    words.map(|(at, word)| at..at + word.len()).collect()
}

fn lower_case(word: &str) -> Cow<'_, str> {
    let is_lower = match word.is_ascii() {
        true => !word.bytes().any(|byte| byte.is_ascii_uppercase()),
        false => word.chars().all(|c| c.to_lowercase().eq([c])),
    };
    if is_lower { Cow::Borrowed(word) } else { Cow::Owned(word.to_lowercase()) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn punctuation_and_emoji_are_no_words() {
        let found: Vec<_> = words("a \u{1f600} -- B2, naïve_x").map(|(_, word)| word).collect();
        assert_eq!(found, ["a", "b2", "naïve_x"]);
        assert_eq!(words("\u{1f600}\u{1f600} !?").count(), 0);
    }

    proptest! {
        #[test]
        fn spans_lie_where_they_say(text in ".{0,60}") {
            for ((at, word), (_, lower)) in spans(&text).zip(words(&text)) {
                prop_assert_eq!(&text[at..at + word.len()], word);
                prop_assert_eq!(lower.as_ref(), word.to_lowercase());
            }
        }
    }
}
