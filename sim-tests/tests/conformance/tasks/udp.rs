//! UDP sockets of tasks.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use wavetank_runtime::DATAGRAM_BYTES_MAX;
use wavetank_runtime::{Datagrams, SocketOptions, UdpSocket};

use super::super::world::{EDESTADDRREQ, EMSGSIZE, SETTLE};
use super::{World, settle};

async fn bind<R: Datagrams>(runtime: &R, address: SocketAddr) -> R::UdpSocket {
    runtime.bind_udp(address, SocketOptions::new()).await.expect("a free port")
}

/// A client's socket on the wildcard, a server's on the server's address, and that address.
async fn pair<R: Datagrams>(world: &World<R>) -> (R::UdpSocket, R::UdpSocket, SocketAddr) {
    let server = bind(&world.server, world.any_port()).await;
    let address = address_of(&server);
    (bind(&world.client, SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))).await, server, address)
}

fn address_of<S: UdpSocket>(socket: &S) -> SocketAddr {
    socket.local_addr().expect("a socket has an address")
}

async fn send<S: UdpSocket>(socket: &S, bytes: &[u8], target: SocketAddr) {
    assert_eq!(socket.send_to(bytes, target).await.expect("a datagram goes out"), bytes.len());
}

async fn receive<S: UdpSocket>(socket: &S) -> Vec<u8> {
    try_receive(socket).await.expect("a datagram comes").0
}

async fn try_receive<S: UdpSocket>(socket: &S) -> io::Result<(Vec<u8>, SocketAddr)> {
    let mut buffer = vec![0; DATAGRAM_BYTES_MAX];
    let (count, from) = socket.recv_from(&mut buffer).await?;
    buffer.truncate(count);
    Ok((buffer, from))
}

/// Returns `true` if nothing comes for a while.
async fn nothing_comes<R: Datagrams>(world: &World<R>, socket: &R::UdpSocket) -> bool {
    tokio::select! {
        biased;
        _ = try_receive(socket) => false,
        () = world.client.sleep(SETTLE) => true,
    }
}

/// Makes a socket refuse all peers, as if it were gone, and keeps its port from being given to another test.
async fn deafen<S: UdpSocket>(socket: &S) {
    socket.connect(address_of(socket)).await.expect("a socket may have itself as its peer");
}

fn kind<T>(result: io::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

pub(crate) async fn datagrams_travel_both_ways_and_name_their_sender<R: Datagrams>(world: World<R>) {
    let (client, server, address) = pair(&world).await;
    send(&client, b"question", address).await;
    let (question, from) = try_receive(&server).await.expect("a datagram comes");
    assert_eq!((&question[..], from.port()), (&b"question"[..], address_of(&client).port()));
    send(&server, b"answer", from).await;
    assert_eq!(try_receive(&client).await.expect("a datagram comes"), (b"answer".to_vec(), address));
}

pub(crate) async fn each_datagram_is_received_by_itself<R: Datagrams>(world: World<R>) {
    let (client, server, address) = pair(&world).await;
    for bytes in [&b"one"[..], b"", b"three"] {
        send(&client, bytes, address).await;
    }
    assert_eq!(receive(&server).await, b"one");
    assert_eq!(receive(&server).await, b"");
    assert_eq!(receive(&server).await, b"three");
}

pub(crate) async fn bytes_beyond_the_buffer_are_lost<R: Datagrams>(world: World<R>) {
    let (client, server, address) = pair(&world).await;
    send(&client, b"too long", address).await;
    send(&client, b"next", address).await;
    let mut buffer = [0; 3];
    assert_eq!(server.recv(&mut buffer).await.expect("a datagram comes"), 3);
    assert_eq!(&buffer, b"too");
    assert_eq!(receive(&server).await, b"next");
}

pub(crate) async fn the_largest_datagram_arrives_a_larger_fails<R: Datagrams>(world: World<R>) {
    let (client, server, address) = pair(&world).await;
    let large = vec![7; DATAGRAM_BYTES_MAX + 1];
    let error = client.send_to(&large, address).await.expect_err("it is too large");
    assert_eq!(error.raw_os_error(), Some(EMSGSIZE));
    send(&client, &large[1..], address).await;
    assert_eq!(receive(&server).await, large[1..]);
}

pub(crate) async fn a_port_that_is_bound_is_in_use<R: Datagrams>(world: World<R>) {
    let (_client, _server, address) = pair(&world).await;
    let wildcard = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
    for taken in [address, wildcard] {
        let result = world.server.bind_udp(taken, SocketOptions::new()).await;
        assert_eq!(kind(result), Some(ErrorKind::AddrInUse), "{taken}");
    }
}

pub(crate) async fn dropping_a_socket_frees_its_port<R: Datagrams>(world: World<R>) {
    // Elsewhere than other tests, which would be given the port meanwhile. Outside of loopback there are no others.
    let host = if world.server_ip.is_loopback() { IpAddr::from([127, 0, 53, 1]) } else { world.server_ip };
    let first = bind(&world.server, SocketAddr::new(host, 0)).await;
    let address = address_of(&first);
    let (client, _server, _) = pair(&world).await;
    send(&client, b"for the first", address).await;
    settle(&world).await;
    drop(first);
    let second = bind(&world.server, address).await;
    send(&client, b"for the second", address).await;
    assert_eq!(receive(&second).await, b"for the second");
}

pub(crate) async fn an_address_of_another_machine_is_not_available<R: Datagrams>(world: World<R>) {
    let elsewhere = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 7), 0));
    let result = world.server.bind_udp(elsewhere, SocketOptions::new()).await;
    assert_eq!(kind(result), Some(ErrorKind::AddrNotAvailable));
}

