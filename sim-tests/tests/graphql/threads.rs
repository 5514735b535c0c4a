//! The handler on threads, over a WebSocket of threads on the simulated network.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use wavetank::runtime::{Runtime, Threads};
use wavetank::{Faults, Sim, sometimes};
use wavetank_graphql::{Completion, Ended, Shutdown};
use wavetank_sim_tests::graphql::{
    Behaviour, Failure, Got, Hook, HookLog, Manner, SECOND, SLACK, Setup, ThreadsWorld,
};

#[wavetank::test(seeds = 300)]
fn threads_speak_the_protocol(sim: &mut Sim) {
    ThreadsWorld::run(sim, Setup::default(), 64, async |world| {
        let mut peer = world.acknowledged("a").await;
        peer.subscribe("1", "{ token }").await;
        assert_eq!(peer.until("next").await["payload"], json!({"data": {"token": "a"}}));
        assert_eq!(peer.hear().await, Got::Message(json!({"type": "complete", "id": "1"})));
        peer.subscribe("1", "subscription { count(to: 3, everyMs: 10) }").await;
        for number in 1..=3 {
            assert_eq!(peer.until("next").await["payload"]["data"]["count"], number);
        }
        peer.until("complete").await;
        for query in ["{", "{ nonsense }", "subscription { fails }"] {
            peer.subscribe("1", query).await;
            assert_eq!(peer.hear().await.kind(), Some("error"));
        }
        peer.subscribe("parts", "{ parts(count: 2) @defer }").await;
        for _ in 0..3 {
            assert_eq!(peer.hear().await.kind(), Some("next"));
        }
        peer.until("complete").await;
        peer.send(json!({"type": "ping", "payload": {"a": 1}})).await;
        assert_eq!(peer.hear().await, Got::Message(json!({"type": "pong", "payload": {"a": 1}})));
        peer.subscribe("channel", "subscription { channel(name: \"x\") }").await;
        loop {
            peer.subscribe("1", "mutation { publish(channel: \"x\", text: \"hello\") }").await;
            let mut reached = Value::Null;
            loop {
                let Got::Message(message) = peer.hear().await else { panic!("the connection has ended") };
                match message["type"].as_str() {
                    Some("next") if message["id"] == "1" => {
                        reached = message["payload"]["data"]["publish"].clone();
                    }
                    // Only now the id is free.
                    Some("complete") => break,
                    _ => {}
                }
            }
            if reached == 1 {
                break;
            }
        }
        peer.subscribe("2", "{ never }").await;
        peer.subscribe("2", "{ hello }").await;
        assert_eq!(peer.end().await.code(), Some(4409));
    });
}

#[wavetank::test(seeds = 300)]
fn threads_close_a_silent_client_with_4408(sim: &mut Sim) {
    let timeout = [Duration::ZERO, Duration::from_millis(2), SECOND][sim.choose("timeout", 3) as usize];
    let inits = sim.choose("init", 2) == 1;
    let setup = Setup::default().config(|config| config.init_timeout(timeout));
    ThreadsWorld::run(sim, setup, 64, async move |world| {
        let mut peer = world.try_connect().await.expect("a connection");
        if inits {
            peer.init("a").await;
        }
        match peer.hear_within(timeout + SLACK).await {
            Some(Got::Closed { code: 4408, .. }) => sometimes!(true, "the timer closes"),
            Some(got) if got.kind() == Some("connection_ack") => {
                assert!(inits);
                peer.round_trip().await;
                peer.close().await;
            }
            other => panic!("{other:?}"),
        }
    });
}

#[wavetank::test(seeds = 300)]
fn threads_cancel_at_once(sim: &mut Sim) {
    let pause = Duration::from_millis(1) * sim.choose("pause", 6);
    let queries = [
        "subscription { silent }",
        "subscription { count(everyMs: 1) }",
        "{ never }",
        "{ hello(prepareMs: 1000000) }",
        "subscription { channel(name: \"x\") }",
    ];
    let query = queries[sim.choose("query", 5) as usize];
    let drops = sim.choose("drops", 2) == 1;
    ThreadsWorld::run(sim, Setup::default(), 64, async move |world| {
        let mut peer = world.acknowledged("a").await;
        peer.subscribe("1", query).await;
        Runtime::sleep(&world.host, pause).await;
        let is_dropped = |world: &ThreadsWorld| world.mock().live() == 0;
        if drops {
            drop(peer);
            return world.eventually(SLACK, "the operation is dropped", is_dropped).await;
        }
        peer.complete("1").await;
        peer.round_trip().await;
        world.eventually(SLACK, "the operation is dropped", is_dropped).await;
        assert_eq!(peer.hear_within(5 * SECOND).await, None, "nothing follows");
        peer.subscribe("1", "{ hello }").await;
        peer.until("complete").await;
        peer.close().await;
    });
}

