//! Mistakes in tests: each one fails the test with a report that says what is wrong, where, and what to do.
//!
//! Invalid settings and crashes of the process are in `process`; recordings are in the simulator's own tests.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex as StdMutex};
use std::time::Duration;

use wavetank::runtime::{
    Datagrams, JoinError, ListenOptions, LocalSockets, Mutex, Runtime, SocketOptions, TaskHandle,
    ThreadHandle, Threads,
};
use wavetank::{Host, Sim, Sweep};

/// Returns a folder for the recordings of a test, in a workspace of its own.
fn folder(name: &str) -> PathBuf {
    let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("bad_input").join(name);
    let _ = fs::remove_dir_all(&folder);
    fs::create_dir_all(&folder).expect("the folder for temporary files is writable");
    fs::write(folder.join("Cargo.lock"), "").expect("writable");
    folder
}

/// Runs a test that must fail, and returns its report.
#[track_caller]
fn report(name: &str, body: impl Fn(&mut Sim) + Send + Sync + 'static) -> String {
    let sweep = Sweep::new(format!("bad_input::{name}"), folder(name)).seeds(20);
    let failure = catch_unwind(AssertUnwindSafe(|| sweep.run(body))).expect_err("the test fails");
    *failure.downcast::<String>().expect("a report")
}

/// Runs a test that must fail with this symptom and with these texts in its report.
#[track_caller]
fn fails(name: &str, symptom: &str, also: &[&str], body: impl Fn(&mut Sim) + Send + Sync + 'static) {
    let report = report(name, body);
    assert!(report.contains(&format!("  symptom     {symptom}\n")), "{report}");
    for also in also {
        assert!(report.contains(also), "`{also}` in\n{report}");
    }
    let command = report.lines().last().expect("has lines");
    assert!(command.starts_with("WAVETANK_") && command.contains("cargo test"), "{report}");
}

mod set_up {
    use super::*;

    /// Checks that a mistake in the set-up is named and leaves no recording.
    #[track_caller]
    fn refused(name: &str, problem: &str, body: impl Fn(&mut Sim) + Send + Sync + 'static) {
        let report = report(name, body);
        assert!(report.contains(&format!("  symptom     setup: {problem}\n")), "{report}");
        assert!(!report.contains("recording"), "{report}");
    }

    #[test]
    fn without_a_client_says_how_to_add_one() {
        let problem = "the test has no client, so nothing says when it has ended: add one with `Sim::client`";
        refused("no-client", problem, |sim| sim.server("server", async |_| {}));
        refused("no-host", problem, |_| {});
        let sweep = Sweep::new("bad_input::no-turmoil-client", folder("no-turmoil-client")).seeds(1);
        let failure =
            catch_unwind(AssertUnwindSafe(|| sweep.run_turmoil(|_| {}))).expect_err("the test fails");
        let report = failure.downcast::<String>().expect("a report");
        assert!(report.contains("when it has ended: add one with `TurmoilSim::client`\n"), "{report}");
    }

    #[test]
    fn refuses_a_taken_or_invalid_host_name() {
        refused("taken", "the host name `a` is taken: give each host its own name", |sim| {
            sim.client("a", async |_| {});
            sim.server("a", async |_| {});
        });
        refused("spaces", "invalid host name `a b`: use ASCII letters, digits, `-`, `_` and `.`", |sim| {
            sim.client("a b", async |_| {});
        });
        let address =
            "invalid host name `10.0.0.1`: it is an address, and hosts get their addresses automatically";
        refused("address", address, |sim| sim.client("10.0.0.1", async |_| {}));
    }

    #[test]
    fn refuses_invalid_links_and_numbers() {
        let second = Duration::from_secs(1);
        refused("link", "`Sim::link_latency` names the host `b`, which the test does not have", move |sim| {
            sim.link_latency("a", "b", second..=second).client("a", async |_| {});
        });
        let latency = "a latency range must begin with its shorter end: 2s is longer than 1s";
        refused("latency", latency, move |sim| {
            sim.latency(second * 2..=second);
        });
        refused("choose", "`Sim::choose(\"size\", 0)`: there is no number below 0", |sim| {
            sim.choose("size", 0);
        });
        let stack = |bytes: usize| {
            let problem = format!("`Sim::stack_bytes({bytes})`: a stack must have 16384 to 1073741824 bytes");
            refused("stack", &problem, move |sim| {
                sim.stack_bytes(bytes).client_thread("a", |_| {});
            });
        };
        stack(0);
        stack(usize::MAX);
    }