pub(crate) async fn a_wildcard_socket_receives_on_every_address<R: Datagrams>(world: World<R>) {
    let server = bind(&world.server, SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0))).await;
    let (client, _, _) = pair(&world).await;
    let address = SocketAddr::new(world.server_ip, address_of(&server).port());
    send(&client, b"question", address).await;
    let (_, from) = try_receive(&server).await.expect("a datagram comes");
    send(&server, b"answer", from).await;
    let answer = try_receive(&client).await.expect("a datagram comes");
    assert_eq!(answer, (b"answer".to_vec(), address), "it comes from where the question went");
    assert_eq!(address_of(&server).ip(), IpAddr::V4(Ipv4Addr::UNSPECIFIED));
}

pub(crate) async fn a_send_without_a_peer_is_an_error<R: Datagrams>(world: World<R>) {
    let (client, _server, _) = pair(&world).await;
    let error = client.send(b"to no peer").await.expect_err("there is no peer");
    assert_eq!(error.raw_os_error(), Some(EDESTADDRREQ));
    assert_eq!(kind(client.peer_addr()), Some(ErrorKind::NotConnected));
}

pub(crate) async fn a_send_to_port_zero_is_invalid<R: Datagrams>(world: World<R>) {
    let (client, _server, _) = pair(&world).await;
    let result = client.send_to(b"x", world.any_port()).await;
    assert_eq!(kind(result), Some(ErrorKind::InvalidInput));
}

pub(crate) async fn connecting_settles_both_addresses<R: Datagrams>(world: World<R>) {
    let (client, server, address) = pair(&world).await;
    client.connect(address).await.expect("there is a way");
    assert_eq!(client.peer_addr().expect("it is connected"), address);
    assert!(!address_of(&client).ip().is_unspecified());
    assert_eq!(client.send(b"hello").await.expect("a datagram goes out"), 5);
    let (_, from) = try_receive(&server).await.expect("a datagram comes");
    assert_eq!(from, address_of(&client));
}

pub(crate) async fn a_connected_socket_receives_from_its_peer_alone<R: Datagrams>(world: World<R>) {
    let (client, server, address) = pair(&world).await;
    client.connect(address).await.expect("there is a way");
    let client_address = address_of(&client);
    let stranger = bind(&world.server, world.any_port()).await;
    send(&stranger, b"psst", client_address).await;
    assert!(nothing_comes(&world, &client).await);
    send(&server, b"hello", client_address).await;
    assert_eq!(receive(&client).await, b"hello");
}

pub(crate) async fn a_connected_sockets_port_is_closed_to_others<R: Datagrams>(world: World<R>) {
    let (client, _server, address) = pair(&world).await;
    client.connect(address).await.expect("there is a way");
    let client_address = address_of(&client);
    let stranger = bind(&world.server, world.any_port()).await;
    stranger.connect(client_address).await.expect("there is a way");
    stranger.send(b"psst").await.expect("a datagram goes out");
    assert_eq!(kind(try_receive(&stranger).await), Some(ErrorKind::ConnectionRefused));
}

pub(crate) async fn a_socket_can_be_connected_to_another_peer<R: Datagrams>(world: World<R>) {
    let (client, first, first_address) = pair(&world).await;
    let second = bind(&world.server, world.any_port()).await;
    client.connect(first_address).await.expect("there is a way");
    client.connect(address_of(&second)).await.expect("there is a way");
    client.send(b"hello").await.expect("a datagram goes out");
    assert_eq!(receive(&second).await, b"hello");
    assert!(nothing_comes(&world, &first).await);
    // An address of its own goes before the peer's.
    send(&client, b"and you", first_address).await;
    assert_eq!(receive(&first).await, b"and you");
}

pub(crate) async fn datagrams_from_before_a_connect_are_received<R: Datagrams>(world: World<R>) {
    let (client, server, address) = pair(&world).await;
    let other = bind(&world.server, world.any_port()).await;
    client.connect(address).await.expect("there is a way");
    server.connect(address_of(&client)).await.expect("there is a way");
    server.send(b"early").await.expect("a datagram goes out");
    settle(&world).await;
    client.connect(address_of(&other)).await.expect("there is a way");
    assert_eq!(receive(&client).await, b"early");
}

pub(crate) async fn a_connected_sender_sees_one_refusal<R: Datagrams>(world: World<R>) {
    let (client, server, address) = pair(&world).await;
    deafen(&server).await;
    client.connect(address).await.expect("there is a way");
    client.send(b"hello?").await.expect("the refusal has not come yet");
    settle(&world).await;
    assert_eq!(kind(client.recv(&mut [0]).await), Some(ErrorKind::ConnectionRefused));
    assert!(nothing_comes(&world, &client).await);
}