#[wavetank::test(seeds = 100)]
fn threads_bound_a_slow_consumer(sim: &mut Sim) {
    let setup =
        Setup::default().config(|config| config.write_buffer_bytes(10_000).write_timeout(1000 * SECOND));
    ThreadsWorld::run(sim, setup, 64, async |world| {
        let mut slow = world.acknowledged("a").await;
        slow.subscribe("hot", "subscription { count(pad: 1000) }").await;
        Runtime::sleep(&world.host, 20 * SECOND).await;
        let made = world.mock().results();
        assert!(made <= (10_000 + 4 * (64 << 10)) / 1000 + 10, "{made} results are made");
        for number in 1..=500 {
            assert_eq!(slow.until("next").await["payload"]["data"]["count"], number);
        }
        slow.close().await;
    });
}

#[wavetank::test(seeds = 100)]
fn threads_drop_a_stalled_client(sim: &mut Sim) {
    let setup = Setup::default().config(|config| config.write_timeout(30 * SECOND));
    ThreadsWorld::run(sim, setup, 64, async |world| {
        let mut stalled = world.acknowledged("stalled").await;
        let mut other = world.acknowledged("other").await;
        stalled.subscribe("hot", "subscription { count(pad: 1000) }").await;
        other.subscribe("1", "subscription { count(everyMs: 1000) }").await;
        let start = Runtime::now(&world.host);
        while world.ended().is_empty() {
            other.until("next").await;
            // An eighth late at the most.
            let longest = 30 * SECOND + 30 * SECOND / 8 + SECOND + SLACK;
            assert!(Runtime::now(&world.host) - start < longest, "the client is not dropped");
        }
        assert_eq!(world.ended(), [Ended::Stalled]);
        other.until("next").await;
        other.close().await;
        drop(stalled);
    });
}

#[wavetank::test(seeds = 200)]
fn threads_shut_down(sim: &mut Sim) {
    ThreadsWorld::run(sim, Setup::default(), 64, async |world| {
        let mut busy = world.acknowledged("busy").await;
        let mut idle = world.acknowledged("idle").await;
        busy.subscribe("stream", "subscription { count(everyMs: 100) }").await;
        busy.subscribe("query", "{ slow(ms: 20000) }").await;
        busy.until("next").await;
        busy.round_trip().await;
        let handler = world.handler();
        // It may wait for a lock, which only a thread may.
        let begin = move || handler.begin_shutdown(Shutdown::restart(500 * SECOND));
        drop(Threads::spawn(&world.host, "shutdown", begin).expect("a thread"));
        assert_eq!(idle.end().await.code(), Some(1012));
        let mut completes = 0;
        let end = loop {
            match busy.hear().await {
                Got::Message(message) if message["type"] == "complete" => {
                    assert_eq!(message["id"], Value::from("query"));
                    completes += 1;
                }
                Got::Message(_) => {}
                end => break end,
            }
        };
        assert_eq!((completes, end.code()), (1, Some(1012)), "{end:?}");
    });
}

#[wavetank::test(seeds = 100)]
fn threads_shut_down_a_stalled_client(sim: &mut Sim) {
    let query = ["subscription { count(pad: 1000) }", "{ never }"][sim.choose("query", 2) as usize];
    let setup =
        Setup::default().config(|config| config.write_timeout(100_000 * SECOND).write_buffer_bytes(1000));
    ThreadsWorld::run(sim, setup, 64, async move |world| {
        let mut peer = world.acknowledged("a").await;
        peer.subscribe("hot", "subscription { count(pad: 1000) }").await;
        peer.subscribe("query", query).await;
        // The client reads nothing from here on.
        Runtime::sleep(&world.host, 100 * SECOND).await;
        let handler = world.handler();
        let shut_down = move || handler.shutdown(Shutdown::restart(20 * SECOND));
        drop(Threads::spawn(&world.host, "shutdown", shut_down).expect("a thread"));
        let longest = 20 * SECOND + 100 * SECOND + 2 * SLACK;
        world.eventually(longest, "the connection has ended", |world| world.ended().len() == 1).await;
        drop(peer);
    });
}

