//! The handler on threads, over a WebSocket of threads on the simulated network.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use wavetank::runtime::{BlockingListener as _, ListenOptions, Runtime, Threads};
use wavetank::{Faults, Host, Sim, sometimes};
use wavetank_graphql::blocking::{Overloaded, Pool, Server, SpawnPool};
use wavetank_graphql::mock::{Mock, TokenHooks};
use wavetank_graphql::websocket::BlockingWebSocketTransport;
use wavetank_graphql::{Config, Ended, Keepalive, Shutdown, Upgrade};
use wavetank_sim_tests::graphql::{Got, Peer, SECOND, SLACK};
use wavetank_websocket::client::Client;
use wavetank_websocket::handshake::{AcceptOptions, ClientRequest};
use wavetank_websocket::{Config as WebSocketConfig, OpenError};

type Handler = Server<Host, Mock<Host>, TokenHooks, TestPool>;

/// What the pool does with a job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Manner {
    #[default]
    Runs,
    /// Takes it, and drops it.
    Loses,
    Panics,
}

struct TestPool {
    pool: SpawnPool<Host>,
    world: World,
}

impl Pool for TestPool {
    fn execute(&self, job: Box<dyn FnOnce() + Send>) -> Result<(), Overloaded> {
        match self.world.read(|state| state.manner) {
            Manner::Runs => self.pool.execute(job),
            Manner::Loses => {
                drop(job);
                Ok(())
            }
            Manner::Panics => panic!("the pool panics, as the test says"),
        }
    }
}

/// The server, for a client that looks behind it.
#[derive(Clone, Default)]
struct World(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    handler: Option<Handler>,
    mock: Option<Mock<Host>>,
    ended: Vec<Ended>,
    manner: Manner,
}

fn websocket_config() -> WebSocketConfig {
    let mut config = WebSocketConfig::default();
    config.open_timeout(1000 * SECOND).close_timeout(100 * SECOND);
    config.keepalive().interval(None);
    config.limits().receive_queue_messages(4).read_buffer(4 << 10);
    config.compression().enabled(false);
    config
}

impl World {
    /// Adds a server on threads, whose pool has `threads_max`, and a client.
    fn run<F>(
        sim: &mut Sim,
        config: Config,
        threads_max: usize,
        script: impl FnOnce(Host, Self) -> F + 'static,
    ) where
        F: Future<Output = ()> + 'static,
    {
        sim.steps_max(2_000_000).time_limit(10_000 * SECOND).leak_grace(400 * SECOND);
        let world = Self::default();
        let of_server = world.clone();
        sim.server_thread("server", move |host| of_server.serve(host, config.clone(), threads_max));
        sim.client("client", async move |host: Host| {
            script(host, world.clone()).await;
            // The longest that a client may leave behind: writing, and closing twice.
            let start = Runtime::now(&host);
            let busy = |world: &Self| world.handler().is_some_and(|handler| handler.connections() > 0);
            while busy(&world) {
                assert!(Runtime::now(&host) - start < 400 * SECOND, "a connection lives on");
                Runtime::sleep(&host, SECOND).await;
            }
            let live = world.read(|state| state.mock.as_ref().map_or(0, Mock::live));
            assert_eq!(live, 0, "every operation is dropped");
        });
    }

