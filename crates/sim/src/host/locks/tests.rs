//! Locks under races: no waiter is forgotten.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use wavetank_runtime::{
    BlockingListener, BlockingStream, Condvar, ListenOptions, Mutex, SocketOptions, ThreadHandle, Threads,
    WaitOutcome,
};

use crate::host::Host;
use crate::run::tests::{seeded, symptom};
use crate::sched::Strategy;
use crate::sim::Sim;

const MILLISECOND: Duration = Duration::from_millis(1);

/// A thread waits for a lock, and is woken by a socket on which it has given up, just when the lock is handed on to
/// another one.
fn woken_out_of_turn(sim: &mut Sim) {
    sim.strategy(Strategy::Random).perturb(false).latency(MILLISECOND..=MILLISECOND);
    sim.server_thread("server", |host: Host| -> std::io::Result<()> {
        let listener = Threads::listen(&host, ([0, 0, 0, 0], 80).into(), ListenOptions::new())?;
        let (mut stream, _) = listener.accept()?;
        // Accepted at 3 ms; what is written at 9 ms arrives at 10 ms.
        Threads::sleep(&host, MILLISECOND * 6);
        stream.write_all(b"x")
    });
    sim.client_thread("client", |host: Host| -> std::io::Result<()> {
        let server = Threads::resolve(&host, "server", 80)?[0];
        let mut stream = Threads::connect(&host, server, SocketOptions::new(), None)?;
        stream.set_read_timeout(Some(MILLISECOND))?;
        let lock = Arc::new(Mutex::new(&host, "lock", ()));
        let held = lock.lock();
        let reads = lock.clone();
        let mut threads = vec![Threads::spawn(&host, "reads", move || {
            let _ = stream.read(&mut [0; 1]);
            let held = reads.lock();
            Threads::sleep(&host, MILLISECOND);
            drop(held);
        })?];
        for name in ["second", "third"] {
            let lock = lock.clone();
            threads.push(Threads::spawn(&host, name, move || drop(lock.lock()))?);
        }
        // Connected at 2 ms.
        Threads::sleep(&host, MILLISECOND * 8);
        assert_eq!(Threads::now(&host).as_nanos(), 10_000_000);
        drop(held);
        threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
        Ok(())
    });
}

#[test]
fn overtaking_a_waiter_loses_no_wake_up() {
    for seed in 0..200 {
        assert_eq!(symptom(&seeded(seed, woken_out_of_turn)), "", "seed {seed}");
    }
}

#[test]
fn a_timed_out_waiter_consumes_no_notification() {
    for seed in 0..200 {
        let outcome = seeded(seed, |sim| {
            sim.strategy(Strategy::Random);
            sim.client_thread("host", |host: Host| {
                let shared = Arc::new((Mutex::new(&host, "state", ()), Condvar::new(&host, "changed")));
                let (first, second) = (shared.clone(), shared.clone());
                // Times out while the notifier holds the lock, so that it has to wait for it.
                let impatient = Threads::spawn(&host, "impatient", move || {
                    let (guard, outcome) = first.1.wait_timeout(first.0.lock(), MILLISECOND);
                    drop(guard);
                    outcome
                });
                let patient = Threads::spawn(&host, "patient", move || drop(second.1.wait(second.0.lock())));
                let (impatient, patient) = (impatient.unwrap(), patient.unwrap());
                Threads::sleep(&host, Duration::from_micros(500));
                let held = shared.0.lock();
                Threads::sleep(&host, MILLISECOND);
                shared.1.notify_one();
                drop(held);
                if impatient.join().unwrap() == WaitOutcome::Notified {
                    shared.1.notify_one();
                }
                patient.join().unwrap();
            });
        });
        assert_eq!(symptom(&outcome), "", "seed {seed}\n{}", outcome.trace.render());
    }
}

#[test]
fn a_deadlock_names_the_current_lock_holder() {
    let outcome = seeded(1, |sim| {
        sim.strategy(Strategy::Fifo).perturb(false);
        sim.client_thread("host", |host: Host| {
            let lock = Arc::new(Mutex::new(&host, "lock", ()));
            let held = lock.lock();
            let takes = |name| {
                let lock = lock.clone();
                Threads::spawn(&host, name, move || {
                    let _held = lock.lock();
                    Threads::sleep(&host, Duration::from_secs(1));
                    drop(lock.lock());
                })
                .unwrap()
            };
            let (first, second) = (takes("first"), takes("second"));
            Threads::sleep(&host, MILLISECOND);
            drop(held);
            first.join().unwrap();
            second.join().unwrap();
        });
    });
    let text = symptom(&outcome);
    assert!(text.contains("host/second waits for the lock `lock`, held by host/first"), "{text}");
    assert!(text.contains("host/first waits for the lock `lock`, held by host/first"), "{text}");
}