#[wavetank::test(seeds = 200)]
fn threads_refuse_what_the_pool_cannot_run(sim: &mut Sim) {
    ThreadsWorld::run(sim, Setup::default(), 1, async |world| {
        let mut peer = world.acknowledged("a").await;
        // The thread that accepted may not have ended.
        while world.mock().live() == 0 {
            peer.subscribe("1", "{ never }").await;
            let mut refused = false;
            while world.mock().live() == 0 && !refused {
                refused = peer.hear_within(SECOND / 10).await.is_some();
            }
        }
        peer.subscribe("2", "{ hello }").await;
        let error = peer.until("error").await;
        assert_eq!(error["payload"][0]["extensions"]["code"], "OVERLOADED");
        peer.complete("1").await;
        peer.round_trip().await;
        let mut other = world.try_connect().await.expect("a connection");
        other.init("b").await;
        match other.hear().await {
            Got::Closed { code: 1013, .. } => sometimes!(true, "no thread is free yet"),
            got => {
                assert_eq!(got.kind(), Some("connection_ack"), "{got:?}");
                other.close().await;
            }
        }
        peer.close().await;
    });
}

#[wavetank::test(seeds = 200)]
fn threads_answer_for_lost_jobs(sim: &mut Sim) {
    sim.tolerate_panics(true);
    let manner = [Manner::Loses, Manner::Panics][sim.choose("manner", 2) as usize];
    ThreadsWorld::run(sim, Setup::default(), 64, async move |world| {
        let mut peer = world.acknowledged("a").await;
        world.set_manner(manner);
        peer.subscribe("1", "{ hello }").await;
        let error = peer.until("error").await;
        assert_eq!(error["payload"][0]["extensions"]["code"], "OVERLOADED");
        let mut other = world.try_connect().await.expect("a connection");
        other.init("b").await;
        assert_eq!(other.hear().await.code(), Some(1013));
        world.set_manner(Manner::Runs);
        peer.subscribe("1", "{ hello }").await;
        peer.until("complete").await;
        peer.close().await;
    });
}

#[wavetank::test(seeds = 100)]
fn threads_contain_panics(sim: &mut Sim) {
    sim.tolerate_panics(true);
    ThreadsWorld::run(sim, Setup::default(), 64, async |world| {
        let mut peer = world.acknowledged("a").await;
        peer.subscribe("1", "{ crash }").await;
        let error = peer.until("error").await;
        assert_eq!(error["payload"][0]["message"], "Internal server error");
        peer.subscribe("1", "{ hello }").await;
        peer.until("complete").await;
        peer.close().await;
    });
}

#[wavetank::test(seeds = 200)]
fn threads_call_each_hook_once(sim: &mut Sim) {
    let mut take = |hook| [Duration::ZERO, Duration::from_millis(3), SECOND][sim.choose(hook, 3) as usize];
    let behaviour = Behaviour {
        connect: take("on_connect"),
        ping: take("on_ping"),
        operation: take("on_operation"),
        complete: take("on_complete"),
        disconnect: take("on_disconnect"),
        refuse: Some("Refused".to_owned()),
        ..Behaviour::default()
    };
    let setup = Setup { behaviour, ..Setup::default() };
    ThreadsWorld::run(sim, setup, 64, async move |world| {
        let mut peer = world.acknowledged("a").await;
        peer.round_trip().await;
        peer.subscribe("finished", "{ hello }").await;
        peer.until("complete").await;
        let refused = json!({"query": "{ hello }", "operationName": "Refused"});
        peer.send(json!({"type": "subscribe", "id": "refused", "payload": refused})).await;
        peer.subscribe("failed", "{ nonsense }").await;
        peer.until("error").await;
        peer.until("error").await;
        for id in ["cancelled", "disconnected"] {
            peer.subscribe(id, "subscription { count(everyMs: 10000000) }").await;
            peer.until("next").await;
        }
        peer.complete("cancelled").await;
        let completed = |world: &ThreadsWorld| world.hooks().of("a").completes.contains_key("cancelled");
        world.eventually(SLACK, "the operation is cancelled", completed).await;
        peer.round_trip().await;
        peer.close().await;
        world.eventually(5 * SECOND, "the connection has ended", |world| world.ended().len() == 1).await;
        let ended = world.ended();
        assert_eq!(ended, [Ended::ByClient(Some(1000))]);
        let completes = [
            ("finished", Completion::Finished),
            ("refused", Completion::Failed),
            ("failed", Completion::Failed),
            ("cancelled", Completion::Cancelled),
            ("disconnected", Completion::Disconnected),
        ];
        let of_each = |(id, completion)| (String::from(id), vec![completion]);
        let completes = BTreeMap::from(completes.map(of_each));
        let expected = HookLog {
            connects: 1,
            pings: 2,
            formats: 2,
            persisted: 0,
            operations: completes.keys().map(|id| (id.clone(), 1)).collect(),
            completes,
            disconnects: ended,
        };
        assert_eq!(world.hooks().of("a"), expected);
    });
}

