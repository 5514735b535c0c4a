//! Links between hosts: how long a segment takes, whether it passes at all, and when a lost one is tried again.
//!
//! # Invariants
//!
//! - A link has one direction; faults and latencies of its two directions are independent.
//! - A host always reaches itself, in [`LOOPBACK_LATENCY`].
//!
//! # Not here
//!
//! What happens to segments that do not pass (`transmit`), and what breaks links (`faults`).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::conditions::{Conditions, Passage};
use super::{HostId, Nanos, Outside};

pub(super) const SECOND: Nanos = 1_000_000_000;

/// How long a segment takes from a host to itself.
pub(super) const LOOPBACK_LATENCY: Nanos = 10_000;

/// The alternatives of a latency question.
const LATENCY_STEPS: u32 = 1024;

/// The first retransmission timeout, and its limit after doublings: Linux's TCP_RTO_MIN and TCP_RTO_MAX. RFC 6298
/// section 2.4 asks for 1 s; this follows Linux.
pub(super) const RETRY_FIRST: Nanos = SECOND / 5;
const RETRY_MAX: Nanos = 120 * SECOND;

/// `TCP_TIMEOUT_INIT`: RFC 6298 section 2.1.
const HANDSHAKE_RETRY_FIRST: Nanos = SECOND;

/// One direction between two hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LinkId {
    pub(crate) from: HostId,
    pub(crate) to: HostId,
}

impl LinkId {
    pub(crate) const fn reverse(self) -> Self {
        Self { from: self.to, to: self.from }
    }
}

/// The time that a segment takes: `min` for value 0, `max` for the last one. A `max` below `min` counts as `min`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct LatencyRange {
    pub(crate) min: Duration,
    pub(crate) max: Duration,
}

impl Default for LatencyRange {
    /// A local network: 500 µs to 2 ms.
    fn default() -> Self {
        Self { min: Duration::from_micros(500), max: Duration::from_millis(2) }
    }
}

#[derive(Clone, Copy, Debug)]
struct Latency {
    min: Nanos,
    spread: Nanos,
}

