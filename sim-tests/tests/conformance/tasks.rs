//! Behaviours that tasks see, and the means to describe them.

pub(crate) mod close;
pub(crate) mod connect;
pub(crate) mod flow;
pub(crate) mod listen;
pub(crate) mod reset;
pub(crate) mod run;
pub(crate) mod time;
pub(crate) mod udp;
pub(crate) mod unix;

use std::net::SocketAddr;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use wavetank_runtime::{ListenOptions, Listener, Runtime, SocketOptions};

use super::world::{SETTLE, STUCK, Seen, World, pattern};

/// A listener on the server, and its address.
async fn listen<R: Runtime>(world: &World<R>, options: ListenOptions) -> (R::Listener, SocketAddr) {
    let listener = world.server.listen(world.any_port(), options).await.expect("a free port");
    let address = listener.local_addr().expect("a listener has an address");
    (listener, address)
}

async fn connect<R: Runtime>(runtime: &R, address: SocketAddr) -> R::Stream {
    runtime.connect(address, SocketOptions::new()).await.expect("a listener accepts")
}

async fn accept<L: Listener>(listener: &L) -> L::Stream {
    listener.accept().await.expect("a connection waits or will come").0
}

/// Both ends of a connection: the client's, the server's.
async fn pair<R: Runtime>(world: &World<R>) -> (R::Stream, R::Stream) {
    pair_with(world, SocketOptions::new()).await
}

/// Both ends of a connection, with the same options.
async fn pair_with<R: Runtime>(world: &World<R>, options: SocketOptions) -> (R::Stream, R::Stream) {
    let (listener, address) = listen(world, ListenOptions::new().accepted(options)).await;
    let (client, server) = meet(world, &listener, address, options).await;
    (client, server.0)
}

/// Connects and accepts at once: in a world without a backlog a connection is made by being accepted.
async fn meet<R: Runtime>(
    world: &World<R>,
    listener: &R::Listener,
    address: SocketAddr,
    options: SocketOptions,
) -> (R::Stream, (R::Stream, SocketAddr)) {
    let (client, server) = tokio::join!(world.client.connect(address, options), listener.accept());
    (client.expect("a listener accepts"), server.expect("a client connects"))
}

async fn settle<R: Runtime>(world: &World<R>) {
    world.client.sleep(SETTLE).await;
}

/// Reads one byte.
async fn read<S: AsyncRead + Unpin>(stream: &mut S) -> Seen {
    let mut buffer = [0];
    let result = stream.read(&mut buffer).await;
    Seen::read(result, buffer)
}

/// Writes one byte.
async fn write<S: AsyncWrite + Unpin>(stream: &mut S) -> Seen {
    Seen::write(stream.write(b"w").await)
}

async fn send<S: AsyncWrite + Unpin>(stream: &mut S, text: &str) {
    stream.write_all(text.as_bytes()).await.expect("a stream that can be written to");
}

/// Reads as many bytes as `text` has and compares.
async fn expect<S: AsyncRead + Unpin>(stream: &mut S, text: &str) {
    let mut received = vec![0; text.len()];
    stream.read_exact(&mut received).await.expect("a stream that can be read");
    assert_eq!(String::from_utf8_lossy(&received), text);
}

/// Writes [`pattern`] until the writer is stuck, and returns the number of bytes that were taken.
async fn fill<R: Runtime>(runtime: &R, stream: &mut R::Stream) -> usize {
    let mut accepted = 0;
    loop {
        let chunk = pattern(accepted, 1000);
        tokio::select! {
            biased;
            written = stream.write(&chunk) => accepted += written.expect("a live stream"),
            () = runtime.sleep(STUCK) => return accepted,
        }
    }
}
