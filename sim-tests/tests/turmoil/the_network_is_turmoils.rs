//! The network of a test inside turmoil is turmoil's, with its differences from Linux.

use std::net::SocketAddr;

use wavetank::runtime::{BlockingDatagrams, BlockingUdpSocket, Datagrams, UdpSocket};

use super::*;

/// Partitions client and server between two times.
fn partition(sim: &mut TurmoilSim, from: Duration, to: Duration) {
    sim.before_each_step(move |sim| {
        if sim.elapsed() == from {
            sim.partition("client", "server");
        } else if sim.elapsed() == to {
            sim.repair("client", "server");
        }
    });
}

fn server_that_reads(sim: &mut TurmoilSim) {
    sim.host_thread("server", |host: TurmoilHost| {
        let (mut stream, _) = Threads::listen(&host, WILDCARD, ListenOptions::new())?.accept()?;
        let mut received = String::new();
        stream.read_to_string(&mut received)?;
        tracing::info!("received {received}");
        io::Result::Ok(())
    });
}

#[wavetank::test(seeds = 20, base_seed = 0x2a34f0db467e0a6f)]
fn connecting_through_a_partition_is_refused(sim: &mut TurmoilSim) {
    partition(sim, Duration::ZERO, 50 * MILLISECOND);
    sim.perturb(false);
    idle_host(sim, "server");
    sim.client_thread("client", |host: TurmoilHost| {
        let server = Threads::resolve(&host, "server", 80)?[0];
        let refused = Threads::connect(&host, server, SocketOptions::new(), None).err();
        assert_eq!(refused.map(|error| error.kind()), Some(io::ErrorKind::ConnectionRefused));
        assert_eq!(Threads::now(&host).as_nanos(), 0);
        io::Result::Ok(())
    });
}

#[test]
fn bytes_lost_in_a_partition_stall_the_stream() {
    let found = find("a-partition-loses", |sim| {
        sim.builder().max_message_latency(MILLISECOND);
        sim.perturb(false).stall_after(Duration::from_secs(2));
        partition(sim, 100 * MILLISECOND, 200 * MILLISECOND);
        sim.host_thread("server", |host: TurmoilHost| {
            let (mut stream, _) = Threads::listen(&host, WILDCARD, ListenOptions::new())?.accept()?;
            while stream.read(&mut [0; 64])? > 0 {}
            stream.write_all(b"thanks")
        });
        sim.client_thread("client", |host: TurmoilHost| {
            let server = Threads::resolve(&host, "server", 80)?[0];
            let mut stream = Threads::connect(&host, server, SocketOptions::new(), None)?;
            for _ in 0..3 {
                stream.write_all(b"ten bytes.")?;
                Threads::sleep(&host, 80 * MILLISECOND);
            }
            stream.shutdown(std::net::Shutdown::Write)?;
            stream.read_to_string(&mut String::new())
        });
    });
    assert_eq!(found.symptom().kind(), SymptomKind::Stall);
    assert!(found.symptom().matches("client/main waits to read client:49152 -> server:80"));
}

#[test]
fn overflowing_the_backlog_panics_the_simulation() {
    let found = find("a-full-backlog", |sim| {
        sim.host("server", async |_: TurmoilHost| {
            let _listener = TcpListener::bind("0.0.0.0:80").await?;
            std::future::pending().await
        });
        sim.client("client", async |host: TurmoilHost| {
            let connects = (0..65).map(|_| Runtime::spawn(&host, "connect", TcpStream::connect("server:80")));
            let connects: Vec<_> = connects.collect();
            for connect in connects {
                connect.await??;
            }
            Ok(())
        });
    });
    let expected = "panic in turmoil: 192.168.0.1:80 server socket buffer full";
    assert!(found.symptom().matches(expected), "{}", found.symptom());
}

