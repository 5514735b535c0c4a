//! What is measured: one number a run, for one contender. Less is better.

use std::future::poll_fn;
use std::hint::black_box;

use futures::StreamExt;
use tokio::runtime::{Builder, Runtime};

use crate::client::{Client, Kind, is_of};
use crate::{Bench, Contender, events, meter, pipe};

/// After this number of messages of a hot stream a sibling counts as starved.
const STARVED: usize = 10_000;

/// Attempts for the worst of them.
const ATTEMPTS: usize = 20;

/// Connections of the fan-out.
const CONNECTIONS: usize = 1_000;

/// Events that are published before the clients take them. Fits into the pipes.
const BURST: usize = 16;

/// Streams of 1 KiB texts of a stalled client.
const STALLED: usize = 100;

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    Ours,
    Theirs,
    /// The engine alone.
    Engine,
    /// The engine with the pipe to the client, and the simplest frame around its results.
    EngineAndPipe,
}

impl Who {
    pub const ALL: [Self; 4] = [Self::Ours, Self::Theirs, Self::Engine, Self::EngineAndPipe];

    pub fn word(self) -> &'static str {
        match self {
            Self::Ours => "ours",
            Self::Theirs => "theirs",
            Self::Engine => "engine",
            Self::EngineAndPipe => "engine-and-pipe",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    /// Messages of one subscription that is always ready.
    Hot,
    /// One event of a subscription beside so many that are silent.
    Beside(usize),
    /// Deliveries of events to so many connections.
    FanOut(usize),
    /// A query: `subscribe`, `next`, `complete`.
    Query,
    /// A subscription of one event, likewise.
    Subscription,
    /// Bytes of heap of a silent subscription.
    Idle,
    /// Messages of a hot stream before a query is answered, at worst.
    Sibling,
    /// Messages of a hot stream before the event of another subscription, which its waker announces, at worst.
    Woken,
    /// Messages of a hot stream after the client has completed it, at worst.
    Stop,
    /// KiB of heap for a client that reads nothing and has many hot streams.
    Stalled,
}

/// A measurement.
#[derive(Clone, Copy, Debug)]
pub struct Cell {
    what: What,
    threads: usize,
    count: usize,
}

impl Cell {
    /// Returns all cells, with a `scale`-th of the work.
    pub fn all(scale: usize) -> Vec<Self> {
        let cell = |what, threads, count: usize| Self { what, threads, count: count / scale };
        vec![
            cell(What::Hot, 1, 500_000),
            cell(What::Hot, 2, 500_000),
            cell(What::Beside(0), 1, 100_000),
            cell(What::Beside(100), 1, 50_000),
            cell(What::Beside(1_000), 1, 10_000),
            cell(What::Beside(10_000), 1, 1_000),
            cell(What::FanOut(CONNECTIONS), 1, 320),
            cell(What::FanOut(CONNECTIONS), 2, 320),
            cell(What::Query, 1, 50_000),
            cell(What::Subscription, 1, 50_000),
            Self { what: What::Idle, threads: 1, count: 10_000 },
            Self { what: What::Sibling, threads: 1, count: ATTEMPTS },
            Self { what: What::Woken, threads: 1, count: ATTEMPTS },
            Self { what: What::Stop, threads: 1, count: ATTEMPTS },
            Self { what: What::Stalled, threads: 1, count: STALLED },
        ]
    }

    /// The same with little of everything, to see that it works.
    pub fn small(self) -> Self {
        let what = match self.what {
            What::Beside(idle) => What::Beside(idle.min(10)),
            What::FanOut(_) => What::FanOut(10),
            other => other,
        };
        Self { what, threads: self.threads, count: self.count.min(2 * BURST) }
    }

    /// The same, with so many messages, events, or operations.
    pub fn with_count(mut self, count: usize) -> Self {
        self.count = count;
        self
    }

    pub fn name(self) -> String {
        let name = match self.what {
            What::Hot => "A hot stream".to_owned(),
            What::Beside(idle) => format!("B event beside {idle} idle"),
            What::FanOut(connections) => format!("C {connections} connections"),
            What::Query => "D query".to_owned(),
            What::Subscription => "D subscription".to_owned(),
            What::Idle => "E idle subscription".to_owned(),
            What::Sibling => "F sibling".to_owned(),
            What::Woken => "F woken sibling".to_owned(),
            What::Stop => "F stop".to_owned(),
            What::Stalled => "G stalled client".to_owned(),
        };
        if self.threads == 1 { name } else { format!("{name}, {} threads", self.threads) }
    }

