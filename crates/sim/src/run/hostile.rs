//! Unusual code under test: wakers, destructors and formatters that call back into the runtime traits, threads that
//! outlive their end, tasks that abort themselves.

use std::future::Future;
use std::io::Read;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex as StdMutex};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tokio::io::AsyncReadExt;
use wavetank_runtime::{
    BlockingListener, Instant, JoinError, ListenOptions, Listener, Mutex, Runtime, Sleep, SocketOptions,
    TaskHandle, ThreadHandle, Threads,
};

use super::tests::{seeded, symptom};
use crate::host::{Host, SimSleep};
use crate::sched::Strategy;

/// A waker that owns a value of the test, and drops it with its last clone.
struct Owns<T>(T);

impl<T: Send + Sync + 'static> Wake for Owns<T> {
    fn wake(self: Arc<Self>) {}
}

/// Polls `future` once with a waker that owns `owned`.
fn poll_owning<F: Future + Unpin>(future: &mut F, owned: impl Send + Sync + 'static) -> Poll<F::Output> {
    let waker = Waker::from(Arc::new(Owns(owned)));
    Pin::new(future).poll(&mut Context::from_waker(&waker))
}

/// A timer that is armed, in a box that may be shared.
fn armed(host: &Host) -> StdMutex<Pin<Box<SimSleep>>> {
    let mut sleep = Box::pin(Runtime::sleep(host, Duration::from_secs(5)));
    assert!(poll_owning(&mut sleep, ()).is_pending());
    StdMutex::new(sleep)
}

#[test]
fn dropping_a_waker_may_disarm_a_timer() {
    let outcome = seeded(1, |sim| {
        sim.perturb(false);
        sim.client("host", async |host: Host| {
            // By its end, by another waker in its place, and by the end of the run.
            let mut ended = Box::pin(Runtime::sleep(&host, Duration::from_secs(1)));
            assert!(poll_owning(&mut ended, armed(&host)).is_pending());
            drop(ended);
            let mut rearmed = Box::pin(Runtime::sleep(&host, Duration::from_secs(1)));
            assert!(poll_owning(&mut rearmed, armed(&host)).is_pending());
            assert!(poll_owning(&mut rearmed, ()).is_pending());
            drop(rearmed);
            let mut forgotten = Box::pin(Runtime::sleep(&host, Duration::from_secs(1)));
            assert!(poll_owning(&mut forgotten, armed(&host)).is_pending());
            std::mem::forget(forgotten);
            panic!("ends the run");
        });
    });
    assert_eq!(symptom(&outcome), "panic in host/main: ends the run");
}

#[test]
fn dropping_a_waker_may_close_a_socket() {
    let outcome = seeded(1, |sim| {
        sim.perturb(false);
        sim.client("host", async |host: Host| {
            let listener = Runtime::listen(&host, ([0, 0, 0, 0], 80).into(), ListenOptions::new()).await?;
            let address = (Host::ip(&host), 80).into();
            let mut inner = Runtime::connect(&host, address, SocketOptions::new()).await?;
            let mut outer = Runtime::connect(&host, address, SocketOptions::new()).await?;
            let accepted = (listener.accept().await?, listener.accept().await?);
            let mut buffer = [0; 1];
            assert!(poll_owning(&mut Box::pin(inner.read(&mut buffer)), ()).is_pending());
            assert!(poll_owning(&mut Box::pin(outer.read(&mut buffer)), StdMutex::new(inner)).is_pending());
            drop(outer);
            drop(accepted);
            std::io::Result::Ok(())
        });
    });
    assert_eq!(symptom(&outcome), "");
}

#[test]
fn a_panicking_waker_fails_the_run() {
    struct Panics;
    impl Wake for Panics {
        fn wake(self: Arc<Self>) {
            panic!("woken");
        }
    }
    let outcome = seeded(1, |sim| {
        sim.client("host", async |host: Host| {
            let mut sleep = Box::pin(Runtime::sleep(&host, Duration::from_millis(1)));
            let waker = Waker::from(Arc::new(Panics));
            assert!(sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_pending());
            Runtime::sleep(&host, Duration::from_millis(2)).await;
        });
    });
    assert_eq!(symptom(&outcome), "panic in a waker: woken");
}

#[test]
fn a_task_aborting_itself_ends_when_it_suspends() {
    let outcome = seeded(1, |sim| {
        sim.client("host", async |host: Host| {
            let own = Arc::new(StdMutex::new(None));
            let (handle, went_on) = (own.clone(), Arc::new(AtomicUsize::new(0)));
            let count = went_on.clone();
            let ends = Runtime::spawn(&host, "ends", async move {
                let handle: <Host as Runtime>::TaskHandle<()> = handle.lock().unwrap().take().unwrap();
                handle.abort();
                count.fetch_add(1, Ordering::Relaxed);
                Runtime::sleep(&host, Duration::from_secs(1)).await;
                count.fetch_add(1, Ordering::Relaxed);
            });
            *own.lock().unwrap() = Some(ends);
            Runtime::sleep(&host, Duration::from_secs(2)).await;
            assert_eq!(went_on.load(Ordering::Relaxed), 1);
        });
    });
    assert_eq!(symptom(&outcome), "");
}

