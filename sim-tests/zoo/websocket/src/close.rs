//! How a client closes: with one Close frame, nothing behind it, and in the end.

use std::time::Duration;

use wavetank::Sim;
use wavetank::runtime::SocketOptions;

use crate::wire::{Opcode, close_frame};
use crate::{Client, Peer, receive_all, settle, small_buffers, within};

/// No client waits longer, unless for ever: all have their timeouts, if they have any, well below.
const FOR_EVER: Duration = Duration::from_secs(120);

/// A caller loses its patience with `close` and calls it again; the server reads and never answers.
pub fn closing_twice_sends_one_close_frame_and_ends<C: Client>(sim: &mut Sim) {
    sim.stall_after(FOR_EVER);
    sim.server("server", async |host| Peer::accept(host, SocketOptions::new()).await?.read_to_end().await);
    sim.client("client", async |host| {
        let mut client = C::open(host, SocketOptions::new()).await?;
        let first = within(host, Duration::from_secs(5), client.close()).await;
        tracing::info!("close: {first:?}");
        let second = client.close().await;
        tracing::info!("close again: {second:?}");
        drop(client);
        settle(host).await;
        Ok::<(), String>(())
    });
}

/// The client has received the server's Close, and sends: that must be an error, or at least nothing on the wire.
pub fn no_message_is_sent_after_the_peers_close<C: Client>(sim: &mut Sim) {
    sim.server("server", async |host| {
        let mut peer = Peer::accept(host, SocketOptions::new()).await?;
        peer.write(&close_frame()).await?;
        while let Some(frame) = peer.read().await? {
            assert_eq!(frame.opcode, Opcode::Close, "on the wire: a message after the peer's Close");
        }
        std::io::Result::Ok(())
    });
    sim.client("client", async |host| {
        let mut client = C::open(host, SocketOptions::new()).await?;
        receive_all(&mut client, 1).await;
        let sent = client.send(b"late").await;
        tracing::info!("send: {sent:?}");
        drop(client);
        settle(host).await;
        Ok::<(), String>(())
    });
}

/// The server reads nothing; a message is stuck half way, its caller has given up, and now closes.
pub fn closing_ends_when_a_write_is_stuck<C: Client>(sim: &mut Sim) {
    sim.stall_after(FOR_EVER);
    sim.server("server", async |host| {
        let _peer = Peer::accept(host, small_buffers()).await?;
        std::future::pending::<std::io::Result<()>>().await
    });
    sim.client("client", async |host| {
        let mut client = C::open(host, small_buffers()).await?;
        let sent = within(host, Duration::from_secs(1), client.send(&[b's'; 64 << 10])).await;
        tracing::info!("send: {sent:?}");
        let closed = client.close().await;
        tracing::info!("close: {closed:?}");
        Ok::<(), String>(())
    });
}
