//! A client sends a request in one task and waits for the answer in another.
//!
//! Frames for a stream wait in a channel with room for one waker. Up to 0.3.17 a write also polls the channel and
//! replaces the waker of the reading task. If the reading task polled first and the writing task has ended, no task
//! wakes up when the answer comes.

use tokio::io::{AsyncReadExt, AsyncWriteExt, split};
use wavetank::Sim;
use wavetank::runtime::Runtime;

use crate::session::{client_and_server, text};

/// The body of the test: builds the hosts.
pub fn a_client_writes_and_reads_in_two_tasks(sim: &mut Sim) {
    client_and_server(
        sim,
        async |host, stream| {
            let (mut reader, mut writer) = split(stream);
            let answer = host.spawn("reader", async move {
                let mut answer = [0; 6];
                reader.read_exact(&mut answer).await.map(|_| answer)
            });
            let request = host.spawn("writer", async move { writer.write_all(b"request").await });
            request.await.map_err(text)?.map_err(text)?;
            let answer = answer.await.map_err(text)?.map_err(text)?;
            if answer == *b"answer" { Ok(()) } else { Err(format!("answered {answer:?}")) }
        },
        async |mut stream| {
            stream.read_exact(&mut [0; 7]).await.map_err(text)?;
            stream.write_all(b"answer").await.map_err(text)?;
            // The stream ends when the client does.
            let _ = stream.read(&mut [0]).await;
            Ok(())
        },
    );
}
