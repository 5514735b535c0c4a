//! Closing while all tasks and threads make calls, with peers that are silent, cut off, early or in the middle of a
//! message.

use std::time::Duration;

use wavetank::runtime::{Runtime, SocketOptions};
use wavetank::{Faults, Host, Sim, sometimes};
use wavetank_sim_tests::websocket::clients::closers;
use wavetank_sim_tests::websocket::frames::{self, CONTINUATION, PING, TEXT};
use wavetank_sim_tests::websocket::scripts;
use wavetank_websocket::{Cause, CloseCode, Error, Kind};

use super::world::{
    CLOSE_TIMEOUT, SECOND, all_callers, all_callers_delayed, config, connect, connect_plainly, in_time,
    keepalive, patient, server,
};

/// As a ping is answered: a round trip takes 4 ms at most, and the driver looks after the stream every 5 ms at least.
const LET_GO_WITHIN: Duration = Duration::from_millis(14);

#[wavetank::test(seeds = 750, sometimes = "required", base_seed = 0x74d864f394f334cc)]
fn callers_learn_one_end_beside_a_silent_peer(sim: &mut Sim) {
    let closers = closers(sim);
    // A task that is delayed for as long as closing may take proves nothing.
    sim.delay_max(Duration::from_millis(100));
    server(sim, scripts::silent);
    sim.client("client", async move |host| {
        let socket = connect(&host, config()).await.expect("a connection");
        let closed = all_callers(&host, &socket, closers).await;
        assert_eq!(closed.cause, Cause::CloseTimeout { timeout: CLOSE_TIMEOUT });
        assert_eq!(closed.received, None);
        let code = closed.sent.and_then(|frame| frame.code).expect("nothing hinders our Close frame");
        sometimes!(code == CloseCode::NORMAL, "the first closer closes");
        sometimes!(code == CloseCode::GOING_AWAY, "the second closer closes");
    });
}

#[wavetank::test(seeds = 100)]
fn a_complete_closing_handshake_returns_at_once(sim: &mut Sim) {
    let by_peer = sim.choose("by the peer", 2) == 1;
    sim.perturb(false);
    server(sim, move |mut peer| async move {
        if by_peer {
            peer.host.sleep(SECOND).await;
            peer.output.send(&frames::close(1001, "")).await?;
            return peer.input.end().await;
        }
        scripts::answer_close_and_stay(peer).await
    });
    sim.client("client", async move |host: Host| {
        let options = SocketOptions::new();
        let socket = connect_plainly(&host, config(), options).await.expect("a connection");
        let receiver = socket.clone();
        let receiving = host.spawn("receiver", async move { (receiver.recv().await, host.now()) });
        host.sleep(SECOND).await;
        let start = host.now();
        let closed = if by_peer { socket.closed().await } else { socket.close(CloseCode::NORMAL, "").await };
        let took = host.now() - start;
        assert!(closed.is_clean(), "{closed}");
        let (end, at) = receiving.await.expect("no panic");
        assert_eq!(end, Err(Error::Closed(closed)));
        for took in [took, at - start] {
            assert!(took <= LET_GO_WITHIN, "a call returned {took:?} after closing began");
        }
    });
}

#[wavetank::test(seeds = 750, base_seed = 0x6db252798d8dd066)]
fn callers_learn_one_clean_end_beside_answering_peers(sim: &mut Sim) {
    let closers = closers(sim);
    // What was delayed for long may answer after the close timeout: here nothing is.
    sim.perturb(false);
    server(sim, scripts::echo);
    sim.client("client", async move |host| {
        let socket = connect(&host, config()).await.expect("a connection");
        let closed = all_callers(&host, &socket, closers).await;
        assert!(closed.is_clean() && closed.cause == Cause::Local, "{closed}");
        assert_eq!(closed.sent, closed.received);
        let statistics = socket.statistics();
        assert_eq!(statistics.messages_received, statistics.messages_sent, "all that was sent came back");
    });
}

