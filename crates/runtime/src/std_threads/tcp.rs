//! std's TCP streams and listeners, with the options of the runtime traits.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::time::Duration;

use socket2::{Domain, Protocol, SockRef, Socket, Type};

use crate::{BlockingListener, BlockingStream, ListenOptions, SocketOptions};

/// A TCP stream of std.
#[derive(Debug)]
pub struct TcpStream {
    inner: std::net::TcpStream,
}

/// A TCP listener of std.
#[derive(Debug)]
pub struct TcpListener {
    inner: std::net::TcpListener,
}

pub(super) fn connect(
    address: SocketAddr,
    options: SocketOptions,
    timeout: Option<Duration>,
) -> io::Result<TcpStream> {
    if timeout == Some(Duration::ZERO) {
        return Err(io::Error::new(
            io::ErrorKind::InvalidInput,
            "the connect timeout is zero: use a positive duration, or `None` for no limit",
        ));
    }
    let socket = socket_for(address, options)?;
    // An unlimited timeout instead of `Socket::connect`: a signal ends that call with an error, and this one continues.
    socket.connect_timeout(&address.into(), timeout.unwrap_or(Duration::MAX))?;
    Ok(TcpStream { inner: socket.into() })
}

pub(super) fn listen(address: SocketAddr, options: ListenOptions) -> io::Result<TcpListener> {
    // Accepted streams inherit the buffers of their listener. Set them before `listen`: the window that a handshake
    // offers depends on them.
    let socket = socket_for(address, options.accepted)?;
    // On Windows the option would let two listeners share a port, and rebinding works without it.
    #[cfg(not(windows))]
    socket.set_reuse_address(true)?;
    socket.bind(&address.into())?;
    socket.listen(i32::try_from(options.backlog).unwrap_or(i32::MAX))?;
    Ok(TcpListener { inner: socket.into() })
}

fn socket_for(address: SocketAddr, options: SocketOptions) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    if let Some(bytes) = options.send_buffer_bytes {
        socket.set_send_buffer_size(bytes as usize)?;
    }
    if let Some(bytes) = options.receive_buffer_bytes {
        socket.set_recv_buffer_size(bytes as usize)?;
    }
    limit_unsent(SockRef::from(&socket), options)?;
    Ok(socket)
}

/// Limits what a TCP socket takes before it can be sent, where the system can.
pub(crate) fn limit_unsent(socket: SockRef<'_>, options: SocketOptions) -> io::Result<()> {
    #[cfg(any(target_os = "android", target_os = "linux", target_vendor = "apple"))]
    if let Some(bytes) = options.unsent_bytes {
        socket.set_tcp_notsent_lowat(bytes)?;
    }
    let _ = (socket, options);
    Ok(())
}

impl BlockingStream for TcpStream {
    fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { inner: self.inner.try_clone()? })
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.inner.shutdown(how)
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.inner.set_read_timeout(timeout)
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.inner.set_write_timeout(timeout)
    }

    fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.inner.set_nodelay(nodelay)
    }

    fn abort(self) {
        // It fails only if the socket is already dead. Then there is nothing to reset.
        let _dead_already = SockRef::from(&self.inner).set_linger(Some(Duration::ZERO));
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.inner.peer_addr()
    }
}

impl Read for TcpStream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer)
    }

    fn read_vectored(&mut self, buffers: &mut [IoSliceMut<'_>]) -> io::Result<usize> {
        self.inner.read_vectored(buffers)
    }
}

impl Write for TcpStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write(bytes)
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        self.inner.write_vectored(slices)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

impl BlockingListener for TcpListener {
    type Stream = TcpStream;

    fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (inner, peer) = self.inner.accept()?;
        Ok((TcpStream { inner }, peer))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    const ANY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 0);

    fn connected(options: SocketOptions) -> (TcpStream, TcpStream) {
        let listener = listen(ANY, ListenOptions::new().accepted(options)).expect("a free port");
        let client =
            connect(listener.local_addr().expect("an address"), options, None).expect("a connection");
        (client, listener.accept().expect("the other end").0)
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn both_ends_get_the_requested_buffer_sizes() {
        let options = SocketOptions::new().send_buffer_bytes(8192).receive_buffer_bytes(16_384);
        let (client, server) = connected(options);
        for stream in [&client.inner, &server.inner] {
            // Linux doubles both, for its own bookkeeping.
            let socket = SockRef::from(stream);
            assert_eq!(socket.send_buffer_size().expect("readable"), 16_384);
            assert_eq!(socket.recv_buffer_size().expect("readable"), 32_768);
        }
    }

    #[test]
    fn a_stream_blocks_after_a_nonblocking_connect() {
        let (mut client, mut server) = connected(SocketOptions::new());
        let writer = std::thread::Builder::new().spawn(move || {
            crate::Threads::sleep(&crate::Std, Duration::from_millis(20));
            server.write_all(b"late").expect("a live stream");
        });
        let mut message = [0; 4];
        client.read_exact(&mut message).expect("the read waits");
        assert_eq!(&message, b"late");
        writer.expect("a thread").join().expect("the writer ends well");
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn connect_timeouts_reject_zero_and_expire_when_full() {
        let listener = listen(ANY, ListenOptions::new().backlog(1)).expect("a free port");
        let address = listener.local_addr().expect("an address");
        let zero = connect(address, SocketOptions::new(), Some(Duration::ZERO)).expect_err("zero");
        assert_eq!(zero.kind(), io::ErrorKind::InvalidInput);
        let patience = Some(Duration::from_millis(50));
        let _queued: Vec<_> = (0..2).map(|_| connect(address, SocketOptions::new(), patience)).collect();
        let late = connect(address, SocketOptions::new(), patience).expect_err("the backlog is full");
        assert_eq!(late.kind(), io::ErrorKind::TimedOut);
    }

    #[test]
    fn nagle_is_switched_off_and_on() {
        let (client, _server) = connected(SocketOptions::new());
        for nodelay in [true, false] {
            client.set_nodelay(nodelay).expect("a live stream");
            assert_eq!(client.inner.nodelay().expect("readable"), nodelay);
        }
    }

    #[test]
    fn an_aborted_stream_resets_with_its_last_clone() {
        let (client, mut server) = connected(SocketOptions::new());
        let mut clone = client.try_clone().expect("a descriptor");
        client.abort();
        clone.write_all(b"alive").expect("the connection lives");
        server.read_exact(&mut [0; 5]).expect("the connection lives");
        drop(clone);
        let error = server.read(&mut [0]).expect_err("a reset");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
}
