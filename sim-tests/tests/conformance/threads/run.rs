//! Clock, threads and entropy.

use std::sync::Arc;

use wavetank_runtime::{JoinError, Mutex, ThreadHandle, Threads};

use super::super::world::{SETTLE, STUCK};
use super::{World, join, settle, spawn};

pub(crate) fn a_sleep_is_never_too_short<T: Threads>(world: World<T>) {
    let began = world.client.now();
    world.client.sleep(SETTLE);
    assert!(world.client.now() - began >= SETTLE);
}

pub(crate) fn the_shorter_of_two_sleeps_ends_first<T: Threads>(world: World<T>) {
    let ended = Arc::new(Mutex::new(&world.client, "ended", Vec::new()));
    let sleepers = [("long", SETTLE + 2 * STUCK), ("short", SETTLE)].map(|(name, duration)| {
        let (ended, runtime) = (Arc::clone(&ended), world.client.clone());
        spawn(&world.client, name, move || {
            runtime.sleep(duration);
            ended.lock().push(name);
        })
    });
    sleepers.into_iter().for_each(join);
    assert_eq!(*ended.lock(), ["short", "long"]);
}

pub(crate) fn a_thread_yields_its_result<T: Threads>(world: World<T>) {
    let runtime = world.client.clone();
    let thread = spawn(&world.client, "sum", move || join(spawn(&runtime, "inner", || 40)) + 2);
    assert_eq!(join(thread), 42);
}

pub(crate) fn a_thread_is_finished_once_it_has_ended<T: Threads>(world: World<T>) {
    let gate = Arc::new(Mutex::new(&world.client, "gate", ()));
    let closed = gate.lock();
    let shared = Arc::clone(&gate);
    let thread = spawn(&world.client, "visitor", move || drop(shared.lock()));
    settle(&world);
    assert!(!thread.is_finished());
    drop(closed);
    while !thread.is_finished() {
        settle(&world);
    }
    join(thread);
}

pub(crate) fn joining_a_thread_reports_its_panic<T: Threads>(world: World<T>) {
    let thread = spawn(&world.client, "faulty", || {
        if true {
            panic!("out of {}", "cheese");
        }
    });
    assert_eq!(thread.join(), Err(JoinError::Panicked("out of cheese".to_owned())));
}

pub(crate) fn a_thread_whose_handle_is_dropped_runs_on<T: Threads>(world: World<T>) {
    let done = Arc::new(Mutex::new(&world.client, "done", false));
    let (shared, runtime) = (Arc::clone(&done), world.client.clone());
    drop(spawn(&world.client, "detached", move || {
        runtime.sleep(SETTLE);
        *shared.lock() = true;
    }));
    while !*done.lock() {
        settle(&world);
    }
}

pub(crate) fn entropy_is_never_the_same_twice<T: Threads>(world: World<T>) {
    let (mut first, mut second) = ([0; 32], [0; 32]);
    world.client.fill_random(&mut first);
    world.client.fill_random(&mut second);
    assert_ne!(first, second);
    assert_ne!(first, [0; 32]);
}