impl From<LatencyRange> for Latency {
    fn from(range: LatencyRange) -> Self {
        let min = nanos(range.min);
        Self { min, spread: nanos(range.max).saturating_sub(min) }
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Link {
    /// None: the network's default.
    latency: Option<Latency>,
    conditions: Conditions,
    /// When everything that a narrow link has taken will have left.
    free_at: Nanos,
}

#[derive(Debug)]
pub(super) struct Links {
    default: Latency,
    /// The links that differ from the default, or did.
    links: BTreeMap<LinkId, Link>,
    silent: BTreeSet<HostId>,
}

impl Links {
    pub(super) fn new() -> Self {
        Self { default: LatencyRange::default().into(), links: BTreeMap::new(), silent: BTreeSet::new() }
    }

    pub(super) fn set_default_latency(&mut self, range: LatencyRange) {
        self.default = range.into();
    }

    pub(super) fn set_latency(&mut self, link: LinkId, range: LatencyRange) {
        self.link_mut(link).latency = Some(range.into());
    }

    pub(super) fn set_conditions(&mut self, link: LinkId, conditions: Conditions) {
        if link.from == link.to {
            return;
        }
        let narrow = conditions.bytes_per_second > 0;
        let link = self.link_mut(link);
        link.conditions = conditions;
        if !narrow {
            link.free_at = 0;
        }
    }

    /// Gives all other links the default conditions.
    pub(super) fn reset_conditions_but(&mut self, links: &BTreeSet<LinkId>) {
        let others: Vec<LinkId> = self.links.keys().filter(|link| !links.contains(link)).copied().collect();
        others.into_iter().for_each(|link| self.set_conditions(link, Conditions::default()));
    }

    pub(super) fn conditions(&self, link: LinkId) -> &Conditions {
        &self.link(link).conditions
    }

    pub(super) fn free_at(&mut self, link: LinkId) -> &mut Nanos {
        &mut self.link_mut(link).free_at
    }

    pub(super) fn set_silent(&mut self, host: HostId, silent: bool) {
        if silent {
            self.silent.insert(host);
        } else {
            self.silent.remove(&host);
        }
    }

    /// Returns what happens to a segment that is sent now.
    pub(super) fn passage(&self, link: LinkId) -> Passage {
        if link.from == link.to {
            Passage::Open
        } else if self.silent.contains(&link.from) || self.silent.contains(&link.to) {
            Passage::Lost
        } else {
            self.conditions(link).passage()
        }
    }

    /// Returns the least time that a segment takes.
    pub(super) fn min_latency(&self, link: LinkId) -> Nanos {
        if link.from == link.to {
            return LOOPBACK_LATENCY;
        }
        self.latency(link).min.saturating_add(self.conditions(link).delay)
    }

    /// Returns the time that one segment takes. Asks `outside` unless there is only one answer.
    #[inline]
    pub(super) fn pick_latency(&self, link: LinkId, outside: &mut dyn Outside) -> Nanos {
        if link.from == link.to {
            return LOOPBACK_LATENCY;
        }
        let Latency { min, spread } = self.latency(link);
        let min = min.saturating_add(self.conditions(link).delay);
        if spread == 0 {
            return min;
        }
        let pick = u64::from(outside.pick_latency(link, LATENCY_STEPS));
        let steps = u64::from(LATENCY_STEPS - 1);
        // Without overflow, however long the link: whole steps first, then the rest.
        min.saturating_add(spread / steps * pick + spread % steps * pick / steps)
    }

    fn latency(&self, link: LinkId) -> Latency {
        self.link(link).latency.unwrap_or(self.default)
    }

    fn link(&self, link: LinkId) -> &Link {
        const DEFAULT: Link = Link { latency: None, conditions: Conditions::DEFAULT, free_at: 0 };
        self.links.get(&link).unwrap_or(&DEFAULT)
    }

    fn link_mut(&mut self, link: LinkId) -> &mut Link {
        self.links.entry(link).or_default()
    }
}

/// The number of packets that a sender waits for an answer to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Packets {
    One,
    Several,
}

/// Returns when a segment that was first sent at `first` is sent again, at or after `not_before` (RFC 6298 section 5:
/// the timeout doubles).
///
/// Several packets are sent again after 0.2, 0.6, 1.4, ... s. Sixteen tries take 924.6 s, which is Linux's default
/// limit. A single packet is sent again after 0.2, 0.4, 0.8, ... s: its tail loss probe (RFC 8985 section 7) comes when
/// its timeout would have, and the timeout starts again.
pub(super) fn next_retry(first: Nanos, packets: Packets, not_before: Nanos) -> Nanos {
    let mut at = first;
    if packets == Packets::One {
        at = at.saturating_add(RETRY_FIRST);
        if at >= not_before {
            return at;
        }
    }
    let mut timeout = RETRY_FIRST;
    loop {
        at = at.saturating_add(timeout);
        if at >= not_before {
            return at;
        }
        timeout = (timeout * 2).min(RETRY_MAX);
    }
}

/// Returns how long after its first try a segment is retried for the `retries`-th time: after 0.2, 0.6, 1.4, ... s.
pub(super) fn retry_after(retries: u32) -> Nanos {
    (0..retries).map(|retry| RETRY_FIRST.saturating_mul(1 << retry.min(32)).min(RETRY_MAX)).sum()
}

/// The retries of the segments of a handshake.
#[derive(Clone, Copy, Debug)]
pub(super) struct HandshakeRetries {
    count: u32,
    /// This many timeouts, after the first, last 1 s. Each later one is twice the one before.
    linear: u32,
}

/// The retries of a SYN: `tcp_syn_retries` = 6 after `tcp_syn_linear_timeouts` = 4. It is sent again after 1, 2, 3,
/// 4, 5, 7, 11, 19, 35 and 67 s, and given up after 131 s.
pub(super) const SYN_RETRIES: HandshakeRetries = HandshakeRetries { count: 10, linear: 4 };

/// The retries of a SYN-ACK: `tcp_synack_retries` = 5. It is sent again after 1, 3, 7, 15 and 31 s, and given up
/// after 63 s.
pub(super) const SYN_ACK_RETRIES: HandshakeRetries = HandshakeRetries { count: 5, linear: 0 };

impl HandshakeRetries {
    /// Returns the times since the first try: of each retry, and at last of giving up.
    fn times(self) -> impl Iterator<Item = Nanos> {
        (0..=self.count).scan(0, move |at, retry| {
            *at += HANDSHAKE_RETRY_FIRST << retry.saturating_sub(self.linear);
            Some(*at)
        })
    }

