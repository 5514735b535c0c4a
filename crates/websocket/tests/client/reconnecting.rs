//! One connection after another.

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpListener;
use wavetank_runtime::{Runtime as _, Tokio};
use wavetank_websocket::client::{Client, Failure, WebSocket};
use wavetank_websocket::handshake::ClientRequest;
use wavetank_websocket::{BackoffPolicy, Error, OpenError};

use crate::raw_peer::{CLOSE, RawPeer, TEXT, frame, plain, read_head};

fn quickly() -> BackoffPolicy {
    let millisecond = Duration::from_millis(1);
    BackoffPolicy {
        first_delay_max: millisecond,
        delay_base: millisecond,
        delay_max: 2 * millisecond,
        ..BackoffPolicy::default()
    }
}

#[tokio::test]
async fn reconnecting_survives_lost_connections_and_failing_servers() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("ws://{}/", listener.local_addr().expect("an address"));
    let server = Tokio.spawn("test", async move {
        // The first connection is lost after the hook.
        let (stream, _) = listener.accept().await.expect("a client");
        RawPeer::open(stream, b"").await.expect(TEXT, b"hello 1").await;
        // Then the server is out of order, and closes without a word.
        let (mut stream, _) = listener.accept().await.expect("a client");
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n").await.expect("the client reads");
        drop(listener.accept().await.expect("a client"));
        let (stream, _) = listener.accept().await.expect("a client");
        let mut peer = RawPeer::open(stream, b"").await;
        peer.expect(TEXT, b"hello 2").await;
        peer.expect(TEXT, b"at last").await;
    });
    let count = Arc::new(AtomicU32::new(0));
    let client = Client::new(Tokio).config(plain());
    let request = url.parse().expect("an address");
    let mut connections = client.reconnect(request).backoff(quickly()).on_connect({
        let count = Arc::clone(&count);
        move |socket: WebSocket<Tokio>| {
            let hello = format!("hello {}", count.fetch_add(1, Ordering::SeqCst) + 1);
            async move { Ok(socket.send(&hello).await?) }
        }
    });
    let first = connections.next().await.expect("a connection");
    let second = connections.next().await.expect("a connection");
    assert!(!first.closed().await.is_clean());
    second.send("at last").await.expect("is open");
    server.await.expect("no panic");
    assert_eq!(count.load(Ordering::SeqCst), 2);
    // The connection that was short, and the two failures.
    assert_eq!(connections.failures(), 3);
}

#[tokio::test]
async fn a_permanent_failure_is_an_error() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("ws://{}/", listener.local_addr().expect("an address"));
    let server = Tokio.spawn("test", async move {
        let (mut stream, _) = listener.accept().await.expect("a client");
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n").await.expect("the client reads");
    });
    let mut connections = Client::new(Tokio).reconnect(url.parse().expect("an address")).backoff(quickly());
    assert!(connections.next().await.is_err());
    server.await.expect("no panic");
}

#[tokio::test(start_paused = true)]
async fn a_dropped_wait_continues_where_it_was() {
    // Port 1 of the loopback refuses at once.
    let request = "ws://127.0.0.1:1/".parse().expect("an address");
    let mut connections = Client::new(Tokio).reconnect(request);
    for _ in 0..20 {
        let waited = tokio::time::timeout(Duration::from_secs(1), connections.next()).await;
        assert!(waited.is_err(), "the port is closed");
    }
    // 20 s hold the first attempt and a few more: a dropped wait is neither forgotten nor begun anew.
    let failures = connections.failures();
    assert!((2..=6).contains(&failures), "{failures}");
    assert!(connections.due().is_some());
    assert!(matches!(connections.failure(), Some(Failure::Open(_))));
}

#[tokio::test]
async fn a_hook_that_fails_is_a_failed_attempt() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("ws://{}/", listener.local_addr().expect("an address"));
    let server = Tokio.spawn("test", async move {
        for _ in 0..2 {
            let (stream, _) = listener.accept().await.expect("a client");
            let mut peer = RawPeer::open(stream, b"").await;
            // The connection on which the hook failed is closed, the next one greets.
            if peer.frame().await.expect("a frame").opcode == TEXT {
                return;
            }
        }
        panic!("no connection was good enough");
    });
    let mut attempts = 0;
    let request = url.parse().expect("an address");
    let mut connections =
        Client::new(Tokio).config(plain()).reconnect(request).backoff(quickly()).on_connect(
            move |socket: WebSocket<Tokio>| {
                attempts += 1;
                let attempt = attempts;
                async move {
                    if attempt == 1 {
                        let closed = socket.close(wavetank_websocket::CloseCode::NORMAL, "not you").await;
                        return Err(Error::Closed(closed).into());
                    }
                    Ok(socket.send("you").await?)
                }
            },
        );
    let _socket = connections.next().await.expect("a connection");
    server.await.expect("no panic");
    assert_eq!(connections.failures(), 1);
}

/// Why an application wants none of a connection.
#[derive(Debug, PartialEq, Eq)]
enum Unwanted {
    Full,
    Gone,
}

impl std::fmt::Display for Unwanted {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(if *self == Self::Full { "the room is full" } else { "the room is gone" })
    }
}

impl std::error::Error for Unwanted {}

