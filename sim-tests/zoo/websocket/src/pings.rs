//! Many pings: a client must not keep a pong for each.

use std::time::Duration;

use wavetank::Sim;
use wavetank::runtime::Runtime;

use crate::wire::{Opcode, frame};
use crate::{Client, Peer, receive_all, settle, small_buffers};

const PINGS: u32 = 20_000;

/// The pongs that may be kept. A pong has 10 bytes; a client may buffer 64 KiB, and the sockets on the way hold more.
const PONGS_MAX: usize = 8_000;

/// The server sends 20,000 pings and a message before it reads. The client must receive the message and must not keep a
/// pong for every ping: answering the latest suffices (RFC 6455 section 5.5.3).
pub fn pings_of_a_deaf_peer_cost_little<C: Client>(sim: &mut Sim) {
    sim.stall_after(Duration::from_secs(120));
    sim.server("server", async |host| {
        let mut peer = Peer::accept(host, small_buffers()).await?;
        let mut bytes = Vec::new();
        for number in 0..PINGS {
            bytes.extend(frame(Opcode::Ping, &number.to_be_bytes()));
        }
        bytes.extend(frame(Opcode::Binary, b"tide"));
        tracing::info!("sends {PINGS} pings and a message");
        peer.write(&bytes).await?;
        tracing::info!("has sent them, and begins to read in a second");
        Runtime::sleep(&host, Duration::from_secs(1)).await;
        if let Some((_, pongs)) = peer.read_data().await? {
            tracing::info!("reads {pongs} pongs before the answer");
            assert!(pongs <= PONGS_MAX, "on the wire: a pong for every ping, kept while nobody read");
        }
        peer.read_to_end().await
    });
    sim.client("client", async |host| {
        let mut client = C::open(host, small_buffers()).await?;
        receive_all(&mut client, 1).await;
        let sent = client.send(b"answer").await;
        tracing::info!("send: {sent:?}");
        drop(client);
        settle(host).await;
        Ok::<(), String>(())
    });
}
