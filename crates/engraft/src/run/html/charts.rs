//! Charts as SVG that stands in the page, takes its colours from the page's style, and scales with it.
//!
//! The charts hold numbers and fixed words only, never a name that somebody else chose.

use std::collections::BTreeMap;

use plotters::coord::Shift;
use plotters::coord::ranged1d::{DefaultFormatting, KeyPointHint, Ranged};
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::format::setting;
use super::parts::Curve;
use crate::metrics::CalibrationBin;
use crate::train::{EpochRecord, Score};

/// Plotters rounds to whole units, so charts are drawn larger than they are shown: curves stay smooth.
pub(super) const FINE: i32 = 8;
/// Size at which text has the size of the page's captions; about the width of a phone.
pub(super) const WIDTH: i32 = 400;
pub(super) const HEIGHT: i32 = 300;

/// Colours that stand for variables of the style sheet; see [`themed`].
pub(super) const INK: RGBColor = RGBColor(1, 0, 1);
pub(super) const MUTED: RGBColor = RGBColor(1, 0, 2);
pub(super) const LINE: RGBColor = RGBColor(1, 0, 3);
pub(super) const FIRST: RGBColor = RGBColor(1, 0, 4);
pub(super) const SECOND: RGBColor = RGBColor(1, 0, 5);
const CARD: RGBColor = RGBColor(1, 0, 6);
const VARIABLES: [(RGBColor, &str); 6] =
    [(INK, "--ink"), (MUTED, "--muted"), (LINE, "--line"), (FIRST, "--first"), (SECOND, "--second"), (CARD, "--card")];

/// Drawing into a string does not fail; a chart that could not be laid out is left out.
pub(super) type Drawn = Result<(), Box<dyn std::error::Error>>;
pub(super) type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
pub(super) type Chart<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<Axis, Axis>>;

/// Share of right answers against probability; none without a bin that has numbers.
pub(crate) fn calibration(bins: &[CalibrationBin]) -> Option<String> {
    calibration_of(bins, "probability of the answer", "right answers")
}

/// Share of what is so against the probability given to it; none without a bin that has numbers.
pub(crate) fn calibration_of(bins: &[CalibrationBin], x_title: &str, y_title: &str) -> Option<String> {
    let bins: Vec<&CalibrationBin> = bins
        .iter()
        .filter(|bin| [bin.confidence, bin.accuracy, bin.low, bin.high].iter().all(|v| v.is_finite()))
        .collect();
    let least = bins.iter().flat_map(|bin| [bin.confidence, bin.low]).reduce(f64::min)?;
    let low = ((least * 10.0).floor() / 10.0).clamp(0.0, 0.9);
    let percent = |value: &f64| format!("{:.0}\u{202f}%", value * 100.0);
    let axes = Axes {
        x: Scale {
            ticks: ticks(low, 1.0, 5),
            low: low - 0.02 * (1.0 - low),
            high: 1.0 + 0.02 * (1.0 - low),
            label: &percent,
        },
        y: Scale { ticks: ticks(low, 1.0, 5), low, high: 1.0 + 0.02 * (1.0 - low), label: &percent },
        x_title,
        y_title,
        right: 12,
    };
    svg("Calibration: share of right answers against the probability given", |area| {
        let mut chart = axes.draw(area)?;
        chart.draw_series(DashedLineSeries::new(
            [(low, low), (1.0, 1.0)],
            4 * FINE,
            4 * FINE,
            MUTED.stroke_width(FINE as u32),
        ))?;
        for bin in &bins {
            let whisker = vec![(bin.confidence, bin.low), (bin.confidence, bin.high)];
            chart.draw_series([PathElement::new(whisker, FIRST.mix(0.45).stroke_width(2 * FINE as u32))])?;
        }
        let line = bins.iter().map(|bin| (bin.confidence, bin.accuracy));
        chart.draw_series(LineSeries::new(line.clone(), FIRST.mix(0.35).stroke_width(FINE as u32)))?;
        chart.draw_series(line.map(|at| Circle::new(at, 4 * FINE, FIRST.filled())))?;
        Ok(())
    })
}

