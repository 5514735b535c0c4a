//! The background thread: reads the socket, answers, dispatches, and ends the connection.

use std::io::{self, Read as _};

use wavetank_runtime::Threads;

use super::super::Version;
use super::super::exceptions::{Cause, InternalError};
use super::super::frames::Opcode;
use super::super::messages::PutError;
use super::super::protocol::Event;
use super::super::threading::{Deadline, SetAtEnd};
use super::shared::Shared;

/// The size of a read, in bytes (the original's `recv_bufsize`).
const RECV_BUFSIZE: usize = 65536;

impl<R: Threads> Shared<R> {
    /// Runs as long as the connection exists.
    pub(super) fn recv_events(&self, mut socket: R::Stream) {
        // A join, and a wait for the handshake, must return even if this thread panics in close_socket().
        let _finished = SetAtEnd(&self.recv_events_finished);
        let _response_rcvd = SetAtEnd(&self.response_rcvd);
        if let Err(error) = self.receive_until_eof(&mut socket) {
            tracing::error!(target: "websockets", "recv_events: unexpected internal error: {error}");
            let held = self.protocol_mutex.lock();
            self.set_recv_exc(&held, Cause::Internal(error));
            drop(held);
            if self.settings.version == Version::V13_0_1 {
                self.attributes.lock().protocol.force_closed();
            }
        }
        self.close_socket();
    }

    fn receive_until_eof(&self, socket: &mut R::Stream) -> Result<(), InternalError> {
        let mut buffer = vec![0; RECV_BUFSIZE];
        while let Some(data) = self.read(socket, &mut buffer) {
            if !self.process_data(data)? {
                break;
            }
        }
        // The socket no longer works.
        let mut held = self.protocol_mutex.lock();
        self.receive_eof()?;
        let (state, events) = {
            let mut attributes = self.attributes.lock();
            (attributes.protocol.state(), attributes.protocol.events_received())
        };
        tracing::info!(target: "websockets", "recv_events: state is now {state}");
        if !events.is_empty() {
            return Err(InternalError("AssertionError: the end of the stream brought events"));
        }
        self.send_data(&mut held).map_err(|_| InternalError("OSError: the end of the stream cannot be sent"))
    }

    /// Reads some bytes. Returns `None` if no more will come.
    fn read<'a>(&self, socket: &mut R::Stream, buffer: &'a mut [u8]) -> Option<&'a [u8]> {
        let received = loop {
            match self.set_timeout(socket).and_then(|()| socket.read(buffer)) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other,
            }
        };
        match received {
            Ok(0) => None,
            Ok(length) => Some(&buffer[..length]),
            Err(error) => {
                let held = self.protocol_mutex.lock();
                self.set_recv_exc(&held, Cause::Socket(error.kind()));
                None
            }
        }
    }

    /// Feeds bytes to the protocol, sends its answers and dispatches its events. Returns `true` to continue reading.
    fn process_data(&self, data: &[u8]) -> Result<bool, InternalError> {
        let events = {
            let mut held = self.protocol_mutex.lock();
            self.receive_data(data)?;
            let events = self.attributes.lock().protocol.events_received();
            if let Err(error) = self.send_data(&mut held) {
                self.set_recv_exc(&held, Cause::Socket(error.kind()));
                return Ok(false);
            }
            let mut attributes = self.attributes.lock();
            if attributes.protocol.close_expected() && attributes.close_deadline.is_none() {
                attributes.close_deadline = Some(Deadline::after(&self.runtime, self.settings.close_timeout));
            }
            events
        };
        // Without the mutex: the user may send in answer to an event.
        for event in events {
            match self.process_event(event) {
                Ok(()) => {}
                // The closing handshake timed out while a message was waiting to be read.
                Err(PutError::Eof) => return Ok(false),
                Err(PutError::Internal(error)) => return Err(error),
            }
        }
        Ok(true)
    }

    fn process_event(&self, event: Event) -> Result<(), PutError> {
        match event {
            Event::Response => {
                self.attributes.lock().response = true;
                self.response_rcvd.set();
                Ok(())
            }
            Event::Frame(frame) => match frame.opcode {
                Opcode::Text | Opcode::Binary | Opcode::Continuation => self.recv_messages.put(frame),
                Opcode::Close | Opcode::Ping | Opcode::Pong => Ok(()),
            },
        }
    }
}
