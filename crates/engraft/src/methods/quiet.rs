//! Trainings inside of another task.

use crate::progress::Observer;

/// Passes progress on inside of one task, and keeps remarks about trainings that failed and were tried again to itself: the
/// best of several rates is looked for.
pub(crate) struct Quiet<'a>(pub &'a dyn Observer);

impl Observer for Quiet<'_> {
    fn begin(&self, _task: &str, _total: u64, _unit: &str) {}

    fn advance(&self, units: u64) {
        self.0.advance(units);
    }

    fn end(&self) {}

    fn say(&self, _line: &str) {}

    fn interrupted(&self) -> bool {
        self.0.interrupted()
    }
}