    #[test]
    fn that_panics_shows_the_panic_and_its_place() {
        let report = report("panics", |_| panic!("no configuration"));
        assert!(report.contains("  symptom     setup: no configuration\n"), "{report}");
        assert!(report.contains(concat!("  at          ", file!(), ":")), "{report}");
    }
}

mod network {
    use super::*;

    #[test]
    fn an_unknown_host_is_reported_with_known_ones() {
        let symptom =
            "error in client: no host of this simulation is called `sevrer`; its hosts: server, client";
        fails("unknown-host", symptom, &[], |sim| {
            sim.server("server", async |_| {});
            sim.client("client", async |host: Host| Runtime::resolve(&host, "sevrer", 80).await.map(drop));
        });
    }

    #[test]
    fn a_refused_address_is_in_report_and_trace() {
        let taken = "cannot listen on 0.0.0.0:80: Address already in use (os error 98)";
        let also = [&format!("\n              {taken}\n") as &str, &format!("client/main  | {taken}")];
        fails("port", "error in client: Address already in use (os error 98)", &also, |sim| {
            sim.client("client", async |host: Host| {
                let _first = Runtime::listen(&host, ([0, 0, 0, 0], 80).into(), ListenOptions::new()).await?;
                Runtime::listen(&host, ([0, 0, 0, 0], 80).into(), ListenOptions::new()).await.map(drop)
            });
        });
        let unroutable = "cannot connect to 10.1.2.3:80: Network is unreachable (os error 101)";
        let also =
            [&format!("\n              {unroutable}\n") as &str, &format!("client/main  | {unroutable}")];
        let symptom = "error in client: Network is unreachable (os error 101)";
        fails("unroutable", symptom, &also, |sim| {
            sim.client("client", async |host: Host| {
                Runtime::connect(&host, ([10, 1, 2, 3], 80).into(), SocketOptions::new()).await.map(drop)
            });
        });
        fails("unroutable-thread", symptom, &also, |sim| {
            sim.client_thread("client", |host: Host| {
                Threads::connect(&host, ([10, 1, 2, 3], 80).into(), SocketOptions::new(), None).map(drop)
            });
        });
    }

    #[test]
    fn a_fault_for_an_unknown_host_is_located() {
        let symptom =
            "panic in client/main: no host of this simulation is called `sevrer`; its hosts: server, client";
        fails("injector", symptom, &[concat!("  at          ", file!(), ":")], |sim| {
            sim.server("server", async |_| {});
            sim.client("client", async |host: Host| host.inject().partition("client", "sevrer"));
        });
    }

    #[test]
    fn real_sockets_and_names_of_std_are_refused() {
        let also = ["`Threads`, `Datagrams` or `LocalSockets`: what is real cannot be replayed."];
        let symptom = "uncontrolled: client/main opens a real socket";
        fails("std-tcp", symptom, &also, |sim| {
            sim.client("client", async |_| std::net::TcpStream::connect("127.0.0.1:1").map(drop));
        });
        fails("std-udp", symptom, &also, |sim| {
            sim.client_thread("client", |_| std::net::UdpSocket::bind("127.0.0.1:0").map(drop));
        });
        fails("std-unix", symptom, &also, |sim| {
            sim.client_thread("client", |_| std::os::unix::net::UnixStream::pair().map(drop));
        });
        let symptom = "uncontrolled: client/main looks up a name in the real network";
        fails("std-name", symptom, &["Use `Runtime::resolve` or `Threads::resolve`"], |sim| {
            use std::net::ToSocketAddrs;
            sim.client("client", async |_| "localhost:80".to_socket_addrs().map(drop));
        });
    }

    #[test]
    fn an_invariant_shows_the_shrunk_values() {
        let symptom = "invariant broken in client/main: 3 is below 3";
        fails("values", symptom, &["! broken: 3 is below 3"], |sim| {
            let count = sim.choose("count", 1 << 20);
            sim.client("client", async move |_| wavetank::always!(count < 3, "{count} is below {}", 3));
        });
    }

