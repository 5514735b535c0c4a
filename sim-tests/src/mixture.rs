//! A program that uses every source of nondeterminism that the simulator controls, in one run.
//!
//! It uses the branch order of `tokio::select!`, the order of a `HashMap`, tokio's channels and timers, a task that
//! bypasses the runtime traits, std's clocks, entropy, threads with a lock and a condition variable, and a network with
//! faults. It logs everything that could differ, so the trace contains it.

use std::io::{Read, Write};
use std::sync::Arc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::{Semaphore, mpsc};
use wavetank::{Faults, Host, Sim};
use wavetank_runtime::{BlockingListener, Condvar, ListenOptions, Mutex, Runtime, SocketOptions, Threads};

/// Builds the hosts: a server of threads, and a client of tasks.
pub fn build(sim: &mut Sim) {
    let workers = 2 + sim.choose("workers", 3);
    sim.faults(
        Faults::none().partitions().begin_max(Duration::from_millis(50)).last_max(Duration::from_secs(2)),
    );
    sim.server_thread("server", serve);
    sim.client("client", async move |host| {
        order_of_a_map(&host);
        races(&host, workers).await;
        exchange(&host).await
    });
}

/// Echoes each connection on its own thread, at most two at a time.
fn serve(host: Host) -> std::io::Result<()> {
    let listener = Threads::listen(&host, ([0, 0, 0, 0], 80).into(), ListenOptions::new())?;
    let free = Arc::new((Mutex::new(&host, "free", 2_u32), Condvar::new(&host, "freed")));
    loop {
        let (mut stream, peer) = listener.accept()?;
        let mut count = free.0.lock();
        while *count == 0 {
            count = free.1.wait(count);
        }
        *count -= 1;
        drop(count);
        let free = Arc::clone(&free);
        Threads::spawn(&host, "connection", move || {
            tracing::info!("serves {peer}");
            let mut buffer = [0; 256];
            while let Ok(length @ 1..) = stream.read(&mut buffer) {
                if stream.write_all(&buffer[..length]).is_err() {
                    break;
                }
            }
            *free.0.lock() += 1;
            free.1.notify_one();
        })?;
    }
}

#[expect(clippy::disallowed_types, reason = "the order of a hash map and std's clocks follow the seed")]
fn order_of_a_map(host: &Host) {
    let map: std::collections::HashMap<u32, ()> = (0..12).map(|key| (key, ())).collect();
    let order: Vec<u32> = map.into_keys().collect();
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let mut entropy = [0; 8];
    Runtime::fill_random(host, &mut entropy);
    tracing::info!(?order, ?since, ?entropy, "draws");
}

/// Starts tasks that race for a channel, a semaphore and timers of both clocks.
async fn races(host: &Host, workers: u32) {
    let (sender, mut receiver) = mpsc::channel(2);
    let slots = Arc::new(Semaphore::new(1));
    for worker in 0..workers {
        let (host, sender, slots) = (*host, sender.clone(), Arc::clone(&slots));
        Runtime::spawn(&host, "worker", async move {
            for turn in 0..3_u32 {
                let slot = slots.acquire().await;
                Runtime::sleep(&host, Duration::from_micros(u64::from(300 * (worker + 1)))).await;
                drop(slot);
                if sender.send((worker, turn)).await.is_err() {
                    return;
                }
            }
        });
    }
    bypass(sender);
    let mut ticks = tokio::time::interval(Duration::from_millis(1));
    loop {
        tokio::select! {
            message = receiver.recv() => match message {
                Some(message) => tracing::info!(?message, "received"),
                None => break,
            },
            now = ticks.tick() => tracing::info!(since = ?now.elapsed(), "ticks"),
            () = Runtime::sleep(host, Duration::from_micros(700)) => tracing::info!("waits"),
        }
    }
}

/// Starts a task that the simulator's scheduler does not know, as third-party code does.
#[expect(clippy::disallowed_methods, reason = "a task and a timer beside the runtime traits")]
fn bypass(sender: mpsc::Sender<(u32, u32)>) {
    tokio::spawn(async move {
        tokio::time::sleep(Duration::from_millis(2)).await;
        let _ = sender.send((99, 0)).await;
    });
}

/// Opens three connections at once. Each sends a request and reads the answer.
async fn exchange(host: &Host) -> Result<(), String> {
    let server = Runtime::resolve(host, "server", 80).await.map_err(|error| error.to_string())?[0];
    let asking: Vec<_> = (1..=3_u8)
        .map(|number| {
            let host = *host;
            Runtime::spawn(&host, "asks", async move {
                let mut stream = Runtime::connect(&host, server, SocketOptions::new()).await?;
                stream.write_all(&[number; 600]).await?;
                let mut answer = [0; 600];
                stream.read_exact(&mut answer).await?;
                tracing::info!(number, right = (answer == [number; 600]), "answered");
                std::io::Result::Ok(())
            })
        })
        .collect();
    for asks in asking {
        asks.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    }
    Ok(())
}
