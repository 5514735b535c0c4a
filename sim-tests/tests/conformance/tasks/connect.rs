//! Opening connections: addresses, refusal, the backlog, names.

use std::io::ErrorKind;
use std::time::Duration;

use wavetank_runtime::{ListenOptions, Listener, Runtime, SocketOptions, Stream, TaskHandle};

use super::{SETTLE, World, accept, connect, expect, listen, meet, pair, send, settle};

pub(crate) async fn both_ends_agree_on_their_addresses<R: Runtime>(world: World<R>) {
    let (listener, address) = listen(&world, ListenOptions::new()).await;
    let (client, (server, from)) = meet(&world, &listener, address, SocketOptions::new()).await;

    let client_address = client.local_addr().expect("a live stream");
    assert_eq!(from, client_address);
    assert_eq!(server.peer_addr().expect("a live stream"), client_address);
    assert_eq!(server.local_addr().expect("a live stream"), address);
    assert_eq!(client.peer_addr().expect("a live stream"), address);
    assert_ne!(client_address.port(), 0);
    assert_ne!(client_address, address);
}

pub(crate) async fn port_zero_gives_each_listener_a_port<R: Runtime>(world: World<R>) {
    let (_first, one) = listen(&world, ListenOptions::new()).await;
    let (_second, other) = listen(&world, ListenOptions::new()).await;
    assert_eq!((one.ip(), other.ip()), (world.server_ip, world.server_ip));
    assert_ne!(one.port(), 0);
    assert_ne!(other.port(), 0);
    assert_ne!(one.port(), other.port());
}

pub(crate) async fn connecting_without_a_listener_is_refused<R: Runtime>(world: World<R>) {
    let (client, _server) = pair(&world).await;
    // A client's own port: taken, so that no other test can listen on it, and without a listener.
    let address = client.local_addr().expect("a live stream");
    let refused = world.server.connect(address, SocketOptions::new()).await.err();
    assert_eq!(refused.map(|error| error.kind()), Some(ErrorKind::ConnectionRefused));
}

pub(crate) async fn connections_are_accepted_in_order<R: Runtime>(world: World<R>) {
    let (listener, address) = listen(&world, ListenOptions::new()).await;
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(connect(&world.client, address).await);
        settle(&world).await;
    }
    for client in &clients {
        let (_server, from) = listener.accept().await.expect("a connection waits");
        assert_eq!(from, client.local_addr().expect("a live stream"));
    }
}

pub(crate) async fn a_client_may_write_before_it_is_accepted<R: Runtime>(world: World<R>) {
    let (listener, address) = listen(&world, ListenOptions::new()).await;
    let mut client = connect(&world.client, address).await;
    send(&mut client, "early").await;
    settle(&world).await;
    expect(&mut accept(&listener).await, "early").await;
}

pub(crate) async fn a_backlog_of_one_completes_two_connects<R: Runtime>(world: World<R>) {
    let (listener, address) = listen(&world, ListenOptions::new().backlog(1)).await;
    let _first = connect(&world.client, address).await;
    let _second = connect(&world.client, address).await;
    settle(&world).await;

    let began = world.client.now();
    let late = world.client.clone();
    let third = world.client.spawn("third", async move { connect(&late, address).await });
    world.client.sleep(3 * SETTLE).await;
    assert!(!third.is_finished(), "there is no room");

    let _one = accept(&listener).await;
    let third = third.await.expect("it ends with a stream");
    // Its first SYN was dropped, and the next goes out a second later.
    assert!(world.client.now() - began >= Duration::from_millis(900));
    let _two = accept(&listener).await;
    let (_three, from) = listener.accept().await.expect("the third connection waits");
    assert_eq!(from, third.local_addr().expect("a live stream"));
}

pub(crate) async fn closing_the_listener_refuses_a_waiting_client<R: Runtime>(world: World<R>) {
    let (listener, address) = listen(&world, ListenOptions::new().backlog(1)).await;
    let _first = connect(&world.client, address).await;
    // Lives on, so that no other test is given the port.
    let _accepted = accept(&listener).await;
    let _second = connect(&world.client, address).await;
    let _third = connect(&world.client, address).await;
    settle(&world).await;

    let late = world.client.clone();
    let fourth = world.client.spawn("fourth", async move {
        late.connect(address, SocketOptions::new()).await.err().map(|error| error.kind())
    });
    world.client.sleep(3 * SETTLE).await;
    assert!(!fourth.is_finished(), "there is no room");
    drop(listener);
    assert_eq!(fourth.await, Ok(Some(ErrorKind::ConnectionRefused)));
}

pub(crate) async fn the_text_of_an_address_resolves_to_itself<R: Runtime>(world: World<R>) {
    for (text, expected) in [("192.0.2.7", "192.0.2.7:80"), ("2001:db8::7", "[2001:db8::7]:80")] {
        let addresses = world.client.resolve(text, 80).await.expect("the text of an address");
        assert_eq!(addresses, [expected.parse().expect("an address")]);
    }
}

pub(crate) async fn localhost_resolves_to_this_machine<R: Runtime>(world: World<R>) {
    let addresses = world.client.resolve("localhost", 80).await.expect("a name that every host knows");
    assert!(addresses.iter().all(|address| address.ip().is_loopback() && address.port() == 80));
    assert!(addresses.iter().any(|address| address.is_ipv4()));
}

pub(crate) async fn an_unknown_name_is_an_error<R: Runtime>(world: World<R>) {
    // The error's kind is the resolver's. It distinguishes an unknown name from a server that does not answer.
    assert!(world.client.resolve("missing.invalid", 80).await.is_err());
}

pub(crate) async fn capitals_and_short_addresses_resolve<R: Runtime>(world: World<R>) {
    for name in ["LOCALHOST", "127.1", "0x7f.0.0.1", "127.0.0.01"] {
        let addresses = world.client.resolve(name, 80).await.expect("a name of this machine");
        assert!(addresses.contains(&([127, 0, 0, 1], 80).into()), "{name} is {addresses:?}");
    }
    for name in ["127.0.0.1.", "256.1"] {
        assert!(world.client.resolve(name, 80).await.is_err(), "{name}");
    }
}

pub(crate) async fn a_client_may_connect_to_itself<R: Runtime>(world: World<R>) {
    let (client, server) = pair(&world).await;
    let own = client.local_addr().expect("a live stream").port();
    // The end that closes first keeps the port.
    drop(server);
    settle(&world).await;
    drop(client);
    let target = super::super::world::near_port(own);
    for _ in 0..100_000 {
        match world.client.connect(target, SocketOptions::new()).await {
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionRefused),
            Ok(mut stream) => {
                assert_eq!(stream.local_addr().expect("a live stream"), target);
                assert_eq!(stream.peer_addr().expect("a live stream"), target);
                send(&mut stream, "to myself").await;
                expect(&mut stream, "to myself").await;
                return;
            }
        }
    }
    panic!("no client got the port {target}");
}
