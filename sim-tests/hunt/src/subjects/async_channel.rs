//! async-channel: a bounded channel with several consumers.

use async_channel::{Receiver, Sender};

use crate::ledger::Item;
use crate::sweep::Subject;
use crate::workloads::channel::{self, Channel};

pub(crate) const SUBJECTS: &[Subject] = &[Subject {
    package: "async-channel",
    name: "bounded",
    workload: channel::WORKLOAD,
    known: &[],
    body: channel::producers_and_consumers::<Bounded>,
}];

struct Bounded;

impl Channel for Bounded {
    type Sender = Sender<Item>;
    type Receiver = Receiver<Item>;

    fn open(capacity: usize) -> (Self::Sender, Self::Receiver) {
        async_channel::bounded(capacity)
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
