//! Simulations that `cargo wavetank` is tried on: one passes, one finds an answer to another question, and threads lock
//! in two orders.

use std::io;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;
use wavetank::runtime::{ListenOptions, Listener, Mutex, Runtime, SocketOptions};
use wavetank::{Faults, Sim};

/// A server that answers each question with itself, and a client that gives up an answer after 30 ms.
fn questions(sim: &mut Sim, count: u8) {
    sim.latency(Duration::from_millis(1)..=Duration::from_millis(20));
    sim.server("server", async |host| {
        let listener = host.listen(([0, 0, 0, 0], 80).into(), ListenOptions::new()).await?;
        while let Ok((mut stream, _)) = listener.accept().await {
            while let Ok(question) = stream.read_u8().await {
                if stream.write_u8(question).await.is_err() {
                    break;
                }
            }
        }
        wavetank::Ok(())
    });
    sim.client("client", async move |host| {
        let server = host.resolve("server", 80).await?[0];
        let Ok(mut stream) = host.connect(server, SocketOptions::new()).await else { return wavetank::Ok(()) };
        for question in 0..count {
            if stream.write_u8(question).await.is_err() {
                break;
            }
            match timeout(Duration::from_millis(30), stream.read_u8()).await {
                Ok(Ok(answer)) => assert_eq!(answer, question, "the answer to another question"),
                Ok(Err(_)) => break,
                Err(_) => wavetank::sometimes!(true, "an answer is late"),
            }
        }
        wavetank::Ok(())
    });
}

#[wavetank::test]
fn answers_match_questions(sim: &mut Sim) {
    questions(sim, 10);
}

#[wavetank::test(seeds = 50)]
fn one_question_is_answered_under_faults(sim: &mut Sim) {
    sim.faults(Faults::all());
    questions(sim, 1);
}

#[wavetank::test(seeds = 200)]
fn transfers_in_both_directions_end(sim: &mut Sim) {
    use wavetank::runtime::{ThreadHandle, Threads};

    sim.client_thread("bank", |host| -> io::Result<()> {
        let one = std::sync::Arc::new(Mutex::new(&host, "one", 0));
        let other = std::sync::Arc::new(Mutex::new(&host, "other", 0));
        let (from, to) = (one.clone(), other.clone());
        let forth = Threads::spawn(&host, "forth", move || {
            let mut from = from.lock();
            *to.lock() += 1;
            *from -= 1;
        })?;
        let mut from = other.lock();
        *one.lock() += 1;
        *from -= 1;
        drop(from);
        forth.join().expect("no panic");
        Ok(())
    });
}
