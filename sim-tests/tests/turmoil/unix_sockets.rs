//! Unix sockets inside turmoil: the sockets are the simulator's, the host is turmoil's.
//!
//! A server keeps its secret in an agent, a thread that answers on a Unix socket. A crash leaves the path of the
//! socket, as on Linux. A server that does not remove the path before it listens cannot restart.

use std::path::Path;

use wavetank::runtime::{
    BlockingLocalSockets, BlockingUnixListener, LocalSockets, UnixListener as _, UnixStream as _,
};

use super::*;

const AGENT: &str = "/run/agent.sock";

const SECRET: u32 = 0x5ec_4e7;

/// What a server does with a socket of its predecessor.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Predecessor {
    Ignored,
    Removed,
}

/// Answers each connection with the secret, without end.
fn agent(
    host: TurmoilHost,
    predecessor: Predecessor,
) -> io::Result<<TurmoilHost as Threads>::ThreadHandle<io::Result<()>>> {
    let path = Path::new(AGENT);
    if predecessor == Predecessor::Removed {
        match BlockingLocalSockets::unlink_unix(&host, path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    let listener = BlockingLocalSockets::listen_unix(&host, path, ListenOptions::new())?;
    Threads::spawn(&host, "agent", move || {
        loop {
            listener.accept()?.write_all(&SECRET.to_be_bytes())?;
        }
    })
}

/// Builds a server that asks its agent for each client, and a client that repeats its request until it gets an answer.
fn secrets(sim: &mut TurmoilSim, predecessor: Predecessor) {
    sim.faults(TurmoilFaults::none().crashes().begin_max(500 * MILLISECOND).last_max(500 * MILLISECOND));
    sim.host("server", async move |host: TurmoilHost| {
        let _agent = agent(host, predecessor)?;
        let listener = Runtime::listen(&host, WILDCARD, ListenOptions::new()).await?;
        loop {
            let (mut client, _) = listener.accept().await?;
            let mut agent = LocalSockets::connect_unix(&host, Path::new(AGENT), SocketOptions::new()).await?;
            // An error means that the client has closed.
            let _ = client.write_u32(agent.read_u32().await?).await;
        }
    });
    sim.client("client", async |host: TurmoilHost| {
        let server = Runtime::resolve(&host, "server", 80).await?[0];
        for _ in 0..10 {
            Runtime::sleep(&host, 200 * MILLISECOND).await;
            if let Ok(mut stream) = Runtime::connect(&host, server, SocketOptions::new()).await
                && let Ok(secret) = stream.read_u32().await
            {
                assert_eq!(secret, SECRET);
            }
        }
        Ok(())
    });
}

#[wavetank::test(
    seeds = 200,
    finds = "error in server: Address already in use",
    base_seed = 0x4d616a84b0dcadc4
)]
fn a_server_ignoring_an_old_socket_cannot_restart(sim: &mut TurmoilSim) {
    secrets(sim, Predecessor::Ignored);
}

#[wavetank::test(seeds = 200)]
fn a_server_that_removes_it_starts_again(sim: &mut TurmoilSim) {
    secrets(sim, Predecessor::Removed);
}

#[wavetank::test(seeds = 20, base_seed = 0x9e851004b624f269)]
fn tasks_and_threads_meet_at_a_path(sim: &mut TurmoilSim) {
    sim.perturb(false);
    idle_host(sim, "another");
    sim.client("client", async |host: TurmoilHost| {
        let path = Path::new("/run/echo.sock");
        let listener = LocalSockets::listen_unix(&host, path, ListenOptions::new()).await?;
        let thread = Threads::spawn(&host, "asker", move || {
            let mut stream = BlockingLocalSockets::connect_unix(&host, path, SocketOptions::new(), None)?;
            stream.write_all(b"ahoy")?;
            let mut answer = [0; 4];
            stream.read_exact(&mut answer)?;
            io::Result::Ok(answer)
        })?;
        let (mut reader, mut writer) = listener.accept().await?.into_split();
        let mut question = [0; 4];
        reader.read_exact(&mut question).await?;
        question.reverse();
        writer.write_all(&question).await?;
        Runtime::sleep(&host, MILLISECOND).await;
        assert_eq!(thread.join()??, *b"yoha");
        assert_eq!(Runtime::now(&host).as_nanos(), 1_000_000);
        Ok(())
    });
}

