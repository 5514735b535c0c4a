//! Writers without credit, where the peer cannot say that it has stopped reading.
//!
//! An unmodified peer that has sent FIN and grants nothing may have left, or be slow. Its time begins when it has got
//! all of our data: a ping behind the data was answered. It is longer for a peer that needs longer: one that has a
//! large window reads long until it grants, and one that has let a writer wait before may do so again.

use std::time::Duration;

use super::pings::PingId;
use super::stream::{ReceiveState, SendState};
use super::timers::Timer;
use super::{Connection, StreamKey};
use crate::error::LocalReset;

/// With a window of at least so much, the peer gets twice the configured time. It reads long until it grants, and a
/// writer still fails soon after it has left.
const LARGE_WINDOW: u32 = 4 << 20;

impl Connection {
    /// A writer waits, as there is no credit.
    pub(crate) fn wait_for_credit(&mut self, index: u32) {
        let now = self.latest;
        self.streams.at(index).send.credit_wait.get_or_insert_default().since.get_or_insert(now);
        self.watch_credit(index);
    }

    /// Credit has come to a stream that had none.
    pub(crate) fn credit_came(&mut self, index: u32) {
        let now = self.latest;
        let stream = self.streams.at(index);
        stream.cancel_if(&mut self.timers, index, Timer::NoCredit);
        if let Some(wait) = &mut stream.send.credit_wait
            && let Some(since) = wait.since.take()
        {
            wait.longest = wait.longest.max(now - since);
        }
        self.tell_writer(index);
    }

    /// Starts the timer of a writer without credit, if the peer may have stopped reading and cannot say so.
    pub(crate) fn watch_credit(&mut self, index: u32) {
        let Some(timeout) = self.config.timeouts.no_credit else { return };
        if !self.ending.is_open() || !self.lacks_credit(index) || self.streams.at(index).timer.is_some() {
            return;
        }
        if timeout.is_zero() {
            return self.streams.at(index).start(&mut self.timers, index, Timer::NoCredit, self.latest);
        }
        let at = self.latest + self.time_to_answer(index);
        let stream = self.streams.at(index);
        stream.start(&mut self.timers, index, Timer::NoCredit, at);
        stream.send.credit_wait.get_or_insert_default().probe = None;
        let key = self.streams.key(index);
        if !self.probing.contains(&key) {
            self.probing.push(key);
        }
        self.send_probes();
    }

    /// Whether a writer waits for credit that may never come.
    fn lacks_credit(&mut self, index: u32) -> bool {
        let understands = self.peer_understands_stop;
        let stream = self.streams.at(index);
        let waits = stream.send.waits && stream.send.credit == 0 && stream.send.state == SendState::Open;
        waits && stream.receive.state == ReceiveState::Finished && !understands
    }

    /// Sends a ping for the streams whose data the transport has taken.
    pub(crate) fn send_probes(&mut self) {
        self.probes(|this, key| {
            let send = &mut this.streams.get(key).send;
            if let Some(wait) = &mut send.credit_wait
                && wait.probe.is_none()
                && this.output.is_written(send.flushed_at)
            {
                wait.probe = Some(this.pings.queue());
            }
            true
        });
    }

    /// The pings up to this one were answered: the peer has got all of the data that was sent before them.
    pub(crate) fn probes_answered(&mut self, answered: PingId) {
        self.probes(|this, key| {
            let wait = this.streams.get(key).send.credit_wait.as_ref();
            if wait.and_then(|wait| wait.probe).is_none_or(|probe| probe > answered) {
                return true;
            }
            let at = this.latest + this.time_to_grant(key.index);
            this.streams.get(key).start(&mut this.timers, key.index, Timer::NoCredit, at);
            false
        });
    }

    /// Looks at the streams whose data may not have reached the peer, and keeps those for which `keep` is true.
    fn probes(&mut self, mut keep: impl FnMut(&mut Self, StreamKey) -> bool) {
        let mut probing = std::mem::take(&mut self.probing);
        probing.retain(|&key| {
            let runs = self.streams.contains(key) && self.streams.get(key).runs(Timer::NoCredit);
            runs && keep(self, key)
        });
        self.probing = probing;
    }

    /// The time of a writer without credit has passed.
    pub(crate) fn credit_overdue(&mut self, index: u32) {
        let key = self.streams.key(index);
        let is_probing = self.probing.contains(&key);
        self.probing.retain(|probing| *probing != key);
        self.streams.at(index).timer = None;
        if !self.lacks_credit(index) {
            return;
        }
        let at = self.liveness.latest_sign() + self.time_to_answer(index);
        if is_probing && at > self.latest {
            // Bytes move: the data may still be on its way.
            self.probing.push(key);
            return self.streams.at(index).start(&mut self.timers, index, Timer::NoCredit, at);
        }
        self.reset_here(index, LocalReset::NoCredit);
    }

    /// How long the peer may take to grant something, once it has all of the data.
    fn time_to_grant(&mut self, index: u32) -> Duration {
        let timeout = self.config.timeouts.no_credit.unwrap_or_default();
        let send = &self.streams.at(index).send;
        let for_window = if send.window < LARGE_WINDOW { timeout } else { timeout.saturating_mul(2) };
        let longest = send.credit_wait.as_ref().map_or(Duration::ZERO, |wait| wait.longest);
        for_window.max(longest.saturating_mul(2))
    }

    /// How long no byte may move until the ping behind the data is answered.
    fn time_to_answer(&mut self, index: u32) -> Duration {
        self.time_to_grant(index).max(self.config.keepalive.timeout)
    }
}
