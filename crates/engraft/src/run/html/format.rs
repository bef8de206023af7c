//! Numbers and names as the page writes them. Every number on the page goes through here, so that all look alike.

use maud::{Markup, html};

use crate::metrics::Estimate;

/// A narrow space that does not break: between thousands, and before `%`.
pub(crate) const THIN: char = '\u{202f}';
/// A minus as wide as a plus.
const MINUS: char = '\u{2212}';
/// What stands where there is no number.
const NONE: &str = "–";

/// `95.1 %` of a share.
pub fn percent(share: f64) -> String {
    if share.is_finite() { format!("{}{THIN}%", minus(format!("{:.1}", share * 100.0))) } else { NONE.into() }
}

/// `92.0 to 97.1 %` of two shares.
pub(crate) fn percent_range(low: f64, high: f64) -> String {
    format!("{} to {}", decimal(low * 100.0, 1), percent(high))
}

/// `+31.0` of a difference of shares, in points of a hundred.
pub(crate) fn points(difference: f64) -> String {
    if difference.is_finite() { minus(format!("{:+.1}", difference * 100.0)) } else { NONE.into() }
}

/// `−2.0 to +4.4`; `26.1 to 35.9` where nothing is below zero.
pub(crate) fn points_range(low: f64, high: f64) -> String {
    if low >= 0.0 {
        return format!("{} to {}", decimal(low * 100.0, 1), decimal(high * 100.0, 1));
    }
    format!("{} to {}", points(low), points(high))
}

/// A number with `digits` decimals.
pub(crate) fn decimal(value: f64, digits: usize) -> String {
    if value.is_finite() { minus(format!("{value:.digits$}")) } else { NONE.into() }
}

/// A measured amount in units of its own: four significant digits, and very large and very small ones as powers of ten.
pub(crate) fn amount(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        return NONE.into();
    }
    if size != 0.0 && !(1e-4..1e6).contains(&size) {
        return minus(format!("{value:.3e}"));
    }
    let digits = if size == 0.0 { 0 } else { (3 - size.log10().floor() as i32).clamp(0, 7) as usize };
    minus(format!("{value:.digits$}"))
}

/// A probability: three digits, and no false certainty at the ends.
pub(crate) fn probability(value: f64) -> String {
    match value {
        _ if !value.is_finite() => NONE.into(),
        _ if value >= 0.9995 => format!(">{THIN}0.999"),
        _ if value < 0.0005 => format!("<{THIN}0.001"),
        _ => format!("{value:.3}"),
    }
}

/// `12 345` with narrow spaces; four digits stand together.
pub(crate) fn count(number: usize) -> String {
    let digits = number.to_string();
    if digits.len() <= 4 {
        return digits;
    }
    let mut grouped = String::with_capacity(digits.len() * 2);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            grouped.push(THIN);
        }
        grouped.push(digit);
    }
    grouped
}

/// Seconds as a person says them.
pub(crate) fn duration(seconds: f64) -> String {
    match seconds {
        _ if !seconds.is_finite() => NONE.into(),
        _ if seconds < 10.0 => format!("{seconds:.2}{THIN}s"),
        _ if seconds < 120.0 => format!("{seconds:.1}{THIN}s"),
        _ if seconds < 7200.0 => format!("{:.0}{THIN}min {:.0}{THIN}s", (seconds / 60.0).floor(), seconds % 60.0),
        _ => format!("{:.0}{THIN}h {:.0}{THIN}min", (seconds / 3600.0).floor(), seconds % 3600.0 / 60.0),
    }
}

/// A setting such as `C`: `0.01`, `1`, `100`, with at most four digits after the leading zeros; very large and very
/// small ones as powers of ten.
pub(crate) fn setting(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        return NONE.into();
    }
    if size != 0.0 && !(1e-4..1e6).contains(&size) {
        return minus(format!("{value:.2e}"));
    }
    let digits = if size >= 100.0 {
        1
    } else if size >= 0.1 || size == 0.0 {
        3
    } else {
        6
    };
    let text = format!("{value:.digits$}");
    minus(text.trim_end_matches('0').trim_end_matches('.').to_owned())
}

