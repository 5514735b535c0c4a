//! One client in a soak: it runs one session after another with an echo server, and checks each message.
//!
//! A session sends messages while it receives those that come back. It ends with a close when all are back, with a
//! close in the middle, or by dropping the connection. A fault of the proxy may end it earlier.

mod messages;

use std::collections::BTreeMap;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, RngExt as _, SeedableRng as _};
use tokio::runtime::Handle;
use wavetank_runtime::{Instant, Std, ThreadHandle as _, Threads as _, Tokio};
use wavetank_websocket::handshake::ClientRequest;
use wavetank_websocket::{
    BackoffPolicy, Cause, CloseCode, Closed, Config, Error, Message, OpenError, blocking, client,
};

use crate::Result;
use messages::message;

/// The time limit of a call on a busy machine. Keepalive and close timeout end each call within 3 s.
const LIMIT: Duration = Duration::from_secs(20);

/// How many messages of the async client may be on their way.
const WINDOW: u64 = 32;

/// The server of a worker, and the time of its end.
pub(super) struct Setting {
    pub(super) address: SocketAddr,
    pub(super) runtime: Handle,
    pub(super) over: Arc<AtomicBool>,
    pub(super) seed: u64,
}

/// A worker runs one of the two clients.
pub(super) type Work = fn(&Setting) -> Report;

/// The report of a worker.
#[derive(Default)]
pub(super) struct Report {
    /// The number of messages that came back in order.
    pub(super) messages: u64,
    /// The failure that ended the worker.
    pub(super) failure: Option<String>,
    bytes: u64,
    connections: u64,
    ends: BTreeMap<&'static str, u64>,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { messages, bytes, connections, .. } = self;
        write!(f, "{connections} connections, {messages} messages ({} MiB) came back; ends:", bytes >> 20)?;
        self.ends.iter().try_for_each(|(end, count)| write!(f, " {count} {end},"))
    }
}

/// The planned end of a session.
#[derive(Clone, Copy, PartialEq)]
enum Ending {
    /// Closed when all messages are back.
    Complete,
    /// Closed after this number of messages.
    Close(u64),
    /// Dropped after this number of messages.
    Drop(u64),
}

/// One session: its plan, and what has come back.
struct Session {
    /// Part of every message, so that a message of another connection is detected.
    id: u64,
    count: u64,
    ending: Ending,
    received: u64,
    bytes: u64,
}

impl Session {
    fn draw(chance: &mut StdRng) -> Self {
        let count = chance.random_range(1..400);
        let ending = match chance.random_range(0..4) {
            0 => Ending::Close(chance.random_range(0..count)),
            1 => Ending::Drop(chance.random_range(0..count)),
            _ => Ending::Complete,
        };
        Self { id: chance.next_u64(), count, ending, received: 0, bytes: 0 }
    }

    /// Checks that a message is the next one.
    fn check(&mut self, received: &Message) -> Result {
        let due = message(self.id, self.received);
        if *received != due {
            let told = |message: &Message| format!("{:.60?}", message);
            let number = self.received;
            return Err(format!(
                "expected message {number}, {}, but received {}",
                told(&due),
                told(received)
            )
            .into());
        }
        self.received += 1;
        self.bytes += messages::bytes(received);
        Ok(())
    }

    /// Returns `true` if it is time for the planned end.
    fn is_done(&self) -> bool {
        match self.ending {
            Ending::Complete => self.received == self.count,
            Ending::Close(after) | Ending::Drop(after) => self.received >= after,
        }
    }

    /// Checks that every call reports the same outcome.
    fn agree(one: &Closed, other: &Closed) -> Result {
        if one == other { Ok(()) } else { Err(format!("two outcomes: {one}; {other}").into()) }
    }
}

/// Returns the end of the connection from the error of a call. Any other error is a bug.
fn outcome(error: Error) -> Result<Closed> {
    match error {
        Error::Closed(closed) => Ok(closed),
        other => Err(format!("a call failed with {other}").into()),
    }
}

fn in_time(start: Instant, what: &str) -> Result {
    let took = Std.now() - start;
    if took <= LIMIT { Ok(()) } else { Err(format!("{what} took {took:?}").into()) }
}

