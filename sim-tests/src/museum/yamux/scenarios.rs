//! The workload that showed the bug to users: one end writes, and the other end closes before it has read everything.
//!
//! A scenario works with any server and any network. No sleep and no hook provokes the stall.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use wavetank_runtime::{BlockingListener as _, ListenOptions, SocketOptions, Threads};

use super::Error;
use super::session::{Config, Session};
use super::stream::Stream;

/// How much the client writes, and how much the server reads before it closes the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload {
    /// The number of messages that the client writes.
    pub messages: u32,
    /// The number of messages that the server reads, at most.
    pub reads: u32,
    /// The size of a message, in bytes.
    pub message_bytes: usize,
}

impl Workload {
    /// The workload of the bug report: 10 messages of 100 KiB, of which the server reads 5.
    pub const REPORTED: Self = Self { messages: 10, reads: 5, message_bytes: 100 * 1024 };
}

/// What the server does after it has read its messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerScript {
    /// Closes the stream.
    Closes,
    /// Reads to the end, discards the data, and then closes: the users' workaround.
    DrainsThenCloses,
}

/// The outcome of the client's writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// The number of messages written.
    pub written: u32,
    /// How the stream ended: `Ok` after the peer's FIN, or the error of a write or of the last read.
    pub end: Result<(), Error>,
    /// The time from opening the stream to its end.
    pub elapsed: Duration,
}

/// Listens at `address` and serves one session. A host may run it as its main.
///
/// # Errors
///
/// The system's for listening and accepting, and the session's. The end of the session is not an error.
pub fn serve<R: Threads>(
    host: &R,
    address: SocketAddr,
    config: Config,
    workload: Workload,
    script: PeerScript,
) -> io::Result<()> {
    let listener = host.listen(address, ListenOptions::new())?;
    serve_listener(host, &listener, config, workload, script)
}

/// Accepts one connection and serves its session.
///
/// # Errors
///
/// As [`serve`].
pub fn serve_listener<R: Threads>(
    host: &R,
    listener: &R::Listener,
    config: Config,
    workload: Workload,
    script: PeerScript,
) -> io::Result<()> {
    let (conn, _) = listener.accept()?;
    let session = Session::server(host, conn, config).map_err(io::Error::other)?;
    while let Ok(stream) = session.accept() {
        // If the session ends meanwhile, the next accept reports it.
        let _ = read_and_close(&stream, workload, script);
    }
    session.close();
    Ok(())
}

fn read_and_close<R: Threads>(
    stream: &Stream<R>,
    workload: Workload,
    script: PeerScript,
) -> Result<(), Error> {
    let mut message = vec![0; workload.message_bytes];
    let mut messages = 0;
    while messages < workload.reads && stream.read_full(&mut message)? == message.len() {
        messages += 1;
    }
    if script == PeerScript::DrainsThenCloses {
        while stream.read(&mut message)? > 0 {}
    }
    tracing::info!("server: has read {messages} messages, and closes the stream");
    stream.close()
}

/// Connects to `server`, writes the messages on one stream, closes it, and waits until the server closes it too.
///
/// # Errors
///
/// The system's for connecting, and the session's for opening the stream. How the stream ends is part of the outcome.
pub fn write_messages<R: Threads>(
    host: &R,
    server: SocketAddr,
    config: Config,
    workload: Workload,
) -> Result<Outcome, Error> {
    let conn = host.connect(server, SocketOptions::new(), Some(Duration::from_secs(10)))?;
    let session = Session::client(host, conn, config)?;
    let start = host.now();
    let stream = session.open()?;
    let mut written = 0;
    let end = write_and_close(&stream, workload, &mut written);
    tracing::info!("client: has written {written} messages");
    let elapsed = host.now() - start;
    session.close();
    Ok(Outcome { written, end, elapsed })
}

fn write_and_close<R: Threads>(
    stream: &Stream<R>,
    workload: Workload,
    written: &mut u32,
) -> Result<(), Error> {
    let message = vec![b'm'; workload.message_bytes];
    tracing::info!("client: writes {} messages of {} B", workload.messages, workload.message_bytes);
    for _ in 0..workload.messages {
        stream.write(&message)?;
        *written += 1;
    }
    stream.close_write()?;
    let mut rest = [0; 64];
    while stream.read(&mut rest)? > 0 {}
    Ok(())
}
