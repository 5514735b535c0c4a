//! The legacy protocol, where it is enabled.

use serde_json::{Value, json};
use wavetank::Sim;
use wavetank::runtime::Runtime as _;
use wavetank_graphql::{CloseCode, CloseFrame, Ended, Legacy};
use wavetank_sim_tests::graphql::{Got, On, Peer, SECOND, SLACK, Setup, World};
use wavetank_sim_tests::on_both_transports;

on_both_transports! {
    100: legacy_is_refused_unless_enabled;
    100: legacy_sends_keepalives;
    100: legacy_rejection_closes_with_1011;
    100: legacy_queries_end_with_complete;
    100: legacy_errors_are_one_object;
    200: legacy_stop_is_answered_with_complete;
    100: legacy_keeps_the_socket_of_bad_messages;
    100: legacy_terminate_closes;
    200: a_legacy_duplicate_replaces_the_first;
    100: legacy_start_before_init_closes;
    100: no_legacy_init_timer_outlives_its_init;
    100: both_protocols_agree_with_the_header;
    100: start_is_tolerated_if_enabled;
    200: a_silent_legacy_client_is_found_by_pings;
    100: a_legacy_client_that_answers_is_kept;
}

fn setup(legacy: Legacy) -> Setup {
    Setup::default().config(|config| config.legacy(legacy))
}

async fn connect(world: &World) -> Peer {
    world.connect_as(Some("graphql-ws")).await
}

async fn acknowledged(world: &World) -> Peer {
    let mut peer = connect(world).await;
    peer.acknowledged("a").await;
    peer
}

async fn start(peer: &mut Peer, id: &str, query: &str) {
    peer.send(json!({"type": "start", "id": id, "payload": {"query": query}})).await;
}

fn legacy_is_refused_unless_enabled(sim: &mut Sim, on: On) {
    World::run(sim, on, setup(Legacy::Off), async move |world: World| {
        match world.try_connect(Some("graphql-ws"), &[]).await {
            Ok(mut peer) => assert_eq!(peer.end().await.code(), Some(4406)),
            // A client that is given no subprotocol ends the opening itself.
            Err(_) => assert_eq!(on, On::WebSocket),
        }
    });
}

fn legacy_sends_keepalives(sim: &mut Sim, on: On) {
    let setup = setup(Legacy::On).keepalive(10 * SECOND, 10 * SECOND);
    World::run(sim, on, setup, async move |world: World| {
        let mut peer = acknowledged(&world).await;
        assert_eq!(peer.hear().await.kind(), Some("ka"), "the first comes at once");
        for _ in 0..10 {
            let got = world.within(12 * SECOND + SLACK, peer.hear()).await;
            assert_eq!(got.kind(), Some("ka"), "{got:?}");
        }
        peer.close().await;
    });
}

fn legacy_rejection_closes_with_1011(sim: &mut Sim, on: On) {
    let setup = setup(Legacy::On).behaviour(|hooks| hooks.reject = Some("no".to_owned()));
    World::run(sim, on, setup, async move |world: World| {
        let mut peer = connect(&world).await;
        peer.init("a").await;
        let expected = json!({"type": "connection_error", "payload": {"message": "no"}});
        assert_eq!(peer.hear().await, Got::Message(expected));
        assert_eq!(peer.hear().await.code(), Some(1011));
    });
}

fn legacy_queries_end_with_complete(sim: &mut Sim, on: On) {
    World::run(sim, on, setup(Legacy::On), async move |world: World| {
        let mut peer = acknowledged(&world).await;
        start(&mut peer, "1", "subscription { count(to: 2, everyMs: 1) }").await;
        for number in 1..=2 {
            let data = json!({"type": "data", "id": "1", "payload": {"data": {"count": number}}});
            assert_eq!(peer.hear().await, Got::Message(data));
        }
        assert_eq!(peer.hear().await, Got::Message(json!({"type": "complete", "id": "1"})));
        start(&mut peer, "1", "{ hello }").await;
        peer.until("data").await;
        peer.until("complete").await;
        peer.close().await;
    });
}

fn legacy_errors_are_one_object(sim: &mut Sim, on: On) {
    World::run(sim, on, setup(Legacy::On), async move |world: World| {
        let mut peer = acknowledged(&world).await;
        start(&mut peer, "1", "{ nonsense }").await;
        let error = peer.until("error").await;
        assert!(error["payload"]["message"].is_string(), "{error}");
        start(&mut peer, "1", "{ hello }").await;
        peer.until("complete").await;
        peer.close().await;
    });
}

fn legacy_stop_is_answered_with_complete(sim: &mut Sim, on: On) {
    World::run(sim, on, setup(Legacy::On), async move |world: World| {
        let mut peer = acknowledged(&world).await;
        start(&mut peer, "1", "subscription { count(everyMs: 1) }").await;
        peer.until("data").await;
        peer.send(json!({"type": "stop", "id": "1"})).await;
        peer.until("complete").await;
        assert_eq!(world.mock().live(), 0, "the stream is dropped before");
        peer.send(json!({"type": "stop", "id": "1"})).await;
        assert_eq!(peer.hear_within(SECOND).await, None, "it is answered once");
        peer.close().await;
    });
}

fn legacy_keeps_the_socket_of_bad_messages(sim: &mut Sim, on: On) {
    World::run(sim, on, setup(Legacy::On), async move |world: World| {
        let mut peer = acknowledged(&world).await;
        for text in ["nonsense", "[]", "{\"type\":\"start\"}", "{\"type\":\"unknown\"}"] {
            peer.say(text).await;
            let got = peer.hear().await;
            assert_eq!(got.kind(), Some("connection_error"), "{text}: {got:?}");
        }
        peer.say("{\"type\":\"unknown\",\"id\":\"1\"}").await;
        let got = peer.hear().await;
        assert_eq!((got.kind(), got.id()), (Some("error"), Some("1")), "{got:?}");
        start(&mut peer, "1", "{ hello }").await;
        peer.until("complete").await;
        peer.close().await;
    });
}

