//! What the simulations of this folder share: how a client connects, and what its calls must say.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use wavetank::runtime::{Runtime, SocketOptions, Stream as _};
use wavetank::{Adversary, Host, Sim};
pub(crate) use wavetank_sim_tests::websocket::Log;
use wavetank_sim_tests::websocket::{Opening, Peer, serve};
use wavetank_websocket::client::{Client, ConnectionState, WebSocket};
use wavetank_websocket::{CloseCode, Closed, Config, Error, OpenError};

/// A connection whose stream is as awkward as its contract allows.
pub(crate) type Socket = WebSocket<Host, Adversary<<Host as Runtime>::Stream>>;

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// How long closing may take by the configuration of these tests.
pub(crate) const CLOSE_TIMEOUT: Duration = Duration::from_secs(5);

/// How much later than a deadline something may be noticed: all delays of a run together stay below 400 ms, and a
/// round trip takes a few milliseconds. An [awkward](Adversary) stream delays no deadline.
pub(crate) const SLACK: Duration = Duration::from_millis(500);

/// A time in which all that is under way has come, also where an [awkward](Adversary) stream makes each operation wait
/// for a second.
pub(crate) const LONG: Duration = Duration::from_secs(60);

/// Without automatic pings, and in no hurry to open: an awkward stream may take longer than the default.
pub(crate) fn config() -> Config {
    let mut config = Config::default();
    config.open_timeout(1000 * SECOND).close_timeout(CLOSE_TIMEOUT);
    config.keepalive().interval(None);
    config
}

/// With a close timeout that is longer than anything is delayed: for ends that are to be clean.
pub(crate) fn patient() -> Config {
    let mut config = config();
    config.close_timeout(300 * SECOND);
    config
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
    // A driver that spins is found soon.
    sim.steps_max(1_000_000);
    sim.server("server", move |host| serve(host, Opening::default(), script.clone()));
}

/// Opens a connection to the host "server".
pub(crate) async fn connect(host: &Host, config: Config) -> Result<Socket, OpenError> {
    connect_with(host, config, SocketOptions::new()).await
}

/// As [`connect`], over a socket with these options.
pub(crate) async fn connect_with(
    host: &Host,
    config: Config,
    options: SocketOptions,
) -> Result<Socket, OpenError> {
    let endpoint = || "server:80".to_owned();
    let connecting = async {
        let address = Runtime::resolve(host, "server", 80).await?[0];
        let stream = Runtime::connect(host, address, options).await?;
        stream.set_nodelay(true)?;
        Ok(stream)
    };
    let stream = connecting.await.map_err(|error| OpenError::Connect { endpoint: endpoint(), error })?;
    let client = Client::new(*host).config(config);
    client.connect_over(Adversary::new("socket", stream), request()).await
}

/// As [`connect_with`], over the stream as it is. One that is [awkward](Adversary) may make wait for a second at any
/// time, which is too long where a test is about less.
pub(crate) async fn connect_plainly(
    host: &Host,
    config: Config,
    options: SocketOptions,
) -> Result<WebSocket<Host>, OpenError> {
    Client::new(*host).config(config).socket_options(options).connect(request()).await
}

/// A request to the host "server".
pub(crate) fn request() -> wavetank_websocket::handshake::ClientRequest {
    "ws://server/".parse().expect("an address")
}

/// Says something, and returns whether it came back.
pub(crate) async fn ask(socket: &WebSocket<Host>, number: u32) -> Result<(), Error> {
    let question = number.to_string();
    socket.send(question.as_str()).await?;
    let answer = socket.recv().await?;
    assert_eq!(answer.as_text(), Some(question.as_str()), "the answer to another question");
    Ok(())
}

/// Hears what every call says of the end of a connection. Clones share it.
pub(crate) struct Witness<S = Adversary<<Host as Runtime>::Stream>>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    pub(crate) socket: WebSocket<Host, S>,
    told: Log<Closed>,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Clone for Witness<S> {
    fn clone(&self) -> Self {
        Self { socket: self.socket.clone(), told: self.told.clone() }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Witness<S> {
    pub(crate) fn new(socket: &WebSocket<Host, S>) -> Self {
        Self { socket: socket.clone(), told: Log::new() }
    }

    /// A caller has learned that the connection is over. All callers see it, and get the same outcome.
    pub(crate) fn end(&self, closed: &Closed) {
        assert_eq!(self.socket.state(), ConnectionState::Closed, "an end is told before it can be seen");
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

/// One task for each kind of call, and two that close after these delays, until the connection is over: as a busy
/// application would. Every call ends with the same outcome, and in time. What the peer sends back is received in
/// order, and all of it.
pub(crate) async fn everybody(host: &Host, socket: &Socket, close_after: [Duration; 2]) -> Closed {
    everybody_held_up(host, socket, close_after, Duration::ZERO).await
}

/// As [`everybody`], where something may hold the host itself up for `at_most`.
pub(crate) async fn everybody_held_up(
    host: &Host,
    socket: &Socket,
    close_after: [Duration; 2],
    at_most: Duration,
) -> Closed {
    let witness = Witness::new(socket);
    let (host, hear) = (*host, || witness.clone());
    let (receiver, sender, pinger, watcher) = (hear(), hear(), hear(), hear());
    let receiving = host.spawn("receiver", async move {
        let mut received = 0_u64;
        while let Some(message) = receiver.hear(receiver.socket.recv().await) {
            assert_eq!(message.as_text(), Some(received.to_string().as_str()), "in order, and once");
            received += 1;
        }
        received
    });
    let mut tasks = vec![
        host.spawn("sender", async move {
            let mut sent = 0_u64;
            while sender.hear(sender.socket.send(sent.to_string().as_str()).await).is_some() {
                sent += 1;
                host.sleep(SECOND / 3).await;
            }
        }),
        host.spawn("pinger", async move {
            while pinger.hear(pinger.socket.ping().await).is_some() {
                host.sleep(SECOND / 2).await;
            }
        }),
        host.spawn("watcher", async move { watcher.end(&watcher.socket.closed().await) }),
    ];
    for (delay, code) in close_after.into_iter().zip([CloseCode::NORMAL, CloseCode::GOING_AWAY]) {
        let closer = hear();
        tasks.push(host.spawn("closer", async move {
            host.sleep(delay).await;
            let closing = closer.socket.close(code, "");
            closer.end(&within(host, CLOSE_TIMEOUT + SLACK + at_most, closing).await);
        }));
    }
    let start = host.now();
    let received = receiving.await.expect("no panic");
    for task in tasks {
        task.await.expect("no panic");
    }
    let took = host.now() - start;
    let latest = close_after[0].min(close_after[1]) + CLOSE_TIMEOUT + SLACK + at_most;
    assert!(took <= latest, "a caller was told of the end after {took:?}, and not within {latest:?}");
    assert_eq!(received, socket.statistics().messages_received, "what came before the end is delivered");
    socket.closed().await
}

/// Awaits an operation that must end within the close timeout.
pub(crate) async fn in_time<T>(host: Host, future: impl Future<Output = T>) -> T {
    within(host, CLOSE_TIMEOUT + SLACK, future).await
}

/// Awaits what must not take longer than `longest`.
pub(crate) async fn within<T>(host: Host, longest: Duration, future: impl Future<Output = T>) -> T {
    let start = host.now();
    let result = future.await;
    let took = host.now() - start;
    assert!(took <= longest, "took {took:?}, and not at most {longest:?}");
    result
}
