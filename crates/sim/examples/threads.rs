//! A deadlock between two threads: transfers lock their two accounts in the order in which they are given.
//!
//! ```console
//! $ cargo run -p wavetank --example threads    # shows the failure
//! $ cargo test -p wavetank --example threads   # a test that expects it
//! ```
//!
//! The report names both threads, the lock that each holds and the lock that each waits for.

use std::sync::Arc;

use wavetank::runtime::{Mutex, ThreadHandle, Threads};
use wavetank::{Host, Sim};

type Account = Mutex<Host, u64>;

fn transfer(from: &Account, to: &Account, amount: u64) {
    let mut from = from.lock();
    let mut to = to.lock();
    *from -= amount;
    *to += amount;
}

fn opposite_transfers(sim: &mut Sim) {
    sim.client_thread("bank", |host| {
        let alice = Arc::new(Account::new(&host, "alice", 100));
        let bob = Arc::new(Account::new(&host, "bob", 100));
        let (from, to) = (alice.clone(), bob.clone());
        let there = host.spawn("there", move || transfer(&from, &to, 10))?;
        let (from, to) = (bob.clone(), alice.clone());
        let back = host.spawn("back", move || transfer(&from, &to, 20))?;
        there.join()?;
        back.join()?;
        assert_eq!((*alice.lock(), *bob.lock()), (110, 90), "money is neither made nor lost");
        wavetank::Ok(())
    });
}

/// In a test of your own leave `finds` out: then the failure is printed and the test fails.
#[wavetank::test(finds = "deadlock")]
fn transfers_in_both_directions_end(sim: &mut Sim) {
    opposite_transfers(sim);
}

fn main() {
    wavetank::Sweep::new("threads", std::env::temp_dir()).run(opposite_transfers);
}
