//! A message that takes many keepalive timeouts over a slow link: the connection stays, with both clients and every
//! server.
//!
//! The link is a proxy that forwards a number of bytes a second each way. One link has small socket buffers, as what
//! they hold passes the link after a ping has left. At the other, all sockets have the default options: the client
//! itself must not let its messages vanish into a send buffer of megabytes, with its pings behind them.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use wavetank_runtime::{
    Instant, ListenOptions, Listener as _, Runtime as _, SocketOptions, Std, ThreadHandle as _, Threads as _,
    Tokio,
};
use wavetank_websocket::handshake::ClientRequest;
use wavetank_websocket::{CloseCode, Config, Message};

use crate::Result;
use crate::clients::{Client, Tasks, Threads};

/// A link, and what passes it.
#[derive(Clone, Copy)]
struct Link {
    name: &'static str,
    /// Bytes a second in each direction.
    rate: u64,
    /// Bytes of a message, which takes several timeouts each way.
    length: usize,
    /// How long a client waits for a sign of life.
    timeout: Duration,
    /// Of the client's socket, and of both sides of the link.
    options: SocketOptions,
}

const LINKS: [Link; 2] = [
    Link {
        name: "small buffers",
        rate: 100_000,
        length: 1 << 20,
        timeout: Duration::from_secs(2),
        options: SocketOptions::new().send_buffer_bytes(16 << 10).receive_buffer_bytes(16 << 10),
    },
    Link {
        name: "default buffers",
        rate: 300_000,
        length: 2 << 20,
        timeout: Duration::from_secs(3),
        options: SocketOptions::new(),
    },
];

/// How often a client pings.
const INTERVAL: Duration = Duration::from_secs(1);

/// Has both clients send a message to each of `peers` (`NAME=HOST:PORT`) and receive it, all at once.
pub(crate) fn run(peers: &[&str]) -> Result {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let mut transfers = Vec::new();
    for peer in peers {
        let (name, address) = peer.split_once('=').ok_or("a peer must be NAME=HOST:PORT")?;
        let server = address.parse()?;
        for link in LINKS {
            let near_end = runtime.block_on(start(server, link))?;
            let tasks: Arc<dyn Client + Send + Sync> = Arc::new(Tasks { runtime: runtime.handle().clone() });
            for (kind, client) in [("async", tasks), ("blocking", Arc::new(Threads))] {
                let transfer = Std.spawn(kind, move || transfer(&*client, near_end, link))?;
                transfers.push((format!("{kind} to {name}, {}, {} bytes", link.name, link.length), transfer));
            }
        }
    }
    let mut failures = Vec::new();
    for (name, transfer) in transfers {
        match transfer.join() {
            Ok(Ok(took)) => println!("  {name} there and back in {took:.1?}"),
            Ok(Err(error)) => failures.push(format!("{name}: {error}")),
            Err(error) => failures.push(format!("{name}: {error}")),
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(failures.join("\n").into()) }
}

/// Sends a message over `link`, and takes it back. Returns how long that took.
fn transfer(client: &dyn Client, near_end: SocketAddr, link: Link) -> Result<Duration> {
    let mut config = Config::default();
    config.compression().enabled(false);
    config.keepalive().interval(Some(INTERVAL)).timeout(Some(link.timeout));
    let request = ClientRequest::new(&format!("ws://{near_end}/echo"))?;
    let socket = client.connect(request, config, link.options)?;
    let mut chance = StdRng::seed_from_u64(1);
    let message = Message::from((0..link.length).map(|_| chance.random()).collect::<Vec<u8>>());
    let start: Instant = Std.now();
    socket.send(&message)?;
    let received = socket.recv()?;
    let took = Std.now() - start;
    if received != message {
        return Err("the message came back changed".into());
    }
    let closed = socket.close(CloseCode::NORMAL, "");
    if closed.is_clean() { Ok(took) } else { Err(format!("the end is not clean: {closed}").into()) }
}

/// Starts a slow link to `server`, and returns the address of its near end.
async fn start(server: SocketAddr, link: Link) -> io::Result<SocketAddr> {
    let options = ListenOptions::new().accepted(link.options);
    let listener = Tokio.listen(([127, 0, 0, 1], 0).into(), options).await?;
    let address = listener.local_addr()?;
    drop(Tokio.spawn("link", async move {
        while let Ok((client, _)) = listener.accept().await {
            drop(Tokio.spawn("linked", async move {
                let Ok(server) = Tokio.connect(server, link.options).await else { return };
                let (from_client, to_client) = tokio::io::split(client);
                let (from_server, to_server) = tokio::io::split(server);
                let _ended = tokio::join!(
                    pass(from_client, to_server, link.rate),
                    pass(from_server, to_client, link.rate)
                );
            }));
        }
    }));
    Ok(address)
}

/// Forwards `rate` bytes a second in one direction, and then the end.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    rate: u64,
) -> io::Result<()> {
    let mut piece = vec![0; 2 << 10];
    loop {
        let count = from.read(&mut piece).await?;
        if count == 0 {
            return to.shutdown().await;
        }
        Tokio.sleep(Duration::from_nanos(count as u64 * 1_000_000_000 / rate)).await;
        to.write_all(&piece[..count]).await?;
    }
}
