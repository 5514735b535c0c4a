//! A server reads half of what a client sends, closes the stream and drops it.
//!
//! Dropping a closed stream sends nothing, and its data is discarded without granting credit. The client waits for
//! credit without end and gets no error. (Dropping a stream without closing it resets it, and the client gets an
//! error.)

use futures::io::{AsyncReadExt, AsyncWriteExt};
use wavetank::Sim;
use wavetank::runtime::SocketOptions;

use crate::session::{accept, open, text};

/// Ten chunks are more than the window of 256 KiB. The server reads five.
const CHUNK: usize = 100 << 10;

/// The body of the test: builds the hosts.
pub fn a_server_closes_a_stream_that_a_client_writes_to(sim: &mut Sim) {
    sim.server("server", async |host| {
        accept(&host, SocketOptions::new(), async |mut stream| {
            let mut chunk = vec![0; CHUNK];
            for _ in 0..5 {
                stream.read_exact(&mut chunk).await.map_err(text)?;
            }
            stream.close().await.map_err(text)
        })
        .await
    });
    sim.client("client", async |host| {
        open(&host, SocketOptions::new(), async |mut stream| {
            for _ in 0..10 {
                if stream.write_all(&[7; CHUNK]).await.is_err() {
                    // The correct behaviour: the client learns that the server reads no more.
                    return Ok(());
                }
            }
            Ok(())
        })
        .await
    });
}
