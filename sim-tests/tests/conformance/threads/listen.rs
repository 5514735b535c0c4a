//! Listeners: ports in use, rebinding, connections whose client has gone, and the end of a listener.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;

use wavetank_runtime::{BlockingListener, BlockingStream, ListenOptions, SocketOptions, Threads};

use super::super::world::{BROKEN, RESET, Seen};
use super::{World, accept, connect, expect, listen, meet, read, send, settle, write};

pub(crate) fn a_listening_port_is_in_use<T: Threads>(world: World<T>) {
    let (_listener, address) = listen(&world, ListenOptions::new());
    let wildcard = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
    for taken in [address, wildcard] {
        let error = world.server.listen(taken, ListenOptions::new()).err();
        assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::AddrInUse), "{taken}");
    }
}

pub(crate) fn an_address_of_another_machine_is_not_available<T: Threads>(world: World<T>) {
    let elsewhere = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 7), 0));
    let error = world.server.listen(elsewhere, ListenOptions::new()).err();
    assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::AddrNotAvailable));
}

pub(crate) fn a_wildcard_listener_accepts_on_every_address<T: Threads>(world: World<T>) {
    let wildcard = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let listener = world.server.listen(wildcard, ListenOptions::new()).expect("a free port");
    let bound = listener.local_addr().expect("a listener has an address");
    assert_eq!(bound.ip(), IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let address = SocketAddr::new(world.server_ip, bound.port());
    let (_client, (server, _)) = meet(&world, &Arc::new(listener), address, SocketOptions::new());
    assert_eq!(server.local_addr().expect("a live stream"), address);
}

pub(crate) fn an_accepted_connection_does_not_block_its_port<T: Threads>(world: World<T>) {
    let (listener, address) = listen(&world, ListenOptions::new());
    let listener = Arc::new(listener);
    let (mut old_client, (mut old_server, _)) = meet(&world, &listener, address, SocketOptions::new());
    drop(listener);

    let listener = world.server.listen(address, ListenOptions::new()).expect("the port is free again");
    let listener = Arc::new(listener);
    let (mut new_client, (mut new_server, _)) = meet(&world, &listener, address, SocketOptions::new());
    send(&mut old_client, "old");
    send(&mut new_client, "new");
    expect(&mut new_server, "new");
    expect(&mut old_server, "old");
}

pub(crate) fn a_closed_listeners_port_can_be_reused<T: Threads>(world: World<T>) {
    let (listener, address) = listen(&world, ListenOptions::new());
    let listener = Arc::new(listener);
    let (mut client, (server, _)) = meet(&world, &listener, address, SocketOptions::new());
    drop(listener);
    // The server closes first, so its end of the connection lingers in TIME_WAIT.
    drop(server);
    assert_eq!(read(&mut client), Seen::End);
    drop(client);
    settle(&world);

    let listener = world.server.listen(address, ListenOptions::new()).expect("the port is free again");
    let listener = Arc::new(listener);
    let (mut client, (mut server, _)) = meet(&world, &listener, address, SocketOptions::new());
    send(&mut client, "new");
    expect(&mut server, "new");
}

pub(crate) fn closing_a_listener_resets_connections_not_accepted<T: Threads>(world: World<T>) {
    let (listener, address) = listen(&world, ListenOptions::new());
    let mut accepted = connect(&world.client, address);
    let mut server = accept(&listener);
    let mut silent = connect(&world.client, address);
    let mut eager = connect(&world.client, address);
    send(&mut eager, "early");
    let mut writer = connect(&world.client, address);
    settle(&world);
    drop(listener);
    settle(&world);

    for client in [&mut silent, &mut eager] {
        assert_eq!([read(client), read(client), write(client)], [RESET, Seen::End, BROKEN]);
    }
    assert_eq!([write(&mut writer), write(&mut writer), read(&mut writer)], [RESET, BROKEN, Seen::End]);
    send(&mut server, "alive");
    expect(&mut accepted, "alive");
}

pub(crate) fn a_closed_connection_is_accepted_with_its_bytes<T: Threads>(world: World<T>) {
    let (listener, address) = listen(&world, ListenOptions::new());
    let mut client = connect(&world.client, address);
    let client_address = client.local_addr().expect("a live stream");
    send(&mut client, "bye");
    drop(client);
    settle(&world);

    let (mut server, from) = listener.accept().expect("a connection waits");
    assert_eq!(from, client_address);
    assert_eq!(server.peer_addr().expect("the server has not closed"), client_address);
    expect(&mut server, "bye");
    assert_eq!([read(&mut server), write(&mut server)], [Seen::End, Seen::Written]);
    settle(&world);
    assert_eq!([write(&mut server), read(&mut server)], [BROKEN, Seen::End]);
}

pub(crate) fn a_reset_connection_is_accepted_with_its_bytes<T: Threads>(world: World<T>) {
    let (listener, address) = listen(&world, ListenOptions::new());
    let mut client = connect(&world.client, address);
    let client_address = client.local_addr().expect("a live stream");
    send(&mut client, "bye");
    settle(&world);
    client.abort();
    settle(&world);

    let (mut server, from) = listener.accept().expect("a connection waits");
    assert_eq!(from, client_address);
    assert_eq!(server.peer_addr().map_err(|error| error.kind()), Err(ErrorKind::NotConnected));
    expect(&mut server, "bye");
    assert_eq!([read(&mut server), read(&mut server), write(&mut server)], [RESET, Seen::End, BROKEN]);
}

/// Listens on a port of `ip` on the server.
fn listen_at<T: Threads>(world: &World<T>, ip: impl Into<IpAddr>, port: u16) -> io::Result<T::Listener> {
    world.server.listen((ip.into(), port).into(), ListenOptions::new())
}

fn kind<O>(result: io::Result<O>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

pub(crate) fn listeners_of_ipv4_refuse_ipv6_clients<T: Threads>(world: World<T>) {
    let listener = listen_at(&world, Ipv4Addr::UNSPECIFIED, 0).expect("a free port");
    let port = listener.local_addr().expect("a listener has an address").port();
    let target = (Ipv6Addr::LOCALHOST, port).into();
    let refused = kind(world.server.connect(target, SocketOptions::new(), None));
    assert_eq!(refused, Some(ErrorKind::ConnectionRefused));
    let other = listen_at(&world, Ipv6Addr::LOCALHOST, port).expect("a port of the other family");
    let _client = connect(&world.server, target);
    accept(&other);
}

pub(crate) fn a_listener_of_both_families_maps_addresses<T: Threads>(world: World<T>) {
    let listener = listen_at(&world, Ipv6Addr::UNSPECIFIED, 0).expect("a free port");
    let port = listener.local_addr().expect("a listener has an address").port();
    for ip in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::LOCALHOST.into()] {
        assert_eq!(kind(listen_at(&world, ip, port)), Some(ErrorKind::AddrInUse), "{ip}");
    }
    let client = connect(&world.server, (Ipv4Addr::LOCALHOST, port).into());
    let (server, from) = listener.accept().expect("a connection waits or will come");
    let own = client.local_addr().expect("a live stream");
    assert_eq!(from, (Ipv4Addr::LOCALHOST.to_ipv6_mapped(), own.port()).into());
    assert_eq!(server.peer_addr().expect("a live stream"), from);
    let at = server.local_addr().expect("a live stream");
    assert_eq!(at, (Ipv4Addr::LOCALHOST.to_ipv6_mapped(), port).into());
}
