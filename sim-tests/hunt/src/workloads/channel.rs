//! Producers and consumers of a bounded channel.
//!
//! Some wait for ever, some give up, some are cancelled or not polled for a while, some consumers leave early. Nothing
//! that was accepted is lost or doubled, the order of each producer holds, the channel never holds more than it may,
//! every task ends.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use wavetank::runtime::Runtime;
use wavetank::{Host, Sim, sometimes};

use super::{Patience, work};
use crate::ledger::{Item, Ledger};

/// How a crate sends and receives.
pub(crate) trait Channel: 'static {
    type Sender: Clone + Send + 'static;
    type Receiver: Send + 'static;
    /// What a full channel may hold beyond its capacity: some keep a place for each sender.
    const EXTRA: usize = 0;
    /// Whether a receive that is given up loses nothing. Some crates say that it may.
    const CANCELS: bool = true;
    /// Opens a channel for `capacity` values.
    fn open(capacity: usize) -> (Self::Sender, Self::Receiver);
    /// Sends. Returns `false` if the channel is closed.
    fn send(sender: &mut Self::Sender, item: Item) -> impl Future<Output = bool> + Send;
    /// Tries to send. Returns `true` if the channel took the value.
    fn try_send(sender: &mut Self::Sender, item: Item) -> bool;
    /// Receives. Returns `None` when all senders are gone.
    fn recv(receiver: &mut Self::Receiver) -> impl Future<Output = Option<Item>> + Send;
    /// Returns a second receiver of the same values, if the channel has such.
    fn another(receiver: &Self::Receiver) -> Option<Self::Receiver>;
}

/// The subject of a crate whose bounded channel has the usual shape: `SUBJECTS`, made of the crate, its functions that
/// open, send and receive, and a function that makes a second receiver.
macro_rules! usual_channel {
    ($package:literal, $name:ident::$open:ident, $send:ident, $recv:ident, $another:expr) => {
        pub(crate) const SUBJECTS: &[crate::subject::Subject] = &[crate::subject::Subject {
            package: $package,
            name: "bounded",
            workload: crate::workloads::channel::WORKLOAD,
            known: &[],
            body: crate::workloads::channel::producers_and_consumers::<Bounded>,
        }];

        struct Bounded;

        impl crate::workloads::channel::Channel for Bounded {
            type Sender = $name::Sender<crate::ledger::Item>;
            type Receiver = $name::Receiver<crate::ledger::Item>;

            fn open(capacity: usize) -> (Self::Sender, Self::Receiver) {
                $name::$open(capacity)
            }

            async fn send(sender: &mut Self::Sender, item: crate::ledger::Item) -> bool {
                sender.$send(item).await.is_ok()
            }

            fn try_send(sender: &mut Self::Sender, item: crate::ledger::Item) -> bool {
                sender.try_send(item).is_ok()
            }

            async fn recv(receiver: &mut Self::Receiver) -> Option<crate::ledger::Item> {
                receiver.$recv().await.ok()
            }

            fn another(receiver: &Self::Receiver) -> Option<Self::Receiver> {
                let another: fn(&Self::Receiver) -> Option<Self::Receiver> = $another;
                another(receiver)
            }
        }
    };
}

pub(crate) use usual_channel;

/// The workload, for the table.
pub(crate) const WORKLOAD: &str =
    "a channel of 1 to 3 places: producers and consumers that wait, give up, are cancelled, pause, or leave";

/// The settings of one run.
#[derive(Clone, Debug)]
struct Plan {
    capacity: usize,
    producers: Vec<Producer>,
    consumers: Vec<Consumer>,
}

#[derive(Clone, Copy, Debug)]
struct Producer {
    jobs: u64,
    patience: Patience,
    tries: bool,
    pause: u32,
}

#[derive(Clone, Copy, Debug)]
struct Consumer {
    patience: Patience,
    leaves_after: Option<u32>,
    pause: u32,
}

impl Plan {
    fn draw(sim: &mut Sim) -> Self {
        let capacity = 1 + sim.choose("capacity", 3) as usize;
        let producers = 1 + sim.choose("producers", 3);
        let consumers = 1 + sim.choose("consumers", 3);
        let producers = (0..producers).map(|_| Producer {
            jobs: 1 + u64::from(sim.choose("jobs", 8)),
            patience: Patience::drawn(sim.choose("producer's patience", Patience::KINDS)),
            tries: sim.choose("tries", 4) == 3,
            pause: sim.choose("producer's pause", 3),
        });
        let producers = producers.collect();
        let consumers = (0..consumers).map(|_| Consumer {
            patience: Patience::drawn(sim.choose("consumer's patience", Patience::KINDS)),
            leaves_after: match sim.choose("leaves after", 12) {
                after @ 8.. => Some(after - 8),
                _ => None,
            },
            pause: sim.choose("consumer's pause", 3),
        });
        Self { capacity, producers, consumers: consumers.collect() }
    }
}

