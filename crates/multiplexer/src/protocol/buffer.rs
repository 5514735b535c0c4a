//! What a stream has received and its reader has not taken.
//!
//! Small pieces are copied behind one another into chunks of up to 16 KiB, so that a byte costs about a byte however
//! small the frames are. Large pieces are kept as slices of the buffer that they were read into. Both are counted by
//! capacity in what they pin: a slice is at least a quarter of a read buffer of the default size.

use std::collections::VecDeque;
use std::fmt;

use bytes::{Buf, Bytes};

/// Pieces of this many bytes or more are not copied.
pub(crate) const SHARE_BYTES: usize = 16 * 1024;

/// The capacity of a chunk that small pieces are copied into: at first, and at most.
const CHUNK_BYTES_MIN: usize = 512;
const CHUNK_BYTES_MAX: usize = 16 * 1024;

/// Chunks that a session keeps for the next stream that receives something.
const SPARES_MAX: usize = 16;

enum Chunk {
    Shared(Bytes),
    Copied { bytes: Vec<u8>, taken: usize },
}

impl Chunk {
    fn remaining(&self) -> &[u8] {
        match self {
            Self::Shared(bytes) => bytes,
            Self::Copied { bytes, taken } => &bytes[*taken..],
        }
    }

    fn advance(&mut self, count: usize) {
        match self {
            Self::Shared(bytes) => bytes.advance(count),
            Self::Copied { taken, .. } => *taken += count,
        }
    }

    /// Whether a small piece fits behind what is there.
    fn has_room(&self, piece: usize) -> bool {
        match self {
            Self::Shared(_) => false,
            Self::Copied { bytes, .. } => bytes.len() + piece <= bytes.capacity().max(CHUNK_BYTES_MAX),
        }
    }
}

/// The received bytes of one stream, in order. Empty, it owns no memory.
#[derive(Default)]
pub(crate) struct ReceiveBuffer {
    chunks: VecDeque<Chunk>,
    length: usize,
}

/// Memory of buffers that were emptied.
#[derive(Default)]
pub(crate) struct Spares {
    chunks: Vec<Vec<u8>>,
    queues: Vec<VecDeque<Chunk>>,
}

impl fmt::Debug for ReceiveBuffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} B in {} chunks", self.length, self.chunks.len())
    }
}

impl fmt::Debug for Spares {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} chunks, {} queues", self.chunks.len(), self.queues.len())
    }
}

impl Spares {
    fn take_chunk(&mut self, piece: usize) -> Vec<u8> {
        self.chunks.pop().unwrap_or_else(|| Vec::with_capacity(piece.clamp(CHUNK_BYTES_MIN, CHUNK_BYTES_MAX)))
    }

    fn put_chunk(&mut self, mut chunk: Vec<u8>) {
        if self.chunks.len() < SPARES_MAX {
            chunk.clear();
            self.chunks.push(chunk);
        }
    }

    fn put_queue(&mut self, queue: VecDeque<Chunk>) {
        if self.queues.len() < SPARES_MAX && queue.capacity() > 0 && queue.capacity() <= 64 {
            self.queues.push(queue);
        }
    }
}

impl ReceiveBuffer {
    /// Returns how many bytes wait.
    #[inline]
    pub(crate) fn len(&self) -> usize {
        self.length
    }

    /// Takes the first `count` bytes of `input`, which its first chunk holds.
    #[inline]
    pub(crate) fn push(&mut self, input: &mut impl Buf, count: usize, spares: &mut Spares) {
        if count == 0 {
            return;
        }
        if self.chunks.capacity() == 0
            && let Some(queue) = spares.queues.pop()
        {
            self.chunks = queue;
        }
        self.length += count;
        if count >= SHARE_BYTES {
            self.chunks.push_back(Chunk::Shared(input.copy_to_bytes(count)));
            return;
        }
        if let Some(Chunk::Copied { bytes, .. }) = self.chunks.back_mut().filter(|last| last.has_room(count))
        {
            bytes.extend_from_slice(&input.chunk()[..count]);
        } else {
            let mut bytes = spares.take_chunk(count);
            bytes.extend_from_slice(&input.chunk()[..count]);
            self.chunks.push_back(Chunk::Copied { bytes, taken: 0 });
        }
        input.advance(count);
    }

    /// Returns the first bytes that wait, as many as are in one piece. Empty if none wait.
    #[inline]
    pub(crate) fn front(&self) -> &[u8] {
        self.chunks.front().map_or(&[], Chunk::remaining)
    }

