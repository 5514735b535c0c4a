//! A handler of axum that looks, waits and then acts: two withdrawals overdraw an account.
//!
//! ```console
//! $ cargo run -p wavetank --features axum --example axum    # shows the failure
//! $ cargo test -p wavetank --features axum --example axum   # a test that expects it
//! ```

use std::sync::atomic::{AtomicI64, Ordering};
use std::{sync::Arc, time::Duration};

use axum::{Router, extract::State, http::StatusCode, routing::post};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wavetank::runtime::{ListenOptions, Runtime, SocketOptions};
use wavetank::{Host, Sim};

async fn withdraw(State((host, balance)): State<(Host, Arc<AtomicI64>)>) -> StatusCode {
    let covered = balance.load(Ordering::SeqCst) >= 100;
    host.sleep(Duration::from_millis(2)).await; // Asks another service.
    if covered {
        balance.fetch_sub(100, Ordering::SeqCst); // The bug: the balance may have changed meanwhile.
    }
    if covered { StatusCode::OK } else { StatusCode::CONFLICT }
}

async fn ask(host: Host) -> std::io::Result<()> {
    let server = host.resolve("server", 80).await?[0];
    let mut stream = host.connect(server, SocketOptions::new()).await?;
    stream.write_all(b"POST / HTTP/1.1\r\nhost: server\r\nconnection: close\r\n\r\n").await?;
    stream.read_to_string(&mut String::new()).await.map(|_| ())
}

fn two_withdrawals(sim: &mut Sim) {
    let balance = Arc::new(AtomicI64::new(100));
    let left = balance.clone();
    sim.latency(Duration::from_millis(1)..=Duration::from_millis(20));
    sim.server("server", async move |host| {
        let router = Router::new().route("/", post(withdraw)).with_state((host, balance.clone()));
        axum::serve(host.listen(([0, 0, 0, 0], 80).into(), ListenOptions::new()).await?, router).await
    });
    sim.client("clients", async move |host| {
        let other = host.spawn("other", ask(host));
        ask(host).await?;
        other.await??;
        assert!(left.load(Ordering::SeqCst) >= 0, "the account is overdrawn");
        wavetank::Ok(())
    });
}

/// In a test of your own leave `finds` out: then the failure is printed and the test fails.
#[wavetank::test(finds = "the account is overdrawn")]
fn an_account_is_never_overdrawn(sim: &mut Sim) {
    two_withdrawals(sim);
}

fn main() {
    wavetank::Sweep::new("axum", std::env::temp_dir()).run(two_withdrawals);
}
