//! Locks, condition variables.

use std::sync::Arc;

use wavetank_runtime::{Condvar, Mutex, Threads, WaitOutcome};

use super::super::world::{NEVER, SETTLE};
use super::{World, join, settle, spawn};

/// A value and the notification that it has changed.
struct Watched<T: Threads, V: Send> {
    value: Mutex<T, V>,
    changed: Condvar<T>,
}

fn watched<T: Threads, V: Send>(world: &World<T>, value: V) -> Arc<Watched<T, V>> {
    let (value, changed) =
        (Mutex::new(&world.client, "value", value), Condvar::new(&world.client, "changed"));
    Arc::new(Watched { value, changed })
}

pub(crate) fn one_thread_at_a_time_holds_a_lock<T: Threads>(world: World<T>) {
    let counter = Arc::new(Mutex::new(&world.client, "counter", 0));
    let threads = [(); 4].map(|()| {
        let (counter, runtime) = (Arc::clone(&counter), world.client.clone());
        spawn(&world.client, "adder", move || {
            for _ in 0..100 {
                let mut counter = counter.lock();
                let before = *counter;
                runtime.yield_now();
                *counter = before + 1;
            }
        })
    });
    threads.into_iter().for_each(join);
    let counter = Arc::into_inner(counter).expect("the threads have ended");
    assert_eq!(counter.into_inner(), 400);
}

pub(crate) fn a_lock_that_is_held_cannot_be_tried<T: Threads>(world: World<T>) {
    let lock = Arc::new(Mutex::new(&world.client, "lock", 7));
    let held = lock.lock();
    let other = Arc::clone(&lock);
    assert_eq!(join(spawn(&world.client, "other", move || other.try_lock().as_deref().copied())), None);
    drop(held);
    let other = Arc::clone(&lock);
    assert_eq!(join(spawn(&world.client, "other", move || other.try_lock().as_deref().copied())), Some(7));
}

pub(crate) fn a_waiter_wakes_when_it_is_notified<T: Threads>(world: World<T>) {
    let flag = watched(&world, false);
    let shared = Arc::clone(&flag);
    let waiter = spawn(&world.client, "waiter", move || {
        let mut set = shared.value.lock();
        while !*set {
            set = shared.changed.wait(set);
        }
        "woken"
    });
    settle(&world);
    *flag.value.lock() = true;
    flag.changed.notify_one();
    assert_eq!(join(waiter), "woken");
}

pub(crate) fn notify_one_wakes_each_waiter_in_turn<T: Threads>(world: World<T>) {
    let tickets = watched(&world, 0);
    let waiters = [(); 3].map(|()| {
        let shared = Arc::clone(&tickets);
        spawn(&world.client, "waiter", move || {
            let mut tickets = shared.value.lock();
            while *tickets == 0 {
                tickets = shared.changed.wait(tickets);
            }
            *tickets -= 1;
        })
    });
    settle(&world);
    for _ in 0..3 {
        *tickets.value.lock() += 1;
        tickets.changed.notify_one();
    }
    waiters.into_iter().for_each(join);
    assert_eq!(*tickets.value.lock(), 0);
}

pub(crate) fn notify_all_wakes_every_waiter<T: Threads>(world: World<T>) {
    let flag = watched(&world, false);
    let waiters = [(); 3].map(|()| {
        let shared = Arc::clone(&flag);
        spawn(&world.client, "waiter", move || {
            let mut set = shared.value.lock();
            while !*set {
                set = shared.changed.wait(set);
            }
        })
    });
    settle(&world);
    *flag.value.lock() = true;
    flag.changed.notify_all();
    waiters.into_iter().for_each(join);
}

pub(crate) fn waiting_releases_and_retakes_the_lock<T: Threads>(world: World<T>) {
    let steps = watched(&world, Vec::new());
    let shared = Arc::clone(&steps);
    let waiter = spawn(&world.client, "waiter", move || {
        let mut steps = shared.value.lock();
        steps.push("waits");
        shared.changed.notify_all();
        while !steps.contains(&"notifies") {
            steps = shared.changed.wait(steps);
        }
        steps.push("goes on");
    });
    let mut list = steps.value.lock();
    while list.is_empty() {
        list = steps.changed.wait(list);
    }
    list.push("notifies");
    steps.changed.notify_all();
    // The waiter is awake, and must wait for the lock.
    world.client.sleep(SETTLE);
    list.push("releases");
    drop(list);
    join(waiter);
    assert_eq!(*steps.value.lock(), ["waits", "notifies", "releases", "goes on"]);
}

pub(crate) fn a_wait_without_notification_times_out<T: Threads>(world: World<T>) {
    let flag = watched(&world, false);
    let began = world.client.now();
    let mut set = flag.value.lock();
    loop {
        let (guard, outcome) = flag.changed.wait_timeout(set, SETTLE);
        set = guard;
        if outcome == WaitOutcome::TimedOut {
            break;
        }
    }
    assert!(!*set);
    assert!(world.client.now() - began >= SETTLE);
}

pub(crate) fn notifying_ends_a_wait_with_timeout<T: Threads>(world: World<T>) {
    let flag = watched(&world, false);
    let shared = Arc::clone(&flag);
    let waiter = spawn(&world.client, "waiter", move || {
        let mut set = shared.value.lock();
        let mut last = WaitOutcome::Notified;
        while !*set && last == WaitOutcome::Notified {
            (set, last) = shared.changed.wait_timeout(set, NEVER);
        }
        last
    });
    settle(&world);
    *flag.value.lock() = true;
    flag.changed.notify_all();
    assert_eq!(join(waiter), WaitOutcome::Notified);
}