/// A loss against the head's strength, the chosen one marked.
pub(crate) fn strength_path(tried: &[(f64, f64)], chosen: f64, x_title: &str, y_title: &str) -> Option<String> {
    let mut path: Vec<(f64, f64)> = (tried.iter())
        .filter(|(strength, loss)| *strength > 0.0 && strength.is_finite() && loss.is_finite())
        .map(|(strength, loss)| (strength.log10(), *loss))
        .collect();
    path.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (first, last) = (path.first()?.0, path.last()?.0);
    let (low, high) = around(path.iter().map(|at| at.1))?;
    let power = |value: &f64| setting(10f64.powf(*value));
    let loss = |value: &f64| setting(*value);
    // A lone strength gets a decade around it.
    let margin = if last > first { 0.04 * (last - first) } else { 0.5 };
    let axes = Axes {
        x: Scale { ticks: decades(first, last), low: first - margin, high: last + margin, label: &power },
        y: Scale { ticks: ticks(low, high, 5), low, high, label: &loss },
        x_title,
        y_title,
        right: 12,
    };
    svg("Regularisation path: out-of-fold loss against the strength", |area| {
        let mut chart = axes.draw(area)?;
        chart.draw_series(LineSeries::new(path.iter().copied(), FIRST.stroke_width(2 * FINE as u32)))?;
        chart.draw_series(path.iter().map(|&at| Circle::new(at, 3 * FINE, FIRST.filled())))?;
        let at_chosen = path.iter().find(|at| (at.0 - chosen.log10()).abs() < 1e-9);
        if let Some(&at) = at_chosen {
            chart.draw_series([Circle::new(at, 8 * FINE, SECOND.stroke_width(5 * FINE as u32 / 2))])?;
            // Above the ring: a minimum has room there. At the edges the word turns inwards.
            let side = if at.0 >= last {
                HPos::Right
            } else if at.0 <= first {
                HPos::Left
            } else {
                HPos::Center
            };
            let (x, y) = chart.backend_coord(&at);
            area.draw_text("chosen", &text(13, SECOND, side, VPos::Bottom), (x, y - 13 * FINE))?;
        }
        Ok(())
    })
}

/// What a learning curve is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Quantity {
    /// The loss, from 0.
    Loss,
    /// The share of right answers, to 100 %.
    Accuracy,
}

impl Quantity {
    fn of(self, score: Score) -> f64 {
        match self {
            Self::Loss => score.loss,
            Self::Accuracy => score.accuracy,
        }
    }

    /// A range that holds the values.
    fn range(self, values: impl Iterator<Item = f64> + Clone) -> Option<(f64, f64)> {
        let (low, high) = around(values)?;
        Some(match self {
            Self::Loss => (0.0, high),
            Self::Accuracy => (((low * 10.0).floor() / 10.0).clamp(0.0, 0.9), 1.0),
        })
    }

    fn label(self, value: f64) -> String {
        match self {
            Self::Loss => setting(value),
            Self::Accuracy => format!("{:.0}\u{202f}%", value * 100.0),
        }
    }
}

