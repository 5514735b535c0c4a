//! Inflates the messages of one direction (RFC 7692, section 7.2.2).

use std::fmt;

use bytes::BytesMut;
use flate2::{Decompress, FlushDecompress, Status};

use super::compressor::{TAIL, difference};

/// The length of the buffer that is inflated into.
const CHUNK_BYTES: usize = 64 * 1024;

/// Inflates messages of one direction.
///
/// The window is always 15 bits: it reads what any smaller one wrote. A peer that uses more than was agreed on is not
/// caught.
pub(crate) struct Decompressor {
    /// `None` while there is nothing to remember: before the first message, and between messages without takeover.
    inflate: Option<Decompress>,
    /// The buffer that everything is inflated into first. A large buffer makes inflating fast, and copying the result
    /// costs less than zeroing such a buffer for every message. Empty while there is nothing to remember.
    chunk: Vec<u8>,
    takeover: bool,
    /// The latest byte of the message ended a DEFLATE stream (a block with BFINAL).
    stream_ended: bool,
    /// The message has brought a byte.
    begun: bool,
    /// The piece has more output than the last call had room for.
    unfinished: bool,
    /// How many bytes of the tail were read, once all of the message was.
    tail_read: Option<usize>,
}

/// How far a call came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Progress {
    /// How many bytes of the input were read.
    pub(crate) read: usize,
    /// Everything that the input gives was appended. Otherwise the next call goes on, with the rest of the input.
    pub(crate) done: bool,
}

/// Why a message could not be inflated. The connection has to fail: the window is lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InflateError {
    /// The message is longer than its limit.
    TooLarge,
    /// This is not DEFLATE.
    Corrupt,
}

impl Decompressor {
    /// Without `takeover` each message starts with an empty window.
    pub(crate) fn new(takeover: bool) -> Self {
        Self {
            inflate: None,
            chunk: Vec::new(),
            takeover,
            stream_ended: false,
            begun: false,
            unfinished: false,
            tail_read: None,
        }
    }

    /// Gives memory back that holds nothing. The window stays: the peer may refer to it.
    pub(crate) fn rest(&mut self) {
        self.chunk = Vec::new();
    }

    /// Appends `input` inflated to `output`, about `most` bytes of it; `last` ends the message.
    ///
    /// # Errors
    ///
    /// [`InflateError::TooLarge`] as soon as `output` would exceed `limit` bytes, before memory for more is taken;
    /// [`InflateError::Corrupt`] if `input` is not DEFLATE. Both are final. What was inflated before the error is in
    /// `output`, up to the limit.
    pub(crate) fn decompress(
        &mut self,
        input: &[u8],
        last: bool,
        output: &mut BytesMut,
        limit: usize,
        most: usize,
    ) -> Result<Progress, InflateError> {
        let full = output.len().saturating_add(most);
        let mut read = 0;
        if self.tail_read.is_none() && (self.unfinished || !input.is_empty()) {
            self.begun = true;
            let progress = self.inflate(input, output, limit, full)?;
            read = progress.read;
            self.unfinished = !progress.done;
            if !progress.done {
                return Ok(progress);
            }
        }
        if last {
            // RFC 7692, section 7.2.2: "Append 4 octets of 0x00 0x00 0xff 0xff to the tail end of the payload". Not
            // if there is no payload at all, or if it ended its stream (section 7.2.3.4 demands a 0x00 after that; some
            // peers forget it): there the four would be the middle of a block, and the next message its victim.
            if self.tail_read.is_some() || (self.begun && !self.stream_ended) {
                let before = self.tail_read.unwrap_or(0);
                let progress = self.inflate(&TAIL[before..], output, limit, full)?;
                if !progress.done {
                    self.tail_read = Some(before + progress.read);
                    return Ok(Progress { read, done: false });
                }
                self.tail_read = None;
            }
            if !self.takeover || self.stream_ended {
                self.inflate = None;
                self.chunk = Vec::new();
            }
            self.stream_ended = false;
            self.begun = false;
        }
        Ok(Progress { read, done: true })
    }

    /// Inflates until `output` holds `full` bytes or more, or everything is inflated.
    fn inflate(
        &mut self,
        mut input: &[u8],
        output: &mut BytesMut,
        limit: usize,
        full: usize,
    ) -> Result<Progress, InflateError> {
        let length = input.len();
        self.chunk.resize(CHUNK_BYTES, 0);
        let inflate = self.inflate.get_or_insert_with(|| Decompress::new_with_window_bits(false, 15));
        loop {
            if self.stream_ended && !input.is_empty() {
                // RFC 7692, section 7.2.3.4: blocks may follow one with BFINAL. A peer that sets it finished a stream
                // of zlib, and began the next one without a window.
                inflate.reset(false);
                self.stream_ended = false;
            }
            // At the limit, one byte of room shows whether more follows.
            let allowed = limit.saturating_sub(output.len());
            let room = self.chunk.len().min(allowed.saturating_add(1));
            let chunk = &mut self.chunk[..room];
            let (in_before, out_before) = (inflate.total_in(), inflate.total_out());
            let result = inflate.decompress(input, chunk, FlushDecompress::Sync);
            let written = difference(inflate.total_out(), out_before);
            let read = difference(inflate.total_in(), in_before);
            output.extend_from_slice(&chunk[..written.min(allowed)]);
            if written > allowed {
                return Err(InflateError::TooLarge);
            }
            input = &input[read..];
            match result.map_err(|_corrupt| InflateError::Corrupt)? {
                Status::StreamEnd => self.stream_ended = true,
                // No progress is possible: everything was read, and everything that it gives was written.
                Status::BufError if input.is_empty() => return Ok(Progress { read: length, done: true }),
                Status::BufError => return Err(InflateError::Corrupt),
                Status::Ok if read == 0 && written == 0 => return Err(InflateError::Corrupt),
                Status::Ok => {}
            }
            if input.is_empty() && (written < room || self.stream_ended) {
                return Ok(Progress { read: length, done: true });
            }
            if output.len() >= full {
                return Ok(Progress { read: length - input.len(), done: false });
            }
        }
    }
}

impl fmt::Debug for Decompressor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decompressor").field("takeover", &self.takeover).finish_non_exhaustive()
    }
}
