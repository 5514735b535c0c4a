//! What a client may not do, and what becomes of it.

use std::time::Duration;

use serde_json::{Value, json};
use wavetank::Sim;
use wavetank_graphql::{Keepalive, Origins};
use wavetank_sim_tests::graphql::{Got, On, Peer, SLACK, Setup, World};
use wavetank_sim_tests::on_both_transports;

on_both_transports! {
    100: malformed_messages_close_with_4400;
    100: unserved_subprotocols_close_with_4406;
    100: further_operations_get_errors;
    100: further_operations_overall_get_errors;
    100: further_connections_close_with_1013;
    100: long_messages_close_with_1009;
    100: foreign_origins_close_with_4403;
    300: the_smallest_limits_hold;
    300: timeouts_of_zero_end_every_connection;
    20: a_flood_of_inits_closes_once;
    20: ten_thousand_subscribes_leak_nothing;
}

async fn acknowledged(world: &World, token: &str) -> Peer {
    let mut peer = world.connect().await;
    peer.acknowledged(token).await;
    peer
}

/// Messages that the protocol does not know.
fn malformed() -> Vec<String> {
    let deep = format!("{}{}", "{\"a\":".repeat(200), "}".repeat(200));
    let mut texts: Vec<String> = [
        "",
        " ",
        "null",
        "[]",
        "17",
        "\"ping\"",
        "{",
        "{}",
        "{}{}",
        "nonsense",
        "{\"type\":null}",
        "{\"type\":1}",
        "{\"type\":\"\"}",
        "{\"type\":\"start\"}",
        "{\"type\":\"Ping\"}",
        "[\"ping\"]",
        "{\"type\":\"ping\",\"type\":\"ping\"}",
        "{\"type\":\"ping\",\"payload\":[]}",
        "{\"type\":\"ping\",\"payload\":\"\"}",
        "{\"type\":\"pong\",\"payload\":1}",
        "{\"type\":\"complete\"}",
        "{\"type\":\"complete\",\"id\":null}",
        "{\"type\":\"complete\",\"id\":1}",
        "{\"type\":\"complete\",\"id\":\"\"}",
        "{\"type\":\"connection_init\",\"payload\":[]}",
        "{\"type\":\"next\",\"id\":\"1\"}",
        "{\"type\":\"subscribe\",\"payload\":{\"query\":\"{hello}\"}}",
        "{\"type\":\"subscribe\",\"id\":\"1\"}",
        "{\"type\":\"subscribe\",\"id\":\"1\",\"payload\":null}",
        "{\"type\":\"subscribe\",\"id\":\"1\",\"payload\":[\"{hello}\"]}",
        "{\"type\":\"subscribe\",\"id\":\"1\",\"payload\":{}}",
        "{\"type\":\"subscribe\",\"id\":\"1\",\"payload\":{\"query\":null}}",
        "{\"type\":\"subscribe\",\"id\":\"1\",\"payload\":{\"query\":1}}",
        "{\"type\":\"subscribe\",\"id\":\"1\",\"payload\":{\"query\":\"{hello}\",\"operationName\":1}}",
        "{\"type\":\"subscribe\",\"id\":\"1\",\"payload\":{\"query\":\"{hello}\",\"variables\":[]}}",
        "{\"type\":\"subscribe\",\"id\":\"1\",\"payload\":{\"query\":\"{hello}\",\"variables\":\"\"}}",
        "{\"type\":\"subscribe\",\"id\":\"1\",\"payload\":{\"query\":\"{hello}\",\"extensions\":1}}",
        "{\"type\":\"ping\"}\u{0}",
        "{\"type\":\"ping\",}",
        "{'type':'ping'}",
        "\u{feff}{\"type\":\"ping\"}",
    ]
    .map(str::to_owned)
    .into();
    texts.push(json!({"type": "complete", "id": "i".repeat(1_000_000)}).to_string());
    texts.push(json!({"type": "connection_init", "payload": {"a": "b".repeat(100_000)}}).to_string());
    texts.push(json!({"type": "x".repeat(1000)}).to_string());
    texts.push(format!("{{\"type\":\"ping\",\"payload\":{deep}}}"));
    texts.push("[".repeat(100_000));
    texts.push("{\"type\":\"ping\",\"payload\":".repeat(1000));
    texts
}

