//! What makes connections for a pool: each takes a round trip, and ends when the server closes it.

use std::future::{Future, Ready, ready};
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use tower_service::Service;
use wavetank::Host;
use wavetank::runtime::Runtime;

/// How long it takes to connect.
const CONNECT: Duration = Duration::from_millis(2);

/// A connection that is shared by its clones.
#[derive(Clone, Debug, Default)]
pub struct Connection(Arc<AtomicBool>);

impl Connection {
    /// Closes the connection, as a server does.
    pub fn close(&self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl Service<()> for Connection {
    type Response = Self;
    type Error = io::Error;
    type Future = Ready<io::Result<Self>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        let is_closed = self.0.load(Ordering::SeqCst);
        Poll::Ready(if is_closed { Err(io::ErrorKind::BrokenPipe.into()) } else { Ok(()) })
    }

    /// Returns the connection, so that the body can close it.
    fn call(&mut self, (): ()) -> Self::Future {
        ready(Ok(self.clone()))
    }
}

/// Makes connections.
#[derive(Clone, Debug)]
pub struct Connect(pub Host);

impl Service<()> for Connect {
    type Response = Connection;
    type Error = io::Error;
    type Future = Pin<Box<dyn Future<Output = io::Result<Connection>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, (): ()) -> Self::Future {
        let host = self.0;
        Box::pin(async move {
            host.sleep(CONNECT).await;
            Ok(Connection::default())
        })
    }
}
