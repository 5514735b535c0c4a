//! A handler of hyper that releases its lock too early: the last seat is sold twice.
//!
//! ```console
//! $ cargo run -p wavetank --features hyper --example hyper    # shows the failure
//! $ cargo test -p wavetank --features hyper --example hyper   # a test that expects it
//! ```

use std::{io, sync::Arc};

use http_body_util::Empty;
use hyper::{Response, body::Bytes, http, server, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::Mutex;
use wavetank::runtime::{ListenOptions, Listener, Runtime, SocketOptions};
use wavetank::{Host, Sim};

async fn sell(seats: Arc<Mutex<u32>>) -> Result<Response<Empty<Bytes>>, http::Error> {
    let left = *seats.lock().await; // The bug: the lock is released before the sale.
    *seats.lock().await = left.saturating_sub(1);
    Response::builder().status(if left > 0 { 200 } else { 410 }).body(Empty::new())
}

async fn serve(host: Host) -> io::Result<()> {
    let seats = Arc::new(Mutex::new(1));
    let listener = host.listen(([0, 0, 0, 0], 80).into(), ListenOptions::new()).await?;
    loop {
        let (stream, seats) = (TokioIo::new(listener.accept().await?.0), seats.clone());
        let mut http = server::conn::http1::Builder::new();
        let http = http.timer(host).serve_connection(stream, service_fn(move |_| sell(seats.clone())));
        drop(host.spawn("connection", http));
    }
}

async fn buy(host: Host) -> io::Result<bool> {
    let server = host.resolve("server", 80).await?[0];
    let mut stream = host.connect(server, SocketOptions::new()).await?;
    stream.write_all(b"POST / HTTP/1.1\r\nhost: server\r\nconnection: close\r\n\r\n").await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer.starts_with("HTTP/1.1 200"))
}

fn last_seat(sim: &mut Sim) {
    sim.server("server", serve);
    sim.client("clients", async |host| {
        let one = host.spawn("one", buy(host));
        let two = buy(host).await?;
        assert!(!(one.await?? && two), "the seat was sold twice");
        wavetank::Ok(())
    });
}

/// In a test of your own leave `finds` out: then the failure is printed and the test fails.
#[wavetank::test(finds = "the seat was sold twice")]
fn a_seat_is_sold_once(sim: &mut Sim) {
    last_seat(sim);
}

fn main() {
    wavetank::Sweep::new("hyper", std::env::temp_dir()).run(last_seat);
}
