//! Runs whose hosts talk.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wavetank_runtime::{BlockingListener, ListenOptions, Listener, SocketOptions};

use super::*;
use crate::fault::Faults;

fn echo(sim: &mut Sim) {
    sim.server("server", async |host: Host| -> std::io::Result<()> {
        let listener = Runtime::listen(&host, "0.0.0.0:80".parse().unwrap(), ListenOptions::new()).await?;
        loop {
            let (mut stream, _) = listener.accept().await?;
            Runtime::spawn(&host, "connection", async move {
                let mut buffer = [0; 64];
                while let Ok(read @ 1..) = stream.read(&mut buffer).await {
                    if stream.write_all(&buffer[..read]).await.is_err() {
                        return;
                    }
                }
            });
        }
    });
    sim.client("client", async |host: Host| {
        let server = Runtime::resolve(&host, "server", 80).await?[0];
        let mut stream = Runtime::connect(&host, server, SocketOptions::new()).await?;
        for number in 0..10_u8 {
            stream.write_all(&[number; 64]).await?;
            let mut answer = [0; 64];
            stream.read_exact(&mut answer).await?;
            assert_eq!(answer, [number; 64]);
        }
        std::io::Result::Ok(())
    });
}

#[test]
fn tasks_echo_over_the_simulated_network() {
    for seed in 0..50 {
        let outcome = seeded(seed, echo);
        assert_eq!(symptom(&outcome), "");
        assert!(
            outcome.virtual_time >= Duration::from_millis(10),
            "22 segments of at least half a millisecond"
        );
    }
}

#[test]
fn an_injected_reset_reaches_the_client() {
    let failure = first_failure(|sim| {
        sim.faults(Faults::none().resets().begin_max(Duration::from_millis(20)));
        echo(sim);
    });
    // A reset during the handshake reads as a refusal, on Linux too.
    let known = ["Connection reset by peer (os error 104)", "Connection refused (os error 111)"];
    assert!(known.iter().any(|known| symptom(&failure).ends_with(known)), "{}", symptom(&failure));
    assert!(failure.faults > 0);
}

#[test]
fn a_thread_talks_to_a_task() {
    use std::io::{Read, Write};
    let outcome = seeded(5, |sim| {
        sim.server_thread("server", |host: Host| {
            let listener =
                Threads::listen(&host, "0.0.0.0:80".parse().unwrap(), ListenOptions::new()).unwrap();
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = Vec::new();
            stream.read_to_end(&mut request).unwrap();
            stream.write_all(&request).unwrap();
        });
        sim.client("client", async |host: Host| {
            let server = Runtime::resolve(&host, "server", 80).await?[0];
            let mut stream = Runtime::connect(&host, server, SocketOptions::new()).await?;
            stream.write_all(b"question").await?;
            stream.shutdown().await?;
            let mut answer = String::new();
            stream.read_to_string(&mut answer).await?;
            assert_eq!(answer, "question");
            std::io::Result::Ok(())
        });
    });
    assert_eq!(symptom(&outcome), "", "{}", outcome.trace.render());
}

#[test]
fn reading_from_a_silent_server_is_a_deadlock() {
    let outcome = seeded(5, |sim| {
        sim.server("server", async |host: Host| {
            let listener =
                Runtime::listen(&host, "0.0.0.0:80".parse().unwrap(), ListenOptions::new()).await.unwrap();
            let _stream = listener.accept().await.unwrap();
            std::future::pending::<()>().await;
        });
        sim.client("client", async |host: Host| {
            let server = Runtime::resolve(&host, "server", 80).await?[0];
            let mut stream = Runtime::connect(&host, server, SocketOptions::new()).await?;
            stream.read_u8().await.map(drop)
        });
    });
    let text = symptom(&outcome);
    assert!(text.contains("client/main waits to read client:49152 -> server:80"), "{text}");
}

/// A server that goes on after failed accepts, and a client that connects until it gets an answer.
fn goes_on_after_failed_accepts(sim: &mut Sim) {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    sim.faults(Faults::none().failing_accepts());
    sim.server("server", async |host: Host| -> std::io::Result<()> {
        let address = "0.0.0.0:80".parse().expect("an address");
        let listener = Runtime::listen(&host, address, ListenOptions::new()).await?;
        loop {
            match listener.accept().await {
                Ok((mut stream, _)) => stream.write_all(b"!").await?,
                Err(error) => {
                    let is_full = error.raw_os_error() == Some(24);
                    wavetank_runtime::sometimes!(is_full, "there is no descriptor");
                    assert!(is_full || error.kind() == std::io::ErrorKind::ConnectionAborted, "{error}");
                    Runtime::sleep(&host, Duration::from_millis(10)).await;
                }
            }
        }
    });
    sim.client("client", async |host: Host| {
        let server = Runtime::resolve(&host, "server", 80).await?[0];
        loop {
            let mut stream = Runtime::connect(&host, server, SocketOptions::new()).await?;
            match stream.read_u8().await {
                Ok(answer) => {
                    assert_eq!(answer, b'!');
                    return std::io::Result::Ok(());
                }
                Err(error) => {
                    assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset);
                    wavetank_runtime::sometimes!(true, "a connection was aborted");
                }
            }
        }
    });
}

#[test]
fn accepts_fail_without_a_descriptor_and_after_aborts() {
    let mut reached = std::collections::BTreeSet::new();
    for seed in 0..200 {
        let outcome = seeded(seed, goes_on_after_failed_accepts);
        let trace = outcome.trace.render();
        assert_eq!(symptom(&outcome), "", "seed {seed}\n{trace}");
        let points = outcome.points.iter().filter(|&(_, &is_reached)| is_reached);
        reached.extend(points.map(|(&what, _)| what));
        let again = strictly_again(seed, &outcome, goes_on_after_failed_accepts);
        assert_eq!(again.trace.first_difference(&outcome.trace), None);
    }
    assert_eq!(reached.len(), 2, "{reached:?}");
}
