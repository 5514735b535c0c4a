//! Sockets that bind a port of turmoil: which addresses they may bind, and how they are dropped.
//!
//! # Invariants
//!
//! - turmoil frees a port on the host that it is running when the socket is dropped. So such a socket is never passed
//!   to turmoil's destructor on another host. There it would free another socket's port, or panic.

use std::future::Future;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Deref;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use super::TurmoilHost;

/// A listener or UDP socket of turmoil. It is dropped on its own host, in a crash of it, or after the simulation.
#[derive(Debug)]
pub(super) struct Bound<T> {
    pub(super) host: TurmoilHost,
    inner: Option<T>,
}

impl<T> Bound<T> {
    /// Binds `address` of `host` with `bind`. turmoil only knows the wildcard and the loopback, so the host's own
    /// address becomes the wildcard. `what` is the verb of its error: "listen on".
    pub(super) fn new<F>(
        host: TurmoilHost,
        what: &str,
        address: SocketAddr,
        bind: impl FnOnce(SocketAddr) -> F,
    ) -> io::Result<Self>
    where
        F: Future<Output = io::Result<T>>,
    {
        host.on_network()?;
        let wildcard: IpAddr =
            if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let ip = if address.ip() == host.ip() { wildcard } else { address.ip() };
        let inner = at_once(bind(SocketAddr::new(ip, address.port())));
        let inner = inner.map_err(|error| host.cannot(what, address, in_words(error)))?;
        Ok(Self { host, inner: Some(inner) })
    }
}

impl<T> Deref for Bound<T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.inner.as_ref().expect("it is there until it is dropped")
    }
}

impl<T> Drop for Bound<T> {
    fn drop(&mut self) {
        if self.host.is_elsewhere() {
            // Its port stays bound.
            std::mem::forget(self.inner.take());
            let is_quiet = std::thread::panicking() || self.host.run().scheduler.is_tearing_down();
            if !is_quiet {
                self.host.here();
            }
        }
    }
}

/// Replaces turmoil's errors of binding and connecting, which contain only an address, by the system's, which say what
/// is wrong.
pub(super) fn in_words(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::AddrInUse => errno(libc::EADDRINUSE),
        io::ErrorKind::AddrNotAvailable => errno(libc::EADDRNOTAVAIL),
        io::ErrorKind::ConnectionRefused => errno(libc::ECONNREFUSED),
        _ => error,
    }
}

pub(super) fn errno(errno: i32) -> io::Error {
    io::Error::from_raw_os_error(errno)
}

/// Returns the result of a call of turmoil that is async in its signature only.
pub(super) fn at_once<T>(call: impl Future<Output = T>) -> T {
    match pin!(call).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => result,
        Poll::Pending => unreachable!("turmoil binds, connects datagrams and looks names up without waiting"),
    }
}
