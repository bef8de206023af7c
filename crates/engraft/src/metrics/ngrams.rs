//! Runs of words and characters, counted and matched: what BLEU and chrF are made of.

/// What Python's `str.split()` splits at: Unicode's white space and the four separators of ASCII, by which sacrebleu's tokens are told apart.
pub(super) fn is_space(c: char) -> bool {
    c.is_whitespace() || matches!(c, '\u{1c}'..='\u{1f}')
}

/// The words of a text as Python's `str.split()` finds them.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_space).filter(|word| !word.is_empty())
}

/// Runs that are sorted, each with how often it comes.
pub(super) type Counted<T> = Vec<(T, u32)>;

/// Counts equal runs.
pub(super) fn counted<T: Ord>(mut runs: Vec<T>) -> Counted<T> {
    runs.sort_unstable();
    let mut counted: Counted<T> = Vec::with_capacity(runs.len());
    for run in runs {
        match counted.last_mut() {
            Some((last, count)) if *last == run => *count += 1,
            _ => counted.push((run, 1)),
        }
    }
    counted
}

/// Calls `both` for each run that comes in both, with how often it comes in each.
pub(super) fn shared<T: Ord>(a: &[(T, u32)], b: &[(T, u32)], mut both: impl FnMut(&T, u32, u32)) {
    let (mut i, mut j) = (0, 0);
    while i < a.len() && j < b.len() {
        match a[i].0.cmp(&b[j].0) {
            std::cmp::Ordering::Less => i += 1,
            std::cmp::Ordering::Greater => j += 1,
            std::cmp::Ordering::Equal => {
                both(&a[i].0, a[i].1, b[j].1);
                (i, j) = (i + 1, j + 1);
            }
        }
    }
}

/// For each run that comes in either, how often it comes where it comes more often.
pub(super) fn most<T: Ord + Copy>(a: &[(T, u32)], b: &[(T, u32)]) -> Counted<T> {
    let (mut i, mut j) = (0, 0);
    let mut merged = Vec::with_capacity(a.len().max(b.len()));
    while i < a.len() || j < b.len() {
        let order = match (a.get(i), b.get(j)) {
            (Some(x), Some(y)) => x.0.cmp(&y.0),
            (Some(_), None) => std::cmp::Ordering::Less,
            _ => std::cmp::Ordering::Greater,
        };
        match order {
            std::cmp::Ordering::Less => merged.push(a[i]),
            std::cmp::Ordering::Greater => merged.push(b[j]),
            std::cmp::Ordering::Equal => merged.push((a[i].0, a[i].1.max(b[j].1))),
        }
        i += usize::from(order.is_le());
        j += usize::from(order.is_ge());
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_what_python_splits() {
        let text = " a\u{a0}b\u{1c}c\u{3000}d\u{200b}e\u{85}f\t\n";
        assert_eq!(words(text).collect::<Vec<_>>(), ["a", "b", "c", "d\u{200b}e", "f"]);
    }

    #[test]
    fn runs_are_counted_matched_and_merged() {
        let (a, b) = (counted(vec![3, 1, 3, 2]), counted(vec![4, 3, 1, 1]));
        assert_eq!(a, [(1, 1), (2, 1), (3, 2)]);
        let mut found = Vec::new();
        shared(&a, &b, |&run, x, y| found.push((run, x, y)));
        assert_eq!(found, [(1, 1, 2), (3, 2, 1)]);
        assert_eq!(most(&a, &b), [(1, 2), (2, 1), (3, 2), (4, 1)]);
        assert_eq!(most(&a, &[]), a);
    }
}
