//! The legacy protocol.

use super::*;

#[test]
fn l1_an_init_is_acknowledged_and_kept_alive() {
    let keepalive = crate::Keepalive::new(Duration::from_secs(10), Duration::from_secs(10)).jitter_percent(0);
    let config = Config::new().keepalive(Some(keepalive)).legacy(Legacy::On);
    let mut pair = Pair::new(config, "graphql-ws");
    pair.wait(Duration::from_secs(5));
    pair.hear(r#"{"type":"connection_init"}"#);
    pair.connection.accept(None, pair.now);
    let ka = r#"{"type":"ka"}"#;
    assert_eq!(pair.sent(), [r#"{"type":"connection_ack"}"#, ka]);
    pair.wait(Duration::from_secs(5));
    assert_eq!(pair.sent(), [ka, "ping frame"]);
    for _ in 0..10 {
        pair.connection.handle_control();
        pair.wait(Duration::from_secs(10));
        assert_eq!(pair.sent(), [ka, "ping frame"]);
    }
}

#[test]
fn l1_a_silent_client_is_closed_with_3008() {
    let keepalive = crate::Keepalive::new(Duration::from_secs(10), Duration::from_secs(5)).jitter_percent(0);
    let config = Config::new().keepalive(Some(keepalive)).legacy(Legacy::On);
    let mut pair = Pair::new(config, "graphql-ws").acknowledged();
    pair.wait(Duration::from_secs(10));
    assert_eq!(pair.sent(), [r#"{"type":"ka"}"#, "ping frame"]);
    pair.wait(Duration::from_secs(5));
    pair.expect_closed(3008, "No answer to a ping");
}

#[test]
fn l1_a_rejected_init_closes_with_1011() {
    let mut pair = Pair::legacy();
    pair.hear(r#"{"type":"connection_init"}"#);
    pair.connection.reject("no", pair.now);
    pair.events();
    assert_eq!(pair.sent(), [r#"{"type":"connection_error","payload":{"message":"no"}}"#]);
    pair.expect_closed(1011, "no");
}

#[test]
fn l2_data_then_complete() {
    let mut pair = Pair::legacy().acknowledged();
    let key = pair.subscribe("1");
    pair.next(key, "{}");
    pair.complete(key);
    assert_eq!(pair.sent(), [r#"{"type":"data","id":"1","payload":{}}"#, r#"{"type":"complete","id":"1"}"#]);
}

#[test]
fn l3_an_error_is_one_object() {
    let mut pair = Pair::legacy().acknowledged();
    let key = pair.subscribe("1");
    pair.fail(key);
    assert_eq!(pair.sent(), [r#"{"type":"error","id":"1","payload":{"message":"no"}}"#]);
}

#[test]
fn l4_stop_is_answered_with_complete() {
    let mut pair = Pair::legacy().acknowledged();
    let key = pair.subscribe("1");
    pair.next(key, "{}");
    pair.hear(r#"{"type":"stop","id":"1"}"#);
    pair.hear(r#"{"type":"stop","id":"1"}"#);
    assert_eq!(pair.cancelled, [key]);
    assert_eq!(pair.sent(), [r#"{"type":"complete","id":"1"}"#]);
}

#[test]
fn l5_what_cannot_be_read_keeps_the_socket() {
    let mut pair = Pair::legacy().acknowledged();
    for text in ["", "nonsense", "[]", r#"{"type":"ping"}"#] {
        pair.hear(text);
        let sent = pair.sent();
        assert!(sent.len() == 1 && sent[0].contains(r#""type":"connection_error""#), "{text}: {sent:?}");
    }
    assert!(pair.connection.is_open());
}

#[test]
fn l6_terminate_closes() {
    let mut pair = Pair::legacy().acknowledged();
    pair.subscribe("1");
    pair.hear(r#"{"type":"connection_terminate"}"#);
    pair.expect_closed(1000, "");
}

#[test]
fn l7_a_duplicate_replaces_the_first() {
    let mut pair = Pair::legacy().acknowledged();
    let first = pair.subscribe("1");
    pair.next(first, "1");
    let second = pair.subscribe("1");
    assert_eq!(pair.cancelled, [first]);
    pair.next(first, "1");
    pair.next(second, "2");
    assert_eq!(pair.sent(), [r#"{"type":"data","id":"1","payload":2}"#]);
}

#[test]
fn l8_keepalives_do_not_stop() {
    let keepalive = crate::Keepalive::new(Duration::from_secs(10), Duration::from_secs(1));
    let config = Config::new().keepalive(Some(keepalive)).legacy(Legacy::On);
    let mut pair = Pair::new(config, "graphql-ws").acknowledged();
    assert_eq!(pair.sent(), [""; 0]);
    pair.connection.ping_messages_only = true;
    for _ in 0..100 {
        // Without frames the client has nothing to answer.
        pair.wait(Duration::from_secs(11));
        let sent = pair.sent();
        assert!(!sent.is_empty() && sent.iter().all(|text| text == r#"{"type":"ka"}"#), "{sent:?}");
    }
}

#[test]
fn l8_keepalives_go_on_behind_a_ping() {
    let keepalive =
        crate::Keepalive::new(Duration::from_secs(10), Duration::from_secs(100)).jitter_percent(0);
    let config = Config::new().keepalive(Some(keepalive)).legacy(Legacy::On);
    let mut pair = Pair::new(config, "graphql-ws").acknowledged();
    let ka = r#"{"type":"ka"}"#;
    pair.wait(Duration::from_secs(10));
    assert_eq!(pair.sent(), [ka, "ping frame"]);
    pair.wait(Duration::from_secs(10));
    assert_eq!(pair.sent(), [ka], "one ping is outstanding at a time");
}

#[test]
fn l9_a_start_before_init_closes_with_4401() {
    let mut pair = Pair::legacy();
    pair.hear(r#"{"type":"start","id":"1","payload":{"query":"{a}"}}"#);
    assert!(pair.started.is_empty());
    pair.expect_closed(4401, "Unauthorized");
}

#[test]
fn start_is_tolerated_where_that_is_enabled() {
    let mut pair = Pair::new(Config::new().keepalive(None).legacy(Legacy::Tolerated), "graphql-transport-ws")
        .acknowledged();
    pair.hear(r#"{"type":"start","id":"1","payload":{"query":"{a}"}}"#);
    let key = pair.started[0].0;
    pair.next(key, "{}");
    assert_eq!(pair.sent(), [r#"{"type":"data","id":"1","payload":{}}"#]);
    let mut pair =
        Pair::new(Config::new().keepalive(None).legacy(Legacy::On), "graphql-transport-ws").acknowledged();
    pair.hear(r#"{"type":"start","id":"1","payload":{"query":"{a}"}}"#);
    pair.expect_closed(4400, "the type \"start\" is unknown");
}

/// The legacy protocol has no `ping`: the message would end a client that speaks it.
#[test]
fn an_undecided_client_gets_ping_frames_alone() {
    let second = Duration::from_secs(1);
    let keepalive = crate::Keepalive::new(10 * second, 5 * second).jitter_percent(0);
    let config = || Config::new().keepalive(Some(keepalive)).legacy(Legacy::Tolerated);
    let undecided = || Pair::new(config(), "graphql-transport-ws").acknowledged();
    let mut pair = undecided();
    pair.wait(10 * second);
    assert_eq!(pair.connection.poll_transmit(pair.now), Some(Transmit::Ping));
    // A transport without ping frames sends nothing, and the client is not closed for that.
    pair.connection.ping_unsupported(pair.now);
    pair.wait(100 * second);
    assert_eq!(pair.sent(), [""; 0]);
    assert!(pair.connection.is_open());

    let mut pair = undecided();
    pair.hear(r#"{"type":"pong"}"#);
    pair.wait(10 * second);
    assert_eq!(pair.sent(), [r#"{"type":"ping"}"#]);
}
