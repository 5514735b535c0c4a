//! The server's side (RFC 6455, section 4.2).

use http::header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderValue, StatusCode};

use super::*;
use crate::error::{RequestError, Stage};

fn accepting(options: AcceptOptions) -> Accepting {
    Accepting::new(options, Config::default(), [9; 32], NOW).unwrap()
}

fn give(accepting: &mut Accepting, bytes: &[u8]) -> AcceptStep {
    accepting.input().extend_from_slice(bytes);
    accepting.process(NOW)
}

fn answer(accepting: &mut Accepting) -> String {
    let text = String::from_utf8(accepting.output().to_vec()).unwrap();
    accepting.output_written(text.len());
    text
}

const GOOD: &str = "GET /chat?a=b HTTP/1.1\r\nHost: server.example.com\r\nUpgrade: websocket\r\n\
    Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nOrigin: https://example.com\r\n\
    Sec-WebSocket-Protocol: chat, superchat\r\nSec-WebSocket-Version: 13\r\n\r\n";

fn agreed(step: AcceptStep) -> (Session, Agreed) {
    match step {
        AcceptStep::Done(session, agreed) => (*session, agreed),
        other => panic!("this is not done: {other:?}"),
    }
}

/// The error and the response to a good request that `change` broke.
fn refused(options: AcceptOptions, change: impl Fn(&str) -> String) -> (RequestError, String) {
    let mut accepting = accepting(options);
    match give(&mut accepting, change(GOOD).as_bytes()) {
        AcceptStep::Failed(OpenError::Request(error)) => (error, answer(&mut accepting)),
        other => panic!("this did not fail: {other:?}"),
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
//= type=test
//# If the server chooses to accept the incoming connection, it MUST reply with a valid HTTP response indicating
//# the following.
#[test]
fn the_split_rfc_example_is_accepted() {
    for seed in 0..200 {
        let mut accepting = accepting(AcceptOptions::new().subprotocols(["superchat", "chat"]));
        let bytes = [GOOD.as_bytes(), MASKED_HELLO].concat();
        let mut pieces = pieces(&bytes, &mut chance(seed)).into_iter();
        let step = pieces
            .by_ref()
            .map(|piece| give(&mut accepting, &piece))
            .find(|step| !matches!(step, AcceptStep::Continue));
        assert!(matches!(step, Some(AcceptStep::Request)));
        let request = accepting.request().unwrap();
        assert_eq!((request.path(), request.query()), ("/chat", Some("a=b")));
        assert_eq!(request.subprotocols, ["chat", "superchat"]);
        assert_eq!(
            (request.origin.as_deref(), &*request.host),
            (Some("https://example.com"), "server.example.com")
        );
        accepting.accept();
        let (mut session, agreed) = agreed(accepting.process(NOW));
        assert_eq!(agreed.subprotocol.as_deref(), Some("superchat"));
        let response = String::from_utf8(session.output().to_vec()).unwrap();
        let expected = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
            Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nSec-WebSocket-Protocol: superchat\r\n\r\n";
        assert_eq!(response, expected);
        session.output_written(response.len(), &|| NOW);
        for piece in pieces {
            session.input().extend_from_slice(&piece);
        }
        assert_hello(&mut session);
    }
}

#[test]
fn the_session_writes_the_response_before_anything_else() {
    let mut accepting = accepting(AcceptOptions::new());
    give(&mut accepting, GOOD.as_bytes());
    accepting.accept();
    let (mut session, _) = agreed(accepting.process(NOW));
    session.connection_mut().send(crate::Kind::Text, b"Hello").unwrap();
    let mut wire = Vec::new();
    while let Some(&byte) = session.output().first() {
        wire.push(byte);
        session.output_written(1, &|| NOW);
    }
    assert!(wire.starts_with(b"HTTP/1.1 101 "));
    assert!(wire.ends_with(&[b"\r\n\r\n", HELLO].concat()));
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.1
//= type=test
//# the server MUST stop processing the client's handshake and return an HTTP response with an appropriate error
//# code (such as 400 Bad Request).
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
//= type=test
//# If this version does not match a version understood by the server, the server MUST abort the WebSocket
//# handshake described in this section and instead send an appropriate HTTP error code (such as 426 Upgrade
//# Required) and a |Sec-WebSocket-Version| header field indicating the version(s) the server is capable of
//# understanding.
//= https://www.rfc-editor.org/rfc/rfc6455#section-9.1
//= type=test
//# If a value is received by either the client or the server during negotiation that does not conform to the
//# ABNF below, the recipient of such malformed data MUST immediately _Fail the WebSocket Connection_.
#[test]
fn an_invalid_upgrade_request_is_answered_by_status() {
    let check = |from: &str, to: &str, expected: RequestError, status: &str| {
        let (error, response) = refused(AcceptOptions::new(), |good| good.replace(from, to));
        assert_eq!(error, expected, "{from} {to}");
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{response}");
        assert!(value(&response, "Connection").unwrap().ends_with("close"));
        response
    };
    let header = RequestError::Header;
    let response = check("GET", "POST", RequestError::Method("POST".to_owned()), "405");
    assert_eq!(value(&response, "Allow"), Some("GET"));
    let not_http = |beginning: &str| RequestError::NotHttp { beginning: beginning.to_owned() };
    check("HTTP/1.1", "HTTP/1.0", not_http("GET /chat?a=b HTTP/1.0\\r\\nHost: se"), "400");
    check("GET", "G ET", not_http("G ET /chat?a=b HTTP/1.1\\r\\nHost: s"), "400");
    let response = check("Upgrade: websocket\r\n", "", RequestError::NoUpgrade, "426");
    assert_eq!(value(&response, "Upgrade"), Some("websocket"));
    check("keep-alive, Upgrade", "keep-alive", RequestError::NoUpgrade, "426");
    let response = check(": 13", ": 8", RequestError::Version(Some("8".to_owned())), "426");
    assert_eq!(value(&response, "Sec-WebSocket-Version"), Some("13"));
    check("Sec-WebSocket-Version: 13\r\n", "", RequestError::Version(None), "426");
    check("Host: server.example.com\r\n", "", header("Host"), "400");
    check("Host", "Host: x\r\nHost", header("Host"), "400");
    check("dGhlIHNhbXBsZSBub25jZQ==", "dGhl", header("Sec-WebSocket-Key"), "400");
    check("Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", "", header("Sec-WebSocket-Key"), "400");
    let twice = "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Key";
    check("Sec-WebSocket-Key", twice, header("Sec-WebSocket-Key"), "400");
    check("Host", "Content-Length: 3\r\nHost", RequestError::Body, "400");
    check("Host", "Transfer-Encoding: chunked\r\nHost", RequestError::Body, "400");
    let malformed = "Sec-WebSocket-Extensions: permessage-deflate;;\r\nHost";
    check("Host", malformed, header("Sec-WebSocket-Extensions"), "400");
    let long = format!("X-Long: {}\r\nHost", "x".repeat(70_000));
    check("Host", &long, RequestError::HeadTooLarge { limit_bytes: 65_536 }, "431");
}

#[test]
fn a_client_of_another_protocol_is_answered_immediately() {
    for (bytes, shown) in [
        (
            &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc"[..],
            "\"\\x16\\x03\\x01\\x02\\x00\\x01\\x00\\x01\\xfc\" (this is TLS)",
        ),
        (b"SSH-2.0-client\r\n", "\"SSH-2.0-client\\r\\n\""),
    ] {
        let mut accepting = accepting(AcceptOptions::new());
        let AcceptStep::Failed(error) = give(&mut accepting, bytes) else { panic!("it cannot ask") };
        let text = "the client broke the WebSocket handshake: the request is not HTTP/1.1: it begins with ";
        assert_eq!(error.to_string(), format!("{text}{shown}"));
        assert_eq!(error.peer().as_deref(), Some("the client"));
        assert!(accepting.output().starts_with(b"HTTP/1.1 400 "));
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
//= type=test
//# If the server does not wish to accept this connection, it MUST return an appropriate HTTP error code (e.g.,
//# 403 Forbidden) and abort the WebSocket handshake described in this section.
//= https://www.rfc-editor.org/rfc/rfc6455#section-10.2
//= type=test
//# If the origin indicated is unacceptable to the server, then it SHOULD respond to the WebSocket handshake
//# with a reply containing HTTP 403 Forbidden status code.
#[test]
fn pages_of_other_origins_may_not_connect() {
    let listed = || vec!["HTTPS://example.com".to_owned()];
    let others = || vec!["https://example.org".to_owned()];
    let no_origin = |good: &str| good.replace("Origin: https://example.com\r\n", "");
    for (origins, change, allowed) in [
        (Origins::Any, false, true),
        (Origins::Listed(listed()), false, true),
        (Origins::Listed(others()), false, false),
        (Origins::Listed(others()), true, true),
        (Origins::ListedOnly(listed()), false, true),
        (Origins::ListedOnly(listed()), true, false),
    ] {
        let request = if change { no_origin(GOOD) } else { GOOD.to_owned() };
        let mut accepting = accepting(AcceptOptions::new().origins(origins.clone()));
        match give(&mut accepting, request.as_bytes()) {
            AcceptStep::Request => assert!(allowed, "{origins:?}"),
            AcceptStep::Failed(OpenError::Request(RequestError::Origin(_))) => {
                assert!(!allowed, "{origins:?}");
                assert!(answer(&mut accepting).starts_with("HTTP/1.1 403 "));
            }
            other => panic!("{other:?}"),
        }
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
//= type=test
//# The value chosen MUST be derived from the client's handshake, specifically by selecting one of the values
//# from the |Sec-WebSocket-Protocol| field that the server is willing to use for this connection (if any).
#[test]
fn the_application_chooses_subprotocol_and_headers() {
    let mut accepting = accepting(AcceptOptions::new());
    give(&mut accepting, GOOD.as_bytes());
    let mut headers = HeaderMap::new();
    headers.insert("x-trace", HeaderValue::from_static("17"));
    assert!(accepting.accept_with(Some("other"), &headers).is_err());
    let mut own = HeaderMap::new();
    own.insert("upgrade", HeaderValue::from_static("x"));
    assert!(accepting.accept_with(None, &own).is_err());
    assert!(matches!(accepting.process(NOW), AcceptStep::Request));
    accepting.accept_with(Some("chat"), &headers).unwrap();
    let (mut session, agreed) = agreed(accepting.process(NOW));
    assert_eq!(agreed.subprotocol.as_deref(), Some("chat"));
    let response = String::from_utf8(session.output().to_vec()).unwrap();
    assert_eq!(value(&response, "X-Trace"), Some("17"));
    assert_eq!(value(&response, "Sec-WebSocket-Protocol"), Some("chat"));
}

#[test]
fn the_application_refuses_by_a_status() {
    let mut accepting = accepting(AcceptOptions::new());
    give(&mut accepting, GOOD.as_bytes());
    let mut headers = HeaderMap::new();
    headers.insert("www-authenticate", HeaderValue::from_static("Basic"));
    for informational in [StatusCode::CONTINUE, StatusCode::SWITCHING_PROTOCOLS] {
        let refused = accepting.refuse(informational, &headers, b"");
        assert!(matches!(refused, Err(OpenError::Setup(_))), "{refused:?}");
    }
    for own in [CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING] {
        let twice = HeaderMap::from_iter([(own, HeaderValue::from_static("7"))]);
        let refused = accepting.refuse(StatusCode::UNAUTHORIZED, &twice, b"who are you?");
        assert!(matches!(refused, Err(OpenError::Setup(_))), "{refused:?}");
    }
    accepting.refuse(StatusCode::UNAUTHORIZED, &headers, b"who are you?").unwrap();
    let AcceptStep::Failed(OpenError::Refused(StatusCode::UNAUTHORIZED)) = accepting.process(NOW) else {
        panic!()
    };
    assert_eq!(
        answer(&mut accepting),
        "HTTP/1.1 401 Unauthorized\r\nWww-Authenticate: Basic\r\nConnection: close\r\nContent-Length: \
        12\r\n\r\nwho are you?"
    );
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
//= type=test
//# Extensions not listed by the client MUST NOT be listed.
#[cfg(feature = "compression")]
#[test]
fn acceptable_compression_is_agreed_unless_off() {
    for (offer, enabled, expected) in [
        ("permessage-deflate; client_max_window_bits", true, Some("permessage-deflate")),
        (
            "permessage-deflate; server_max_window_bits=8",
            true,
            Some("permessage-deflate; server_max_window_bits=8"),
        ),
        ("permessage-deflate", false, None),
        ("permessage-deflate; nonsense", true, None),
        ("x-webkit-deflate-frame", true, None),
    ] {
        let mut config = Config::default();
        config.compression.enabled = enabled;
        let mut accepting = Accepting::new(AcceptOptions::new(), config, [9; 32], NOW).unwrap();
        let request = GOOD.replace("Host", &format!("Sec-WebSocket-Extensions: {offer}\r\nHost"));
        give(&mut accepting, request.as_bytes());
        accepting.accept();
        let (mut session, agreed) = agreed(accepting.process(NOW));
        let response = String::from_utf8(session.output().to_vec()).unwrap();
        assert_eq!(value(&response, "Sec-WebSocket-Extensions"), expected, "{offer}");
        assert_eq!(agreed.compression.is_some(), expected.is_some());
    }
}

#[test]
fn a_client_that_leaves_or_stalls_is_dropped() {
    let mut gone = accepting(AcceptOptions::new());
    assert!(matches!(give(&mut gone, b"GET / HT"), AcceptStep::Continue));
    assert!(matches!(
        accepting(AcceptOptions::new()).give_up(),
        OpenError::TimedOut { stage: Stage::Handshake, .. }
    ));
    gone.end_of_input();
    assert!(matches!(
        gone.process(NOW),
        AcceptStep::Failed(OpenError::Ended { stage: Stage::Handshake, .. })
    ));
}

#[test]
fn what_a_client_opens_its_server_accepts() {
    let request = request("ws://server/path").subprotocol("b").unwrap().subprotocol("a").unwrap();
    let mut opening = open(request);
    let mut accepting = accepting(AcceptOptions::new().subprotocols(["a"]));
    assert!(matches!(give(&mut accepting, &written(&mut opening)), AcceptStep::Request));
    accepting.accept();
    let (mut server, agreed) = agreed(accepting.process(NOW));
    let response = server.output().to_vec();
    server.output_written(response.len(), &|| NOW);
    let (mut client, response) = done(feed(&mut opening, &response));
    assert_eq!(response.subprotocol.as_deref(), Some("a"));
    assert_eq!(response.compression, agreed.compression);
    assert_eq!(response.compression.is_some(), cfg!(feature = "compression"));
    client.connection_mut().send(crate::Kind::Text, b"Hello").unwrap();
    let frame = client.output().to_vec();
    server.input().extend_from_slice(&frame);
    assert_hello(&mut server);
}

#[test]
fn arbitrary_bytes_never_panic() {
    let mut chance = chance(3);
    for _ in 0..3_000 {
        let mut accepting = accepting(AcceptOptions::new().head_bytes_max(600));
        let mut bytes = GOOD.as_bytes().to_vec();
        for _ in 0..chance.random_range(0..4) {
            let position = chance.random_range(0..bytes.len());
            match chance.random_range(0..3) {
                0 => bytes[position] = chance.random::<u8>(),
                1 => bytes.truncate(position.max(1)),
                _ => bytes.insert(position, b"\r\n,;:= \xff"[chance.random_range(0..8)]),
            }
        }
        if matches!(give(&mut accepting, &bytes), AcceptStep::Request) {
            accepting.accept();
            let _ = accepting.process(NOW);
        }
    }
}
