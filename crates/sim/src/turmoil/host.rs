//! A host inside of turmoil: a simulated host whose transport is turmoil's network.
//!
//! Tasks, threads, locks, timers and entropy are those of every simulated host, because the scheduler is the same.
//! Names, TCP and UDP are turmoil's.
//!
//! Unix sockets are the simulator's, because turmoil has none. They never leave a host, and nothing in them takes time,
//! so it does not matter which clock they see. A crash of the host closes them before its tasks are dropped; their
//! paths stay. (Tokio's own Unix sockets work inside of turmoil with its `enable_tokio_io`. Those are real ones, in
//! real files.)

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use wavetank_runtime::{ListenOptions, SocketOptions};

use super::ports::at_once;
use super::socket::{self, Listening, Socket};
use super::udp;
use crate::host::{Host, Transport, timeout_nanos};
use crate::trace::FIRST_LABEL;
use crate::wait::Operation;
use crate::world::Run;
use crate::world::context;

/// A handle to a host inside of turmoil. It implements [`Runtime`](wavetank_runtime::Runtime) and
/// [`Threads`](wavetank_runtime::Threads), and their extensions for UDP and Unix sockets. Protocol code runs on it as
/// on any other runtime.
///
/// Handles are small and may be copied anywhere within their run. turmoil acts on the host that it is running, so
/// sockets must be made, used and dropped in tasks and threads of their own host. Elsewhere, and in a task of
/// `tokio::spawn`, using a socket panics with an explanation. Tasks and threads can be started from any host.
///
/// Some things have no effect here:
///
/// - `SocketOptions`. turmoil counts buffers in segments and datagrams, for all hosts at once (`Builder::tcp_capacity`,
///   `Builder::udp_capacity`).
/// - `ListenOptions`. The backlog is turmoil's, and a SYN beyond it panics the simulation.
/// - `set_nodelay`. turmoil never delays small segments.
///
/// `abort` closes. turmoil sends a reset only if unread bytes are left when the last handle is dropped. Otherwise the
/// peer sees an orderly end.
pub type TurmoilHost = Host<Turmoil>;

/// turmoil's network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Turmoil;

impl Transport for Turmoil {
    const HOST: &'static str = "TurmoilHost";
    type Socket = Socket;
    type Listening = Listening;
    type Datagrams = udp::Socket;

    fn ip(host: TurmoilHost) -> IpAddr {
        ::turmoil::lookup(&*host.name())
    }

    fn scheduling_point(host: TurmoilHost, verb: &'static str) -> io::Result<()> {
        host.on_network()?.scheduler.scheduling_point(Operation::new(verb));
        Ok(())
    }

    fn resolve(host: TurmoilHost, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        host.on_network()?;
        if name == "localhost" {
            return Ok(vec![(Ipv4Addr::LOCALHOST, port).into()]);
        }
        Ok(at_once(::turmoil::net::lookup_host((name, port)))?.collect())
    }

    async fn connect(host: TurmoilHost, address: SocketAddr, _: SocketOptions) -> io::Result<Socket> {
        socket::connect(host, address).await
    }

    fn connect_blocking(
        host: TurmoilHost,
        address: SocketAddr,
        _: SocketOptions,
        timeout: Option<Duration>,
    ) -> io::Result<Socket> {
        socket::connect_blocking(host, address, timeout_nanos(timeout)?)
    }

    fn listen(host: TurmoilHost, address: SocketAddr, _: ListenOptions) -> io::Result<Listening> {
        Listening::new(host, address)
    }

    fn bind(host: TurmoilHost, address: SocketAddr, _: SocketOptions) -> io::Result<udp::Socket> {
        udp::Socket::bind(host, address)
    }
}

impl TurmoilHost {
    /// Returns the run, from within this very host.
    ///
    /// # Panics
    ///
    /// Outside of the run, and on another host.
    pub(super) fn here(self) -> Rc<Run> {
        let run = self.run();
        let problem = match run.scheduler.entered_host() {
            Some(here) if here == self.index => return run,
            Some(_) => "on another one: turmoil acts on the host that it is running",
            None => {
                "outside of its tasks and threads, such as in a task of `tokio::spawn`: start that with \
                 `Runtime::spawn`, or use turmoil's own sockets there"
            }
        };
        panic!("a socket of the turmoil host `{}` was used {problem}", self.name());
    }

    /// Returns the run, for an operation on turmoil's network from within this very host.
    ///
    /// # Errors
    ///
    /// After turmoil's simulation has ended. Destructors that run then have no network.
    ///
    /// # Panics
    ///
    /// Those of [`here`](Self::here).
    pub(super) fn on_network(self) -> io::Result<Rc<Run>> {
        let over = self.run().scheduler.is_tearing_down() && !::turmoil::in_simulation();
        if over { Err(io::Error::other("turmoil's simulation is over")) } else { Ok(self.here()) }
    }

    /// Returns `true` if this host is the one that runs, in turmoil too.
    pub(super) fn is_here(self) -> bool {
        let run = context::current().filter(|run| run.number == self.run);
        run.is_some_and(|run| run.scheduler.entered_host() == Some(self.index)) && ::turmoil::in_simulation()
    }

    /// Returns `true` if another host of this run is the one that runs.
    pub(super) fn is_elsewhere(self) -> bool {
        let run = context::current().filter(|run| run.number == self.run);
        let here = run.and_then(|run| run.scheduler.entered_host());
        here.is_some_and(|here| here != self.index)
    }

    /// Returns an address as reports show it: by the host's name.
    pub(super) fn place(self, address: SocketAddr) -> String {
        let ip = address.ip();
        let name = if ip.is_loopback() || ip.is_unspecified() {
            Some(self.name().to_string())
        } else {
            ::turmoil::reverse_lookup(ip)
        };
        format!("{}:{}", name.as_deref().unwrap_or("unknown"), address.port())
    }
}

impl Run {
    /// Names an object outside of the simulator's network that tasks may wait for. Returns its number.
    pub(super) fn label(&self, label: Arc<str>) -> u64 {
        let mut labels = self.labels.borrow_mut();
        labels.push(label);
        FIRST_LABEL + labels.len() as u64 - 1
    }
}
