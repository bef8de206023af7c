//! How people write the numbers of a table: with a decimal comma, with dots or commas between thousands. What the cells prove is
//! read so and told; what they leave open is told.

use super::record::is_missing;
use crate::data::column_names::shortened;
use crate::data::{Finding, FindingKind, Severity};

/// The signs that stand in a number: each is either the decimal sign or stands between thousands.
const SIGNS: [char; 2] = ['.', ','];
const NAMES: [&str; 2] = ["dot", "comma"];
const COMMA: usize = 1;

/// What one cell is, as far as signs in numbers go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    Missing,
    Word,
    /// A number without a sign, of so many digits.
    Whole(usize),
    /// `1.234`: the sign may be either.
    Grouped(usize),
    /// `1.234.567` or `1.234,5`: the sign stands between thousands.
    Thousands(usize),
    /// `1.5`, `0.125` or `1234.567`: the sign is the decimal one.
    Decimal(usize),
    /// A number of another form.
    Number,
}

fn are_digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether a text is groups of three digits with a sign between them, of which the first may be shorter.
fn are_groups(text: &str, sign: char) -> bool {
    let mut groups = text.split(sign);
    let first = groups.next().unwrap_or_default();
    let is_first = are_digits(first) && first.len() <= 3 && !first.starts_with('0');
    let mut rest = groups.peekable();
    is_first && rest.peek().is_some() && rest.all(|group| group.len() == 3 && are_digits(group))
}

impl Shape {
    fn of(cell: &str) -> Self {
        if is_missing(cell) || matches!(cell, "?" | "-") {
            return Self::Missing;
        }
        let bare = cell.strip_prefix(['+', '-']).unwrap_or(cell);
        if !bare.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
            return Self::Word;
        }
        if are_digits(bare) {
            // Leading zeros make a name.
            return if bare.len() > 1 && bare.starts_with('0') { Self::Word } else { Self::Whole(bare.len()) };
        }
        for (at, sign) in SIGNS.into_iter().enumerate() {
            let other = SIGNS[1 - at];
            let (whole, part) = bare.split_once(other).unwrap_or((bare, "0"));
            if are_groups(whole, sign) && are_digits(part) {
                let is_open = whole.len() == bare.len() && whole.matches(sign).count() == 1;
                return if is_open { Self::Grouped(at) } else { Self::Thousands(at) };
            }
            if bare.split_once(sign).is_some_and(|(whole, part)| are_digits(whole) && are_digits(part)) {
                return Self::Decimal(at);
            }
        }
        if cell.parse::<f64>().is_ok() { Self::Number } else { Self::Word }
    }
}

/// What was counted in a column.
#[derive(Debug, Clone, Default)]
struct Counts {
    words: usize,
    numbers: usize,
    /// Whole numbers of three digits, and of more, without a sign.
    hundreds: usize,
    thousands_without: usize,
    /// Of either sign.
    grouped: [usize; 2],
    thousands: [usize; 2],
    decimal: [usize; 2],
    /// The first cell in which either sign stands.
    first: [Option<String>; 2],
}

impl Counts {
    fn note(&mut self, cell: &str) {
        let shape = Shape::of(cell);
        let sign = match shape {
            Shape::Missing => return,
            Shape::Word => {
                self.words += 1;
                return;
            }
            Shape::Number => None,
            Shape::Whole(digits) => {
                self.hundreds += usize::from(digits == 3);
                self.thousands_without += usize::from(digits > 3);
                None
            }
            Shape::Grouped(sign) => Some((sign, &mut self.grouped)),
            Shape::Thousands(sign) => Some((sign, &mut self.thousands)),
            Shape::Decimal(sign) => Some((sign, &mut self.decimal)),
        };
        self.numbers += 1;
        if let Some((sign, counts)) = sign {
            counts[sign] += 1;
            self.first[sign].get_or_insert_with(|| cell.to_owned());
        }
    }

    /// Whether the column is one of numbers, but for a few words.
    fn is_numeric(&self) -> bool {
        self.numbers > 0 && self.numbers >= 9 * self.words
    }
}

/// How the numbers of the columns are written, counted over some of the rows.
#[derive(Debug, Clone, Default)]
pub(super) struct NumberSigns(Vec<Counts>);

