//! TLS between bytes of the wire and plain text, without I/O.
//!
//! What rustls keeps for itself is bounded: it limits its handshake messages, and its plain text is taken out at once.

use std::io::{BufRead as _, Write as _};

use bytes::{Buf as _, BytesMut};
use rustls::Connection;

/// Room for a read during the handshake: a record of the greatest size, with a little of the next one.
const READ_BYTES: usize = 20 * 1024;

/// One end of a TLS connection.
#[derive(Debug)]
pub(crate) struct TlsWire {
    tls: Connection,
    /// Ciphertext that arrived.
    input: BytesMut,
    /// Ciphertext to write.
    output: Vec<u8>,
    written: usize,
    closed_by_peer: bool,
    closed: bool,
    /// Room for a read.
    read_bytes: usize,
}

impl TlsWire {
    pub(crate) fn new(tls: impl Into<Connection>) -> Self {
        let mut tls = tls.into();
        // The session bounds what it encrypts.
        tls.set_buffer_limit(None);
        let mut wire = Self {
            tls,
            input: BytesMut::new(),
            output: Vec::new(),
            written: 0,
            closed_by_peer: false,
            closed: false,
            read_bytes: READ_BYTES,
        };
        wire.collect_output();
        wire
    }

    pub(crate) fn is_handshaking(&self) -> bool {
        self.tls.is_handshaking()
    }

    /// The peer has said that nothing follows.
    pub(crate) fn is_closed_by_peer(&self) -> bool {
        self.closed_by_peer
    }

    /// Whether ciphertext is there that was not looked at.
    pub(crate) fn has_input(&self) -> bool {
        !self.input.is_empty()
    }

    /// Room for a read.
    pub(crate) fn input(&mut self) -> &mut BytesMut {
        if self.input.capacity() - self.input.len() < (self.read_bytes / 4).max(1) {
            self.input.reserve(self.read_bytes);
        }
        &mut self.input
    }

    /// Appends bytes that were read elsewhere, with no more room than they need.
    pub(crate) fn append(&mut self, bytes: &[u8]) {
        self.input.extend_from_slice(bytes);
    }

    /// Frees memory that holds nothing.
    pub(crate) fn rest(&mut self) {
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
        if self.output.is_empty() {
            self.output = Vec::new();
        }
    }

    /// From now on there is room for reads of so many bytes.
    pub(crate) fn read_at_once(&mut self, bytes: usize) {
        self.read_bytes = bytes;
        // A session may need less than the handshake did.
        let unread = std::mem::take(&mut self.input);
        self.input.extend_from_slice(&unread);
    }

    /// Decrypts what the input holds, and gives it to `take` piece by piece. What was decrypted before an error is
    /// given as well.
    pub(crate) fn decrypt(&mut self, mut take: impl FnMut(&[u8])) -> Result<(), rustls::Error> {
        let mut outcome = Ok(());
        while !self.input.is_empty() && outcome.is_ok() {
            let mut rest = &self.input[..];
            let count = match self.tls.read_tls(&mut rest) {
                Ok(0) => {
                    // After close_notify nothing counts.
                    self.input.clear();
                    break;
                }
                Ok(count) => count,
                Err(error) => return Err(rustls::Error::General(error.to_string())),
            };
            self.input.advance(count);
            outcome = match self.tls.process_new_packets() {
                Ok(state) => {
                    self.closed_by_peer |= state.peer_has_closed();
                    Ok(())
                }
                Err(error) => Err(error),
            };
            self.take_plain(&mut take);
        }
        self.collect_output();
        outcome
    }

    fn take_plain(&mut self, take: &mut impl FnMut(&[u8])) {
        let mut reader = self.tls.reader();
        // The end and "nothing yet" are known from elsewhere.
        while let Ok(chunk) = reader.fill_buf() {
            if chunk.is_empty() {
                return;
            }
            take(chunk);
            let count = chunk.len();
            reader.consume(count);
        }
    }

    /// Encrypts all of `plain`; it becomes output, once the handshake is done.
    pub(crate) fn encrypt(&mut self, plain: &[u8]) {
        self.tls.writer().write_all(plain).expect("rustls buffers without a limit");
        self.collect_output();
    }

    /// Says that nothing follows, once.
    pub(crate) fn close(&mut self) {
        if !self.closed {
            self.closed = true;
            self.tls.send_close_notify();
            self.collect_output();
        }
    }

    pub(crate) fn output(&self) -> &[u8] {
        &self.output[self.written..]
    }

    pub(crate) fn output_written(&mut self, count: usize) {
        self.written += count;
        assert!(self.written <= self.output.len(), "more was written than there was");
        if self.written == self.output.len() {
            self.output.clear();
            self.written = 0;
        }
    }

    fn collect_output(&mut self) {
        while self.tls.wants_write() {
            self.tls.write_tls(&mut self.output).expect("writing to memory");
        }
    }
}
