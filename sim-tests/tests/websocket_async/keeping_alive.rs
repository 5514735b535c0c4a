//! Peers that are gone without a word: half-open connections, idle and busy; and pongs that come late.

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};
use wavetank::runtime::{Runtime, SocketOptions};
use wavetank::{Host, Sim, sometimes};
use wavetank_sim_tests::websocket::frames::{self, CLOSE, PING, PONG};
use wavetank_sim_tests::websocket::{Peer, scripts};
use wavetank_websocket::client::WebSocket;
use wavetank_websocket::{Cause, CloseCode};

use super::world::{
    SECOND, SLACK, Witness, all_callers, config, connect, connect_plainly, in_time, keepalive, patient,
    server, within,
};

#[wavetank::test(seeds = 600, sometimes = "required", base_seed = 0x81b7ebc1e86e9743)]
fn keepalive_finds_half_open_connections_idle_or_busy(sim: &mut Sim) {
    let one_way = sim.choose("one way", 3);
    let forget_after = Duration::from_millis(500) * sim.choose("forget", 12);
    let busy = sim.choose("busy", 2) == 1;
    let awkward = sim.choose("awkward", 4) == 0;
    let calm = sim.choose("calm", 2) == 1;
    sim.perturb(!calm);
    server(sim, scripts::echo);
    sim.client("client", async move |host: Host| {
        let config = keepalive(2 * SECOND, 2 * SECOND);
        let forget = async {
            host.sleep(forget_after).await;
            match one_way {
                0 => host.inject().forget("client", "server"),
                1 => host.inject().forget_one_way("client", "server"),
                _ => host.inject().forget_one_way("server", "client"),
            }
        };
        // An interval and a timeout. A write that is pending and then takes bytes is a sign of life, after which the
        // timeout begins anew. An awkward stream makes such writes, and delays the ping. So does a spurious
        // `Pending`, several times at worst.
        let longest = if calm && !awkward { 4 * SECOND + SLACK } else { 20 * SECOND };
        if awkward {
            let socket = connect(&host, config).await.expect("a connection");
            find_half_open(host, socket, busy, forget, longest).await;
        } else {
            let socket = connect_plainly(&host, config, SocketOptions::new()).await.expect("a connection");
            find_half_open(host, socket, busy, forget, longest).await;
        }
        sometimes!(busy && forget_after > 2 * SECOND, "the connection was busy, and kept alive before");
    });
}

/// Receives, and sends where `busy`, until the keepalive notices, within `longest`, that `forget` has made the
/// connection half-open.
async fn find_half_open<S: AsyncRead + AsyncWrite + Unpin + Send + 'static>(
    host: Host,
    socket: WebSocket<Host, S>,
    busy: bool,
    forget: impl Future<Output = ()>,
    longest: Duration,
) {
    let witness = Witness::new(&socket);
    let (receiver, sender) = (witness.clone(), witness.clone());
    let receiving =
        host.spawn("receiver", async move { while receiver.hear(receiver.socket.recv().await).is_some() {} });
    let sending = host.spawn("sender", async move {
        while busy && sender.hear(sender.socket.send("hello").await).is_some() {
            host.sleep(SECOND / 5).await;
        }
    });
    forget.await;
    let closed = within(host, longest, socket.closed()).await;
    witness.end(&closed);
    assert!(matches!(closed.cause, Cause::KeepaliveTimeout { .. }), "{closed}");
    receiving.await.expect("no panic");
    sending.await.expect("no panic");
}

