//! The accept side of tasks: reads a client's request, lets the application answer it, and hands out a
//! [`WebSocket`] in the server role.
//!
//! [`Server`] takes streams that a [`Listener`](wavetank_runtime::Listener) accepted, and any others. Threads have
//! the same in [`blocking`](crate::blocking), but for the way in which an application looks at a request: here it is
//! given an [`Incoming`], and may await what decides, a database or another task, before it answers; there it gives a
//! closure, for its thread waits anyway, and every request is answered.
//!
//! # Example: send back what comes
//!
//! ```no_run
//! use wavetank_runtime::{ListenOptions, Listener as _, Runtime as _, Tokio};
//! use wavetank_websocket::server::Server;
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::new(Tokio);
//! let listener = Tokio.listen("127.0.0.1:9000".parse()?, ListenOptions::new()).await?;
//! loop {
//!     let (stream, _address) = listener.accept().await?;
//!     let server = server.clone();
//!     Tokio.spawn("session", async move {
//!         let Ok(socket) = server.accept(stream).await else { return };
//!         while let Ok(message) = socket.recv().await {
//!             if socket.send(&message).await.is_err() {
//!                 break;
//!             }
//!         }
//!     });
//! }
//! # }
//! ```

use std::fmt;
use std::io;

use http::{HeaderMap, StatusCode};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use wavetank_runtime::{Runtime, Stream};

use crate::client::open::{exchange, until, write_out};
use crate::client::{Opened, WebSocket};
use crate::handshake::{AcceptOptions, AcceptStep, Accepting, Agreed, Request};
use crate::session::Session;
use crate::{Config, OpenError};

/// Accepts connections as a server. Cheap to clone.
///
/// # Defaults
///
/// [`Config::default`] and [`AcceptOptions::new`]: no TLS, any origin, no subprotocols; TCP without Nagle's
/// algorithm, which [`accept`](Self::accept) and [`request`](Self::request) turn off.
#[derive(Clone)]
pub struct Server<R> {
    runtime: R,
    config: Config,
    options: AcceptOptions,
}

impl<R: Runtime> Server<R> {
    /// Makes a server whose connections live on `runtime`.
    #[must_use]
    pub fn new(runtime: R) -> Self {
        Self { runtime, config: Config::default(), options: AcceptOptions::new() }
    }

    /// Sets limits, timeouts, keepalive and compression of the connections.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Sets TLS, allowed origins, subprotocols and limits of the request.
    #[must_use]
    pub fn options(mut self, options: AcceptOptions) -> Self {
        self.options = options;
        self
    }

    /// Opens a connection over a TCP stream that was accepted: TLS, if there is any, the request, and the answer,
    /// which takes the first of our subprotocols that the client offers.
    ///
    /// # Errors
    ///
    /// [`OpenError`] where the client breaks the handshake, goes away, or takes longer than [`Config::open_timeout`].
    /// A client that breaks it gets an error status; this waits until it has ended its stream, within the same time.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the stream.
    pub async fn accept<S: Stream>(&self, stream: S) -> Result<WebSocket<R, S>, OpenError> {
        self.request(stream).await?.accept().await
    }

    /// Opens a connection over any other stream, as it is: a Unix socket, a pipe, what a library of one's own accepted.
    /// Otherwise as [`accept`](Self::accept).
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the stream.
    pub async fn accept_over<S>(&self, stream: S) -> Result<WebSocket<R, S>, OpenError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        self.request_over(stream).await?.accept().await
    }

    /// Reads a client's request on a TCP stream that was accepted, for the application to look at and to answer:
    /// [`Incoming`].
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the stream.
    pub async fn request<S: Stream>(&self, stream: S) -> Result<Incoming<R, S>, OpenError> {
        // Messages are written whole: there is nothing to wait for. A stream that is gone already shows it soon.
        let _gone = stream.set_nodelay(true);
        self.request_over(stream).await
    }

    /// Reads a client's request on any other stream, as it is; otherwise as [`request`](Self::request).
    ///
    /// # Errors
    ///
    /// As [`accept`](Self::accept).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the stream.
    pub async fn request_over<S>(&self, mut stream: S) -> Result<Incoming<R, S>, OpenError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut seed = [0; 32];
        self.runtime.fill_random(&mut seed);
        let now = self.runtime.now();
        let mut accepting = Accepting::new(self.options.clone(), self.config.clone(), seed, now)?;
        let exchange = exchange(&self.runtime, &mut accepting, &mut stream);
        match until(&self.runtime, exchange_deadline(now, &self.config), exchange).await {
            None => Err(accepting.give_up()),
            Some(Err(error)) => Err(accepting.transport_failed(error)),
            Some(Ok(AcceptStep::Failed(error))) => {
                say_goodbye(&self.runtime, &mut accepting, &mut stream).await;
                Err(error)
            }
            Some(Ok(_)) => Ok(Incoming { runtime: self.runtime.clone(), stream, accepting }),
        }
    }
}

