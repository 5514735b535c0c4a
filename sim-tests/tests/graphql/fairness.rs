//! No operation, hook or connection holds up another, and a client that takes nothing costs a bounded amount.

use std::time::Duration;

use serde_json::json;
use wavetank::runtime::Runtime as _;
use wavetank::{Sim, sometimes};
use wavetank_graphql::Ended;
use wavetank_sim_tests::graphql::{Failure, Got, Hook, On, Peer, SECOND, SLACK, Setup, World};
use wavetank_sim_tests::on_both_transports;

on_both_transports! {
    200: a_hot_stream_starves_no_sibling;
    100: a_hot_stream_starves_no_woken_sibling;
    200: slow_hooks_hold_up_nothing_else;
    200: a_failed_hook_fails_its_own_work_alone;
    100: a_slow_consumer_bounds_memory;
    100: a_stalled_client_is_dropped_alone;
    100: a_flood_of_pings_is_bounded;
    100: reading_goes_on_behind_slow_pings;
    200: a_hook_that_panics_in_drop_is_contained;
    100: a_query_waits_for_few_results;
}

/// Memory of a direction of a connection on the simulated network, beside what the handler is told to hold: both
/// sockets' buffers and the write buffer of the WebSocket.
const NETWORK_BYTES: usize = 2 * (64 << 10) + (64 << 10);

async fn acknowledged(world: &World, token: &str) -> Peer {
    let mut peer = world.connect().await;
    peer.acknowledged(token).await;
    peer
}

fn a_hot_stream_starves_no_sibling(sim: &mut Sim, on: On) {
    // It is about milliseconds: nothing is delayed.
    sim.delay_max(Duration::ZERO);
    let setup = Setup::default().config(|config| config.write_buffer_bytes(2000));
    World::run(sim, on, setup, async move |world: World| {
        let mut peer = acknowledged(&world, "a").await;
        peer.subscribe("hot", "subscription { count }").await;
        peer.subscribe("hot too", "subscription { count }").await;
        peer.until("next").await;
        for id in ["1", "2", "3", "4"] {
            peer.subscribe(id, "subscription { count(to: 5, everyMs: 20) }").await;
        }
        peer.subscribe("query", "{ hello }").await;
        let (mut ended, mut hot) = (0, 0);
        while ended < 5 {
            let got = peer.hear().await;
            match (got.id(), got.kind()) {
                (Some("hot" | "hot too"), Some("next")) => {
                    hot += 1;
                    // Time passes only while nothing can run.
                    world.host.sleep(Duration::from_micros(100)).await;
                }
                (Some(_), Some("next")) => hot = 0,
                (Some(_), Some("complete")) => (ended, hot) = (ended + 1, 0),
                _ => panic!("{got:?}"),
            }
            // A result in 20 ms, behind 20 ms of results and what was buffered.
            assert!(hot < 200 + 200 + NETWORK_BYTES / 60, "a sibling starves behind {hot} results");
        }
        peer.close().await;
    });
}

fn a_hot_stream_starves_no_woken_sibling(sim: &mut Sim, on: On) {
    // The transport is never full, so the hot stream never has to wait.
    let setup = Setup { capacity: 1000, ..Setup::default() };
    World::run(sim, on, setup, async move |world: World| {
        let mut peer = acknowledged(&world, "a").await;
        peer.subscribe("events", "subscription { channel(name: \"news\") }").await;
        world.eventually(SLACK, "the sibling runs", |world| world.mock().live() == 1).await;
        peer.subscribe("hot", "subscription { count }").await;
        peer.until("next").await;
        for number in 0..3 {
            assert_eq!(world.mock().publish("news", "an event"), 1);
            let mut hot = 0;
            while peer.hear().await.id() != Some("events") {
                hot += 1;
                assert!(hot < 3000 + NETWORK_BYTES / 60, "event {number} waits behind {hot} results");
            }
        }
        peer.close().await;
    });
}

fn slow_hooks_hold_up_nothing_else(sim: &mut Sim, on: On) {
    let setup = Setup::default()
        .config(|config| config.hook_timeout(100_000 * SECOND).close_timeout(100 * SECOND))
        .behaviour(|hooks| {
            hooks.ping = 1000 * SECOND;
            hooks.complete = 100 * SECOND;
        });
    World::run(sim, on, setup, async move |world: World| {
        let mut peer = acknowledged(&world, "a").await;
        for _ in 0..5 {
            peer.send(json!({"type": "ping"})).await;
        }
        peer.subscribe("preparing", "{ hello(prepareMs: 1000000) }").await;
        for id in ["1", "2", "3"] {
            let query = async {
                peer.subscribe(id, "{ hello }").await;
                peer.until("complete").await
            };
            let complete = world.within(SLACK, query).await;
            assert_eq!(complete["id"], id);
        }
        assert_eq!(world.hooks().of("a").pings, 5, "each ping is handled, and none is answered yet");
        peer.close().await;
        assert_eq!(world.hooks().of("a").disconnects.len(), 0, "hooks of operations are still running");
    });
}

