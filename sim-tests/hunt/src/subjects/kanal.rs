//! kanal: a bounded channel with several consumers.

use kanal::{AsyncReceiver, AsyncSender};

use crate::ledger::Item;
use crate::subject::{Known, Subject};
use crate::workloads::channel::{self, Channel};

pub(crate) const SUBJECTS: &[Subject] = &[Subject {
    package: "kanal",
    name: "bounded",
    workload: channel::WORKLOAD,
    known: &[Known {
        symptom: "deadlock: nothing can happen: client/main waits for the end of client/",
        verdict: "**bug**: a `send` that is polled with a new waker wakes the old one \
                  ([zoo](../zoo/kanal-0.1.1/REPORT.md))",
    }],
    body: channel::producers_and_consumers::<Bounded>,
}];

struct Bounded;

impl Channel for Bounded {
    type Sender = AsyncSender<Item>;
    type Receiver = AsyncReceiver<Item>;
    // The documentation says that a receive that is given up may lose a value.
    const CANCELS: bool = false;

    fn open(capacity: usize) -> (Self::Sender, Self::Receiver) {
        kanal::bounded_async(capacity)
    }

    async fn send(sender: &mut Self::Sender, item: Item) -> bool {
        sender.send(item).await.is_ok()
    }

    fn try_send(sender: &mut Self::Sender, item: Item) -> bool {
        sender.try_send(item).is_ok_and(|is_taken| is_taken)
    }

    async fn recv(receiver: &mut Self::Receiver) -> Option<Item> {
        receiver.recv().await.ok()
    }

    fn another(receiver: &Self::Receiver) -> Option<Self::Receiver> {
        Some(receiver.clone())
    }
}
