//! Redirects.

use super::*;
use crate::error::RedirectError;

fn redirected(opening: &mut Opening, location: &str) -> Step {
    written(opening);
    let answer = format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 9\r\n\r\nelsewhere");
    feed(opening, answer.as_bytes())
}

fn secret(url: &str) -> ClientRequest {
    let request = request(url).header("Cookie", "c").unwrap().header("X-Other", "o").unwrap();
    request.host("virtual").unwrap()
}

fn refused(step: Step) -> RedirectError {
    match failure(step) {
        OpenError::Redirect { error, .. } => error,
        other => panic!("{other}"),
    }
}

#[test]
fn a_same_origin_redirect_keeps_credentials() {
    let mut opening = open(secret("ws://user:pass@a:81/b/c"));
    let first = String::from_utf8(opening.output().to_vec()).unwrap();
    assert!(matches!(redirected(&mut opening, "d?e"), Step::Reconnect));
    let text = written_text(&mut opening);
    assert!(text.starts_with("GET /b/d?e HTTP/1.1\r\n"), "{text}");
    for name in ["Authorization", "Cookie", "X-Other", "Host"] {
        assert_eq!(value(&text, name), value(&first, name), "{name}");
        assert!(value(&text, name).is_some());
    }
    assert_ne!(value(&text, "Sec-WebSocket-Key"), value(&first, "Sec-WebSocket-Key"));
    let (_, response) = done(feed(&mut opening, acceptance(&text, "").as_bytes()));
    assert_eq!(response.url.as_str(), "ws://a:81/b/d?e");
}

#[test]
fn cross_origin_redirects_drop_credentials_and_cookies() {
    for location in ["ws://b:81/", "http://a:82/", "ws://a/", "//b"] {
        let request = secret("ws://user:pass@a:81/").header("Authorization", "Bearer x").unwrap();
        for request in [request, secret("ws://user:pass@a:81/")] {
            let mut opening = open(request);
            assert!(matches!(redirected(&mut opening, location), Step::Reconnect));
            let text = written_text(&mut opening);
            assert_eq!(value(&text, "Authorization"), None, "{location}");
            assert_eq!(value(&text, "Cookie"), None);
            assert_eq!(value(&text, "X-Other"), Some("o"));
            assert_ne!(value(&text, "Host"), Some("virtual"));
        }
    }
    // Credentials in the location are meant for it.
    let mut opening = open(secret("ws://user:pass@a:81/"));
    redirected(&mut opening, "ws://Aladdin:open%20sesame@b/");
    let text = written_text(&mut opening);
    assert_eq!(value(&text, "Authorization"), Some("Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="));
}

#[test]
fn a_redirect_connects_to_its_own_endpoint() {
    let mut opening = open(request("ws://a/"));
    assert!(matches!(redirected(&mut opening, "ws://b:99/"), Step::Reconnect));
    assert_eq!(opening.endpoint(), Endpoint::Tcp { host: "b".to_owned(), port: 99 });
    // The body of the redirect is forgotten with its transport.
    let text = written_text(&mut opening);
    done(feed(&mut opening, acceptance(&text, "").as_bytes()));
}

#[test]
fn redirects_are_counted() {
    let mut opening = open(request("ws://a/").redirects_max(2));
    assert!(matches!(redirected(&mut opening, "/1"), Step::Reconnect));
    assert!(matches!(redirected(&mut opening, "/2"), Step::Reconnect));
    assert_eq!(refused(redirected(&mut opening, "/3")), RedirectError::TooMany(2));
    let mut opening = open(request("ws://a/"));
    for _ in 0..10 {
        assert!(matches!(redirected(&mut opening, "/again"), Step::Reconnect));
    }
    assert_eq!(refused(redirected(&mut opening, "/again")), RedirectError::TooMany(10));
    let mut opening = open(request("ws://a/").redirects_max(0));
    assert!(matches!(failure(redirected(&mut opening, "/")), OpenError::Rejected(_)));
}

#[test]
fn a_redirect_to_no_websocket_is_refused() {
    let too_long = format!("ws://{}.example/", "abc.".repeat(63));
    for (location, reason) in [
        ("", "it is missing"),
        ("ftp://a", "the scheme must be ws, wss, http or https"),
        ("mailto:a", "the scheme must be ws, wss, http or https"),
        ("ws://", "it cannot be parsed as a URL"),
        ("http:///a", "the host must follow `//`"),
        ("ws://a:0/", "port 0 cannot be connected to"),
        (&too_long, "the host is longer than 253 bytes"),
    ] {
        let error = refused(redirected(&mut open(request("ws://a/")), location));
        assert_eq!(error, RedirectError::Location(reason), "{location}");
    }
    let mut opening = open(request("ws://a/"));
    written(&mut opening);
    let nowhere = refused(feed(&mut opening, b"HTTP/1.1 301 X\r\n\r\n"));
    assert_eq!(nowhere, RedirectError::Location("it is missing"));
    let mut opening = open(request("ws://a/"));
    written(&mut opening);
    assert!(matches!(
        feed(&mut opening, b"HTTP/1.1 304 X\r\nLocation: /\r\n\r\n"),
        Step::Failed(OpenError::Rejected(_))
    ));
}

#[test]
fn redirects_stay_on_given_transports_and_unix_sockets() {
    let mut given = Opening::over_transport(request("ws://a/"), Config::default(), [7; 32], NOW).unwrap();
    assert_eq!(refused(redirected(&mut given, "/b")), RedirectError::OtherTransport);
    let mut unix = open(request("ws://a/").unix_path("/run/socket"));
    assert!(matches!(redirected(&mut unix, "/b"), Step::Reconnect));
    assert_eq!(unix.endpoint(), Endpoint::Unix("/run/socket".into()));
    assert_eq!(refused(redirected(&mut unix, "ws://b/")), RedirectError::OtherTransport);
}
