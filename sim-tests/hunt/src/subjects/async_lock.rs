//! async-lock: mutex, semaphore, and a lock of readers and writers.

use async_lock::{
    Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockUpgradableReadGuard, RwLockWriteGuard, Semaphore,
    SemaphoreGuard,
};

use crate::subject::{Known, Subject};
use crate::workloads::mutex::{self, Lock};

pub(crate) const SUBJECTS: &[Subject] = &[
    Subject {
        package: "async-lock",
        name: "mutex",
        workload: mutex::WORKLOAD,
        known: &[],
        body: mutex::tasks_contend::<Mutex<()>>,
    },
    Subject {
        package: "async-lock",
        name: "semaphore",
        workload: "the same, `Semaphore`",
        known: &[],
        body: mutex::tasks_contend::<Permits>,
    },
    Subject {
        package: "async-lock",
        name: "rwlock",
        workload: "the same, `RwLock`: readers, writers, readers that upgrade",
        known: &[Known {
            symptom: "a waiter is woken again and again",
            verdict: "**bug**: two readers wake each other in a loop while a writer has the lock \
                      ([zoo](../zoo/async-lock-3.5.0/REPORT.md))",
        }],
        body: mutex::tasks_contend::<ReadersAndWriters>,
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

#[derive(Debug)]
struct Permits {
    semaphore: Semaphore,
    count: u32,
}

impl Lock for Permits {
    type Guard<'a> = SemaphoreGuard<'a>;

    fn open(permits: u32) -> Self {
        Self { semaphore: Semaphore::new(permits as usize), count: permits }
    }

    fn permits(&self) -> u32 {
        self.count
    }

    // It gives one at a time.
    fn weigh(&self, _: u32) -> u32 {
        1
    }

    async fn lock(&self, _: u32) -> Self::Guard<'_> {
        self.semaphore.acquire().await
    }

    fn try_lock(&self, _: u32) -> Option<Self::Guard<'_>> {
        self.semaphore.try_acquire()
    }

    fn try_all(&self) -> bool {
        let all: Option<Vec<_>> = (0..self.count).map(|_| self.semaphore.try_acquire()).collect();
        all.is_some()
    }
}

/// Kind 1 reads, 2 reads and upgrades, 3 writes.
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
            2 => Guard::Write(RwLockUpgradableReadGuard::upgrade(self.0.upgradable_read().await).await),
            _ => Guard::Write(self.0.write().await),
        }
    }

    fn try_lock(&self, kind: u32) -> Option<Guard<'_>> {
        if kind == 1 { self.0.try_read().map(Guard::Read) } else { self.0.try_write().map(Guard::Write) }
    }
}
