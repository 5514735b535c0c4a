//! A simulated host. It implements both runtime traits.
//!
//! `tasks` implements `Runtime`, `threads` implements `Threads`, `datagrams` and `local` implement the extensions of
//! both. They reach the network through a `transport`. `simulated` is the simulator's own, with its sockets in `socket`
//! and `udp`. `locks` are the locks of threads.

mod datagrams;
mod ending;
mod local;
mod locks;
mod main;
#[cfg(all(feature = "process", not(miri)))]
pub(crate) mod process;
mod simulated;
mod socket;
mod tasks;
mod threads;
mod transport;
mod udp;

use std::marker::PhantomData;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::{fmt, io};

use self::simulated::Simulated;
pub(crate) use self::transport::Transport;
use crate::inject::Injector;
use crate::net::HostId;
use crate::symptom::{Symptom, SymptomKind};
use crate::time::Nanos;
use crate::trace::TraceEvent;
use crate::world::{Run, context};

pub use datagrams::{SimBlockingUdpSocket, SimUdpSocket};
pub use local::{SimBlockingUnixListener, SimBlockingUnixStream, SimUnixListener, SimUnixStream};
pub use locks::{SimCondvar, SimGuard, SimMutex};
pub use main::MainResult;
pub use tasks::{SimListener, SimReadHalf, SimSleep, SimStream, SimTaskHandle, SimWriteHalf};
pub use threads::{SimBlockingListener, SimBlockingStream, SimThreadHandle};

#[cfg(feature = "turmoil")]
pub(crate) use socket::timeout_nanos;
#[cfg(any(feature = "turmoil", feature = "quinn"))]
pub(crate) use transport::DatagramSocket;
#[cfg(any(feature = "turmoil", feature = "axum"))]
pub(crate) use transport::ListeningSocket;
#[cfg(any(feature = "turmoil", feature = "axum", feature = "tonic", feature = "tower"))]
pub(crate) use transport::StreamSocket;

/// A handle to a simulated host. It implements [`Runtime`](wavetank_runtime::Runtime) and
/// [`Threads`](wavetank_runtime::Threads). Protocol code runs on it as on any other runtime.
///
/// Handles are small and may be copied anywhere within their run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Host<N: Transport = Simulated> {
    pub(crate) run: u64,
    pub(crate) index: usize,
    network: PhantomData<N>,
}

impl<N: Transport> Host<N> {
    pub(crate) const fn new(run: u64, index: usize) -> Self {
        Self { run, index, network: PhantomData }
    }

    #[track_caller]
    pub(crate) fn run(self) -> Rc<Run> {
        context::expect_run(self.run)
    }

    /// Returns the run, for effects outside of the process: opening a socket, removing its path.
    ///
    /// # Errors
    ///
    /// On a host that has crashed. Only destructors run there. In production not even they would run.
    #[track_caller]
    fn acts(self) -> io::Result<Rc<Run>> {
        let run = self.run();
        if run.is_down(self.index) { Err(io::Error::other("the host has crashed")) } else { Ok(run) }
    }

    pub(crate) const fn id(self) -> HostId {
        HostId::new(self.index)
    }

    /// Returns the host's name.
    ///
    /// # Panics
    ///
    /// Outside of the run that the host belongs to, like all methods of a host.
    #[must_use]
    pub fn name(&self) -> Arc<str> {
        self.run().host_name(self.index)
    }

    /// Returns the host's address.
    ///
    /// # Panics
    ///
    /// Outside of the run that the host belongs to.
    #[must_use]
    pub fn ip(&self) -> IpAddr {
        N::ip(*self)
    }

    /// Reports what a main returned.
    pub(crate) fn main_ended(self, result: impl MainResult) {
        if let Some(failure) = result.failure() {
            let run = self.run();
            run.scheduler.trace_event(TraceEvent::Failed(failure.as_str().into()));
            let where_it_was = run.refusals.last(self.index, &failure);
            let detail = format!("{}: {failure}{where_it_was}", self.name());
            run.scheduler.fail(Symptom::new(SymptomKind::HostError, detail));
        }
    }

    /// Shows in the trace what failed and where, and returns the error. The report of a main that ends with the same
    /// error repeats it, because an error of the system does not say where.
    pub(crate) fn cannot(self, what: &str, address: impl fmt::Display, error: io::Error) -> io::Error {
        let line = format!("cannot {what} {address}: {error}");
        let run = self.run();
        run.scheduler.trace_event(TraceEvent::Logged(line.as_str().into()));
        run.refusals.note(self.index, error.to_string(), line);
        error
    }

    pub(crate) fn fill(self, buffer: &mut [u8]) {
        let run = self.run();
        run.scheduler.choices.borrow_mut().entropy(&run.host_name(self.index), buffer);
    }

    fn now_nanos(self) -> Nanos {
        self.run().scheduler.now()
    }
}

impl Host {
    /// Returns the handle of a host of this run by its name. It is for tests that act on several hosts from one task.
    ///
    /// # Panics
    ///
    /// Outside of the run that the host belongs to.
    #[must_use]
    pub fn host(&self, name: &str) -> Option<Self> {
        self.run().host_index(name).map(|index| Self::new(self.run, index))
    }

    /// Returns the injector of this host's run. It injects faults by hand: partitions, crashes and so on.
    #[must_use]
    pub const fn inject(&self) -> Injector {
        Injector::new(self.run)
    }
}

impl<N: Transport> fmt::Debug for Host<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match context::current().filter(|run| run.number == self.run) {
            Some(run) => write!(f, "{}({})", N::HOST, run.host_name(self.index)),
            None => write!(f, "{}(of another run)", N::HOST),
        }
    }
}

/// Wraps the body of a thread so that only a forced unwind leaves it.
pub(crate) fn thread_entry(run: u64, body: impl FnOnce() + 'static) -> impl FnOnce() + 'static {
    move || {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(body)) {
            context::expect_run(run).scheduler.thread_panicked(payload);
        }
    }
}

/// Returns the error of a call that would have to wait while its thread unwinds.
pub(crate) fn unwinding(what: &str) -> io::Error {
    io::Error::other(format!("{what} would have to wait, and a thread that unwinds cannot"))
}
