//! What a test says about its UDP: whether the network keeps datagrams, and their order.

use std::time::Duration;

use crate::net::{Fate, Fates};

/// What may befall datagrams between hosts. A host always reaches itself.
///
/// The order in which the kinds are named here has no meaning; what matters is which are there.
///
/// # Defaults
///
/// [`Udp::reliable`], which is every simulation's default, delivers each datagram once and in order, as a quiet
/// network does; faults (a partition, a silent host) lose datagrams all the same. [`Udp::unreliable`] has all kinds;
/// one datagram in 8 is hit, and delays are up to 200 ms.
///
/// # Determinism
///
/// Each datagram asks for its fate in the lane `datagrams A>B` (0 is delivery), and a late one for its delay. Without
/// any kind nothing is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Udp {
    fates: Fates,
}

impl Udp {
    /// Each datagram arrives once, in order.
    #[must_use]
    pub const fn reliable() -> Self {
        Self { fates: Fates::none() }
    }

    /// Datagrams get lost, come twice, and overtake each other.
    #[must_use]
    pub fn unreliable() -> Self {
        Self::reliable().loss().duplication().reordering()
    }

    /// Adds loss: a datagram does not arrive, and its sender does not learn it.
    #[must_use]
    pub fn loss(self) -> Self {
        self.with(Fate::Lost)
    }

    /// Adds duplication: a datagram arrives in its time, and again later.
    #[must_use]
    pub fn duplication(self) -> Self {
        self.with(Fate::Twice)
    }

    /// Adds reordering: a datagram is late, and those behind it overtake it.
    #[must_use]
    pub fn reordering(self) -> Self {
        self.with(Fate::Late)
    }

    /// Sets how many datagrams are hit: one in `count`, at least 1 (all of them). Default 8.
    #[must_use]
    pub fn one_in(mut self, count: u32) -> Self {
        self.fates.one_in = count.max(1);
        self
    }

    /// Sets how late a datagram, or its second copy, is at most. Default 200 ms. Drawn in ten steps, each twice the one
    /// before, so that it is a little late as often as very.
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
