//! Bytes into words: where they begin and end, and in what order lines end.

/// Bytes after the text that a scan may read: blanks, so that the last word ends.
pub(super) const PADDING: usize = 16;

/// What [`scan`] finds, in the order of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Token {
    /// The word `bytes[start..end]`.
    Word(usize, usize),
    /// A line ends.
    LineEnd,
}

/// A NUL byte, and where it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Nul(pub(super) usize);

const fn is_blank(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | 0x0b | 0x0c)
}

/// Finds words and line ends in `bytes[..length]`; after them come [`PADDING`] line ends. Blanks are space, tab, form feed,
/// vertical tab and carriage return.
///
/// # Errors
/// [`Nul`] at the first NUL byte.
#[inline(always)]
pub(super) fn scan(bytes: &[u8], length: usize, mut each: impl FnMut(Token)) -> Result<(), Nul> {
    assert!(bytes.len() >= length + PADDING && bytes[length] == b'\n', "the text is padded");
    let mut at = 0;
    loop {
        let byte = bytes[at];
        if byte <= b' ' {
            match byte {
                b'\n' if at >= length => return Ok(()),
                b'\n' => each(Token::LineEnd),
                0 => return Err(Nul(at)),
                _ => {}
            }
            if byte == b'\n' || is_blank(byte) {
                at += 1;
                continue;
            }
        }
        let start = at;
        loop {
            // The lowest of eight bytes that is a blank or a control character; bits above it may be wrong.
            let eight = u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap_or_default());
            let low = eight.wrapping_sub(0x2121_2121_2121_2121) & !eight & 0x8080_8080_8080_8080;
            if low == 0 {
                at += 8;
                continue;
            }
            at += low.trailing_zeros() as usize / 8;
            match bytes[at] {
                b'\n' => break,
                0 => return Err(Nul(at)),
                byte if is_blank(byte) => break,
                _ => at += 1,
            }
        }
        each(Token::Word(start, at));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(text: &str) -> Vec<String> {
        let mut bytes = text.as_bytes().to_vec();
        bytes.extend([b'\n'; PADDING]);
        let mut found = Vec::new();
        scan(&bytes, text.len(), |token| {
            found.push(match token {
                Token::Word(start, end) => text[start..end].to_owned(),
                Token::LineEnd => "\n".into(),
            });
        })
        .unwrap();
        found
    }

    #[test]
    fn words_end_at_blanks_of_every_kind() {
        assert_eq!(
            tokens("  a bb\tccc\r\ndddddddddddd\x0ce\x0bf\n\ng"),
            ["a", "bb", "ccc", "\n", "dddddddddddd", "e", "f", "\n", "\n", "g"]
        );
        assert_eq!(tokens(""), Vec::<String>::new());
        assert_eq!(tokens("\u{1}a\u{2}b é\u{a0}ü naïve"), ["\u{1}a\u{2}b", "é\u{a0}ü", "naïve"]);
        for length in 0..40 {
            assert_eq!(tokens(&"x".repeat(length)).len(), usize::from(length > 0));
            assert_eq!(tokens(&format!("{} y", "é".repeat(length))).last().unwrap(), "y");
        }
    }

    #[test]
    fn nul_is_refused_where_it_is() {
        for (text, place) in [("\0", 0), ("ab \0", 3), ("abcdefghij\0", 10), ("a\0b", 1)] {
            let mut bytes = text.as_bytes().to_vec();
            bytes.extend([b'\n'; PADDING]);
            assert_eq!(scan(&bytes, text.len(), |_| {}), Err(Nul(place)), "{text:?}");
        }
    }
}
