//! A host of the simulation: the simulator's implementation of both runtime traits.
//!
//! `tasks` implements `Runtime`, `threads` implements `Threads`, `socket` is what their streams share, `udp` and
//! `local` implement the extensions of both, `locks` are the locks of threads.

mod ending;
mod local;
mod locks;
mod main;
mod socket;
mod tasks;
mod threads;
mod udp;

use std::net::{IpAddr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::{fmt, io};

use wavetank_runtime::SocketOptions;

use self::socket::{EndId, Socket};
use crate::inject::Injector;
use crate::net::HostId;
use crate::symptom::{Symptom, SymptomKind};
use crate::time::Nanos;
use crate::trace::TraceEvent;
use crate::world::{Run, context};

pub use local::{SimBlockingUnixListener, SimBlockingUnixStream, SimUnixListener, SimUnixStream};
pub use locks::{SimCondvar, SimGuard, SimMutex};
pub use main::{MainResult, Returns};
pub use tasks::{SimListener, SimReadHalf, SimSleep, SimStream, SimTaskHandle, SimWriteHalf};
pub use threads::{SimBlockingListener, SimBlockingStream, SimThreadHandle};
pub use udp::{SimBlockingUdpSocket, SimUdpSocket};

/// A handle to a simulated host. It implements [`Runtime`](wavetank_runtime::Runtime) and
/// [`Threads`](wavetank_runtime::Threads); protocol code runs on it as on any other.
///
/// Handles are small and may be copied anywhere within their run.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Host {
    pub(crate) run: u64,
    pub(crate) index: usize,
}

impl Host {
    pub(crate) const fn new(run: u64, index: usize) -> Self {
        Self { run, index }
    }

    #[track_caller]
    pub(crate) fn run(self) -> Rc<Run> {
        context::expect_run(self.run)
    }

    /// Returns the run, for what reaches beyond the process: opening a socket, removing its path.
    ///
    /// # Errors
    ///
    /// On a host that has crashed. Nothing of it runs but destructors, and those of a process that is killed do not.
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
    /// Outside of the run that the host belongs to, as all methods of a host.
    #[must_use]
    pub fn name(&self) -> Arc<str> {
        self.run().host_name(self.index)
    }

    /// Returns the handle of another host of this run, or of this one, by its name: for tests that act in several
    /// places from one task. Protocol code has no use for it; it connects.
    ///
    /// # Panics
    ///
    /// Outside of the run that the host belongs to.
    #[must_use]
    pub fn host(&self, name: &str) -> Option<Self> {
        self.run().host_index(name).map(|index| Self { run: self.run, index })
    }

    /// Returns the host's address.
    ///
    /// # Panics
    ///
    /// Outside of the run that the host belongs to.
    #[must_use]
    pub fn ip(&self) -> IpAddr {
        let run = self.run();
        let name = run.host_name(self.index);
        run.network(|network, _, _| network.resolve(self.id(), &name)).expect("a host knows its own name")
    }

    /// Returns what makes faults by hand in this host's run: partitions, crashes and so on, beside those that are
    /// drawn.
    #[must_use]
    pub const fn inject(&self) -> Injector {
        Injector::new(self.run)
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

    /// Sends the SYN; the socket is not connected yet.
    fn begin_connect(self, address: SocketAddr, options: SocketOptions) -> io::Result<Socket> {
        let run = self.acts()?;
        let id = run.network(|network, now, link| network.connect(now, link, self.id(), address, options));
        let id = id.map_err(|error| self.cannot("connect to", address, error))?;
        Ok(Socket::new(self.run, EndId::Tcp(id)))
    }

    fn resolve_now(self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let found = self.run().network(|network, _, _| network.resolve(self.id(), host));
        match found {
            Some(ip) => Ok(vec![(ip, port).into()]),
            None => Err(io::Error::new(io::ErrorKind::NotFound, self.run().no_such_host(host))),
        }
    }

    /// Shows in the trace what failed at once, and where, and keeps it for the report of a main that ends with the same
    /// error: an error of the system does not say where.
    pub(crate) fn cannot(self, what: &str, address: impl fmt::Display, error: io::Error) -> io::Error {
        let line = format!("cannot {what} {address}: {error}");
        let run = self.run();
        run.scheduler.trace_event(TraceEvent::Logged(line.as_str().into()));
        run.refusals.note(self.index, error.to_string(), line);
        error
    }

    fn fill(self, buffer: &mut [u8]) {
        let run = self.run();
        run.scheduler.choices.borrow_mut().entropy(&run.host_name(self.index), buffer);
    }

    fn now_nanos(self) -> Nanos {
        self.run().scheduler.now()
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match context::current().filter(|run| run.number == self.run) {
            Some(run) => write!(f, "Host({})", run.host_name(self.index)),
            None => f.write_str("Host(of another run)"),
        }
    }
}

/// Wraps what a thread does so that it never unwinds but by force.
pub(crate) fn thread_entry(run: u64, body: impl FnOnce() + 'static) -> impl FnOnce() + 'static {
    move || {
        if let Err(payload) = catch_unwind(AssertUnwindSafe(body)) {
            context::expect_run(run).scheduler.thread_panicked(payload);
        }
    }
}

/// What a runtime call says when its thread unwinds and would have to wait.
pub(crate) fn unwinding(what: &str) -> io::Error {
    io::Error::other(format!("{what} would have to wait, and a thread that unwinds cannot"))
}
