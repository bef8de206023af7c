//! The wish to stop: Ctrl-C, SIGTERM, and a terminal that goes away.
//!
//! Work hears of the first signal by [`is_asked`] and ends with an error of its own. What does not come to its end within
//! [`GRACE`], because it reads a huge file or waits for a disk, is ended from here. Nothing is lost by that which `kill -9`
//! would leave: every file is written aside and renamed, and left-overs are removed by the next run. A second signal ends the
//! process at once.

use std::io::Write;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use signal_hook::low_level;

use crate::exit::INTERRUPTED;

/// How long work has to come to its end by itself: with what comes after it less than a second.
const GRACE: Duration = Duration::from_millis(750);
/// How long the last words may take, where stderr is a pipe that nobody reads.
const LAST_WORDS: Duration = Duration::from_millis(100);
/// Signals that come this soon after the first one are the same wish: `timeout` and terminals send to a process and then to
/// its group.
const SAME_WISH: Duration = Duration::from_millis(100);

static ASKED: AtomicBool = AtomicBool::new(false);

type Parting = Box<dyn Fn() -> Option<String> + Send>;

static PARTING: Mutex<Option<Parting>> = Mutex::new(None);

/// Whether the user asked to stop.
pub fn is_asked() -> bool {
    ASKED.load(Ordering::Relaxed)
}

/// What is to be told if the work does not stop by itself: how to go on with it.
pub fn on_hard_end(parting: impl Fn() -> Option<String> + Send + 'static) {
    *parting_words() = Some(Box::new(parting));
}

fn parting_words() -> MutexGuard<'static, Option<Parting>> {
    PARTING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Begins to listen. A signal that was ignored when the program started stays ignored: `nohup`, and a shell that runs a
/// script's command in the background, mean it.
pub fn listen() -> std::io::Result<()> {
    let signals = match ignored() {
        Some(mask) => [SIGINT, SIGTERM, SIGHUP].into_iter().filter(|signal| mask & bit(*signal) == 0).collect(),
        // Where this cannot be known, SIGHUP keeps the meaning that it has: it ends the process, or is ignored.
        None => vec![SIGINT, SIGTERM],
    };
    let mut signals = Signals::new(signals)?;
    thread::Builder::new().name("signals".to_owned()).spawn(move || {
        let mut heard = signals.forever();
        if heard.next().is_none() {
            return;
        }
        ASKED.store(true, Ordering::SeqCst);
        let first = Instant::now();
        let _ = thread::Builder::new().name("grace".to_owned()).spawn(|| {
            thread::sleep(GRACE);
            end();
        });
        while heard.next().is_some() {
            if first.elapsed() > SAME_WISH {
                low_level::exit(INTERRUPTED.into());
            }
        }
    })?;
    Ok(())
}

/// Says how to go on, and ends the process. Nothing is waited for: any lock may be held by what does not end.
fn end() {
    let (told, said) = mpsc::channel();
    let words = thread::Builder::new().spawn(move || {
        let parting = parting_words().as_ref().and_then(|parting| parting());
        let mut err = std::io::stderr().lock();
        // Whether a file was just written is not known here.
        for line in parting.into_iter().chain(["error: interrupted".to_owned()]) {
            // Nobody is left to tell if stderr is gone.
            let _ = writeln!(err, "{line}");
        }
        let _ = told.send(());
    });
    if words.is_ok() {
        let _ = said.recv_timeout(LAST_WORDS);
    }
    low_level::exit(INTERRUPTED.into());
}

/// The signals that are ignored, a bit each, where the system tells.
fn ignored() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

fn bit(signal: i32) -> u64 {
    1 << (signal - 1)
}
