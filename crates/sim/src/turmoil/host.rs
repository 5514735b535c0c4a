//! A host inside of turmoil: both runtime traits and their extensions, over turmoil's network.
//!
//! Tasks, threads, locks, timers and entropy are those of the simulator's host, because the scheduler is the same,
//! and so are Unix sockets, which turmoil has not; names and all other sockets are turmoil's.

use std::fmt;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;

use super::ports::at_once;
use crate::host::Host;
use crate::trace::FIRST_LABEL;
use crate::world::Run;
use crate::world::context;

/// A handle to a host inside of turmoil. It implements [`Runtime`](wavetank_runtime::Runtime) and
/// [`Threads`](wavetank_runtime::Threads), and their extensions for UDP and Unix sockets; protocol code runs on it as
/// on any other.
///
/// Handles are small and may be copied anywhere within their run. Sockets are made, used and dropped on their own
/// host, in its tasks and threads, because turmoil acts on the host that it is running; tasks and threads can be
/// started from any host. Elsewhere, and in a task of `tokio::spawn`, using a socket panics and says so.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TurmoilHost {
    pub(super) inner: Host,
}

impl TurmoilHost {
    pub(super) const fn new(inner: Host) -> Self {
        Self { inner }
    }

    /// Returns the run, from within this very host.
    ///
    /// # Panics
    ///
    /// Outside of the run, and on another host than this.
    pub(super) fn here(self) -> Rc<Run> {
        let run = self.inner.run();
        let problem = match run.scheduler.entered_host() {
            Some(here) if here == self.inner.index => return run,
            Some(_) => "on another one: turmoil acts on the host that it is running",
            None => {
                "outside of its tasks and threads, such as in a task of `tokio::spawn`: start that with \
                 `Runtime::spawn`, or use turmoil's own sockets there"
            }
        };
        panic!("a socket of the turmoil host `{}` was used {problem}", self.inner.name());
    }

    /// Returns the run, for an operation on turmoil's network from within this very host.
    ///
    /// # Errors
    ///
    /// Once turmoil's simulation is over: destructors that run then have no network any more.
    ///
    /// # Panics
    ///
    /// As [`here`](Self::here).
    pub(super) fn acts(self) -> io::Result<Rc<Run>> {
        let over = self.inner.run().scheduler.is_tearing_down() && !::turmoil::in_simulation();
        if over { Err(io::Error::other("turmoil's simulation is over")) } else { Ok(self.here()) }
    }

    /// Whether this host is the one that runs, in turmoil too.
    pub(super) fn is_here(self) -> bool {
        let run = context::current().filter(|run| run.number == self.inner.run);
        run.is_some_and(|run| run.scheduler.entered_host() == Some(self.inner.index))
            && ::turmoil::in_simulation()
    }

    /// Whether another host of this run is the one that runs.
    pub(super) fn is_elsewhere(self) -> bool {
        let run = context::current().filter(|run| run.number == self.inner.run);
        let here = run.and_then(|run| run.scheduler.entered_host());
        here.is_some_and(|here| here != self.inner.index)
    }

    /// Returns the host's name.
    ///
    /// # Panics
    ///
    /// Outside of the run that the host belongs to.
    #[must_use]
    pub fn name(&self) -> Arc<str> {
        self.inner.name()
    }

    /// Returns the host's address.
    ///
    /// # Panics
    ///
    /// Outside of turmoil's simulation.
    #[must_use]
    pub fn ip(&self) -> IpAddr {
        ::turmoil::lookup(&*self.name())
    }

    /// An address as reports show it: by the host's name.
    pub(super) fn place(self, address: SocketAddr) -> String {
        let ip = address.ip();
        let name = if ip.is_loopback() || ip.is_unspecified() {
            Some(self.name().to_string())
        } else {
            ::turmoil::reverse_lookup(ip)
        };
        format!("{}:{}", name.as_deref().unwrap_or("unknown"), address.port())
    }

    pub(super) fn resolve_now(self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        self.acts()?;
        if host == "localhost" {
            return Ok(vec![(Ipv4Addr::LOCALHOST, port).into()]);
        }
        Ok(at_once(::turmoil::net::lookup_host((host, port)))?.collect())
    }
}

impl fmt::Debug for TurmoilHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match context::current() {
            Some(_) => write!(f, "TurmoilHost({})", self.name()),
            None => f.write_str("TurmoilHost(of another run)"),
        }
    }
}

impl Run {
    /// Names something outside of the simulator's network that tasks may wait for. Returns its number.
    pub(super) fn label(&self, label: Arc<str>) -> u64 {
        let mut labels = self.labels.borrow_mut();
        labels.push(label);
        FIRST_LABEL + labels.len() as u64 - 1
    }
}
