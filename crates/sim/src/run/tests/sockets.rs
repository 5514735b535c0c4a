//! UDP and Unix sockets in a run: what the oracles and the trace say of them.

use std::io::{Read, Write};
use std::net::SocketAddr;
use std::path::Path;

use tokio::io::AsyncReadExt;
use wavetank_runtime::{
    BlockingDatagrams, BlockingListener, BlockingLocalSockets, BlockingUdpSocket, BlockingUnixListener,
    Datagrams, ListenOptions, Listener, LocalSockets, SocketOptions, UdpSocket,
};

use super::*;
use crate::Udp;
use crate::fault::Crash;

const PATH: &str = "/run/db.sock";

fn any(port: u16) -> SocketAddr {
    SocketAddr::from(([0, 0, 0, 0], port))
}

#[test]
fn a_deadlock_names_the_sockets_waited_for() {
    let outcome = seeded(1, |sim| {
        sim.client("asker", async |host: Host| {
            let socket = Datagrams::bind_udp(&host, any(0), SocketOptions::new()).await?;
            let server = Runtime::resolve(&host, "answerer", 53).await?[0];
            socket.connect(server).await?;
            socket.recv(&mut [0]).await
        });
        sim.client_thread("answerer", |host| {
            let listener = BlockingLocalSockets::listen_unix(&host, Path::new(PATH), ListenOptions::new())?;
            let ends =
                || BlockingLocalSockets::connect_unix(&host, Path::new(PATH), SocketOptions::new(), None);
            let mut client = ends()?;
            let mut server = listener.accept()?;
            let reader = Threads::spawn(&host, "reader", move || server.read(&mut [0]))?;
            let accepter = Threads::spawn(&host, "accepter", move || listener.accept().map(drop))?;
            client.write_all(b"x")?;
            let _ = reader.join();
            let _ = accepter.join();
            client.read(&mut [0])
        });
        sim.server_thread("full", |host| {
            let listen = ListenOptions::new().backlog(0);
            let _listener = BlockingLocalSockets::listen_unix(&host, Path::new(PATH), listen)?;
            let socket = BlockingDatagrams::bind_udp(&host, any(53), SocketOptions::new())?;
            let receiver = Threads::spawn(&host, "receiver", move || socket.recv(&mut [0]))?;
            let connect =
                || BlockingLocalSockets::connect_unix(&host, Path::new(PATH), SocketOptions::new(), None);
            let both = [connect()?, connect()?];
            let _ = receiver.join();
            drop(both);
            std::io::Result::Ok(())
        });
    });
    let text = symptom(&outcome);
    assert!(text.starts_with("deadlock"), "{text}");
    for wait in [
        "asker/main waits to receive from the UDP socket asker:49152 -> answerer:53",
        "answerer/accepter waits to accept answerer:/run/db.sock",
        "full/receiver waits to receive from the UDP socket full:53",
        "full/main waits to connect full:/run/db.sock",
    ] {
        assert!(text.contains(wait), "{wait} is missing from\n{text}");
    }
}

/// Once, the end of a connection without sockets was due in the past, and time could pass neither to it nor
/// beyond.
#[test]
#[expect(clippy::disallowed_methods, reason = "a timer that only tokio knows is what is tested")]
fn late_segments_do_not_stop_time() {
    let outcome = seeded(1, |sim| {
        sim.perturb(false).latency(Duration::from_secs(1)..=Duration::from_secs(1));
        sim.server("server", async |host: Host| {
            let listener = Runtime::listen(&host, any(80), ListenOptions::new()).await?;
            drop(listener.accept().await?);
            std::io::Result::Ok(())
        });
        sim.client("client", async |host: Host| {
            let server = Runtime::resolve(&host, "server", 80).await?[0];
            let mut stream = Runtime::connect(&host, server, SocketOptions::new()).await?;
            assert_eq!(stream.read(&mut [0]).await?, 0);
            // Its FIN is on its way for a second, to an end that is gone.
            drop(stream);
            tokio::time::sleep(Duration::from_secs(5)).await;
            Runtime::sleep(&host, Duration::from_secs(1)).await;
            std::io::Result::Ok(())
        });
    });
    assert_eq!(symptom(&outcome), "", "{}", outcome.trace.render());
}