    #[test]
    fn a_real_socket_is_refused_with_an_explanation() {
        let also = ["Real sockets have no place in a simulation: connect and listen through `Runtime`"];
        let symptom = "panic in client/main: A Tokio 1.x context was found, but IO is disabled. Call `enable_io` \
                       on the runtime builder to enable IO.";
        fails("tokio-net", symptom, &also, |sim| {
            sim.client("client", async |_| tokio::net::TcpStream::connect("127.0.0.1:1").await.map(drop));
        });
    }
}

mod a_test_that_never_ends {
    use super::*;

    #[test]
    fn names_what_still_ran_at_the_step_limit() {
        let hint = "`Sim::steps_max` sets the limit";
        fails("steps", "step limit: 1000 steps and no end; able to run: client/main", &[hint], |sim| {
            sim.steps_max(1000).client("client", async |_| {
                loop {
                    tokio::task::yield_now().await;
                }
            });
        });
        fails("steps-thread", "step limit: 1000 steps and no end; client/main was running", &[hint], |sim| {
            sim.steps_max(1000).client_thread("client", |host: Host| {
                loop {
                    Threads::yield_now(&host);
                }
            });
        });
    }

    #[test]
    fn with_frozen_time_ends_in_its_warm_up() {
        let symptom = "step limit: 1000000 steps at one moment, and time does not pass while something can run; \
                       able to run: client/main";
        let also =
            ["bad_input::moment failed in its warm-up\n", "note: no seed has run yet: this was the warm-up"];
        fails("moment", symptom, &also, |sim| {
            sim.client("client", async |host: Host| {
                Runtime::sleep(&host, Duration::from_millis(5)).await;
                loop {
                    tokio::task::yield_now().await;
                }
            });
        });
    }

    #[test]
    fn names_what_still_waited_at_the_time_limit() {
        let also = ["  client/main waits for a timer, since ", "`Sim::time_limit` sets the limit"];
        fails("time", "time limit: 60s of virtual time and no end; still there:", &also, |sim| {
            sim.time_limit(Duration::from_secs(60)).client("client", async |host: Host| {
                loop {
                    Runtime::sleep(&host, Duration::from_secs(1)).await;
                }
            });
        });
    }
}

mod what_is_forgotten {
    use super::*;

    const ANYWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 80);

    #[test]
    fn is_a_leak_named_with_its_creator() {
        let leak = |what: &str| format!("leak: left after every main had ended: {what}");
        let listener = leak("the listener client:80, made by client/accepting");
        fails("listener", &listener, &[], |sim| {
            sim.client("client", async |host: Host| {
                let accepting = Runtime::spawn(&host, "accepting", async move {
                    let listener = Runtime::listen(&host, ANYWHERE, ListenOptions::new()).await;
                    std::mem::forget(listener.expect("the port is free"));
                });
                accepting.await.expect("no panic");
            });
        });
        fails("listener-thread", &listener, &[], |sim| {
            sim.client_thread("client", |host: Host| {
                let accepting = Threads::spawn(&host, "accepting", move || {
                    let listener = Threads::listen(&host, ANYWHERE, ListenOptions::new());
                    std::mem::forget(listener.expect("the port is free"));
                });
                accepting.expect("a thread").join().expect("no panic");
            });
        });
        let socket = leak("the UDP socket client:80, made by client/main");
        fails("datagrams", &socket, &[], |sim| {
            sim.client("client", async |host: Host| {
                std::mem::forget(Datagrams::bind_udp(&host, ANYWHERE, SocketOptions::new()).await);
            });
        });
        let socket = leak("the Unix socket client:/run/here, made by client/main");
        fails("unix", &socket, &[], |sim| {
            sim.client("client", async |host: Host| {
                let path = Path::new("/run/here");
                std::mem::forget(LocalSockets::listen_unix(&host, path, ListenOptions::new()).await);
            });
        });
    }

    #[test]
    fn is_no_leak_of_servers_or_once_closed() {
        let sweep = Sweep::new("bad_input::closed", folder("closed")).seeds(5);
        sweep.run(|sim| {
            sim.server("server", async |host: Host| {
                Runtime::listen(&host, ANYWHERE, ListenOptions::new()).await.map(std::mem::forget)
            });
            sim.client("client", async |host: Host| {
                Runtime::listen(&host, ANYWHERE, ListenOptions::new()).await.map(drop)
            });
        });
    }
}

mod a_panic {
    use super::*;

