//! Turns messages into bytes: compresses and masks frames, and puts each into the output as a whole or not at all.

use bytes::BytesMut;
use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};

use super::Role;
use super::frame::{self, FIN, MAX_HEAD, Opcode, RSV1};
use super::mask;
use super::output::Output;
use super::receive::Control;
use super::statistics::Statistics;
use crate::deflate::Compressor;
use crate::{Compression, Error, Kind, Limits};

/// Buffers of deflated payloads up to this capacity are kept; larger ones are freed.
const KEPT_CAPACITY: usize = 8 << 20;

/// Payloads up to this length are compressed inside the connection: that takes less time than to lend the compressor.
const DEFLATED_INSIDE: usize = 4 << 10;

/// Longer payloads are compressed in parts of this length.
const DEFLATED_AT_ONCE: usize = 32 << 10;

/// A data frame to send: a whole message, or a fragment of one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Piece<'a> {
    pub(crate) kind: Kind,
    pub(crate) payload: &'a [u8],
    pub(crate) part: Part,
    /// Whether to compress, if that was negotiated. `None`: the threshold decides.
    pub(crate) compress: Option<bool>,
}

/// Which part of its message a [`Piece`] is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Part {
    Whole,
    Fragment { last: bool },
}

/// How a [`Piece`] is sent.
#[derive(Debug, Clone, Copy)]
struct Plan {
    opcode: Opcode,
    flags: u8,
    compressed: bool,
}

/// A payload that is being compressed outside the connection, a bounded part at a time.
#[derive(Debug)]
pub(crate) struct Deflating {
    compressor: Compressor,
    deflated: BytesMut,
    /// How many bytes of the payload have been compressed.
    taken: usize,
}

impl Deflating {
    /// Compresses the next part of the payload of `piece`, which must be the same in each call. Returns whether that
    /// was the last part.
    pub(crate) fn advance(&mut self, piece: Piece<'_>) -> bool {
        let rest = &piece.payload[self.taken..];
        let (part, rest) = rest.split_at(rest.len().min(DEFLATED_AT_ONCE));
        self.taken += part.len();
        if !rest.is_empty() {
            self.compressor.feed(part, &mut self.deflated);
            return false;
        }
        let ends_message = piece.part != (Part::Fragment { last: false });
        self.compressor.compress(part, ends_message, &mut self.deflated);
        true
    }
}

/// The message that is being sent in fragments.
#[derive(Debug, Clone, Copy)]
struct Unfinished {
    kind: Kind,
    compressed: bool,
}

/// The sending half of a connection.
#[derive(Debug)]
pub(super) struct Sender {
    /// The source of masks and of payloads of pings. The peer and the application cannot predict it (RFC 6455, section
    /// 5.3), yet it is a function of the connection's seed.
    rng: StdRng,
    masks: bool,
    output: Output,
    /// How many bytes have left `output` in all.
    written: u64,
    max_output: usize,
    deflate: Option<Compressor>,
    deflated: BytesMut,
    threshold: usize,
    /// What was deflated since [`take_work`](Self::take_work) was last called, without the parts that had a turn of
    /// their own.
    work: usize,
    message: Option<Unfinished>,
    /// The pong that waits for room in the output.
    pong: Option<Control>,
}

impl Sender {
    pub(super) fn new(
        role: Role,
        limits: &Limits,
        compression: &Compression,
        deflate: Option<Compressor>,
        seed: [u8; 32],
    ) -> Self {
        Self {
            rng: StdRng::from_seed(seed),
            masks: role == Role::Client,
            output: Output::new(limits.write_buffer),
            written: 0,
            // With a limit of zero nothing could ever be sent.
            max_output: limits.write_buffer.max(1),
            deflate,
            deflated: BytesMut::new(),
            threshold: compression.threshold,
            work: 0,
            message: None,
            pong: None,
        }
    }

    #[inline]
    pub(super) fn output(&self) -> &[u8] {
        self.output.waiting()
    }

    #[inline]
    pub(super) fn is_full(&self) -> bool {
        self.output().len() >= self.max_output
    }

    /// Returns whether nothing waits to be written and no message is unfinished.
    #[inline]
    pub(super) fn is_at_rest(&self) -> bool {
        self.output().is_empty() && self.message.is_none() && self.pong.is_none()
    }