fn malformed_messages_close_with_4400(sim: &mut Sim, on: On) {
    let texts = malformed();
    let number = sim.choose("message", u32::try_from(texts.len()).expect("a few") + 1) as usize;
    let early = sim.choose("before the init", 2) == 1;
    World::run(sim, on, Setup::default(), async move |world: World| {
        let mut peer = world.connect().await;
        let text = texts.get(number).cloned();
        // A second init is another mistake.
        let early = early || text.as_ref().is_some_and(|text| text.contains("connection_init"));
        if !early {
            peer.acknowledged("a").await;
            peer.subscribe("stream", "subscription { silent }").await;
        }
        match &text {
            Some(text) => peer.say(text).await,
            None => peer.binary().await,
        }
        let Got::Closed { code: 4400, reason } = peer.end().await else { panic!("not closed: {text:?}") };
        assert!(!reason.is_empty() && reason.len() <= 123, "{reason}");
        assert_eq!(world.mock().live(), 0);
        assert!(world.mock().prepared() <= 1, "nothing of it is executed");
    });
}

fn unserved_subprotocols_close_with_4406(sim: &mut Sim, on: On) {
    // On the network a client that is given no subprotocol ends the opening, unless it offered none.
    let memory = [None, Some("graphql-ws"), Some("chat"), Some("GRAPHQL-TRANSPORT-WS"), Some("")];
    let offered = if on == On::Memory { memory[sim.choose("subprotocol", 5) as usize] } else { None };
    World::run(sim, on, Setup::default(), async move |world: World| {
        let mut peer = world.connect_as(offered).await;
        peer.init("a").await;
        assert_eq!(peer.hear().await.code(), Some(4406));
        assert_eq!(world.hooks().of("a").connects, 0, "no hook is called");
    });
}

fn further_operations_get_errors(sim: &mut Sim, on: On) {
    let setup = Setup::default().config(|config| config.operations_max(3));
    World::run(sim, on, setup, async move |world: World| {
        let mut peer = acknowledged(&world, "a").await;
        for id in ["1", "2", "3", "4"] {
            peer.subscribe(id, "subscription { silent }").await;
        }
        let error = peer.until("error").await;
        assert_eq!(
            (&error["id"], &error["payload"][0]["extensions"]["code"]),
            (&json!("4"), &json!("TOO_MANY_OPERATIONS"))
        );
        peer.complete("1").await;
        peer.subscribe("4", "{ hello }").await;
        peer.until("complete").await;
        world.eventually(SLACK, "the others are not disturbed", |world| world.mock().live() == 2).await;
        peer.close().await;
    });
}

fn further_operations_overall_get_errors(sim: &mut Sim, on: On) {
    let setup = Setup::default().config(|config| config.operations_overall_max(3));
    World::run(sim, on, setup, async move |world: World| {
        let (mut first, mut second) = (acknowledged(&world, "a").await, acknowledged(&world, "b").await);
        for id in ["1", "2", "3"] {
            first.subscribe(id, "subscription { silent }").await;
        }
        first.round_trip().await;
        second.subscribe("1", "{ hello }").await;
        let error = second.until("error").await;
        assert_eq!(error["payload"][0]["extensions"]["code"], "OVERLOADED");
        first.close().await;
        world.eventually(SLACK, "there is room", |world| world.handler().operations() == 0).await;
        second.subscribe("1", "{ hello }").await;
        second.until("complete").await;
        second.close().await;
    });
}