#[test]
fn sockets_left_open_by_a_client_are_leaks() {
    let outcome = seeded(1, |sim| {
        sim.client("client", async |host: Host| {
            let socket = Datagrams::bind_udp(&host, any(0), SocketOptions::new()).await.unwrap();
            let path = Path::new(PATH);
            let listener = LocalSockets::listen_unix(&host, path, ListenOptions::new()).await.unwrap();
            let stream = LocalSockets::connect_unix(&host, path, SocketOptions::new()).await.unwrap();
            std::mem::forget((socket, stream, listener));
        });
    });
    let left = symptom(&outcome);
    for socket in [
        "the UDP socket client:49152",
        "the Unix socket client#1 -> client:/run/db.sock",
        "the Unix socket client:/run/db.sock",
    ] {
        assert!(left.starts_with("leak") && left.contains(socket), "{socket} is missing from {left}");
    }
}

/// Tidies up when it is dropped, and says goodbye.
struct Polite<W: BlockingDatagrams + BlockingLocalSockets> {
    host: W,
    socket: W::UdpSocket,
    peer: SocketAddr,
}

impl<W: BlockingDatagrams + BlockingLocalSockets> Drop for Polite<W> {
    fn drop(&mut self) {
        let _ = self.socket.send_to(b"goodbye", self.peer);
        if let Ok(socket) = self.host.bind_udp(any(0), SocketOptions::new()) {
            let _ = socket.send_to(b"from another socket", self.peer);
        }
        let _ = self.host.connect(self.peer, SocketOptions::new(), None);
        let _ = self.host.listen(any(80), ListenOptions::new());
        let _ = self.host.unlink_unix(Path::new(PATH));
    }
}

/// A kernel closes the sockets of a process that it kills, and no destructor runs there.
#[test]
fn a_crashed_host_sends_nothing_from_destructors() {
    for how in [Crash::Process, Crash::Machine] {
        let outcome = seeded(1, move |sim| {
            sim.perturb(false);
            sim.server_thread("victim", |host| {
                let socket = BlockingDatagrams::bind_udp(&host, any(53), SocketOptions::new())?;
                let peer = Threads::resolve(&host, "observer", 53)?[0];
                let polite = Polite { host, socket, peer };
                let listener =
                    BlockingLocalSockets::listen_unix(&host, Path::new(PATH), ListenOptions::new());
                // The path is a file that was not removed.
                let listener = listener.inspect_err(|error| tracing::info!("starts again: {error}"))?;
                polite.socket.send_to(b"hello", peer)?;
                listener.accept().map(drop)
            });
            sim.client_thread("observer", move |host| {
                let socket = BlockingDatagrams::bind_udp(&host, any(53), SocketOptions::new())?;
                let mut buffer = [0; 16];
                let (count, from) = socket.recv_from(&mut buffer)?;
                assert_eq!(&buffer[..count], b"hello");
                host.inject().crash("victim", how);
                socket.set_read_timeout(Some(Duration::from_secs(1)))?;
                let more = socket.recv_from(&mut buffer).map_err(|error| error.kind());
                assert_eq!(more, Err(std::io::ErrorKind::WouldBlock), "the dead say nothing");
                // A machine that is there and has no socket at the port refuses; one that is gone is silent.
                socket.connect(from)?;
                socket.send(b"hello?")?;
                let answer = socket.recv(&mut buffer).map_err(|error| error.kind());
                let expected = match how {
                    Crash::Process => std::io::ErrorKind::ConnectionRefused,
                    Crash::Machine => std::io::ErrorKind::WouldBlock,
                };
                assert_eq!(answer, Err(expected), "{how:?}");
                host.inject().restart("victim");
                Threads::sleep(&host, Duration::from_secs(1));
                std::io::Result::Ok(())
            });
        });
        let (symptom, trace) = (symptom(&outcome), outcome.trace.render());
        assert!(symptom.starts_with("error in victim: Address already in use"), "{symptom}\n{trace}");
        let (until_it_is_back, _) = trace.split_once("victim is started again").expect("it is");
        assert_eq!(until_it_is_back.matches("-> observer:53 sends").count(), 1, "{trace}");
        assert!(!until_it_is_back.contains("connects"), "{trace}");
    }
}

