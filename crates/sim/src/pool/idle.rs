//! Measures how long the OS thread of a run has made no progress, from what the system says about it.
//!
//! A runnable thread that gets no processor is not stuck. That can last long on a busy machine. So only its own
//! processor time counts, and the time in which it waits in the kernel.

use std::time::Duration;

/// What an OS thread of this process has used and is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Glance {
    processor: Duration,
    waits: bool,
}

/// Time without progress.
#[derive(Debug, Default)]
pub(super) struct Idle {
    processor: Duration,
    waiting: Duration,
    /// The processor time that the thread had used at the last look.
    before: Option<Duration>,
}

impl Idle {
    /// Adds `slice`, in which the thread with this number made no step. 0 means that the number is not known.
    pub(super) fn add(&mut self, slice: Duration, thread: i32) {
        match glance(thread) {
            Some(Glance { processor, waits }) => {
                self.processor += processor.saturating_sub(self.before.unwrap_or(processor));
                self.before = Some(processor);
                if waits {
                    self.waiting += slice;
                }
            }
            None => self.waiting += slice,
        }
    }

    /// Returns `true` if it is time to give up.
    pub(super) fn exceeds(&self, patience: Duration) -> bool {
        self.processor >= patience || self.waiting >= patience
    }
}

/// Looks at an OS thread of this process.
#[cfg(target_os = "linux")]
fn glance(thread: i32) -> Option<Glance> {
    /// Of the fields in `proc(5)`, a hundredth of a second on every Linux that Rust runs on.
    const TICKS_A_SECOND: u64 = 100;
    if thread == 0 {
        return None;
    }
    let stat = std::fs::read_to_string(format!("/proc/self/task/{thread}/stat")).ok()?;
    // The name, in parentheses, may contain anything.
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split(' ').collect();
    let ticks = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    Some(Glance {
        processor: Duration::from_millis(ticks * 1_000 / TICKS_A_SECOND),
        waits: *fields.first()? != "R",
    })
}

#[cfg(not(target_os = "linux"))]
fn glance(_: i32) -> Option<Glance> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[cfg(target_os = "linux")]
    fn idle_and_busy_threads_are_distinguished() {
        use std::sync::mpsc;
        let number = || {
            let link = std::fs::read_link("/proc/thread-self").expect("Linux has it");
            link.file_name().expect("a number").to_string_lossy().parse::<i32>().expect("a number")
        };
        let (told, hear) = mpsc::channel();
        let (release, released) = mpsc::channel::<()>();
        let waits = std::thread::Builder::new().spawn(move || {
            told.send(number()).expect("it is heard");
            let _ = released.recv();
        });
        let thread = hear.recv().expect("the thread says who it is");
        let mut idle = Idle::default();
        while !idle.exceeds(Duration::from_millis(5)) {
            std::thread::yield_now();
            idle.add(Duration::from_millis(1), thread);
        }
        assert!(
            idle.waiting >= Duration::from_millis(5) && idle.processor < Duration::from_secs(1),
            "{idle:?}"
        );
        drop(release);
        waits.expect("it starts").join().expect("no panic");
        let mut idle = Idle::default();
        while !idle.exceeds(Duration::from_millis(50)) {
            idle.add(Duration::ZERO, number());
        }
        assert_eq!(idle.waiting, Duration::ZERO, "this thread runs while it looks at itself");
    }
}
