//! What a session of threads needs of its transport.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use wavetank_runtime::BlockingStream;

/// A blocking stream that three threads can use at once. Implemented for every [`BlockingStream`]; implement it for
/// TLS, Unix sockets or tunnels.
pub trait Transport: Read + Write + Send + Sync + Sized + 'static {
    /// Makes a second handle to the same stream.
    ///
    /// # Errors
    ///
    /// The system's, where no descriptor is free.
    fn try_clone(&self) -> io::Result<Self>;

    /// Ends one direction or both, for all handles. Threads that are blocked in the direction wake up.
    ///
    /// # Errors
    ///
    /// The system's, where the stream has gone.
    fn shutdown(&self, how: Shutdown) -> io::Result<()>;

    /// Sets after how long a write that could take nothing fails with `WouldBlock` or `TimedOut`. The session keeps
    /// the time by it while the peer takes nothing.
    ///
    /// # Errors
    ///
    /// The system's, where the stream has gone.
    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;
}

impl<S: BlockingStream> Transport for S {
    fn try_clone(&self) -> io::Result<Self> {
        BlockingStream::try_clone(self)
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        BlockingStream::shutdown(self, how)
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        BlockingStream::set_write_timeout(self, timeout)
    }
}

/// Ends a transport: all that handles need of it, whatever its type.
pub(super) trait Control: Send + Sync {
    fn shutdown(&self, how: Shutdown);
}

impl<S: Transport> Control for S {
    fn shutdown(&self, how: Shutdown) {
        // It fails only where the transport has gone, and the reader is told that, too.
        let _gone = Transport::shutdown(self, how);
    }
}
