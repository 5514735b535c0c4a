//! Operations: their ids, their results, and how they end.

use std::time::Duration;

use serde_json::{Value, json};
use wavetank::runtime::Runtime as _;
use wavetank::{Sim, sometimes};
use wavetank_graphql::Completion;
use wavetank_sim_tests::graphql::{Got, On, Peer, SECOND, SLACK, Setup, World};
use wavetank_sim_tests::on_both_transports;

on_both_transports! {
    400: an_id_is_free_before_complete_arrives;
    300: a_late_cleanup_spares_the_successor;
    300: complete_while_preparing_cancels;
    300: a_disconnect_while_preparing_leaks_nothing;
    400: a_complete_crossing_the_end_is_ignored;
    400: nothing_follows_the_complete_of_a_client;
    100: finished_queries_leave_the_map;
    200: a_taken_id_closes_with_4409;
    200: an_error_ends_an_operation_alone;
    300: bursts_of_subscribe_and_complete_lose_nothing;
    200: a_quiet_stream_is_dropped_at_once;
    200: operations_interleave;
    100: incremental_results_pass_through;
    100: a_panic_ends_its_operation_alone;
}

async fn acknowledged(world: &World, token: &str) -> Peer {
    let mut peer = world.connect().await;
    peer.acknowledged(token).await;
    peer
}

fn of(messages: &[Value], id: &str) -> Vec<Value> {
    messages.iter().filter(|message| message["id"] == id).cloned().collect()
}

fn an_id_is_free_before_complete_arrives(sim: &mut Sim, on: On) {
    let complete = [Duration::ZERO, 5 * SECOND][sim.choose("on_complete", 2) as usize];
    let query = ["{ hello }", "subscription { one }", "{ nonsense }"][sim.choose("query", 3) as usize];
    let setup = Setup { capacity: 1, ..Setup::default() }.behaviour(|hooks| hooks.complete = complete);
    World::run(sim, on, setup, async move |world: World| {
        let mut peer = acknowledged(&world, "a").await;
        for _ in 0..5 {
            peer.subscribe("1", query).await;
            loop {
                let got = peer.hear().await;
                match got.kind() {
                    Some("next") => {}
                    Some("complete" | "error") => break,
                    _ => panic!("the id is not free: {got:?}"),
                }
            }
        }
        peer.close().await;
        world
            .eventually(complete + SLACK, "the connection has ended", |world| world.ended().len() == 1)
            .await;
        let completes = world.hooks().of("a").completes["1"].clone();
        assert_eq!(completes.len(), 5);
    });
}

fn a_late_cleanup_spares_the_successor(sim: &mut Sim, on: On) {
    let setup = Setup::default().behaviour(|hooks| hooks.complete = 3 * SECOND);
    World::run(sim, on, setup, async move |world: World| {
        let mut peer = acknowledged(&world, "a").await;
        for _ in 0..3 {
            // The first ends by itself, the second by the client; the hooks of both run on.
            peer.subscribe("1", "subscription { one }").await;
            peer.until("complete").await;
            peer.subscribe("1", "subscription { silent }").await;
            peer.complete("1").await;
        }
        peer.subscribe("1", "subscription { count(to: 10, everyMs: 1000) }").await;
        for number in 1..=10 {
            assert_eq!(peer.until("next").await["payload"]["data"]["count"], number);
        }
        assert_eq!(peer.hear().await, Got::Message(json!({"type": "complete", "id": "1"})));
        peer.close().await;
    });
}

fn complete_while_preparing_cancels(sim: &mut Sim, on: On) {
    let pause = Duration::from_millis([0, 1, 500, 999, 1000][sim.choose("pause", 5) as usize]);
    let hook = [Duration::ZERO, SECOND][sim.choose("on_operation", 2) as usize];
    let query = ["{ hello(prepareMs: 1000) }", "subscription { count(everyMs: 1, prepareMs: 1000) }"];
    let query = query[sim.choose("query", 2) as usize];
    let setup = Setup::default().behaviour(|hooks| hooks.operation = hook);
    World::run(sim, on, setup, async move |world: World| {
        let mut peer = acknowledged(&world, "a").await;
        peer.subscribe("1", query).await;
        world.host.sleep(pause).await;
        peer.complete("1").await;
        let before = peer.round_trip().await;
        sometimes!(before.is_empty(), "the operation gave nothing");
        assert_eq!(world.mock().live(), 0, "it is dropped at once");
        assert_eq!(peer.hear_within(5 * SECOND).await, None, "nothing comes behind it");
        // The id is free.
        peer.subscribe("1", "{ hello }").await;
        peer.until("complete").await;
        peer.close().await;
    });
}

