//! Destructors that panic while their thread is torn down, or their task is dropped: the run fails, and the process
//! goes on.

use wavetank_runtime::ListenOptions;

use super::*;
use crate::fault::Crash;

const MILLISECOND: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);

/// Panics when it is dropped, whatever runs then.
struct Fragile(&'static str);

impl Drop for Fragile {
    fn drop(&mut self) {
        panic!("{}", self.0);
    }
}

/// Counts how often it is dropped.
struct Counted(Arc<AtomicUsize>);

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }
}

/// Sleeps below some frames, one of which has something fragile.
fn sleeps_with(host: Host, fragile: Fragile, inner: Counted, outer: Counted) {
    let _outer = outer;
    let _fragile = fragile;
    let _inner = inner;
    Threads::sleep(&host, HOUR);
}

/// A client that crashes the server after 1 ms, and ends after 2.
fn crashes_the_server(sim: &mut Sim, how: Crash) {
    sim.client_thread("client", move |host: Host| {
        Threads::sleep(&host, MILLISECOND);
        host.inject().crash("server", how);
        Threads::sleep(&host, MILLISECOND);
    });
}

fn waits_shortly(sim: &mut Sim) {
    sim.client_thread("client", |host: Host| Threads::sleep(&host, MILLISECOND));
}

fn place(outcome: &Outcome) -> &str {
    outcome.failed_at.as_deref().unwrap_or_default()
}

#[test]
fn a_thread_is_abandoned_at_the_end() {
    let (inner, outer): (Arc<AtomicUsize>, Arc<AtomicUsize>) = Default::default();
    let counted = (inner.clone(), outer.clone());
    let outcome = seeded(1, move |sim| {
        let counted = counted.clone();
        sim.server_thread("server", move |host| {
            let (inner, outer) = (Counted(counted.0.clone()), Counted(counted.1.clone()));
            sleeps_with(host, Fragile("half done"), inner, outer);
        });
        waits_shortly(sim);
    });
    assert_eq!(
        symptom(&outcome),
        "panic in server/main, when it was dropped at the end of the run: half done"
    );
    assert!(place(&outcome).starts_with(file!()), "{outcome:?}");
    assert_eq!(inner.load(Ordering::Relaxed), 1, "dropped before the panic");
    assert_eq!(outer.load(Ordering::Relaxed), 0, "abandoned with the stack");
}

#[test]
fn locks_that_teardown_poisons_fail_nothing() {
    /// Leaves a list when it is dropped.
    struct Leaves(Arc<std::sync::Mutex<u32>>);
    impl Drop for Leaves {
        fn drop(&mut self) {
            *self.0.lock().unwrap() -= 1;
        }
    }
    let outcome = seeded(1, |sim| {
        sim.server_thread("server", |host: Host| {
            let members = Arc::new(std::sync::Mutex::new(1));
            let own = host;
            let leaves = Leaves(members.clone());
            let worker = move || {
                let _leaves = leaves;
                Threads::sleep(&own, HOUR);
            };
            drop(Threads::spawn(&host, "worker", worker));
            let _held = members.lock().unwrap();
            Threads::sleep(&host, HOUR);
        });
        waits_shortly(sim);
    });
    assert_eq!(symptom(&outcome), "");
}

#[test]
fn a_killed_processs_broken_invariant_is_only_traced() {
    struct Closed;
    impl Drop for Closed {
        fn drop(&mut self) {
            wavetank_runtime::always!(false, "closed before it is dropped");
        }
    }
    let outcome = seeded(1, |sim| {
        sim.server("server", async |_| {
            let _closed = Closed;
            std::future::pending::<()>().await;
        });
        crashes_the_server(sim, Crash::Process);
    });
    assert_eq!(symptom(&outcome), "");
    assert!(outcome.trace.render().contains("closed before it is dropped"), "{}", outcome.trace.render());
}

