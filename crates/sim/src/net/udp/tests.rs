//! Datagrams, driven by hand.

use std::io::ErrorKind::*;
use std::net::Ipv4Addr;

use super::super::faults::Way;
use super::super::harness::{Harness, LATENCY, fails, fixed};
use super::*;

type Outcome = Poll<Result<Vec<u8>, io::ErrorKind>>;

fn any(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))
}

/// A client's socket and the server's at port 53.
fn sockets() -> (Harness, UdpId, UdpId) {
    let mut harness = Harness::new();
    let client = harness.network.udp_bind(harness.client, any(0), SocketOptions::new()).unwrap();
    let server = harness.network.udp_bind(harness.server, any(53), SocketOptions::new()).unwrap();
    (harness, client, server)
}

fn server_addr(harness: &Harness) -> SocketAddr {
    SocketAddr::new(harness.network.host_ip(harness.server), 53)
}

fn try_send(harness: &mut Harness, from: UdpId, bytes: &[u8]) -> io::Result<usize> {
    let target = server_addr(harness);
    harness.network.udp_send(harness.now, &mut harness.outside, from, bytes, Some(target))
}

fn send(harness: &mut Harness, from: UdpId, bytes: &[u8]) {
    assert_eq!(try_send(harness, from, bytes).unwrap(), bytes.len());
}

fn receive(harness: &mut Harness, id: UdpId) -> Outcome {
    let mut buffer = [0; 64];
    let received = harness.network.udp_receive(id, &mut buffer);
    received.map(|result| result.map(|(count, _)| buffer[..count].to_vec()).map_err(|error| error.kind()))
}

fn gives(bytes: &[u8]) -> Outcome {
    Poll::Ready(Ok(bytes.to_vec()))
}

fn lines(harness: &Harness) -> Vec<String> {
    harness.outside.datagrams.iter().map(|event| event.describe(&harness.network)).collect()
}

/// Answers the questions about datagrams in turn, then with 0.
fn answers(harness: &mut Harness, answers: &[u32]) {
    let answers = answers.to_vec();
    let mut answers = answers.into_iter();
    harness.outside.chance = Box::new(move |_, _| answers.next().unwrap_or(0));
}

#[test]
fn datagrams_arrive_whole_and_in_order() {
    let (mut harness, client, server) = sockets();
    send(&mut harness, client, b"one");
    send(&mut harness, client, b"");
    assert!(receive(&mut harness, server).is_pending());
    harness.settle();
    assert_eq!(harness.now, LATENCY);
    assert_eq!(harness.ready(), [Ready::Datagram(server)], "said once");
    assert_eq!([receive(&mut harness, server), receive(&mut harness, server)], [gives(b"one"), gives(b"")]);
    assert!(receive(&mut harness, server).is_pending());
}

#[test]
fn latencies_never_reorder_a_link() {
    let (mut harness, client, server) = sockets();
    let range =
        super::super::LatencyRange { max: std::time::Duration::from_secs(1), ..fixed(Default::default()) };
    harness.network.set_latency(range);
    let mut picks = [1000, 3].into_iter();
    harness.outside.pick = Box::new(move |_| picks.next().unwrap_or(0));
    send(&mut harness, client, b"slow");
    send(&mut harness, client, b"quick");
    harness.settle();
    assert_eq!(
        [receive(&mut harness, server), receive(&mut harness, server)],
        [gives(b"slow"), gives(b"quick")]
    );
}

#[test]
fn no_question_is_asked_without_fates() {
    let (mut harness, client, _server) = sockets();
    harness.outside.chance = Box::new(|_, _| panic!("a question"));
    send(&mut harness, client, b"x");
    harness.settle();
}