#[test]
fn a_socket_is_used_on_its_own_host() {
    let found = find("a-strange-socket", |sim| {
        let strange = StdMutex::new(None);
        let strange = Arc::new(strange);
        let other = Arc::clone(&strange);
        sim.host("other", async move |host: TurmoilHost| {
            *other.lock().expect("unharmed") = Some(host);
            std::future::pending().await
        });
        sim.client("client", async move |host: TurmoilHost| {
            Runtime::sleep(&host, 5 * MILLISECOND).await;
            let other = strange.lock().expect("unharmed").expect("the other host has started");
            Runtime::listen(&other, WILDCARD, ListenOptions::new()).await?;
            Ok(())
        });
    });
    assert!(found.symptom().matches("a socket of the turmoil host `other` was used on another one"));
}

/// turmoil would free the port of the host that is running.
#[test]
fn a_socket_is_dropped_on_its_own_host() {
    let found = find("a-strange-drop", |sim| {
        let passed = Arc::new(StdMutex::new(None));
        let pass = Arc::clone(&passed);
        sim.host("other", async move |host: TurmoilHost| {
            let socket = Datagrams::bind_udp(&host, WILDCARD, SocketOptions::new()).await?;
            *pass.lock().expect("unharmed") = Some(socket);
            std::future::pending().await
        });
        sim.client("client", async move |host: TurmoilHost| {
            let own = Datagrams::bind_udp(&host, WILDCARD, SocketOptions::new()).await?;
            Runtime::sleep(&host, 5 * MILLISECOND).await;
            drop(passed.lock().expect("unharmed").take());
            own.recv_from(&mut []).await?;
            Ok(())
        });
    });
    let expected = "panic in client/main: a socket of the turmoil host `other` was used on another one";
    assert!(found.symptom().matches(expected), "{}", found.symptom());
}

#[wavetank::test(seeds = 5, base_seed = 0x6bd6d2ebaac07be8)]
fn crashing_with_another_hosts_socket_is_allowed(sim: &mut TurmoilSim) {
    // The holder has the socket when it crashes.
    sim.perturb(false);
    let passed = Arc::new(StdMutex::new(None));
    let pass = Arc::clone(&passed);
    sim.before_each_step(|sim| {
        if sim.elapsed() == 100 * MILLISECOND {
            sim.crash("holder");
        }
    });
    sim.host("other", async move |host: TurmoilHost| {
        let socket = Datagrams::bind_udp(&host, WILDCARD, SocketOptions::new()).await?;
        *pass.lock().expect("unharmed") = Some(socket);
        std::future::pending().await
    });
    let seen = Arc::new(AtomicU32::new(0));
    let held = Arc::clone(&seen);
    sim.host("holder", async move |host: TurmoilHost| {
        Runtime::sleep(&host, 5 * MILLISECOND).await;
        let _socket = passed.lock().expect("unharmed").take().expect("the other host has started");
        held.store(1, Ordering::Relaxed);
        std::future::pending().await
    });
    sim.client("client", async move |host: TurmoilHost| {
        Runtime::sleep(&host, 200 * MILLISECOND).await;
        assert_eq!(seen.load(Ordering::Relaxed), 1, "the socket was held when its holder crashed");
        Ok(())
    });
}

#[test]
#[expect(clippy::disallowed_methods, reason = "a task that bypasses the runtime traits is what is tested")]
fn a_socket_in_a_tokio_task_is_refused() {
    let found = find("a-bare-task", |sim| {
        sim.client("client", async |host: TurmoilHost| {
            let socket = Datagrams::bind_udp(&host, WILDCARD, SocketOptions::new()).await?;
            tokio::spawn(async move { socket.recv_from(&mut []).await }).await??;
            Ok(())
        });
    });
    let expected = "a socket of the turmoil host `client` was used outside of its tasks and threads";
    assert!(found.symptom().matches(expected), "{}", found.symptom());
}

#[test]
fn a_bind_that_fails_says_where_and_why() {
    let found = find("a-port-in-use", |sim| {
        sim.client("client", async |host: TurmoilHost| {
            let _first = Datagrams::bind_udp(&host, WILDCARD, SocketOptions::new()).await?;
            let _second = Datagrams::bind_udp(&host, WILDCARD, SocketOptions::new()).await?;
            Ok(())
        });
    });
    let report = found.symptom().to_string();
    assert!(report.starts_with("error in client: Address already in use (os error 98)"), "{report}");
    assert!(report.contains("cannot bind a UDP socket to 0.0.0.0:80"), "{report}");
}

