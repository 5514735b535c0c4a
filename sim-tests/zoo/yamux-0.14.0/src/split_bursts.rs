//! Like `split_streams`, with less load: both ends send a burst of small messages now and then, over buffers that never
//! fill. A burst is longer than the channel to the connection, so its writer waits there briefly. Its waker is lost
//! only if data arrives at that moment.

use std::time::Duration;

use futures::io::WriteHalf;
use wavetank::runtime::{Runtime, SocketOptions};
use wavetank::{Host, Sim};
use yamux::Stream;

use crate::both_ways::{client_and_server, receive, send};

const BURSTS: usize = 4;
const MESSAGES: usize = 16;
const MESSAGE: usize = 64;

async fn send_bursts(host: Host, mut writer: WriteHalf<Stream>) -> Result<WriteHalf<Stream>, String> {
    for _ in 0..BURSTS {
        writer = send(writer, MESSAGE, MESSAGES).await?;
        host.sleep(Duration::from_millis(20)).await;
    }
    Ok(writer)
}

/// The body of the test: builds the hosts.
pub fn both_ends_send_bursts_through_split_halves(sim: &mut Sim) {
    let length = |reader| receive(reader, BURSTS * MESSAGES * MESSAGE);
    client_and_server(sim, SocketOptions::new(), send_bursts, length);
}
