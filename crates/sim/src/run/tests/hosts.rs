//! Behaviours of a run whose hosts crash, come back and are paused.

use std::sync::atomic::AtomicU32;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wavetank_runtime::{BlockingListener, JoinError, ListenOptions, Listener, SocketOptions};

use super::*;
use crate::fault::{Crash, Faults};

const PORT: &str = "0.0.0.0:80";

fn passes(seeds: u64, body: impl Fn(&mut Sim) + Send + Sync + Clone + 'static) {
    for seed in 0..seeds {
        let outcome = seeded(seed, body.clone());
        assert_eq!(symptom(&outcome), "", "seed {seed}\n{}", outcome.trace.render());
    }
}

/// Counts its drops.
struct Drops(Arc<AtomicU32>);

impl Drop for Drops {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

async fn sleep(host: Host, milliseconds: u64) {
    Runtime::sleep(&host, Duration::from_millis(milliseconds)).await;
}

#[test]
fn a_crash_drops_everything_of_its_host_only() {
    passes(50, |sim| {
        let dropped: Arc<AtomicU32> = Arc::default();
        let inside = dropped.clone();
        sim.server_thread("server", move |host| {
            let lock = Arc::new(Mutex::new(&host, "lock", ()));
            let changed = Arc::new(Condvar::new(&host, "changed"));
            let guards: Vec<Drops> = (0..4).map(|_| Drops(inside.clone())).collect();
            let [main, waits, locks, task]: [Drops; 4] = guards.try_into().ok().expect("four");
            let (of_waits, of_locks) = (lock.clone(), lock.clone());
            let _waits = Threads::spawn(&host, "waits", move || {
                let _counted = waits;
                let mut guard = of_waits.lock();
                loop {
                    guard = changed.wait(guard);
                }
            });
            drop(Runtime::spawn(&host, "task", async move {
                let _counted = task;
                std::future::pending::<()>().await;
            }));
            Threads::sleep(&host, Duration::from_millis(1));
            let _held = lock.lock();
            let _locks = Threads::spawn(&host, "locks", move || {
                let _counted = locks;
                let _never = of_locks.lock();
            });
            let _counted = main;
            Threads::sleep(&host, Duration::from_secs(3600));
        });
        sim.client("client", async move |host| {
            let other = host.host("server").expect("it is there");
            let survives = Runtime::spawn(&host, "survives", async move { sleep(other, 100_000).await });
            sleep(host, 50_000).await;
            host.inject().crash("server", Crash::Process);
            assert_eq!(dropped.load(Ordering::Relaxed), 4);
            survives.await.expect("it is of another host, though it sleeps by the clock of the server");
            assert_eq!(Runtime::now(&host).as_nanos() / 1_000_000_000 / 50, 2);
        });
    });
}

#[test]
fn destructors_after_a_crash_find_free_locks() {
    struct Goodbye(Host, Arc<Mutex<Host, u32>>);
    impl Drop for Goodbye {
        fn drop(&mut self) {
            *self.1.lock() += 1;
            Threads::sleep(&self.0, Duration::from_secs(1));
            Threads::yield_now(&self.0);
            let server = Threads::resolve(&self.0, "client", 80).expect("names are known")[0];
            let connected = Threads::connect(&self.0, server, SocketOptions::new(), None);
            assert!(connected.is_err(), "no wait in a destructor");
            let _late = Threads::spawn(&self.0, "late", || unreachable!("its host is dead"));
        }
    }
    passes(50, |sim| {
        sim.server_thread("server", |host| {
            let lock = Arc::new(Mutex::new(&host, "lock", 0));
            let own = Goodbye(host, lock.clone());
            let _one = Threads::spawn(&host, "one", move || {
                let _goodbye = own;
                Threads::sleep(&host, Duration::from_secs(3600));
            });
            let _goodbye = Goodbye(host, lock.clone());
            let _held = lock.lock();
            let holds = lock.clone();
            let _two = Threads::spawn(&host, "two", move || drop(holds.lock()));
            Threads::sleep(&host, Duration::from_secs(3600));
        });
        sim.client("client", async |host| {
            let listener = Runtime::listen(&host, PORT.parse().unwrap(), ListenOptions::new()).await.unwrap();
            sleep(host, 60_000).await;
            host.inject().crash("server", Crash::Process);
            sleep(host, 1_000).await;
            drop(listener);
        });
    });
}

#[test]
fn a_task_that_crashes_its_host_stops() {
    fn after() -> ! {
        unreachable!("its host is dead")
    }
    passes(30, |sim| {
        let dropped: Arc<AtomicU32> = Arc::default();
        let (in_thread, in_task) = (dropped.clone(), dropped.clone());
        sim.server_thread("thread", move |host| {
            let _counted = Drops(in_thread.clone());
            let lock = Mutex::new(&host, "lock", ());
            let _held = lock.lock();
            let other = Drops(in_thread.clone());
            let _other = Threads::spawn(&host, "other", move || {
                let _counted = other;
                Threads::sleep(&host, Duration::from_secs(3600));
            });
            Threads::sleep(&host, Duration::from_millis(1));
            host.inject().crash("thread", Crash::Process);
            after();
        });
        sim.server("task", async move |host| {
            let _counted = Drops(in_task.clone());
            let inner = Drops(in_task.clone());
            let spawned = Runtime::spawn(&host, "suicide", async move {
                let _counted = inner;
                sleep(host, 1).await;
                host.inject().crash("task", Crash::Machine);
                after();
            });
            let _: Result<(), JoinError> = spawned.await;
            after();
        });
        sim.client("client", async move |host| {
            sleep(host, 30_000).await;
            assert_eq!(dropped.load(Ordering::Relaxed), 4);
        });
    });
}

#[test]
fn joining_a_crashed_hosts_task_yields_cancelled() {
    passes(30, |sim| {
        sim.server("server", async |_| {});
        sim.client("client", async |host| {
            let server = host.host("server").expect("it is there");
            let task = Runtime::spawn(&server, "task", std::future::pending::<()>());
            sleep(host, 1).await;
            host.inject().crash("server", Crash::Process);
            assert_eq!(task.await, Err(JoinError::Cancelled));
        });
    });
}

#[test]
fn a_crash_may_race_with_a_wake_up() {
    let woken: Arc<AtomicU32> = Arc::default();
    let seen = woken.clone();
    passes(60, move |sim| {
        let woken = seen.clone();
        let (sender, receiver) = tokio::sync::watch::channel(0);
        sim.server("server", async move |_| {
            let mut receiver = receiver.clone();
            while receiver.changed().await.is_ok() {
                woken.fetch_add(1, Ordering::Relaxed);
            }
        });
        sim.client("client", async move |host| {
            for number in 1..20 {
                sleep(host, 1).await;
                sender.send_replace(number);
                tokio::task::yield_now().await;
                host.inject().crash("server", Crash::Process);
                sender.send_replace(number);
                host.inject().restart("server");
            }
        });
    });
    let woken = woken.load(Ordering::Relaxed);
    assert!((1..60 * 38).contains(&woken), "{woken} wake-ups");
}

#[test]
fn a_killed_process_resets_only_unread_connections() {
    passes(30, |sim| {
        sim.server("server", async |host: Host| -> std::io::Result<()> {
            let listener = Runtime::listen(&host, PORT.parse().unwrap(), ListenOptions::new()).await?;
            let (mut read, _) = listener.accept().await?;
            read.read_u8().await?;
            let _unread = listener.accept().await?;
            std::future::pending().await
        });
        sim.client("client", async |host| -> std::io::Result<()> {
            let server = Runtime::resolve(&host, "server", 80).await?[0];
            let mut read = Runtime::connect(&host, server, SocketOptions::new()).await?;
            read.write_u8(1).await?;
            sleep(host, 20_000).await;
            let mut unread = Runtime::connect(&host, server, SocketOptions::new()).await?;
            unread.write_u8(1).await?;
            sleep(host, 20_000).await;
            host.inject().crash("server", Crash::Process);
            assert_eq!(read.read(&mut [0; 9]).await?, 0);
            let reset = unread.read(&mut [0; 9]).await.expect_err("it has not read what we wrote");
            assert_eq!(reset.kind(), std::io::ErrorKind::ConnectionReset);
            let refused =
                Runtime::connect(&host, server, SocketOptions::new()).await.expect_err("it is down");
            assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
            Ok(())
        });
    });
}

#[test]
fn a_crashed_machine_resets_only_after_its_restart() {
    passes(30, |sim| {
        sim.server_thread("server", |host: Host| -> std::io::Result<()> {
            let listener = Threads::listen(&host, PORT.parse().unwrap(), ListenOptions::new())?;
            loop {
                let (mut stream, _) = listener.accept()?;
                std::io::Write::write_all(&mut stream, b"hello")?;
                let _ = std::io::Read::read(&mut stream, &mut [0; 9]);
            }
        });
        sim.client("client", async |host| -> std::io::Result<()> {
            let server = Runtime::resolve(&host, "server", 80).await?[0];
            let mut old = Runtime::connect(&host, server, SocketOptions::new()).await?;
            let mut hello = [0; 5];
            old.read_exact(&mut hello).await?;
            host.inject().crash("server", Crash::Machine);
            old.write_u8(1).await?;
            let silent = tokio::time::timeout(Duration::from_secs(60), old.read_u8()).await;
            assert!(silent.is_err(), "{silent:?}");
            host.inject().restart("server");
            let reset = old.read_u8().await.expect_err("it has forgotten us");
            assert_eq!(reset.kind(), std::io::ErrorKind::ConnectionReset);
            let mut new = Runtime::connect(&host, server, SocketOptions::new()).await?;
            new.read_exact(&mut hello).await.map(drop)
        });
    });
}

#[test]
fn a_restart_loses_memory_and_keeps_the_disk() {
    passes(30, |sim| {
        let disk: Arc<AtomicU32> = Arc::default();
        let on_disk = disk.clone();
        sim.server_thread("server", move |host: Host| -> std::io::Result<()> {
            on_disk.fetch_add(1, Ordering::Relaxed);
            let mut served = 0;
            let listener = Threads::listen(&host, PORT.parse().unwrap(), ListenOptions::new())?;
            loop {
                let (mut stream, _) = listener.accept()?;
                served += 1;
                std::io::Write::write_all(&mut stream, &[served])?;
            }
        });
        sim.client("client", async move |host| -> std::io::Result<()> {
            let server = Runtime::resolve(&host, "server", 80).await?[0];
            for _ in 0..3 {
                for served in 1..3 {
                    let mut stream = Runtime::connect(&host, server, SocketOptions::new()).await?;
                    assert_eq!(stream.read_u8().await?, served);
                }
                host.inject().crash("server", Crash::Process);
                host.inject().restart("server");
                sleep(host, 30_000).await;
            }
            assert_eq!(disk.load(Ordering::Relaxed), 4);
            Ok(())
        });
    });
}

#[test]
fn a_crashed_client_has_ended_and_cannot_restart() {
    passes(10, |sim| {
        sim.client("victim", async |_| std::future::pending::<()>().await);
        sim.client("other", async |host| {
            host.inject().crash("victim", Crash::Process);
            host.inject().heal_all();
        });
    });
    let outcome = seeded(1, |sim| {
        sim.client("victim", async |_| std::future::pending::<()>().await);
        sim.client("other", async |host| {
            host.inject().crash("victim", Crash::Process);
            host.inject().restart("victim");
        });
    });
    assert!(symptom(&outcome).contains("make it a server"), "{}", symptom(&outcome));
}

#[test]
fn a_paused_hosts_kernel_still_accepts() {
    passes(50, |sim| {
        let ticks: Arc<AtomicU32> = Arc::default();
        let (by_task, by_thread) = (ticks.clone(), ticks.clone());
        sim.server("server", async move |host: Host| {
            let by_thread = by_thread.clone();
            let _ticks = Threads::spawn(&host, "ticks", move || {
                loop {
                    Threads::sleep(&host, Duration::from_millis(10));
                    by_thread.fetch_add(1, Ordering::Relaxed);
                }
            });
            let listener = Runtime::listen(&host, PORT.parse().unwrap(), ListenOptions::new()).await.unwrap();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                by_task.fetch_add(1, Ordering::Relaxed);
                stream.write_u8(1).await.unwrap();
            }
        });
        sim.client("client", async move |host| -> std::io::Result<()> {
            sleep(host, 30_000).await;
            host.inject().pause_host("server");
            let before = ticks.load(Ordering::Relaxed);
            let server = Runtime::resolve(&host, "server", 80).await?[0];
            let mut stream = Runtime::connect(&host, server, SocketOptions::new()).await?;
            sleep(host, 60_000).await;
            assert_eq!(ticks.load(Ordering::Relaxed), before);
            host.inject().resume_host("server");
            stream.read_u8().await.map(drop)
        });
    });
}

