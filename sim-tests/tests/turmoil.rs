//! Tests inside turmoil: what Wavetank adds to a turmoil suite, and how turmoil's network and faults behave.

#[path = "turmoil/argument.rs"]
mod argument;
#[path = "turmoil/datagrams.rs"]
mod datagrams;
#[path = "turmoil/destructors.rs"]
mod destructors;
#[path = "turmoil/reports.rs"]
mod reports;
#[path = "turmoil/the_network_is_turmoils.rs"]
mod the_network_is_turmoils;
#[path = "turmoil/unix_sockets.rs"]
mod unix_sockets;

use std::io::{self, Read as _, Write as _};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex as StdMutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Mutex, mpsc, oneshot};
use turmoil::net::{TcpListener, TcpStream};
use wavetank::runtime::{
    BlockingListener, BlockingStream, Condvar, ListenOptions, Listener, Mutex as ThreadsMutex, Runtime,
    SocketOptions, Stream, ThreadHandle, Threads,
};
use wavetank::turmoil::{TurmoilFaults, TurmoilHost, TurmoilSim};
use wavetank::{Found, Sweep, SymptomKind};

/// A test from a turmoil suite, before and after its migration.
mod migration {
    use super::*;

    const LATENCY: Duration = Duration::from_millis(3);

    type Balance = Arc<Mutex<u32>>;

    /// Pays out the requested amount. Another task may run while this one reports to the audit. Then both have read the
    /// balance before either has changed it.
    async fn withdraw(mut stream: TcpStream, balance: Balance, audit: mpsc::Sender<u32>) -> turmoil::Result {
        let amount = stream.read_u32().await?;
        let left = *balance.lock().await;
        let pays = left >= amount;
        audit.send(amount).await?;
        if pays {
            *balance.lock().await = left - amount;
        }
        stream.write_u32(if pays { amount } else { 0 }).await?;
        Ok(())
    }

    async fn ask() -> Result<u32, io::Error> {
        let mut stream = TcpStream::connect("bank:80").await?;
        stream.write_u32(100).await?;
        stream.read_u32().await
    }

    fn bank() -> (Balance, mpsc::Sender<u32>, mpsc::Receiver<u32>) {
        let (audit, audited) = mpsc::channel(16);
        (Arc::new(Mutex::new(100)), audit, audited)
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "a typical test for turmoil")]
    fn turmoil_alone_finds_nothing_in_a_thousand_seeds() {
        for seed in 0..1000 {
            let mut builder = turmoil::Builder::new();
            let mut sim = builder.max_message_latency(LATENCY).rng_seed(seed).build();
            sim.host("bank", || async {
                let listener = TcpListener::bind("0.0.0.0:80").await?;
                let (balance, audit, _audited) = bank();
                loop {
                    let (stream, _) = listener.accept().await?;
                    let (balance, audit) = (balance.clone(), audit.clone());
                    tokio::spawn(
                        async move { withdraw(stream, balance, audit).await.map_err(|e| e.to_string()) },
                    );
                }
            });
            sim.client("client", async {
                let (one, other) = tokio::join!(ask(), ask());
                assert_eq!(one? + other?, 100, "the money is paid out once");
                Ok(())
            });
            sim.run().expect("FIFO order hides the race");
        }
    }

    #[wavetank::test(seeds = 1000, finds = "the money is paid out once")]
    fn the_same_test_finds_the_double_spend(sim: &mut TurmoilSim) {
        sim.builder().max_message_latency(LATENCY);
        sim.host("bank", async |host: TurmoilHost| {
            let listener = TcpListener::bind("0.0.0.0:80").await?;
            let (balance, audit, _audited) = bank();
            loop {
                let (stream, _) = listener.accept().await?;
                let (balance, audit) = (balance.clone(), audit.clone());
                Runtime::spawn(&host, "withdrawal", async move {
                    withdraw(stream, balance, audit).await.map_err(|e| e.to_string())
                });
            }
        });
        sim.client("client", async |_: TurmoilHost| {
            let (one, other) = tokio::join!(ask(), ask());
            assert_eq!(one? + other?, 100, "the money is paid out once");
            Ok(())
        });
    }
}

const WILDCARD: std::net::SocketAddr =
    std::net::SocketAddr::new(std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED), 80);

const MILLISECOND: Duration = Duration::from_millis(1);

