//! Strategies: how a test says that the next task is chosen.

/// How the next task is chosen where more than one could run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Strategy {
    /// Each seed draws its own strategy (swarm testing): one of the others. The default.
    Swarm,
    /// First come, first served, and a thread runs until it blocks: what a quiet machine does.
    Fifo,
    /// Every candidate is as likely as any other, at every scheduling point.
    Random,
    /// As `Random`, but only at one scheduling point in `every`; otherwise the same task goes on. Bugs that need a long
    /// undisturbed stretch and then one unlucky switch.
    Sticky {
        /// 1 or more; 1 is `Random`.
        every: u32,
    },
    /// Probabilistic concurrency testing: random priorities, lowered at `depth - 1` random points. Finds a bug that
    /// needs `depth` ordering constraints with a known probability (Burckhardt et al., ASPLOS 2010).
    Pct {
        /// 1 to 8.
        depth: u32,
    },
}
