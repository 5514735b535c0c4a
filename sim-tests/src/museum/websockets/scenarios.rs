//! The workloads that showed the bugs to users: `recv()` in one thread, `close()` in others.
//!
//! A scenario works with any server and any network. No sleep and no hook provokes the race: the scheduler must find
//! it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use wavetank_runtime::{JoinError, ThreadHandle, Threads};

use super::connection::{Connection, Settings};
use super::exceptions::{OpenError, RecvError, Violation};
use super::frames::close_code;

/// The results of a scenario's threads. A panic is an error of the outer `Result`.
#[derive(Debug)]
pub struct Outcome {
    /// The result of the thread that called `recv()`.
    pub recv: Result<Result<String, RecvError>, JoinError>,
    /// The result of each thread that called `close()`.
    pub closes: Vec<Result<Result<(), Violation>, JoinError>>,
    /// The result of the connection's background thread.
    pub recv_events: Result<(), JoinError>,
    /// The time from opening the connection to the end.
    pub elapsed: Duration,
}

impl Outcome {
    /// Describes the first result that no user should see, if there is one.
    #[must_use]
    pub fn surprise(&self) -> Option<String> {
        match &self.recv {
            Ok(Err(RecvError::Closed(_))) => {}
            Ok(other) => return Some(format!("recv returned {other:?}")),
            Err(error) => return Some(format!("recv {error}")),
        }
        for close in &self.closes {
            match close {
                Ok(Ok(())) => {}
                Ok(Err(violation)) => return Some(format!("close was refused: {violation}")),
                Err(error) => return Some(format!("close {error}")),
            }
        }
        self.recv_events.as_ref().err().map(|error| format!("recv_events {error}"))
    }
}

/// One thread calls `close()` while another is in `recv()`.
///
/// # Errors
///
/// [`OpenError`] if the connection could not be opened or a thread could not be started.
pub fn recv_while_closing<R: Threads>(
    host: R,
    server: SocketAddr,
    settings: Settings,
) -> Result<Outcome, OpenError> {
    recv_and_close(&host, server, settings, &["closer"])
}

/// Two threads call `close()` at once while a third is in `recv()`.
///
/// # Errors
///
/// As [`recv_while_closing`].
pub fn two_closers<R: Threads>(
    host: R,
    server: SocketAddr,
    settings: Settings,
) -> Result<Outcome, OpenError> {
    recv_and_close(&host, server, settings, &["first-closer", "second-closer"])
}

fn recv_and_close<R: Threads>(
    host: &R,
    server: SocketAddr,
    settings: Settings,
    closers: &[&str],
) -> Result<Outcome, OpenError> {
    let connection = Arc::new(Connection::connect(host, server, settings)?);
    let start = host.now();
    let receiver = {
        let connection = Arc::clone(&connection);
        host.spawn("receiver", move || connection.recv(None))?
    };
    let closers = closers.iter().map(|name| {
        let connection = Arc::clone(&connection);
        host.spawn(name, move || connection.close(close_code::NORMAL_CLOSURE, ""))
    });
    let closers = closers.collect::<Result<Vec<_>, _>>()?;
    let closes = closers.into_iter().map(ThreadHandle::join).collect();
    let recv = receiver.join();
    let connection = Arc::into_inner(connection).expect("the threads that shared it have ended");
    let recv_events = connection.join();
    Ok(Outcome { recv, closes, recv_events, elapsed: host.now() - start })
}
