//! Clients that are silent, gone, idle or old.

use std::time::Duration;

use serde_json::json;
use wavetank::runtime::Runtime as _;
use wavetank::{Faults, Sim, sometimes};
use wavetank_graphql::{CloseCode, CloseFrame, Ended, Keepalive, PingKind};
use wavetank_sim_tests::graphql::{Got, On, Peer, SECOND, SLACK, Setup, World};
use wavetank_sim_tests::on_both_transports;

on_both_transports! {
    200: a_silent_client_is_found_by_pings;
    200: a_client_that_answers_is_kept;
    100: one_ping_serves_all_operations;
    100: ping_frames_are_no_messages;
    200: an_idle_connection_is_closed;
    200: an_old_connection_is_drained;
}

async fn acknowledged(world: &World, token: &str) -> Peer {
    let mut peer = world.connect().await;
    peer.acknowledged(token).await;
    peer
}

fn a_silent_client_is_found_by_pings(sim: &mut Sim, on: On) {
    let setup = Setup::default().keepalive(20 * SECOND, 10 * SECOND);
    World::run(sim, on, setup, async move |world: World| {
        let mut peer = acknowledged(&world, "a").await;
        peer.subscribe("1", "subscription { silent }").await;
        let start = world.host.now();
        let got = loop {
            let got = peer.hear_all().await;
            if got.kind() != Some("ping") {
                break got;
            }
        };
        let took = world.host.now() - start;
        assert_eq!(got, Got::Closed { code: 3008, reason: "No answer to a ping".to_owned() });
        assert!(took < 34 * SECOND + SLACK, "closed after {took:?}");
        assert_eq!(world.mock().live(), 0);
    });
}

fn a_client_that_answers_is_kept(sim: &mut Sim, on: On) {
    let ping = [PingKind::Message, PingKind::Frame][sim.choose("ping", 2) as usize];
    let keepalive = Keepalive::new(20 * SECOND, 70 * SECOND).ping(ping);
    let setup = Setup::default().config(|config| config.keepalive(Some(keepalive)));
    World::run(sim, on, setup, async move |world: World| {
        let mut peer = acknowledged(&world, "a").await;
        // Nothing but pongs comes from it.
        assert_eq!(peer.hear_within(1000 * SECOND).await, None);
        peer.subscribe("1", "{ hello }").await;
        peer.until("complete").await;
        peer.close().await;
    });
}

fn one_ping_serves_all_operations(sim: &mut Sim, on: On) {
    let setup = Setup::default().keepalive(10 * SECOND, 100 * SECOND);
    World::run(sim, on, setup, async move |world: World| {
        let mut peer = acknowledged(&world, "a").await;
        for number in 0..20 {
            peer.subscribe(&number.to_string(), "subscription { silent }").await;
        }
        let start = world.host.now();
        let mut pings = 0;
        while world.host.now() - start < 200 * SECOND {
            assert_eq!(peer.hear_all().await.kind(), Some("ping"));
            pings += 1;
            peer.send(json!({"type": "pong"})).await;
        }
        let most = (world.host.now() - start).as_secs() / 9 + 2;
        assert!(pings <= most, "{pings} pings, more than one for all operations");
        for number in 0..20 {
            peer.complete(&number.to_string()).await;
        }
        peer.close().await;
    });
}

fn ping_frames_are_no_messages(sim: &mut Sim, on: On) {
    let keepalive = Keepalive::new(10 * SECOND, 100 * SECOND).ping(PingKind::Frame);
    let setup = Setup::default().config(|config| config.keepalive(Some(keepalive)));
    World::run(sim, on, setup, async move |world: World| {
        let mut peer = world.connect().await;
        peer.ping_frame().await;
        peer.acknowledged("a").await;
        for _ in 0..5 {
            peer.ping_frame().await;
            peer.round_trip().await;
            world.host.sleep(20 * SECOND).await;
        }
        peer.close().await;
    });
}

fn an_idle_connection_is_closed(sim: &mut Sim, on: On) {
    let setup = Setup::default()
        .keepalive(10 * SECOND, 100 * SECOND)
        .config(|config| config.idle_timeout(Some(100 * SECOND)));
    World::run(sim, on, setup, async move |world: World| {
        let mut peer = acknowledged(&world, "a").await;
        // An operation that is quiet is no idleness.
        peer.subscribe("1", "subscription { silent }").await;
        peer.round_trip().await;
        assert_eq!(peer.hear_within(500 * SECOND).await, None);
        peer.complete("1").await;
        let start = world.host.now();
        let got = peer.hear().await;
        let took = world.host.now() - start;
        assert_eq!(got, Got::Closed { code: 3008, reason: "Idle".to_owned() });
        assert!(took >= 100 * SECOND - SLACK && took < 100 * SECOND + SLACK, "closed after {took:?}");
    });
}

