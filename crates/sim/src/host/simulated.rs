//! The simulator's own network, as a host's transport.

use std::future::poll_fn;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use wavetank_runtime::{ListenOptions, SocketOptions};

use super::socket::{EndId, Listening, Socket, timeout_nanos};
use super::transport::Transport;
use super::{Host, udp};
use crate::wait::Operation;

/// The simulator's own network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Simulated;

impl Transport for Simulated {
    const HOST: &'static str = "Host";
    type Socket = Socket;
    type Listening = Listening;
    type Datagrams = udp::Socket;

    fn ip(host: Host) -> IpAddr {
        let run = host.run();
        let name = run.host_name(host.index);
        run.network(|network, _, _| network.resolve(host.id(), &name)).expect("a host knows its own name")
    }

    fn scheduling_point(host: Host, verb: &'static str) -> io::Result<()> {
        host.run().scheduler.scheduling_point(Operation::new(verb));
        Ok(())
    }

    fn resolve(host: Host, name: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let run = host.run();
        match run.network(|network, _, _| network.resolve(host.id(), name)) {
            Some(ip) => Ok(vec![(ip, port).into()]),
            None => Err(io::Error::new(io::ErrorKind::NotFound, run.no_such_host(name))),
        }
    }

    async fn connect(host: Host, address: SocketAddr, options: SocketOptions) -> io::Result<Socket> {
        let socket = begin_connect(host, address, options)?;
        poll_fn(|context| socket.poll_connected(context)).await?;
        Ok(socket)
    }

    fn connect_blocking(
        host: Host,
        address: SocketAddr,
        options: SocketOptions,
        timeout: Option<Duration>,
    ) -> io::Result<Socket> {
        let timeout = timeout_nanos(timeout)?;
        let socket = begin_connect(host, address, options)?;
        socket.connected(timeout)?;
        Ok(socket)
    }

    fn listen(host: Host, address: SocketAddr, options: ListenOptions) -> io::Result<Listening> {
        let run = host.acts()?;
        let id = run.network(|network, now, _| network.listen(now, host.id(), address, options));
        let id = id.map_err(|error| host.cannot("listen on", address, error))?;
        Ok(Listening::new(&run, id))
    }

    fn bind(host: Host, address: SocketAddr, options: SocketOptions) -> io::Result<udp::Socket> {
        udp::Socket::bind(host, address, options)
    }
}

/// Sends the SYN; the socket is not connected yet.
pub(super) fn begin_connect(host: Host, address: SocketAddr, options: SocketOptions) -> io::Result<Socket> {
    let run = host.acts()?;
    let id = run.network(|network, now, link| network.connect(now, link, host.id(), address, options));
    let id = id.map_err(|error| host.cannot("connect to", address, error))?;
    Ok(Socket::new(&run, EndId::Tcp(id)))
}
