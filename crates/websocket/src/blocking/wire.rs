//! The streams below a connection, TCP, Unix or the caller's own, as one type.
//!
//! A call through it is one indirect jump a system call, which spares every handle a type parameter for its stream.

use std::fmt;
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::time::Duration;

use wavetank_runtime::{BlockingStream, BlockingUnixStream};

/// A blocking stream; see [`BlockingStream`] for the contract of each operation.
pub(super) trait Wire: Read + Write + Send + Sync {
    fn duplicate(&self) -> io::Result<BoxWire>;
    fn shutdown(&self, how: Shutdown) -> io::Result<()>;
    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;
    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()>;
}

/// A stream of any kind.
pub(super) type BoxWire = Box<dyn Wire>;

impl fmt::Debug for dyn Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

/// A stream of the runtime traits' TCP kind.
pub(super) struct Tcp<S>(pub(super) S);

/// A stream of the runtime traits' Unix kind.
pub(super) struct Local<S>(pub(super) S);

macro_rules! wire {
    ($wrapper:ident, $bound:ident) => {
        impl<S: $bound> Read for $wrapper<S> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.0.read(buffer)
            }
        }

        impl<S: $bound> Write for $wrapper<S> {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.0.write(bytes)
            }

            fn flush(&mut self) -> io::Result<()> {
                self.0.flush()
            }
        }

        impl<S: $bound> Wire for $wrapper<S> {
            fn duplicate(&self) -> io::Result<BoxWire> {
                Ok(Box::new(Self(self.0.try_clone()?)))
            }

            fn shutdown(&self, how: Shutdown) -> io::Result<()> {
                self.0.shutdown(how)
            }

            fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
                self.0.set_read_timeout(timeout)
            }

            fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
                self.0.set_write_timeout(timeout)
            }
        }
    };
}

wire!(Tcp, BlockingStream);
wire!(Local, BlockingUnixStream);

/// Whether `error` says that the timeout of a read or write was up, or a signal came: the call may be repeated.
pub(super) fn is_temporary(error: &io::Error) -> bool {
    // What a timeout of a socket is on Windows. On Unix it says that the peer does not answer any more.
    let timed_out = cfg!(windows) && error.kind() == io::ErrorKind::TimedOut;
    timed_out || matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}
