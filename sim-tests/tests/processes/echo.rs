//! Echo servers on std and on tokio, with clients on the runtime traits and on std, under partitions.

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wavetank::runtime::{Runtime, SocketOptions};
use wavetank::{Sim, Sweep};

/// Nothing here knows of the simulation.
pub(crate) fn std_echo() -> io::Result<()> {
    let listener = TcpListener::bind("0.0.0.0:80")?;
    for stream in listener.incoming() {
        let mut stream = stream?;
        std::thread::spawn(move || {
            let mut buffer = [0; 64];
            while let Ok(count @ 1..) = stream.read(&mut buffer) {
                std::thread::sleep(Duration::from_millis(3));
                if stream.write_all(&buffer[..count]).is_err() {
                    break;
                }
            }
        });
    }
    Ok(())
}

pub(crate) fn client(sim: &mut Sim) {
    sim.client("client", async |host| {
        let server = host.resolve("server", 80).await?[0];
        let mut stream = host.connect(server, SocketOptions::new()).await?;
        for round in 0..4 {
            stream.write_all(b"hello").await?;
            if round == 1 {
                host.inject().partition("client", "server");
                host.sleep(Duration::from_millis(700)).await;
                host.inject().heal("client", "server");
            }
            let mut answer = [0; 5];
            stream.read_exact(&mut answer).await?;
            assert_eq!(&answer, b"hello");
        }
        io::Result::Ok(())
    });
}

/// Each seed runs twice.
fn sweep(name: &str) -> Sweep {
    Sweep::new(format!("processes::{name}"), env!("CARGO_MANIFEST_DIR")).seeds(100).check_every(1)
}

#[test]
fn a_std_server_survives_partitions() {
    sweep("std_echo").run(|sim| {
        sim.process("server", std_echo);
        client(sim);
    });
}

#[test]
fn two_std_programs_talk() {
    sweep("two").run(|sim| {
        sim.process("server", std_echo);
        sim.process_client("client", || {
            let mut stream = TcpStream::connect("server:80")?;
            stream.write_all(b"hello")?;
            let mut answer = [0; 5];
            stream.read_exact(&mut answer)?;
            assert_eq!(&answer, b"hello");
            io::Result::Ok(())
        });
    });
}

pub(crate) async fn tokio_echo() -> io::Result<()> {
    let listener = tokio::net::TcpListener::bind("0.0.0.0:80").await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            let mut buffer = [0; 16 << 10];
            while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                tokio::time::sleep(Duration::from_millis(3)).await;
                if stream.write_all(&buffer[..count]).await.is_err() {
                    break;
                }
            }
        });
    }
}

fn current_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

#[test]
fn a_tokio_server_survives_partitions() {
    sweep("tokio_current_thread").run(|sim| {
        sim.process("server", || current_thread().block_on(tokio_echo()));
        client(sim);
    });
}

#[test]
fn a_tokio_server_with_workers_survives_partitions() {
    sweep("tokio_multi_thread").run(|sim| {
        sim.process("server", || {
            let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
            runtime.block_on(tokio_echo())
        });
        client(sim);
    });
}

#[test]
fn two_tokio_programs_exchange_much() {
    sweep("tokio_much").run(|sim| {
        sim.process("server", || current_thread().block_on(tokio_echo()));
        sim.process_client("client", || {
            current_thread().block_on(async {
                let stream = tokio::net::TcpStream::connect("server:80").await?;
                let sent = vec![7; 200_000];
                let (mut reader, mut writer) = stream.into_split();
                let mut back = vec![0; sent.len()];
                let (wrote, read) = tokio::join!(writer.write_all(&sent), reader.read_exact(&mut back));
                wrote?;
                read?;
                assert!(sent == back);
                let answer = tokio::task::spawn_blocking(|| 42).await?;
                assert_eq!(answer, 42);
                io::Result::Ok(())
            })
        });
    });
}
