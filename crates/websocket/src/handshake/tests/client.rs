//! The client's upgrade (RFC 6455, section 4.1).

use std::io::ErrorKind;

use super::*;
use crate::deflate::NegotiationError;
use crate::error::{Fault, HandshakeError};

/// The outcome of an answer that is an acceptance but for what `change` did to it.
fn answered(change: impl Fn(String) -> String) -> Step {
    let request = request("ws://a/").subprotocol("chat").unwrap().subprotocol("chat.v2").unwrap();
    let mut opening = open(request);
    let text = written_text(&mut opening);
    feed(&mut opening, change(acceptance(&text, "")).as_bytes())
}

fn broken(change: impl Fn(String) -> String) -> HandshakeError {
    match failure(answered(change)) {
        OpenError::Handshake { error, .. } => error,
        other => panic!("{other}"),
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# The method of the request MUST be GET, and the HTTP version MUST be at least 1.1.
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# The request MUST contain a |Host| header field whose value contains /host/ plus optionally ":" followed by
//# /port/ (when not using the default port).
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# The request MUST contain an |Upgrade| header field whose value MUST include the "websocket" keyword.
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# The request MUST contain a |Connection| header field whose value MUST include the "Upgrade" token.
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# The request MUST include a header field with the name |Sec-WebSocket-Version|. The value of this header
//# field MUST be 13.
#[test]
fn the_request_is_what_the_rfc_demands() {
    let mut opening = open(
        request("ws://us%65r:pass@example.com:9000/chat?room=5")
            .origin("https://example.com")
            .unwrap()
            .subprotocol("chat")
            .unwrap()
            .subprotocol("chat.v2")
            .unwrap()
            .header("x-trace", "17")
            .unwrap(),
    );
    assert_eq!(opening.endpoint(), Endpoint::Tcp { host: "example.com".to_owned(), port: 9000 });
    let text = written_text(&mut opening);
    let key = value(&text, "Sec-WebSocket-Key").unwrap();
    let offer = if cfg!(feature = "compression") {
        "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
    } else {
        ""
    };
    let expected = format!(
        "GET /chat?room=5 HTTP/1.1\r\nHost: example.com:9000\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: chat, chat.v2\r\n\
         {offer}Authorization: Basic dXNlcjpwYXNz\r\nUser-Agent: wavetank-websocket/0.1.0\r\n\
         Origin: https://example.com\r\nX-Trace: 17\r\n\r\n"
    );
    assert_eq!(text, expected);
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# The value of this header field MUST be a nonce consisting of a randomly selected 16-byte value that has been
//# base64-encoded (see Section 4 of [RFC4648]). The nonce MUST be selected randomly for each connection.
#[test]
fn keys_depend_only_on_the_seed() {
    let key = |seed| {
        let mut opening = Opening::new(request("ws://a"), Config::default(), [seed; 32], NOW).unwrap();
        let text = written_text(&mut opening);
        value(&text, "Sec-WebSocket-Key").unwrap().to_owned()
    };
    assert!(digest::is_key(key(1).as_bytes()));
    assert_eq!(key(1), key(1));
    assert_ne!(key(1), key(2));
}

#[test]
fn caller_headers_replace_defaults_but_not_handshake_headers() {
    let mut opening = open(
        request("ws://user:pass@a/")
            .host("other")
            .unwrap()
            .user_agent("mine")
            .unwrap()
            .header("Authorization", "Bearer x")
            .unwrap(),
    );
    let text = written_text(&mut opening);
    for (name, expected) in [("Host", "other"), ("User-Agent", "mine"), ("Authorization", "Bearer x")] {
        assert_eq!(value(&text, name), Some(expected));
        assert_eq!(text.matches(&format!("{name}: ")).count(), 1);
    }
    for name in ["Connection", "upgrade", "Sec-WebSocket-Key", "sec-websocket-anything", "not a name"] {
        assert!(request("ws://a").header(name, "x").is_err(), "{name}");
    }
    assert!(request("ws://a").header("x", "a\r\nb: c").is_err());
    for name in ["", "a b", "a,b", "\u{e9}"] {
        assert!(request("ws://a").subprotocol(name).is_err(), "{name}");
    }
    assert!(request("ws://a").subprotocol("a").unwrap().subprotocol("a").is_err());
}

#[test]
fn secrets_are_not_shown() {
    let request = request("ws://user:hidden@a/").header("Authorization", "Bearer hidden").unwrap();
    let request = request.header("Cookie", "hidden").unwrap();
    #[cfg(feature = "proxies")]
    let request = request.proxies(Proxies::always(Proxy::parse("http://user:hidden@proxy").unwrap()));
    let shown = format!("{:?}", open(request));
    // Bytes that wait to be written are shown, but those are not text.
    let request = shown.split("ClientRequest").nth(1).unwrap().split("config: ").next().unwrap();
    assert!(!request.contains("hidden"), "{request}");
}

#[test]
fn without_compression_none_is_offered() {
    let mut config = Config::default();
    config.compression.enabled = false;
    let mut opening = Opening::new(request("ws://a"), config, [7; 32], NOW).unwrap();
    let text = written_text(&mut opening);
    assert_eq!(value(&text, "Sec-WebSocket-Extensions"), None);
    let answer = acceptance(&text, "Sec-WebSocket-Extensions: permessage-deflate\r\n");
    assert!(matches!(failure(feed(&mut opening, answer.as_bytes())), OpenError::Handshake { .. }));
}

/// A server that answers the plain name has agreed to no limit.
#[cfg(feature = "compression")]
#[test]
fn unconfirmed_limits_fail_unless_they_are_optional() {
    let answered = |requires: bool, header: &str| {
        let mut config = Config::default();
        config.compression().server_max_window_bits(10).require_limits(requires);
        let mut opening = Opening::new(request("ws://a"), config, [7; 32], NOW).unwrap();
        let text = written_text(&mut opening);
        feed(&mut opening, acceptance(&text, header).as_bytes())
    };
    let plain = "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    let error = failure(answered(true, plain));
    let unconfirmed = NegotiationError::Unconfirmed("server_max_window_bits");
    let expected = HandshakeError::Extensions(unconfirmed);
    assert!(matches!(&error, OpenError::Handshake { error, .. } if *error == expected), "{error:?}");
    assert!(error.to_string().contains("`Compression::require_limits(false)`"), "{error}");
    let agreed = done(answered(false, plain)).1.compression.expect("compression");
    assert_eq!(agreed.server_max_window_bits, 15);
    let confirmed = "Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=9\r\n";
    for requires in [true, false] {
        let agreed = done(answered(requires, confirmed)).1.compression.expect("compression");
        assert_eq!(agreed.server_max_window_bits, 9);
    }
}

#[test]
fn valid_answers_open_regardless_of_case_and_lists() {
    let (_, response) = done(answered(|text| text));
    assert_eq!((response.subprotocol, response.compression), (None, None));
    let (_, response) = done(answered(|text| {
        text.replace("Upgrade: websocket", "uPGRADE:  WebSocket ")
            .replace("Connection: Upgrade", "connection: keep-alive, UPGRADE")
            .replace("\r\n\r\n", "  \r\nSec-WebSocket-Protocol: chat.v2\r\nX-More: 1\r\n\r\n")
    }));
    assert_eq!(response.subprotocol.as_deref(), Some("chat.v2"));
    assert_eq!(response.headers["x-more"], "1");
    assert_eq!(response.url.as_str(), "ws://a/");
}

#[cfg(feature = "compression")]
#[test]
fn repeated_and_quoted_compression_headers_are_understood() {
    let (_, response) = done(answered(|text| {
        let extensions = "\r\nSec-WebSocket-Extensions:\r\nsec-websocket-extensions: permessage-deflate ; \
                          client_max_window_bits=\"1\\0\";server_no_context_takeover\r\n\r\n";
        text.replace("\r\n\r\n", extensions)
    }));
    let parameters = response.compression.unwrap();
    assert_eq!((parameters.client_max_window_bits, parameters.server_no_context_takeover), (10, true));
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# If the response lacks an |Upgrade| header field or the |Upgrade| header field contains a value that is not
//# an ASCII case-insensitive match for the value "websocket", the client MUST _Fail the WebSocket Connection_.
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# If the response lacks a |Connection| header field or the |Connection| header field doesn't contain a token
//# that is an ASCII case-insensitive match for the value "Upgrade", the client MUST _Fail the WebSocket
//# Connection_.
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# If the response lacks a |Sec-WebSocket-Accept| header field or the |Sec-WebSocket-Accept| contains a value
//# other than the base64-encoded SHA-1 of the concatenation of the |Sec-WebSocket-Key| (as a string, not
//# base64-decoded) with the string "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" but ignoring any leading and trailing
//# whitespace, the client MUST _Fail the WebSocket Connection_.
#[test]
fn every_answer_check_fails_for_its_own_reason() {
    use HandshakeError as E;
    assert_eq!(broken(|text| text.replace("Upgrade: websocket\r\n", "")), E::Upgrade(None));
    let changed = broken(|text| text.replace("Upgrade: websocket", "Upgrade: h2c"));
    assert_eq!(changed, E::Upgrade(Some("h2c".to_owned())));
    assert_eq!(broken(|text| text.replace("Connection: Upgrade\r\n", "")), E::Connection(None));
    let changed = broken(|text| text.replace("Connection: Upgrade", "Connection: keep-alive"));
    assert_eq!(changed, E::Connection(Some("keep-alive".to_owned())));
    let without = |text: String| text.replace("Sec-WebSocket-Accept", "X-Accept");
    assert_eq!(broken(without), E::Accept(None));
    let wrong = |text: String| text.replace("Sec-WebSocket-Accept: ", "Sec-WebSocket-Accept: x");
    assert!(matches!(broken(wrong), E::Accept(Some(_))));
    let twice = |text: String| text.replace("\r\n\r\n", "\r\nSec-WebSocket-Accept: x\r\n\r\n");
    assert!(matches!(broken(twice), E::Accept(Some(_))));
    for (text, beginning) in [
        ("SSH-2.0-OpenSSH_9.9p1 Debian-3+deb13u1\r\n", "SSH-2.0-OpenSSH_9.9p1 Debian-3+d"),
        ("HTTP/2 200 OK\r\n\r\n", "HTTP/2 200 OK\\r\\n\\r\\n"),
        ("HTTP/1.1 x\r\n\r\n", "HTTP/1.1 x\\r\\n\\r\\n"),
        ("\r\n\r\n", "\\r\\n\\r\\n"),
    ] {
        assert_eq!(broken(|_| text.to_owned()), E::NotHttp { beginning: beginning.to_owned() });
    }
}

#[test]
fn a_server_of_another_protocol_fails_at_once() {
    for (bytes, text) in [
        (
            &b"220 mail.example.test ESMTP\r\n"[..],
            "a:80 broke the WebSocket handshake: the answer is not HTTP/1.1: it begins with \
             \"220 mail.example.test ESMTP\\r\\n\"",
        ),
        (
            b"\x15\x03\x03\0\x02\x02\n",
            "a:80 broke the WebSocket handshake: the answer is not HTTP/1.1: it begins with \
             \"\\x15\\x03\\x03\\x00\\x02\\x02\\n\" (this is TLS)",
        ),
    ] {
        let mut opening = open(request("ws://a/"));
        // A server may speak before it is asked.
        let error = failure(feed(&mut opening, bytes));
        assert_eq!((error.to_string(), error.fault()), (text.to_owned(), Fault::Peer));
        assert!(!error.is_transient());
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# If the response includes a |Sec-WebSocket-Extensions| header field and this header field indicates the use
//# of an extension that was not present in the client's handshake (the server has indicated an extension not
//# requested by the client), the client MUST _Fail the WebSocket Connection_.
//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# If the response includes a |Sec-WebSocket-Protocol| header field and this header field indicates the use of
//# a subprotocol that was not present in the client's handshake (the server has indicated a subprotocol not
//# requested by the client), the client MUST _Fail the WebSocket Connection_.
//= https://www.rfc-editor.org/rfc/rfc6455#section-9.1
//= type=test
//# If a value is received by either the client or the server during negotiation that does not conform to the
//# ABNF below, the recipient of such malformed data MUST immediately _Fail the WebSocket Connection_.
#[test]
fn unrequested_extensions_and_subprotocols_fail() {
    let with = |header: &str| broken(|text| text.replace("\r\n\r\n", &format!("\r\n{header}\r\n\r\n")));
    assert_eq!(
        with("Sec-WebSocket-Extensions: x-other"),
        HandshakeError::Extensions(NegotiationError::NotOffered("x-other".to_owned()))
    );
    assert_eq!(
        with("Sec-WebSocket-Extensions: permessage-deflate;"),
        HandshakeError::Extensions(NegotiationError::Malformed)
    );
    // Without the feature `compression` nothing is offered.
    let repeated = match cfg!(feature = "compression") {
        true => NegotiationError::Repeated,
        false => NegotiationError::NotOffered("permessage-deflate".to_owned()),
    };
    assert_eq!(
        with("Sec-WebSocket-Extensions: permessage-deflate\r\nSec-WebSocket-Extensions: permessage-deflate"),
        HandshakeError::Extensions(repeated)
    );
    for name in ["other", "CHAT", "chat, chat.v2", ""] {
        let failure = with(&format!("Sec-WebSocket-Protocol: {name}"));
        assert_eq!(failure, HandshakeError::Subprotocol(name.to_owned()));
    }
}

#[test]
fn frames_glued_to_a_split_answer_are_received() {
    for seed in 0..200 {
        let mut chance = chance(seed);
        let mut opening = open(request("ws://a/"));
        let text = written_text(&mut opening);
        let mut answer = b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n".to_vec();
        answer.extend_from_slice(acceptance(&text, "").as_bytes());
        answer.extend_from_slice(HELLO);
        let mut session = None;
        for piece in pieces(&answer, &mut chance) {
            match &mut session {
                None => match feed(&mut opening, &piece) {
                    Step::Continue => {}
                    step => session = Some(done(step).0),
                },
                Some(session) => session.input().extend_from_slice(&piece),
            }
        }
        assert_hello(&mut session.unwrap());
    }
}

#[test]
fn a_refusal_has_status_headers_and_bounded_body() {
    for (framing, complete) in
        [("Content-Length: 9\r\n", true), ("Transfer-Encoding: chunked\r\n", true), ("", false)]
    {
        let mut opening = open(request("ws://a/").body_bytes_max(9));
        written(&mut opening);
        let body = if framing.starts_with('T') { "9\r\nforbidden\r\n0\r\n\r\n" } else { "forbidden" };
        let answer = format!("HTTP/1.1 403 No\r\nX-Why: because\r\n{framing}\r\n{body}");
        let OpenError::Rejected(rejection) = failure(feed(&mut opening, answer.as_bytes())) else { panic!() };
        assert_eq!(rejection.status, 403);
        assert_eq!(rejection.headers["x-why"], "because");
        assert_eq!(&rejection.body[..], b"forbidden");
        // A chunk that fills the limit may not be the last.
        assert_eq!(rejection.complete, complete && !framing.starts_with('T'), "{framing}");
    }
}

#[test]
fn a_truncated_refusal_is_still_a_refusal() {
    let begun = || {
        let mut opening = open(request("ws://a/"));
        written(&mut opening);
        assert!(matches!(feed(&mut opening, b"HTTP/1.1 503 Busy\r\n\r\nlater"), Step::Continue));
        opening
    };
    let mut ended = begun();
    ended.end_of_input();
    for (error, complete) in [
        (failure(ended.process(NOW)), true),
        (begun().give_up(), false),
        (begun().transport_failed(ErrorKind::ConnectionReset.into()), false),
    ] {
        assert!(error.is_transient());
        assert_eq!(error.fault(), Fault::Peer);
        let OpenError::Rejected(rejection) = error else { panic!("{error}") };
        assert_eq!((&rejection.body[..], rejection.complete), (&b"later"[..], complete));
    }
}

/// The text of a failure before anything was written, and after the request was.
fn texts(url: &str, fail: impl Fn(Opening) -> OpenError) -> [String; 2] {
    [false, true].map(|asked| {
        let mut opening = open(request(url));
        if asked {
            written(&mut opening);
        }
        let error = fail(opening);
        assert_eq!(error.fault(), Fault::Network);
        assert!(error.is_transient());
        error.to_string()
    })
}

#[test]
fn failed_openings_name_their_stage_and_peer() {
    assert!(open(request("ws://a/")).deadline() == NOW + Config::default().open_timeout);
    let ended = texts("ws://user:secret@a/", |mut opening| {
        opening.end_of_input();
        failure(opening.process(NOW))
    });
    let expected = [
        "the transport to a:80 ended during connecting",
        "the transport to a:80 ended during the WebSocket handshake",
    ];
    assert_eq!(ended, expected);
    let timed_out = texts("ws://[::1]:9000/", Opening::give_up);
    let expected = [
        "the opening with [::1]:9000 timed out during connecting",
        "the opening with [::1]:9000 timed out during the WebSocket handshake",
    ];
    assert_eq!(timed_out, expected);
    let mut over_unix = open(request("ws://a/").unix_path("/run/socket"));
    written(&mut over_unix);
    assert_eq!(over_unix.give_up().peer().as_deref(), Some("/run/socket"));
}

#[test]
fn failed_answers_show_the_address_without_the_password() {
    let answered = |answer: &str| {
        let mut opening = open(request("ws://user:secret@a:9000/b?c"));
        written(&mut opening);
        failure(feed(&mut opening, answer.as_bytes()))
    };
    for (answer, text) in [
        (
            "HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n",
            "ws://a:9000/b?c was refused with status 403 Forbidden",
        ),
        (
            "HTTP/1.1 302 X\r\nLocation: ftp://user:secret@d/\r\n\r\n",
            "the redirect of ws://a:9000/b?c to \"ftp://d/\" is not followed: its location is not a \
             WebSocket address: the scheme must be ws, wss, http or https",
        ),
        (
            "HTTP/1.1 101 X\r\n\r\n",
            "a:9000 broke the WebSocket handshake: the header Upgrade is missing (RFC 6455, section 4.1, step 2)",
        ),
    ] {
        let error = answered(answer);
        assert_eq!(error.to_string(), text);
        assert_eq!(error.peer().as_deref(), Some("a:9000"));
    }
}

#[test]
fn an_endless_head_is_cut_at_its_limit() {
    let mut opening = open(request("ws://a/").head_bytes_max(1000));
    written(&mut opening);
    assert!(matches!(feed(&mut opening, format!("{:x<999}", "HTTP/1.1 101 ").as_bytes()), Step::Continue));
    let error = failure(feed(&mut opening, b"x"));
    assert!(
        matches!(
            error,
            OpenError::Handshake { error: HandshakeError::HeadTooLarge { limit_bytes: 1000 }, .. }
        ),
        "{error}"
    );
    assert!(matches!(feed(&mut opening, b"x"), Step::Continue));
}

#[test]
fn a_unix_path_replaces_only_the_endpoint() {
    let request = request("ws://a/b").unix_path("/run/socket");
    #[cfg(feature = "proxies")]
    let request = request.proxies(Proxies::always(Proxy::parse("proxy").unwrap()));
    let mut opening = open(request);
    assert_eq!(opening.endpoint(), Endpoint::Unix("/run/socket".into()));
    assert!(written_text(&mut opening).starts_with("GET /b HTTP/1.1\r\nHost: a\r\n"));
}

#[test]
fn arbitrary_bytes_never_panic() {
    let mut chance = chance(1);
    let words: [&[u8]; 12] = [
        b"1 ",
        b"101 ",
        b"302 ",
        b"200 OK",
        b"\r\n",
        b"\r\n\r\n",
        b"Location: /",
        b"Upgrade: websocket",
        b"Transfer-Encoding: chunked",
        b"Content-Length: 18446744073709551615",
        b"ffffffffffffffff\r\n",
        b"\xff\0 ",
    ];
    for _ in 0..3_000 {
        let mut opening = open(request("ws://a/").head_bytes_max(200).body_bytes_max(50));
        feed(&mut opening, b"HTTP/1.");
        for _ in 0..chance.random_range(1..20) {
            let word = words[chance.random_range(0..words.len())];
            let noise = [chance.random::<u8>()];
            let step = feed(&mut opening, if chance.random_ratio(1, 8) { &noise } else { word });
            if matches!(step, Step::Done(..)) {
                panic!("no peer can guess the digest");
            }
        }
        opening.end_of_input();
        let _ = opening.process(NOW);
    }
}

#[test]
fn a_request_of_http_is_taken_over() {
    let other = http::Request::builder()
        .uri("ws://example.com/chat?room=5")
        .header("Host", "virtual.example")
        .header("Authorization", "Bearer secret")
        .header("Upgrade", "websocket")
        .header("Connection", "Upgrade")
        .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Protocol", "a, b")
        .header("Content-Length", "5")
        .header("Transfer-Encoding", "chunked")
        .header("Trailer", "Digest")
        .header("Expect", "100-continue")
        .body("hello")
        .unwrap();
    let mut opening = open(ClientRequest::try_from(other).unwrap());
    let text = String::from_utf8(written(&mut opening)).unwrap().to_ascii_lowercase();
    for line in ["get /chat?room=5 http/1.1", "host: virtual.example", "authorization: bearer secret"] {
        assert_eq!(text.lines().filter(|found| *found == line).count(), 1, "{line}: {text}");
    }
    assert_eq!(text.matches("sec-websocket-key").count(), 1);
    assert!(!text.contains("dghlihnhbxbszsbub25jzq"), "the key is a fresh one");
    assert!(text.contains("sec-websocket-protocol: a, b"), "{text}");
    for name in ["content-length", "transfer-encoding", "trailer", "expect"] {
        assert!(!text.contains(name), "there is no body: {text}");
        assert!(request("ws://a/").header(name, "1").is_err(), "{name}");
    }
    assert!(ClientRequest::try_from(http::Request::get("/relative").body(()).unwrap()).is_err());
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-3
//= type=test
//# ws-URI = "ws:" "//" host [ ":" port ] path [ "?" query ]
#[test]
fn an_address_needs_two_slashes() {
    for url in ["ws:host/", "ws:/host/", "ws:\\\\host/", "wss:host"] {
        assert!(matches!(ClientRequest::new(url), Err(OpenError::Url { .. })), "{url}");
    }
    assert!(ClientRequest::new("WS://host").is_ok());
}
