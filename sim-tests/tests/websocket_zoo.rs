//! What published WebSocket clients fail in the zoo, asked of ours: the same bodies, the same strict server.

use std::time::Duration;

use wavetank::runtime::SocketOptions;
use wavetank::{Host, Sim};
use wavetank_websocket::client::{Client as Opens, WebSocket};
use wavetank_websocket::{CloseCode, Config, Error, Message};
use wavetank_zoo_websocket::{Client, Received, close, connect, pings, receive, send, text};

/// Our async client, over a stream that the test connects.
struct Ours(WebSocket<Host>);

impl Client for Ours {
    async fn open(host: Host, socket: SocketOptions) -> Result<Self, String> {
        let stream = connect(host, socket).await?;
        let request = "ws://server/".parse().map_err(text)?;
        // A run may delay the server for longer than the default, and the opening is not the question here.
        let config = Config::default().open_timeout(Duration::from_secs(600)).clone();
        Ok(Self(Opens::new(host).config(config).connect_over(stream, request).await.map_err(text)?))
    }

    async fn send(&mut self, payload: &[u8]) -> Result<(), String> {
        self.0.send(payload).await.map_err(text)
    }

    async fn recv(&mut self) -> Result<Received, String> {
        match self.0.recv().await {
            Ok(Message::Binary(payload)) => Ok(Received::Message(payload.to_vec())),
            Ok(Message::Text(payload)) => Ok(Received::Message(payload.into_bytes().to_vec())),
            Err(Error::Closed(outcome)) if outcome.is_clean() => Ok(Received::Closed),
            Err(error) => Err(text(error)),
        }
    }

    async fn close(&mut self) -> Result<(), String> {
        let outcome = self.0.close(CloseCode::NORMAL, "").await;
        if outcome.is_clean() { Ok(()) } else { Err(text(outcome)) }
    }
}

#[wavetank::test(seeds = 300)]
fn cancelled_receives_lose_nothing(sim: &mut Sim) {
    receive::cancelled_receives_lose_nothing::<Ours>(sim);
}

#[wavetank::test(base_seed = 0x4f3603576736c90e)]
fn ending_without_a_close_frame_is_an_error(sim: &mut Sim) {
    receive::ending_without_a_close_frame_is_an_error::<Ours>(sim);
}

#[wavetank::test]
fn messages_under_way_are_received_after_close(sim: &mut Sim) {
    receive::messages_under_way_are_received_after_close::<Ours>(sim);
}

#[wavetank::test]
fn closing_twice_sends_one_close_frame_and_ends(sim: &mut Sim) {
    close::closing_twice_sends_one_close_frame_and_ends::<Ours>(sim);
}

#[wavetank::test]
fn closing_ends_when_a_write_is_stuck(sim: &mut Sim) {
    close::closing_ends_when_a_write_is_stuck::<Ours>(sim);
}

#[wavetank::test]
fn no_message_is_sent_after_the_peers_close(sim: &mut Sim) {
    close::no_message_is_sent_after_the_peers_close::<Ours>(sim);
}

#[wavetank::test(seeds = 300)]
fn a_cancelled_send_leaves_the_stream_whole(sim: &mut Sim) {
    send::a_cancelled_send_leaves_the_stream_whole::<Ours>(sim);
}

#[wavetank::test(base_seed = 0xd7e4a4dad6ff88af)]
fn pings_of_a_deaf_peer_cost_little(sim: &mut Sim) {
    // A task that is delayed for as long as closing may take leaves a frame unfinished.
    sim.delay_max(Duration::from_millis(100));
    pings::pings_of_a_deaf_peer_cost_little::<Ours>(sim);
}
