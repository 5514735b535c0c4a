//! Which task may send: one at a time, in the order of their calls.

use std::fmt;
use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::coop;
use wavetank_runtime::Runtime;

use super::shared::{After, Shared, State as ConnectionParts};
use super::socket::spend;
use super::wait::Place;
use crate::protocol::{Connection, Deflating, Part, Piece, State};
use crate::{CloseCode, Error, Kind};

/// When what is sent is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writing {
    AtOnce,
    /// When the write buffer is full, or another task writes.
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
    /// The payload that is being compressed, in this call's turn.
    deflating: Option<Deflating>,
    /// What this call has deflated, in bytes, since others had their turn.
    deflated: usize,
}

/// How many bytes are deflated for one unit of a task's budget.
const DEFLATED_A_UNIT: usize = 1 << 10;

/// How far a look of a sender led.
enum Look {
    Done(Result<(), Error>),
    Waits,
    /// It is this call's turn, and a long payload has to be compressed first.
    Deflates(Deflating),
}

impl<'a, R, S> Turn<'a, R, S>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin,
{
    pub(super) fn new(shared: &'a Shared<R, S>) -> Self {
        Self { shared, place: None, lasts: false, deflating: None, deflated: 0 }
    }

    /// Waits for the turn and for room in the write buffer; then sends `piece`, and writes what the stream takes, if
    /// that is not left to others. `None` waits for the turn alone.
    #[inline]
    pub(super) fn poll(
        &mut self,
        context: &mut Context<'_>,
        writing: Writing,
        piece: Option<Piece<'_>>,
    ) -> Poll<Result<(), Error>> {
        // A task that sends and never waits lets others run, too.
        let budget = ready!(coop::poll_proceed(context));
        let sent = self.poll_turn(context, writing, piece);
        if sent.is_ready() {
            budget.made_progress();
            if self.deflated > 0 {
                spend(context, std::mem::take(&mut self.deflated) / DEFLATED_A_UNIT);
            }
        }
        sent
    }

    #[inline]
    fn poll_turn(
        &mut self,
        context: &mut Context<'_>,
        writing: Writing,
        piece: Option<Piece<'_>>,
    ) -> Poll<Result<(), Error>> {
        if self.deflating.is_some()
            && let (Some(deflating), Some(piece)) = (self.deflating.take(), piece)
        {
            return self.go_on_deflating(context, writing, piece, deflating);
        }
        match self.look(context, writing, piece) {
            Look::Done(sent) => Poll::Ready(sent),
            Look::Waits => Poll::Pending,
            Look::Deflates(deflating) => match piece {
                Some(piece) => self.go_on_deflating(context, writing, piece, deflating),
                None => unreachable!("there is a payload"),
            },
        }
    }

    #[inline]
    fn look(&mut self, context: &mut Context<'_>, writing: Writing, piece: Option<Piece<'_>>) -> Look {
        let shared = self.shared;
        if self.place.is_none() && !self.lasts {
            let mut state = shared.peek();
            if state.may_send() {
                if let Some(deflating) = begin_deflating(state.connection(), piece) {
                    state.senders.keep(&mut self.place);
                    state.calm = false;
                    return Look::Deflates(deflating);
                }
                let sent = piece.map_or(Ok(()), |piece| state.connection().put(piece));
                self.deflated = state.connection().take_deflated();
                let now = || shared.runtime.now();
                let done = match writing {
                    // No task waits for output, as long as it can grow.
                    Writing::Later => {
                        state.calm = false;
                        !state.session.connection().write_buffer_is_full()
                    }
                    Writing::AtOnce => state.write_quickly(now),
                };
                if !done {
                    shared.change(state, |state, after| state.write(now, after));
                }
                return Look::Done(sent);
            }
        }
        shared.with(|state, after| {
            if let Some(over) = state.over() {
                return Look::Done(Err(over));
            }
            let connection = state.session.connection();
            let open = connection.state() == State::Open;
            if !open || !state.senders.is_first(self.place) || connection.write_buffer_is_full() {
                // Once the connection is closing, this waits for its outcome.
                state.senders.wait(&mut self.place, context.waker());
                return Look::Waits;
            }
            if let Some(deflating) = begin_deflating(state.connection(), piece) {
                state.senders.keep(&mut self.place);
                return Look::Deflates(deflating);
            }
            let sent = piece.map_or(Ok(()), |piece| state.connection().put(piece));
            Look::Done(self.sent(state, after, writing, sent))
        })
    }

