//! The thread that reads the transport. It never writes and never waits for the application, so nothing keeps it from
//! hearing what the peer says.

use std::io::{self, Read};

use wavetank_runtime::Threads;

use super::shared::Shared;
use crate::protocol::State;

/// The body of the thread. It ends with the session.
pub(super) fn run<T: Threads>(shared: &Shared<T>, mut transport: impl Read, read_bytes: usize) {
    let mut buffer = vec![0; read_bytes.max(1024)];
    loop {
        let read = transport.read(&mut buffer);
        let now = shared.threads.now();
        let over = shared.with(|state| {
            let connection = &mut state.connection;
            match read {
                Ok(0) => connection.end_of_input(now),
                Ok(count) => connection.receive(&mut &buffer[..count], now),
                Err(error) if is_temporary(&error) => {}
                Err(error) => connection.transport_failed(&error, now),
            }
            connection.state() == State::Closed
        });
        if over {
            return;
        }
    }
}

/// Whether the operation may be tried again.
pub(super) fn is_temporary(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted)
}
