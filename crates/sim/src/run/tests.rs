//! Behaviours of a single run: the scheduler, the clock, the oracles and teardown, without a network.

mod sockets;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex as StdMutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use wavetank_runtime::{Condvar, Mutex, Runtime, TaskHandle, ThreadHandle, Threads, WaitOutcome};

use super::*;
use crate::host::Host;
use crate::panics;
use crate::sched::Strategy;
use crate::sim::{Body, Sim};
use crate::sweep::Sweep;

mod foreign;
mod hosts;
mod injecting;
mod mixture;
mod network;
mod teardown;
mod unwinding;

/// Runs `body` as `plan` says, on an OS thread of its own.
#[expect(clippy::disallowed_methods, reason = "a run needs an OS thread of its own")]
pub(crate) fn simulate_plan(plan: impl FnOnce() -> Outcome + Send + 'static) -> Outcome {
    std::thread::spawn(|| panics::catch(plan)).join().expect("caught").expect("a run does not panic")
}

pub(crate) fn seeded(seed: u64, body: impl Fn(&mut Sim) + Send + Sync + 'static) -> Outcome {
    simulate_plan(move || run(&body, &Plan::Seed { seed, profile: &Arc::default() }, &Arc::default()))
}

/// Replays a run's own choices, strictly.
pub(crate) fn strictly_again(
    seed: u64,
    first: &Outcome,
    body: impl Fn(&mut Sim) + Send + Sync + 'static,
) -> Outcome {
    let log = first.log.clone();
    simulate_plan(move || {
        run(&body, &Plan::Replay { seed, log: &log, mode: Replay::Strict }, &Arc::default())
    })
}

/// The first of many seeds whose run fails.
pub(crate) fn first_failure(body: impl Fn(&mut Sim) + Send + Sync + Clone + 'static) -> Outcome {
    let mut outcomes = (0..500).map(|seed| seeded(seed, body.clone()));
    outcomes.find(|outcome| outcome.symptom.is_some()).expect("one of 500 seeds fails")
}

pub(crate) fn symptom(outcome: &Outcome) -> String {
    outcome.symptom.as_ref().map(ToString::to_string).unwrap_or_default()
}

/// Runs a body without processes.
fn run(body: &Body, plan: &Plan<'_>, progress: &Arc<Progress>) -> Outcome {
    crate::sim::run(body, plan, progress).expect("no host is a process")
}

/// Two threads that increment a number without holding the lock in between.
fn lost_update(sim: &mut Sim) {
    sim.client_thread("host", |host| {
        let number = Arc::new(Mutex::new(&host, "number", 0));
        let add = |number: Arc<Mutex<Host, i32>>| {
            move || {
                let read = *number.lock();
                *number.lock() = read + 1;
            }
        };
        let one = Threads::spawn(&host, "one", add(number.clone())).unwrap();
        let two = Threads::spawn(&host, "two", add(number.clone())).unwrap();
        one.join().unwrap();
        two.join().unwrap();
        assert_eq!(*number.lock(), 2, "an update was lost");
    });
}

#[test]
fn only_some_schedules_show_a_lost_update() {
    let failure = first_failure(lost_update);
    assert!(symptom(&failure).contains("an update was lost"), "{}", symptom(&failure));
    let fifo = seeded(1, |sim| {
        sim.strategy(Strategy::Fifo).perturb(false);
        lost_update(sim);
    });
    assert_eq!(symptom(&fifo), "");
}

#[test]
fn strict_replay_gives_the_same_trace() {
    for seed in 0..50 {
        let first = seeded(seed, lost_update);
        let log = first.log.clone();
        let again = simulate_plan(move || {
            run(&lost_update, &Plan::Replay { seed, log: &log, mode: Replay::Strict }, &Arc::default())
        });
        assert_eq!(again.trace.first_difference(&first.trace), None);
        assert_eq!((again.symptom, again.log), (first.symptom, first.log));
    }
}

#[test]
fn a_deadlock_names_its_waiters_and_holders() {
    let outcome = first_failure(|sim| {
        sim.client_thread("host", |host| {
            let (a, b) = (Arc::new(Mutex::new(&host, "a", ())), Arc::new(Mutex::new(&host, "b", ())));
            let (a2, b2) = (a.clone(), b.clone());
            let other = Threads::spawn(&host, "other", move || {
                let _b = b2.lock();
                let _a = a2.lock();
            });
            {
                let _a = a.lock();
                let _b = b.lock();
            }
            other.unwrap().join().unwrap();
        });
    });
    let text = symptom(&outcome);
    assert!(text.starts_with("deadlock"), "{text}");
    assert!(text.contains("host/main waits for the lock `b`, held by host/other"), "{text}");
    assert!(text.contains("host/other waits for the lock `a`, held by host/main"), "{text}");
}

