//! Sockets of TCP as libc has them, and the calls that all descriptors share.

use std::cell::RefCell;
use std::net::{Shutdown, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use libc::c_int;
use wavetank_runtime::ListenOptions;

use super::address::unspecified;
use super::call::{Answer, Call, Errno, now};
use super::descriptors::{File, Fresh, Open};
use super::{datagrams, pipes, unsimulated};
use crate::host::simulated::{Simulated, begin_connect};
use crate::host::socket::Socket;
use crate::host::transport::{ListeningSocket, StreamSocket, Transport};
use crate::time::Nanos;

/// The bits of a socket's type that are flags.
const FLAGS: c_int = libc::SOCK_NONBLOCK | libc::SOCK_CLOEXEC;

impl Call {
    fn open(&self, file: File, nonblocking: bool) -> Answer {
        let host = self.thread.host.get();
        let open = Open { file: RefCell::new(file), nonblocking: nonblocking.into(), host };
        Ok(self.system.table.borrow_mut().add(Rc::new(open)) as isize)
    }
}

pub(super) fn socket(call: &Call, domain: c_int, kind: c_int) -> Answer {
    let fresh = Fresh::new(domain);
    let file = match (domain, kind & !FLAGS) {
        (libc::AF_INET | libc::AF_INET6, libc::SOCK_STREAM) => File::Fresh(fresh),
        (libc::AF_INET | libc::AF_INET6, libc::SOCK_DGRAM) => File::FreshUdp(fresh),
        (libc::AF_UNIX, _) => {
            return Err(unsimulated::complain(call, "socket(AF_UNIX)", "use TCP, or `UnixStream::pair`"));
        }
        _ => {
            let what = format!("socket({domain}, {})", kind & !FLAGS);
            return Err(unsimulated::complain(call, &what, "use TCP or UDP"));
        }
    };
    call.open(file, kind & libc::SOCK_NONBLOCK != 0)
}

pub(super) fn bind(call: &Call, open: &Open, address: SocketAddr) -> Answer {
    let file = open.file.borrow().clone();
    match file {
        File::Fresh(fresh) if fresh.bound.is_some() => Err(Errno(libc::EINVAL)),
        File::Fresh(fresh) => {
            open.file.replace(File::Fresh(Fresh { bound: Some(address), ..fresh }));
            Ok(0)
        }
        File::FreshUdp(fresh) => datagrams::bind(call, open, &fresh, address),
        _ => Err(Errno(libc::EINVAL)),
    }
}

pub(super) fn listen(call: &Call, open: &Rc<Open>, backlog: c_int) -> Answer {
    let file = open.file.borrow().clone();
    let fresh = match file {
        File::Fresh(fresh) => fresh,
        File::Listener(_) => return Ok(0),
        _ => return Err(Errno(libc::EOPNOTSUPP)),
    };
    call.point("listen", None);
    let address = fresh.bound.unwrap_or_else(|| unspecified(fresh.domain));
    // A negative number is the most that the system allows.
    let backlog = u32::try_from(backlog).unwrap_or(4096).min(4096);
    let options = ListenOptions::new().backlog(backlog).accepted(fresh.options);
    let listening = Simulated::listen(call.host(), address, options)?;
    open.file.replace(File::Listener(Rc::new(listening)));
    call.system.has_changed(open);
    call.after("listen");
    Ok(0)
}

/// Accepts a connection, and returns its descriptor and its peer.
pub(super) fn accept(call: &Call, open: &Open, flags: c_int) -> Result<(c_int, SocketAddr), Errno> {
    let File::Listener(listening) = open.file.borrow().clone() else { return Err(Errno(libc::EINVAL)) };
    let (socket, peer) = if open.nonblocking.get() {
        call.point("accept", Some(listening.id.object()));
        let accepted = now(listening.try_accept(&call.run))?;
        call.after("accept");
        accepted
    } else {
        listening.accept_blocking()?
    };
    let descriptor = call.open(File::Stream(Rc::new(socket)), flags & libc::SOCK_NONBLOCK != 0)?;
    Ok((descriptor as c_int, peer))
}

pub(super) fn connect(call: &Call, open: &Rc<Open>, address: SocketAddr) -> Answer {
    let file = open.file.borrow().clone();
    let fresh = match file {
        File::Fresh(fresh) => fresh,
        File::FreshUdp(_) | File::Udp(_) => return datagrams::connect(call, open, address),
        File::Stream(socket) => return connect_again(call, &socket),
        _ => return Err(Errno(libc::EISCONN)),
    };
    if fresh.bound.is_some_and(|bound| bound.port() != 0) {
        let remedy = "connect from a port that the system chooses";
        return Err(unsimulated::complain(call, "connect from a bound port", remedy));
    }
    if open.nonblocking.get() {
        call.point("connect", None);
    }
    let socket = Rc::new(begin_connect(call.host(), address, fresh.options)?);
    socket.set_nodelay(fresh.nodelay);
    if fresh.linger_zero {
        socket.linger_zero();
    }
    socket.set_read_timeout(timeout(fresh.timeouts[0]))?;
    socket.set_write_timeout(timeout(fresh.timeouts[1]))?;
    open.file.replace(File::Stream(Rc::clone(&socket)));
    call.system.has_changed(open);
    if open.nonblocking.get() {
        call.after("connect");
        return Err(Errno(libc::EINPROGRESS));
    }
    socket.connected(0)?;
    Ok(0)
}

/// Another call of `connect`: tells how the first went.
fn connect_again(call: &Call, socket: &Socket) -> Answer {
    match now(socket.try_connected(&call.run)) {
        Ok(()) => Err(Errno(libc::EISCONN)),
        Err(Errno(libc::EAGAIN)) => Err(Errno(libc::EALREADY)),
        Err(errno) => Err(errno),
    }
}

const fn timeout(nanos: Nanos) -> Option<Duration> {
    if nanos == 0 { None } else { Some(Duration::from_nanos(nanos)) }
}

pub(super) fn local_address(open: &Open) -> Result<SocketAddr, Errno> {
    match &*open.file.borrow() {
        File::Fresh(fresh) | File::FreshUdp(fresh) => {
            Ok(fresh.bound.unwrap_or_else(|| unspecified(fresh.domain)))
        }
        File::Listener(listening) => Ok(listening.local_addr()?),
        File::Stream(socket) => Ok(socket.local_addr()?),
        File::Udp(socket) => Ok(datagrams::local_address(socket)?),
        File::Counter(_) | File::Pipe(_) | File::Epoll(_) => Err(Errno(libc::ENOTSOCK)),
    }
}

pub(super) fn peer_address(open: &Open) -> Result<SocketAddr, Errno> {
    match &*open.file.borrow() {
        File::Stream(socket) => Ok(socket.peer_addr()?),
        File::Udp(socket) => Ok(datagrams::peer_address(socket)?),
        File::Counter(_) | File::Pipe(_) | File::Epoll(_) => Err(Errno(libc::ENOTSOCK)),
        File::Fresh(_) | File::FreshUdp(_) | File::Listener(_) => Err(Errno(libc::ENOTCONN)),
    }
}

/// Reads. `peeks` leaves what it reads.
pub(super) fn read(call: &Call, open: &Open, nonblocking: bool, buffer: &mut [u8]) -> Answer {
    let file = open.file.borrow().clone();
    match file {
        File::Stream(socket) if nonblocking => {
            call.point("read", socket.tcp_id().map(|id| id.object()));
            // Not shortened: a program that reads less than it asked for takes the socket to be empty (epoll(7)).
            let count = now(socket.read_now(&call.run, buffer))?;
            call.after("read");
            Ok(count as isize)
        }
        File::Stream(socket) => Ok(socket.read(buffer)? as isize),
        File::Udp(socket) => Ok(datagrams::receive(call, &socket, nonblocking, buffer)?.0 as isize),
        File::Counter(counter) => pipes::read_counter(call, &counter, nonblocking, buffer),
        File::Pipe(end) => pipes::read(call, &end, nonblocking, buffer),
        File::Fresh(_) | File::Listener(_) => Err(Errno(libc::ENOTCONN)),
        File::FreshUdp(_) => Err(Errno(libc::EAGAIN)),
        File::Epoll(_) => Err(Errno(libc::EINVAL)),
    }
}

pub(super) fn write(call: &Call, open: &Open, nonblocking: bool, bytes: &[u8]) -> Answer {
    let file = open.file.borrow().clone();
    match file {
        File::Stream(socket) if nonblocking => {
            call.point("write", socket.tcp_id().map(|id| id.object()));
            let count = now(socket.write_now(&call.run, bytes))?;
            call.after("write");
            Ok(count as isize)
        }
        File::Stream(socket) => Ok(socket.write(bytes)? as isize),
        File::Udp(socket) => datagrams::send(call, &socket, bytes, None),
        File::Counter(counter) => pipes::write_counter(call, &counter, nonblocking, bytes),
        File::Pipe(end) => pipes::write(call, &end, nonblocking, bytes),
        File::Fresh(_) | File::Listener(_) => Err(Errno(libc::EPIPE)),
        File::FreshUdp(_) => Err(Errno(libc::EDESTADDRREQ)),
        File::Epoll(_) => Err(Errno(libc::EINVAL)),
    }
}

pub(super) fn shut_down(call: &Call, open: &Open, how: c_int) -> Answer {
    let file = open.file.borrow().clone();
    let which = match how {
        libc::SHUT_RD => Shutdown::Read,
        libc::SHUT_WR => Shutdown::Write,
        libc::SHUT_RDWR => Shutdown::Both,
        _ => return Err(Errno(libc::EINVAL)),
    };
    match file {
        File::Stream(socket) => {
            call.point("shutdown", socket.tcp_id().map(|id| id.object()));
            socket.shutdown(which)?;
            call.after("shutdown");
            Ok(0)
        }
        File::Pipe(end) => pipes::shut_down(call, &end, how),
        File::Counter(_) | File::Epoll(_) => Err(Errno(libc::ENOTSOCK)),
        File::Fresh(_) | File::FreshUdp(_) | File::Listener(_) | File::Udp(_) => Err(Errno(libc::ENOTCONN)),
    }
}

/// Closes a descriptor, and its file with the last.
pub(super) fn close(call: &Call, descriptor: c_int) -> Answer {
    let open = call.file(descriptor)?;
    let file = open.file.borrow().clone();
    let is_of_network = matches!(file, File::Listener(_) | File::Stream(_) | File::Udp(_));
    if is_of_network {
        call.point("close", None);
    }
    call.system.table.borrow_mut().remove(descriptor);
    call.system.forget_descriptor(descriptor, &open);
    let last = Rc::strong_count(&open) == 1;
    drop(open);
    if let (File::Pipe(end), true) = (&file, last) {
        let end = Rc::clone(end);
        drop(file);
        // The end closes when it is dropped; its peer hears of it after that.
        let peer = end.peer_key();
        drop(end);
        call.system.mark(&call.run, peer);
        return Ok(0);
    }
    drop(file);
    if is_of_network && last {
        call.after("close");
    }
    Ok(0)
}

/// Makes another descriptor of an open file.
pub(super) fn duplicate(call: &Call, open: Rc<Open>) -> Answer {
    Ok(call.system.table.borrow_mut().add(open) as isize)
}

/// Makes `to` a descriptor of an open file.
pub(super) fn duplicate_to(call: &Call, open: Rc<Open>, to: c_int) -> Answer {
    if to < super::descriptors::FIRST {
        let remedy = "redirect no real file to a socket";
        return Err(unsimulated::complain(call, "dup2 of a socket to a real file", remedy));
    }
    let before = call.system.table.borrow_mut().put(to, open);
    drop(before);
    Ok(to as isize)
}
