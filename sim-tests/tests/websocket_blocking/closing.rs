//! Closing while all tasks and threads make calls, with peers that are silent, cut off, early or in the middle of a
//! message.

use std::time::Duration;

use wavetank::{Faults, Host, Sim, sometimes};
use wavetank_sim_tests::websocket::clients::closers;
use wavetank_sim_tests::websocket::frames::{self, CONTINUATION, PING, TEXT};
use wavetank_sim_tests::websocket::scripts;
use wavetank_websocket::{Cause, CloseCode, Error, Kind};

use super::world::{
    CLOSE_TIMEOUT, MILLISECOND, SECOND, all_callers, config, connect, in_time, keepalive, now, server, slack,
    sleep, spawn,
};

/// As a ping is answered: a round trip takes 4 ms at most, for 5 ms no thread may read, and timers take 2 ms more.
const LET_GO_WITHIN: Duration = Duration::from_millis(11);

#[wavetank::test(seeds = 400, sometimes = "required", base_seed = 0x10426eccb3329e2b)]
fn callers_learn_one_end_beside_a_silent_peer(sim: &mut Sim) {
    let (closers, slack) = (closers(sim), slack(sim));
    server(sim, scripts::silent);
    sim.client_thread("client", move |host| {
        let socket = connect(host, config()).expect("a connection");
        let closed = all_callers(host, &socket, closers, slack);
        assert_eq!(closed.cause, Cause::CloseTimeout { timeout: CLOSE_TIMEOUT });
        assert_eq!(closed.received, None);
        let sent = closed.sent.expect("nothing hinders our Close frame");
        sometimes!(sent.code == Some(CloseCode::NORMAL), "the first closer closes");
        sometimes!(sent.code == Some(CloseCode::GOING_AWAY), "the second closer closes");
    });
}

#[wavetank::test(seeds = 60)]
fn a_complete_closing_handshake_returns_at_once(sim: &mut Sim) {
    let by_peer = sim.choose("by the peer", 2) == 1;
    sim.perturb(false);
    server(sim, move |mut peer| async move {
        if by_peer {
            wavetank::runtime::Runtime::sleep(&peer.host, SECOND).await;
            peer.output.send(&frames::close(1001, "")).await?;
            return peer.input.end().await;
        }
        scripts::answer_close_and_stay(peer).await
    });
    sim.client_thread("client", move |host| {
        let socket = connect(host, config()).expect("a connection");
        let receiver = socket.clone();
        let receiving = spawn(host, "receiver", move || (receiver.recv(), now(host)));
        sleep(host, SECOND);
        let start = now(host);
        let closed = if by_peer { socket.wait_closed() } else { socket.close(CloseCode::NORMAL, "") };
        let took = now(host) - start;
        assert!(closed.is_clean(), "{closed}");
        let (end, at) = receiving();
        assert_eq!(end, Err(Error::Closed(closed)));
        for took in [took, at - start] {
            assert!(took <= LET_GO_WITHIN, "a call returned {took:?} after closing began");
        }
    });
}

#[wavetank::test(seeds = 300, base_seed = 0xf8d52d94a700aca9)]
fn callers_learn_one_clean_end_beside_answering_peers(sim: &mut Sim) {
    let closers = closers(sim);
    // What is delayed for long may answer after the close timeout: here nothing is.
    sim.perturb(false);
    server(sim, scripts::echo);
    sim.client_thread("client", move |host| {
        let socket = connect(host, config()).expect("a connection");
        let closed = all_callers(host, &socket, closers, 2 * MILLISECOND);
        assert!(closed.is_clean() && closed.cause == Cause::Local, "{closed}");
        assert_eq!(closed.sent, closed.received);
        let statistics = socket.statistics();
        assert_eq!(statistics.messages_received, statistics.messages_sent, "all that was sent came back");
    });
}

#[wavetank::test(seeds = 500, sometimes = "required", base_seed = 0x3ecde9a2c59bf89c)]
fn callers_learn_one_end_on_an_interrupted_network(sim: &mut Sim) {
    let (closers, slack) = (closers(sim), slack(sim));
    sim.faults(
        Faults::none().partitions().silence().paused_links().resets().half_open().begin_max(6 * SECOND),
    );
    server(sim, scripts::echo);
    sim.client_thread("client", move |host| {
        // It may be interrupted before the connection is open.
        let Ok(socket) = connect(host, config()) else { return };
        let closed = all_callers(host, &socket, closers, slack);
        sometimes!(closed.is_clean(), "a clean end");
        sometimes!(matches!(closed.cause, Cause::CloseTimeout { .. }), "no answer to our Close");
        sometimes!(matches!(closed.cause, Cause::Io { .. }), "a reset");
    });
}

