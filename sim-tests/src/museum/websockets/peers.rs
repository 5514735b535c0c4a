//! Servers for the connection: one that answers, and one that is silent after the opening handshake.

use std::fmt;
use std::io::{self, Read as _};
use std::net::{Shutdown, SocketAddr};

use wavetank_runtime::{BlockingListener as _, BlockingStream, ListenOptions, Threads};

use super::frames::{Frame, Opcode};
use super::protocol::{Event, Outgoing, Protocol, State};

/// How a peer behaves after the opening handshake.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PeerScript {
    /// Sends nothing and discards what it receives until the connection ends.
    Silent,
    /// Sends every text back, and answers pings and closes.
    Echo,
}

/// A server for one connection.
pub struct Peer<R: Threads> {
    listener: R::Listener,
    script: PeerScript,
}

/// Listens at `address` and serves one connection silently. A host may run it as its main.
///
/// # Errors
///
/// The system's, for listening and accepting. A lost connection is not an error.
pub fn silent_peer<R: Threads>(host: R, address: SocketAddr) -> io::Result<()> {
    Peer::listen(&host, address, PeerScript::Silent)?.serve()
}

/// Listens at `address` and echoes one connection's texts. A host may run it as its main.
///
/// # Errors
///
/// As [`silent_peer`].
pub fn echo_peer<R: Threads>(host: R, address: SocketAddr) -> io::Result<()> {
    Peer::listen(&host, address, PeerScript::Echo)?.serve()
}

impl<R: Threads> Peer<R> {
    /// Listens at `address`.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn listen(host: &R, address: SocketAddr, script: PeerScript) -> io::Result<Self> {
        Ok(Self { listener: host.listen(address, ListenOptions::new())?, script })
    }

    /// Returns the address of the listener.
    ///
    /// # Errors
    ///
    /// The system's.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Serves one connection until it ends.
    ///
    /// # Errors
    ///
    /// The system's, for accepting. A lost connection is not an error.
    pub fn serve(self) -> io::Result<()> {
        let (mut stream, _) = self.listener.accept()?;
        let mut protocol = Protocol::server();
        let mut buffer = vec![0; 4096];
        while let Ok(length @ 1..) = stream.read(&mut buffer) {
            if self.script == PeerScript::Silent && protocol.state() != State::Connecting {
                continue;
            }
            protocol.receive_data(&buffer[..length]).map_err(io::Error::other)?;
            if self.script == PeerScript::Echo {
                echo(&mut protocol);
            }
            if flush(&mut stream, &mut protocol).is_err() {
                return Ok(());
            }
        }
        protocol.receive_eof().map_err(io::Error::other)?;
        // Only the end of this direction can be left to send. The connection may be gone.
        let _ = flush(&mut stream, &mut protocol);
        Ok(())
    }
}

/// Sends received texts back, as long as the connection is open.
fn echo(protocol: &mut Protocol) {
    for event in protocol.events_received() {
        if let Event::Frame(Frame { opcode: Opcode::Text, data, .. }) = event {
            // A text gets no echo after a close.
            let _ = protocol.send_text(data);
        }
    }
}

fn flush<S: BlockingStream>(stream: &mut S, protocol: &mut Protocol) -> io::Result<()> {
    for outgoing in protocol.data_to_send() {
        match outgoing {
            Outgoing::Bytes(bytes) => stream.write_all(&bytes)?,
            Outgoing::Eof => stream.shutdown(Shutdown::Write)?,
        }
    }
    Ok(())
}

impl<R: Threads> fmt::Debug for Peer<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer").field("script", &self.script).finish_non_exhaustive()
    }
}
