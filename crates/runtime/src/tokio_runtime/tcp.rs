//! Tokio's TCP streams and listeners, with the options of the runtime traits.

use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpSocket;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

use crate::std_threads::limit_unsent;
use crate::{ListenOptions, Listener, SocketOptions, Stream};

/// A TCP stream of Tokio.
#[derive(Debug)]
pub struct TcpStream {
    inner: tokio::net::TcpStream,
}

/// A TCP listener of Tokio.
#[derive(Debug)]
pub struct TcpListener {
    inner: tokio::net::TcpListener,
}

pub(super) async fn connect(address: SocketAddr, options: SocketOptions) -> io::Result<TcpStream> {
    let socket = socket_for(address, options)?;
    Ok(TcpStream { inner: socket.connect(address).await? })
}

pub(super) fn listen(address: SocketAddr, options: ListenOptions) -> io::Result<TcpListener> {
    // Accepted streams inherit the buffers of their listener. Set them before `listen`: the window that a handshake
    // offers depends on them.
    let socket = socket_for(address, options.accepted)?;
    // On Windows the option would let two listeners share a port, and rebinding works without it.
    #[cfg(not(windows))]
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    Ok(TcpListener { inner: socket.listen(options.backlog)? })
}

fn socket_for(address: SocketAddr, options: SocketOptions) -> io::Result<TcpSocket> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    if let Some(bytes) = options.send_buffer_bytes {
        socket.set_send_buffer_size(bytes)?;
    }
    if let Some(bytes) = options.receive_buffer_bytes {
        socket.set_recv_buffer_size(bytes)?;
    }
    limit_unsent(SockRef::from(&socket), options)?;
    Ok(socket)
}

impl Stream for TcpStream {
    type ReadHalf = OwnedReadHalf;
    type WriteHalf = OwnedWriteHalf;

    fn into_split(self) -> (OwnedReadHalf, OwnedWriteHalf) {
        self.inner.into_split()
    }

    fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.inner.set_nodelay(nodelay)
    }

    fn abort(self) {
        // It fails only if the socket is already dead. Then there is nothing to reset.
        let _dead_already = self.inner.set_zero_linger();
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.inner.peer_addr()
    }
}

impl AsyncRead for TcpStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_read(context, buffer)
    }
}

impl AsyncWrite for TcpStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.inner).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.inner.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.inner).poll_shutdown(context)
    }
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    async fn accept(&self) -> io::Result<(TcpStream, SocketAddr)> {
        let (inner, peer) = self.inner.accept().await?;
        Ok((TcpStream { inner }, peer))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.inner.local_addr()
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn connected(options: SocketOptions) -> (TcpStream, TcpStream) {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let listener = listen(any, ListenOptions::new().accepted(options)).expect("a free port");
        let client =
            connect(listener.local_addr().expect("an address"), options).await.expect("a connection");
        (client, listener.accept().await.expect("the other end").0)
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn both_ends_get_the_requested_buffer_sizes() {
        let options = SocketOptions::new().send_buffer_bytes(8192).receive_buffer_bytes(16_384);
        let (client, server) = connected(options).await;
        for stream in [&client.inner, &server.inner] {
            // Linux doubles both, for its own bookkeeping.
            let socket = SockRef::from(stream);
            assert_eq!(socket.send_buffer_size().expect("readable"), 16_384);
            assert_eq!(socket.recv_buffer_size().expect("readable"), 32_768);
        }
    }

    #[cfg(target_os = "linux")]
    #[tokio::test]
    async fn few_unsent_bytes_make_a_write_wait() {
        let options = SocketOptions::new().unsent_bytes(32_768);
        let (mut client, mut server) = connected(options).await;
        let long = vec![7; 1 << 20];
        let count = client.write(&long).await.expect("a live stream");
        // What cannot be sent is what the peer's window has no room for.
        assert!(count < 1 << 19, "{count} bytes were taken of a peer that reads nothing");
        let reading = async {
            let mut rest = vec![0; long.len()];
            server.read_exact(&mut rest).await.expect("a live stream");
            rest
        };
        let (written, read) = tokio::join!(client.write_all(&long[count..]), reading);
        written.expect("a live stream");
        assert_eq!(read, long);
    }

    #[tokio::test]
    async fn vectored_writes_are_one_write() {
        let (mut client, mut server) = connected(SocketOptions::new()).await;
        assert!(client.is_write_vectored());
        let written = client.write_vectored(&[IoSlice::new(b"head"), IoSlice::new(b"body")]).await;
        assert_eq!(written.expect("a live stream"), 8);
        let mut message = [0; 8];
        server.read_exact(&mut message).await.expect("a live stream");
        assert_eq!(&message, b"headbody");
    }

    #[tokio::test]
    async fn nagle_is_switched_off_and_on() {
        let (client, _server) = connected(SocketOptions::new()).await;
        for nodelay in [true, false] {
            client.set_nodelay(nodelay).expect("a live stream");
            assert_eq!(client.inner.nodelay().expect("readable"), nodelay);
        }
    }

    #[tokio::test]
    async fn abort_resets_the_connection() {
        let (client, mut server) = connected(SocketOptions::new()).await;
        client.abort();
        let error = server.read(&mut [0]).await.expect_err("a reset");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }
}
