//! The fast path of a closed loop of short messages: it reads and writes without finding out which other tasks are
//! affected, where none is.
//!
//! What it does not finish, it leaves to [`Shared::change`](super::shared::Shared::change), which finds the tasks to
//! wake. What it does finish affects no other task:
//!
//! - No sender waits for room or for its turn, and none can come while the lock is held.
//! - No task waits for a pong or the end, or the connection is still open and nothing was read.
//! - The driver has a timer for the connection's deadline, unless a pong makes it earlier. While it watches, it looks
//!   at the stream by itself.

use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite};
use wavetank_runtime::Instant;

use super::shared::{Read, State, write_out};
use crate::protocol::{self, Connection};
use crate::{Fragment, Message};

/// What a receiver takes.
pub(super) trait Take: Sized {
    /// Takes what the connection has received.
    fn take(connection: &mut Connection) -> Option<Self>;
    /// Makes it of a whole message.
    fn whole(message: Fragment) -> Self;
}

impl Take for Message {
    #[inline]
    fn take(connection: &mut Connection) -> Option<Self> {
        connection.recv_message()
    }

    #[inline]
    fn whole(message: Fragment) -> Self {
        message.into_message()
    }
}

impl Take for Fragment {
    #[inline]
    fn take(connection: &mut Connection) -> Option<Self> {
        connection.recv_fragment()
    }

    #[inline]
    fn whole(message: Fragment) -> Self {
        message
    }
}

/// How far the fast path led.
#[derive(Debug)]
pub(super) enum Quick<T> {
    /// To a message. If it made room for input that was left, that must be processed.
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
    pub(super) fn receive_quickly<T: Take>(
        &mut self,
        context: &mut Context<'_>,
        now: impl Fn() -> Instant + Copy,
    ) -> Quick<T> {
        if self.calm {
            self.receiver_reads += 1;
            match self.read_calmly(context, now) {
                Poll::Pending => return Quick::Nothing,
                Poll::Ready(Some(whole)) => return Quick::Taken(T::whole(whole)),
                // Processed: a pong may be due, an end, a timer.
                Poll::Ready(None) => return Quick::Left,
            }
        }
        // Room in the queue matters to the driver only if there was none, and no input is left to fill it. What was
        // fed is written before anything is taken.
        let reading = self.session.wants_read() || self.session.connection().is_behind();
        if !reading || !self.session.output().is_empty() {
            return Quick::Left;
        }
        if let Some(taken) = T::take(self.connection()) {
            return Quick::Taken(taken);
        }
        if !self.watched || !self.is_quiet() || !self.session.wants_read() {
            return Quick::Left;
        }
        self.receiver_reads += 1;
        match self.read_for_receiver(context, now) {
            Read::Nothing => Quick::Nothing,
            // There is a pong to write, an end to report, or a timer to set.
            Read::Progress if !self.is_quiet() || self.has_sooner_deadline() => Quick::Left,
            Read::Progress => T::take(self.connection()).map_or(Quick::Left, Quick::Taken),
        }
    }

    /// Writes what was just sent. Returns whether that was all.
    #[inline]
    pub(super) fn write_quickly(&mut self, now: impl Fn() -> Instant) -> bool {
        if self.session.connection().write_buffer_is_full() {
            return self.leave();
        }
        let Some(stream) = self.line.stream.as_mut() else { return self.leave() };
        let mut context = Context::from_waker(&self.line.write_waker);
        match write_out(stream, &mut self.session, &mut self.line.unflushed, &mut context, &now) {
            Poll::Ready(Ok(())) => true,
            Poll::Ready(Err(error)) => {
                self.session.write_failed(&error, now());
                self.leave()
            }
            Poll::Pending => self.leave(),
        }
    }

    /// The rest is not for the fast path, nor is what follows.
    fn leave(&mut self) -> bool {
        self.calm = false;
        false
    }
}