fn request(setting: &Setting) -> std::result::Result<ClientRequest, OpenError> {
    ClientRequest::new(&format!("ws://{}/echo", setting.address))
}

fn config() -> Config {
    let second = Duration::from_secs(1);
    let mut config = Config::default();
    config.open_timeout(2 * second).close_timeout(second);
    config.keepalive().interval(Some(second)).timeout(Some(second));
    config
}

fn backoff() -> BackoffPolicy {
    BackoffPolicy {
        first_delay_max: Duration::from_millis(100),
        delay_base: Duration::from_millis(100),
        delay_max: Duration::from_millis(500),
        lasting: Duration::from_secs(1),
        ..BackoffPolicy::default()
    }
}

impl Report {
    /// Counts a session that ended with `closed` or was dropped.
    fn count(&mut self, session: &Session, closed: Option<&Closed>) {
        self.connections += 1;
        self.messages += session.received;
        self.bytes += session.bytes;
        let end = match closed.map(|closed| (&closed.cause, closed.is_clean())) {
            None => "dropped",
            Some((_, true)) => "clean",
            Some((Cause::Local, _)) => "half closed",
            Some((Cause::KeepaliveTimeout { .. }, _)) => "keepalive timeouts",
            Some((Cause::CloseTimeout { .. }, _)) => "close timeouts",
            Some((Cause::EndOfInput { .. }, _)) => "ends of input",
            Some((Cause::Io { .. }, _)) => "resets",
            Some(_) => "others",
        };
        *self.ends.entry(end).or_default() += 1;
    }
}

/// Runs the async client.
pub(super) fn tasks(setting: &Setting) -> Report {
    let mut report = Report::default();
    let done = setting.runtime.block_on(async {
        let ask = async |socket: client::WebSocket<Tokio>| Ok(socket.ping().await.map(drop)?);
        let client = client::Client::new(Tokio).config(config());
        let hook =
            move |socket| -> std::pin::Pin<Box<dyn Future<Output = _> + Send>> { Box::pin(ask(socket)) };
        let mut connections = client.reconnect(request(setting)?).backoff(backoff()).on_connect(hook);
        let mut chance = StdRng::seed_from_u64(setting.seed);
        while !setting.over.load(Ordering::Relaxed) {
            let socket = connections.next().await?;
            let mut session = Session::draw(&mut chance);
            let closed = converse(&socket, &mut session).await?;
            report.count(&session, closed.as_ref());
        }
        Result::Ok(())
    });
    report.failure = done.err().map(|error| error.to_string());
    report
}

/// Sends and receives at once. The call that is not ready first is cancelled and started again.
async fn converse(socket: &client::WebSocket<Tokio>, session: &mut Session) -> Result<Option<Closed>> {
    let mut sent = 0;
    let mut next = message(session.id, sent);
    // Kept, because dropping a message after its first piece closes the connection.
    let mut pieces = None;
    while !session.is_done() {
        let may_send = sent < session.count && sent < session.received + WINDOW;
        if may_send && sent % 10 == 3 && pieces.is_none() {
            pieces = Some(Box::pin(send_pieces(socket.clone(), next.clone())));
        }
        let step = async {
            let send = async {
                match &mut pieces {
                    Some(sending) => sending.await,
                    None => socket.send(&next).await,
                }
            };
            tokio::select! {
                done = send, if may_send => done.map(|()| None),
                received = socket.recv() => received.map(Some),
            }
        };
        match tokio::time::timeout(LIMIT, step).await.map_err(|_| "a call hangs")? {
            Ok(Some(received)) => session.check(&received)?,
            Ok(None) => {
                sent += 1;
                next = message(session.id, sent);
                pieces = None;
            }
            Err(error) => return drain(socket, session, outcome(error)?).await.map(Some),
        }
    }
    drop(pieces);
    if matches!(session.ending, Ending::Drop(_)) {
        return Ok(None);
    }
    let start = Std.now();
    let closed = socket.close(CloseCode::NORMAL, "").await;
    in_time(start, "close")?;
    drain(socket, session, closed).await.map(Some)
}

