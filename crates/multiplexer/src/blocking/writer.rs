//! The thread that writes to the transport, and keeps the time.

use std::io::Write;
use std::time::Duration;

use wavetank_runtime::{Instant, Threads};

use super::reader::is_temporary;
use super::shared::{Guard, Shared, Writer};
use super::transport::Transport;
use crate::protocol::{State, Transmit};

/// How long a write waits for a transport that takes nothing before the thread looks at the clock.
const WRITE_TIMEOUT: Duration = Duration::from_millis(250);

/// The body of the thread. It ends with the session.
pub(super) fn run<T: Threads>(shared: &Shared<T>, mut transport: impl Transport) {
    // Without it, the session still ends when reading does.
    let _gone = transport.set_write_timeout(Some(WRITE_TIMEOUT));
    let mut transmit = Transmit::new();
    let mut taken_at = shared.threads.now();
    let mut guard = shared.lock();
    loop {
        let now = shared.threads.now();
        let connection = &mut guard.connection;
        if connection.deadline().is_some_and(|deadline| deadline <= now) {
            connection.handle_deadline(now);
        }
        if connection.state() == State::Closed {
            shared.settle(&mut guard);
            return;
        }
        if transmit.is_empty() {
            connection.take_output(&mut transmit, now);
            taken_at = now;
            shared.settle(&mut guard);
        }
        if !transmit.is_empty() {
            guard = write(shared, guard, &mut transport, &mut transmit, taken_at);
        } else if guard.connection.has_waiting_writers() {
            // Those that were woken have not come: it is the turn of others.
            guard.connection.wake_writers();
            shared.settle(&mut guard);
            drop(guard);
            shared.threads.yield_now();
            guard = shared.lock();
        } else {
            let until = guard.connection.deadline();
            guard.writer = Writer::Rests(until);
            guard = shared.wait(&shared.work, guard, until);
            guard.writer = Writer::Busy;
        }
    }
}

/// Writes once, without the lock. `taken_at`: when the transmit was filled.
fn write<'a, T: Threads>(
    shared: &'a Shared<T>,
    guard: Guard<'a, T>,
    transport: &mut impl Write,
    transmit: &mut Transmit,
    taken_at: Instant,
) -> Guard<'a, T> {
    drop(guard);
    let written = transport.write_vectored(&transmit.slices());
    let mut guard = shared.lock();
    let now = shared.threads.now();
    let connection = &mut guard.connection;
    match written {
        Ok(0) => {
            *transmit = Transmit::new();
            connection.write_failed(&std::io::ErrorKind::WriteZero.into(), now);
        }
        Ok(count) => {
            transmit.advance(count);
            connection.output_written(count, transmit.is_empty(), now);
            // A transport may take less than there is without being full, but not for long.
            if !transmit.is_empty() && now - taken_at >= WRITE_TIMEOUT {
                connection.transport_full(now);
            }
        }
        Err(error) if is_temporary(&error) => connection.transport_full(now),
        Err(error) => {
            *transmit = Transmit::new();
            connection.write_failed(&error, now);
        }
    }
    shared.settle(&mut guard);
    guard
}
