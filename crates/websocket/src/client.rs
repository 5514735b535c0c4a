//! The client of tasks: opens connections over a [`Runtime`], and hands out [`WebSocket`]s.
//!
//! A handle is all that applications see of an open connection. Below it, `shared` is what handles and driver share,
//! and the I/O of each, with the fast path in `quick`; `driver` is the task that meets the connection's obligations
//! while no method is called; `signals` decides which task the stream wakes; `wait` and
//! `sending` keep the order of waiting tasks. `open` goes through the opening; `reconnect` makes one connection after
//! another. `messages` and `connections` are both as a `Stream`.
//!
//! # Example: say something, and hear what comes back
//!
//! ```no_run
//! use wavetank_runtime::Tokio;
//! use wavetank_websocket::client::Client;
//! use wavetank_websocket::{CloseCode, Error};
//!
//! # async fn run() -> Result<(), Box<dyn std::error::Error>> {
//! let socket = Client::new(Tokio).connect("wss://example.com/chat".parse()?).await?;
//! socket.send("hello").await?;
//! loop {
//!     match socket.recv().await {
//!         Ok(message) => println!("{message:?}"),
//!         Err(Error::Closed(outcome)) => break println!("{outcome}"),
//!         Err(other) => return Err(other.into()),
//!     }
//! }
//! # Ok(())
//! # }
//! ```

mod connections;
mod driver;
mod messages;
pub(crate) mod open;
mod quick;
mod reconnect;
mod sending;
mod shared;
mod signals;
mod socket;
mod wait;

pub use crate::handshake::Opened;
pub use crate::reconnect::{Failure, Reason, Retry};
pub use connections::Connections;
pub use messages::Messages;
pub use reconnect::{AsItIs, Reconnect, Resume};
pub use sending::MessageWriter;
pub use socket::{ConnectionState, Outgoing, WebSocket};

use std::fmt;
use std::future::Future;
use std::io;

use tokio::io::{AsyncRead, AsyncWrite};
use wavetank_runtime::{Instant, LocalSockets, Runtime, SocketOptions, Stream as _};

use crate::config::socket_options;
use crate::handshake::{ClientRequest, Endpoint, Opening};
use crate::{Config, OpenError};

/// Opens connections as a client. Cheap to clone.
///
/// # Defaults
///
/// [`Config::default`]; the system's buffers of sockets, with at most 128 KiB that cannot be sent yet; TCP without
/// Nagle's algorithm.
#[derive(Clone)]
pub struct Client<R> {
    runtime: R,
    config: Config,
    socket_options: SocketOptions,
}

impl<R: Runtime> Client<R> {
    /// Makes a client whose connections live on `runtime`.
    #[must_use]
    pub fn new(runtime: R) -> Self {
        Self { runtime, config: Config::default(), socket_options: socket_options(SocketOptions::new()) }
    }

    /// Sets limits, timeouts, keepalive and compression of the connections.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Sets the options of TCP and Unix sockets. Where they leave
    /// [`unsent_bytes`](SocketOptions::unsent_bytes) open it is 128 KiB, as the [keepalive](crate::Keepalive) needs it.
    #[must_use]
    pub fn socket_options(mut self, options: SocketOptions) -> Self {
        self.socket_options = socket_options(options);
        self
    }

    pub(super) fn runtime(&self) -> &R {
        &self.runtime
    }

    /// Opens a connection over TCP: finds the addresses of the host (or of the proxy), tries all of them, and goes
    /// through proxy, TLS, the opening handshake and redirects.
    ///
    /// An address that does not answer delays the next by 250 ms only. The whole takes at most
    /// [`Config::open_timeout`].
    ///
    /// # Errors
    ///
    /// [`OpenError`] says what failed, whose fault it was, and whether another attempt may help.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future gives the connection up; the server may see it open and close.
    ///
    /// # Determinism
    ///
    /// Draws 32 bytes of the runtime's entropy, from which keys, masks and pings are derived.
    pub async fn connect(&self, request: ClientRequest) -> Result<WebSocket<R>, OpenError> {
        if request.is_for_unix() {
            return Err(OpenError::Setup("the request is for a Unix socket: use `connect_unix`".to_owned()));
        }
        self.open(request, Opening::new, |endpoint| self.dial_tcp(endpoint)).await
    }

