//! One connection must not keep the tasks beside it from running, whatever its peer sends and however long its
//! messages are.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use wavetank::runtime::{ListenOptions, Listener as _, Runtime};
use wavetank::{Host, Sim, Strategy, sometimes};
use wavetank_sim_tests::websocket::frames::{self, BINARY};
use wavetank_sim_tests::websocket::scripts;
use wavetank_websocket::client::WebSocket;
use wavetank_websocket::server::Server;
use wavetank_websocket::{CloseCode, Config, Error, Kind};

use super::world::{SECOND, config, connect_plainly, patient, server};

/// A task that always wants the next turn, as long as the one beside it is at work.
#[derive(Default)]
struct Neighbour {
    turns: AtomicU64,
    /// The messages that the task beside it has taken.
    work: AtomicU64,
    /// It does not want a turn now.
    sleeps: AtomicBool,
    /// Its turns when the tasks beside it last noted their work, and what they have done since then.
    noted: AtomicU64,
    since: AtomicU64,
}

impl Neighbour {
    fn start(host: &Host) -> Arc<Self> {
        let neighbour = Arc::new(Self::default());
        let (ticking, host) = (Arc::clone(&neighbour), *host);
        let _detached = host.clone().spawn("neighbour", async move {
            while Arc::strong_count(&ticking) > 1 {
                let (work, mut idle) = (ticking.work.load(Ordering::Relaxed), 0);
                // Time does not pass while a task can run, and nothing arrives.
                while idle < 200 && work == ticking.work.load(Ordering::Relaxed) {
                    idle += 1;
                    ticking.turns.fetch_add(1, Ordering::Relaxed);
                    tokio::task::yield_now().await;
                }
                if idle == 200 {
                    ticking.sleeps.store(true, Ordering::Relaxed);
                    host.sleep(Duration::from_micros(500)).await;
                    ticking.sleeps.store(false, Ordering::Relaxed);
                }
            }
        });
        neighbour
    }

    /// Notes that a task beside it has done something. Returns how often that happened since its last turn, while it
    /// wanted one.
    fn note_work(&self) -> u64 {
        let turns = self.turns();
        if self.noted.swap(turns, Ordering::Relaxed) != turns || self.sleeps.load(Ordering::Relaxed) {
            self.since.store(0, Ordering::Relaxed);
        }
        self.since.fetch_add(1, Ordering::Relaxed) + 1
    }

    fn turns(&self) -> u64 {
        self.turns.load(Ordering::Relaxed)
    }
}

/// How many messages a receiver may take in one turn.
const TURN: u64 = 256;

#[wavetank::test(seeds = 40)]
fn receiving_a_flood_lets_other_tasks_run(sim: &mut Sim) {
    let fragments = sim.choose("fragments", 2) == 1;
    let queued = sim.choose("queued", 2) == 1;
    sim.perturb(false).strategy(Strategy::Fifo);
    server(sim, |peer| async move {
        let flood = frames::frame(BINARY, b"x").repeat(4000);
        scripts::flood(peer, &flood, 5).await
    });
    sim.client("client", async move |host: Host| {
        let socket = connect_plainly(&host, patient(), Default::default()).await.expect("a connection");
        let neighbour = Neighbour::start(&host);
        if queued {
            host.sleep(SECOND).await;
        }
        let (mut run, mut last) = (0, neighbour.turns());
        for _ in 0..20_000 {
            if fragments {
                socket.recv_fragment().await.expect("is open");
            } else {
                socket.recv().await.expect("is open");
            }
            neighbour.work.fetch_add(1, Ordering::Relaxed);
            let now = neighbour.turns();
            let waits = !neighbour.sleeps.load(Ordering::Relaxed);
            run = if now == last && waits { run + 1 } else { 0 };
            last = now;
            assert!(run <= TURN, "one task took {run} messages while another waited for its turn");
        }
        assert!(socket.close(CloseCode::NORMAL, "").await.is_clean());
    });
}

/// What a peer floods with.
#[derive(Debug, Clone, Copy)]
enum Flood {
    /// Messages of a byte.
    Short,
    /// Messages of some 50 bytes, which inflate to 30,000.
    Inflating,
    /// Fragments of a byte, taken one by one.
    Fragments,
    /// Pongs between messages.
    Pongs,
}

/// Floods below, on connections of one host at the same time.
const FLOODS: u64 = 4;

impl Flood {
    /// How many messages or fragments follow each other.
    fn length(self) -> u64 {
        if let Self::Inflating = self { 200 } else { 1200 }
    }

    /// How many of them one task may send or take in one turn.
    fn turn(self) -> u64 {
        if let Self::Inflating = self { 64 } else { TURN }
    }

