//! Sending: whole messages, and messages in pieces.

use std::fmt;
use std::time::Duration;

use wavetank_runtime::Threads;

use super::shared::{Guard, Shared};
use super::socket::{WebSocket, closed_or};
use super::writer::{self, Until};
use crate::outgoing::Outgoing;
use crate::protocol::{Part, Piece};
use crate::{CloseCode, Error, Kind};

/// Which thread writes what a caller sends.
#[derive(Clone, Copy)]
enum Writing {
    /// The caller, if no other thread writes.
    Inline,
    /// The writer thread: the caller must not be stuck in a write.
    Handed,
    /// The caller, if the write buffer is full; else the thread that writes next.
    Later,
}

impl<T: Threads> WebSocket<T> {
    /// Sends a whole message: a `&str`, a `&[u8]`, or a [`Message`](crate::Message).
    ///
    /// Returns when the message has been handed to the system, or is in the write buffer because another thread
    /// writes. Waits while the write buffer is full, and while another thread sends a message in pieces; of several
    /// threads that wait, any may be the next. The message is sent whole or not at all.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] if the connection is over. If it is closing, this waits for its end first, the close timeout
    /// at most, so that every caller gets the same outcome. After an error it is unknown whether the peer has got
    /// the message.
    pub fn send<'a>(&self, message: impl Into<Outgoing<'a>>) -> Result<(), Error> {
        self.send_until(message.into(), None, Writing::Inline)
    }

    /// Sends a whole message as [`send`](Self::send), but leaves it in the write buffer until that is full, or until
    /// the next call of [`flush`](Self::flush), of another method that sends or closes, or of one that waits to
    /// receive: many short messages cost one write.
    ///
    /// # Errors
    ///
    /// Those of [`send`](Self::send).
    pub fn feed<'a>(&self, message: impl Into<Outgoing<'a>>) -> Result<(), Error> {
        self.send_until(message.into(), None, Writing::Later)
    }

    /// Writes what [`feed`](Self::feed) has left in the write buffer, unless another thread writes it.
    ///
    /// This writes in the caller's thread, waits for the system to take all, and sees whether it did: hence a result,
    /// which the [`flush`](crate::client::WebSocket::flush) of tasks, which waits for nothing, has not.
    ///
    /// # Errors
    ///
    /// [`Error::Closed`] if the connection ended before all was written.
    pub fn flush(&self) -> Result<(), Error> {
        let shared = self.shared();
        let guard = shared.lock();
        if guard.is_written(guard.fed_until) {
            return Ok(());
        }
        if guard.is_lost() {
            return Err(closed_or(shared.wait_closed(guard, None)));
        }
        write_out(shared, guard, Writing::Inline)
    }

    /// Sends a message once there is room for it in the write buffer; the writer thread writes it. Gives up when the
    /// stream has taken nothing for `timeout`: a peer that reads slowly is waited for, however much is sent before.
    /// Zero does not wait.
    ///
    /// # Errors
    ///
    /// Those of [`send`](Self::send), and [`Error::TimedOut`]: the message has not been sent, and will not be; the
    /// call may be repeated. [`Error::Closing`] if the connection is closing, and how it ends is not known within
    /// `timeout`: the message has not been sent, and no other can be.
    pub fn send_timeout<'a>(&self, message: impl Into<Outgoing<'a>>, timeout: Duration) -> Result<(), Error> {
        self.send_until(message.into(), Some(timeout), Writing::Handed)
    }

    /// Sends one message in pieces, each as a frame of its own; an iterator of no pieces is an empty message.
    ///
    /// Other senders wait until it has ended. Text may be cut anywhere, if the whole is UTF-8.
    ///
    /// # Errors
    ///
    /// Those of [`send`](Self::send).
    pub fn send_fragments<I>(&self, kind: Kind, pieces: I) -> Result<(), Error>
    where
        I: IntoIterator,
        I::Item: AsRef<[u8]>,
    {
        let mut writer = self.send_stream(kind)?;
        let mut pieces = pieces.into_iter().peekable();
        while let Some(piece) = pieces.next() {
            if pieces.peek().is_none() {
                return writer.finish(piece.as_ref());
            }
            writer.write(piece.as_ref())?;
        }
        writer.finish(&[])
    }

    /// Begins a message that is sent in pieces. Waits while another thread does so; other senders wait until it has
    /// ended.
    ///
    /// # Errors
    ///
    /// Those of [`send`](Self::send).
    pub fn send_stream(&self, kind: Kind) -> Result<MessageWriter<T>, Error> {
        let mut guard = self.wait_to_send(None)?;
        guard.streaming = true;
        Ok(MessageWriter { socket: self.clone(), kind, compress: None, unfinished: false })
    }

    fn send_until(
        &self,
        message: Outgoing<'_>,
        timeout: Option<Duration>,
        writing: Writing,
    ) -> Result<(), Error> {
        let shared = self.shared();
        let guard = self.wait_to_send(timeout)?;
        write_out(shared, put(shared, guard, message.whole(), timeout)?, writing)
    }

    /// Waits until this thread may send, at most until the stream has taken nothing for `timeout`.
    fn wait_to_send(&self, timeout: Option<Duration>) -> Result<Guard<'_, T>, Error> {
        let shared = self.shared();
        let limit = timeout.map(|timeout| (shared.threads.now(), timeout));
        let mut guard = shared.lock();
        let deadline_of =
            |guard: &Guard<'_, T>| limit.map(|(start, timeout)| start.max(guard.taken_at) + timeout);
        while guard.must_wait_to_send() {
            let deadline = deadline_of(&guard);
            if deadline.is_some_and(|deadline| deadline <= shared.threads.now()) {
                return Err(Error::TimedOut);
            }
            guard.waiting_for_room += 1;
            guard = shared.wait(&shared.room, guard, deadline);
            guard.waiting_for_room -= 1;
        }
        if guard.is_open() {
            return Ok(guard);
        }
        let deadline = deadline_of(&guard);
        Err(closed_or(shared.wait_closed(guard, deadline)))
    }
}

