//! Scenarios for the two sides of a session, whichever implementations they are. They run with ours and with the
//! published crates, in the simulator, in process and over loopback.

use std::io;
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use wavetank_multiplexer::Session;
use wavetank_runtime::Runtime;

use super::body;
use super::foreign::{Foreign, ForeignStream};

/// A stream of any implementation.
pub type AnyStream = Box<dyn ForeignStream>;

/// A session of any implementation.
#[derive(Debug)]
pub enum AnySession<R: Runtime> {
    /// Of this project.
    Ours(Session<R>),
    /// Of a published crate.
    Foreign(Foreign<R>),
}

impl<R: Runtime> AnySession<R> {
    /// Opens a stream.
    ///
    /// # Errors
    ///
    /// The text of the implementation's error.
    pub async fn open(&self) -> io::Result<AnyStream> {
        match self {
            Self::Ours(session) => match session.open().await {
                Ok(stream) => Ok(Box::new(stream)),
                Err(error) => Err(io::Error::other(error.to_string())),
            },
            Self::Foreign(session) => session.open().await,
        }
    }

    /// Waits for a stream that the peer opens; `None` once the session is over.
    pub async fn accept(&mut self) -> Option<AnyStream> {
        match self {
            Self::Ours(session) => session.accept().await.ok().map(|stream| Box::new(stream) as AnyStream),
            Self::Foreign(session) => session.accept().await,
        }
    }

    /// Closes the session, and waits until it is over.
    ///
    /// # Panics
    ///
    /// If the session does not close cleanly.
    pub async fn close(self) {
        match self {
            Self::Ours(session) => {
                let closed = session.close().await;
                assert!(closed.is_clean(), "{closed}");
            }
            Self::Foreign(session) => session.close().await,
        }
    }

    /// Waits until the peer has closed the session.
    ///
    /// # Panics
    ///
    /// If the session is ours and ended with an error.
    pub async fn closed(mut self) {
        while self.accept().await.is_some() {}
        match self {
            Self::Ours(session) => {
                let closed = session.closed().await;
                assert!(closed.is_clean(), "{closed}");
                assert_eq!(session.statistics().streams, 0, "streams are left");
            }
            Self::Foreign(session) => session.closed().await,
        }
    }
}

/// What the two sides do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// Opens this many streams. Each carries [`ECHOED`] bytes there and back, and both its directions end. All are
    /// open at the same time.
    Echo(u32),
    /// The opener ends its direction, and only then gets its answer.
    HalfClose,
    /// Sends four windows to a reader that begins late, and as much back.
    Windows,
    /// The opener drops the stream without an end.
    ResetByOpener,
    /// The acceptor drops the stream without an end.
    ResetByAcceptor,
    /// Opens more streams than may be unacknowledged, to a side that accepts late.
    Backlog,
}

impl Scenario {
    /// Every scenario, with few streams and with many.
    pub const ALL: [Self; 8] = [
        Self::Echo(1),
        Self::Echo(100),
        Self::Echo(1000),
        Self::HalfClose,
        Self::Windows,
        Self::ResetByOpener,
        Self::ResetByAcceptor,
        Self::Backlog,
    ];
}

/// Bytes of one stream of [`Scenario::Echo`].
pub const ECHOED: u64 = 3000;
const ANSWER: u64 = 100 * 1024;
const LARGE: u64 = 1024 * 1024;
/// More than the 256 streams that may be unacknowledged.
const MANY: u32 = 400;
const LATE: Duration = Duration::from_millis(300);

/// Runs the side that opens the streams, and closes the session at the end.
///
/// # Panics
///
/// If anything differs from the scenario.
pub async fn opener<R: Runtime>(runtime: R, session: AnySession<R>, scenario: Scenario) {
    match scenario {
        Scenario::Echo(streams) => echo_on_each(&runtime, &session, streams).await,
        Scenario::Backlog => echo_on_each(&runtime, &session, MANY).await,
        Scenario::HalfClose => {
            let mut stream = session.open().await.expect("a stream");
            body::write(&mut stream, 0, 0..1024, 1024).await.1.expect("written");
            stream.shutdown().await.expect("finished");
            reads_all(&mut stream, 1, ANSWER).await;
        }
        Scenario::Windows => {
            let stream = session.open().await.expect("a stream");
            both_ways(&runtime, stream, [0, 1]).await;
        }
        Scenario::ResetByOpener => {
            let mut stream = session.open().await.expect("a stream");
            body::write(&mut stream, 0, 0..100, 100).await.1.expect("written");
            body::read(&mut stream, 1, 0, 1).await.1.expect("the acceptor has the bytes");
            drop(stream);
            // Only using the session shows whether an RST has harmed it.
            echo_on_each(&runtime, &session, 1).await;
        }
        Scenario::ResetByAcceptor => {
            let mut stream = session.open().await.expect("a stream");
            body::write(&mut stream, 0, 0..100, 100).await.1.expect("written");
            let is_ours = matches!(session, AnySession::Ours(_));
            is_cut(&mut stream, 0, is_ours).await;
            drop(stream);
            echo_on_each(&runtime, &session, 1).await;
        }
    }
    session.close().await;
}

