//! Streams and their halves.

use std::fmt;
use std::future::{Future, poll_fn};
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::coop::poll_proceed;
use wavetank_runtime::{Instant, Runtime};

use super::shared::Shared;
use super::wait::Place;
use crate::error::{ReadError, ResetCode, WriteEnd, WriteError};
use crate::protocol::{StreamKey, StreamStatistics};

/// A stream of a session: a reliable, ordered stream of bytes in each direction.
///
/// Reads and writes go through tokio's [`AsyncRead`] and [`AsyncWrite`]. `poll_shutdown` closes the sending half as
/// [`close_write`](Self::close_write) does, and waits until FIN is written.
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
///
/// # Cancel safety
///
/// A read or write that is dropped has taken or sent nothing.
pub struct Stream<R: Runtime> {
    half: Half<R>,
    /// The halves live on by themselves.
    is_split: bool,
}

/// The receiving half of a [`Stream`].
///
/// # Dropping
///
/// Reading stops, as by [`stop`](Self::stop).
pub struct ReadHalf<R: Runtime> {
    half: Half<R>,
}

/// The sending half of a [`Stream`].
///
/// # Dropping
///
/// A half that was not closed resets the stream, in both directions: the peer must not take what it got for the whole.
pub struct WriteHalf<R: Runtime> {
    half: Half<R>,
}

/// What all three are made of.
struct Half<R: Runtime> {
    shared: Arc<Shared<R>>,
    key: StreamKey,
}

impl<R: Runtime> Clone for Half<R> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared), key: self.key }
    }
}

impl<R: Runtime> Half<R> {
    fn now(&self) -> Instant {
        self.shared.runtime.now()
    }

