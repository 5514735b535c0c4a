//! Writers and readers of one lock. A reader that waits should be woken now and then, not hundreds of times.
//!
//! A reader that is woken wakes the next one, before it looks at the lock. If another writer has the lock by then, both
//! readers wait again, and wake each other again, until that writer is done.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use async_lock::RwLock;
use wavetank::runtime::Runtime;
use wavetank::{Host, Sim};

/// More than the simulator's spurious wake-ups can reach.
const POLLS_MAX: u32 = 200;

async fn write(host: Host, lock: Arc<RwLock<u32>>) {
    for _ in 0..2 {
        let mut guard = lock.write().await;
        *guard += 1;
        host.sleep(Duration::from_millis(1)).await;
        drop(guard);
    }
}

async fn read(host: Host, lock: Arc<RwLock<u32>>) {
    for _ in 0..2 {
        let mut polls = 0;
        let mut reading = pin!(lock.read());
        let guard = poll_fn(|context| {
            polls += 1;
            assert!(polls <= POLLS_MAX, "a reader is polled again and again, while a writer has the lock");
            reading.as_mut().poll(context)
        })
        .await;
        host.sleep(Duration::from_micros(100)).await;
        drop(guard);
    }
}

/// The body of the test: builds the host.
pub fn readers_wait_while_writers_follow_each_other(sim: &mut Sim) {
    sim.client("client", async |host| {
        let lock = Arc::new(RwLock::new(0));
        let tasks = [
            host.spawn("writer", write(host, Arc::clone(&lock))),
            host.spawn("writer", write(host, Arc::clone(&lock))),
            host.spawn("reader", read(host, Arc::clone(&lock))),
            host.spawn("reader", read(host, Arc::clone(&lock))),
        ];
        for task in tasks {
            task.await.map_err(|error| error.to_string())?;
        }
        Ok::<_, String>(())
    });
}
