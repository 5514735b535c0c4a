//! Writing, by the thread that holds the write permit, and the writer thread.
//!
//! A caller that sends takes the write permit, if it is free, and writes its own message: no other thread has to run.
//! Everything else is left to the writer thread: pings, pongs, Close frames, what callers leave behind. It is also
//! the one that keeps the time. Callers that must not be stuck (`close`, `ping`) never write.

use std::time::Duration;

use wavetank_runtime::{Instant, Threads};

use super::shared::{Guard, Shared, WritePermit, Writer};
use super::wire::{BoxWire, is_temporary};

/// Bytes of a write at most. The lock is held while they are copied.
const WRITE_BYTES: usize = 512 * 1024;

/// Timeouts are no shorter: the system's timers are no finer, and a timeout of zero is an error.
const TIMEOUT_MIN: Duration = Duration::from_millis(1);

/// How long a write waits for room at first. A write of a blocking stream returns what it has taken when its timeout
/// is up: so it is seen that a slow peer reads.
const STEP_MIN: Duration = Duration::from_millis(50);

/// The body of the writer thread. It ends with the connection.
pub(super) fn run<T: Threads>(shared: &Shared<T>) {
    let mut guard = shared.lock();
    loop {
        let now = shared.threads.now();
        if guard.deadline().is_some_and(|deadline| deadline <= now) {
            guard.session.handle_deadline(now);
            if let Some(permit) = &mut guard.write_permit {
                permit.rest();
            }
            shared.settle(&mut guard);
        }
        if guard.is_gone() {
            return;
        }
        if guard.has_output()
            && let Some(permit) = guard.write_permit.take()
        {
            guard = write(shared, guard, permit, Until::Deadline);
        } else {
            let until = guard.deadline();
            guard.writer = Writer::Rests(until);
            guard = shared.wait(&shared.work, guard, until);
            guard.writer = Writer::Busy;
        }
    }
}

/// How long [`write()`] goes on.
#[derive(Clone, Copy)]
pub(super) enum Until {
    /// The output is written up to here. The writer thread watches the deadlines meanwhile.
    Written(u64),
    /// Nothing is left, or the next deadline has come.
    Deadline,
}

/// Writes what there is to write, one chunk after the other, and puts the write permit back.
pub(super) fn write<'a, T: Threads>(
    shared: &'a Shared<T>,
    mut guard: Guard<'a, T>,
    mut permit: WritePermit,
    until: Until,
) -> Guard<'a, T> {
    while guard.has_output() && goes_on(shared, &guard, until) {
        permit.load(guard.session.output());
        let timeout = match until {
            Until::Written(_) => permit.step,
            Until::Deadline => {
                let next = guard.deadline().map(|deadline| deadline - shared.threads.now());
                next.unwrap_or(Duration::MAX).min(permit.step)
            }
        };
        let plain = guard.session.plain_bytes_in(permit.chunk.len());
        // What TLS says at its end is written when the outcome is known.
        let was_over = guard.closed().is_some();
        drop(guard);
        let written = permit.write(timeout);
        guard = shared.lock();
        if guard.closed().is_some() && !was_over {
            // The peer may have read this, and ended the connection because it had: the caller learns that it was
            // sent.
            if written.is_ok_and(|count| count == permit.chunk.len()) {
                guard.written += plain as u64;
            }
            break;
        }
        let now = shared.threads.now();
        match written {
            Ok(count) => {
                permit.step = STEP_MIN.min(guard.write_step_max);
                guard.output_written(count, now);
                if count < permit.chunk.len() {
                    guard.session.output_refused(now);
                }
            }
            Err(error) if is_temporary(&error) => {
                permit.step = (permit.step * 2).min(guard.write_step_max);
                guard.session.output_refused(now);
            }
            Err(error) => guard.writing_failed(&error, now),
        }
        guard.reading_failed(now);
        shared.settle(&mut guard);
    }
    if !guard.is_gone() {
        guard.write_permit = Some(permit);
    }
    shared.settle(&mut guard);
    guard
}

fn goes_on<T: Threads>(shared: &Shared<T>, guard: &Guard<'_, T>, until: Until) -> bool {
    match until {
        Until::Written(end) => !guard.is_written(end),
        Until::Deadline => is_ahead(guard.deadline(), shared.threads.now()),
    }
}

fn is_ahead(deadline: Option<Instant>, now: Instant) -> bool {
    deadline.is_none_or(|deadline| now < deadline)
}

impl WritePermit {
    pub(super) fn new(wire: BoxWire, step_max: Duration) -> Self {
        Self { wire, chunk: Vec::new(), timeout: None, step: STEP_MIN.min(step_max) }
    }

    /// Frees memory that holds nothing.
    fn rest(&mut self) {
        self.chunk = Vec::new();
    }

    fn load(&mut self, output: &[u8]) {
        self.chunk.clear();
        self.chunk.extend_from_slice(&output[..output.len().min(WRITE_BYTES)]);
    }

    fn write(&mut self, timeout: Duration) -> std::io::Result<usize> {
        let timeout = Some(timeout.max(TIMEOUT_MIN));
        if self.timeout != timeout {
            self.wire.set_write_timeout(timeout)?;
            self.timeout = timeout;
        }
        match self.wire.write(&self.chunk)? {
            0 => Err(std::io::ErrorKind::WriteZero.into()),
            count => Ok(count),
        }
    }
}
