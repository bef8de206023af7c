//! The one way in which texts are cut into words.

use unicode_segmentation::UnicodeSegmentation;

/// The words of a text as they stand there, each with its byte offset: Unicode's word boundaries (UAX 29), without what
/// holds no letter or digit.
///
/// ```
/// use engraft::data::text::words;
/// let found: Vec<(usize, &str)> = words("It's a dog.").collect();
/// assert_eq!(found, [(0, "It's"), (5, "a"), (7, "dog")]);
/// ```
pub fn words(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.unicode_word_indices()
}
