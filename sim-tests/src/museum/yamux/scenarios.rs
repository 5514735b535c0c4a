//! What users did when they met the bug: one end writes, the other has had enough and closes.
//!
//! A scenario takes any server and any network. No sleep and no hook provokes the stall.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use wavetank_runtime::{BlockingListener as _, ListenOptions, SocketOptions, Threads};

use super::Error;
use super::session::{Config, Session};
use super::stream::Stream;

/// How much the client writes, and how much of it the server reads before it closes the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Workload {
    /// Messages that the client writes.
    pub messages: u32,
    /// Messages that the server reads. It reads all if there are fewer.
    pub reads: u32,
    /// Bytes of a message.
    pub message_bytes: usize,
}

impl Workload {
    /// What the reporter's program did: 10 messages of 100 KiB, of which the server reads 5.
    pub const REPORTED: Self = Self { messages: 10, reads: 5, message_bytes: 100 * 1024 };
}

/// What the server does when it has read enough.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerScript {
    /// Closes the stream, and takes it that this is all there is to do.
    Closes,
    /// Reads on to the end, throws that away, and then closes: what users had to do instead.
    DrainsThenCloses,
}

/// What the client's writing came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Messages that were written.
    pub written: u32,
    /// How the stream ended: `Ok` after the peer's FIN, or why a write or the last read failed.
    pub end: Result<(), Error>,
    /// The time from the stream's opening to its end.
    pub elapsed: Duration,
}

/// Listens at `address` and serves one session: the main of a host.
///
/// # Errors
///
/// The system's for listening and accepting, and the session's. That the session ends is no error.
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

/// Serves one session of those that come to `listener`.
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
        // That the session ends amid it shows in the next accept.
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

/// Connects to `server`, writes the messages over one stream, closes it, and waits for the server to do so, too.
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
