//! The reported scenario between two ends of a published crate: what `issue_133` and `foreign` are about,
//! where it is not solved. hashicorp/yamux itself is re-created in the museum.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wavetank::runtime::{Runtime, SocketOptions};
use wavetank::{Host, Sim};
use wavetank_sim_tests::multiplexer::network::{self, Side};
use wavetank_sim_tests::multiplexer::{Foreign, Kind, body};

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
