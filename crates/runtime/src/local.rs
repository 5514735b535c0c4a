//! Unix stream sockets: what a task ([`LocalSockets`]) or a thread ([`BlockingLocalSockets`]) may ask beyond the two
//! runtime traits.
//!
//! Extensions, and not parts of [`Runtime`] and [`Threads`]: a world without them (another system than Unix, a
//! simulated network of packets) does not implement them, and code that needs them says so in its bounds (`R:
//! LocalSockets`).
//!
//! Both ends are on one host, so nothing takes time and nothing gets lost, and the differences from TCP show: a write
//! finds out at once that no one will read, shutting down reading breaks the peer's pipe, and a listener's path stays
//! in the file system when the listener is gone, until [`unlink`](LocalSockets::unlink_unix) removes it.
//!
//! # Not here
//!
//! Abstract and unnamed addresses, datagram sockets, credentials and descriptors as messages.

use std::future::Future;
use std::io;
use std::net::Shutdown;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

use crate::{ListenOptions, Runtime, SocketOptions, Threads};

/// The longest path of a socket in bytes, on Linux. Other systems have less room (macOS 103).
pub const PATH_BYTES_MAX: usize = 107;

/// Checks what every implementation refuses in a path, before it asks its system.
///
/// # Errors
///
/// `InvalidInput` where the path is empty, has a NUL byte (which would make it an abstract address), or is longer than
/// [`PATH_BYTES_MAX`].
pub fn check_path(path: &Path) -> io::Result<()> {
    let bytes = path.as_os_str().as_encoded_bytes();
    let problem = if bytes.is_empty() {
        "the path of a socket is empty"
    } else if bytes.contains(&0) {
        "the path of a socket has a NUL byte"
    } else if bytes.len() > PATH_BYTES_MAX {
        "the path of a socket is longer than 107 bytes"
    } else {
        return Ok(());
    };
    Err(io::Error::new(io::ErrorKind::InvalidInput, problem))
}

/// A runtime that offers Unix stream sockets to tasks.
pub trait LocalSockets: Runtime {
    /// A connected stream.
    type UnixStream: UnixStream;
    /// A listener.
    type UnixListener: UnixListener<Stream = Self::UnixStream>;

    /// Connects to the listener at `path`. Of `options` the send buffer counts alone: it holds what the peer has not
    /// yet read.
    ///
    /// # Errors
    ///
    /// `NotFound` where nothing is at the path, `ConnectionRefused` where a socket is there that does not listen,
    /// `WouldBlock` where the listener's backlog is full (Linux completes the connection at once or not at all; a
    /// blocking [`connect_unix`](BlockingLocalSockets::connect_unix) waits), and those of [`check_path`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future abandons the connection; the peer may see it open and close.
    fn connect_unix(
        &self,
        path: &Path,
        options: SocketOptions,
    ) -> impl Future<Output = io::Result<Self::UnixStream>> + Send;

    /// Creates a socket at `path` and listens on it. Of the accepted streams' options the send buffer counts alone.
    ///
    /// # Errors
    ///
    /// `AddrInUse` where anything is at the path, also a socket that no longer listens
    /// ([`unlink_unix`](Self::unlink_unix) it first), and those of [`check_path`].
    fn listen_unix(
        &self,
        path: &Path,
        options: ListenOptions,
    ) -> impl Future<Output = io::Result<Self::UnixListener>> + Send;

    /// Removes the socket at `path` from the file system. A listener keeps the connections that wait for it, and gets
    /// no more.
    ///
    /// # Errors
    ///
    /// `NotFound` where nothing is at the path, `InvalidInput` where something else than a socket is.
    fn unlink_unix(&self, path: &Path) -> io::Result<()>;
}

/// A Unix stream of tasks. `AsyncWrite::poll_shutdown` half-closes it; dropping it closes both directions, and if bytes
/// for it were not read, the peer's next read after what it has received fails once with `ConnectionReset`.
///
/// A write fails with `BrokenPipe` as soon as the peer has closed.
pub trait UnixStream: AsyncRead + AsyncWrite + Unpin + Send + Sync + 'static {
    /// The reading half. Dropping it alone does nothing.
    type ReadHalf: AsyncRead + Unpin + Send + Sync + 'static;
    /// The writing half. Dropping it half-closes the stream.
    type WriteHalf: AsyncWrite + Unpin + Send + Sync + 'static;

    /// Splits the stream into halves that different tasks may own.
    fn into_split(self) -> (Self::ReadHalf, Self::WriteHalf);
}

