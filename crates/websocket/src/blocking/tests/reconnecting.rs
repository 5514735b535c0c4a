//! One connection after another: what hooks return, what decides on failures, and what is reported.

use std::sync::{Arc, Mutex};

use wavetank_runtime::{BlockingListener, BlockingLocalSockets, BlockingUnixListener, ListenOptions, Std};

use super::peer::{Peer, TEXT, listen};
use super::{LONG, millis, quiet, spawn};
use crate::blocking::{Answer, Client, Failure, Reconnect, Server};
use crate::handshake::ClientRequest;
use crate::{BackoffPolicy, CloseCode, Error, Message, OpenError};

fn fast() -> BackoffPolicy {
    BackoffPolicy {
        first_delay_max: millis(1),
        delay_base: millis(2),
        delay_max: millis(5),
        ..BackoffPolicy::default()
    }
}

fn reconnect(address: std::net::SocketAddr) -> Reconnect<Std> {
    let request = ClientRequest::new(&format!("ws://{address}/")).expect("a URL");
    Client::new(Std).config(quiet(LONG)).reconnect(request).backoff(fast())
}

/// Why an application wants none of a connection.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Unwanted {
    #[error("the room is full")]
    Full,
    #[error("the room is gone")]
    Gone,
}

#[test]
fn hook_errors_are_retried_as_the_application_decides() {
    let (listener, address) = listen();
    let serving = spawn(move || {
        for verdict in ["full", "full", "gone", "open"] {
            let mut peer = Peer::accept(&listener);
            peer.send(TEXT, verdict.as_bytes());
            if verdict != "open" {
                assert_eq!(peer.finish_close().1, 1001);
            } else {
                peer.read_to_close();
            }
        }
    });
    let mut connections = reconnect(address)
        .on_connect(|socket| match socket.recv_timeout(LONG)?.as_text() {
            Some("full") => Err(Unwanted::Full.into()),
            Some("gone") => Err(Unwanted::Gone.into()),
            _ => Ok(()),
        })
        .retry_if(|failure| match failure {
            Failure::Resume { error, .. } => error.downcast_ref() != Some(&Unwanted::Gone),
            other => other.is_transient(),
        });
    assert!(connections.due().is_none());
    let failure = connections.next().expect("not stopped").expect_err("the room is gone");
    assert_eq!(
        failure.to_string(),
        format!("the hook failed on the new connection to ws://{address}/: the room is gone")
    );
    assert!(std::error::Error::source(&failure).is_some_and(|source| source.is::<Unwanted>()));
    // It can be called again, after a delay.
    assert!(connections.failure().is_none() && connections.due().is_some());
    assert_eq!(connections.failures(), 3);
    let socket = connections.next().expect("not stopped").expect("the room is open again");
    assert!(connections.due().is_none());
    socket.close(CloseCode::NORMAL, "");
    serving();
}

#[test]
fn the_application_decides_which_failures_are_retried() {
    let (listener, address) = listen();
    let serving = spawn(move || {
        for _ in 0..2 {
            let mut peer = Peer { stream: listener.accept().expect("a connection").0 };
            peer.read_request();
            peer.write(b"HTTP/1.1 404 Not yet\r\nContent-Length: 0\r\n\r\n");
            peer.read_until_end();
        }
        Peer::accept(&listener)
    });
    let mut none = reconnect(address).retry_if(|_| false);
    let Some(Err(Failure::Open(OpenError::Rejected(rejection)))) = none.next() else { panic!("is refused") };
    assert_eq!(rejection.status, 404);
    let mut any = reconnect(address).retry_if(|_| true);
    let socket = any.next().expect("not stopped").expect("a connection in the end");
    drop(serving());
    assert!(matches!(socket.recv(), Err(Error::Closed(_))));
}

#[test]
fn each_retry_reports_its_reason_and_delay() {
    let (listener, address) = listen();
    let serving = spawn(move || {
        drop(Peer::accept(&listener));
        let mut peer = Peer { stream: listener.accept().expect("a connection").0 };
        peer.read_request();
        peer.write(b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
        peer.read_until_end();
        Peer::accept(&listener)
    });
    let told = Arc::new(Mutex::new(Vec::new()));
    let tell = Arc::clone(&told);
    let mut connections = reconnect(address).on_retry(move |retry| {
        assert!(retry.delay <= millis(5));
        tell.lock().expect("no panic").push((retry.number, retry.to_string()));
    });
    let first = connections.next().expect("not stopped").expect("a connection");
    let closed = match first.recv() {
        Err(Error::Closed(closed)) => closed,
        other => panic!("{other:?}"),
    };
    let second = connections.next().expect("not stopped").expect("a connection");
    let refused = format!("ws://{address}/ was refused with status 503 Service Unavailable");
    let expected =
        [(1, format!("{closed}; trying again in 0.0 s")), (2, format!("{refused}; trying again in 0.0 s"))];
    assert_eq!(*told.lock().expect("no panic"), expected);
    // Who is stopped tries no more.
    connections.stopper().stop();
    drop(serving());
    assert!(connections.next().is_none());
    assert_eq!(told.lock().expect("no panic").len(), 2);
    drop(second);
}

#[test]
fn connections_over_a_unix_socket_follow_each_other() {
    let path = std::env::temp_dir().join(format!("wavetank-reconnect-{}.socket", std::process::id()));
    let _old = Std.unlink_unix(&path);
    let listener = Std.listen_unix(&path, ListenOptions::new()).expect("a free path");
    let serving = spawn(move || {
        for number in 0..3_u8 {
            let stream = listener.accept().expect("a connection");
            let socket = Server::new(Std).accept_unix(stream, |_| Answer::Accept).expect("a client");
            socket.send(&[number]).expect("is open");
            socket.close(CloseCode::SERVICE_RESTART, "");
        }
    });
    let request = ClientRequest::new("ws://local/").expect("a URL").unix_path(&path);
    let connections = Client::new(Std).unix_sockets().reconnect(request).backoff(fast());
    for (number, socket) in (0..3_u8).zip(connections) {
        let socket = socket.expect("a connection");
        assert_eq!(socket.recv(), Ok(Message::from(&[number][..])));
        assert_eq!(socket.wait_closed().code(), 1012);
    }
    serving();
    Std.unlink_unix(&path).expect("the socket is there");
}