async fn send_pieces(socket: client::WebSocket<Tokio>, message: Message) -> std::result::Result<(), Error> {
    let (kind, bytes) = messages::parts(&message);
    let mut writer = socket.send_stream(kind).await?;
    for piece in bytes.chunks(bytes.len() / 3 + 1) {
        writer.write(piece).await?;
    }
    writer.finish(&[]).await
}

/// Receives what arrived before the end, and expects the same outcome from every call.
async fn drain(socket: &client::WebSocket<Tokio>, session: &mut Session, closed: Closed) -> Result<Closed> {
    loop {
        match tokio::time::timeout(LIMIT, socket.recv()).await.map_err(|_| "recv hangs")? {
            Ok(received) => session.check(&received)?,
            Err(error) => {
                Session::agree(&closed, &outcome(error)?)?;
                Session::agree(&closed, &socket.closed().await)?;
                return Ok(closed);
            }
        }
    }
}

/// Runs the blocking client.
pub(super) fn threads(setting: &Setting) -> Report {
    let mut report = Report::default();
    let mut work = || -> Result {
        let client = blocking::Client::new(Std).config(config());
        let hook = |socket: &blocking::WebSocket<Std>| Ok(socket.ping().map(drop)?);
        let connections = client.reconnect(request(setting)?).backoff(backoff()).on_connect(hook);
        let mut chance = StdRng::seed_from_u64(setting.seed);
        for socket in connections {
            let mut session = Session::draw(&mut chance);
            let closed = converse_on_threads(&socket?, &mut session)?;
            report.count(&session, closed.as_ref());
            if setting.over.load(Ordering::Relaxed) {
                break;
            }
        }
        Ok(())
    };
    report.failure = work().err().map(|error| error.to_string());
    report
}

/// Sends in another thread and receives in this one.
fn converse_on_threads(socket: &blocking::WebSocket<Std>, session: &mut Session) -> Result<Option<Closed>> {
    let sender = {
        let (socket, id, count) = (socket.clone(), session.id, session.count);
        Std.spawn("sender", move || send_all(&socket, id, count))?
    };
    let dropping = matches!(session.ending, Ending::Drop(_));
    let mut ended = None;
    // To drop the connection, the sender must finish too, and for that this thread must receive.
    while !session.is_done() || (dropping && !sender.is_finished()) {
        let patience = if session.is_done() { Duration::from_millis(20) } else { LIMIT };
        match socket.recv_timeout(patience) {
            Ok(received) => session.check(&received)?,
            Err(Error::TimedOut) if session.is_done() => {}
            Err(error) => {
                ended = Some(outcome(error)?);
                break;
            }
        }
    }
    let start = Std.now();
    let closed = match ended {
        None if dropping => None,
        None => Some(socket.close(CloseCode::NORMAL, "")),
        ended => ended,
    };
    in_time(start, "close")?;
    let told = sender.join().map_err(|error| format!("the sender: {error}"))??;
    in_time(start, "a send after the end")?;
    let Some(closed) = closed else { return Ok(None) };
    if let Some(told) = told {
        Session::agree(&closed, &told)?;
    }
    loop {
        match socket.recv_timeout(LIMIT) {
            Ok(received) => session.check(&received)?,
            Err(error) => {
                Session::agree(&closed, &outcome(error)?)?;
                Session::agree(&closed, &socket.wait_closed())?;
                return Ok(Some(closed));
            }
        }
    }
}

/// Sends every message of a session. Returns `Some` if the connection ended first.
fn send_all(socket: &blocking::WebSocket<Std>, id: u64, count: u64) -> Result<Option<Closed>> {
    for number in 0..count {
        let message = message(id, number);
        let start = Std.now();
        let sent = if number % 10 == 3 {
            let (kind, bytes) = messages::parts(&message);
            socket.send_fragments(kind, bytes.chunks(bytes.len() / 3 + 1))
        } else {
            socket.send(&message)
        };
        in_time(start, "send")?;
        if let Err(error) = sent {
            return outcome(error).map(Some);
        }
    }
    Ok(None)
}
