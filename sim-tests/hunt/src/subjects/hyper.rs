//! hyper: clients and servers of HTTP/1 and HTTP/2. Each answer must be that of its question, whole, and every exchange
//! that is not given up ends.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::body::{Body, Frame, Incoming, SizeHint};
use hyper::service::service_fn;
use hyper::{Request, Response, client, server};
use hyper_util::rt::TokioIo;
use wavetank::host::SimSleep;
use wavetank::runtime::{ListenOptions, Listener, Runtime, SocketOptions};
use wavetank::{Adversary, Faults, Host, Sim, cancellable};

use crate::subject::{Known, Subject};

const PACKAGE: &str = "hyper";

pub(crate) const SUBJECTS: &[Subject] = &[
    Subject {
        package: PACKAGE,
        name: "http1",
        workload: "HTTP/1 client and server: uploads and downloads over awkward streams, exchanges are cancelled",
        known: &[Known {
            symptom: "leak: left after every main had ended: client/connection",
            verdict: "**bug**: after an early answer, the client's connection takes no request and does not end \
                      ([zoo](../zoo/hyper-1.12.0/REPORT.md))",
        }],
        body: |sim| exchanges(sim, Version::One, false),
    },
    Subject {
        package: PACKAGE,
        name: "http1_faults",
        workload: "the same, with faults of the network",
        known: &[],
        body: |sim| exchanges(sim, Version::One, true),
    },
    Subject {
        package: PACKAGE,
        name: "http2",
        workload: "HTTP/2, 1 to 4 streams at once, small windows and buffers, exchanges are cancelled",
        known: &[],
        body: |sim| exchanges(sim, Version::Two, false),
    },
    Subject {
        package: PACKAGE,
        name: "http2_faults",
        workload: "the same, with faults of the network and keep-alive",
        known: &[],
        body: |sim| exchanges(sim, Version::Two, true),
    },
];

type Error = Box<dyn std::error::Error + Send + Sync>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

/// The settings of a run.
#[derive(Clone, Copy, Debug)]
struct Plan {
    version: Version,
    has_faults: bool,
    chunk: usize,
    /// Whether bodies have a length, or end when they end.
    is_sized: bool,
    /// Whether the server answers before it has read the question.
    is_early: bool,
    client_window: u32,
    server_window: u32,
    streams: u32,
    buffer: usize,
    is_awkward: bool,
    /// Whether bodies pause between chunks.
    is_slow: bool,
}

/// A body of bytes that are all the same, in chunks.
struct Same {
    host: Host,
    byte: u8,
    left: usize,
    plan: Plan,
    pause: Option<Pin<Box<SimSleep>>>,
}

impl Same {
    const fn new(host: Host, byte: u8, left: usize, plan: Plan) -> Self {
        Self { host, byte, left, plan, pause: None }
    }
}

impl Body for Same {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.left == 0 {
            return Poll::Ready(None);
        }
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(context));
            self.pause = None;
        }
        let length = self.left.min(self.plan.chunk);
        self.left -= length;
        if self.plan.is_slow {
            self.pause = Some(Box::pin(self.host.sleep(Duration::from_millis(1))));
        }
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(vec![self.byte; length])))))
    }

    fn size_hint(&self) -> SizeHint {
        if self.plan.is_sized { SizeHint::with_exact(self.left as u64) } else { SizeHint::default() }
    }
}

/// Reads a body that must have this length of this byte.
async fn expect(mut body: Incoming, length: usize, byte: u8) -> Result<(), Error> {
    let mut received = 0;
    while let Some(frame) = body.frame().await {
        if let Ok(data) = frame?.into_data() {
            received += data.len();
            assert!(data.iter().all(|other| *other == byte), "the body of another exchange");
        }
    }
    if received == length { Ok(()) } else { Err(format!("{received} bytes of {length}").into()) }
}

/// Reads the three numbers of a path: the byte, how much is sent, how much is to be answered.
fn numbers(path: &str) -> [usize; 3] {
    let mut numbers = path.split('/').skip(1).map(|number| number.parse().expect("the client sends numbers"));
    std::array::from_fn(|_| numbers.next().expect("the client sends three numbers"))
}