#[test]
fn a_failure_comes_before_panics_of_teardown() {
    let outcome = seeded(1, |sim| {
        sim.server_thread("server", |host| {
            sleeps_with(host, Fragile("half done"), Counted(Arc::default()), Counted(Arc::default()));
        });
        sim.client_thread("client", |host: Host| {
            Threads::sleep(&host, MILLISECOND);
            panic!("boom");
        });
    });
    assert_eq!(symptom(&outcome), "panic in client/main: boom");
}

#[test]
fn a_killed_threads_panicking_destructor_fails_the_run() {
    for how in [Crash::Process, Crash::Machine] {
        let outcome = seeded(1, move |sim| {
            sim.server_thread("server", |host| {
                sleeps_with(host, Fragile("half done"), Counted(Arc::default()), Counted(Arc::default()));
            });
            crashes_the_server(sim, how);
        });
        let text = symptom(&outcome);
        assert!(text.starts_with("panic in server/main, when its host was killed: half done\n"), "{text}");
        assert!(text.contains("a killed process runs no destructors"), "{text}");
        assert!(place(&outcome).starts_with(file!()));
        assert!(outcome.trace.render().contains("panics: half done"), "{}", outcome.trace.render());
    }
}

#[test]
fn a_thread_killing_its_host_is_abandoned() {
    let outcome = seeded(1, |sim| {
        sim.server_thread("server", |host: Host| {
            let _fragile = Fragile("half done");
            Threads::sleep(&host, MILLISECOND);
            host.inject().crash("server", Crash::Process);
        });
        sim.client_thread("client", |host: Host| Threads::sleep(&host, 2 * MILLISECOND));
    });
    assert!(symptom(&outcome).starts_with("panic in server/main, when its host was killed: half done\n"));
}

#[test]
fn a_killed_tasks_panicking_destructor_is_only_traced() {
    let outcome = seeded(1, |sim| {
        sim.server("server", async |_| {
            let _fragile = Fragile("half done");
            std::future::pending::<()>().await;
        });
        crashes_the_server(sim, Crash::Process);
    });
    assert_eq!(symptom(&outcome), "");
    assert!(outcome.trace.render().contains("panics: half done"), "{}", outcome.trace.render());
}

#[test]
fn two_fragile_values_of_a_task_are_survived() {
    let fragile_server = |sim: &mut Sim| {
        sim.server("server", async |_| {
            let (_first, _second) = (Fragile("one"), Fragile("other"));
            std::future::pending::<()>().await;
        });
    };
    let killed = seeded(1, move |sim| {
        fragile_server(sim);
        crashes_the_server(sim, Crash::Process);
    });
    assert!(symptom(&killed).starts_with("panic in server/main, when its host was killed: one\n"));
    let at_the_end = seeded(1, move |sim| {
        fragile_server(sim);
        waits_shortly(sim);
    });
    let text = symptom(&at_the_end);
    assert_eq!(text, "panic in server/main, when it was dropped at the end of the run: one");
}

#[test]
fn an_aborted_tasks_panicking_destructors_fail_the_run() {
    for (second, expected) in
        [(None, "panic in client/fragile: one"), (Some(()), "panic in client/fragile: other\n")]
    {
        let outcome = seeded(1, move |sim| {
            sim.client("client", async move |host: Host| {
                let task = Runtime::spawn(&host, "fragile", async move {
                    let _first = second.map(|()| Fragile("one"));
                    let _second = Fragile(if second.is_some() { "other" } else { "one" });
                    std::future::pending::<()>().await;
                });
                Runtime::sleep(&host, MILLISECOND).await;
                task.abort();
            });
        });
        let text = symptom(&outcome);
        assert!(text.starts_with(expected), "{text}");
    }
}

#[test]
fn a_panic_during_a_threads_panic_fails() {
    let outcome = seeded(1, |sim| {
        sim.client_thread("client", |host: Host| {
            let _fragile = Fragile("half done");
            Threads::sleep(&host, MILLISECOND);
            panic!("boom");
        });
    });
    let text = symptom(&outcome);
    assert!(
        text.starts_with("panic in client/main: boom\nwhile that panic unwound the stack a destructor"),
        "{text}"
    );
    assert!(text.ends_with("half done"), "{text}");
}