    #[test]
    fn in_a_joined_thread_fails_the_run() {
        fails("thread", "panic in client/worker: the worker broke", &["bad_input.rs:"], |sim| {
            sim.client_thread("client", |host: Host| {
                let worker =
                    Threads::spawn(&host, "worker", || panic!("the worker broke")).expect("a thread");
                assert_eq!(worker.join(), Err::<(), _>(JoinError::Panicked("the worker broke".into())));
            });
        });
    }

    #[test]
    fn in_a_destructor_is_attributed_to_its_task() {
        struct Fragile;
        impl Drop for Fragile {
            fn drop(&mut self) {
                panic!("dropped");
            }
        }
        fails("drop", "panic in client/worker: dropped", &["bad_input.rs:"], |sim| {
            sim.client("client", async |host: Host| {
                let fragile = Fragile;
                let worker = Runtime::spawn(&host, "worker", async move {
                    let _fragile = fragile;
                    std::future::pending::<()>().await;
                });
                Runtime::sleep(&host, Duration::from_millis(1)).await;
                worker.abort();
            });
        });
    }

    #[test]
    fn without_a_text_is_reported_as_such() {
        fails("any", "panic in client/main: a panic whose payload is not text", &["bad_input.rs:"], |sim| {
            sim.client_thread("client", |_| std::panic::panic_any(7_u32));
        });
    }
}

mod blocking {
    use super::*;

    #[test]
    fn in_an_async_task_points_at_the_call() {
        let symptom = "panic in client/main: a blocking call in client/main, which is not a thread: start one with \
                       `Threads::spawn`, or use `Runtime`";
        let place = [concat!(file!(), ":")];
        fails("sleep", symptom, &place, |sim| {
            sim.client("client", async |host: Host| Threads::sleep(&host, Duration::from_secs(1)));
        });
        fails("lock", symptom, &place, |sim| {
            sim.client("client", async |host: Host| {
                let lock = Arc::new(Mutex::new(&host, "state", ()));
                let shared = Arc::clone(&lock);
                let _other = Threads::spawn(&host, "other", move || {
                    let _held = shared.lock();
                    Threads::sleep(&host, Duration::from_secs(1));
                });
                Runtime::sleep(&host, Duration::from_millis(1)).await;
                drop(lock.lock());
            });
        });
    }

    #[test]
    fn through_tokio_in_a_thread_names_the_alternative() {
        let also = ["share one OS thread, which tokio must not block: let threads talk through `Mutex`"];
        let symptom = "panic in client/main: Cannot block the current thread from within a runtime. This happens \
                       because a function attempted to block the current thread while the thread is being used to \
                       drive asynchronous tasks.";
        fails("blocking-recv", symptom, &also, |sim| {
            sim.client_thread("client", |_| {
                tokio::sync::mpsc::channel::<()>(1).1.blocking_recv();
            });
        });
    }
}

mod real_os_threads {
    use super::*;

    #[test]
    fn of_spawn_blocking_are_named() {
        let symptom = "foreign wake: client/main starts a real OS thread by `spawn_blocking`: what runs outside of the \
                       simulation cannot be replayed";
        let also = &["on a thread of `Threads::spawn`"];
        fails("spawn-blocking", symptom, also, |sim| {
            sim.client("client", async |_| tokio::task::spawn_blocking(std::thread::yield_now).await);
        });
        fails("spawn-blocking-unawaited", symptom, also, |sim| {
            sim.client("client", async |host: Host| {
                drop(tokio::task::spawn_blocking(|| panic!("of no interest to its handle")));
                Runtime::sleep(&host, Duration::from_secs(1)).await;
            });
        });
        fails("spawn-blocking-awaited-late", symptom, also, |sim| {
            sim.client("client", async |_| {
                let five = tokio::task::spawn_blocking(|| 5);
                while !five.is_finished() {
                    std::hint::spin_loop();
                }
                assert_eq!(five.await.expect("no panic"), 5);
            });
        });
    }

