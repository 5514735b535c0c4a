//! The same handler on threads: for simple servers, and for engines that block.
//!
//! Each connection has two threads: one reads, the other writes and keeps the time. `on_connect` and each operation
//! with its hooks run on a [`Pool`] that the caller provides. A subscription occupies a thread of the pool until it
//! ends, so the size of the pool bounds how many operations run at once. Tasks and threads share one state machine
//! ([`connection`](crate::connection)), so the protocol is the same.
//!
//! # Timeouts
//!
//! While the client takes nothing, the thread that writes looks every 250 ms whether the connection has to close. What
//! is due is done that much later. [`Config::close_timeout`] bounds the time until the Close frame is handed to the
//! transport. Then the closing handshake takes at most the close timeout of the transport. If the Close frame cannot be
//! handed over in time, the connection is aborted.
//!
//! # Example: a server on threads
//!
//! ```no_run
//! use std::sync::Arc;
//!
//! use wavetank_graphql::blocking::{Server, SpawnPool};
//! use wavetank_graphql::{Upgrade, mock::Mock};
//! # #[cfg(feature = "websocket")]
//! use wavetank_graphql::websocket::BlockingWebSocketTransport;
//! use wavetank_runtime::{BlockingListener, ListenOptions, Std, Threads};
//!
//! # #[cfg(feature = "websocket")]
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let server = Server::new(Std, Mock::new(Std), SpawnPool::new(Std, 256));
//! let options = wavetank_websocket::handshake::AcceptOptions::new();
//! let options = options.subprotocols(server.subprotocols().iter().copied());
//! let sockets = wavetank_websocket::blocking::Server::new(Std).options(options);
//! let listener = Std.listen("127.0.0.1:4000".parse()?, ListenOptions::new())?;
//! loop {
//!     let (stream, peer) = listener.accept()?;
//!     let (server, sockets) = (server.clone(), sockets.clone());
//!     Std.spawn("connection", move || {
//!         let Ok(socket) = sockets.accept(stream) else { return };
//!         let upgrade = Upgrade::new().headers(socket.headers().clone()).peer(peer);
//!         server.serve(BlockingWebSocketTransport::new(socket), upgrade);
//!     })?;
//! }
//! # }
//! # #[cfg(not(feature = "websocket"))]
//! # fn main() {}
//! ```

mod cancel;
mod pool;
mod session;
mod traits;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderMap;
use wavetank_runtime::Threads;

use crate::close::Ended;
use crate::config::Config;
use crate::hooks::AcceptAll;
use crate::registry::{Registry, Shutdown};
use crate::server::{Upgrade, subprotocols};

pub use cancel::Cancel;
pub use pool::{Overloaded, Pool, SpawnPool};
pub use traits::{BlockingEngine, BlockingHooks, BlockingOperation, BlockingTransport};

use session::Session;

/// How often a shutdown looks whether connections are left.
const LOOK: Duration = Duration::from_millis(10);

/// Serves GraphQL over WebSockets on threads. Cheap to clone; clones are one server.
pub struct Server<W, E, H, P> {
    pub(crate) threads: W,
    pub(crate) engine: Arc<E>,
    pub(crate) hooks: Arc<H>,
    pub(crate) pool: Arc<P>,
    pub(crate) config: Arc<Config>,
    pub(crate) registry: Arc<Registry>,
}

impl<W, E, P> Server<W, E, AcceptAll<E::Context>, P>
where
    W: Threads,
    E: BlockingEngine<W>,
    E::Context: Default,
    P: Pool,
{
    /// Makes a server that accepts every client, with the default configuration, and runs operations on `pool`.
    #[must_use]
    pub fn new(threads: W, engine: E, pool: P) -> Self {
        Self::with_hooks(threads, engine, AcceptAll::default(), pool)
    }
}

impl<W, E, H, P> Server<W, E, H, P>
where
    W: Threads,
    E: BlockingEngine<W>,
    H: BlockingHooks<Context = E::Context>,
    P: Pool,
{
    /// Makes a server with hooks, with the default configuration.
    #[must_use]
    pub fn with_hooks(threads: W, engine: E, hooks: H, pool: P) -> Self {
        Self {
            threads,
            engine: Arc::new(engine),
            hooks: Arc::new(hooks),
            pool: Arc::new(pool),
            config: Arc::new(Config::default()),
            registry: Arc::default(),
        }
    }

    /// Sets the configuration. [`Config::hook_timeout`] has no effect on threads: nothing can stop a hook that blocks.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = Arc::new(config);
        self
    }

    /// Returns the names of the subprotocols that are served, best first.
    #[must_use]
    pub fn subprotocols(&self) -> &'static [&'static str] {
        subprotocols(&self.config)
    }

    /// Returns `true` if a request with these headers may connect, by its `Origin`.
    #[must_use]
    pub fn allows_origin(&self, headers: &HeaderMap) -> bool {
        self.config.origins.allow(headers)
    }

    /// Returns how many connections are being served.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.registry.connections()
    }

    /// Returns how many operations run on all connections.
    #[must_use]
    pub fn operations(&self) -> usize {
        self.registry.operations()
    }

    /// Serves a WebSocket that was accepted, on this thread, until it has ended, every operation has returned, and
    /// every hook was called. The time for `connection_init` begins with this call.
    ///
    /// An operation that ignores its [`Cancel`] keeps this waiting.
    pub fn serve<T: BlockingTransport>(&self, transport: T, upgrade: Upgrade) -> Ended {
        Session::serve(self.clone(), transport, upgrade)
    }

    /// Begins to shut down: drains and closes every connection, and every one that comes. The first call counts.
    pub fn begin_shutdown(&self, shutdown: Shutdown) {
        self.registry.begin_shutdown(shutdown);
    }

    /// Shuts down, and waits until no connection is left.
    pub fn shutdown(&self, shutdown: Shutdown) {
        self.registry.begin_shutdown(shutdown);
        while self.registry.connections() > 0 {
            self.threads.sleep(LOOK);
        }
    }
}

impl<W: Clone, E, H, P> Clone for Server<W, E, H, P> {
    fn clone(&self) -> Self {
        Self {
            threads: self.threads.clone(),
            engine: Arc::clone(&self.engine),
            hooks: Arc::clone(&self.hooks),
            pool: Arc::clone(&self.pool),
            config: Arc::clone(&self.config),
            registry: Arc::clone(&self.registry),
        }
    }
}

impl<W, E, H, P> fmt::Debug for Server<W, E, H, P> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("config", &self.config).finish_non_exhaustive()
    }
}
