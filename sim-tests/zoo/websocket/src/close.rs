//! Closing: a client sends one Close frame and nothing after it, and `close` returns.

use std::time::Duration;

use wavetank::Sim;
use wavetank::runtime::SocketOptions;

use crate::wire::{Opcode, close_frame};
use crate::{Client, Peer, receive_all, settle, small_buffers, within};

/// A client that waits longer never returns: the timeouts of all clients, if any, are much shorter.
const FOR_EVER: Duration = Duration::from_secs(120);

/// A caller drops `close` after a while and calls it again. The server reads and never answers.
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

/// The client has received the server's Close and then sends. That must fail, or at least send nothing.
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

/// The server reads nothing. A message is stuck half-way, and its caller has dropped the call and closes.
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
