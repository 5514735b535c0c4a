//! Receiving: a client receives every message once and whole, and reports how the connection ended.

use std::time::Duration;

use wavetank::runtime::{Runtime, SocketOptions};
use wavetank::{Sim, always, cancellable};

use crate::wire::{Opcode, frame};
use crate::{Client, Peer, Received, receive_all, settle};

/// The second message needs a length field of two bytes.
const MESSAGES: [&[u8]; 3] = [b"tide", &[b's'; 200], b"surf"];

/// Every `recv` may be cancelled. Each message comes in two pieces, cut at any byte.
pub fn cancelled_receives_lose_nothing<C: Client>(sim: &mut Sim) {
    let cut = sim.choose("cut", 204) as usize;
    sim.server("server", async move |host| {
        let mut peer = Peer::accept(host, SocketOptions::new()).await?;
        for message in MESSAGES {
            let frame = frame(Opcode::Binary, message);
            let (head, tail) = frame.split_at(cut.min(frame.len()));
            peer.write(head).await?;
            if !head.is_empty() && !tail.is_empty() {
                Runtime::sleep(&host, Duration::from_millis(5)).await;
            }
            peer.write(tail).await?;
        }
        // More bytes, so that a client that has lost its place in the stream does not wait.
        peer.finish().await?;
        peer.read_to_end().await
    });
    sim.client("client", async |host| {
        let mut client = C::open(host, SocketOptions::new()).await?;
        let mut received = Vec::new();
        while received.len() < MESSAGES.len() {
            let Some(next) = cancellable("recv", client.recv()).await else { continue };
            tracing::info!("recv: {next:?}");
            let Ok(Received::Message(message)) = next else { break };
            received.push(message);
        }
        always!(received == MESSAGES, "every message is received, once and whole");
        Ok::<(), String>(())
    });
}

/// The server sends a message and ends the connection without a Close frame (FIN), as if its program had crashed.
pub fn ending_without_a_close_frame_is_an_error<C: Client>(sim: &mut Sim) {
    sim.server("server", async |host| {
        let mut peer = Peer::accept(host, SocketOptions::new()).await?;
        peer.write(&frame(Opcode::Binary, b"tide")).await
    });
    sim.client("client", async |host| {
        let mut client = C::open(host, SocketOptions::new()).await?;
        let mut last = client.recv().await;
        tracing::info!("recv: {last:?}");
        if last == Ok(Received::Message(b"tide".to_vec())) {
            last = client.recv().await;
            tracing::info!("recv: {last:?}");
        }
        always!(last.is_err(), "an end without a Close frame is an error");
        Ok::<(), String>(())
    });
}

/// The client closes while messages are on their way to it. The server has sent them before it answers.
pub fn messages_under_way_are_received_after_close<C: Client>(sim: &mut Sim) {
    sim.server("server", async |host| {
        let mut peer = Peer::accept(host, SocketOptions::new()).await?;
        for message in MESSAGES {
            peer.write(&frame(Opcode::Binary, message)).await?;
        }
        peer.answer_close().await
    });
    sim.client("client", async |host| {
        let mut client = C::open(host, SocketOptions::new()).await?;
        let closed = client.close().await;
        tracing::info!("close: {closed:?}");
        let received = receive_all(&mut client, MESSAGES.len()).await;
        always!(received == MESSAGES, "messages before the peer's Close are received after our close");
        drop(client);
        settle(host).await;
        Ok::<(), String>(())
    });
}