fn a_disconnect_while_preparing_leaks_nothing(sim: &mut Sim, on: On) {
    let pause = Duration::from_millis([0, 1, 500, 2000][sim.choose("pause", 4) as usize]);
    let drops = sim.choose("how", 2) == 1;
    let setup = Setup::default().behaviour(|hooks| hooks.operation = SECOND);
    World::run(sim, on, setup, async move |world: World| {
        let mut peer = acknowledged(&world, "a").await;
        peer.subscribe("1", "subscription { silent(prepareMs: 1000) }").await;
        peer.subscribe("2", "{ slow(ms: 100000, prepareMs: 1) }").await;
        world.host.sleep(pause).await;
        if drops {
            drop(peer);
        } else {
            peer.close().await;
        }
        world.eventually(SLACK, "everything is dropped", |world| world.mock().live() == 0).await;
        world.eventually(SLACK, "the connection has ended", |world| world.ended().len() == 1).await;
        for completes in world.hooks().of("a").completes.values() {
            assert_eq!(completes[..], [Completion::Disconnected]);
        }
    });
}

fn a_complete_crossing_the_end_is_ignored(sim: &mut Sim, on: On) {
    let pause = Duration::from_micros(500) * sim.choose("pause", 12);
    let complete = [Duration::ZERO, SECOND][sim.choose("on_complete", 2) as usize];
    let setup = Setup { capacity: 2, ..Setup::default() }.behaviour(|hooks| hooks.complete = complete);
    World::run(sim, on, setup, async move |world: World| {
        let mut peer = acknowledged(&world, "a").await;
        peer.subscribe("1", "subscription { count(to: 3, everyMs: 1) }").await;
        world.host.sleep(pause).await;
        for _ in 0..3 {
            peer.complete("1").await;
        }
        peer.complete("never used").await;
        let before = peer.round_trip().await;
        let ended = before.iter().any(|message| message["type"] == "complete");
        sometimes!(ended, "the operation ends first");
        sometimes!(!ended, "the client is first");
        assert_eq!(peer.hear_within(SECOND).await, None, "nothing follows");
        peer.subscribe("1", "{ hello }").await;
        peer.until("complete").await;
        peer.close().await;
        world.eventually(SLACK, "the connection has ended", |world| world.ended().len() == 1).await;
        let completes = world.hooks().of("a").completes["1"].clone();
        // The first may be over before its hook was called.
        assert!(matches!(completes.len(), 1 | 2), "each operation ends once: {completes:?}");
    });
}

fn nothing_follows_the_complete_of_a_client(sim: &mut Sim, on: On) {
    let every = ["", "everyMs: 1, "][sim.choose("pace", 2) as usize];
    let query = format!("subscription {{ count({every}pad: 100) }}");
    let capacity = [1, 4, 64][sim.choose("capacity", 3) as usize];
    let setup = Setup { capacity, ..Setup::default() }.config(|config| config.write_buffer_bytes(2000));
    World::run(sim, on, setup, async move |world: World| {
        let mut peer = acknowledged(&world, "a").await;
        for id in ["1", "2"] {
            peer.subscribe(id, &query).await;
        }
        for _ in 0..20 {
            peer.until("next").await;
        }
        peer.complete("1").await;
        let before = peer.round_trip().await;
        sometimes!(!of(&before, "1").is_empty(), "results were on their way");
        for _ in 0..50 {
            let got = peer.hear().await;
            assert_eq!(got.id(), Some("2"), "a result behind `complete`: {got:?}");
        }
        peer.complete("2").await;
        peer.round_trip().await;
        assert_eq!(world.mock().live(), 0);
        assert_eq!(peer.hear_within(SECOND).await, None);
        peer.close().await;
    });
}

