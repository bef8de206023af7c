//! Columns of a table that each say of one label whether a row has it: as 0 and 1, 1 and -1, yes and no, or by a mark.

use std::collections::BTreeSet;

use super::task::number;

/// How such columns say yes and no.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Flags {
    /// 1 and 0, true and false.
    ZeroOne,
    /// 1 and -1.
    Sign,
    /// Yes and no.
    YesNo,
    /// A mark, or an empty cell.
    Mark,
}

/// What marks a cell.
const MARKS: [&str; 10] = ["x", "1", "1.0", "yes", "y", "true", "\u{2713}", "\u{2714}", "*", "+"];

impl Flags {
    /// Every way.
    pub(super) const ALL: [Self; 4] = [Self::ZeroOne, Self::Sign, Self::YesNo, Self::Mark];

    /// Whether a cell says yes; nothing where it says neither yes nor no.
    pub(super) fn read(self, cell: &str) -> Option<bool> {
        let cell = cell.to_lowercase();
        let (yes, no): (&[&str], &[&str]) = match self {
            Self::ZeroOne => (&["1", "1.0", "true"], &["0", "0.0", "false"]),
            Self::Sign => (&["1", "1.0", "+1"], &["-1", "-1.0"]),
            Self::YesNo => (&["yes", "y"], &["no", "n"]),
            Self::Mark => (&MARKS, &[""]),
        };
        let is_one_of = |words: &[&str]| words.contains(&cell.as_str());
        if is_one_of(yes) { Some(true) } else { is_one_of(no).then_some(false) }
    }

    /// What stands in such columns, in words.
    pub(super) fn told(self) -> &'static str {
        match self {
            Self::ZeroOne => "zeros and ones",
            Self::Sign => "1 for yes and -1 for no",
            Self::YesNo => "yes and no",
            Self::Mark => "a mark or nothing",
        }
    }

    /// The way, of these, that most of the columns follow, and the columns, where they are several. `cells` are the first cells
    /// of a column, `words` all its different ones, where they are few.
    pub(super) fn find<'a, C: IntoIterator<Item = &'a str>>(
        ways: &[Self],
        free: &[usize],
        cells: impl Fn(usize) -> C,
        words: impl Fn(usize) -> Option<BTreeSet<String>>,
    ) -> Option<(Self, Vec<usize>)> {
        // A column that is empty so far is one of marks where one comes later.
        let is_marked = |column: usize| {
            cells(column).into_iter().any(|cell| !cell.is_empty())
                || words(column).is_some_and(|words| !words.is_empty())
        };
        let follows = |flags: Self, column: usize| {
            let mut cells = cells(column).into_iter().peekable();
            let is_there = cells.peek().is_some();
            is_there && cells.all(|cell| flags.read(cell).is_some()) && (flags != Self::Mark || is_marked(column))
        };
        let mut best: Option<(Self, Vec<usize>)> = None;
        for &flags in ways {
            let columns: Vec<usize> = free.iter().copied().filter(|&column| follows(flags, column)).collect();
            if columns.len() > best.as_ref().map_or(1, |(_, columns)| columns.len()) {
                best = Some((flags, columns));
            }
        }
        best
    }
}

/// Whether the cells of a column grade a label and do not just say yes or no: parts of one (0.8), or 1, 0 and -1 or nothing for
/// what nobody knows.
pub(super) fn is_graded<'a>(cells: impl Iterator<Item = &'a str>) -> bool {
    let values: BTreeSet<&str> = cells.collect();
    let numbers: Vec<f64> =
        values.iter().filter_map(|cell| number(cell, false)).filter(|value| value.is_finite()).collect();
    let are_numbers = numbers.len() == values.iter().filter(|cell| !cell.is_empty()).count();
    let are_whole = numbers.iter().all(|value| value.fract() == 0.0);
    let least = if are_whole { -1.0 } else { 0.0 };
    values.len() > 1 && are_numbers && !numbers.is_empty() && numbers.iter().all(|value| (least..=1.0).contains(value))
}

/// Whether they do so with a third value beside two of 1, 0 and -1: for what nobody knows.
pub(super) fn is_uncertain<'a>(cells: impl Iterator<Item = &'a str> + Clone) -> bool {
    let is_whole = |cell: &str| number(cell, false).is_none_or(|value| value.is_nan() || value.fract() == 0.0);
    is_graded(cells.clone()) && cells.clone().all(is_whole) && cells.collect::<BTreeSet<&str>>().len() > 2
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(columns: &[&[&'static str]]) -> Option<(Flags, Vec<usize>)> {
        let free: Vec<usize> = (0..columns.len()).collect();
        Flags::find(&Flags::ALL, &free, |column| columns[column].iter().copied(), |_| None)
    }

    #[test]
    fn every_usual_way_to_say_yes_and_no_is_known() {
        for (cells, flags) in [
            ([["1", "0"], ["0", "1"]], Flags::ZeroOne),
            ([["TRUE", "False"], ["0.0", "1.0"]], Flags::ZeroOne),
            ([["1", "-1"], ["-1", "1"]], Flags::Sign),
            ([["1", "1"], ["-1", "1"]], Flags::Sign),
            ([["yes", "No"], ["n", "Y"]], Flags::YesNo),
            ([["x", ""], ["", "X"]], Flags::Mark),
            ([["1", ""], ["", "1"]], Flags::Mark),
        ] {
            assert_eq!(found(&cells.each_ref().map(|cells| cells.as_slice())), Some((flags, vec![0, 1])), "{cells:?}");
        }
        assert_eq!(found(&[&["1", "0"], &["cat", "dog"]]), None, "one alone");
        assert_eq!(found(&[&["x", ""], &["", ""]]), None, "an empty column is no label");
        assert_eq!(found(&[&["0.8", "0.1"], &["0.2", "0.9"]]), None);
        assert_eq!((Flags::Sign.read("-1"), Flags::Sign.read("0")), (Some(false), None));
    }

    #[test]
    fn grades_are_told_from_yes_and_no_and_from_numbers() {
        let graded = |cells: &[&'static str]| is_graded(cells.iter().copied());
        assert!(graded(&["1.0", "0.0", "-1.0", ""]) && graded(&["0.8", "0.1", "0"]) && graded(&["1", "0", ""]));
        assert!(!graded(&["3", "0"]) && !graded(&["cat", "1"]) && !graded(&["-0.5", "1"]) && !graded(&["1", "1"]));
        assert!(!graded(&["", ""]));
        let uncertain = |cells: &[&'static str]| is_uncertain(cells.iter().copied());
        assert!(uncertain(&["1.0", "0.0", ""]) && !uncertain(&["1", ""]) && !uncertain(&["0.8", "0", "1"]));
    }
}