#[wavetank::test(seeds = 450, base_seed = 0x2b6e68b45bac27f4)]
fn the_systems_timeout_finds_a_half_open_connection(sim: &mut Sim) {
    sim.user_timeout(30 * SECOND);
    server(sim, scripts::echo);
    sim.client("client", async move |host: Host| {
        let socket = connect(&host, config()).await.expect("a connection");
        let witness = Witness::new(&socket);
        let receiver = witness.clone();
        let receiving = host
            .spawn("receiver", async move { while receiver.hear(receiver.socket.recv().await).is_some() {} });
        host.inject().forget("client", "server");
        let start = host.now();
        while witness.hear(socket.send("hello").await).is_some() {
            host.sleep(SECOND).await;
        }
        let took = host.now() - start;
        // The system looks at its timeout when it retransmits.
        assert!(took < 60 * SECOND + SLACK, "{took:?}");
        receiving.await.expect("no panic");
        let closed = socket.closed().await;
        assert!(matches!(closed.cause, Cause::Io { kind: std::io::ErrorKind::TimedOut, .. }), "{closed}");
    });
}

#[wavetank::test(seeds = 900, sometimes = "required", base_seed = 0x4d692bb1ffb3e0a9)]
fn a_pong_is_either_in_time_or_late(sim: &mut Sim) {
    // The timeout is a second; a round trip takes 1 to 4 ms.
    let late = SECOND - Duration::from_millis(6) + Duration::from_micros(500) * sim.choose("late", 20);
    let closes = sim.choose("closes", 2) == 1;
    server(sim, move |mut peer: Peer<Host>| async move {
        while let Some(frame) = peer.input.frame().await? {
            match frame.opcode {
                PING => {
                    peer.host.sleep(late).await;
                    peer.output.send(&frames::frame(PONG, &frame.payload)).await?;
                }
                CLOSE => return scripts::say_goodbye(peer, &frame.payload).await,
                _ => {}
            }
        }
        Ok(())
    });
    sim.client("client", async move |host: Host| {
        let socket = connect(&host, keepalive(SECOND, SECOND)).await.expect("a connection");
        if closes {
            let closed = all_callers(&host, &socket, [2 * SECOND, 2 * SECOND]).await;
            sometimes!(
                matches!(closed.cause, Cause::KeepaliveTimeout { .. }),
                "the pong is late while we close"
            );
            sometimes!(closed.is_clean(), "the pong is early enough while we close");
            return;
        }
        let witness = Witness::new(&socket);
        host.sleep(2 * SECOND + SECOND / 10).await;
        let alive = socket.statistics().latency.is_some();
        let closed = in_time(host, socket.close(CloseCode::NORMAL, "")).await;
        witness.end(&closed);
        if let Cause::KeepaliveTimeout { .. } = closed.cause {
            sometimes!(true, "the pong is late");
            // A stream that does not take the ping does not take the Close frame either.
            let code = closed.sent.as_ref().map(|frame| frame.code);
            sometimes!(code.is_some(), "the Close frame goes out");
            assert!(code.is_none_or(|code| code == Some(CloseCode::INTERNAL_ERROR)), "{closed}");
        } else {
            sometimes!(alive, "the pong is early enough");
            assert_eq!(
                closed.sent.as_ref().and_then(|frame| frame.code),
                Some(CloseCode::NORMAL),
                "{closed}"
            );
        }
    });
}

#[wavetank::test(seeds = 600, sometimes = "required", base_seed = 0x0acb666fe215c0ed)]
fn the_latest_pong_answers_earlier_pingers_too(sim: &mut Sim) {
    const PINGERS: u32 = 4;
    let pause = Duration::from_millis(1) * sim.choose("pause", 8);
    server(sim, move |peer| scripts::answer_the_latest_ping(peer, PINGERS));
    sim.client("client", async move |host: Host| {
        let socket = connect(&host, patient()).await.expect("a connection");
        let mut pingers = Vec::new();
        for _ in 0..PINGERS {
            let pinger = socket.clone();
            pingers.push(host.spawn("pinger", async move { pinger.ping().await.expect("a pong") }));
            host.sleep(pause).await;
        }
        let mut latencies = Vec::new();
        for pinger in pingers {
            latencies.push(pinger.await.expect("no panic"));
        }
        sometimes!(
            latencies.is_sorted_by(|first, then| first > then),
            "each has waited less than the one before"
        );
        assert!(socket.close(CloseCode::NORMAL, "").await.is_clean());
    });
}
