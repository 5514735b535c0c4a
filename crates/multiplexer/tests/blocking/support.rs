//! Two sides of a session, and what tests do with streams.

use std::io::{Read, Write};

use wavetank_multiplexer::Config;
use wavetank_multiplexer::blocking::{Session, Stream};
use wavetank_runtime::{BlockingListener, ListenOptions, SocketOptions, Std, Threads};

pub(crate) fn pair_with(client: Config, server: Config) -> (Session<Std>, Session<Std>) {
    let listener = Std.listen(([127, 0, 0, 1], 0).into(), ListenOptions::new()).expect("a free port");
    let near = Std
        .connect(listener.local_addr().expect("an address"), SocketOptions::new(), None)
        .expect("a connection");
    let (far, _) = listener.accept().expect("a connection");
    (
        Session::client(Std, near, client).expect("two threads"),
        Session::server(Std, far, server).expect("two threads"),
    )
}

pub(crate) fn pair() -> (Session<Std>, Session<Std>) {
    pair_with(Config::default(), Config::default())
}

/// A stream, seen from both sides.
pub(crate) fn streams(client: &Session<Std>, server: &Session<Std>) -> (Stream<Std>, Stream<Std>) {
    let near = client.open().expect("an open session");
    (near, server.accept().expect("an open session"))
}

/// Body bytes that differ from place to place.
pub(crate) fn body(length: usize, seed: usize) -> Vec<u8> {
    (0..length)
        .map(|at| u8::try_from((at + (at >> 8) + (at >> 16) + 13 * seed) & 0xff).expect("a byte"))
        .collect()
}

/// Sends back what comes, on every stream, until the session ends.
pub(crate) fn echo(session: &Session<Std>) {
    while let Ok(stream) = session.accept() {
        Std.spawn("echo", move || {
            let mut buffer = [0; 10_000];
            while let Ok(count @ 1..) = (&stream).read(&mut buffer) {
                if (&stream).write_all(&buffer[..count]).is_err() {
                    return;
                }
            }
            let _ = stream.close_write();
        })
        .expect("a thread");
    }
}