/// Finds a failure of `body`. Its recordings are not among those of the repository.
fn find(name: &str, body: impl Fn(&mut TurmoilSim) + Send + Sync + 'static) -> Found {
    let folder = std::env::temp_dir().join(format!("wavetank-turmoil-{name}-{}", std::process::id()));
    let found =
        Sweep::new(name, folder.clone()).seeds(20).shrink_at_most(50, Duration::MAX).find_turmoil(body);
    let _ = std::fs::remove_dir_all(folder);
    found
}

/// Adds a host whose main never ends.
fn idle_host(sim: &mut TurmoilSim, name: &str) {
    sim.host(name, async |_: TurmoilHost| std::future::pending().await);
}

mod both_traits_over_two_hosts {
    use super::*;

    /// Echoes messages of ten bytes, with a task for each connection.
    async fn echo(host: TurmoilHost) -> turmoil::Result {
        let listener = Runtime::listen(&host, WILDCARD, ListenOptions::new()).await?;
        loop {
            let (mut stream, _) = listener.accept().await?;
            Runtime::spawn(&host, "connection", async move {
                let mut message = [0; 10];
                while stream.read_exact(&mut message).await.is_ok() {
                    stream.write_all(&message).await?;
                }
                io::Result::Ok(())
            });
        }
    }

    #[wavetank::test(seeds = 65)]
    fn tasks_talk(sim: &mut TurmoilSim) {
        sim.host("server", echo);
        sim.client("client", async |host: TurmoilHost| {
            let server = Runtime::resolve(&host, "server", 80).await?[0];
            assert_eq!(server.ip(), turmoil::lookup("server"));
            let stream = Runtime::connect(&host, server, SocketOptions::new()).await?;
            assert_eq!(stream.local_addr()?.ip(), host.ip());
            let (mut reader, mut writer) = stream.into_split();
            let sender = Runtime::spawn(&host, "sender", async move {
                writer.write_all(b"0123456789").await?;
                writer.write_all(b"abcdefghij").await
            });
            let mut answer = String::new();
            reader.read_to_string(&mut answer).await?;
            assert_eq!(answer, "0123456789abcdefghij");
            sender.await??;
            Ok(())
        });
    }

    #[wavetank::test(seeds = 65)]
    fn threads_talk_and_wait_for_each_other(sim: &mut TurmoilSim) {
        sim.host_thread("server", |host: TurmoilHost| {
            let listener = Threads::listen(&host, WILDCARD, ListenOptions::new())?;
            let (mut stream, _) = listener.accept()?;
            let mut message = String::new();
            stream.read_to_string(&mut message)?;
            stream.write_all(message.to_uppercase().as_bytes())
        });
        sim.client_thread("client", |host: TurmoilHost| {
            let server = Threads::resolve(&host, "server", 80)?[0];
            let mut stream = Threads::connect(&host, server, SocketOptions::new(), None)?;
            let answer = Arc::new((
                ThreadsMutex::new(&host, "answer", String::new()),
                Condvar::<TurmoilHost>::new(&host, "answered"),
            ));
            let shared = Arc::clone(&answer);
            let mut clone = stream.try_clone()?;
            let reader = Threads::spawn(&host, "reader", move || {
                let mut received = String::new();
                clone.read_to_string(&mut received)?;
                *shared.0.lock() = received;
                shared.1.notify_all();
                io::Result::Ok(())
            })?;
            stream.write_all(b"hello")?;
            stream.shutdown(std::net::Shutdown::Write)?;
            let mut received = answer.0.lock();
            while received.is_empty() {
                received = answer.1.wait(received);
            }
            assert_eq!(*received, "HELLO");
            drop(received);
            reader.join().map_err(io::Error::other)?
        });
    }

    #[wavetank::test(seeds = 20)]
    fn a_channel_wakes_a_task_of_another_host(sim: &mut TurmoilSim) {
        let (sender, receiver) = oneshot::channel();
        let (sender, receiver) = (StdMutex::new(Some(sender)), StdMutex::new(Some(receiver)));
        let taken =
            move |cell: &StdMutex<Option<oneshot::Sender<u32>>>| cell.lock().expect("unharmed").take();
        sim.host("sender", async move |host: TurmoilHost| {
            Runtime::sleep(&host, 7 * MILLISECOND).await;
            if let Some(sender) = taken(&sender) {
                sender.send(42).map_err(|_| "the receiver is gone")?;
            }
            std::future::pending().await
        });
        sim.client("client", async move |host: TurmoilHost| {
            let receiver = receiver.lock().expect("unharmed").take().expect("a client starts once");
            assert_eq!(receiver.await?, 42);
            assert!(Runtime::now(&host).as_nanos() >= 7_000_000);
            Ok(())
        });
    }