fn finished_queries_leave_the_map(sim: &mut Sim, on: On) {
    let setup = Setup::default().config(|config| config.operations_max(1));
    World::run(sim, on, setup, async move |world: World| {
        let mut peer = acknowledged(&world, "a").await;
        for number in 0..40 {
            let (id, query) = (number.to_string(), ["{ hello }", "{ boom }", "{ nonsense }"][number % 3]);
            peer.subscribe(&id, query).await;
            loop {
                let got = peer.hear().await;
                assert_eq!(got.id(), Some(id.as_str()), "{got:?}");
                let text = format!("{got:?}");
                assert!(!text.contains("TOO_MANY"), "it is refused: {text}");
                if matches!(got.kind(), Some("complete" | "error")) {
                    break;
                }
            }
        }
        peer.close().await;
    });
}

fn a_taken_id_closes_with_4409(sim: &mut Sim, on: On) {
    let queries =
        ["{ slow(ms: 1000) }", "subscription { silent }", "{ hello(prepareMs: 1000) }", "{ never }"];
    let first = queries[sim.choose("first", 4) as usize];
    let second = queries[sim.choose("second", 4) as usize];
    World::run(sim, on, Setup::default(), async move |world: World| {
        let mut peer = acknowledged(&world, "a").await;
        peer.subscribe("a \"b\"", first).await;
        peer.subscribe("a \"b\"", second).await;
        match peer.hear_within(100 * SECOND).await {
            Some(Got::Closed { code: 4409, reason }) => {
                sometimes!(true, "the id is taken");
                assert_eq!(reason, "Subscriber for a \"b\" already exists");
                assert!(world.mock().prepared() <= 1, "the second is not executed");
                assert_eq!(world.mock().live(), 0, "the first is dropped at once");
            }
            // The first was over when the second came.
            other => {
                assert!(first.contains("1000"), "a running operation has lost its id: {other:?}");
                peer.close().await;
            }
        }
    });
}

fn an_error_ends_an_operation_alone(sim: &mut Sim, on: On) {
    World::run(sim, on, Setup::default(), async move |world: World| {
        let mut peer = acknowledged(&world, "a").await;
        peer.subscribe("other", "subscription { count(everyMs: 100) }").await;
        let wrong = [
            json!({"query": "{"}),
            json!({"query": ""}),
            json!({"query": "{ nonsense }"}),
            json!({"query": "subscription { fails }"}),
            json!({"query": "subscription { fails(sourceMs: 5) }"}),
            json!({"query": "query a { hello } query b { hello }", "operationName": "c"}),
            json!({"query": "query a { hello } query b { hello }"}),
            json!({"query": "{ slow(ms: $ms) }", "variables": {"ms": "no number"}}),
            json!({"query": "", "extensions": {"persistedQuery": {"sha256Hash": "0"}}}),
            json!({"extensions": {"persistedQuery": {"sha256Hash": "0"}}}),
        ];
        for payload in wrong {
            let allowed = payload["query"].is_string() || payload["extensions"].is_object();
            assert!(allowed, "the message is well formed");
            peer.send(json!({"type": "subscribe", "id": "1", "payload": payload})).await;
            let error = loop {
                let Got::Message(message) = peer.hear().await else { panic!("the connection has ended") };
                if message["id"] == "1" {
                    break message;
                }
            };
            assert_eq!(error["type"], "error", "{error}");
            assert!(error["payload"][0]["message"].is_string(), "{error}");
            let behind = peer.round_trip().await;
            assert_eq!(of(&behind, "1"), Vec::<Value>::new(), "an error is the last message");
        }
        peer.until("next").await;
        peer.close().await;
    });
}