/// Loss or accuracy over epochs, training and held out: single folds thin, their mean thick.
pub(crate) fn learning_curve(curves: &[&Curve], quantity: Quantity) -> Option<String> {
    let folds = |of: fn(&EpochRecord) -> Option<Score>| -> Vec<Vec<(f64, f64)>> {
        let lines = curves.iter().map(|curve| {
            let scores = curve.epochs.iter().filter_map(|record| Some((record.epoch as f64, quantity.of(of(record)?))));
            scores.filter(|at| at.1.is_finite()).collect::<Vec<_>>()
        });
        lines.filter(|line| !line.is_empty()).collect()
    };
    let series = [
        ("training", FIRST, folds(|record| Some(record.train))),
        ("held out", SECOND, folds(|record| record.validation)),
    ];
    let all = || series.iter().flat_map(|(_, _, folds)| folds.iter().flatten());
    let (first, last) = (all().map(|at| at.0).reduce(f64::min)?, all().map(|at| at.0).reduce(f64::max)?);
    let (low, high) = quantity.range(all().map(|at| at.1))?;
    let whole = |value: &f64| setting(value.round());
    let label = |value: &f64| quantity.label(*value);
    let margin = if last > first { 0.0 } else { 0.5 };
    let (title, y_title) = match quantity {
        Quantity::Loss => ("Learning curve: loss over epochs", "loss"),
        Quantity::Accuracy => ("Learning curve: right answers over epochs", "right answers"),
    };
    let axes = Axes {
        x: Scale { ticks: whole_ticks(first, last), low: first - margin, high: last + margin, label: &whole },
        y: Scale { ticks: ticks(low, high, 5), low, high, label: &label },
        x_title: "epoch",
        y_title,
        right: 68,
    };
    svg(title, |area| {
        let mut chart = axes.draw(area)?;
        let mut ends = Vec::new();
        for (name, colour, folds) in &series {
            if folds.len() > 1 {
                for fold in folds {
                    chart.draw_series(LineSeries::new(
                        fold.iter().copied(),
                        colour.mix(0.45).stroke_width(FINE as u32),
                    ))?;
                }
            }
            let mean = mean(folds);
            let Some(&end) = mean.last() else { continue };
            chart.draw_series(LineSeries::new(mean.iter().copied(), colour.stroke_width(5 * FINE as u32 / 2)))?;
            if mean.len() == 1 {
                chart.draw_series([Circle::new(end, 4 * FINE, colour.filled())])?;
            }
            // At the edge, since single folds may go on where their mean ends.
            ends.push((*name, *colour, chart.backend_coord(&(last + margin, end.1))));
        }
        label_ends(area, ends)
    })
}

/// Names lines at their right ends, apart from each other: a legend that needs no colours.
fn label_ends(area: &Area, mut ends: Vec<(&str, RGBColor, (i32, i32))>) -> Drawn {
    ends.sort_by_key(|end| end.2.1);
    for at in 1..ends.len() {
        let gap = 15 * FINE - (ends[at].2.1 - ends[at - 1].2.1);
        if gap > 0 {
            ends[at - 1].2.1 -= gap / 2;
            ends[at].2.1 += gap - gap / 2;
        }
    }
    for (name, colour, (x, y)) in ends {
        area.draw_text(name, &text(13, colour, HPos::Left, VPos::Center), (x + 7 * FINE, y))?;
    }
    Ok(())
}

/// The mean over folds at each epoch, as far as every fold got.
fn mean(folds: &[Vec<(f64, f64)>]) -> Vec<(f64, f64)> {
    let mut sums: BTreeMap<u64, (f64, f64)> = BTreeMap::new();
    for &(epoch, loss) in folds.iter().flatten() {
        let entry = sums.entry(epoch as u64).or_default();
        *entry = (entry.0 + loss, entry.1 + 1.0);
    }
    let whole = sums.into_iter().filter(|(_, (_, count))| *count == folds.len() as f64);
    whole.map(|(epoch, (sum, count))| (epoch as f64, sum / count)).collect()
}

/// A linear axis with ticks exactly where they are wanted.
pub(super) struct Axis {
    low: f64,
    high: f64,
    ticks: Vec<f64>,
}

impl Ranged for Axis {
    type FormatOption = DefaultFormatting;
    type ValueType = f64;

    fn map(&self, value: &f64, (from, to): (i32, i32)) -> i32 {
        let share = (value - self.low) / (self.high - self.low);
        from + (share * f64::from(to - from)).round() as i32
    }

    fn key_points<Hint: KeyPointHint>(&self, _: Hint) -> Vec<f64> {
        self.ticks.clone()
    }

