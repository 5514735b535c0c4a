//! The blocking runtime trait: clock, threads, locks, sockets, names and entropy for blocking code.

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

    /// Starts a thread. `name` appears in traces and panics. It should be constant (`"reader"`) and need not be unique.
    ///
    /// Dropping the handle detaches the thread.
    ///
    /// # Errors
    ///
    /// The system's, if it cannot start another thread.
    fn spawn<T, F>(&self, name: &str, body: F) -> io::Result<Self::ThreadHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static;

    /// Lets other threads run.
    fn yield_now(&self);

    /// Says that the next statement reads or writes shared memory, such as an atomic. `object` names it, and `index`
    /// tells the elements of an array apart: 0 for a single variable.
    ///
    /// A simulation may run another thread first, and knows which threads touch the same memory. In production this
    /// does nothing.
    fn access(&self, _object: &'static str, _index: usize) {}

    /// Resolves `host`, a name or the text of an address, to addresses with `port`. Never returns an empty list.
    ///
    /// # Errors
    ///
    /// `NotFound`, or the resolver's own error, if the name is unknown.
    fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>>;

    /// Opens a TCP connection, waiting at most for `timeout` if there is one.
    ///
    /// # Errors
    ///
    /// `ConnectionRefused` if there is no listener. `TimedOut` after `timeout` or the system's SYN retries (about two
    /// minutes). `InvalidInput` for a timeout of zero.
    fn connect(
        &self,
        address: SocketAddr,
        options: SocketOptions,
        timeout: Option<Duration>,
    ) -> io::Result<Self::Stream>;

    /// Listens for TCP connections. Port 0 asks for a free port. Connections of an earlier listener may still use the
    /// address (`SO_REUSEADDR`); another listener may not.
    ///
    /// # Errors
    ///
    /// `AddrInUse`. `AddrNotAvailable` if the address is not this host's.
    fn listen(&self, address: SocketAddr, options: ListenOptions) -> io::Result<Self::Listener>;

    /// Fills `buffer` with entropy fit for keys.
    ///
    /// # Panics
    ///
    /// If the system has no entropy.
    fn fill_random(&self, buffer: &mut [u8]);
}

/// A handle to a thread.
pub trait ThreadHandle<T>: Send + 'static {
    /// Waits until the thread has ended and returns its result.
    ///
    /// # Errors
    ///
    /// [`JoinError::Panicked`] if the thread panicked.
    fn join(self) -> Result<T, JoinError>;

    /// Returns `true` if the thread has ended.
    fn is_finished(&self) -> bool;
}

/// A blocking TCP stream. All clones are one connection. Dropping the last clone closes it.
pub trait BlockingStream: io::Read + io::Write + Send + Sync + Sized + 'static {
    /// Makes a second handle to the same connection, for another thread.
    ///
    /// # Errors
    ///
    /// The system's, if no descriptor is free.
    fn try_clone(&self) -> io::Result<Self>;

    /// Shuts down reading, writing (FIN) or both, for all clones. Blocked threads of that direction wake up: readers
    /// with an end of file.
    ///
    /// # Errors
    ///
    /// `NotConnected` if the connection is gone.
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

    /// Turns Nagle's algorithm off (`true`) or on.
    ///
    /// # Errors
    ///
    /// The system's, if the socket is no longer usable.
    fn set_nodelay(&self, nodelay: bool) -> io::Result<()>;

    /// Sets linger 0 and drops this handle. Dropping the last clone then ends the connection with RST and discards
    /// unsent bytes.
    fn abort(self);

    /// Returns this end's address.
    ///
    /// # Errors
    ///
    /// The system's, if the socket is no longer usable.
    fn local_addr(&self) -> io::Result<SocketAddr>;

    /// Returns the peer's address.
    ///
    /// # Errors
    ///
    /// `NotConnected` if the connection is gone.
    fn peer_addr(&self) -> io::Result<SocketAddr>;
}

/// A blocking TCP listener. Dropping it resets the connections that were not accepted.
pub trait BlockingListener: Send + Sync + 'static {
    /// The accepted streams.
    type Stream: BlockingStream;

    /// Waits for the next connection.
    ///
    /// # Errors
    ///
    /// The system's, such as `ConnectionAborted` or no free descriptors. The listener stays usable.
    fn accept(&self) -> io::Result<(Self::Stream, SocketAddr)>;

    /// Returns the address it listens on, with the port the system chose.
    ///
    /// # Errors
    ///
    /// The system's, if the socket is no longer usable.
    fn local_addr(&self) -> io::Result<SocketAddr>;
}