    pub fn unit(self) -> &'static str {
        match self.what {
            What::Hot => "ns a message",
            What::Beside(_) => "ns an event",
            What::FanOut(_) => "ns a delivery",
            What::Query | What::Subscription => "ns an operation",
            What::Idle => "bytes",
            What::Sibling | What::Woken | What::Stop => "messages",
            What::Stalled => "KiB",
        }
    }

    fn runtime(self) -> Runtime {
        let mut builder = match self.threads {
            1 => Builder::new_current_thread(),
            _ => Builder::new_multi_thread(),
        };
        if self.threads > 1 {
            builder.worker_threads(self.threads);
        }
        builder.enable_time().build().expect("a runtime")
    }

    /// Measures once. NaN where there is nothing to measure.
    pub fn run(self, bench: &Bench, who: Who) -> f64 {
        let runtime = self.runtime();
        let measured = runtime.block_on(self.measure(bench, who));
        runtime.shutdown_background();
        measured
    }

    async fn measure(self, bench: &Bench, who: Who) -> f64 {
        let contender = match who {
            Who::Ours => &bench.contenders[0],
            Who::Theirs => &bench.contenders[1],
            Who::Engine | Who::EngineAndPipe => return self.measure_engine(bench, who).await,
        };
        match self.what {
            What::Hot => hot(Client::connect(contender).await, self.count).await,
            What::Beside(idle) => beside(contender, idle, self.count).await,
            What::FanOut(connections) => fan_out(contender, connections, self.count).await,
            What::Query => churn(contender, "{ hello }", self.count).await,
            What::Subscription => churn(contender, "subscription { one }", self.count).await,
            What::Idle => idle(contender, self.count).await,
            What::Sibling => worst(contender, self.count, sibling).await,
            What::Woken => woken(contender, self.count).await,
            What::Stop => worst(contender, self.count, stop).await,
            What::Stalled => stalled(contender, self.count).await,
        }
    }

    /// The engine without a handler.
    async fn measure_engine(self, bench: &Bench, who: Who) -> f64 {
        match (self.what, who) {
            (What::Hot, Who::EngineAndPipe) if self.threads == 1 => {
                let client = Client::of_engine((bench.results)("subscription { count }"));
                hot(client, self.count).await
            }
            (What::Hot, Who::Engine) if self.threads == 1 => {
                let mut results = (bench.results)("subscription { count }");
                let start = meter::process_seconds();
                for _ in 0..self.count {
                    black_box(results.next().await);
                }
                nanos_each(start, self.count)
            }
            (What::Query | What::Subscription, Who::Engine) => {
                let query = if self.what == What::Query { "{ hello }" } else { "subscription { one }" };
                let start = meter::process_seconds();
                for _ in 0..self.count {
                    black_box((bench.results)(query).collect::<Vec<_>>().await);
                }
                nanos_each(start, self.count)
            }
            (What::Idle, Who::Engine) => {
                let mut streams = Vec::with_capacity(self.count);
                let before = meter::bytes_in_use();
                for _ in 0..self.count {
                    let mut results = (bench.results)("subscription { silent }");
                    poll_fn(|context| {
                        let _ = results.poll_next_unpin(context);
                        std::task::Poll::Ready(())
                    })
                    .await;
                    streams.push(results);
                }
                (meter::bytes_in_use() - before) as f64 / self.count as f64
            }
            _ => f64::NAN,
        }
    }
}

fn nanos_each(start: f64, count: usize) -> f64 {
    (meter::process_seconds() - start) * 1e9 / count as f64
}

async fn hot(mut client: Client, messages: usize) -> f64 {
    client.subscribe("1", "subscription { count }").await;
    for _ in 0..pipe::CAPACITY {
        client.hear().await;
    }
    let start = meter::process_seconds();
    for _ in 0..messages {
        black_box(client.hear().await);
    }
    nanos_each(start, messages)
}

