//! Frames that no peer should send, to sessions of threads.

use std::io::Read as _;

use wavetank::runtime::SocketOptions;
use wavetank::{Host, Sim};
use wavetank_multiplexer::{Cause, Config, LocalReset, ReadError, ResetCode, WriteError};
use wavetank_sim_tests::multiplexer::frames::{self, FIN, GO_AWAY, PING, SYN, WINDOW_UPDATE, control};
use wavetank_sim_tests::multiplexer::half_closed::half_closed;
use wavetank_sim_tests::multiplexer::scripts::{self, oddities, violations};
use wavetank_sim_tests::multiplexer::{Monitor, body, network};

use super::world::{End, SECOND, SOON, read_error, write_error};

/// Runs a session of threads as server against a script as client.
fn scripted(
    sim: &mut Sim,
    script: impl AsyncFnOnce(scripts::Script<Host>) + 'static,
    server: impl Fn(End) + 'static,
) {
    sim.server_thread("server", move |host: Host| {
        let transport = network::accept_blocking(&host, SocketOptions::new())?;
        // The monitor holds a peer to the rules, too, which a script is here to break: ours is watched by the script.
        let session = wavetank_multiplexer::blocking::Session::server(host, transport, Config::default())?;
        server(End { host, session, monitor: Monitor::new("nothing") });
        wavetank::Ok(())
    });
    sim.client("client", async move |host: Host| {
        let stream = network::connect(&host, SocketOptions::new()).await?;
        script(scripts::Script { host, stream }).await;
        wavetank::Ok(())
    });
}

#[wavetank::test(seeds = 100)]
fn violations_end_the_session_with_go_away(sim: &mut Sim) {
    let all = violations();
    let (name, bytes) = all[sim.choose("violation", all.len() as u32) as usize].clone();
    scripted(
        sim,
        async move |mut script| {
            script.send(&control(WINDOW_UPDATE, SYN, 1, 0)).await;
            script.send(&bytes).await;
            assert_eq!(script.until_the_end().await, [1], "{name}");
        },
        move |end| {
            let stream = end.session.accept();
            let closed = end.session.wait_closed();
            assert!(matches!(closed.cause, Cause::Violation(_)), "{name}: {closed}");
            if let Ok(mut stream) = stream {
                let error = stream.read_to_end(&mut Vec::new()).expect_err("no FIN");
                assert!(matches!(read_error(&error), ReadError::Closed(_)), "{name}");
            }
        },
    );
}

#[wavetank::test(seeds = 100)]
fn odd_frames_do_not_end_the_session(sim: &mut Sim) {
    let all = oddities();
    let (name, bytes) = all[sim.choose("oddity", all.len() as u32) as usize].clone();
    scripted(
        sim,
        async move |mut script| {
            script.send(&control(WINDOW_UPDATE, SYN, 1, 0)).await;
            script.send(&bytes).await;
            script.send(&frames::data(FIN, 1, b"still here")).await;
            let mut answer = Vec::new();
            while let Some((header, payload)) = script.frame().await {
                if header.stream == 1 {
                    answer.extend(payload);
                    if header.has(FIN) {
                        break;
                    }
                }
            }
            assert_eq!(answer, b"still here", "{name}");
            script.send(&control(GO_AWAY, 0, 0, 0)).await;
        },
        |end| {
            let mut stream = end.session.accept().expect("a stream");
            assert_eq!(stream.id(), 1);
            body::echo_blocking(&mut stream).expect("echoed");
            stream.close_write().expect("the stream is open");
            drop(stream);
            end.session.wait_closed();
        },
    );
}

