//! The blocking runtime trait: what a thread may ask of the world.

use std::io;
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use crate::raw_locks::RawLocks;
use crate::{Instant, JoinError, ListenOptions, SocketOptions};

/// Blocking threads: clock, threads, locks, sockets, names and entropy.
///
/// Handles are cheap to clone. Implementations: [`Std`](crate::Std) in production, the host of a simulation in tests.
/// Locks are used through [`Mutex`](crate::Mutex) and [`Condvar`](crate::Condvar).
pub trait Threads: RawLocks {
    /// A TCP stream.
    type Stream: BlockingStream;
    /// A TCP listener.
    type Listener: BlockingListener<Stream = Self::Stream>;
    /// A handle to a spawned thread.
    type ThreadHandle<T: Send + 'static>: ThreadHandle<T>;

    /// Reads the clock.
    fn now(&self) -> Instant;

    /// Blocks this thread for `duration`.
    fn sleep(&self, duration: Duration);

    /// Starts a thread. `name` appears in traces and panics; it should be constant (`"reader"`), and need not be
    /// unique.
    ///
    /// Dropping the handle detaches the thread.
    ///
    /// # Errors
    ///
    /// The system's, where no more threads can be had.
    fn spawn<T, F>(&self, name: &str, body: F) -> io::Result<Self::ThreadHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static;

    /// Lets other threads run.
    fn yield_now(&self);

    /// Finds the addresses of `host`, a name or the text of an address, each with `port`. Never returns an empty list.
    ///
    /// # Errors
    ///
    /// `NotFound` or the resolver's own error where the name is unknown.
    fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;

    /// Opens a TCP connection, within `timeout` if there is one.
    ///
    /// # Errors
    ///
    /// `ConnectionRefused` where nothing listens; `TimedOut` after `timeout` or the system's SYN retries (about two
    /// minutes); `InvalidInput` for a timeout of zero.
    fn connect(
        &self,
        address: SocketAddr,
        options: SocketOptions,
        timeout: Option<Duration>,
    ) -> io::Result<Self::Stream>;

    /// Listens for TCP connections. Port 0 asks for a free port. The address may be taken over from connections of an
    /// earlier listener (`SO_REUSEADDR`), not from a listener.
    ///
    /// # Errors
    ///
    /// `AddrInUse`, or `AddrNotAvailable` where the address is not this host's.
    fn listen(&self, address: SocketAddr, options: ListenOptions) -> io::Result<Self::Listener>;

    /// Fills `buffer` with entropy fit for keys.
    ///
    /// # Panics
    ///
    /// Where the system has no entropy to give.
    fn fill_random(&self, buffer: &mut [u8]);
}

/// A handle to a thread.
pub trait ThreadHandle<T>: Send + 'static {
    /// Waits until the thread has ended and returns its result.
    ///
    /// # Errors
    ///
    /// [`JoinError::Panicked`] where the thread panicked.
    fn join(self) -> Result<T, JoinError>;

    /// Tells whether the thread has ended.
    fn is_finished(&self) -> bool;
}

/// A blocking TCP stream. All clones are one connection; it closes when the last of them is dropped.
pub trait BlockingStream: io::Read + io::Write + Send + Sync + Sized + 'static {
    /// Makes a second handle to the same connection, for another thread.
    ///
    /// # Errors
    ///
    /// The system's, where no descriptor is free.
    fn try_clone(&self) -> io::Result<Self>;

    /// Shuts down reading, writing (FIN) or both, for all clones. Threads blocked in the affected direction wake up:
    /// readers with an end of file.
    ///
    /// # Errors
    ///
    /// `NotConnected` where the connection is gone.
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

    /// Turns Nagle's algorithm off (`true`) or on.
    ///
    /// # Errors
    ///
    /// The system's, where the socket is no longer usable.
    fn set_nodelay(&self, nodelay: bool) -> io::Result<()>;

    /// Arms linger 0 and drops this handle: when the last clone is dropped the connection ends with RST and what was
    /// not yet sent is discarded.
    fn abort(self);

    /// Returns this end's address.
    ///
    /// # Errors
    ///
    /// The system's, where the socket is no longer usable.
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// Returns the peer's address.
    ///
    /// # Errors
    ///
    /// `NotConnected` where the connection is gone.
    fn peer_addr(&self) -> io::Result<SocketAddr>;
}

/// A blocking TCP listener. Dropping it resets the connections that were not accepted.
pub trait BlockingListener: Send + Sync + 'static {
    /// The streams it yields.
    type Stream: BlockingStream;

    /// Waits for the next connection.
    ///
    /// # Errors
    ///
    /// The system's: `ConnectionAborted`, or no free descriptors. The listener stays usable.
    fn accept(&self) -> io::Result<(Self::Stream, SocketAddr)>;

    /// Returns the address it listens on, with the port the system chose.
    ///
    /// # Errors
    ///
    /// The system's, where the socket is no longer usable.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}
