//! A soak over real sockets: both clients, reconnecting, to every server, through a proxy that stops, continues and cuts.
//!
//! Each message carries its number, so that what comes back tells whether one was lost, doubled, changed or overtaken
//! within a connection. Every call has to end in its time. At the end no descriptor and no thread is left.
//!
//! `proxy` is the proxy, `worker` what one client does, `census` counts descriptors and threads.

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

/// How long connections that the last calls left behind may take to go, in the background.
const GRACE: Duration = Duration::from_secs(30);

/// Talks to `peers` (`NAME=HOST:PORT`), and to a server of ours, for `time`.
pub(crate) fn run(time: Duration, peers: &[&str]) -> Result {
    let mut entropy = [0; 8];
    Std.fill_random(&mut entropy);
    let seed = u64::from_le_bytes(entropy);
    println!("  the proxy's mischief and the messages' lengths are drawn from {seed:#x}");
    let mut chance = StdRng::seed_from_u64(seed);

    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let own = runtime.block_on(serve())?;
    let mut routes = vec![("wavetank".to_owned(), own)];
    for peer in peers {
        let (name, address) = peer.split_once('=').ok_or("a peer is NAME=HOST:PORT")?;
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

/// Prints what a worker did, and collects what was wrong.
fn tell(name: &str, report: &Report, failures: &mut Vec<String>) {
    println!("  {name}: {report}");
    if let Some(failure) = &report.failure {
        failures.push(format!("{name}: {failure}"));
    }
    if report.messages == 0 {
        failures.push(format!("{name}: not one message came back"));
    }
}

/// Waits until there is no more than `before`, or too long for it.
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

/// Starts a server of ours, which sends back what comes.
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
