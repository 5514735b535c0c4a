//! tokio-util: a queue of delays, cancellation, framed streams, senders that are polled, pipes in memory.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_util::{SinkExt, StreamExt};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::codec::{Framed, LengthDelimitedCodec};
use tokio_util::sync::{CancellationToken, PollSender};
use tokio_util::task::TaskTracker;
use tokio_util::time::{DelayQueue, delay_queue};
use wavetank::runtime::{ListenOptions, Listener, Runtime, SocketOptions};
use wavetank::{Adversary, Host, Sim, cancellable};

use crate::ledger::Item;
use crate::subject::Subject;
use crate::workloads::channel::{self, Channel};
use crate::workloads::{Patience, work};

const PACKAGE: &str = "tokio-util";

pub(crate) const SUBJECTS: &[Subject] = &[
    Subject {
        package: PACKAGE,
        name: "delay_queue",
        workload: "`DelayQueue`: one task inserts, resets and removes, another waits: each expires once, in time",
        known: &[],
        body: delays,
    },
    Subject {
        package: PACKAGE,
        name: "cancellation",
        workload: "a tree of `CancellationToken`s, its tasks in a `TaskTracker`: what is cancelled ends, and nothing \
                   else",
        known: &[],
        body: cancellation,
    },
    Subject {
        package: PACKAGE,
        name: "framed",
        workload: "`Framed` with lengths over an awkward stream, reads are cancelled: every frame once, in order",
        known: &[],
        body: framed,
    },
    Subject {
        package: PACKAGE,
        name: "poll_sender",
        workload: "`PollSender` over tokio's channel, under the load of the channels",
        known: &[],
        body: channel::producers_and_consumers::<Polled>,
    },
    Subject {
        package: PACKAGE,
        name: "simplex",
        workload: "`tokio::io::simplex` of 1 to 8 bytes, both ends are cancelled: every byte once, in order",
        known: &[],
        body: simplex,
    },
];

/// What the two tasks of [`delays`] share. Polling takes the lock for the time of the poll.
#[derive(Debug, Default)]
struct Delays {
    queue: DelayQueue<u32>,
    keys: BTreeMap<u32, (delay_queue::Key, Instant)>,
    is_complete: bool,
}

fn delays(sim: &mut Sim) {
    let count = 1 + sim.choose("actions", 20);
    let actions: Vec<(u32, u64, u32)> = (0..count)
        .map(|_| (sim.choose("action", 4), u64::from(sim.choose("delay", 200)), sim.choose("pause", 3)))
        .collect();
    let waits = Patience::drawn(sim.choose("patience", Patience::KINDS));
    sim.client("client", async move |host| {
        let shared = Arc::new(Mutex::new(Delays::default()));
        let acting = host.spawn("actions", act(host, Arc::clone(&shared), actions));
        loop {
            let expired = waits.wait(
                host,
                poll_fn(|context| {
                    let mut delays = shared.lock().expect("no task panics");
                    delays.queue.poll_expired(context)
                }),
            );
            match expired.await {
                Some(Some(expired)) => {
                    let id = expired.into_inner();
                    let mut delays = shared.lock().expect("no task panics");
                    let (_, deadline) =
                        delays.keys.remove(&id).expect("what expires was inserted, and not removed");
                    let now = Instant::now();
                    assert!(now >= deadline, "{id} expires {:?} early", deadline - now);
                    // The adversary may keep the task from polling for a second, a few times in a row.
                    let late = now - deadline;
                    assert!(late < Duration::from_secs(20), "{id} expires {late:?} late");
                }
                // The queue is empty: look again, because an empty queue wakes no task.
                Some(None) => {
                    let is_complete = {
                        let delays = shared.lock().expect("no task panics");
                        let left = delays.keys.len();
                        assert_eq!(left, 0, "the queue ends with delays in it");
                        delays.is_complete
                    };
                    if is_complete {
                        break;
                    }
                    work(host, 10).await;
                }
                None => work(host, 50).await,
            }
        }
        acting.await.expect("a task neither panics nor is aborted");
    });
}

