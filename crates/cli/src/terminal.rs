//! Everything that goes to stderr: progress, remarks, errors.

use std::collections::BTreeMap;
use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use engraft::error::printable_text;
use engraft::progress::{CurvePoint, Observer};
use engraft::run::LogLine;
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::chart;
use crate::interruption;
use crate::output::{lines_for_reader, percent};

/// How often plain progress lines are printed where stderr is not a terminal.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

/// How often a plain line about a learning curve is printed there, at most; and never twice for an epoch.
const PLAIN_CURVE_EVERY: Duration = Duration::from_secs(1);
/// How often a chart is drawn anew, at most.
const CHART_EVERY: Duration = Duration::from_millis(100);
/// Lines of a chart where the terminal is high enough, and its width at most.
const CHART_HEIGHT: usize = 13;
const CHART_WIDTH: usize = 100;
/// Lines left to the chart's title and the progress bar, and to what was there before.
const LINES_BESIDE: usize = 4;

struct Task {
    name: String,
    unit: String,
    total: u64,
    done: u64,
    start: Instant,
    told: Instant,
    bar: Option<ProgressBar>,
}

/// What is shown of learning curves.
#[derive(Default)]
struct Curves {
    /// When anything was told last.
    told: Option<Instant>,
    /// The last epoch of each curve that a plain line told of.
    epochs: BTreeMap<String, f64>,
    chart: Option<ProgressBar>,
}

/// The listener of the library: bars and charts on a terminal, plain lines elsewhere, nothing with `--quiet`.
pub struct Terminal {
    quiet: bool,
    colour: bool,
    start: Instant,
    /// Everything that is drawn in place; nothing where stderr is not a terminal, or one that cannot move its cursor.
    drawn: MultiProgress,
    task: Mutex<Option<Task>>,
    curves: Mutex<Curves>,
    log: Mutex<Vec<LogLine>>,
}

impl Terminal {
    /// Looks at stderr and `NO_COLOR`.
    pub fn new(quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self {
            quiet,
            colour,
            start: Instant::now(),
            drawn: MultiProgress::with_draw_target(ProgressDrawTarget::stderr_with_hz(10)),
            task: Mutex::new(None),
            curves: Mutex::default(),
            log: Mutex::default(),
        }
    }

    /// Removes what is still drawn.
    pub fn finish(&self) {
        self.end_curves();
        if let Some(bar) = lock(&self.task).take().and_then(|task| task.bar) {
            bar.finish_and_clear();
        }
    }

    /// What was said so far, for the run's log.
    pub fn log(&self) -> Vec<LogLine> {
        lock(&self.log).clone()
    }

    /// Prints an error, with its causes.
    pub fn error(&self, error: &anyhow::Error) {
        let (on, off) = if self.colour { ("\x1b[1;31m", "\x1b[0m") } else { ("", "") };
        let mut text = lines_for_reader(&error.to_string());
        for cause in error.chain().skip(1) {
            text.push_str(&format!("\n  because: {}", printable_text(&cause.to_string())));
        }
        self.coloured(&format!("{on}error{off}: {text}"));
    }

    fn note(&self, event: String) {
        lock(&self.log).push(LogLine { seconds: self.start.elapsed().as_secs_f64(), event });
    }

    /// Lines for a reader: what steers a terminal is escaped.
    fn line(&self, text: &str) {
        self.coloured(&lines_for_reader(text));
    }

    /// The same for what is escaped already, and may have colours.
    fn coloured(&self, text: &str) {
        self.drawn.suspend(|| {
            // Nobody is left to tell if stderr is gone.
            let _ = writeln!(std::io::stderr().lock(), "{text}");
        });
    }

    fn draws(&self) -> bool {
        !self.quiet && !self.drawn.is_hidden()
    }

    fn end_curves(&self) {
        if let Some(chart) = std::mem::take(&mut *lock(&self.curves)).chart {
            chart.finish_and_clear();
        }
    }

    /// The chart as wide and as high as the terminal lets it be, under its name.
    fn image(&self, name: &str, points: &[CurvePoint]) -> Option<String> {
        let (width, height) = terminal_size::terminal_size_of(std::io::stderr())
            .map_or((80, 24), |(width, height)| (usize::from(width.0), usize::from(height.0)));
        // One column stays free, since some terminals break a line that is full.
        let width = width.saturating_sub(1).min(CHART_WIDTH);
        let height = height.saturating_sub(LINES_BESIDE).min(CHART_HEIGHT);
        let lines = chart::render(points, width, height, self.colour);
        let name: String = printable_text(name).chars().take(width).collect();
        (!lines.is_empty()).then(|| format!("{name}\n{}", lines.join("\n")))
    }
}

