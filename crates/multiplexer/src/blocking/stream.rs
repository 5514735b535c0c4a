//! Streams and their halves.

use std::fmt;
use std::io::{self, IoSlice, Read, Write};
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use wavetank_runtime::{Condvar, Instant, Threads};

use super::shared::{Guard, Shared, StreamWaits};
use crate::error::{ReadError, ResetCode, WriteEnd, WriteError};
use crate::protocol::{Connection, StreamKey, StreamStatistics};

/// A stream of a session: a reliable, ordered stream of bytes in each direction.
///
/// It is [`Read`] and [`Write`], also as `&Stream`: threads can share it.
///
/// # Errors of reads and writes
///
/// The `io::Error` holds a [`ReadError`] or [`WriteError`], which `ReadError::from_io` and `WriteError::from_io` give
/// back. A reset is never shown as the end of the stream.
///
/// # Dropping
///
/// A stream whose sending half was not closed is reset. One that was closed is finished in the background: what the
/// peer still sends is discarded, and the peer learns of it as far as it understands.
pub struct Stream<T: Threads> {
    half: Half<T>,
    /// The halves live on by themselves.
    is_split: bool,
}

/// The receiving half of a [`Stream`].
///
/// # Dropping
///
/// Reading stops, as by [`stop`](Self::stop).
pub struct ReadHalf<T: Threads> {
    half: Half<T>,
}

/// The sending half of a [`Stream`].
///
/// # Dropping
///
/// A half that was not closed resets the stream, in both directions: the peer must not take what it got for the whole.
pub struct WriteHalf<T: Threads> {
    half: Half<T>,
}

/// What all three are made of.
struct Half<T: Threads> {
    shared: Arc<Shared<T>>,
    key: StreamKey,
    waits: Arc<StreamWaits<T>>,
}

impl<T: Threads> Clone for Half<T> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), key: self.key, waits: Arc::clone(&self.waits) }
    }
}

/// What a waiting call of a stream waits for.
struct Wait<'a, T: Threads> {
    condvar: &'a Condvar<T>,
    /// Asks the session for an event.
    ask: fn(&mut Connection, StreamKey, Instant),
    deadline: fn(&mut Connection, StreamKey) -> Option<Instant>,
}

impl<T: Threads> Half<T> {
    fn now(&self) -> Instant {
        self.shared.threads.now()
    }

    /// Repeats `call` until it need not wait.
    fn until_ready<V>(&self, wait: &Wait<'_, T>, mut call: impl FnMut(&mut Connection) -> Poll<V>) -> V {
        let mut guard: Guard<'_, T> = self.shared.lock();
        loop {
            if let Poll::Ready(result) = call(&mut guard.connection) {
                self.shared.settle(&mut guard);
                return result;
            }
            (wait.ask)(&mut guard.connection, self.key, self.now());
            let deadline = (wait.deadline)(&mut guard.connection, self.key);
            guard = self.shared.wait(wait.condvar, guard, deadline);
            let now = self.now();
            if deadline.is_some_and(|deadline| deadline <= now) {
                // The thread that keeps the time may be busy writing.
                guard.connection.handle_deadline(now);
            }
        }
    }

