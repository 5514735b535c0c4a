//! One measurement: a fresh connection of one contender in one cell, warmed up, then metered.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread;

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::{Builder, Runtime};

use crate::cell::{Cell, Setting};
use crate::contenders::fastwebsockets::{Fastwebsockets, FastwebsocketsHalves};
use crate::contenders::ours::{Core, Tasks, Threads};
use crate::contenders::tokio_tungstenite::TokioTungstenite;
use crate::contenders::tokio_websockets::TokioWebsockets;
use crate::contenders::tungstenite::Tungstenite;
use crate::contenders::yawc::Yawc;
use crate::meter::{Meter, Sample, now};
use crate::payload::Payload;
use crate::peer::{Check, serve};
use crate::socket::{Pipelined, Socket};
use crate::transport::{Memory, Transport};

/// Round trips of which one is timed.
const TIMED_EVERY: u64 = 8;

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Contender {
    /// tungstenite.
    Tungstenite,
    /// tokio-tungstenite.
    TokioTungstenite,
    /// tokio-websockets.
    TokioWebsockets,
    /// fastwebsockets.
    Fastwebsockets,
    /// yawc.
    Yawc,
    /// wavetank-websocket: the core alone in memory, else its clients.
    Ours,
}

impl Contender {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Tungstenite,
        Self::TokioTungstenite,
        Self::TokioWebsockets,
        Self::Fastwebsockets,
        Self::Yawc,
        Self::Ours,
    ];

    /// The crate.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tungstenite => "tungstenite",
            Self::TokioTungstenite => "tokio-tungstenite",
            Self::TokioWebsockets => "tokio-websockets",
            Self::Fastwebsockets => "fastwebsockets",
            Self::Yawc => "yawc",
            Self::Ours => "wavetank-websocket",
        }
    }

    /// Whether it can do what the cell asks.
    pub fn takes_part(self, cell: &Cell) -> bool {
        match cell.setting {
            Setting::Decode | Setting::Encode => true,
            Setting::Duplex | Setting::Loopback => self != Self::Tungstenite,
            Setting::Blocking => matches!(self, Self::Tungstenite | Self::Ours),
        }
    }
}

/// What is measured, apart from the contender.
#[derive(Debug)]
pub struct Work {
    /// The cell.
    pub cell: Cell,
    /// Its message.
    pub payload: Payload,
    /// How many messages are metered.
    pub count: u64,
    /// What the peer makes sure of.
    pub check: Check,
}

impl Work {
    /// Messages before the metered ones: at least a window, and enough that buffers have found their size.
    fn warm_up(&self) -> u64 {
        (self.count / 8).max(2)
    }

    /// Measures `contender`.
    pub fn measure(&self, contender: Contender) -> Sample {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        match self.cell.setting {
            Setting::Decode | Setting::Encode => runtime.block_on(self.in_memory(contender)),
            Setting::Duplex => runtime.block_on(async {
                let (near, far) = tokio::io::duplex(64 * 1024);
                let peer = tokio::spawn(serve(far, self.payload.clone(), self.check));
                let sample = self.echo(contender, near).await;
                peer.await.expect("the peer finds nothing wrong").expect("the pipe holds");
                sample
            }),
            // The runtime ends with the client, and all tasks with it: the peer waits for that.
            Setting::Loopback => self.with_tcp_peer(move |address| {
                runtime.block_on(async {
                    let stream = TcpStream::connect(address).await.expect("the peer listens");
                    stream.set_nodelay(true).expect("an option of TCP");
                    self.echo(contender, stream).await
                })
            }),
            Setting::Blocking => self.with_tcp_peer(|address| match contender {
                Contender::Ours => runtime.block_on(self.echo_in_batches(Threads::open(address))),
                _ => {
                    let stream = std::net::TcpStream::connect(address).expect("the peer listens");
                    stream.set_nodelay(true).expect("an option of TCP");
                    runtime.block_on(self.echo_in_batches(Tungstenite::over(stream)))
                }
            }),
        }
    }

    async fn in_memory(&self, contender: Contender) -> Sample {
        let memory = Memory::new(self.payload.server_frames(256 * 1024));
        match contender {
            Contender::Tungstenite => self.one_way(Tungstenite::over(memory)).await,
            Contender::TokioTungstenite => self.one_way(TokioTungstenite::over(memory).await).await,
            Contender::TokioWebsockets => self.one_way(TokioWebsockets::over(memory)).await,
            Contender::Fastwebsockets => self.one_way(Fastwebsockets::over(memory)).await,
            Contender::Yawc => self.one_way(Yawc::over(memory)).await,
            Contender::Ours => self.one_way(Core::over(memory)).await,
        }
    }

    async fn one_way<S: Socket>(&self, mut socket: S) -> Sample {
        let mut run = async |count| match self.cell.setting {
            Setting::Encode => {
                for _ in 0..count {
                    socket.send(&self.payload).await;
                }
            }
            _ => {
                for _ in 0..count {
                    assert_eq!(socket.receive().await, self.payload.bytes.len(), "the message that was sent");
                }
            }
        };
        run(self.warm_up()).await;
        let meter = Meter::start();
        run(self.count).await;
        meter.stop(self.count)
    }

