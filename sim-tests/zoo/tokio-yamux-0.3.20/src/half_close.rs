//! A server reads half of what a client sends, closes the stream and drops it: it says that it wants no more.
//!
//! A dropped stream that was closed before sends nothing, and what arrives for it is thrown away without opening the
//! window. (Nor would it help if something were sent: after its peer's FIN a stream looks at nothing any more.) The client
//! waits for ever, without an error.

use tokio::io::{AsyncReadExt, AsyncWriteExt, split};
use wavetank::Sim;
use wavetank::runtime::Runtime;

use crate::session::{client_and_server, text};

/// Ten chunks are more than the window of 256 KiB; five are read.
const CHUNK: usize = 100 << 10;

/// The body of the test.
pub fn a_server_closes_a_stream_that_a_client_writes_to(sim: &mut Sim) {
    client_and_server(
        sim,
        async |host, stream| {
            let (mut reader, mut writer) = split(stream);
            // Without a reader the window would not open even once: see `write_only`.
            host.spawn("reader", async move { while let Ok(1..) = reader.read(&mut [0; 16]).await {} });
            for _ in 0..10 {
                if writer.write_all(&[7; CHUNK]).await.is_err() {
                    // As it should be: the server has said that it reads no more.
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