    #[wavetank::test(seeds = 20)]
    #[expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "all clocks of a host are one")]
    fn every_clock_shows_turmoils_time(sim: &mut TurmoilSim) {
        sim.perturb(false);
        idle_host(sim, "another");
        sim.client("client", async |host: TurmoilHost| {
            let (std, tokio) = (std::time::Instant::now(), tokio::time::Instant::now());
            let (own, turmoil) = (Runtime::now(&host), turmoil::sim_elapsed().expect("inside"));
            Runtime::sleep(&host, 30 * MILLISECOND).await;
            tokio::time::sleep(12 * MILLISECOND).await;
            let passed = Runtime::now(&host) - own;
            assert!(passed >= 42 * MILLISECOND && passed <= 44 * MILLISECOND, "{passed:?}");
            assert_eq!(std.elapsed(), passed);
            assert_eq!(tokio.elapsed(), passed);
            assert_eq!(turmoil::sim_elapsed().expect("inside") - turmoil, passed);
            Ok(())
        });
    }
}

mod hosts_crash {
    use super::*;

    /// Adds a server that counts its starts, sends the count to each client, and has a task that never ends.
    fn server(sim: &mut TurmoilSim) {
        let starts = Arc::new(AtomicU32::new(0));
        sim.host("server", async move |host: TurmoilHost| {
            let start = starts.fetch_add(1, Ordering::Relaxed);
            let ticking = host;
            Runtime::spawn(&host, "ticker", async move {
                loop {
                    Runtime::sleep(&ticking, 10 * MILLISECOND).await;
                }
            });
            let listener = Runtime::listen(&host, WILDCARD, ListenOptions::new()).await?;
            loop {
                let (mut stream, _) = listener.accept().await?;
                stream.write_u32(start).await?;
                // Keeps the connection open until the client closes or this host crashes.
                let _ = stream.read_u8().await;
            }
        });
    }

    async fn connect(host: &TurmoilHost) -> io::Result<(u32, <TurmoilHost as Runtime>::Stream)> {
        let server = Runtime::resolve(host, "server", 80).await?[0];
        let mut stream = Runtime::connect(host, server, SocketOptions::new()).await?;
        Ok((stream.read_u32().await?, stream))
    }

    #[wavetank::test(seeds = 30, base_seed = 0xbf95ef99aa2a67c9)]
    fn a_crash_ends_streams_and_a_bounce_restarts(sim: &mut TurmoilSim) {
        sim.perturb(false);
        server(sim);
        sim.before_each_step(|sim| match sim.elapsed().as_millis() {
            1000 => sim.crash("server"),
            1500 => sim.bounce("server"),
            _ => {}
        });
        sim.client("client", async |host: TurmoilHost| {
            let (start, mut stream) = connect(&host).await?;
            assert_eq!(start, 0);
            assert_eq!(stream.read(&mut [0]).await?, 0, "a crash looks like the end of the stream");
            let refused = connect(&host).await.err().map(|error| error.kind());
            assert_eq!(refused, Some(io::ErrorKind::ConnectionRefused));
            Runtime::sleep(&host, Duration::from_secs(1)).await;
            assert_eq!(connect(&host).await?.0, 1);
            Ok(())
        });
    }

    #[wavetank::test(seeds = 200)]
    fn the_fault_lane_crashes_and_restarts_hosts(sim: &mut TurmoilSim) {
        sim.faults(TurmoilFaults::none().crashes().begin_max(500 * MILLISECOND).last_max(500 * MILLISECOND));
        server(sim);
        sim.client("client", async |host: TurmoilHost| {
            let mut last = 0;
            for _ in 0..10 {
                Runtime::sleep(&host, 200 * MILLISECOND).await;
                if let Ok((start, _)) = connect(&host).await {
                    assert!(start >= last, "restarts are in order");
                    last = start;
                }
            }
            Ok(())
        });
    }

    #[wavetank::test(seeds = 200, finds = "the server has restarted")]
    fn a_restart_is_found_shrunk_and_shown(sim: &mut TurmoilSim) {
        sim.faults(TurmoilFaults::all().begin_max(500 * MILLISECOND).last_max(500 * MILLISECOND));
        server(sim);
        sim.client("client", async |host: TurmoilHost| {
            Runtime::sleep(&host, Duration::from_secs(2)).await;
            if let Ok((start, _)) = connect(&host).await {
                assert_eq!(start, 0, "the server has restarted");
            }
            Ok(())
        });
    }
}

