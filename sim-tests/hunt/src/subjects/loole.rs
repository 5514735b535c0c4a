//! loole: a bounded channel with several consumers.

use loole::{Receiver, Sender};

use crate::ledger::Item;
use crate::sweep::Subject;
use crate::workloads::channel::{self, Channel};

pub(crate) const SUBJECTS: &[Subject] = &[Subject {
    package: "loole",
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
        loole::bounded(capacity)
    }

    async fn send(sender: &mut Self::Sender, item: Item) -> bool {
        sender.send_async(item).await.is_ok()
    }

    fn try_send(sender: &mut Self::Sender, item: Item) -> bool {
        sender.try_send(item).is_ok()
    }

    async fn recv(receiver: &mut Self::Receiver) -> Option<Item> {
        receiver.recv_async().await.ok()
    }

    fn another(receiver: &Self::Receiver) -> Option<Self::Receiver> {
        Some(receiver.clone())
    }
}
