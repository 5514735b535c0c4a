//! A client uploads 40,000 bytes to a server whose initial window for streams is 20,000 instead of 65,535.
//!
//! A client need not wait for the server's SETTINGS. It sends as much as the window of 65,535 allows. The server reads
//! and releases all of it. When the acknowledgement of the SETTINGS arrives, the server lowers the window by 45,535. If
//! the window is then 0, and the bytes released before were too few for a WINDOW_UPDATE, none is ever sent.

use std::time::Duration;

use bytes::Bytes;
use h2::{Reason, client, server};
use http::{Request, Response};
use wavetank::host::SimStream;
use wavetank::runtime::{ListenOptions, Listener, Runtime, SocketOptions};
use wavetank::{Host, Sim};

const UPLOAD: usize = 40_000;
const CHUNK: usize = 3_000;
const WINDOW: u32 = 20_000;

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

/// Accepts one connection and answers each request when its body has arrived.
async fn serve(host: Host) -> Result<(), String> {
    let listener = host.listen(([0, 0, 0, 0], 80).into(), ListenOptions::new()).await.map_err(text)?;
    let (stream, _) = listener.accept().await.map_err(text)?;
    let mut builder = server::Builder::new();
    builder.initial_window_size(WINDOW);
    let mut connection = builder.handshake::<SimStream, Bytes>(stream).await.map_err(text)?;
    while let Some(request) = connection.accept().await {
        let (request, mut respond) = request.map_err(text)?;
        let mut body = request.into_body();
        host.spawn("upload", async move {
            while let Some(Ok(chunk)) = body.data().await {
                let _ = body.flow_control().release_capacity(chunk.len());
            }
            if respond.send_response(Response::new(()), true).is_err() {
                respond.send_reset(Reason::INTERNAL_ERROR);
            }
        });
    }
    Ok(())
}

/// Uploads in chunks, each as soon as the window allows.
async fn upload(host: Host) -> Result<(), String> {
    let server = host.resolve("server", 80).await.map_err(text)?[0];
    let stream = host.connect(server, SocketOptions::new()).await.map_err(text)?;
    let (sender, connection) = client::handshake(stream).await.map_err(text)?;
    let connection = host.spawn("connection", async move { connection.await.map_err(text) });
    let mut sender = sender.ready().await.map_err(text)?;
    let request = Request::post("http://server/").body(()).map_err(text)?;
    let (response, mut body) = sender.send_request(request, false).map_err(text)?;
    let mut left = UPLOAD;
    while left > 0 {
        body.reserve_capacity(left.min(CHUNK));
        let Some(granted) = std::future::poll_fn(|cx| body.poll_capacity(cx)).await else { break };
        let chunk = granted.map_err(text)?.min(left);
        left -= chunk;
        body.send_data(Bytes::from(vec![7; chunk]), left == 0).map_err(text)?;
        // Producing a chunk takes time.
        host.sleep(Duration::from_millis(1)).await;
    }
    let response = response.await.map_err(text)?;
    drop((response, body, sender));
    connection.await.map_err(text)?
}

/// The body of the test: builds the hosts.
pub fn a_client_uploads_before_the_settings_arrive(sim: &mut Sim) {
    sim.latency(Duration::from_millis(1)..=Duration::from_millis(10));
    sim.server("server", serve);
    sim.client("client", upload);
}
