//! Memory over many runs in which a host crashes.
//!
//! `cargo bench -p wavetank --bench memory >/dev/null` prints the resident memory after every tenth of 100,000 runs. In
//! the first table the destructors of the crashed server run to their end. In the second one of them panics, and its
//! stack is abandoned: what unwinds it and what the frames above own is never freed. A sweep ends at its first
//! failure, so there such runs are no more than those of the shrinker. An argument sets another number of runs.

use std::time::Duration;

use wavetank::runtime::{ListenOptions, Listener, Runtime, SocketOptions, Threads};
use wavetank::{Crash, Host, Sim, Sweep};

const MILLISECOND: Duration = Duration::from_millis(1);

fn main() {
    let runs = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(100_000);
    table("a host crashes, with tasks, a thread and sockets", runs, false);
    table("a destructor of its thread panics", runs, true);
}

fn table(what: &str, runs: u64, fragile: bool) {
    eprintln!("{what}\n{:>10} {:>12}", "runs", "resident KiB");
    for tenth in 0..=10 {
        eprintln!("{:>10} {:>12}", tenth * runs / 10, resident_kib());
        if tenth < 10 {
            let first = tenth * runs / 10;
            if fragile { fails(first, runs / 10) } else { passes(first, runs / 10) }
        }
    }
}

fn passes(first: u64, runs: u64) {
    let sweep = Sweep::new("memory::crashes", env!("CARGO_MANIFEST_DIR"));
    sweep.base_seed(first).seeds(runs).check_every(0).without_recordings().run(|sim| crashes(sim, false));
}

/// Each run fails, so each is a sweep of its own.
fn fails(first: u64, runs: u64) {
    for seed in first..first + runs {
        let sweep = Sweep::new("memory::abandons", env!("CARGO_MANIFEST_DIR"));
        let found = sweep.base_seed(seed).seeds(1).first_failure(|sim| crashes(sim, true));
        let found = found.expect("a destructor panics");
        assert!(found.symptom().to_string().contains("when its host was killed"), "{found:?}");
    }
}

/// A server of tasks and a thread with sockets and memory crashes in the middle of its work.
fn crashes(sim: &mut Sim, fragile: bool) {
    sim.server("server", async |host: Host| -> std::io::Result<()> {
        let listener = Runtime::listen(&host, ([0, 0, 0, 0], 80).into(), ListenOptions::new()).await?;
        loop {
            let (stream, _) = listener.accept().await?;
            drop(Runtime::spawn(&host, "connection", async move {
                let _kept = (stream, vec![0_u8; 4096]);
                std::future::pending::<()>().await;
            }));
        }
    });
    sim.server_thread("worker", move |host: Host| {
        let _fragile = fragile.then(|| Fragile);
        // Dropped before the destructor panics.
        let _memory = vec![0_u8; 4096];
        Threads::sleep(&host, Duration::from_secs(3600));
    });
    sim.client("client", async |host: Host| {
        let server = Runtime::resolve(&host, "server", 80).await?[0];
        let stream = Runtime::connect(&host, server, SocketOptions::new()).await?;
        Runtime::sleep(&host, MILLISECOND).await;
        host.inject().crash("server", Crash::Process);
        host.inject().crash("worker", Crash::Process);
        Runtime::sleep(&host, MILLISECOND).await;
        drop(stream);
        wavetank::Ok(())
    });
}

struct Fragile;

impl Drop for Fragile {
    fn drop(&mut self) {
        panic!("dropped before it was finished");
    }
}

/// What of this process is in memory.
fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().split(' ').next()?.parse().ok()).unwrap_or(0)
}
