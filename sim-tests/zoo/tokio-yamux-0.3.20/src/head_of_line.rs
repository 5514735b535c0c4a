//! One stream is not read for a while, and another one of the same session stops with it.
//!
//! Frames for a stream go through a bounded queue to its handle. When it is full the session reads no more
//! from the connection: twenty small frames are enough, far below the window, and every other stream, pings
//! included, waits for one reader.

use futures::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_yamux::{Config, Session};
use wavetank::runtime::{ListenOptions, Listener, Runtime, SocketOptions};
use wavetank::{Host, Sim};

use crate::session::text;

/// Frames for the stream that is not read, and the bytes of each: 2 kB of a window of 256 KiB.
const FRAMES: usize = 20;
const FRAME: usize = 100;

fn config() -> Config {
    Config { enable_keepalive: false, ..Config::default() }
}

/// The body of the test.
pub fn a_server_reads_one_of_two_streams(sim: &mut Sim) {
    sim.server("server", async |host: Host| {
        let listener =
            Runtime::listen(&host, ([0, 0, 0, 0], 80).into(), ListenOptions::new()).await.map_err(text)?;
        let (socket, _) = listener.accept().await.map_err(text)?;
        let mut session = Session::new_server(socket, config());
        let mut streams = Vec::new();
        while let Some(Ok(stream)) = session.next().await {
            streams.push(stream);
            if streams.len() == 2 {
                break;
            }
        }
        // The client ends the session when it has what it wants.
        host.spawn("driver", async move { while let Some(Ok(_)) = session.next().await {} });
        let mut second = streams.pop().ok_or("the client left without streams")?;
        let mut question = [0; 4];
        second.read_exact(&mut question).await.map_err(text)?;
        second.write_all(&question).await.map_err(text)?;
        // The first one would be read now.
        let mut bytes = vec![0; FRAMES * FRAME];
        streams[0].read_exact(&mut bytes).await.map_err(text)?;
        Ok::<(), String>(())
    });
    sim.client("client", async |host: Host| {
        let server = Runtime::resolve(&host, "server", 80).await.map_err(text)?[0];
        let socket = Runtime::connect(&host, server, SocketOptions::new()).await.map_err(text)?;
        let mut session = Session::new_client(socket, config());
        let mut first = session.open_stream().map_err(text)?;
        let mut second = session.open_stream().map_err(text)?;
        let driver = host.spawn("driver", async move { while let Some(Ok(_)) = session.next().await {} });
        for _ in 0..FRAMES {
            first.write_all(&[7; FRAME]).await.map_err(text)?;
        }
        second.write_all(b"ping").await.map_err(text)?;
        second.read_exact(&mut [0; 4]).await.map_err(text)?;
        wavetank::runtime::TaskHandle::abort(&driver);
        Ok::<(), String>(())
    });
}
