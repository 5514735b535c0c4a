//! A race without an await: a client sends a request and only afterwards registers for the answer.
//!
//! Between `write_all(..).await` and the next statement there is no new poll, so another task runs there only if the
//! poll can be interrupted. On a runtime with several threads the reader may get the answer in between.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::oneshot;
use wavetank::runtime::{ListenOptions, Listener, Runtime, SocketOptions, Stream};
use wavetank::{Host, Sim};

/// When a client registers for an answer.
#[derive(Clone, Copy, PartialEq)]
enum Notes {
    BeforeItSends,
    AfterItSent,
}

/// The requests without an answer.
type Pending = Arc<Mutex<BTreeMap<u8, oneshot::Sender<u8>>>>;

async fn echoes(host: Host) -> std::io::Result<()> {
    let listener = Runtime::listen(&host, ([0, 0, 0, 0], 80).into(), ListenOptions::new()).await?;
    let (mut stream, _) = listener.accept().await?;
    while let Ok(id) = stream.read_u8().await {
        stream.write_u8(id).await?;
    }
    Ok(())
}

async fn asks(host: Host, notes: Notes) -> std::io::Result<()> {
    let server = Runtime::resolve(&host, "server", 80).await?[0];
    let (mut reader, mut writer) = Runtime::connect(&host, server, SocketOptions::new()).await?.into_split();
    let pending = Pending::default();
    let answers = pending.clone();
    let reads = Runtime::spawn(&host, "reader", async move {
        while let Ok(id) = reader.read_u8().await {
            let waiting = answers.lock().expect("no panic").remove(&id);
            waiting.expect("an answer to no request").send(id).expect("it is awaited");
        }
    });
    for id in 0..5 {
        let (sender, answer) = oneshot::channel();
        if notes == Notes::BeforeItSends {
            pending.lock().expect("no panic").insert(id, sender);
            writer.write_all(&[id]).await?;
        } else {
            writer.write_all(&[id]).await?;
            pending.lock().expect("no panic").insert(id, sender);
        }
        assert_eq!(answer.await.expect("it is answered"), id);
    }
    drop(writer);
    reads.await.expect("no panic");
    Ok(())
}

fn client_and_server(sim: &mut Sim, notes: Notes) {
    sim.server("server", echoes);
    sim.client("client", async move |host| asks(host, notes).await);
}

#[wavetank::test(seeds = 100, finds = "an answer to no request")]
fn an_answer_comes_before_its_request_is_noted(sim: &mut Sim) {
    client_and_server(sim, Notes::AfterItSent);
}

#[wavetank::test(seeds = 1000)]
fn every_answer_finds_a_request_noted_before(sim: &mut Sim) {
    client_and_server(sim, Notes::BeforeItSends);
}

/// Uses both directions of a stream that tokio splits with a real lock, held while it polls the stream.
#[wavetank::test(seeds = 500, base_seed = 0xcff964a371c92abe)]
fn holding_a_real_lock_hangs_nothing(sim: &mut Sim) {
    const BYTES: usize = 20_000;
    sim.server("server", async |host| {
        let listener = Runtime::listen(&host, ([0, 0, 0, 0], 80).into(), ListenOptions::new()).await?;
        let (stream, _) = listener.accept().await?;
        let (mut reader, mut writer) = tokio::io::split(stream);
        tokio::io::copy(&mut reader, &mut writer).await?;
        writer.shutdown().await
    });
    sim.client("client", async |host| {
        let server = Runtime::resolve(&host, "server", 80).await?[0];
        let stream = Runtime::connect(&host, server, SocketOptions::new()).await?;
        let (mut reader, mut writer) = tokio::io::split(stream);
        let writes = Runtime::spawn(&host, "writes", async move {
            for byte in 0..100 {
                writer.write_all(&[byte; BYTES / 100]).await.expect("a whole stream");
            }
            writer.shutdown().await.expect("a whole stream");
        });
        let mut read = Vec::new();
        reader.read_to_end(&mut read).await?;
        assert_eq!(read.len(), BYTES);
        writes.await.expect("no panic");
        std::io::Result::Ok(())
    });
}

/// Tasks change a number under a real lock and hold the lock during a write.
#[wavetank::test(seeds = 200, base_seed = 0x733df41b798b0fb9)]
fn tasks_take_turns_under_a_real_lock(sim: &mut Sim) {
    sim.server("server", async |host| {
        let listener = Runtime::listen(&host, ([0, 0, 0, 0], 80).into(), ListenOptions::new()).await?;
        let (mut stream, _) = listener.accept().await?;
        tokio::io::copy(&mut stream, &mut tokio::io::sink()).await?;
        std::io::Result::Ok(())
    });
    sim.client("client", async |host| {
        let server = Runtime::resolve(&host, "server", 80).await?[0];
        let (_reader, writer) = Runtime::connect(&host, server, SocketOptions::new()).await?.into_split();
        let writer = Arc::new(Mutex::new((writer, 0)));
        let tasks = [(); 4].map(|()| {
            let writer = writer.clone();
            Runtime::spawn(&host, "writes", async move {
                for _ in 0..5 {
                    std::future::poll_fn(|context| {
                        let (writer, count) = &mut *writer.lock().expect("no panic");
                        let before = *count;
                        let polled = std::pin::Pin::new(writer).poll_write(context, b"x");
                        assert_eq!(*count, before, "the lock is held");
                        *count += usize::from(polled.is_ready());
                        polled
                    })
                    .await
                    .expect("a whole stream");
                    Runtime::sleep(&host, Duration::from_micros(300)).await;
                }
            })
        });
        for task in tasks {
            task.await.expect("no panic");
        }
        assert_eq!(writer.lock().expect("no panic").1, 20);
        std::io::Result::Ok(())
    });
}
