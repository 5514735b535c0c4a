//! The bytes that wait to be written. Frames are assembled in place.

use std::fmt;

/// Empty buffers up to this length are kept; larger ones are freed.
const KEPT_BYTES: usize = 8 << 20;

/// A frame of at least this length gets a buffer of its length. For a shorter one the buffer doubles.
const LONG_FRAME: usize = 64 << 10;

/// A queue of bytes in one contiguous buffer.
pub(super) struct Output {
    /// All of it is initialised, once when it grows. So the pass that masks a frame is the only one over its bytes.
    bytes: Vec<u8>,
    /// `bytes[head..tail]` waits to be written.
    head: usize,
    tail: usize,
    /// The most bytes that may precede a long frame in a buffer that is made for it.
    slack: usize,
}

impl Output {
    /// Makes an empty queue. Senders wait while it holds `max_output` bytes.
    pub(super) fn new(max_output: usize) -> Self {
        Self { bytes: Vec::new(), head: 0, tail: 0, slack: max_output.min(LONG_FRAME) }
    }

    #[inline]
    pub(super) fn waiting(&self) -> &[u8] {
        &self.bytes[self.head..self.tail]
    }

    /// Returns room for `count` bytes at the end of the queue. They join the queue by [`filled`](Self::filled).
    #[inline]
    pub(super) fn room(&mut self, count: usize) -> &mut [u8] {
        if self.bytes.len() - self.tail < count {
            self.grow(count);
        }
        &mut self.bytes[self.tail..][..count]
    }

    /// Appends the first `count` bytes of the room to the queue.
    #[inline]
    pub(super) fn filled(&mut self, count: usize) {
        self.tail += count;
        debug_assert!(self.tail <= self.bytes.len(), "no more is filled than there was room for");
    }

    /// Removes the first `count` bytes of the queue.
    #[inline]
    pub(super) fn written(&mut self, count: usize) {
        self.head += count;
        if self.head == self.tail {
            self.head = 0;
            self.tail = 0;
            if self.bytes.len() > KEPT_BYTES {
                self.bytes = Vec::new();
            }
        }
    }

    /// Frees memory if the queue is empty.
    pub(super) fn rest(&mut self) {
        if self.head == self.tail {
            self.discard();
        }
    }

    /// Empties the queue and frees its memory.
    pub(super) fn discard(&mut self) {
        self.bytes = Vec::new();
        self.head = 0;
        self.tail = 0;
    }

    #[cold]
    fn grow(&mut self, count: usize) {
        let waiting = self.tail - self.head;
        let needed = waiting.saturating_add(count);
        // Moves the bytes to the front if that costs no more than it gains.
        if needed <= self.bytes.len() && self.head >= waiting {
            self.bytes.copy_within(self.head..self.tail, 0);
        } else {
            let length = if count >= LONG_FRAME {
                // Exactly as much as the next frame of this length needs again: doubling would soon exceed what is
                // kept. Senders may go on while at most `max_output` bytes precede it.
                needed.saturating_add(self.slack)
            } else {
                needed.max(2 * self.bytes.len())
            };
            let mut bytes = vec![0; length];
            bytes[..waiting].copy_from_slice(self.waiting());
            self.bytes = bytes;
        }
        self.head = 0;
        self.tail = waiting;
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Output").field("waiting", &self.waiting()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn append(output: &mut Output, bytes: &[u8]) {
        output.room(bytes.len() + 3)[..bytes.len()].copy_from_slice(bytes);
        output.filled(bytes.len());
    }

    #[test]
    fn output_stays_in_order_while_its_buffer_moves() {
        let mut output = Output::new(1000);
        let (mut expected, mut found) = (Vec::new(), Vec::new());
        for round in 0_usize..500 {
            let piece: Vec<u8> = (0..round * 31 % 400).map(|index| (index + round) as u8).collect();
            append(&mut output, &piece);
            expected.extend_from_slice(&piece);
            let count = (round * 47 % 450).min(output.waiting().len());
            found.extend_from_slice(&output.waiting()[..count]);
            output.written(count);
        }
        found.extend_from_slice(output.waiting());
        assert_eq!(found, expected);
        assert!(output.bytes.len() < 16_000, "what is written makes room");
    }

    #[test]
    fn a_buffer_is_kept_unless_very_long() {
        let mut output = Output::new(1000);
        append(&mut output, &[1; 100_000]);
        output.written(100_000);
        let kept = output.bytes.as_ptr();
        append(&mut output, &[2; 1000]);
        append(&mut output, &[3; 100_000]);
        assert_eq!(output.waiting().as_ptr(), kept, "with what may precede it");
        output.written(101_000);
        append(&mut output, &vec![4; KEPT_BYTES]);
        output.written(KEPT_BYTES);
        assert!(output.bytes.is_empty());
    }
}