/// Sends ten numbers and lets the trace tell what became of them.
fn ten_datagrams(sim: &mut Sim, udp: Udp) {
    sim.udp(udp);
    sim.server("server", async |host: Host| {
        let socket = Datagrams::bind_udp(&host, any(53), SocketOptions::new()).await?;
        loop {
            let mut number = [0];
            socket.recv(&mut number).await?;
            tracing::info!("received {}", number[0]);
        }
        #[expect(unreachable_code, reason = "says what the loop fails with")]
        std::io::Result::Ok(())
    });
    sim.client("client", async |host: Host| {
        let socket = Datagrams::bind_udp(&host, any(0), SocketOptions::new()).await?;
        let server = Runtime::resolve(&host, "server", 53).await?[0];
        for number in 0..10 {
            socket.send_to(&[number], server).await?;
            Runtime::sleep(&host, Duration::from_millis(1)).await;
        }
        Runtime::sleep(&host, Duration::from_secs(1)).await;
        std::io::Result::Ok(())
    });
}

/// The numbers that came, in the order in which they came.
fn received(outcome: &Outcome) -> Vec<u32> {
    assert_eq!(symptom(outcome), "");
    let trace = outcome.trace.render();
    let numbers = trace.lines().filter_map(|line| line.split_once("| received ")).map(|(_, number)| number);
    numbers.map(|number| number.parse().unwrap()).collect()
}

#[test]
fn each_udp_fault_does_only_its_own_damage() {
    let ordered: Vec<u32> = (0..10).collect();
    assert_eq!(received(&seeded(1, |sim| ten_datagrams(sim, Udp::reliable()))), ordered);
    let (mut lost, mut repeated, mut reordered) = (0, 0, 0);
    for seed in 0..20 {
        let run = |udp: Udp| received(&seeded(seed, move |sim| ten_datagrams(sim, udp.clone().one_in(3))));
        let numbers = run(Udp::reliable().loss());
        assert!(numbers.is_sorted_by(|a, b| a < b), "{numbers:?}");
        lost += 10 - numbers.len();
        let mut numbers = run(Udp::reliable().duplication());
        repeated += numbers.len() - 10;
        numbers.sort_unstable();
        numbers.dedup();
        assert_eq!(numbers, ordered);
        let mut numbers = run(Udp::reliable().reordering());
        reordered += usize::from(numbers != ordered);
        numbers.sort_unstable();
        assert_eq!(numbers, ordered);
    }
    // One in three of 200.
    assert!((30..=110).contains(&lost) && (30..=110).contains(&repeated), "{lost} lost, {repeated} repeated");
    assert!(reordered >= 15, "{reordered} of 20 reordered");
}

#[test]
fn default_values_deliver_every_datagram() {
    let body = |sim: &mut Sim| ten_datagrams(sim, Udp::unreliable());
    let outcome = seeded(7, body);
    let (log, trace) = (outcome.log.clone(), outcome.trace.clone());
    let again = simulate_plan(move || {
        let plan = Plan::Replay { seed: 7, log: &log, mode: Replay::Strict };
        run(&body, &plan, &Arc::default())
    });
    assert!(again.divergence.is_none() && again.trace == trace, "{:?}", again.divergence);
    let default = simulate_plan(move || {
        let plan = Plan::Replay { seed: 7, log: &ChoiceLog::default(), mode: Replay::Lenient };
        run(&body, &plan, &Arc::default())
    });
    assert_eq!(received(&default), (0..10).collect::<Vec<u32>>());
}

#[test]
fn a_deadlock_names_what_a_thread_local_keeps() {
    thread_local! {
        static KEPT: std::cell::RefCell<Option<<Host as Threads>::Stream>> = const { std::cell::RefCell::new(None) };
    }
    let outcome = seeded(1, |sim| {
        sim.perturb(false);
        sim.server_thread("server", |host: Host| {
            let listener = Threads::listen(&host, any(80), ListenOptions::new())?;
            let (mut stream, _) = listener.accept()?;
            // Ends when the client has closed the connection.
            while stream.read(&mut [0; 8])? > 0 {}
            listener.accept()?.0.write_all(b"next")
        });
        sim.client_thread("client", |host: Host| {
            let server = Threads::resolve(&host, "server", 80)?[0];
            let keeper = Threads::spawn(&host, "keeper", move || {
                let stream = Threads::connect(&host, server, SocketOptions::new(), None).expect("it listens");
                KEPT.set(Some(stream));
            })?;
            keeper.join().expect("no panic");
            let mut stream = Threads::connect(&host, server, SocketOptions::new(), None)?;
            stream.read_exact(&mut [0; 4])
        });
    });
    let text = symptom(&outcome);
    let expected = "Still open, although the thread that made it has ended: client:49152 -> server:80, made by \
                    client/keeper\nIf a thread-local keeps it";
    assert!(text.starts_with("deadlock") && text.contains(expected), "{text}");
}
