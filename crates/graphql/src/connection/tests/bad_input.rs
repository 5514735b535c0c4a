//! What no client should send.

use super::*;

/// Closed with 4400, whatever was sent before it.
#[track_caller]
fn check_malformed(text: &str) {
    let mut pair = Pair::transport().acknowledged();
    let key = pair.subscribe("active");
    pair.next(key, "{}");
    pair.hear(text);
    let sent = pair.sent();
    let shown: String = text.chars().take(80).collect();
    assert_eq!(sent, [""; 0], "{shown}");
    let frame = pair.closed.clone().unwrap_or_else(|| panic!("not closed: {shown}"));
    assert_eq!(frame.code(), CloseCode::BAD_REQUEST, "{shown}");
    assert!(!frame.reason().is_empty() && pair.ended, "{shown}");
}

#[test]
fn text_without_a_message_closes_with_4400() {
    for text in [
        "",
        " ",
        "null",
        "true",
        "17",
        "\"ping\"",
        "[]",
        "{",
        "}",
        "{}{}",
        "{]",
        "nonsense",
        "\u{0}",
        "{\"type\"}",
    ] {
        check_malformed(text);
    }
    check_malformed("[\"connection_init\"]");
    check_malformed("[\"complete\",\"1\"]");
    check_malformed("\u{feff}{\"type\":\"ping\"}");
    check_malformed("{\"type\":\"ping\"} x");
}

#[test]
fn a_missing_or_wrong_field_closes_with_4400() {
    for message in [
        "{}",
        r#"{"type":null}"#,
        r#"{"type":1}"#,
        r#"{"type":["ping"]}"#,
        r#"{"type":"ping","type":"ping"}"#,
        r#"{"type":"PING"}"#,
        r#"{"type":"connection_ack"}"#,
        r#"{"type":"next","id":"1","payload":{}}"#,
        r#"{"type":"stop","id":"1"}"#,
        r#"{"type":"ping","payload":[]}"#,
        r#"{"type":"pong","payload":"x"}"#,
        r#"{"type":"connection_init","payload":[]}"#,
        r#"{"type":"complete"}"#,
        r#"{"type":"complete","id":null}"#,
        r#"{"type":"complete","id":1}"#,
        r#"{"type":"complete","id":["1"]}"#,
        r#"{"type":"complete","id":""}"#,
        r#"{"type":"complete","id":"\ud800"}"#,
        r#"{"type":"subscribe","payload":{"query":"{a}"}}"#,
        r#"{"type":"subscribe","id":"1"}"#,
        r#"{"type":"subscribe","id":"1","payload":null}"#,
        r#"{"type":"subscribe","id":"1","payload":"{a}"}"#,
        r#"{"type":"subscribe","id":"1","payload":["{a}"]}"#,
        r#"{"type":"subscribe","id":"1","payload":{}}"#,
        r#"{"type":"subscribe","id":"1","payload":{"query":null}}"#,
        r#"{"type":"subscribe","id":"1","payload":{"query":["a"]}}"#,
        r#"{"type":"subscribe","id":"1","payload":{"query":"{a}","operationName":1}}"#,
        r#"{"type":"subscribe","id":"1","payload":{"query":"{a}","variables":[]}}"#,
        r#"{"type":"subscribe","id":"1","payload":{"query":"{a}","variables":"{}"}}"#,
        r#"{"type":"subscribe","id":"1","payload":{"query":"{a}","extensions":[]}}"#,
    ] {
        check_malformed(message);
    }
}