#[tokio::test]
async fn hook_errors_are_retried_as_the_application_decides() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("ws://{}/", listener.local_addr().expect("an address"));
    let server = Tokio.spawn("test", async move {
        for verdict in ["full", "full", "gone", "open"] {
            let (stream, _) = listener.accept().await.expect("a client");
            let mut peer = RawPeer::open(stream, &frame(TEXT, verdict.as_bytes())).await;
            if verdict != "open" {
                peer.expect(CLOSE, &1001_u16.to_be_bytes()).await;
            }
        }
    });
    let request = url.parse().expect("an address");
    let mut connections = Client::new(Tokio)
        .config(plain())
        .reconnect(request)
        .backoff(quickly())
        .on_connect(async |socket: WebSocket<Tokio>| match socket.recv().await?.as_text() {
            Some("full") => Err(Unwanted::Full.into()),
            Some("gone") => Err(Unwanted::Gone.into()),
            _ => Ok(()),
        })
        .retry_if(|failure| match failure {
            Failure::Resume { error, .. } => error.downcast_ref() != Some(&Unwanted::Gone),
            other => other.is_transient(),
        });
    let failure = connections.next().await.expect_err("the room is gone");
    assert_eq!(
        failure.to_string(),
        format!("the hook failed on the new connection to {url}: the room is gone")
    );
    assert!(std::error::Error::source(&failure).is_some_and(|source| source.is::<Unwanted>()));
    // It can be called again, after a delay.
    assert!(connections.failure().is_none() && connections.due().is_some());
    assert_eq!(connections.failures(), 3);
    connections.next().await.expect("the room is open again");
    assert!(connections.due().is_none());
    server.await.expect("no panic");
}

#[tokio::test]
async fn each_retry_reports_its_reason_and_delay() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("ws://{}/", listener.local_addr().expect("an address"));
    let server = Tokio.spawn("test", async move {
        let (stream, _) = listener.accept().await.expect("a client");
        drop(RawPeer::open(stream, b"").await);
        let (mut stream, _) = listener.accept().await.expect("a client");
        read_head(&mut stream).await;
        stream.write_all(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n").await.expect("the client reads");
        let (stream, _) = listener.accept().await.expect("a client");
        RawPeer::open(stream, b"").await
    });
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let request = url.parse().expect("an address");
    let mut connections =
        Client::new(Tokio).config(plain()).reconnect(request).backoff(quickly()).on_retry(move |retry| {
            assert!(retry.delay <= Duration::from_millis(2));
            tell.lock().expect("no panic").push((retry.number, retry.to_string()));
        });
    let first = connections.next().await.expect("a connection");
    let closed = first.closed().await;
    let _second = connections.next().await.expect("a connection");
    let refused = format!("{url} was refused with status 503 Service Unavailable");
    let expected =
        [(1, format!("{closed}; trying again in 0.0 s")), (2, format!("{refused}; trying again in 0.0 s"))];
    assert_eq!(*told.lock().expect("no panic"), expected);
    drop(server.await);
}

#[tokio::test]
async fn an_abandoned_attempt_counts_and_delays_the_next() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let request =
        format!("ws://{}/", listener.local_addr().expect("an address")).parse().expect("an address");
    let hour = Duration::from_secs(3600);
    let slowly = BackoffPolicy {
        first_delay_max: hour,
        jitter_percent: 0,
        delay_base: hour,
        delay_max: hour,
        ..BackoffPolicy::default()
    };
    // No peer answers: the attempt is under way when it is given up.
    let mut connections = Client::new(Tokio).config(plain()).reconnect(request).backoff(slowly);
    for _ in 0..3 {
        let given_up = tokio::time::timeout(Duration::from_millis(50), connections.next()).await;
        assert!(given_up.is_err());
        assert_eq!(connections.failures(), 1, "one attempt, and then its delay");
    }
}

#[tokio::test]
async fn a_failing_hook_closes_its_kept_connection() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let request =
        format!("ws://{}/", listener.local_addr().expect("an address")).parse().expect("an address");
    let server = Tokio.spawn("test", async move {
        let (stream, _) = listener.accept().await.expect("a client");
        let mut refused = RawPeer::open(stream, b"").await;
        refused.expect(CLOSE, &1001_u16.to_be_bytes()).await;
        drop(refused);
        let (stream, _) = listener.accept().await.expect("a client");
        RawPeer::open(stream, b"").await.expect(TEXT, b"at last").await;
    });
    let mut kept = Vec::new();
    let mut connections =
        Client::new(Tokio).config(plain()).reconnect(request).backoff(quickly()).on_connect(
            move |socket: WebSocket<Tokio>| {
                kept.push(socket);
                std::future::ready(if kept.len() == 1 { Err("not this one".into()) } else { Ok(()) })
            },
        );
    let socket = connections.next().await.expect("a connection");
    socket.send("at last").await.expect("is open");
    server.await.expect("no panic");
}

#[tokio::test]
async fn requests_for_another_socket_kind_are_not_retried() {
    let request = ClientRequest::new("ws://local/").expect("a URL").unix_path("/nowhere");
    let mut connections = Client::new(Tokio).config(plain()).reconnect(request).backoff(quickly());
    let error = connections.next().await.expect_err("not over TCP");
    assert!(matches!(error, Failure::Open(OpenError::Setup(_))), "{error}");
    let over_unix =
        Client::new(Tokio).reconnect_unix("ws://127.0.0.1:1/".parse().expect("a URL")).next().await;
    assert!(matches!(over_unix, Err(Failure::Open(OpenError::Setup(_)))), "{over_unix:?}");
    let tcp = ClientRequest::new("ws://127.0.0.1:1/").expect("a URL");
    let error = Client::new(Tokio).connect_unix(tcp).await.expect_err("not over Unix sockets");
    assert!(matches!(error, OpenError::Setup(_)), "{error}");
}
