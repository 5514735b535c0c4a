//! Futexes: what the locks, conditions, channels and parked threads of std and tokio wait by.
//!
//! A thread waits at an address. Reports name a wait by its ordinal in the run, because addresses differ from process
//! to process. Which of several waiting threads is woken is a choice in the schedule lane.

use std::sync::atomic::{AtomicU32, Ordering};

use libc::{c_int, c_long, timespec};

use super::call::{Answer, Call, Errno};
use super::symbols::nanos_of;
use super::unsimulated;
use crate::interpose::{EPOCH_SECONDS, UPTIME_SECONDS};
use crate::time::Nanos;
use crate::wait::{Operation, Wait};

const NANOS: u64 = 1_000_000_000;

/// The virtual time that a clock shows as `time`.
pub(super) fn until(clock_is_real: bool, time: Nanos) -> Nanos {
    let begin = if clock_is_real { EPOCH_SECONDS } else { UPTIME_SECONDS };
    time.saturating_sub(begin * NANOS)
}

/// `futex(2)`.
///
/// # Safety
///
/// The arguments are those of the system call.
#[expect(unsafe_code, reason = "reads what the arguments of a system call point to")]
pub(super) unsafe fn futex(call: &Call, arguments: [c_long; 6]) -> Answer {
    let [address, operation, value, time, ..] = arguments;
    let operation = operation as c_int;
    let command = operation & !(libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME);
    match command {
        libc::FUTEX_WAIT | libc::FUTEX_WAIT_BITSET => {
            // SAFETY: a caller passes null or a time.
            let time = unsafe { (time as *const timespec).as_ref() }.map(nanos_of);
            let until = time.map(|time| match command {
                libc::FUTEX_WAIT => call.run.scheduler.now().saturating_add(time),
                _ => until(operation & libc::FUTEX_CLOCK_REALTIME != 0, time),
            });
            // SAFETY: a caller that waits passes the address of a word.
            let word = unsafe { AtomicU32::from_ptr(address as *mut u32) };
            call.point("futex_wait", None);
            if word.load(Ordering::SeqCst) != value as u32 {
                return Err(Errno(libc::EAGAIN));
            }
            call.sleep_at(address as usize, until)
        }
        libc::FUTEX_WAKE | libc::FUTEX_WAKE_BITSET => {
            let woken = call.wake_at(address as usize, value.max(0) as usize);
            if woken > 0 {
                call.after("futex_wake");
            }
            Ok(woken as isize)
        }
        _ => Err(unsimulated::complain(call, &format!("futex operation {command}"), "use locks of std")),
    }
}

impl Call {
    /// Waits at `address` until a call of [`wake_at`](Self::wake_at) wakes this thread.
    ///
    /// # Errors
    ///
    /// `ETIMEDOUT` when `until` has come.
    pub(super) fn sleep_at(&self, address: usize, until: Option<Nanos>) -> Answer {
        let sleeper = self.sleeper();
        self.system.sleepers.borrow_mut().entry(address).or_default().push_back(sleeper);
        self.system.waits.set(self.system.waits.get() + 1);
        let wait = Wait::Futex { number: self.system.waits.get(), until };
        loop {
            let waited = self.run.scheduler.block(wait, until);
            let mut sleepers = self.system.sleepers.borrow_mut();
            let waiting = sleepers.get_mut(&address);
            let place =
                waiting.as_ref().and_then(|waiting| waiting.iter().position(|other| *other == sleeper));
            let (Some(waiting), Some(place)) = (waiting, place) else {
                self.run.scheduler.unblocked();
                return Ok(0);
            };
            let is_late = until.is_some_and(|until| self.run.scheduler.now() >= until);
            if !waited || is_late {
                waiting.remove(place);
                if waiting.is_empty() {
                    sleepers.remove(&address);
                }
                self.run.scheduler.unblocked();
                return Err(Errno(if is_late { libc::ETIMEDOUT } else { libc::EINTR }));
            }
        }
    }

    /// Wakes at most `count` threads that wait at `address`. Returns how many.
    pub(super) fn wake_at(&self, address: usize, count: usize) -> usize {
        let mut woken = 0;
        while woken < count {
            let waiting = self.system.sleepers.borrow().get(&address).map_or(0, |waiting| waiting.len());
            if waiting == 0 {
                break;
            }
            // If all waiters wake, there is nothing to choose.
            let index = match count - woken < waiting {
                true => self.run.scheduler.choose_waiter(Operation::new("futex_wake"), waiting),
                false => 0,
            };
            let mut sleepers = self.system.sleepers.borrow_mut();
            let Some(waiting) = sleepers.get_mut(&address) else { break };
            let next = waiting.remove(index);
            if waiting.is_empty() {
                sleepers.remove(&address);
            }
            drop(sleepers);
            if let Some(next) = next {
                self.run.scheduler.wake(next.task);
            }
            woken += 1;
        }
        woken
    }
}
