//! Tasks that tokio runs by itself: they sleep, use the network and panic as tasks of the runtime traits do.

#![expect(clippy::disallowed_methods, reason = "what tokio runs by itself is what is tested")]

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wavetank_runtime::{ListenOptions, Listener, SocketOptions};

use super::*;

type Stream = <Host as Runtime>::Stream;

/// A server that has `answer` write `hi` to each connection, and a client that reads it.
fn asks(sim: &mut Sim, answer: fn(Host, Stream)) {
    sim.server("server", async move |host| {
        let listener = Runtime::listen(&host, ([0, 0, 0, 0], 80).into(), ListenOptions::new()).await.unwrap();
        loop {
            answer(host, listener.accept().await.unwrap().0);
        }
    });
    sim.client("client", async |host| {
        let server = Runtime::resolve(&host, "server", 80).await?[0];
        let mut stream = Runtime::connect(&host, server, SocketOptions::new()).await?;
        stream.write_all(b"?").await?;
        let mut answer = [0; 2];
        stream.read_exact(&mut answer).await?;
        assert_eq!(&answer, b"hi");
        std::io::Result::Ok(())
    });
}

async fn says_hi(mut stream: Stream) {
    // The client may be gone before the server reads on.
    let _ = stream.write_all(b"hi").await;
    let _ = stream.read_to_end(&mut Vec::new()).await;
}

const PAUSE: Duration = Duration::from_millis(5);

#[test]
fn writes_of_spawned_tasks_arrive() {
    let answers: [fn(Host, Stream); 4] = [
        |_, stream| drop(tokio::spawn(says_hi(stream))),
        |_, stream| {
            tokio::spawn(async {
                tokio::time::sleep(PAUSE).await;
                says_hi(stream).await;
            });
        },
        |host, stream| {
            tokio::spawn(async move {
                Runtime::sleep(&host, PAUSE).await;
                says_hi(stream).await;
            });
        },
        |host, stream| {
            drop(Runtime::spawn(&host, "answers", async {
                tokio::time::sleep(PAUSE).await;
                says_hi(stream).await;
            }));
        },
    ];
    for (index, answer) in answers.into_iter().enumerate() {
        for seed in 0..100 {
            let outcome = seeded(seed, move |sim| asks(sim, answer));
            assert_eq!(symptom(&outcome), "", "answer {index}, seed {seed}\n{}", outcome.trace.render());
            let again = strictly_again(seed, &outcome, move |sim| asks(sim, answer));
            assert_eq!(again.trace.first_difference(&outcome.trace), None);
        }
    }
}

#[test]
fn a_spawned_task_wakes_at_the_right_time() {
    for perturb in [false, true] {
        let outcome = seeded(1, move |sim| {
            sim.perturb(perturb);
            sim.client("client", async |host| {
                let begun = Runtime::now(&host);
                let seen = tokio::spawn(async move {
                    tokio::time::sleep(PAUSE).await;
                    let first = Runtime::now(&host) - begun;
                    Runtime::sleep(&host, PAUSE).await;
                    (first, Runtime::now(&host) - begun)
                });
                // Nothing else happens before: time passes from 0 to a second in one go.
                Runtime::sleep(&host, Duration::from_secs(1)).await;
                let (first, second) = seen.await.expect("no panic");
                assert!(first >= PAUSE && first < Duration::from_millis(10), "{first:?}");
                assert!(second >= 2 * PAUSE && second < Duration::from_millis(20), "{second:?}");
            });
        });
        assert_eq!(symptom(&outcome), "", "{}", outcome.trace.render());
    }
}

#[test]
fn a_spinning_spawned_task_lets_time_pass() {
    let outcome = seeded(1, |sim| {
        sim.client("client", async |host| {
            let spins = tokio::spawn(async {
                loop {
                    tokio::task::yield_now().await;
                }
            });
            Runtime::sleep(&host, Duration::from_millis(20)).await;
            tokio::time::sleep(Duration::from_millis(20)).await;
            spins.abort();
        });
    });
    assert_eq!(symptom(&outcome), "", "{}", outcome.trace.render());
}

#[test]
fn a_spawned_tasks_panic_fails_the_run() {
    let panics: [fn(Host); 4] = [
        |_| drop(tokio::spawn(async { panic!("the hull is open") })),
        |_| {
            tokio::spawn(async {
                tokio::time::sleep(PAUSE).await;
                panic!("the hull is open")
            });
        },
        |_| drop(tokio::spawn(async { drop(tokio::spawn(async { panic!("the hull is open") })) })),
        |host| drop(Runtime::spawn(&host, "spawned", async { panic!("the hull is open") })),
    ];
    for (index, panics) in panics.into_iter().enumerate() {
        let outcome = seeded(1, move |sim| {
            sim.client("client", async move |host| {
                panics(host);
                Runtime::sleep(&host, Duration::from_secs(3)).await;
            });
        });
        let whose =
            ["client/tokio-task", "client/tokio-task", "client/tokio-task#2", "client/spawned"][index];
        assert_eq!(symptom(&outcome), format!("panic in {whose}: the hull is open"), "{index}");
        assert!(outcome.failed_at.as_deref().is_some_and(|place| place.contains("foreign.rs")), "{index}");
    }
}

