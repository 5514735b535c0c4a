//! The flaky proxy: carries bytes both ways, and now and then stops, falls silent for good, or cuts.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::sync::Mutex;
use wavetank_runtime::{ListenOptions, Listener as _, Runtime as _, SocketOptions, Stream as _, Tokio};

/// What befalls a connection next.
#[derive(Clone, Copy)]
enum Mischief {
    /// Nothing is carried for a while, then everything is again: TCP slows the sender down.
    Stop(Duration),
    /// Nothing is ever carried again, and neither side is told, until its keepalive has had time to notice.
    Silence,
    /// Both sides see a reset.
    Reset,
    /// Both sides see the end of the stream, wherever it was.
    End,
}

/// Longer than a client that pings each second, and waits a second for the pong, needs to notice and to give up.
const SILENCE: Duration = Duration::from_secs(6);

/// Starts a proxy that leads to `server`, and returns its address.
pub(super) async fn start(server: SocketAddr, mut chance: StdRng) -> io::Result<SocketAddr> {
    let listener = Tokio.listen(([127, 0, 0, 1], 0).into(), ListenOptions::new()).await?;
    let address = listener.local_addr()?;
    drop(Tokio.spawn("proxy", async move {
        while let Ok((stream, _)) = listener.accept().await {
            // One in ten is not let through at all.
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

/// Carries bytes both ways, with interruptions, until one side ends or a mischief ends both.
async fn carry(mut client: TcpStream, mut server: TcpStream, mut chance: StdRng) {
    let aborts = {
        // Whoever holds it keeps both directions from carrying.
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

/// Carries bytes one way, until an end or an error.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    gate: &Mutex<()>,
) -> io::Result<()> {
    // Small pieces, so that interruptions find frames half carried.
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

/// Stops the carrying now and then, until a mischief ends it: returns whether by a reset.
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
