//! A server on threads and its clients, over a WebSocket of threads on the simulated network.

use std::fmt;
use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use wavetank::runtime::{BlockingListener as _, ListenOptions, Runtime, Threads};
use wavetank::{Host, Sim};
use wavetank_graphql::blocking::{Overloaded, Pool, Server, SpawnPool};
use wavetank_graphql::mock::Mock;
use wavetank_graphql::websocket::BlockingWebSocketTransport;
use wavetank_graphql::{Ended, Upgrade};
use wavetank_websocket::client::Client;
use wavetank_websocket::handshake::{AcceptOptions, ClientRequest};
use wavetank_websocket::{Config as WebSocketConfig, OpenError};

use super::checked::BlockingChecked;
use super::hooks::Recorder;
use super::peer::Peer;
use super::world::{self, SECOND, Setup};

/// The server under test.
pub type ThreadsHandler = Server<Host, Mock<Host>, Recorder, TestPool>;

/// What the pool does with a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Manner {
    /// Runs it.
    #[default]
    Runs,
    /// Takes it, and drops it.
    Loses,
    /// Panics.
    Panics,
}

/// A pool that does with jobs what the test says.
#[derive(Debug)]
pub struct TestPool {
    pool: SpawnPool<Host>,
    shared: Shared,
}

impl Pool for TestPool {
    fn execute(&self, job: Box<dyn FnOnce() + Send>) -> Result<(), Overloaded> {
        let manner = self.shared.state().manner;
        match manner {
            Manner::Runs => self.pool.execute(job),
            Manner::Loses => {
                drop(job);
                Ok(())
            }
            Manner::Panics => panic!("the pool panics, as the test says"),
        }
    }
}

#[derive(Default)]
struct State {
    handler: Option<ThreadsHandler>,
    mock: Option<Mock<Host>>,
    hooks: Option<Recorder>,
    served: usize,
    ended: Vec<Ended>,
    manner: Manner,
}

#[derive(Clone, Default)]
struct Shared(Arc<Mutex<State>>);

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Accepts WebSockets without end, and serves each on a thread of its own.
    fn accept(&self, host: Host, setup: &Setup, threads_max: usize) -> std::io::Result<()> {
        let (mock, hooks) = (Mock::new(host), Recorder::new(host, setup.behaviour.clone()));
        let pool = TestPool { pool: SpawnPool::new(host, threads_max), shared: self.clone() };
        let handler =
            Server::with_hooks(host, mock.clone(), hooks.clone(), pool).config(setup.config.clone());
        {
            let mut state = self.state();
            state.handler = Some(handler.clone());
            state.mock = Some(mock);
            state.hooks = Some(hooks);
        }
        let options = AcceptOptions::new().subprotocols(handler.subprotocols().iter().copied());
        let sockets =
            wavetank_websocket::blocking::Server::new(host).config(websocket_config()).options(options);
        let listener = Threads::listen(&host, ([0, 0, 0, 0], 80).into(), ListenOptions::new())?;
        loop {
            let (stream, peer) = listener.accept()?;
            let (shared, handler, sockets) = (self.clone(), handler.clone(), sockets.clone());
            Threads::spawn(&host, "connection", move || {
                let Ok(socket) = sockets.accept(stream) else { return };
                let upgrade = Upgrade::new().headers(socket.headers().clone()).peer(peer);
                shared.state().served += 1;
                let transport = BlockingChecked::new(BlockingWebSocketTransport::new(socket));
                let ended = handler.serve(transport, upgrade);
                shared.state().ended.push(ended);
            })?;
        }
    }
}

/// The same as that of tasks, but for the time of closing: the handler does not cut it short.
fn websocket_config() -> WebSocketConfig {
    world::websocket_config().close_timeout(100 * SECOND).clone()
}

/// What a test's client sees: the server on threads, and how to connect to it.
#[derive(Clone, Debug)]
pub struct ThreadsWorld {
    /// The host of the client.
    pub host: Host,
    shared: Shared,
}

impl ThreadsWorld {
    /// Adds a server on threads, whose pool has `threads_max`, and a client that runs `script`. After the script,
    /// every connection must end and leave nothing behind.
    pub fn run<F>(sim: &mut Sim, setup: Setup, threads_max: usize, script: impl FnOnce(Self) -> F + 'static)
    where
        F: Future<Output = ()> + 'static,
    {
        sim.steps_max(2_000_000).time_limit(10_000 * SECOND).leak_grace(400 * SECOND);
        let shared = Shared::default();
        let of_server = shared.clone();
        sim.server_thread("server", move |host| of_server.accept(host, &setup, threads_max));
        sim.client("client", async move |host: Host| {
            let world = Self { host, shared };
            script(world.clone()).await;
            world.is_left_clean().await;
        });
    }

    /// Waits until every connection has ended.
    async fn is_left_clean(&self) {
        let start = Runtime::now(&self.host);
        // The longest that a client may leave behind: writing, and closing twice.
        let longest = 400 * SECOND;
        loop {
            let (served, ended) = {
                let state = self.shared.state();
                (state.served, state.ended.len())
            };
            if served == ended {
                break;
            }
            let waited = Runtime::now(&self.host) - start;
            assert!(waited < longest, "{} of {served} connections live on", served - ended);
            Runtime::sleep(&self.host, SECOND).await;
        }
        let Some(handler) = self.shared.state().handler.clone() else { return };
        assert_eq!((handler.connections(), handler.operations()), (0, 0), "nothing is counted any more");
        assert_eq!(self.mock().live(), 0, "every operation is dropped");
        let served = self.shared.state().served;
        self.hooks().check(served);
    }

    /// Returns the server. Its methods that wait for locks are for threads.
    ///
    /// # Panics
    ///
    /// If it has not started yet. It starts before the first connection.
    pub fn handler(&self) -> ThreadsHandler {
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

    /// Sets what the pool does with jobs from here on.
    pub fn set_manner(&self, manner: Manner) {
        self.shared.state().manner = manner;
    }

    /// Connects with `graphql-transport-ws`.
    ///
    /// # Errors
    ///
    /// The error of the WebSocket's opening handshake.
    pub async fn try_connect(&self) -> Result<Peer, OpenError> {
        let request = ClientRequest::new("ws://server/")?.subprotocol("graphql-transport-ws")?;
        let socket = Client::new(self.host).config(websocket_config()).connect(request).await?;
        Ok(Peer::over(self.host, socket))
    }

    /// Connects, and waits for the acknowledgement. Each connection needs a token of its own.
    ///
    /// # Panics
    ///
    /// If that fails.
    pub async fn acknowledged(&self, token: &str) -> Peer {
        let mut peer = self.try_connect().await.expect("a connection");
        peer.acknowledged(token).await;
        peer
    }

    /// Waits until `condition` holds, at most for `longest`.
    ///
    /// # Panics
    ///
    /// If it does not hold by then.
    pub async fn eventually(&self, longest: Duration, what: &str, mut condition: impl FnMut(&Self) -> bool) {
        world::eventually(self.host, longest, what, || condition(self)).await;
    }
}
