//! mea: a bounded channel with one consumer, mutex, semaphore, and a lock of readers and writers.

use mea::mpsc::{BoundedReceiver, BoundedSender, bounded};
use mea::mutex::{Mutex, MutexGuard};
use mea::rwlock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
use mea::semaphore::{Semaphore, SemaphorePermit};

use crate::ledger::Item;
use crate::subject::Subject;
use crate::workloads::channel::{self, Channel};
use crate::workloads::mutex::{self, Lock};

pub(crate) const SUBJECTS: &[Subject] = &[
    Subject {
        package: "mea",
        name: "mpsc",
        workload: channel::WORKLOAD,
        known: &[],
        body: channel::producers_and_consumers::<Bounded>,
    },
    Subject {
        package: "mea",
        name: "mutex",
        workload: mutex::WORKLOAD,
        known: &[],
        body: mutex::tasks_contend::<Mutex<()>>,
    },
    Subject {
        package: "mea",
        name: "semaphore",
        workload: "the same, `Semaphore`, 1 to 3 permits at once",
        known: &[],
        body: mutex::tasks_contend::<Permits>,
    },
    Subject {
        package: "mea",
        name: "rwlock",
        workload: "the same, `RwLock`",
        known: &[],
        body: mutex::tasks_contend::<ReadersAndWriters>,
    },
];

struct Bounded;

impl Channel for Bounded {
    type Sender = BoundedSender<Item>;
    type Receiver = BoundedReceiver<Item>;

    fn open(capacity: usize) -> (Self::Sender, Self::Receiver) {
        bounded(capacity)
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

#[derive(Debug)]
struct Permits {
    semaphore: Semaphore,
    count: u32,
}

impl Lock for Permits {
    type Guard<'a> = SemaphorePermit<'a>;

    fn open(permits: u32) -> Self {
        Self { semaphore: Semaphore::new(permits as usize), count: permits }
    }

    fn permits(&self) -> u32 {
        self.count
    }

    async fn lock(&self, kind: u32) -> Self::Guard<'_> {
        self.semaphore.acquire(self.weigh(kind) as usize).await
    }

    fn try_lock(&self, kind: u32) -> Option<Self::Guard<'_>> {
        self.semaphore.try_acquire(self.weigh(kind) as usize)
    }
}

/// Kind 1 reads, the others write.
#[derive(Debug)]
struct ReadersAndWriters(RwLock<()>);

#[expect(dead_code, reason = "guards are only held")]
enum Guard<'a> {
    Read(RwLockReadGuard<'a, ()>),
    Write(RwLockWriteGuard<'a, ()>),
}

impl Lock for ReadersAndWriters {
    type Guard<'a> = Guard<'a>;

    fn open(_: u32) -> Self {
        Self(RwLock::new(()))
    }

    // As many readers as there are tasks. A writer takes the place of all.
    fn permits(&self) -> u32 {
        mutex::USERS_MAX
    }

    fn weigh(&self, kind: u32) -> u32 {
        if kind == 1 { 1 } else { mutex::USERS_MAX }
    }

    async fn lock(&self, kind: u32) -> Guard<'_> {
        match kind {
            1 => Guard::Read(self.0.read().await),
            _ => Guard::Write(self.0.write().await),
        }
    }

    fn try_lock(&self, kind: u32) -> Option<Guard<'_>> {
        if kind == 1 { self.0.try_read().map(Guard::Read) } else { self.0.try_write().map(Guard::Write) }
    }
}