    fn range(&self) -> std::ops::Range<f64> {
        self.low..self.high
    }
}

/// An axis and how its ticks are written.
pub(super) struct Scale<'a> {
    pub(crate) low: f64,
    pub(crate) high: f64,
    pub(crate) ticks: Vec<f64>,
    pub(crate) label: &'a dyn Fn(&f64) -> String,
}

impl Scale<'_> {
    fn axis(&self) -> Axis {
        Axis { low: self.low, high: self.high, ticks: self.ticks.clone() }
    }
}

/// The frame of a chart.
pub(super) struct Axes<'a> {
    pub(crate) x: Scale<'a>,
    pub(crate) y: Scale<'a>,
    pub(crate) x_title: &'a str,
    pub(crate) y_title: &'a str,
    /// Room to the right, for labels.
    pub(crate) right: i32,
}

impl Axes<'_> {
    pub(crate) fn draw<'a, 'b>(&self, area: &'a Area<'b>) -> Result<Chart<'a, 'b>, Box<dyn std::error::Error>> {
        let mut chart = ChartBuilder::on(area)
            .margin_top(26 * FINE)
            .margin_right(self.right * FINE)
            .margin_bottom(24 * FINE)
            .margin_left(4 * FINE)
            .x_label_area_size(22 * FINE)
            .y_label_area_size(46 * FINE)
            .build_cartesian_2d(self.x.axis(), self.y.axis())?;
        chart
            .configure_mesh()
            .disable_x_mesh()
            .x_labels(self.x.ticks.len().max(1))
            .y_labels(self.y.ticks.len().max(1))
            .bold_line_style(LINE.stroke_width(FINE as u32))
            .light_line_style(LINE.mix(0.0))
            .axis_style(LINE.stroke_width(FINE as u32))
            .set_all_tick_mark_size(4 * FINE)
            .x_label_style(text(12, MUTED, HPos::Center, VPos::Top))
            .y_label_style(text(12, MUTED, HPos::Right, VPos::Center))
            .x_label_formatter(self.x.label)
            .y_label_formatter(self.y.label)
            .draw()?;
        // Titles by hand: the one of the y axis level, above it, where it is read without turning one's head.
        area.draw_text(self.y_title, &text(12, INK, HPos::Left, VPos::Top), (4 * FINE, 2 * FINE))?;
        let right = (WIDTH - self.right) * FINE;
        area.draw_text(self.x_title, &text(12, INK, HPos::Right, VPos::Bottom), (right, (HEIGHT - 2) * FINE))?;
        Ok(chart)
    }
}

pub(super) fn text(size: i32, colour: RGBColor, h: HPos, v: VPos) -> TextStyle<'static> {
    // The backend divides sizes by 1.24 on the way out.
    let size = f64::from(size * FINE) * 1.24;
    TextStyle { color: colour.to_backend_color(), pos: Pos::new(h, v), ..TextStyle::from(("sans-serif", size)) }
}

/// Draws a chart and makes it a part of the page.
pub(super) fn svg(title: &str, draw: impl Fn(&Area) -> Drawn) -> Option<String> {
    let mut drawn = String::new();
    {
        let size = ((WIDTH * FINE) as u32, (HEIGHT * FINE) as u32);
        let area = SVGBackend::with_string(&mut drawn, size).into_drawing_area();
        draw(&area).ok()?;
        area.present().ok()?;
    }
    Some(themed(title, &drawn))
}

/// A root that scales, and variables of the style sheet for the colours that stand for them.
fn themed(title: &str, drawn: &str) -> String {
    let inner = drawn.split_once('>').map_or("", |(_, inner)| inner);
    let mut inner = inner.replace(" font-family=\"sans-serif\"", "").replace(" opacity=\"1\"", "");
    for (colour, variable) in VARIABLES {
        let sentinel = format!("#{:02X}{:02X}{:02X}", colour.0, colour.1, colour.2);
        for property in ["fill", "stroke"] {
            inner =
                inner.replace(&format!("{property}=\"{sentinel}\""), &format!("style=\"{property}:var({variable})\""));
        }
    }
    let (width, height) = (WIDTH * FINE, HEIGHT * FINE);
    format!("<svg class=\"chart\" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{title}\">{inner}")
}

