//! Reading from streams, and the credit that this gives the peer.

use std::task::Poll;
use std::time::Duration;

use bytes::Bytes;
use wavetank_runtime::Instant;

use super::stream::ReceiveState;
use super::{Connection, StreamKey};
use crate::config::INITIAL_WINDOW_BYTES;
use crate::error::{LocalReset, ReadError};

/// How old a measurement of the round-trip time may be while windows are tuned by it.
const ROUND_TRIP_AGE: Duration = Duration::from_secs(10);

impl Connection {
    /// Reads up to `max` bytes into `sink`, which is called for each piece. `Ready(Ok(0))` is the end of the stream,
    /// unless `max` is 0. After `Pending`, [`wait_readable`](Self::wait_readable) asks for an event.
    ///
    /// # Errors
    ///
    /// As [`ReadError`] says. What was received before the failure is read first.
    ///
    /// # Panics
    ///
    /// If both halves of the stream were dropped.
    #[inline]
    pub fn read_with(
        &mut self,
        key: StreamKey,
        max: usize,
        mut sink: impl FnMut(&[u8]),
    ) -> Poll<Result<usize, ReadError>> {
        let receive = &mut self.streams.get(key).receive;
        let mut count = 0;
        while count < max && receive.buffer.len() > 0 {
            let front = receive.buffer.front();
            let piece = front.len().min(max - count);
            sink(&front[..piece]);
            receive.buffer.consume(piece, &mut self.spares);
            count += piece;
        }
        if count == 0 {
            return if max == 0 { Poll::Ready(Ok(0)) } else { self.nothing_to_read(key).map_ok(|()| 0) };
        }
        self.was_read(key, count);
        Poll::Ready(Ok(count))
    }

    /// Takes the next bytes, up to `max`, in one piece and mostly without a copy. An empty piece is the end of the
    /// stream.
    ///
    /// # Errors
    ///
    /// As for [`read_with`](Self::read_with).
    ///
    /// # Panics
    ///
    /// If both halves of the stream were dropped.
    pub fn read_chunk(&mut self, key: StreamKey, max: usize) -> Poll<Result<Bytes, ReadError>> {
        let receive = &mut self.streams.get(key).receive;
        if receive.buffer.len() == 0 || max == 0 {
            return if max == 0 {
                Poll::Ready(Ok(Bytes::new()))
            } else {
                self.nothing_to_read(key).map_ok(|()| Bytes::new())
            };
        }
        let chunk = receive.buffer.take(max, &mut self.spares);
        self.was_read(key, chunk.len());
        Poll::Ready(Ok(chunk))
    }

    /// Takes the next bytes, up to `max`, if that needs no copy: the caller can copy them without a lock.
    ///
    /// # Panics
    ///
    /// If both halves of the stream were dropped.
    #[inline]
    pub fn read_shared(&mut self, key: StreamKey, max: usize) -> Option<Bytes> {
        let shared = self.streams.get(key).receive.buffer.take_shared(max, &mut self.spares)?;
        self.was_read(key, shared.len());
        Some(shared)
    }

    /// The end, an error, or nothing yet.
    fn nothing_to_read(&mut self, key: StreamKey) -> Poll<Result<(), ReadError>> {
        let closed = self.ending.deaf();
        let stream = self.streams.get(key);
        if stream.receive.stopped {
            return Poll::Ready(Err(ReadError::Stopped));
        }
        match (stream.receive.state, stream.reset, closed) {
            (ReceiveState::Finished, ..) => Poll::Ready(Ok(())),
            (_, Some(reset), _) => Poll::Ready(Err(reset.read_error())),
            (_, None, Some(closed)) => Poll::Ready(Err(ReadError::Closed(closed.clone()))),
            (_, None, None) if stream.receive.expired => Poll::Ready(Err(ReadError::TimedOut)),
            (_, None, None) => Poll::Pending,
        }
    }

    /// Asks for [`Event::Readable`](super::Event::Readable) once reading may have another result.
    ///
    /// # Panics
    ///
    /// If both halves of the stream were dropped.
    #[inline]
    pub fn wait_readable(&mut self, key: StreamKey) {
        self.streams.get(key).receive.waits = true;
    }

    #[inline]
    fn was_read(&mut self, key: StreamKey, count: usize) {
        self.buffered -= count;
        self.replenish(key.index);
    }

