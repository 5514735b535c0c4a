//! A send that is given up and tried again, with tokio-tungstenite: the message arrives twice.
//!
//! ```console
//! $ cargo run -p wavetank --example tungstenite    # shows the failure
//! $ cargo test -p wavetank --example tungstenite   # a test that expects it
//! ```
//!
//! The stream takes the message at once. Only the flush takes long. No feature is needed: the stream of a simulated
//! host has tokio's traits.

use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use tokio::time::timeout;
use tokio_tungstenite::{accept_async, client_async, tungstenite::Message};
use wavetank::Sim;
use wavetank::runtime::{ListenOptions, Listener, Runtime, SocketOptions};

fn impatient_sender(sim: &mut Sim) {
    sim.latency(Duration::from_millis(1)..=Duration::from_millis(20));
    sim.server("server", async |host| {
        let listener = host.listen(([0, 0, 0, 0], 80).into(), ListenOptions::new()).await?;
        let mut socket = accept_async(listener.accept().await?.0).await?;
        let mut expected = 0;
        while let Some(message) = socket.next().await {
            if let Message::Binary(bytes) = message? {
                assert_eq!(bytes[0], expected, "a message came twice");
                expected += 1;
            }
        }
        wavetank::Ok(())
    });
    sim.client("client", async |host| {
        let server = host.resolve("server", 80).await?[0];
        let stream = host.connect(server, SocketOptions::new()).await?;
        let (mut socket, _) = client_async("ws://server/", stream).await?;
        for number in 0..5 {
            let message = Message::binary(vec![number; 200_000]);
            // The bug: a send that timed out may have been taken.
            while timeout(Duration::from_millis(100), socket.send(message.clone())).await.is_err() {}
        }
        socket.close(None).await?;
        while socket.next().await.is_some() {}
        wavetank::Ok(())
    });
}

/// In a test of your own leave `finds` out: then the failure is printed and the test fails.
#[wavetank::test(finds = "a message came twice")]
fn each_message_arrives_once(sim: &mut Sim) {
    impatient_sender(sim);
}

fn main() {
    wavetank::Sweep::new("tungstenite", std::env::temp_dir()).run(impatient_sender);
}