#[test]
fn fates_lose_delay_and_repeat_datagrams() {
    let (mut harness, client, server) = sockets();
    let fates = Fates { kinds: vec![Fate::Late, Fate::Twice, Fate::Lost], ..Fates::none() };
    harness.network.set_fates(fates);
    // Fates and, for those that are late, delays: 1/2 and all of the longest.
    answers(&mut harness, &[3, 1, 8, 2, 9, 0]);
    for bytes in [b"lost", b"late", b"dupl", b"last"] {
        send(&mut harness, client, bytes);
    }
    harness.settle();
    let received: Vec<Outcome> = (0..4).map(|_| receive(&mut harness, server)).collect();
    assert_eq!(received, [gives(b"dupl"), gives(b"last"), gives(b"late"), gives(b"dupl")]);
    assert_eq!(harness.now, 200_000_000 + LATENCY);
    assert_eq!(
        lines(&harness)[..7],
        [
            "client:49152 -> server:53 sends a datagram of 4 B",
            "client:49152 -> server:53 loses a datagram of 4 B",
            "client:49152 -> server:53 sends a datagram of 4 B",
            "client:49152 -> server:53 delays a datagram of 4 B by 100.000ms",
            "client:49152 -> server:53 sends a datagram of 4 B",
            "client:49152 -> server:53 repeats a datagram of 4 B, 200.000ms later",
            "client:49152 -> server:53 sends a datagram of 4 B",
        ]
    );
}

#[test]
fn a_host_reaches_itself_whatever_the_fates() {
    let (mut harness, _, server) = sockets();
    harness.network.set_fates(Fates { kinds: vec![Fate::Lost], ..Fates::none() });
    harness.outside.chance = Box::new(|_, _| 1);
    harness.network.silence(0, &mut harness.outside, harness.server);
    send(&mut harness, server, b"me");
    harness.settle();
    assert_eq!(receive(&mut harness, server), gives(b"me"));
}

#[test]
fn a_cut_link_loses_all_its_datagrams() {
    let (mut harness, client, server) = sockets();
    send(&mut harness, client, b"on its way");
    harness.partition(Way::OneWay);
    send(&mut harness, client, b"too late");
    harness.heal();
    send(&mut harness, client, b"healed");
    harness.settle();
    assert_eq!(receive(&mut harness, server), gives(b"healed"));
    assert!(receive(&mut harness, server).is_pending());
    assert_eq!(lines(&harness)[1], "client:49152 -> server:53 is cut off and loses a datagram of 10 B");
}

#[test]
fn only_a_connected_sender_sees_a_refusal() {
    let (mut harness, client, server) = sockets();
    harness.network.udp_close(server);
    send(&mut harness, client, b"?");
    harness.settle();
    assert!(receive(&mut harness, client).is_pending());
    harness.network.udp_connect(client, server_addr(&harness)).unwrap();
    send(&mut harness, client, b"?");
    harness.settle();
    assert_eq!(harness.now, 3 * LATENCY, "there, there and back");
    assert!(harness.ready().contains(&Ready::Datagram(client)));
    assert_eq!(receive(&mut harness, client), Poll::Ready(Err(ConnectionRefused)));
    assert!(receive(&mut harness, client).is_pending(), "once");
}

#[test]
fn a_partition_hides_a_refusal() {
    let (mut harness, client, server) = sockets();
    harness.network.udp_close(server);
    harness.network.udp_connect(client, server_addr(&harness)).unwrap();
    send(&mut harness, client, b"?");
    harness.partition_from_server();
    assert!(!harness.network.quiet(), "it may still learn it");
    harness.settle();
    assert!(receive(&mut harness, client).is_pending());
    assert_eq!(lines(&harness)[2], "client:49152 -> server:53 is refused, but does not hear of it");
}

#[test]
fn an_unnoticed_datagram_is_quiet() {
    let (mut harness, client, server) = sockets();
    send(&mut harness, client, b"x");
    assert!(!harness.network.quiet());
    harness.network.udp_close(server);
    assert!(harness.network.quiet());
}

#[test]
fn a_full_buffer_drops_empty_datagrams_too() {
    let (mut harness, client, _) = sockets();
    let options = SocketOptions::new().receive_buffer_bytes(1000);
    let small = harness.network.udp_bind(harness.client, any(9), options).unwrap();
    let target = SocketAddr::new(harness.network.host_ip(harness.client), 9);
    for _ in 0..20 {
        harness.network.udp_send(harness.now, &mut harness.outside, client, b"", Some(target)).unwrap();
    }
    harness.settle();
    let received = (0..20).filter(|_| receive(&mut harness, small) == gives(b"")).count();
    assert_eq!(received, 2, "832 B each, in a buffer of 2304 B");
}