mod oracles {
    use super::*;

    #[test]
    fn a_deadlock_shows_as_turmoils_time_limit() {
        let found = find("a-deadlock", |sim| {
            idle_host(sim, "server");
            sim.client_thread("client", |host: TurmoilHost| {
                let lock = Arc::new(ThreadsMutex::new(&host, "door", ()));
                let held = lock.lock();
                let shared = Arc::clone(&lock);
                let visitor = Threads::spawn(&host, "visitor", move || drop(shared.lock()))?;
                let _ = visitor.join();
                drop(held);
                io::Result::Ok(())
            });
        });
        assert_eq!(found.symptom().kind(), SymptomKind::TimeLimit);
        let report = found.symptom().to_string();
        assert!(report.contains("client/main waits for the end of client/visitor"), "{report}");
        assert!(report.contains("waits for the lock `door`, held by client/main"), "{report}");
    }

    #[test]
    #[expect(
        clippy::disallowed_methods,
        reason = "a task that bypasses the runtime traits is what is tested"
    )]
    fn a_panic_of_a_tokio_task_is_found() {
        let found = find("a-bare-panic", |sim| {
            sim.client("client", async |host: TurmoilHost| {
                tokio::spawn(async { panic!("out of cheese") });
                Runtime::sleep(&host, Duration::from_secs(1)).await;
                Ok(())
            });
        });
        assert!(found.symptom().matches("panic in turmoil: out of cheese"), "{}", found.symptom());
    }

    #[test]
    fn an_error_of_a_main_fails_the_run() {
        let found = find("an-error", |sim| {
            sim.host("server", async |_: TurmoilHost| Err("no disk")?);
            idle_host(sim, "other");
            sim.client("client", async |_: TurmoilHost| std::future::pending().await);
        });
        assert!(found.symptom().matches("error in server: no disk"), "{}", found.symptom());
    }

    #[test]
    fn what_a_client_leaves_behind_is_a_leak() {
        let found = find("a-leak", |sim| {
            sim.leak_grace(100 * MILLISECOND);
            sim.client("client", async |host: TurmoilHost| {
                Runtime::spawn(&host, "forgotten", std::future::pending::<()>());
                Ok(())
            });
        });
        assert_eq!(found.symptom().kind(), SymptomKind::Leak);
        assert!(found.symptom().matches("client/forgotten"), "{}", found.symptom());
    }

    #[test]
    fn what_the_seed_does_not_decide_is_nondeterminism() {
        static RUNS: AtomicU32 = AtomicU32::new(0);
        let swept = std::panic::catch_unwind(|| {
            Sweep::new("a-coin", std::env::temp_dir()).seeds(4).run_turmoil(|sim| {
                let run = RUNS.fetch_add(1, Ordering::Relaxed);
                sim.client("client", async move |_: TurmoilHost| {
                    tracing::info!("run {run}");
                    Ok(())
                });
            })
        });
        let report = swept.expect_err("the first seed is run twice");
        let report = report.downcast_ref::<String>().expect("a report");
        assert!(report.contains("nondeterminism: event") && report.contains("second run:"), "{report}");
    }

    #[test]
    fn a_test_without_a_client_is_refused() {
        let found = std::panic::catch_unwind(|| find("no-client", |sim| idle_host(sim, "server")));
        let report = found.expect_err("a mistake of the test, not a bug that it finds");
        let report = report.downcast_ref::<String>().expect("a report");
        assert!(report.contains("no-client is not set up to run"), "{report}");
        assert!(report.contains("the test has no client"), "{report}");
    }

    #[test]
    fn a_hook_that_steps_the_simulation_is_refused() {
        let steps = |sim: &mut TurmoilSim| {
            idle_host(sim, "server");
            sim.client("client", async |_: TurmoilHost| Ok(()));
            sim.before_each_step(|turmoil| drop(turmoil.step()));
        };
        let found = std::panic::catch_unwind(|| find("steps", steps));
        let report = found.expect_err("a mistake of the test, not a bug that it finds");
        let report = report.downcast_ref::<String>().expect("a report");
        assert!(report.contains("a hook of `before_each_step` stepped turmoil's simulation"), "{report}");
    }
}
