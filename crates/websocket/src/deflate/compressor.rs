//! Compresses the messages of one direction (RFC 7692, section 7.2.1).

use bytes::BytesMut;
use flate2::{Compress, Compression, FlushCompress, Status};

/// The end of every flushed piece of DEFLATE: an empty stored block without the bits of its header.
pub(crate) const TAIL: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// Compresses messages of one direction.
#[derive(Debug)]
pub(crate) struct Compressor {
    /// `None` while there is nothing to remember: before the first message, between messages without takeover, and
    /// when nothing was compressed for a while.
    deflate: Option<Compress>,
    level: u32,
    window_bits: u8,
    takeover: bool,
    /// Something was compressed since [`rest`](Self::rest) was last called.
    used: bool,
}

impl Compressor {
    /// `window_bits`: 8–15 (others are clamped); `level`: 0–9 (more is 9).
    ///
    /// At 8 bits everything is stored, as there is no window that zlib could honour: correct, and never smaller.
    /// Callers should not compress at all; [`Parameters::compressor`](super::Parameters::compressor) is `None`
    /// then.
    pub(crate) fn new(window_bits: u8, takeover: bool, level: u32) -> Self {
        let level = if window_bits <= 8 { 0 } else { level.min(9) };
        Self { deflate: None, level, window_bits: window_bits.clamp(9, 15), takeover, used: false }
    }

    /// Appends `input` compressed to `output`. `last` ends the message; other pieces are flushed as well, so that the
    /// peer can inflate what it has.
    ///
    /// All of `output` must be sent: the window of the next piece contains this one.
    pub(crate) fn compress(&mut self, input: &[u8], last: bool, output: &mut BytesMut) {
        let start = output.len();
        if input.is_empty() {
            // RFC 7692, section 7.2.3.6: an empty message is the octet 0x00: the header of an empty stored block, whose
            // length is what was stripped. The same ends a message whose earlier pieces were flushed.
            if last {
                output.extend_from_slice(&[0x00]);
            }
        } else {
            self.deflate_all(input, output, FlushCompress::Sync);
            // RFC 7692, section 7.2.1: "Remove 4 octets (that are 0x00 0x00 0xff 0xff) from the tail end."
            if last && output[start..].ends_with(&TAIL) {
                output.truncate(output.len() - TAIL.len());
            }
        }
        if last && !self.takeover {
            self.deflate = None;
        }
    }

    /// Compresses a part of a piece, whose rest follows: appends to `output` what is ready.
    pub(crate) fn feed(&mut self, input: &[u8], output: &mut BytesMut) {
        self.deflate_all(input, output, FlushCompress::None);
    }

    /// Forgets everything that was compressed: after this, nothing that was appended to an output needs to be sent.
    /// Messages that the peer has may be forgotten at any time (RFC 7692, section 7.1.1.1).
    pub(crate) fn forget(&mut self) {
        self.deflate = None;
    }

    /// Forgets everything, and gives its memory back, if nothing was compressed since the last call. Not to be called
    /// inside a message.
    pub(crate) fn rest(&mut self) {
        if !std::mem::take(&mut self.used) {
            self.forget();
        }
    }

    /// Compresses all of `input`.
    fn deflate_all(&mut self, mut input: &[u8], output: &mut BytesMut, flush: FlushCompress) {
        self.used = true;
        let (level, bits) = (Compression::new(self.level), self.window_bits);
        let deflate = self.deflate.get_or_insert_with(|| Compress::new_with_window_bits(level, false, bits));
        loop {
            let start = output.len();
            // Enough for the flush's own bytes: with less, zlib would repeat its marker.
            let room = (input.len() / 2).clamp(64, 64 * 1024);
            output.resize(start + room, 0);
            let (in_before, out_before) = (deflate.total_in(), deflate.total_out());
            let status = deflate
                .compress(input, &mut output[start..], flush)
                .expect("deflate fails only when it is misused");
            let written = difference(deflate.total_out(), out_before);
            input = &input[difference(deflate.total_in(), in_before)..];
            output.truncate(start + written);
            // A buffer that was just filled may leave more to be flushed; `BufError` says that nothing was left.
            let done = input.is_empty() && written < room;
            if done || status == Status::BufError {
                debug_assert!(input.is_empty(), "deflate left input");
                return;
            }
        }
    }
}

/// How far a counter of flate2 went, as a length of a buffer.
pub(super) fn difference(after: u64, before: u64) -> usize {
    usize::try_from(after - before).expect("a length of a buffer")
}
