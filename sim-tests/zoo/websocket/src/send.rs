//! Sending: a client sends whole messages, even if calls are cancelled.

use std::time::Duration;

use wavetank::runtime::Runtime;
use wavetank::{Sim, cancellable};

use crate::wire::excerpt;
use crate::{Client, Peer, settle, small_buffers};

static LONG: [u8; 64 << 10] = [b's'; 64 << 10];

/// A `send` of 64 KiB is stuck, because the server does not yet read, and may be cancelled. Then the client sends
/// another message. The long message must arrive whole or not at all.
pub fn a_cancelled_send_leaves_the_stream_whole<C: Client>(sim: &mut Sim) {
    sim.server("server", async |host| {
        let mut peer = Peer::accept(host, small_buffers()).await?;
        Runtime::sleep(&host, Duration::from_millis(50)).await;
        while let Some((frame, _)) = peer.read_data().await? {
            let payload = frame.payload;
            tracing::info!("reads a message {}", excerpt(&payload));
            assert!(payload == LONG || payload == b"second", "on the wire: a message that was not sent");
        }
        std::io::Result::Ok(())
    });
    sim.client("client", async |host| {
        let mut client = C::open(host, small_buffers()).await?;
        let first = cancellable("send", client.send(&LONG)).await;
        tracing::info!("send: {first:?}");
        let second = client.send(b"second").await;
        tracing::info!("send again: {second:?}");
        drop(client);
        settle(host).await;
        Ok::<(), String>(())
    });
}
