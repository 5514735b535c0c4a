//! The short way of a closed loop of short messages: reading and writing without working out which other
//! tasks it concerns, where it concerns none.
//!
//! Whatever this leaves to others is left as a whole: [`Shared::change`](super::shared::Shared::change) is to follow,
//! which finds which tasks to wake. Where it was enough, that would have found none:
//!
//! - Senders wait for room, and for their turn: there are none, and none comes while the lock is held.
//! - Others wait for a pong or the end: there are none, or it is open still and nothing was read.
//! - The driver has a timer for the connection's deadline, unless a pong brings that forward; and while it watches,
//!   it looks at the stream by itself.

use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};
use wavetank_runtime::Instant;

use super::shared::{Read, State, write_out};
use crate::protocol::{self, Connection};

/// How far the short way led.
#[derive(Debug)]
pub(super) enum Quick<T> {
    /// To a message. If it made room for input that was left, that is to be processed.
    Taken(T),
    /// There is nothing to read: the stream wakes the receiver, which waits from now on.
    Nothing,
    /// Not to the end.
    Left,
}

impl<S> State<S>
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    /// Returns `true` if only receivers wait, and nothing waits to be written.
    fn is_quiet(&mut self) -> bool {
        self.session.connection().state() == protocol::State::Open
            && self.senders.is_empty()
            && self.watchers.is_empty()
            && !self.line.unflushed
            && self.session.output().is_empty()
    }

    /// Takes what is there, or reads once.
    #[inline]
    pub(super) fn receive_quickly<T>(
        &mut self,
        context: &mut Context<'_>,
        now: impl Fn() -> Instant + Copy,
        take: fn(&mut Connection) -> Option<T>,
    ) -> Quick<T> {
        // Room in the queue matters to the driver only if there was none, and no input is left to fill it. What was
        // fed is written before anything is taken.
        let reading = self.session.wants_read() || self.session.connection().is_behind();
        if !reading || !self.session.output().is_empty() {
            return Quick::Left;
        }
        if let Some(taken) = take(self.connection()) {
            return Quick::Taken(taken);
        }
        if !self.watched || !self.is_quiet() || !self.session.wants_read() {
            return Quick::Left;
        }
        self.receiver_reads += 1;
        match self.read_for_receiver(context, now) {
            Read::Nothing => Quick::Nothing,
            // A pong is to be written, an end to be told, a timer to be set.
            Read::Progress if !self.is_quiet() || self.has_sooner_deadline() => Quick::Left,
            Read::Progress => take(self.connection()).map_or(Quick::Left, Quick::Taken),
        }
    }

    /// Writes what was just sent. Returns whether that was all.
    #[inline]
    pub(super) fn write_quickly(&mut self, now: impl Fn() -> Instant) -> bool {
        if self.session.connection().write_buffer_is_full() {
            return false;
        }
        let Some(stream) = self.line.stream.as_mut() else { return false };
        let mut context = Context::from_waker(&self.line.write_waker);
        match write_out(stream, &mut self.session, &mut self.line.unflushed, &mut context, &now) {
            Poll::Ready(Ok(())) => true,
            Poll::Ready(Err(error)) => {
                self.session.write_failed(&error, now());
                false
            }
            Poll::Pending => false,
        }
    }
}