    fn wait_readable(&self) -> Wait<'_, T> {
        Wait {
            condvar: &self.waits.readable,
            ask: |connection, key, _| connection.wait_readable(key),
            deadline: Connection::read_deadline,
        }
    }

    fn read(&self, buffer: &mut [u8]) -> Result<usize, ReadError> {
        self.until_ready(&self.wait_readable(), |connection| {
            let mut filled = 0;
            connection.read_with(self.key, buffer.len(), |piece| {
                buffer[filled..filled + piece.len()].copy_from_slice(piece);
                filled += piece.len();
            })
        })
    }

    fn read_chunk(&self, max: usize) -> Result<Option<Bytes>, ReadError> {
        let chunk = self
            .until_ready(&self.wait_readable(), |connection| connection.read_chunk(self.key, max.max(1)))?;
        Ok((!chunk.is_empty()).then_some(chunk))
    }

    fn write(&self, slices: &[IoSlice<'_>]) -> Result<usize, WriteError> {
        let wait = Wait {
            condvar: &self.waits.writable,
            ask: Connection::wait_writable,
            deadline: Connection::write_deadline,
        };
        self.until_ready(&wait, |connection| connection.write_vectored(self.key, slices))
    }

    fn close_write(&self) -> Result<(), WriteError> {
        self.shared.with(|state| state.connection.close_write(self.key, self.now()))
    }

    fn stop(&self) {
        self.shared.with(|state| state.connection.stop(self.key, self.now()));
    }

    fn reset(&self, code: ResetCode) {
        self.shared.with(|state| state.connection.reset(self.key, code, self.now()));
    }

    fn wait_stopped(&self, deadline: Option<Instant>) -> Option<WriteEnd> {
        let mut guard = self.shared.lock();
        loop {
            if let Some(end) = guard.connection.write_end(self.key) {
                return Some(end);
            }
            if deadline.is_some_and(|deadline| deadline <= self.now()) {
                return None;
            }
            guard.connection.wait_write_end(self.key);
            guard = self.shared.wait(&self.waits.ended, guard, deadline);
        }
    }

    fn set_read_deadline(&self, deadline: Option<Instant>) {
        self.shared.with(|state| state.connection.set_read_deadline(self.key, deadline, self.now()));
    }

    fn set_write_deadline(&self, deadline: Option<Instant>) {
        self.shared.with(|state| state.connection.set_write_deadline(self.key, deadline, self.now()));
    }

    fn statistics(&self) -> StreamStatistics {
        self.shared.lock().connection.stream_statistics(self.key)
    }
}

impl<T: Threads> Stream<T> {
    pub(super) fn new(shared: Arc<Shared<T>>, key: StreamKey, waits: Arc<StreamWaits<T>>) -> Self {
        Self { half: Half { shared, key, waits }, is_split: false }
    }

    /// Splits the stream into halves that different threads may own.
    #[must_use]
    pub fn into_split(mut self) -> (ReadHalf<T>, WriteHalf<T>) {
        self.is_split = true;
        (ReadHalf { half: self.half.clone() }, WriteHalf { half: self.half.clone() })
    }

    /// Closes both directions: what was written goes out, and FIN behind it; what the peer still sends is discarded.
    /// Does not wait.
    ///
    /// # Errors
    ///
    /// As for [`close_write`](Self::close_write). Reading is stopped in any case.
    pub fn close(&self) -> Result<(), WriteError> {
        let half = &self.half;
        half.shared.with(|state| state.connection.close_stream(half.key, half.now()))
    }
}

