//! Accepting connections: the server's side of the opening, over streams that the application's listeners gave.

use std::fmt;
use std::io;
use std::net::Shutdown;

use http::{HeaderMap, StatusCode};
use wavetank_runtime::{BlockingStream, BlockingUnixStream, Threads};

use super::open::{read, seed, write};
use super::socket::WebSocket;
use super::wire::{BoxWire, Local, Tcp};
use crate::handshake::{AcceptOptions, AcceptStep, Accepting, Opened, Request};
use crate::{Config, OpenError};

/// Bytes of a read at most.
const READ_BYTES: usize = 8 * 1024;

/// Makes connections of accepted streams. Cheap to clone.
///
/// # Defaults
///
/// [`Config::default`] and [`AcceptOptions::new`]: no TLS, any origin, no subprotocols; TCP without Nagle's algorithm.
///
/// # Example: send back what comes
///
/// [`accept`](Self::accept) waits for the client, at most for the [open timeout](Config::open_timeout): call it in a
/// thread of the connection's own, or one slow client keeps all others waiting.
///
/// ```no_run
/// use wavetank_runtime::{BlockingListener, ListenOptions, Std, Threads};
/// use wavetank_websocket::blocking::Server;
///
/// let listener = Std.listen("127.0.0.1:9000".parse()?, ListenOptions::new())?;
/// let server = Server::new(Std);
/// loop {
///     let (stream, _address) = listener.accept()?;
///     let server = server.clone();
///     drop(Std.spawn("echo", move || {
///         let Ok(socket) = server.accept(stream) else { return };
///         while let Ok(message) = socket.recv() {
///             if socket.send(&message).is_err() {
///                 break;
///             }
///         }
///     })?);
/// }
/// # #[expect(unreachable_code, reason = "a server never ends")]
/// # Ok::<_, Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone)]
pub struct Server<T: Threads> {
    threads: T,
    config: Config,
    options: AcceptOptions,
}

/// What the application says to a request.
#[derive(Debug, Clone, Default)]
pub enum Answer {
    /// Yes, with the first of the server's subprotocols that the client offers, or with none.
    #[default]
    Accept,
    /// Yes, with this subprotocol, which the client must have offered (or none), and with these further headers, none
    /// of them the handshake's own.
    AcceptWith {
        /// The subprotocol.
        subprotocol: Option<String>,
        /// Headers of the response.
        headers: HeaderMap,
    },
    /// No.
    Refuse {
        /// The status of the response, not an informational one.
        status: StatusCode,
        /// Headers of the response.
        headers: HeaderMap,
        /// What the response says.
        body: Vec<u8>,
    },
}

impl<T: Threads> Server<T> {
    /// Accepts connections in this world, [`Std`](wavetank_runtime::Std) in production, with the default [`Config`] and
    /// [`AcceptOptions`].
    #[must_use]
    pub fn new(threads: T) -> Self {
        Self { threads, config: Config::default(), options: AcceptOptions::new() }
    }

    /// Sets limits, keepalive, deadlines and compression of the connections.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Sets what is accepted: TLS, origins, subprotocols.
    #[must_use]
    pub fn options(mut self, options: AcceptOptions) -> Self {
        self.options = options;
        self
    }

    /// Goes through the opening with the client on `stream`, and accepts it.
    ///
    /// # Errors
    ///
    /// Why the opening failed. A client that broke the handshake, or was refused, has received a status;
    /// this waits until it has ended its stream, within the open timeout.
    pub fn accept<S: BlockingStream>(&self, stream: S) -> Result<WebSocket<T>, OpenError> {
        self.accept_with(stream, |_| Answer::Accept)
    }

    /// Goes through the opening with the client on `stream`; `decide` sees its request, and answers.
    ///
    /// `decide` runs in the caller's thread and may block, but not be interrupted: its time counts towards the open
    /// timeout. Tasks are given the request instead, to await what decides:
    /// [`server::Incoming`](crate::server::Incoming).
    ///
    /// # Errors
    ///
    /// Those of [`accept`](Self::accept); [`OpenError::Refused`] where `decide` refuses, and [`OpenError::Setup`]
    /// where its answer cannot be given: then the client is answered by 500.
    pub fn accept_with<S: BlockingStream>(
        &self,
        stream: S,
        decide: impl FnOnce(&Request) -> Answer,
    ) -> Result<WebSocket<T>, OpenError> {
        // Messages are written whole: there is nothing to wait for. A stream that is gone already shows it soon.
        let _gone = stream.set_nodelay(true);
        self.exchange(Box::new(Tcp(stream)), decide)
    }