fn exchange_deadline(now: wavetank_runtime::Instant, config: &Config) -> wavetank_runtime::Instant {
    now + config.open_timeout
}

/// Sends the refusal that is left to write, ends the stream, and waits for the client to do so: whatever becomes of
/// it, the outcome is known.
async fn say_goodbye<R: Runtime, S: AsyncRead + AsyncWrite + Unpin>(
    runtime: &R,
    accepting: &mut Accepting,
    stream: &mut S,
) {
    let deadline = accepting.deadline();
    let goodbye = async {
        write_out(accepting, stream).await?;
        stream.shutdown().await?;
        // Dropping the stream with bytes unread would reset it, and the answer could be lost.
        let mut unread = [0; 1024];
        while stream.read(&mut unread).await? > 0 {}
        io::Result::Ok(())
    };
    let _ = until(runtime, deadline, goodbye).await;
}

/// A request that waits for the application's answer. Dropping it drops the stream without an answer.
///
/// The answer has to be given within what is left of [`Config::open_timeout`].
pub struct Incoming<R, S> {
    runtime: R,
    stream: S,
    accepting: Accepting,
}

impl<R, S> Incoming<R, S>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    /// Returns what the client asks for.
    ///
    /// # Panics
    ///
    /// Only on a bug here: an answered request is no longer incoming.
    #[must_use]
    #[expect(clippy::expect_used, reason = "the documented panic")]
    pub fn request(&self) -> &Request {
        self.accepting.request().expect("the request is not answered yet")
    }

    /// Accepts the request, with the first of our subprotocols that the client offers.
    ///
    /// # Errors
    ///
    /// [`OpenError`] where the client went away or the time is over.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the stream.
    pub async fn accept(mut self) -> Result<WebSocket<R, S>, OpenError> {
        self.accepting.accept();
        self.finish().await
    }

    /// Accepts the request with a subprotocol that the client offers (or none), and with further headers in the answer.
    ///
    /// # Errors
    ///
    /// [`OpenError::Setup`] where the client does not offer the subprotocol, or a header is the handshake's own: then
    /// the client is answered by 500, and this waits for its end as [`refuse`](Self::refuse) does. Otherwise as
    /// [`accept`](Self::accept).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the stream.
    pub async fn accept_with(
        mut self,
        subprotocol: Option<&str>,
        headers: &HeaderMap,
    ) -> Result<WebSocket<R, S>, OpenError> {
        if let Err(error) = self.accepting.accept_with(subprotocol, headers) {
            self.accepting.refuse_for_setup(error);
        }
        self.finish().await
    }

    /// Refuses the request with a status (400 and more), headers and a body, ends the stream, and waits until the
    /// client has done so, within what is left of [`Config::open_timeout`].
    ///
    /// # Errors
    ///
    /// [`OpenError::Setup`] where the status is an informational one (below 200): then the client is answered by 500.
    /// Losing the answer on its way is not an error.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the stream, and the client may not see the answer.
    pub async fn refuse(
        mut self,
        status: StatusCode,
        headers: &HeaderMap,
        body: &[u8],
    ) -> Result<(), OpenError> {
        if let Err(error) = self.accepting.refuse(status, headers, body) {
            self.accepting.refuse_for_setup(error);
        }
        let outcome = self.accepting.process(self.runtime.now());
        say_goodbye(&self.runtime, &mut self.accepting, &mut self.stream).await;
        match outcome {
            AcceptStep::Failed(error @ OpenError::Setup(_)) => Err(error),
            _ => Ok(()),
        }
    }

    async fn finish(mut self) -> Result<WebSocket<R, S>, OpenError> {
        let deadline = self.accepting.deadline();
        let exchange = exchange(&self.runtime, &mut self.accepting, &mut self.stream);
        match until(&self.runtime, deadline, exchange).await {
            None => Err(self.accepting.give_up()),
            Some(Err(error)) => Err(self.accepting.transport_failed(error)),
            Some(Ok(AcceptStep::Done(session, agreed))) => Ok(self.start(session, agreed)),
            Some(Ok(AcceptStep::Failed(error))) => {
                say_goodbye(&self.runtime, &mut self.accepting, &mut self.stream).await;
                Err(error)
            }
            Some(Ok(AcceptStep::Request | AcceptStep::Continue)) => {
                unreachable!("the request is answered, and there is no other")
            }
        }
    }

    fn start(self, session: Box<Session>, agreed: Agreed) -> WebSocket<R, S> {
        WebSocket::start(self.runtime, self.stream, session, Opened::Server(agreed))
    }
}

impl<R> fmt::Debug for Server<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("options", &self.options).finish_non_exhaustive()
    }
}

impl<R, S> fmt::Debug for Incoming<R, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Incoming").field("request", &self.accepting.request()).finish_non_exhaustive()
    }
}