fn a_failed_hook_fails_its_own_work_alone(sim: &mut Sim, on: On) {
    sim.tolerate_panics(true);
    let hooks =
        [Hook::Connect, Hook::Ping, Hook::Operation, Hook::Persisted, Hook::Complete, Hook::Disconnect];
    let hook = hooks[sim.choose("hook", 6) as usize];
    let failure = [Failure::Hangs, Failure::Panics][sim.choose("failure", 2) as usize];
    let setup = Setup::default()
        .config(|config| config.hook_timeout(10 * SECOND))
        .behaviour(|hooks| hooks.fails = Some((hook, failure)));
    World::run(sim, on, setup, async move |world: World| {
        let mut peer = world.connect().await;
        peer.init("a").await;
        let first = world.within(10 * SECOND + SLACK, peer.hear()).await;
        if hook == Hook::Connect {
            let code = if failure == Failure::Hangs { 1013 } else { 1011 };
            assert_eq!(first.code(), Some(code), "{first:?}");
            return;
        }
        assert_eq!(first.kind(), Some("connection_ack"), "{first:?}");
        peer.send(json!({"type": "ping"})).await;
        let mut pongs = 0;
        for id in ["1", "2"] {
            let persisted = json!({"persistedQuery": {"version": 1}});
            let payload = json!({"query": "{ hello }", "extensions": persisted});
            peer.send(json!({"type": "subscribe", "id": id, "payload": payload})).await;
            let last = loop {
                match world.within(10 * SECOND + SLACK, peer.hear()).await {
                    Got::Message(message) if message["type"] == "pong" => pongs += 1,
                    Got::Message(message) if message["type"] == "next" => {}
                    Got::Message(message) => break message,
                    over => panic!("the connection has ended: {over:?}"),
                }
            };
            let code = &last["payload"][0]["extensions"]["code"];
            match (hook, failure) {
                (Hook::Operation | Hook::Persisted, Failure::Hangs) => assert_eq!(code, "TIMEOUT", "{last}"),
                (Hook::Operation | Hook::Persisted, _) => {
                    assert_eq!(code, "INTERNAL_SERVER_ERROR", "{last}");
                }
                _ => assert_eq!(last, json!({"type": "complete", "id": id})),
            }
        }
        assert_eq!(pongs, u32::from(hook != Hook::Ping), "a ping has one answer, unless its hook fails");
        peer.close().await;
    });
}

fn a_slow_consumer_bounds_memory(sim: &mut Sim, on: On) {
    const BUFFER: usize = 10_000;
    let setup =
        Setup::default().config(|config| config.write_buffer_bytes(BUFFER).write_timeout(1000 * SECOND));
    World::run(sim, on, setup, async move |world: World| {
        let mut slow = acknowledged(&world, "slow").await;
        let mut quick = acknowledged(&world, "quick").await;
        slow.subscribe("hot", "subscription { count(pad: 1000) }").await;
        slow.subscribe("hot too", "subscription { count(pad: 1000) }").await;
        // The client takes nothing; the other connection continues.
        for _ in 0..10 {
            quick.subscribe("1", "{ hello }").await;
            quick.until("complete").await;
            world.host.sleep(SECOND).await;
        }
        let made = world.mock().results() - 10;
        let most = 4 + (BUFFER + if on == On::WebSocket { NETWORK_BYTES } else { 0 }) / 1000 + 2;
        assert!(made <= most, "{made} results are made for a client that takes none, and not {most} at most");
        // It takes again, and has lost nothing.
        let mut next = [1, 1];
        while next[0] < 500 || next[1] < 500 {
            let got = slow.hear().await;
            let stream = usize::from(got.id() == Some("hot too"));
            let Got::Message(message) = got else { panic!("the connection has ended: {got:?}") };
            assert_eq!(message["payload"]["data"]["count"], next[stream], "in order");
            next[stream] += 1;
        }
        slow.close().await;
        quick.close().await;
    });
}

fn a_stalled_client_is_dropped_alone(sim: &mut Sim, on: On) {
    let setup = Setup::default().config(|config| config.write_timeout(30 * SECOND));
    World::run(sim, on, setup, async move |world: World| {
        let mut stalled = acknowledged(&world, "stalled").await;
        let mut other = acknowledged(&world, "other").await;
        stalled.subscribe("hot", "subscription { count(pad: 1000) }").await;
        other.subscribe("1", "subscription { count(everyMs: 1000) }").await;
        let start = world.host.now();
        while world.ended().is_empty() {
            other.until("next").await;
            // An eighth late at the most.
            let longest = 30 * SECOND + 30 * SECOND / 8 + SECOND + SLACK;
            assert!(world.host.now() - start < longest, "the client is not dropped");
        }
        assert_eq!(world.ended(), [Ended::Stalled]);
        assert_eq!(world.mock().live(), 1, "its operation is dropped");
        other.until("next").await;
        other.close().await;
        drop(stalled);
    });
}

