//! The accept side of tasks.

use wavetank_runtime::{ListenOptions, Listener as _, Runtime as _, Tokio};
use wavetank_websocket::server::Server;

use crate::Result;

/// Listens at the address in `url`, and sends back what clients send, until the process is killed.
pub(crate) fn run(url: &str, _agent: &str) -> Result<()> {
    let address = url.trim_start_matches("ws://").trim_end_matches('/').parse()?;
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?.block_on(async {
        let listener = Tokio.listen(address, ListenOptions::new()).await?;
        let server = Server::new(Tokio);
        loop {
            let (stream, _) = listener.accept().await?;
            let server = server.clone();
            drop(Tokio.spawn("session", async move {
                let Ok(socket) = server.accept(stream).await else { return };
                while let Ok(message) = socket.recv().await {
                    if socket.send(&message).await.is_err() {
                        break;
                    }
                }
                socket.closed().await;
            }));
        }
    })
}
