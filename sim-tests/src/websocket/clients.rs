//! What the simulations of both clients share: settings, a host that answers, and what all callers must hear.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use wavetank::runtime::{Instant, Runtime, SocketOptions};
use wavetank::{Host, Sim};
use wavetank_websocket::handshake::ClientRequest;
use wavetank_websocket::{Closed, Config, Error, Message, blocking, client};

use super::{Frame, Log, Opening, Peer, scripts, serve};

/// One second.
pub const SECOND: Duration = Duration::from_secs(1);

/// How long closing may take by the configuration of these tests.
pub const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// How much later than a deadline something may be noticed: all delays of a run together stay below 400 ms, and a
/// round trip takes a few milliseconds. An awkward stream delays no deadline.
pub const SLACK: Duration = Duration::from_millis(500);

/// Draws when two closers call: at once, together, one a moment or a close timeout later.
pub fn closers(sim: &mut Sim) -> [Duration; 2] {
    let moments = [Duration::ZERO, Duration::from_millis(1), Duration::from_millis(3), CLOSE_TIMEOUT];
    ["first closer", "second closer"].map(|name| moments[sim.choose(name, 4) as usize])
}

/// Logs what ends the connection: the client's Close frame, if it came.
///
/// # Errors
///
/// The stream's.
pub async fn log_end(mut peer: Peer<Host>, log: Log<Option<Frame>>) -> std::io::Result<()> {
    let close = peer.input.close().await?;
    log.push(close.clone());
    match close {
        Some(close) => scripts::say_goodbye(peer, &close.payload).await,
        None => Ok(()),
    }
}

/// Without automatic pings, and in no hurry to open: an awkward stream may take longer than the default.
#[must_use]
pub fn config() -> Config {
    let mut config = Config::default();
    config.open_timeout(1000 * SECOND).close_timeout(CLOSE_TIMEOUT);
    config.keepalive().interval(None);
    config
}

/// With a close timeout that is longer than anything is delayed: for ends that are to be clean.
#[must_use]
pub fn patient() -> Config {
    config().close_timeout(300 * SECOND).clone()
}

/// With an automatic ping every `interval`, to be answered within `timeout`.
#[must_use]
pub fn keepalive(interval: Duration, timeout: Duration) -> Config {
    let mut config = config();
    config.keepalive().interval(Some(interval)).timeout(Some(timeout));
    config
}

/// With the default open timeout of 10 s.
#[must_use]
pub fn hurried() -> Config {
    Config::default().close_timeout(CLOSE_TIMEOUT).clone()
}

/// Few messages wait, in either direction.
#[must_use]
pub fn small_buffers(mut config: Config) -> Config {
    config.limits().write_buffer(2048);
    config.limits().receive_queue_messages(4);
    config
}

/// Small buffers of sockets, so that a peer that does not read is felt after a few messages.
#[must_use]
pub fn small_sockets() -> SocketOptions {
    SocketOptions::new().send_buffer_bytes(4096).receive_buffer_bytes(4096)
}

/// A message of some size, of which no two are the same: it compresses, if that is agreed on.
#[must_use]
pub fn message(number: u32, bytes: usize) -> Message {
    Message::text(format!("{number} ").repeat(1 + bytes / 3))
}

/// A request to the host "server".
///
/// # Panics
///
/// Never: the address is valid.
#[must_use]
pub fn request() -> ClientRequest {
    "ws://server/".parse().expect("an address")
}

/// Adds a host "server", which opens every connection at once, and has `script` go on with it.
pub fn server<F>(sim: &mut Sim, script: impl Fn(Peer<Host>) -> F + Send + Sync + Clone + 'static)
where
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
    // A driver that spins is found soon.
    sim.steps_max(1_000_000);
    sim.server("server", move |host| serve(host, Opening::default(), script.clone()));
}

/// Adds a host "server" that drops three connections at once, one after it has lasted, and keeps the others. Returns a
/// log of when each came, and was dropped.
pub fn server_that_drops(sim: &mut Sim) -> Log<(Instant, Instant)> {
    let log = Log::new();
    let logged = log.clone();
    sim.server("server", move |host: Host| {
        let log = log.clone();
        serve(host, Opening::default(), move |peer| {
            let log = log.clone();
            async move {
                let came = Runtime::now(&peer.host);
                let number = log.entries().len();
                Runtime::sleep(&peer.host, if number == 3 { 35 * SECOND } else { Duration::ZERO }).await;
                log.push((came, Runtime::now(&peer.host)));
                if number < 4 { scripts::close_first(peer, 1013).await } else { scripts::echo(peer).await }
            }
        })
    });
    logged
}

/// A connection of either client, whose end can be seen.
pub trait Ending {
    /// Returns `true` if the connection is closed.
    fn is_closed(&self) -> bool;
    /// Returns how it has ended.
    fn outcome(&self) -> Option<Closed>;
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Ending for client::WebSocket<Host, S> {
    fn is_closed(&self) -> bool {
        self.state() == client::ConnectionState::Closed
    }

    fn outcome(&self) -> Option<Closed> {
        Self::outcome(self)
    }
}

impl Ending for blocking::WebSocket<Host> {
    fn is_closed(&self) -> bool {
        self.state() == blocking::ConnectionState::Closed
    }

    fn outcome(&self) -> Option<Closed> {
        Self::outcome(self)
    }
}

/// Hears what every call says of the end of a connection. Clones share it.
#[derive(Clone, Debug)]
pub struct Witness<S> {
    /// The connection.
    pub socket: S,
    heard: Log<Closed>,
}

impl<S: Ending + Clone> Witness<S> {
    /// Makes it for a connection.
    pub fn new(socket: &S) -> Self {
        Self { socket: socket.clone(), heard: Log::new() }
    }

    /// A caller has learned that the connection is over. All callers see it, and get the same outcome.
    ///
    /// # Panics
    ///
    /// If they do not.
    pub fn end(&self, closed: &Closed) {
        assert!(self.socket.is_closed(), "an end is told before it can be seen");
        assert_eq!(self.socket.outcome().as_ref(), Some(closed), "an end is told that is not the outcome");
        self.heard.push(closed.clone());
        assert_eq!(self.heard.entries()[0], *closed, "two callers are told of different ends");
    }

    /// A call was answered: the value, unless the connection is over.
    ///
    /// # Panics
    ///
    /// If the call failed for another reason.
    pub fn hear<T>(&self, answer: Result<T, Error>) -> Option<T> {
        match answer {
            Ok(value) => Some(value),
            Err(Error::Closed(closed)) => {
                self.end(&closed);
                None
            }
            Err(other) => panic!("an error that is no end: {other}"),
        }
    }
}
