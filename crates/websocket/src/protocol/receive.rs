//! Turns bytes into messages: cuts frames out of the input, unmasks, inflates and validates them, and puts them into
//! the [`Inbox`].
//!
//! # Invariants
//!
//! - The messages and the failure depend on the bytes, not on how they were cut into reads.
//! - A failure is found at the first byte that proves it. Text is validated while its frame is still arriving, and
//!   compressed text when its frame is complete.
//! - Limits are checked from the head of a frame, before memory is reserved for its payload.

use bytes::{Buf as _, Bytes, BytesMut};

use super::frame::{self, Expected, Head, MAX_CONTROL, MAX_HEAD, Opcode, begins_control};
use super::inbox::Inbox;
use super::mask;
use super::statistics::Statistics;
use super::utf8::Utf8;
use super::{Role, Violation};
use crate::close::Limit;
use crate::deflate::{Decompressor, InflateError, Progress};
use crate::{Cause, Fragment, Kind, Limits};

/// How much is done before others get their turn, in bytes that inflating reads and writes.
const TURN_BYTES: usize = 64 << 10;

/// What a compressed frame costs besides its bytes, in the same measure.
const FRAME_COST: usize = 512;

/// What a control frame costs, in the same measure.
const CONTROL_COST: usize = 64;

/// Why no more input is processed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    Violation(Violation),
    Limit { limit: Limit, allowed: usize },
}

impl From<Violation> for Failure {
    fn from(what: Violation) -> Self {
        Self::Violation(what)
    }
}

impl From<Failure> for Cause {
    fn from(failure: Failure) -> Self {
        match failure {
            Failure::Violation(what) => Self::Violation { what },
            Failure::Limit { limit, allowed } => Self::LimitExceeded { limit, allowed },
        }
    }
}

/// The content of a control frame.
#[derive(Debug, Clone, Copy)]
pub(super) struct Control {
    bytes: [u8; MAX_CONTROL],
    length: usize,
}

impl Control {
    pub(super) fn new(payload: &[u8]) -> Self {
        let length = payload.len().min(MAX_CONTROL);
        let mut bytes = [0; MAX_CONTROL];
        bytes[..length].copy_from_slice(&payload[..length]);
        Self { bytes, length }
    }

