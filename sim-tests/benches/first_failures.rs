//! Measures how many seeds it takes to find a bug, for small races and for the museum.
//!
//! `cargo bench -p wavetank-sim-tests --bench first_failures [-- PART_OF_A_NAME]` prints a line for each bug: the
//! median number of seeds over 20 base seeds, and all 20 numbers (`-`: not found in 3000). Run it before and after a
//! change of strategies or perturbations.
//!
//! With `--bounds` it prints the medians with the bound of all delays and without it, each with polls that may be
//! interrupted and without: what the one and the other of the two adds and takes away.
//!
//! With `--shrink` it prints how small the failures of ten base seeds become: the sums of the non-default choices
//! before and after shrinking, of the faults, context switches and delays left, and of the runs that shrinking took.
//! Run it before and after a change of the shrinker.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wavetank::runtime::{ListenOptions, Listener, Mutex, Runtime, SocketOptions, ThreadHandle, Threads};
use wavetank::{Faults, Host, Sim, Sweep};
use wavetank_sim_tests::museum::{ariadne, websockets, yamux};

const BASES: u64 = 20;
const SEEDS_MAX: u64 = 3_000;
/// The distance between two base seeds.
const BASE_DISTANCE: u64 = 1_000_000;

fn main() {
    let wanted = std::env::args().skip(1).find(|argument| !argument.starts_with('-')).unwrap_or_default();
    for (name, body) in BUGS {
        if !name.contains(&wanted) {
            continue;
        }
        if std::env::args().any(|argument| argument == "--shrink") {
            println!("{name:45}  {}", shrunk(name, *body));
            continue;
        }
        if std::env::args().any(|argument| argument == "--bounds") {
            println!("{name:45}  {}", bounds(name, *body));
            continue;
        }
        let runs = sorted_runs(name, *body);
        let all: Vec<String> = runs.iter().map(|&runs| shown(runs)).collect();
        println!("{:>6}  {name:45}  {}", shown(runs[runs.len() / 2]), all.join(" "));
    }
}

fn shown(runs: u64) -> String {
    if runs > SEEDS_MAX { "-".to_owned() } else { runs.to_string() }
}

/// The numbers of seeds to the first failure from all bases, ascending.
fn sorted_runs(name: &str, body: impl Fn(&mut Sim) + Send + Sync + Copy + 'static) -> Vec<u64> {
    let mut runs: Vec<u64> = (0..BASES).map(|base| first_failure(name, base, body)).collect();
    runs.sort_unstable();
    runs
}

/// The medians with and without the bound of all delays and interrupted polls.
fn bounds(name: &str, body: fn(&mut Sim)) -> String {
    let median = |is_bounded: bool, is_interrupted: bool| {
        let runs = sorted_runs(name, move |sim| {
            body(sim);
            if !is_bounded {
                sim.delay_total_max(Duration::from_secs(3600));
            }
            if !is_interrupted {
                sim.interrupt_polls(false);
            }
        });
        shown(runs[runs.len() / 2])
    };
    format!(
        "as it is {:>5}, without the bound {:>5}; without interrupted polls {:>5}, without both {:>5}",
        median(true, true),
        median(false, true),
        median(true, false),
        median(false, false),
    )
}

/// Returns the number of seeds from this base to the first failure.
fn first_failure(name: &str, base: u64, body: impl Fn(&mut Sim) + Send + Sync + 'static) -> u64 {
    let sweep = Sweep::new(name, env!("CARGO_MANIFEST_DIR")).check_every(0);
    let failure = sweep.base_seed(base * BASE_DISTANCE).seeds(SEEDS_MAX).first_failure(body);
    failure.map_or(SEEDS_MAX + 1, |failure| failure.runs())
}

