//! A worker that shuts down as the documentation of `mpsc` says: close the queue, then receive until it is empty.
//!
//! The queue is small and its producers are faster than the worker, so they wait for room. Receiving a job gives its
//! room to a waiting producer. If the queue is closed before that producer runs, its `reserve_owned` fails and gives
//! the room back. tokio up to 1.52.4 then does not wake the receiver, which waits for that room.

use std::time::Duration;

use tokio::sync::mpsc;
use wavetank::runtime::Runtime;
use wavetank::{Host, Sim};

const PRODUCERS: u64 = 3;

/// Offers jobs until the queue is closed, and returns the sender.
async fn produce(host: Host, mut queue: mpsc::Sender<u64>) -> mpsc::Sender<u64> {
    for turn in 0.. {
        let Ok(permit) = queue.clone().reserve_owned().await else { break };
        queue = permit.send(turn);
        host.sleep(Duration::from_micros(200)).await;
    }
    queue
}

/// Works for a while, then closes the queue and does the jobs left in it.
async fn work(host: Host) -> Result<(), String> {
    let (sender, mut queue) = mpsc::channel(4);
    let producers: Vec<_> =
        (0..PRODUCERS).map(|_| host.spawn("producer", produce(host, sender.clone()))).collect();
    let until = host.now() + Duration::from_millis(5);
    while host.now() < until {
        if queue.recv().await.is_none() {
            return Err("the queue is closed while its senders live".to_owned());
        }
        // A job takes time.
        host.sleep(Duration::from_micros(150)).await;
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
pub fn a_worker_with_waiting_producers_closes_its_queue_and_drains_it(sim: &mut Sim) {
    sim.client("client", work);
}