impl Observer for Terminal {
    fn begin(&self, task: &str, total: u64, unit: &str) {
        self.note(format!("{task}: {total} {unit}"));
        let bar = self.draws().then(|| {
            let style = match total {
                0 => "{prefix:22} {pos} {msg}, {per_sec}",
                _ => "{prefix:22} {wide_bar} {pos}/{len} {msg}, {per_sec}, {eta} left",
            };
            let bar = if total == 0 { ProgressBar::no_length() } else { ProgressBar::new(total) };
            let bar = self.drawn.add(bar);
            bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_prefix(printable_text(task).into_owned());
            bar.set_message(printable_text(unit).into_owned());
            bar
        });
        let now = Instant::now();
        let (name, unit) = (task.to_owned(), unit.to_owned());
        *lock(&self.task) = Some(Task { name, unit, total, done: 0, start: now, told: now, bar });
    }

    fn advance(&self, units: u64) {
        let mut guard = lock(&self.task);
        let Some(task) = guard.as_mut() else { return };
        task.done += units;
        if let Some(bar) = &task.bar {
            bar.inc(units);
        } else if !self.quiet && task.told.elapsed() >= PLAIN_EVERY {
            task.told = Instant::now();
            let rate = task.done as f64 / task.start.elapsed().as_secs_f64();
            let left = (task.total.saturating_sub(task.done)) as f64 / rate.max(1e-9);
            let text = match task.total {
                0 => format!("{}: {} {}, {rate:.1}/s", task.name, task.done, task.unit),
                total => format!("{}: {}/{total} {}, {rate:.1}/s, {left:.0} s left", task.name, task.done, task.unit),
            };
            drop(guard);
            self.line(&text);
        }
    }

    fn curve(&self, name: &str, points: &[CurvePoint]) {
        // Where nothing is drawn, folds are not worth a line: their depth is told when it is measured.
        let is_told = !self.quiet && (self.draws() || !name.contains("/fold"));
        let Some(last) = points.last().filter(|_| is_told) else { return };
        let mut curves = lock(&self.curves);
        let every = if self.draws() { CHART_EVERY } else { PLAIN_CURVE_EVERY };
        if curves.told.is_some_and(|told| told.elapsed() < every) {
            return;
        }
        if !self.draws() {
            let epoch = last.epoch.floor();
            if epoch > curves.epochs.get(name).copied().unwrap_or(0.0) {
                curves.epochs.insert(name.to_owned(), epoch);
                curves.told = Some(Instant::now());
                drop(curves);
                self.line(&plain_curve(name, last));
            }
            return;
        }
        curves.told = Some(Instant::now());
        match self.image(name, points) {
            Some(image) => {
                let chart = curves.chart.get_or_insert_with(|| {
                    let style = ProgressStyle::with_template("{msg}").unwrap_or_else(|_| ProgressStyle::default_bar());
                    self.drawn.insert(0, ProgressBar::new(0).with_style(style))
                });
                chart.set_message(image);
            }
            // The terminal has become too small for what is drawn.
            None => {
                if let Some(chart) = curves.chart.take() {
                    chart.finish_and_clear();
                }
            }
        }
    }

    fn end(&self) {
        self.end_curves();
        let Some(task) = lock(&self.task).take() else { return };
        if let Some(bar) = task.bar {
            bar.finish_and_clear();
        }
        let seconds = task.start.elapsed().as_secs_f64();
        let text = format!("{}: {} {} in {seconds:.1} s", task.name, task.done, task.unit);
        self.note(text.clone());
        if !self.quiet {
            self.line(&text);
        }
    }

    fn say(&self, line: &str) {
        self.note(line.to_owned());
        if !self.quiet {
            self.line(line);
        }
    }

    fn interrupted(&self) -> bool {
        interruption::is_asked()
    }
}

/// One line about the end of a learning curve.
fn plain_curve(name: &str, at: &CurvePoint) -> String {
    let mut text = format!("{name}: epoch {:.0}, training loss {:.3}", at.epoch.floor(), at.train_loss);
    if let Some(loss) = at.validation_loss {
        text.push_str(&format!(", held out {loss:.3}"));
    }
    if let Some(accuracy) = at.validation_accuracy {
        text.push_str(&format!(", {} right", percent(accuracy)));
    }
    text
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_line_tells_what_there_is() {
        let point = CurvePoint {
            epoch: 3.0,
            train_loss: 0.5,
            validation_loss: Some(0.61),
            train_accuracy: 0.8,
            validation_accuracy: Some(0.78),
        };
        assert_eq!(plain_curve("final", &point), "final: epoch 3, training loss 0.500, held out 0.610, 78.0 % right");
        let point = CurvePoint { validation_loss: None, validation_accuracy: None, ..point };
        assert_eq!(plain_curve("final", &point), "final: epoch 3, training loss 0.500");
    }
}
