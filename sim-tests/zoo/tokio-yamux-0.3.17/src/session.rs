//! The two ends of a tokio-yamux session over simulated TCP, each driven by its own task.

use std::fmt::Display;
use std::net::SocketAddr;

use futures::StreamExt;
use tokio_yamux::{Config, Session, StreamHandle};
use wavetank::runtime::{ListenOptions, Listener, Runtime, SocketOptions, TaskHandle};
use wavetank::{Host, Sim};

/// Turns keep-alives off. They would continue beside a stream that hangs. Without them the hang is a deadlock, which
/// the simulator detects at once.
fn config() -> Config {
    Config { enable_keepalive: false, ..Config::default() }
}

/// Converts an error to the text that a main returns.
pub fn text(error: impl Display) -> String {
    error.to_string()
}

/// Adds a client that opens a stream and a server that accepts it. The session lasts until `of_client` has ended.
pub fn client_and_server(
    sim: &mut Sim,
    of_client: impl AsyncFnOnce(Host, StreamHandle) -> Result<(), String> + 'static,
    of_server: impl AsyncFn(StreamHandle) -> Result<(), String> + 'static,
) {
    sim.server("server", async move |host: Host| {
        let address = SocketAddr::from(([0, 0, 0, 0], 80));
        let listener = Runtime::listen(&host, address, ListenOptions::new()).await.map_err(text)?;
        let (socket, _) = listener.accept().await.map_err(text)?;
        let mut session = Session::new_server(socket, config());
        let Some(Ok(stream)) = session.next().await else {
            return Err("the client left without a stream".to_owned());
        };
        // The client ends the session when it is done.
        host.spawn("driver", async move { while let Some(Ok(_)) = session.next().await {} });
        of_server(stream).await
    });
    sim.client("client", async move |host: Host| {
        let server = Runtime::resolve(&host, "server", 80).await.map_err(text)?[0];
        let socket = Runtime::connect(&host, server, SocketOptions::new()).await.map_err(text)?;
        let mut session = Session::new_client(socket, config());
        let stream = session.open_stream().map_err(text)?;
        let driver = host.spawn("driver", async move { while let Some(Ok(_)) = session.next().await {} });
        let result = of_client(host, stream).await;
        driver.abort();
        result
    });
}
