//! The file descriptors of processes, and what they stand for.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::rc::Rc;

use libc::c_int;
use wavetank_runtime::SocketOptions;

use super::pipes::{Counter, PipeEnd};
use super::polling::Epoll;
use crate::host::{socket, udp};
use crate::net::{ListenerId, Ready, SocketId, UdpId};
use crate::time::Nanos;
use crate::wait::HostIndex;

/// The first number. Real files have lower ones.
pub(super) const FIRST: c_int = 1 << 20;

/// An open file. Its descriptors share it.
pub(super) struct Open {
    pub(super) file: RefCell<File>,
    pub(super) nonblocking: Cell<bool>,
    pub(super) host: HostIndex,
}

/// What an open file is.
#[derive(Clone)]
pub(super) enum File {
    /// A TCP socket that neither listens nor connects.
    Fresh(Fresh),
    Listener(Rc<socket::Listening>),
    Stream(Rc<socket::Socket>),
    /// A UDP socket that is not bound.
    FreshUdp(Fresh),
    Udp(Rc<udp::Socket>),
    Counter(Rc<Counter>),
    Pipe(Rc<PipeEnd>),
    Epoll(Rc<Epoll>),
}

/// A socket before it has an address.
#[derive(Clone, Copy)]
pub(super) struct Fresh {
    pub(super) domain: c_int,
    pub(super) bound: Option<SocketAddr>,
    pub(super) options: SocketOptions,
    pub(super) nodelay: bool,
    pub(super) linger_zero: bool,
    /// Timeouts of reads and writes; 0 is none.
    pub(super) timeouts: [Nanos; 2],
}

impl Fresh {
    pub(super) const fn new(domain: c_int) -> Self {
        Self {
            domain,
            bound: None,
            options: SocketOptions::new(),
            nodelay: false,
            linger_zero: false,
            timeouts: [0; 2],
        }
    }
}

/// What can become ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Key {
    Socket(SocketId),
    Listener(ListenerId),
    Datagrams(UdpId),
    /// A pipe's end or an event counter, by number.
    Own(u64),
}

impl Key {
    pub(super) const fn of_network(ready: Ready) -> Option<Self> {
        match ready {
            Ready::Socket(socket, _) => Some(Self::Socket(socket)),
            Ready::Listener(listener) => Some(Self::Listener(listener)),
            Ready::Datagram(socket) => Some(Self::Datagrams(socket)),
            Ready::Local(..) | Ready::LocalListener(_) | Ready::LocalRoom(_) => None,
        }
    }
}

impl File {
    /// Adds what has to become ready for this file to be ready.
    pub(super) fn keys(&self, keys: &mut Vec<Key>) {
        match self {
            Self::Fresh(_) | Self::FreshUdp(_) => {}
            Self::Listener(listening) => keys.push(Key::Listener(listening.id)),
            Self::Stream(socket) => keys.extend(socket.tcp_id().map(Key::Socket)),
            Self::Udp(socket) => keys.push(Key::Datagrams(socket.id)),
            Self::Counter(counter) => keys.push(Key::Own(counter.number)),
            Self::Pipe(end) => keys.push(Key::Own(end.number)),
            Self::Epoll(epoll) => epoll.keys(keys),
        }
    }

    /// Whether it outlives the process that made it, because a static may keep it.
    const fn is_in_a_static(&self) -> bool {
        matches!(self, Self::Counter(_) | Self::Pipe(_))
    }
}

/// The descriptors of all processes of a run.
#[derive(Default)]
pub(super) struct Table {
    open: BTreeMap<c_int, Rc<Open>>,
}

impl Table {
    pub(super) fn file(&self, descriptor: c_int) -> Option<Rc<Open>> {
        self.open.get(&descriptor).cloned()
    }

    /// Gives a file the lowest free number.
    pub(super) fn add(&mut self, open: Rc<Open>) -> c_int {
        let mut free = FIRST;
        for &taken in self.open.keys() {
            if taken != free {
                break;
            }
            free += 1;
        }
        self.open.insert(free, open);
        free
    }

    /// Puts a file at this number, and returns the one that was there.
    pub(super) fn put(&mut self, descriptor: c_int, open: Rc<Open>) -> Option<Rc<Open>> {
        self.open.insert(descriptor, open)
    }

    pub(super) fn remove(&mut self, descriptor: c_int) -> Option<Rc<Open>> {
        self.open.remove(&descriptor)
    }

    /// Takes the files that close when the process of a host ends. The caller drops them, when nothing is borrowed.
    pub(super) fn take_of_host(&mut self, host: HostIndex) -> Vec<Rc<Open>> {
        let closes = |open: &Rc<Open>| open.host == host && !open.file.borrow().is_in_a_static();
        let (closed, open) = std::mem::take(&mut self.open).into_iter().partition(|(_, open)| closes(open));
        self.open = open;
        let closed: BTreeMap<c_int, Rc<Open>> = closed;
        closed.into_values().collect()
    }
}
