//! The one place where panics are caught: those of other people's parsers, which should have returned an error.
//!
//! Nothing of a caught panic is printed. (Unwinding panics are needed, which is Rust's default.)

use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Once;

use crate::error::printable_text;

thread_local! {
    /// How many guards stand around what this thread does now.
    static GUARDS: Cell<usize> = const { Cell::new(0) };
    /// Where the last guarded panic of this thread happened.
    static PLACE: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// The longest text of a panic that is kept, in characters.
const LONGEST: usize = 200;

/// A panic that was caught.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} gave up: {text}")]
pub struct Panicked {
    /// Who panicked, for a reader: "its decoder".
    pub(crate) what: String,
    /// What the panic said, on one line.
    pub text: String,
    /// File and line in the source of whoever panicked.
    pub place: Option<String>,
}

/// Runs `work`, which belongs to `what`, and turns a panic into an error. Panics of other threads are printed as before.
///
/// # Errors
/// [`Panicked`] where `work` panics.
pub fn guarded<T>(what: &str, work: impl FnOnce() -> T) -> Result<T, Panicked> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let previous = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            if GUARDS.try_with(Cell::get).unwrap_or(0) == 0 {
                previous(panic);
            } else {
                let place = panic.location().map(|at| format!("{}:{}", at.file(), at.line()));
                let _ = PLACE.try_with(|last| last.replace(place));
            }
        }));
    });
    GUARDS.set(GUARDS.get() + 1);
    #[expect(clippy::disallowed_methods, reason = "everybody else is to use this function")]
    let result = catch_unwind(AssertUnwindSafe(work));
    GUARDS.set(GUARDS.get() - 1);
    result.map_err(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("it did not say why");
        let text = printable_text(text).chars().take(LONGEST).collect();
        Panicked { what: what.to_owned(), text, place: PLACE.take() }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_becomes_an_error_that_says_who_why_and_where() {
        let caught = guarded("the parser", || {
            // A guard inside a guard leaves the outer one in place.
            assert!(guarded("another", || panic!("inner")).is_err());
            assert_eq!(GUARDS.get(), 1);
            if true {
                panic!("no\n\u{1b}[31mway");
            }
        });
        let caught = caught.unwrap_err();
        assert_eq!(caught.to_string(), "the parser gave up: no\\n\\u{1b}[31mway");
        assert!(caught.place.unwrap().contains("guard.rs"));
        assert_eq!(GUARDS.get(), 0);
        assert_eq!(guarded("nobody", || 3), Ok(3));
    }
}
