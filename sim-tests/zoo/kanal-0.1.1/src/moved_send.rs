//! A producer does not wait for a full queue: a send that takes too long goes on in a task of its own.
//!
//! The pending `send` is then polled by another task, with another waker. The queue keeps the first one. When a
//! consumer takes the value, it wakes the producer, and the task that waits for the `send` waits for ever.

use std::time::Duration;

use kanal::{AsyncSender, bounded_async};
use tokio::select;
use wavetank::runtime::Runtime;
use wavetank::{Host, Sim};

const JOBS: u32 = 6;

/// Offers jobs. Returns the tasks that still wait for room.
async fn produce(host: Host, queue: AsyncSender<u32>) -> Result<(), String> {
    let mut late = Vec::new();
    for job in 0..JOBS {
        let queue = queue.clone();
        let mut send = Box::pin(async move { queue.send(job).await });
        select! {
            sent = &mut send => sent.map_err(|error| error.to_string())?,
            () = host.sleep(Duration::from_micros(100)) => late.push(host.spawn("late send", send)),
        }
    }
    drop(queue);
    for send in late {
        send.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    }
    Ok(())
}

async fn consume(host: Host) -> Result<(), String> {
    let (sender, queue) = bounded_async(1);
    let producer = host.spawn("producer", produce(host, sender));
    // Ends when all senders are gone.
    while queue.recv().await.is_ok() {
        host.sleep(Duration::from_micros(150)).await;
    }
    producer.await.map_err(|error| error.to_string())?
}

/// The body of the test: builds the host.
pub fn a_send_that_takes_long_moves_into_a_task(sim: &mut Sim) {
    sim.client("client", consume);
}
