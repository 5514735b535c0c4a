//! `graphql-transport-ws`.

use super::*;

#[test]
fn t1_every_message_is_a_typed_object() {
    let mut pair = Pair::transport().acknowledged();
    let key = pair.subscribe("a\\u0000\\\"é");
    pair.next(key, r#"{"data":{}}"#);
    pair.complete(key);
    assert_eq!(pair.started[0].1, "a\0\"é");
    assert_eq!(
        pair.sent(),
        [
            "{\"type\":\"next\",\"id\":\"a\\u0000\\\"é\",\"payload\":{\"data\":{}}}",
            "{\"type\":\"complete\",\"id\":\"a\\u0000\\\"é\"}"
        ]
    );
}

#[test]
fn t2_a_foreign_subprotocol_closes_with_4406() {
    for subprotocol in [None, Some("graphql-ws"), Some("chat"), Some("")] {
        let mut connection = Connection::new(Arc::new(Config::new()), subprotocol, 0, START);
        assert!(matches!(connection.poll_event(), Some(Event::End)));
        let Some(Transmit::Close(frame)) = connection.poll_transmit(START) else { panic!("not closed") };
        assert_eq!(frame.code(), CloseCode::SUBPROTOCOL_NOT_ACCEPTABLE);
    }
}

#[test]
fn t3_no_init_in_time_closes_with_4408() {
    let mut pair = Pair::transport();
    pair.wait(Duration::from_secs(10) - Duration::from_nanos(1));
    assert_eq!(pair.sent(), [""; 0]);
    pair.wait(Duration::from_nanos(1));
    pair.expect_closed(4408, "Connection initialisation timeout");
    assert_eq!(pair.inits, 0);
}

#[test]
fn t3_the_init_cancels_the_timer() {
    let mut pair = Pair::transport();
    pair.hear(r#"{"type":"connection_init"}"#);
    pair.wait(Duration::from_secs(1000));
    pair.connection.accept(None, pair.now);
    assert_eq!(pair.sent(), [r#"{"type":"connection_ack"}"#]);
}

#[test]
fn t4_a_second_init_closes_with_4429() {
    for acknowledged in [false, true] {
        let mut pair = Pair::transport();
        pair.hear(r#"{"type":"connection_init"}"#);
        if acknowledged {
            pair.connection.accept(None, pair.now);
        }
        pair.hear(r#"{"type":"connection_init"}"#);
        pair.expect_closed(4429, "Too many initialisation requests");
        // A late decision does nothing.
        pair.connection.accept(None, pair.now);
        assert_eq!(pair.sent(), [""; 0]);
    }
}

#[test]
fn t5_a_rejected_init_closes_with_4403() {
    let mut pair = Pair::transport();
    pair.hear(r#"{"type":"connection_init","payload":{"token":"x"}}"#);
    pair.connection.reject("Forbidden", pair.now);
    pair.events();
    pair.expect_closed(4403, "Forbidden");
}

#[test]
fn t6_the_ack_may_have_a_payload() {
    let mut pair = Pair::transport();
    pair.hear(r#"{"type":"connection_init"}"#);
    let payload = RawValue::from_string(r#"{"a":[1]}"#.to_owned()).expect("JSON");
    pair.connection.accept(Some(&payload), pair.now);
    // The state is there before the bytes leave.
    let key = pair.subscribe("1");
    pair.complete(key);
    let sent = pair.sent();
    assert_eq!(sent[0], r#"{"type":"connection_ack","payload":{"a":[1]}}"#);
    assert_eq!(sent[1], r#"{"type":"complete","id":"1"}"#);
}

#[test]
fn t7_a_ping_is_answered_at_any_time() {
    let mut pair = Pair::transport();
    for payload in ["", r#","payload":null"#, r#","payload":{"a":1}"#] {
        pair.hear(&format!(r#"{{"type":"ping"{payload}}}"#));
    }
    assert_eq!(pair.pings, [None, None, Some(r#"{"a":1}"#.to_owned())]);
    let payload = RawValue::from_string(r#"{"a":1}"#.to_owned()).expect("JSON");
    pair.connection.pong(Some(&payload), pair.now);
    pair.connection.pong(None, pair.now);
    assert_eq!(pair.sent(), [r#"{"type":"pong","payload":{"a":1}}"#, r#"{"type":"pong"}"#]);
}

#[test]
fn t8_an_unsolicited_pong_is_ignored() {
    let mut pair = Pair::transport().acknowledged();
    pair.hear(r#"{"type":"pong","payload":{"a":1}}"#);
    pair.hear(r#"{"type":"pong"}"#);
    assert_eq!(pair.sent(), [""; 0]);
    assert!(pair.connection.is_open());
}

#[test]
fn t9_subscribe_before_the_ack_closes_with_4401() {
    for inits in [false, true] {
        let mut pair = Pair::transport();
        if inits {
            pair.hear(r#"{"type":"connection_init"}"#);
        }
        pair.hear(r#"{"type":"subscribe","id":"1","payload":{"query":"{a}"}}"#);
        assert!(pair.started.is_empty());
        pair.expect_closed(4401, "Unauthorized");
    }
}

#[test]
fn t10_a_taken_id_closes_with_4409() {
    let mut pair = Pair::transport().acknowledged();
    let first = pair.subscribe("1");
    pair.next(first, "{}");
    pair.hear(r#"{"type":"subscribe","id":"1","payload":{"query":"{a}"}}"#);
    assert_eq!(pair.started.len(), 1, "the second is not started");
    assert!(!pair.connection.is_active(first));
    pair.expect_closed(4409, "Subscriber for 1 already exists");
}

#[test]
fn t11_an_id_may_be_used_again() {
    let mut pair = Pair::transport().acknowledged();
    let first = pair.subscribe("1");
    pair.next(first, "1");
    pair.complete(first);
    // The last message has not gone out yet.
    let second = pair.subscribe("1");
    pair.next(first, "late");
    pair.complete(first);
    pair.next(second, "2");
    pair.fail(second);
    let third = pair.subscribe("1");
    pair.complete(third);
    let sent = pair.sent();
    let payloads: Vec<&str> =
        sent.iter().map(|text| text.split("\"payload\":").nth(1).unwrap_or("")).collect();
    assert_eq!(payloads, ["1}", "", "2}", "[{\"message\":\"no\"}]}", ""]);
}

#[test]
fn t12_results_then_one_complete() {
    let mut pair = Pair::transport().acknowledged();
    let key = pair.subscribe("1");
    for payload in [r#"{"data":{},"hasNext":true}"#, r#"{"incremental":[],"hasNext":false}"#] {
        pair.next(key, payload);
    }
    pair.complete(key);
    pair.complete(key);
    pair.fail(key);
    let sent = pair.sent();
    assert_eq!(sent[1], r#"{"type":"next","id":"1","payload":{"incremental":[],"hasNext":false}}"#);
    assert_eq!(sent[2..], [r#"{"type":"complete","id":"1"}"#]);
}

#[test]
fn t13_an_error_is_the_last_message() {
    let mut pair = Pair::transport().acknowledged();
    let key = pair.subscribe("1");
    pair.fail(key);
    pair.complete(key);
    pair.next(key, "{}");
    assert_eq!(pair.sent(), [r#"{"type":"error","id":"1","payload":[{"message":"no"}]}"#]);
}

#[test]
fn t14_nothing_follows_the_complete_of_a_client() {
    let mut pair = Pair::transport().acknowledged();
    let (first, other) = (pair.subscribe("1"), pair.subscribe("2"));
    pair.next(first, "{}");
    pair.next(other, "{}");
    pair.hear(r#"{"type":"complete","id":"1"}"#);
    assert_eq!(pair.cancelled, [first]);
    pair.next(first, "{}");
    pair.complete(first);
    assert_eq!(pair.sent(), [r#"{"type":"next","id":"2","payload":{}}"#]);
    // The same where the operation has ended, and its last messages wait.
    pair.next(other, "{}");
    pair.complete(other);
    pair.hear(r#"{"type":"complete","id":"2"}"#);
    assert_eq!(pair.sent(), [""; 0]);
}

#[test]
fn t15_complete_of_an_unknown_id_is_ignored() {
    let mut pair = Pair::transport().acknowledged();
    pair.hear(r#"{"type":"complete","id":"1"}"#);
    let key = pair.subscribe("1");
    pair.complete(key);
    pair.sent();
    pair.hear(r#"{"type":"complete","id":"1"}"#);
    assert_eq!((pair.sent(), pair.cancelled), (vec![], vec![]));
}

#[test]
fn t16_an_unknown_type_closes_with_4400() {
    let mut pair = Pair::transport().acknowledged();
    let key = pair.subscribe("1");
    pair.next(key, "{}");
    pair.hear(r#"{"type":"unknown"}"#);
    // At once: what waited is not sent any more.
    pair.expect_closed(4400, "the type \"unknown\" is unknown");
}

#[test]
fn t17_operations_interleave() {
    let mut pair = Pair::transport().acknowledged();
    let (first, second) = (pair.subscribe("1"), pair.subscribe("2"));
    for key in [first, second, first] {
        pair.next(key, "{}");
    }
    pair.complete(second);
    let sent = pair.sent();
    let ids: Vec<bool> = sent.iter().map(|text| text.contains("\"id\":\"1\"")).collect();
    assert_eq!(ids, [true, false, true, false]);
}

#[test]
fn t18_either_side_may_close_at_any_time() {
    let mut pair = Pair::transport().acknowledged();
    pair.subscribe("1");
    pair.connection.handle_closed(Some(1000), pair.now);
    pair.events();
    assert!(pair.ended);
    // The answer of the closing handshake.
    assert_eq!(pair.sent(), [""; 0]);
    assert_eq!(pair.connection.ended(), Some(&Ended::ByClient(Some(1000))));

    let mut pair = Pair::transport();
    pair.connection.close(CloseFrame::new(CloseCode::GOING_AWAY, "first"), pair.now);
    pair.connection.close(CloseFrame::new(CloseCode::NORMAL, "second"), pair.now);
    pair.events();
    pair.expect_closed(1001, "first");
}

#[test]
fn t19_a_reason_has_at_most_123_bytes() {
    let mut pair = Pair::transport();
    pair.hear(&format!(r#"{{"type":"{}"}}"#, "é".repeat(200)));
    pair.sent();
    let reason = pair.closed.expect("closed").reason().to_owned();
    assert!(reason.len() <= 123 && reason.len() > 119, "{reason}");
}

#[test]
fn draining_waits_for_what_is_single() {
    let mut pair = Pair::transport().acknowledged();
    let (query, stream) = (pair.subscribe("1"), pair.subscribe("2"));
    pair.connection.is_subscription(stream, pair.now);
    pair.connection.drain(CloseFrame::new(CloseCode::SERVICE_RESTART, ""), Duration::from_secs(9), pair.now);
    pair.hear(r#"{"type":"subscribe","id":"3","payload":{"query":"{a}"}}"#);
    assert_eq!(pair.started.len(), 2, "nothing new is started");
    pair.next(stream, "{}");
    pair.next(query, "{}");
    pair.complete(query);
    assert_eq!(pair.connection.operations(), 0);
    pair.expect_closed(1012, "");
}

#[test]
fn draining_ends_at_its_deadline() {
    let mut pair = Pair::transport().acknowledged();
    pair.subscribe("1");
    pair.connection.drain(CloseFrame::new(CloseCode::GOING_AWAY, "a"), Duration::from_secs(9), pair.now);
    pair.wait(Duration::from_secs(9));
    pair.expect_closed(1001, "a");
}

#[test]
fn a_binary_payload_fails_its_operation() {
    struct Bytes;
    impl crate::Payload for Bytes {
        fn append_to(&self, frame: &mut Vec<u8>) {
            frame.push(0xff);
        }
    }
    let mut pair = Pair::transport().acknowledged();
    let key = pair.subscribe("1");
    assert!(!pair.connection.next(key, &Bytes, pair.now));
    let sent = pair.sent();
    assert!(sent.len() == 1 && sent[0].starts_with(r#"{"type":"error","id":"1""#), "{sent:?}");
}

#[test]
fn slots_are_used_again_with_other_keys() {
    let mut pair = Pair::transport().acknowledged();
    let mut keys = Vec::new();
    for _ in 0..3 {
        let key = pair.subscribe("1");
        keys.push(key);
        pair.complete(key);
        pair.sent();
    }
    assert!(keys.iter().all(|key| key.slot() == 0), "{keys:?}");
    assert!(keys[0] != keys[1] && keys[1] != keys[2], "{keys:?}");
}

#[test]
fn what_waits_stops_results_and_then_reading() {
    let mut pair = Pair::new(Config::new().keepalive(None).write_buffer_bytes(1000), "graphql-transport-ws");
    pair = pair.acknowledged();
    let key = pair.subscribe("1");
    while pair.connection.wants_results() {
        pair.next(key, &"x".repeat(300));
    }
    assert!(pair.connection.may_read(), "cancelling is possible");
    for number in 0..30 {
        pair.connection.handle_text(r#"{"type":"ping"}"#, pair.now);
        pair.connection.pong(None, pair.now);
        if !pair.connection.may_read() {
            assert!(number > 5, "so many pongs do not fill it");
            break;
        }
    }
    assert!(!pair.connection.may_read());
    pair.events();
    pair.sent();
    assert!(pair.connection.may_read() && pair.connection.wants_results());
}
