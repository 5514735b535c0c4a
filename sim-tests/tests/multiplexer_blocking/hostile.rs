//! Frames that no peer should send, to sessions of threads.

use std::io::Read as _;

use wavetank::runtime::SocketOptions;
use wavetank::{Host, Sim};
use wavetank_multiplexer::{Cause, Config, ReadError};
use wavetank_sim_tests::multiplexer::frames::{self, FIN, GO_AWAY, PING, SYN, WINDOW_UPDATE, control};
use wavetank_sim_tests::multiplexer::scripts::{self, oddities, violations};
use wavetank_sim_tests::multiplexer::{Monitor, body, network};

use super::world::{End, read_error};

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
        script(scripts::Script { stream }).await;
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