/// How far failures shrink, in words.
fn shrunk(name: &str, body: fn(&mut Sim)) -> String {
    let mut sums = [0; 7];
    for base in 0..10 {
        // The folder of the recordings, in a workspace of its own.
        let folder = std::env::temp_dir().join(format!("wavetank-shrunk-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        std::fs::write(folder.join("Cargo.lock"), "").expect("a file");
        let sweep = Sweep::new(name, &folder).base_seed(base * BASE_DISTANCE).seeds(SEEDS_MAX);
        if sweep.clone().first_failure(body).is_none() {
            return format!("not found in {SEEDS_MAX} seeds");
        }
        let found = sweep.finds("").shrink_at_most(2_000, Duration::from_secs(20)).find(body);
        let (before, after) = (found.before(), found.after());
        let of_base = [
            before.nondefault(),
            after.nondefault(),
            after.faults(),
            after.switches(),
            after.preemptions(),
            after.delays(),
            found.shrink_runs(),
        ];
        sums.iter_mut().zip(of_base).for_each(|(sum, one)| *sum += one);
        std::fs::remove_dir_all(&folder).expect("the folder is ours");
    }
    let [before, after, faults, switches, preemptions, delays, runs] = sums;
    format!(
        "{before:>6} -> {after:>4}: {faults:>3} faults, {switches:>3} switches, {preemptions:>3} preemptions, \
         {delays:>3} delays ({runs} runs)"
    )
}

type Bug = (&'static str, fn(&mut Sim));

const BUGS: &[Bug] = &[
    ("hosts check, then act: at once", |sim| hosts_check_then_act(sim, 0)),
    ("hosts check, then act: 30 ms apart", |sim| hosts_check_then_act(sim, 30)),
    ("hosts check, then act: 1 s apart", |sim| {
        sim.delay_total_max(Duration::from_secs(10));
        hosts_check_then_act(sim, 1_000);
    }),
    ("threads check, then act: at once", |sim| threads_check_then_act(sim, 0)),
    ("threads check, then act: 5 ms apart", |sim| threads_check_then_act(sim, 5)),
    ("threads check, then act: 500 ms apart", |sim| {
        sim.delay_total_max(Duration::from_secs(10));
        threads_check_then_act(sim, 500);
    }),
    ("tasks check, then act: at once", |sim| tasks_check_then_act(sim, 0)),
    ("tasks check, then act: 20 ms apart", |sim| tasks_check_then_act(sim, 20)),
    ("threads, two orders at once", |sim| threads_in_two_orders(sim, 0)),
    ("threads, two orders, 5 ms apart", |sim| threads_in_two_orders(sim, 5)),
    ("museum: recv while closing, silent", |sim| {
        recv_while_closing(sim, websockets::silent_peer);
    }),
    ("museum: recv while closing, interrupted", |sim| {
        sim.faults(Faults::none().partitions().silence());
        recv_while_closing(sim, websockets::echo_peer);
    }),
    ("museum: two closers", |sim| {
        websockets_with(
            sim,
            websockets::Version::V13_1,
            websockets::silent_peer,
            websockets::scenarios::two_closers,
        );
    }),
    ("museum: ariadne before accept", |sim| {
        ariadne_with(sim, ariadne::Version::V0_26_0, ariadne::PeerScript::IsSilent, |answer| {
            matches!(answer, ariadne::Answer::Closed(4408) | ariadne::Answer::Refused)
        });
    }),
    ("museum: ariadne initialises", |sim| {
        ariadne_with(sim, ariadne::Version::V0_26_1, ariadne::PeerScript::Initialises, |answer| {
            matches!(answer, ariadne::Answer::Acknowledged | ariadne::Answer::Closed(4408))
        });
    }),
    ("museum: ariadne pings", |sim| {
        ariadne_with(sim, ariadne::Version::V0_26_1, ariadne::PeerScript::Pings, |answer| {
            answer == ariadne::Answer::Closed(4408)
        });
    }),
    ("museum: yamux as reported", |sim| yamux_with(sim, yamux::Version::Upstream, yamux::Workload::REPORTED)),
    ("museum: yamux, first remedy", |sim| {
        let workload = some_workload(sim);
        yamux_with(sim, yamux::Version::AnswersData, workload);
    }),
];

const ANYWHERE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 80);

const fn ms(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Two hosts ask a third host for a balance, and withdraw it if it suffices.
fn hosts_check_then_act(sim: &mut Sim, apart: u64) {
    sim.server("bank", async |host: Host| {
        let listener = Runtime::listen(&host, ANYWHERE, ListenOptions::new()).await?;
        let balance = Arc::new(std::sync::atomic::AtomicI32::new(1));
        while let Ok((mut stream, _)) = listener.accept().await {
            let balance = balance.clone();
            Runtime::spawn(&host, "teller", async move {
                while let Ok(request) = stream.read_u8().await {
                    let left = balance.fetch_sub(i32::from(request), std::sync::atomic::Ordering::Relaxed);
                    assert!(left - i32::from(request) >= 0, "the bank pays no more than it has");
                    if stream.write_i32(left).await.is_err() {
                        break;
                    }
                }
            });
        }
        std::io::Result::Ok(())
    });
    for (name, after) in [("alice", 0), ("bob", apart)] {
        sim.client(name, async move |host: Host| {
            Runtime::sleep(&host, ms(after)).await;
            let bank = Runtime::resolve(&host, "bank", 80).await?[0];
            let mut stream = Runtime::connect(&host, bank, SocketOptions::new()).await?;
            stream.write_u8(0).await?;
            if stream.read_i32().await? > 0 {
                stream.write_u8(1).await?;
                stream.read_i32().await?;
            }
            std::io::Result::Ok(())
        });
    }
}

/// Two threads check a number under a lock, release the lock, and change the number under the lock again.
fn threads_check_then_act(sim: &mut Sim, apart: u64) {
    sim.client_thread("client", move |host: Host| {
        let left = Arc::new(Mutex::<Host, i32>::new(&host, "left", 1));
        let takers = [("one", 1), ("other", 1 + apart)].map(|(name, after)| {
            let (left, own) = (left.clone(), host);
            Threads::spawn(&host, name, move || {
                Threads::sleep(&own, ms(after));
                let enough = *left.lock() > 0;
                if enough {
                    let mut left = left.lock();
                    *left -= 1;
                    assert!(*left >= 0, "no more is taken than there is");
                }
            })
            .expect("a thread")
        });
        for taker in takers {
            let _ = taker.join();
        }
    });
}

/// The same with tasks, which send a message between the check and the change.
fn tasks_check_then_act(sim: &mut Sim, apart: u64) {
    sim.client("client", async move |host: Host| {
        let left = Arc::new(tokio::sync::Mutex::new(1));
        let (audit, mut audited) = tokio::sync::mpsc::channel(16);
        let takers = [("one", 1), ("other", 1 + apart)].map(|(name, after)| {
            let (left, own, audit) = (left.clone(), host, audit.clone());
            Runtime::spawn(&host, name, async move {
                Runtime::sleep(&own, ms(after)).await;
                let enough = *left.lock().await > 0;
                let _ = audit.send(()).await;
                if enough {
                    let mut left = left.lock().await;
                    *left -= 1;
                    assert!(*left >= 0, "no more is taken than there is");
                }
            })
        });
        drop(audit);
        for taker in takers {
            let _ = taker.await;
        }
        while audited.recv().await.is_some() {}
    });
}

/// A bug of depth two: the reader must run between the two steps of the writer, and the writer between those of the
/// reader.
fn threads_in_two_orders(sim: &mut Sim, apart: u64) {
    sim.client_thread("client", move |host: Host| {
        let phase = Arc::new(Mutex::<Host, u32>::new(&host, "phase", 0));
        let (written, own, other) = (phase.clone(), host, host);
        let writer = Threads::spawn(&host, "writer", move || {
            Threads::sleep(&other, ms(1));
            *written.lock() = 1;
            *written.lock() = 2;
        });
        let reader = Threads::spawn(&host, "reader", move || {
            Threads::sleep(&own, ms(1 + apart));
            let first = *phase.lock();
            let second = *phase.lock();
            assert!((first, second) != (1, 2), "the phase does not change while it is looked at");
        });
        for thread in [writer, reader] {
            let _ = thread.expect("a thread").join();
        }
    });
}

type Peer = fn(Host, SocketAddr) -> std::io::Result<()>;
type Scenario = fn(
    Host,
    SocketAddr,
    websockets::Settings,
) -> Result<websockets::scenarios::Outcome, websockets::OpenError>;

fn recv_while_closing(sim: &mut Sim, peer: Peer) {
    websockets_with(sim, websockets::Version::V13_0_1, peer, websockets::scenarios::recv_while_closing);
}

fn websockets_with(sim: &mut Sim, version: websockets::Version, peer: Peer, scenario: Scenario) {
    sim.server_thread("server", move |host| peer(host, ANYWHERE));
    sim.client_thread("client", move |host| {
        let server = Threads::resolve(&host, "server", 80).map_err(|error| error.to_string())?[0];
        match scenario(host, server, websockets::Settings::new(version)) {
            Ok(outcome) => outcome.surprise().map_or(Ok(()), Err),
            Err(_) => Ok(()),
        }
    });
}

fn ariadne_with(
    sim: &mut Sim,
    version: ariadne::Version,
    script: ariadne::PeerScript,
    is_allowed: fn(ariadne::Answer) -> bool,
) {
    // asyncio runs nothing between two awaits.
    sim.interrupt_polls(false);
    let timeout = [60_000, 5_000, 500, 50, 5, 0][sim.choose("connection_init_wait_timeout", 6) as usize];
    let settings = ariadne::Settings::new(version).connection_init_wait_timeout(ms(timeout));
    sim.server("server", async move |host| {
        let listener = Runtime::listen(&host, ANYWHERE, ListenOptions::new()).await?;
        let handler = ariadne::Handler::new(&host, settings);
        ariadne::serve(host, listener, handler).await
    });
    sim.client("client", async move |host| {
        let server = Runtime::resolve(&host, "server", 80).await.map_err(|error| error.to_string())?[0];
        match ariadne::scenarios::converse(&host, server, script).await {
            Ok(answer) if !is_allowed(answer) => Err(format!("the server's answer is {answer:?}")),
            _ => Ok(()),
        }
    });
}

fn some_workload(sim: &mut Sim) -> yamux::Workload {
    let messages = 1 + sim.choose("messages", 20);
    let reads = sim.choose("reads", 11);
    yamux::Workload { messages, reads, ..yamux::Workload::REPORTED }
}

fn yamux_with(sim: &mut Sim, version: yamux::Version, workload: yamux::Workload) {
    const PATIENCE: Duration = Duration::from_secs(60);
    sim.stall_after(PATIENCE);
    let config = yamux::Config::new(version).connection_write_timeout(PATIENCE / 2);
    sim.server_thread("server", move |host| {
        yamux::scenarios::serve(&host, ANYWHERE, config, workload, yamux::PeerScript::Closes)
    });
    sim.client_thread("client", move |host| {
        let server = Threads::resolve(&host, "server", 80).map_err(|error| error.to_string())?[0];
        let outcome = yamux::scenarios::write_messages(&host, server, config, workload);
        match outcome.map_err(|error| error.to_string())?.end {
            Ok(()) | Err(yamux::Error::ConnectionReset) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    });
}
