//! Unix stream sockets, driven by hand.

use std::io::ErrorKind::*;

use super::super::harness::Harness;
use super::*;

type Outcome = Poll<Result<usize, io::ErrorKind>>;

const PATH: &str = "/run/db.sock";

fn listen(harness: &mut Harness, backlog: u32) -> LocalListenerId {
    let options = ListenOptions::new().backlog(backlog);
    harness.network.local_listen(harness.client, Path::new(PATH), options).unwrap()
}

fn connect(harness: &mut Harness) -> Poll<Result<LocalId, io::ErrorKind>> {
    match harness.network.local_find(harness.client, Path::new(PATH)) {
        Err(error) => Poll::Ready(Err(error.kind())),
        Ok(listener) => {
            let connected =
                harness.network.local_connect(&mut harness.outside, listener, SocketOptions::new());
            connected.map_err(|error| error.kind())
        }
    }
}

fn connected(harness: &mut Harness) -> LocalId {
    match connect(harness) {
        Poll::Ready(Ok(id)) => id,
        other => panic!("a connection, not {other:?}"),
    }
}

fn accept(harness: &mut Harness, listener: LocalListenerId) -> LocalId {
    match harness.network.local_accept(listener) {
        Poll::Ready(Ok(id)) => id,
        other => panic!("a connection, not {other:?}"),
    }
}

fn pair() -> (Harness, LocalId, LocalId) {
    let mut harness = Harness::new();
    let listener = listen(&mut harness, 1);
    let client = connected(&mut harness);
    let server = accept(&mut harness, listener);
    harness.network.local_close_listener(&mut harness.outside, listener);
    harness.ready();
    (harness, client, server)
}

fn read(harness: &mut Harness, id: LocalId) -> Outcome {
    harness.network.local_read(&mut harness.outside, id, &mut [0; 1000]).map_err(|error| error.kind())
}

fn write(harness: &mut Harness, id: LocalId, size: usize, waited: bool) -> Outcome {
    harness
        .network
        .local_write(&mut harness.outside, id, &vec![7; size], waited)
        .map_err(|error| error.kind())
}

fn fails(kind: io::ErrorKind) -> Outcome {
    Poll::Ready(Err(kind))
}

#[test]
fn a_path_is_free_only_after_unlinking() {
    let mut harness = Harness::new();
    assert_eq!(connect(&mut harness), Poll::Ready(Err(NotFound)));
    let listener = listen(&mut harness, 1);
    let again = harness.network.local_listen(harness.client, Path::new(PATH), ListenOptions::new());
    assert_eq!(again.unwrap_err().kind(), AddrInUse);
    assert!(
        harness.network.local_listen(harness.server, Path::new(PATH), ListenOptions::new()).is_ok(),
        "elsewhere"
    );
    harness.network.local_close_listener(&mut harness.outside, listener);
    assert_eq!(connect(&mut harness), Poll::Ready(Err(ConnectionRefused)));
    let again = harness.network.local_listen(harness.client, Path::new(PATH), ListenOptions::new());
    assert_eq!(again.unwrap_err().kind(), AddrInUse);
    harness.network.local_unlink(harness.client, Path::new(PATH)).unwrap();
    let missing = harness.network.local_unlink(harness.client, Path::new(PATH));
    assert_eq!(missing.unwrap_err().kind(), NotFound);
    listen(&mut harness, 1);
    assert!(connect(&mut harness).is_ready());
}

#[test]
fn a_backlog_reports_when_it_has_room_again() {
    let mut harness = Harness::new();
    let listener = listen(&mut harness, 0);
    connected(&mut harness);
    assert!(connect(&mut harness).is_pending());
    harness.ready();
    accept(&mut harness, listener);
    assert_eq!(harness.ready(), [Ready::LocalRoom(listener)]);
    connected(&mut harness);
}

#[test]
fn closing_a_listener_resets_waiting_connections() {
    let mut harness = Harness::new();
    let listener = listen(&mut harness, 5);
    let client = connected(&mut harness);
    assert!(read(&mut harness, client).is_pending());
    harness.ready();
    harness.network.local_close_listener(&mut harness.outside, listener);
    let ready = harness.ready();
    for expected in [
        Ready::LocalRoom(listener),
        Ready::LocalListener(listener),
        Ready::Local(client, super::super::Direction::Read),
    ] {
        assert!(ready.contains(&expected), "{expected:?} in {ready:?}");
    }
    assert_eq!(
        [read(&mut harness, client), read(&mut harness, client)],
        [fails(ConnectionReset), Poll::Ready(Ok(0))]
    );
}

#[test]
fn a_writer_waits_until_its_bytes_are_read() {
    let (mut harness, client, server) = pair();
    for _ in 0..278 {
        assert_eq!(write(&mut harness, client, 100, false), Poll::Ready(Ok(100)));
    }
    assert!(write(&mut harness, client, 1, false).is_pending());
    harness.ready();
    let wakes = [Ready::Local(client, super::super::Direction::Write)];
    for read_so_far in (1000..=20_000).step_by(1000) {
        assert_eq!(read(&mut harness, server), Poll::Ready(Ok(1000)));
        assert_eq!(harness.ready(), [], "after {read_so_far} B");
    }
    assert_eq!(read(&mut harness, server), Poll::Ready(Ok(1000)));
    assert_eq!(harness.ready(), wakes, "three quarters are free");
}

