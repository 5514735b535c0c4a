//! A soak over real sockets: both clients connect again and again to every server, through a proxy that stops,
//! continues and cuts connections.
//!
//! Each message carries its number, so a lost, repeated, changed or reordered message is detected. Every call must
//! return within its limit. At the end no descriptor and no thread may be left.
//!
//! `proxy` is the proxy, `worker` runs one client, and `census` counts descriptors and threads.

mod census;
mod proxy;
mod worker;

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{Rng as _, SeedableRng as _};
use wavetank_runtime::{
    ListenOptions, Listener as _, Runtime as _, Std, ThreadHandle as _, Threads as _, Tokio,
};
use wavetank_websocket::server::Server;

use crate::Result;
use census::Census;
use worker::Report;

/// How long the last connections may take to end in the background.
const GRACE: Duration = Duration::from_secs(30);

/// Talks to `peers` (`NAME=HOST:PORT`) and to a server of its own, for `time`.
pub(crate) fn run(time: Duration, peers: &[&str]) -> Result {
    let mut entropy = [0; 8];
    Std.fill_random(&mut entropy);
    let seed = u64::from_le_bytes(entropy);
    println!("  seed of the proxy's faults and the messages' lengths: {seed:#x}");
    let mut chance = StdRng::seed_from_u64(seed);

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let own = runtime.block_on(serve())?;
    let mut routes = vec![("wavetank".to_owned(), own)];
    for peer in peers {
        let (name, address) = peer.split_once('=').ok_or("a peer must be NAME=HOST:PORT")?;
        routes.push((name.to_owned(), address.parse()?));
    }
    let mut proxied = Vec::new();
    for (name, address) in routes {
        proxied.push((name, runtime.block_on(proxy::start(address, StdRng::from_rng(&mut chance)))?));
    }

    let before = Census::take()?;
    let over = Arc::new(AtomicBool::new(false));
    let mut workers = Vec::new();
    for (name, address) in &proxied {
        for (client, work) in [("async", worker::tasks as worker::Work), ("blocking", worker::threads)] {
            let setting = worker::Setting {
                address: *address,
                runtime: runtime.handle().clone(),
                over: Arc::clone(&over),
                seed: chance.next_u64(),
            };
            workers.push((format!("{client} to {name}"), Std.spawn(client, move || work(&setting))?));
        }
    }
    let mut most = before;
    let end = Std.now() + time;
    while Std.now() < end {
        Std.sleep(Duration::from_secs(1).min(end - Std.now()));
        most = most.max(Census::take()?);
    }
    over.store(true, Ordering::Relaxed);

    let mut failures = Vec::new();
    for (name, worker) in workers {
        match worker.join() {
            Ok(report) => tell(&name, &report, &mut failures),
            Err(error) => failures.push(format!("{name}: {error}")),
        }
    }
    let after = census_at_rest(before)?;
    println!("  before: {before}; at most: {most}; after: {after}");
    if after.exceeds(before) {
        failures.push(format!("left behind: {before} before, {after} after"));
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n").into()) }
}

/// Prints the report of a worker and collects its failures.
fn tell(name: &str, report: &Report, failures: &mut Vec<String>) {
    println!("  {name}: {report}");
    if let Some(failure) = &report.failure {
        failures.push(format!("{name}: {failure}"));
    }
    if report.messages == 0 {
        failures.push(format!("{name}: no message came back"));
    }
}

/// Waits until no more than `before` is left, or until the time limit.
fn census_at_rest(before: Census) -> Result<Census> {
    let end = Std.now() + GRACE;
    loop {
        let now = Census::take()?;
        if !now.exceeds(before) || Std.now() >= end {
            return Ok(now);
        }
        Std.sleep(Duration::from_millis(100));
    }
}

/// Starts an echo server.
async fn serve() -> Result<SocketAddr> {
    let listener = Tokio.listen(([127, 0, 0, 1], 0).into(), ListenOptions::new()).await?;
    let address = listener.local_addr()?;
    drop(Tokio.spawn("server", async move {
        let server = Server::new(Tokio);
        while let Ok((stream, _)) = listener.accept().await {
            let server = server.clone();
            drop(Tokio.spawn("session", async move {
                let Ok(socket) = server.accept(stream).await else { return };
                while let Ok(message) = socket.recv().await {
                    if socket.send(&message).await.is_err() {
                        break;
                    }
                }
            }));
        }
    }));
    Ok(address)
}
