//! When to try again: the delays between attempts to connect, without a clock or entropy of their own.
//!
//! RFC 6455, section 7.2.3, fears the stampede: when a server goes down all its clients notice at once, and if all of
//! them come back at once they take it down again. So the first delay is random, those that follow grow, up to a cap,
//! and each of them is jittered.
//!
//! # Invariants
//!
//! - A delay is a pure function of the policy, of the failures so far, and of the entropy passed in.
//! - Less entropy is a shorter delay: zero is the shortest that the policy allows.
//!
//! # Not here
//!
//! The loops that sleep and connect: the async and the blocking client have one each
//! ([`client::Reconnect`](crate::client::Reconnect), [`blocking::Reconnect`](crate::blocking::Reconnect)). What they
//! tell of it, [`Failure`] and [`Retry`], is in `retry`.

mod retry;

use std::time::Duration;

pub use retry::{Failure, HookError, Reason, Retry};

/// How long to wait between attempts to connect.
///
/// # Defaults
///
/// A first delay between 0 and 5 s; then, while attempts go on failing, 2.5–5 s, 5–10 s, 10–20 s, 20–40 s, and 45–90 s
/// for ever. A connection that lasted 30 s starts the series again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BackoffPolicy {
    /// The first delay is drawn from zero to this. RFC 6455 suggests 5 s; zero reconnects at once, with all the others.
    pub first_delay_max: Duration,
    /// The longest that the second delay may be; each further one may be twice as long as the one before.
    pub delay_base: Duration,
    /// No delay is longer. It bounds how late a client notices that the server is back.
    pub delay_max: Duration,
    /// How much of a delay is left to chance, in percent (0–100) of the longest that it may be. 0 has clients that
    /// failed together come back together.
    pub jitter_percent: u8,
    /// A connection that was open this long was a good one: after it the series starts again. A shorter one counts as
    /// a failed attempt, so that a server that accepts and drops every client is not flooded with attempts.
    pub lasting: Duration,
}

impl Default for BackoffPolicy {
    fn default() -> Self {
        Self {
            first_delay_max: Duration::from_secs(5),
            delay_base: Duration::from_secs(5),
            delay_max: Duration::from_secs(90),
            jitter_percent: 50,
            lasting: Duration::from_secs(30),
        }
    }
}

/// The delays of one client: how far its series is.
///
/// ```
/// use std::time::Duration;
/// use wavetank_websocket::{Backoff, BackoffPolicy};
///
/// let mut backoff = Backoff::new(BackoffPolicy::default());
/// let delay = backoff.next_delay(0x8000_0000_0000_0000); // entropy: here, exactly the middle
/// assert_eq!(delay, Duration::from_millis(2500));
/// // The attempt fails: the next delay may be longer.
/// assert!(backoff.next_delay(u64::MAX) > Duration::from_millis(4999));
/// backoff.connection_ended(Duration::from_secs(3600));
/// assert_eq!(backoff.failures(), 0);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Backoff {
    policy: BackoffPolicy,
    failures: u32,
}

impl Backoff {
    /// Starts a series.
    #[must_use]
    pub fn new(policy: BackoffPolicy) -> Self {
        Self { policy, failures: 0 }
    }

    /// Counts a failed attempt or connection, and returns the delay before the next attempt.
    ///
    /// `entropy` is 8 fresh random bytes; see [`Threads::fill_random`](wavetank_runtime::Threads::fill_random).
    pub fn next_delay(&mut self, entropy: u64) -> Duration {
        let policy = &self.policy;
        //= https://www.rfc-editor.org/rfc/rfc6455#section-7.2.3
        //# The first reconnect attempt SHOULD be delayed by a random amount of time.
        let (shortest, longest) = if self.failures == 0 {
            (Duration::ZERO, policy.first_delay_max.min(policy.delay_max))
        } else {
            //= https://www.rfc-editor.org/rfc/rfc6455#section-7.2.3
            //# Should the first reconnect attempt fail, subsequent reconnect attempts SHOULD be delayed by
            //# increasingly longer amounts of time, using a method such as truncated binary exponential
            //# backoff.
            let doublings = (self.failures - 1).min(31);
            let longest = policy.delay_base.saturating_mul(1 << doublings).min(policy.delay_max);
            (longest - longest / 100 * u32::from(policy.jitter_percent.min(100)), longest)
        };
        self.failures = self.failures.saturating_add(1);
        shortest + share_of(longest - shortest, entropy)
    }