#[test]
fn a_message_counts_until_it_is_read_whole() {
    let (mut harness, client, server) = pair();
    let filled = Poll::Ready(Ok(6 * 36_544));
    assert_eq!(write(&mut harness, client, 1_000_000, false), filled);
    for _ in 0..36 {
        assert_eq!(read(&mut harness, server), Poll::Ready(Ok(1000)));
        assert!(write(&mut harness, client, 1, false).is_pending());
    }
    assert_eq!(read(&mut harness, server), Poll::Ready(Ok(1000)));
    assert_eq!(write(&mut harness, client, 1_000_000, false), Poll::Ready(Ok(36_544)));
}

#[test]
fn directories_must_exist() {
    let mut harness = Harness::new();
    let listen = |harness: &mut Harness, path: &str| {
        let listened = harness.network.local_listen(harness.client, Path::new(path), ListenOptions::new());
        listened.map(drop).map_err(|error| error.kind())
    };
    let find = |harness: &Harness, path: &str| {
        let found = harness.network.local_find(harness.client, Path::new(path));
        found.map(drop).map_err(|error| error.kind())
    };
    for path in ["/run/app/socket", "/missing/socket", "missing/socket"] {
        assert_eq!(listen(&mut harness, path), Err(NotFound));
        assert_eq!(find(&harness, path), Err(NotFound));
    }
    for path in ["/socket", "/run/socket", "/tmp/socket", "socket", "./other"] {
        assert_eq!(listen(&mut harness, path), Ok(()), "{path}");
    }
    assert_eq!(listen(&mut harness, "/run/socket/below"), Err(NotADirectory));
    assert_eq!(find(&harness, "/run/socket/below"), Err(NotADirectory));
    assert_eq!(listen(&mut harness, "/run"), Err(AddrInUse));
    let make = |harness: &mut Harness, path: &str| {
        let made = harness.network.local_make_directory(harness.client, Path::new(path));
        made.map_err(|error| error.kind())
    };
    assert_eq!(make(&mut harness, "/run/socket/below"), Err(NotADirectory));
    assert_eq!(make(&mut harness, "/run/app/sockets"), Ok(()));
    assert_eq!(listen(&mut harness, "/run/app/socket"), Ok(()));
    assert_eq!(listen(&mut harness, "/run/app/sockets/socket"), Ok(()));
}

#[test]
fn only_a_waiting_writer_sees_the_reset() {
    for (waited, kind, then) in
        [(true, ConnectionReset, Poll::Ready(Ok(0))), (false, BrokenPipe, fails(ConnectionReset))]
    {
        let (mut harness, client, server) = pair();
        assert_eq!(write(&mut harness, client, 1, false), Poll::Ready(Ok(1)));
        harness.network.local_close(&mut harness.outside, server);
        assert_eq!(write(&mut harness, client, 1, waited), fails(kind));
        assert_eq!(read(&mut harness, client), then);
    }
}

#[test]
fn closing_both_ends_forgets_a_connection() {
    let (mut harness, client, server) = pair();
    let lost = ["client#1 -> client:/run/db.sock", "client:/run/db.sock -> client#1"];
    let open = harness.network.open_local_sockets(harness.client);
    let open: Vec<String> = open.into_iter().map(|object| harness.network.describe_object(object)).collect();
    assert_eq!(open, lost);
    harness.network.local_close(&mut harness.outside, client);
    harness.network.local_close(&mut harness.outside, client);
    harness.network.local_close(&mut harness.outside, server);
    assert!(harness.network.local.pairs.is_empty());
    assert_eq!(harness.network.describe_object(server.object()), lost[1]);
    assert_eq!(read(&mut harness, client).map_err(|_| ()), Poll::Ready(Err(())));
}

#[test]
fn a_vanished_host_leaves_only_its_paths() {
    let (mut harness, client, _server) = pair();
    harness.network.local_unlink(harness.client, Path::new(PATH)).unwrap();
    listen(&mut harness, 1);
    connected(&mut harness);
    harness.network.vanish(0, &mut harness.outside, harness.client);
    assert!(harness.network.open_local_sockets(harness.client).is_empty());
    assert!(harness.network.local.pairs.is_empty());
    assert!(matches!(read(&mut harness, client), Poll::Ready(Err(_))));
    assert_eq!(connect(&mut harness), Poll::Ready(Err(ConnectionRefused)));
}

#[test]
fn the_trace_shows_each_step_of_a_connection() {
    let (mut harness, client, server) = pair();
    let _ = write(&mut harness, client, 64, false);
    harness.network.local_shutdown(&mut harness.outside, client, Shutdown::Write);
    let _ = read(&mut harness, server);
    let _ = write(&mut harness, server, 1, false);
    harness.network.local_close(&mut harness.outside, client);
    harness.network.local_close(&mut harness.outside, server);
    assert_eq!(connect(&mut harness), Poll::Ready(Err(ConnectionRefused)));
    let lines: Vec<String> =
        harness.outside.locals.iter().map(|event| event.describe(&harness.network)).collect();
    assert_eq!(
        lines,
        [
            "client#1 -> client:/run/db.sock connected",
            "client#1 -> client:/run/db.sock writes 64 B",
            "client#1 -> client:/run/db.sock shuts down writing",
            "client:/run/db.sock -> client#1 reads 64 B",
            "client:/run/db.sock -> client#1 writes 1 B",
            "client#1 -> client:/run/db.sock closes and resets its peer",
            "client:/run/db.sock -> client#1 closes",
            "client -> client:/run/db.sock refused",
        ]
    );
}