    async fn echo<S: Transport>(&self, contender: Contender, stream: S) -> Sample {
        let closed_loop = self.cell.window == 1;
        match contender {
            Contender::TokioTungstenite => {
                let socket = TokioTungstenite::over(stream).await;
                if closed_loop {
                    self.echo_one_by_one(socket).await
                } else {
                    self.echo_pipelined(socket).await
                }
            }
            Contender::TokioWebsockets => {
                let socket = TokioWebsockets::over(stream);
                if closed_loop {
                    self.echo_one_by_one(socket).await
                } else {
                    self.echo_pipelined(socket).await
                }
            }
            Contender::Fastwebsockets if closed_loop => {
                self.echo_one_by_one(Fastwebsockets::over(stream)).await
            }
            Contender::Fastwebsockets => self.echo_pipelined(FastwebsocketsHalves::over(stream)).await,
            Contender::Yawc => {
                let socket = Yawc::over(stream);
                if closed_loop {
                    self.echo_one_by_one(socket).await
                } else {
                    self.echo_pipelined(socket).await
                }
            }
            Contender::Ours => {
                let socket = Tasks::over(stream).await;
                if closed_loop {
                    self.echo_one_by_one(socket).await
                } else {
                    self.echo_pipelined(socket).await
                }
            }
            Contender::Tungstenite => unreachable!("blocks"),
        }
    }

    async fn echo_one_by_one<S: Socket>(&self, mut socket: S) -> Sample {
        let mut latencies = Vec::with_capacity((self.count / TIMED_EVERY) as usize + 1);
        let mut run = async |count, latencies: &mut Vec<u64>| {
            for index in 0..count {
                let timed = (index % TIMED_EVERY == 0).then(now);
                socket.send(&self.payload).await;
                assert_eq!(
                    socket.receive().await,
                    self.payload.bytes.len(),
                    "an answer as long as the question"
                );
                latencies.extend(timed.map(|start| now() - start));
            }
        };
        run(self.warm_up(), &mut latencies).await;
        latencies.clear();
        let meter = Meter::start();
        run(self.count, &mut latencies).await;
        Sample { latencies, ..meter.stop(self.count) }
    }

    async fn echo_pipelined<P: Pipelined>(&self, mut socket: P) -> Sample {
        let window = self.cell.window;
        socket.pipeline(&self.payload, self.warm_up().max(window), window).await;
        let meter = Meter::start();
        socket.pipeline(&self.payload, self.count, window).await;
        meter.stop(self.count)
    }

    /// A blocking client in one thread sends a window, and receives it.
    async fn echo_in_batches<S: Socket>(&self, mut socket: S) -> Sample {
        let window = self.cell.window;
        if window == 1 {
            return self.echo_one_by_one(socket).await;
        }
        let mut run = async |count: u64| {
            for _ in 0..count.div_ceil(window) {
                for _ in 0..window {
                    socket.feed(&self.payload).await;
                }
                socket.flush().await;
                for _ in 0..window {
                    assert_eq!(
                        socket.receive().await,
                        self.payload.bytes.len(),
                        "an answer as long as the question"
                    );
                }
            }
        };
        run(self.warm_up()).await;
        let meter = Meter::start();
        run(self.count).await;
        meter.stop(self.count.next_multiple_of(window))
    }

    /// Runs `client` against a peer in a thread of its own.
    fn with_tcp_peer(&self, client: impl FnOnce(SocketAddr) -> Sample) -> Sample {
        let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
        let listen = TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let listener = runtime.block_on(listen).expect("loopback");
        let address = listener.local_addr().expect("it is bound");
        thread::scope(|scope| {
            let peer = scope.spawn(|| self.serve_one(&runtime, listener));
            let sample = client(address);
            peer.join().expect("the peer finds nothing wrong");
            sample
        })
    }

    fn serve_one(&self, runtime: &Runtime, listener: TcpListener) {
        runtime.block_on(async {
            let (stream, _) = listener.accept().await.expect("a client");
            stream.set_nodelay(true).expect("an option of TCP");
            match serve(stream, self.payload.clone(), self.check).await {
                // The client goes without closing.
                Ok(()) => {}
                Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset, "{error}"),
            }
        });
    }
}

/// How long one measurement takes.
#[derive(Debug, Clone, Copy)]
pub enum Length {
    /// About so long.
    Nanoseconds(u64),
    /// So many messages.
    Messages(u64),
}

/// Measures `contenders` in `rounds` rounds, each forward and backward, and gives for each round the samples in their
/// order.
pub fn rounds(cell: Cell, contenders: &[Contender], rounds: usize, length: Length) -> Vec<Vec<Sample>> {
    let payload = Payload::new(cell.kind, cell.size);
    let mut work = Work { cell, payload, count: 4, check: Check::Payloads };
    for contender in contenders {
        work.measure(*contender);
    }
    work.check = Check::Lengths;
    work.count = match length {
        Length::Nanoseconds(nanoseconds) => count_for(&mut work, contenders, nanoseconds),
        Length::Messages(count) => count,
    };
    (0..rounds)
        .map(|_| {
            let mut samples: Vec<Sample> =
                contenders.iter().map(|contender| work.measure(*contender)).collect();
            for (contender, sample) in contenders.iter().zip(&mut samples).rev() {
                sample.add(work.measure(*contender));
            }
            samples
        })
        .collect()
}

/// How many messages the slowest contender passes in about `nanoseconds`.
fn count_for(work: &mut Work, contenders: &[Contender], nanoseconds: u64) -> u64 {
    let per_message = contenders.iter().map(|contender| {
        work.count = 4;
        loop {
            let sample = work.measure(*contender);
            if sample.wall * 8 > nanoseconds || work.count >= 1 << 24 {
                return sample.wall.div_ceil(work.count);
            }
            work.count *= 4;
        }
    });
    let slowest = per_message.max().expect("contenders");
    (nanoseconds / slowest).max(work.cell.window * 2).max(4)
}
