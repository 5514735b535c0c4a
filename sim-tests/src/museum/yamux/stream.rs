//! A stream's public handle: the original's `stream.go`.

use std::fmt;
use std::sync::Arc;

use wavetank_runtime::{Condvar, Mutex, Threads};

use super::Error;
use super::attributes::{Attributes, Farewell, Half, Received, State};
use super::frame::{Flags, Frame};
use super::session::Shared;

/// One stream of a session, for any number of threads. As in the original, dropping it does not close it.
pub struct Stream<R: Threads> {
    pub(super) session: Arc<Shared<R>>,
    pub(super) shared: Arc<StreamShared<R>>,
}

/// The state that a stream's users share with the session's threads.
pub(super) struct StreamShared<R: Threads> {
    pub(super) id: u32,
    attributes: Mutex<R, Attributes>,
    /// Notified of data and of its end.
    recv_notify: Condvar<R>,
    /// Notified of credit and of the end of the stream.
    send_notify: Condvar<R>,
    /// Notified of the end of the stream. The timer waits for it.
    ended: Condvar<R>,
    /// Held for a whole write, including its waits.
    send_lock: Mutex<R, ()>,
}

impl<R: Threads> Stream<R> {
    /// Returns the stream's number: odd if the client of the session opened it.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.shared.id
    }

    /// Waits for data and reads some of it. Returns 0 if the peer will send no more.
    ///
    /// # Errors
    ///
    /// [`Error::ConnectionReset`], even if data was received before. The session's errors, if granting credit fails.
    pub fn read(&self, buffer: &mut [u8]) -> Result<usize, Error> {
        let read = {
            let mut attributes = self.shared.attributes.lock();
            loop {
                if attributes.state == State::Reset {
                    return Err(Error::ConnectionReset);
                }
                if !attributes.recv_buf.is_empty() || buffer.is_empty() {
                    break;
                }
                // LocalClose prohibits only local writes. Reads continue.
                if matches!(attributes.state, State::RemoteClose | State::Closed) {
                    return Ok(0);
                }
                attributes = self.shared.recv_notify.wait(attributes);
            }
            std::io::Read::read(&mut attributes.recv_buf, buffer)?
        };
        self.send_window_update()?;
        Ok(read)
    }

    /// Reads until `buffer` is full or the peer has closed, and returns the number of bytes.
    ///
    /// # Errors
    ///
    /// As [`read`](Self::read).
    pub fn read_full(&self, buffer: &mut [u8]) -> Result<usize, Error> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read(&mut buffer[filled..])? {
                0 => break,
                read => filled += read,
            }
        }
        Ok(filled)
    }

    /// Writes all of `bytes`, and waits for the peer's credit as often as necessary.
    ///
    /// # Errors
    ///
    /// [`Error::StreamClosed`] after this end was closed, [`Error::ConnectionReset`] after a reset, and the session's
    /// errors. Some of the bytes may have been sent.
    pub fn write(&self, bytes: &[u8]) -> Result<(), Error> {
        let _one_writer = self.shared.send_lock.lock();
        let mut left = bytes;
        while !left.is_empty() {
            let sent = self.write_some(left)?;
            left = &left[sent..];
        }
        Ok(())
    }

    /// Writes one frame, as large as the credit allows, up to a whole window.
    fn write_some(&self, bytes: &[u8]) -> Result<usize, Error> {
        let (flags, length) = {
            let mut attributes = self.shared.attributes.lock();
            let mut waited = false;
            loop {
                match attributes.state {
                    State::LocalClose | State::Closed => return Err(Error::StreamClosed),
                    State::Reset => return Err(Error::ConnectionReset),
                    _ if attributes.send_window > 0 => break,
                    _ => {}
                }
                if !waited {
                    let left = bytes.len();
                    tracing::info!("write: the window is used up, {left} B more wait until the peer reads");
                    waited = true;
                }
                attributes = self.shared.send_notify.wait(attributes);
            }
            let length = bytes.len().min(attributes.send_window as usize);
            (attributes.send_flags(), length)
        };
        self.session.outbox.send(Frame::data(self.shared.id, flags, bytes[..length].to_vec()))?;
        // Only now, as in the original: a frame whose sending timed out is not charged.
        self.shared.attributes.lock().send_window -= u32::try_from(length).expect("at most a window");
        Ok(length)
    }

    /// Grants credit if half a window was freed or the handshake needs a frame.
    pub(super) fn send_window_update(&self) -> Result<(), Error> {
        let update = self.shared.attributes.lock().window_update();
        let Some((flags, credit)) = update else { return Ok(()) };
        self.session.outbox.send(Frame::window_update(self.shared.id, flags, credit))
    }

    /// Closes the stream: the original's `Close`. The version decides what happens to data that still arrives. Upstream
    /// keeps it for a reader that never comes.
    ///
    /// # Errors
    ///
    /// The session's. The stream is closed even then.
    pub fn close(&self) -> Result<(), Error> {
        self.close_half(Half::Both)
    }

    /// Closes the writing half. This end can still read. Upstream this is the same as [`close`](Self::close).
    ///
    /// # Errors
    ///
    /// As [`close`](Self::close).
    pub fn close_write(&self) -> Result<(), Error> {
        self.close_half(Half::Write)
    }

    fn close_half(&self, half: Half) -> Result<(), Error> {
        let (farewell, has_ended) = {
            let mut attributes = self.shared.attributes.lock();
            (attributes.close(self.session.config.version, half), attributes.has_ended())
        };
        let flag = match farewell {
            Farewell::Nothing => return Ok(()),
            Farewell::Fin => Flags::FIN,
            Farewell::Rst => Flags::RST,
        };
        match farewell {
            Farewell::Rst => {
                tracing::info!("close: the peer is out of credit and this end reads no more, sends RST")
            }
            _ => tracing::info!("close: sends FIN, \"I will write no more\""),
        }
        let timer = if has_ended { Ok(()) } else { self.start_close_timer() };
        let sent = self.session.outbox.send(Frame::window_update(self.shared.id, flag, 0));
        self.shared.notify_waiting();
        if has_ended {
            self.session.forget(self.shared.id);
        }
        timer.and(sent)
    }

    /// Starts a thread that resets the stream if the peer does not close it. (Go uses a timer.)
    fn start_close_timer(&self) -> Result<(), Error> {
        let (session, stream) = (Arc::clone(&self.session), Arc::clone(&self.shared));
        self.session.runtime.spawn("close_timer", move || stream.close_timeout(&session))?;
        Ok(())
    }
}