#[wavetank::test(seeds = 500, sometimes = "required", base_seed = 0xcfa70fdc7398964b)]
fn all_learn_the_same_end_under_any_faults(sim: &mut Sim) {
    let (closers, slack) = (closers(sim), slack(sim));
    let calm = 60 * SECOND;
    sim.faults(Faults::all().half_open().crashes().begin_max(6 * SECOND).until(calm));
    server(sim, scripts::echo);
    sim.client_thread("client", move |host| {
        let Ok(socket) = connect(host, keepalive(SECOND, SECOND)) else { return };
        // The host itself may be held up until then.
        let closed = all_callers(host, &socket, closers, slack + calm);
        sometimes!(closed.is_clean(), "a clean end");
        sometimes!(matches!(closed.cause, Cause::CloseTimeout { .. }), "no answer to our Close");
        sometimes!(matches!(closed.cause, Cause::KeepaliveTimeout { .. }), "no answer to a ping");
        sometimes!(matches!(closed.cause, Cause::EndOfInput { .. }), "a server that is killed");
        sometimes!(matches!(closed.cause, Cause::Io { .. }), "a reset");
    });
}

#[wavetank::test(seeds = 300, sometimes = "required", base_seed = 0xa915f446069a4fd8)]
fn closing_ends_in_time_around_a_network_cut(sim: &mut Sim) {
    // Around the moment at which we close, in steps of half a latency.
    let cut_after = SECOND - 5 * MILLISECOND + MILLISECOND / 2 * sim.choose("cut", 30);
    let heals = sim.choose("heals", 2) == 1;
    let slack = slack(sim);
    server(sim, scripts::echo);
    sim.client_thread("client", move |host| {
        let socket = connect(host, config()).expect("a connection");
        let cut = spawn(host, "cut", move || {
            sleep(host, cut_after);
            host.inject().partition("client", "server");
            if heals {
                sleep(host, 2 * SECOND);
                host.inject().heal("client", "server");
            }
        });
        let closed = all_callers(host, &socket, [SECOND, SECOND], slack);
        cut();
        sometimes!(heals && closed.is_clean(), "a partition that heals in time");
        sometimes!(!heals && closed.is_clean(), "a partition that comes too late");
        sometimes!(closed.received.is_none(), "no answer to our Close");
        assert!(matches!(closed.cause, Cause::Local | Cause::CloseTimeout { .. }), "{closed}");
    });
}

#[wavetank::test(seeds = 300, sometimes = "required", base_seed = 0xeac30e13f3adba95)]
fn the_first_of_ping_timeout_and_closing_decides(sim: &mut Sim) {
    // The automatic ping is sent after 1 s and times out after another.
    let close_after = 2 * SECOND - 20 * MILLISECOND + MILLISECOND * sim.choose("close", 40);
    let slack = slack(sim);
    server(sim, scripts::silent);
    sim.client_thread("client", move |host| {
        let socket = connect(host, keepalive(SECOND, SECOND)).expect("a connection");
        let closed = all_callers(host, &socket, [close_after, close_after], slack);
        let timed_out = matches!(closed.cause, Cause::KeepaliveTimeout { .. });
        sometimes!(timed_out, "the ping is first");
        sometimes!(!timed_out, "closing is first");
        assert!(timed_out || matches!(closed.cause, Cause::CloseTimeout { .. }), "{closed}");
        let sent = closed.sent.expect("nothing hinders our Close frame");
        assert_eq!(sent.code == Some(CloseCode::INTERNAL_ERROR), timed_out);
    });
}

#[wavetank::test(seeds = 300, sometimes = "required")]
fn both_sides_close_at_once(sim: &mut Sim) {
    let apart = Duration::from_micros(250) * sim.choose("apart", 16);
    sim.perturb(false);
    server(sim, move |peer| async move {
        wavetank::runtime::Runtime::sleep(&peer.host, apart).await;
        scripts::close_first(peer, 4000).await
    });
    sim.client_thread("client", move |host| {
        let socket = connect(host, config()).expect("a connection");
        let closed = all_callers(host, &socket, [2 * MILLISECOND; 2], 2 * MILLISECOND);
        assert_eq!(closed.code(), 4000, "{closed}");
        assert!(closed.is_clean(), "{closed}");
        sometimes!(closed.cause == Cause::Local, "we are first");
        sometimes!(closed.cause == Cause::Peer, "the peer is first");
    });
}

#[wavetank::test(seeds = 600, sometimes = "required", base_seed = 0x3accac40cdce67db)]
fn a_reset_after_the_peers_close_is_clean(sim: &mut Sim) {
    let slack = slack(sim);
    server(sim, scripts::answer_close_and_reset);
    sim.client_thread("client", move |host: Host| {
        let socket = connect(host, config()).expect("a connection");
        let closed = all_callers(host, &socket, [SECOND, SECOND], slack);
        assert!(closed.received.is_none() || closed.is_clean(), "{closed}");
        sometimes!(closed.is_clean(), "the answer is read before the reset");
    });
}

