//! What is measured: one number a run, for one contender.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, split};
use tokio::sync::Barrier;
use tokio::task::JoinSet;

use crate::contenders::{Boxed, Contender, Session, Windows};
use crate::meter;
use crate::transport::Link;

/// A measurement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cell {
    /// So many streams at once carry `bytes` together, in writes of `write` bytes. MB/s, or thousands
    /// of messages a second.
    Throughput { link: Link, streams: u32, write: usize, bytes: usize, windows: Windows },
    /// 64 bytes there and back on one stream. Microseconds.
    PingPong { link: Link, rounds: u32 },
    /// Opening, 64 bytes there and back, and closing, one stream after another. Thousands a second.
    OpenRate { link: Link, streams: u32 },
    /// The 99th of a hundred round trips of 64 bytes beside 8 streams that write all the time. Microseconds.
    Beside { link: Link, rounds: u32 },
    /// Bytes of heap of an idle pair of streams.
    IdleHeap { streams: u32 },
    /// Allocations of a message of 128 bytes, written and read.
    Allocations { messages: usize },
}

impl Cell {
    pub fn name(self) -> String {
        match self {
            Self::Throughput { link, streams, write, windows, .. } => {
                let what = if write < 1024 { format!("{write} B") } else { format!("{} KiB", write / 1024) };
                let windows = if windows == Windows::Tuned { ", tuned" } else { "" };
                format!("{}, {streams} × {what}{windows}", link.name())
            }
            Self::PingPong { link, .. } => format!("{}, ping-pong of 64 B", link.name()),
            Self::OpenRate { link, .. } => format!("{}, open, echo, close", link.name()),
            Self::Beside { link, .. } => format!("{}, p99 beside 8 bulk streams", link.name()),
            Self::IdleHeap { streams } => format!("heap of an idle pair, of {streams}"),
            Self::Allocations { .. } => "allocations a message of 128 B".to_owned(),
        }
    }

    pub fn unit(self) -> &'static str {
        match self {
            Self::Throughput { write, .. } if write < 1024 => "k msg/s",
            Self::Throughput { .. } => "MB/s",
            Self::PingPong { .. } | Self::Beside { .. } => "µs",
            Self::OpenRate { .. } => "k/s",
            Self::IdleHeap { .. } => "B",
            Self::Allocations { .. } => "",
        }
    }

    /// Whether more is better.
    pub fn is_rate(self) -> bool {
        matches!(self, Self::Throughput { .. } | Self::OpenRate { .. })
    }

    /// Whether a contender can run it: `h2` ends a connection with many small frames, as a flood.
    pub fn suits(self, contender: Contender) -> bool {
        let small = matches!(self, Self::Throughput { write: ..1024, .. } | Self::Allocations { .. });
        contender != Contender::H2 || !small
    }

    /// Runs it once.
    pub async fn run(self, contender: Contender) -> f64 {
        match self {
            Self::Throughput { link, streams, write, bytes, windows } => {
                let session = start(contender, link, windows).await;
                let took = transfer(session, streams, write, bytes).await;
                let unit = if write < 1024 { 1000.0 * write as f64 } else { 1e6 };
                bytes as f64 / unit / took.as_secs_f64()
            }
            Self::PingPong { link, rounds } => {
                let (opener, acceptor) = start(contender, link, Windows::Fixed).await;
                let serving = serve_echo(acceptor);
                let mut stream = opener.open().await;
                round_trip(&mut stream).await;
                let start = Instant::now();
                for _ in 0..rounds {
                    round_trip(&mut stream).await;
                }
                let took = start.elapsed();
                serving.abort();
                took.as_secs_f64() * 1e6 / f64::from(rounds)
            }
            Self::OpenRate { link, streams } => {
                let (opener, acceptor) = start(contender, link, Windows::Fixed).await;
                let serving = serve_echo(acceptor);
                let start = Instant::now();
                for _ in 0..streams {
                    let mut stream = opener.open().await;
                    round_trip(&mut stream).await;
                    stream.shutdown().await.expect("finished");
                    let _end = stream.read(&mut [0]).await;
                }
                let took = start.elapsed();
                serving.abort();
                f64::from(streams) / 1000.0 / took.as_secs_f64()
            }
            Self::Beside { link, rounds } => beside(contender, link, rounds).await,
            Self::IdleHeap { streams } => idle_heap(contender, streams).await,
            Self::Allocations { messages } => {
                let session = start(contender, Link::Duplex, Windows::Fixed).await;
                let before = meter::allocations();
                transfer(session, 1, 128, 128 * messages).await;
                (meter::allocations() - before) as f64 / messages as f64
            }
        }
    }
}

/// Writes `bytes` over the link alone, and returns MB/s until all is read.
pub async fn bare(link: Link, bytes: usize) -> f64 {
    let (mut near, mut far) = link.connect().await;
    let start = Instant::now();
    let writing = tokio::spawn(async move {
        let block = vec![7; 64 * 1024];
        for _ in 0..bytes / block.len() {
            near.write_all(&block).await.expect("written");
        }
        near
    });
    let (mut buffer, mut read) = (vec![0; 64 * 1024], 0);
    while read < bytes {
        read += far.read(&mut buffer).await.expect("read");
    }
    let took = start.elapsed();
    drop(writing.await.expect("no panic"));
    bytes as f64 / 1e6 / took.as_secs_f64()
}

pub async fn start(contender: Contender, link: Link, windows: Windows) -> Session {
    let (client, server) = link.connect().await;
    contender.start(client, server, windows).await
}