fn further_connections_close_with_1013(sim: &mut Sim, on: On) {
    let setup = Setup::default().config(|config| config.connections_max(2));
    World::run(sim, on, setup, async move |world: World| {
        let (first, mut second) = (acknowledged(&world, "a").await, acknowledged(&world, "b").await);
        let mut third = world.connect().await;
        third.init("c").await;
        let reason = "Too many connections".to_owned();
        assert_eq!(third.hear().await, Got::Closed { code: 1013, reason });
        assert_eq!(world.hooks().of("c").connects, 0, "no hook is called");
        second.round_trip().await;
        first.close().await;
        world.eventually(SLACK, "there is room", |world| world.handler().connections() == 1).await;
        let third = acknowledged(&world, "d").await;
        third.close().await;
        second.close().await;
    });
}

fn long_messages_close_with_1009(sim: &mut Sim, on: On) {
    // The WebSocket takes 1 MiB.
    let bytes = [100_000, 2 << 20][sim.choose("bytes", 2) as usize];
    let setup = Setup::default().config(|config| config.message_bytes_max(50_000));
    World::run(sim, on, setup, async move |world: World| {
        let mut peer = acknowledged(&world, "a").await;
        peer.subscribe("1", "subscription { silent }").await;
        peer.say(&json!({"type": "ping", "payload": {"a": "b".repeat(bytes)}}).to_string()).await;
        let got = peer.end().await;
        // A client whose message is not read to its end may not see the answer.
        assert!(got.code() == Some(1009) || (on == On::WebSocket && got == Got::Lost), "{got:?}");
    });
}

fn foreign_origins_close_with_4403(sim: &mut Sim, on: On) {
    let list = Origins::List(vec!["https://good.example".to_owned()]);
    let (origins, origin, allowed) = [
        (Origins::SameHost, "http://server", on == On::WebSocket),
        (Origins::SameHost, "http://evil.example", false),
        (list.clone(), "https://good.example", true),
        (list, "https://evil.example", false),
        (Origins::Any, "https://evil.example", true),
    ][sim.choose("origin", 5) as usize]
        .clone();
    let setup = Setup::default().config(|config| config.origins(origins));
    World::run(sim, on, setup, async move |world: World| {
        let headers = [("origin", origin)];
        let mut peer = world.try_connect(Some("graphql-transport-ws"), &headers).await.expect("a connection");
        peer.init("a").await;
        let got = peer.hear().await;
        if allowed {
            assert_eq!(got.kind(), Some("connection_ack"), "{got:?}");
            peer.close().await;
        } else {
            assert_eq!(got.code(), Some(4403), "{got:?}");
            assert_eq!(world.hooks().of("a").connects, 0, "no hook is called");
        }
    });
}