/// The methods that a stream shares with its halves.
macro_rules! methods {
    (common $Type:ident) => {
        impl<T: Threads> $Type<T> {
            /// Returns the id of the stream on the wire.
            #[must_use]
            pub fn id(&self) -> u32 {
                self.half.key.id()
            }

            /// Ends both directions at once, and tells the peer `code`. What was written may not arrive, what was
            /// received is discarded. Does nothing if the stream has ended.
            pub fn reset(&self, code: ResetCode) {
                self.half.reset(code);
            }

            /// Returns the counts of the stream.
            #[must_use]
            pub fn statistics(&self) -> StreamStatistics {
                self.half.statistics()
            }
        }

        impl<T: Threads> fmt::Debug for $Type<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($Type)).field("id", &self.id()).finish_non_exhaustive()
            }
        }
    };
    (read $Type:ident) => {
        impl<T: Threads> $Type<T> {
            /// Stops reading: what has come and what comes is discarded, and reads fail with [`ReadError::Stopped`],
            /// also one that waits. Writing may go on.
            ///
            /// A peer of this crate is told, and its writer fails at once. Another peer cannot be told so: what it
            /// sends is discarded, up to [`Limits::drain_budget_bytes`](crate::Limits::drain_budget_bytes), or, once
            /// the sending half is closed, until its credit is used up; then the stream is reset. See
            /// [`protocol`](crate::protocol#stop-sending).
            pub fn stop(&self) {
                self.half.stop();
            }

            /// Sets until when a read waits; `None`: for ever, which is the default. Takes effect on a read that
            /// waits already. A read that need not wait succeeds after it, too.
            pub fn set_read_deadline(&self, deadline: Option<Instant>) {
                self.half.set_read_deadline(deadline);
            }

            /// Takes the next bytes, up to `max`, in one piece and mostly without a copy. `None` is the end of the
            /// stream.
            ///
            /// # Errors
            ///
            /// As [`ReadError`] says.
            pub fn read_chunk(&self, max: usize) -> Result<Option<Bytes>, ReadError> {
                self.half.read_chunk(max)
            }
        }

        impl<T: Threads> Read for $Type<T> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.half.read(buffer).map_err(Into::into)
            }
        }

        impl<T: Threads> Read for &$Type<T> {
            fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
                self.half.read(buffer).map_err(Into::into)
            }
        }
    };
    (write $Type:ident) => {
        impl<T: Threads> $Type<T> {
            /// Closes the sending half: what was written goes out, and FIN behind it. Does not wait. Reading may go on.
            ///
            /// # Errors
            ///
            /// [`WriteError::Stopped`] if the peer has stopped reading, the reason of a reset, [`WriteError::Closed`]
            /// if the session has ended.
            pub fn close_write(&self) -> Result<(), WriteError> {
                self.half.close_write()
            }

            /// Waits until the peer has stopped reading, has reset the stream, or has left, or the stream has ended
            /// in both directions; no reading is needed for it.
            ///
            /// Of an unmodified peer only a reset and its leaving can be seen.
            pub fn wait_stopped(&self) -> WriteEnd {
                loop {
                    if let Some(end) = self.half.wait_stopped(None) {
                        return end;
                    }
                }
            }

            /// Waits as [`wait_stopped`](Self::wait_stopped) does, for `timeout` at most. Returns `None` if none of it
            /// has happened by then.
            pub fn wait_stopped_timeout(&self, timeout: Duration) -> Option<WriteEnd> {
                self.half.wait_stopped(Some(self.half.now() + timeout))
            }

            /// Sets until when a write waits; `None`: for ever, which is the default. Takes effect on a write that
            /// waits already. A write that need not wait succeeds after it, too.
            pub fn set_write_deadline(&self, deadline: Option<Instant>) {
                self.half.set_write_deadline(deadline);
            }
        }

        impl<T: Threads> Write for $Type<T> {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.half.write(&[IoSlice::new(bytes)]).map_err(Into::into)
            }

            fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
                self.half.write(slices).map_err(Into::into)
            }

            /// Does nothing: what was written goes out as soon as the transport takes it. To wait for that, close the
            /// session.
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }

        impl<T: Threads> Write for &$Type<T> {
            fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
                self.half.write(&[IoSlice::new(bytes)]).map_err(Into::into)
            }

            fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
                self.half.write(slices).map_err(Into::into)
            }

            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
    };
}

methods!(common Stream);
methods!(common ReadHalf);
methods!(common WriteHalf);
methods!(read Stream);
methods!(read ReadHalf);
methods!(write Stream);
methods!(write WriteHalf);

impl<T: Threads> Drop for Stream<T> {
    fn drop(&mut self) {
        if self.is_split {
            return;
        }
        let half = &self.half;
        half.shared.with(|state| state.connection.drop_stream(half.key, half.now()));
    }
}

impl<T: Threads> Drop for ReadHalf<T> {
    fn drop(&mut self) {
        let half = &self.half;
        half.shared.with(|state| state.connection.drop_receiver(half.key, half.now()));
    }
}

impl<T: Threads> Drop for WriteHalf<T> {
    fn drop(&mut self) {
        let half = &self.half;
        half.shared.with(|state| state.connection.drop_sender(half.key, half.now()));
    }
}