    /// Opens a connection over the Unix socket that the request names ([`ClientRequest::unix_path`]); otherwise as
    /// [`connect`](Self::connect).
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    ///
    /// # Cancel safety
    ///
    /// As [`connect`](Self::connect).
    pub async fn connect_unix(&self, request: ClientRequest) -> Result<WebSocket<R, R::UnixStream>, OpenError>
    where
        R: LocalSockets,
    {
        if !request.is_for_unix() {
            return Err(OpenError::Setup(
                "the request has no path of a Unix socket: use `connect`".to_owned(),
            ));
        }
        let dial = async |endpoint| match endpoint {
            Endpoint::Unix(path) => self.runtime.connect_unix(&path, self.socket_options).await,
            Endpoint::Tcp { .. } => Err(unsupported("the request has no path of a Unix socket")),
        };
        self.open(request, Opening::new, dial).await
    }

    /// Opens a connection over a stream that is connected already: only TLS, if the request's address says so, and the
    /// opening handshake are left to do. Redirects are not followed, and no proxy is asked.
    ///
    /// # Errors
    ///
    /// As [`connect`](Self::connect).
    ///
    /// # Cancel safety
    ///
    /// As [`connect`](Self::connect).
    pub async fn connect_over<S>(
        &self,
        stream: S,
        request: ClientRequest,
    ) -> Result<WebSocket<R, S>, OpenError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let mut stream = Some(stream);
        let dial = move |_| {
            let stream = stream.take().ok_or_else(|| unsupported("the stream was given, there is no other"));
            async { stream }
        };
        self.open(request, Opening::over_transport, dial).await
    }

    /// Opens one connection after another to the same server: see [`Reconnect`].
    #[must_use]
    pub fn reconnect(&self, request: ClientRequest) -> Reconnect<R> {
        Reconnect::over_tcp(self.clone(), request)
    }

    /// Opens one connection after another over the Unix socket that the request names ([`ClientRequest::unix_path`]):
    /// see [`Reconnect`].
    #[must_use]
    pub fn reconnect_unix(&self, request: ClientRequest) -> Reconnect<R, AsItIs, R::UnixStream>
    where
        R: LocalSockets,
    {
        Reconnect::over_unix(self.clone(), request)
    }

    async fn open<S, F, D>(
        &self,
        request: ClientRequest,
        how: fn(ClientRequest, Config, [u8; 32], Instant) -> Result<Opening, OpenError>,
        dial: D,
    ) -> Result<WebSocket<R, S>, OpenError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
        F: Future<Output = io::Result<S>>,
        D: FnMut(Endpoint) -> F,
    {
        let mut seed = [0; 32];
        self.runtime.fill_random(&mut seed);
        let opening = how(request, self.config.clone(), seed, self.runtime.now())?;
        let (stream, session, response) = open::open(&self.runtime, opening, dial).await?;
        Ok(WebSocket::start(self.runtime.clone(), stream, session, Opened::Client(response)))
    }

    async fn dial_tcp(&self, endpoint: Endpoint) -> io::Result<R::Stream> {
        let Endpoint::Tcp { host, port } = endpoint else {
            return Err(unsupported("the request is for a Unix socket: use connect_unix"));
        };
        let addresses = self.runtime.resolve(&host, port).await?;
        let stream = open::dial(&self.runtime, addresses, self.socket_options).await?;
        // Messages go out when they are sent: waiting for an acknowledgement first would delay every small one.
        stream.set_nodelay(true)?;
        Ok(stream)
    }
}

fn unsupported(why: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::Unsupported, why)
}

impl<R> fmt::Debug for Client<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("config", &self.config).finish_non_exhaustive()
    }
}
