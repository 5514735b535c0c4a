//! The unreliable proxy: forwards bytes in both directions, and sometimes stops, becomes silent, or cuts a connection.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::Mutex;
use wavetank_runtime::{ListenOptions, Listener as _, Runtime as _, SocketOptions, Stream as _, Tokio};

/// The next fault of a connection.
#[derive(Clone, Copy)]
enum Mischief {
    /// Nothing is forwarded for a while, then everything is again. TCP slows the sender down.
    Stop(Duration),
    /// Nothing is forwarded any more, and the connection stays open long enough for a keepalive to detect it.
    Silence,
    /// Both sides see a reset.
    Reset,
    /// Both sides see the end of the stream, at any byte.
    End,
}

/// Longer than a client needs to detect silence if it pings each second and waits a second for the pong.
const SILENCE: Duration = Duration::from_secs(6);

/// Starts a proxy to `server` and returns the proxy's address.
pub(super) async fn start(server: SocketAddr, mut chance: StdRng) -> io::Result<SocketAddr> {
    let listener = Tokio.listen(([127, 0, 0, 1], 0).into(), ListenOptions::new()).await?;
    let address = listener.local_addr()?;
    drop(Tokio.spawn("proxy", async move {
        while let Ok((stream, _)) = listener.accept().await {
            // Refuses one connection in ten.
            if chance.random_ratio(1, 10) {
                stream.abort();
                continue;
            }
            let chance = StdRng::from_rng(&mut chance);
            drop(Tokio.spawn("proxied", async move {
                if let Ok(upstream) = Tokio.connect(server, SocketOptions::new()).await {
                    carry(stream, upstream, chance).await;
                }
            }));
        }
    }));
    Ok(address)
}

type TcpStream = <Tokio as wavetank_runtime::Runtime>::Stream;

/// Forwards bytes in both directions, with interruptions, until one side ends or a fault ends both.
async fn carry(mut client: TcpStream, mut server: TcpStream, mut chance: StdRng) {
    let aborts = {
        // While this lock is held, neither direction forwards.
        let gate = Mutex::new(());
        let (from_client, to_client) = tokio::io::split(&mut client);
        let (from_server, to_server) = tokio::io::split(&mut server);
        tokio::select! {
            _ = pass(from_client, to_server, &gate) => false,
            _ = pass(from_server, to_client, &gate) => false,
            aborts = disturb(&gate, &mut chance) => aborts,
        }
    };
    if aborts {
        client.abort();
        server.abort();
    }
}

/// Forwards bytes in one direction until an end or an error.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    gate: &Mutex<()>,
) -> io::Result<()> {
    // Small pieces, so that interruptions cut frames.
    let mut piece = vec![0; 16 << 10];
    loop {
        let count = from.read(&mut piece).await?;
        if count == 0 {
            return Ok(());
        }
        drop(gate.lock().await);
        to.write_all(&piece[..count]).await?;
    }
}

/// Stops forwarding now and then, until a fault ends the connection. Returns `true` if the fault is a reset.
async fn disturb(gate: &Mutex<()>, chance: &mut StdRng) -> bool {
    loop {
        Tokio.sleep(Duration::from_millis(chance.random_range(0..300))).await;
        let closed = gate.lock().await;
        match draw(chance) {
            Mischief::Stop(time) => Tokio.sleep(time).await,
            Mischief::Silence => {
                Tokio.sleep(SILENCE).await;
                return false;
            }
            Mischief::End => return false,
            Mischief::Reset => return true,
        }
        drop(closed);
    }
}

fn draw(chance: &mut StdRng) -> Mischief {
    match chance.random_range(0..20) {
        0 => Mischief::Silence,
        1..=2 => Mischief::Reset,
        3 => Mischief::End,
        _ => Mischief::Stop(Duration::from_millis(chance.random_range(0..500))),
    }
}
