//! A fault in the network: a client sends a payment again when its answer is late, and the server takes it twice.
//!
//! ```console
//! $ cargo run -p wavetank --example faults    # shows the failure
//! $ cargo test -p wavetank --example faults   # a test that expects it
//! ```
//!
//! Without faults every seed passes. A partition that ends in time, or a reset after the payment arrived, shows the
//! bug.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use wavetank::runtime::{ListenOptions, Listener, Runtime, SocketOptions};
use wavetank::{Faults, Host, Sim};

const PAY: u8 = 1;

async fn serve(host: Host, payments: Arc<AtomicU32>) -> std::io::Result<()> {
    let listener = host.listen(([0, 0, 0, 0], 80).into(), ListenOptions::new()).await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        let payments = payments.clone();
        let connection = async move {
            while let Ok(PAY) = stream.read_u8().await {
                payments.fetch_add(1, Ordering::SeqCst);
                if stream.write_u8(PAY).await.is_err() {
                    return;
                }
            }
        };
        drop(host.spawn("connection", connection));
    }
}

/// Pays once over a connection of its own.
async fn pay(host: &Host) -> std::io::Result<()> {
    let server = host.resolve("server", 80).await?[0];
    let mut stream = host.connect(server, SocketOptions::new()).await?;
    stream.write_u8(PAY).await?;
    stream.read_u8().await.map(|_| ())
}

fn impatient_payment(sim: &mut Sim) {
    let payments = Arc::new(AtomicU32::new(0));
    let taken = payments.clone();
    sim.faults(Faults::all().begin_max(Duration::from_secs(1)).until(Duration::from_secs(10)));
    sim.server("server", move |host| serve(host, payments.clone()));
    sim.client("client", async move |host| {
        // Tries again until a payment is confirmed.
        while !matches!(timeout(Duration::from_secs(2), pay(&host)).await, Ok(Ok(()))) {}
        assert_eq!(taken.load(Ordering::SeqCst), 1, "the payment was taken twice");
    });
}

/// In a test of your own leave `finds` out: then the failure is printed and the test fails.
#[wavetank::test(seeds = 200, finds = "the payment was taken twice")]
fn a_payment_is_taken_once(sim: &mut Sim) {
    impatient_payment(sim);
}

fn main() {
    wavetank::Sweep::new("faults", std::env::temp_dir()).run(impatient_payment);
}
