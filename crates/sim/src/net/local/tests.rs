//! Unix stream sockets, driven by hand.

use std::io::ErrorKind::*;

use super::super::harness::Harness;
use super::*;

type Outcome = Poll<Result<usize, io::ErrorKind>>;

const PATH: &str = "/run/db.sock";

fn listen(tank: &mut Harness, backlog: u32) -> LocalListenerId {
    let options = ListenOptions::new().backlog(backlog);
    tank.network.local_listen(tank.client, Path::new(PATH), options).unwrap()
}

fn connect(tank: &mut Harness) -> Poll<Result<LocalId, io::ErrorKind>> {
    match tank.network.local_find(tank.client, Path::new(PATH)) {
        Err(error) => Poll::Ready(Err(error.kind())),
        Ok(listener) => {
            let connected = tank.network.local_connect(&mut tank.out, listener, SocketOptions::new());
            connected.map_err(|error| error.kind())
        }
    }
}

fn connected(tank: &mut Harness) -> LocalId {
    match connect(tank) {
        Poll::Ready(Ok(id)) => id,
        other => panic!("a connection, not {other:?}"),
    }
}

fn accept(tank: &mut Harness, listener: LocalListenerId) -> LocalId {
    match tank.network.local_accept(listener) {
        Poll::Ready(Ok(id)) => id,
        other => panic!("a connection, not {other:?}"),
    }
}

fn pair() -> (Harness, LocalId, LocalId) {
    let mut tank = Harness::new();
    let listener = listen(&mut tank, 1);
    let client = connected(&mut tank);
    let server = accept(&mut tank, listener);
    tank.network.local_close_listener(&mut tank.out, listener);
    tank.ready();
    (tank, client, server)
}

fn read(tank: &mut Harness, id: LocalId) -> Outcome {
    tank.network.local_read(&mut tank.out, id, &mut [0; 1000]).map_err(|error| error.kind())
}

fn write(tank: &mut Harness, id: LocalId, size: usize, waited: bool) -> Outcome {
    tank.network.local_write(&mut tank.out, id, &vec![7; size], waited).map_err(|error| error.kind())
}

fn fails(kind: io::ErrorKind) -> Outcome {
    Poll::Ready(Err(kind))
}

#[test]
fn a_path_is_missing_then_taken_then_dead_then_missing() {
    let mut tank = Harness::new();
    assert_eq!(connect(&mut tank), Poll::Ready(Err(NotFound)));
    let listener = listen(&mut tank, 1);
    let again = tank.network.local_listen(tank.client, Path::new(PATH), ListenOptions::new());
    assert_eq!(again.unwrap_err().kind(), AddrInUse);
    assert!(
        tank.network.local_listen(tank.server, Path::new(PATH), ListenOptions::new()).is_ok(),
        "elsewhere"
    );
    tank.network.local_close_listener(&mut tank.out, listener);
    assert_eq!(connect(&mut tank), Poll::Ready(Err(ConnectionRefused)));
    let again = tank.network.local_listen(tank.client, Path::new(PATH), ListenOptions::new());
    assert_eq!(again.unwrap_err().kind(), AddrInUse);
    tank.network.local_unlink(tank.client, Path::new(PATH)).unwrap();
    let missing = tank.network.local_unlink(tank.client, Path::new(PATH));
    assert_eq!(missing.unwrap_err().kind(), NotFound);
    listen(&mut tank, 1);
    assert!(connect(&mut tank).is_ready());
}

#[test]
fn a_backlog_has_room_for_one_more_and_says_when_there_is_room_again() {
    let mut tank = Harness::new();
    let listener = listen(&mut tank, 0);
    connected(&mut tank);
    assert!(connect(&mut tank).is_pending());
    tank.ready();
    accept(&mut tank, listener);
    assert_eq!(tank.ready(), [Ready::LocalRoom(listener)]);
    connected(&mut tank);
}

