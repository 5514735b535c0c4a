//! Networks that fail: partitions, crashes, resets, silence, slow and lossy links.

use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use wavetank::runtime::{Runtime, SocketOptions};
use wavetank::{Faults, Host, Sim, sometimes};
use wavetank_multiplexer::{Cause, Config, ReadError, WriteError};
use wavetank_sim_tests::multiplexer::body;
use wavetank_sim_tests::multiplexer::broken::Unwritable;
use wavetank_sim_tests::multiplexer::network::{self, Side};

use super::world::{Cell, End, SECOND, SOON, Transports, end, pair, pair_with, read_error, write_error};

const LARGE: u64 = 2 << 20;

/// Partitions of 9 and 11 seconds only delay; one of 400 seconds ends the session, at both sides and within
/// the timeouts. In any case the bytes are a prefix without gap or repetition, and no end is invented.
#[wavetank::test(seeds = 200, sometimes = "required")]
fn a_partition_delays_or_ends_a_transfer(sim: &mut Sim) {
    let seconds = [9, 11, 400][sim.choose("partition", 3) as usize];
    let survives = seconds < 60;
    pair(
        sim,
        Config::default(),
        async move |end| {
            end.host.inject().narrow("client", "server", 400_000);
            let mut stream = end.session.open().await.expect("a stream");
            let (host, start) = (end.host, end.now());
            host.spawn("partition", async move {
                Runtime::sleep(&host, 2 * SECOND).await;
                host.inject().partition("client", "server");
                Runtime::sleep(&host, Duration::from_secs(seconds)).await;
                host.inject().heal("client", "server");
            });
            let (written, result) = body::write(&mut stream, 0, 0..LARGE, 50_000).await;
            if survives {
                result.expect("a partition of seconds is survived");
                stream.shutdown().await.expect("finished");
                let (read, result) = body::read(&mut stream, 1, 0, 2).await;
                assert!(read == 1 && result.is_ok(), "{read} {result:?}");
                drop(stream);
                end.finish(60 * SECOND).await;
            } else {
                assert!(written < LARGE && result.is_err(), "{written}");
                let closed = end.session.closed().await;
                let expected =
                    matches!(closed.cause, Cause::KeepaliveTimeout { .. } | Cause::TransportStall { .. });
                assert!(expected, "{closed}");
                // Two intervals with their timeouts: a ping that had to wait for the transport counts as progress.
                assert!(end.now() - start <= 125 * SECOND, "{:?}", end.now() - start);
                sometimes!(true, "the session ends");
                drop(stream);
                assert_eq!(end.session.statistics().streams_held, 0);
                // Until the link is back, so that nothing is left of it.
                end.sleep(Duration::from_secs(seconds)).await;
            }
        },
        async move |end| {
            let mut stream = end.session.accept().await.expect("a stream");
            let (read, result) = body::read(&mut stream, 0, 0, LARGE + 1).await;
            if survives {
                assert!(read == LARGE && result.is_ok(), "{read} {result:?}");
                body::write(&mut stream, 1, 0..1, 1).await.1.expect("written");
                stream.close_write().expect("the stream is open");
                drop(stream);
                end.ends().await;
            } else {
                let error = read_error(&result.expect_err("no FIN came"));
                assert!(read < LARGE && matches!(error, ReadError::Closed(_)), "{error}");
                drop(stream);
                assert_eq!(end.session.statistics().streams_held, 0);
            }
        },
    );
}