    /// Returns when a segment that was first sent at `first` is sent again, or given up, at or after `not_before`.
    pub(super) fn next(self, first: Nanos, not_before: Nanos) -> Nanos {
        let end = self.end(first);
        self.times().map(|time| first.saturating_add(time)).find(|&at| at >= not_before).unwrap_or(end)
    }

    /// Returns when a handshake that began at `first` is given up.
    pub(super) fn end(self, first: Nanos) -> Nanos {
        first.saturating_add(self.times().last().unwrap_or(0))
    }
}

/// Returns a duration in nanoseconds. Half of the range of time (292 years) is the longest.
pub(super) fn nanos(duration: Duration) -> Nanos {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX).min(u64::MAX / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retransmission_timeouts_double_up_to_two_minutes() {
        let next = |not_before| next_retry(0, Packets::Several, not_before);
        assert_eq!(next(0), 200_000_000);
        assert_eq!(next(200_000_001), 600_000_000);
        assert_eq!(next(200 * SECOND), 204_600_000_000);
        assert_eq!(next(205 * SECOND), 324_600_000_000);
        assert_eq!(next(804_600_000_001), 924_600_000_000);
    }

    #[test]
    fn a_single_packet_has_a_tail_loss_probe() {
        let next = |not_before| next_retry(SECOND, Packets::One, SECOND + not_before) - SECOND;
        assert_eq!(
            [0, 201, 401, 801, 1601].map(|at| next(at * 1_000_000) / 1_000_000),
            [200, 400, 800, 1600, 3200]
        );
    }

    #[test]
    fn handshake_retries_follow_linux() {
        let times = |retries: HandshakeRetries| retries.times().map(|at| at / SECOND).collect::<Vec<_>>();
        assert_eq!(times(SYN_RETRIES), [1, 2, 3, 4, 5, 7, 11, 19, 35, 67, 131]);
        assert_eq!(times(SYN_ACK_RETRIES), [1, 3, 7, 15, 31, 63]);
        assert_eq!(SYN_RETRIES.next(SECOND, 6 * SECOND + 1), 8 * SECOND);
        assert_eq!(SYN_RETRIES.end(SECOND), 132 * SECOND);
    }

    #[test]
    fn the_extreme_picks_take_the_extreme_latencies() {
        struct Always(u32);
        impl Outside for Always {
            fn pick_latency(&mut self, _: LinkId, bound: u32) -> u32 {
                assert_eq!(bound, LATENCY_STEPS);
                self.0
            }
            fn pick_losses(&mut self, _: LinkId, _: u32, _: u32) -> u32 {
                unreachable!("fair conditions loses nothing")
            }
            fn event(&mut self, _: super::super::NetEvent) {}
            fn pick_datagram(&mut self, _: LinkId, _: super::super::Chance, _: u32) -> u32 {
                unreachable!("no datagram is sent")
            }
            fn datagram_event(&mut self, _: super::super::DatagramEvent) {}
            fn local_event(&mut self, _: super::super::LocalEvent) {}
        }
        let mut links = Links::new();
        let link = LinkId { from: HostId(0), to: HostId(1) };
        links.set_latency(
            link,
            LatencyRange { min: Duration::from_nanos(7), max: Duration::from_secs(3_600_000) },
        );
        assert_eq!(links.pick_latency(link, &mut Always(0)), 7);
        assert_eq!(links.pick_latency(link, &mut Always(LATENCY_STEPS - 1)), 3_600_000 * SECOND);
        assert_eq!(links.pick_latency(link.reverse(), &mut Always(LATENCY_STEPS - 1)), 2_000_000);
    }
}
