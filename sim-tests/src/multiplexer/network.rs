//! One connection between two hosts, and the sessions over it.

use std::io;
use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncWrite};
use wavetank_multiplexer::{Config, Session, blocking};
use wavetank_runtime::{
    BlockingListener as _, ListenOptions, Listener as _, Runtime, SocketOptions, Stream as _, Threads,
};

use super::monitor::Monitor;
use super::tap::{BlockingTap, Tap};

const PORT: u16 = 80;

fn any_address() -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], PORT))
}

/// Which side of the protocol a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Odd ids.
    Client,
    /// Even ids.
    Server,
}

impl Side {
    /// Both, the client first.
    pub const BOTH: [Self; 2] = [Self::Client, Self::Server];

    /// Returns the other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Client => Self::Server,
            Self::Server => Self::Client,
        }
    }

    /// Starts a session of ours on this side.
    pub fn session<R: Runtime, S>(self, runtime: R, transport: S, config: Config) -> Session<R>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        match self {
            Self::Client => Session::client(runtime, transport, config),
            Self::Server => Session::server(runtime, transport, config),
        }
    }
}

/// Connects to the host `server`.
///
/// # Errors
///
/// Those of the system.
pub async fn connect<R: Runtime>(host: &R, options: SocketOptions) -> io::Result<R::Stream> {
    let server = host.resolve("server", PORT).await?[0];
    let stream = host.connect(server, options).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Accepts one connection.
///
/// # Errors
///
/// Those of the system.
pub async fn accept<R: Runtime>(host: &R, options: SocketOptions) -> io::Result<R::Stream> {
    let listener = host.listen(any_address(), ListenOptions::new().accepted(options)).await?;
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

/// Starts a monitored session of ours over `transport`.
pub fn session<R: Runtime, S>(
    runtime: &R,
    side: Side,
    transport: S,
    config: Config,
    monitor: &Monitor,
) -> Session<R>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    side.session(runtime.clone(), Tap::new(transport, monitor.clone()), config)
}

/// Connects to the host `server`, on a thread.
///
/// # Errors
///
/// Those of the system.
pub fn connect_blocking<T: Threads>(host: &T, options: SocketOptions) -> io::Result<T::Stream> {
    let server = host.resolve("server", PORT)?[0];
    host.connect(server, options, None)
}

/// Accepts one connection, on a thread.
///
/// # Errors
///
/// Those of the system.
pub fn accept_blocking<T: Threads>(host: &T, options: SocketOptions) -> io::Result<T::Stream> {
    let listener = host.listen(any_address(), ListenOptions::new().accepted(options))?;
    Ok(listener.accept()?.0)
}

/// Starts a monitored session of ours over `transport`, on threads.
///
/// # Errors
///
/// If threads cannot be started.
pub fn session_blocking<T: Threads>(
    threads: &T,
    side: Side,
    transport: T::Stream,
    config: Config,
    monitor: &Monitor,
) -> io::Result<blocking::Session<T>> {
    let transport = BlockingTap::new(transport, monitor.clone());
    match side {
        Side::Client => blocking::Session::client(threads.clone(), transport, config),
        Side::Server => blocking::Session::server(threads.clone(), transport, config),
    }
}