/// Pings that are not read while they come: few pongs are kept, and what is behind them gets through.
#[wavetank::test(seeds = 20)]
fn a_flood_of_pings_takes_no_memory(sim: &mut Sim) {
    scripted(
        sim,
        async |mut script| {
            script.send(&control(PING, SYN, 0, 3).repeat(20_000)).await;
            script.send(&frames::data(SYN | FIN, 1, b"behind")).await;
            while let Some((header, _)) = script.frame().await {
                if header.stream == 1 && header.has(FIN) {
                    break;
                }
            }
            script.send(&control(GO_AWAY, 0, 0, 0)).await;
        },
        |end| {
            let mut stream = end.session.accept().expect("a stream behind the pings");
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).expect("read");
            assert_eq!(bytes, b"behind");
            let pending = end.session.statistics().pending_bytes;
            assert!(pending <= 1000, "{pending} bytes wait for the peer");
            stream.close_write().expect("the stream is open");
            drop(stream);
            end.session.wait_closed();
        },
    );
}

/// FIN and RST that ride on a window update are seen, with the code of the RST.
#[wavetank::test(seeds = 60)]
fn fin_and_rst_on_window_updates_count(sim: &mut Sim) {
    scripted(
        sim,
        async |script| script.ends_on_window_updates().await,
        |end| {
            let mut read = Vec::new();
            loop {
                let mut stream = end.session.accept().expect("a stream");
                let mut bytes = Vec::new();
                let result = stream.read_to_end(&mut bytes);
                if stream.id() == 3 {
                    let error = result.expect_err("a reset is no end");
                    assert_eq!(read_error(&error), ReadError::Reset(ResetCode::new(7)));
                } else {
                    assert!(result.is_ok(), "{result:?}");
                    stream.close_write().expect("the stream is open");
                }
                read.push((stream.id(), bytes));
                if stream.id() == 5 {
                    break;
                }
            }
            assert_eq!(read[0], (1, b"one".to_vec()));
            assert_eq!(read.last(), Some(&(5, b"three".to_vec())));
            end.session.wait_closed();
        },
    );
}

/// Streams that are opened and reset at once are counted: more than the limit end the session, with GoAway.
#[wavetank::test(seeds = 30)]
fn rapid_resets_end_the_session(sim: &mut Sim) {
    scripted(
        sim,
        async |script| script.resets_rapidly().await,
        |end| {
            let closed = end.session.wait_closed();
            assert!(matches!(closed.cause, Cause::Violation(_)), "{closed}");
            let counts = end.session.statistics();
            assert_eq!((counts.streams, counts.backlog), (0, 0), "{counts:?}");
        },
    );
}

/// A peer grants credit and reads nothing, so that the transport is full: closing takes no longer than its timeout.
#[wavetank::test(seeds = 60)]
fn closing_ends_beside_a_stuck_peer(sim: &mut Sim) {
    scripted(
        sim,
        async |script| script.grants_and_reads_nothing(30 * SECOND).await,
        |end| {
            let mut stream = end.session.accept().expect("a stream");
            stream.set_write_deadline(Some(end.now() + SECOND));
            let (_, result) = body::write_blocking(&mut stream, 0, 0..32 << 20, 100_000);
            assert_eq!(write_error(&result.expect_err("the transport is full")), WriteError::TimedOut);
            let start = end.now();
            let closed = end.session.close();
            let took = end.now() - start;
            assert!(took >= 4 * SECOND && took <= 5 * SECOND + SOON, "{took:?}");
            assert_eq!(closed.cause, Cause::Local);
            let (_, result) = body::write_blocking(&mut stream, 0, 0..1, 1);
            assert!(matches!(write_error(&result.expect_err("the end")), WriteError::Closed(_)));
        },
    );
}

/// As for tasks.
#[wavetank::test(seeds = 60)]
fn only_departed_readers_end_a_writer(sim: &mut Sim) {
    let peers = half_closed();
    let peer = peers[sim.choose("peer", peers.len() as u32) as usize].clone();
    scripted(
        sim,
        async move |script| script.half_closes(peer).await,
        |end| {
            let mut stream = end.session.accept().expect("a stream");
            let (_, result) = body::write_blocking(&mut stream, 0, 0..32 << 20, 64 << 10);
            let error = write_error(&result.expect_err("no thread reads"));
            assert_eq!(error, WriteError::ResetHere(LocalReset::NoCredit));
            end.session.wait_closed();
        },
    );
}