async fn act(host: Host, shared: Arc<Mutex<Delays>>, actions: Vec<(u32, u64, u32)>) {
    for ((action, millis, pause), id) in actions.into_iter().zip(0..) {
        {
            let mut delays = shared.lock().expect("no task panics");
            let Delays { queue, keys, .. } = &mut *delays;
            // Long delays reach the higher levels of the wheel.
            let delay = Duration::from_millis(if action == 0 { millis * 30 } else { millis });
            let deadline = Instant::now() + delay;
            let first = keys.keys().next().copied();
            match (action, first) {
                (2, Some(first)) => {
                    let (key, _) = keys.remove(&first).expect("it was found");
                    assert_eq!(queue.remove(&key).into_inner(), first);
                }
                (3, Some(first)) => {
                    let (key, at) = keys.get_mut(&first).expect("it was found");
                    queue.reset_at(key, deadline);
                    *at = deadline;
                }
                _ => {
                    keys.insert(id, (queue.insert_at(id, deadline), deadline));
                }
            }
            assert_eq!(queue.len(), keys.len());
        }
        work(host, pause * 5).await;
    }
    shared.lock().expect("no task panics").is_complete = true;
}

fn cancellation(sim: &mut Sim) {
    let nodes = 1 + sim.choose("nodes", 7) as usize;
    let parents: Vec<usize> =
        (0..nodes).map(|node| sim.choose("parent", node.max(1) as u32) as usize).collect();
    let cancels: Vec<(usize, u32)> =
        (0..2).map(|_| (sim.choose("cancelled", nodes as u32) as usize, sim.choose("pause", 4))).collect();
    let kinds: Vec<u32> = (0..nodes).map(|_| sim.choose("kind", 4)).collect();
    sim.client("client", async move |host| {
        let mut tokens = vec![CancellationToken::new()];
        for parent in &parents[1..] {
            let child = tokens[*parent].child_token();
            tokens.push(child);
        }
        let tracker = TaskTracker::new();
        let running = Arc::new(AtomicU32::new(0));
        for (token, kind) in tokens.iter().zip(kinds) {
            running.fetch_add(1, Ordering::SeqCst);
            let (token, running) = (token.clone(), Arc::clone(&running));
            drop(host.spawn(
                "task",
                tracker.track_future(async move {
                    match kind {
                        0 => token.cancelled().await,
                        1 => while cancellable("cancelled", token.cancelled()).await.is_none() {},
                        2 => assert!(token.run_until_cancelled(std::future::pending::<()>()).await.is_none()),
                        _ => token.clone().cancelled_owned().await,
                    }
                    assert!(token.is_cancelled(), "a task ends, and its token is not cancelled");
                    running.fetch_sub(1, Ordering::SeqCst);
                }),
            ));
        }
        tracker.close();
        let mut cancelled = vec![false; nodes];
        for (node, pause) in cancels {
            work(host, pause).await;
            tokens[node].cancel();
            cancelled[node] = true;
        }
        for node in 1..nodes {
            cancelled[node] |= cancelled[parents[node]];
        }
        host.sleep(Duration::from_secs(2)).await;
        for (token, cancelled) in tokens.iter().zip(&cancelled) {
            assert_eq!(
                token.is_cancelled(),
                *cancelled,
                "a token is cancelled with its parent, and only then"
            );
        }
        let left = cancelled.iter().filter(|cancelled| !**cancelled).count() as u32;
        assert_eq!(running.load(Ordering::SeqCst), left, "the tasks of cancelled tokens end");
        assert_eq!(tracker.len(), left as usize, "the tracker counts the tasks that are left");
        tokens[0].cancel();
        tracker.wait().await;
        assert_eq!(running.load(Ordering::SeqCst), 0, "the tracker waits for all");
    });
}

