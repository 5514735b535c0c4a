//! Peers that are gone without a word: half-open connections, idle and busy; and pongs that come late.

use std::io::ErrorKind;

use wavetank::runtime::Runtime;
use wavetank::{Host, Sim, sometimes};
use wavetank_sim_tests::websocket::frames::{self, CLOSE, PING, PONG};
use wavetank_sim_tests::websocket::{Peer, scripts};
use wavetank_websocket::{Cause, CloseCode};

use super::world::{
    MILLISECOND, SECOND, SLACK, Witness, all_callers, config, connect, in_time, keepalive, now, server,
    slack, sleep, spawn, within,
};

#[wavetank::test(seeds = 300, sometimes = "required", base_seed = 0xbc861b5a444758be)]
fn keepalive_finds_half_open_connections_idle_or_busy(sim: &mut Sim) {
    let one_way = sim.choose("one way", 3);
    let forget_after = SECOND / 2 * sim.choose("forget", 12);
    let busy = sim.choose("busy", 2) == 1;
    let slack = slack(sim);
    server(sim, scripts::echo);
    sim.client_thread("client", move |host: Host| {
        let socket = connect(host, keepalive(2 * SECOND, 2 * SECOND)).expect("a connection");
        let witness = Witness::new(&socket);
        let (receiver, sender) = (witness.clone(), witness.clone());
        let receiving =
            spawn(host, "receiver", move || while receiver.hear(receiver.socket.recv()).is_some() {});
        let sending = spawn(host, "sender", move || {
            while busy && sender.hear(sender.socket.send("hello")).is_some() {
                sleep(host, SECOND / 5);
            }
        });
        sleep(host, forget_after);
        match one_way {
            0 => host.inject().forget("client", "server"),
            1 => host.inject().forget_one_way("client", "server"),
            _ => host.inject().forget_one_way("server", "client"),
        }
        let closed = within(host, 4 * SECOND + slack, || socket.wait_closed());
        witness.end(&closed);
        assert!(matches!(closed.cause, Cause::KeepaliveTimeout { .. }), "{closed}");
        sometimes!(busy && forget_after > 2 * SECOND, "the connection was busy, and kept alive before");
        receiving();
        sending();
    });
}

#[wavetank::test(seeds = 200, sometimes = "required", base_seed = 0xbae96efb74f1c6cf)]
fn the_systems_timeout_finds_a_half_open_connection(sim: &mut Sim) {
    sim.user_timeout(30 * SECOND);
    server(sim, scripts::echo);
    sim.client_thread("client", move |host: Host| {
        let socket = connect(host, config()).expect("a connection");
        let witness = Witness::new(&socket);
        let receiver = witness.clone();
        let receiving =
            spawn(host, "receiver", move || while receiver.hear(receiver.socket.recv()).is_some() {});
        host.inject().forget("client", "server");
        let start = now(host);
        while witness.hear(socket.send("hello")).is_some() {
            sleep(host, SECOND);
        }
        let took = now(host) - start;
        // The system looks at its timeout when it retransmits.
        assert!(took < 60 * SECOND + SLACK, "{took:?}");
        receiving();
        let closed = socket.wait_closed();
        match closed.cause {
            Cause::Io { kind: ErrorKind::TimedOut, .. } => sometimes!(true, "the system's timeout"),
            // The system reports it once. If the sender got it, the reader finds an end.
            Cause::EndOfInput { inside_message: false } => {}
            _ => panic!("{closed}"),
        }
    });
}

#[wavetank::test(seeds = 400, sometimes = "required", base_seed = 0x4e18c00c491d3b6e)]
fn a_pong_is_either_in_time_or_late(sim: &mut Sim) {
    // The timeout is a second; a round trip takes 1 to 4 ms.
    let late = SECOND - 6 * MILLISECOND + MILLISECOND / 2 * sim.choose("late", 20);
    let closes = sim.choose("closes", 2) == 1;
    let slack = slack(sim);
    server(sim, move |mut peer: Peer<Host>| async move {
        while let Some(frame) = peer.input.frame().await? {
            match frame.opcode {
                PING => {
                    Runtime::sleep(&peer.host, late).await;
                    peer.output.send(&frames::frame(PONG, &frame.payload)).await?;
                }
                CLOSE => return scripts::say_goodbye(peer, &frame.payload).await,
                _ => {}
            }
        }
        Ok(())
    });
    sim.client_thread("client", move |host: Host| {
        let socket = connect(host, keepalive(SECOND, SECOND)).expect("a connection");
        if closes {
            let closed = all_callers(host, &socket, [2 * SECOND, 2 * SECOND], slack);
            sometimes!(
                matches!(closed.cause, Cause::KeepaliveTimeout { .. }),
                "the pong is late while we close"
            );
            sometimes!(closed.is_clean(), "the pong is early enough while we close");
            return;
        }
        let witness = Witness::new(&socket);
        sleep(host, 2 * SECOND + SECOND / 10);
        let alive = socket.statistics().latency.is_some();
        let closed = in_time(host, slack, || socket.close(CloseCode::NORMAL, ""));
        witness.end(&closed);
        let sent = closed.sent.as_ref().expect("nothing hinders our Close frame");
        if let Cause::KeepaliveTimeout { .. } = closed.cause {
            sometimes!(true, "the pong is late");
            assert_eq!(sent.code, Some(CloseCode::INTERNAL_ERROR));
        } else {
            sometimes!(alive, "the pong is early enough");
            assert_eq!(sent.code, Some(CloseCode::NORMAL), "{closed}");
        }
    });
}

#[wavetank::test(seeds = 300, sometimes = "required", base_seed = 0xaeae4dfae3350b3e)]
fn the_latest_pong_answers_earlier_pingers_too(sim: &mut Sim) {
    const PINGERS: u32 = 4;
    let pause = MILLISECOND * sim.choose("pause", 8);
    let slack = slack(sim);
    server(sim, move |peer| scripts::answer_the_latest_ping(peer, PINGERS));
    sim.client_thread("client", move |host: Host| {
        let socket = connect(host, config()).expect("a connection");
        let mut pingers = Vec::new();
        for _ in 0..PINGERS {
            let pinger = socket.clone();
            pingers.push(spawn(host, "pinger", move || pinger.ping().expect("a pong")));
            sleep(host, pause);
        }
        let latencies: Vec<_> = pingers.into_iter().map(|pinger| pinger()).collect();
        sometimes!(
            latencies.is_sorted_by(|first, then| first > then),
            "each has waited less than the one before"
        );
        let closed = in_time(host, slack, || socket.close(CloseCode::NORMAL, ""));
        assert!(closed.is_clean(), "{closed}");
    });
}