/// Writes `bytes` on so many streams together, and returns how long it takes until all is read. A task
/// reads on every side of every stream all the time: `tokio-yamux` needs that.
pub async fn transfer((opener, mut acceptor): Session, streams: u32, write: usize, bytes: usize) -> Duration {
    let each = bytes / streams as usize / write * write;
    let accepting = tokio::spawn(async move {
        let mut readers = JoinSet::new();
        for _ in 0..streams {
            let mut stream = acceptor.accept().await.expect("a stream");
            readers.spawn(async move {
                let mut buffer = vec![0; 64 * 1024];
                let mut read = 0;
                while let count @ 1.. = stream.read(&mut buffer).await.expect("read") {
                    read += count;
                }
                assert_eq!(read, each, "everything arrives");
                stream.shutdown().await.expect("finished");
            });
        }
        readers.join_all().await;
        acceptor
    });
    let start = Instant::now();
    let mut writers = JoinSet::new();
    for _ in 0..streams {
        let mut stream = opener.open().await;
        let message = vec![7; write];
        // `yamux` says SYN with the first bytes, and opens no more beyond 256 without an answer.
        stream.write_all(&message).await.expect("written");
        writers.spawn(async move {
            let (mut reader, mut writer) = split(stream);
            let reading = tokio::spawn(async move { while let Ok(1..) = reader.read(&mut [0; 16]).await {} });
            for _ in 1..each / write {
                writer.write_all(&message).await.expect("written");
            }
            writer.shutdown().await.expect("finished");
            reading.await.expect("no panic");
        });
    }
    writers.join_all().await;
    let acceptor = accepting.await.expect("no panic");
    let took = start.elapsed();
    drop((opener, acceptor));
    took
}

fn serve_echo(mut acceptor: Box<dyn crate::contenders::Acceptor>) -> tokio::task::JoinHandle<()> {
    tokio::spawn(async move {
        while let Some(mut stream) = acceptor.accept().await {
            tokio::spawn(async move {
                let mut buffer = vec![0; 1024];
                while let Ok(count @ 1..) = stream.read(&mut buffer).await {
                    if stream.write_all(&buffer[..count]).await.is_err() {
                        return;
                    }
                }
                let _gone = stream.shutdown().await;
            });
        }
    })
}

async fn round_trip(stream: &mut Boxed) {
    let mut buffer = [7; 64];
    stream.write_all(&buffer).await.expect("written");
    stream.flush().await.expect("written");
    stream.read_exact(&mut buffer).await.expect("read");
}

async fn beside(contender: Contender, link: Link, rounds: u32) -> f64 {
    let (opener, mut acceptor) = start(contender, link, Windows::Fixed).await;
    // The small one first: it is echoed, the others are read.
    let serving = tokio::spawn(async move {
        let mut small = acceptor.accept().await.expect("a stream");
        let mut tasks = JoinSet::new();
        tasks.spawn(async move {
            let mut buffer = [0; 64];
            while small.read_exact(&mut buffer).await.is_ok() {
                if small.write_all(&buffer).await.is_err() {
                    return;
                }
            }
        });
        while let Some(mut bulk) = acceptor.accept().await {
            tasks.spawn(async move {
                let mut buffer = vec![0; 64 * 1024];
                while let Ok(1..) = bulk.read(&mut buffer).await {}
            });
        }
    });
    let mut small = opener.open().await;
    round_trip(&mut small).await;
    let started = Arc::new(Barrier::new(9));
    let mut writers = JoinSet::new();
    for _ in 0..8 {
        let bulk = opener.open().await;
        let started = Arc::clone(&started);
        writers.spawn(async move {
            let (mut reader, mut writer) = split(bulk);
            let _reading =
                tokio::spawn(async move { while let Ok(1..) = reader.read(&mut [0; 16]).await {} });
            let bytes = vec![7; 64 * 1024];
            writer.write_all(&bytes).await.expect("written");
            started.wait().await;
            while writer.write_all(&bytes).await.is_ok() {}
        });
    }
    started.wait().await;
    let mut times = Vec::new();
    for _ in 0..rounds {
        let start = Instant::now();
        round_trip(&mut small).await;
        times.push(start.elapsed());
    }
    writers.shutdown().await;
    serving.abort();
    times.sort();
    times[times.len() * 99 / 100].as_secs_f64() * 1e6
}

async fn idle_heap(contender: Contender, streams: u32) -> f64 {
    let (opener, mut acceptor) = start(contender, Link::Duplex, Windows::Fixed).await;
    let mut held = Vec::with_capacity(2 * streams as usize);
    // Whatever grows once has grown.
    for _ in 0..16 {
        held.push(open_pair(&*opener, &mut *acceptor).await);
    }
    let before = meter::bytes_in_use();
    for _ in 0..streams {
        held.push(open_pair(&*opener, &mut *acceptor).await);
    }
    tokio::time::sleep(Duration::from_millis(100)).await;
    let bytes = (meter::bytes_in_use() - before) as f64 / f64::from(streams);
    drop(held);
    bytes
}

/// Opens a stream over which a byte has gone each way.
async fn open_pair(
    opener: &dyn crate::contenders::Opener,
    acceptor: &mut dyn crate::contenders::Acceptor,
) -> (Boxed, Boxed) {
    let mut opened = opener.open().await;
    opened.write_all(b"x").await.expect("written");
    let mut accepted = acceptor.accept().await.expect("a stream");
    accepted.read_exact(&mut [0]).await.expect("read");
    accepted.write_all(b"y").await.expect("written");
    opened.read_exact(&mut [0]).await.expect("read");
    (opened, accepted)
}
