//! UDP for a simulated host: [`Datagrams`] for tasks, [`BlockingDatagrams`] for threads.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use wavetank_runtime::{BlockingDatagrams, BlockingUdpSocket, Datagrams, SocketOptions, UdpSocket};

use super::socket::{block, timeout_nanos};
use super::{Host, context};
use crate::net::{Ready, UdpId};
use crate::time::Nanos;
use crate::trace::Next;
use crate::wait::{Operation, Wait};
use crate::world::Run;

/// A UDP socket as its handles share it. Dropping it closes the socket.
#[derive(Debug)]
struct Socket {
    run: u64,
    id: UdpId,
    /// In nanoseconds; 0 is none.
    read_timeout: AtomicU64,
}

const VERB: &str = "receive from";

impl Socket {
    fn bind(host: Host, address: SocketAddr, options: SocketOptions) -> io::Result<Self> {
        let run = host.acts()?;
        let id = run.network(|network, _, _| network.udp_bind(host.id(), address, options));
        let id = id.map_err(|error| host.cannot("bind a UDP socket to", address, error))?;
        run.made(id.object());
        Ok(Self { run: host.run, id, read_timeout: AtomicU64::new(0) })
    }

    fn run(&self) -> Rc<Run> {
        context::expect_run(self.run)
    }

    fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        self.run().network(|network, _, _| network.udp_connect(self.id, peer))
    }

    fn send(&self, bytes: &[u8], target: Option<SocketAddr>) -> io::Result<usize> {
        self.run().network(|network, now, outside| network.udp_send(now, outside, self.id, bytes, target))
    }

    fn try_receive(&self, run: &Run, buffer: &mut [u8]) -> Poll<io::Result<(usize, SocketAddr)>> {
        run.network(|network, _, _| network.udp_receive(self.id, buffer))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.run().network(|network, _, _| network.udp_local_addr(self.id))
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.run().network(|network, _, _| network.udp_peer_addr(self.id))
    }

    fn wait(&self, until: Option<Nanos>) -> Wait {
        Wait::Io { verb: VERB, object: self.id.object(), until }
    }

    /// A scheduling point of a task.
    fn poll_point(&self, context: &Context<'_>) -> Poll<()> {
        self.run().scheduler.poll_turn(context, Next::Operation(Operation::new("send a datagram")))
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

    /// A scheduling point of a thread.
    fn point(&self, verb: &'static str) {
        self.run().scheduler.scheduling_point(Operation::new(verb));
    }

    fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        let timeout = self.read_timeout.load(Ordering::Relaxed);
        let attempt = |run: &Run| self.try_receive(run, buffer);
        block(&self.run(), VERB, Ready::Datagram(self.id), timeout, |until| self.wait(until), attempt)
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // A socket may outlive its run, in a destructor of the test's own; there is nothing left to close then.
        context::with_run(self.run, |run| {
            run.network(|network, _, _| network.udp_close(self.id));
            run.unmade(self.id.object());
            run.forget(Ready::Datagram(self.id));
        });
    }
}

impl Datagrams for Host {
    type UdpSocket = SimUdpSocket;

    async fn bind_udp(&self, address: SocketAddr, options: SocketOptions) -> io::Result<SimUdpSocket> {
        Ok(SimUdpSocket { socket: Socket::bind(*self, address, options)? })
    }
}

/// A simulated UDP socket of tasks.
#[derive(Debug)]
pub struct SimUdpSocket {
    socket: Socket,
}

impl SimUdpSocket {
    async fn send_now(&self, bytes: &[u8], target: Option<SocketAddr>) -> io::Result<usize> {
        poll_fn(|context| self.socket.poll_point(context)).await;
        let sent = self.socket.send(bytes, target);
        self.socket.run().scheduler.after_effect(Operation::new("send a datagram"));
        sent
    }
}

impl UdpSocket for SimUdpSocket {
    async fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        self.socket.connect(peer)
    }

    async fn send_to(&self, bytes: &[u8], target: SocketAddr) -> io::Result<usize> {
        self.send_now(bytes, Some(target)).await
    }

    async fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        poll_fn(|context| self.socket.poll_receive(context, buffer)).await
    }

    async fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.send_now(bytes, None).await
    }

    async fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(self.recv_from(buffer).await?.0)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.peer_addr()
    }
}

impl BlockingDatagrams for Host {
    type UdpSocket = SimBlockingUdpSocket;

    fn bind_udp(&self, address: SocketAddr, options: SocketOptions) -> io::Result<SimBlockingUdpSocket> {
        self.run().scheduler.scheduling_point(Operation::new("bind"));
        Ok(SimBlockingUdpSocket { socket: Arc::new(Socket::bind(*self, address, options)?) })
    }
}

/// A simulated UDP socket of threads. Its clones share it.
#[derive(Debug)]
pub struct SimBlockingUdpSocket {
    socket: Arc<Socket>,
}

impl BlockingUdpSocket for SimBlockingUdpSocket {
    fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { socket: self.socket.clone() })
    }

    fn connect(&self, peer: SocketAddr) -> io::Result<()> {
        self.socket.point("connect");
        self.socket.connect(peer)
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.socket.read_timeout.store(timeout_nanos(timeout)?, Ordering::Relaxed);
        Ok(())
    }

    fn send_to(&self, bytes: &[u8], target: SocketAddr) -> io::Result<usize> {
        self.socket.point("send");
        self.socket.send(bytes, Some(target))
    }

    fn recv_from(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr)> {
        self.socket.receive(buffer)
    }

    fn send(&self, bytes: &[u8]) -> io::Result<usize> {
        self.socket.point("send");
        self.socket.send(bytes, None)
    }

    fn recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        Ok(self.socket.receive(buffer)?.0)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.socket.peer_addr()
    }
}