#[test]
fn a_caught_panic_does_not_fail_the_run() {
    let outcome = seeded(1, |sim| {
        sim.client("client", async |_| {
            let caught = tokio::spawn(async { catch_unwind(|| panic!("caught")).is_err() });
            assert!(caught.await.expect("no panic"));
        });
    });
    assert_eq!(symptom(&outcome), "");
}

#[test]
fn a_spawned_tasks_panic_may_be_tolerated() {
    let outcome = seeded(1, |sim| {
        sim.tolerate_panics(true).client("client", async |_| {
            let ended = tokio::spawn(async { panic!("expected") }).await;
            assert!(ended.is_err_and(|error| error.is_panic()));
        });
    });
    assert_eq!(symptom(&outcome), "");
}

#[test]
fn a_broken_invariant_names_the_spawned_task() {
    let outcome = seeded(1, |sim| {
        sim.client("client", async |host| {
            tokio::spawn(async { crate::always!(false, "the hull is whole") });
            Runtime::sleep(&host, Duration::from_secs(3)).await;
        });
    });
    assert_eq!(symptom(&outcome), "invariant broken in client/tokio-task: the hull is whole");
}

#[test]
fn a_panicking_destructor_names_the_spawned_task() {
    let outcome = seeded(1, |sim| {
        sim.client("client", async |_| {
            tokio::spawn(async {
                let _fragile = Fragile;
                std::future::pending::<()>().await;
            });
            tokio::task::yield_now().await;
        });
    });
    let text = symptom(&outcome);
    assert!(
        text.starts_with(
            "panic in a task of tokio's, when it was dropped at the end of the run: dropped before"
        ),
        "{text}"
    );
}

#[test]
fn a_sleep_of_std_takes_no_virtual_time() {
    let outcome = seeded(1, |sim| {
        sim.perturb(false);
        sim.client_thread("client", |host: Host| {
            let before = Threads::now(&host);
            std::thread::sleep(Duration::from_millis(1));
            assert_eq!(Threads::now(&host), before);
        });
    });
    assert_eq!(symptom(&outcome), "");
}

/// Panics when it is dropped.
struct Fragile;

impl Drop for Fragile {
    fn drop(&mut self) {
        panic!("dropped before it was finished");
    }
}

#[test]
fn a_local_sets_panic_fails_the_run() {
    let outcome = seeded(1, |sim| {
        sim.client("client", async |host| {
            let tasks = tokio::task::LocalSet::new();
            tasks.spawn_local(async { panic!("the hull is open") });
            tasks.run_until(Runtime::sleep(&host, Duration::from_secs(3))).await;
        });
    });
    assert_eq!(symptom(&outcome), "panic in client/main: the hull is open");
    assert!(outcome.failed_at.as_deref().is_some_and(|place| place.contains("foreign.rs")), "{outcome:?}");
}

#[test]
fn a_local_sets_panic_may_be_tolerated() {
    let outcome = seeded(1, |sim| {
        sim.tolerate_panics(true).client("client", async |_| {
            let tasks = tokio::task::LocalSet::new();
            let ended = tasks.run_until(tasks.spawn_local(async { panic!("expected") })).await;
            assert!(ended.is_err_and(|error| error.is_panic()));
        });
    });
    assert_eq!(symptom(&outcome), "");
}

#[test]
fn an_aborted_tasks_destructor_fails_the_run() {
    let outcome = seeded(1, |sim| {
        sim.client("client", async |host| {
            let task = tokio::spawn(async {
                let _fragile = Fragile;
                std::future::pending::<()>().await;
            });
            Runtime::sleep(&host, Duration::from_secs(1)).await;
            task.abort();
            Runtime::sleep(&host, Duration::from_secs(1)).await;
        });
    });
    let text = symptom(&outcome);
    assert!(text.starts_with("panic in ") && text.ends_with(": dropped before it was finished"), "{text}");
}

#[test]
fn a_destructor_that_catches_its_panic_fails_nothing() {
    struct Careful;
    impl Drop for Careful {
        fn drop(&mut self) {
            assert!(catch_unwind(|| panic!("caught")).is_err());
        }
    }
    let outcome = seeded(1, |sim| {
        sim.client("client", async |_| {
            tokio::spawn(async {
                let _careful = Careful;
                std::future::pending::<()>().await;
            });
            tokio::task::yield_now().await;
        });
    });
    assert_eq!(symptom(&outcome), "");
}
