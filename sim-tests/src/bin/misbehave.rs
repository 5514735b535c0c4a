//! Programs that abort or hang their process. `tests/process.rs` runs them as child processes.
//!
//! `misbehave HOW FOLDER-FOR-RECORDINGS`, where HOW is one of [`WAYS`].

use std::cell::Cell;
use std::io::Write;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use wavetank::runtime::{Mutex, ThreadHandle, Threads};
use wavetank::{Host, Sim, Sweep};

const WAYS: &str = "overflow, overflow-in-a-task, overflow-in-the-body, exits, exits-in-a-thread, \
                    exits-in-an-os-thread, exits-in-a-thread-local, panic-in-a-thread-local, aborts, faults, \
                    panic-in-unwind, panic-in-unwind-of-a-task, panic-in-teardown, \
                    panic-in-teardown-of-a-seed, loops-in-teardown, passes, never-ends, real-lock, catches-all, \
                    bug, changed-bug, slow-bug";

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [how, folder] = arguments.as_slice() else { panic!("misbehave HOW FOLDER-FOR-RECORDINGS") };
    let how = how.as_str();
    let sweep = |name: &str| Sweep::new(format!("misbehave::{name}"), folder);
    match how {
        "overflow" => sweep(how).seeds(1).run(overflow),
        "overflow-in-a-task" => {
            sweep(how).seeds(1).run(|sim| sim.client("client", async |_| assert!(recurse(0) > 0)))
        }
        "overflow-in-the-body" => sweep(how).seeds(1).run(|_| assert!(recurse(0) > 0)),
        "exits" => sweep(how).seeds(5).run(exits),
        "exits-in-a-thread" => sweep(how).seeds(1).run(|sim| {
            sim.client_thread("client", |_| std::process::exit(0));
        }),
        "exits-in-an-os-thread" => sweep(how).seeds(1).run(|sim| {
            let exits = || std::thread::Builder::new().spawn(|| std::process::exit(0));
            sim.client("client", async move |_| drop(exits().expect("starts").join()));
        }),
        "exits-in-a-thread-local" => sweep(how).seeds(1).run(|sim| {
            sim.client_thread("client", |_| LAST.with(|last| last.0.set(Some(|| std::process::exit(0)))));
        }),
        "panic-in-a-thread-local" => sweep(how).seeds(1).run(|sim| {
            sim.client("client", async |_| LAST.with(|last| last.0.set(Some(|| panic!("dropped too late")))));
        }),
        "aborts" => sweep(how).seeds(1).run(|sim| sim.client("client", async |_| std::process::abort())),
        "faults" => sweep(how).seeds(1).run(|sim| sim.client("client", async |_| fault())),
        "panic-in-unwind" => sweep(how).seeds(1).run(panic_in_unwind),
        "panic-in-unwind-of-a-task" => sweep(how).seeds(1).run(panic_in_unwind_of_a_task),
        "panic-in-teardown" => sweep(how).seeds(1).run(panic_in_teardown),
        "panic-in-teardown-of-a-seed" => sweep(how).seeds(1).run(|sim| {
            if sim.choose("fragile", 1 << 20) > 0 {
                panic_in_teardown(sim);
            } else {
                passes(sim);
            }
        }),
        "loops-in-teardown" => sweep(how).seeds(1).watchdog(Duration::from_secs(1)).run(loops_in_teardown),
        "passes" => sweep(how).seeds(5).run(passes),
        "never-ends" => sweep(how).seeds(u64::MAX / 2).run(says_once_that_it_sweeps),
        "real-lock" => sweep(how).seeds(1).watchdog(Duration::from_secs(1)).run(real_lock),
        "catches-all" => sweep(how).seeds(1).run(catches_all),
        "bug" => sweep("bug").run(|sim| bug(sim, &["first", "second"])),
        // Different code under the name of the same test, as after an edit.
        "changed-bug" => sweep("bug").run(|sim| bug(sim, &["first", "second", "third"])),
        "slow-bug" => sweep("slow-bug").run(slow_bug),
        _ => panic!("unknown argument `{how}`: use one of {WAYS}"),
    };
}

/// Prints a line in the hundredth run of the sweep, so that the test knows when to interrupt it.
fn says_once_that_it_sweeps(sim: &mut Sim) {
    static RUNS: AtomicU32 = AtomicU32::new(0);
    if RUNS.fetch_add(1, Ordering::Relaxed) == 99 {
        println!("sweeping");
        std::io::stdout().flush().expect("the parent reads");
    }
    passes(sim);
}

