//! Datagram faults: loss, duplication, reordering.

use std::time::Duration;

use crate::net::{Fate, Fates};

/// The faults of datagrams between hosts. Datagrams of a host to itself always arrive.
///
/// The order in which kinds are added has no effect.
///
/// # Defaults
///
/// [`Udp::reliable`] is the default of every simulation. It delivers each datagram once and in order, as a quiet
/// network does. Faults (a partition, a silent host) still lose datagrams. [`Udp::unreliable`] has all kinds: one
/// datagram in 8 is affected, and delays are up to 200 ms.
///
/// # Determinism
///
/// Each datagram draws its fate in the lane `datagrams A>B` (0 is delivery), and a late one draws its delay. Without
/// any kind nothing is drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Udp {
    fates: Fates,
}

impl Udp {
    /// Delivers each datagram once, in order.
    #[must_use]
    pub const fn reliable() -> Self {
        Self { fates: Fates::none() }
    }

    /// Loses, duplicates and reorders datagrams.
    #[must_use]
    pub fn unreliable() -> Self {
        Self::reliable().loss().duplication().reordering()
    }

    /// Adds loss: a datagram does not arrive, and its sender gets no error.
    #[must_use]
    pub fn loss(self) -> Self {
        self.with(Fate::Lost)
    }

    /// Adds duplication: a datagram arrives on time, and again later.
    #[must_use]
    pub fn duplication(self) -> Self {
        self.with(Fate::Twice)
    }

    /// Adds reordering: a datagram is late, and later ones overtake it.
    #[must_use]
    pub fn reordering(self) -> Self {
        self.with(Fate::Late)
    }

    /// Sets how many datagrams are affected: one in `count`, at least 1 (all of them). Default: 8.
    #[must_use]
    pub fn one_in(mut self, count: u32) -> Self {
        self.fates.one_in = count.max(1);
        self
    }

    /// Sets how late a datagram or its second copy is at most. Default: 200 ms. The delay is drawn in ten steps, each
    /// twice the one before.
    #[must_use]
    pub const fn delay_max(mut self, delay: Duration) -> Self {
        self.fates.delay_max = delay;
        self
    }

    fn with(mut self, fate: Fate) -> Self {
        self.fates.kinds.push(fate);
        // Lower values are more ordinary, and the same kinds are the same questions.
        self.fates.kinds.sort();
        self.fates.kinds.dedup();
        self
    }

    pub(crate) fn into_fates(self) -> Fates {
        self.fates
    }
}

impl Default for Udp {
    fn default() -> Self {
        Self::reliable()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kinds_are_a_set() {
        assert_eq!(Udp::reliable().loss().reordering().loss().duplication(), Udp::unreliable());
        assert_eq!(Udp::unreliable().into_fates().kinds, [Fate::Late, Fate::Twice, Fate::Lost]);
    }
}