fn an_old_connection_is_drained(sim: &mut Sim, on: On) {
    let setup = Setup::default().config(|config| config.age_max(Some(1000 * SECOND)));
    World::run(sim, on, setup, async move |world: World| {
        let mut peer = acknowledged(&world, "a").await;
        let start = world.host.now();
        world.host.sleep(890 * SECOND - SLACK).await;
        peer.subscribe("stream", "subscription { silent }").await;
        peer.subscribe("query", "{ slow(ms: 160000) }").await;
        let (next, complete) = (peer.hear().await, peer.hear().await);
        sometimes!(next.kind() == Some("next"), "the query ends first");
        if next.kind() == Some("next") {
            assert_eq!(complete.kind(), Some("complete"), "{complete:?}");
        }
        let got = peer.end().await;
        let took = world.host.now() - start;
        assert_eq!(got, Got::Closed { code: 1001, reason: "Connection age".to_owned() });
        assert!(took < 1000 * SECOND + 100 * SECOND + SLACK, "closed after {took:?}");
        assert_eq!(world.mock().live(), 0);
    });
}

/// How long a connection whose peer is gone may live: a ping, its answer, and the closing handshake.
const GONE: Duration = Duration::from_secs(22 + 20 + 100);

#[wavetank::test(seeds = 300)]
fn a_half_open_peer_is_found(sim: &mut Sim) {
    // The client learns nothing, and closes until its own timeout.
    sim.leak_grace(400 * SECOND);
    let (one_way, busy) = (sim.choose("one way", 3), sim.choose("busy", 2) == 1);
    let setup = Setup::default().keepalive(20 * SECOND, 20 * SECOND);
    World::run(sim, On::WebSocket, setup, async move |world: World| {
        let mut peer = acknowledged(&world, "a").await;
        let query = if busy { "subscription { count(everyMs: 500) }" } else { "subscription { silent }" };
        peer.subscribe("1", query).await;
        world.eventually(SLACK, "the operation runs", |world| world.mock().live() == 1).await;
        let inject = world.host.inject();
        match one_way {
            0 => inject.forget("client", "server"),
            1 => inject.forget_one_way("client", "server"),
            _ => inject.forget_one_way("server", "client"),
        }
        let hearing = async { while matches!(peer.hear().await, Got::Message(_)) {} };
        let ending = world.eventually(GONE + 2 * SLACK, "the server gives up", |world| {
            world.mock().live() == 0 && world.ended().len() == 1
        });
        tokio::select! {
            biased;
            () = ending => {}
            () = async { hearing.await; std::future::pending().await } => {}
        }
        let timeout = Ended::Closed(CloseFrame::new(CloseCode::TIMEOUT, "No answer to a ping"));
        sometimes!(world.ended() == [timeout], "a ping finds it");
    });
}

#[wavetank::test(seeds = 300)]
fn a_partitioned_client_is_released(sim: &mut Sim) {
    sim.leak_grace(400 * SECOND);
    let aborts = sim.choose("aborts", 2) == 1;
    let setup = Setup::default().keepalive(20 * SECOND, 20 * SECOND);
    World::run(sim, On::WebSocket, setup, async move |world: World| {
        let mut peer = acknowledged(&world, "a").await;
        for id in ["1", "2", "3"] {
            peer.subscribe(id, "subscription { silent }").await;
        }
        world.eventually(SLACK, "the operations run", |world| world.mock().live() == 3).await;
        world.host.inject().partition("client", "server");
        if aborts {
            drop(peer);
            world.eventually(GONE + 2 * SLACK, "all is released", |world| world.mock().live() == 0).await;
        } else {
            world.eventually(GONE + 2 * SLACK, "all is released", |world| world.mock().live() == 0).await;
            world.host.inject().heal("client", "server");
            peer.end().await;
        }
        world.host.inject().heal_all();
    });
}

#[wavetank::test(seeds = 200)]
fn a_narrow_link_is_no_stall(sim: &mut Sim) {
    // One result takes several times the write timeout.
    let setup = Setup { write_buffer: 1 << 10, ..Setup::default() }
        .config(|config| config.write_timeout(40 * SECOND).write_buffer_bytes(1000));
    sim.delay_max(SECOND);
    World::run(sim, On::WebSocket, setup, async move |world: World| {
        let mut peer = acknowledged(&world, "a").await;
        world.host.inject().narrow("client", "server", 2000);
        peer.subscribe("1", "subscription { count(to: 3, pad: 400000) }").await;
        for number in 1..=3 {
            let next = peer.until("next").await;
            assert_eq!(next["payload"]["data"]["count"], number);
        }
        peer.until("complete").await;
        peer.close().await;
    });
}

