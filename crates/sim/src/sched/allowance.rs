//! The limit for the sum of all delays of a run: late wake-ups, delayed tasks and threads, spurious `Pending`.
//!
//! A chain of events is late by at most the sum of all delays. So a timeout longer than that sum holds under every
//! seed, as long as no fault is injected.
//!
//! # Invariants
//!
//! - Only draws and deviations are limited. The bounds of choices do not depend on what was spent, and a recording may
//!   have longer delays than the test allows now.
//! - A delay without a length ("woken at once") costs nothing.

use std::cell::Cell;

use super::Scheduler;
use crate::time::Nanos;

/// The default limit: ordinary timeouts (500 ms and up) hold.
pub(crate) const DELAY_TOTAL_MAX: Nanos = 400_000_000;

/// The rest of the limit in a run.
#[derive(Debug, Default)]
pub(super) struct Spent(Cell<Nanos>);

impl Scheduler {
    /// Counts how many of `delays`, which ascend, still fit.
    pub(super) fn affordable(&self, delays: &[Nanos]) -> u32 {
        let (spent, total) = (self.perturber.spent.0.get(), self.settings.delay_total_max);
        delays.partition_point(|&nanos| nanos == 0 || spent.saturating_add(nanos) < total) as u32
    }

    /// Returns `true` if at least the second of `delays` still fits: there is something to draw.
    pub(super) fn affords_any(&self, delays: &[Nanos]) -> bool {
        let (spent, total) = (self.perturber.spent.0.get(), self.settings.delay_total_max);
        delays.get(1).is_some_and(|&nanos| nanos == 0 || spent.saturating_add(nanos) < total)
    }

    /// Notes a delay of this length. Returns `nanos`.
    pub(super) fn spend(&self, nanos: Nanos) -> Nanos {
        self.perturber.spent.0.set(self.perturber.spent.0.get().saturating_add(nanos));
        nanos
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use wavetank_runtime::{Runtime, Threads};

    use crate::host::Host;
    use crate::run::tests::{seeded, symptom};
    use crate::sim::Sim;

    /// What a task and a thread do in no time when nothing is late.
    fn counts_to_fifty(sim: &mut Sim) {
        sim.client("tasks", async |host: Host| {
            let (sender, mut receiver) = tokio::sync::mpsc::channel(1);
            let sends = Runtime::spawn(&host, "sends", async move {
                for number in 0..50 {
                    sender.send(number).await.expect("it is received");
                    Runtime::sleep(&host, Duration::ZERO).await;
                }
            });
            while receiver.recv().await.is_some() {}
            sends.await.expect("no panic");
        });
        sim.client_thread("threads", |host: Host| {
            Threads::sleep(&host, Duration::from_nanos(1));
            (0..50).for_each(|_| Threads::yield_now(&host));
            for _ in 0..50 {
                Threads::sleep(&host, Duration::from_nanos(1));
            }
        });
    }

    /// The longest run of several seeds, in milliseconds.
    fn longest(set_up: fn(&mut Sim)) -> u128 {
        let of_seed = |seed| {
            let outcome = seeded(seed, move |sim| {
                set_up(sim);
                counts_to_fifty(sim);
            });
            assert_eq!(symptom(&outcome), "");
            outcome.virtual_time.as_millis()
        };
        (0..500).map(of_seed).max().expect("there are seeds")
    }

    #[test]
    fn all_delays_together_respect_the_maximum() {
        let usual = longest(|_| ());
        assert!((200..400).contains(&usual), "{usual} ms");
        let long = longest(|sim| {
            sim.delay_total_max(Duration::from_secs(20));
        });
        assert!((1_000..20_000).contains(&long), "{long} ms");
        let short = longest(|sim| {
            sim.delay_total_max(Duration::from_millis(2));
        });
        assert!(short < 2, "{short} ms");
    }
}
