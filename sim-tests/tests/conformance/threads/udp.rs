//! UDP sockets of threads.

use std::io::{self, ErrorKind};
use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use wavetank_runtime::DATAGRAM_BYTES_MAX;
use wavetank_runtime::{BlockingDatagrams, BlockingUdpSocket, SocketOptions};

use super::super::world::{EAGAIN, EDESTADDRREQ, EMSGSIZE, SETTLE, assert_waited};
use super::{World, join, settle, spawn};

fn bind<T: BlockingDatagrams>(threads: &T, address: SocketAddr) -> T::UdpSocket {
    threads.bind_udp(address, SocketOptions::new()).expect("a free port")
}

/// A client's socket on the wildcard, a server's on the server's address, and that address.
fn pair<T: BlockingDatagrams>(world: &World<T>) -> (T::UdpSocket, T::UdpSocket, SocketAddr) {
    let server = bind(&world.server, world.any_port());
    let address = address_of(&server);
    (bind(&world.client, SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))), server, address)
}

fn address_of<S: BlockingUdpSocket>(socket: &S) -> SocketAddr {
    socket.local_addr().expect("a socket has an address")
}

fn try_receive<S: BlockingUdpSocket>(socket: &S) -> io::Result<(Vec<u8>, SocketAddr)> {
    let mut buffer = vec![0; 1000];
    let (count, from) = socket.recv_from(&mut buffer)?;
    buffer.truncate(count);
    Ok((buffer, from))
}

fn receive<S: BlockingUdpSocket>(socket: &S) -> Vec<u8> {
    try_receive(socket).expect("a datagram comes").0
}

/// Makes a socket refuse all peers, as if it were gone, and keeps its port from being given to another test.
fn deafen<S: BlockingUdpSocket>(socket: &S) {
    socket.connect(address_of(socket)).expect("a socket may have itself as its peer");
}

