//! How sessions end.

use std::io::{Read, Write};
use std::time::Duration;

use wavetank_multiplexer::{Cause, OpenError, PingError};
use wavetank_runtime::{Std, ThreadHandle, Threads};

use crate::support::{pair, streams};

#[test]
fn both_sides_see_a_clean_close() {
    let (client, server) = pair();
    assert!(client.ping().unwrap() < Duration::from_secs(5));
    let far = Std.spawn("server", move || (server.accept().unwrap_err(), server.wait_closed())).unwrap();
    assert_eq!(client.close().cause, Cause::Local);
    let (accept, closed) = far.join().unwrap();
    assert_eq!((accept.cause, closed.cause), (Cause::Peer, Cause::Peer));
    assert!(matches!(client.open(), Err(OpenError::Closed(closed)) if closed.cause == Cause::Local));
    assert!(matches!(client.ping(), Err(PingError::Closed(_))));
}

#[test]
fn shutdown_lets_streams_end() {
    let (client, server) = pair();
    let (near, far) = streams(&client, &server);
    let shutdown = Std.spawn("shutdown", move || server.shutdown(Duration::from_secs(60))).unwrap();
    while client.open().is_ok() {
        // Streams that are opened and dropped without a pause are a flood, which ends the session.
        Std.sleep(Duration::from_millis(5));
    }
    (&near).write_all(b"last words").unwrap();
    near.close_write().unwrap();
    let mut read = Vec::new();
    (&far).read_to_end(&mut read).unwrap();
    assert_eq!(read, b"last words");
    assert!(!shutdown.is_finished());
    far.close_write().unwrap();
    assert_eq!(shutdown.join().unwrap().cause, Cause::Local);
    assert_eq!(client.wait_closed().cause, Cause::Peer);
}

#[test]
fn patience_bounds_a_shutdown() {
    let (client, server) = pair();
    let (_near, far) = streams(&client, &server);
    assert_eq!(server.shutdown(Duration::from_millis(20)).cause, Cause::Local);
    assert!((&far).read(&mut [0]).is_err());
    assert_eq!(client.wait_closed().cause, Cause::Peer);
}

#[test]
fn accept_can_be_bounded() {
    let (client, server) = pair();
    assert!(server.accept_timeout(Duration::from_millis(10)).unwrap().is_none());
    let _near = client.open().unwrap();
    assert!(server.accept_timeout(Duration::from_secs(60)).unwrap().is_some());
}