    pub(super) fn payload(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

/// How far [`Receiver::advance`] came.
#[derive(Debug)]
pub(super) enum Step {
    /// The rest of the input is incomplete.
    Starved,
    /// The inbox is full, and the input begins with a data frame.
    Full,
    /// Enough was inflated for this turn.
    Paused,
    /// A control frame came. The connection has to handle it before it goes on.
    Ping(Control),
    Pong(Control),
    Close(Control),
}

/// The message whose frames are arriving.
#[derive(Debug)]
struct Unfinished {
    kind: Kind,
    compressed: bool,
    /// Bytes and frames so far, including those of the frame that is arriving. A compressed frame counts when it is
    /// inflated.
    bytes: usize,
    frames: usize,
}

/// The data frame whose payload is arriving. The input begins with it.
#[derive(Debug, Clone, Copy)]
struct Arriving {
    length: usize,
    /// How many of its bytes have been unmasked and validated.
    seen: usize,
    mask: Option<[u8; 4]>,
    fin: bool,
}

/// The receiving half of a connection.
#[derive(Debug)]
pub(super) struct Receiver {
    role: Role,
    input: BytesMut,
    /// The length of the input when it was last processed.
    known: usize,
    arriving: Option<Arriving>,
    message: Option<Unfinished>,
    utf8: Utf8,
    inflate: Option<Decompressor>,
    /// What is inflated of the frame that is arriving.
    inflated: BytesMut,
    /// What may be inflated in this turn.
    allowance: usize,
    /// The turn ended before the input did.
    paused: bool,
    /// What was inflated, and what control frames cost, since [`take_work`](Self::take_work) was last called.
    work: usize,
    /// Bytes of control frames since the last data frame: see [`view`](Self::view).
    skipped: usize,
    max_message: usize,
    max_frame: usize,
    max_frames: usize,
    /// The longest message that the fast path ([`take_only`](Receiver::take_only)) takes.
    only_max: Option<usize>,
    read_buffer: usize,
}

impl Receiver {
    pub(super) fn new(role: Role, limits: &Limits, inflate: Option<Decompressor>) -> Self {
        Self {
            role,
            input: BytesMut::new(),
            known: 0,
            arriving: None,
            message: None,
            utf8: Utf8::default(),
            inflate,
            inflated: BytesMut::new(),
            allowance: TURN_BYTES,
            paused: false,
            work: 0,
            skipped: 0,
            max_message: limits.message,
            max_frame: limits.frame,
            max_frames: limits.fragments,
            only_max: (limits.fragments > 0).then_some(limits.message.min(limits.frame)),
            read_buffer: limits.read_buffer,
        }
    }

    /// Returns how many bytes are read at once, at least 1: a read of none would look like the end.
    pub(super) fn read_bytes(&self) -> usize {
        self.read_buffer.max(1)
    }

    /// Returns the buffer to which input is appended, with room for the rest of the frame that is arriving, or for a
    /// read.
    ///
    /// For a frame that is longer than a read there is room to its end and no further. So the next frame begins at the
    /// front of a buffer, and need not be moved there. While the application drops what it takes, the same memory is
    /// used again, and nothing is allocated.
    #[inline]
    pub(super) fn input(&mut self) -> &mut BytesMut {
        let room = self.input.capacity() - self.input.len();
        let missing = self.arriving.map_or(0, |frame| frame.length.saturating_sub(self.input.len()));
        // Less room is enough where more would cost an allocation.
        let wanted = if missing > 0 { missing } else { self.read_buffer };
        let enough = if missing > 0 { missing } else { (self.read_buffer / 4).max(1) };
        if room < enough && !self.input.try_reclaim(wanted) && !self.input.try_reclaim(enough) {
            // `reserve` would double the capacity. This has room for the head of such a frame, so that the next one
            // fits as well.
            let capacity = (MAX_HEAD + self.input.len() + wanted).max(self.read_buffer);
            let full = std::mem::replace(&mut self.input, BytesMut::with_capacity(capacity));
            self.input.extend_from_slice(&full);
        }
        &mut self.input
    }

    /// Appends `bytes` to the input. Short ones that begin with a control frame get a buffer of their length, if there
    /// is none: after [`rest`](Self::rest), pings and pongs alone would otherwise take room for a whole read.
    pub(super) fn append(&mut self, bytes: &[u8]) {
        let is_control = self.arriving.is_none() && bytes.first().is_none_or(|&first| begins_control(first));
        if is_control && self.input.capacity() == 0 && bytes.len() <= 2 * (MAX_HEAD + MAX_CONTROL) {
            self.input = BytesMut::from(bytes);
        } else {
            self.input().extend_from_slice(bytes);
        }
    }

    /// Returns whether bytes came since the input was last processed.
    #[inline]
    pub(super) fn has_news(&self) -> bool {
        self.input.len() > self.known
    }

    /// Notes that the input was processed up to its present length.
    #[inline]
    pub(super) fn note_what_is_known(&mut self) {
        self.known = self.input.len();
    }

    /// Frees memory that holds nothing.
    pub(super) fn rest(&mut self) {
        if self.input.is_empty() {
            self.input = BytesMut::new();
        }
        if self.inflated.is_empty() {
            self.inflated = BytesMut::new();
        }
        if let Some(inflate) = &mut self.inflate {
            inflate.rest();
        }
    }

    /// Begins a turn, in which a bounded number of bytes is inflated, and of control frames taken.
    #[inline]
    pub(super) fn begin_turn(&mut self) {
        self.allowance = TURN_BYTES;
        self.paused = false;
    }

    /// Returns whether the turn ended before the input did.
    #[inline]
    pub(super) fn is_paused(&self) -> bool {
        self.paused
    }

    /// Returns how many bytes were inflated since the last call.
    #[inline]
    pub(super) fn take_work(&mut self) -> usize {
        std::mem::take(&mut self.work)
    }

    /// Drops all input.
    pub(super) fn discard_input(&mut self) {
        self.paused = false;
        self.input.clear();
        self.known = 0;
        self.arriving = None;
    }

    /// Returns whether the input ends inside a frame or a fragmented message.
    pub(super) fn is_inside_message(&self) -> bool {
        self.message.is_some() || !self.input.is_empty()
    }

    /// Processes input up to the next control frame, or as far as it goes.
    pub(super) fn advance(
        &mut self,
        inbox: &mut Inbox,
        statistics: &mut Statistics,
    ) -> Result<Step, Failure> {
        loop {
            if self.arriving.is_some() {
                if !self.continue_payload(inbox, statistics)? {
                    return Ok(if self.paused { Step::Paused } else { Step::Starved });
                }
                continue;
            }
            let expected = Expected {
                role: self.role,
                compression: self.inflate.is_some(),
                inside_message: self.message.is_some(),
            };
            let Some(head) = frame::parse(&self.input, expected)? else { return Ok(Step::Starved) };
            let kind = match head.opcode {
                Opcode::Text => Some(Kind::Text),
                Opcode::Binary => Some(Kind::Binary),
                Opcode::Continuation => None,
                //= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
                //# An endpoint MUST be capable of handling control frames in the middle of a fragmented
                //# message.
                control => {
                    if self.allowance == 0 {
                        self.paused = true;
                        return Ok(Step::Paused);
                    }
                    let Some(payload) = self.take_control(head, statistics) else { return Ok(Step::Starved) };
                    return Ok(match control {
                        Opcode::Ping => Step::Ping(payload),
                        Opcode::Pong => Step::Pong(payload),
                        _ => Step::Close(payload),
                    });
                }
            };
            // One read may hold any number of messages when inflated. Those that exceed the
            // queue stay where they are.
            if inbox.is_full() {
                return Ok(Step::Full);
            }
            let length = self.check_limits(head)?;
            if let Some(kind) = kind
                && head.fin
                && !head.compressed
                && self.input.len() - head.length >= length
            {
                self.take_whole(kind, head, length, inbox, statistics)?;
            } else {
                //= https://www.rfc-editor.org/rfc/rfc6455#section-5.4
                //# Clients and servers MUST support receiving both fragmented and unfragmented messages.
                self.begin_payload(kind, head, length, statistics);
            }
        }
    }

    /// Returns whether everything that has arrived is taken: no part of a frame or of a message is left.
    #[inline]
    pub(super) fn is_at_rest(&self) -> bool {
        self.input.is_empty() && self.arriving.is_none() && self.message.is_none()
    }

    /// Takes the input if it is a single message in one short, uncompressed frame, and nothing else. Otherwise returns
    /// `None` and leaves it unchanged. Call it only [at rest](Self::is_at_rest).
    #[inline]
    pub(super) fn take_only(&mut self, statistics: &mut Statistics) -> Option<Fragment> {
        let kind = match self.input.first() {
            Some(0x81) => Kind::Text,
            Some(0x82) => Kind::Binary,
            _ => return None,
        };
        let masked = self.role == Role::Server;
        let (length, head) = match (*self.input.get(1)?).wrapping_sub(if masked { 0x80 } else { 0 }) {
            short @ ..126 => (usize::from(short), 2),
            126 => match u16::from_be_bytes(*self.input.get(2..)?.first_chunk()?) {
                ..126 => return None,
                long => (usize::from(long), 4),
            },
            _ => return None,
        };
        let head = if masked { head + 4 } else { head };
        if self.input.len() != head + length || self.only_max.is_none_or(|longest| length > longest) {
            return None;
        }
        let (before, payload) = self.input.split_at_mut(head);
        let mask = before.last_chunk().copied().filter(|_| masked);
        if let Some(mask) = mask {
            mask::apply(payload, mask);
        }
        if kind == Kind::Text && simdutf8::basic::from_utf8(payload).is_err() {
            if let Some(mask) = mask {
                mask::apply(payload, mask);
            }
            return None;
        }
        statistics.frame_received(head + length);
        statistics.message_received(false);
        self.input.advance(head);
        Some(Fragment { kind, data: self.view(length), first: true, last: true })
    }

    /// Takes a message in one uncompressed frame that has arrived as a whole: the common case.
    #[inline]
    fn take_whole(
        &mut self,
        kind: Kind,
        head: Head,
        length: usize,
        inbox: &mut Inbox,
        statistics: &mut Statistics,
    ) -> Result<(), Failure> {
        self.input.advance(head.length);
        let payload = &mut self.input[..length];
        if let Some(mask) = head.mask {
            mask::apply(payload, mask);
        }
        //= https://www.rfc-editor.org/rfc/rfc6455#section-8.1
        //# When an endpoint is to interpret a byte stream as UTF-8 but finds that the byte stream is not, in
        //# fact, a valid UTF-8 stream, that endpoint MUST _Fail the WebSocket Connection_.
        if kind == Kind::Text && simdutf8::basic::from_utf8(payload).is_err() {
            return Err(Violation::TextNotUtf8.into());
        }
        statistics.frame_received(head.length + length);
        let data = self.view(length);
        statistics.message_received(inbox.push(Fragment { kind, data, first: true, last: true }));
        Ok(())
    }

    /// Takes the payload at the front of the input.
    ///
    /// It is a view of the input's buffer, unless many bytes of control frames lie before it. Otherwise short messages
    /// in the queue could keep buffers alive that are full of pings. The limit is the overhead for which the inbox
    /// accounts with each piece.
    #[inline]
    fn view(&mut self, length: usize) -> Bytes {
        let skipped = std::mem::take(&mut self.skipped);
        if skipped <= 128 + length / 8 {
            return self.input.split_to(length).freeze();
        }
        let copy = Bytes::copy_from_slice(&self.input[..length]);
        self.input.advance(length);
        copy
    }

    /// Takes a control frame, if it is complete.
    fn take_control(&mut self, head: Head, statistics: &mut Statistics) -> Option<Control> {
        // At most 125: the head was checked.
        let length = head.payload as usize;
        let mut payload = Control::new(self.input.get(head.length..head.length + length)?);
        if let Some(mask) = head.mask {
            mask::apply(&mut payload.bytes[..length], mask);
        }
        self.input.advance(head.length + length);
        self.skipped = self.skipped.saturating_add(head.length + length);
        statistics.frame_received(head.length + length);
        self.work = self.work.saturating_add(CONTROL_COST);
        self.allowance = self.allowance.saturating_sub(CONTROL_COST);
        Some(payload)
    }

    /// Checks a data frame against the limits (RFC 6455, section 10.4), and returns the length of its payload.
    #[inline]
    fn check_limits(&self, head: Head) -> Result<usize, Failure> {
        let length = usize::try_from(head.payload).unwrap_or(usize::MAX);
        //= https://www.rfc-editor.org/rfc/rfc6455#section-10.4
        //# Implementations that have implementation- and/or platform-specific limitations regarding the frame
        //# size or total message size after reassembly from multiple frames MUST protect themselves against
        //# exceeding those limits.
        if length > self.max_frame {
            return Err(Failure::Limit { limit: Limit::Frame, allowed: self.max_frame });
        }
        let (bytes, frames, compressed) = match &self.message {
            Some(message) => (message.bytes, message.frames, message.compressed),
            None => (0, 0, head.compressed),
        };
        // The inflated length of a compressed frame is checked while it is inflated.
        if !compressed && bytes.saturating_add(length) > self.max_message {
            return Err(Failure::Limit { limit: Limit::Message, allowed: self.max_message });
        }
        if frames >= self.max_frames {
            return Err(Failure::Limit { limit: Limit::Fragments, allowed: self.max_frames });
        }
        Ok(length)
    }

    /// Begins a data frame whose payload is incomplete, compressed, or a fragment.
    fn begin_payload(&mut self, kind: Option<Kind>, head: Head, length: usize, statistics: &mut Statistics) {
        if let Some(kind) = kind {
            self.message = Some(Unfinished { kind, compressed: head.compressed, bytes: 0, frames: 0 });
        }
        if let Some(message) = &mut self.message {
            message.frames += 1;
            message.bytes += if message.compressed { 0 } else { length };
        }
        self.input.advance(head.length);
        statistics.frame_received(head.length);
        self.arriving = Some(Arriving { length, seen: 0, mask: head.mask, fin: head.fin });
    }

    /// Unmasks and validates what has arrived of the payload. Returns whether it is complete and taken. It is not if
    /// the turn ends before it is inflated.
    fn continue_payload(&mut self, inbox: &mut Inbox, statistics: &mut Statistics) -> Result<bool, Failure> {
        let (Some(frame), Some(message)) = (&mut self.arriving, &mut self.message) else { return Ok(false) };
        let available = self.input.len().min(frame.length);
        let fresh = &mut self.input[frame.seen..available];
        statistics.bytes_received += fresh.len() as u64;
        //= https://www.rfc-editor.org/rfc/rfc6455#section-6.2
        //# A server MUST remove masking for data frames received from a client as described in Section 5.3.
        if let Some(mask) = frame.mask {
            mask::apply(fresh, mask::at_offset(mask, frame.seen));
        }
        if message.kind == Kind::Text && !message.compressed {
            self.utf8.push(fresh).map_err(|_| Violation::TextNotUtf8)?;
        }
        frame.seen = available;
        if available < frame.length {
            return Ok(false);
        }
        let Arriving { length, fin, .. } = *frame;
        let (kind, first, compressed) = (message.kind, message.frames == 1, message.compressed);
        // Input that is dropped is not inflated: nothing after it is delivered, so its window is not needed either.
        let skips = compressed && inbox.is_discarding();
        let data = match compressed {
            true if skips => {
                self.input.advance(length);
                Bytes::new()
            }
            true => match self.inflate(length, fin)? {
                Some(data) => data,
                None => return Ok(false),
            },
            false => self.view(length),
        };
        self.arriving = None;
        if fin {
            self.message = None;
            if skips {
                self.utf8 = Utf8::default();
            } else if kind == Kind::Text {
                //= https://www.rfc-editor.org/rfc/rfc6455#section-5.6
                //# the whole message MUST contain valid UTF-8.
                self.utf8.finish().map_err(|_| Violation::TextNotUtf8)?;
            }
        }
        let dropped = inbox.push(Fragment { kind, data, first, last: fin });
        if fin {
            statistics.message_received(dropped);
        }
        Ok(true)
    }

    /// Inflates the compressed payload at the front of the input, of which `length` bytes are left. Returns `None` if
    /// this turn ends before that is done.
    fn inflate(&mut self, length: usize, last: bool) -> Result<Option<Bytes>, Failure> {
        let (Some(inflate), Some(message)) = (&mut self.inflate, &mut self.message) else {
            return Err(Violation::ReservedBit.into());
        };
        let limit = self.max_message.saturating_sub(message.bytes);
        // Many short messages share a buffer, as uncompressed ones do. A full buffer is followed by another of its
        // size, or used again if none of its messages is left.
        if self.inflated.capacity() == 0 {
            self.inflated.reserve(self.read_buffer);
        }
        let mut left = length;
        loop {
            if self.allowance == 0 {
                self.arriving = self.arriving.map(|frame| Arriving { length: left, seen: left, ..frame });
                self.paused = true;
                return Ok(None);
            }
            let before = self.inflated.len();
            let part = left.min(self.allowance);
            let ends = last && part == left;
            let input = &self.input[..part];
            let result = inflate.decompress(input, ends, &mut self.inflated, limit, self.allowance);
            // What came before an error is validated first: so the failure is that of the first byte that proves one.
            if message.kind == Kind::Text {
                self.utf8.push(&self.inflated[before..]).map_err(|_| Violation::TextNotUtf8)?;
            }
            let Progress { read, done } = result.map_err(|error| match error {
                InflateError::TooLarge => Failure::Limit { limit: Limit::Message, allowed: self.max_message },
                InflateError::Corrupt => Violation::CorruptCompression.into(),
            })?;
            self.input.advance(read);
            left -= read;
            let complete = done && left == 0;
            let cost = read + self.inflated.len() - before + if complete { FRAME_COST } else { 0 };
            self.work = self.work.saturating_add(cost);
            self.allowance = self.allowance.saturating_sub(cost.max(1));
            if complete {
                break;
            }
        }
        self.skipped = 0;
        let data = self.inflated.split().freeze();
        message.bytes += data.len();
        Ok(Some(data))
    }
}
