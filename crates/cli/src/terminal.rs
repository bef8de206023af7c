//! Everything that goes to stderr: progress, remarks, errors; and the user's wish to stop.

use std::io::{IsTerminal, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use engraft::artefact::LogLine;
use engraft::progress::Observer;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Asks running work to stop at the first Ctrl-C; the second one ends the process at once.
pub fn listen_for_interruption() -> anyhow::Result<()> {
    ctrlc::set_handler(|| {
        if INTERRUPTED.swap(true, Ordering::SeqCst) {
            std::process::exit(130);
        }
    })?;
    Ok(())
}

/// How often plain progress lines are printed where stderr is no terminal.
const PLAIN_EVERY: Duration = Duration::from_secs(10);

struct Task {
    name: String,
    unit: String,
    total: u64,
    done: u64,
    start: Instant,
    told: Instant,
    bar: Option<ProgressBar>,
}

/// The listener of the library: bars on a terminal, plain lines elsewhere, nothing with `--quiet`.
pub struct Terminal {
    quiet: bool,
    bars: bool,
    colour: bool,
    start: Instant,
    task: Mutex<Option<Task>>,
    log: Mutex<Vec<LogLine>>,
}

impl Terminal {
    /// Looks at stderr and `NO_COLOR`.
    pub fn new(quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        let colour = terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty());
        Self {
            quiet,
            bars: terminal && !quiet,
            colour,
            start: Instant::now(),
            task: Mutex::new(None),
            log: Mutex::default(),
        }
    }

    /// Removes a bar that is still drawn.
    pub fn finish(&self) {
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
        let mut text = format!("{on}error{off}: {error}");
        for cause in error.chain().skip(1) {
            text.push_str(&format!("\n  because: {cause}"));
        }
        self.line(&text);
    }

    fn note(&self, event: String) {
        lock(&self.log).push(LogLine { seconds: self.start.elapsed().as_secs_f64(), event });
    }

    fn line(&self, text: &str) {
        let bar = lock(&self.task).as_ref().and_then(|task| task.bar.clone());
        let print = || {
            // Nobody is left to tell if stderr is gone.
            let _ = writeln!(std::io::stderr().lock(), "{text}");
        };
        match bar {
            Some(bar) => bar.suspend(print),
            None => print(),
        }
    }
}

impl Observer for Terminal {
    fn begin(&self, task: &str, total: u64, unit: &str) {
        self.note(format!("{task}: {total} {unit}"));
        let bar = self.bars.then(|| {
            let style = "{prefix:22} {bar:30} {pos}/{len} {msg}, {per_sec}, {eta} left";
            let bar = ProgressBar::with_draw_target(Some(total), ProgressDrawTarget::stderr_with_hz(10));
            bar.set_style(ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()));
            bar.set_prefix(task.to_owned());
            bar.set_message(unit.to_owned());
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
            let text =
                format!("{}: {}/{} {}, {rate:.1}/s, {left:.0} s left", task.name, task.done, task.total, task.unit);
            drop(guard);
            self.line(&text);
        }
    }

    fn end(&self) {
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
        INTERRUPTED.load(Ordering::Relaxed)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}
