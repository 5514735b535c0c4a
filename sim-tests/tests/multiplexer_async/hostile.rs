//! Frames that no peer should send, from a peer that is a script: each is answered as the protocol says or
//! ends the session with GoAway(1), which arrives; nothing panics, and memory stays bounded.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use wavetank::runtime::SocketOptions;
use wavetank::{Host, Sim};
use wavetank_multiplexer::{Cause, Config, GoAwayCode, LocalReset, ReadError, ResetCode, WriteError};
use wavetank_sim_tests::multiplexer::frames::{
    self, ACK, FIN, GO_AWAY, HEADER_BYTES, Header, PING, SYN, WINDOW_UPDATE, control,
};
use wavetank_sim_tests::multiplexer::half_closed::half_closed;
use wavetank_sim_tests::multiplexer::scripts::{self, oddities, violations};
use wavetank_sim_tests::multiplexer::{body, network};

use super::world::{Cell, SECOND, SOON, read_error, write_error};

type Script = scripts::Script<Host>;

/// Runs a session as server against a script as client.
fn scripted(
    sim: &mut Sim,
    config: Config,
    script: impl AsyncFnOnce(Script) + 'static,
    server: impl AsyncFn(super::world::End) + 'static,
) {
    // The monitor holds a peer to the rules, too, which a script is here to break: ours is watched by the script.
    sim.server("server", async move |host: Host| {
        let transport = network::accept(&host, SocketOptions::new()).await?;
        let session = network::Side::Server.session(host, transport, config.clone());
        let monitor = wavetank_sim_tests::multiplexer::Monitor::new("nothing");
        server(super::world::End { host, session, monitor }).await;
        wavetank::Ok(())
    });
    sim.client("client", async move |host: Host| {
        let stream = network::connect(&host, SocketOptions::new()).await?;
        script(Script { host, stream }).await;
        wavetank::Ok(())
    });
}

#[wavetank::test(seeds = 200)]
fn violations_end_the_session_with_go_away(sim: &mut Sim) {
    let all = violations();
    let (name, bytes) = all[sim.choose("violation", all.len() as u32) as usize].clone();
    scripted(
        sim,
        Config::default(),
        async move |mut script| {
            script.send(&control(WINDOW_UPDATE, SYN, 1, 0)).await;
            script.send(&bytes).await;
            assert_eq!(script.until_the_end().await, [1], "{name}");
        },
        async move |end| {
            let stream = end.session.accept().await;
            let closed = end.session.closed().await;
            assert!(matches!(closed.cause, Cause::Violation(_)), "{name}: {closed}");
            if let Ok(mut stream) = stream {
                let error = tokio::io::AsyncReadExt::read_to_end(&mut stream, &mut Vec::new()).await;
                assert!(matches!(read_error(&error.expect_err("no FIN")), ReadError::Closed(_)), "{name}");
            }
        },
    );
}

#[wavetank::test(seeds = 200)]
fn odd_frames_do_not_end_the_session(sim: &mut Sim) {
    let all = oddities();
    let (name, bytes) = all[sim.choose("oddity", all.len() as u32) as usize].clone();
    scripted(
        sim,
        Config::default(),
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
        async move |end| {
            let mut stream = end.session.accept().await.expect("a stream");
            assert_eq!(stream.id(), 1);
            body::echo(&mut stream).await.expect("echoed");
            drop(stream);
            end.session.closed().await;
        },
    );
}

/// FIN and RST that ride on a window update are seen, with the code of the RST.
#[wavetank::test(seeds = 60)]
fn fin_and_rst_on_window_updates_count(sim: &mut Sim) {
    scripted(
        sim,
        Config::default(),
        async |script| script.ends_on_window_updates().await,
        async |end| {
            let mut read = Vec::new();
            loop {
                let mut stream = end.session.accept().await.expect("a stream");
                let mut bytes = Vec::new();
                let result = stream.read_to_end(&mut bytes).await;
                if stream.id() == 3 {
                    assert_eq!(
                        read_error(&result.expect_err("a reset is no end")),
                        ReadError::Reset(ResetCode::new(7))
                    );
                } else {
                    assert!(result.is_ok(), "{result:?}");
                    stream.shutdown().await.expect("finished");
                }
                read.push((stream.id(), bytes));
                if stream.id() == 5 {
                    break;
                }
            }
            assert_eq!(read[0], (1, b"one".to_vec()));
            assert_eq!(read.last(), Some(&(5, b"three".to_vec())));
            end.session.closed().await;
        },
    );
}

