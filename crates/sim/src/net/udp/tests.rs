//! Datagrams, driven by hand.

use std::io::ErrorKind::*;
use std::net::Ipv4Addr;

use super::super::faults::Way;
use super::super::harness::{Harness, LATENCY, fixed};
use super::*;

type Outcome = Poll<Result<Vec<u8>, io::ErrorKind>>;

fn any(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::UNSPECIFIED, port))
}

/// A client's socket and the server's at port 53.
fn sockets() -> (Harness, UdpId, UdpId) {
    let mut tank = Harness::new();
    let client = tank.network.udp_bind(tank.client, any(0), SocketOptions::new()).unwrap();
    let server = tank.network.udp_bind(tank.server, any(53), SocketOptions::new()).unwrap();
    (tank, client, server)
}

fn server_addr(tank: &Harness) -> SocketAddr {
    SocketAddr::new(tank.network.host_ip(tank.server), 53)
}

fn try_send(tank: &mut Harness, from: UdpId, bytes: &[u8]) -> io::Result<usize> {
    let target = server_addr(tank);
    tank.network.udp_send(tank.now, &mut tank.out, from, bytes, Some(target))
}

fn send(tank: &mut Harness, from: UdpId, bytes: &[u8]) {
    assert_eq!(try_send(tank, from, bytes).unwrap(), bytes.len());
}

fn receive(tank: &mut Harness, id: UdpId) -> Outcome {
    let mut buffer = [0; 64];
    let received = tank.network.udp_receive(id, &mut buffer);
    received.map(|result| result.map(|(count, _)| buffer[..count].to_vec()).map_err(|error| error.kind()))
}

fn gives(bytes: &[u8]) -> Outcome {
    Poll::Ready(Ok(bytes.to_vec()))
}

fn lines(tank: &Harness) -> Vec<String> {
    tank.out.datagrams.iter().map(|event| event.describe(&tank.network)).collect()
}

/// Answers the questions about datagrams in turn, then with 0.
fn answers(tank: &mut Harness, answers: &[u32]) {
    let answers = answers.to_vec();
    let mut answers = answers.into_iter();
    tank.out.chance = Box::new(move |_, _| answers.next().unwrap_or(0));
}

#[test]
fn datagrams_arrive_after_the_latency_whole_and_in_order() {
    let (mut tank, client, server) = sockets();
    send(&mut tank, client, b"one");
    send(&mut tank, client, b"");
    assert!(receive(&mut tank, server).is_pending());
    tank.settle();
    assert_eq!(tank.now, LATENCY);
    assert_eq!(tank.ready(), [Ready::Datagram(server)], "said once");
    assert_eq!([receive(&mut tank, server), receive(&mut tank, server)], [gives(b"one"), gives(b"")]);
    assert!(receive(&mut tank, server).is_pending());
}

#[test]
fn the_order_of_a_link_is_kept_whatever_the_latencies_are() {
    let (mut tank, client, server) = sockets();
    let range =
        super::super::LatencyRange { max: std::time::Duration::from_secs(1), ..fixed(Default::default()) };
    tank.network.set_latency(range);
    let mut picks = [1000, 3].into_iter();
    tank.out.pick = Box::new(move |_| picks.next().unwrap_or(0));
    send(&mut tank, client, b"slow");
    send(&mut tank, client, b"quick");
    tank.settle();
    assert_eq!([receive(&mut tank, server), receive(&mut tank, server)], [gives(b"slow"), gives(b"quick")]);
}

#[test]
fn no_question_is_asked_without_fates() {
    let (mut tank, client, _server) = sockets();
    tank.out.chance = Box::new(|_, _| panic!("a question"));
    send(&mut tank, client, b"x");
    tank.settle();
}