#[test]
fn receiving_a_quarter_reopens_a_full_buffer() {
    let (mut harness, client, _) = sockets();
    let full = harness.network.udp_bind(harness.client, any(9), SocketOptions::new()).unwrap();
    let target = SocketAddr::new(harness.network.host_ip(harness.client), 9);
    let send = |harness: &mut Harness, count| {
        for _ in 0..count {
            harness.network.udp_send(harness.now, &mut harness.outside, client, b"x", Some(target)).unwrap();
        }
        harness.settle();
    };
    send(&mut harness, 300);
    for _ in 0..63 {
        assert_eq!(receive(&mut harness, full), gives(b"x"));
    }
    send(&mut harness, 100);
    assert_eq!(receive(&mut harness, full), gives(b"x"));
    send(&mut harness, 100);
    let received = (0..1000).take_while(|_| receive(&mut harness, full) == gives(b"x")).count();
    assert_eq!(received, 256 - 64 + 64, "none of the first hundred had room");
}

#[test]
fn a_socket_may_be_connected_to_port_zero() {
    let (mut harness, client, server) = sockets();
    let to = SocketAddr::new(harness.network.host_ip(harness.server), 0);
    harness.network.udp_connect(client, to).unwrap();
    assert_eq!(harness.network.udp_peer_addr(client).unwrap_err().kind(), NotConnected);
    assert_eq!(harness.network.udp_send(harness.now, &mut harness.outside, client, b"x", None).unwrap(), 1);
    harness.settle();
    assert_eq!(receive(&mut harness, client), fails(ConnectionRefused));
    let _ = server;
}

#[test]
fn an_address_without_a_host_swallows_datagrams() {
    let (mut harness, client, _) = sockets();
    let unused = "192.168.9.9:53".parse().unwrap();
    harness.network.udp_send(0, &mut harness.outside, client, b"x", Some(unused)).unwrap();
    let outside = "10.0.0.1:53".parse().unwrap();
    let error = harness.network.udp_send(0, &mut harness.outside, client, b"x", Some(outside)).unwrap_err();
    assert_eq!(error.kind(), NetworkUnreachable);
    assert_eq!(
        lines(&harness)[1],
        "client:49152 -> unknown:53 drops a datagram of 1 B: no host has the address"
    );
}

#[test]
fn loopback_addresses_and_families_are_separate() {
    let (mut harness, _, _) = sockets();
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let local = harness.network.udp_bind(harness.client, loopback, SocketOptions::new()).unwrap();
    assert_eq!(try_send(&mut harness, local, b"x").unwrap_err().raw_os_error(), Some(libc::EINVAL));
    let v6 = harness.network.udp_connect(local, "[::1]:53".parse().unwrap()).unwrap_err();
    assert_eq!(v6.raw_os_error(), Some(libc::EAFNOSUPPORT));
}

#[test]
fn a_vanished_host_has_no_sockets() {
    let (mut harness, client, server) = sockets();
    harness.network.vanish(0, &mut harness.outside, harness.server);
    assert!(harness.network.open_udp_sockets(harness.server).is_empty());
    assert_eq!(harness.network.open_udp_sockets(harness.client), [client]);
    assert!(matches!(receive(&mut harness, server), Poll::Ready(Err(_))));
    send(&mut harness, client, b"hello?");
    harness.settle();
}

#[test]
fn sockets_are_described_when_they_are_gone_too() {
    let (mut harness, client, server) = sockets();
    harness.network.udp_connect(client, server_addr(&harness)).unwrap();
    harness.network.udp_close(client);
    let described = [client, server].map(|id| harness.network.describe_object(id.object()));
    assert_eq!(described, ["the UDP socket client:49152 -> server:53", "the UDP socket server:53"]);
}
