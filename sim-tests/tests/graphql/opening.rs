//! From the accepted transport to the acknowledgement.

use std::time::Duration;

use serde_json::json;
use wavetank::runtime::Runtime as _;
use wavetank::{Sim, sometimes};
use wavetank_sim_tests::graphql::{Got, On, SECOND, SLACK, Setup, World};
use wavetank_sim_tests::on_both_transports;

on_both_transports! {
    400: an_init_counts_until_its_deadline;
    200: a_silent_client_is_closed_with_4408;
    200: a_slow_on_connect_never_times_out;
    200: no_init_timer_outlives_its_init;
    300: a_subscribe_behind_the_ack_is_served;
    200: a_second_init_closes_with_4429;
    200: a_rejected_init_closes_with_4403;
    200: an_operation_before_the_ack_closes_with_4401;
    300: a_close_before_the_ack_ends_everything;
    100: pings_are_answered_at_any_time;
    100: connections_share_no_context;
    100: a_hung_on_connect_closes_with_1013;
}

fn an_init_counts_until_its_deadline(sim: &mut Sim, on: On) {
    let timeout = Duration::from_micros([0, 1000, 2000, 5000, 1_000_000][sim.choose("timeout", 5) as usize]);
    let pause = Duration::from_micros([0, 500, 1000, 4000, 1_000_000][sim.choose("pause", 5) as usize]);
    let setup = Setup::default().config(|config| config.init_timeout(timeout));
    World::run(sim, on, setup, async move |world: World| {
        let mut peer = world.connect().await;
        world.host.sleep(pause).await;
        peer.init("a").await;
        match peer.hear().await {
            Got::Closed { code: 4408, .. } => {
                sometimes!(true, "the init is late");
                assert_eq!(world.hooks().of("a").connects, 0, "a hook is called on a closed connection");
            }
            got if got.kind() == Some("connection_ack") => {
                sometimes!(true, "the init is early enough");
                peer.round_trip().await;
                peer.close().await;
            }
            got => panic!("neither in time nor late: {got:?}"),
        }
    });
}

fn a_silent_client_is_closed_with_4408(sim: &mut Sim, on: On) {
    let timeout =
        [Duration::ZERO, Duration::from_millis(1), SECOND, 60 * SECOND][sim.choose("timeout", 4) as usize];
    let setup = Setup::default().config(|config| config.init_timeout(timeout));
    World::run(sim, on, setup, async move |world: World| {
        let mut peer = world.connect().await;
        let start = world.host.now();
        let got = peer.hear().await;
        let took = world.host.now() - start;
        assert_eq!(got, Got::Closed { code: 4408, reason: "Connection initialisation timeout".to_owned() });
        assert!(took < timeout + SLACK, "closed after {took:?}");
        assert_eq!(peer.end().await.code(), Some(4408));
    });
}

fn a_slow_on_connect_never_times_out(sim: &mut Sim, on: On) {
    let setup = Setup::default()
        .config(|config| config.init_timeout(100 * SECOND).hook_timeout(1000 * SECOND))
        .behaviour(|hooks| hooks.connect = 300 * SECOND);
    World::run(sim, on, setup, async move |world: World| {
        let mut peer = world.connect().await;
        peer.acknowledged("a").await;
        peer.close().await;
    });
}

fn no_init_timer_outlives_its_init(sim: &mut Sim, on: On) {
    let setup = Setup::default().config(|config| config.init_timeout(60 * SECOND));
    World::run(sim, on, setup, async move |world: World| {
        let mut peer = world.connect().await;
        peer.acknowledged("a").await;
        world.host.sleep(200 * SECOND).await;
        assert_eq!(peer.round_trip().await, Vec::<serde_json::Value>::new());
        peer.close().await;
        world.eventually(SLACK, "nothing waits for a timer", |world| world.ended().len() == 1).await;
    });
}

fn a_subscribe_behind_the_ack_is_served(sim: &mut Sim, on: On) {
    let connect = [Duration::ZERO, Duration::from_millis(1)][sim.choose("on_connect", 2) as usize];
    let setup = Setup { capacity: 1, ..Setup::default() }.behaviour(|hooks| hooks.connect = connect);
    World::run(sim, on, setup, async move |world: World| {
        for token in ["a", "b", "c"] {
            let mut peer = world.connect().await;
            peer.acknowledged(token).await;
            peer.subscribe("1", "{ hello }").await;
            assert_eq!(peer.until("next").await["payload"], json!({"data": {"hello": "Hello, world!"}}));
            assert_eq!(peer.hear().await, Got::Message(json!({"type": "complete", "id": "1"})));
            peer.close().await;
        }
    });
}

fn a_second_init_closes_with_4429(sim: &mut Sim, on: On) {
    let connect = [Duration::ZERO, 5 * SECOND][sim.choose("on_connect", 2) as usize];
    let pause = [Duration::ZERO, SECOND, 50 * SECOND][sim.choose("pause", 3) as usize];
    let setup = Setup::default().behaviour(|hooks| hooks.connect = connect);
    World::run(sim, on, setup, async move |world: World| {
        let mut peer = world.connect().await;
        peer.init("a").await;
        world.host.sleep(pause).await;
        peer.init("a").await;
        let end = peer.end().await;
        let reason = "Too many initialisation requests".to_owned();
        assert_eq!(end, Got::Closed { code: 4429, reason });
        assert!(world.hooks().of("a").connects <= 1, "`on_connect` is called once");
    });
}

