//! The two ends of a yamux connection over simulated TCP, each driven by its own task, as yamux requires.

use std::fmt::Display;
use std::net::SocketAddr;
use std::task::Poll;

use futures::future::poll_fn;
use tokio_util::compat::TokioAsyncReadCompatExt;
use wavetank::Host;
use wavetank::runtime::{ListenOptions, Listener, Runtime, SocketOptions, TaskHandle};
use yamux::{Config, Connection, ConnectionError, Mode, Stream};

/// Converts an error to the text that a main returns.
pub fn text(error: impl Display) -> String {
    error.to_string()
}

/// Connects to the host `server` and opens a stream. Drives the connection until `use_stream` has ended.
pub async fn open(
    host: &Host,
    socket: SocketOptions,
    use_stream: impl AsyncFnOnce(Stream) -> Result<(), String>,
) -> Result<(), String> {
    let server = Runtime::resolve(host, "server", 80).await.map_err(text)?[0];
    let socket = Runtime::connect(host, server, socket).await.map_err(text)?;
    let mut connection = Connection::new(socket.compat(), Config::default(), Mode::Client);
    let stream = poll_fn(|context| connection.poll_new_outbound(context)).await.map_err(text)?;
    let driver = Runtime::spawn(host, "driver", async move {
        poll_fn(|context| match connection.poll_next_inbound(context) {
            Poll::Ready(Some(Ok(_))) => unreachable!("the server opens no streams"),
            Poll::Ready(Some(Err(ConnectionError::Closed)) | None) => Poll::Ready(()),
            Poll::Ready(Some(Err(error))) => panic!("the connection failed: {error}"),
            Poll::Pending => Poll::Pending,
        })
        .await;
    });
    let result = use_stream(stream).await;
    driver.abort();
    result
}

/// Accepts one connection and passes on its first stream. Drives the connection until the client has closed.
pub async fn accept(
    host: &Host,
    socket: SocketOptions,
    use_stream: impl AsyncFnOnce(Stream) -> Result<(), String>,
) -> Result<(), String> {
    let address = SocketAddr::from(([0, 0, 0, 0], 80));
    let options = ListenOptions::new().accepted(socket);
    let listener = Runtime::listen(host, address, options).await.map_err(text)?;
    let (socket, _) = listener.accept().await.map_err(text)?;
    let mut connection = Connection::new(socket.compat(), Config::default(), Mode::Server);
    let Some(stream) = poll_fn(|context| connection.poll_next_inbound(context)).await else {
        return Err("the client left without a stream".to_owned());
    };
    let stream = stream.map_err(text)?;
    Runtime::spawn(host, "driver", async move {
        // The client ends the connection when it is done.
        while let Some(Ok(_)) = poll_fn(|context| connection.poll_next_inbound(context)).await {}
    });
    use_stream(stream).await
}
