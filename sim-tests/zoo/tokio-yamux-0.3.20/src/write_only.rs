//! A client sends a megabyte to a server that reads it all. The client reads nothing.
//!
//! The window of a stream opens when its handle processes the frames that have arrived. Since 0.3.18 a frame wakes only
//! a reader, not a writer that waits for the window. Without a reader the writer waits without end. (Up to 0.3.17 the
//! writer woke up, but the reader lost its waker: `split_streams`.)

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wavetank::Sim;

use crate::session::{client_and_server, text};

const MEGABYTE: usize = 1 << 20;

/// The body of the test: builds the hosts.
pub fn a_client_sends_a_megabyte_and_reads_nothing(sim: &mut Sim) {
    client_and_server(
        sim,
        async |_, mut stream| stream.write_all(&vec![7; MEGABYTE]).await.map_err(text),
        async |mut stream| {
            let mut received = 0;
            let mut buffer = vec![0; 16 << 10];
            // The stream ends when the client does. The client does not wait until everything has arrived.
            while let Ok(length @ 1..) = stream.read(&mut buffer).await {
                received += length;
            }
            if received <= MEGABYTE { Ok(()) } else { Err(format!("received {received} bytes")) }
        },
    );
}
