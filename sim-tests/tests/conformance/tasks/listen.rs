//! Listeners: ports in use, rebinding, connections whose client has gone, and the end of a listener.

use std::io::{self, ErrorKind};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use wavetank_runtime::{ListenOptions, Listener, Runtime, SocketOptions, Stream};

use super::super::world::{BROKEN, RESET, Seen};
use super::{World, accept, connect, expect, listen, meet, read, send, settle, write};

pub(crate) async fn a_listening_port_is_in_use<R: Runtime>(world: World<R>) {
    let (_listener, address) = listen(&world, ListenOptions::new()).await;
    let wildcard = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
    for taken in [address, wildcard] {
        let error = world.server.listen(taken, ListenOptions::new()).await.err();
        assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::AddrInUse), "{taken}");
    }
}

pub(crate) async fn an_address_of_another_machine_is_not_available<R: Runtime>(world: World<R>) {
    let elsewhere = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 7), 0));
    let error = world.server.listen(elsewhere, ListenOptions::new()).await.err();
    assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::AddrNotAvailable));
}

pub(crate) async fn a_wildcard_listener_accepts_on_every_address<R: Runtime>(world: World<R>) {
    let wildcard = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let listener = world.server.listen(wildcard, ListenOptions::new()).await.expect("a free port");
    let bound = listener.local_addr().expect("a listener has an address");
    assert_eq!(bound.ip(), IpAddr::V4(Ipv4Addr::UNSPECIFIED));
    let address = SocketAddr::new(world.server_ip, bound.port());
    let (_client, (server, _)) = meet(&world, &listener, address, SocketOptions::new()).await;
    assert_eq!(server.local_addr().expect("a live stream"), address);
}

pub(crate) async fn an_accepted_connection_does_not_block_its_port<R: Runtime>(world: World<R>) {
    let (listener, address) = listen(&world, ListenOptions::new()).await;
    let (mut old_client, (mut old_server, _)) = meet(&world, &listener, address, SocketOptions::new()).await;
    drop(listener);

    let listener = world.server.listen(address, ListenOptions::new()).await.expect("the port is free again");
    let (mut new_client, (mut new_server, _)) = meet(&world, &listener, address, SocketOptions::new()).await;
    send(&mut old_client, "old").await;
    send(&mut new_client, "new").await;
    expect(&mut new_server, "new").await;
    expect(&mut old_server, "old").await;
}

pub(crate) async fn a_closed_listeners_port_can_be_reused<R: Runtime>(world: World<R>) {
    let (listener, address) = listen(&world, ListenOptions::new()).await;
    let (mut client, (server, _)) = meet(&world, &listener, address, SocketOptions::new()).await;
    drop(listener);
    // The server closes first, so its end of the connection lingers in TIME_WAIT.
    drop(server);
    assert_eq!(read(&mut client).await, Seen::End);
    drop(client);
    settle(&world).await;

    let listener = world.server.listen(address, ListenOptions::new()).await.expect("the port is free again");
    let (mut client, (mut server, _)) = meet(&world, &listener, address, SocketOptions::new()).await;
    send(&mut client, "new").await;
    expect(&mut server, "new").await;
}

pub(crate) async fn closing_a_listener_resets_connections_not_accepted<R: Runtime>(world: World<R>) {
    let (listener, address) = listen(&world, ListenOptions::new()).await;
    let mut accepted = connect(&world.client, address).await;
    let mut server = accept(&listener).await;
    let mut silent = connect(&world.client, address).await;
    let mut eager = connect(&world.client, address).await;
    send(&mut eager, "early").await;
    let mut writer = connect(&world.client, address).await;
    settle(&world).await;
    drop(listener);
    settle(&world).await;

    for client in [&mut silent, &mut eager] {
        assert_eq!([read(client).await, read(client).await, write(client).await], [RESET, Seen::End, BROKEN]);
    }
    assert_eq!(
        [write(&mut writer).await, write(&mut writer).await, read(&mut writer).await],
        [RESET, BROKEN, Seen::End]
    );
    send(&mut server, "alive").await;
    expect(&mut accepted, "alive").await;
}

