//! A connection on its wire: plain, or in TLS. Drivers see nothing but this.
//!
//! [`Session`] has the surface of [`Connection`] towards the wire, in bytes of the wire (ciphertext if there is TLS);
//! [`connection`](Session::connection) and [`connection_mut`](Session::connection_mut) are for everything else.
//!
//! # Invariants
//!
//! - A session without TLS passes its bytes on without a copy.
//! - At most 64 KiB are encrypted ahead of the wire. The rest waits in the connection, where its limits and statistics
//!   count it. A byte counts as written once its ciphertext is written.
//! - The end of the wire without TLS's `close_notify` is the end of the wire: after the Close handshake nothing is lost
//!   by it, before it the outcome is unclean anyway.

pub(crate) mod tls_options;
pub(crate) mod tls_wire;

use std::io;

use bytes::{Buf as _, BytesMut};
use wavetank_runtime::Instant;

use crate::Cause;
use crate::protocol::{Connection, Transport};

pub use tls_options::TlsOptions;
use tls_wire::TlsWire;

/// How much plain text is encrypted at a time.
const BATCH_BYTES: usize = 64 * 1024;

/// A connection on its wire.
#[derive(Debug)]
pub struct Session {
    connection: Connection,
    /// What is left to write of the opening: the server's response.
    preface: BytesMut,
    tls: Option<Box<TlsWire>>,
    /// How much of the connection's output is encrypted but not yet written.
    encrypted: usize,
    /// TLS ended or failed, and the connection knows.
    tls_ended: bool,
    /// TLS failed behind input that is not processed yet.
    tls_failure: Option<rustls::Error>,
    /// Nothing can be written any more.
    unwritable: bool,
}

impl Session {
    /// Makes a session that writes `preface` before anything else. In TLS, `preface` has to be encrypted already.
    pub(crate) fn new(connection: Connection, mut tls: Option<Box<TlsWire>>, preface: BytesMut) -> Self {
        if let Some(tls) = &mut tls {
            tls.read_at_once(connection.read_bytes());
        }
        Self {
            connection,
            preface,
            tls,
            encrypted: 0,
            tls_ended: false,
            tls_failure: None,
            unwritable: false,
        }
    }

    /// Returns the connection: messages, closing, state.
    #[inline]
    pub fn connection(&self) -> &Connection {
        &self.connection
    }

    /// Returns the connection: messages, closing, state. What it sends appears in [`output`](Self::output).
    #[inline]
    pub fn connection_mut(&mut self) -> &mut Connection {
        &mut self.connection
    }

    /// Returns whether the connection's bytes are those of the wire: without TLS, and with the opening written.
    pub(crate) fn is_plain(&self) -> bool {
        self.tls.is_none() && self.preface.is_empty() && !self.unwritable
    }

    /// Returns whether the connection is in TLS.
    pub fn is_secure(&self) -> bool {
        self.tls.is_some()
    }

    /// Returns whether the driver should read; see [`Connection::wants_read`].
    #[inline]
    pub fn wants_read(&self) -> bool {
        self.connection.wants_read()
    }

    /// Returns the buffer to which the driver appends what it read. It has room for a read.
    #[inline]
    pub fn input(&mut self) -> &mut BytesMut {
        match &mut self.tls {
            None => self.connection.input(),
            Some(tls) => tls.input(),
        }
    }