    fn poll_read(&self, context: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<Result<(), ReadError>> {
        let budget = ready!(poll_proceed(context));
        let mut shared = None;
        let result = self.shared.with(|state| {
            let connection = &mut state.connection;
            shared = connection.read_shared(self.key, buffer.remaining());
            if shared.is_some() {
                return Poll::Ready(Ok(0));
            }
            let read = connection.read_with(self.key, buffer.remaining(), |piece| buffer.put_slice(piece));
            if read.is_pending() {
                state.wait_readable(self.key, context.waker());
            }
            read
        });
        let result = ready!(result);
        budget.made_progress();
        if let Some(shared) = shared {
            // Large pieces are copied without the lock.
            buffer.put_slice(&shared);
        }
        Poll::Ready(result.map(|_count| ()))
    }

    fn poll_read_chunk(
        &self,
        context: &mut Context<'_>,
        max: usize,
    ) -> Poll<Result<Option<Bytes>, ReadError>> {
        let budget = ready!(poll_proceed(context));
        let result = self.shared.with(|state| {
            let read = state.connection.read_chunk(self.key, max.max(1));
            if read.is_pending() {
                state.wait_readable(self.key, context.waker());
            }
            read
        });
        let chunk = ready!(result)?;
        budget.made_progress();
        Poll::Ready(Ok((!chunk.is_empty()).then_some(chunk)))
    }

    fn poll_write(
        &self,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize, WriteError>> {
        let budget = ready!(poll_proceed(context));
        let result = self.shared.with(|state| {
            let written = state.connection.write_vectored(self.key, slices);
            if written.is_pending() {
                state.wait_writable(self.key, context.waker(), self.now());
            }
            written
        });
        let result = ready!(result);
        budget.made_progress();
        Poll::Ready(result)
    }

    fn poll_flush(&self, context: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        self.shared.with(|state| {
            let flushed = state.connection.flush(self.key);
            if flushed.is_pending() {
                state.wait_flushed(self.key, context.waker());
            }
            flushed
        })
    }

    fn poll_shutdown(&self, context: &mut Context<'_>) -> Poll<Result<(), WriteError>> {
        self.close_write()?;
        self.poll_flush(context)
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

    fn stopped(&self) -> impl Future<Output = WriteEnd> + Send + use<R> {
        let place = self.shared.with(|state| {
            let end = state.connection.write_end(self.key);
            if end.is_none() {
                state.connection.wait_write_end(self.key);
            }
            state.stop_watchers.enter(self.key, end)
        });
        let waiting = WaitsForEnd { half: self.clone(), place };
        poll_fn(move |context| waiting.poll(context))
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

/// A task that waits for the end of a sending half, or will.
struct WaitsForEnd<R: Runtime> {
    half: Half<R>,
    place: Place,
}

impl<R: Runtime> WaitsForEnd<R> {
    fn poll(&self, context: &mut Context<'_>) -> Poll<WriteEnd> {
        let (key, place) = (self.half.key, self.place);
        let (result, _forgotten) =
            self.half.shared.with(|state| state.stop_watchers.poll(key, place, context.waker()));
        result
    }
}

impl<R: Runtime> Drop for WaitsForEnd<R> {
    fn drop(&mut self) {
        let (key, place) = (self.half.key, self.place);
        drop(self.half.shared.with(|state| state.stop_watchers.leave(key, place)));
    }
}

impl<R: Runtime> Stream<R> {
    pub(super) fn new(shared: Arc<Shared<R>>, key: StreamKey) -> Self {
        Self { half: Half { shared, key }, is_split: false }
    }

    /// Splits the stream into halves that different tasks may own.
    #[must_use]
    pub fn into_split(mut self) -> (ReadHalf<R>, WriteHalf<R>) {
        self.is_split = true;
        (ReadHalf { half: self.half.clone() }, WriteHalf { half: self.half.clone() })
    }
}

/// The methods that a stream shares with its halves.
macro_rules! methods {
    (common $Type:ident) => {
        impl<R: Runtime> $Type<R> {
            /// Returns the id of the stream on the wire.
            #[must_use]
            pub fn id(&self) -> u32 {
                self.half.key.id()
            }

            /// Ends both directions at once, and tells the peer `code`. What was written may not arrive, what was
            /// received is discarded. Does nothing if the stream has ended.
            pub fn reset(&mut self, code: ResetCode) {
                self.half.reset(code);
            }

            /// Returns the counts of the stream.
            #[must_use]
            pub fn statistics(&self) -> StreamStatistics {
                self.half.statistics()
            }
        }

        impl<R: Runtime> fmt::Debug for $Type<R> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($Type)).field("id", &self.id()).finish_non_exhaustive()
            }
        }
    };
    (read $Type:ident) => {
        impl<R: Runtime> $Type<R> {
            /// Stops reading: what has come and what comes is discarded, and reads fail with [`ReadError::Stopped`].
            /// Writing may go on.
            ///
            /// A peer of this crate is told, and its writer fails at once. Another peer cannot be told so: what it
            /// sends is discarded, up to [`Limits::drain_budget_bytes`](crate::Limits::drain_budget_bytes), or, once
            /// the sending half is closed, until its credit is used up; then the stream is reset. See
            /// [`protocol`](crate::protocol#stop-sending).
            pub fn stop(&mut self) {
                self.half.stop();
            }

            /// Sets until when a read waits; `None`: for ever, which is the default.
            /// A read that need not wait succeeds after it, too.
            pub fn set_read_deadline(&self, deadline: Option<Instant>) {
                self.half.set_read_deadline(deadline);
            }

            /// Takes the next bytes, up to `max`, in one piece and mostly without a copy. `None` is the end of the
            /// stream.
            ///
            /// # Errors
            ///
            /// As [`ReadError`] says.
            ///
            /// # Cancel safety
            ///
            /// Nothing is lost if the future is dropped.
            pub async fn read_chunk(&mut self, max: usize) -> Result<Option<Bytes>, ReadError> {
                poll_fn(|context| self.half.poll_read_chunk(context, max)).await
            }
        }

        impl<R: Runtime> AsyncRead for $Type<R> {
            fn poll_read(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                buffer: &mut ReadBuf<'_>,
            ) -> Poll<io::Result<()>> {
                self.half.poll_read(context, buffer).map_err(Into::into)
            }
        }
    };
    (write $Type:ident) => {
        impl<R: Runtime> $Type<R> {
            /// Closes the sending half: what was written goes out, and FIN behind it. Does not wait. Reading may go on.
            ///
            /// # Errors
            ///
            /// [`WriteError::Stopped`] if the peer has stopped reading, the reason of a reset, [`WriteError::Closed`]
            /// if the session has ended.
            pub fn close_write(&mut self) -> Result<(), WriteError> {
                self.half.close_write()
            }

            /// Waits until the peer has stopped reading, has reset the stream, or has left, or the stream has ended
            /// in both directions; no reading is needed for it. The future is independent of the stream: another task
            /// may wait.
            ///
            /// Of an unmodified peer only a reset and its leaving can be seen.
            ///
            /// # Cancel safety
            ///
            /// Nothing is lost if the future is dropped.
            pub fn stopped(&self) -> impl Future<Output = WriteEnd> + Send + use<R> {
                self.half.stopped()
            }

            /// Sets until when a write waits; `None`: for ever, which is the default.
            /// A write that need not wait succeeds after it, too.
            pub fn set_write_deadline(&self, deadline: Option<Instant>) {
                self.half.set_write_deadline(deadline);
            }
        }

        impl<R: Runtime> AsyncWrite for $Type<R> {
            fn poll_write(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                bytes: &[u8],
            ) -> Poll<io::Result<usize>> {
                self.half.poll_write(context, &[IoSlice::new(bytes)]).map_err(Into::into)
            }

            fn poll_write_vectored(
                self: Pin<&mut Self>,
                context: &mut Context<'_>,
                slices: &[IoSlice<'_>],
            ) -> Poll<io::Result<usize>> {
                self.half.poll_write(context, slices).map_err(Into::into)
            }

            fn is_write_vectored(&self) -> bool {
                true
            }

            /// Does nothing: what was written goes out as soon as the transport takes it. To wait for that, shut the
            /// stream down, or close the session.
            fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
                Poll::Ready(Ok(()))
            }

            fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
                self.half.poll_shutdown(context).map_err(Into::into)
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

impl<R: Runtime> Stream<R> {
    /// Closes both directions: what was written goes out, and FIN behind it; what the peer still sends is discarded.
    /// Does not wait.
    ///
    /// # Errors
    ///
    /// As for [`close_write`](Self::close_write). Reading is stopped in any case.
    pub fn close(&mut self) -> Result<(), WriteError> {
        let half = &self.half;
        half.shared.with(|state| state.connection.close_stream(half.key, half.now()))
    }
}

impl<R: Runtime> Drop for Stream<R> {
    fn drop(&mut self) {
        if self.is_split {
            return;
        }
        let half = &self.half;
        half.shared.with(|state| {
            state.forget_reader(half.key);
            state.forget_writer(half.key);
            state.connection.drop_stream(half.key, half.now());
        });
    }
}

impl<R: Runtime> Drop for ReadHalf<R> {
    fn drop(&mut self) {
        let half = &self.half;
        half.shared.with(|state| {
            state.forget_reader(half.key);
            state.connection.drop_receiver(half.key, half.now());
        });
    }
}

impl<R: Runtime> Drop for WriteHalf<R> {
    fn drop(&mut self) {
        let half = &self.half;
        half.shared.with(|state| {
            state.forget_writer(half.key);
            state.connection.drop_sender(half.key, half.now());
        });
    }
}