impl NumberSigns {
    pub(super) fn note<'a>(&mut self, fields: impl Iterator<Item = &'a [u8]>) {
        for (at, field) in fields.enumerate() {
            if self.0.len() <= at {
                self.0.push(Counts::default());
            }
            // No number has a byte beyond ASCII; one that is none is a word.
            self.0[at].note(std::str::from_utf8(field).unwrap_or("\u{FFFD}").trim());
        }
    }

    fn numeric(&self) -> impl Iterator<Item = &Counts> {
        self.0.iter().filter(|counts| counts.is_numeric())
    }

    /// Whether a sign is the decimal one in some column of numbers.
    fn is_decimal(&self, sign: usize) -> bool {
        self.numeric().any(|counts| counts.decimal[sign] > 0 || counts.thousands[1 - sign] > 0)
    }

    /// Whether commas are decimal ones: always where semicolons separate the fields, else where a column of numbers proves it and
    /// no number has a decimal point.
    pub(super) fn decimal_comma(&self, delimiter: u8) -> bool {
        let is_proven = || self.numeric().any(|counts| counts.decimal[COMMA] > 0);
        delimiter == b';' || is_proven() && !self.is_decimal(1 - COMMA)
    }

    /// Whether a sign of a column stands between thousands; nothing where the cells leave that open.
    fn are_thousands(&self, counts: &Counts, sign: usize) -> Option<bool> {
        // As many as have three digits have more, and none of those is written without the sign.
        let are_mixed = counts.hundreds > 0 && counts.thousands_without == 0;
        match (self.is_decimal(sign), self.is_decimal(1 - sign)) {
            _ if counts.thousands[sign] > 0 => Some(true),
            (false, true) => Some(true),
            (false, false) if are_mixed => Some(true),
            (true, _) if !are_mixed => Some(false),
            _ => None,
        }
    }
}

/// How the numbers of a table are read.
#[derive(Debug, Clone, Default)]
pub(super) struct Notation {
    /// Whether a comma may be a decimal point.
    pub(super) decimal_comma: bool,
    /// The sign that stands between thousands, for columns that have one.
    thousands: Vec<Option<usize>>,
    told: Vec<(Severity, String)>,
}

impl Notation {
    /// By what was counted in columns of these names.
    pub(super) fn of(signs: &NumberSigns, names: &[String], delimiter: u8) -> Self {
        let decimal_comma = signs.decimal_comma(delimiter);
        let mut found = Self { decimal_comma, thousands: vec![None; names.len()], told: Vec::new() };
        if !decimal_comma {
            return found;
        }
        if delimiter != b';' {
            found.tell_decimal_comma(signs, names);
        }
        for (at, counts) in signs.0.iter().enumerate().take(names.len()).filter(|(_, counts)| counts.is_numeric()) {
            for (sign, mark) in SIGNS.into_iter().enumerate() {
                let is_candidate = counts.grouped[sign] + counts.thousands[sign] > 0 && counts.decimal[sign] == 0;
                let Some(first) = counts.first[sign].as_deref().filter(|_| is_candidate) else { continue };
                let (name, first, sign_name) = (shortened(&names[at]), shortened(first), NAMES[sign]);
                match signs.are_thousands(counts, sign) {
                    Some(true) => {
                        found.thousands[at] = Some(sign);
                        let plain: String = first.chars().filter(|c| *c != mark).collect();
                        found.told.push((
                            Severity::Info,
                            format!(
                                "the {sign_name}s in the column `{name}` are read as thousands separators: `{first}` is {plain}; \
                                 write plain numbers, such as 1234.5, if they are decimal points"
                            ),
                        ));
                    }
                    Some(false) => {}
                    None => found.told.push((
                        Severity::Warning,
                        format!(
                            "the {sign_name}s in the column `{name}` are read as decimal points (`{first}`), but all have three \
                             digits after them: if they separate thousands, write the numbers without them"
                        ),
                    )),
                }
            }
        }
        found
    }

    fn tell_decimal_comma(&mut self, signs: &NumberSigns, names: &[String]) {
        let proves = |counts: &&Counts| counts.is_numeric() && counts.decimal[COMMA] > 0;
        let columns: Vec<&str> =
            signs.0.iter().zip(names).filter(|(counts, _)| proves(counts)).map(|(_, name)| name.as_str()).collect();
        let first = signs.numeric().filter(proves).find_map(|counts| counts.first[COMMA].as_deref());
        if let Some(first) = first {
            let columns = crate::error::first_of(columns.iter().map(|name| format!("`{}`", shortened(name))), 5);
            let message = format!("commas are read as decimal points, as in `{}`: {columns}", shortened(first));
            self.told.push((Severity::Info, message));
        }
    }

    /// A cell of a column, without signs between thousands where the column has them.
    pub(super) fn plain(&self, column: usize, cell: String) -> String {
        match self.thousands.get(column).copied().flatten() {
            Some(sign) if matches!(Shape::of(&cell), Shape::Grouped(at) | Shape::Thousands(at) if at == sign) => {
                cell.chars().filter(|c| *c != SIGNS[sign]).collect()
            }
            _ => cell,
        }
    }

