//! crossfire: bounded channels without locks, with one and with several consumers.

use crossfire::{AsyncRx, MAsyncRx, MAsyncTx, mpmc, mpsc};

use crate::ledger::Item;
use crate::subject::Subject;
use crate::workloads::channel::{self, Channel};

pub(crate) const SUBJECTS: &[Subject] = &[
    Subject {
        package: "crossfire",
        name: "mpmc",
        workload: channel::WORKLOAD,
        known: &[],
        body: channel::producers_and_consumers::<Many>,
    },
    Subject {
        package: "crossfire",
        name: "mpsc",
        workload: "the same, `mpsc`",
        known: &[],
        body: channel::producers_and_consumers::<One>,
    },
];

struct Many;

impl Channel for Many {
    type Sender = MAsyncTx<mpmc::Array<Item>>;
    type Receiver = MAsyncRx<mpmc::Array<Item>>;
    // The queue for one value has two slots.
    const EXTRA: usize = 1;

    fn open(capacity: usize) -> (Self::Sender, Self::Receiver) {
        mpmc::bounded_async(capacity)
    }

    async fn send(sender: &mut Self::Sender, item: Item) -> bool {
        sender.send(item).await.is_ok()
    }

    fn try_send(sender: &mut Self::Sender, item: Item) -> bool {
        sender.try_send(item).is_ok()
    }

    async fn recv(receiver: &mut Self::Receiver) -> Option<Item> {
        receiver.recv().await.ok()
    }

    fn another(receiver: &Self::Receiver) -> Option<Self::Receiver> {
        Some(receiver.clone())
    }
}

struct One;

impl Channel for One {
    type Sender = MAsyncTx<mpsc::Array<Item>>;
    type Receiver = AsyncRx<mpsc::Array<Item>>;
    const EXTRA: usize = 1;

    fn open(capacity: usize) -> (Self::Sender, Self::Receiver) {
        mpsc::bounded_async(capacity)
    }

    async fn send(sender: &mut Self::Sender, item: Item) -> bool {
        sender.send(item).await.is_ok()
    }

    fn try_send(sender: &mut Self::Sender, item: Item) -> bool {
        sender.try_send(item).is_ok()
    }

    fn recv(receiver: &mut Self::Receiver) -> impl Future<Output = Option<Item>> + Send {
        let receive = receiver.recv();
        async move { receive.await.ok() }
    }

    fn another(_: &Self::Receiver) -> Option<Self::Receiver> {
        None
    }
}
