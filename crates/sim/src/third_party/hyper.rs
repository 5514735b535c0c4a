//! A host as hyper's executor and timer.

use std::pin::Pin;
use std::time::{Duration, Instant};

use hyper::rt::{Executor, Sleep, Timer};
use wavetank_runtime::Runtime;

use super::until;
use crate::host::{Host, SimSleep, Transport};

/// Starts hyper's tasks on the host, with the name `hyper`. Builders take a copy of the host.
///
/// # Panics
///
/// Outside of the run that the host belongs to.
impl<F, N: Transport> Executor<F> for Host<N>
where
    F: Future + Send + 'static,
    F::Output: Send + 'static,
{
    fn execute(&self, future: F) {
        drop(self.spawn("hyper", future));
    }
}

/// Times hyper's deadlines in virtual time. Builders take a copy of the host.
///
/// Deadlines are differences of `std::time::Instant`, which is virtual on Linux only.
impl<N: Transport> Timer for Host<N> {
    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Sleep>> {
        Box::pin(Runtime::sleep(self, duration))
    }

    fn sleep_until(&self, deadline: Instant) -> Pin<Box<dyn Sleep>> {
        Timer::sleep(self, until(deadline))
    }

    /// Keeps the timer, and the task that waits for it.
    fn reset(&self, sleep: &mut Pin<Box<dyn Sleep>>, deadline: Instant) {
        match sleep.as_mut().downcast_mut_pin::<SimSleep>() {
            Some(timer) => timer.reset_after(until(deadline)),
            None => *sleep = Timer::sleep_until(self, deadline),
        }
    }
}

impl Sleep for SimSleep {}