    /// What was found out, in words.
    pub(super) fn remarks(&self) -> impl Iterator<Item = String> {
        self.told.iter().map(|(_, message)| message.clone())
    }

    pub(super) fn findings(&self) -> impl Iterator<Item = Finding> {
        let finding = |(severity, message): &(Severity, String)| {
            Finding::new(FindingKind::Guessed, *severity, message, Vec::new())
        };
        self.told.iter().map(finding)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn notation(rows: &[&[&str]], delimiter: u8) -> Notation {
        let mut signs = NumberSigns::default();
        rows.iter().for_each(|row| signs.note(row.iter().map(|cell| cell.as_bytes())));
        let names: Vec<String> = (0..rows[0].len()).map(|at| format!("c{at}")).collect();
        Notation::of(&signs, &names, delimiter)
    }

    fn severities(notation: &Notation) -> Vec<Severity> {
        notation.findings().map(|finding| finding.severity).collect()
    }

    #[test]
    fn shapes_of_cells() {
        for (cell, shape) in [
            ("1.234", Shape::Grouped(0)),
            ("-1,234", Shape::Grouped(1)),
            ("1.234.567", Shape::Thousands(0)),
            ("1.234,5", Shape::Thousands(0)),
            ("1,234.50", Shape::Thousands(1)),
            ("0.125", Shape::Decimal(0)),
            ("1234.567", Shape::Decimal(0)),
            ("30,5", Shape::Decimal(1)),
            ("500", Shape::Whole(3)),
            ("007", Shape::Word),
            ("1e3", Shape::Number),
            ("1.2.3", Shape::Word),
            ("12 kg", Shape::Word),
            ("NA", Shape::Missing),
        ] {
            assert_eq!(Shape::of(cell), shape, "{cell}");
        }
    }

    #[test]
    fn dots_beside_decimal_commas_or_among_hundreds_separate_thousands() {
        let found = notation(&[&["1.018", "3,5"], &["2.683", "4,25"]], b';');
        assert_eq!((found.plain(0, "1.018".into()), found.plain(1, "3,5".into())), ("1018".into(), "3,5".into()));
        assert_eq!(severities(&found), [Severity::Info]);
        let found = notation(&[&["1.018"], &["500"], &["537"]], b';');
        assert_eq!((found.plain(0, "-1.018".into()), found.plain(0, "537".into())), ("-1018".into(), "537".into()));
        assert!(found.remarks().any(|told| told.contains("`1.018` is 1018")));
        let found = notation(&[&["1.234.567,5"], &["12"]], b';');
        assert_eq!(found.plain(0, "1.234.567,5".into()), "1234567,5");
    }

    #[test]
    fn dots_that_may_be_either_are_told_and_left() {
        let found = notation(&[&["1.018"], &["2.683"], &["5"]], b';');
        assert_eq!((found.plain(0, "1.018".into()), severities(&found)), ("1.018".into(), vec![Severity::Warning]));
        // A decimal point elsewhere, or in the column, says what it is.
        for rows in [[["1.018", "0.5"], ["2.683", "1.25"]], [["1.018", "x"], ["0.683", "y"]]] {
            let found = notation(&rows.each_ref().map(<[&str; 2]>::as_slice), b';');
            assert_eq!((found.plain(0, "1.018".into()), severities(&found)), ("1.018".into(), vec![]), "{rows:?}");
        }
        assert!(severities(&notation(&[&["1.018"], &["500"]], b',')).is_empty(), "no comma is a decimal one here");
    }

    #[test]
    fn commas_are_decimal_where_a_column_proves_it() {
        assert!(notation(&[&["30,5", "x"], &["7", "y"]], b'\t').decimal_comma);
        assert!(!notation(&[&["1,234"], &["500"]], b'\t').decimal_comma, "thousands");
        assert!(!notation(&[&["1,5", "2.5"], &["1,25", "3.5"]], b',').decimal_comma, "points elsewhere");
        assert!(!notation(&[&["1,5", "x"], &["well, so", "y"]], b'\t').decimal_comma, "no column of numbers");
        let found = notation(&[&["1,018", "2.5"], &["500", "3.5"]], b';');
        assert_eq!(found.plain(0, "1,018".into()), "1018", "the point is decimal");
    }

    proptest! {
        #[test]
        fn any_cells_are_survived(cells in proptest::collection::vec("[-+0-9.,e a]{0,12}", 1..20)) {
            let rows: Vec<[&str; 1]> = cells.iter().map(|cell| [cell.as_str()]).collect();
            let rows: Vec<&[&str]> = rows.iter().map(<[&str; 1]>::as_slice).collect();
            let found = notation(&rows, b';');
            cells.iter().for_each(|cell| {
                found.plain(0, cell.clone());
            });
        }
    }
}