async fn answer(host: Host, plan: Plan, request: Request<Incoming>) -> Result<Response<Same>, Error> {
    let [byte, upload, download] = numbers(request.uri().path());
    let byte = byte as u8;
    let body = request.into_body();
    if plan.is_early {
        drop(host.spawn("upload", async move { drop(expect(body, upload, byte).await) }));
    } else {
        expect(body, upload, byte).await?;
    }
    Ok(Response::new(Same::new(host, byte, download, plan)))
}

async fn serve(host: Host, plan: Plan) -> std::io::Result<()> {
    let listener = host.listen(([0, 0, 0, 0], 80).into(), ListenOptions::new()).await?;
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let service = service_fn(move |request| answer(host, plan, request));
        match plan.version {
            Version::One => {
                let mut builder = server::conn::http1::Builder::new();
                builder.timer(host).half_close(false).max_buf_size(8_192.max(plan.buffer));
                let connection = builder.serve_connection(TokioIo::new(stream), service);
                drop(host.spawn("connection", async move { drop(connection.await) }));
            }
            Version::Two => {
                let mut builder = server::conn::http2::Builder::new(host);
                builder.timer(host).max_concurrent_streams(plan.streams).max_send_buf_size(plan.buffer);
                builder.initial_stream_window_size(plan.server_window);
                if plan.has_faults {
                    builder
                        .keep_alive_interval(Duration::from_secs(5))
                        .keep_alive_timeout(Duration::from_secs(5));
                }
                let connection = builder.serve_connection(TokioIo::new(stream), service);
                drop(host.spawn("connection", async move { drop(connection.await) }));
            }
        }
    }
}

/// A connection of either version.
#[derive(Debug)]
enum Sender {
    One(client::conn::http1::SendRequest<Same>),
    Two(client::conn::http2::SendRequest<Same>),
}

impl Sender {
    async fn connect(host: Host, plan: Plan) -> Result<Self, Error> {
        let server = host.resolve("server", 80).await?[0];
        let stream = host.connect(server, SocketOptions::new()).await?;
        if plan.is_awkward {
            Self::over(host, plan, TokioIo::new(Adversary::new("socket", stream))).await
        } else {
            Self::over(host, plan, TokioIo::new(stream)).await
        }
    }

    async fn over<T>(host: Host, plan: Plan, stream: T) -> Result<Self, Error>
    where
        T: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
    {
        match plan.version {
            Version::One => {
                let (sender, connection) = client::conn::http1::handshake(stream).await?;
                drop(host.spawn("connection", async move { drop(connection.await) }));
                Ok(Self::One(sender))
            }
            Version::Two => {
                let mut builder = client::conn::http2::Builder::new(host);
                builder.timer(host).max_send_buf_size(plan.buffer).initial_max_send_streams(1);
                builder.initial_stream_window_size(plan.client_window).initial_connection_window_size(65_535);
                if plan.has_faults {
                    builder
                        .keep_alive_interval(Duration::from_secs(5))
                        .keep_alive_timeout(Duration::from_secs(5));
                }
                let (sender, connection) = builder.handshake(stream).await?;
                drop(host.spawn("connection", async move { drop(connection.await) }));
                Ok(Self::Two(sender))
            }
        }
    }

    /// Returns a second handle, if requests may run at once.
    fn another(&self) -> Option<Self> {
        match self {
            Self::One(_) => None,
            Self::Two(sender) => Some(Self::Two(sender.clone())),
        }
    }