    /// Tells that a connection has ended, and how long it was open; a [lasting](BackoffPolicy::lasting) one starts the
    /// series again.
    pub fn connection_ended(&mut self, open: Duration) {
        if open >= self.policy.lasting {
            self.failures = 0;
        }
    }

    /// The failures since the series began.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

/// The share of `whole` that `entropy` is of 2^64.
fn share_of(whole: Duration, entropy: u64) -> Duration {
    let nanos = u64::try_from(whole.as_nanos()).unwrap_or(u64::MAX);
    let share = (u128::from(nanos) * u128::from(entropy)) >> 64;
    Duration::from_nanos(u64::try_from(share).expect("a share is at most the whole"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn bounds_of_the_first(count: usize, policy: BackoffPolicy) -> Vec<(Duration, Duration)> {
        let (mut lowest, mut highest) = (Backoff::new(policy), Backoff::new(policy));
        (0..count).map(|_| (lowest.next_delay(0), highest.next_delay(u64::MAX))).collect()
    }

    //= https://www.rfc-editor.org/rfc/rfc6455#section-7.2.3
    //= type=test
    //# The first reconnect attempt SHOULD be delayed by a random amount of time.
    //= https://www.rfc-editor.org/rfc/rfc6455#section-7.2.3
    //= type=test
    //# Should the first reconnect attempt fail, subsequent reconnect attempts SHOULD be delayed by increasingly
    //# longer amounts of time, using a method such as truncated binary exponential backoff.
    #[test]
    fn delays_start_random_and_double_to_the_cap() {
        let expected = [(0, 5000), (2500, 5000), (5000, 10_000), (10_000, 20_000), (20_000, 40_000)]
            .into_iter()
            .chain([(40_000, 80_000), (45_000, 90_000), (45_000, 90_000)])
            .map(|(low, high)| (Duration::from_millis(low), Duration::from_millis(high)));
        for ((low, high), (expected_low, expected_high)) in
            bounds_of_the_first(8, BackoffPolicy::default()).into_iter().zip(expected)
        {
            assert_eq!(low, expected_low);
            // The upper bound is approached, never exceeded.
            assert!(high <= expected_high && expected_high - high < Duration::from_millis(1), "{high:?}");
        }
    }

    #[test]
    fn delays_stay_at_the_cap_after_many_failures() {
        let mut backoff = Backoff::new(BackoffPolicy::default());
        for _ in 0..100 {
            assert!(backoff.next_delay(u64::MAX) <= 90 * SECOND);
        }
        assert_eq!(backoff.failures(), 100);
        assert!(backoff.next_delay(0) >= 45 * SECOND);
    }

    #[test]
    fn more_entropy_is_a_longer_delay() {
        for failures in 0..10 {
            let delays = [0, 1 << 40, 1 << 63, u64::MAX]
                .map(|entropy| Backoff { policy: BackoffPolicy::default(), failures }.next_delay(entropy));
            assert!(delays.is_sorted(), "{delays:?}");
        }
    }

    #[test]
    fn only_a_lasting_connection_resets_the_delays() {
        let mut backoff = Backoff::new(BackoffPolicy::default());
        for _ in 0..5 {
            backoff.next_delay(0);
        }
        backoff.connection_ended(29 * SECOND);
        assert_eq!(backoff.failures(), 5);
        backoff.connection_ended(30 * SECOND);
        assert_eq!(backoff.failures(), 0);
        assert_eq!(backoff.next_delay(0), Duration::ZERO);
    }

    #[test]
    fn odd_policies_neither_panic_nor_exceed_the_cap() {
        let odd = BackoffPolicy {
            first_delay_max: Duration::MAX,
            delay_base: Duration::MAX,
            delay_max: 3 * SECOND,
            jitter_percent: 255,
            lasting: Duration::ZERO,
        };
        for (low, high) in bounds_of_the_first(5, odd) {
            assert_eq!(low, Duration::ZERO);
            assert!(high <= 3 * SECOND);
        }
        let endless = BackoffPolicy { delay_max: Duration::MAX, jitter_percent: 0, ..odd };
        for (low, high) in bounds_of_the_first(40, endless).split_off(1) {
            assert_eq!((low, high), (Duration::MAX, Duration::MAX));
        }
    }
}