    /// Grants credit if three eighths of the window or more are free.
    ///
    /// With half, two reads of 64 KiB would grant nothing on the smallest window, because they carry headers, too. The
    /// peer would wait for a round trip with a part of the window.
    #[inline]
    pub(crate) fn replenish(&mut self, index: u32) {
        let under_way = self.parser.under_way(index);
        let stream = self.streams.at(index);
        let receive = &stream.receive;
        if receive.state != ReceiveState::Open {
            return;
        }
        // What waits, what is still to come of the current frame, and what the peer may send beyond it fill the window.
        let buffered = u32::try_from(receive.buffer.len()).unwrap_or(u32::MAX);
        let used = buffered.saturating_add(receive.credit).saturating_add(under_way);
        let free = receive.window.saturating_sub(used);
        // Inbound streams that wait to be accepted get their first credit with the acknowledgement.
        let acknowledged = stream.outbound || stream.acknowledged;
        if free >= receive.window / 8 * 3 && acknowledged && self.ending.is_open() {
            self.grant(index, free);
        }
    }

    #[cold]
    fn grant(&mut self, index: u32, free: u32) {
        let extra = self.tune(index);
        let latest = self.latest;
        let stream = self.streams.at(index);
        stream.receive.window += extra;
        stream.receive.credit += free + extra;
        stream.receive.granted_at = latest;
        self.tuned += u64::from(extra);
        self.output.credit(stream.id, free + extra, &mut stream.receive.grant_place);
    }

    /// By how much the window grows: to four times its size if credit was used up in about one round trip, to twice if
    /// in two. The first says that the peer has waited for credit.
    fn tune(&mut self, index: u32) -> u32 {
        let largest = self.config.window.last();
        let (latest, windows) = (self.latest, self.windows());
        let budget = u64::try_from(self.config.limits.receive_budget_bytes).unwrap_or(u64::MAX);
        let receive = &self.streams.at(index).receive;
        if receive.window >= largest || receive.stopped {
            return 0;
        }
        let (window, since_grant) = (receive.window, latest - receive.granted_at);
        if self.pings.is_stale(ROUND_TRIP_AGE, latest) {
            self.pings.queue();
        }
        let Some(round_trip) = self.pings.least_known(latest) else { return 0 };
        let growth = if since_grant <= round_trip * 5 / 4 {
            3 * window
        } else if since_grant <= 2 * round_trip {
            window
        } else {
            return 0;
        };
        let left = u32::try_from(budget.saturating_sub(windows)).unwrap_or(u32::MAX);
        growth.min(largest - window).min(left)
    }

    /// The windows of all streams together, in bytes.
    fn windows(&self) -> u64 {
        self.streams.on_wire() as u64 * u64::from(INITIAL_WINDOW_BYTES) + self.tuned
    }

    /// Payload came for a stream that is not read any more. Returns how many bytes of it are beyond what the peer may
    /// send so; then the stream is reset.
    pub(crate) fn discarded(&mut self, index: u32, count: usize) -> usize {
        let budget = self.config.limits.drain_budget_bytes;
        let stream = self.streams.at(index);
        if stream.receive.stop_sent {
            return 0;
        }
        if stream.fin_sent() {
            // The peer would now wait for credit that never comes.
            let is_used_up = stream.receive.credit == 0;
            if is_used_up {
                self.reset_here(index, LocalReset::Linger);
            }
            return if is_used_up { count } else { 0 };
        }
        stream.receive.drained += count as u64;
        let excess = stream.receive.drained.saturating_sub(budget);
        if excess > 0 {
            self.reset_here(index, LocalReset::DrainBudget);
        } else {
            self.replenish(index);
        }
        usize::try_from(excess).unwrap_or(count).min(count)
    }

    /// Sets until when a reader waits. `None`: for ever. Reads that need not wait succeed after it, too.
    ///
    /// # Panics
    ///
    /// If both halves of the stream were dropped.
    pub fn set_read_deadline(&mut self, key: StreamKey, deadline: Option<Instant>, now: Instant) {
        let stream = self.streams.get(key);
        if let Some(old) = std::mem::replace(&mut stream.receive.deadline, deadline) {
            self.timers.cancel(old, key.index, super::timers::Timer::Read);
        }
        stream.receive.expired = deadline.is_some_and(|deadline| deadline <= now);
        if stream.receive.expired {
            self.tell_reader(key.index);
        } else if let Some(deadline) = deadline {
            self.timers.set(deadline, key.index, super::timers::Timer::Read);
        }
    }

    /// Returns until when a reader waits.
    ///
    /// # Panics
    ///
    /// If both halves of the stream were dropped.
    pub fn read_deadline(&mut self, key: StreamKey) -> Option<Instant> {
        self.streams.get(key).receive.deadline
    }

    /// The window that the peer is told of with SYN or ACK, beyond the initial one.
    pub(crate) fn first_grant(&mut self, index: u32) -> u32 {
        let receive = &mut self.streams.at(index).receive;
        let extra = receive.window - INITIAL_WINDOW_BYTES;
        receive.credit += extra;
        self.tuned += u64::from(extra);
        extra
    }
}
