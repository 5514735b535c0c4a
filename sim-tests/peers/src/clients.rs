//! One interface for the two clients, so that each check runs with the async and with the blocking client.
//!
//! A thread calls the async client and waits for each call. Its connections run on a runtime with its own thread.

use std::time::Duration;

use tokio::runtime::Handle;
use wavetank_runtime::{SocketOptions, Std, Tokio};
use wavetank_websocket::deflate::Parameters;
use wavetank_websocket::handshake::ClientRequest;
use wavetank_websocket::protocol::Statistics;
use wavetank_websocket::{
    CloseCode, Closed, Config, Error, Fragment, Kind, Message, OpenError, blocking, client,
};

/// The time limit of a call. Calls wait only for a peer on this machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// Opens connections.
pub(crate) trait Client {
    /// Opens a connection over a socket with these options.
    fn connect(
        &self,
        request: ClientRequest,
        config: Config,
        options: SocketOptions,
    ) -> Result<Box<dyn Socket>, OpenError>;
}

/// An open connection.
pub(crate) trait Socket {
    fn recv(&self) -> Result<Message, Error>;
    fn recv_fragment(&self) -> Result<Fragment, Error>;
    fn send(&self, message: &Message) -> Result<(), Error>;
    fn send_pieces(&self, kind: Kind, pieces: &[&[u8]]) -> Result<(), Error>;
    fn ping(&self) -> Result<Duration, Error>;
    fn close(&self, code: CloseCode, reason: &str) -> Closed;
    fn closed(&self) -> Closed;
    fn statistics(&self) -> Statistics;
    fn compression(&self) -> Option<Parameters>;
    fn subprotocol(&self) -> Option<String>;
}

/// The async client.
pub(crate) struct Tasks {
    pub(crate) runtime: Handle,
}

struct OfTasks {
    runtime: Handle,
    socket: client::WebSocket<Tokio>,
}

impl OfTasks {
    /// Waits for `operation`.
    fn wait<T>(&self, operation: impl Future<Output = T>) -> T {
        let operation = async { tokio::time::timeout(PATIENCE, operation).await };
        self.runtime.block_on(operation).expect("a call to a peer on this machine hangs")
    }
}

impl Client for Tasks {
    fn connect(
        &self,
        request: ClientRequest,
        config: Config,
        options: SocketOptions,
    ) -> Result<Box<dyn Socket>, OpenError> {
        let client = client::Client::new(Tokio).config(config).socket_options(options);
        let socket = self.runtime.block_on(client.connect(request))?;
        Ok(Box::new(OfTasks { runtime: self.runtime.clone(), socket }))
    }
}

impl Socket for OfTasks {
    fn recv(&self) -> Result<Message, Error> {
        self.wait(self.socket.recv())
    }

    fn recv_fragment(&self) -> Result<Fragment, Error> {
        self.wait(self.socket.recv_fragment())
    }

    fn send(&self, message: &Message) -> Result<(), Error> {
        self.wait(self.socket.send(message))
    }

    fn send_pieces(&self, kind: Kind, pieces: &[&[u8]]) -> Result<(), Error> {
        self.wait(async {
            let mut writer = self.socket.send_stream(kind).await?;
            for piece in pieces {
                writer.write(piece).await?;
            }
            writer.finish(&[]).await
        })
    }

    fn ping(&self) -> Result<Duration, Error> {
        self.wait(self.socket.ping())
    }

    fn close(&self, code: CloseCode, reason: &str) -> Closed {
        self.wait(self.socket.close(code, reason))
    }

    fn closed(&self) -> Closed {
        self.wait(self.socket.closed())
    }

    fn statistics(&self) -> Statistics {
        self.socket.statistics()
    }

    fn compression(&self) -> Option<Parameters> {
        self.socket.compression()
    }

    fn subprotocol(&self) -> Option<String> {
        self.socket.subprotocol().map(str::to_owned)
    }
}

/// The blocking client.
pub(crate) struct Threads;

impl Client for Threads {
    fn connect(
        &self,
        request: ClientRequest,
        config: Config,
        options: SocketOptions,
    ) -> Result<Box<dyn Socket>, OpenError> {
        let client = blocking::Client::new(Std).config(config).socket_options(options);
        Ok(Box::new(client.connect(request)?))
    }
}

impl Socket for blocking::WebSocket<Std> {
    fn recv(&self) -> Result<Message, Error> {
        self.recv_timeout(PATIENCE)
    }

    fn recv_fragment(&self) -> Result<Fragment, Error> {
        self.recv_fragment_timeout(PATIENCE)
    }

    fn send(&self, message: &Message) -> Result<(), Error> {
        self.send(message)
    }

    fn send_pieces(&self, kind: Kind, pieces: &[&[u8]]) -> Result<(), Error> {
        self.send_fragments(kind, pieces.iter().chain([&&b""[..]]))
    }

    fn ping(&self) -> Result<Duration, Error> {
        self.ping_timeout(PATIENCE)
    }

    fn close(&self, code: CloseCode, reason: &str) -> Closed {
        self.close(code, reason)
    }

    fn closed(&self) -> Closed {
        self.wait_closed()
    }

    fn statistics(&self) -> Statistics {
        self.statistics()
    }

    fn compression(&self) -> Option<Parameters> {
        self.response().and_then(|response| response.compression)
    }

    fn subprotocol(&self) -> Option<String> {
        self.subprotocol().map(str::to_owned)
    }
}