/// One of two words.
pub(crate) fn plural<'a>(how_many: usize, one: &'a str, more: &'a str) -> &'a str {
    if how_many == 1 { one } else { more }
}

/// A name that somebody else chose: escaped, and kept from turning the direction of the text around it.
pub(crate) fn name(text: &str) -> Markup {
    html! { bdi { @if text.is_empty() { "(no name)" } @else { (text) } } }
}

/// Words that were written elsewhere, with the narrow space before `%`.
pub(crate) fn tidy(text: &str) -> String {
    text.replace(" %", "\u{202f}%")
}

/// Words with a capital at the beginning.
pub(crate) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| format!("{}{}", first.to_uppercase(), letters.as_str()))
}

/// The name of a file, which may break after each folder.
pub fn path(text: &str) -> Markup {
    html! { bdi { @for part in text.split_inclusive('/') { (part) wbr; } } }
}

/// A measure and how it is written.
#[derive(Clone, Copy)]
pub(crate) enum Unit {
    /// A share, as a percentage.
    Share,
    /// A plain number.
    Plain,
    /// An amount in units of its own.
    Amount,
}

impl Unit {
    /// The number alone.
    pub(crate) fn value(self, value: f64) -> String {
        match self {
            Self::Share => percent(value),
            Self::Plain => decimal(value, 3),
            Self::Amount => amount(value),
        }
    }

    /// The 95 % interval.
    pub(crate) fn interval(self, estimate: &Estimate) -> String {
        match self {
            Self::Share => percent_range(estimate.low, estimate.high),
            Self::Plain => format!("{} to {}", decimal(estimate.low, 3), decimal(estimate.high, 3)),
            Self::Amount => format!("{} to {}", amount(estimate.low), amount(estimate.high)),
        }
    }
}

fn minus(text: String) -> String {
    // "-0.0" is what rounding leaves of a tiny negative number.
    let zero = text.strip_prefix('-').filter(|rest| rest.chars().all(|c| c == '0' || c == '.'));
    match (zero, text.strip_prefix('-')) {
        (Some(zero), _) => zero.to_owned(),
        (None, Some(rest)) => format!("{MINUS}{rest}"),
        (None, None) => text.replace("e-", &format!("e{MINUS}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_written_alike() {
        assert_eq!(percent(0.951), "95.1\u{202f}%");
        assert_eq!(percent_range(0.92, 0.971), "92.0 to 97.1\u{202f}%");
        assert_eq!(percent(f64::NAN), "–");
        assert_eq!((points(0.31).as_str(), points(-0.02).as_str(), points(-0.0001).as_str()), ("+31.0", "−2.0", "0.0"));
        assert_eq!(points_range(0.261, 0.359), "26.1 to 35.9");
        assert_eq!(points_range(-0.02, 0.044), "−2.0 to +4.4");
        assert_eq!((count(7).as_str(), count(1234).as_str()), ("7", "1234"));
        assert_eq!(count(1_234_567), "1\u{202f}234\u{202f}567");
        assert_eq!((probability(1.0), probability(0.9731)), (">\u{202f}0.999".into(), "0.973".into()));
        assert_eq!(
            (amount(12.3456), amount(-0.012_3), amount(98_765.4), amount(0.0), amount(1.5e7)),
            ("12.35".into(), "−0.01230".into(), "98765".into(), "0".into(), "1.500e7".into())
        );
        assert_eq!(probability(0.0), "<\u{202f}0.001");
        assert_eq!(
            (setting(0.01), setting(100.0), setting(0.0), setting(1e-7)),
            ("0.01".into(), "100".into(), "0".into(), "1.00e−7".into())
        );
        assert_eq!(
            (setting(0.316_227_766), setting(0.001), setting(f64::NAN)),
            ("0.316".into(), "0.001".into(), "–".into())
        );
        assert_eq!(
            (duration(3.456), duration(75.04), duration(130.0)),
            ("3.46\u{202f}s".into(), "75.0\u{202f}s".into(), "2\u{202f}min 10\u{202f}s".into())
        );
    }
}