/// Puts a data frame into the session. A long payload is compressed without the lock, while other senders wait. If the
/// connection is closing after that, this waits for its end, at most for `timeout`.
fn put<'a, T: Threads>(
    shared: &'a Shared<T>,
    mut guard: Guard<'a, T>,
    piece: Piece<'_>,
    timeout: Option<Duration>,
) -> Result<Guard<'a, T>, Error> {
    let Some(mut deflating) = guard.session.connection_mut().begin_deflating(piece) else {
        guard.session.connection_mut().put(piece)?;
        return Ok(guard);
    };
    guard.deflating = true;
    drop(guard);
    while !deflating.advance(piece) {}
    guard = shared.lock();
    guard.deflating = false;
    // Not every caller settles after this: a message that is fed stays in the buffer.
    if guard.waiting_for_room > 0 {
        shared.room.notify_all();
    }
    match guard.session.connection_mut().put_deflated(piece, deflating) {
        Ok(()) => Ok(guard),
        Err(_) => {
            let deadline = timeout.map(|timeout| shared.threads.now() + timeout);
            Err(closed_or(shared.wait_closed(guard, deadline)))
        }
    }
}

/// Sees to it that what was put into the session is written.
fn write_out<'a, T: Threads>(
    shared: &'a Shared<T>,
    mut guard: Guard<'a, T>,
    writing: Writing,
) -> Result<(), Error> {
    let permit = match writing {
        // No thread waits for output: `settle` would only wake the writer thread.
        Writing::Later if !guard.session.connection().write_buffer_is_full() => {
            guard.fed_until = guard.end_of_output();
            return Ok(());
        }
        Writing::Inline | Writing::Later => guard.write_permit.take(),
        Writing::Handed => None,
    };
    let Some(permit) = permit else {
        // The thread that holds the write permit hands it on with what is left; if no thread holds it, the writer is
        // woken.
        shared.settle(&mut guard);
        return Ok(());
    };
    let end = guard.end_of_output();
    let guard = writer::write(shared, guard, permit, Until::Written(end));
    if guard.is_written(end) { Ok(()) } else { Err(closed_or(shared.wait_closed(guard, None))) }
}

/// A message that is being sent in pieces. No other message goes out meanwhile; pings and the Close frame do.
///
/// A message whose frames have begun cannot be taken back: dropping the writer in the middle of one closes the
/// connection with code 1011, in the background, because the peer would take anything else for a whole message.
#[must_use = "a message that is not finished closes the connection"]
pub struct MessageWriter<T: Threads> {
    socket: WebSocket<T>,
    kind: Kind,
    compress: Option<bool>,
    /// A frame was sent, and the last one was not.
    unfinished: bool,
}

impl<T: Threads> MessageWriter<T> {
    /// Sets whether to compress this message, where compression is agreed on. Call it before the first piece: a
    /// message is compressed as a whole or not at all. Default: if its first piece has at least
    /// [`Compression::threshold`](crate::Compression::threshold) bytes.
    ///
    /// Do not compress secrets together with text of an attacker: the length would reveal them.
    pub fn compressed(mut self, compress: bool) -> Self {
        self.compress = Some(compress);
        self
    }

    /// Sends a piece. Waits while the write buffer is full.
    ///
    /// # Errors
    ///
    /// Those of [`WebSocket::send`].
    pub fn write(&mut self, piece: &[u8]) -> Result<(), Error> {
        self.send_piece(piece, false)
    }

    /// Sends the last piece, which may be empty.
    ///
    /// # Errors
    ///
    /// Those of [`WebSocket::send`].
    pub fn finish(mut self, piece: &[u8]) -> Result<(), Error> {
        self.send_piece(piece, true)
    }

    fn send_piece(&mut self, piece: &[u8], last: bool) -> Result<(), Error> {
        let shared = self.socket.shared();
        let mut guard = shared.lock();
        while guard.must_wait_for_room() {
            guard.piece_waits = true;
            guard = shared.room_for_piece.wait(guard);
            guard.piece_waits = false;
        }
        if !guard.is_open() {
            return Err(closed_or(shared.wait_closed(guard, None)));
        }
        let (kind, compress, part) = (self.kind, self.compress, Part::Fragment { last });
        let piece = Piece { kind, payload: piece, part, compress };
        let guard = put(shared, guard, piece, None)?;
        self.unfinished = !last;
        write_out(shared, guard, Writing::Inline)
    }
}

impl<T: Threads> Drop for MessageWriter<T> {
    fn drop(&mut self) {
        let shared = self.socket.shared();
        let mut guard = shared.lock();
        guard.streaming = false;
        if self.unfinished {
            let now = shared.threads.now();
            let connection = guard.session.connection_mut();
            connection.close(CloseCode::INTERNAL_ERROR, "a message was left unfinished", now);
        }
        shared.settle(&mut guard);
    }
}

impl<T: Threads> fmt::Debug for MessageWriter<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MessageWriter").field("kind", &self.kind).finish_non_exhaustive()
    }
}
