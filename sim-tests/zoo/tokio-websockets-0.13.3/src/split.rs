//! Both ends of a connection send and receive at once, each half of the split stream in its own task.
//!
//! A reader answers pings, so it also writes and flushes. It flushes with the waker of the writer. If the flush
//! completes, the reader forgets that waker and wakes no task, and the writer waits without end. That needs a stream
//! that takes bytes before it wakes a writer that waits for room, as Linux sockets do.

use futures_util::{SinkExt, StreamExt};
use tokio_websockets::{ClientBuilder, Message, ServerBuilder, WebSocketStream};
use wavetank::host::SimStream;
use wavetank::runtime::{ListenOptions, Listener, Runtime, SocketOptions};
use wavetank::{Faults, Host, Sim};
use wavetank_zoo_websocket::{connect, text};

const TURNS: usize = 8;

/// Sends and receives at once. Returns when all messages of both ends have arrived.
async fn talk(host: Host, websocket: WebSocketStream<SimStream>) -> Result<(), String> {
    let (mut sink, mut stream) = websocket.split();
    let writer = host.spawn("writer", async move {
        for _ in 0..TURNS {
            for size in [1, 1, 125, 125] {
                sink.send(Message::ping(vec![7; size])).await.map_err(text)?;
            }
            sink.send(Message::binary(vec![7; 1_000])).await.map_err(text)?;
        }
        Ok::<_, String>(sink)
    });
    let mut received = 0;
    while received < TURNS {
        let message = stream.next().await.ok_or("the connection ended early")?.map_err(text)?;
        received += usize::from(message.is_binary());
    }
    let mut sink = writer.await.map_err(text)??;
    // The other end may still send pings, and it waits for the last of the messages.
    sink.close().await.map_err(text)?;
    while let Some(Ok(_)) = stream.next().await {}
    Ok(())
}

/// Returns the smallest buffers that Linux allows.
fn small_buffers() -> SocketOptions {
    SocketOptions::new().send_buffer_bytes(4096).receive_buffer_bytes(4096)
}

/// The body of the test: builds the hosts.
pub fn both_ends_talk_in_two_tasks_each(sim: &mut Sim) {
    sim.faults(Faults::none().early_writes());
    sim.server("server", async |host| {
        let options = ListenOptions::new().accepted(small_buffers());
        let listener = host.listen(([0, 0, 0, 0], 80).into(), options).await.map_err(text)?;
        let (stream, _) = listener.accept().await.map_err(text)?;
        let (_, websocket) = ServerBuilder::new().accept(stream).await.map_err(text)?;
        talk(host, websocket).await
    });
    sim.client("client", async |host| {
        let stream = connect(host, small_buffers()).await?;
        let builder = ClientBuilder::new().uri("ws://server/").map_err(text)?;
        let (websocket, _) = builder.connect_on(stream).await.map_err(text)?;
        talk(host, websocket).await
    });
}
