//! futures-util and futures-channel: a mutex, and a bounded channel.

use futures_channel::mpsc;
use futures_util::lock::{Mutex, MutexGuard};
use futures_util::{SinkExt, StreamExt};

use crate::ledger::Item;
use crate::subject::Subject;
use crate::workloads::channel::{self, Channel};
use crate::workloads::mutex::{self, Lock};

pub(crate) const SUBJECTS: &[Subject] = &[
    Subject {
        package: "futures-util",
        name: "mutex",
        workload: mutex::WORKLOAD,
        known: &[],
        body: mutex::tasks_contend::<Mutex<()>>,
    },
    Subject {
        package: "futures-channel",
        name: "mpsc",
        workload: channel::WORKLOAD,
        known: &[],
        body: channel::producers_and_consumers::<Bounded>,
    },
];

impl Lock for Mutex<()> {
    type Guard<'a> = MutexGuard<'a, ()>;

    fn open(_: u32) -> Self {
        Self::new(())
    }

    fn permits(&self) -> u32 {
        1
    }

    async fn lock(&self, _: u32) -> Self::Guard<'_> {
        Self::lock(self).await
    }

    fn try_lock(&self, _: u32) -> Option<Self::Guard<'_>> {
        Self::try_lock(self)
    }
}

struct Bounded;

impl Channel for Bounded {
    type Sender = mpsc::Sender<Item>;
    type Receiver = mpsc::Receiver<Item>;
    // Each sender has a place of its own.
    const EXTRA: usize = 1;

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
        receiver.next().await
    }

    fn another(_: &Self::Receiver) -> Option<Self::Receiver> {
        None
    }
}
