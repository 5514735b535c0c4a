//! Unix stream sockets for tasks ([`LocalSockets`]) and for threads ([`BlockingLocalSockets`]).
//!
//! Both are extensions of [`Runtime`] and [`Threads`]. A runtime without Unix sockets does not implement them. Code
//! that needs them says so in its bounds (`R: LocalSockets`).
//!
//! Both ends are on one host: data takes no time and is never lost. Unix sockets differ from TCP in these points:
//!
//! - A write fails as soon as the peer has closed.
//! - Shutting down reading breaks the peer's pipe.
//! - A listener's path stays in the file system after the listener is dropped. Remove it with
//!   [`unlink_unix`](LocalSockets::unlink_unix).
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

/// The longest path of a socket on Linux, in bytes. Other systems allow less (macOS: 103).
const PATH_BYTES_MAX: usize = 107;

/// Checks a path as every implementation does before it calls its system.
///
/// # Errors
///
/// `InvalidInput` if the path is empty, contains a NUL byte (which would make it an abstract address), or is longer
/// than 107 bytes.
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

    /// Connects to the listener at `path`. Only the send buffer of `options` is used: it holds what the peer has not
    /// yet read.
    ///
    /// # Errors
    ///
    /// - `NotFound` if nothing is at the path.
    /// - `ConnectionRefused` if the socket there has no listener.
    /// - `WouldBlock` if the listener's backlog is full. Linux completes the connection at once or not at all; the
    ///   blocking [`connect_unix`](BlockingLocalSockets::connect_unix) waits.
    /// - `InvalidInput` if the path is empty, contains a NUL byte or is longer than 107 bytes.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future abandons the connection; the peer may see it open and close.
    fn connect_unix(
        &self,
        path: &Path,
        options: SocketOptions,
    ) -> impl Future<Output = io::Result<Self::UnixStream>> + Send;

    /// Creates a socket at `path` and listens on it. Accepted streams use only the send buffer of their options.
    ///
    /// # Errors
    ///
    /// - `AddrInUse` if anything is at the path, also a socket without listener. Remove it with
    ///   [`unlink_unix`](Self::unlink_unix) first.
    /// - `InvalidInput` if the path is empty, contains a NUL byte or is longer than 107 bytes.
    fn listen_unix(
        &self,
        path: &Path,
        options: ListenOptions,
    ) -> impl Future<Output = io::Result<Self::UnixListener>> + Send;

    /// Removes the socket at `path` from the file system. Its listener keeps the connections that are waiting, and gets
    /// no new ones.
    ///
    /// # Errors
    ///
    /// `NotFound` if nothing is at the path. `InvalidInput` if it is not a socket.
    fn unlink_unix(&self, path: &Path) -> io::Result<()>;
}

/// A Unix stream of tasks. `AsyncWrite::poll_shutdown` half-closes it. Dropping it closes both directions. If it is
/// dropped with unread bytes, the peer's next read fails once with `ConnectionReset`, after the bytes it has received.
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

/// A Unix listener of tasks. Dropping it resets the connections that were not accepted. Its path stays.
pub trait UnixListener: Send + Sync + 'static {
    /// The accepted streams.
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

/// A runtime that offers Unix stream sockets to threads.
pub trait BlockingLocalSockets: Threads {
    /// A connected stream.
    type UnixStream: BlockingUnixStream;
    /// A listener.
    type UnixListener: BlockingUnixListener<Stream = Self::UnixStream>;

    /// Connects to the listener at `path`. Waits for room in its backlog, at most for `timeout` if there is one. Only
    /// the send buffer of `options` is used: it holds what the peer has not yet read.
    ///
    /// # Errors
    ///
    /// - `NotFound` if nothing is at the path.
    /// - `ConnectionRefused` if the socket there has no listener, or loses it while this call waits.
    /// - `TimedOut` after `timeout`; `InvalidInput` for a timeout of zero.
    /// - `InvalidInput` if the path is empty, contains a NUL byte or is longer than 107 bytes.
    fn connect_unix(
        &self,
        path: &Path,
        options: SocketOptions,
        timeout: Option<Duration>,
    ) -> io::Result<Self::UnixStream>;

    /// Creates a socket at `path` and listens on it. Accepted streams use only the send buffer of their options.
    ///
    /// # Errors
    ///
    /// - `AddrInUse` if anything is at the path, also a socket without listener. Remove it with
    ///   [`unlink_unix`](Self::unlink_unix) first.
    /// - `InvalidInput` if the path is empty, contains a NUL byte or is longer than 107 bytes.
    fn listen_unix(&self, path: &Path, options: ListenOptions) -> io::Result<Self::UnixListener>;

    /// Removes the socket at `path` from the file system. Its listener keeps the connections that are waiting, and gets
    /// no new ones.
    ///
    /// # Errors
    ///
    /// `NotFound` if nothing is at the path. `InvalidInput` if it is not a socket.
    fn unlink_unix(&self, path: &Path) -> io::Result<()>;
}

/// A blocking Unix stream. All clones are one connection. Dropping the last clone closes it. If bytes are then unread,
/// the peer's next read fails once with `ConnectionReset`, after the bytes it has received.
///
/// A write fails with `BrokenPipe` as soon as the peer has closed.
pub trait BlockingUnixStream: io::Read + io::Write + Send + Sync + Sized + 'static {
    /// Makes a second handle to the same connection, for another thread.
    ///
    /// # Errors
    ///
    /// The system's, if no descriptor is free.
    fn try_clone(&self) -> io::Result<Self>;

    /// Shuts down reading, writing or both, for all clones. Blocked threads of that direction wake up: readers with an
    /// end of file, writers with `BrokenPipe`. The peer's threads wake up too: it can no longer write after reading was
    /// shut down here.
    ///
    /// # Errors
    ///
    /// None on Linux. Elsewhere `NotConnected` if the connection is gone.
    fn shutdown(&self, how: Shutdown) -> io::Result<()>;

    /// Sets how long a read may block; `None` means without limit. A read that waited this long fails with `WouldBlock`
    /// and may be repeated. All clones share the setting.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a timeout of zero.
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;

    /// Sets how long a write may block, as [`set_read_timeout`](Self::set_read_timeout) does for reads.
    ///
    /// # Errors
    ///
    /// `InvalidInput` for a timeout of zero.
    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;
}

/// A blocking Unix listener. Dropping it resets the connections that were not accepted. Its path stays.
pub trait BlockingUnixListener: Send + Sync + 'static {
    /// The accepted streams.
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