/// The loop of a client: a session and a few streams. Each answer equals the question, or is an error.
async fn use_a_session(end: &End) -> bool {
    let mut tasks = Vec::new();
    for seed in 0..3 {
        let Ok(stream) = end.session.open().await else { break };
        let (mut reader, mut writer) = stream.into_split();
        let writing = end.host.spawn("writer", async move {
            let (_, result) = body::write(&mut writer, seed, 0..150_000, 9000).await;
            result.is_ok() && writer.shutdown().await.is_ok()
        });
        tasks.push(end.host.spawn("stream", async move {
            let (read, result) = body::read(&mut reader, seed, 0, 150_001).await;
            let whole = result.is_ok() && read == 150_000;
            // An end that comes early must be an error.
            assert!(whole || result.is_err(), "{read} {result:?}");
            writing.await.expect("no panic") && whole
        }));
    }
    let mut worked = tasks.len() == 3;
    for task in tasks {
        worked &= task.await.expect("no panic");
    }
    let closed = end.session.close().await;
    assert_eq!(end.session.statistics().streams_held, 0, "{closed}");
    worked
}

/// Echoes every stream of every connection.
async fn serve(host: Host) -> std::io::Result<()> {
    use wavetank::runtime::{ListenOptions, Listener as _};
    let listener = Runtime::listen(&host, ([0, 0, 0, 0], 80).into(), ListenOptions::new()).await?;
    loop {
        let (transport, _) = listener.accept().await?;
        let end = end(host, Side::Server, transport, Config::default());
        host.spawn("session", async move {
            let mut tasks = Vec::new();
            while let Ok(mut stream) = end.session.accept().await {
                tasks.push(end.host.spawn("echo", async move {
                    let _the_client_may_be_gone = body::echo(&mut stream).await;
                }));
            }
            for task in tasks {
                task.await.expect("no panic");
            }
            let counts = end.session.statistics();
            assert_eq!((counts.streams, counts.streams_held), (0, 0), "{counts:?}");
        });
    }
}

fn sessions_until_one_works(sim: &mut Sim) {
    sim.server("server", serve);
    sim.client("client", async |host: Host| {
        for attempt in 0..200 {
            let Ok(transport) = network::connect(&host, SocketOptions::new()).await else {
                Runtime::sleep(&host, SECOND).await;
                continue;
            };
            let end = end(host, Side::Client, transport, Config::default());
            let worked = use_a_session(&end).await;
            sometimes!(!worked, "a session fails");
            if worked && Runtime::now(&host) >= host.inject().heals_at() {
                return Ok(());
            }
            Runtime::sleep(&host, SECOND * (attempt + 1)).await;
        }
        Err("no session works, though everything has healed")
    });
}

/// Everything that leaves hosts their memory: calls end, bytes are right or missing with an error, and once
/// everything has healed a session works.
#[wavetank::test(seeds = 300, sometimes = "required")]
fn sessions_work_after_any_faults(sim: &mut Sim) {
    sim.faults(Faults::all().begin_max(10 * SECOND).last_max(100 * SECOND));
    sim.time_limit(Duration::from_secs(20_000));
    sessions_until_one_works(sim);
}

/// The same where the server crashes and forgets, and connections are half-open for good.
#[wavetank::test(seeds = 300, sometimes = "required")]
fn sessions_work_after_crashes_and_forgotten_connections(sim: &mut Sim) {
    sim.faults(
        Faults::none().crashes().half_open().lossy_links().begin_max(5 * SECOND).last_max(100 * SECOND),
    );
    sim.time_limit(Duration::from_secs(20_000));
    sessions_until_one_works(sim);
}

/// Keepalive finds a peer that vanished, and every waiting call ends.
#[wavetank::test(seeds = 60)]
fn keepalive_finds_a_silent_peer(sim: &mut Sim) {
    let awkward = sim.choose("awkward", 2) == 1;
    pair_with(
        sim,
        Config::default(),
        Transports { awkward, ..Transports::default() },
        async move |end| {
            let mut stream = end.session.open().await.expect("a stream");
            body::write(&mut stream, 0, 0..1, 1).await.1.expect("written");
            body::read(&mut stream, 1, 0, 1).await.1.expect("accepted");
            end.host.inject().forget("client", "server");
            let start = end.now();
            let error = body::read(&mut stream, 0, 0, 1).await.1.expect_err("no peer is there");
            assert!(matches!(read_error(&error), ReadError::Closed(_)), "{error}");
            let closed = end.session.closed().await;
            assert!(matches!(closed.cause, Cause::KeepaliveTimeout { .. }), "{closed}");
            let took = end.now() - start;
            // A transport that makes the ping wait must not pass for a sign of the peer.
            let slack = if awkward { 10 * SECOND } else { SOON };
            assert!(took >= 50 * SECOND && took <= 60 * SECOND + slack, "{took:?}");
        },
        async |end| {
            let mut stream = end.session.accept().await.expect("a stream");
            body::write(&mut stream, 1, 0..1, 1).await.1.expect("written");
            end.session.closed().await;
        },
    );
}

