//! Programs that go wrong in ways which end or hang their process: `tests/process.rs` runs them as children.
//!
//! `misbehave overflow | panic-in-teardown | never-ends | real-lock FOLDER-FOR-RECORDINGS`

use std::io::Write;
use std::sync::Once;
use std::time::Duration;

use wavetank::runtime::{Mutex, ThreadHandle, Threads};
use wavetank::{Host, Sim, Sweep};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [how, folder] = arguments.as_slice() else { panic!("misbehave HOW FOLDER-FOR-RECORDINGS") };
    let how = how.as_str();
    let sweep = |name: &str| Sweep::new(format!("misbehave::{name}"), folder);
    match how {
        "overflow" => sweep(how).seeds(1).run(overflow),
        "panic-in-teardown" => sweep(how).seeds(1).run(panic_in_teardown),
        "never-ends" => sweep(how).seeds(u64::MAX / 2).run(says_once_that_it_sweeps),
        "real-lock" => sweep(how).seeds(1).watchdog(Duration::from_secs(1)).run(real_lock),
        _ => panic!("misbehave overflow | panic-in-teardown | never-ends | real-lock, not `{how}`"),
    };
}

/// Speaks from inside of the sweep: whoever listens may interrupt it then.
fn says_once_that_it_sweeps(sim: &mut Sim) {
    static SAID: Once = Once::new();
    SAID.call_once(|| {
        println!("sweeping");
        std::io::stdout().flush().expect("somebody reads");
    });
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

/// A thread is torn down, and one of its destructors panics.
fn panic_in_teardown(sim: &mut Sim) {
    struct Fragile;
    impl Drop for Fragile {
        fn drop(&mut self) {
            panic!("dropped before it was finished");
        }
    }
    sim.client_thread("client", |host: Host| {
        let lock = Mutex::new(&host, "lock", ());
        let _fragile = Fragile;
        let _held = lock.lock();
        let _again = lock.lock();
    });
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