/// A range around values with some air; none without values.
fn around(values: impl Iterator<Item = f64> + Clone) -> Option<(f64, f64)> {
    let low = values.clone().reduce(f64::min)?;
    let high = values.reduce(f64::max)?;
    let air = if high > low { 0.08 * (high - low) } else { 0.1 * high.abs().max(0.1) };
    // A loss has no values below zero.
    Some(((low - air).max(0.0), high + air))
}

/// About `wanted` round numbers from `low` to `high`.
pub(super) fn ticks(low: f64, high: f64, wanted: usize) -> Vec<f64> {
    let rough = (high - low) / wanted.max(1) as f64;
    if !(rough.is_finite() && rough > 0.0) {
        return vec![low];
    }
    let decade = 10f64.powf(rough.log10().floor());
    let step =
        [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * decade).find(|step| *step >= rough * 0.999).unwrap_or(rough);
    let (from, to) = ((low / step - 1e-9).ceil() as i64, (high / step + 1e-9).floor() as i64);
    (from..=to).map(|at| at as f64 * step).collect()
}

/// Round numbers without a fraction.
fn whole_ticks(first: f64, last: f64) -> Vec<f64> {
    let mut whole: Vec<f64> = ticks(first, last, 6).into_iter().filter(|tick| tick.fract() == 0.0).collect();
    if whole.is_empty() {
        whole.push(last);
    }
    whole
}

/// Powers of ten, as exponents, not more than seven of them; the ends where no power lies between.
fn decades(first: f64, last: f64) -> Vec<f64> {
    let (from, to) = ((first - 1e-9).ceil() as i64, (last + 1e-9).floor() as i64);
    if from > to {
        return vec![first];
    }
    let step = (to - from) as usize / 7 + 1;
    (from..=to).step_by(step).map(|power| power as f64).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round() {
        assert_eq!(ticks(0.0, 1.0, 5), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(ticks(0.5, 0.5, 5), [0.5]);
        assert_eq!(whole_ticks(1.0, 3.0), [1.0, 2.0, 3.0]);
        assert_eq!(whole_ticks(1.0, 1.0), [1.0]);
        assert_eq!(decades(-4.0, 2.0), [-4.0, -3.0, -2.0, -1.0, 0.0, 1.0, 2.0]);
        assert_eq!(decades(0.1, 0.4), [0.1]);
    }

    #[test]
    fn charts_take_their_colours_from_the_page_and_nothing_from_outside() {
        let tried = [(0.01, 0.7), (1.0, 0.3), (100.0, 0.5)];
        let chart = strength_path(&tried, 1.0, "C", "log-loss").unwrap();
        assert!(chart.contains("stroke:var(--first)") && chart.contains(">\nchosen\n"), "{chart}");
        assert!(!chart.contains("#0100") && !chart.contains("http") && !chart.contains("font-family"), "{chart}");
        assert!(chart.trim_end().ends_with("</svg>"));
    }

    #[test]
    fn nothing_to_draw_gives_no_chart() {
        assert_eq!(calibration(&[]), None);
        let path = |tried: &[(f64, f64)]| strength_path(tried, 1.0, "C", "log-loss");
        assert_eq!(path(&[]), None);
        for quantity in [Quantity::Loss, Quantity::Accuracy] {
            assert_eq!(learning_curve(&[], quantity), None);
            assert_eq!(learning_curve(&[&Curve { name: "a".into(), epochs: Vec::new() }], quantity), None);
        }
        assert_eq!(path(&[(1.0, f64::NAN)]), None);
        assert!(path(&[(1.0, 0.0)]).is_some());
    }
}
