//! Whether the client is there, and takes what is sent.

use std::time::Duration;

use wavetank_runtime::Instant;

use super::outbox::About;
use super::timers::take_due;
use super::{Connection, Phase};
use crate::close::{CloseCode, CloseFrame, Ended};
use crate::config::{Keepalive, Legacy, PingKind};
use crate::message::{self, Protocol};
use crate::transport::Progress;

/// The shortest interval between pings.
const INTERVAL_MIN: Duration = Duration::from_millis(1);

/// How often a write timeout looks whether anything has moved: at so many parts of it. Without these looks progress
/// could count from a time up to a whole timeout later.
const WRITE_LOOKS: u32 = 8;

/// How much younger than the configured age a connection may be when it is drained, in percent.
const AGE_JITTER_PERCENT: u8 = 10;

/// What spreads the times of many connections: numbers that follow from a seed (SplitMix64).
#[derive(Debug)]
pub struct Jitter {
    state: u64,
}

impl Jitter {
    /// Makes it of a seed.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { state: seed }
    }

    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Returns a part of `duration`: at most `percent` of it.
    pub(super) fn part(&mut self, duration: Duration, percent: u8) -> Duration {
        let most = duration.as_nanos().saturating_mul(u128::from(percent.min(100))) / 100;
        let most = u64::try_from(most).unwrap_or(u64::MAX);
        Duration::from_nanos(if most == 0 { 0 } else { self.next() % most })
    }
}

impl Connection {
    pub(super) fn start_liveness(&mut self, now: Instant) {
        if let Some(keepalive) = self.config.keepalive {
            self.timers.ping = Some(now + self.until_ping(keepalive));
        }
        if let Some(age) = self.config.age_max {
            let less = self.jitter.part(age, AGE_JITTER_PERCENT);
            self.timers.age = Some(now + age.saturating_sub(less));
        }
    }

    fn until_ping(&mut self, keepalive: Keepalive) -> Duration {
        let interval = keepalive.interval.max(INTERVAL_MIN);
        // Around the interval: less one half of the jitter at the most, or more.
        let less = self.jitter.part(interval, keepalive.jitter_percent);
        let more = self.jitter.part(interval, keepalive.jitter_percent);
        (interval.saturating_add(more)).saturating_sub(less).max(INTERVAL_MIN)
    }

    /// Something came from the client.
    pub(super) fn is_alive(&mut self) {
        self.timers.pong = None;
    }

    /// Returns when [`handle_timeout`](Self::handle_timeout) is to be called.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Instant> {
        self.timers.next()
    }

    /// Does what is due. Call it after everything that has come was handled: what came in time counts.
    pub fn handle_timeout(&mut self, progress: Progress, now: Instant) {
        if take_due(&mut self.timers.close, now) {
            return self.handle_close_done();
        }
        if take_due(&mut self.timers.init, now) {
            self.fail(CloseCode::INIT_TIMEOUT, "Connection initialisation timeout", now);
        }
        if take_due(&mut self.timers.write, now) {
            self.look_at_writing(progress, now);
        }
        if take_due(&mut self.timers.pong, now) {
            self.pong_is_due(progress, now);
        }
        if take_due(&mut self.timers.ping, now) {
            self.ping_is_due(progress, now);
        }
        if take_due(&mut self.timers.idle, now) {
            self.close(CloseFrame::new(CloseCode::TIMEOUT, "Idle"), now);
        }
        if take_due(&mut self.timers.age, now) {
            let frame = CloseFrame::new(CloseCode::GOING_AWAY, "Connection age");
            self.drain(frame, self.config.close_timeout, now);
        }
        if take_due(&mut self.timers.drain, now)
            && let Some(frame) = self.draining.take()
        {
            self.close(frame, now);
        }
    }

    fn pong_is_due(&mut self, progress: Progress, now: Instant) {
        let Some(keepalive) = self.config.keepalive else { return };
        if progress.received > self.progress.received {
            // Bytes came, and no message: a part of one, or an answer that the transport keeps to itself.
            self.is_alive();
        } else if !self.may_read() {
            // What is not read is not known.
            self.timers.pong = Some(now + keepalive.timeout);
        } else {
            self.close(CloseFrame::new(CloseCode::TIMEOUT, "No answer to a ping"), now);
        }
    }

    fn ping_is_due(&mut self, progress: Progress, now: Instant) {
        let Some(keepalive) = self.config.keepalive else { return };
        if !self.is_open() {
            return;
        }
        let until = self.until_ping(keepalive);
        self.timers.ping = Some(now + until);
        if self.outbox.ping_waits() {
            return;
        }
        if self.protocol == Protocol::Legacy && matches!(self.phase, Phase::Ready) {
            self.outbox.push(message::write_about_connection("ka", None), About::Connection);
        }
        if progress.received > self.progress.received {
            self.is_alive();
        }
        // One is outstanding at a time.
        if self.timers.pong.is_none() {
            self.progress.received = progress.received;
            let is_frame = keepalive.ping == PingKind::Frame || !self.understands_pings();
            if is_frame && !self.ping_messages_only {
                self.outbox.push_ping_frame();
            } else if self.understands_pings() {
                self.push_ping_message();
            }
        }
        if self.has_output() {
            self.expect_progress(now);
        }
    }

    /// Returns `false` for a client that speaks the legacy protocol, or may. It has no `ping`: the message would end
    /// the client.
    fn understands_pings(&self) -> bool {
        self.protocol == Protocol::Transport
            && (self.config.legacy != Legacy::Tolerated || self.is_known_to_speak_it)
    }

    pub(super) fn ping_taken(&mut self, now: Instant) {
        if let Some(keepalive) = self.config.keepalive {
            self.timers.pong = Some(now + keepalive.timeout);
        }
    }

    /// The transport cannot send the ping frame that was taken: a message takes its place.
    pub fn ping_unsupported(&mut self, now: Instant) {
        self.ping_messages_only = true;
        self.timers.pong = None;
        if self.is_open() && self.understands_pings() {
            self.expect_progress(now);
            self.push_ping_message();
        } else {
            self.flushed();
        }
    }

    fn push_ping_message(&mut self) {
        self.outbox.push(message::write_about_connection("ping", None), About::Ping);
    }

    /// Something waits for the transport: it has to take something soon.
    pub(super) fn expect_progress(&mut self, now: Instant) {
        if self.timers.write.is_none() && self.is_open() {
            self.stalled_at = now + self.config.write_timeout;
            self.timers.write = Some(self.next_look(now));
        }
    }

    fn next_look(&self, now: Instant) -> Instant {
        let pause = (self.config.write_timeout / WRITE_LOOKS).max(INTERVAL_MIN);
        self.stalled_at.min(now + pause)
    }

    fn look_at_writing(&mut self, progress: Progress, now: Instant) {
        if progress.sent > self.progress.sent {
            self.progress.sent = progress.sent;
            self.stalled_at = now + self.config.write_timeout;
        } else if self.stalled_at <= now {
            return self.end(Ended::Stalled);
        }
        self.timers.write = Some(self.next_look(now));
    }

    /// The transport has taken what [`poll_transmit`](Self::poll_transmit) gave.
    pub fn sent(&mut self, now: Instant) {
        self.stalled_at = now + self.config.write_timeout;
    }

    /// The transport has passed on all that it took.
    pub fn flushed(&mut self) {
        if self.outbox.is_empty() {
            self.timers.write = None;
        }
    }
}