#[test]
fn runtime_timers_are_exact_and_skip_idle_time() {
    let outcome = seeded(1, |sim| {
        sim.perturb(false);
        sim.client("host", async |host| {
            Runtime::sleep(&host, Duration::from_nanos(1_900_123)).await;
            assert_eq!(Runtime::now(&host).as_nanos(), 1_900_123);
            Runtime::sleep(&host, Duration::from_secs(300)).await;
            assert_eq!(Runtime::now(&host).as_nanos(), 300_001_900_123);
        });
    });
    assert_eq!(symptom(&outcome), "");
    assert_eq!(outcome.virtual_time.as_nanos(), 300_001_900_123);
}

#[test]
fn tokio_timers_fire_on_whole_milliseconds() {
    let outcome = seeded(1, |sim| {
        sim.perturb(false);
        sim.client("host", async |host: Host| {
            let fired: Arc<StdMutex<Vec<(&str, u64)>>> = Arc::default();
            let note = |name, fired: &Arc<StdMutex<Vec<_>>>| {
                fired.lock().unwrap().push((name, Runtime::now(&host).as_nanos()))
            };
            Runtime::sleep(&host, Duration::from_micros(1_900)).await;
            let foreign = async {
                tokio::time::sleep_until(tokio::time::Instant::now() + Duration::from_micros(2_200)).await;
                note("tokio at 4.1", &fired);
                tokio::time::sleep_until(tokio::time::Instant::now() + Duration::from_millis(20)).await;
                note("tokio 20 later", &fired);
            };
            let own = async {
                Runtime::sleep(&host, Duration::from_micros(1_500)).await;
                note("runtime at 3.4", &fired);
                Runtime::sleep(&host, Duration::from_micros(2_000)).await;
                note("runtime at 5.4", &fired);
            };
            tokio::join!(foreign, own);
            let fired = fired.lock().unwrap().clone();
            let expected = [
                ("runtime at 3.4", 3_400_000),
                ("tokio at 4.1", 5_000_000),
                ("runtime at 5.4", 5_400_000),
                ("tokio 20 later", 25_000_000),
            ];
            assert_eq!(fired, expected);
        });
    });
    assert_eq!(symptom(&outcome), "");
}

#[test]
fn a_long_tokio_timeout_takes_few_steps() {
    let outcome = seeded(1, |sim| {
        sim.client("host", async |_| {
            let never = std::future::pending::<()>();
            assert!(tokio::time::timeout(Duration::from_secs(300), never).await.is_err());
        });
    });
    assert_eq!(symptom(&outcome), "");
    assert!(outcome.steps < 20, "{} steps", outcome.steps);
}

#[test]
fn reading_a_clock_does_not_hide_a_deadlock() {
    #[expect(clippy::disallowed_types, reason = "a foreign clock is what is tested")]
    fn read() {
        let _ = std::time::Instant::now();
    }
    let outcome = seeded(1, |sim| {
        sim.client("host", async |_| {
            read();
            std::future::pending::<()>().await;
        });
    });
    assert!(symptom(&outcome).starts_with("deadlock"), "{}", symptom(&outcome));
}

#[test]
fn perturbation_preempts_tokio_channels() {
    fn polls_of_a_hundred_receives(sim: &mut Sim, polls: &Arc<AtomicUsize>) {
        let polls = polls.clone();
        sim.client("host", async move |_| {
            let (sender, mut receiver) = tokio::sync::mpsc::unbounded_channel();
            (0..100).for_each(|number| sender.send(number).unwrap());
            let mut all = Box::pin(async move {
                for _ in 0..100 {
                    receiver.recv().await;
                }
            });
            std::future::poll_fn(move |context| {
                polls.fetch_add(1, Ordering::Relaxed);
                all.as_mut().poll(context)
            })
            .await;
        });
    }
    let default: Arc<AtomicUsize> = Arc::default();
    let counted = default.clone();
    seeded(1, move |sim| {
        sim.perturb(false);
        polls_of_a_hundred_receives(sim, &counted);
    });
    assert_eq!(default.load(Ordering::Relaxed), 1);
    let all: Arc<AtomicUsize> = Arc::default();
    for seed in 0..100 {
        let counted = all.clone();
        let outcome = seeded(seed, move |sim| polls_of_a_hundred_receives(sim, &counted));
        assert_eq!(symptom(&outcome), "");
    }
    assert!(all.load(Ordering::Relaxed) > 110, "some of 100 seeds preempt");
}

