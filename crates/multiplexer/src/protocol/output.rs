//! What waits for the transport: control frames first, then data.
//!
//! Frames are encoded when they are made. Acknowledgements, credit, pings, pongs and GoAway overtake the data that
//! waits; FIN and RST do not, as they must not overtake the data of their stream.
//!
//! # Invariants
//!
//! - Control frames are bounded: pongs by their number, refusals by theirs, a ping is one, the credit of a stream is
//!   one, and no stream is opened or accepted while [`Output::is_congested`].
//! - Data is bounded by the turns of writers, and by one FIN and one RST a stream.

use std::collections::VecDeque;
use std::fmt;
use std::io::IoSlice;

use super::frame::{Flags, HEADER_BYTES, Header, Kind};
use crate::config::Limits;
use crate::error::ResetCode;

/// Where the length stands in a header.
const LENGTH_AT: usize = HEADER_BYTES - 4;

/// Buffers that are larger than this are not kept when they are empty.
const KEPT_BYTES: usize = 1024 * 1024;

/// Bytes that the driver is writing to the transport.
#[derive(Default)]
pub struct Transmit {
    control: Vec<u8>,
    data: Vec<u8>,
    written: usize,
}

impl Transmit {
    /// Returns a transmit without bytes.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Whether everything is written.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.written == self.control.len() + self.data.len()
    }

    /// How many bytes are left to write.
    #[must_use]
    pub fn len(&self) -> usize {
        self.control.len() + self.data.len() - self.written
    }

    /// What is left to write: two slices, of which the first or both may be empty.
    #[must_use]
    pub fn slices(&self) -> [IoSlice<'_>; 2] {
        let control = &self.control[self.written.min(self.control.len())..];
        let data = &self.data[self.written.saturating_sub(self.control.len())..];
        [IoSlice::new(control), IoSlice::new(data)]
    }

    /// What is left to write, as far as it is in one piece.
    #[must_use]
    pub fn first(&self) -> &[u8] {
        match self.control.get(self.written..) {
            Some(control) if !control.is_empty() => control,
            _ => &self.data[self.written - self.control.len()..],
        }
    }

    /// The first `count` bytes are written.
    ///
    /// # Panics
    ///
    /// If that is more than there are.
    pub fn advance(&mut self, count: usize) {
        assert!(count <= self.len(), "no more is written than there is");
        self.written += count;
    }

    fn reset(&mut self) {
        self.written = 0;
        for buffer in [&mut self.control, &mut self.data] {
            if buffer.capacity() > KEPT_BYTES {
                *buffer = Vec::new();
            }
            buffer.clear();
        }
    }
}

/// What waits for the transport.
pub(crate) struct Output {
    control: Vec<u8>,
    data: Vec<u8>,
    pongs: VecDeque<u32>,
    pongs_max: usize,
    /// Control bytes beyond which no stream is opened or accepted.
    control_max: usize,
    /// Refusals among the control frames.
    refusals: u32,
    /// Bytes of data that were ever put in, taken by the driver, and written by it.
    committed: u64,
    taken: u64,
    written: u64,
    /// Up to where data can still be written. What is behind was discarded, although the count goes on.
    kept: u64,
    /// The driver has taken something that is not all written.
    under_way: bool,
    pub(crate) frames: u64,
}

