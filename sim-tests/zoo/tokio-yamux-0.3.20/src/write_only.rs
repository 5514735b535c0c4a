//! A client sends a megabyte to a server that reads it all, and reads nothing itself.
//!
//! The window of a stream opens when its handle looks into what has arrived. From 0.3.18 on a writer that waits for the
//! window is not woken by what arrives, only a reader is; without one it waits for ever. (Until 0.3.17 it was woken, at
//! the cost of the reader: `split_streams`.)

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wavetank::Sim;

use crate::session::{client_and_server, text};

const MEGABYTE: usize = 1 << 20;

/// The body of the test.
pub fn a_client_sends_a_megabyte_and_reads_nothing(sim: &mut Sim) {
    client_and_server(
        sim,
        async |_, mut stream| stream.write_all(&vec![7; MEGABYTE]).await.map_err(text),
        async |mut stream| {
            let mut received = 0;
            let mut buffer = vec![0; 16 << 10];
            // The stream ends with the client, which does not wait until all has arrived.
            while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                received += length;
            }
            if received <= MEGABYTE { Ok(()) } else { Err(format!("received {received} bytes")) }
        },
    );
}