#[wavetank::test(seeds = 1200, sometimes = "required", base_seed = 0x45e457a909a56f7f)]
fn callers_learn_one_end_on_an_interrupted_network(sim: &mut Sim) {
    let closers = closers(sim);
    sim.faults(
        Faults::none().partitions().silence().paused_links().resets().half_open().begin_max(6 * SECOND),
    );
    server(sim, scripts::echo);
    sim.client("client", async move |host| {
        // It may be interrupted before the connection is open.
        let Ok(socket) = connect(&host, config()).await else { return };
        let closed = all_callers(&host, &socket, closers).await;
        sometimes!(closed.is_clean(), "a clean end");
        sometimes!(matches!(closed.cause, Cause::CloseTimeout { .. }), "no answer to our Close");
        sometimes!(matches!(closed.cause, Cause::Io { .. }), "a reset");
        sometimes!(
            closed.cause == Cause::Local && !closed.is_clean()
                || matches!(closed.cause, Cause::CloseTimeout { .. }),
            "an end by us that is not clean"
        );
    });
}

#[wavetank::test(seeds = 900, sometimes = "required", base_seed = 0xb268086333d4b3e8)]
fn all_learn_the_same_end_under_any_faults(sim: &mut Sim) {
    let closers = closers(sim);
    let calm = 60 * SECOND;
    sim.faults(Faults::all().half_open().crashes().begin_max(6 * SECOND).until(calm));
    server(sim, scripts::echo);
    sim.client("client", async move |host| {
        let Ok(socket) = connect(&host, keepalive(SECOND, SECOND)).await else { return };
        let closed = all_callers_delayed(&host, &socket, closers, calm).await;
        sometimes!(closed.is_clean(), "a clean end");
        sometimes!(matches!(closed.cause, Cause::CloseTimeout { .. }), "no answer to our Close");
        sometimes!(matches!(closed.cause, Cause::KeepaliveTimeout { .. }), "no answer to a ping");
        sometimes!(matches!(closed.cause, Cause::EndOfInput { .. }), "a server that is killed");
        sometimes!(matches!(closed.cause, Cause::Io { .. }), "a reset");
    });
}

#[wavetank::test(seeds = 900, sometimes = "required", base_seed = 0x942662230c51946f)]
fn closing_ends_in_time_around_a_network_cut(sim: &mut Sim) {
    // Around the moment at which we close, in steps of half a latency.
    let cut_after = SECOND - Duration::from_millis(5) + Duration::from_micros(500) * sim.choose("cut", 30);
    let heals = sim.choose("heals", 2) == 1;
    server(sim, scripts::echo);
    sim.client("client", async move |host| {
        let socket = connect(&host, config()).await.expect("a connection");
        let opened = host.now();
        let cut = host.spawn("cut", async move {
            host.sleep_until(opened + cut_after).await;
            host.inject().partition("client", "server");
            if heals {
                host.sleep(2 * SECOND).await;
                host.inject().heal("client", "server");
            }
        });
        let closed = all_callers(&host, &socket, [SECOND, SECOND]).await;
        cut.await.expect("no panic");
        sometimes!(heals && closed.is_clean(), "a partition that heals in time");
        sometimes!(!heals && closed.is_clean(), "a partition that comes too late");
        sometimes!(closed.received.is_none(), "no answer to our Close");
        assert!(matches!(closed.cause, Cause::Local | Cause::CloseTimeout { .. }), "{closed}");
    });
}