impl Output {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self {
            control: Vec::new(),
            data: Vec::new(),
            pongs: VecDeque::new(),
            pongs_max: usize::try_from(limits.pending_pongs).unwrap_or(usize::MAX).max(1),
            control_max: limits.control_bytes,
            refusals: 0,
            committed: 0,
            taken: 0,
            written: 0,
            kept: u64::MAX,
            under_way: false,
            frames: 0,
        }
    }

    /// Puts a control frame behind the others.
    pub(crate) fn control(&mut self, kind: Kind, flags: Flags, stream: u32, length: u32) {
        self.frames += 1;
        self.control.extend_from_slice(&Header::new(kind, flags, stream, length).encode());
    }

    /// Refuses a stream of the peer.
    pub(crate) fn refuse(&mut self, stream: u32) {
        self.refusals += 1;
        // With ACK: hashicorp/yamux keeps a slot for every stream that was not acknowledged.
        self.control(Kind::WindowUpdate, Flags::ACK.and(Flags::RST), stream, 0);
    }

    /// How many refusals wait.
    pub(crate) fn refusals(&self) -> u32 {
        self.refusals
    }

    /// Grants credit. A grant that still waits for the transport is increased: a peer that sends without reading makes
    /// no more than one frame wait. `place` remembers where the latest grant of the stream waits.
    pub(crate) fn credit(&mut self, stream: u32, delta: u32, place: &mut u32) {
        let fresh = Header::new(Kind::WindowUpdate, Flags::NONE, stream, delta).encode();
        let at = *place as usize;
        if let Some(waiting) = self.control.get_mut(at..at + HEADER_BYTES)
            && waiting[..LENGTH_AT] == fresh[..LENGTH_AT]
            && let Some(length) = waiting[LENGTH_AT..].first_chunk().map(|length| u32::from_be_bytes(*length))
            && let Some(sum) = length.checked_add(delta)
        {
            waiting[LENGTH_AT..].copy_from_slice(&sum.to_be_bytes());
            return;
        }
        *place = u32::try_from(self.control.len()).unwrap_or(u32::MAX);
        self.frames += 1;
        self.control.extend_from_slice(&fresh);
    }

    /// Answers a ping. Of those that wait, the latest are kept.
    pub(crate) fn pong(&mut self, opaque: u32) {
        if self.pongs.len() == self.pongs_max {
            self.pongs.pop_front();
        }
        self.pongs.push_back(opaque);
    }

    /// Puts a frame without payload behind the data. Returns where it ends.
    pub(crate) fn behind_data(&mut self, kind: Kind, flags: Flags, stream: u32, length: u32) -> u64 {
        self.frames += 1;
        self.data.extend_from_slice(&Header::new(kind, flags, stream, length).encode());
        self.committed += HEADER_BYTES as u64;
        self.committed
    }

    pub(crate) fn fin(&mut self, stream: u32) -> u64 {
        self.behind_data(Kind::WindowUpdate, Flags::FIN, stream, 0)
    }

    pub(crate) fn rst(&mut self, stream: u32, code: ResetCode) -> u64 {
        self.behind_data(Kind::WindowUpdate, Flags::RST, stream, code.get())
    }

    /// Puts a data frame behind the data: the first `length` bytes of `slices`. Returns where it ends.
    #[inline]
    pub(crate) fn data(&mut self, stream: u32, length: u32, slices: &[IoSlice<'_>]) -> u64 {
        self.frames += 1;
        let bytes = length as usize;
        self.data.reserve(HEADER_BYTES + bytes);
        self.data.extend_from_slice(&Header::new(Kind::Data, Flags::NONE, stream, length).encode());
        let mut left = bytes;
        for slice in slices {
            let piece = slice.len().min(left);
            self.data.extend_from_slice(&slice[..piece]);
            left -= piece;
            if left == 0 {
                break;
            }
        }
        self.committed += (HEADER_BYTES + bytes) as u64;
        self.committed
    }

    /// Bytes of data that wait.
    #[inline]
    pub(crate) fn pending(&self) -> usize {
        self.data.len()
    }

    /// Whether so many control frames wait that no more streams shall be opened.
    #[inline]
    pub(crate) fn is_congested(&self) -> bool {
        self.control.len() > self.control_max
    }

    /// Whether anything waits, or is being written.
    pub(crate) fn is_idle(&self) -> bool {
        !self.under_way && self.is_empty()
    }

    #[inline]
    pub(crate) fn is_empty(&self) -> bool {
        self.data.is_empty() && self.control.is_empty() && self.pongs.is_empty()
    }

    /// Whether everything up to `end` is written.
    #[inline]
    pub(crate) fn is_written(&self, end: u64) -> bool {
        self.written.min(self.kept) >= end
    }

    /// Whether something before `end` will never be written.
    #[inline]
    pub(crate) fn is_lost(&self, end: u64) -> bool {
        end > self.kept
    }

    /// Moves everything into `transmit`, which must be empty.
    pub(crate) fn take(&mut self, transmit: &mut Transmit) {
        transmit.reset();
        while let Some(opaque) = self.pongs.pop_front() {
            self.control(Kind::Ping, Flags::ACK, 0, opaque);
        }
        std::mem::swap(&mut self.control, &mut transmit.control);
        std::mem::swap(&mut self.data, &mut transmit.data);
        self.refusals = 0;
        self.taken = self.committed;
        self.under_way = true;
    }

    /// Everything that was taken is written.
    pub(crate) fn all_written(&mut self) {
        self.under_way = false;
        self.written = self.taken;
    }

    /// The transport takes nothing any more: what waits is dropped, and what was taken is lost.
    pub(crate) fn cut_off(&mut self) {
        self.discard();
        self.kept = self.kept.min(self.written);
        self.under_way = false;
    }

    /// Drops what waits. What the driver has taken goes out.
    pub(crate) fn discard(&mut self) {
        self.kept = self.kept.min(self.taken);
        self.refusals = 0;
        self.control.clear();
        self.data.clear();
        self.pongs.clear();
    }

    /// Bytes of memory, for checks of the bounds.
    pub(crate) fn bytes(&self) -> usize {
        self.control.len() + self.data.len() + self.pongs.len() * HEADER_BYTES
    }

    /// Asserts that control frames are bounded, with `streams` streams on the wire, whatever the peer sends without
    /// reading.
    pub(crate) fn assert_bounded(&self, limits: &Limits, streams: usize) {
        let refusals = limits.pending_refusals as usize + 1;
        // Of a stream: its credit, and the request to stop. Of the session: a ping, and what made it congested.
        let control = self.control_max + HEADER_BYTES * (2 * streams + refusals + 4);
        assert!(self.control.len() <= control, "{} B of control frames wait", self.control.len());
        assert!(self.pongs.len() <= self.pongs_max, "pongs are bounded");
    }
}

impl fmt::Debug for Transmit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transmit").field("left", &self.len()).finish_non_exhaustive()
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut output = f.debug_struct("Output");
        output.field("control_bytes", &self.control.len()).field("data_bytes", &self.data.len());
        output.field("pongs", &self.pongs.len()).field("under_way", &self.under_way).finish_non_exhaustive()
    }
}