#[wavetank::test(seeds = 30)]
fn a_ping_frame_waits_for_room(sim: &mut Sim) {
    // A result is longer than what makes room for it, so the write buffer is full again at once.
    let keepalive = Keepalive::new(20 * SECOND, 60 * SECOND).ping(PingKind::Frame);
    let setup =
        Setup::default().config(|config| config.keepalive(Some(keepalive)).write_timeout(1000 * SECOND));
    World::run(sim, On::WebSocket, setup, async move |world: World| {
        let mut peer = acknowledged(&world, "a").await;
        peer.subscribe("hot", "subscription { count(pad: 60000) }").await;
        for number in 1..=300 {
            assert_eq!(peer.until("next").await["payload"]["data"]["count"], number);
            world.host.sleep(SECOND).await;
        }
        peer.close().await;
    });
}

#[wavetank::test(seeds = 200)]
fn a_long_message_is_no_silence(sim: &mut Sim) {
    // A message takes several times the interval and the timeout.
    let setup = Setup::default().keepalive(20 * SECOND, 20 * SECOND);
    sim.delay_max(SECOND);
    World::run(sim, On::WebSocket, setup, async move |world: World| {
        let mut peer = acknowledged(&world, "a").await;
        // What is sent at once, up to 64 KiB, comes at once.
        world.host.inject().narrow("client", "server", 10_000);
        let padding = "x".repeat(1_000_000);
        peer.send(json!({"type": "ping", "payload": {"padding": padding}})).await;
        assert_eq!(peer.hear().await.kind(), Some("pong"));
        peer.close().await;
    });
}

#[wavetank::test(seeds = 300)]
fn resets_end_everything(sim: &mut Sim) {
    let pause = Duration::from_millis(1) * sim.choose("pause", 20);
    World::run(sim, On::WebSocket, Setup::default(), async move |world: World| {
        let mut peer = acknowledged(&world, "a").await;
        peer.subscribe("1", "subscription { count(everyMs: 1) }").await;
        peer.subscribe("2", "{ slow(ms: 10, prepareMs: 5) }").await;
        world.host.sleep(pause).await;
        world.host.inject().reset("client", "server");
        assert_eq!(peer.end().await, Got::Lost);
        world.eventually(SLACK, "the server notices", |world| world.ended().len() == 1).await;
        assert!(matches!(world.ended()[0], Ended::Lost(_)), "{:?}", world.ended());
    });
}

#[wavetank::test(seeds = 600, sometimes = "required")]
fn stubborn_clients_get_every_answer(sim: &mut Sim) {
    sim.faults(Faults::all().half_open().until(100 * SECOND));
    // A client that dropped its socket closes until its own timeout.
    sim.leak_grace(400 * SECOND);
    let setup = Setup::default().keepalive(20 * SECOND, 20 * SECOND).config(|config| {
        config.init_timeout(20 * SECOND).write_timeout(20 * SECOND).close_timeout(10 * SECOND)
    });
    World::run(sim, On::WebSocket, setup, async move |world: World| {
        let (mut answered, mut connections) = (0, 0);
        while answered < 6 {
            let Ok(mut peer) = world.try_connect(Some("graphql-transport-ws"), &[]).await else {
                world.host.sleep(SECOND).await;
                continue;
            };
            connections += 1;
            peer.init(&connections.to_string()).await;
            answered = converse(&world, &mut peer, answered).await;
            drop(peer);
        }
        sometimes!(connections > 1, "a connection is lost");
    });
}

/// Asks on a connection until it is lost, or everything was answered.
async fn converse(world: &World, peer: &mut Peer, mut answered: u32) -> u32 {
    let mut id = 0;
    loop {
        let Some(got) = peer.hear_within(60 * SECOND).await else { return answered };
        match (got.kind(), got.id()) {
            (Some("connection_ack"), _) => {
                peer.subscribe("stream", "subscription { count(everyMs: 300) }").await;
            }
            (Some("next"), Some("stream")) => {}
            (Some("complete"), Some(_)) => answered += 1,
            (Some("next"), Some(_)) => continue,
            _ => return answered,
        }
        if answered >= 6 {
            return answered;
        }
        if got.kind() != Some("next") {
            id += 1;
            world.host.sleep(5 * SECOND).await;
            peer.subscribe(&id.to_string(), "{ slow(ms: 500) }").await;
        }
    }
}
