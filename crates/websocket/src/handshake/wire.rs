//! The bytes of an opening, of either side: in plain text or in TLS, without I/O.

use bytes::{Buf as _, BytesMut};
use wavetank_runtime::Instant;

use crate::protocol::Connection;
use crate::session::Session;
use crate::session::tls_wire::TlsWire;

/// What an opening reads and writes. It begins in plain text, and stays there unless [TLS begins](Self::begin_tls).
#[derive(Debug)]
pub(super) struct Wire {
    /// Plain text that arrived; without TLS, what the driver reads.
    pub(super) arrived: BytesMut,
    /// What is to be written without TLS.
    pub(super) plain: BytesMut,
    tls: Option<Box<TlsWire>>,
    input_ended: bool,
    /// How much room a read is offered without TLS.
    read_bytes: usize,
}

impl Wire {
    pub(super) fn new(read_bytes: usize) -> Self {
        Self { arrived: BytesMut::new(), plain: BytesMut::new(), tls: None, input_ended: false, read_bytes }
    }

    /// What arrives from now on is in TLS, and what has arrived is as well.
    pub(super) fn begin_tls(&mut self, mut tls: TlsWire) {
        tls.input().extend_from_slice(&self.arrived.split());
        self.tls = Some(Box::new(tls));
    }

    pub(super) fn is_in_tls(&self) -> bool {
        self.tls.is_some()
    }

    pub(super) fn is_in_tls_handshake(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.is_handshaking())
    }

    /// Where the driver appends what it read. There is room for a good read.
    pub(super) fn input(&mut self) -> &mut BytesMut {
        match &mut self.tls {
            Some(tls) => tls.input(),
            None => {
                if self.arrived.capacity() - self.arrived.len() < self.read_bytes / 4 {
                    self.arrived.reserve(self.read_bytes);
                }
                &mut self.arrived
            }
        }
    }

    pub(super) fn end_of_input(&mut self) {
        self.input_ended = true;
    }

    /// Whether nothing more arrives.
    pub(super) fn has_ended(&self) -> bool {
        self.input_ended || self.tls.as_ref().is_some_and(|tls| tls.is_closed_by_peer())
    }

    /// What is to be written.
    pub(super) fn output(&self) -> &[u8] {
        // Before TLS begins, a proxy is asked in plain text.
        match &self.tls {
            Some(tls) if self.plain.is_empty() => tls.output(),
            _ => &self.plain,
        }
    }

    /// The first `count` bytes of [`output`](Self::output) are written.
    ///
    /// # Panics
    ///
    /// If there were fewer.
    pub(super) fn output_written(&mut self, count: usize) {
        match &mut self.tls {
            Some(tls) if self.plain.is_empty() => tls.output_written(count),
            _ => self.plain.advance(count),
        }
    }

    /// Moves what the input holds to `arrived`.
    pub(super) fn decrypt(&mut self) -> Result<(), rustls::Error> {
        match &mut self.tls {
            Some(tls) => tls.decrypt(|plain| self.arrived.extend_from_slice(plain)),
            None => Ok(()),
        }
    }

    /// Writes, in TLS once that has begun.
    pub(super) fn write(&mut self, text: &[u8]) {
        match &mut self.tls {
            Some(tls) => tls.encrypt(text),
            None => self.plain.extend_from_slice(text),
        }
    }

    /// Says, in TLS, that nothing follows.
    pub(super) fn close(&mut self) {
        if let Some(tls) = &mut self.tls {
            tls.close();
        }
    }

    /// Hands the bytes over to a session. What arrived behind the opening is its connection's first input.
    pub(super) fn into_session(self, mut connection: Connection, now: Instant) -> Session {
        // "Bytes after the 101 belong to the frame stream."
        connection.append(&self.arrived);
        let mut session = Session::new(connection, self.tls, self.plain);
        session.process(now);
        if self.input_ended {
            session.end_of_input(now);
        }
        session
    }
}
