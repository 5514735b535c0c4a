//! How much is read at once.

use std::io::{self, Read, Write};
use std::net::{Shutdown, SocketAddr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use wavetank_runtime::{BlockingListener, BlockingStream, SocketOptions, Std, Threads};

use super::peer::listen;
use super::{LONG, quiet, spawn};
use crate::blocking::{Client, Server};
use crate::{Config, Message};

/// A stream that remembers the longest read it was asked for.
struct Measured<S> {
    stream: S,
    longest: Arc<AtomicUsize>,
}

impl<S: Read> Read for Measured<S> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.longest.fetch_max(buffer.len(), Ordering::SeqCst);
        self.stream.read(buffer)
    }
}

impl<S: Write> Write for Measured<S> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.stream.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.stream.flush()
    }
}

impl<S: BlockingStream> BlockingStream for Measured<S> {
    fn try_clone(&self) -> io::Result<Self> {
        Ok(Self { stream: self.stream.try_clone()?, longest: Arc::clone(&self.longest) })
    }

    fn shutdown(&self, how: Shutdown) -> io::Result<()> {
        self.stream.shutdown(how)
    }

    fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.set_read_timeout(timeout)
    }

    fn set_write_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.set_write_timeout(timeout)
    }

    fn set_nodelay(&self, nodelay: bool) -> io::Result<()> {
        self.stream.set_nodelay(nodelay)
    }

    fn abort(self) {
        self.stream.abort();
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        self.stream.peer_addr()
    }
}

#[test]
fn reads_are_as_long_as_configured() {
    for (configured, longest) in [(0, 1), (1, 1), (1000, 1000), (300_000, 300_000)] {
        let config = move || {
            let mut config: Config = quiet(LONG);
            config.limits.read_buffer = configured;
            config
        };
        let measured = [Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0))];
        let [ours, theirs] = measured.clone();
        let (listener, address) = listen();
        let serving = spawn(move || {
            let stream = listener.accept().expect("a connection").0;
            Server::new(Std).config(config()).accept(Measured { stream, longest: theirs })
        });
        let stream = Std.connect(address, SocketOptions::new(), None).expect("a listener");
        let request = format!("ws://{address}/").parse().expect("a URL");
        let client = Client::new(Std).config(config());
        let client = client.connect_over(Measured { stream, longest: ours }, request).expect("a connection");
        let server = serving().expect("a connection");
        // The opening is over, and has read as it likes.
        measured.iter().for_each(|longest| longest.store(0, Ordering::SeqCst));
        let message = Message::from(vec![7; 5000]);
        client.send(&message).expect("an open connection");
        assert_eq!(server.recv().as_ref(), Ok(&message));
        server.send(&message).expect("an open connection");
        assert_eq!(client.recv().as_ref(), Ok(&message));
        // Each has begun another read since.
        client.ping().expect("a pong");
        server.ping().expect("a pong");
        assert_eq!(measured.map(|longest| longest.load(Ordering::SeqCst)), [longest; 2]);
    }
}
