//! Reading, by the thread that holds the read permit.
//!
//! The read permit is the right to read from the stream. Like the write permit, it is either in the state or with one
//! thread. A caller that receives takes it, if it is free, and reads for itself: no other thread has to run before it
//! has its message. While callers do so, the reader thread leaves the reading to them. It takes the permit back
//! [`LINGER`] after the last caller has gone, or sooner if something depends on it ([`State::needs_reader`]).

use std::io;
use std::time::Duration;

use wavetank_runtime::{Instant, Threads};

use super::shared::{Guard, Shared, State};
use super::wire::{BoxWire, is_temporary};

/// How long no thread reads after a caller has received something, as it may come back for more. This bounds how late a
/// pong or the answer to a Close frame is.
pub(super) const LINGER: Duration = Duration::from_millis(5);

/// A caller with less time than this does not read: timeouts of the system's reads are coarse.
const SHORTEST: Duration = Duration::from_millis(16);

/// The length of a read after a pause, which is the memory that an idle connection keeps for it. After a read that
/// fills it, reads are as long as configured.
const SHORT_READ: usize = 512;

/// When no read has brought more than a short one for so long, short ones follow. Pings and pongs do not count as use.
const PAUSE: Duration = Duration::from_secs(1);

/// The right to read, and what reading needs.
pub(super) struct ReadPermit {
    wire: BoxWire,
    buffer: Vec<u8>,
    /// How long a read is at most.
    bytes: usize,
    /// When a read last brought more than a short one.
    much_at: Instant,
    /// The read timeout that the stream has.
    timeout: Option<Duration>,
}

impl ReadPermit {
    /// `wire` has no read timeout. A read brings `bytes` at most.
    pub(super) fn new(wire: BoxWire, bytes: usize, now: Instant) -> Self {
        Self { wire, buffer: vec![0; bytes.min(SHORT_READ)], bytes, much_at: now, timeout: None }
    }

    /// Fits the length of the next read to the last one, which brought `count` bytes.
    fn adapt(&mut self, count: usize, now: Instant) {
        if count > SHORT_READ || count == self.buffer.len() {
            self.much_at = now;
        }
        if count == self.buffer.len() {
            self.buffer.resize(self.bytes, 0);
        } else if self.buffer.len() > SHORT_READ && now - self.much_at >= PAUSE {
            self.buffer = vec![0; SHORT_READ];
        }
    }

    fn read(&mut self, timeout: Option<Duration>) -> io::Result<usize> {
        if self.timeout != timeout {
            // This fails where the connection is gone, and there reading does not block.
            let _gone = self.wire.set_read_timeout(timeout);
            self.timeout = timeout;
        }
        self.wire.read(&mut self.buffer)
    }
}

/// How long a caller with this much time left reads, if it shall read: a time that is surely not late (the system's
/// timers may be so by an eighth), and one of few, as every change of a stream's timeout is a call of the system.
pub(super) fn patience(left: Duration) -> Option<Duration> {
    if left < SHORTEST {
        return None;
    }
    let half = u64::try_from(left.as_millis() / 2).unwrap_or(u64::MAX);
    Some(Duration::from_millis(1 << half.ilog2()))
}

/// Reads once, for `timeout` at most, hands the session what that brought, and puts the read permit back. Returns
/// whether the timeout was up.
pub(super) fn look<'a, T: Threads>(
    shared: &'a Shared<T>,
    guard: Guard<'a, T>,
    mut permit: ReadPermit,
    timeout: Option<Duration>,
) -> (Guard<'a, T>, bool) {
    drop(guard);
    let read = permit.read(timeout);
    let mut guard = shared.lock();
    if guard.is_gone() {
        return (guard, false);
    }
    let now = shared.threads.now();
    guard.read_at = now;
    let found_nothing = matches!(&read, Err(error) if is_temporary(error));
    if !found_nothing {
        let count = read.as_ref().map_or(0, |count| *count);
        guard.take_in(read.map(|count| &permit.buffer[..count]));
        permit.adapt(count, now);
    }
    guard.read_permit = Some(permit);
    shared.settle(&mut guard);
    (guard, found_nothing)
}

impl State {
    /// Hands the session what a read brought.
    fn take_in(&mut self, read: io::Result<&[u8]>) {
        let now = self.read_at;
        match read {
            Ok([]) => self.session.end_of_input(now),
            Ok(bytes) => {
                self.session.append(bytes);
                self.session.process(now);
                if self.abandoned {
                    self.discard();
                }
            }
            Err(error) => {
                self.read_error = Some(error);
                if self.is_open() || self.write_permit.is_some() {
                    self.reading_failed(now);
                }
                return;
            }
        }
        self.fresh = true;
    }

    /// Goes on with input that was left while the queue was full, if there is room again.
    pub(super) fn catch_up(&mut self, now: impl Fn() -> Instant) {
        if self.has_input_left() {
            self.session.process_with(&now);
            if self.abandoned {
                self.discard();
            }
            self.fresh = true;
        }
    }

    /// Tells the session that reading has failed, if it has. The peer may have reset the stream because it had read
    /// our Close frame: the thread that is writing it counts it first, and then calls this. No write to such a stream
    /// lasts.
    pub(super) fn reading_failed(&mut self, now: Instant) {
        if let Some(error) = self.read_error.take() {
            self.session.transport_failed(&error, now);
            self.fresh = true;
        }
    }

    /// Returns `true` if there is a reason to read, and no thread reads.
    pub(super) fn can_read(&self) -> bool {
        self.read_permit.is_some() && self.read_error.is_none() && self.session.wants_read()
    }

    /// Until when the reader thread leaves the reading to callers, if it does.
    pub(super) fn leave(&self, now: Instant) -> Option<Instant> {
        let until = self.read_at + LINGER;
        (self.left_to_callers && now < until).then_some(until)
    }

    /// Whether the reader thread must not leave the reading to callers until `until`: a thread waits for what only a
    /// read brings, or a pong that is there could be read too late.
    pub(super) fn needs_reader(&self, until: Instant) -> bool {
        self.awaits_arrival
            || self.waiting_for_progress > 0
            || !self.is_open()
            || self.deadline().is_some_and(|deadline| deadline <= until + LINGER)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_is_a_power_of_two_within_half() {
        assert_eq!(patience(Duration::ZERO), None);
        assert_eq!(patience(SHORTEST - Duration::from_nanos(1)), None);
        assert_eq!(patience(SHORTEST), Some(Duration::from_millis(8)));
        for micros in [16_000, 31_999, 99_990, 100_000, 1_000_000, 3_599_999_999] {
            let left = Duration::from_micros(micros);
            let patience = patience(left).expect("enough time");
            assert!(patience <= left / 2 && patience * 5 > left, "{patience:?} of {left:?}");
            assert!(patience.as_millis().is_power_of_two());
        }
        assert!(patience(Duration::MAX).is_some_and(|patience| !patience.is_zero()));
    }

    #[test]
    fn nearly_equal_timeouts_give_the_same_patience() {
        let timeout = Duration::from_millis(100);
        assert_eq!(patience(timeout), patience(timeout - Duration::from_micros(300)));
    }
}
