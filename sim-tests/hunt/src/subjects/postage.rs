//! postage: bounded channels with one and with several consumers.

use postage::prelude::{Sink, Stream};
use postage::{dispatch, mpsc};

use crate::ledger::Item;
use crate::subject::Subject;
use crate::workloads::channel::{self, Channel};

pub(crate) const SUBJECTS: &[Subject] = &[
    Subject {
        package: "postage",
        name: "mpsc",
        workload: channel::WORKLOAD,
        known: &[],
        body: channel::producers_and_consumers::<One>,
    },
    Subject {
        package: "postage",
        name: "dispatch",
        workload: "the same, `dispatch`",
        known: &[],
        body: channel::producers_and_consumers::<Many>,
    },
];

struct One;

impl Channel for One {
    type Sender = mpsc::Sender<Item>;
    type Receiver = mpsc::Receiver<Item>;

    fn open(capacity: usize) -> (Self::Sender, Self::Receiver) {
        mpsc::channel(capacity)
    }

    async fn send(sender: &mut Self::Sender, item: Item) -> bool {
        sender.send(item).await.is_ok()
    }

    fn try_send(sender: &mut Self::Sender, item: Item) -> bool {
        sender.try_send(item).is_ok()
    }

    async fn recv(receiver: &mut Self::Receiver) -> Option<Item> {
        receiver.recv().await
    }

    fn another(_: &Self::Receiver) -> Option<Self::Receiver> {
        None
    }
}

struct Many;

impl Channel for Many {
    type Sender = dispatch::Sender<Item>;
    type Receiver = dispatch::Receiver<Item>;

    fn open(capacity: usize) -> (Self::Sender, Self::Receiver) {
        dispatch::channel(capacity)
    }

    async fn send(sender: &mut Self::Sender, item: Item) -> bool {
        sender.send(item).await.is_ok()
    }

    fn try_send(sender: &mut Self::Sender, item: Item) -> bool {
        sender.try_send(item).is_ok()
    }

    async fn recv(receiver: &mut Self::Receiver) -> Option<Item> {
        receiver.recv().await
    }

    fn another(receiver: &Self::Receiver) -> Option<Self::Receiver> {
        Some(receiver.clone())
    }
}