    /// Appends what the driver has read elsewhere to [`input`](Self::input).
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        match &mut self.tls {
            None => self.connection.append(bytes),
            Some(tls) => tls.append(bytes),
        }
    }

    /// Processes what [`input`](Self::input) holds.
    pub fn process(&mut self, now: Instant) {
        self.process_with(&|| now);
    }

    /// Does the same as [`process`](Self::process), and calls `now` only if the time is needed; see
    /// [`Connection::process_with`].
    pub fn process_with(&mut self, now: &dyn Fn() -> Instant) {
        let Some(tls) = &mut self.tls else {
            self.connection.process_with(now);
            return;
        };
        // A part of a record is a sign of life before it can be decrypted.
        if tls.has_input() {
            self.connection.heard(now);
        }
        let outcome = match self.tls_failure.take() {
            Some(error) => Err(error),
            None => tls.decrypt(|plain| self.connection.append(plain)),
        };
        self.connection.process_with(now);
        match outcome {
            _ if self.tls_ended => {}
            Ok(()) if !tls.is_closed_by_peer() => {}
            // What was received before the end, or before a failure, is taken before it.
            Ok(()) if self.connection.is_behind() => {}
            Err(error) if self.connection.is_behind() => self.tls_failure = Some(error),
            Ok(()) => {
                self.tls_ended = true;
                self.connection.end_of_input(now());
            }
            Err(error) => {
                self.tls_ended = true;
                self.connection.transport_lost(Cause::tls(&error), now());
            }
        }
    }

    /// Notes that the transport has reached its end.
    pub fn end_of_input(&mut self, now: Instant) {
        self.process(now);
        if !self.tls_ended {
            self.tls_ended = self.tls.is_some();
            self.connection.end_of_input(now);
        }
    }

    /// Notes that no task is left to drive the connection.
    pub(crate) fn driver_dropped(&mut self, now: Instant) {
        self.connection.transport_lost(Cause::Dropped, now);
    }

    /// Notes that reading or writing failed for good.
    pub fn transport_failed(&mut self, error: &io::Error, now: Instant) {
        self.connection.transport_failed(error, now);
    }

    /// Notes that writing failed for good. What the peer sent before may still be read; see
    /// [`Connection::write_failed`].
    pub fn write_failed(&mut self, error: &io::Error, now: Instant) {
        self.process(now);
        self.unwritable = true;
        self.connection.write_failed(error, now);
    }

    /// Returns the bytes to write. They stay until [`output_written`](Self::output_written) removes them or the
    /// connection is over.
    #[inline]
    pub fn output(&mut self) -> &[u8] {
        if self.unwritable {
            return &[];
        }
        if !self.preface.is_empty() {
            return &self.preface;
        }
        if self.tls.is_some() { self.ciphertext() } else { self.connection.output() }
    }

    fn ciphertext(&mut self) -> &[u8] {
        let Some(tls) = &mut self.tls else { return &[] };
        if tls.output().is_empty() && self.encrypted == 0 {
            let plain = self.connection.output();
            let batch = &plain[..plain.len().min(BATCH_BYTES)];
            if !batch.is_empty() {
                tls.encrypt(batch);
                self.encrypted = batch.len();
            } else if self.connection.transport() == Transport::ShutDown {
                // RFC 5246, section 7.2.1 and RFC 8446, section 6.1: say that nothing follows, before the end of the
                // stream.
                tls.close();
            }
        }
        // Nothing follows the end of a WebSocket, so the peer does not need what TLS has left. What the connection has
        // dropped is not written either.
        let is_void =
            self.connection.transport() == Transport::Drop || self.encrypted > self.connection.output().len();
        if is_void { &[] } else { tls.output() }
    }

    /// Removes the first `count` bytes of [`output`](Self::output): they are written.
    ///
    /// # Panics
    ///
    /// If there were fewer.
    #[inline]
    pub fn output_written(&mut self, count: usize, now: &dyn Fn() -> Instant) {
        if !self.preface.is_empty() {
            self.preface.advance(count);
            return;
        }
        let Some(tls) = &mut self.tls else {
            self.connection.output_written(count, now);
            return;
        };
        self.connection.output_taken(now);
        tls.output_written(count);
        if tls.output().is_empty() && self.encrypted > 0 {
            // A connection that ended meanwhile may have dropped its output.
            let written = self.encrypted.min(self.connection.output().len());
            self.encrypted = 0;
            self.connection.output_written(written, now);
        }
    }

    /// Notes that the transport has no room for all of [`output`](Self::output) now; see
    /// [`Connection::output_refused`].
    pub fn output_refused(&mut self, now: Instant) {
        self.connection.output_refused(now);
    }

    /// Returns how many bytes of the connection's output are on the wire once the first `count` bytes of
    /// [`output`](Self::output) are written.
    pub fn plain_bytes_in(&self, count: usize) -> usize {
        match &self.tls {
            _ if !self.preface.is_empty() => 0,
            None => count,
            Some(tls) if count < tls.output().len() => 0,
            Some(_) => self.encrypted,
        }
    }

    /// Returns what the driver has to do with the transport once [`output`](Self::output) is written.
    #[inline]
    pub fn transport(&self) -> Transport {
        self.connection.transport()
    }

    /// Returns when to call [`handle_deadline`](Self::handle_deadline).
    #[inline]
    pub fn deadline(&self) -> Option<Instant> {
        self.connection.deadline()
    }

    /// Does what is due at the deadline. A connection gives memory back then, if it is idle.
    pub fn handle_deadline(&mut self, now: Instant) {
        if let Some(tls) = &mut self.tls {
            tls.rest();
        }
        self.connection.handle_deadline(now);
    }
}