    /// The same over a Unix stream.
    ///
    /// # Errors
    ///
    /// Those of [`accept_with`](Self::accept_with).
    pub fn accept_unix<S: BlockingUnixStream>(
        &self,
        stream: S,
        decide: impl FnOnce(&Request) -> Answer,
    ) -> Result<WebSocket<T>, OpenError> {
        self.exchange(Box::new(Local(stream)), decide)
    }

    fn exchange(
        &self,
        mut wire: BoxWire,
        decide: impl FnOnce(&Request) -> Answer,
    ) -> Result<WebSocket<T>, OpenError> {
        let threads = &self.threads;
        let (options, config) = (self.options.clone(), self.config.clone());
        let mut accepting = Accepting::new(options, config, seed(threads), threads.now())?;
        let mut decide = Some(decide);
        let mut buffer = vec![0; READ_BYTES];
        loop {
            match accepting.process(threads.now()) {
                AcceptStep::Continue => {}
                AcceptStep::Request => {
                    let decide = decide.take().expect("a request is shown once");
                    if let Err(error) = answer(&mut accepting, decide) {
                        accepting.refuse_for_setup(error);
                    }
                    continue;
                }
                AcceptStep::Done(session, agreed) => {
                    let opened = Opened::Server(agreed);
                    let close_timeout = self.config.close_timeout;
                    return WebSocket::start(threads, *session, wire, close_timeout, opened);
                }
                AcceptStep::Failed(error) => {
                    self.part(accepting, wire);
                    return Err(error);
                }
            }
            match self.write_all(&mut accepting, &mut wire) {
                Ok(true) => {}
                Ok(false) => return Err(accepting.give_up()),
                Err(error) => return Err(accepting.transport_failed(error)),
            }
            match read(threads, &mut wire, &mut buffer, accepting.deadline()) {
                Ok(Some(0)) => accepting.end_of_input(),
                Ok(Some(count)) => accepting.input().extend_from_slice(&buffer[..count]),
                Ok(None) => return Err(accepting.give_up()),
                Err(error) => return Err(accepting.transport_failed(error)),
            }
        }
    }

    /// Writes what there is to write; `false`: the time is up.
    fn write_all(&self, accepting: &mut Accepting, wire: &mut BoxWire) -> io::Result<bool> {
        while !accepting.output().is_empty() {
            match write(&self.threads, wire, accepting.output(), accepting.deadline())? {
                Some(count) => accepting.output_written(count),
                None => return Ok(false),
            }
        }
        Ok(true)
    }

    /// Tells the client why, and waits for the end of its stream: closing with bytes unread would reset the stream, and
    /// the answer could be lost.
    fn part(&self, mut accepting: Accepting, mut wire: BoxWire) {
        if self.write_all(&mut accepting, &mut wire).is_ok_and(|written| written)
            && wire.shutdown(Shutdown::Write).is_ok()
        {
            let mut buffer = [0; 1024];
            let until = accepting.deadline();
            while let Ok(Some(1..)) = read(&self.threads, &mut wire, &mut buffer, until) {}
        }
    }
}

fn answer(accepting: &mut Accepting, decide: impl FnOnce(&Request) -> Answer) -> Result<(), OpenError> {
    let answer = decide(accepting.request().expect("a request waits for its answer"));
    match answer {
        Answer::Accept => {
            accepting.accept();
            Ok(())
        }
        Answer::AcceptWith { subprotocol, headers } => {
            accepting.accept_with(subprotocol.as_deref(), &headers)
        }
        Answer::Refuse { status, headers, body } => accepting.refuse(status, &headers, &body),
    }
}

impl<T: Threads> fmt::Debug for Server<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("options", &self.options).finish_non_exhaustive()
    }
}
