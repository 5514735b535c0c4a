//! A server and its clients, on either transport.

use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use wavetank::runtime::{ListenOptions, Listener as _, Runtime, Stream as _};
use wavetank::{Host, Sim};
use wavetank_graphql::mock::Mock;
use wavetank_graphql::websocket::WebSocketTransport;
use wavetank_graphql::{Config, Ended, Keepalive, MessageTransport, Server, Upgrade, memory};
use wavetank_websocket::client::Client;
use wavetank_websocket::handshake::{AcceptOptions, ClientRequest};
use wavetank_websocket::server::Server as WebSocketServer;
use wavetank_websocket::{Config as WebSocketConfig, OpenError};

use super::checked::Checked;
use super::hooks::{Behaviour, Recorder};
use super::peer::{Line, Peer};

/// One second.
pub const SECOND: Duration = Duration::from_secs(1);

/// How late anything may be noticed without faults: all delays of a run stay below 400 ms, and messages travel.
pub const SLACK: Duration = Duration::from_secs(2);

/// The transport of the messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum On {
    /// A transport in memory: server and client are tasks of one host.
    Memory,
    /// A WebSocket on the simulated network, between the hosts "client" and "server".
    WebSocket,
}

/// The server under test.
pub type Handler = Server<Host, Mock<Host>, Recorder>;

/// The settings of a world.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The configuration of the handler.
    pub config: Config,
    /// How its hooks behave.
    pub behaviour: Behaviour,
    /// How many messages a direction of the transport in memory holds.
    pub capacity: usize,
    /// Bytes that a WebSocket of the server holds for a client that does not read.
    pub write_buffer: usize,
}

impl Default for Setup {
    fn default() -> Self {
        // No pings, and long timeouts. Each test sets what it is about.
        let config = Config::new().keepalive(None).init_timeout(1000 * SECOND).close_timeout(100 * SECOND);
        Self { config, behaviour: Behaviour::default(), capacity: 4, write_buffer: 64 << 10 }
    }
}

impl Setup {
    /// Changes the configuration.
    #[must_use]
    pub fn config(mut self, change: impl FnOnce(Config) -> Config) -> Self {
        self.config = change(self.config);
        self
    }

    /// Changes the hooks.
    #[must_use]
    pub fn behaviour(mut self, change: impl FnOnce(&mut Behaviour)) -> Self {
        change(&mut self.behaviour);
        self
    }

    /// Pings every `interval`, and waits for an answer for `timeout`.
    #[must_use]
    pub fn keepalive(self, interval: Duration, timeout: Duration) -> Self {
        self.config(|config| config.keepalive(Some(Keepalive::new(interval, timeout))))
    }
}

#[derive(Debug, Default)]
struct State {
    handler: Option<Handler>,
    mock: Option<Mock<Host>>,
    hooks: Option<Recorder>,
    served: usize,
    ended: Vec<Ended>,
}

#[derive(Clone, Debug, Default)]
struct Shared(Arc<Mutex<State>>);

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Starts a server on `host`.
    fn start(&self, host: Host, setup: &Setup) -> Handler {
        let (mock, hooks) = (Mock::new(host), Recorder::new(host, setup.behaviour.clone()));
        let handler = Server::with_hooks(host, mock.clone(), hooks.clone()).config(setup.config.clone());
        let mut state = self.state();
        state.handler = Some(handler.clone());
        state.mock = Some(mock);
        state.hooks = Some(hooks);
        handler
    }

    /// Serves a transport to its end.
    fn serve<T: MessageTransport>(
        &self,
        handler: &Handler,
        transport: T,
        upgrade: Upgrade,
    ) -> impl Future<Output = ()> + Send + use<T> {
        self.state().served += 1;
        let serving = handler.serve(Checked::new(transport), upgrade);
        let shared = self.clone();
        async move {
            let ended = serving.await;
            shared.state().ended.push(ended);
        }
    }

    /// Accepts WebSockets without end.
    async fn accept(self, host: Host, setup: Setup) -> io::Result<()> {
        let handler = self.start(host, &setup);
        let mut config = websocket_config();
        config.limits().message(1 << 20).write_buffer(setup.write_buffer);
        // The handler drops a WebSocket that takes too long to close.
        config.close_timeout(1000 * SECOND);
        let options = AcceptOptions::new().subprotocols(handler.subprotocols().iter().copied());
        let server = WebSocketServer::new(host).config(config).options(options);
        let listener = Runtime::listen(&host, ([0, 0, 0, 0], 80).into(), ListenOptions::new()).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            let (server, shared, handler) = (server.clone(), self.clone(), handler.clone());
            host.spawn("connection", async move {
                // A stream that is already gone shows this soon.
                let _ = stream.set_nodelay(true);
                let Ok(socket) = server.accept(stream).await else { return };
                let transport = WebSocketTransport::new(socket);
                let upgrade = transport.upgrade();
                shared.serve(&handler, transport, upgrade).await;
            });
        }
    }
}

pub(super) fn websocket_config() -> WebSocketConfig {
    let mut config = WebSocketConfig::default();
    config.open_timeout(1000 * SECOND).close_timeout(300 * SECOND);
    config.keepalive().interval(None);
    // Small buffers here, so that what a client does not read stays with the server.
    config.limits().receive_queue_messages(4).read_buffer(4 << 10);
    config.compression().enabled(false);
    config
}

/// What a test's client sees: the server, and how to connect to it.
#[derive(Clone, Debug)]
pub struct World {
    /// The host of the client.
    pub host: Host,
    on: On,
    setup: Setup,
    shared: Shared,
}

