//! The state that the user's threads and `recv_events` share, and `close_socket()`, in which the versions differ.

use std::io;
use std::net::Shutdown;
use std::time::Duration;

use wavetank_runtime::MutexGuard;
use wavetank_runtime::{BlockingStream, Mutex, Threads};

use super::super::Version;
use super::super::exceptions::{Cause, InternalError};
use super::super::messages::Assembler;
use super::super::protocol::{Outgoing, Protocol, State};
use super::super::threading::{Deadline, Event};
use super::Settings;

/// The attributes of the original's `Connection`.
pub(super) struct Shared<R: Threads> {
    pub(super) runtime: R,
    pub(super) settings: Settings,
    /// Shuts the socket down, which needs no lock.
    socket: R::Stream,
    /// Serialises uses of the protocol, and writes.
    pub(super) protocol_mutex: Mutex<R, R::Stream>,
    /// Replaces Python's interpreter lock: it guards one access, not a sequence of accesses.
    pub(super) attributes: Mutex<R, Attributes>,
    pub(super) recv_messages: Assembler<R>,
    /// Set when the server's answer to the opening handshake has arrived, or can no longer arrive.
    pub(super) response_rcvd: Event<R>,
    /// Set when the background thread ends, normally or by a panic. `recv_events_thread.join(timeout)` waits for it.
    pub(super) recv_events_finished: Event<R>,
}

pub(super) struct Attributes {
    pub(super) protocol: Protocol,
    /// `true` after the server's answer to the opening handshake was processed.
    pub(super) response: bool,
    /// Why the TCP connection dropped. Set under the protocol's mutex.
    pub(super) recv_exc: Option<Cause>,
    /// The deadline of the closing handshake. Set under the protocol's mutex.
    pub(super) close_deadline: Option<Deadline>,
}

impl<R: Threads> Shared<R> {
    pub(super) fn new(
        runtime: &R,
        socket: R::Stream,
        protocol: Protocol,
        settings: Settings,
    ) -> io::Result<Self> {
        let attributes = Attributes { protocol, response: false, recv_exc: None, close_deadline: None };
        Ok(Self {
            runtime: runtime.clone(),
            settings,
            protocol_mutex: Mutex::new(runtime, "protocol_mutex", socket.try_clone()?),
            socket,
            attributes: Mutex::new(runtime, "attributes", attributes),
            recv_messages: Assembler::new(runtime),
            response_rcvd: Event::new(runtime, "response_rcvd"),
            recv_events_finished: Event::new(runtime, "recv_events_finished"),
        })
    }

    /// Shuts the socket down and ends the stream of messages. Any thread may call it, any number of times.
    ///
    /// Afterwards `recv_events` terminates, because it blocks only in reading the socket and in `recv_messages.put()`.
    pub(super) fn close_socket(&self) {
        // An error means that it was already closed.
        let _ = self.socket.shutdown(Shutdown::Both);
        match self.settings.version {
            // The first bug: recv() wakes up, although only recv_events will make the state CLOSED.
            Version::V13_0_1 => {}
            // The second bug: other threads can be between the steps of receive_eof().
            Version::V13_1 => self.receive_eof_and_assert(),
            Version::V14_2 => {
                let _protocol_mutex = self.protocol_mutex.lock();
                self.receive_eof_and_assert();
            }
        }
        self.recv_messages.close();
    }

    /// The part of `close_socket()` that guarantees that the state becomes CLOSED.
    fn receive_eof_and_assert(&self) {
        if let Err(error) = self.receive_eof() {
            panic!("close_socket: {error}");
        }
        let state = self.attributes.lock().protocol.state();
        assert!(state == State::Closed, "close_socket: state is {state} after receive_eof");
    }

    /// Runs the steps of `protocol.receive_eof()` one by one, so that threads without the mutex can come in between.
    pub(super) fn receive_eof(&self) -> Result<(), InternalError> {
        let fed = self.attributes.lock().protocol.reader_eof();
        if fed {
            return Ok(());
        }
        self.attributes.lock().protocol.feed_eof()?;
        self.attributes.lock().protocol.step()
    }

    /// Runs the steps of `protocol.receive_data()` one by one.
    pub(super) fn receive_data(&self, data: &[u8]) -> Result<(), InternalError> {
        self.attributes.lock().protocol.feed_data(data)?;
        self.attributes.lock().protocol.step()
    }

    /// Writes what the protocol has to send, before the deadline for closing if there is one.
    pub(super) fn send_data(&self, socket: &mut MutexGuard<'_, R, R::Stream>) -> io::Result<()> {
        let writes = self.attributes.lock().protocol.data_to_send();
        for outgoing in writes {
            match outgoing {
                Outgoing::Bytes(bytes) => {
                    self.set_timeout(socket)?;
                    io::Write::write_all(&mut **socket, &bytes)?;
                }
                Outgoing::Eof => {
                    // An error means that it was already closed.
                    let _ = socket.shutdown(Shutdown::Write);
                }
            }
        }
        Ok(())
    }

    /// Limits the socket's next operations to the deadline for closing, if there is one.
    pub(super) fn set_timeout(&self, socket: &R::Stream) -> io::Result<()> {
        let deadline = self.attributes.lock().close_deadline;
        let Some(deadline) = deadline else { return Ok(()) };
        let timeout: Option<Duration> = Some(deadline.timeout(&self.runtime)?);
        socket.set_read_timeout(timeout)?;
        socket.set_write_timeout(timeout)
    }

    /// Records why the connection drops, unless already known. Requires the protocol's mutex.
    pub(super) fn set_recv_exc(&self, _held: &MutexGuard<'_, R, R::Stream>, cause: Cause) {
        self.attributes.lock().recv_exc.get_or_insert(cause);
    }
}