#[wavetank::test(seeds = 900, sometimes = "required", base_seed = 0xa80701821725d156)]
fn the_first_of_ping_timeout_and_closing_decides(sim: &mut Sim) {
    // The automatic ping is sent after 1 s and times out after another.
    let close_after =
        2 * SECOND - Duration::from_millis(20) + Duration::from_millis(1) * sim.choose("close", 40);
    // A task that is delayed for as long as closing may take cannot write.
    sim.delay_max(Duration::from_millis(100));
    server(sim, scripts::silent);
    sim.client("client", async move |host| {
        let socket = connect(&host, keepalive(SECOND, SECOND)).await.expect("a connection");
        let closed = all_callers(&host, &socket, [close_after, close_after]).await;
        let timed_out = matches!(closed.cause, Cause::KeepaliveTimeout { .. });
        sometimes!(timed_out, "the ping is first");
        sometimes!(!timed_out, "closing is first");
        assert!(timed_out || matches!(closed.cause, Cause::CloseTimeout { .. }), "{closed}");
        let code = closed.sent.as_ref().and_then(|frame| frame.code);
        // A stream that takes nothing when the ping times out ends the connection without our Close frame.
        assert!(code.is_some() || timed_out, "{closed}");
        assert!(code.is_none_or(|code| (code == CloseCode::INTERNAL_ERROR) == timed_out), "{closed}");
        sometimes!(timed_out && code.is_some(), "the peer is sent the ping's timeout");
    });
}

#[wavetank::test(seeds = 750, sometimes = "required")]
fn both_sides_close_at_once(sim: &mut Sim) {
    let apart = Duration::from_micros(250) * sim.choose("apart", 16);
    server(sim, move |peer| async move {
        peer.host.sleep(apart).await;
        scripts::close_first(peer, 4000).await
    });
    sim.client("client", async move |host| {
        let socket = connect(&host, patient()).await.expect("a connection");
        let closed = all_callers(&host, &socket, [Duration::from_millis(2), Duration::from_millis(2)]).await;
        assert_eq!(closed.code(), 4000, "{closed}");
        assert!(closed.is_clean(), "{closed}");
        sometimes!(closed.cause == Cause::Local, "we are first");
        sometimes!(closed.cause == Cause::Peer, "the peer is first");
    });
}

#[wavetank::test(seeds = 750, sometimes = "required", base_seed = 0x5b2c96e4088b8fa8)]
fn a_reset_after_the_peers_close_is_clean(sim: &mut Sim) {
    server(sim, scripts::answer_close_and_reset);
    sim.client("client", async |host: Host| {
        let socket = connect(&host, patient()).await.expect("a connection");
        let closed = all_callers(&host, &socket, [SECOND, SECOND]).await;
        assert!(closed.received.is_none() || closed.is_clean(), "{closed}");
        sometimes!(closed.is_clean(), "the answer is read before the reset");
    });
}

#[wavetank::test(seeds = 750, base_seed = 0x15c3144aaff49928)]
fn a_close_between_fragments_discards_the_message(sim: &mut Sim) {
    let whole = sim.choose("messages before", 3) as usize;
    let pause = Duration::from_millis(1) * sim.choose("pause", 3);
    server(sim, move |mut peer| async move {
        let mut bytes = frames::frame(TEXT, b"whole").repeat(whole);
        bytes.extend(frames::fragment(TEXT, false, b"the beginning"));
        bytes.extend(frames::frame(PING, b"between"));
        bytes.extend(frames::fragment(CONTINUATION, false, b" and the middle"));
        peer.output.send(&bytes).await?;
        peer.host.sleep(pause).await;
        scripts::close_first(peer, 1001).await
    });
    sim.client("client", async move |host: Host| {
        let socket = connect(&host, patient()).await.expect("a connection");
        for _ in 0..whole {
            assert_eq!(socket.recv().await.expect("a whole message").as_text(), Some("whole"));
        }
        let Err(Error::Closed(closed)) = in_time(host, socket.recv()).await else {
            panic!("a part of a message")
        };
        assert!(closed.is_clean() && closed.code() == 1001, "{closed}");
    });
}