#[wavetank::test(seeds = 100)]
fn threads_send_what_hooks_decide(sim: &mut Sim) {
    let rejects = sim.choose("rejects", 4) == 3;
    let setup = Setup::default().behaviour(|hooks| {
        hooks.reject = rejects.then(|| "not you".to_owned());
        hooks.refuse = Some("Refused".to_owned());
        hooks.document = Some("{ token }".to_owned());
        hooks.words = Some("worded: ".to_owned());
    });
    ThreadsWorld::run(sim, setup, 64, async move |world| {
        let mut peer = world.try_connect().await.expect("a connection");
        peer.init("a").await;
        if rejects {
            let closed = Got::Closed { code: 4403, reason: "not you".to_owned() };
            return assert_eq!(peer.hear().await, closed);
        }
        assert_eq!(peer.hear().await.kind(), Some("connection_ack"));
        let refused = json!({"query": "{ hello }", "operationName": "Refused"});
        peer.send(json!({"type": "subscribe", "id": "1", "payload": refused})).await;
        assert_eq!(peer.until("error").await["payload"], json!([{"message": "worded: refused"}]));
        let extensions = json!({"persistedQuery": {"version": 1, "sha256Hash": "h"}});
        let payload = json!({"query": "", "extensions": extensions});
        peer.send(json!({"type": "subscribe", "id": "1", "payload": payload})).await;
        assert_eq!(peer.until("next").await["payload"], json!({"data": {"token": "a"}}));
        peer.until("complete").await;
        // Errors of execution are the engine's.
        peer.subscribe("1", "{ boom }").await;
        assert_eq!(peer.until("next").await["payload"]["errors"][0]["message"], "boom");
        peer.close().await;
        assert_eq!(world.hooks().of("a").persisted, 1);
    });
}

#[wavetank::test(seeds = 200)]
fn threads_contain_panics_of_hooks(sim: &mut Sim) {
    sim.tolerate_panics(true);
    let hooks =
        [Hook::Connect, Hook::Ping, Hook::Operation, Hook::Persisted, Hook::Complete, Hook::Disconnect];
    let hook = hooks[sim.choose("hook", 6) as usize];
    let setup = Setup::default().behaviour(|hooks| hooks.fails = Some((hook, Failure::Panics)));
    ThreadsWorld::run(sim, setup, 64, async move |world| {
        let mut peer = world.try_connect().await.expect("a connection");
        peer.init("a").await;
        if hook == Hook::Connect {
            return assert_eq!(peer.end().await.code(), Some(1011));
        }
        assert_eq!(peer.hear().await.kind(), Some("connection_ack"));
        peer.send(json!({"type": "ping"})).await;
        let extensions = json!({"persistedQuery": {"version": 1}});
        let payload = json!({"query": "{ hello }", "extensions": extensions});
        peer.send(json!({"type": "subscribe", "id": "1", "payload": payload})).await;
        let mut kinds = Vec::new();
        while let Some(got @ Got::Message(_)) = peer.hear_within(SECOND + SLACK).await {
            kinds.extend(got.kind().map(str::to_owned));
        }
        kinds.sort();
        let expected: &[&str] = match hook {
            Hook::Ping => &["complete", "next"],
            Hook::Operation | Hook::Persisted => &["error", "pong"],
            _ => &["complete", "next", "pong"],
        };
        assert_eq!(kinds, expected);
        // That every hook was called once is checked behind the script.
        peer.close().await;
    });
}

#[wavetank::test(seeds = 400, sometimes = "required")]
fn threads_serve_stubborn_clients(sim: &mut Sim) {
    sim.faults(Faults::all().half_open().until(100 * SECOND));
    let setup = Setup::default().keepalive(20 * SECOND, 20 * SECOND).config(|config| {
        config.init_timeout(20 * SECOND).write_timeout(20 * SECOND).close_timeout(10 * SECOND)
    });
    ThreadsWorld::run(sim, setup, 256, async |world| {
        let (mut answered, mut connections) = (0, 0);
        while answered < 4 {
            let Ok(mut peer) = world.try_connect().await else {
                Runtime::sleep(&world.host, SECOND).await;
                continue;
            };
            connections += 1;
            peer.init(&connections.to_string()).await;
            let mut id = 0;
            while let Some(got) = peer.hear_within(60 * SECOND).await {
                match (got.kind(), got.id()) {
                    (Some("connection_ack"), _) => {
                        peer.subscribe("stream", "subscription { count(everyMs: 300) }").await;
                    }
                    (Some("complete"), Some(_)) => answered += 1,
                    (Some("next"), _) => continue,
                    _ => break,
                }
                if answered >= 4 {
                    break;
                }
                id += 1;
                Runtime::sleep(&world.host, 5 * SECOND).await;
                peer.subscribe(&id.to_string(), "{ slow(ms: 500) }").await;
            }
        }
        sometimes!(connections > 1, "a connection is lost");
    });
}
