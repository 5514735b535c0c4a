//! A server that sends back what it receives: `cargo run --example echo -- 127.0.0.1:9000`.

use std::error::Error;

use wavetank_runtime::{ListenOptions, Listener as _, Runtime as _, Stream, Tokio};
use wavetank_websocket::server::Server;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9000".to_owned());
    let listener = Tokio.listen(address.parse()?, ListenOptions::new()).await?;
    eprintln!("listening on ws://{}/", listener.local_addr()?);
    let server = Server::new(Tokio);
    loop {
        let (stream, peer) = listener.accept().await?;
        let server = server.clone();
        Tokio.spawn("session", async move {
            match serve(&server, stream).await {
                Ok(outcome) => eprintln!("{peer}: {outcome}"),
                Err(error) => eprintln!("{peer}: {error}"),
            }
        });
    }
}

async fn serve(
    server: &Server<Tokio>,
    stream: impl Stream,
) -> Result<wavetank_websocket::Closed, Box<dyn Error + Send + Sync>> {
    let socket = server.accept(stream).await?;
    while let Ok(message) = socket.recv().await {
        if socket.send(&message).await.is_err() {
            break;
        }
    }
    Ok(socket.closed().await)
}