fn a_rejected_init_closes_with_4403(sim: &mut Sim, on: On) {
    let reason = ["Forbidden".to_owned(), "ü".repeat(100)][sim.choose("reason", 2) as usize].clone();
    let connect = [Duration::ZERO, SECOND][sim.choose("on_connect", 2) as usize];
    let setup = Setup::default().behaviour(|hooks| {
        hooks.reject = Some(reason.clone());
        hooks.connect = connect;
    });
    World::run(sim, on, setup, async move |world: World| {
        let mut peer = world.connect().await;
        peer.init("a").await;
        let Got::Closed { code: 4403, reason: heard } = peer.hear().await else { panic!("not rejected") };
        assert!(reason.starts_with(&heard) && heard.len() <= 123, "{heard}");
        assert_eq!(heard.len(), reason.len().min(122), "as much of the reason as fits");
    });
}

fn an_operation_before_the_ack_closes_with_4401(sim: &mut Sim, on: On) {
    let inits = sim.choose("init", 2) == 1;
    let setup = Setup::default().behaviour(|hooks| hooks.connect = 200 * SECOND);
    World::run(
        sim,
        on,
        setup.config(|config| config.hook_timeout(1000 * SECOND)),
        async move |world: World| {
            let mut peer = world.connect().await;
            if inits {
                peer.init("a").await;
            }
            peer.subscribe("1", "subscription { count }").await;
            assert_eq!(peer.hear().await, Got::Closed { code: 4401, reason: "Unauthorized".to_owned() });
            assert_eq!(world.mock().prepared(), 0, "nothing is executed");
        },
    );
}

fn a_close_before_the_ack_ends_everything(sim: &mut Sim, on: On) {
    let pause = [Duration::ZERO, Duration::from_millis(1), SECOND][sim.choose("pause", 3) as usize];
    let drops = sim.choose("how", 2) == 1;
    let setup = Setup::default().behaviour(|hooks| hooks.connect = SECOND);
    World::run(sim, on, setup, async move |world: World| {
        let mut peer = world.connect().await;
        peer.init("a").await;
        world.host.sleep(pause).await;
        if drops {
            drop(peer);
        } else {
            peer.close().await;
        }
        world.eventually(SLACK, "the connection has ended", |world| world.ended().len() == 1).await;
        let hooks = world.hooks().of("a");
        sometimes!(hooks.connects == 1 && hooks.disconnects.is_empty(), "`on_connect` is dropped");
        sometimes!(hooks.disconnects.len() == 1, "the connection was acknowledged");
    });
}

fn pings_are_answered_at_any_time(sim: &mut Sim, on: On) {
    World::run(sim, on, Setup::default(), async move |world: World| {
        let mut peer = world.connect().await;
        for round in 0..2 {
            for payload in [json!(null), json!({}), json!({"a": [1, "\"]}"]})] {
                peer.send(json!({"type": "ping", "payload": payload})).await;
                let expected = if payload.is_null() {
                    json!({"type": "pong"})
                } else {
                    json!({"type": "pong", "payload": payload})
                };
                assert_eq!(peer.hear().await, Got::Message(expected));
                // An unsolicited one.
                peer.send(json!({"type": "pong", "payload": {"unsolicited": true}})).await;
            }
            if round == 0 {
                peer.acknowledged("a").await;
            }
        }
        peer.ping_frame().await;
        peer.round_trip().await;
        assert_eq!(world.hooks().of("").pings, 3, "before the acknowledgement");
        assert_eq!(world.hooks().of("a").pings, 4, "behind it");
        peer.close().await;
    });
}

fn connections_share_no_context(sim: &mut Sim, on: On) {
    World::run(sim, on, Setup::default(), async move |world: World| {
        let mut peers = Vec::new();
        for token in ["a", "b", "c"] {
            let mut peer = world.connect().await;
            peer.acknowledged(token).await;
            peers.push((token, peer));
        }
        for (_, peer) in &mut peers {
            peer.subscribe("1", "{ token }").await;
        }
        for (token, mut peer) in peers {
            assert_eq!(peer.until("next").await["payload"], json!({"data": {"token": token}}));
            peer.close().await;
        }
    });
}

fn a_hung_on_connect_closes_with_1013(sim: &mut Sim, on: On) {
    let setup = Setup::default()
        .config(|config| config.hook_timeout(10 * SECOND))
        .behaviour(|hooks| hooks.connect = 1000 * SECOND);
    World::run(sim, on, setup, async move |world: World| {
        let mut peer = world.connect().await;
        peer.init("a").await;
        let got = world.within(10 * SECOND + SLACK, peer.hear()).await;
        assert_eq!(got.code(), Some(1013), "{got:?}");
    });
}
