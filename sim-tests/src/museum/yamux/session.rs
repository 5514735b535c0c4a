//! A session: one TCP connection, its streams, and the threads that serve them. The original's `session.go`.
//!
//! # Invariants
//!
//! - A thread holds at most one lock, except `sendLock`, which it always takes first.
//! - The end of the session ends every wait in it and in its streams.

mod keepalive;
mod recv;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::io::Write as _;
use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;

use wavetank_runtime::{BlockingStream, Condvar, Mutex, ThreadHandle as _, Threads};

use super::attributes::State;
use super::outbox::Outbox;
use super::stream::{Stream, StreamShared};
use super::{Error, Version};

/// Settings of a session.
///
/// # Defaults
///
/// The original's `DefaultConfig`.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    pub(super) version: Version,
    pub(super) accept_backlog: usize,
    pub(super) keep_alive_interval: Duration,
    pub(super) connection_write_timeout: Duration,
    pub(super) stream_close_timeout: Duration,
}

impl Config {
    /// A backlog of 256 streams, a ping every 30 s, 10 s for each write and each answer to a ping, and 5 minutes for
    /// the peer to close a stream that this end has closed.
    #[must_use]
    pub const fn new(version: Version) -> Self {
        Self {
            version,
            accept_backlog: 256,
            keep_alive_interval: Duration::from_secs(30),
            connection_write_timeout: Duration::from_secs(10),
            stream_close_timeout: Duration::from_secs(300),
        }
    }

    /// Sets how many streams may wait to be accepted. Further streams are reset.
    #[must_use]
    pub const fn accept_backlog(mut self, streams: usize) -> Self {
        self.accept_backlog = streams;
        self
    }

    /// Sets the time between two pings.
    #[must_use]
    pub const fn keep_alive_interval(mut self, interval: Duration) -> Self {
        self.keep_alive_interval = interval;
        self
    }

    /// Sets the timeout of a write and of the answer to a ping.
    #[must_use]
    pub const fn connection_write_timeout(mut self, timeout: Duration) -> Self {
        self.connection_write_timeout = timeout;
        self
    }

    /// Sets how long after its close here a stream is reset, unless the peer closes it too.
    #[must_use]
    pub const fn stream_close_timeout(mut self, timeout: Duration) -> Self {
        self.stream_close_timeout = timeout;
        self
    }
}

/// The side of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Side {
    Client,
    Server,
}

/// One end of a connection that carries many streams.
pub struct Session<R: Threads> {
    shared: Arc<Shared<R>>,
    threads: Vec<R::ThreadHandle<()>>,
}

/// What a session's users share with its threads.
pub(super) struct Shared<R: Threads> {
    pub(super) runtime: R,
    pub(super) config: Config,
    pub(super) outbox: Outbox<R>,
    /// Ends the connection, which needs no lock.
    conn: R::Stream,
    table: Mutex<R, Table<R>>,
    accepted: Condvar<R>,
    ponged: Condvar<R>,
    shut: Condvar<R>,
}

struct Table<R: Threads> {
    streams: BTreeMap<u32, Arc<StreamShared<R>>>,
    next_id: u32,
    backlog: VecDeque<Arc<StreamShared<R>>>,
    /// The pings without answer, and the number of the next ping.
    pings: BTreeSet<u32>,
    next_ping: u32,
    shutdown: bool,
}

impl<R: Threads> Session<R> {
    /// Makes a session of the client's end of a connection.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if no threads or handles are available.
    pub fn client(runtime: &R, conn: R::Stream, config: Config) -> Result<Self, Error> {
        Self::new(runtime, conn, config, Side::Client)
    }

    /// Makes a session of the server's end of a connection.
    ///
    /// # Errors
    ///
    /// As [`client`](Self::client).
    pub fn server(runtime: &R, conn: R::Stream, config: Config) -> Result<Self, Error> {
        Self::new(runtime, conn, config, Side::Server)
    }

