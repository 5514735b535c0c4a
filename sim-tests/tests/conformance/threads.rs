//! Behaviours that blocking threads see, and the means to describe them.

pub(crate) mod close;
pub(crate) mod connect;
pub(crate) mod flow;
pub(crate) mod listen;
pub(crate) mod locks;
pub(crate) mod reset;
pub(crate) mod run;
pub(crate) mod shutdown;
pub(crate) mod udp;
pub(crate) mod unix;

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use wavetank_runtime::{
    BlockingListener, BlockingStream, ListenOptions, SocketOptions, ThreadHandle, Threads,
};

use super::world::{SETTLE, STUCK, Seen, World, pattern};

/// A listener on the server, and its address.
fn listen<T: Threads>(world: &World<T>, options: ListenOptions) -> (T::Listener, SocketAddr) {
    let listener = world.server.listen(world.any_port(), options).expect("a free port");
    let address = listener.local_addr().expect("a listener has an address");
    (listener, address)
}

fn connect<T: Threads>(threads: &T, address: SocketAddr) -> T::Stream {
    threads.connect(address, SocketOptions::new(), None).expect("a listener accepts")
}

fn accept<L: BlockingListener>(listener: &L) -> L::Stream {
    listener.accept().expect("a connection waits or will come").0
}

/// Both ends of a connection: the client's, the server's.
fn pair<T: Threads>(world: &World<T>) -> (T::Stream, T::Stream) {
    pair_with(world, SocketOptions::new())
}

/// Both ends of a connection, with the same options.
fn pair_with<T: Threads>(world: &World<T>, options: SocketOptions) -> (T::Stream, T::Stream) {
    let (listener, address) = listen(world, ListenOptions::new().accepted(options));
    let (client, server) = meet(world, &Arc::new(listener), address, options);
    (client, server.0)
}

/// Connects and accepts at once: in a world without a backlog a connection is made by being accepted.
fn meet<T: Threads>(
    world: &World<T>,
    listener: &Arc<T::Listener>,
    address: SocketAddr,
    options: SocketOptions,
) -> (T::Stream, (T::Stream, SocketAddr)) {
    let listener = Arc::clone(listener);
    let server = spawn(&world.server, "acceptor", move || listener.accept().expect("a client connects"));
    let client = world.client.connect(address, options, None).expect("a listener accepts");
    (client, join(server))
}

fn settle<T: Threads>(world: &World<T>) {
    world.client.sleep(SETTLE);
}

fn spawn<T: Threads, O: Send + 'static>(
    threads: &T,
    name: &str,
    body: impl FnOnce() -> O + Send + 'static,
) -> T::ThreadHandle<O> {
    threads.spawn(name, body).expect("the system has a thread left")
}

/// Waits for a thread that must end well.
fn join<O>(thread: impl ThreadHandle<O>) -> O {
    match thread.join() {
        Ok(result) => result,
        Err(error) => panic!("a thread of the behaviour {error}"),
    }
}

/// Reads one byte.
fn read<S: Read>(stream: &mut S) -> Seen {
    let mut buffer = [0];
    let result = stream.read(&mut buffer);
    Seen::read(result, buffer)
}

/// Writes one byte.
fn write<S: Write>(stream: &mut S) -> Seen {
    Seen::write(stream.write(b"w"))
}

fn send<S: Write>(stream: &mut S, text: &str) {
    stream.write_all(text.as_bytes()).expect("a stream that can be written to");
}

/// Reads as many bytes as `text` has and compares.
#[track_caller]
fn expect<S: Read>(stream: &mut S, text: &str) {
    let mut received = vec![0; text.len()];
    stream.read_exact(&mut received).expect("a stream that can be read");
    assert_eq!(String::from_utf8_lossy(&received), text);
}

/// Writes [`pattern`] until the writer is stuck, and returns the number of bytes that were taken. The stream is left
/// without a write timeout.
fn fill<S: BlockingStream>(stream: &mut S) -> usize {
    stream.set_write_timeout(Some(STUCK)).expect("a live stream");
    let mut accepted = 0;
    loop {
        match stream.write(&pattern(accepted, 1000)) {
            Ok(count) => accepted += count,
            Err(error) => {
                assert_eq!(error.kind(), std::io::ErrorKind::WouldBlock);
                stream.set_write_timeout(None).expect("a live stream");
                return accepted;
            }
        }
    }
}