#[test]
fn a_destructor_may_catch_its_own_panic() {
    struct Careful;
    impl Drop for Careful {
        fn drop(&mut self) {
            let caught = catch_unwind(|| drop(Fragile("tried")));
            assert!(caught.is_err());
        }
    }
    let outcome = seeded(1, |sim| {
        sim.server_thread("server", |host: Host| {
            let _careful = Careful;
            Threads::sleep(&host, HOUR);
        });
        waits_shortly(sim);
    });
    assert_eq!(symptom(&outcome), "");
}

#[test]
fn a_fragile_value_inside_a_destructor_is_survived() {
    struct Outer(Option<Fragile>);
    impl Drop for Outer {
        fn drop(&mut self) {
            let _one = Fragile("second");
            let _other = self.0.take();
            panic!("first");
        }
    }
    for kill in [false, true] {
        let outcome = seeded(1, move |sim| {
            sim.server_thread("server", |host: Host| {
                let _outer = Outer(Some(Fragile("third")));
                Threads::sleep(&host, HOUR);
            });
            if kill {
                crashes_the_server(sim, Crash::Process);
            } else {
                waits_shortly(sim);
            }
        });
        let text = symptom(&outcome);
        assert!(text.starts_with("panic in server/main, when ") && text.contains(": third"), "{text}");
    }
}

#[test]
fn what_never_ran_is_dropped_apart() {
    let outcome = seeded(1, |sim| {
        let captured = Arc::new(StdMutex::new(vec![Fragile("one"), Fragile("other")]));
        sim.server("server", async move |_| drop(captured.lock()));
        waits_shortly(sim);
    });
    let text = symptom(&outcome);
    assert!(text.contains("when it was dropped at the end of the run: o"), "{text}");
    let never_started = seeded(1, |sim| {
        sim.client_thread("client", |host: Host| {
            let fragile = [Fragile("one"), Fragile("other")];
            let thread = Threads::spawn(&host, "never", move || drop(fragile));
            drop(thread);
            panic!("boom");
        });
    });
    assert_eq!(symptom(&never_started), "panic in client/main: boom");
}

#[test]
fn values_of_a_tokio_task_are_survived() {
    for count in [1, 2] {
        let outcome = seeded(1, move |sim| {
            sim.client("client", async move |host: Host| {
                #[expect(clippy::disallowed_methods, reason = "tasks of tokio's own are what is tested")]
                let task = tokio::spawn(async move {
                    let _fragile = ["one", "other"].into_iter().take(count).map(Fragile).collect::<Vec<_>>();
                    std::future::pending::<()>().await;
                });
                Runtime::sleep(&host, MILLISECOND).await;
                drop(task);
            });
        });
        let text = symptom(&outcome);
        assert!(text.contains("when it was dropped at the end of the run: "), "{text}");
    }
}

#[test]
fn an_abandoned_thread_may_hold_locks_and_sockets() {
    for seed in 0..50 {
        let outcome = seeded(seed, |sim| {
            sim.server_thread("server", |host: Host| -> std::io::Result<()> {
                let lock = Arc::new(Mutex::new(&host, "lock", ()));
                let listener = Threads::listen(&host, ([0, 0, 0, 0], 80).into(), ListenOptions::new())?;
                let inner = lock.clone();
                let _waits = Threads::spawn(&host, "waits", move || drop(inner.lock()))?;
                let _held = lock.lock();
                let _fragile = Fragile("half done");
                wavetank_runtime::BlockingListener::accept(&listener).map(drop)
            });
            crashes_the_server(sim, Crash::Process);
        });
        let text = symptom(&outcome);
        assert!(text.starts_with("panic in server/main, when its host was killed: half done\n"), "{text}");
    }
}