fn bursts_of_subscribe_and_complete_lose_nothing(sim: &mut Sim, on: On) {
    let setup = Setup { capacity: 2, ..Setup::default() };
    World::run(sim, on, setup, async move |world: World| {
        let mut peer = acknowledged(&world, "a").await;
        let mut heard = Vec::new();
        for number in 0..20 {
            peer.subscribe("stream", "subscription { count(everyMs: 1) }").await;
            peer.subscribe(&number.to_string(), "{ hello }").await;
            peer.complete("stream").await;
            // With both directions full, a client that only writes would wait for ever.
            while let Some(got) = peer.hear_within(Duration::from_millis(1)).await {
                heard.push(got);
            }
        }
        while heard.iter().filter(|got| got.kind() == Some("complete")).count() < 20 {
            heard.push(peer.hear().await);
        }
        for number in 0..20 {
            let id = number.to_string();
            let kinds: Vec<_> = heard.iter().filter(|got| got.id() == Some(&id)).map(Got::kind).collect();
            assert_eq!(kinds, [Some("next"), Some("complete")], "query {number}");
        }
        peer.close().await;
        world.eventually(SLACK, "the connection has ended", |world| world.ended().len() == 1).await;
        let streams = world.hooks().of("a").completes.get("stream").cloned().unwrap_or_default();
        assert!(streams.iter().all(|completion| *completion == Completion::Cancelled), "{streams:?}");
    });
}

fn a_quiet_stream_is_dropped_at_once(sim: &mut Sim, on: On) {
    let query = ["subscription { silent }", "subscription { channel(name: \"quiet\") }", "{ never }"];
    let query = query[sim.choose("query", 3) as usize];
    World::run(sim, on, Setup::default(), async move |world: World| {
        let mut peer = acknowledged(&world, "a").await;
        peer.subscribe("1", query).await;
        world.eventually(SLACK, "the operation runs", |world| world.mock().live() == 1).await;
        peer.complete("1").await;
        peer.round_trip().await;
        assert_eq!(world.mock().live(), 0, "it is dropped before the next event");
        peer.subscribe("1", query).await;
        world.eventually(SLACK, "the operation runs", |world| world.mock().live() == 1).await;
        drop(peer);
        world.eventually(SLACK, "the operation is dropped", |world| world.mock().live() == 0).await;
    });
}

fn operations_interleave(sim: &mut Sim, on: On) {
    World::run(sim, on, Setup::default(), async move |world: World| {
        let mut peer = acknowledged(&world, "a").await;
        peer.subscribe("never", "{ never }").await;
        peer.subscribe("slow", "{ slow(ms: 100000) }").await;
        peer.subscribe("count", "subscription { count(to: 3, everyMs: 20000) }").await;
        peer.subscribe("preparing", "{ hello(prepareMs: 90000) }").await;
        peer.subscribe("quick", "{ hello }").await;
        let mut ends = Vec::new();
        while ends.len() < 4 {
            ends.push(peer.until("complete").await["id"].clone());
        }
        assert_eq!(ends[0], "quick");
        assert!(ends.contains(&json!("slow")) && ends.contains(&json!("preparing")), "{ends:?}");
        peer.subscribe("mutation", "mutation { publish(channel: \"a\", text: \"b\") }").await;
        assert_eq!(peer.until("next").await["payload"], json!({"data": {"publish": 0}}));
        peer.close().await;
    });
}

fn incremental_results_pass_through(sim: &mut Sim, on: On) {
    World::run(sim, on, Setup::default(), async move |world: World| {
        let mut peer = acknowledged(&world, "a").await;
        peer.subscribe("1", "{ parts(count: 2, everyMs: 100) @defer }").await;
        let mut payloads = Vec::new();
        loop {
            let Got::Message(message) = peer.hear().await else { panic!("the connection has ended") };
            if message["type"] == "complete" {
                break;
            }
            payloads.push(message["payload"].clone());
        }
        assert_eq!(payloads.len(), 3);
        assert_eq!(payloads[0], json!({"data": {}, "pending": [{"id": "0", "path": []}], "hasNext": true}));
        assert_eq!(payloads[2]["hasNext"], false);
        peer.close().await;
    });
}

fn a_panic_ends_its_operation_alone(sim: &mut Sim, on: On) {
    sim.tolerate_panics(true);
    World::run(sim, on, Setup::default(), async move |world: World| {
        let mut peer = acknowledged(&world, "a").await;
        peer.subscribe("other", "subscription { count(everyMs: 1000) }").await;
        peer.subscribe("1", "{ crash }").await;
        let error = peer.until("error").await;
        assert_eq!(error["payload"][0]["message"], "Internal server error");
        peer.until("next").await;
        peer.close().await;
    });
}