    #[test]
    fn that_code_under_test_waits_for_are_named() {
        let symptom = "uncontrolled: client/main limits the real time for which it waits for a lock, condition, \
                       channel or `park_timeout` of std";
        let also = &["Wait by `Condvar` of the runtime traits", "the wait would end at once or never"];
        fails("condvar-timeout", symptom, also, |sim| {
            sim.client_thread("client", |_| {
                let (lock, condition) = (StdMutex::new(()), std::sync::Condvar::new());
                let guard = lock.lock().expect("no panic");
                let (_guard, waited) =
                    condition.wait_timeout(guard, Duration::from_secs(1)).expect("no panic");
                assert!(waited.timed_out());
            });
        });
        fails("channel-timeout", symptom, also, |sim| {
            sim.client("client", async |_| {
                let (_sender, receiver) = std::sync::mpsc::channel::<()>();
                let _ = receiver.recv_timeout(Duration::from_secs(1));
            });
        });
        fails("park-timeout", symptom, also, |sim| {
            sim.client("client", async |_| std::thread::park_timeout(Duration::from_secs(1)));
        });
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "what is real is what is tested")]
    fn that_code_under_test_starts_are_named() {
        let symptom = "uncontrolled: client/main starts a real OS thread (`std::thread`)";
        let also = ["Start threads with `Threads::spawn`", "`wavetank::unsimulated` allows it on purpose"];
        fails("std-thread", symptom, &also, |sim| {
            sim.client("client", async |host: Host| {
                drop(std::thread::spawn(|| ()));
                Runtime::sleep(&host, Duration::from_secs(1)).await;
            });
        });
        let symptom = "uncontrolled: client/tokio-task starts a real OS thread (`std::thread`)";
        fails("std-thread-of-tokio-task", symptom, &also, |sim| {
            sim.client("client", async |_| {
                tokio::spawn(async { drop(std::thread::spawn(|| ())) }).await.expect("no panic");
            });
        });
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "what is real is what is tested")]
    fn may_be_meant() {
        let sweep = Sweep::new("bad_input::meant", folder("meant")).seeds(3);
        sweep.run(|sim| {
            sim.client("client", async |_| {
                let three = wavetank::unsimulated(|| std::thread::spawn(|| 3).join().expect("no panic"));
                let bound = wavetank::unsimulated(|| std::net::UdpSocket::bind("127.0.0.1:0"));
                assert_eq!((three, bound.is_ok()), (3, true));
            });
        });
    }

    #[test]
    fn are_a_hint_in_deadlock_reports() {
        let also = [
            "If it waits for a real OS thread (`std::thread`, a runtime of its own): the simulator knows nothing",
        ];
        let symptom = "deadlock: nothing can happen: client/main waits for something inside the program (a channel, a \
                       task, a notification)";
        fails("channel", symptom, &also, |sim| {
            sim.client("client", async |_| {
                let (_sender, receiver) = tokio::sync::oneshot::channel::<()>();
                receiver.await.expect("sent");
            });
        });
    }

    #[test]
    fn that_use_a_simulated_host_are_named() {
        let said =
            "a simulated host, socket or lock was used on a real OS thread (`mine`): start threads with";
        fails("outside", "error in client: it panicked", &[said], |sim| {
            sim.client_thread("client", move |host: Host| {
                let outside = std::thread::Builder::new().name("mine".into()).spawn(move || {
                    let used = catch_unwind(|| Threads::now(&host));
                    *used.expect_err("no clock here").downcast::<String>().expect("a text")
                });
                let said = outside.expect("starts").join().expect("caught");
                tracing::info!("{said}");
                Err::<(), _>("it panicked")
            });
        });
    }
}

mod a_handle_of_another_run {
    use super::*;

    const SYMPTOM: &str = "panic in client/main: a handle of one simulated run was used in another: make it inside the \
                           run that uses it";

    #[test]
    fn is_refused_where_it_is_used() {
        static HOST: StdMutex<Option<Host>> = StdMutex::new(None);
        fails("host", SYMPTOM, &[], |sim| {
            sim.client("client", async |host: Host| {
                let kept = *HOST.lock().expect("not poisoned").get_or_insert(host);
                Runtime::sleep(&kept, Duration::from_secs(1)).await;
            });
        });
    }

    #[test]
    fn is_refused_for_locks_but_may_be_dropped() {
        static LOCK: StdMutex<Option<Arc<Mutex<Host, u32>>>> = StdMutex::new(None);
        fails("kept-lock", SYMPTOM, &[concat!(file!(), ":")], |sim| {
            sim.client_thread("client", |host: Host| {
                let make = || Arc::new(Mutex::new(&host, "kept", 1));
                let kept = LOCK.lock().expect("not poisoned").get_or_insert_with(make).clone();
                drop(kept.lock());
            });
        });
        *LOCK.lock().expect("not poisoned") = None;
    }
}
