//! A race without an await: a client sends a request and only afterwards registers for the answer.
//!
//! Between `write_all(..).await` and the next statement there is no new poll, so another task runs there only if the
//! poll can be interrupted. On a runtime with several threads the reader may get the answer in between. A thread that
//! registers under a lock of std calls nothing of the simulator between the two, so it must be delayed after the write.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::Shutdown;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::sync::oneshot;
use wavetank::runtime::{
    BlockingStream, ListenOptions, Listener, Runtime, SocketOptions, Stream, ThreadHandle, Threads,
};
use wavetank::{Crash, Host, Sim};

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

/// The same with threads and a lock of std.
fn client_and_server_threads(sim: &mut Sim, notes: Notes) {
    sim.server("server", echoes);
    sim.client_thread("client", move |host| asks_in_threads(host, notes));
}

fn asks_in_threads(host: Host, notes: Notes) -> std::io::Result<()> {
    let server = Threads::resolve(&host, "server", 80)?[0];
    let mut writer = Threads::connect(&host, server, SocketOptions::new(), None)?;
    let mut reader = writer.try_clone()?;
    let pending = Arc::new(Mutex::new(BTreeSet::new()));
    let answers = pending.clone();
    let reads = Threads::spawn(&host, "reader", move || {
        let mut id = [0];
        while reader.read(&mut id).expect("a whole stream") > 0 {
            assert!(answers.lock().expect("no panic").remove(&id[0]), "an answer to no request");
        }
    })?;
    for id in 0..5 {
        let note = || pending.lock().expect("no panic").insert(id);
        if notes == Notes::BeforeItSends {
            note();
            writer.write_all(&[id])?;
        } else {
            writer.write_all(&[id])?;
            note();
        }
        Threads::sleep(&host, Duration::from_millis(2));
    }
    writer.shutdown(Shutdown::Write)?;
    reads.join().expect("no panic");
    Ok(())
}

#[wavetank::test(seeds = 100, finds = "an answer to no request")]
fn an_answer_comes_before_its_thread_notes_it(sim: &mut Sim) {
    client_and_server_threads(sim, Notes::AfterItSent);
}

#[wavetank::test(seeds = 1000)]
fn threads_find_every_request_noted_before(sim: &mut Sim) {
    client_and_server_threads(sim, Notes::BeforeItSends);
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

/// Locks a real lock when it is dropped, as a guard of a registry does.
struct Locks<T>(Arc<Mutex<T>>);

impl<T> Drop for Locks<T> {
    fn drop(&mut self) {
        let _unused = self.0.lock();
    }
}

/// A server that is killed or torn down while a task of it is interrupted and holds a real lock.
fn server_with_a_locking_destructor(sim: &mut Sim) {
    sim.server("server", async |host| {
        let listener = Runtime::listen(&host, ([0, 0, 0, 0], 80).into(), ListenOptions::new()).await?;
        let (_reader, writer) = listener.accept().await?.0.into_split();
        let writer = Arc::new(Mutex::new(writer));
        let _entry = Locks(writer.clone());
        drop(Runtime::spawn(&host, "writer", async move {
            loop {
                let write = |context: &mut std::task::Context<'_>| {
                    std::pin::Pin::new(&mut *writer.lock().expect("no panic")).poll_write(context, b"x")
                };
                let _ = std::future::poll_fn(write).await;
                Runtime::sleep(&host, Duration::from_micros(300)).await;
            }
        }));
        std::future::pending::<std::io::Result<()>>().await
    });
}

#[wavetank::test(seeds = 300)]
fn destructors_find_locks_of_interrupted_tasks_free(sim: &mut Sim) {
    server_with_a_locking_destructor(sim);
    let crashes = sim.choose("crashes", 2) == 1;
    sim.client("client", async move |host| {
        let server = Runtime::resolve(&host, "server", 80).await?[0];
        let mut stream = Runtime::connect(&host, server, SocketOptions::new()).await?;
        for _ in 0..40 {
            stream.read_u8().await?;
        }
        if crashes {
            host.inject().crash("server", Crash::Process);
            Runtime::sleep(&host, Duration::from_millis(1)).await;
        }
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