#[test]
fn a_delayed_aborted_task_leaves_nothing_behind() {
    for seed in 0..300 {
        let outcome = seeded(seed, |sim| {
            sim.client("host", async |host: Host| {
                let task = Runtime::spawn(&host, "sleeper", async move {
                    loop {
                        Runtime::sleep(&host, Duration::from_micros(100)).await;
                    }
                });
                Runtime::sleep(&host, Duration::from_millis(3)).await;
                task.abort();
                assert_eq!(task.await, Err(JoinError::Cancelled));
            });
            sim.leak_grace(Duration::from_millis(1));
        });
        assert_eq!(symptom(&outcome), "", "seed {seed}");
    }
}

#[test]
fn a_slowly_ending_client_is_not_a_leak() {
    for seed in 0..500 {
        let outcome = seeded(seed, |sim| {
            sim.client("other", async |_| {});
            sim.client("host", async |host: Host| {
                drop(Runtime::spawn(&host, "last", async move {
                    for _ in 0..5 {
                        Runtime::sleep(&host, Duration::from_millis(100)).await;
                    }
                }));
                Runtime::sleep(&host, Duration::from_millis(1)).await;
            });
        });
        assert_eq!(symptom(&outcome), "", "seed {seed}");
    }
}

#[test]
fn a_reset_timer_wakes_without_another_poll() {
    for (first, second) in [(5, 2), (2, 5)] {
        let outcome = seeded(1, move |sim| {
            sim.perturb(false);
            sim.client("host", async move |host: Host| {
                let mut sleep = Box::pin(Runtime::sleep(&host, Duration::from_millis(first)));
                let mut polls = 0;
                std::future::poll_fn(|context| {
                    polls += 1;
                    if polls == 1 {
                        assert!(sleep.as_mut().poll(context).is_pending());
                        let deadline = Runtime::now(&host) + Duration::from_millis(second);
                        sleep.as_mut().reset(deadline);
                        return Poll::Pending;
                    }
                    sleep.as_mut().poll(context)
                })
                .await;
                assert_eq!(Runtime::now(&host), Instant::from_nanos(second * 1_000_000));
            });
        });
        assert_eq!(symptom(&outcome), "");
    }
}

#[test]
fn a_panic_in_a_servers_main_always_fails() {
    for is_thread in [false, true] {
        let outcome = seeded(1, move |sim| {
            sim.tolerate_panics(true);
            if is_thread {
                sim.server_thread("server", |_| panic!("down"));
            } else {
                sim.server("server", async |_| panic!("down"));
            }
            sim.client("client", async |host: Host| {
                let supervised = Runtime::spawn(&host, "supervised", async { panic!("tolerated") });
                assert_eq!(supervised.await, Err::<(), _>(JoinError::Panicked("tolerated".into())));
                Runtime::sleep(&host, Duration::from_secs(1)).await;
            });
        });
        assert_eq!(symptom(&outcome), "panic in server/main: down");
    }
}

/// Takes a lock when dropped.
struct LocksInDrop(Arc<Mutex<Host, ()>>);

impl Drop for LocksInDrop {
    fn drop(&mut self) {
        drop(self.0.lock());
    }
}

#[test]
fn unwinding_threads_may_take_locks_of_others() {
    for seed in 0..100 {
        let outcome = seeded(seed, |sim| {
            sim.strategy(Strategy::Random).tolerate_panics(true);
            sim.client_thread("host", |host: Host| {
                let lock = Arc::new(Mutex::new(&host, "lock", ()));
                let (held, other) = (lock.clone(), lock.clone());
                let holder = Threads::spawn(&host, "holder", move || {
                    let _held = held.lock();
                    // Preempted here it is ready, and holds the lock.
                    for _ in 0..20 {
                        Threads::yield_now(&host);
                    }
                });
                let panics = Threads::spawn(&host, "panics", move || {
                    let _guard = LocksInDrop(other);
                    Threads::yield_now(&host);
                    panic!("boom");
                });
                let _ = panics.unwrap().join();
                let _ = holder.unwrap().join();
            });
        });
        let text = symptom(&outcome);
        let forced = "panic in host/panics: a destructor that ran in a panic waited for the lock `lock`";
        assert!(text.is_empty() || text.starts_with(forced), "seed {seed}: {text}");
    }
}

#[test]
fn a_worker_that_catches_panics_is_torn_down() {
    let outcome = seeded(1, |sim| {
        sim.server_thread("server", |host: Host| {
            loop {
                // Like a thread pool: whatever a job does, the worker continues and waits for the next.
                let _ = catch_unwind(AssertUnwindSafe(|| Threads::sleep(&host, Duration::from_secs(60))));
                Threads::sleep(&host, Duration::from_secs(1));
            }
        });
        sim.client_thread("client", |host: Host| Threads::sleep(&host, Duration::from_millis(1)));
    });
    assert_eq!(symptom(&outcome), "");
}

