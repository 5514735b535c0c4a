//! A server reads half of what a client sends, closes the stream and drops it.
//!
//! Dropping a closed stream sends nothing. Data that arrives for it is discarded without opening the window. (Sending
//! something would not help: after its peer's FIN a stream ignores all frames.) The client waits without end and gets
//! no error.

use tokio::io::{AsyncReadExt, AsyncWriteExt, split};
use wavetank::Sim;
use wavetank::runtime::Runtime;

use crate::session::{client_and_server, text};

/// Ten chunks are more than the window of 256 KiB. The server reads five.
const CHUNK: usize = 100 << 10;

/// The body of the test: builds the hosts.
pub fn a_server_closes_a_stream_that_a_client_writes_to(sim: &mut Sim) {
    client_and_server(
        sim,
        async |host, stream| {
            let (mut reader, mut writer) = split(stream);
            // Without a reader the window would never open: see `write_only`.
            host.spawn("reader", async move { while let Ok(1..) = reader.read(&mut [0; 16]).await {} });
            for _ in 0..10 {
                if writer.write_all(&[7; CHUNK]).await.is_err() {
                    // The correct behaviour: the client learns that the server reads no more.
                    break;
                }
            }
            Ok(())
        },
        async |mut stream| {
            let mut chunk = vec![0; CHUNK];
            for _ in 0..5 {
                stream.read_exact(&mut chunk).await.map_err(text)?;
            }
            stream.shutdown().await.map_err(text)
        },
    );
}