/// Pings that are never read: few pongs are kept, reading continues, and everything else gets through at the end.
#[wavetank::test(seeds = 30)]
fn a_flood_of_pings_takes_no_memory(sim: &mut Sim) {
    let seen = Cell::new();
    let done = seen.clone();
    scripted(
        sim,
        Config::default(),
        async move |mut script| {
            script.send(&control(PING, SYN, 0, 3).repeat(20_000)).await;
            script.send(&frames::data(SYN | FIN, 1, b"behind")).await;
            let host_waits = 60;
            for _ in 0..host_waits {
                if done.get().is_some() {
                    break;
                }
                tokio::task::yield_now().await;
            }
            let mut pongs = 0;
            let mut header = [0; HEADER_BYTES];
            while script.stream.read_exact(&mut header).await.is_ok() {
                let header = Header::decode(header);
                pongs += u32::from(header.kind == PING && header.has(ACK));
                if header.stream == 1 && header.has(FIN) {
                    break;
                }
            }
            assert!(pongs > 0, "the latest is answered");
            script.send(&control(GO_AWAY, 0, 0, 0)).await;
        },
        async move |end| {
            let mut stream = end.session.accept().await.expect("a stream behind the pings");
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).await.expect("read");
            assert_eq!(bytes, b"behind");
            let pending = end.session.statistics().pending_bytes;
            assert!(pending <= 1000, "{pending} bytes wait for the peer");
            seen.set(());
            stream.shutdown().await.expect("finished");
            drop(stream);
            end.session.closed().await;
        },
    );
}

/// Streams that are opened and reset at once are counted: more than the limit end the session, with GoAway.
#[wavetank::test(seeds = 30)]
fn rapid_resets_end_the_session(sim: &mut Sim) {
    scripted(
        sim,
        Config::default(),
        async |script| script.resets_rapidly().await,
        async |end| {
            let closed = end.session.closed().await;
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
        Config::default(),
        async |script| script.grants_and_reads_nothing(30 * SECOND).await,
        async |end| {
            let mut stream = end.session.accept().await.expect("a stream");
            stream.set_write_deadline(Some(end.now() + SECOND));
            let (_, result) = body::write(&mut stream, 0, 0..32 << 20, 100_000).await;
            assert_eq!(write_error(&result.expect_err("the transport is full")), WriteError::TimedOut);
            let start = end.now();
            let closed = end.session.close().await;
            let took = end.now() - start;
            assert!(took >= 4 * SECOND && took <= 5 * SECOND + SOON, "{took:?}");
            assert_eq!(closed.cause, Cause::Local);
            let (_, result) = body::write(&mut stream, 0, 0..1, 1).await;
            assert!(matches!(write_error(&result.expect_err("the end")), WriteError::Closed(_)));
        },
    );
}

/// A peer that says GoAway with an error is believed.
#[wavetank::test(seeds = 30)]
fn go_away_with_an_error_ends_everything(sim: &mut Sim) {
    scripted(
        sim,
        Config::default(),
        async |mut script| {
            script.send(&control(WINDOW_UPDATE, SYN, 1, 0)).await;
            script.send(&control(GO_AWAY, 0, 0, 1)).await;
            let _codes = script.until_the_end().await;
        },
        async |end| {
            let closed = end.session.closed().await;
            assert_eq!(closed.cause, Cause::PeerError { code: GoAwayCode::ProtocolError });
        },
    );
}

/// A peer that opens a stream and sends half a frame, slowly, keeps the session alive and nothing else waiting.
#[wavetank::test(seeds = 30)]
fn a_frame_may_come_byte_by_byte(sim: &mut Sim) {
    scripted(
        sim,
        Config::default(),
        async |mut script| {
            let frame = [frames::data(SYN, 1, b"slow"), control(WINDOW_UPDATE, FIN, 1, 0)].concat();
            for byte in frame {
                script.send(&[byte]).await;
            }
            while let Some((header, _)) = script.frame().await {
                if header.has(FIN) {
                    break;
                }
            }
            script.send(&control(GO_AWAY, 0, 0, 0)).await;
        },
        async |end| {
            let mut stream = end.session.accept().await.expect("a stream");
            let mut bytes = Vec::new();
            stream.read_to_end(&mut bytes).await.expect("read");
            assert_eq!(bytes, b"slow");
            stream.shutdown().await.expect("finished");
            drop(stream);
            let start = end.now();
            end.session.closed().await;
            assert!(end.now() - start <= Duration::from_secs(6) + SOON + SECOND);
        },
    );
}

/// A peer has sent FIN and knows no extension. As long as it reads, however slowly, our writer goes on; when it has
/// stopped, the writer fails.
#[wavetank::test(seeds = 100)]
fn only_departed_readers_end_a_writer(sim: &mut Sim) {
    let peers = half_closed();
    let peer = peers[sim.choose("peer", peers.len() as u32) as usize].clone();
    scripted(
        sim,
        Config::default(),
        async move |script| script.half_closes(peer).await,
        async |end| {
            let mut stream = end.session.accept().await.expect("a stream");
            let (_, result) = body::write(&mut stream, 0, 0..32 << 20, 64 << 10).await;
            let error = write_error(&result.expect_err("no task reads"));
            assert_eq!(error, WriteError::ResetHere(LocalReset::NoCredit));
            end.session.closed().await;
        },
    );
}
