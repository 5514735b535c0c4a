//! Opening connections: addresses, refusal, the backlog, names.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use wavetank_runtime::{
    BlockingListener, BlockingStream, ListenOptions, SocketOptions, ThreadHandle, Threads,
};

use super::super::world::assert_waited;
use super::{SETTLE, World, accept, connect, expect, join, listen, meet, pair, send, settle, spawn};

pub(crate) fn both_ends_agree_on_their_addresses<T: Threads>(world: World<T>) {
    let (listener, address) = listen(&world, ListenOptions::new());
    let (client, (server, from)) = meet(&world, &Arc::new(listener), address, SocketOptions::new());

    let client_address = client.local_addr().expect("a live stream");
    assert_eq!(from, client_address);
    assert_eq!(server.peer_addr().expect("a live stream"), client_address);
    assert_eq!(server.local_addr().expect("a live stream"), address);
    assert_eq!(client.peer_addr().expect("a live stream"), address);
    assert_ne!(client_address.port(), 0);
    assert_ne!(client_address, address);
}

pub(crate) fn port_zero_gives_each_listener_a_port<T: Threads>(world: World<T>) {
    let (_first, one) = listen(&world, ListenOptions::new());
    let (_second, other) = listen(&world, ListenOptions::new());
    assert_eq!((one.ip(), other.ip()), (world.server_ip, world.server_ip));
    assert_ne!(one.port(), 0);
    assert_ne!(other.port(), 0);
    assert_ne!(one.port(), other.port());
}

pub(crate) fn connecting_without_a_listener_is_refused<T: Threads>(world: World<T>) {
    let (client, _server) = pair(&world);
    // A client's own port: taken, so that no other test can listen on it, and without a listener.
    let address = client.local_addr().expect("a live stream");
    let refused = world.server.connect(address, SocketOptions::new(), None).err();
    assert_eq!(refused.map(|error| error.kind()), Some(ErrorKind::ConnectionRefused));
}

pub(crate) fn connections_are_accepted_in_order<T: Threads>(world: World<T>) {
    let (listener, address) = listen(&world, ListenOptions::new());
    let mut clients = Vec::new();
    for _ in 0..3 {
        clients.push(connect(&world.client, address));
        settle(&world);
    }
    for client in &clients {
        let (_server, from) = listener.accept().expect("a connection waits");
        assert_eq!(from, client.local_addr().expect("a live stream"));
    }
}

pub(crate) fn a_client_may_write_before_it_is_accepted<T: Threads>(world: World<T>) {
    let (listener, address) = listen(&world, ListenOptions::new());
    let mut client = connect(&world.client, address);
    send(&mut client, "early");
    settle(&world);
    expect(&mut accept(&listener), "early");
}

pub(crate) fn a_backlog_of_one_completes_two_connects<T: Threads>(world: World<T>) {
    let (listener, address) = listen(&world, ListenOptions::new().backlog(1));
    let _first = connect(&world.client, address);
    let _second = connect(&world.client, address);
    settle(&world);

    let began = world.client.now();
    let late = world.client.clone();
    let third = spawn(&world.client, "third", move || connect(&late, address));
    world.client.sleep(3 * SETTLE);
    assert!(!third.is_finished(), "there is no room");

    let _one = accept(&listener);
    let third = join(third);
    // Its first SYN was dropped, and the next goes out a second later.
    assert!(world.client.now() - began >= Duration::from_millis(900));
    let _two = accept(&listener);
    let (_three, from) = listener.accept().expect("the third connection waits");
    assert_eq!(from, third.local_addr().expect("a live stream"));
}

pub(crate) fn closing_the_listener_refuses_a_waiting_client<T: Threads>(world: World<T>) {
    let (listener, address) = listen(&world, ListenOptions::new().backlog(1));
    let _first = connect(&world.client, address);
    // Lives on, so that no other test is given the port.
    let _accepted = accept(&listener);
    let _second = connect(&world.client, address);
    let _third = connect(&world.client, address);
    settle(&world);

    let late = world.client.clone();
    let fourth = spawn(&world.client, "fourth", move || {
        late.connect(address, SocketOptions::new(), None).err().map(|error| error.kind())
    });
    world.client.sleep(3 * SETTLE);
    assert!(!fourth.is_finished(), "there is no room");
    drop(listener);
    assert_eq!(join(fourth), Some(ErrorKind::ConnectionRefused));
}

pub(crate) fn a_connect_without_room_for_it_times_out<T: Threads>(world: World<T>) {
    let (_listener, address) = listen(&world, ListenOptions::new().backlog(1));
    let _first = connect(&world.client, address);
    let _second = connect(&world.client, address);
    settle(&world);
    let began = world.client.now();
    let late = world.client.connect(address, SocketOptions::new(), Some(2 * SETTLE)).err();
    assert_eq!(late.map(|error| error.kind()), Some(ErrorKind::TimedOut));
    assert_waited(world.client.now() - began, 2 * SETTLE);
}

pub(crate) fn a_connect_timeout_of_zero_is_invalid<T: Threads>(world: World<T>) {
    let (_listener, address) = listen(&world, ListenOptions::new());
    let error = world.client.connect(address, SocketOptions::new(), Some(Duration::ZERO)).err();
    assert_eq!(error.map(|error| error.kind()), Some(ErrorKind::InvalidInput));
}

pub(crate) fn the_text_of_an_address_resolves_to_itself<T: Threads>(world: World<T>) {
    for (text, expected) in [("192.0.2.7", "192.0.2.7:80"), ("2001:db8::7", "[2001:db8::7]:80")] {
        let addresses = world.client.resolve(text, 80).expect("the text of an address");
        assert_eq!(addresses, [expected.parse().expect("an address")]);
    }
}

pub(crate) fn localhost_resolves_to_this_machine<T: Threads>(world: World<T>) {
    let addresses = world.client.resolve("localhost", 80).expect("a name that every host knows");
    assert!(addresses.iter().all(|address| address.ip().is_loopback() && address.port() == 80));
    assert!(addresses.iter().any(|address| address.is_ipv4()));
}

pub(crate) fn an_unknown_name_is_an_error<T: Threads>(world: World<T>) {
    // The error's kind is the resolver's. It distinguishes an unknown name from a server that does not answer.
    assert!(world.client.resolve("missing.invalid", 80).is_err());
}

pub(crate) fn capitals_and_short_addresses_resolve<T: Threads>(world: World<T>) {
    for name in ["LOCALHOST", "127.1", "0x7f.0.0.1", "127.0.0.01"] {
        let addresses = world.client.resolve(name, 80).expect("a name of this machine");
        assert!(addresses.contains(&([127, 0, 0, 1], 80).into()), "{name} is {addresses:?}");
    }
    for name in ["127.0.0.1.", "256.1"] {
        assert!(world.client.resolve(name, 80).is_err(), "{name}");
    }
}

pub(crate) fn a_client_may_connect_to_itself<T: Threads>(world: World<T>) {
    let (client, server) = pair(&world);
    let own = client.local_addr().expect("a live stream").port();
    // The end that closes first keeps the port.
    drop(server);
    settle(&world);
    drop(client);
    let target = super::super::world::near_port(own);
    for _ in 0..100_000 {
        match world.client.connect(target, SocketOptions::new(), None) {
            Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionRefused),
            Ok(mut stream) => {
                assert_eq!(stream.local_addr().expect("a live stream"), target);
                assert_eq!(stream.peer_addr().expect("a live stream"), target);
                send(&mut stream, "to myself");
                expect(&mut stream, "to myself");
                return;
            }
        }
    }
    panic!("no client got the port {target}");
}