impl<R: Threads> StreamShared<R> {
    pub(super) fn new(runtime: &R, id: u32, state: State) -> Self {
        Self {
            id,
            attributes: Mutex::new(runtime, "stream", Attributes::new(state)),
            recv_notify: Condvar::new(runtime, "data received"),
            send_notify: Condvar::new(runtime, "credit granted"),
            ended: Condvar::new(runtime, "stream ended"),
            send_lock: Mutex::new(runtime, "sendLock", ()),
        }
    }

    fn notify_waiting(&self) {
        self.recv_notify.notify_all();
        self.send_notify.notify_all();
        self.ended.notify_all();
    }

    /// Ends the stream because the session ends or the peer took too long.
    pub(super) fn force_close(&self) {
        self.attributes.lock().state = State::Closed;
        self.notify_waiting();
    }

    /// Waits for the end of the stream. After `StreamCloseTimeout`, resets it.
    fn close_timeout(&self, session: &Shared<R>) {
        let deadline = session.runtime.now() + session.config.stream_close_timeout;
        {
            let mut attributes = self.attributes.lock();
            while !attributes.has_ended() {
                let left = deadline - session.runtime.now();
                if left.is_zero() {
                    break;
                }
                attributes = self.ended.wait_timeout(attributes, left).0;
            }
            if attributes.has_ended() {
                return;
            }
        }
        tracing::info!("close: the peer has not closed in time, sends RST");
        self.force_close();
        session.forget(self.id);
        let _one_writer = self.send_lock.lock();
        // An error means that the session has ended, and all its streams.
        let _ = session.outbox.send_no_wait(Frame::window_update(self.id, Flags::RST, 0));
    }

    /// Applies the flags of a frame. Returns `true` if they ended the stream, so that the receiving thread forgets it.
    pub(super) fn process_flags(&self, flags: Flags) -> Result<bool, Error> {
        let has_ended = {
            let mut attributes = self.attributes.lock();
            attributes.process_flags(flags)?;
            attributes.has_ended()
        };
        if flags.contains(Flags::FIN) {
            tracing::info!("the peer's FIN: it will write no more");
            self.notify_waiting();
        }
        if flags.contains(Flags::RST) {
            tracing::info!("the peer's RST: the stream has ended");
            self.notify_waiting();
        }
        Ok(has_ended)
    }

    pub(super) fn grow_send_window(&self, credit: u32) {
        self.attributes.lock().grow_send_window(credit);
        self.send_notify.notify_all();
    }

    pub(super) fn admit(&self, length: u32) -> Result<(), Error> {
        self.attributes.lock().admit(length)
    }

    pub(super) fn receive(&self, session: &Shared<R>, data: &[u8]) -> Result<(), Error> {
        let received = self.attributes.lock().receive(session.config.version, data);
        match received {
            Received::Discarded => {}
            Received::Kept => self.recv_notify.notify_all(),
            Received::Refused => {
                tracing::info!("received data for a stream that is no longer read: sends RST");
                self.notify_waiting();
                session.forget(self.id);
                session.outbox.send_no_wait(Frame::window_update(self.id, Flags::RST, 0))?;
            }
        }
        Ok(())
    }
}

impl<R: Threads> fmt::Debug for Stream<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("id", &self.shared.id).finish_non_exhaustive()
    }
}