    /// Removes the first `count` bytes, which [`front`](Self::front) has shown.
    #[inline]
    pub(crate) fn consume(&mut self, count: usize, spares: &mut Spares) {
        let Some(front) = self.chunks.front_mut() else { return };
        front.advance(count);
        self.length -= count;
        if front.remaining().is_empty() {
            if let Some(Chunk::Copied { bytes, .. }) = self.chunks.pop_front() {
                spares.put_chunk(bytes);
            }
            if self.chunks.is_empty() {
                spares.put_queue(std::mem::take(&mut self.chunks));
            }
        }
    }

    /// Removes up to `max` bytes, in one piece and without a copy where they are already.
    pub(crate) fn take(&mut self, max: usize, spares: &mut Spares) -> Bytes {
        self.take_shared(max, spares).unwrap_or_else(|| {
            let count = self.front().len().min(max);
            let bytes = Bytes::copy_from_slice(&self.front()[..count]);
            self.consume(count, spares);
            bytes
        })
    }

    /// Removes up to `max` bytes if that needs no copy.
    #[inline]
    pub(crate) fn take_shared(&mut self, max: usize, spares: &mut Spares) -> Option<Bytes> {
        let Some(Chunk::Shared(bytes)) = self.chunks.front_mut() else { return None };
        let count = bytes.len().min(max);
        self.length -= count;
        if count < bytes.len() {
            return Some(bytes.split_to(count));
        }
        let Some(Chunk::Shared(bytes)) = self.chunks.pop_front() else { return None };
        if self.chunks.is_empty() {
            spares.put_queue(std::mem::take(&mut self.chunks));
        }
        Some(bytes)
    }

    /// Removes everything. Returns how many bytes that were.
    pub(crate) fn clear(&mut self, spares: &mut Spares) -> usize {
        for chunk in self.chunks.drain(..) {
            if let Chunk::Copied { bytes, .. } = chunk {
                spares.put_chunk(bytes);
            }
        }
        self.chunks = VecDeque::new();
        std::mem::take(&mut self.length)
    }

    /// The memory behind what waits, in bytes.
    #[cfg(test)]
    fn footprint(&self) -> usize {
        self.chunks
            .iter()
            .map(|chunk| match chunk {
                Chunk::Shared(bytes) => bytes.len(),
                Chunk::Copied { bytes, .. } => bytes.capacity(),
            })
            .sum()
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;

    use super::*;

    fn push(buffer: &mut ReceiveBuffer, spares: &mut Spares, bytes: &[u8]) {
        let mut input = BytesMut::from(bytes);
        buffer.push(&mut input, bytes.len(), spares);
        assert!(input.is_empty());
    }

    #[test]
    fn bytes_come_out_in_order() {
        let (mut buffer, mut spares) = (ReceiveBuffer::default(), Spares::default());
        let sizes = [1, 100, SHARE_BYTES, 5, 16_000, 700, 3 * SHARE_BYTES, 0, 9];
        let mut expected = Vec::new();
        for (index, size) in sizes.into_iter().enumerate() {
            let piece = vec![u8::try_from(index).unwrap(); size];
            push(&mut buffer, &mut spares, &piece);
            expected.extend_from_slice(&piece);
        }
        assert_eq!(buffer.len(), expected.len());
        let mut read = Vec::new();
        while buffer.len() > 0 {
            if read.len() % 2 == 0 {
                let count = buffer.front().len().min(777);
                read.extend_from_slice(&buffer.front()[..count]);
                buffer.consume(count, &mut spares);
            } else {
                read.extend_from_slice(&buffer.take(777, &mut spares));
            }
        }
        assert_eq!(read, expected);
    }

    #[test]
    fn one_byte_pieces_cost_about_a_byte_each() {
        let (mut buffer, mut spares) = (ReceiveBuffer::default(), Spares::default());
        for _ in 0..100_000 {
            push(&mut buffer, &mut spares, b"x");
        }
        assert!(buffer.footprint() < 120_000, "{}", buffer.footprint());
    }

    #[test]
    fn an_emptied_buffer_gives_its_memory_back() {
        let (mut buffer, mut spares) = (ReceiveBuffer::default(), Spares::default());
        push(&mut buffer, &mut spares, b"some bytes");
        buffer.consume(10, &mut spares);
        assert_eq!(buffer.chunks.capacity(), 0);
        assert_eq!(spares.chunks.len(), 1);
        push(&mut buffer, &mut spares, b"again");
        assert!(spares.chunks.is_empty() && spares.queues.is_empty());
        assert_eq!(buffer.clear(&mut spares), 5);
    }

    #[test]
    fn spares_are_few() {
        let mut spares = Spares::default();
        for _ in 0..100 {
            spares.put_chunk(Vec::with_capacity(CHUNK_BYTES_MAX));
        }
        assert_eq!(spares.chunks.len(), SPARES_MAX);
    }
}