#[test]
fn fates_lose_delay_and_repeat_datagrams() {
    let (mut tank, client, server) = sockets();
    let fates = Fates { kinds: vec![Fate::Late, Fate::Twice, Fate::Lost], ..Fates::none() };
    tank.network.set_fates(fates);
    // Fates and, for those that are late, delays: 1/2 and all of the longest.
    answers(&mut tank, &[3, 1, 8, 2, 9, 0]);
    for bytes in [b"lost", b"late", b"dupl", b"dull"] {
        send(&mut tank, client, bytes);
    }
    tank.settle();
    let received: Vec<Outcome> = (0..4).map(|_| receive(&mut tank, server)).collect();
    assert_eq!(received, [gives(b"dupl"), gives(b"dull"), gives(b"late"), gives(b"dupl")]);
    assert_eq!(tank.now, 200_000_000 + LATENCY);
    assert_eq!(
        lines(&tank)[..7],
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
    let (mut tank, _, server) = sockets();
    tank.network.set_fates(Fates { kinds: vec![Fate::Lost], ..Fates::none() });
    tank.out.chance = Box::new(|_, _| 1);
    tank.network.silence(0, &mut tank.out, tank.server);
    send(&mut tank, server, b"me");
    tank.settle();
    assert_eq!(receive(&mut tank, server), gives(b"me"));
}

#[test]
fn a_cut_link_loses_what_is_on_it_and_what_is_sent() {
    let (mut tank, client, server) = sockets();
    send(&mut tank, client, b"on its way");
    tank.partition(Way::OneWay);
    send(&mut tank, client, b"too late");
    tank.heal();
    send(&mut tank, client, b"healed");
    tank.settle();
    assert_eq!(receive(&mut tank, server), gives(b"healed"));
    assert!(receive(&mut tank, server).is_pending());
    assert_eq!(lines(&tank)[1], "client:49152 -> server:53 is cut off and loses a datagram of 10 B");
}

#[test]
fn only_a_connected_sender_learns_that_nobody_receives() {
    let (mut tank, client, server) = sockets();
    tank.network.udp_close(server);
    send(&mut tank, client, b"?");
    tank.settle();
    assert!(receive(&mut tank, client).is_pending());
    tank.network.udp_connect(client, server_addr(&tank)).unwrap();
    send(&mut tank, client, b"?");
    tank.settle();
    assert_eq!(tank.now, 3 * LATENCY, "there, there and back");
    assert!(tank.ready().contains(&Ready::Datagram(client)));
    assert_eq!(receive(&mut tank, client), Poll::Ready(Err(ConnectionRefused)));
    assert!(receive(&mut tank, client).is_pending(), "once");
}

#[test]
fn a_partition_hides_that_nobody_receives() {
    let (mut tank, client, server) = sockets();
    tank.network.udp_close(server);
    tank.network.udp_connect(client, server_addr(&tank)).unwrap();
    send(&mut tank, client, b"?");
    tank.partition_from_server();
    assert!(!tank.network.quiet(), "it may still learn it");
    tank.settle();
    assert!(receive(&mut tank, client).is_pending());
    assert_eq!(lines(&tank)[2], "client:49152 -> server:53 is refused, but does not hear of it");
}

#[test]
fn a_datagram_that_nobody_can_notice_is_quiet() {
    let (mut tank, client, server) = sockets();
    send(&mut tank, client, b"x");
    assert!(!tank.network.quiet());
    tank.network.udp_close(server);
    assert!(tank.network.quiet());
}

#[test]
fn a_full_buffer_drops_what_comes_even_if_it_is_empty() {
    let (mut tank, client, _) = sockets();
    let options = SocketOptions::new().receive_buffer_bytes(1000);
    let small = tank.network.udp_bind(tank.client, any(9), options).unwrap();
    let target = SocketAddr::new(tank.network.host_ip(tank.client), 9);
    for _ in 0..20 {
        tank.network.udp_send(tank.now, &mut tank.out, client, b"", Some(target)).unwrap();
    }
    tank.settle();
    let received = (0..20).filter(|_| receive(&mut tank, small) == gives(b"")).count();
    assert_eq!(received, 4, "256 B each: three fit, and one more while there is room");
}

#[test]
fn an_address_that_nobody_has_swallows_datagrams() {
    let (mut tank, client, _) = sockets();
    let nobody = "192.168.9.9:53".parse().unwrap();
    tank.network.udp_send(0, &mut tank.out, client, b"x", Some(nobody)).unwrap();
    let outside = "10.0.0.1:53".parse().unwrap();
    let error = tank.network.udp_send(0, &mut tank.out, client, b"x", Some(outside)).unwrap_err();
    assert_eq!(error.kind(), NetworkUnreachable);
    assert_eq!(lines(&tank)[1], "client:49152 -> nobody:53 drops a datagram of 1 B: nobody has the address");
}

#[test]
fn loopback_addresses_reach_no_other_host_and_families_do_not_mix() {
    let (mut tank, _, _) = sockets();
    let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let local = tank.network.udp_bind(tank.client, loopback, SocketOptions::new()).unwrap();
    assert_eq!(try_send(&mut tank, local, b"x").unwrap_err().raw_os_error(), Some(libc::EINVAL));
    let v6 = tank.network.udp_connect(local, "[::1]:53".parse().unwrap()).unwrap_err();
    assert_eq!(v6.raw_os_error(), Some(libc::EAFNOSUPPORT));
}

#[test]
fn a_vanished_host_has_no_sockets() {
    let (mut tank, client, server) = sockets();
    tank.network.vanish(0, &mut tank.out, tank.server);
    assert!(tank.network.open_udp_sockets(tank.server).is_empty());
    assert_eq!(tank.network.open_udp_sockets(tank.client), [client]);
    assert!(matches!(receive(&mut tank, server), Poll::Ready(Err(_))));
    send(&mut tank, client, b"hello?");
    tank.settle();
}

#[test]
fn sockets_are_described_when_they_are_gone_too() {
    let (mut tank, client, server) = sockets();
    tank.network.udp_connect(client, server_addr(&tank)).unwrap();
    tank.network.udp_close(client);
    let described = [client, server].map(|id| tank.network.describe_object(id.object()));
    assert_eq!(described, ["the UDP socket client:49152 -> server:53", "the UDP socket server:53"]);
}