fn passes(sim: &mut Sim) {
    sim.client_thread("client", |host: Host| host.sleep(Duration::from_secs(1)));
}

fn recurse(depth: u64) -> u64 {
    let frame = std::hint::black_box([depth; 64]);
    if depth == u64::MAX { 0 } else { recurse(depth + 1) + frame[63] }
}

/// Ends the process with status 0, in a seed other than the first.
fn exits(sim: &mut Sim) {
    let seed = sim.choose("seed", 1 << 20);
    sim.client("client", async move |_| {
        if seed > 0 {
            std::process::exit(0);
        }
    });
}

/// Does something when its thread ends.
struct Last(Cell<Option<fn()>>);

impl Drop for Last {
    fn drop(&mut self) {
        if let Some(what) = self.0.take() {
            what();
        }
    }
}

thread_local! {
    static LAST: Last = const { Last(Cell::new(None)) };
}

/// Reads from an address that has no memory.
#[expect(unsafe_code, reason = "safe code has no such fault")]
fn fault() {
    // SAFETY: none: the fault is the test. Volatile, so that the read happens.
    unsafe {
        std::ptr::read_volatile(std::hint::black_box(16) as *const u8);
    }
}

/// A thread recurses until its stack is full.
fn overflow(sim: &mut Sim) {
    sim.client_thread("client", |host: Host| {
        let deep = Threads::spawn(&host, "deep", || recurse(0)).expect("a thread");
        deep.join().expect("never ends");
    });
}

/// Panics when it is dropped.
struct Fragile;

impl Drop for Fragile {
    fn drop(&mut self) {
        panic!("dropped before it was finished");
    }
}

/// A thread panics, and while it unwinds a destructor does, too.
fn panic_in_unwind(sim: &mut Sim) {
    sim.client_thread("client", |_: Host| {
        let _fragile = Fragile;
        panic!("the hull is open");
    });
}

/// The same in a task, whose poll has no stack of its own.
fn panic_in_unwind_of_a_task(sim: &mut Sim) {
    sim.interrupt_polls(false).client("client", async |_| {
        let _fragile = Fragile;
        panic!("the hull is open");
    });
}

/// A thread is torn down, and one of its destructors panics.
fn panic_in_teardown(sim: &mut Sim) {
    sim.server_thread("server", |host: Host| {
        let _fragile = Fragile;
        host.sleep(Duration::from_secs(3600));
    });
    sim.client_thread("client", |host: Host| host.sleep(Duration::from_millis(1)));
}

/// A server is torn down, and one of its destructors never ends.
fn loops_in_teardown(sim: &mut Sim) {
    struct Loops;
    impl Drop for Loops {
        fn drop(&mut self) {
            while std::hint::black_box(true) {}
        }
    }
    sim.server("server", async |_| {
        let _loops = Loops;
        std::future::pending::<()>().await;
    });
    sim.client_thread("client", |host: Host| host.sleep(Duration::from_millis(1)));
}

/// A thread waits for a lock that the scheduler does not know.
fn real_lock(sim: &mut Sim) {
    sim.client_thread("client", |host: Host| {
        let (send, receive) = std::sync::mpsc::channel::<()>();
        let waits = Threads::spawn(&host, "waits", move || receive.recv());
        drop(waits);
        host.sleep(Duration::from_secs(1));
        drop(send);
    });
}

/// A thread that never ends: it catches even the panic by which the simulator ends it.
fn catches_all(sim: &mut Sim) {
    sim.server_thread("server", |host: Host| {
        loop {
            let _ = catch_unwind(AssertUnwindSafe(|| host.sleep(Duration::from_secs(1))));
        }
    });
    sim.client_thread("client", |host: Host| host.sleep(Duration::from_millis(1)));
}

/// With two threads an update may be lost. With three threads the assertion is off, as if the bug were fixed.
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

/// A bug that takes long to shrink: each run is slow and has many choices.
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
        // First the run of the seed and its repetition, then the runs of the shrinker.
        if FAILED.fetch_add(1, Ordering::Relaxed) == 5 {
            println!("shrinking");
            std::io::stdout().flush().expect("the parent reads");
        }
        for number in 0..30_000_000_u64 {
            std::hint::black_box(number);
        }
        panic!("an update was lost");
    });
}