fn kind<O>(result: io::Result<O>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

pub(crate) fn datagrams_travel_both_ways_and_name_their_sender<T: BlockingDatagrams>(world: World<T>) {
    let (client, server, address) = pair(&world);
    client.send_to(b"question", address).expect("a datagram goes out");
    let (question, from) = try_receive(&server).expect("a datagram comes");
    assert_eq!((&question[..], from.port()), (&b"question"[..], address_of(&client).port()));
    server.send_to(b"answer", from).expect("a datagram goes out");
    assert_eq!(try_receive(&client).expect("a datagram comes"), (b"answer".to_vec(), address));
}

pub(crate) fn each_datagram_is_received_by_itself<T: BlockingDatagrams>(world: World<T>) {
    let (client, server, address) = pair(&world);
    for bytes in [&b"one"[..], b"", b"three"] {
        assert_eq!(client.send_to(bytes, address).expect("a datagram goes out"), bytes.len());
    }
    assert_eq!([receive(&server), receive(&server), receive(&server)], [&b"one"[..], b"", b"three"]);
}

pub(crate) fn oversized_or_unaddressed_datagrams_are_errors<T: BlockingDatagrams>(world: World<T>) {
    let (client, _server, address) = pair(&world);
    let large = client.send_to(&[0; DATAGRAM_BYTES_MAX + 1], address).expect_err("it is too large");
    assert_eq!(large.raw_os_error(), Some(EMSGSIZE));
    let nowhere = client.send(b"x").expect_err("there is no peer");
    assert_eq!(nowhere.raw_os_error(), Some(EDESTADDRREQ));
    assert_eq!(kind(client.send_to(b"x", world.any_port())), Some(ErrorKind::InvalidInput));
}

pub(crate) fn a_port_that_is_bound_is_in_use<T: BlockingDatagrams>(world: World<T>) {
    let (_client, _server, address) = pair(&world);
    let again = world.server.bind_udp(address, SocketOptions::new());
    assert_eq!(kind(again), Some(ErrorKind::AddrInUse));
}

pub(crate) fn a_connected_socket_receives_from_its_peer_alone<T: BlockingDatagrams>(world: World<T>) {
    let (client, server, address) = pair(&world);
    client.connect(address).expect("there is a way");
    assert_eq!(client.peer_addr().expect("it is connected"), address);
    let stranger = bind(&world.server, world.any_port());
    stranger.send_to(b"psst", address_of(&client)).expect("a datagram goes out");
    settle(&world);
    server.send_to(b"hello", address_of(&client)).expect("a datagram goes out");
    let mut buffer = [0; 9];
    assert_eq!(client.recv(&mut buffer).expect("a datagram comes"), 5);
    assert_eq!(&buffer[..5], b"hello");
}

pub(crate) fn a_send_sees_one_refusal<T: BlockingDatagrams>(world: World<T>) {
    let (client, server, address) = pair(&world);
    deafen(&server);
    client.connect(address).expect("there is a way");
    client.send(b"hello?").expect("the refusal has not come yet");
    settle(&world);
    assert_eq!(kind(client.send(b"hello?")), Some(ErrorKind::ConnectionRefused));
    client.set_read_timeout(Some(SETTLE)).expect("a live socket");
    assert_eq!(kind(try_receive(&client)), Some(ErrorKind::WouldBlock));
}

pub(crate) fn a_waiting_thread_sees_the_refusal<T: BlockingDatagrams>(world: World<T>) {
    let (client, server, address) = pair(&world);
    deafen(&server);
    client.connect(address).expect("there is a way");
    let clone = client.try_clone().expect("a descriptor is free");
    let receiver = spawn(&world.client, "receiver", move || kind(try_receive(&clone)));
    settle(&world);
    client.send(b"hello?").expect("the refusal has not come yet");
    assert_eq!(join(receiver), Some(ErrorKind::ConnectionRefused));
}

pub(crate) fn a_read_timeout_leaves_the_socket_usable<T: BlockingDatagrams>(world: World<T>) {
    let (client, server, address) = pair(&world);
    server.set_read_timeout(Some(SETTLE)).expect("a live socket");
    let began = world.client.now();
    assert_eq!(kind(try_receive(&server)), Some(ErrorKind::WouldBlock));
    assert_waited(world.client.now() - began, SETTLE);
    client.send_to(b"late", address).expect("a datagram goes out");
    server.set_read_timeout(None).expect("a live socket");
    assert_eq!(receive(&server), b"late");
}

pub(crate) fn a_timeout_is_shared_by_all_clones<T: BlockingDatagrams>(world: World<T>) {
    let (client, _server, _) = pair(&world);
    let clone = client.try_clone().expect("a descriptor is free");
    clone.set_read_timeout(Some(SETTLE)).expect("a live socket");
    assert_eq!(kind(try_receive(&client)), Some(ErrorKind::WouldBlock));
}

pub(crate) fn a_timeout_of_zero_is_invalid<T: BlockingDatagrams>(world: World<T>) {
    let (client, _server, _) = pair(&world);
    assert_eq!(kind(client.set_read_timeout(Some(Duration::ZERO))), Some(ErrorKind::InvalidInput));
}

pub(crate) fn dropping_the_last_clone_frees_the_port<T: BlockingDatagrams>(world: World<T>) {
    let (client, server, address) = pair(&world);
    let clone = server.try_clone().expect("a descriptor is free");
    drop(server);
    client.send_to(b"still there?", address).expect("a datagram goes out");
    assert_eq!(receive(&clone), b"still there?");
    assert_eq!(address_of(&clone), address);
}

pub(crate) fn a_socket_may_connect_to_port_zero<T: BlockingDatagrams>(world: World<T>) {
    let (client, _, address) = pair(&world);
    client.connect((address.ip(), 0).into()).expect("Linux takes it");
    assert_eq!(kind(client.peer_addr()), Some(ErrorKind::NotConnected));
    assert_eq!(client.send(b"x").expect("the refusal has not come yet"), 1);
    settle(&world);
    assert_eq!(kind(client.send(b"x")), Some(ErrorKind::ConnectionRefused));
}

pub(crate) fn a_read_timeout_reports_eagain<T: BlockingDatagrams>(world: World<T>) {
    let (client, ..) = pair(&world);
    client.set_read_timeout(Some(SETTLE)).expect("a live socket");
    let error = client.recv(&mut []).expect_err("nothing was sent");
    assert_eq!(error.raw_os_error(), Some(EAGAIN));
}
