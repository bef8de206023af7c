//! Charts of predicted numbers.

use plotters::prelude::*;

use super::charts::{Axes, FINE, FIRST, MUTED, SECOND, Scale, svg, ticks};
use super::format::setting;
use crate::run::blocks::NumberPoint;

/// Bars of the residuals' histogram.
const BARS: usize = 25;

/// Predictions against truths, what its interval did not hold in another colour; none without points.
pub(crate) fn scatter(points: &[NumberPoint]) -> Option<String> {
    let points = finite(points);
    let all = || points.iter().flat_map(|point| [point.truth, point.prediction]);
    let (low, high) = range(all().reduce(f64::min)?, all().reduce(f64::max)?);
    let label = |value: &f64| setting(*value);
    let scale = || Scale { low, high, ticks: ticks(low, high, 5), label: &label };
    let axes = Axes { x: scale(), y: scale(), x_title: "truth", y_title: "out-of-fold prediction", right: 12 };
    svg("Predictions against truths", |area| {
        let mut chart = axes.draw(area)?;
        let line = [(low, low), (high, high)];
        chart.draw_series(DashedLineSeries::new(line, 4 * FINE, 4 * FINE, MUTED.stroke_width(FINE as u32)))?;
        for (held, colour) in [(true, FIRST), (false, SECOND)] {
            let own = points.iter().filter(|point| point.held.unwrap_or(true) == held);
            let style = colour.mix(if held { 0.45 } else { 0.8 }).filled();
            chart.draw_series(own.map(|point| Circle::new((point.truth, point.prediction), 5 * FINE / 2, style)))?;
        }
        Ok(())
    })
}

/// How often each error occurs: a histogram of prediction minus truth; none without points, or where all are exact.
pub(crate) fn residuals(points: &[NumberPoint]) -> Option<String> {
    let errors: Vec<f64> = finite(points).iter().map(|point| point.prediction - point.truth).collect();
    let reach = errors.iter().map(|error| error.abs()).reduce(f64::max).filter(|reach| *reach > 0.0)?;
    // Zero is the middle of the middle bar.
    let width = 2.0 * reach / (BARS - 1) as f64;
    let mut counts = [0usize; BARS];
    for error in &errors {
        counts[(((error + reach) / width).round() as usize).min(BARS - 1)] += 1;
    }
    let highest = counts.iter().copied().max().unwrap_or(1).max(1) as f64;
    let (low, high) = (-reach - width, reach + width);
    let label = |value: &f64| setting(*value);
    let axes = Axes {
        x: Scale { low, high, ticks: ticks(low, high, 5), label: &label },
        y: Scale { low: 0.0, high: 1.05 * highest, ticks: ticks(0.0, highest, 4), label: &label },
        x_title: "prediction minus truth",
        y_title: "examples",
        right: 12,
    };
    svg("Histogram of prediction minus truth", |area| {
        let mut chart = axes.draw(area)?;
        chart.draw_series(counts.iter().enumerate().filter(|(_, count)| **count > 0).map(|(bar, &count)| {
            let middle = -reach + bar as f64 * width;
            Rectangle::new(
                [(middle - 0.45 * width, 0.0), (middle + 0.45 * width, count as f64)],
                FIRST.mix(0.7).filled(),
            )
        }))?;
        let line = [(0.0, 0.0), (0.0, 1.05 * highest)];
        chart.draw_series(DashedLineSeries::new(line, 4 * FINE, 4 * FINE, MUTED.stroke_width(FINE as u32)))?;
        Ok(())
    })
}

/// Prediction minus truth against the prediction: what the errors depend on; none without points.
pub(crate) fn residuals_by_prediction(points: &[NumberPoint]) -> Option<String> {
    let points = finite(points);
    let predictions = || points.iter().map(|point| point.prediction);
    let (low, high) = range(predictions().reduce(f64::min)?, predictions().reduce(f64::max)?);
    let reach = points.iter().map(|point| (point.prediction - point.truth).abs()).reduce(f64::max)?;
    let reach = if reach > 0.0 { 1.05 * reach } else { 1.0 };
    let label = |value: &f64| setting(*value);
    let axes = Axes {
        x: Scale { low, high, ticks: ticks(low, high, 5), label: &label },
        y: Scale { low: -reach, high: reach, ticks: ticks(-reach, reach, 5), label: &label },
        x_title: "out-of-fold prediction",
        y_title: "prediction minus truth",
        right: 12,
    };
    svg("Prediction minus truth against the prediction", |area| {
        let mut chart = axes.draw(area)?;
        let line = [(low, 0.0), (high, 0.0)];
        chart.draw_series(DashedLineSeries::new(line, 4 * FINE, 4 * FINE, MUTED.stroke_width(FINE as u32)))?;
        let style = FIRST.mix(0.45).filled();
        chart.draw_series(
            points
                .iter()
                .map(|point| Circle::new((point.prediction, point.prediction - point.truth), 5 * FINE / 2, style)),
        )?;
        Ok(())
    })
}

fn finite(points: &[NumberPoint]) -> Vec<NumberPoint> {
    points.iter().copied().filter(|point| point.truth.is_finite() && point.prediction.is_finite()).collect()
}

/// A range with some air around it.
fn range(low: f64, high: f64) -> (f64, f64) {
    let air = if high > low { 0.04 * (high - low) } else { 0.1 * high.abs().max(1.0) };
    (low - air, high + air)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn points() -> Vec<NumberPoint> {
        (0..40)
            .map(|i| NumberPoint {
                truth: f64::from(i),
                prediction: f64::from(i * 31 % 40),
                held: (i > 2).then_some(i % 7 > 0),
            })
            .collect()
    }

    #[test]
    fn charts_are_drawn_in_the_pages_colours() {
        for chart in [scatter(&points()), residuals(&points()), residuals_by_prediction(&points())] {
            let chart = chart.unwrap();
            assert!(chart.contains("fill:var(--first)") && !chart.contains("#0100"), "{chart}");
        }
        assert!(scatter(&points()).unwrap().contains("fill:var(--second)"));
    }

    #[test]
    fn nothing_to_draw_gives_no_chart() {
        let nan = NumberPoint { truth: f64::NAN, prediction: 1.0, held: None };
        let exact = NumberPoint { truth: 1.0, prediction: 1.0, held: None };
        for points in [&[][..], &[nan]] {
            assert_eq!((scatter(points), residuals(points), residuals_by_prediction(points)), (None, None, None));
        }
        assert!(scatter(&[exact]).is_some() && residuals(&[exact]).is_none());
        assert!(residuals_by_prediction(&[exact]).is_some());
    }
}
