//! The scale on which beginnings and lengths of faults are drawn: steps of a factor of about 1.19 (a quarter of an
//! octave), so that shrinking has small numbers to work on.

use std::time::Duration;

use crate::time::Nanos;
use crate::time::nanos;

const STEPS_PER_OCTAVE: u32 = 4;

/// A scale that begins with a shortest time, which is value 0.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale {
    shortest: Nanos,
}

impl Scale {
    pub(crate) const fn from(shortest: Nanos) -> Self {
        Self { shortest }
    }

    /// Returns how many steps there are up to `max`, the shortest time included.
    pub(crate) fn steps(self, max: Duration) -> u32 {
        let octaves = (nanos(max).max(self.shortest) / self.shortest).ilog2();
        octaves * STEPS_PER_OCTAVE + 1
    }

    /// Returns the time at a step, at most the longest there is.
    pub(crate) fn time(self, step: u32) -> Nanos {
        let octave = self.shortest << (step / STEPS_PER_OCTAVE);
        let quarter = octave / Nanos::from(STEPS_PER_OCTAVE);
        octave.saturating_add(quarter * Nanos::from(step % STEPS_PER_OCTAVE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_grow_with_the_value_and_are_bounded() {
        for shortest in [50_000, 1_000_000] {
            let scale = Scale::from(shortest);
            for max in
                [Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(1800), Duration::MAX]
            {
                let times: Vec<Nanos> = (0..scale.steps(max)).map(|step| scale.time(step)).collect();
                assert!(times.is_sorted());
                assert_eq!(times[0], shortest);
                let last = *times.last().expect("at least one");
                assert!((nanos(max) / 2..=nanos(max)).contains(&last), "{last} of {max:?}");
            }
            assert_eq!(scale.steps(Duration::ZERO), 1);
        }
    }
}