#[test]
fn the_end_of_a_listener_wakes_and_resets_all_who_wait_for_it() {
    let mut tank = Harness::new();
    let listener = listen(&mut tank, 5);
    let client = connected(&mut tank);
    assert!(read(&mut tank, client).is_pending());
    tank.ready();
    tank.network.local_close_listener(&mut tank.out, listener);
    let ready = tank.ready();
    for expected in [
        Ready::LocalRoom(listener),
        Ready::LocalListener(listener),
        Ready::Local(client, super::super::Direction::Read),
    ] {
        assert!(ready.contains(&expected), "{expected:?} in {ready:?}");
    }
    assert_eq!(
        [read(&mut tank, client), read(&mut tank, client)],
        [fails(ConnectionReset), Poll::Ready(Ok(0))]
    );
}

#[test]
fn a_writer_waits_until_its_bytes_are_read() {
    let (mut tank, client, server) = pair();
    assert_eq!(write(&mut tank, client, 100_000, false), Poll::Ready(Ok(65_536)));
    assert!(write(&mut tank, client, 1, false).is_pending());
    tank.ready();
    assert_eq!(read(&mut tank, server), Poll::Ready(Ok(1000)));
    assert_eq!(tank.ready(), [Ready::Local(client, super::super::Direction::Write)]);
    assert_eq!(write(&mut tank, client, 5000, true), Poll::Ready(Ok(1000)));
}

#[test]
fn a_writer_that_waited_meets_the_reset_and_another_the_broken_pipe() {
    for (waited, kind, then) in
        [(true, ConnectionReset, Poll::Ready(Ok(0))), (false, BrokenPipe, fails(ConnectionReset))]
    {
        let (mut tank, client, server) = pair();
        assert_eq!(write(&mut tank, client, 1, false), Poll::Ready(Ok(1)));
        tank.network.local_close(&mut tank.out, server);
        assert_eq!(write(&mut tank, client, 1, waited), fails(kind));
        assert_eq!(read(&mut tank, client), then);
    }
}

#[test]
fn a_connection_is_forgotten_once_both_ends_are_closed() {
    let (mut tank, client, server) = pair();
    let held = ["client#1 -> client:/run/db.sock", "client:/run/db.sock -> client#1"];
    let open = tank.network.open_local_sockets(tank.client);
    let open: Vec<String> = open.into_iter().map(|object| tank.network.describe_object(object)).collect();
    assert_eq!(open, held);
    tank.network.local_close(&mut tank.out, client);
    tank.network.local_close(&mut tank.out, client);
    tank.network.local_close(&mut tank.out, server);
    assert!(tank.network.local.pairs.is_empty());
    assert_eq!(tank.network.describe_object(server.object()), held[1]);
    assert_eq!(read(&mut tank, client).map_err(|_| ()), Poll::Ready(Err(())));
}

#[test]
fn a_vanished_host_leaves_its_paths_and_nothing_else() {
    let (mut tank, client, _server) = pair();
    tank.network.local_unlink(tank.client, Path::new(PATH)).unwrap();
    listen(&mut tank, 1);
    connected(&mut tank);
    tank.network.vanish(0, &mut tank.out, tank.client);
    assert!(tank.network.open_local_sockets(tank.client).is_empty());
    assert!(tank.network.local.pairs.is_empty());
    assert!(matches!(read(&mut tank, client), Poll::Ready(Err(_))));
    assert_eq!(connect(&mut tank), Poll::Ready(Err(ConnectionRefused)));
}

#[test]
fn a_trace_tells_the_life_of_a_connection_in_plain_words() {
    let (mut tank, client, server) = pair();
    let _ = write(&mut tank, client, 64, false);
    tank.network.local_shutdown(&mut tank.out, client, Shutdown::Write);
    let _ = read(&mut tank, server);
    let _ = write(&mut tank, server, 1, false);
    tank.network.local_close(&mut tank.out, client);
    tank.network.local_close(&mut tank.out, server);
    assert_eq!(connect(&mut tank), Poll::Ready(Err(ConnectionRefused)));
    let lines: Vec<String> = tank.out.locals.iter().map(|event| event.describe(&tank.network)).collect();
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
