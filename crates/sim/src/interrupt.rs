//! Ctrl-C, SIGTERM and SIGHUP: the first stops sweeps and shrinking with what they found, the second kills.
//!
//! # Invariants
//!
//! - The process exits when the last running sweep has printed what it found, so parallel sweeps do not cut each other
//!   off. Its status is the one that shells use for the signal (130 for Ctrl-C).
//! - Output bypasses the test harness's capture, which would lose it on exit.

use std::io::Write as _;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::flag;

/// The number that shells add to the number of the signal that ended a process.
const STATUS: i32 = 128;

/// The signals that stop a sweep.
const SIGNALS: [i32; 3] = [SIGINT, SIGTERM, SIGHUP];

/// The last of them that arrived.
static SIGNAL: OnceLock<Arc<AtomicUsize>> = OnceLock::new();

/// Whether one of the signals arrived.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Returns the flag of the process. The first call installs the handlers.
    ///
    /// If the system refuses a handler, Ctrl-C kills at once, as without a sweep.
    pub(crate) fn of_process() -> Self {
        static FLAG: OnceLock<Interrupt> = OnceLock::new();
        let install = || {
            let raised = Arc::new(AtomicBool::new(false));
            let last = SIGNAL.get_or_init(|| Arc::new(AtomicUsize::new(SIGINT as usize)));
            for signal in SIGNALS {
                // Handlers run in this order. The second signal finds the flag that the first has raised.
                if flag::register_conditional_shutdown(signal, STATUS + signal, Arc::clone(&raised)).is_ok() {
                    let _ = flag::register_usize(signal, Arc::clone(last), signal as usize);
                    let _ = flag::register(signal, Arc::clone(&raised));
                }
            }
            Self(raised)
        };
        FLAG.get_or_init(install).clone()
    }

    pub(crate) fn is_raised(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    #[cfg(test)]
    pub(crate) fn raise(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

static SWEEPS_RUNNING: AtomicUsize = AtomicUsize::new(0);

/// Counts a sweep as running while it lives.
#[derive(Debug)]
pub(crate) struct RunningSweep(Interrupt);

impl RunningSweep {
    pub(crate) fn start() -> Self {
        SWEEPS_RUNNING.fetch_add(1, Ordering::SeqCst);
        Self(Interrupt::of_process())
    }

    pub(crate) const fn interrupt(&self) -> &Interrupt {
        &self.0
    }

    /// Prints what an interrupted sweep found, and ends the process if no other sweep is running.
    pub(crate) fn leave(self, found: &str) -> ! {
        let mut stderr = std::io::stderr().lock();
        // Nothing can be done if standard error is closed.
        let _ = writeln!(stderr, "\n{found}");
        let _ = stderr.flush();
        drop(stderr);
        drop(self);
        loop {
            // Another sweep is printing what it found, and exits.
            std::thread::park();
        }
    }
}

impl Drop for RunningSweep {
    fn drop(&mut self) {
        if SWEEPS_RUNNING.fetch_sub(1, Ordering::SeqCst) == 1 && self.0.is_raised() {
            let signal = SIGNAL.get().map_or(SIGINT as usize, |last| last.load(Ordering::SeqCst));
            std::process::exit(STATUS + signal as i32);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Output};

    use super::*;

    /// Runs the test of this name in a process of its own, which can be interrupted. In that process, returns `None`.
    fn in_child(test: &str) -> Option<Output> {
        // An argument that the harness takes and that selects nothing.
        const MARK: &str = "--skip=this-is-the-child";
        if std::env::args().any(|argument| argument == MARK) {
            return None;
        }
        let child = std::env::current_exe().expect("the test is a program");
        let name = format!("interrupt::tests::{test}");
        Some(Command::new(child).args([&name, "--exact", MARK]).output().expect("the child runs"))
    }

    #[test]
    fn an_interrupt_waits_for_all_sweeps_to_report() {
        let Some(output) = in_child("an_interrupt_waits_for_all_sweeps_to_report") else {
            let (one, other) = (RunningSweep::start(), RunningSweep::start());
            signal_hook::low_level::raise(SIGINT).expect("raises");
            assert!(one.interrupt().is_raised());
            // The first to leave does not cut the second off.
            std::thread::Builder::new().spawn(move || one.leave("one found this")).expect("starts");
            while SWEEPS_RUNNING.load(Ordering::SeqCst) == 2 {
                std::thread::yield_now();
            }
            other.leave("the other found that");
        };
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(STATUS + SIGINT), "{said}");
        assert!(said.contains("one found this") && said.contains("the other found that"), "{said}");
    }

    #[test]
    fn the_second_ctrl_c_kills() {
        let Some(output) = in_child("the_second_ctrl_c_kills") else {
            let _running = RunningSweep::start();
            signal_hook::low_level::raise(SIGINT).expect("raises");
            signal_hook::low_level::raise(SIGINT).expect("raises");
            unreachable!("killed");
        };
        assert_eq!(
            output.status.code(),
            Some(STATUS + SIGINT),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
}