    async fn send(&mut self, host: Host, exchange: Exchange, plan: Plan) -> Result<(), Error> {
        let Exchange { byte, upload, download } = exchange;
        let uri = match self {
            Self::One(_) => format!("/{byte}/{upload}/{download}"),
            Self::Two(_) => format!("http://server/{byte}/{upload}/{download}"),
        };
        let request =
            Request::post(uri).header("host", "server").body(Same::new(host, byte, upload, plan))?;
        let response = match self {
            Self::One(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
            Self::Two(sender) => {
                sender.ready().await?;
                sender.send_request(request).await?
            }
        };
        assert!(response.status().is_success(), "the server answers {}", response.status());
        expect(response.into_body(), download, byte).await
    }
}

#[derive(Clone, Copy, Debug)]
struct Exchange {
    byte: u8,
    upload: usize,
    download: usize,
}

/// Makes the exchanges one after another, over a new connection if the old one is gone. Every other may be cancelled.
async fn exchange_all(
    host: Host,
    plan: Plan,
    exchanges: Vec<Exchange>,
    first: Option<Sender>,
) -> Result<(), Error> {
    let mut sender = first;
    for (exchange, number) in exchanges.into_iter().zip(0_u32..) {
        let begin = host.now();
        for attempt in 0.. {
            let mut connected = match sender.take() {
                Some(sender) => sender,
                None => match Sender::connect(host, plan).await {
                    Ok(sender) => sender,
                    Err(error) if !plan.has_faults => return Err(error),
                    Err(_) => {
                        host.sleep(Duration::from_secs(1)).await;
                        continue;
                    }
                },
            };
            let exchanging = async {
                let result = connected.send(host, exchange, plan).await;
                sender = result.is_ok().then_some(connected);
                result
            };
            let timed = async { tokio::time::timeout(Duration::from_secs(60), exchanging).await };
            let result = if number % 2 == 1 && attempt == 0 {
                cancellable("exchange", timed).await
            } else {
                Some(timed.await)
            };
            match result {
                Some(Ok(Ok(()))) => break,
                Some(Err(_)) => assert!(plan.has_faults, "the exchange hangs"),
                // A connection may have ended with the exchange before, which was cancelled.
                Some(Ok(Err(error))) => assert!(plan.has_faults || attempt < 2, "{error}"),
                None => break,
            }
            let took = host.now().duration_since(begin);
            assert!(took < Duration::from_secs(600), "no exchange works after the faults");
        }
    }
    Ok(())
}

fn exchanges(sim: &mut Sim, version: Version, has_faults: bool) {
    let plan = Plan {
        version,
        has_faults,
        chunk: [5_000, 100, 17_000][sim.choose("chunk", 3) as usize],
        is_sized: sim.choose("sized", 2) == 0,
        is_early: sim.choose("early", 3) == 2,
        client_window: [65_535, 1_000, 20_000][sim.choose("client's window", 3) as usize],
        server_window: [65_535, 100_000][sim.choose("server's window", 2) as usize],
        streams: 1 + sim.choose("streams", 4),
        buffer: [400_000, 1_000, 10_000][sim.choose("buffer", 3) as usize],
        is_awkward: sim.choose("awkward", 2) == 1,
        is_slow: sim.choose("slow", 3) == 2,
    };
    // Small chunks only for small bodies.
    let sizes = if plan.chunk == 100 || plan.client_window == 1_000 {
        [0, 1, 300, 2_000]
    } else {
        [0, 100, 20_000, 90_000]
    };
    let lanes: Vec<Vec<Exchange>> = (0..1 + sim.choose("lanes", 4))
        .map(|_| {
            let exchanges = (0..1 + sim.choose("exchanges", 4)).map(|_| Exchange {
                byte: sim.choose("byte", 200) as u8,
                upload: sizes[sim.choose("upload", 4) as usize],
                download: sizes[sim.choose("download", 4) as usize],
            });
            exchanges.collect()
        })
        .collect();
    sim.latency(Duration::from_millis(1)..=Duration::from_millis(10));
    if has_faults {
        // A connection whose exchange was given up may still wait for a peer that is gone.
        sim.user_timeout(Duration::from_secs(30)).leak_grace(Duration::from_secs(120));
        sim.faults(
            Faults::all().half_open().begin_max(Duration::from_millis(100)).until(Duration::from_secs(10)),
        );
    }
    sim.server("server", move |host| serve(host, plan));
    sim.client("client", async move |host| {
        let first = if has_faults { None } else { Some(Sender::connect(host, plan).await?) };
        let tasks: Vec<_> = lanes
            .into_iter()
            .map(|lane| {
                let sender = first.as_ref().and_then(Sender::another);
                host.spawn("lane", exchange_all(host, plan, lane, sender))
            })
            .collect();
        drop(first);
        for task in tasks {
            task.await??;
        }
        wavetank::Ok(())
    });
}
