//! Sessions of the multiplexer over this project's WebSocket, through proxies' usual door: binary messages
//! as a stream of bytes, on a network that fails.

use std::time::Duration;

use wavetank::runtime::{ListenOptions, Listener as _, Runtime};
use wavetank::{Faults, Host, Sim};
use wavetank_multiplexer::{Config, Session, WriteEnd, WriteError};
use wavetank_sim_tests::multiplexer::interoperability::{AnySession, Scenario, acceptor, opener};
use wavetank_sim_tests::multiplexer::websocket::ByteStream;
use wavetank_sim_tests::multiplexer::{Monitor, Tap, body};
use wavetank_websocket::{client, server};

const SECOND: Duration = Duration::from_secs(1);

/// A lossy link can lose a segment for 12.6 s, and the default to open is 10 s.
fn patient() -> wavetank_websocket::Config {
    let mut config = wavetank_websocket::Config::default();
    config.open_timeout(100 * SECOND);
    config
}

/// Adds the hosts "client" and "server" with a session between them, over a WebSocket.
fn pair(
    sim: &mut Sim,
    of_client: impl AsyncFnOnce(Host, Session<Host>) + 'static,
    of_server: impl AsyncFn(Host, Session<Host>) + 'static,
) {
    sim.server("server", async move |host: Host| {
        let listener = Runtime::listen(&host, ([0, 0, 0, 0], 80).into(), ListenOptions::new()).await?;
        let (stream, _) = listener.accept().await?;
        let socket = server::Server::new(host).config(patient()).accept(stream).await?;
        let monitor = Monitor::new("the server");
        let session = Session::server(host, Tap::new(ByteStream::new(socket), monitor), Config::default());
        of_server(host, session).await;
        wavetank::Ok(())
    });
    sim.client("client", async move |host: Host| {
        let request = "ws://server/".parse().expect("an address");
        let socket = client::Client::new(host).config(patient()).connect(request).await?;
        let monitor = Monitor::new("the client");
        let session = Session::client(host, Tap::new(ByteStream::new(socket), monitor), Config::default());
        of_client(host, session).await;
        wavetank::Ok(())
    });
}

/// Every scenario of interoperability, where links are slow, lossy and cut for seconds.
#[wavetank::test(seeds = 200)]
fn every_scenario_passes_over_a_websocket(sim: &mut Sim) {
    let scenarios = [
        Scenario::Echo(1),
        Scenario::Echo(50),
        Scenario::HalfClose,
        Scenario::Windows,
        Scenario::ResetByOpener,
        Scenario::ResetByAcceptor,
    ];
    let scenario = scenarios[sim.choose("scenario", 6) as usize];
    let client_opens = sim.choose("client opens", 2) == 0;
    sim.faults(
        Faults::none().partitions().lossy_links().short_transfers().begin_max(SECOND).last_max(5 * SECOND),
    );
    pair(
        sim,
        async move |host, session| {
            let session = AnySession::Ours(session);
            if client_opens {
                opener(host, session, scenario).await;
            } else {
                acceptor(host, session, scenario).await;
            }
        },
        async move |host, session| {
            let session = AnySession::Ours(session);
            if client_opens {
                acceptor(host, session, scenario).await;
            } else {
                opener(host, session, scenario).await;
            }
        },
    );
}

/// A writer learns over a WebSocket, as over TCP, that its reader has stopped, and the session ends cleanly.
#[wavetank::test(seeds = 100)]
fn a_stopped_writer_is_told_over_a_websocket(sim: &mut Sim) {
    pair(
        sim,
        async |_, session| {
            let mut stream = session.open().await.expect("a stream");
            let (_, result) = body::write(&mut stream, 0, 0..4 << 20, 100_000).await;
            let error = WriteError::from_io(&result.expect_err("no task reads")).cloned();
            assert_eq!(error, Some(WriteError::Stopped));
            assert_eq!(stream.stopped().await, WriteEnd::Failed(WriteError::Stopped));
            drop(stream);
            let closed = session.close().await;
            assert!(closed.is_clean(), "{closed}");
        },
        async |host, session| {
            let mut stream = session.accept().await.expect("a stream");
            let (read, result) = body::read(&mut stream, 0, 0, 50_000).await;
            assert!(read == 50_000 && result.is_ok(), "{read} {result:?}");
            Runtime::sleep(&host, SECOND).await;
            stream.close().expect("the stream is open");
            drop(stream);
            let closed = session.closed().await;
            assert!(closed.is_clean(), "{closed}");
            assert_eq!(session.statistics().streams_held, 0);
        },
    );
}
