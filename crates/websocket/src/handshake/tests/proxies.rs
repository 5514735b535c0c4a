//! Openings through proxies.

use super::*;
use crate::error::{Fault, ProxyError};

fn through(url: &str, proxy: &str) -> Opening {
    open(request(url).proxies(Proxies::always(Proxy::parse(proxy).unwrap())))
}

fn proxy_error(step: Step) -> ProxyError {
    match failure(step) {
        OpenError::Proxy { proxy, target, error } => {
            assert_eq!((&*proxy, &*target), ("proxy:3128", "example.com:80"));
            error
        }
        other => panic!("{other}"),
    }
}

fn malformed(beginning: &str) -> ProxyError {
    ProxyError::Malformed { beginning: beginning.to_owned() }
}

#[test]
fn an_http_proxy_tunnels_to_the_server() {
    for seed in 0..100 {
        let mut chance = chance(seed);
        let mut opening = through("ws://[::1]:9000/x", "http://user:pass@proxy:3128");
        assert_eq!(opening.endpoint(), Endpoint::Tcp { host: "proxy".to_owned(), port: 3128 });
        assert_eq!(
            written_text(&mut opening),
            "CONNECT [::1]:9000 HTTP/1.1\r\nHost: [::1]:9000\r\nProxy-Authorization: Basic dXNlcjpwYXNz\r\n\r\n"
        );
        for piece in pieces(b"HTTP/1.0 200 Connection established\r\nContent-Length: 7\r\n\r\n", &mut chance)
        {
            assert!(matches!(feed(&mut opening, &piece), Step::Continue));
        }
        let text = written_text(&mut opening);
        assert!(text.starts_with("GET /x HTTP/1.1\r\nHost: [::1]:9000\r\n"), "{text}");
        assert!(!text.contains("Authorization"));
        done(feed(&mut opening, acceptance(&text, "").as_bytes()));
    }
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# If the connection could not be opened, either because a direct connection failed or because any proxy used
//# returned an error, then the client MUST _Fail the WebSocket Connection_ and abort the connection attempt.
#[test]
fn a_refusing_http_proxy_is_named_with_status() {
    let mut opening = through("ws://example.com", "proxy:3128");
    written(&mut opening);
    let answer = b"HTTP/1.1 407 Proxy Authentication Required\r\nProxy-Authenticate: Basic\r\n\r\n";
    match proxy_error(feed(&mut opening, answer)) {
        ProxyError::Status { status, headers } => {
            assert_eq!(status.as_u16(), 407);
            assert_eq!(headers["proxy-authenticate"], "Basic");
        }
        other => panic!("{other}"),
    }
    let mut opening = through("ws://example.com", "proxy:3128");
    assert_eq!(proxy_error(feed(&mut opening, b"220 smtp")), malformed("220 smtp"));
    let mut opening = through("ws://example.com", "proxy:3128");
    let endless = format!("HTTP/1.1 200 {}", "x".repeat(70_000));
    assert_eq!(proxy_error(feed(&mut opening, endless.as_bytes())), ProxyError::HeadTooLarge);
}

#[test]
fn a_silent_or_cutting_proxy_is_at_fault() {
    for proxy in ["http://user:secret@[::1]:3128", "socks5://user:secret@[::1]:3128"] {
        let asked = || {
            let mut opening = through("ws://example.com", proxy);
            written(&mut opening);
            opening
        };
        let mut ended = asked();
        ended.end_of_input();
        for (error, text) in [
            (asked().give_up(), "the opening with [::1]:3128 timed out during the request to the proxy"),
            (
                failure(ended.process(NOW)),
                "the transport to [::1]:3128 ended during the request to the proxy",
            ),
            (
                asked().transport_failed(std::io::ErrorKind::ConnectionReset.into()),
                "the transport to [::1]:3128 failed during the request to the proxy: connection reset",
            ),
        ] {
            assert_eq!((error.fault(), &*error.to_string()), (Fault::Proxy, text));
            assert!(error.is_transient());
        }
        // That it cannot be reached is the network's.
        let error = through("ws://example.com", proxy).give_up();
        assert_eq!(error.fault(), Fault::Network);
        assert_eq!(error.to_string(), "the opening with [::1]:3128 timed out during connecting");
    }
}

#[test]
fn a_silent_server_behind_a_proxy_is_named() {
    let mut opening = through("ws://example.com", "proxy:3128");
    written(&mut opening);
    assert!(matches!(feed(&mut opening, b"HTTP/1.1 200 OK\r\n\r\n"), Step::Continue));
    let error = opening.give_up();
    assert_eq!((error.fault(), error.peer().as_deref()), (Fault::Network, Some("example.com:80")));
}

#[test]
fn a_socks_proxy_resolves_the_name_itself() {
    for seed in 0..100 {
        let mut chance = chance(seed);
        let mut opening = through("ws://example.com/", "socks5h://proxy");
        assert_eq!(opening.endpoint(), Endpoint::Tcp { host: "proxy".to_owned(), port: 1080 });
        assert_eq!(written(&mut opening), [5, 1, 0]);
        for piece in pieces(&[5, 0], &mut chance) {
            assert!(matches!(feed(&mut opening, &piece), Step::Continue));
        }
        assert_eq!(written(&mut opening), b"\x05\x01\x00\x03\x0bexample.com\x00\x50");
        let bound: [&[u8]; 3] =
            [&[1, 10, 0, 0, 1], &[3, 3, b'a', b'b', b'c'], &[&[4][..], &[0; 16]].concat()];
        let reply = [&[5, 0, 0][..], bound[chance.random_range(0..3)], &[9, 9]].concat();
        for piece in pieces(&reply, &mut chance) {
            assert!(matches!(feed(&mut opening, &piece), Step::Continue));
        }
        let text = written_text(&mut opening);
        assert!(text.starts_with("GET / HTTP/1.1\r\nHost: example.com\r\n"));
        done(feed(&mut opening, acceptance(&text, "").as_bytes()));
    }
}

#[test]
fn a_socks_proxy_may_want_user_and_password() {
    let mut opening = through("ws://10.0.0.1:99/", "socks5://user:pass@proxy");
    assert_eq!(written(&mut opening), [5, 2, 0, 2]);
    assert!(matches!(feed(&mut opening, &[5, 2]), Step::Continue));
    assert_eq!(written(&mut opening), b"\x01\x04user\x04pass");
    assert!(matches!(feed(&mut opening, &[1, 0]), Step::Continue));
    assert_eq!(written(&mut opening), [5, 1, 0, 1, 10, 0, 0, 1, 0, 99]);
    let mut opening = through("ws://[::1]/", "socks5://proxy");
    written(&mut opening);
    feed(&mut opening, &[5, 0]);
    assert_eq!(written(&mut opening)[..5], [5, 1, 0, 4, 0]);
}

#[test]
fn a_refusing_socks_proxy_is_named_with_reason() {
    for (conversation, expected) in [
        (&[&[5, 0xff][..]][..], ProxyError::NoAcceptableMethod),
        (&[&[5, 1]], ProxyError::NoAcceptableMethod),
        (&[&[4]], malformed("\\x04")),
        (&[b"HTTP/1.1 400 Bad Request\r\n"], malformed("HTTP/1.1 400 Bad Request\\r\\n")),
        (&[&[5, 2], &[1, 1]], ProxyError::Credentials),
        (&[&[5, 0], &[5, 5]], ProxyError::Socks(5)),
        (&[&[5, 0], &[4]], malformed("\\x04")),
        (&[&[5, 0], &[5, 0, 0, 9]], malformed("\\x05\\x00\\x00\\t")),
    ] {
        let mut opening = through("ws://example.com", "socks5://user:pass@proxy:3128");
        let (last, before) = conversation.split_last().unwrap();
        for bytes in before {
            assert!(matches!(feed(&mut opening, bytes), Step::Continue));
        }
        assert_eq!(proxy_error(feed(&mut opening, last)), expected);
    }
    // There is no password to ask for.
    let mut opening = through("ws://example.com", "socks5://proxy:3128");
    assert_eq!(proxy_error(feed(&mut opening, &[5, 2])), ProxyError::NoAcceptableMethod);
}

#[test]
fn a_given_transport_bypasses_proxies() {
    let proxied = request("ws://a/").proxies(Proxies::always(Proxy::parse("proxy").unwrap()));
    let opening = Opening::over_transport(proxied, Config::default(), [7; 32], NOW).unwrap();
    assert!(opening.output().starts_with(b"GET / "));
}

#[test]
fn arbitrary_bytes_never_panic() {
    let mut chance = chance(2);
    for _ in 0..3_000 {
        let proxy = ["socks5://user:pass@proxy", "http://proxy"][chance.random_range(0..2)];
        let mut opening = through("ws://a", proxy);
        for _ in 0..chance.random_range(1..10) {
            let bytes =
                (0..chance.random_range(1..4)).map(|_| [0, 1, 2, 5, b'\n', 255][chance.random_range(0..6)]);
            let bytes = bytes.collect::<Vec<u8>>();
            let _ = feed(&mut opening, &bytes);
            written(&mut opening);
        }
    }
}