    fn new(runtime: &R, conn: R::Stream, config: Config, side: Side) -> Result<Self, Error> {
        conn.set_nodelay(true)?;
        let (reader, writer) = (conn.try_clone()?, conn.try_clone()?);
        let table = Table {
            streams: BTreeMap::new(),
            next_id: match side {
                Side::Client => 1,
                Side::Server => 2,
            },
            backlog: VecDeque::new(),
            pings: BTreeSet::new(),
            next_ping: 0,
            shutdown: false,
        };
        let shared = Arc::new(Shared {
            runtime: runtime.clone(),
            config,
            outbox: Outbox::new(runtime, config.connection_write_timeout),
            conn,
            table: Mutex::new(runtime, "session", table),
            accepted: Condvar::new(runtime, "stream to accept"),
            ponged: Condvar::new(runtime, "answer to a ping"),
            shut: Condvar::new(runtime, "session shutdown"),
        });
        let mut session = Self { shared, threads: Vec::new() };
        session.start("recv", move |shared| shared.recv(reader))?;
        session.start("send", move |shared| shared.send(writer))?;
        session.start("keepalive", |shared| shared.keepalive())?;
        Ok(session)
    }

    fn start(&mut self, name: &str, body: impl FnOnce(Arc<Shared<R>>) + Send + 'static) -> Result<(), Error> {
        let shared = Arc::clone(&self.shared);
        match self.shared.runtime.spawn(name, move || body(shared)) {
            Ok(thread) => self.threads.push(thread),
            Err(error) => {
                self.shared.exit();
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Opens a stream. It can be written to at once, before the peer has answered.
    ///
    /// # Errors
    ///
    /// [`Error::SessionShutdown`], [`Error::ConnectionWriteTimeout`].
    pub fn open(&self) -> Result<Stream<R>, Error> {
        let shared = {
            let mut table = self.shared.table.lock();
            if table.shutdown {
                return Err(Error::SessionShutdown);
            }
            let id = table.next_id;
            table.next_id += 2;
            let stream = Arc::new(StreamShared::new(&self.shared.runtime, id, State::Init));
            table.streams.insert(id, Arc::clone(&stream));
            stream
        };
        let stream = Stream { session: Arc::clone(&self.shared), shared };
        stream.send_window_update()?;
        Ok(stream)
    }

    /// Waits for a stream that the peer opens.
    ///
    /// # Errors
    ///
    /// [`Error::SessionShutdown`] after the session has ended.
    pub fn accept(&self) -> Result<Stream<R>, Error> {
        let shared = {
            let mut table = self.shared.table.lock();
            loop {
                if let Some(stream) = table.backlog.pop_front() {
                    break stream;
                }
                if table.shutdown {
                    return Err(Error::SessionShutdown);
                }
                table = self.shared.accepted.wait(table);
            }
        };
        let stream = Stream { session: Arc::clone(&self.shared), shared };
        stream.send_window_update()?;
        Ok(stream)
    }

    /// Pings the peer and returns how long the answer took.
    ///
    /// # Errors
    ///
    /// [`Error::PingTimeout`], [`Error::SessionShutdown`], [`Error::ConnectionWriteTimeout`].
    pub fn ping(&self) -> Result<Duration, Error> {
        self.shared.ping()
    }

    /// Ends the session and all its streams, and waits for its threads. Like the original, it sends the peer nothing
    /// except TCP's FIN.
    ///
    /// # Panics
    ///
    /// If one of the session's threads panicked.
    pub fn close(self) {
        self.shared.exit();
        for thread in self.threads {
            thread.join().expect("the session's threads do not panic");
        }
    }
}

impl<R: Threads> Shared<R> {
    /// Ends the session. The thread that detects the end calls it: `exitErr`, `Close`.
    fn exit(&self) {
        let streams = {
            let mut table = self.table.lock();
            if table.shutdown {
                return;
            }
            table.shutdown = true;
            std::mem::take(&mut table.streams)
        };
        // An error means that the connection has already ended.
        let _ = self.conn.shutdown(Shutdown::Both);
        self.outbox.shut();
        for condvar in [&self.accepted, &self.ponged, &self.shut] {
            condvar.notify_all();
        }
        streams.values().for_each(|stream| stream.force_close());
    }

    /// Writes queued frames until the session ends: the original's `send` goroutine.
    fn send(&self, mut writer: R::Stream) {
        while let Some(frame) = self.outbox.next() {
            // Two writes, as in the original.
            let header = writer.write_all(&frame.header.encode());
            if header.and_then(|()| writer.write_all(&frame.body)).is_err() {
                self.exit();
                return;
            }
            self.outbox.note_written();
        }
    }

    /// Forgets a stream that has ended: `closeStream`.
    pub(super) fn forget(&self, id: u32) {
        self.table.lock().streams.remove(&id);
    }
}

impl<R: Threads> fmt::Debug for Session<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("config", &self.shared.config).finish_non_exhaustive()
    }
}
