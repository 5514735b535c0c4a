//! A request on a pooled connection that the server closes at that moment, with hyper-util's client.
//!
//! ```console
//! $ cargo run -p wavetank --features hyper,tower --example pool    # shows the failure
//! $ cargo test -p wavetank --features hyper,tower --example pool   # a test that expects it
//! ```
//!
//! The server closes connections that are idle for a second. The bug: the client does not send its request again.

use std::{convert::Infallible, time::Duration};

use http_body_util::Empty;
use hyper::{Response, body::Bytes, server, service::service_fn};
use hyper_util::{client::legacy::Client, rt::TokioIo};
use wavetank::runtime::{ListenOptions, Listener, Runtime};
use wavetank::{Host, Sim};

const IDLE: Duration = Duration::from_secs(1);

async fn serve(host: Host) -> std::io::Result<()> {
    let listener = host.listen(([0, 0, 0, 0], 80).into(), ListenOptions::new()).await?;
    loop {
        let stream = TokioIo::new(listener.accept().await?.0);
        let service = service_fn(async |_| Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new())));
        let mut http = server::conn::http1::Builder::new();
        http.timer(host).header_read_timeout(IDLE);
        drop(host.spawn("connection", http.serve_connection(stream, service)));
    }
}

fn idle_connection(sim: &mut Sim) {
    sim.latency(Duration::from_millis(1)..=Duration::from_millis(20));
    sim.server("server", serve);
    sim.client("client", async |host| {
        let client = Client::builder(host).pool_timer(host).build::<_, Empty<Bytes>>(host);
        for _ in 0..10 {
            client.get("http://server/".parse()?).await?;
            host.sleep(IDLE - Duration::from_millis(20)).await;
        }
        wavetank::Ok(())
    });
}

/// In a test of your own leave `finds` out: then the failure is printed and the test fails.
#[wavetank::test(finds = "client error (SendRequest)")]
fn every_request_is_answered(sim: &mut Sim) {
    idle_connection(sim);
}

fn main() {
    wavetank::Sweep::new("pool", std::env::temp_dir()).run(idle_connection);
}
