//! The same seeds give the same traces: in debug and release builds, on every machine, alone and beside other tests,
//! and with any number of workers.
//!
//! The expected hashes are committed snapshots, so every build on every machine must give the same ones. A change of
//! what happens in a run changes them. A hash that changes only in some builds or on some machines is a bug.
//!
//! For more seeds, each run twice:
//! `WAVETANK_SEEDS=10000 cargo test -p wavetank-sim-tests --test determinism -- --nocapture` prints the hash of each
//! scenario instead of comparing it. `--release` must print the same hashes.

use std::net::SocketAddr;
use std::sync::{LazyLock, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wavetank::runtime::{ListenOptions, Listener, Runtime, SocketOptions, Threads};
use wavetank::{Faults, Host, Sim, Sweep};
use wavetank_sim_tests::museum::websockets::scenarios::{recv_while_closing, two_closers};
use wavetank_sim_tests::museum::websockets::{Settings, Version, echo_peer};
use wavetank_sim_tests::{mixture, yamux_echo};

/// The number of seeds in a sweep, unless the environment sets another.
const SEEDS: u64 = 100;

/// Sweeps with one worker and with two, every seed twice, and compares the hash of all traces.
///
/// The first seed is given, so that a new name does not change the hash.
fn always_gives_the_same(name: &str, base_seed: u64, body: fn(&mut Sim)) {
    let sweep = |workers| {
        let name = format!("determinism::{name}");
        Sweep::new(name, env!("CARGO_MANIFEST_DIR"))
            .package(env!("CARGO_PKG_NAME"))
            .base_seed(base_seed)
            .seeds(SEEDS)
            .check_every(1)
            .workers(workers)
            .run(body)
    };
    let (alone, in_parallel) = (sweep(1), sweep(2));
    assert_eq!(alone, in_parallel, "one worker and two");
    let hash = format!("{:#018x} over {} seeds", alone.trace_hash(), alone.seeds());
    println!("{name}: {hash}");
    if are_the_usual_seeds() {
        insta::assert_snapshot!(name, hash);
    }
}

#[expect(clippy::disallowed_methods, reason = "the environment chooses the seeds, and so what to expect")]
fn are_the_usual_seeds() -> bool {
    let choosing = ["SEED", "SEEDS", "BASE_SEED", "SHARD", "TIME_BUDGET", "REPLAY"];
    choosing.iter().all(|name| std::env::var(format!("WAVETANK_{name}")).is_err())
}

#[test]
fn of_threads_that_close_a_websocket() {
    fn build(sim: &mut Sim) {
        sim.faults(Faults::none().partitions().resets().silence());
        let is_pair = sim.choose("closers", 2) == 1;
        sim.server_thread("server", |host| echo_peer(host, SocketAddr::from(([0, 0, 0, 0], 80))));
        sim.client_thread("client", move |host| {
            let server = Threads::resolve(&host, "server", 80).map_err(|error| error.to_string())?[0];
            let scenario = if is_pair { two_closers } else { recv_while_closing };
            match scenario(host, server, Settings::new(Version::V14_2)) {
                Ok(outcome) => outcome.surprise().map_or(Ok(()), Err),
                // The network may be interrupted before the connection is open.
                Err(_) => Ok(()),
            }
        });
    }
    always_gives_the_same("of_threads_that_close_a_websocket", 0x6dd060066a0b2fec, build);
}

#[test]
fn of_tasks_that_echo_over_yamux() {
    fn build(sim: &mut Sim) {
        sim.faults(
            Faults::none()
                .partitions()
                .begin_max(Duration::from_millis(100))
                .last_max(Duration::from_secs(5)),
        );
        sim.server("server", yamux_echo::server);
        sim.client("client", async |host| yamux_echo::client(host, 100_000).await);
    }
    always_gives_the_same("of_tasks_that_echo_over_yamux", 0x2ac45346c5aadab8, build);
}

#[test]
fn of_everything_at_once() {
    always_gives_the_same("of_everything_at_once", 0x26ab657224bc55ff, mixture::build);
}

/// The warm-up initialises statics before the first seed, with the same contents in every process.
#[test]
fn of_code_with_a_lazy_static() {
    #[expect(clippy::disallowed_types, reason = "a map whose order is entropy is what is tested")]
    type Map = std::collections::HashMap<u32, ()>;
    static SHARED: LazyLock<Map> = LazyLock::new(|| (0..20).map(|key| (key, ())).collect());
    fn build(sim: &mut Sim) {
        sim.client_thread("client", |_| {
            let shared: Vec<u32> = SHARED.keys().copied().collect();
            // The hash keys of a thread's maps are numbered. Initialising the static uses the first number.
            let own: Vec<u32> = (0..20).map(|key| (key, ())).collect::<Map>().into_keys().collect();
            tracing::info!(?shared, ?own);
        });
    }
    always_gives_the_same("of_code_with_a_lazy_static", 0xfbfe080539b2c758, build);
}

async fn echoes(host: Host) -> std::io::Result<()> {
    let listener = Runtime::listen(&host, ([0, 0, 0, 0], 80).into(), ListenOptions::new()).await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        drop(Runtime::spawn(&host, "echoes", async move {
            while let Ok(byte) = stream.read_u8().await {
                if stream.write_u8(byte).await.is_err() {
                    break;
                }
            }
        }));
    }
}

