//! Who may send: one at a time, in the order in which they came.

use std::fmt;
use std::future::poll_fn;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};
use wavetank_runtime::{Instant, Runtime};

use super::shared::Shared;
use super::wait::Place;
use crate::protocol::{Connection, State};
use crate::{CloseCode, Error, Kind};

/// When what is sent is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writing {
    AtOnce,
    /// When the write buffer is full, or somebody else writes.
    Later,
}

/// A sender's turn, given up when it is dropped.
pub(super) struct Turn<'a, R, S>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin,
{
    shared: &'a Shared<R, S>,
    place: Option<Place>,
    /// Whether the turn lasts beyond one success.
    lasts: bool,
}

impl<'a, R, S> Turn<'a, R, S>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin,
{
    pub(super) fn new(shared: &'a Shared<R, S>) -> Self {
        Self { shared, place: None, lasts: false }
    }

    /// Waits for the turn and for room in the write buffer; then sends, and writes what the stream takes, if that is not left
    /// to others.
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        writing: Writing,
        send: impl FnOnce(&mut Connection, Instant) -> Result<(), Error>,
    ) -> Poll<Result<(), Error>> {
        let shared = self.shared;
        if self.place.is_none() && !self.lasts {
            let mut state = shared.peek();
            if state.may_send() {
                let latest = state.latest;
                let sent = send(state.connection(), latest);
                let now = || shared.runtime.now();
                let done = match writing {
                    // Nobody waits for output, as long as it can grow.
                    Writing::Later => !state.session.connection().write_buffer_is_full(),
                    Writing::AtOnce => state.write_quickly(now),
                };
                if !done {
                    shared.change(state, |state, after| state.write(now, after));
                }
                return Poll::Ready(sent);
            }
        }
        shared.with(|state, after| {
            if let Some(over) = state.over() {
                return Poll::Ready(Err(over));
            }
            let connection = state.session.connection();
            let open = connection.state() == State::Open;
            if !open || !state.senders.is_first(self.place) || connection.write_buffer_is_full() {
                // Once the connection is closing, this waits for the outcome that is to be reported.
                state.senders.wait(&mut self.place, context.waker());
                return Poll::Pending;
            }
            let latest = state.latest;
            let sent = send(state.connection(), latest);
            if writing == Writing::AtOnce || state.session.connection().write_buffer_is_full() {
                state.write(|| shared.runtime.now(), after);
            }
            if self.lasts {
                state.senders.keep(&mut self.place);
            } else if let Some(place) = self.place.take() {
                state.senders.leave(place);
            }
            Poll::Ready(sent)
        })
    }
}

impl<R, S> Drop for Turn<'_, R, S>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin,
{
    fn drop(&mut self) {
        if let Some(place) = self.place {
            self.shared.with(|state, _| state.senders.leave(place));
        }
    }
}

/// A message that is sent piece by piece. It ends with [`finish`](Self::finish).
///
/// A message whose frames have begun cannot be taken back: dropping the writer in the middle of one closes the
/// connection with code 1011, because the peer would take anything else for a whole message.
pub struct MessageWriter<'a, R, S>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    turn: Turn<'a, R, S>,
    kind: Kind,
    /// A frame was sent, and the last one was not.
    unfinished: bool,
}

impl<'a, R, S> MessageWriter<'a, R, S>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    pub(super) async fn begin(shared: &'a Shared<R, S>, kind: Kind) -> Result<Self, Error> {
        let mut turn = Turn { shared, place: None, lasts: true };
        poll_fn(|context| turn.poll(context, Writing::AtOnce, |_, _| Ok(()))).await?;
        Ok(Self { turn, kind, unfinished: false })
    }

    /// Sends a piece of the message, in a frame of its own. Waits while the write buffer is full.
    ///
    /// The pieces of a text need not end where characters end; as a whole they are to be UTF-8, or the peer will fail
    /// the connection.
    ///
    /// # Errors
    ///
    /// As [`WebSocket::send`](super::WebSocket::send); the message was not sent as a whole.
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it completes, the piece was not sent, and the writer can be used further.
    pub async fn write(&mut self, piece: &[u8]) -> Result<(), Error> {
        self.fragment(piece, false).await
    }

    /// Sends the last piece of the message, which may be empty.
    ///
    /// # Errors
    ///
    /// As [`write`](Self::write).
    ///
    /// # Cancel safety
    ///
    /// If the future is dropped before it completes, the message was not finished: the connection is closed, as when the
    /// writer is dropped.
    pub async fn finish(mut self, piece: &[u8]) -> Result<(), Error> {
        self.fragment(piece, true).await
    }

    async fn fragment(&mut self, piece: &[u8], last: bool) -> Result<(), Error> {
        let kind = self.kind;
        let turn = &mut self.turn;
        poll_fn(|context| {
            let send = |connection: &mut Connection, now| connection.send_fragment(kind, piece, last, now);
            turn.poll(context, Writing::AtOnce, send)
        })
        .await?;
        self.unfinished = !last;
        Ok(())
    }
}

impl<R, S> Drop for MessageWriter<'_, R, S>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    fn drop(&mut self) {
        if self.unfinished {
            let shared = self.turn.shared;
            shared.with(|state, after| {
                let now = shared.runtime.now();
                state.connection().close(CloseCode::INTERNAL_ERROR, "a message was left unfinished", now);
                after.wake_driver(&shared.signals);
            });
        }
    }
}

impl<R, S> fmt::Debug for MessageWriter<'_, R, S>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageWriter").field("kind", &self.kind).finish_non_exhaustive()
    }
}
