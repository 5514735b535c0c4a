//! Programs that go wrong in ways which end or hang their process: `tests/process.rs` runs them as children.
//!
//! `misbehave HOW FOLDER-FOR-RECORDINGS`, where HOW is one of [`WAYS`].

use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use wavetank::runtime::{Mutex, ThreadHandle, Threads};
use wavetank::{Host, Sim, Sweep};

const WAYS: &str = "overflow, panic-in-unwind, panic-in-teardown, panic-in-teardown-of-a-seed, passes, never-ends, real-lock, catches-all, bug, changed-bug, slow-bug";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [how, folder] = arguments.as_slice() else { panic!("misbehave HOW FOLDER-FOR-RECORDINGS") };
    let how = how.as_str();
    let sweep = |name: &str| Sweep::new(format!("misbehave::{name}"), folder);
    match how {
        "overflow" => sweep(how).seeds(1).run(overflow),
        "panic-in-unwind" => sweep(how).seeds(1).run(panic_in_unwind),
        "panic-in-teardown" => sweep(how).seeds(1).run(panic_in_teardown),
        "panic-in-teardown-of-a-seed" => sweep(how).seeds(1).run(|sim| {
            if sim.choose("fragile", 1 << 20) > 0 {
                panic_in_teardown(sim);
            } else {
                passes(sim);
            }
        }),
        "passes" => sweep(how).seeds(5).run(passes),
        "never-ends" => sweep(how).seeds(u64::MAX / 2).run(says_once_that_it_sweeps),
        "real-lock" => sweep(how).seeds(1).watchdog(Duration::from_secs(1)).run(real_lock),
        "catches-all" => sweep(how).seeds(1).run(catches_all),
        "bug" => sweep("bug").run(|sim| bug(sim, &["first", "second"])),
        // Other code under the name of the same test, as after a change of the code.
        "changed-bug" => sweep("bug").run(|sim| bug(sim, &["first", "second", "third"])),
        "slow-bug" => sweep("slow-bug").run(slow_bug),
        _ => panic!("there is no `{how}`, only {WAYS}"),
    };
}

/// Speaks from inside of the sweep, in its hundredth run: whoever listens may interrupt it then.
fn says_once_that_it_sweeps(sim: &mut Sim) {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    if RUNS.fetch_add(1, Ordering::Relaxed) == 99 {
        println!("sweeping");
        std::io::stdout().flush().expect("somebody reads");
    }
    passes(sim);
}

fn passes(sim: &mut Sim) {
    sim.client_thread("client", |host: Host| host.sleep(Duration::from_secs(1)));
}

/// A thread recurses until its stack is full.
fn overflow(sim: &mut Sim) {
    fn recurse(depth: u64) -> u64 {
        let frame = std::hint::black_box([depth; 64]);
        if depth == u64::MAX { 0 } else { recurse(depth + 1) + frame[63] }
    }
    sim.client_thread("client", |host: Host| {
        let deep = Threads::spawn(&host, "deep", || recurse(0)).expect("a thread");
        deep.join().expect("never ends");
    });
}

/// A thread panics, and one of the destructors that then run does too.
fn panic_in_unwind(sim: &mut Sim) {
    struct Fragile;
    impl Drop for Fragile {
        fn drop(&mut self) {
            panic!("dropped before it was finished");
        }
    }
    sim.client_thread("client", |_: Host| {
        let _fragile = Fragile;
        panic!("the hull is open");
    });
}

/// A thread is torn down, and one of its destructors panics.
fn panic_in_teardown(sim: &mut Sim) {
    struct Fragile;
    impl Drop for Fragile {
        fn drop(&mut self) {
            panic!("dropped before it was finished");
        }
    }
    sim.server_thread("server", |host: Host| {
        let _fragile = Fragile;
        host.sleep(Duration::from_secs(3600));
    });
    sim.client_thread("client", |host: Host| host.sleep(Duration::from_millis(1)));
}

/// A thread waits for a lock that the scheduler knows nothing of.
fn real_lock(sim: &mut Sim) {
    sim.client_thread("client", |host: Host| {
        let (send, receive) = std::sync::mpsc::channel::<()>();
        let waits = Threads::spawn(&host, "waits", move || receive.recv());
        drop(waits);
        host.sleep(Duration::from_secs(1));
        drop(send);
    });
}

/// A thread that nothing ends: not even the unwind of its end.
fn catches_all(sim: &mut Sim) {
    sim.server_thread("server", |host: Host| {
        loop {
            let _ = catch_unwind(AssertUnwindSafe(|| host.sleep(Duration::from_secs(1))));
        }
    });
    sim.client_thread("client", |host: Host| host.sleep(Duration::from_millis(1)));
}

/// Two threads lose an update of each other; a third one fixes it, so to speak.
fn bug(sim: &mut Sim, names: &'static [&str]) {
    sim.client_thread("client", move |host: Host| {
        let number = std::sync::Arc::new(Mutex::new(&host, "number", 0));
        let adding = names.iter().map(|name| {
            let number = number.clone();
            let add = move || {
                let read = *number.lock();
                *number.lock() = read + 1;
            };
            Threads::spawn(&host, name, add).expect("a thread")
        });
        adding.collect::<Vec<_>>().into_iter().for_each(|thread| thread.join().expect("no panic"));
        assert!(names.len() > 2 || *number.lock() == 2, "an update was lost");
    });
}

/// A bug that takes long to shrink: each run takes a while of real time, and has many choices.
fn slow_bug(sim: &mut Sim) {
    static FAILED: AtomicU32 = AtomicU32::new(0);
    sim.client_thread("client", |host: Host| {
        let number = std::sync::Arc::new(Mutex::new(&host, "number", 0));
        let threads = [(); 4].map(|()| {
            let number = number.clone();
            let add = move || {
                for _ in 0..200 {
                    let read = *number.lock();
                    *number.lock() = read + 1;
                }
            };
            Threads::spawn(&host, "adds", add).expect("a thread")
        });
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        if *number.lock() == 800 {
            return;
        }
        // The run of the seed, its repetition, and then those of the shrinker.
        if FAILED.fetch_add(1, Ordering::Relaxed) == 5 {
            println!("shrinking");
            std::io::stdout().flush().expect("somebody reads");
        }
        for number in 0..30_000_000_u64 {
            std::hint::black_box(number);
        }
        panic!("an update was lost");
    });
}