#[test]
fn a_delayed_task_can_lose_to_a_timer() {
    let failure = first_failure(|sim| {
        sim.client("host", async |host: Host| {
            let (sender, receiver) = tokio::sync::oneshot::channel();
            let sending = Runtime::spawn(&host, "sender", async move {
                Runtime::sleep(&host, Duration::from_millis(2)).await;
                let _ = sender.send(());
            });
            Runtime::sleep(&host, Duration::from_millis(1)).await;
            tokio::select! {
                biased;
                _ = receiver => {}
                () = Runtime::sleep(&host, Duration::from_millis(3)) => panic!("the timer won"),
            }
            sending.await.unwrap();
        });
    });
    assert!(symptom(&failure).contains("the timer won"));
}

#[test]
fn condition_variables_wake_and_time_out() {
    let outcome = seeded(3, |sim| {
        sim.perturb(false);
        sim.client_thread("host", |host| {
            let shared = Arc::new((Mutex::new(&host, "state", false), Condvar::new(&host, "changed")));
            let (state, changed) = &*shared;
            let (guard, outcome) = changed.wait_timeout(state.lock(), Duration::from_millis(5));
            assert_eq!((outcome, Threads::now(&host).as_nanos()), (WaitOutcome::TimedOut, 5_000_000));
            drop(guard);
            let other = shared.clone();
            let setter = Threads::spawn(&host, "setter", move || {
                *other.0.lock() = true;
                other.1.notify_all();
            });
            let mut ready = state.lock();
            while !*ready {
                ready = changed.wait(ready);
            }
            drop(ready);
            setter.unwrap().join().unwrap();
        });
    });
    assert_eq!(symptom(&outcome), "");
}

#[test]
fn maps_select_and_clocks_follow_the_seed() {
    /// Keys in the order of a map, branches that `select!` took, the clock.
    type Observed = (Vec<u32>, Vec<u32>, u128);
    #[expect(clippy::disallowed_types, reason = "iteration order and the clock are what is tested")]
    fn observe(seed: u64) -> Observed {
        let seen: Arc<StdMutex<Observed>> = Arc::default();
        let inside = seen.clone();
        let outcome = seeded(seed, move |sim| {
            let seen = inside.clone();
            sim.client("host", async move |_| {
                let map: std::collections::HashMap<u32, ()> = (0..40).map(|key| (key, ())).collect();
                let order = map.keys().copied().collect();
                let mut branches = Vec::new();
                for _ in 0..40 {
                    tokio::select! {
                        () = std::future::ready(()) => branches.push(0),
                        () = std::future::ready(()) => branches.push(1),
                    }
                }
                let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
                *seen.lock().unwrap() = (order, branches, since.as_nanos());
            });
        });
        assert_eq!(symptom(&outcome), "");
        Arc::into_inner(seen).unwrap().into_inner().unwrap()
    }
    let _warm_up = observe(1);
    assert_eq!(observe(1), observe(1));
    assert_ne!(observe(1).0, observe(2).0);
    assert_ne!(observe(1).1, observe(2).1);
}

#[test]
fn an_error_of_a_main_fails_the_run() {
    let outcome = seeded(1, |sim| sim.client("host", async |_| Err::<(), _>("no such file")));
    assert_eq!(symptom(&outcome), "error in host: no such file");
}

#[test]
fn only_what_a_client_leaves_is_a_leak() {
    let leaks = |client: bool| {
        seeded(1, move |sim| {
            let main = async |host: Host| {
                drop(Runtime::spawn(&host, "forgotten", std::future::pending::<()>()));
            };
            sim.client("other", async |_| {});
            if client { sim.client("host", main) } else { sim.server("host", main) }
        })
    };
    assert!(symptom(&leaks(true)).contains("host/forgotten"), "{}", symptom(&leaks(true)));
    assert_eq!(symptom(&leaks(false)), "");
}

