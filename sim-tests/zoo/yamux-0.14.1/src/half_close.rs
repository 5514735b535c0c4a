//! A server reads half of what a client sends, closes the stream and drops it: it says that it wants no more.
//!
//! A dropped stream that was closed before sends nothing, and its data is thrown away without giving credit: the client
//! waits for credit for ever, without an error. (Dropped without a close it is reset, and the client gets its error.)

use futures::io::{AsyncReadExt, AsyncWriteExt};
use wavetank::Sim;
use wavetank::runtime::SocketOptions;

use crate::session::{accept, open, text};

/// Ten chunks are more than the window of 256 KiB; five are read.
const CHUNK: usize = 100 << 10;

/// The body of the test.
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
                    // As it should be: the server has said that it reads no more.
                    return Ok(());
                }
            }
            Ok(())
        })
        .await
    });
}