#[wavetank::test(seeds = 20)]
fn a_path_is_of_one_host_alone(sim: &mut TurmoilSim) {
    sim.host("other", async |host: TurmoilHost| {
        let _listener = LocalSockets::listen_unix(&host, Path::new(AGENT), ListenOptions::new()).await?;
        std::future::pending().await
    });
    sim.client("client", async |host: TurmoilHost| {
        Runtime::sleep(&host, 5 * MILLISECOND).await;
        let connected = LocalSockets::connect_unix(&host, Path::new(AGENT), SocketOptions::new()).await;
        assert_eq!(connected.err().map(|error| error.kind()), Some(io::ErrorKind::NotFound));
        Ok(())
    });
}

/// Also sockets that code outside the host still owns.
#[wavetank::test(seeds = 20, base_seed = 0x3f3681d28d2819c3)]
fn a_crash_closes_sockets_but_keeps_paths(sim: &mut TurmoilSim) {
    sim.perturb(false);
    let kept = Arc::new(StdMutex::new(None));
    let (starts, starts_seen) = (Arc::new(AtomicU32::new(0)), Arc::new(AtomicU32::new(0)));
    let seen = Arc::clone(&starts_seen);
    sim.before_each_step(|sim| {
        if sim.elapsed() == 100 * MILLISECOND {
            sim.bounce("server");
        }
    });
    sim.host("server", async move |host: TurmoilHost| {
        let path = Path::new(AGENT);
        if starts.fetch_add(1, Ordering::Relaxed) == 0 {
            let listener = LocalSockets::listen_unix(&host, path, ListenOptions::new()).await?;
            *kept.lock().expect("unharmed") = Some(listener);
        } else {
            let connected = LocalSockets::connect_unix(&host, path, SocketOptions::new()).await;
            assert_eq!(connected.err().map(|error| error.kind()), Some(io::ErrorKind::ConnectionRefused));
            seen.store(2, Ordering::Relaxed);
        }
        std::future::pending().await
    });
    sim.client("client", async move |host: TurmoilHost| {
        Runtime::sleep(&host, 200 * MILLISECOND).await;
        assert_eq!(starts_seen.load(Ordering::Relaxed), 2, "the server has started again, and looked");
        Ok(())
    });
}

#[test]
fn a_unix_socket_is_named_by_its_path() {
    let found = find("a-silent-agent", |sim| {
        sim.client("client", async |host: TurmoilHost| {
            let path = Path::new(AGENT);
            let listener = LocalSockets::listen_unix(&host, path, ListenOptions::new()).await?;
            let mut stream = LocalSockets::connect_unix(&host, path, SocketOptions::new()).await?;
            let _accepted = listener.accept().await?;
            stream.read_u8().await?;
            Ok(())
        });
    });
    let report = found.symptom().to_string();
    assert!(report.contains("client/main waits to read client#1 -> client:/run/agent.sock"), "{report}");
}

#[test]
fn a_unix_socket_without_client_is_a_leak() {
    let found = find("a-kept-listener", |sim| {
        sim.leak_grace(100 * MILLISECOND);
        let kept = Arc::new(StdMutex::new(None));
        let keep = Arc::clone(&kept);
        sim.before_each_step(move |_| drop(kept.lock().expect("unharmed")));
        sim.client("client", async move |host: TurmoilHost| {
            let path = Path::new(AGENT);
            let listener = LocalSockets::listen_unix(&host, path, ListenOptions::new()).await?;
            *keep.lock().expect("unharmed") = Some(listener);
            Ok(())
        });
    });
    assert_eq!(found.symptom().kind(), SymptomKind::Leak);
    let expected = "the Unix socket client:/run/agent.sock, made by client/main";
    assert!(found.symptom().matches(expected), "{}", found.symptom());
}
