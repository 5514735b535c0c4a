//! The server of tasks: serves accepted transports with an engine and hooks.

mod driver;

use std::fmt;
use std::future::Future;
use std::net::SocketAddr;
use std::sync::Arc;

use http::HeaderMap;
use wavetank_runtime::Runtime;

use crate::close::Ended;
use crate::config::Config;
use crate::engine::Engine;
use crate::hooks::{AcceptAll, Hooks};
use crate::message::Protocol;
use crate::registry::{Registry, Shutdown};
use crate::transport::MessageTransport;

use driver::Driver;

/// What the host knows of a connection's upgrade request.
#[derive(Clone, Debug, Default)]
pub struct Upgrade {
    pub(crate) headers: HeaderMap,
    pub(crate) peer: Option<SocketAddr>,
}

impl Upgrade {
    /// Nothing is known.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the headers of the request. `Origin` and `Host` among them decide whether a page may connect.
    #[must_use]
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        self.headers = headers;
        self
    }

    /// Sets the client's address.
    #[must_use]
    pub const fn peer(mut self, peer: SocketAddr) -> Self {
        self.peer = Some(peer);
        self
    }
}

/// The names of the subprotocols that are served, best first.
pub(crate) fn subprotocols(config: &Config) -> &'static [&'static str] {
    const BOTH: [&str; 2] = [Protocol::Transport.name(), Protocol::Legacy.name()];
    if config.legacy == crate::Legacy::Off { &BOTH[..1] } else { &BOTH }
}

/// Serves GraphQL over WebSockets. Cheap to clone; clones are one server, with common limits and one shutdown.
pub struct Server<R, E, H> {
    pub(crate) runtime: R,
    pub(crate) engine: Arc<E>,
    pub(crate) hooks: Arc<H>,
    pub(crate) config: Arc<Config>,
    pub(crate) registry: Arc<Registry>,
}

impl<R, E> Server<R, E, AcceptAll<E::Context>>
where
    R: Runtime,
    E: Engine,
    E::Context: Default,
{
    /// Makes a server that accepts every client, with the default configuration.
    #[must_use]
    pub fn new(runtime: R, engine: E) -> Self {
        Self::with_hooks(runtime, engine, AcceptAll::default())
    }
}

impl<R, E, H> Server<R, E, H>
where
    R: Runtime,
    E: Engine,
    H: Hooks<Context = E::Context>,
{
    /// Makes a server with hooks, with the default configuration.
    #[must_use]
    pub fn with_hooks(runtime: R, engine: E, hooks: H) -> Self {
        Self {
            runtime,
            engine: Arc::new(engine),
            hooks: Arc::new(hooks),
            config: Arc::new(Config::default()),
            registry: Arc::default(),
        }
    }

    /// Sets the configuration.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = Arc::new(config);
        self
    }

    /// Returns the names of the subprotocols that are served, best first: what a host agrees on.
    #[must_use]
    pub fn subprotocols(&self) -> &'static [&'static str] {
        subprotocols(&self.config)
    }

    /// Returns `true` if the `Origin` among these headers may connect. A host may ask before it accepts, and refuse
    /// with 403. A host that does not ask leaves it to the handler, which closes the connection with 4403.
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

    /// Serves an accepted WebSocket until it has ended and every hook was called. The time for `connection_init`
    /// starts with this call.
    ///
    /// The future does all the work of the connection. Spawn it as a task of its own.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future drops the transport without a Close frame, and all operations. No hook is called any more.
    pub fn serve<T: MessageTransport>(
        &self,
        transport: T,
        upgrade: Upgrade,
    ) -> impl Future<Output = Ended> + Send + use<R, E, H, T> {
        Driver::new(self.clone(), transport, upgrade)
    }

    /// Begins to shut down: drains and closes every connection, those that come later included. Upgraded WebSockets
    /// are reached too. Only the first call has an effect.
    pub fn begin_shutdown(&self, shutdown: Shutdown) {
        self.registry.begin_shutdown(shutdown);
    }

    /// Shuts down, and waits until no connection is left: at most the drain timeout, the close timeout
    /// ([`Config::close_timeout`]), and twice the hook timeout ([`Config::hook_timeout`]).
    ///
    /// # Cancel safety
    ///
    /// The server shuts down from the first poll on, whether or not the future is kept.
    pub async fn shutdown(&self, shutdown: Shutdown) {
        self.registry.begin_shutdown(shutdown);
        self.registry.empty().await;
    }
}

impl<R: Clone, E, H> Clone for Server<R, E, H> {
    fn clone(&self) -> Self {
        Self {
            runtime: self.runtime.clone(),
            engine: Arc::clone(&self.engine),
            hooks: Arc::clone(&self.hooks),
            config: Arc::clone(&self.config),
            registry: Arc::clone(&self.registry),
        }
    }
}

impl<R, E, H> fmt::Debug for Server<R, E, H> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Server").field("config", &self.config).finish_non_exhaustive()
    }
}