#[test]
fn limits_name_what_was_still_running() {
    let spins = seeded(1, |sim| {
        sim.steps_max(1_000);
        sim.client("host", async |_| {
            loop {
                tokio::task::yield_now().await;
            }
        });
    });
    assert!(symptom(&spins).contains("host/main"), "{}", symptom(&spins));
    let sleeps = seeded(1, |sim| {
        sim.time_limit(Duration::from_secs(60));
        sim.client("host", async |host: Host| {
            loop {
                Runtime::sleep(&host, Duration::from_secs(7)).await;
            }
        });
    });
    assert!(symptom(&sleeps).contains("host/main waits for a timer"), "{}", symptom(&sleeps));
}

#[test]
fn a_wake_up_from_an_os_thread_fails() {
    fn wake_from_outside(waker: Waker) {
        let outsider = std::thread::Builder::new().name("outsider".into());
        // A thread that the test means to start.
        let thread = crate::unsimulated(|| outsider.spawn(move || waker.wake()));
        thread.unwrap().join().unwrap();
    }
    let outcome = seeded(1, |sim| {
        sim.client("host", async |_| {
            let mut woken = false;
            std::future::poll_fn(move |context| {
                if !woken {
                    woken = true;
                    wake_from_outside(context.waker().clone());
                }
                Poll::<()>::Pending
            })
            .await;
        });
    });
    assert!(symptom(&outcome).contains("`outsider`"), "{}", symptom(&outcome));
}

#[test]
fn a_blocking_call_in_a_task_is_explained() {
    let outcome = seeded(1, |sim| {
        sim.client("host", async |host: Host| Threads::sleep(&host, Duration::from_secs(1)));
    });
    assert!(symptom(&outcome).contains("start one with `Threads::spawn`"), "{}", symptom(&outcome));
}

#[test]
fn spans_belong_to_the_thread_that_entered_them() {
    let outcome = (0..20).map(|seed| {
        seeded(seed, |sim| {
            sim.client_thread("host", |host| {
                let threads: Vec<_> = ["one", "two"]
                    .into_iter()
                    .map(|name| {
                        Threads::spawn(&host, name, move || {
                            let _span = tracing::info_span!("of", name).entered();
                            for _ in 0..3 {
                                Threads::yield_now(&host);
                                tracing::info!("event of {name}");
                            }
                        })
                        .unwrap()
                    })
                    .collect();
                threads.into_iter().for_each(|thread| thread.join().unwrap());
            });
        })
    });
    for outcome in outcome {
        let trace = outcome.trace.render();
        for name in ["one", "two"] {
            let expected = format!("| of{{name={name}}}: event of {name}");
            assert_eq!(trace.matches(&expected).count(), 3, "{trace}");
        }
    }
}

#[test]
fn joining_an_aborted_task_yields_cancelled() {
    let outcome = seeded(1, |sim| {
        sim.client("host", async |host: Host| {
            let task = Runtime::spawn(&host, "endless", std::future::pending::<()>());
            Runtime::sleep(&host, Duration::from_millis(1)).await;
            task.abort();
            assert_eq!(task.await, Err(wavetank_runtime::JoinError::Cancelled));
        });
    });
    assert_eq!(symptom(&outcome), "");
}

#[test]
fn a_panicking_payload_is_an_ordinary_panic() {
    struct Fragile;
    impl Drop for Fragile {
        fn drop(&mut self) {
            if !std::thread::panicking() {
                std::panic::panic_any(Self);
            }
        }
    }
    let of_task = seeded(1, |sim| sim.client("client", async |_| std::panic::panic_any(Fragile)));
    assert_eq!(symptom(&of_task), "panic in client/main: a panic whose payload is not text");
    let of_thread = seeded(1, |sim| sim.client_thread("client", |_| std::panic::panic_any(Fragile)));
    assert_eq!(symptom(&of_thread), "panic in client/main: a panic whose payload is not text");
}

#[test]
fn a_run_may_have_ten_thousand_hosts() {
    // As a test runs it: the watchdog watches.
    Sweep::new("run::ten-thousand-hosts", env!("CARGO_MANIFEST_DIR")).without_recordings().seeds(1).run(
        |sim| {
            sim.strategy(Strategy::Pct { depth: 3 });
            for number in 0..10_000 {
                sim.client(&format!("host{number}"), async |host: Host| {
                    drop(Runtime::spawn(&host, "task", async move {
                        Runtime::sleep(&host, Duration::from_millis(1)).await;
                    }));
                    Runtime::sleep(&host, Duration::from_millis(2)).await;
                });
            }
        },
    );
}
