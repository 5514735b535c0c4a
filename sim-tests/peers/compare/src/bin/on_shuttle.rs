//! shuttle, with its random scheduler and its default configuration.

use std::collections::VecDeque;

use compare::{ITEMS, LOCKS, PLACES, Scenario, THREADS, contend};
use shuttle::scheduler::RandomScheduler;
use shuttle::sync::{Arc, Condvar, Mutex};
use shuttle::{Config, Runner, thread};

fn main() {
    contend(|scenario, runs, seed| {
        let runner = Runner::new(RandomScheduler::new_from_seed(seed, runs as usize), Config::new());
        match scenario {
            Scenario::RoundTrips => panic!("shuttle has no network"),
            Scenario::Locks => runner.run(locks),
            Scenario::Buffer => runner.run(buffer),
        };
    });
}

fn locks() {
    let count = Arc::new(Mutex::new(0));
    let threads: Vec<_> = (0..THREADS)
        .map(|_| {
            let count = Arc::clone(&count);
            thread::spawn(move || (0..LOCKS).for_each(|_| *count.lock().unwrap() += 1))
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    assert_eq!(*count.lock().unwrap(), THREADS * LOCKS);
}

fn buffer() {
    let shared = Arc::new((Mutex::new(VecDeque::new()), Condvar::new(), Condvar::new()));
    let putting = Arc::clone(&shared);
    let producer = thread::spawn(move || {
        let (buffer, not_full, not_empty) = &*putting;
        for item in 0..ITEMS {
            let mut items = buffer.lock().unwrap();
            while items.len() == PLACES {
                items = not_full.wait(items).unwrap();
            }
            items.push_back(item);
            not_empty.notify_one();
        }
    });
    let consumer = thread::spawn(move || {
        let (buffer, not_full, not_empty) = &*shared;
        for expected in 0..ITEMS {
            let mut items = buffer.lock().unwrap();
            while items.is_empty() {
                items = not_empty.wait(items).unwrap();
            }
            assert_eq!(items.pop_front(), Some(expected));
            not_full.notify_one();
        }
    });
    producer.join().unwrap();
    consumer.join().unwrap();
}
