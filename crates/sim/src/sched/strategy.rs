//! Strategies: how a test says that the next task is chosen.

/// How the next task is chosen if more than one can run.
///
/// [`Urw`](Self::Urw) and [`Surw`](Self::Surw) know how much each task has to do, and [`Pct`](Self::Pct) how long a run
/// is, from one run that counts: the warm-up of the sweep.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Strategy {
    /// Each seed draws its own strategy (swarm testing): one of the others. The default.
    Swarm,
    /// First come, first served. A thread runs until it blocks, as on a quiet machine.
    Fifo,
    /// Chooses uniformly among the candidates at every scheduling point.
    Random,
    /// Like `Random`, but only at one scheduling point in `every`. At the others the same task continues. Finds bugs
    /// that need a long undisturbed stretch and then one unlucky switch.
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
    /// Partial-order sampling: each operation gets a random priority, and a new one when another task touches the same
    /// lock, socket or named memory (Yuan et al., CAV 2018).
    Pos,
    /// Uniform random walk: a task is as likely as it has events left, so all interleavings are about equally likely
    /// (Zhao et al., ASPLOS 2025).
    Urw,
    /// Selectively uniform random walk: the interleavings of the accesses to *one* object (a lock, a socket, named
    /// memory), which each seed draws, are about equally likely. Everything else is ordered by random priorities (Zhao
    /// et al., ASPLOS 2025).
    Surw,
}
