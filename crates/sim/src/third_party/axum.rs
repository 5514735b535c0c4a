//! A listener of a host as one of axum.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::serve::Listener;

use crate::host::{ListeningSocket, SimListener, SimStream, StreamSocket};

/// `axum::serve` accepts its connections. As with tokio's listener, a connection that fails before it is accepted is
/// skipped, and after any other error the listener pauses for a second.
///
/// axum starts the tasks of its connections with `tokio::spawn`, so they have no host.
impl<L> Listener for SimListener<L>
where
    L: ListeningSocket<Socket: StreamSocket>,
{
    type Io = SimStream<L::Socket>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, SocketAddr) {
        loop {
            match wavetank_runtime::Listener::accept(self).await {
                Ok(accepted) => return accepted,
                Err(error) if is_of_connection(&error) => {}
                #[expect(clippy::disallowed_methods, reason = "a listener does not know its host")]
                Err(_) => tokio::time::sleep(Duration::from_secs(1)).await,
            }
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        wavetank_runtime::Listener::local_addr(self)
    }
}

fn is_of_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};

    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
