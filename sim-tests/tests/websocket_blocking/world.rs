//! What the simulations of this folder share: how a client connects, and what its calls must say.

use std::time::Duration;

use wavetank::runtime::{Instant, SocketOptions, ThreadHandle as _, Threads};
use wavetank::{Host, Sim};
pub(crate) use wavetank_sim_tests::websocket::Log;
use wavetank_sim_tests::websocket::{Opening, Peer, serve};
use wavetank_websocket::blocking::{Client, ConnectionState, WebSocket};
use wavetank_websocket::handshake::ClientRequest;
use wavetank_websocket::{CloseCode, Closed, Config, Error, OpenError};

pub(crate) type Socket = WebSocket<Host>;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) const MILLISECOND: Duration = Duration::from_millis(1);

/// How long closing may take by the configuration of these tests.
pub(crate) const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// How much later than a deadline something may be noticed: all delays of a run together stay below 400 ms, and a
/// round trip takes a few milliseconds.
pub(crate) const SLACK: Duration = Duration::from_millis(500);

/// Delays threads in half of the runs, each time for so little that nothing misses its deadline; the others show how
/// long something takes by itself. Returns how much later than a deadline something may be noticed.
pub(crate) fn slack(sim: &mut Sim) -> Duration {
    let calm = sim.choose("calm", 2) == 0;
    sim.perturb(!calm).delay_max(10 * MILLISECOND);
    // The system's timers are no finer than a millisecond, and a deadline may take two of them.
    if calm { 2 * MILLISECOND } else { SLACK }
}

/// Without automatic pings, and in no hurry to open.
pub(crate) fn config() -> Config {
    let mut config = Config::default();
    config.open_timeout(1000 * SECOND).close_timeout(CLOSE_TIMEOUT);
    config.keepalive().interval(None);
    config
}

/// With a close timeout that is longer than anything is delayed: for ends that are to be clean.
pub(crate) fn patient() -> Config {
    config().close_timeout(300 * SECOND).clone()
}

/// With an automatic ping every `interval`, to be answered within `timeout`.
pub(crate) fn keepalive(interval: Duration, timeout: Duration) -> Config {
    let mut config = config();
    config.keepalive().interval(Some(interval)).timeout(Some(timeout));
    config
}

/// Adds a host "server", which opens every connection at once, and has `script` go on with it.
pub(crate) fn server<F>(sim: &mut Sim, script: impl Fn(Peer<Host>) -> F + Send + Sync + Clone + 'static)
where
    F: Future<Output = std::io::Result<()>> + Send + 'static,
{
    sim.server("server", move |host| serve(host, Opening::default(), script.clone()));
}

/// A request to the host "server".
pub(crate) fn request() -> ClientRequest {
    "ws://server/".parse().expect("an address")
}

/// Opens a connection to the host "server".
pub(crate) fn connect(host: Host, config: Config) -> Result<Socket, OpenError> {
    Client::new(host).config(config).connect(request())
}

/// As [`connect`], with buffers so small that a peer that does not read is felt after a few messages.
pub(crate) fn connect_narrow(host: Host, config: Config) -> Result<Socket, OpenError> {
    let narrow = SocketOptions::new().send_buffer_bytes(4096).receive_buffer_bytes(4096);
    Client::new(host).config(config).socket_options(narrow).connect(request())
}

pub(crate) fn now(host: Host) -> Instant {
    Threads::now(&host)
}

pub(crate) fn sleep(host: Host, duration: Duration) {
    Threads::sleep(&host, duration);
}

/// Runs `body` on a thread of `host`, and returns what waits for its result.
pub(crate) fn spawn<T: Send + 'static>(
    host: Host,
    name: &str,
    body: impl FnOnce() -> T + Send + 'static,
) -> impl FnOnce() -> T {
    let handle = Threads::spawn(&host, name, body).expect("a thread");
    move || handle.join().expect("no panic")
}

/// Hears what every call says of the end of a connection. Clones share it.
#[derive(Clone)]
pub(crate) struct Witness {
    pub(crate) socket: Socket,
    told: Log<Closed>,
}

impl Witness {
    pub(crate) fn new(socket: &Socket) -> Self {
        Self { socket: socket.clone(), told: Log::new() }
    }

    /// A caller has learned that the connection is over. All callers see it, and get the same outcome.
    pub(crate) fn end(&self, closed: &Closed) {
        assert_eq!(self.socket.state(), ConnectionState::Closed, "an end is told before it can be seen");
        assert_eq!(self.socket.outcome().as_ref(), Some(closed), "an end is told that is not the outcome");
        self.told.push(closed.clone());
        assert_eq!(self.told.entries()[0], *closed, "two callers are told of different ends");
    }

    /// A call was answered: the value, unless the connection is over.
    pub(crate) fn hear<T>(&self, answer: Result<T, Error>) -> Option<T> {
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

/// One thread for each kind of call, and two that close after these delays, until the connection is over: as a busy
/// application would. Every call ends with the same outcome, and `slack` after its deadline at the latest. What the
/// peer sends back is received in order, and all of it.
pub(crate) fn everybody(host: Host, socket: &Socket, close_after: [Duration; 2], slack: Duration) -> Closed {
    let witness = Witness::new(socket);
    let hear = || witness.clone();
    let (receiver, sender, pinger, watcher) = (hear(), hear(), hear(), hear());
    let start = now(host);
    let receiving = spawn(host, "receiver", move || {
        let mut received = 0_u64;
        while let Some(message) = receiver.hear(receiver.socket.recv()) {
            assert_eq!(message.as_text(), Some(received.to_string().as_str()), "in order, and once");
            received += 1;
        }
        received
    });
    let sending = spawn(host, "sender", move || {
        let mut sent = 0_u64;
        while sender.hear(sender.socket.send(&sent.to_string())).is_some() {
            sent += 1;
            sleep(host, SECOND / 3);
        }
    });
    let pinging = spawn(host, "pinger", move || {
        while pinger.hear(pinger.socket.ping()).is_some() {
            sleep(host, SECOND / 2);
        }
    });
    let watching = spawn(host, "watcher", move || watcher.end(&watcher.socket.wait_closed()));
    let mut codes = [CloseCode::NORMAL, CloseCode::GOING_AWAY].into_iter();
    let closing = close_after.map(|delay| {
        let (closer, code) = (hear(), codes.next().expect("two codes for two closers"));
        spawn(host, "closer", move || {
            sleep(host, delay);
            closer.end(&in_time(host, slack, || closer.socket.close(code, "")));
        })
    });
    let received = receiving();
    watching();
    pinging();
    let latest = close_after[0].min(close_after[1]) + CLOSE_TIMEOUT + slack;
    // Threads that sleep between their calls learn it when they wake up.
    let took = now(host) - start;
    assert!(
        took <= latest + SECOND / 2,
        "a caller was told of the end after {took:?}, and not within {latest:?}"
    );
    sending();
    for closed in closing {
        closed();
    }
    assert_eq!(received, socket.statistics().messages_received, "what came before the end is delivered");
    socket.outcome().expect("everybody was told")
}

/// Runs an operation that must end within the close timeout.
pub(crate) fn in_time<T>(host: Host, slack: Duration, body: impl FnOnce() -> T) -> T {
    within(host, CLOSE_TIMEOUT + slack, body)
}

/// Does what must not take longer than `longest`.
pub(crate) fn within<T>(host: Host, longest: Duration, body: impl FnOnce() -> T) -> T {
    let start = now(host);
    let result = body();
    let took = now(host) - start;
    assert!(took <= longest, "took {took:?}, and not at most {longest:?}");
    result
}