fn legacy_terminate_closes(sim: &mut Sim, on: On) {
    World::run(sim, on, setup(Legacy::On), async move |world: World| {
        let mut peer = acknowledged(&world).await;
        start(&mut peer, "1", "subscription { silent }").await;
        peer.send(json!({"type": "connection_terminate"})).await;
        assert_eq!(peer.end().await.code(), Some(1000));
        assert_eq!(world.mock().live(), 0);
    });
}

fn a_legacy_duplicate_replaces_the_first(sim: &mut Sim, on: On) {
    World::run(sim, on, setup(Legacy::On), async move |world: World| {
        let mut peer = acknowledged(&world).await;
        start(&mut peer, "1", "subscription { count(everyMs: 1, pad: 10) }").await;
        start(&mut peer, "1", "subscription { channel(name: \"x\") }").await;
        // What the first gave before is in front of this.
        let reached = |world: &World| world.mock().publish("x", "hello") == 1;
        world.eventually(SLACK, "the second runs", reached).await;
        assert_eq!(world.mock().live(), 1, "the first does not");
        loop {
            let data = peer.until("data").await;
            if data["payload"] == json!({"data": {"channel": "hello"}}) {
                break;
            }
        }
        assert_eq!(peer.hear_within(SECOND).await, None, "the first gives nothing more");
        peer.close().await;
    });
}

fn legacy_start_before_init_closes(sim: &mut Sim, on: On) {
    World::run(sim, on, setup(Legacy::On), async move |world: World| {
        let mut peer = connect(&world).await;
        start(&mut peer, "1", "{ hello }").await;
        assert_eq!(peer.hear().await.code(), Some(4401));
        assert_eq!(world.mock().prepared(), 0);
    });
}

fn no_legacy_init_timer_outlives_its_init(sim: &mut Sim, on: On) {
    let setup = setup(Legacy::On).config(|config| config.init_timeout(60 * SECOND));
    World::run(sim, on, setup, async move |world: World| {
        let mut peer = acknowledged(&world).await;
        world.host.sleep(100 * SECOND).await;
        start(&mut peer, "1", "{ hello }").await;
        peer.until("complete").await;
        peer.close().await;
    });
}

fn both_protocols_agree_with_the_header(sim: &mut Sim, on: On) {
    let legacy = sim.choose("legacy", 2) == 1;
    World::run(sim, on, setup(Legacy::On), async move |world: World| {
        let mut peer =
            world.connect_as(Some(if legacy { "graphql-ws" } else { "graphql-transport-ws" })).await;
        peer.acknowledged("a").await;
        if legacy {
            start(&mut peer, "1", "{ hello }").await;
            assert_eq!(peer.hear().await.kind(), Some("data"));
            peer.close().await;
        } else {
            peer.subscribe("1", "{ hello }").await;
            assert_eq!(peer.hear().await.kind(), Some("next"));
            start(&mut peer, "2", "{ hello }").await;
            assert_eq!(peer.end().await.code(), Some(4400));
        }
    });
}

fn start_is_tolerated_if_enabled(sim: &mut Sim, on: On) {
    World::run(sim, on, setup(Legacy::Tolerated), async move |world: World| {
        let mut peer = world.connect().await;
        peer.acknowledged("a").await;
        start(&mut peer, "1", "subscription { count(to: 1) }").await;
        let kinds = [peer.hear().await, peer.hear().await];
        assert_eq!(kinds.each_ref().map(Got::kind), [Some("data"), Some("complete")]);
        start(&mut peer, "2", "subscription { silent }").await;
        peer.send(json!({"type": "stop", "id": "2"})).await;
        assert_eq!(peer.until("complete").await["id"], Value::from("2"));
        peer.close().await;
    });
}

fn a_silent_legacy_client_is_found_by_pings(sim: &mut Sim, on: On) {
    // The client learns nothing, and closes until its own timeout.
    sim.leak_grace(400 * SECOND);
    let setup = setup(Legacy::On).keepalive(20 * SECOND, 20 * SECOND);
    World::run(sim, on, setup, async move |world: World| {
        let mut peer = acknowledged(&world).await;
        start(&mut peer, "1", "subscription { silent }").await;
        world.eventually(SLACK, "the operation runs", |world| world.mock().live() == 1).await;
        // In memory a client that does not look does not answer.
        if on == On::WebSocket {
            world.host.inject().forget("client", "server");
        }
        let gone = 22 * SECOND + 20 * SECOND + 100 * SECOND + 2 * SLACK;
        world.eventually(gone, "the server gives up", |world| world.ended().len() == 1).await;
        let timeout = Ended::Closed(CloseFrame::new(CloseCode::TIMEOUT, "No answer to a ping"));
        assert_eq!(world.ended(), [timeout]);
        assert_eq!(world.mock().live(), 0);
        drop(peer);
    });
}

fn a_legacy_client_that_answers_is_kept(sim: &mut Sim, on: On) {
    let setup = setup(Legacy::On).keepalive(20 * SECOND, 70 * SECOND);
    World::run(sim, on, setup, async move |world: World| {
        let mut peer = acknowledged(&world).await;
        let begin = world.host.now();
        // Nothing but pongs comes from it.
        while world.host.now() - begin < 1000 * SECOND {
            let got = world.within(22 * SECOND + SLACK, peer.hear()).await;
            assert_eq!(got.kind(), Some("ka"), "{got:?}");
        }
        start(&mut peer, "1", "{ hello }").await;
        peer.until("complete").await;
        peer.close().await;
    });
}
