//! Writing to streams.

use std::io::IoSlice;
use std::task::Poll;

use wavetank_runtime::Instant;

use super::frame::{Flags, Kind};
use super::output::Transmit;
use super::stream::SendState;
use super::timers::Timer;
use super::{Connection, Event, StreamKey};
use crate::error::{WriteEnd, WriteError};

impl Connection {
    /// Writes the beginning of `bytes`: one frame at most, into the output. Returns how many bytes that was. After
    /// `Pending`, [`wait_writable`](Self::wait_writable) asks for an event.
    ///
    /// # Errors
    ///
    /// As [`WriteError`] says. Nothing of the call was written.
    ///
    /// # Panics
    ///
    /// If both halves of the stream were dropped.
    #[inline]
    pub fn write(&mut self, key: StreamKey, bytes: &[u8]) -> Poll<Result<usize, WriteError>> {
        self.write_vectored(key, &[IoSlice::new(bytes)])
    }

    /// Writes the beginning of `slices`, one behind the other, as [`write`](Self::write) does.
    ///
    /// # Errors
    ///
    /// As for [`write`](Self::write).
    ///
    /// # Panics
    ///
    /// If both halves of the stream were dropped.
    #[inline]
    pub fn write_vectored(
        &mut self,
        key: StreamKey,
        slices: &[IoSlice<'_>],
    ) -> Poll<Result<usize, WriteError>> {
        let stream = self.streams.get(key);
        if stream.send.state != SendState::Open || !self.ending.is_open() {
            return Poll::Ready(Err(self.write_failure(key)));
        }
        let length: usize = slices.iter().map(|slice| slice.len()).sum();
        if length == 0 {
            return Poll::Ready(Ok(0));
        }
        let allowance = self.turns.allowance(&stream.send.share, self.output.pending());
        let most = stream.send.credit.min(allowance);
        if most == 0 {
            return if stream.send.expired { Poll::Ready(Err(WriteError::TimedOut)) } else { Poll::Pending };
        }
        // The window is charged when the frame is made, never after a wait.
        let count = u32::try_from(length).map_or(most, |length| length.min(most));
        stream.send.credit -= count;
        stream.send.unanswered = stream.send.unanswered.saturating_add(count);
        stream.send.bytes += u64::from(count);
        stream.send.flushed_at = self.output.data(key.id, count, slices);
        self.turns.wrote(&mut stream.send.share, count);
        self.statistics.payload_sent += u64::from(count);
        Poll::Ready(Ok(count as usize))
    }

    /// Asks for [`Event::Writable`] once writing may have another result.
    ///
    /// # Panics
    ///
    /// If both halves of the stream were dropped.
    pub fn wait_writable(&mut self, key: StreamKey, now: Instant) {
        self.latest = now;
        let stream = self.streams.get(key);
        stream.send.waits = true;
        if stream.send.state != SendState::Open || !self.ending.is_open() {
            self.tell_writer(key.index);
        } else if stream.send.credit == 0 {
            self.wait_for_credit(key.index);
        } else {
            self.turns.wait(&mut stream.send.share, key.index);
        }
    }

    fn write_failure(&mut self, key: StreamKey) -> WriteError {
        let closed = self.ending.closed().cloned();
        let stream = self.streams.get(key);
        match (stream.reset, stream.send.state, closed) {
            (Some(reset), ..) => reset.write_error(),
            (None, SendState::Stopped, _) => WriteError::Stopped,
            (None, SendState::Finished | SendState::Reset, _) => WriteError::Finished,
            (None, SendState::Open, Some(closed)) => WriteError::Closed(closed),
            (None, SendState::Open, None) => {
                unreachable!("an open stream of an open session can be written to")
            }
        }
    }

    /// Returns why a writer need not go on, once that is so: see [`WriteEnd`].
    ///
    /// # Panics
    ///
    /// If both halves of the stream were dropped.
    pub fn write_end(&mut self, key: StreamKey) -> Option<WriteEnd> {
        let closed = self.ending.closed().cloned();
        let ended = self.streams.get(key).sending_end().map(Into::into);
        ended.or_else(|| closed.map(|closed| WriteEnd::Failed(WriteError::Closed(closed))))
    }

    /// Asks for [`Event::SendingEnded`] once [`write_end`](Self::write_end) has a result.
    ///
    /// # Panics
    ///
    /// If both halves of the stream were dropped.
    pub fn wait_write_end(&mut self, key: StreamKey) {
        self.streams.get(key).send.end_waits = true;
    }

    /// Whether everything that was written to the stream has been taken by the transport. After `Pending`,
    /// [`wait_flushed`](Self::wait_flushed) asks for an event.
    ///
    /// # Errors
    ///
    /// [`WriteError::Closed`] if the session or its transport ended before all of it was taken, or the reason of a
    /// reset.
    ///
    /// # Panics
    ///
    /// If both halves of the stream were dropped.
    #[inline]
    pub fn flush(&mut self, key: StreamKey) -> Poll<Result<(), WriteError>> {
        let stream = self.streams.get(key);
        if self.output.is_written(stream.send.flushed_at) {
            return Poll::Ready(Ok(()));
        }
        if let Some(reset) = stream.reset {
            return Poll::Ready(Err(reset.write_error()));
        }
        // What is in the output of a session that is closing may still be written, unless it was discarded.
        let is_lost = self.output.is_lost(stream.send.flushed_at);
        match if is_lost { self.ending.closed() } else { self.ending.gone() } {
            Some(closed) => Poll::Ready(Err(WriteError::Closed(closed.clone()))),
            None => Poll::Pending,
        }
    }

    /// Asks for [`Event::Writable`] once [`flush`](Self::flush) may have another result.
    ///
    /// # Panics
    ///
    /// If both halves of the stream were dropped.
    pub fn wait_flushed(&mut self, key: StreamKey) {
        let stream = self.streams.get(key);
        if !stream.send.flush_waits {
            stream.send.flush_waits = true;
            self.flushing.push(key);
        }
    }

    /// Sets until when a writer waits. `None`: for ever. Writes that need not wait succeed after it, too.
    ///
    /// # Panics
    ///
    /// If both halves of the stream were dropped.
    pub fn set_write_deadline(&mut self, key: StreamKey, deadline: Option<Instant>, now: Instant) {
        let stream = self.streams.get(key);
        if let Some(old) = std::mem::replace(&mut stream.send.deadline, deadline) {
            self.timers.cancel(old, key.index, Timer::Write);
        }
        stream.send.expired = deadline.is_some_and(|deadline| deadline <= now);
        if stream.send.expired {
            self.tell_writer(key.index);
        } else if let Some(deadline) = deadline {
            self.timers.set(deadline, key.index, Timer::Write);
        }
    }

    /// Returns until when a writer waits.
    ///
    /// # Panics
    ///
    /// If both halves of the stream were dropped.
    pub fn write_deadline(&mut self, key: StreamKey) -> Option<Instant> {
        self.streams.get(key).send.deadline
    }

    /// Moves what waits for the transport into `transmit`, which has to be empty. Returns whether there is anything.
    pub fn take_output(&mut self, transmit: &mut Transmit, now: Instant) -> bool {
        if !self.ending.writes() {
            return false;
        }
        if let Some(opaque) = self.pings.take_queued(now) {
            self.output.control(Kind::Ping, Flags::SYN, 0, opaque);
        }
        if self.output.is_empty() {
            return false;
        }
        let congested = self.output.is_congested();
        self.output.take(transmit);
        self.turns.next_round();
        self.wake_writers();
        if congested {
            self.tell_acceptors();
            self.tell_openers();
        }
        true
    }

    /// Wakes the writers whose turn it is, as many as there is room for.
    pub fn wake_writers(&mut self) {
        if !self.turns.is_waiting() || self.output.pending() >= self.turns.room() {
            return;
        }
        for _ in 0..self.turns.batch() {
            let Some(index) = self.turns.pop() else { return };
            let stream = self.streams.at(index);
            self.turns.grant(&mut stream.send.share);
            self.tell_writer(index);
        }
    }

    /// Whether writers wait for a turn although nothing waits for the transport: those that were woken have not come.
    /// The driver lets other tasks run and calls [`wake_writers`](Self::wake_writers).
    #[inline]
    #[must_use]
    pub fn has_waiting_writers(&self) -> bool {
        self.turns.is_waiting() && self.output.pending() < self.turns.room()
    }

    /// Whether a call waits until what was taken is written, which the driver has to report.
    #[inline]
    #[must_use]
    pub fn awaits_written(&self) -> bool {
        self.waits_for_transport() && !self.output.is_idle()
    }

    /// Whether something waits for [`output_written`](Self::output_written). Otherwise the driver may call it together
    /// with what it reports next.
    #[inline]
    #[must_use]
    pub fn awaits_transport(&self) -> bool {
        self.waits_for_transport() || !self.ending.is_open() || self.has_waiting_writers()
    }

    /// Whether something is to happen once the transport has taken what was written.
    #[inline]
    fn waits_for_transport(&self) -> bool {
        !self.flushing.is_empty() || !self.probing.is_empty()
    }

    /// The transport has taken `count` bytes of the transmit; `all`: nothing of it is left, and nothing was dropped.
    #[inline]
    pub fn output_written(&mut self, count: usize, all: bool, now: Instant) {
        self.statistics.bytes_sent += count as u64;
        self.liveness.transport_took(all, now);
        if !all {
            return;
        }
        self.output.all_written();
        if !self.flushing.is_empty() {
            self.tell_flushed();
        }
        if !self.probing.is_empty() {
            self.send_probes();
        }
    }

    /// The transport takes nothing more for now, and something is left of the transmit.
    pub fn transport_full(&mut self, now: Instant) {
        if self.ending.is_open() {
            self.liveness.transport_full(now);
        }
    }

    /// Tells those whose bytes are written, or will never be.
    pub(crate) fn tell_flushed(&mut self) {
        let mut flushing = std::mem::take(&mut self.flushing);
        flushing.retain(|key| {
            if !self.streams.contains(*key) {
                return false;
            }
            let send = &mut self.streams.get(*key).send;
            if !self.output.is_written(send.flushed_at) && !self.output.is_lost(send.flushed_at) {
                return true;
            }
            send.flush_waits = false;
            self.events.push_back(Event::Writable(*key));
            false
        });
        self.flushing = flushing;
    }
}
