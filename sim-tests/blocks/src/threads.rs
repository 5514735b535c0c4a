//! The races in threads.

use std::hint::black_box;
use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use wavetank::runtime::{
    BlockingListener, BlockingStream, Condvar, ListenOptions, Mutex, SocketOptions, ThreadHandle, Threads,
};
use wavetank::{Host, Sim};

use crate::shared::{Counter, Gate, Notice, SpinLock};

/// Two threads add one each.
fn adding(sim: &mut Sim, add: fn(&Counter)) {
    sim.client_thread("client", move |host| {
        let counter = Arc::new(Counter::default());
        let adders = ["one", "other"].map(|name| {
            let counter = counter.clone();
            host.spawn(name, move || add(&counter)).expect("a thread")
        });
        adders.into_iter().for_each(|adder| adder.join().expect("no panic"));
        assert_eq!(counter.get(), 2, "an update is lost");
    });
}

pub(crate) fn two_sections_lose_an_update(sim: &mut Sim) {
    adding(sim, Counter::add);
}

pub(crate) fn one_section_loses_no_update(sim: &mut Sim) {
    adding(sim, Counter::add_at_once);
}

/// Two threads share a connection. The first says hello.
fn greeting(sim: &mut Sim, pass: fn(&Gate) -> bool) {
    sim.server_thread("server", |host| {
        let listener = host.listen(([0, 0, 0, 0], 80).into(), ListenOptions::new())?;
        let mut stream = listener.accept()?.0;
        let mut greetings = Vec::new();
        stream.read_to_end(&mut greetings)?;
        stream.write_all(&greetings)
    });
    sim.client_thread("client", move |host| {
        let server = host.resolve("server", 80)?[0];
        let stream = host.connect(server, SocketOptions::new(), None)?;
        let stream = Arc::new(Mutex::<Host, _>::new(&host, "stream", stream));
        let gate = Arc::new(Gate::default());
        let greeters = ["one", "other"].map(|name| {
            let (gate, stream) = (gate.clone(), stream.clone());
            let greets = move || {
                if pass(&gate) {
                    stream.lock().write_all(b"hello ").expect("the server reads");
                }
            };
            host.spawn(name, greets).expect("a thread")
        });
        greeters.into_iter().for_each(|greeter| greeter.join().expect("no panic"));
        let mut stream = stream.lock();
        stream.shutdown(Shutdown::Write)?;
        let mut echo = Vec::new();
        stream.read_to_end(&mut echo)?;
        assert_eq!(echo, b"hello ", "greeted twice");
        wavetank::Ok(())
    });
}

pub(crate) fn a_checked_flag_lets_two_greet(sim: &mut Sim) {
    greeting(sim, Gate::pass);
}

pub(crate) fn a_swapped_flag_lets_one_greet(sim: &mut Sim) {
    greeting(sim, Gate::pass_at_once);
}

/// A thread waits until another has set a notice. It is woken only if it has said that it waits.
fn waiting(sim: &mut Sim, must_wait: fn(&Notice) -> bool) {
    sim.client_thread("client", move |host| {
        let notice = Arc::new(Notice::default());
        let woken = Arc::new((Mutex::<Host, bool>::new(&host, "woken", false), Condvar::new(&host, "woken")));
        let (sets, wakes) = (notice.clone(), woken.clone());
        let setter = move || {
            if sets.set() {
                *wakes.0.lock() = true;
                wakes.1.notify_one();
            }
        };
        let setter = host.spawn("setter", setter).expect("a thread");
        if must_wait(&notice) {
            let mut is_woken = woken.0.lock();
            while !*is_woken {
                is_woken = woken.1.wait(is_woken);
            }
        }
        setter.join().expect("no panic");
    });
}

pub(crate) fn a_wait_announced_after_the_check_is_missed(sim: &mut Sim) {
    waiting(sim, Notice::must_wait);
}

pub(crate) fn a_wait_announced_before_the_check_is_seen(sim: &mut Sim) {
    waiting(sim, Notice::must_wait_after_saying_so);
}

/// Three threads take a spin lock.
fn spinning(sim: &mut Sim, with: fn(&SpinLock, fn())) {
    sim.client_thread("client", move |host| {
        let lock = Arc::new(SpinLock::default());
        let holders = ["one", "other", "third"].map(|name| {
            let lock = lock.clone();
            host.spawn(name, move || with(&lock, || ())).expect("a thread")
        });
        holders.into_iter().for_each(|holder| holder.join().expect("no panic"));
    });
}

pub(crate) fn a_checked_spin_lock_lets_two_in(sim: &mut Sim) {
    spinning(sim, |lock, f| lock.with(f));
}

pub(crate) fn a_swapped_spin_lock_lets_one_in(sim: &mut Sim) {
    spinning(sim, |lock, f| lock.with_exclusively(f));
}

pub(crate) fn a_spinning_thread_lets_time_pass(sim: &mut Sim) {
    sim.client_thread("client", |host| {
        let flag = Arc::new(AtomicBool::new(false));
        let (sets, own) = (flag.clone(), host);
        let setter = move || {
            own.sleep(Duration::from_millis(3));
            sets.store(true, Ordering::SeqCst);
        };
        let setter = host.spawn("setter", setter).expect("a thread");
        while !flag.load(Ordering::SeqCst) {
            std::hint::spin_loop();
        }
        setter.join().expect("no panic");
    });
}

pub(crate) fn loops_without_end(sim: &mut Sim) {
    sim.client_thread("client", |_| {
        let flag = AtomicBool::new(false);
        while !black_box(&flag).load(Ordering::SeqCst) {
            std::hint::spin_loop();
        }
    });
}

/// Two threads move a number between two accounts, each under a lock of std.
fn transferring(sim: &mut Sim, in_order: bool) {
    sim.client_thread("client", move |host| {
        let accounts = Arc::new([std::sync::Mutex::new(10), std::sync::Mutex::new(10)]);
        let movers = [("one", 0, 1), ("other", 1, 0)].map(|(name, from, to)| {
            let accounts = accounts.clone();
            let moves = move || {
                let (first, second) = if in_order { (0, 1) } else { (from, to) };
                let mut guards =
                    [accounts[first].lock(), accounts[second].lock()].map(|guard| guard.expect("sound"));
                *guards[0] -= 1;
                *guards[1] += 1;
            };
            host.spawn(name, moves).expect("a thread")
        });
        movers.into_iter().for_each(|mover| mover.join().expect("no panic"));
    });
}

pub(crate) fn locks_in_two_orders_block_each_other(sim: &mut Sim) {
    transferring(sim, false);
}

pub(crate) fn locks_in_one_order_are_waited_for(sim: &mut Sim) {
    transferring(sim, true);
}
