//! Networks that fail, on threads: partitions, crashes, resets, silence, slow and lossy links.

use std::time::Duration;

use wavetank::runtime::{BlockingListener as _, ListenOptions, SocketOptions, Threads};
use wavetank::{Faults, Host, Sim, sometimes};
use wavetank_multiplexer::blocking::Session;
use wavetank_multiplexer::{Cause, Config, ReadError};
use wavetank_sim_tests::multiplexer::broken::{Trickle, Unwritable};
use wavetank_sim_tests::multiplexer::frames::{FIN, GO_AWAY, SYN, WINDOW_UPDATE, control};
use wavetank_sim_tests::multiplexer::network::{self, Side};
use wavetank_sim_tests::multiplexer::scripts::Script;
use wavetank_sim_tests::multiplexer::{body, configured};

use super::world::{End, SECOND, SOON, end, pair, read_error, spawn};

const LARGE: u64 = 2 << 20;

/// Partitions of 9 and 11 seconds only delay; one of 400 seconds ends the session, at both sides and within
/// the timeouts. In any case the bytes are a prefix without gap or repetition, and no end is invented.
#[wavetank::test(seeds = 100, sometimes = "required")]
fn a_partition_delays_or_ends_a_transfer(sim: &mut Sim) {
    let seconds = [9, 11, 400][sim.choose("partition", 3) as usize];
    let survives = seconds < 60;
    pair(
        sim,
        Config::default(),
        move |end| {
            end.host.inject().narrow("client", "server", 400_000);
            let mut stream = end.session.open().expect("a stream");
            let (host, start) = (end.host, end.now());
            let partition = spawn(host, "partition", move || {
                Threads::sleep(&host, 2 * SECOND);
                host.inject().partition("client", "server");
                Threads::sleep(&host, Duration::from_secs(seconds));
                host.inject().heal("client", "server");
            });
            let (written, result) = body::write_blocking(&mut stream, 0, 0..LARGE, 50_000);
            if survives {
                result.expect("a partition of seconds is survived");
                stream.close_write().expect("the stream is open");
                let (read, result) = body::read_blocking(&mut stream, 1, 0, 2);
                assert!(read == 1 && result.is_ok(), "{read} {result:?}");
                drop(stream);
                end.finish(60 * SECOND);
            } else {
                assert!(written < LARGE && result.is_err(), "{written}");
                let closed = end.session.wait_closed();
                let expected =
                    matches!(closed.cause, Cause::KeepaliveTimeout { .. } | Cause::TransportStall { .. });
                assert!(expected, "{closed}");
                // Two intervals with their timeouts: a ping that had to wait for the transport counts as progress.
                assert!(end.now() - start <= 125 * SECOND, "{:?}", end.now() - start);
                sometimes!(true, "the session ends");
                drop(stream);
                assert_eq!(end.session.statistics().streams_held, 0);
            }
            partition();
        },
        move |end| {
            let mut stream = end.session.accept().expect("a stream");
            let (read, result) = body::read_blocking(&mut stream, 0, 0, LARGE + 1);
            if survives {
                assert!(read == LARGE && result.is_ok(), "{read} {result:?}");
                body::write_blocking(&mut stream, 1, 0..1, 1).1.expect("written");
                stream.close_write().expect("the stream is open");
                drop(stream);
                end.ends();
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
fn use_a_session(end: &End) -> bool {
    let mut streams = Vec::new();
    for seed in 0..3 {
        let Ok(stream) = end.session.open() else { break };
        let (mut reader, mut writer) = stream.into_split();
        let writing = spawn(end.host, "writer", move || {
            body::write_blocking(&mut writer, seed, 0..150_000, 9000).1.is_ok()
                && writer.close_write().is_ok()
        });
        streams.push(move || {
            let (read, result) = body::read_blocking(&mut reader, seed, 0, 150_001);
            let whole = result.is_ok() && read == 150_000;
            // An end that comes early must be an error.
            assert!(whole || result.is_err(), "{read} {result:?}");
            writing() && whole
        });
    }
    let mut worked = streams.len() == 3;
    for stream in streams {
        worked &= stream();
    }
    let closed = end.session.close();
    assert_eq!(end.session.statistics().streams_held, 0, "{closed}");
    worked
}

/// Echoes every stream of every connection.
fn serve(host: Host) -> std::io::Result<()> {
    let listener = Threads::listen(&host, ([0, 0, 0, 0], 80).into(), ListenOptions::new())?;
    loop {
        let (transport, _) = listener.accept()?;
        let end = end(host, Side::Server, transport, Config::default())?;
        Threads::spawn(&host, "session", move || {
            let mut echoing = Vec::new();
            while let Ok(mut stream) = end.session.accept() {
                echoing.push(spawn(end.host, "echo", move || {
                    // The client may be gone.
                    if body::echo_blocking(&mut stream).is_ok() {
                        let _gone = stream.close_write();
                    }
                }));
            }
            for echo in echoing {
                echo();
            }
            let counts = end.session.statistics();
            assert_eq!((counts.streams, counts.streams_held), (0, 0), "{counts:?}");
        })?;
    }
}

fn sessions_until_one_works(sim: &mut Sim) {
    sim.time_limit(Duration::from_secs(20_000));
    sim.server_thread("server", serve);
    sim.client_thread("client", |host: Host| {
        for attempt in 0..200 {
            let Ok(transport) = network::connect_blocking(&host, SocketOptions::new()) else {
                Threads::sleep(&host, SECOND);
                continue;
            };
            let end = end(host, Side::Client, transport, Config::default()).expect("threads");
            let worked = use_a_session(&end);
            sometimes!(!worked, "a session fails");
            if worked && Threads::now(&host) >= host.inject().heals_at() {
                return Ok(());
            }
            Threads::sleep(&host, SECOND * (attempt + 1));
        }
        Err("no session works, though everything has healed")
    });
}

/// Everything that leaves hosts their memory: calls end, bytes are right or missing with an error, and once
/// everything has healed a session works.
#[wavetank::test(seeds = 200, sometimes = "required")]
fn sessions_work_after_any_faults(sim: &mut Sim) {
    sim.faults(Faults::all().begin_max(10 * SECOND).last_max(100 * SECOND));
    sessions_until_one_works(sim);
}

/// The same where the server crashes and forgets, and connections are half-open for good.
#[wavetank::test(seeds = 200, sometimes = "required")]
fn sessions_work_after_crashes_and_forgotten_connections(sim: &mut Sim) {
    sim.faults(
        Faults::none().crashes().half_open().lossy_links().begin_max(5 * SECOND).last_max(100 * SECOND),
    );
    sessions_until_one_works(sim);
}

/// Keepalive finds a peer that vanished, and every waiting call ends.
#[wavetank::test(seeds = 40)]
fn keepalive_finds_a_silent_peer(sim: &mut Sim) {
    pair(
        sim,
        Config::default(),
        |end| {
            let mut stream = end.session.open().expect("a stream");
            body::write_blocking(&mut stream, 0, 0..1, 1).1.expect("written");
            body::read_blocking(&mut stream, 1, 0, 1).1.expect("accepted");
            end.host.inject().forget("client", "server");
            let start = end.now();
            let error = body::read_blocking(&mut stream, 0, 0, 1).1.expect_err("no peer is there");
            assert!(matches!(read_error(&error), ReadError::Closed(_)), "{error}");
            let closed = end.session.wait_closed();
            assert!(matches!(closed.cause, Cause::KeepaliveTimeout { .. }), "{closed}");
            let took = end.now() - start;
            assert!(took >= 50 * SECOND && took <= 60 * SECOND + SOON, "{took:?}");
        },
        |end| {
            let mut stream = end.session.accept().expect("a stream");
            body::write_blocking(&mut stream, 1, 0..1, 1).1.expect("written");
            end.session.wait_closed();
        },
    );
}

/// Where only writing has failed, a read still ends at its deadline, and before the session. It does not spin.
#[wavetank::test(seeds = 40)]
fn read_deadlines_hold_after_a_failed_write(sim: &mut Sim) {
    sim.server_thread("server", |host: Host| {
        let transport = network::accept_blocking(&host, SocketOptions::new())?;
        let end = end(host, Side::Server, transport, Config::default())?;
        let _stream = end.session.accept();
        end.session.wait_closed();
        wavetank::Ok(())
    });
    sim.client_thread("client", |host: Host| {
        let transport = network::connect_blocking(&host, SocketOptions::new())?;
        // Enough for the opening.
        let session = Session::client(host, Unwritable::after(100, transport), Config::default())?;
        let mut stream = session.open().expect("a stream");
        let deadline = Threads::now(&host) + 2 * SECOND;
        stream.set_read_deadline(Some(deadline));
        body::write_blocking(&mut stream, 0, 0..1000, 1000).1.expect("it waits for the transport");
        let error = body::read_blocking(&mut stream, 0, 0, 1).1.expect_err("nothing comes");
        assert_eq!(read_error(&error), ReadError::TimedOut);
        let late = Threads::now(&host) - deadline;
        assert!(late <= SOON, "{late:?}");
        let closed = session.wait_closed();
        assert!(matches!(closed.cause, Cause::Io { .. }), "{closed}");
        wavetank::Ok(())
    });
}

/// A transport that takes a little in each write is alive, though the peer reads and says nothing.
#[wavetank::test(seeds = 20)]
fn a_transport_that_takes_little_is_alive(sim: &mut Sim) {
    sim.server_thread("server", |host: Host| {
        let transport = network::accept_blocking(&host, SocketOptions::new())?;
        let transport = Trickle::new(host, transport, SECOND / 10, 1000);
        let config = configured(|config| {
            config.keepalive().interval(Some(SECOND)).timeout(SECOND);
        });
        let session = Session::server(host, transport, config)?;
        let mut stream = session.accept().expect("a stream");
        body::write_blocking(&mut stream, 0, 0..200_000, 50_000).1.expect("the session lives");
        stream.close_write().expect("the session lives");
        let closed = session.wait_closed();
        assert!(closed.is_clean(), "{closed}");
        wavetank::Ok(())
    });
    sim.client("client", async |host: Host| {
        let stream = network::connect(&host, SocketOptions::new()).await?;
        let mut script = Script { host, stream };
        script.send(&control(WINDOW_UPDATE, SYN, 1, 0)).await;
        while let Some((header, _)) = script.frame().await {
            if header.has(FIN) {
                script.send(&control(GO_AWAY, 0, 0, 0)).await;
                return wavetank::Ok(());
            }
        }
        Err("no FIN".into())
    });
}
