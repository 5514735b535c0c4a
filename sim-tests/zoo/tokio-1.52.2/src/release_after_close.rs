//! A worker that shuts down as the documentation of `mpsc` says: close the queue, then receive until it is empty.
//!
//! Producers reserve room for a job before they check whether there is one. If there is none, they give the room back
//! with `release`. After `close`, permits that are still out may be used, so `recv` must wait for them. If the last
//! permit is released instead of used, tokio up to 1.52.2 never wakes the receiver. A producer keeps the sender that
//! `release` returns, as long-lived producers do. Dropping the sender would wake the receiver.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::sync::mpsc::error::TrySendError;
use wavetank::runtime::Runtime;
use wavetank::{Host, Sim};

const PRODUCERS: u64 = 3;

/// Offers jobs until the queue is closed, and returns the sender.
async fn produce(host: Host, number: u64, mut queue: mpsc::Sender<u64>) -> mpsc::Sender<u64> {
    for turn in 0.. {
        queue = match queue.try_reserve_owned() {
            Ok(permit) => {
                // Looking for a job takes time.
                host.sleep(Duration::from_micros(20)).await;
                let has_job = (turn + number).is_multiple_of(3);
                if has_job { permit.send(turn) } else { permit.release() }
            }
            Err(TrySendError::Full(queue)) => queue,
            Err(TrySendError::Closed(queue)) => return queue,
        };
        host.sleep(Duration::from_micros(200)).await;
    }
    queue
}

/// Works for a while, then closes the queue and does the jobs left in it.
async fn work(host: Host) -> Result<(), String> {
    let (sender, mut queue) = mpsc::channel(4);
    let producers: Vec<_> =
        (0..PRODUCERS).map(|number| host.spawn("producer", produce(host, number, sender.clone()))).collect();
    let until = host.now() + Duration::from_millis(5);
    while host.now() < until {
        if queue.recv().await.is_none() {
            return Err("the queue is closed while its senders live".to_owned());
        }
    }
    queue.close();
    while queue.recv().await.is_some() {}
    for producer in producers {
        producer.await.map_err(|error| error.to_string())?;
    }
    drop(sender);
    Ok(())
}

/// The body of the test: builds the hosts.
pub fn a_worker_closes_its_queue_and_drains_it(sim: &mut Sim) {
    sim.client("client", work);
}
