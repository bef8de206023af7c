//! How sacrebleu splits a line into tokens before BLEU counts them.
//!
//! The rules are those of `mteval-v13a.pl` and `mteval-v14.pl`, as sacrebleu has them (Post, "A Call for Clarity in Reporting BLEU Scores",
//! 2018), its slips included: a score is only comparable where tokens are the same to the last.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::Regex;
use serde::{Deserialize, Serialize};

use super::ngrams::{is_space, words};

/// How a line is split into tokens for BLEU; the names are sacrebleu's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BleuTokeniser {
    /// `13a`: that of WMT, for languages with spaces between words and ASCII punctuation.
    #[default]
    #[serde(rename = "13a")]
    V13a,
    /// `intl`: splits off every character that Unicode calls punctuation or a symbol.
    Intl,
    /// `char`: each character is a token.
    Char,
    /// `zh`: Chinese characters are tokens, the rest is split as by `13a`.
    Zh,
    /// `none`: splits at white space only, for texts that are tokenised already.
    None,
}

type Rules = Vec<(Regex, &'static str)>;

fn rules(rules: &[(&str, &'static str)]) -> Rules {
    rules.iter().filter_map(|&(pattern, by)| Some((Regex::new(pattern).ok()?, by))).collect()
}

static V13A: LazyLock<Rules> = LazyLock::new(|| {
    rules(&[
        (r"([\{-~\[-` -\&\(-\+:-@/])", " $1 "),
        (r"([^0-9])([\.,])", "$1 $2 "),
        (r"([\.,])([^0-9])", " $1 $2"),
        (r"([0-9])(-)", "$1 $2 "),
    ])
});
static INTL: LazyLock<Rules> =
    LazyLock::new(|| rules(&[(r"(\P{N})(\p{P})", "$1 $2 "), (r"(\p{P})(\P{N})", " $1 $2"), (r"(\p{S})", " $1 ")]));

/// Characters that `zh` takes for Chinese. sacrebleu writes two of its ranges with five hexadecimal digits after `\u`, which Python reads as a
/// character and a digit: `\u20000` to `\u2a6d6` is from U+2001 to U+2A6D (arrows, circled numbers), and the ideographs beyond U+FFFF that
/// were meant are none.
const CHINESE: [(char, char); 21] = [
    ('\u{3400}', '\u{4db5}'),
    ('\u{4e00}', '\u{9fa5}'),
    ('\u{9fa6}', '\u{9fbb}'),
    ('\u{f900}', '\u{fa2d}'),
    ('\u{fa30}', '\u{fa6a}'),
    ('\u{fa70}', '\u{fad9}'),
    ('\u{2001}', '\u{2a6d}'),
    ('\u{2f81}', '\u{2fa1}'),
    ('\u{ff00}', '\u{ffef}'),
    ('\u{2e80}', '\u{2eff}'),
    ('\u{3000}', '\u{303f}'),
    ('\u{31c0}', '\u{31ef}'),
    ('\u{2f00}', '\u{2fdf}'),
    ('\u{2ff0}', '\u{2fff}'),
    ('\u{3100}', '\u{312f}'),
    ('\u{31a0}', '\u{31bf}'),
    ('\u{fe10}', '\u{fe1f}'),
    ('\u{fe30}', '\u{fe4f}'),
    ('\u{2600}', '\u{27bf}'),
    ('\u{3200}', '\u{32ff}'),
    ('\u{3300}', '\u{33ff}'),
];

impl BleuTokeniser {
    /// Its name in a signature.
    pub fn name(self) -> &'static str {
        match self {
            Self::V13a => "13a",
            Self::Intl => "intl",
            Self::Char => "char",
            Self::Zh => "zh",
            Self::None => "none",
        }
    }

    /// The line with its tokens apart from each other; [`words`] finds them.
    pub(super) fn split(self, line: &str) -> Cow<'_, str> {
        let line = line.trim_end_matches(is_space);
        match self {
            Self::None => Cow::Borrowed(line),
            Self::Char => Cow::Owned(line.chars().fold(String::with_capacity(2 * line.len()), |mut out, c| {
                out.push(c);
                out.push(' ');
                out
            })),
            Self::V13a => {
                let mut line = line.replace("<skipped>", "").replace("-\n", "").replace('\n', " ");
                if line.contains('&') {
                    line = line.replace("&quot;", "\"").replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">");
                }
                Cow::Owned(apply(&V13A, &format!(" {line} ")))
            }
            Self::Intl => Cow::Owned(apply(&INTL, line)),
            Self::Zh => {
                let is_chinese = |c: char| CHINESE.iter().any(|&(from, to)| from <= c && c <= to);
                let line = line.trim_matches(is_space).chars().fold(String::new(), |mut out, c| {
                    if is_chinese(c) {
                        out.extend([' ', c, ' ']);
                    } else {
                        out.push(c);
                    }
                    out
                });
                Cow::Owned(apply(&V13A, &line))
            }
        }
    }

    /// The tokens of a line, as sacrebleu's tokeniser of the same name gives them.
    ///
    /// ```
    /// use engraft::metrics::BleuTokeniser;
    /// assert_eq!(BleuTokeniser::V13a.tokens("Well, $3.50!"), ["Well", ",", "$", "3.50", "!"]);
    /// ```
    pub fn tokens(self, line: &str) -> Vec<String> {
        words(&self.split(line)).map(str::to_owned).collect()
    }
}

fn apply(rules: &Rules, line: &str) -> String {
    rules.iter().fold(line.to_owned(), |line, (pattern, by)| match pattern.replace_all(&line, *by) {
        Cow::Borrowed(_) => line,
        Cow::Owned(changed) => changed,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_rule_is_a_pattern() {
        assert_eq!((V13A.len(), INTL.len()), (4, 3));
    }

    #[test]
    fn names_are_those_of_json() {
        for tokeniser in
            [BleuTokeniser::V13a, BleuTokeniser::Intl, BleuTokeniser::Char, BleuTokeniser::Zh, BleuTokeniser::None]
        {
            assert_eq!(serde_json::to_value(tokeniser).unwrap(), tokeniser.name());
        }
    }

    #[test]
    fn zh_has_the_ranges_that_python_reads() {
        assert_eq!(BleuTokeniser::Zh.tokens("我有2,5个a\u{2192}b"), ["我", "有", "2,5", "个", "a", "\u{2192}", "b"]);
        assert_eq!(BleuTokeniser::Zh.tokens("x\u{20000}y"), ["x\u{20000}y"]);
    }
}