pub(crate) async fn a_closed_connection_is_accepted_with_its_bytes<R: Runtime>(world: World<R>) {
    let (listener, address) = listen(&world, ListenOptions::new()).await;
    let mut client = connect(&world.client, address).await;
    let client_address = client.local_addr().expect("a live stream");
    send(&mut client, "bye").await;
    drop(client);
    settle(&world).await;

    let (mut server, from) = listener.accept().await.expect("a connection waits");
    assert_eq!(from, client_address);
    assert_eq!(server.peer_addr().expect("the server has not closed"), client_address);
    expect(&mut server, "bye").await;
    assert_eq!([read(&mut server).await, write(&mut server).await], [Seen::End, Seen::Written]);
    settle(&world).await;
    assert_eq!([write(&mut server).await, read(&mut server).await], [BROKEN, Seen::End]);
}

pub(crate) async fn a_reset_connection_is_accepted_with_its_bytes<R: Runtime>(world: World<R>) {
    let (listener, address) = listen(&world, ListenOptions::new()).await;
    let mut client = connect(&world.client, address).await;
    let client_address = client.local_addr().expect("a live stream");
    send(&mut client, "bye").await;
    settle(&world).await;
    client.abort();
    settle(&world).await;

    let (mut server, from) = listener.accept().await.expect("a connection waits");
    assert_eq!(from, client_address);
    assert_eq!(server.peer_addr().map_err(|error| error.kind()), Err(ErrorKind::NotConnected));
    expect(&mut server, "bye").await;
    assert_eq!(
        [read(&mut server).await, read(&mut server).await, write(&mut server).await],
        [RESET, Seen::End, BROKEN]
    );
}

/// Listens on a port of `ip` on the server.
async fn listen_at<R: Runtime>(
    world: &World<R>,
    ip: impl Into<IpAddr>,
    port: u16,
) -> io::Result<R::Listener> {
    world.server.listen((ip.into(), port).into(), ListenOptions::new()).await
}

fn kind<T>(result: io::Result<T>) -> Option<ErrorKind> {
    result.err().map(|error| error.kind())
}

pub(crate) async fn listeners_of_ipv4_refuse_ipv6_clients<R: Runtime>(world: World<R>) {
    let listener = listen_at(&world, Ipv4Addr::UNSPECIFIED, 0).await.expect("a free port");
    let port = listener.local_addr().expect("a listener has an address").port();
    let target = (Ipv6Addr::LOCALHOST, port).into();
    let refused = kind(world.server.connect(target, SocketOptions::new()).await);
    assert_eq!(refused, Some(ErrorKind::ConnectionRefused));
    let other = listen_at(&world, Ipv6Addr::LOCALHOST, port).await.expect("a port of the other family");
    let _client = connect(&world.server, target).await;
    accept(&other).await;
}

pub(crate) async fn a_listener_of_both_families_maps_addresses<R: Runtime>(world: World<R>) {
    let listener = listen_at(&world, Ipv6Addr::UNSPECIFIED, 0).await.expect("a free port");
    let port = listener.local_addr().expect("a listener has an address").port();
    for ip in [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv4Addr::UNSPECIFIED.into(), Ipv6Addr::LOCALHOST.into()] {
        assert_eq!(kind(listen_at(&world, ip, port).await), Some(ErrorKind::AddrInUse), "{ip}");
    }
    let client = connect(&world.server, (Ipv4Addr::LOCALHOST, port).into()).await;
    let (server, from) = listener.accept().await.expect("a connection waits or will come");
    let own = client.local_addr().expect("a live stream");
    assert_eq!(from, (Ipv4Addr::LOCALHOST.to_ipv6_mapped(), own.port()).into());
    assert_eq!(server.peer_addr().expect("a live stream"), from);
    let at = server.local_addr().expect("a live stream");
    assert_eq!(at, (Ipv4Addr::LOCALHOST.to_ipv6_mapped(), port).into());
}