#[wavetank::test(seeds = 300, base_seed = 0xeb3cb900de1428a1)]
fn a_close_between_fragments_discards_the_message(sim: &mut Sim) {
    let whole = sim.choose("messages before", 3) as usize;
    let pause = MILLISECOND * sim.choose("pause", 3);
    let slack = slack(sim);
    server(sim, move |mut peer| async move {
        let mut bytes = frames::frame(TEXT, b"whole").repeat(whole);
        bytes.extend(frames::fragment(TEXT, false, b"the beginning"));
        bytes.extend(frames::frame(PING, b"between"));
        bytes.extend(frames::fragment(CONTINUATION, false, b" and the middle"));
        peer.output.send(&bytes).await?;
        wavetank::runtime::Runtime::sleep(&peer.host, pause).await;
        scripts::close_first(peer, 1001).await
    });
    sim.client_thread("client", move |host| {
        let socket = connect(host, config()).expect("a connection");
        for _ in 0..whole {
            assert_eq!(socket.recv().expect("a whole message").as_text(), Some("whole"));
        }
        let Err(Error::Closed(closed)) = in_time(host, slack, || socket.recv()) else {
            panic!("a part of a message")
        };
        assert_eq!(closed.code(), 1001, "{closed}");
        assert!(closed.is_clean(), "{closed}");
    });
}

#[wavetank::test(seeds = 300, sometimes = "required", base_seed = 0x67a9ea059fab575c)]
fn closing_between_sent_fragments_ends_the_writers_message(sim: &mut Sim) {
    let close_after = MILLISECOND * sim.choose("close", 8);
    sim.perturb(false);
    server(sim, scripts::echo);
    sim.client_thread("client", move |host| {
        let socket = connect(host, config()).expect("a connection");
        let closer = socket.clone();
        let closing = spawn(host, "closer", move || {
            sleep(host, close_after);
            closer.close(CloseCode::NORMAL, "")
        });
        let mut pieces = 0;
        let said = socket.send_stream(Kind::Text).and_then(|mut writer| {
            while pieces < 5 {
                writer.write(b"piece")?;
                pieces += 1;
                sleep(host, MILLISECOND);
            }
            writer.finish(b".")
        });
        sometimes!(said.is_err() && pieces > 0, "the end comes between two fragments");
        sometimes!(said.is_ok(), "the message is whole");
        let closed = closing();
        assert!(closed.is_clean() && closed.code() == 1000, "{closed}");
        if let Err(error) = said {
            assert_eq!(error, Error::Closed(closed));
        }
    });
}

#[wavetank::test(seeds = 300, sometimes = "required", base_seed = 0x52d209832f887899)]
fn pings_are_not_answered_after_our_close(sim: &mut Sim) {
    let pause = MILLISECOND / 4 * (1 + sim.choose("pause", 8));
    let longer = MILLISECOND * sim.choose("longer", 8);
    let close_after = MILLISECOND / 2 * sim.choose("close", 20);
    let slack = slack(sim);
    server(sim, move |peer| scripts::ping_on(peer, pause, longer));
    sim.client_thread("client", move |host: Host| {
        let socket = connect(host, config()).expect("a connection");
        sleep(host, close_after);
        let before = socket.statistics().pings_received;
        let closed = in_time(host, slack, || socket.close(CloseCode::NORMAL, ""));
        assert!(closed.is_clean(), "{closed}");
        sometimes!(before > 2, "pings were answered before");
    });
}

#[wavetank::test(seeds = 300, sometimes = "required", base_seed = 0xfedeacf0e5ada2bd)]
fn an_ended_connection_lets_go_of_its_stream(sim: &mut Sim) {
    let breaks_rules = sim.choose("breaks rules", 2) == 1;
    let end_after = MILLISECOND / 2 * sim.choose("end", 20);
    let receives = sim.choose("receives", 2) == 1;
    let waits = sim.choose("waits", 2) == 1;
    sim.perturb(false);
    server(sim, move |peer| scripts::end_and_wait(peer, end_after, breaks_rules, LET_GO_WITHIN));
    sim.client_thread("client", move |host: Host| {
        let socket = connect(host, keepalive(4 * SECOND, 4 * SECOND)).expect("a connection");
        let (receiver, watcher) = (socket.clone(), socket.clone());
        let receiving = spawn(host, "receiver", move || receives.then(|| receiver.recv().map(drop)));
        let watching = spawn(host, "watcher", move || waits.then(|| watcher.wait_closed()));
        sleep(host, SECOND);
        let closed = in_time(host, 2 * MILLISECOND, || socket.wait_closed());
        match closed.cause {
            Cause::EndOfInput { inside_message: false } => sometimes!(true, "an end without a Close"),
            Cause::Violation { .. } => sometimes!(true, "a frame that no server may send"),
            _ => panic!("{closed}"),
        }
        assert!(receiving().is_none_or(|received| received == Err(Error::Closed(closed.clone()))));
        assert!(watching().is_none_or(|told| told == closed));
    });
}