async fn beside(contender: &Contender, idle: usize, count: usize) -> f64 {
    events::streams(0).await;
    let mut client = Client::connect(contender).await;
    client.subscribe("events", "subscription { events }").await;
    for number in 0..idle {
        client.subscribe(&number.to_string(), "subscription { silent }").await;
    }
    client.round_trip().await;
    events::streams(1).await;
    // A handler may still be at work on what it was sent.
    for number in 0..BURST {
        events::publish(number as i32);
        client.until(Kind::Next).await;
    }
    let start = meter::process_seconds();
    for number in 0..count {
        events::publish(number as i32);
        client.until(Kind::Next).await;
    }
    nanos_each(start, count)
}

async fn fan_out(contender: &Contender, connections: usize, count: usize) -> f64 {
    events::streams(0).await;
    let mut clients = Vec::new();
    for _ in 0..connections {
        let client = Client::connect(contender).await;
        client.subscribe("events", "subscription { events }").await;
        clients.push(client);
    }
    events::streams(connections).await;
    let bursts = count / BURST;
    let start = meter::process_seconds();
    for burst in 0..bursts {
        for number in 0..BURST {
            events::publish((burst * BURST + number) as i32);
        }
        for client in &mut clients {
            for _ in 0..BURST {
                client.until(Kind::Next).await;
            }
        }
    }
    nanos_each(start, bursts * BURST * connections)
}

async fn churn(contender: &Contender, query: &str, count: usize) -> f64 {
    let mut client = Client::connect(contender).await;
    client.round_trip().await;
    let start = meter::process_seconds();
    for number in 0..count {
        client.subscribe(&number.to_string(), query).await;
        client.until(Kind::Complete).await;
    }
    nanos_each(start, count)
}

async fn idle(contender: &Contender, count: usize) -> f64 {
    let mut client = Client::connect(contender).await;
    client.round_trip().await;
    let before = meter::bytes_in_use();
    for number in 0..count {
        client.subscribe(&number.to_string(), "subscription { silent }").await;
    }
    client.round_trip().await;
    (meter::bytes_in_use() - before) as f64 / count as f64
}

/// The worst of so many attempts, each on a connection of its own.
async fn worst(contender: &Contender, attempts: usize, attempt: impl AsyncFn(Client) -> usize) -> f64 {
    let mut worst = 0;
    for _ in 0..attempts {
        let client = Client::connect(contender).await;
        client.subscribe("hot", "subscription { count }").await;
        worst = worst.max(attempt(client).await);
    }
    worst as f64
}

/// Counts the messages before a query is answered.
async fn sibling(mut client: Client) -> usize {
    client.until(Kind::Next).await;
    client.subscribe("query", "{ hello }").await;
    for before in 0..STARVED {
        if is_of(&client.hear().await.1, "query") {
            return before;
        }
    }
    STARVED
}

/// Counts the messages before an event that was published, in the worst of so many attempts.
async fn woken(contender: &Contender, attempts: usize) -> f64 {
    let mut worst = 0;
    for attempt in 0..attempts {
        events::streams(0).await;
        let mut client = Client::connect(contender).await;
        client.subscribe("events", "subscription { events }").await;
        events::streams(1).await;
        client.subscribe("hot", "subscription { count }").await;
        client.until(Kind::Next).await;
        events::publish(attempt as i32);
        let mut before = 0;
        while before < STARVED && !is_of(&client.hear().await.1, "events") {
            before += 1;
        }
        worst = worst.max(before);
    }
    worst as f64
}

/// Counts the messages after the client's `complete`.
async fn stop(mut client: Client) -> usize {
    client.until(Kind::Next).await;
    client.complete("hot").await;
    client.subscribe("query", "{ hello }").await;
    let mut after = 0;
    while after < STARVED && !is_of(&client.hear().await.1, "query") {
        after += 1;
    }
    after
}

async fn stalled(contender: &Contender, streams: usize) -> f64 {
    let mut client = Client::connect(contender).await;
    client.round_trip().await;
    let before = meter::bytes_in_use();
    for number in 0..streams {
        client.subscribe(&number.to_string(), "subscription { padded }").await;
    }
    // Whatever can still be made is made.
    for _ in 0..1_000 {
        tokio::task::yield_now().await;
    }
    (meter::bytes_in_use() - before) as f64 / 1024.0
}
