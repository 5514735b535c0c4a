//! Received pieces that the application has not taken: a queue that returns whole messages or fragments.

use std::collections::VecDeque;

use bytes::{Bytes, BytesMut};

use crate::{Fragment, Kind, Limits, Message, Text};

/// The most memory that a piece takes besides its payload: its place in the queue, and the part of a buffer that its
/// view keeps alive. While closing, each piece counts with this much more. Otherwise a peer could send empty messages
/// without end.
const PIECE_BYTES: usize = 256;

/// The queue of received pieces. It is bounded: see [`is_full`](Self::is_full) and
/// [`begin_closing`](Self::begin_closing).
#[derive(Debug)]
pub(super) struct Inbox {
    pieces: VecDeque<Fragment>,
    /// Payload bytes of `pieces`.
    bytes: usize,
    /// How many of `pieces` end a message.
    complete: usize,
    max_pieces: usize,
    max_bytes: usize,
    /// The bound while closing.
    closing_bytes: usize,
    closing: bool,
    /// Set once a piece was dropped: everything after a gap is dropped as well.
    discarding: bool,
    /// The application has taken a part of the first message as fragments.
    streaming: bool,
}

impl Inbox {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            pieces: VecDeque::new(),
            bytes: 0,
            complete: 0,
            max_pieces: limits.receive_queue_messages,
            max_bytes: limits.receive_queue_bytes,
            closing_bytes: limits.closing_queue_bytes,
            closing: false,
            discarding: false,
            streaming: false,
        }
    }

    /// Returns whether reading has to stop until the application takes something. Always `false` while the application
    /// has nothing to take: a message that exceeds the queue is read to its end, unless it is taken in fragments.
    #[inline]
    pub(super) fn is_full(&self) -> bool {
        (self.bytes >= self.max_bytes || self.pieces.len() >= self.max_pieces)
            && self.has_something()
            && !self.closing
    }

    /// Returns whether a queue that was full has room for a sixteenth of what it holds. With less room it is not worth
    /// going on with the input that is left.
    #[inline]
    pub(super) fn has_room_again(&self) -> bool {
        let (bytes, pieces) = (self.max_bytes - self.max_bytes / 16, self.max_pieces - self.max_pieces / 16);
        (self.bytes < bytes && self.pieces.len() < pieces) || !self.has_something() || self.closing
    }

    /// Returns whether there is something for the application to take.
    #[inline]
    pub(super) fn has_something(&self) -> bool {
        self.complete > 0 || (self.streaming && !self.pieces.is_empty())
    }

    /// Returns whether the queue is empty and the next piece begins a message for the application.
    #[inline]
    pub(super) fn is_at_rest(&self) -> bool {
        self.pieces.is_empty() && !self.streaming && !self.closing
    }

    /// Applies the bound of closing: the queue is never full from now on, and drops what exceeds the larger bound.
    pub(super) fn begin_closing(&mut self) {
        self.closing = true;
    }

    /// Returns `true` once everything that comes is dropped.
    #[inline]
    pub(super) fn is_discarding(&self) -> bool {
        self.discarding
    }

    /// Appends a piece. Returns whether it was dropped instead.
    #[inline]
    pub(super) fn push(&mut self, piece: Fragment) -> bool {
        if self.closing && (self.discarding || self.takes() >= self.closing_bytes) {
            self.discarding = true;
            return true;
        }
        self.bytes += piece.data.len();
        self.complete += usize::from(piece.last);
        self.pieces.push_back(piece);
        false
    }

    /// Returns about how much memory the pieces keep alive.
    fn takes(&self) -> usize {
        self.bytes.saturating_add(self.pieces.len().saturating_mul(PIECE_BYTES))
    }

    /// Takes the next piece.
    #[inline]
    pub(super) fn pop_fragment(&mut self) -> Option<Fragment> {
        let piece = self.pop()?;
        self.streaming = !piece.last;
        Some(piece)
    }

    /// Takes the next whole message. Returns `None` while a message is being taken in fragments.
    #[inline]
    pub(super) fn pop_message(&mut self) -> Option<Message> {
        if self.complete == 0 || self.streaming {
            return None;
        }
        let piece = self.pop()?;
        let (kind, data) =
            if piece.last { (piece.kind, piece.data) } else { (piece.kind, self.join(piece.data)) };
        Some(match kind {
            // The receiver has validated every piece, and has checked that the message ends at a character's end.
            Kind::Text => Message::Text(Text::from_validated(data)),
            Kind::Binary => Message::Binary(data),
        })
    }

    #[inline]
    fn pop(&mut self) -> Option<Fragment> {
        let piece = self.pieces.pop_front()?;
        self.bytes -= piece.data.len();
        self.complete -= usize::from(piece.last);
        Some(piece)
    }

    /// Joins the first piece of a complete message with the others.
    #[cold]
    fn join(&mut self, first: Bytes) -> Bytes {
        let others = self.pieces.iter().position(|piece| piece.last).map_or(0, |last| last + 1);
        let length =
            first.len() + self.pieces.iter().take(others).map(|piece| piece.data.len()).sum::<usize>();
        let mut message = BytesMut::with_capacity(length);
        message.extend_from_slice(&first);
        for _ in 0..others {
            if let Some(piece) = self.pop() {
                message.extend_from_slice(&piece.data);
            }
        }
        message.freeze()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(data: &'static [u8], first: bool, last: bool) -> Fragment {
        Fragment { kind: Kind::Binary, data: Bytes::from_static(data), first, last }
    }

    fn inbox(max_pieces: usize, max_bytes: usize) -> Inbox {
        Inbox::new(&Limits {
            receive_queue_messages: max_pieces,
            receive_queue_bytes: max_bytes,
            closing_queue_bytes: 2 * (max_bytes + PIECE_BYTES),
            ..Limits::default()
        })
    }

    #[test]
    fn a_message_comes_out_after_its_last_piece() {
        let mut inbox = inbox(10, 100);
        inbox.push(piece(b"ab", true, false));
        inbox.push(piece(b"", false, false));
        assert_eq!(inbox.pop_message(), None);
        inbox.push(piece(b"c", false, true));
        inbox.push(piece(b"d", true, true));
        assert_eq!(inbox.pop_message(), Some(Message::binary(&b"abc"[..])));
        assert_eq!(inbox.pop_message(), Some(Message::binary(&b"d"[..])));
        assert_eq!((inbox.bytes, inbox.complete), (0, 0));
    }

    #[test]
    fn whole_messages_wait_for_the_fragmented_one() {
        let mut inbox = inbox(10, 100);
        for piece in [piece(b"ab", true, false), piece(b"c", false, true), piece(b"d", true, true)] {
            inbox.push(piece);
        }
        assert!(inbox.pop_fragment().is_some_and(|piece| piece.first && !piece.last));
        assert_eq!(inbox.pop_message(), None);
        assert!(inbox.pop_fragment().is_some_and(|piece| !piece.first && piece.last));
        assert_eq!(inbox.pop_message(), Some(Message::binary(&b"d"[..])));
    }

    #[test]
    fn queues_fill_by_count_or_bytes_once_takeable() {
        let mut by_count = inbox(2, 100);
        by_count.push(piece(b"", true, true));
        assert!(!by_count.is_full());
        by_count.push(piece(b"", true, true));
        assert!(by_count.is_full());
        by_count.pop_message();
        assert!(!by_count.is_full());

        let mut by_bytes = inbox(10, 3);
        by_bytes.push(piece(b"abcd", true, false));
        assert!(!by_bytes.is_full(), "the message cannot be taken yet");
        by_bytes.push(piece(b"e", false, true));
        assert!(by_bytes.is_full());
    }

    #[test]
    fn fragments_taken_singly_fill_the_queue() {
        let mut inbox = inbox(10, 3);
        inbox.push(piece(b"abc", true, false));
        inbox.pop_fragment();
        inbox.push(piece(b"def", false, false));
        assert!(inbox.is_full());
    }

    #[test]
    fn room_again_needs_a_sixteenth_or_an_end() {
        let mut inbox = inbox(32, 1000);
        for _ in 0..32 {
            inbox.push(piece(b"abc", true, true));
        }
        inbox.pop_message();
        inbox.pop_message();
        assert!(!inbox.is_full() && !inbox.has_room_again());
        inbox.pop_message();
        assert!(inbox.has_room_again());

        let mut long = self::inbox(32, 3);
        long.push(piece(b"abcd", true, true));
        long.push(piece(b"efgh", true, false));
        long.pop_message();
        assert!(long.has_room_again(), "nothing can be taken before more comes");
    }

    #[test]
    fn a_closing_queue_is_bounded_but_never_full() {
        let mut inbox = inbox(4, 1000);
        inbox.begin_closing();
        let dropped = (0..100).filter(|_| inbox.push(piece(b"", true, true))).count();
        assert!(!inbox.is_full());
        assert_eq!(100 - dropped, (2 * (1000 + PIECE_BYTES)).div_ceil(PIECE_BYTES));
    }

    #[test]
    fn a_closing_queue_drops_everything_after_a_gap() {
        let mut inbox = inbox(1, 2);
        inbox.begin_closing();
        assert!(!inbox.push(piece(b"abc", true, true)));
        assert!(!inbox.push(piece(b"def", true, true)));
        assert!(inbox.push(piece(b"g", true, true)));
        inbox.pop_message();
        inbox.pop_message();
        assert!(inbox.push(piece(b"h", true, true)), "there would be a gap before it");
    }
}
