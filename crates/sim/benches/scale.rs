//! What a host and a task cost among many: CPU time of a run divided by their number.
//!
//! `cargo bench -p wavetank --bench scale >/dev/null` prints two tables: 10 to 10,000 hosts, of which each client has
//! a Unix socket of its own and talks to a server of its own, and 100 to 10,000 tasks of one host under each strategy.
//! Flat is: the last line of a column is hardly more than the first one. An argument `hosts` or `tasks` selects a
//! table. A number selects one of its lines, for a profiler: `-- hosts 10000`.

use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wavetank::runtime::{ListenOptions, Listener, LocalSockets, Runtime, SocketOptions};
use wavetank::{Sim, Strategy, Sweep};

fn main() {
    let asked_for = |name: &str| {
        let mut arguments =
            std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).peekable();
        arguments.peek().is_none() || arguments.any(|argument| argument == name)
    };
    if asked_for("hosts") {
        hosts();
    }
    if asked_for("tasks") {
        tasks();
    }
}

/// Returns `true` unless an argument is another number: then only that many hosts, or tasks, run.
fn is_count_asked_for(count: usize) -> bool {
    std::env::args().find_map(|argument| argument.parse().ok()).is_none_or(|asked: usize| asked == count)
}

fn hosts() {
    eprintln!("{:>8} {:>16}", "hosts", "µs of CPU a host");
    for count in [10, 100, 1_000, 10_000].into_iter().filter(|&count| is_count_asked_for(count)) {
        let each = cost(20_000 / count, move |sim| pairs(sim, count / 2)) / count as f64;
        eprintln!("{count:>8} {:>16.1}", each * 1e6);
    }
}

/// Pairs of a server and a client.
fn pairs(sim: &mut Sim, pairs: usize) {
    sim.strategy(Strategy::Random).perturb(false);
    for number in 0..pairs {
        sim.server(&format!("server{number}"), async |host| {
            let listener = Runtime::listen(&host, ([0, 0, 0, 0], 80).into(), ListenOptions::new()).await?;
            let (mut stream, _) = listener.accept().await?;
            while let Ok(byte) = stream.read_u8().await {
                stream.write_u8(byte).await?;
            }
            wavetank::Ok(())
        });
        sim.client(&format!("client{number}"), async move |host| {
            let path = Path::new("/tmp/socket");
            let own = host.listen_unix(path, ListenOptions::new()).await?;
            let other = host.connect_unix(path, SocketOptions::new()).await?;
            let server = Runtime::resolve(&host, &format!("server{number}"), 80).await?[0];
            let mut stream = Runtime::connect(&host, server, SocketOptions::new()).await?;
            for byte in 0..3 {
                stream.write_u8(byte).await?;
                assert_eq!(stream.read_u8().await?, byte);
            }
            drop((own, other));
            wavetank::Ok(())
        });
    }
}

fn tasks() {
    let strategies = [
        ("fifo", Strategy::Fifo),
        ("random", Strategy::Random),
        ("sticky", Strategy::Sticky { every: 4 }),
        ("pct", Strategy::Pct { depth: 4 }),
    ];
    eprint!("\n{:>8}", "tasks");
    strategies.iter().for_each(|(name, _)| eprint!(" {name:>10}"));
    eprintln!("    µs of CPU a task");
    for count in [100, 1_000, 10_000].into_iter().filter(|&count| is_count_asked_for(count)) {
        eprint!("{count:>8}");
        for (_, strategy) in strategies {
            let each = cost(20_000 / count, move |sim| crowd(sim, count, strategy)) / count as f64;
            eprint!(" {:>10.2}", each * 1e6);
        }
        eprintln!();
    }
}

/// Tasks of one host that are all ready at once, again and again.
fn crowd(sim: &mut Sim, tasks: usize, strategy: Strategy) {
    sim.strategy(strategy).perturb(false);
    sim.client("client", async move |host| {
        let crowd: Vec<_> = (0..tasks)
            .map(|_| {
                Runtime::spawn(&host, "one", async move {
                    for _ in 0..4 {
                        Runtime::sleep(&host, Duration::from_millis(1)).await;
                    }
                })
            })
            .collect();
        for one in crowd {
            one.await.expect("no panic");
        }
    });
}

/// The CPU time of a run, in seconds.
fn cost(runs: usize, body: impl Fn(&mut Sim) + Send + Sync + 'static) -> f64 {
    let runs = runs.max(2) as u64;
    let begin = cpu();
    let sweep = Sweep::new("scale::runs", env!("CARGO_MANIFEST_DIR"));
    sweep.seeds(runs).check_every(0).workers(1).without_recordings().run(body);
    // The warm-up is a run, too.
    (cpu() - begin) / (runs + 1) as f64
}

/// CPU time of the process, in seconds.
#[expect(unsafe_code, reason = "std has no such clock")]
fn cpu() -> f64 {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `time` is a valid place to write to.
    unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    time.tv_sec as f64 + time.tv_nsec as f64 / 1e9
}
