//! A bounded queue between producers and a slow consumer. One of the producers gives up a send that takes too long.
//!
//! Receiving wakes the sender that has waited longest. If that `send` is dropped before it runs, the wake-up is lost
//! with it: the queue has room, the other senders are not woken, and the consumer waits for them.

use std::time::Duration;

use tokio::select;
use wavetank::runtime::Runtime;
use wavetank::{Host, Sim};

use thingbuf::mpsc::{Sender, channel};

const JOBS: u32 = 12;

/// Offers jobs, and waits for room as long as it takes.
async fn patient(queue: Sender<u32>) {
    for job in 0..JOBS {
        if queue.send(job).await.is_err() {
            break;
        }
    }
}

/// Offers jobs, and gives up those that find no room for a while.
async fn impatient(host: Host, queue: Sender<u32>) {
    for job in 0..JOBS {
        let patience = Duration::from_micros(100 * (1 + u64::from(job % 4)));
        select! {
            () = host.sleep(patience) => {}
            _ = queue.send(job) => {}
        }
        host.sleep(Duration::from_micros(50)).await;
    }
}

async fn consume(host: Host) -> Result<(), String> {
    let (sender, queue) = channel(1);
    let producers = [
        host.spawn("patient", patient(sender.clone())),
        host.spawn("patient", patient(sender.clone())),
        host.spawn("impatient", impatient(host, sender)),
    ];
    // Ends when all producers have dropped their senders.
    while queue.recv().await.is_some() {
        host.sleep(Duration::from_micros(100)).await;
    }
    for producer in producers {
        producer.await.map_err(|error| error.to_string())?;
    }
    Ok(())
}

/// The body of the test: builds the host.
pub fn a_producer_gives_up_sends_beside_patient_ones(sim: &mut Sim) {
    sim.client("client", consume);
}