#[test]
fn a_locking_formatter_loses_no_events() {
    struct Locked(Arc<Mutex<Host, u32>>);
    impl std::fmt::Debug for Locked {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            write!(f, "{}", *self.0.lock())
        }
    }
    for seed in 0..100 {
        let outcome = seeded(seed, |sim| {
            sim.strategy(Strategy::Random);
            sim.client_thread("host", |host: Host| {
                let value = Arc::new(Mutex::new(&host, "value", 7));
                let threads = ["one", "two"].map(|name| {
                    let locked = Locked(value.clone());
                    let body = move || (0..5).for_each(|_| tracing::info!(?locked, "{name}"));
                    Threads::spawn(&host, name, body).unwrap()
                });
                threads.into_iter().for_each(|thread| thread.join().unwrap());
            });
        });
        assert_eq!(outcome.trace.render().matches("locked=7").count(), 10, "seed {seed}");
    }
}

#[test]
fn a_bare_tokio_task_wakes_at_its_nanosecond() {
    let outcome = seeded(1, |sim| {
        sim.perturb(false);
        sim.client("host", async |host: Host| {
            let (sender, receiver) = tokio::sync::oneshot::channel();
            #[expect(
                clippy::disallowed_methods,
                reason = "a task beside the runtime traits is what is tested"
            )]
            let beside = tokio::spawn(async move {
                Runtime::sleep(&host, Duration::from_micros(300)).await;
                let _ = sender.send(Runtime::now(&host).as_nanos());
            });
            assert_eq!(receiver.await, Ok(300_000));
            assert_eq!(Runtime::now(&host).as_nanos(), 300_000);
            drop(beside);
        });
    });
    assert_eq!(symptom(&outcome), "");
}

#[test]
fn a_tokio_timeout_prevents_a_stall() {
    let read_for = |timeout: Duration| {
        seeded(1, move |sim| {
            sim.stall_after(Duration::from_secs(10));
            sim.server_thread("server", |host: Host| -> std::io::Result<()> {
                let listener = Threads::listen(&host, ([0, 0, 0, 0], 80).into(), ListenOptions::new())?;
                let (mut stream, _) = listener.accept()?;
                stream.read(&mut [0; 1]).map(drop)
            });
            sim.client("client", async move |host: Host| {
                let server = Runtime::resolve(&host, "server", 80).await?[0];
                let mut stream = Runtime::connect(&host, server, SocketOptions::new()).await?;
                let _ = tokio::time::timeout(timeout, stream.read_u8()).await;
                std::io::Result::Ok(())
            });
        })
    };
    assert_eq!(symptom(&read_for(Duration::from_secs(9))), "");
    let text = symptom(&read_for(Duration::from_secs(11)));
    assert!(text.starts_with("stall: client/main waits to read"), "{text}");
}

struct PanicsInDrop;

impl Drop for PanicsInDrop {
    fn drop(&mut self) {
        panic!("in teardown");
    }
}

#[test]
fn a_panicking_destructor_fails_a_passed_run() {
    let outcome = seeded(1, |sim| {
        sim.server("server", async |_| {
            let _guard = PanicsInDrop;
            std::future::pending::<()>().await;
        });
        sim.client("client", async |host: Host| Runtime::sleep(&host, Duration::from_millis(1)).await);
    });
    let text = symptom(&outcome);
    assert_eq!(text, "panic in server/main, when it was dropped at the end of the run: in teardown");
    assert!(outcome.failed_at.is_some_and(|place| place.starts_with(file!())));
}

#[test]
fn a_failure_keeps_its_place_through_teardown() {
    let outcome = seeded(1, |sim| {
        sim.server("server", async |_| {
            let _guard = PanicsInDrop;
            std::future::pending::<()>().await;
        });
        sim.client("client", async |host: Host| {
            Runtime::sleep(&host, Duration::from_millis(1)).await;
            u8::try_from(300_u32).expect("fits");
        });
    });
    assert!(symptom(&outcome).starts_with("panic in client/main: fits"), "{}", symptom(&outcome));
    let line = format!("{}:{}", file!(), line!() - 4);
    assert!(outcome.failed_at.as_ref().is_some_and(|place| place.starts_with(&line)), "{outcome:?}");
}

#[test]
fn the_longest_limits_are_limits() {
    let outcome = seeded(1, |sim| {
        sim.time_limit(Duration::MAX).leak_grace(Duration::MAX).stall_after(Duration::MAX);
        sim.client_thread("host", |host: Host| {
            Threads::sleep(&host, Duration::from_secs(1));
            let forgotten = Threads::spawn(&host, "forgotten", move || {
                Threads::sleep(&host, Duration::from_secs(3));
            });
            drop(forgotten);
        });
    });
    assert_eq!(symptom(&outcome), "");
    let waits = seeded(1, |sim| {
        sim.time_limit(Duration::MAX);
        sim.client("host", async |_| {
            let _ = tokio::time::Instant::now();
            std::future::pending::<()>().await;
        });
    });
    assert!(symptom(&waits).starts_with("deadlock"), "{}", symptom(&waits));
}