    /// Returns the count of written bytes at which all of the output is written.
    pub(super) fn end(&self) -> u64 {
        self.written + self.output().len() as u64
    }

    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// # Panics
    ///
    /// If `count` is more than the length of the output: the driver counted wrongly.
    pub(super) fn output_written(&mut self, count: usize, statistics: &mut Statistics) {
        assert!(count <= self.output().len(), "no more is written than the output holds");
        self.output.written(count);
        self.written += count as u64;
        statistics.bytes_sent += count as u64;
        if !self.is_full() {
            self.flush_pong(statistics);
        }
    }

    /// Drops all output.
    pub(super) fn discard_output(&mut self) {
        self.output.discard();
        self.pong = None;
    }

    /// Puts a data frame into the output.
    #[inline]
    pub(super) fn put(&mut self, piece: Piece<'_>, statistics: &mut Statistics) -> Result<(), Error> {
        let plan = self.plan(piece)?;
        if plan.compressed {
            self.compressed_frame(plan, piece, statistics);
        } else {
            self.frame(plan.opcode, plan.flags, piece.payload, statistics);
        }
        self.was_put(piece, plan, statistics);
        Ok(())
    }

    /// Returns how many bytes were deflated since the last call, without the parts that had a turn of their own.
    #[inline]
    pub(super) fn take_work(&mut self) -> usize {
        std::mem::take(&mut self.work)
    }

    /// Lends the compressor, to compress a long payload without the connection. Returns `None` if `piece` is short or
    /// not to be compressed. No data may be sent until [`put_deflated`](Self::put_deflated) or
    /// [`give_up`](Self::give_up).
    #[inline]
    pub(super) fn begin_deflating(&mut self, piece: Piece<'_>) -> Option<Deflating> {
        if piece.payload.len() <= DEFLATED_INSIDE || !self.plan(piece).is_ok_and(|plan| plan.compressed) {
            return None;
        }
        Some(Deflating { compressor: self.deflate.take()?, deflated: BytesMut::new(), taken: 0 })
    }

    /// Puts a data frame into the output whose payload was compressed without the connection.
    pub(super) fn put_deflated(
        &mut self,
        piece: Piece<'_>,
        deflating: Deflating,
        statistics: &mut Statistics,
    ) -> Result<(), Error> {
        debug_assert_eq!(deflating.taken, piece.payload.len(), "all of the payload is compressed");
        // The plan finds the compressor in its place, as it did when this began.
        self.deflate = Some(deflating.compressor);
        self.work = self.work.saturating_add(piece.payload.len().min(DEFLATED_AT_ONCE));
        let plan = self.plan(piece)?;
        self.frame(plan.opcode, plan.flags, &deflating.deflated, statistics);
        self.was_put(piece, plan, statistics);
        Ok(())
    }

    /// Takes the compressor back without sending.
    pub(super) fn give_up(&mut self, mut deflating: Deflating) {
        deflating.compressor.forget();
        self.deflate = Some(deflating.compressor);
    }

    /// Frees memory that was not used since the last call.
    pub(super) fn rest(&mut self) {
        if self.message.is_none()
            && let Some(deflate) = &mut self.deflate
        {
            deflate.rest();
        }
        self.deflated = BytesMut::new();
        self.output.rest();
    }

    /// Returns how to send `piece`. By RFC 6455, section 5.4, the first fragment has the message's opcode, the others
    /// are continuations, and the last has FIN.
    #[inline]
    fn plan(&self, piece: Piece<'_>) -> Result<Plan, Error> {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-6.1
        //# The FIN bit (frame-fin) of the last frame containing the data MUST be set to 1 as defined in Section
        //# 5.2.
        let fin = if piece.part == (Part::Fragment { last: false }) { 0 } else { FIN };
        match self.message {
            Some(message) if piece.part != Part::Whole && message.kind == piece.kind => {
                Ok(Plan { opcode: Opcode::Continuation, flags: fin, compressed: message.compressed })
            }
            Some(_) => Err(Error::UnfinishedMessage),
            None => {
                let wanted = piece.compress.unwrap_or(piece.payload.len() >= self.threshold);
                let compressed = wanted && self.deflate.is_some();
                let rsv1 = if compressed { RSV1 } else { 0 };
                Ok(Plan { opcode: opcode(piece.kind), flags: fin | rsv1, compressed })
            }
        }
    }

    #[inline]
    fn was_put(&mut self, piece: Piece<'_>, plan: Plan, statistics: &mut Statistics) {
        if plan.flags & FIN != 0 {
            self.message = None;
            statistics.messages_sent += 1;
        } else {
            self.message = Some(Unfinished { kind: piece.kind, compressed: plan.compressed });
        }
    }