    /// Compresses a part of the payload, and sends it after the last one.
    #[cold]
    fn go_on_deflating(
        &mut self,
        context: &mut Context<'_>,
        writing: Writing,
        piece: Piece<'_>,
        mut deflating: Deflating,
    ) -> Poll<Result<(), Error>> {
        let shared = self.shared;
        let done = deflating.advance(piece);
        shared.with(|state, after| {
            if state.session.connection().state() != State::Open {
                state.connection().give_up(deflating);
                if let Some(over) = state.over() {
                    return Poll::Ready(Err(over));
                }
                state.senders.wait(&mut self.place, context.waker());
                return Poll::Pending;
            }
            if !done {
                self.deflating = Some(deflating);
                // Others run before the next part.
                context.waker().wake_by_ref();
                return Poll::Pending;
            }
            let sent = state.connection().put_deflated(piece, deflating);
            Poll::Ready(self.sent(state, after, writing, sent))
        })
    }

    /// Writes what was sent, and gives up the turn, if it does not last.
    fn sent(
        &mut self,
        state: &mut ConnectionParts<S>,
        after: &mut After<S>,
        writing: Writing,
        sent: Result<(), Error>,
    ) -> Result<(), Error> {
        if writing == Writing::AtOnce || state.session.connection().write_buffer_is_full() {
            state.write(|| self.shared.runtime.now(), after);
        }
        self.deflated = state.connection().take_deflated();
        if self.lasts {
            state.senders.keep(&mut self.place);
        } else if let Some(place) = self.place.take() {
            state.senders.leave(place);
        }
        sent
    }
}

#[inline]
fn begin_deflating(connection: &mut Connection, piece: Option<Piece<'_>>) -> Option<Deflating> {
    connection.begin_deflating(piece?)
}

impl<R, S> Drop for Turn<'_, R, S>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin,
{
    fn drop(&mut self) {
        if let Some(place) = self.place {
            let deflating = self.deflating.take();
            self.shared.with(|state, _| {
                if let Some(deflating) = deflating {
                    state.connection().give_up(deflating);
                }
                state.senders.leave(place);
            });
        }
    }
}

/// A call that sends a fragment in a turn that outlasts it.
struct Sending<'t, 'a, R, S>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin,
{
    turn: &'t mut Turn<'a, R, S>,
}

impl<R, S> Drop for Sending<'_, '_, R, S>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin,
{
    fn drop(&mut self) {
        if let Some(deflating) = self.turn.deflating.take() {
            self.turn.shared.with(|state, _| state.connection().give_up(deflating));
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
    compress: Option<bool>,
    /// A frame was sent, and the last one was not.
    unfinished: bool,
}

impl<'a, R, S> MessageWriter<'a, R, S>
where
    R: Runtime,
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    pub(super) async fn begin(shared: &'a Shared<R, S>, kind: Kind) -> Result<Self, Error> {
        let mut turn = Turn::new(shared);
        turn.lasts = true;
        poll_fn(|context| turn.poll(context, Writing::AtOnce, None)).await?;
        Ok(Self { turn, kind, compress: None, unfinished: false })
    }

    /// Sets whether to compress this message, where compression is agreed on. Call it before the first piece: a
    /// message is compressed as a whole or not at all. Default: if its first piece has at least
    /// [`Compression::threshold`](crate::Compression::threshold) bytes.
    ///
    /// Do not compress secrets together with text of an attacker: the length would reveal them.
    #[must_use]
    pub fn compressed(mut self, compress: bool) -> Self {
        self.compress = Some(compress);
        self
    }

    /// Sends a piece of the message, in a frame of its own. Waits while the write buffer is full.
    ///
    /// The pieces of a text may end inside a character. As a whole they must be UTF-8, or the peer fails the
    /// connection.
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
    /// If the future is dropped before it completes, the message was not finished: the connection is closed, as when
    /// the writer is dropped.
    pub async fn finish(mut self, piece: &[u8]) -> Result<(), Error> {
        self.fragment(piece, true).await
    }

    async fn fragment(&mut self, piece: &[u8], last: bool) -> Result<(), Error> {
        let (kind, compress, part) = (self.kind, self.compress, Part::Fragment { last });
        let piece = Piece { kind, payload: piece, part, compress };
        let sending = Sending { turn: &mut self.turn };
        poll_fn(|context| sending.turn.poll(context, Writing::AtOnce, Some(piece))).await?;
        drop(sending);
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
