//! A race between two tasks: an echo server keeps the message of every connection in one shared place.
//!
//! ```console
//! $ cargo run -p wavetank --example tasks    # shows the failure
//! $ cargo test -p wavetank --example tasks   # a test that expects it
//! ```
//!
//! One connection may store its message while the other waits for the permit. Tokio's semaphore is ready here, so the
//! two connections interleave only because the simulator preempts tasks between operations that are ready.

use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Semaphore;
use wavetank::runtime::{ListenOptions, Listener, Runtime, SocketOptions};
use wavetank::{Host, Sim};

async fn serve(host: Host) -> std::io::Result<()> {
    let last = Arc::new(AtomicU8::new(0));
    let permits = Arc::new(Semaphore::new(8));
    let listener = host.listen(([0, 0, 0, 0], 80).into(), ListenOptions::new()).await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        let (last, permits) = (last.clone(), permits.clone());
        let connection = async move {
            while let Ok(message) = stream.read_u8().await {
                last.store(message, Ordering::SeqCst);
                let _permit = permits.acquire().await;
                if stream.write_u8(last.load(Ordering::SeqCst)).await.is_err() {
                    return;
                }
            }
        };
        drop(host.spawn("connection", connection));
    }
}

async fn ask(host: Host, messages: std::ops::Range<u8>) -> std::io::Result<()> {
    let server = host.resolve("server", 80).await?[0];
    let mut stream = host.connect(server, SocketOptions::new()).await?;
    for message in messages {
        stream.write_u8(message).await?;
        assert_eq!(stream.read_u8().await?, message, "the message of another connection");
    }
    Ok(())
}

fn race_between_connections(sim: &mut Sim) {
    sim.server("server", serve);
    sim.client("one", async |host| ask(host, 0..100).await);
    sim.client("two", async |host| ask(host, 100..200).await);
}

/// In a test of your own leave `finds` out: then the failure is printed and the test fails.
#[wavetank::test(finds = "the message of another connection")]
fn each_client_gets_its_own_message(sim: &mut Sim) {
    race_between_connections(sim);
}

fn main() {
    wavetank::Sweep::new("tasks", std::env::temp_dir()).run(race_between_connections);
}