/// Runs the side that accepts the streams, until the opener has closed the session.
///
/// # Panics
///
/// If anything differs from the scenario.
pub async fn acceptor<R: Runtime>(runtime: R, mut session: AnySession<R>, scenario: Scenario) {
    let mut echoing = Vec::new();
    if scenario == Scenario::Backlog {
        runtime.sleep(LATE).await;
    }
    match scenario {
        Scenario::Echo(_) | Scenario::Backlog => {}
        Scenario::HalfClose => {
            let mut stream = session.accept().await.expect("a stream");
            reads_all(&mut stream, 0, 1024).await;
            body::write(&mut stream, 1, 0..ANSWER, 30_000).await.1.expect("written");
            stream.shutdown().await.expect("finished");
        }
        Scenario::Windows => {
            let stream = session.accept().await.expect("a stream");
            both_ways(&runtime, stream, [1, 0]).await;
        }
        Scenario::ResetByOpener => {
            let mut stream = session.accept().await.expect("a stream");
            let (read, result) = body::read(&mut stream, 0, 0, 100).await;
            assert!(read == 100 && result.is_ok(), "{read} {result:?}");
            body::write(&mut stream, 1, 0..1, 1).await.1.expect("written");
            is_cut(&mut stream, 100, matches!(session, AnySession::Ours(_))).await;
        }
        Scenario::ResetByAcceptor => {
            let mut stream = session.accept().await.expect("a stream");
            let (read, result) = body::read(&mut stream, 0, 0, 100).await;
            assert!(read == 100 && result.is_ok(), "{read} {result:?}");
        }
    }
    while let Some(mut stream) = session.accept().await {
        echoing.push(runtime.spawn("echo", async move {
            body::echo(&mut stream).await.expect("echoed");
        }));
    }
    for task in echoing {
        task.await.expect("no panic");
    }
    session.closed().await;
}

/// Writes one large body and reads another, beginning late. Neither side ends before it has everything, and both read
/// to the end: `tokio-yamux` takes no more credit after the peer's FIN, or while no task reads.
async fn both_ways<R: Runtime>(runtime: &R, stream: AnyStream, [ours, theirs]: [u32; 2]) {
    let (mut reader, mut writer) = tokio::io::split(stream);
    let (have_all, has_all) = tokio::sync::oneshot::channel();
    let writing = runtime.spawn("writer", async move {
        body::write(&mut writer, ours, 0..LARGE, 50_000).await.1.expect("written");
        has_all.await.expect("the reader has everything");
        writer.shutdown().await.expect("finished");
    });
    runtime.sleep(LATE).await;
    let (read, result) = body::read(&mut reader, theirs, 0, LARGE).await;
    assert!(read == LARGE && result.is_ok(), "{read} of {LARGE} bytes: {result:?}");
    have_all.send(()).expect("the writer waits");
    let (read, result) = body::read(&mut reader, theirs, LARGE, 1).await;
    assert!(read == 0 && result.is_ok(), "{read} bytes and no end: {result:?}");
    writing.await.expect("no panic");
}

/// Reads `count` bytes of body `seed` and the end.
async fn reads_all(stream: &mut (impl tokio::io::AsyncRead + Unpin), seed: u32, count: u64) {
    let (read, result) = body::read(stream, seed, 0, count + 1).await;
    assert!(read == count && result.is_ok(), "{read} of {count} bytes: {result:?}");
}

/// Reads after `from` bytes of body 0. No more bytes come, because the peer has dropped the stream. Ours returns that
/// as an error. `yamux` returns the end.
async fn is_cut(stream: &mut AnyStream, from: u64, is_ours: bool) {
    let (read, result) = body::read(stream, 0, from, 1).await;
    assert_eq!(read, 0);
    if is_ours {
        let error =
            wavetank_multiplexer::ReadError::from_io(&result.expect_err("a reset is no end")).cloned();
        // A stream is refused if the peer drops it before it acknowledges it.
        let is_told = matches!(
            error,
            Some(wavetank_multiplexer::ReadError::Reset(_) | wavetank_multiplexer::ReadError::Refused)
        );
        assert!(is_told, "{error:?}");
    }
}

/// Opens streams. Each carries bytes there and back.
async fn echo_on_each<R: Runtime>(runtime: &R, session: &AnySession<R>, streams: u32) {
    let gate = std::sync::Arc::new(tokio::sync::Barrier::new(streams as usize));
    let mut tasks = Vec::new();
    for seed in 0..streams {
        let mut stream = session.open().await.expect("a stream");
        let gate = std::sync::Arc::clone(&gate);
        // `yamux` sends SYN with the first bytes, and opens at most 256 unacknowledged streams.
        let (_, written) = body::write(&mut stream, seed, 0..1000, 1000).await;
        written.expect("written");
        tasks.push(runtime.spawn("stream", async move {
            let (read, result) = body::read(&mut stream, seed, 0, 1000).await;
            assert!(read == 1000 && result.is_ok(), "stream {seed}: {read} {result:?}");
            gate.wait().await;
            body::write(&mut stream, seed, 1000..ECHOED, 1000).await.1.expect("written");
            stream.shutdown().await.expect("finished");
            let (read, result) = body::read(&mut stream, seed, 1000, ECHOED).await;
            assert!(read == ECHOED - 1000 && result.is_ok(), "stream {seed}: {read} {result:?}");
        }));
    }
    for task in tasks {
        task.await.expect("no panic");
    }
}
