//! Runs 100 round trips between two hosts, as tasks or with the word `threads` as threads, in 2,000 seeds on one OS
//! thread. The time that the process takes, in builds with and without instrumentation, is what preemption at basic
//! blocks costs.

use std::io::{Read, Write};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wavetank::runtime::{BlockingListener, ListenOptions, Listener, Runtime, SocketOptions, Threads};
use wavetank::{Sim, Sweep};

fn tasks(sim: &mut Sim) {
    sim.server("server", async |host| {
        let listener = Runtime::listen(&host, ([0, 0, 0, 0], 80).into(), ListenOptions::new()).await?;
        let mut stream = listener.accept().await?.0;
        while let Ok(question) = stream.read_u8().await {
            stream.write_u8(question).await?;
        }
        wavetank::Ok(())
    });
    sim.client("client", async |host| {
        let server = Runtime::resolve(&host, "server", 80).await?[0];
        let mut stream = Runtime::connect(&host, server, SocketOptions::new()).await?;
        for question in 0..100 {
            stream.write_u8(question).await?;
            assert_eq!(stream.read_u8().await?, question);
        }
        wavetank::Ok(())
    });
}

fn threads(sim: &mut Sim) {
    sim.server_thread("server", |host| {
        let listener = Threads::listen(&host, ([0, 0, 0, 0], 80).into(), ListenOptions::new())?;
        let mut stream = listener.accept()?.0;
        let mut question = [0];
        while stream.read_exact(&mut question).is_ok() {
            stream.write_all(&question)?;
        }
        wavetank::Ok(())
    });
    sim.client_thread("client", |host| {
        let server = Threads::resolve(&host, "server", 80)?[0];
        let mut stream = Threads::connect(&host, server, SocketOptions::new(), None)?;
        for question in 0..100 {
            stream.write_all(&[question])?;
            let mut answer = [0];
            stream.read_exact(&mut answer)?;
            assert_eq!(answer, [question]);
        }
        wavetank::Ok(())
    });
}

fn main() {
    let is_threads = std::env::args().nth(1).is_some_and(|word| word == "threads");
    let sweep = Sweep::new("cost", env!("CARGO_MANIFEST_DIR")).without_recordings().workers(1);
    sweep.seeds(2_000).check_every(0).run(if is_threads { threads } else { tasks });
}
