//! The network of a test inside of turmoil is turmoil's: what it does otherwise than Linux shows.

use super::*;

/// Cuts the client from the server between two times.
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

#[wavetank::test(seeds = 20)]
fn a_connect_in_a_partition_is_refused_at_once(sim: &mut TurmoilSim) {
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
fn what_is_sent_in_a_partition_never_arrives_and_the_stream_stalls_behind_it() {
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
fn one_syn_more_than_the_backlog_holds_panics_the_simulation() {
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

#[wavetank::test(seeds = 100)]
fn a_held_link_delays_and_loses_nothing(sim: &mut TurmoilSim) {
    let last = Duration::from_secs(2);
    sim.faults(TurmoilFaults::none().holds().begin_max(100 * MILLISECOND).last_max(last));
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