impl World {
    /// Adds a server, and a client that runs `script`. After the script, every connection must end and leave nothing
    /// behind.
    pub fn run<F>(sim: &mut Sim, on: On, setup: Setup, script: impl FnOnce(Self) -> F + 'static)
    where
        F: Future<Output = ()> + 'static,
    {
        // A driver that spins reaches this limit soon.
        sim.steps_max(2_000_000).time_limit(10_000 * SECOND);
        let shared = Shared::default();
        if on == On::WebSocket {
            let (shared, setup) = (shared.clone(), setup.clone());
            sim.server("server", move |host| shared.clone().accept(host, setup.clone()));
        }
        sim.client("client", async move |host: Host| {
            if on == On::Memory {
                shared.start(host, &setup);
            }
            let world = Self { host, on, setup, shared };
            script(world.clone()).await;
            world.is_left_clean().await;
        });
    }

    /// Returns the server.
    ///
    /// # Panics
    ///
    /// If it has not started yet. It starts before the first connection.
    pub fn handler(&self) -> Handler {
        self.shared.state().handler.clone().expect("the server has started")
    }

    /// Returns the engine.
    ///
    /// # Panics
    ///
    /// If the server has not started yet.
    pub fn mock(&self) -> Mock<Host> {
        self.shared.state().mock.clone().expect("the server has started")
    }

    /// Returns the hooks.
    ///
    /// # Panics
    ///
    /// If the server has not started yet.
    pub fn hooks(&self) -> Recorder {
        self.shared.state().hooks.clone().expect("the server has started")
    }

    /// Returns how connections have ended so far.
    pub fn ended(&self) -> Vec<Ended> {
        self.shared.state().ended.clone()
    }

    /// Connects with `graphql-transport-ws`.
    ///
    /// # Panics
    ///
    /// If that fails.
    pub async fn connect(&self) -> Peer {
        self.connect_as(Some("graphql-transport-ws")).await
    }

    /// Connects with a subprotocol, or without.
    ///
    /// # Panics
    ///
    /// If that fails.
    pub async fn connect_as(&self, subprotocol: Option<&str>) -> Peer {
        self.try_connect(subprotocol, &[]).await.expect("a connection")
    }

    /// Connects with a subprotocol and headers.
    ///
    /// # Errors
    ///
    /// The error of the WebSocket's opening handshake.
    ///
    /// # Panics
    ///
    /// If a header is invalid.
    pub async fn try_connect(
        &self,
        subprotocol: Option<&str>,
        headers: &[(&'static str, &str)],
    ) -> Result<Peer, OpenError> {
        let line = match self.on {
            On::Memory => {
                let (transport, client) = memory::pair(subprotocol, self.setup.capacity);
                let mut upgrade = http::HeaderMap::new();
                for (name, value) in headers {
                    upgrade.append(*name, value.parse().expect("a value"));
                }
                let upgrade = Upgrade::new().headers(upgrade);
                drop(self.host.spawn("connection", self.shared.serve(&self.handler(), transport, upgrade)));
                Line::Memory(client)
            }
            On::WebSocket => {
                let mut request = ClientRequest::new("ws://server/graphql")?;
                if let Some(name) = subprotocol {
                    request = request.subprotocol(name)?;
                }
                for (name, value) in headers {
                    request = request.header(*name, *value)?;
                }
                let client = Client::new(self.host).config(websocket_config());
                Line::WebSocket(Box::new(client.connect(request).await?))
            }
        };
        Ok(Peer::new(self.host, line))
    }

    /// Waits until every connection has ended, at most as long as the configuration allows.
    async fn is_left_clean(&self) {
        let start = self.host.now();
        // The sum of the longest timeouts here. A client that is gone may leave behind a write, a close and two hooks.
        let longest = 200 * SECOND + SLACK;
        loop {
            let (served, ended) = {
                let state = self.shared.state();
                (state.served, state.ended.len())
            };
            if served == ended {
                break;
            }
            assert!(self.host.now() - start < longest, "{} of {served} connections live on", served - ended);
            self.host.sleep(SECOND).await;
        }
        let Some(handler) = self.shared.state().handler.clone() else { return };
        assert_eq!((handler.connections(), handler.operations()), (0, 0), "nothing is counted any more");
        assert_eq!(self.mock().live(), 0, "every operation is dropped");
        let served = self.shared.state().served;
        self.hooks().check(served);
    }

    /// Awaits a future that must not take longer than `longest`.
    ///
    /// # Panics
    ///
    /// If it does.
    pub async fn within<T>(&self, longest: Duration, future: impl Future<Output = T>) -> T {
        let start = self.host.now();
        let result = future.await;
        let took = self.host.now() - start;
        assert!(took <= longest, "took {took:?}, and not at most {longest:?}");
        result
    }

    /// Waits until `condition` holds, at most for `longest`.
    ///
    /// # Panics
    ///
    /// If it does not hold by then.
    pub async fn eventually(&self, longest: Duration, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        eventually(self.host, longest, what, || condition(self)).await;
    }
}

/// Waits until `condition` holds, at most for `longest`. Panics if it does not hold by then.
pub(super) async fn eventually(
    host: Host,
    longest: Duration,
    what: &str,
    mut condition: impl FnMut() -> bool,
) {
    let start = Runtime::now(&host);
    while !condition() {
        assert!(Runtime::now(&host) - start <= longest, "not within {longest:?}: {what}");
        Runtime::sleep(&host, SECOND / 10).await;
    }
}
