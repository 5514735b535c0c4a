//! Published crates, unmodified, in the tank.

use std::task::Poll;

use futures::future::poll_fn;
use futures::io::{AsyncReadExt, AsyncWriteExt};
use tokio_util::compat::TokioAsyncReadCompatExt;
use wavetank::runtime::{ListenOptions, Listener, Runtime, SocketOptions, TaskHandle};
use wavetank::{Faults, Host, Sim};
use yamux::{Config, Connection, ConnectionError, Mode};

const MEGABYTE: usize = 1 << 20;

/// The `index`-th byte that the client sends: no two windows of 64 KiB look alike.
fn byte(index: usize) -> u8 {
    (index ^ (index >> 8) ^ (index >> 16)) as u8
}

/// Accepts one yamux connection and sends back what comes in on its streams, until the client has gone.
async fn echo_server(host: Host) -> Result<(), String> {
    let address = "0.0.0.0:80".parse().expect("an address");
    let listener =
        Runtime::listen(&host, address, ListenOptions::new()).await.map_err(|error| error.to_string())?;
    let (socket, _) = listener.accept().await.map_err(|error| error.to_string())?;
    let mut connection = Connection::new(socket.compat(), Config::default(), Mode::Server);
    while let Some(Ok(stream)) = poll_fn(|context| connection.poll_next_inbound(context)).await {
        Runtime::spawn(&host, "echo", async move {
            let (reader, mut writer) = stream.split();
            // The client may have gone.
            let _ = futures::io::copy(reader, &mut writer).await;
            let _ = writer.close().await;
        });
    }
    Ok(())
}

/// Sends a megabyte on one yamux stream and checks what comes back, byte by byte.
async fn echo_client(host: Host) -> Result<(), String> {
    let server = Runtime::resolve(&host, "server", 80).await.map_err(|error| error.to_string())?[0];
    let socket =
        Runtime::connect(&host, server, SocketOptions::new()).await.map_err(|error| error.to_string())?;
    let mut connection = Connection::new(socket.compat(), Config::default(), Mode::Client);
    let stream =
        poll_fn(|context| connection.poll_new_outbound(context)).await.map_err(|error| error.to_string())?;
    let (mut reader, mut writer) = stream.split();
    let driver = Runtime::spawn(&host, "driver", async move {
        poll_fn(|context| match connection.poll_next_inbound(context) {
            Poll::Ready(Some(Ok(_))) => unreachable!("the server opens no streams"),
            Poll::Ready(Some(Err(ConnectionError::Closed)) | None) => Poll::Ready(Ok(())),
            Poll::Ready(Some(Err(error))) => Poll::Ready(Err(error.to_string())),
            Poll::Pending => Poll::Pending,
        })
        .await
    });
    let sender = Runtime::spawn(&host, "sender", async move {
        let bytes: Vec<u8> = (0..MEGABYTE).map(byte).collect();
        writer.write_all(&bytes).await?;
        writer.close().await
    });
    let mut echoed = vec![0; MEGABYTE];
    reader.read_exact(&mut echoed).await.map_err(|error| error.to_string())?;
    if let Some(wrong) = (0..MEGABYTE).find(|&index| echoed[index] != byte(index)) {
        return Err(format!("byte {wrong} came back wrong"));
    }
    sender.await.map_err(|error| error.to_string())?.map_err(|error| error.to_string())?;
    driver.abort();
    Ok(())
}

#[wavetank::test(seeds = 30)]
fn yamux_echoes_a_megabyte_under_random_schedules_and_partitions_that_heal(sim: &mut Sim) {
    use std::time::Duration;
    sim.faults(
        Faults::none().partitions().begin_max(Duration::from_millis(200)).last_max(Duration::from_secs(20)),
    );
    sim.server("server", echo_server);
    sim.client("client", echo_client);
}