#[test]
fn a_host_that_pauses_itself_needs_another() {
    passes(50, |sim| {
        sim.client_thread("host", |host| {
            let lock = Arc::new(Mutex::new(&host, "lock", 0));
            let threads: Vec<_> = ["one", "two"]
                .map(|name| {
                    let lock = lock.clone();
                    Threads::spawn(&host, name, move || {
                        host.inject().pause_host("host");
                        let before = Threads::now(&host);
                        Threads::yield_now(&host);
                        *lock.lock() += 1;
                        before
                    })
                    .expect("memory")
                })
                .into();
            for thread in threads {
                assert!(thread.join().expect("no panic") <= Threads::now(&host));
            }
            assert_eq!(*lock.lock(), 2);
        });
        sim.client("other", async |host| {
            for _ in 0..3 {
                sleep(host, 30_000).await;
                host.inject().resume_host("host");
            }
        });
    });
}

#[test]
fn resuming_a_host_crashed_in_pause_does_nothing() {
    passes(50, |sim| {
        sim.server("server", async |host: Host| {
            let _ticks = Threads::spawn(&host, "ticks", move || {
                loop {
                    Threads::sleep(&host, Duration::from_millis(1));
                }
            });
            std::future::pending::<()>().await;
        });
        sim.client("client", async |host| {
            for _ in 0..5 {
                sleep(host, 20).await;
                host.inject().pause_host("server");
                sleep(host, 20).await;
                host.inject().crash("server", Crash::Process);
                host.inject().resume_host("server");
                sleep(host, 20).await;
                host.inject().restart("server");
            }
        });
    });
}

