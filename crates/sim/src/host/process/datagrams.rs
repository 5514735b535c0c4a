//! Sockets of UDP as libc has them.

use std::net::SocketAddr;
use std::rc::Rc;

use super::address::unspecified;
use super::call::{Answer, Call, Errno, now};
use super::descriptors::{File, Fresh, Open};
use crate::host::transport::DatagramSocket;
use crate::host::udp::Socket;

pub(super) fn bind(call: &Call, open: &Open, fresh: &Fresh, address: SocketAddr) -> Answer {
    let socket = Socket::bind(call.host(), address, fresh.options)?;
    if fresh.timeouts[0] > 0 {
        socket.set_read_timeout(Some(std::time::Duration::from_nanos(fresh.timeouts[0])))?;
    }
    open.file.replace(File::Udp(Rc::new(socket)));
    Ok(0)
}

/// Returns the socket, which is bound to a free port first if it is not bound.
fn bound(call: &Call, open: &Rc<Open>) -> Result<Rc<Socket>, Errno> {
    let file = open.file.borrow().clone();
    if let File::FreshUdp(fresh) = &file {
        bind(call, open, fresh, unspecified(fresh.domain))?;
        call.system.has_changed(open);
    }
    match &*open.file.borrow() {
        File::Udp(socket) => Ok(Rc::clone(socket)),
        _ => Err(Errno(libc::EOPNOTSUPP)),
    }
}

pub(super) fn connect(call: &Call, open: &Rc<Open>, peer: SocketAddr) -> Answer {
    bound(call, open)?.connect(peer)?;
    Ok(0)
}

pub(super) fn local_address(socket: &Socket) -> Result<SocketAddr, Errno> {
    Ok(socket.local_addr()?)
}

pub(super) fn peer_address(socket: &Socket) -> Result<SocketAddr, Errno> {
    Ok(socket.peer_addr()?)
}

pub(super) fn send_to(call: &Call, open: &Rc<Open>, bytes: &[u8], target: SocketAddr) -> Answer {
    let socket = bound(call, open)?;
    send(call, &socket, bytes, Some(target))
}

pub(super) fn send(call: &Call, socket: &Socket, bytes: &[u8], target: Option<SocketAddr>) -> Answer {
    call.point("send a datagram", Some(socket.id.object()));
    let sent = socket.send(bytes, target)?;
    call.after("send a datagram");
    Ok(sent as isize)
}

/// Receives a datagram, and returns its length and its sender.
pub(super) fn receive(
    call: &Call,
    socket: &Socket,
    nonblocking: bool,
    buffer: &mut [u8],
) -> Result<(usize, SocketAddr), Errno> {
    if !nonblocking {
        return Ok(socket.receive(buffer)?);
    }
    call.point("receive from", Some(socket.id.object()));
    let received = now(socket.try_receive(&call.run, buffer))?;
    call.after("receive from");
    Ok(received)
}
