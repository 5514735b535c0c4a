//! tachyonix: a bounded channel with one consumer.

use tachyonix::{Receiver, Sender};

use crate::ledger::Item;
use crate::sweep::Subject;
use crate::workloads::channel::{self, Channel};

pub(crate) const SUBJECTS: &[Subject] = &[Subject {
    package: "tachyonix",
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
        tachyonix::channel(capacity)
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

    fn another(_: &Self::Receiver) -> Option<Self::Receiver> {
        None
    }
}