/// What all tasks of a run share.
#[derive(Clone, Debug)]
struct Shared {
    host: Host,
    ledger: Ledger,
    /// Senders and receivers that are not gone.
    senders: Arc<AtomicU32>,
    receivers: Arc<AtomicU32>,
    pending_max: usize,
    is_ordered: bool,
}

async fn produce<C: Channel>(shared: Shared, index: u64, plan: Producer, mut sender: C::Sender) {
    for number in 0..plan.jobs {
        let id = index << 32 | number;
        let item = shared.ledger.item(id);
        if plan.tries && number % 2 == 1 {
            if C::try_send(&mut sender, item) {
                shared.ledger.accept(id);
            }
        } else {
            match plan.patience.wait(shared.host, C::send(&mut sender, item)).await {
                Some(true) => shared.ledger.accept(id),
                Some(false) => {
                    let left = shared.receivers.load(Ordering::SeqCst);
                    assert_eq!(left, 0, "a send is refused while {left} receivers are left");
                    break;
                }
                None => {}
            }
        }
        let pending = shared.ledger.pending();
        let most = shared.pending_max;
        assert!(pending <= most, "{pending} values are in a channel that may hold {most}");
        work(shared.host, plan.pause).await;
    }
    shared.senders.fetch_sub(1, Ordering::SeqCst);
}

async fn consume<C: Channel>(shared: Shared, plan: Consumer, mut receiver: C::Receiver) {
    let mut last = BTreeMap::new();
    let mut count = 0;
    while plan.leaves_after != Some(count) {
        match plan.patience.wait(shared.host, C::recv(&mut receiver)).await {
            Some(Some(item)) => {
                count += 1;
                let (producer, number) = (item.id >> 32, item.id & 0xffff_ffff);
                shared.ledger.receive(item);
                let before = last.insert(producer, number);
                if shared.is_ordered {
                    assert!(before < Some(number), "{number} of producer {producer} comes after {before:?}");
                }
            }
            Some(None) => {
                let left = shared.senders.load(Ordering::SeqCst);
                assert_eq!(left, 0, "a receiver sees the end while {left} senders are left");
                break;
            }
            None => {}
        }
        work(shared.host, plan.pause).await;
    }
    shared.receivers.fetch_sub(1, Ordering::SeqCst);
}

/// The body of the test: builds the host.
pub(crate) fn producers_and_consumers<C: Channel>(sim: &mut Sim) {
    let plan = Plan::draw(sim);
    sim.client("client", async move |host| exchange::<C>(host, plan).await);
}

async fn exchange<C: Channel>(host: Host, mut plan: Plan) {
    let (sender, receiver) = C::open(plan.capacity);
    let mut receivers = vec![receiver];
    while receivers.len() < plan.consumers.len()
        && let Some(receiver) = C::another(&receivers[0])
    {
        receivers.push(receiver);
    }
    plan.consumers.truncate(receivers.len());
    for consumer in &mut plan.consumers {
        if !C::CANCELS && consumer.patience.gives_up() {
            consumer.patience = Patience::Awkward;
        }
    }
    let shared = Shared {
        host,
        ledger: Ledger::default(),
        senders: Arc::new(AtomicU32::new(plan.producers.len() as u32)),
        receivers: Arc::new(AtomicU32::new(receivers.len() as u32)),
        // A value may be in the hands of a receiver that has not run yet.
        pending_max: plan.capacity + receivers.len() + C::EXTRA * plan.producers.len(),
        is_ordered: receivers.len() == 1,
    };
    let mut tasks = Vec::new();
    for (plan, receiver) in plan.consumers.iter().zip(receivers) {
        tasks.push(host.spawn("consumer", consume::<C>(shared.clone(), *plan, receiver)));
    }
    for (plan, index) in plan.producers.iter().zip(0..) {
        tasks.push(host.spawn("producer", produce::<C>(shared.clone(), index, *plan, sender.clone())));
    }
    drop(sender);
    for task in tasks {
        task.await.expect("a task neither panics nor is aborted");
    }
    let all_leave = plan.consumers.iter().all(|consumer| consumer.leaves_after.is_some());
    sometimes!(!all_leave, "a consumer stays to the end");
    if !all_leave {
        shared.ledger.nothing_is_lost();
    }
    shared.ledger.nothing_is_left();
}
