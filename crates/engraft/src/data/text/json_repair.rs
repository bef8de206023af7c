//! JSON as Python and JavaScript write it beyond the standard: `NaN`, `Infinity`, halves of surrogate pairs.

use std::borrow::Cow;

/// The line with `null` for what is no number, and U+FFFD for a half of a surrogate pair; borrowed where there is neither.
pub(super) fn repaired(line: &str) -> Cow<'_, str> {
    let bytes = line.as_bytes();
    let (mut out, mut kept, mut at, mut quoted) = (String::new(), 0, 0, false);
    while at < bytes.len() {
        let rest = &line[at..];
        let (length, with) = match bytes[at] {
            b'"' => {
                quoted = !quoted;
                (1, None)
            }
            b'\\' if quoted => match surrogate(rest) {
                Some(high) if (0xD800..0xDC00).contains(&high) => match surrogate(rest.get(6..).unwrap_or_default()) {
                    Some(low) if (0xDC00..0xE000).contains(&low) => (12, None),
                    _ => (6, Some("\\ufffd")),
                },
                Some(_) => (6, Some("\\ufffd")),
                None => (2, None),
            },
            _ if quoted => (1, None),
            _ => match ["NaN", "Infinity", "-Infinity"].iter().find(|word| rest.starts_with(**word)) {
                Some(word) => (word.len(), Some("null")),
                None => (1, None),
            },
        };
        if let Some(with) = with {
            out.push_str(&line[kept..at]);
            out.push_str(with);
            kept = at + length;
        }
        at += length;
        while !line.is_char_boundary(at.min(line.len())) {
            at += 1;
        }
    }
    if kept == 0 {
        return Cow::Borrowed(line);
    }
    out.push_str(&line[kept..]);
    Cow::Owned(out)
}

/// The half of a surrogate pair that a text begins with.
fn surrogate(text: &str) -> Option<u32> {
    let digits = text.strip_prefix("\\u")?.get(..4)?;
    let value = u32::from_str_radix(digits, 16).ok()?;
    (0xD800..0xE000).contains(&value).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_no_json_is_repaired() {
        assert_eq!(repaired(r#"{"a": NaN, "b": "NaN", "c": [-Infinity]}"#), r#"{"a": null, "b": "NaN", "c": [null]}"#);
        assert_eq!(repaired(r#"{"a": "\ud83d x \"NaN\" \ude00"}"#), r#"{"a": "\ufffd x \"NaN\" \ufffd"}"#);
        let fine = r#"{"a": "\ud83d\ude00 é \\", "b": 1}"#;
        assert!(matches!(repaired(fine), Cow::Borrowed(text) if text == fine));
    }

    proptest! {
        #[test]
        fn any_text_is_survived(text in "[\\\\\"ud83NaInfty:é -]{0,60}") {
            repaired(&text);
        }
    }
}