fn a_flood_of_pings_is_bounded(sim: &mut Sim, on: On) {
    let setup = Setup { capacity: 1, ..Setup::default() }
        .config(|config| config.write_buffer_bytes(500).write_timeout(1000 * SECOND))
        .behaviour(|hooks| hooks.ping = Duration::from_millis(1));
    World::run(sim, on, setup, async move |world: World| {
        let mut peer = acknowledged(&world, "a").await;
        let mut waits = false;
        let mut sent = 0_u32;
        while sent < 300 && !waits {
            let host = world.host;
            let ping = peer.send(json!({"type": "ping", "payload": {"padding": "0123456789"}}));
            tokio::select! {
                biased;
                () = ping => sent += 1,
                () = host.sleep(20 * SECOND) => waits = true,
            }
        }
        sometimes!(waits, "the server stops reading");
        for _ in 0..sent {
            assert_eq!(peer.hear().await.kind(), Some("pong"));
        }
        peer.close().await;
    });
}

fn reading_goes_on_behind_slow_pings(sim: &mut Sim, on: On) {
    let ping = [Duration::ZERO, Duration::from_millis(1), SECOND][sim.choose("on_ping", 3) as usize];
    let setup = Setup { capacity: 100, ..Setup::default() }.behaviour(|hooks| hooks.ping = ping);
    World::run(sim, on, setup, async move |world: World| {
        let mut peer = acknowledged(&world, "a").await;
        // More than the handler lets wait for their hooks at a time.
        for _ in 0..40 {
            peer.send(json!({"type": "ping"})).await;
        }
        for number in 0..40 {
            let got = peer.hear_within(SECOND + SLACK).await;
            assert_eq!(got.as_ref().and_then(Got::kind), Some("pong"), "ping {number}: {got:?}");
        }
        peer.close().await;
    });
}

fn a_hook_that_panics_in_drop_is_contained(sim: &mut Sim, on: On) {
    /// How long a hook may take.
    const HOOK: Duration = Duration::from_secs(50);
    sim.tolerate_panics(true);
    let hooks =
        [Hook::Connect, Hook::Ping, Hook::Operation, Hook::Persisted, Hook::Complete, Hook::Disconnect];
    let hook = hooks[sim.choose("hook", 6) as usize];
    // The hook is dropped at its timeout, because the client cancels, or because the connection ends.
    let (cancels, pause) =
        (sim.choose("cancels", 2) == 1, [SECOND, 200 * SECOND][sim.choose("pause", 2) as usize]);
    let setup = Setup::default()
        .config(|config| config.hook_timeout(HOOK))
        .behaviour(|hooks| hooks.fails = Some((hook, Failure::PanicsInDrop)));
    World::run(sim, on, setup, async move |world: World| {
        let mut peer = world.connect().await;
        peer.init("a").await;
        if hook != Hook::Connect {
            assert_eq!(peer.hear().await.kind(), Some("connection_ack"));
            peer.send(json!({"type": "ping"})).await;
            let extensions = json!({"persistedQuery": {"version": 1}});
            let payload = json!({"query": "{ hello }", "extensions": extensions});
            peer.send(json!({"type": "subscribe", "id": "1", "payload": payload})).await;
        }
        if cancels {
            peer.complete("1").await;
        }
        world.host.sleep(pause).await;
        drop(peer);
        // That nothing is left, and every hook was called once, is checked behind every script.
        world.eventually(HOOK + SLACK, "the connection has ended", |world| world.ended().len() == 1).await;
        assert_eq!(world.hooks().of(if hook == Hook::Connect { "" } else { "a" }).disconnects.len(), 1);
    });
}

fn a_query_waits_for_few_results(sim: &mut Sim, on: On) {
    let capacity = [1, 4, 16][sim.choose("capacity", 3) as usize];
    let setup = Setup { capacity, ..Setup::default() }.config(|config| config.write_timeout(1000 * SECOND));
    World::run(sim, on, setup, async move |world: World| {
        let mut peer = acknowledged(&world, "a").await;
        for id in ["hot", "hot too"] {
            peer.subscribe(id, "subscription { count(pad: 1000) }").await;
        }
        peer.until("next").await;
        // The transport is full by now, and no more results are made ahead of it.
        world.host.sleep(SLACK).await;
        peer.subscribe("query", "{ hello }").await;
        world.host.sleep(SLACK).await;
        let mut before = 0;
        loop {
            match peer.hear().await.id() {
                Some("query") => break,
                Some(_) => before += 1,
                None => panic!("the connection has ended"),
            }
        }
        let network = if on == On::WebSocket { NETWORK_BYTES / 1000 } else { 0 };
        let most = capacity + network + 1;
        assert!(before <= most, "{before} results come before the query's, and not {most} at most");
        peer.close().await;
    });
}
