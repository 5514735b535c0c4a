//! Shutting down: every upgraded socket gets a close code that allows a reconnect.

use std::time::Duration;

use wavetank::runtime::Runtime as _;
use wavetank::{Sim, sometimes};
use wavetank_graphql::Shutdown;
use wavetank_sim_tests::graphql::{Got, On, Peer, SECOND, SLACK, Setup, World};
use wavetank_sim_tests::on_both_transports;

on_both_transports! {
    200: shutdown_reaches_every_socket;
    200: draining_waits_for_queries_alone;
    200: draining_ends_at_its_deadline;
    200: draining_a_stalled_client_ends;
    100: a_server_may_close_while_it_accepts;
}

async fn acknowledged(world: &World, token: &str) -> Peer {
    let mut peer = world.connect().await;
    peer.acknowledged(token).await;
    peer
}

fn shutdown_reaches_every_socket(sim: &mut Sim, on: On) {
    let restarts = sim.choose("restarts", 2) == 1;
    let setup = Setup::default().behaviour(|hooks| hooks.connect = SECOND);
    World::run(sim, on, setup, async move |world: World| {
        let silent = world.connect().await;
        let mut idle = acknowledged(&world, "idle").await;
        let mut busy = acknowledged(&world, "busy").await;
        busy.subscribe("1", "subscription { count(everyMs: 1) }").await;
        busy.until("next").await;
        idle.round_trip().await;
        let mut connecting = world.connect().await;
        connecting.init("connecting").await;
        let shutdown = if restarts { Shutdown::restart(SECOND) } else { Shutdown::going_away(SECOND) };
        let handler = world.handler();
        let shutting = world.host.spawn("shutdown", async move { handler.shutdown(shutdown).await });
        for mut peer in [silent, idle, busy, connecting] {
            let got = peer.end().await;
            assert_eq!(got.code(), Some(if restarts { 1012 } else { 1001 }), "{got:?}");
        }
        world.within(200 * SECOND, shutting).await.expect("no panic");
        // A connection whose handshake took longer is served, and closed, behind it.
        world.eventually(SLACK, "no connection is left", |world| world.handler().connections() == 0).await;
        assert_eq!(world.mock().live(), 0);
    });
}

fn draining_waits_for_queries_alone(sim: &mut Sim, on: On) {
    World::run(sim, on, Setup::default(), async move |world: World| {
        let mut peer = acknowledged(&world, "a").await;
        peer.subscribe("stream", "subscription { silent }").await;
        peer.subscribe("source", "subscription { silent(sourceMs: 1000000) }").await;
        peer.subscribe("query", "{ slow(ms: 100000) }").await;
        peer.subscribe("parts", "{ parts(count: 2, everyMs: 50000) @defer }").await;
        peer.round_trip().await;
        world.handler().begin_shutdown(Shutdown::going_away(500 * SECOND));
        // What is asked for now is for the next connection.
        peer.subscribe("late", "{ hello }").await;
        let mut ends = Vec::new();
        let end = loop {
            let got = peer.hear().await;
            match (got.kind(), got.id()) {
                (Some("complete"), Some(id)) => ends.push(id.to_owned()),
                (Some("next"), Some(id)) => assert_ne!(id, "late", "nothing new is started"),
                _ => break got,
            }
        };
        ends.sort();
        assert_eq!(ends, ["parts", "query"]);
        assert_eq!(end.code(), Some(1001), "{end:?}");
    });
}

fn draining_ends_at_its_deadline(sim: &mut Sim, on: On) {
    // While it runs, while it is prepared, and while its hook is awaited.
    let query = ["{ never }", "{ hello(prepareMs: 1000000) }", "{ hello }"][sim.choose("query", 3) as usize];
    let hook = if query == "{ hello }" { 10_000 * SECOND } else { Duration::ZERO };
    let setup = Setup::default()
        .config(|config| config.hook_timeout(100_000 * SECOND))
        .behaviour(|hooks| hooks.operation = hook);
    World::run(sim, on, setup, async move |world: World| {
        let mut peer = acknowledged(&world, "a").await;
        peer.subscribe("query", query).await;
        peer.round_trip().await;
        let start = world.host.now();
        world.handler().begin_shutdown(Shutdown::restart(20 * SECOND));
        // The first counts.
        world.handler().begin_shutdown(Shutdown::going_away(1000 * SECOND));
        let got = peer.end().await;
        assert_eq!(got, Got::Closed { code: 1012, reason: "Service restart".to_owned() });
        let took = world.host.now() - start;
        assert!(took < 20 * SECOND + SLACK, "closed after {took:?}");
        assert_eq!(world.mock().live(), 0);
    });
}

fn draining_a_stalled_client_ends(sim: &mut Sim, on: On) {
    let query = ["subscription { count(pad: 1000) }", "{ never }"][sim.choose("query", 2) as usize];
    let setup = Setup { capacity: 1, ..Setup::default() }
        .config(|config| config.write_timeout(100_000 * SECOND).write_buffer_bytes(1000));
    World::run(sim, on, setup, async move |world: World| {
        let mut peer = acknowledged(&world, "a").await;
        peer.subscribe("hot", "subscription { count(pad: 1000) }").await;
        peer.subscribe("query", query).await;
        // The client reads nothing from here on.
        world.host.sleep(100 * SECOND).await;
        let handler = world.handler();
        let shutting = world.host.spawn("shutdown", async move {
            handler.shutdown(Shutdown::restart(20 * SECOND)).await;
        });
        world.within(20 * SECOND + 100 * SECOND + 2 * SLACK, shutting).await.expect("no panic");
        assert_eq!((world.handler().connections(), world.mock().live()), (0, 0));
        drop(peer);
    });
}

fn a_server_may_close_while_it_accepts(sim: &mut Sim, on: On) {
    World::run(sim, on, Setup::default(), async move |world: World| {
        let first = acknowledged(&world, "a").await;
        let handler = world.handler();
        let shutting = world.host.spawn("shutdown", async move {
            handler.shutdown(Shutdown::restart(SECOND)).await;
        });
        let mut late = world.connect().await;
        late.init("b").await;
        let got = late.end().await;
        assert_eq!(got.code(), Some(1012), "{got:?}");
        sometimes!(world.hooks().of("b").connects == 0, "it comes behind the shutdown");
        let mut first = first;
        assert_eq!(first.end().await.code(), Some(1012));
        shutting.await.expect("no panic");
    });
}
