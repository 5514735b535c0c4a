//! A UDP socket of the simulator's network.

use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use wavetank_runtime::SocketOptions;

use super::socket::{block, timeout_nanos};
use super::transport::DatagramSocket;
use super::{Host, context};
use crate::net::{Ready, UdpId};
use crate::time::Nanos;
use crate::trace::Next;
use crate::wait::{Operation, Wait};
use crate::world::Run;

/// A UDP socket that its handles share. Dropping it closes the socket.
#[derive(Debug)]
pub struct Socket {
    run: u64,
    pub(super) id: UdpId,
    /// In nanoseconds; 0 is none.
    read_timeout: AtomicU64,
}

const VERB: &str = "receive from";

impl Socket {
    pub(super) fn bind(host: Host, address: SocketAddr, options: SocketOptions) -> io::Result<Self> {
        let run = host.acts()?;
        let id = run.network(|network, _, _| network.udp_bind(host.id(), address, options));
        let id = id.map_err(|error| host.cannot("bind a UDP socket to", address, error))?;
        run.made(id.object());
        Ok(Self { run: host.run, id, read_timeout: AtomicU64::new(0) })
    }

    fn run(&self) -> Rc<Run> {
        context::expect_run(self.run)
    }

    pub(super) fn try_receive(&self, run: &Run, buffer: &mut [u8]) -> Poll<io::Result<(usize, SocketAddr)>> {
        run.network(|network, _, _| network.udp_receive(self.id, buffer))
    }

    fn wait(&self, until: Option<Nanos>) -> Wait {
        Wait::Io { verb: VERB, object: self.id.object(), until }
    }
}

impl DatagramSocket for Socket {
    fn scheduling_point(&self, verb: &'static str) {
        self.run().scheduler.scheduling_point(Operation::new(verb));
    }

    fn poll_turn(&self, context: &Context<'_>) -> Poll<()> {
        self.run().scheduler.poll_turn(context, Next::Operation(Operation::new("send a datagram")))
    }

    fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        self.run().network(|network, _, _| network.udp_connect(self.id, peer))
    }

    fn send(&self, bytes: &[u8], target: Option<SocketAddr>) -> io::Result<usize> {
        self.run().network(|network, now, outside| network.udp_send(now, outside, self.id, bytes, target))
    }

    fn has_sent(&self) {
        let (run, operation) = (self.run(), Operation::new("send a datagram"));
        run.scheduler.after_effect(operation);
        run.scheduler.after_effect_in_thread(operation);
    }

    fn poll_receive(
        &self,
        context: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<(usize, SocketAddr)>> {
        let run = self.run();
        ready!(run.scheduler.poll_operation(context, self.wait(None)));
        let polled = self.try_receive(&run, buffer);
        if polled.is_pending() {
            run.when_ready(Ready::Datagram(self.id), context.waker());
            run.scheduler.note_wait(self.wait(None));
        } else {
            run.scheduler.after_effect(Operation::new(VERB));
        }
        polled
    }

    fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let timeout = self.read_timeout.load(Ordering::Relaxed);
        let attempt = |run: &Run| self.try_receive(run, buffer);
        block(&self.run(), VERB, Ready::Datagram(self.id), timeout, |until| self.wait(until), attempt)
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.read_timeout.store(timeout_nanos(timeout)?, Ordering::Relaxed);
        Ok(())
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.run().network(|network, _, _| network.udp_local_addr(self.id))
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.run().network(|network, _, _| network.udp_peer_addr(self.id))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // A socket may outlive its run, in a destructor of the test's own. Then there is nothing left to close.
        context::with_run(self.run, |run| {
            run.network(|network, _, _| network.udp_close(self.id));
            run.unmade(self.id.object());
            run.forget(Ready::Datagram(self.id));
        });
    }
}