/// A Unix listener of tasks. Dropping it resets the connections that were not accepted, and leaves its path.
pub trait UnixListener: Send + Sync + 'static {
    /// The streams it yields.
    type Stream: UnixStream;

    /// Waits for the next connection.
    ///
    /// # Errors
    ///
    /// The system's, such as no free descriptors. The listener stays usable.
    ///
    /// # Cancel safety
    ///
    /// No connection is lost if the future is dropped.
    fn accept(&self) -> impl Future<Output = io::Result<Self::Stream>> + Send;
}

/// A world that offers Unix stream sockets to threads.
pub trait BlockingLocalSockets: Threads {
    /// A connected stream.
    type UnixStream: BlockingUnixStream;
    /// A listener.
    type UnixListener: BlockingUnixListener<Stream = Self::UnixStream>;

    /// Connects to the listener at `path`, and waits for room in its backlog, within `timeout` if there is one. Of
    /// `options` the send buffer counts alone: it holds what the peer has not yet read.
    ///
    /// # Errors
    ///
    /// `NotFound` where nothing is at the path, `ConnectionRefused` where a socket is there that does not listen
    /// (or does so no longer), `TimedOut` after `timeout`, `InvalidInput` for a timeout of zero, and those of
    /// [`check_path`].
    fn connect_unix(
        &self,
        path: &Path,
        options: SocketOptions,
        timeout: Option<Duration>,
    ) -> io::Result<Self::UnixStream>;

    /// Creates a socket at `path` and listens on it. Of the accepted streams' options the send buffer counts alone.
    ///
    /// # Errors
    ///
    /// `AddrInUse` where anything is at the path, also a socket that no longer listens
    /// ([`unlink_unix`](Self::unlink_unix) it first), and those of [`check_path`].
    fn listen_unix(&self, path: &Path, options: ListenOptions) -> io::Result<Self::UnixListener>;

    /// Removes the socket at `path` from the file system. A listener keeps the connections that wait for it, and gets
    /// no more.
    ///
    /// # Errors
    ///
    /// `NotFound` where nothing is at the path, `InvalidInput` where something else than a socket is.
    fn unlink_unix(&self, path: &Path) -> io::Result<()>;
}

/// A blocking Unix stream. All clones are one connection; it closes when the last of them is dropped, and if bytes for
/// it were not read, the peer's next read after what it has received fails once with `ConnectionReset`.
///
/// A write fails with `BrokenPipe` as soon as the peer has closed.
pub trait BlockingUnixStream: io::Read + io::Write + Send + Sync + Sized + 'static {
    /// Makes a second handle to the same connection, for another thread.
    ///
    /// # Errors
    ///
    /// The system's, where no descriptor is free.
    fn try_clone(&self) -> io::Result<Self>;

    /// Shuts down reading, writing or both, for all clones. Threads blocked in the affected direction wake up: readers
    /// with an end of file, writers with `BrokenPipe`. So do the peer's: it can no longer write what is not read here.
    ///
    /// # Errors
    ///
    /// None on Linux. Elsewhere `NotConnected` where the connection is gone.
    fn shutdown(&self, how: Shutdown) -> io::Result<()>;

    /// Sets how long a read may block: `None` is for ever. Afterwards a read that has waited this long fails with
    /// `WouldBlock` and may be tried again. Shared by all clones.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a timeout of zero.
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;

    /// Sets how long a write may block, as [`set_read_timeout`](Self::set_read_timeout).
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a timeout of zero.
    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;
}

/// A blocking Unix listener. Dropping it resets the connections that were not accepted, and leaves its path.
pub trait BlockingUnixListener: Send + Sync + 'static {
    /// The streams it yields.
    type Stream: BlockingUnixStream;

    /// Waits for the next connection.
    ///
    /// # Errors
    ///
    /// The system's, such as no free descriptors. The listener stays usable.
    fn accept(&self) -> io::Result<Self::Stream>;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_no_socket_can_have_are_refused() {
        let long = "x".repeat(PATH_BYTES_MAX + 1);
        for path in ["", "\0abstract", &long] {
            let refused = check_path(Path::new(path)).map_err(|error| error.kind());
            assert_eq!(refused, Err(io::ErrorKind::InvalidInput), "{path:?}");
        }
        assert!(check_path(Path::new(&long[1..])).is_ok());
    }
}
