//! What waits to be written: frames, put together in place.

use std::fmt;

/// Buffers up to this length are kept when nothing waits in them; larger ones are given back.
const KEPT_BYTES: usize = 8 << 20;

/// Frames from this length on get a buffer of their length; for shorter ones it is doubled.
const LONG_FRAME: usize = 64 << 10;

/// A queue of bytes in one piece of memory.
pub(super) struct Output {
    /// Initialised all over, once when it grows, so that frames need no other pass over it than the one that masks
    /// them.
    bytes: Vec<u8>,
    /// `bytes[head..tail]` wait.
    head: usize,
    tail: usize,
    /// How much may precede a long frame in a buffer that is made for it.
    slack: usize,
}

impl Output {
    /// `max_output` is how much may wait before senders have to.
    pub(super) fn new(max_output: usize) -> Self {
        Self { bytes: Vec::new(), head: 0, tail: 0, slack: max_output.min(LONG_FRAME) }
    }

    #[inline]
    pub(super) fn waiting(&self) -> &[u8] {
        &self.bytes[self.head..self.tail]
    }

    /// Room for `count` bytes behind those that wait; what is written there waits once it is [`filled`](Self::filled).
    #[inline]
    pub(super) fn room(&mut self, count: usize) -> &mut [u8] {
        if self.bytes.len() - self.tail < count {
            self.grow(count);
        }
        &mut self.bytes[self.tail..][..count]
    }

    /// The first `count` bytes of the room are filled.
    #[inline]
    pub(super) fn filled(&mut self, count: usize) {
        self.tail += count;
        debug_assert!(self.tail <= self.bytes.len(), "no more is filled than there was room for");
    }

    /// The first `count` bytes that waited are written.
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

    /// Gives memory back, if nothing waits.
    pub(super) fn rest(&mut self) {
        if self.head == self.tail {
            self.discard();
        }
    }

    /// Drops all that waits, and its memory.
    pub(super) fn discard(&mut self) {
        self.bytes = Vec::new();
        self.head = 0;
        self.tail = 0;
    }

    #[cold]
    fn grow(&mut self, count: usize) {
        let waiting = self.tail - self.head;
        let needed = waiting.saturating_add(count);
        // What is written makes room if that costs no more than was gained.
        if needed <= self.bytes.len() && self.head >= waiting {
            self.bytes.copy_within(self.head..self.tail, 0);
        } else {
            let length = if count >= LONG_FRAME {
                // No more than there will be room for again: doubling would soon pass what is kept. What may precede
                // the next frame of this length is as much as lets senders go on.
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