    async fn send(self, socket: WebSocket<Host>, neighbour: &Neighbour) -> Result<(), Error> {
        if let Self::Fragments = self {
            let mut writer = socket.send_stream(Kind::Binary).await?;
            for _ in 1..self.length() {
                writer.write(b"x").await?;
                self.note(neighbour);
            }
            writer.finish(b"x").await?;
        } else {
            let long = [0; 30_000];
            for _ in 0..self.length() {
                if let Self::Pongs = self {
                    for _ in 0..8 {
                        socket.pong(b"")?;
                    }
                }
                socket.feed(if let Self::Inflating = self { &long[..] } else { b"x" }).await?;
                self.note(neighbour);
            }
            socket.flush();
        }
        // The other end closes when it has everything.
        socket.closed().await;
        Ok(())
    }

    async fn take(self, socket: WebSocket<Host>, neighbour: &Neighbour) {
        for _ in 0..self.length() {
            match self {
                Self::Fragments => drop(socket.recv_fragment().await.expect("is open")),
                Self::Short | Self::Inflating | Self::Pongs => drop(socket.recv().await.expect("is open")),
            }
            self.note(neighbour);
        }
        assert!(socket.close(CloseCode::NORMAL, "").await.is_clean());
    }

    /// Between two turns of the neighbour, the tasks of all floods together send or take a bounded number of messages.
    fn note(self, neighbour: &Neighbour) {
        neighbour.work.fetch_add(1, Ordering::Relaxed);
        let waited = neighbour.note_work();
        assert!(waited <= FLOODS * self.turn(), "a task waited while others sent or took {waited} messages");
    }
}

/// Sends or takes a flood on every connection, beside a task that wants its turns.
async fn run(host: Host, sockets: Vec<WebSocket<Host>>, flood: Flood, takes: bool) {
    if takes {
        // Everything is here. The tasks do not wait for the network, and the neighbour does not sleep.
        host.sleep(SECOND / 2).await;
    }
    let neighbour = Neighbour::start(&host);
    let mut tasks = Vec::new();
    for socket in sockets {
        let neighbour = Arc::clone(&neighbour);
        tasks.push(host.spawn("flood", async move {
            if takes {
                flood.take(socket, &neighbour).await;
            } else {
                flood.send(socket, &neighbour).await.expect("is open");
            }
        }));
    }
    drop(neighbour);
    for task in tasks {
        task.await.expect("no panic");
    }
}

#[wavetank::test(seeds = 40, sometimes = "required")]
fn floods_of_either_end_let_other_tasks_run(sim: &mut Sim) {
    let floods = [Flood::Short, Flood::Inflating, Flood::Fragments, Flood::Pongs];
    let flood = floods[sim.choose("flood", 4) as usize];
    let accept_side = sim.choose("accept side", 2) == 1;
    sim.perturb(false).strategy(Strategy::Fifo);
    sim.server("server", async move |host: Host| {
        let listener = host.listen(([0, 0, 0, 0], 80).into(), ListenOptions::new()).await?;
        let mut sockets = Vec::new();
        for _ in 0..FLOODS {
            let (stream, _) = listener.accept().await?;
            sockets.push(Server::new(host).config(patient()).accept(stream).await.expect("a client"));
        }
        run(host, sockets, flood, accept_side).await;
        Ok::<(), std::io::Error>(())
    });
    sim.client("client", async move |host: Host| {
        let mut sockets = Vec::new();
        for _ in 0..FLOODS {
            let socket = connect_plainly(&host, patient(), Default::default()).await.expect("a connection");
            sockets.push(socket);
        }
        run(host, sockets, flood, !accept_side).await;
        sometimes!(accept_side, "the accept side takes floods");
        sometimes!(!accept_side, "the client takes floods");
    });
}

/// Accepts one connection and takes what comes.
async fn take_all(host: Host, config: Config) -> std::io::Result<()> {
    let listener = host.listen(([0, 0, 0, 0], 80).into(), ListenOptions::new()).await?;
    let (stream, _) = listener.accept().await?;
    let socket = Server::new(host).config(config).accept(stream).await.expect("a client");
    while socket.recv().await.is_ok() {}
    socket.closed().await;
    Ok(())
}

#[wavetank::test(seeds = 20)]
fn deflating_a_long_message_lets_other_tasks_run(sim: &mut Sim) {
    const BYTES: usize = 1 << 20;
    let pieces = sim.choose("pieces", 2) == 1;
    sim.perturb(false).strategy(Strategy::Fifo);
    sim.server("server", |host| take_all(host, config()));
    sim.client("client", async move |host: Host| {
        let socket = connect_plainly(&host, patient(), Default::default()).await.expect("a connection");
        assert!(socket.compression().is_some());
        let message: Vec<u8> = (0..BYTES).map(|index| ((index * index) >> 7) as u8).collect();
        let neighbour = Neighbour::start(&host);
        tokio::task::yield_now().await;
        let before = neighbour.turns();
        if pieces {
            let writer = socket.send_stream(Kind::Binary).await.expect("is open");
            writer.finish(&message).await.expect("is open");
        } else {
            socket.feed(&message).await.expect("is open");
        }
        let turns = neighbour.turns() - before;
        // At most 128 KiB between two turns.
        assert!(
            turns >= (BYTES >> 17) as u64,
            "{turns} turns of another task while {BYTES} bytes are deflated"
        );
        assert!(socket.close(CloseCode::NORMAL, "").await.is_clean());
    });
}