    fn read<R>(&self, read: impl FnOnce(&mut State) -> R) -> R {
        read(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn handler(&self) -> Option<Handler> {
        self.read(|state| state.handler.clone())
    }

    fn live(&self) -> usize {
        self.read(|state| state.mock.as_ref().map_or(0, Mock::live))
    }

    fn serve(&self, host: Host, config: Config, threads_max: usize) -> std::io::Result<()> {
        let mock = Mock::new(host);
        let pool = TestPool { pool: SpawnPool::new(host, threads_max), world: self.clone() };
        let handler = Server::with_hooks(host, mock.clone(), TokenHooks, pool).config(config);
        self.read(|state| {
            state.handler = Some(handler.clone());
            state.mock = Some(mock);
        });
        let options = AcceptOptions::new().subprotocols(handler.subprotocols().iter().copied());
        let sockets =
            wavetank_websocket::blocking::Server::new(host).config(websocket_config()).options(options);
        let listener = Threads::listen(&host, ([0, 0, 0, 0], 80).into(), ListenOptions::new())?;
        loop {
            let (stream, peer) = listener.accept()?;
            let (world, handler, sockets) = (self.clone(), handler.clone(), sockets.clone());
            Threads::spawn(&host, "connection", move || {
                let Ok(socket) = sockets.accept(stream) else { return };
                let upgrade = Upgrade::new().headers(socket.headers().clone()).peer(peer);
                let ended = handler.serve(BlockingWebSocketTransport::new(socket), upgrade);
                world.read(|state| state.ended.push(ended));
            })?;
        }
    }
}

async fn try_connect(host: Host) -> Result<Peer, OpenError> {
    let request = ClientRequest::new("ws://server/")?.subprotocol("graphql-transport-ws")?;
    Ok(Peer::over(host, Client::new(host).config(websocket_config()).connect(request).await?))
}

async fn acknowledged(host: Host) -> Peer {
    let mut peer = try_connect(host).await.expect("a connection");
    peer.acknowledged("a").await;
    peer
}

async fn eventually(host: Host, what: &str, mut condition: impl FnMut() -> bool) {
    let start = Runtime::now(&host);
    while !condition() {
        assert!(Runtime::now(&host) - start < SLACK, "not in time: {what}");
        Runtime::sleep(&host, SECOND / 10).await;
    }
}

fn config() -> Config {
    Config::new().keepalive(None).init_timeout(1000 * SECOND).close_timeout(100 * SECOND)
}

#[wavetank::test(seeds = 300)]
fn threads_speak_the_protocol(sim: &mut Sim) {
    World::run(sim, config(), 64, async |host, _world| {
        let mut peer = acknowledged(host).await;
        peer.subscribe("1", "{ token }").await;
        assert_eq!(peer.until("next").await["payload"], json!({"data": {"token": "a"}}));
        assert_eq!(peer.hear().await, Got::Message(json!({"type": "complete", "id": "1"})));
        peer.subscribe("1", "subscription { count(to: 3, everyMs: 10) }").await;
        for number in 1..=3 {
            assert_eq!(peer.until("next").await["payload"]["data"]["count"], number);
        }
        peer.until("complete").await;
        for query in ["{", "{ nonsense }", "subscription { fails }"] {
            peer.subscribe("1", query).await;
            assert_eq!(peer.hear().await.kind(), Some("error"));
        }
        peer.subscribe("parts", "{ parts(count: 2) @defer }").await;
        for _ in 0..3 {
            assert_eq!(peer.hear().await.kind(), Some("next"));
        }
        peer.until("complete").await;
        peer.send(json!({"type": "ping", "payload": {"a": 1}})).await;
        assert_eq!(peer.hear().await, Got::Message(json!({"type": "pong", "payload": {"a": 1}})));
        peer.subscribe("channel", "subscription { channel(name: \"x\") }").await;
        loop {
            peer.subscribe("1", "mutation { publish(channel: \"x\", text: \"hello\") }").await;
            let mut reached = Value::Null;
            loop {
                let Got::Message(message) = peer.hear().await else { panic!("the connection has ended") };
                match message["type"].as_str() {
                    Some("next") if message["id"] == "1" => {
                        reached = message["payload"]["data"]["publish"].clone();
                    }
                    // Only now the id is free.
                    Some("complete") => break,
                    _ => {}
                }
            }
            if reached == 1 {
                break;
            }
        }
        peer.subscribe("2", "{ never }").await;
        peer.subscribe("2", "{ hello }").await;
        assert_eq!(peer.end().await.code(), Some(4409));
    });
}

#[wavetank::test(seeds = 300)]
fn threads_close_a_silent_client_with_4408(sim: &mut Sim) {
    let timeout = [Duration::ZERO, Duration::from_millis(2), SECOND][sim.choose("timeout", 3) as usize];
    let inits = sim.choose("init", 2) == 1;
    World::run(sim, config().init_timeout(timeout), 64, async move |host, _world| {
        let mut peer = try_connect(host).await.expect("a connection");
        if inits {
            peer.init("a").await;
        }
        match peer.hear_within(timeout + SLACK).await {
            Some(Got::Closed { code: 4408, .. }) => sometimes!(true, "the timer closes"),
            Some(got) if got.kind() == Some("connection_ack") => {
                assert!(inits);
                peer.round_trip().await;
                peer.close().await;
            }
            other => panic!("{other:?}"),
        }
    });
}

#[wavetank::test(seeds = 300)]
fn threads_cancel_at_once(sim: &mut Sim) {
    let pause = Duration::from_millis(1) * sim.choose("pause", 6);
    let queries = [
        "subscription { silent }",
        "subscription { count(everyMs: 1) }",
        "{ never }",
        "{ hello(prepareMs: 1000000) }",
        "subscription { channel(name: \"x\") }",
    ];
    let query = queries[sim.choose("query", 5) as usize];
    let drops = sim.choose("drops", 2) == 1;
    World::run(sim, config(), 64, async move |host, world| {
        let mut peer = acknowledged(host).await;
        peer.subscribe("1", query).await;
        Runtime::sleep(&host, pause).await;
        if drops {
            drop(peer);
            return eventually(host, "the operation is dropped", || world.live() == 0).await;
        }
        peer.complete("1").await;
        peer.round_trip().await;
        eventually(host, "the operation is dropped", || world.live() == 0).await;
        assert_eq!(peer.hear_within(5 * SECOND).await, None, "nothing follows");
        peer.subscribe("1", "{ hello }").await;
        peer.until("complete").await;
        peer.close().await;
    });
}

#[wavetank::test(seeds = 100)]
fn threads_bound_a_slow_consumer(sim: &mut Sim) {
    let config = config().write_buffer_bytes(10_000).write_timeout(1000 * SECOND);
    World::run(sim, config, 64, async |host, world| {
        let mut slow = acknowledged(host).await;
        slow.subscribe("hot", "subscription { count(pad: 1000) }").await;
        Runtime::sleep(&host, 20 * SECOND).await;
        let made = world.read(|state| state.mock.as_ref().map_or(0, Mock::results));
        assert!(made <= (10_000 + 4 * (64 << 10)) / 1000 + 10, "{made} results are made");
        for number in 1..=500 {
            assert_eq!(slow.until("next").await["payload"]["data"]["count"], number);
        }
        slow.close().await;
    });
}

#[wavetank::test(seeds = 100)]
fn threads_drop_a_stalled_client(sim: &mut Sim) {
    World::run(sim, config().write_timeout(30 * SECOND), 64, async |host, world| {
        let mut stalled = acknowledged(host).await;
        let mut other = acknowledged(host).await;
        stalled.subscribe("hot", "subscription { count(pad: 1000) }").await;
        other.subscribe("1", "subscription { count(everyMs: 1000) }").await;
        let start = Runtime::now(&host);
        while world.read(|state| state.ended.is_empty()) {
            other.until("next").await;
            assert!(Runtime::now(&host) - start < 400 * SECOND, "the client is not dropped");
        }
        assert_eq!(world.read(|state| state.ended.clone()), [Ended::Stalled]);
        other.until("next").await;
        other.close().await;
        drop(stalled);
    });
}

#[wavetank::test(seeds = 200)]
fn threads_shut_down(sim: &mut Sim) {
    World::run(sim, config(), 64, async |host, world| {
        let mut busy = acknowledged(host).await;
        let mut idle = acknowledged(host).await;
        busy.subscribe("stream", "subscription { count(everyMs: 100) }").await;
        busy.subscribe("query", "{ slow(ms: 20000) }").await;
        busy.until("next").await;
        busy.round_trip().await;
        let handler = world.handler().expect("a server");
        // It may wait for a lock, which only a thread may.
        let begin = move || handler.begin_shutdown(Shutdown::restart(500 * SECOND));
        drop(Threads::spawn(&host, "shutdown", begin).expect("a thread"));
        assert_eq!(idle.end().await.code(), Some(1012));
        let mut completes = 0;
        let end = loop {
            match busy.hear().await {
                Got::Message(message) if message["type"] == "complete" => {
                    assert_eq!(message["id"], Value::from("query"));
                    completes += 1;
                }
                Got::Message(_) => {}
                end => break end,
            }
        };
        assert_eq!((completes, end.code()), (1, Some(1012)), "{end:?}");
    });
}

#[wavetank::test(seeds = 200)]
fn threads_refuse_what_the_pool_cannot_run(sim: &mut Sim) {
    World::run(sim, config(), 1, async |host, world| {
        let mut peer = acknowledged(host).await;
        // The thread that accepted may not have ended.
        while world.live() == 0 {
            peer.subscribe("1", "{ never }").await;
            let mut refused = false;
            while world.live() == 0 && !refused {
                refused = peer.hear_within(SECOND / 10).await.is_some();
            }
        }
        peer.subscribe("2", "{ hello }").await;
        let error = peer.until("error").await;
        assert_eq!(error["payload"][0]["extensions"]["code"], "OVERLOADED");
        peer.complete("1").await;
        peer.round_trip().await;
        let mut other = try_connect(host).await.expect("a connection");
        other.init("b").await;
        match other.hear().await {
            Got::Closed { code: 1013, .. } => sometimes!(true, "no thread is free yet"),
            got => {
                assert_eq!(got.kind(), Some("connection_ack"), "{got:?}");
                other.close().await;
            }
        }
        peer.close().await;
    });
}

#[wavetank::test(seeds = 200)]
fn threads_answer_for_lost_jobs(sim: &mut Sim) {
    sim.tolerate_panics(true);
    let manner = [Manner::Loses, Manner::Panics][sim.choose("manner", 2) as usize];
    World::run(sim, config(), 64, async move |host, world| {
        let mut peer = acknowledged(host).await;
        world.read(|state| state.manner = manner);
        peer.subscribe("1", "{ hello }").await;
        let error = peer.until("error").await;
        assert_eq!(error["payload"][0]["extensions"]["code"], "OVERLOADED");
        let mut other = try_connect(host).await.expect("a connection");
        other.init("b").await;
        assert_eq!(other.hear().await.code(), Some(1013));
        world.read(|state| state.manner = Manner::Runs);
        peer.subscribe("1", "{ hello }").await;
        peer.until("complete").await;
        peer.close().await;
    });
}

#[wavetank::test(seeds = 100)]
fn threads_contain_panics(sim: &mut Sim) {
    sim.tolerate_panics(true);
    World::run(sim, config(), 64, async |host, _world| {
        let mut peer = acknowledged(host).await;
        peer.subscribe("1", "{ crash }").await;
        let error = peer.until("error").await;
        assert_eq!(error["payload"][0]["message"], "Internal server error");
        peer.subscribe("1", "{ hello }").await;
        peer.until("complete").await;
        peer.close().await;
    });
}

#[wavetank::test(seeds = 400, sometimes = "required")]
fn threads_serve_stubborn_clients(sim: &mut Sim) {
    sim.faults(Faults::all().half_open().until(100 * SECOND));
    let keepalive = Keepalive::new(20 * SECOND, 20 * SECOND);
    let config = config()
        .keepalive(Some(keepalive))
        .init_timeout(20 * SECOND)
        .write_timeout(20 * SECOND)
        .close_timeout(10 * SECOND);
    World::run(sim, config, 256, async |host, _world| {
        let (mut answered, mut connections) = (0, 0);
        while answered < 4 {
            let Ok(mut peer) = try_connect(host).await else {
                Runtime::sleep(&host, SECOND).await;
                continue;
            };
            connections += 1;
            peer.init("a").await;
            let mut id = 0;
            while let Some(got) = peer.hear_within(60 * SECOND).await {
                match (got.kind(), got.id()) {
                    (Some("connection_ack"), _) => {
                        peer.subscribe("stream", "subscription { count(everyMs: 300) }").await;
                    }
                    (Some("complete"), Some(_)) => answered += 1,
                    (Some("next"), _) => continue,
                    _ => break,
                }
                if answered >= 4 {
                    break;
                }
                id += 1;
                Runtime::sleep(&host, 5 * SECOND).await;
                peer.subscribe(&id.to_string(), "{ slow(ms: 500) }").await;
            }
        }
        sometimes!(connections > 1, "a connection is lost");
    });
}