    /// Puts a ping into the output, and returns its payload.
    pub(super) fn ping(&mut self, statistics: &mut Statistics) -> [u8; 8] {
        let payload = self.rng.next_u64().to_ne_bytes();
        self.ping_with(&payload, statistics);
        payload
    }

    /// Puts a ping with this payload, of at most 125 bytes, into the output.
    pub(super) fn ping_with(&mut self, payload: &[u8], statistics: &mut Statistics) {
        self.frame(Opcode::Ping, FIN, payload, statistics);
    }

    /// Answers a ping at once if there is room. Otherwise the answer waits, and replaces the one that waits. So a flood
    /// of pings takes no memory. RFC 6455, section 5.5.3 allows an endpoint to answer only the latest ping.
    pub(super) fn pong(&mut self, ping: Control, statistics: &mut Statistics) {
        statistics.pings_received += 1;
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.3
        //# If an endpoint receives a Ping frame and has not yet sent Pong frame(s) in response to previous Ping
        //# frame(s), the endpoint MAY elect to send a Pong frame for only the most recently processed Ping
        //# frame.
        statistics.pings_superseded += u64::from(self.pong.replace(ping).is_some());
        if !self.is_full() {
            self.flush_pong(statistics);
        }
    }

    /// Puts an unsolicited pong into the output, after the one that waits.
    pub(super) fn unsolicited_pong(&mut self, pong: Control, statistics: &mut Statistics) {
        self.flush_pong(statistics);
        self.frame(Opcode::Pong, FIN, pong.payload(), statistics);
    }

    /// Puts the Close frame into the output, after the pong that waits.
    pub(super) fn close(&mut self, payload: &[u8], statistics: &mut Statistics) {
        self.flush_pong(statistics);
        self.frame(Opcode::Close, FIN, payload, statistics);
    }

    //= https://www.rfc-editor.org/rfc/rfc6455#section-5.5.3
    //# A Pong frame sent in response to a Ping frame must have identical "Application data" as found in the
    //# message body of the Ping frame being replied to.
    fn flush_pong(&mut self, statistics: &mut Statistics) {
        if let Some(pong) = self.pong.take() {
            self.frame(Opcode::Pong, FIN, pong.payload(), statistics);
        }
    }

    #[cold]
    fn compressed_frame(&mut self, plan: Plan, piece: Piece<'_>, statistics: &mut Statistics) {
        let mut deflated = std::mem::take(&mut self.deflated);
        deflated.clear();
        if let Some(deflate) = &mut self.deflate {
            // The result is sent even if it is longer: the peer's window has to follow ours.
            deflate.compress(piece.payload, plan.flags & FIN != 0, &mut deflated);
            self.work = self.work.saturating_add(piece.payload.len());
        }
        self.frame(plan.opcode, plan.flags, &deflated, statistics);
        if deflated.capacity() <= KEPT_CAPACITY {
            self.deflated = deflated;
        }
    }

    #[inline]
    fn frame(&mut self, opcode: Opcode, flags: u8, payload: &[u8], statistics: &mut Statistics) {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.1
        //# a client MUST mask all frames that it sends to the server
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.1
        //# A server MUST NOT mask any frames that it sends to the client.
        //= https://www.rfc-editor.org/rfc/rfc6455#section-5.3
        //# When preparing a masked frame, the client MUST pick a fresh masking key from the set of allowed
        //# 32-bit values.
        let mask = self.masks.then(|| self.rng.next_u32().to_ne_bytes());
        let room = self.output.room(MAX_HEAD + payload.len());
        let head = room.first_chunk_mut().expect("the room is longer than a head");
        let length = frame::write(head, opcode, flags, payload.len(), mask);
        let room = &mut room[length..][..payload.len()];
        match mask {
            Some(mask) => mask::copy(room, payload, mask),
            None => room.copy_from_slice(payload),
        }
        self.output.filled(length + payload.len());
        statistics.frames_sent += 1;
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-6.1
//# The opcode (frame-opcode) of the first frame containing the data MUST be set to the appropriate value from
//# Section 5.2 for data that is to be interpreted by the recipient as text or binary data.
const fn opcode(kind: Kind) -> Opcode {
    match kind {
        Kind::Text => Opcode::Text,
        Kind::Binary => Opcode::Binary,
    }
}