pub(crate) async fn a_send_takes_the_refusal_and_sends_nothing<R: Datagrams>(world: World<R>) {
    let (client, server, address) = pair(&world).await;
    deafen(&server).await;
    client.connect(address).await.expect("there is a way");
    client.send(b"hello?").await.expect("the refusal has not come yet");
    settle(&world).await;
    server.connect(address_of(&client)).await.expect("there is a way");
    assert_eq!(kind(client.send(b"not sent").await), Some(ErrorKind::ConnectionRefused));
    client.send(b"sent").await.expect("the refusal was taken");
    assert_eq!(receive(&server).await, b"sent");
}

pub(crate) async fn a_waiting_receiver_sees_the_refusal<R: Datagrams>(world: World<R>) {
    let (client, server, address) = pair(&world).await;
    deafen(&server).await;
    client.connect(address).await.expect("there is a way");
    let mut buffer = [0];
    let (refused, ()) = tokio::join!(client.recv(&mut buffer), async {
        settle(&world).await;
        client.send(b"hello?").await.expect("the refusal has not come yet");
    });
    assert_eq!(kind(refused), Some(ErrorKind::ConnectionRefused));
}

pub(crate) async fn a_refusal_comes_before_datagrams_that_wait<R: Datagrams>(world: World<R>) {
    let (client, server, address) = pair(&world).await;
    client.connect(address).await.expect("there is a way");
    send(&server, b"waits", address_of(&client)).await;
    settle(&world).await;
    deafen(&server).await;
    client.send(b"hello?").await.expect("the refusal has not come yet");
    settle(&world).await;
    assert_eq!(kind(try_receive(&client).await), Some(ErrorKind::ConnectionRefused));
    assert_eq!(receive(&client).await, b"waits");
}

pub(crate) async fn a_sender_that_is_not_connected_learns_nothing<R: Datagrams>(world: World<R>) {
    let (client, server, address) = pair(&world).await;
    deafen(&server).await;
    send(&client, b"hello?", address).await;
    assert!(nothing_comes(&world, &client).await);
    send(&client, b"hello?", address).await;
}

pub(crate) async fn a_full_receive_buffer_loses_the_newest<R: Datagrams>(world: World<R>) {
    let (client, _, _) = pair(&world).await;
    let small = SocketOptions::new().receive_buffer_bytes(16 * 1024);
    let server = world.server.bind_udp(world.any_port(), small).await.expect("a free port");
    let address = address_of(&server);
    for number in 0..200 {
        send(&client, &[number; 1000], address).await;
    }
    settle(&world).await;
    let mut received = 0;
    while received < 200 {
        tokio::select! {
            biased;
            datagram = receive(&server) => assert_eq!(datagram, [received; 1000]),
            () = world.client.sleep(SETTLE) => break,
        }
        received += 1;
    }
    assert!((4..=32).contains(&received), "a buffer of 16 KiB held {received} KB");
    send(&client, b"now", address).await;
    assert_eq!(receive(&server).await, b"now");
}

pub(crate) async fn an_abandoned_receive_loses_nothing<R: Datagrams>(world: World<R>) {
    let (client, server, address) = pair(&world).await;
    assert!(nothing_comes(&world, &server).await);
    send(&client, b"now", address).await;
    assert_eq!(receive(&server).await, b"now");
}

pub(crate) async fn datagrams_fill_buffers_by_memory<R: Datagrams>(world: World<R>) {
    let options = [SocketOptions::new(), SocketOptions::new().receive_buffer_bytes(4096)];
    for (options, bytes, held) in [(options[0], 1, 256), (options[0], 1000, 92), (options[1], 1, 9)] {
        // On one machine, where nothing of a network is in between.
        let client = bind(&world.server, SocketAddr::from((Ipv4Addr::LOCALHOST, 0))).await;
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let server = world.server.bind_udp(any, options).await.expect("a free port");
        for _ in 0..300 {
            send(&client, &vec![0; bytes], address_of(&server)).await;
        }
        settle(&world).await;
        let mut received = 0;
        while received < 300 {
            tokio::select! {
                biased;
                datagram = receive(&server) => assert_eq!(datagram.len(), bytes),
                () = world.client.sleep(SETTLE) => break,
            }
            received += 1;
        }
        assert_eq!(received, held, "{bytes} B, {options:?}");
    }
}

pub(crate) async fn a_socket_may_connect_to_port_zero<R: Datagrams>(world: World<R>) {
    let (client, _, address) = pair(&world).await;
    client.connect((address.ip(), 0).into()).await.expect("Linux takes it");
    assert_eq!(kind(client.peer_addr()), Some(ErrorKind::NotConnected));
    assert_eq!(client.send(b"x").await.expect("the refusal has not come yet"), 1);
    settle(&world).await;
    assert_eq!(kind(client.send(b"x").await), Some(ErrorKind::ConnectionRefused));
}