/// Three tasks each write, take a lock that all runs share, and read.
fn takes_a_shared_lock(sim: &mut Sim, shared: &'static Mutex<()>) {
    sim.server("server", echoes);
    sim.client("client", async move |host| {
        let server = Runtime::resolve(&host, "server", 80).await?[0];
        let tasks = [(); 3].map(|()| {
            Runtime::spawn(&host, "locks", async move {
                let mut stream = Runtime::connect(&host, server, SocketOptions::new()).await?;
                for byte in 0..3 {
                    stream.write_u8(byte).await?;
                    drop(shared.lock().expect("no panic"));
                    tracing::info!(byte, "has had the lock");
                    stream.read_u8().await?;
                }
                std::io::Result::Ok(())
            })
        });
        for task in tasks {
            task.await.expect("no panic")?;
        }
        std::io::Result::Ok(())
    });
}

/// How long another OS thread holds a lock depends on the machine, and must not decide which task runs next.
#[test]
#[expect(clippy::disallowed_methods, reason = "another OS thread that holds the lock for real time")]
fn a_lock_that_others_hold_changes_nothing() {
    static SHARED: Mutex<()> = Mutex::new(());
    let sweep = || {
        let sweep = Sweep::new("determinism::a_lock_that_others_hold", env!("CARGO_MANIFEST_DIR"))
            .package(env!("CARGO_PKG_NAME"))
            .base_seed(0x51f0_9c6e_7a35_d28b)
            .seeds(10)
            .workers(1);
        sweep.run(|sim| takes_a_shared_lock(sim, &SHARED)).trace_hash()
    };
    let free = sweep();
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    let holder = std::thread::spawn(move || {
        while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            let held = SHARED.lock().expect("no panic");
            std::thread::sleep(Duration::from_millis(30));
            drop(held);
            std::thread::sleep(Duration::from_micros(100));
        }
    });
    let held = sweep();
    drop(stop);
    holder.join().expect("no panic");
    assert_eq!(free, held);
}

/// Seeds that no snapshot knows, in two processes with addresses of their own.
#[test]
fn two_processes_give_the_same_hashes() {
    let hashes = || -> Vec<String> {
        let mut command = std::process::Command::new(std::env::current_exe().expect("this is a program"));
        command.args(["of_", "--nocapture", "--test-threads=1"]).env("WAVETANK_BASE_SEED", "0x5eed");
        let output = command.output().expect("the child starts");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let said = String::from_utf8_lossy(&output.stdout);
        said.lines().filter(|line| line.contains(": 0x")).map(str::to_owned).collect()
    };
    let first = hashes();
    assert_eq!(first.len(), 4, "{first:?}");
    assert_eq!(first, hashes());
}
