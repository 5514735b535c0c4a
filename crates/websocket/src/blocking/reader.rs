//! The reader thread: feeds the session with what the peer sends.
//!
//! It reads outside the lock and never writes, so neither a caller nor a stuck peer keeps it from hearing the pong or
//! the Close frame that is there. It waits for the application only while the session does not want to read.

use std::io;

use wavetank_runtime::Threads;

use super::shared::{Guard, Shared};
use super::wire::{BoxWire, is_temporary};

/// Bytes of a read at most.
const READ_BYTES: usize = 64 * 1024;

/// The body of the thread. It ends with the connection.
pub(super) fn run<T: Threads>(shared: &Shared<T>, mut wire: BoxWire) {
    let mut buffer = vec![0; READ_BYTES];
    let mut guard = shared.lock();
    // What came glued to the opening handshake is there already.
    guard.session.process(shared.threads.now());
    guard.fresh = true;
    shared.settle(&mut guard);
    loop {
        guard = wait_until_wanted(shared, guard);
        if guard.closed().is_some() {
            return;
        }
        drop(guard);
        let read = wire.read(&mut buffer);
        guard = shared.lock();
        if guard.closed().is_some() {
            return;
        }
        take(shared, &mut guard, read, &buffer);
        shared.settle(&mut guard);
    }
}

/// Waits while the queue of messages is full.
fn wait_until_wanted<'a, T: Threads>(shared: &Shared<T>, mut guard: Guard<'a, T>) -> Guard<'a, T> {
    while guard.closed().is_none() && !guard.session.wants_read() {
        guard.reader_paused = true;
        guard = shared.intake.wait(guard);
        guard.reader_paused = false;
    }
    guard
}

/// Hands the session what a read brought.
fn take<T: Threads>(shared: &Shared<T>, guard: &mut Guard<'_, T>, read: io::Result<usize>, buffer: &[u8]) {
    let now = shared.threads.now();
    match read {
        Ok(0) => guard.session.end_of_input(now),
        Ok(count) => {
            guard.session.input().extend_from_slice(&buffer[..count]);
            guard.session.process(now);
        }
        Err(error) if is_temporary(&error) => return,
        Err(error) => guard.session.transport_failed(&error, now),
    }
    guard.fresh = true;
}
