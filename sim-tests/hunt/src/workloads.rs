//! Workloads that several crates share.

use std::future::Future;
use std::time::Duration;

use wavetank::runtime::Runtime;
use wavetank::{Adversary, Host, cancellable, pausable};

pub(crate) mod channel;
pub(crate) mod mutex;
pub(crate) mod pool;

/// How much patience a task has with an operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Patience {
    /// Waits as long as it takes.
    Endless,
    /// Is cancelled at any await, as the run chooses.
    Cancelled,
    /// Is kept and not polled for a while, as the run chooses.
    Paused,
    /// Is polled without cause, and with a waker that is not that of the task before that of the task.
    Awkward,
    /// Gives up after this many microseconds.
    Micros(u64),
}

impl Patience {
    /// Makes one of the number that a test has drawn below [`Self::KINDS`].
    pub(crate) const fn drawn(number: u32) -> Self {
        match number {
            0 => Self::Endless,
            1 => Self::Cancelled,
            2 => Self::Paused,
            3 => Self::Awkward,
            4 => Self::Micros(100),
            _ => Self::Micros(1_000),
        }
    }

    pub(crate) const KINDS: u32 = 6;

    /// Returns `true` if the operation may be given up.
    pub(crate) const fn gives_up(self) -> bool {
        matches!(self, Self::Cancelled | Self::Micros(_))
    }

    /// Returns the result of `operation`, or `None` if it was given up.
    pub(crate) async fn wait<F: Future + Send>(self, host: Host, operation: F) -> Option<F::Output> {
        match self {
            Self::Endless => Some(operation.await),
            Self::Cancelled => cancellable("operation", operation).await,
            Self::Paused => Some(pausable("operation", operation).await),
            Self::Awkward => Some(Adversary::new("operation", operation).await),
            Self::Micros(micros) => tokio::select! {
                result = operation => Some(result),
                () = host.sleep(Duration::from_micros(micros)) => None,
            },
        }
    }
}

/// Waits `tenths` times 100 µs; not at all for 0.
pub(crate) async fn work(host: Host, tenths: u32) {
    if tenths > 0 {
        host.sleep(Duration::from_micros(100) * tenths).await;
    }
}
