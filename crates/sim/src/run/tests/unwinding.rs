//! Panics, of threads, tasks and destructors, and the unwinds of a teardown.

use super::*;

#[test]
fn a_panicking_threads_destructors_may_use_the_runtime() {
    struct LocksInDrop(Arc<Mutex<Host, ()>>, Host);
    impl Drop for LocksInDrop {
        fn drop(&mut self) {
            drop(self.0.lock());
            Threads::sleep(&self.1, Duration::from_secs(1));
        }
    }
    for seed in 0..20 {
        let outcome = seeded(seed, |sim| {
            sim.client_thread("host", |host| {
                let lock = Arc::new(Mutex::new(&host, "lock", ()));
                let guard = LocksInDrop(lock.clone(), host);
                let panics = Threads::spawn(&host, "panics", move || {
                    let _guard = guard;
                    panic!("boom");
                });
                let _held = lock.lock();
                let _ = panics.unwrap().join();
            });
        });
        assert_eq!(symptom(&outcome), "panic in host/panics: boom");
    }
}

#[test]
fn tearing_down_suspended_threads_runs_their_destructors_once() {
    struct Count(Arc<AtomicUsize>);
    impl Drop for Count {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let dropped: Arc<AtomicUsize> = Arc::default();
    let counted = dropped.clone();
    let outcome = seeded(1, move |sim| {
        let counted = counted.clone();
        sim.client_thread("host", move |host| {
            let lock = Arc::new(Mutex::new(&host, "lock", ()));
            let _held = lock.lock();
            for name in ["one", "two"] {
                let (lock, count) = (lock.clone(), Count(counted.clone()));
                let _ = Threads::spawn(&host, name, move || {
                    let _count = count;
                    let _held = lock.lock();
                });
            }
            let _again = lock.lock();
        });
    });
    assert!(symptom(&outcome).starts_with("deadlock"), "{}", symptom(&outcome));
    assert_eq!(dropped.load(Ordering::Relaxed), 2);
}

#[test]
fn a_panic_anywhere_fails_the_run() {
    struct PanicsInDrop;
    impl Drop for PanicsInDrop {
        fn drop(&mut self) {
            panic!("in drop");
        }
    }
    let in_task = seeded(1, |sim| sim.client("host", async |_| panic!("in task")));
    assert_eq!(symptom(&in_task), "panic in host/main: in task");
    let in_drop = seeded(1, |sim| {
        sim.client("host", async |_| {
            let _guard = PanicsInDrop;
        });
    });
    assert_eq!(symptom(&in_drop), "panic in host/main: in drop");
    let in_set_up = seeded(1, |_| panic!("in set-up"));
    assert_eq!(symptom(&in_set_up), "setup: in set-up");
    assert!(in_set_up.failed_at.is_some_and(|place| place.contains("unwinding.rs")));
}

#[test]
fn a_payload_that_panics_when_dropped_is_survived() {
    struct Payload;
    impl Drop for Payload {
        fn drop(&mut self) {
            std::panic::panic_any(Self);
        }
    }
    fn panics() {
        std::panic::panic_any(Payload);
    }
    let bodies: [fn(&mut Sim); 3] = [
        |sim| sim.client("client", async |_| panics()),
        |sim| sim.client_thread("client", |_| panics()),
        |sim| {
            sim.client("client", async |host: Host| {
                let _ = Runtime::spawn(&host, "task", async { panics() }).await;
            });
        },
    ];
    for body in bodies {
        let text = symptom(&seeded(1, body));
        assert!(text.starts_with("panic in client/"), "{text}");
    }
}

#[test]
fn a_huge_panic_text_is_cut() {
    let outcome = seeded(1, |sim| sim.client("client", async |_| panic!("{}", "long ".repeat(10 << 20))));
    let text = symptom(&outcome);
    assert!(text.len() < 70_000 && text.contains("(cut, of 52428800 bytes)"), "{} bytes", text.len());
    assert!(outcome.trace.render().len() < 100_000);
}