/// Adds two hosts with a session. Behind the first `taken` bytes, writing fails for the client, and reading goes on.
fn unwritable(
    sim: &mut Sim,
    taken: usize,
    client: impl AsyncFnOnce(End) + 'static,
    server: impl AsyncFn(End) + 'static,
) {
    sim.server("server", async move |host: Host| {
        let transport = network::accept(&host, SocketOptions::new()).await?;
        server(end(host, Side::Server, transport, Config::default())).await;
        wavetank::Ok(())
    });
    sim.client("client", async move |host: Host| {
        let transport = Unwritable::after(taken, network::connect(&host, SocketOptions::new()).await?);
        client(end(host, Side::Client, transport, Config::default())).await;
        wavetank::Ok(())
    });
}

/// A stream whose shutdown succeeds is read to its end by the peer.
#[wavetank::test(seeds = 100, sometimes = "required")]
fn a_shutdown_fails_unless_fin_was_written(sim: &mut Sim) {
    const BODY: u64 = 10_000;
    // Where it is most, everything is written.
    let taken = 500 * sim.choose("taken, in pieces of 500 B", 24) as usize;
    let read_by_server = Cell::new();
    let whole = read_by_server.clone();
    unwritable(
        sim,
        taken,
        async move |end| {
            let Ok(mut stream) = end.session.open().await else { return };
            let (_, written) = body::write(&mut stream, 0, 0..BODY, 3000).await;
            let result = match written {
                Ok(()) => stream.shutdown().await,
                Err(error) => Err(error),
            };
            if let Err(error) = result {
                sometimes!(true, "writing fails");
                assert!(matches!(write_error(&error), WriteError::Closed(_)), "{error}");
                let closed = end.session.closed().await;
                assert!(matches!(closed.cause, Cause::Io { .. }), "{closed}");
            } else {
                sometimes!(true, "FIN is written");
                end.sleep(SOON).await;
                assert_eq!(whole.get(), Some(BODY), "the server has read all of it, and the end");
            }
        },
        async move |end| {
            let Ok(mut stream) = end.session.accept().await else { return };
            let (read, result) = body::read(&mut stream, 0, 0, BODY + 1).await;
            if result.is_ok() {
                read_by_server.set(read);
            }
            end.session.closed().await;
        },
    );
}

/// Where only writing has failed, a read still ends at its deadline, and before the session.
#[wavetank::test(seeds = 60)]
fn read_deadlines_hold_after_a_failed_write(sim: &mut Sim) {
    // Enough for the opening.
    unwritable(
        sim,
        100,
        async |end| {
            let mut stream = end.session.open().await.expect("a stream");
            let deadline = end.now() + 2 * SECOND;
            stream.set_read_deadline(Some(deadline));
            body::write(&mut stream, 0, 0..1000, 1000).await.1.expect("it waits for the transport");
            let error = body::read(&mut stream, 0, 0, 1).await.1.expect_err("nothing comes");
            assert_eq!(read_error(&error), ReadError::TimedOut);
            assert!(end.now() - deadline <= SOON, "{:?}", end.now() - deadline);
            let closed = end.session.closed().await;
            assert!(matches!(closed.cause, Cause::Io { .. }), "{closed}");
        },
        async |end| {
            let _stream = end.session.accept().await;
            end.session.closed().await;
        },
    );
}