/// What becomes of a client that is acknowledged, and asks with an id of one byte for five results.
enum Outcome {
    Served,
    Refused(&'static str),
    Closed(u16),
}

fn the_smallest_limits_hold(sim: &mut Sim, on: On) {
    let config = Setup::default().config;
    let (config, expected) = match sim.choose("limit", 13) {
        0 => (config.operations_max(0), Outcome::Refused("TOO_MANY_OPERATIONS")),
        1 => (config.operations_max(1), Outcome::Served),
        2 => (config.operations_overall_max(0), Outcome::Refused("OVERLOADED")),
        3 => (config.operations_overall_max(1), Outcome::Served),
        4 => (config.connections_max(0), Outcome::Closed(1013)),
        5 => (config.connections_max(1), Outcome::Served),
        6 => (config.write_buffer_bytes(0), Outcome::Served),
        7 => (config.write_buffer_bytes(1), Outcome::Served),
        8 => (config.message_bytes_max(0), Outcome::Closed(1009)),
        9 => (config.init_payload_bytes_max(0), Outcome::Closed(4400)),
        10 => (config.id_bytes_max(0), Outcome::Closed(4400)),
        11 => (config.id_bytes_max(1), Outcome::Served),
        _ => (config.nesting_max(0), Outcome::Closed(4400)),
    };
    let capacity = [1, 64][sim.choose("capacity", 2) as usize];
    World::run(sim, on, Setup { config, capacity, ..Setup::default() }, async move |world: World| {
        let mut peer = world.connect().await;
        peer.init("a").await;
        peer.send(json!({"type": "ping"})).await;
        // Sent behind an acknowledgement, which is not waited for where the connection closes.
        if !matches!(expected, Outcome::Closed(1013 | 1009)) && peer.hear().await.code().is_none() {
            peer.subscribe("1", "subscription { count(to: 5) }").await;
        }
        let mut results = 0;
        let last = loop {
            let got = peer.hear().await;
            match got.kind() {
                Some("next") => results += 1,
                Some("connection_ack" | "pong") => {}
                _ => break got,
            }
        };
        match (expected, &last) {
            (Outcome::Served, Got::Message(message)) if message["type"] == "complete" => {
                assert_eq!(results, 5)
            }
            (Outcome::Refused(code), Got::Message(message)) if message["type"] == "error" => {
                assert_eq!(message["payload"][0]["extensions"]["code"], code);
            }
            (Outcome::Closed(code), Got::Closed { code: got, .. }) => assert_eq!(*got, code),
            _ => panic!("another outcome: {last:?}"),
        }
        if let Got::Message(_) = last {
            peer.round_trip().await;
            peer.close().await;
        }
    });
}

fn timeouts_of_zero_end_every_connection(sim: &mut Sim, on: On) {
    const ZERO: Duration = Duration::ZERO;
    let config = Setup::default().config;
    let timeout = sim.choose("timeout", 6);
    let (config, codes): (_, &[u16]) = match timeout {
        0 => (config.idle_timeout(Some(ZERO)), &[3008]),
        1 => (config.age_max(Some(ZERO)), &[1001]),
        2 => (config.keepalive(Some(Keepalive::new(ZERO, ZERO))), &[3008]),
        // The transport is dropped at once. A WebSocket that is dropped closes with 1001.
        3 => (config.close_timeout(ZERO), &[1001]),
        4 => (config.write_timeout(ZERO), &[1001]),
        _ => (config.hook_timeout(ZERO), &[]),
    };
    let drops = sim.choose("drops", 2) == 1;
    World::run(sim, on, Setup { config, ..Setup::default() }, async move |world: World| {
        let mut peer = world.connect().await;
        peer.init("a").await;
        peer.subscribe("1", "{ hello }").await;
        let mut ended = None;
        while let Some(got) = peer.hear_within(SLACK).await {
            if !matches!(got, Got::Message(_)) {
                ended = Some(got);
                break;
            }
        }
        match ended.as_ref().and_then(Got::code) {
            // A subscribe may come before the acknowledgement.
            Some(code) => assert!(codes.contains(&code) || code == 4401, "{ended:?}"),
            None => assert!(ended.is_some() || timeout > 2, "the connection lives on"),
        }
        if drops {
            drop(peer);
        } else {
            peer.close().await;
        }
        world.eventually(3 * SLACK, "the connection has ended", |world| world.ended().len() == 1).await;
    });
}

fn a_flood_of_inits_closes_once(sim: &mut Sim, on: On) {
    World::run(sim, on, Setup::default(), async move |world: World| {
        let mut peer = world.connect().await;
        for _ in 0..1_000 {
            peer.init("a").await;
        }
        let end = peer.end().await;
        assert_eq!(end.code(), Some(4429), "{end:?}");
        assert!(world.hooks().of("a").connects <= 1, "`on_connect` is called once");
    });
}

fn ten_thousand_subscribes_leak_nothing(sim: &mut Sim, on: On) {
    sim.delay_max(Duration::ZERO);
    let setup = Setup { capacity: 64, ..Setup::default() };
    World::run(sim, on, setup, async move |world: World| {
        let mut peer = acknowledged(&world, "a").await;
        let mut refused = 0;
        for number in 0..10_000_u32 {
            peer.subscribe(&number.to_string(), "subscription { silent }").await;
            if number >= 100 {
                let got = peer.hear().await;
                assert_eq!(got.kind(), Some("error"), "{got:?}");
                refused += 1;
            }
        }
        assert_eq!((refused, world.mock().prepared()), (9_900, 100));
        assert_eq!(peer.round_trip().await, Vec::<Value>::new());
        peer.close().await;
    });
}