#[test]
fn a_datagram_waiter_is_named_with_its_socket() {
    let found = find("a-silent-peer", |sim| {
        idle_host(sim, "server");
        sim.client_thread("client", |host: TurmoilHost| {
            let server = Threads::resolve(&host, "server", 53)?[0];
            let socket = BlockingDatagrams::bind_udp(&host, WILDCARD, SocketOptions::new())?;
            let waiter = {
                let socket = socket.try_clone()?;
                Threads::spawn(&host, "waiter", move || socket.recv(&mut []))?
            };
            Threads::sleep(&host, MILLISECOND);
            socket.connect(server)?;
            socket.send(b"hello?")?;
            socket.recv(&mut [])?;
            waiter.join().map_err(io::Error::other)?
        });
    });
    assert_eq!(found.symptom().kind(), SymptomKind::TimeLimit);
    let report = found.symptom().to_string();
    assert!(
        report.contains("client/main waits to receive from the UDP socket client:80 -> server:53"),
        "{report}"
    );
    assert!(
        report.contains("client/waiter waits to receive from the UDP socket client:80, since"),
        "{report}"
    );
}

/// Sends a datagram when it is dropped.
struct Farewell(<TurmoilHost as BlockingDatagrams>::UdpSocket, SocketAddr);

impl Drop for Farewell {
    fn drop(&mut self) {
        let _ = self.0.send_to(b"goodbye", self.1);
    }
}

#[wavetank::test(seeds = 20, base_seed = 0xb03be868b3186ff4)]
fn destructors_in_a_crash_send_nothing(sim: &mut TurmoilSim) {
    sim.perturb(false);
    sim.before_each_step(|sim| match sim.elapsed().as_millis() {
        100 => sim.crash("server"),
        200 => sim.bounce("server"),
        _ => {}
    });
    sim.host_thread("server", |host: TurmoilHost| {
        let client = Threads::resolve(&host, "client", 80)?[0];
        let own = SocketAddr::new(host.ip(), 80);
        // The crash has freed the port, so it can be bound again.
        let socket = BlockingDatagrams::bind_udp(&host, own, SocketOptions::new())?;
        let _farewells = [Farewell(socket.try_clone()?, client), Farewell(socket.try_clone()?, own)];
        // By then the client has bound its port.
        Threads::sleep(&host, 5 * MILLISECOND);
        socket.send_to(b"hello", client)?;
        socket.recv(&mut [])?;
        io::Result::Ok(())
    });
    sim.client_thread("client", |host: TurmoilHost| {
        let socket = BlockingDatagrams::bind_udp(&host, WILDCARD, SocketOptions::new())?;
        socket.set_read_timeout(Some(Duration::from_secs(1)))?;
        for _ in 0..2 {
            let mut message = [0; 7];
            let length = socket.recv(&mut message)?;
            assert_eq!(&message[..length], b"hello");
        }
        let nothing = socket.recv(&mut []).err().map(|error| error.kind());
        assert_eq!(nothing, Some(io::ErrorKind::WouldBlock));
        io::Result::Ok(())
    });
}

#[wavetank::test(seeds = 100)]
fn a_held_link_delays_and_loses_nothing(sim: &mut TurmoilSim) {
    let last = Duration::from_secs(2);
    sim.faults(TurmoilFaults::none().paused_links().begin_max(100 * MILLISECOND).last_max(last));
    server_that_reads(sim);
    sim.client_thread("client", |host: TurmoilHost| {
        let server = Threads::resolve(&host, "server", 80)?[0];
        let mut stream = Threads::connect(&host, server, SocketOptions::new(), None)?;
        stream.write_all(b"hello")?;
        stream.shutdown(std::net::Shutdown::Write)?;
        assert_eq!(stream.read(&mut [0])?, 0);
        io::Result::Ok(())
    });
}