fn framed(sim: &mut Sim) {
    let lengths: Vec<usize> =
        (0..1 + sim.choose("frames", 12)).map(|_| sim.choose("length", 3_000) as usize).collect();
    let sent = lengths.clone();
    sim.latency(Duration::from_millis(1)..=Duration::from_millis(5));
    sim.server("server", async move |host| {
        let listener = host.listen(([0, 0, 0, 0], 80).into(), ListenOptions::new()).await?;
        let (stream, _) = listener.accept().await?;
        let mut framed = Framed::new(Adversary::new("server's socket", stream), LengthDelimitedCodec::new());
        // Answers with the same frames.
        loop {
            match cancellable("next", framed.next()).await {
                Some(Some(frame)) => framed.send(frame?.freeze()).await?,
                Some(None) => return wavetank::Ok(()),
                None => {}
            }
        }
    });
    sim.client("client", async move |host| {
        let server = host.resolve("server", 80).await?[0];
        let stream = Adversary::new("client's socket", host.connect(server, SocketOptions::new()).await?);
        let (mut sink, mut frames) = Framed::new(stream, LengthDelimitedCodec::new()).split();
        let sending = host.spawn("send", async move {
            for (length, number) in sent.into_iter().zip(0_u8..) {
                sink.feed(Bytes::from(vec![number; length])).await?;
                if number % 3 == 0 {
                    sink.flush().await?;
                }
            }
            sink.flush().await.map(|()| sink)
        });
        for (length, number) in lengths.into_iter().zip(0_u8..) {
            let frame: BytesMut = loop {
                if let Some(frame) = cancellable("next", frames.next()).await {
                    break frame.expect("the server answers each frame")?;
                }
            };
            assert!(
                frame.len() == length && frame.iter().all(|byte| *byte == number),
                "frame {number} is another"
            );
        }
        let mut sink = sending.await??;
        sink.close().await?;
        assert!(frames.next().await.is_none(), "the server ends after the client");
        wavetank::Ok(())
    });
}

struct Polled;

impl Channel for Polled {
    type Sender = PollSender<Item>;
    type Receiver = mpsc::Receiver<Item>;

    fn open(capacity: usize) -> (Self::Sender, Self::Receiver) {
        let (sender, receiver) = mpsc::channel(capacity);
        (PollSender::new(sender), receiver)
    }

    async fn send(sender: &mut Self::Sender, item: Item) -> bool {
        poll_fn(|context| sender.poll_reserve(context)).await.is_ok() && sender.send_item(item).is_ok()
    }

    fn try_send(sender: &mut Self::Sender, item: Item) -> bool {
        sender.abort_send();
        sender.get_ref().is_some_and(|sender| sender.try_send(item).is_ok())
    }

    async fn recv(receiver: &mut Self::Receiver) -> Option<Item> {
        receiver.recv().await
    }

    fn another(_: &Self::Receiver) -> Option<Self::Receiver> {
        None
    }
}

fn simplex(sim: &mut Sim) {
    let size = 1 + sim.choose("size", 8) as usize;
    let total = sim.choose("bytes", 60) as u8;
    let chunk = 1 + sim.choose("chunk", 5) as usize;
    let patience = [
        Patience::drawn(sim.choose("writes", Patience::KINDS)),
        Patience::drawn(sim.choose("reads", Patience::KINDS)),
    ];
    sim.client("client", async move |host| {
        let (mut reader, mut writer) = tokio::io::simplex(size);
        let writing = host.spawn("write", async move {
            let all: Vec<u8> = (0..total).collect();
            let mut rest = all.as_slice();
            while !rest.is_empty() {
                let next = &rest[..chunk.min(rest.len())];
                if let Some(written) = patience[0].wait(host, writer.write(next)).await {
                    rest = &rest[written.expect("the reader is there")..];
                }
            }
            writer.shutdown().await.expect("the reader is there");
        });
        let mut read = Vec::new();
        loop {
            let mut bytes = [0; 4];
            if let Some(count) = patience[1].wait(host, reader.read(&mut bytes)).await {
                match count.expect("the writer ends cleanly") {
                    0 => break,
                    count => read.extend_from_slice(&bytes[..count]),
                }
            }
        }
        assert_eq!(read, (0..total).collect::<Vec<u8>>());
        writing.await.expect("a task neither panics nor is aborted");
    });
}
