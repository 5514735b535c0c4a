//! Scenarios between two ends of a published crate. The reported one is what `issue_133` and `foreign` are about, where
//! it is not solved. hashicorp/yamux itself is re-created in the museum.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use wavetank::runtime::{Runtime, SocketOptions};
use wavetank::{Host, Sim, sometimes};
use wavetank_sim_tests::multiplexer::network::{self, Side};
use wavetank_sim_tests::multiplexer::{Foreign, Kind, Monitor, Tap, body};

use super::issue_133::{MESSAGE, READ, WRITTEN};

/// The server reads five of ten messages, closes its stream and drops it; the client writes on.
fn reported(sim: &mut Sim, kind: Kind) {
    sim.server("server", async move |host: Host| {
        let transport = network::accept(&host, SocketOptions::new()).await?;
        let mut session = Foreign::start(&host, kind, Side::Server, transport);
        let mut stream = session.accept().await.expect("a stream");
        let (read, result) = body::read(&mut stream, 0, 0, READ).await;
        assert!(read == READ && result.is_ok(), "{read} {result:?}");
        stream.shutdown().await?;
        drop(stream);
        session.closed().await;
        wavetank::Ok(())
    });
    sim.client("client", async move |host: Host| {
        let transport = network::connect(&host, SocketOptions::new()).await?;
        let session = Foreign::start(&host, kind, Side::Client, transport);
        let (mut reader, mut writer) = tokio::io::split(session.open().await?);
        // tokio-yamux grants nothing to a writer beside which no task reads.
        host.spawn("reader", async move { while let Ok(1..) = reader.read(&mut [0; 16]).await {} });
        // Five times what was reported: `yamux` enlarges windows.
        let _error_would_be_fine = body::write(&mut writer, 0, 0..5 * WRITTEN, MESSAGE).await;
        session.close().await;
        wavetank::Ok(())
    });
}

#[wavetank::test(seeds = 100, finds = "deadlock: nothing can happen: client/main")]
fn yamux_writers_wait_for_readers_that_left(sim: &mut Sim) {
    reported(sim, Kind::Yamux);
}

#[wavetank::test(seeds = 100, finds = "deadlock: nothing can happen: client/main")]
fn tokio_yamux_writers_wait_for_readers_that_left(sim: &mut Sim) {
    reported(sim, Kind::TokioYamux);
}

/// Writes the body, each write for at most ten seconds. A write that took longer is given up and made again.
/// Returns how many were given up.
async fn write_impatiently(host: &Host, writer: &mut (impl AsyncWrite + Unpin), length: u64) -> u32 {
    let (mut written, mut given_up) = (0, 0);
    while written < length {
        let piece = body::bytes(0, written..length.min(written + 50_000));
        let patience = Runtime::sleep(host, Duration::from_secs(10));
        tokio::select! {
            count = writer.write(&piece) => written += count.expect("the session lives") as u64,
            () = patience => given_up += 1,
        }
    }
    given_up
}

/// hashicorp/yamux sends twice what it has given up after ten seconds without progress, and more than was granted. The
/// published crates charge the window when they take the bytes, and pass.
#[wavetank::test(seeds = 100, sometimes = "required")]
fn published_windows_do_not_drift_in_partitions(sim: &mut Sim) {
    const LENGTH: u64 = 3 << 20;
    let kind = Kind::ALL[sim.choose("crate", 2) as usize];
    let partition = Duration::from_secs([9, 11, 45, 400][sim.choose("partition", 4) as usize]);
    sim.server("server", async move |host: Host| {
        let transport = Tap::new(network::accept(&host, SocketOptions::new()).await?, Monitor::new("reader"));
        let mut session = Foreign::start(&host, kind, Side::Server, transport);
        let mut stream = session.accept().await.expect("a stream");
        let (read, result) = body::read(&mut stream, 0, 0, LENGTH + 1).await;
        assert!(read == LENGTH && result.is_ok(), "{read} {result:?}");
        stream.shutdown().await?;
        session.closed().await;
        wavetank::Ok(())
    });
    sim.client("client", async move |host: Host| {
        host.inject().narrow("client", "server", 400_000);
        let transport =
            Tap::new(network::connect(&host, SocketOptions::new()).await?, Monitor::new("writer"));
        let session = Foreign::start(&host, kind, Side::Client, transport);
        let (mut reader, mut writer) = tokio::io::split(session.open().await?);
        // tokio-yamux grants nothing to a writer beside which no task reads.
        let reading =
            host.spawn("reader", async move { while let Ok(1..) = reader.read(&mut [0; 16]).await {} });
        let injecting = host;
        host.spawn("partition", async move {
            Runtime::sleep(&injecting, Duration::from_secs(2)).await;
            injecting.inject().partition("client", "server");
            Runtime::sleep(&injecting, partition).await;
            injecting.inject().heal("client", "server");
        });
        let given_up = write_impatiently(&host, &mut writer, LENGTH).await;
        sometimes!(given_up > 0, "a write is given up");
        writer.shutdown().await?;
        reading.await.expect("no panic");
        session.close().await;
        wavetank::Ok(())
    });
}