#[wavetank::test(seeds = 750, sometimes = "required", base_seed = 0xe7a8cc2476809feb)]
fn closing_between_sent_fragments_ends_the_writers_message(sim: &mut Sim) {
    let close_after = Duration::from_millis(1) * sim.choose("close", 8);
    sim.perturb(false);
    server(sim, scripts::echo);
    sim.client("client", async move |host: Host| {
        let socket = connect(&host, config()).await.expect("a connection");
        let closer = socket.clone();
        let closing = host.spawn("closer", async move {
            host.sleep(close_after).await;
            closer.close(CloseCode::NORMAL, "").await
        });
        let mut said = Ok(());
        let mut writer = socket.send_stream(Kind::Text).await.expect("is open");
        let mut pieces = 0;
        while said.is_ok() && pieces < 5 {
            said = writer.write(b"piece").await;
            pieces += u32::from(said.is_ok());
            host.sleep(Duration::from_millis(1)).await;
        }
        sometimes!(said.is_err() && pieces > 0, "the end comes between two fragments");
        if said.is_ok() {
            said = writer.finish(b".").await;
        } else {
            drop(writer);
        }
        sometimes!(said.is_ok(), "the message is whole");
        let closed = closing.await.expect("no panic");
        assert!(closed.is_clean() && closed.code() == 1000, "{closed}");
        if let Err(error) = said {
            assert_eq!(error, Error::Closed(closed));
        }
    });
}

#[wavetank::test(seeds = 900, sometimes = "required", base_seed = 0x4cec0a35ed58870e)]
fn pings_are_not_answered_after_our_close(sim: &mut Sim) {
    let pause = Duration::from_micros(250) * (1 + sim.choose("pause", 8));
    let longer = Duration::from_millis(1) * sim.choose("longer", 8);
    let close_after = Duration::from_micros(500) * sim.choose("close", 20);
    server(sim, move |peer| scripts::ping_on(peer, pause, longer));
    sim.client("client", async move |host: Host| {
        let socket = connect(&host, patient()).await.expect("a connection");
        host.sleep(close_after).await;
        let before = socket.statistics().pings_received;
        let closed = socket.close(CloseCode::NORMAL, "").await;
        assert!(closed.is_clean(), "{closed}");
        sometimes!(before > 2, "pings were answered before");
    });
}

#[wavetank::test(seeds = 900, sometimes = "required", base_seed = 0xcb6074e391b2b5c2)]
fn an_ended_connection_lets_go_of_its_stream(sim: &mut Sim) {
    let breaks_rules = sim.choose("breaks rules", 2) == 1;
    let end_after = Duration::from_micros(500) * sim.choose("end", 20);
    let receives = sim.choose("receives", 2) == 1;
    let waits = sim.choose("waits", 2) == 1;
    sim.perturb(false);
    server(sim, move |peer| scripts::end_and_wait(peer, end_after, breaks_rules, LET_GO_WITHIN));
    sim.client("client", async move |host: Host| {
        let config = keepalive(4 * SECOND, 4 * SECOND);
        let socket = connect_plainly(&host, config, SocketOptions::new()).await.expect("a connection");
        let (receiver, watcher) = (socket.clone(), socket.clone());
        let receiving = host.spawn("receiver", async move {
            if receives { Some(receiver.recv().await.map(drop)) } else { None }
        });
        let watching =
            host.spawn("watcher", async move { if waits { Some(watcher.closed().await) } else { None } });
        host.sleep(SECOND).await;
        let closed = in_time(host, socket.closed()).await;
        match closed.cause {
            Cause::EndOfInput { inside_message: false } => sometimes!(true, "an end without a Close"),
            Cause::Violation { .. } => sometimes!(true, "a frame that no server may send"),
            _ => panic!("{closed}"),
        }
        let received = receiving.await.expect("no panic");
        assert!(received.is_none_or(|received| received == Err(Error::Closed(closed.clone()))));
        assert!(watching.await.expect("no panic").is_none_or(|told| told == closed));
    });
}