#[test]
fn long_fields_close_with_4400() {
    check_malformed(&format!(r#"{{"type":"complete","id":"{}"}}"#, "i".repeat(257)));
    check_malformed(&format!(r#"{{"type":"complete","id":"{}"}}"#, "i".repeat((1 << 20) - 100)));
    check_malformed(&format!(r#"{{"type":"complete","id":"{}"}}"#, "\\u0041".repeat(300)));
    check_malformed(&format!(r#"{{"type":"{}"}}"#, "t".repeat(1 << 19)));
    check_malformed(&format!(r#"{{"type":"connection_init","payload":{{"a":"{}"}}}}"#, "p".repeat(64 << 10)));
}

#[test]
fn limits_of_fields_can_be_set() {
    let pair = || {
        let config = Config::new().keepalive(None).init_payload_bytes_max(10).id_bytes_max(3).nesting_max(4);
        Pair::new(config, "graphql-transport-ws")
    };
    let mut allowed = pair();
    allowed.hear(r#"{"type":"connection_init","payload":{"a":"bc"}}"#);
    allowed.connection.accept(None, allowed.now);
    allowed.events();
    allowed.subscribe("123");
    allowed.hear(r#"{"type":"ping","payload":{"a":{"b":{}}}}"#);
    assert_eq!((allowed.inits, allowed.started.len(), allowed.pings.len()), (1, 1, 1));
    for message in [
        r#"{"type":"connection_init","payload":{"a":"bcd"}}"#,
        r#"{"type":"complete","id":"1234"}"#,
        r#"{"type":"ping","payload":{"a":{"b":{"c":{}}}}}"#,
    ] {
        let mut refused = pair();
        refused.hear(message);
        refused.sent();
        assert_eq!(refused.closed.map(|frame| frame.code()), Some(CloseCode::BAD_REQUEST), "{message}");
    }
}

#[test]
fn deep_nesting_closes_with_4400() {
    for (open, close) in [("{\"a\":", "}"), ("[", "]")] {
        let deep = format!("{{\"a\":{}0{}}}", open.repeat(120), close.repeat(120));
        check_malformed(&format!(r#"{{"type":"ping","payload":{deep}}}"#));
        check_malformed(&format!(r#"{{"other":{deep},"type":"ping"}}"#));
        check_malformed(&open.repeat(100_000));
    }
}

#[test]
fn brackets_in_strings_are_no_nesting() {
    let mut pair = Pair::transport().acknowledged();
    let text = r#"{\"[{\\"#.repeat(200);
    pair.hear(&format!(r#"{{"type":"ping","payload":{{"a":"{text}"}}}}"#));
    assert_eq!(pair.pings.len(), 1);
}

#[test]
fn nesting_is_allowed_to_its_limit() {
    let mut pair = Pair::transport().acknowledged();
    let deep = format!("{}{}", "{\"a\":".repeat(98), "{}".to_owned() + &"}".repeat(98));
    pair.hear(&format!(r#"{{"type":"ping","payload":{deep}}}"#));
    assert_eq!(pair.pings.len(), 1, "100 deep");
}

#[test]
fn a_binary_message_closes_with_4400() {
    let mut pair = Pair::transport();
    pair.connection.handle_binary(pair.now);
    pair.events();
    pair.expect_closed(4400, "a binary message");
}

#[test]
fn a_long_message_closes_with_1009() {
    let mut pair = Pair::transport();
    pair.hear(&" ".repeat((1 << 20) + 1));
    pair.expect_closed(1009, "the message is too big");
    let mut pair = Pair::transport();
    pair.connection.handle_failure(TransportError::MessageTooBig, pair.now);
    pair.events();
    pair.expect_closed(1009, "the message is too big");
}

#[test]
fn further_operations_are_refused_and_forgotten() {
    let mut pair = Pair::transport().acknowledged();
    for number in 0..10_000 {
        pair.hear(&format!(r#"{{"type":"subscribe","id":"{number}","payload":{{"query":"{{a}}"}}}}"#));
        pair.sent();
    }
    assert_eq!((pair.started.len(), pair.connection.operations()), (100, 100));
    pair.hear(r#"{"type":"subscribe","id":"x","payload":{"query":"{a}"}}"#);
    let sent = pair.sent();
    assert!(sent[0].contains("TOO_MANY_OPERATIONS"), "{sent:?}");
    // An id that was refused is not taken.
    pair.hear(r#"{"type":"subscribe","id":"x","payload":{"query":"{a}"}}"#);
    assert!(pair.connection.is_open());
}

#[test]
fn a_flood_of_inits_closes_once() {
    let mut pair = Pair::transport();
    for _ in 0..1000 {
        pair.hear(r#"{"type":"connection_init"}"#);
    }
    assert_eq!(pair.inits, 1);
    pair.expect_closed(4429, "Too many initialisation requests");
}

#[test]
fn pings_that_are_not_answered_stop_reading() {
    let mut pair = Pair::transport();
    let mut pings = 0;
    while pair.connection.may_read() {
        pair.hear(r#"{"type":"ping"}"#);
        pings += 1;
    }
    assert_eq!(pings, PINGS_PENDING_MAX);
    pair.connection.no_pong();
    assert!(pair.connection.may_read());
}

#[test]
fn slow_completion_hooks_bound_reading() {
    let mut pair = Pair::transport();
    let mut hooks = 0;
    while pair.connection.may_read() {
        pair.connection.completion_begins();
        hooks += 1;
    }
    assert_eq!(hooks, COMPLETIONS_PENDING_MAX);
    pair.connection.completion_ends();
    assert!(pair.connection.may_read());
}

#[test]
fn null_is_absent_where_a_field_is_optional() {
    let mut pair = Pair::transport();
    pair.hear(r#"{"type":"connection_init","payload":null}"#);
    pair.connection.accept(None, pair.now);
    pair.hear(
        r#"{"type":"subscribe","id":"1","payload":{"query":"{a}","operationName":null,"variables":null}}"#,
    );
    assert_eq!((pair.inits, pair.started.len()), (1, 1));
}