#[test]
fn a_crash_that_would_break_a_lock_fails() {
    type Shared = Arc<StdMutex<Option<Arc<Mutex<Host, ()>>>>>;
    struct Locks(Shared);
    impl Drop for Locks {
        fn drop(&mut self) {
            let lock = self.0.lock().unwrap().clone().expect("made");
            drop(lock.lock());
        }
    }
    let outcome = seeded(1, |sim| {
        sim.perturb(false);
        let shared = Shared::default();
        let of_server = shared.clone();
        sim.client_thread("holder", move |host| {
            let lock = Arc::new(Mutex::new(&host, "shared", ()));
            *shared.lock().unwrap() = Some(lock.clone());
            let _held = lock.lock();
            Threads::sleep(&host, Duration::from_secs(10));
        });
        sim.server_thread("server", move |host| {
            let _locks = Locks(of_server.clone());
            Threads::sleep(&host, Duration::from_secs(10));
        });
        sim.client("client", async |host| {
            sleep(host, 1_000).await;
            host.inject().crash("server", Crash::Process);
        });
    });
    assert!(symptom(&outcome).contains("hosts must not share locks"), "{}", symptom(&outcome));
}

/// A server that echoes, and a client that repeats each request until it is answered: a protocol that keeps its promise
/// under every fault.
fn stubborn_echo(sim: &mut Sim) {
    sim.server("server", async |host: Host| -> std::io::Result<()> {
        let listener = Runtime::listen(&host, PORT.parse().unwrap(), ListenOptions::new()).await?;
        loop {
            let (mut stream, _) = listener.accept().await?;
            Runtime::spawn(&host, "connection", async move {
                while let Ok(number) = stream.read_u32().await {
                    if stream.write_u32(number).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    async fn ask(host: Host, number: u32) -> std::io::Result<u32> {
        let server = Runtime::resolve(&host, "server", 80).await?[0];
        let mut stream = Runtime::connect(&host, server, SocketOptions::new()).await?;
        stream.write_u32(number).await?;
        stream.read_u32().await
    }
    for name in ["client", "other"] {
        sim.client(name, async |host| {
            for number in 0..10 {
                loop {
                    match tokio::time::timeout(Duration::from_secs(10), ask(host, number)).await {
                        Ok(Ok(answer)) => break assert_eq!(answer, number),
                        Ok(Err(_)) | Err(_) => sleep(host, 500).await,
                    }
                }
                sleep(host, 1_000).await;
            }
        });
    }
}

#[test]
fn replays_with_every_fault_are_equal() {
    fn stormy(sim: &mut Sim) {
        sim.faults(Faults::all().half_open().crashes().until(Duration::from_secs(100)));
        stubborn_echo(sim);
    }
    let mut faults = 0;
    for seed in 0..SEEDS_TWICE {
        let first = seeded(seed, stormy);
        assert_eq!(symptom(&first), "", "seed {seed}\n{}", first.trace.render());
        faults += first.faults;
        let log = first.log.clone();
        let second = simulate_plan(move || {
            run(&stormy, &Plan::Replay { seed, log: &log, mode: Replay::Strict }, &Arc::default())
        });
        assert_eq!(second.trace.first_difference(&first.trace), None, "seed {seed}");
        assert_eq!((second.symptom, second.log, second.divergence), (first.symptom, first.log, None));
    }
    assert!(faults as u64 > SEEDS_TWICE, "{faults} faults");
}

const SEEDS_TWICE: u64 = 300;

#[test]
fn the_report_names_tasks_of_paused_hosts() {
    let outcome = seeded(1, |sim| {
        sim.time_limit(Duration::from_secs(60));
        sim.client("sleeper", async |host: Host| Runtime::sleep(&host, Duration::from_secs(1)).await);
        sim.server("other", async |host: Host| {
            host.inject().pause_host("sleeper");
            Runtime::sleep(&host, Duration::from_secs(3600)).await;
        });
    });
    let text = symptom(&outcome);
    assert!(text.contains("sleeper/main could run, but its host is paused"), "{text}");
}
