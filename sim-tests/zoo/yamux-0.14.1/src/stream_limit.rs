//! A client opens more streams than it allows itself, and continues with those that it has.
//!
//! `poll_new_outbound` says `TooManyStreams`, which sounds like an answer to one call. But the error is
//! that of the connection: it closes, and every open stream is cut off.

use std::net::SocketAddr;
use std::task::Poll;

use futures::future::poll_fn;
use futures::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::compat::TokioAsyncReadCompatExt;
use wavetank::runtime::{ListenOptions, Listener, Runtime, SocketOptions, TaskHandle};
use wavetank::{Host, Sim};
use yamux::{Config, Connection, Mode};

use crate::session::text;

/// Streams that the client allows itself.
const LIMIT: usize = 3;

/// The body of the test.
pub fn a_client_opens_one_stream_more_than_its_limit(sim: &mut Sim) {
    sim.server("server", echo);
    sim.client("client", async |host: Host| {
        let server = Runtime::resolve(&host, "server", 80).await.map_err(text)?[0];
        let socket = Runtime::connect(&host, server, SocketOptions::new()).await.map_err(text)?;
        let mut config = Config::default();
        config.set_max_connection_receive_window(None).set_max_num_streams(LIMIT);
        let mut connection = Connection::new(socket.compat(), config, Mode::Client);
        let mut streams = Vec::new();
        for _ in 0..LIMIT {
            streams.push(poll_fn(|context| connection.poll_new_outbound(context)).await.map_err(text)?);
        }
        let refused = poll_fn(|context| connection.poll_new_outbound(context)).await;
        assert!(refused.is_err(), "the limit is kept");
        let driver = Runtime::spawn(&host, "driver", async move {
            poll_fn(|context| match connection.poll_next_inbound(context) {
                Poll::Ready(Some(Ok(_))) => unreachable!("the server opens no streams"),
                Poll::Ready(_) => Poll::Ready(()),
                Poll::Pending => Poll::Pending,
            })
            .await;
        });
        // Its errors name the connection by a number that other runs have changed.
        let lost = |_| "an open stream is lost".to_owned();
        for stream in &mut streams {
            stream.write_all(b"still here").await.map_err(lost)?;
            stream.read_exact(&mut [0; 10]).await.map_err(lost)?;
        }
        driver.abort();
        Ok::<(), String>(())
    });
}

/// Echoes every stream of one connection.
async fn echo(host: Host) -> Result<(), String> {
    let address = SocketAddr::from(([0, 0, 0, 0], 80));
    let listener = Runtime::listen(&host, address, ListenOptions::new()).await.map_err(text)?;
    let (socket, _) = listener.accept().await.map_err(text)?;
    let mut connection = Connection::new(socket.compat(), Config::default(), Mode::Server);
    while let Some(Ok(stream)) = poll_fn(|context| connection.poll_next_inbound(context)).await {
        Runtime::spawn(&host, "echo", async move {
            let (reader, mut writer) = stream.split();
            // The client may have gone.
            let _ = futures::io::copy(reader, &mut writer).await;
        });
    }
    Ok(())
}
