//! event-listener: a semaphore as its documentation teaches: try, listen, try again, wait.

use std::sync::atomic::{AtomicU32, Ordering};

use event_listener::Event;

use crate::subject::Subject;
use crate::workloads::mutex::{self, Lock};

pub(crate) const SUBJECTS: &[Subject] = &[Subject {
    package: "event-listener",
    name: "notify",
    workload: "a semaphore of `Event::notify(1)` and `listen` under the load of the locks",
    known: &[],
    body: mutex::tasks_contend::<Permits>,
}];

#[derive(Debug)]
struct Permits {
    event: Event,
    free: AtomicU32,
    count: u32,
}

struct Guard<'a>(&'a Permits);

impl Drop for Guard<'_> {
    fn drop(&mut self) {
        self.0.free.fetch_add(1, Ordering::SeqCst);
        self.0.event.notify(1);
    }
}

impl Lock for Permits {
    type Guard<'a> = Guard<'a>;

    fn open(permits: u32) -> Self {
        Self { event: Event::new(), free: AtomicU32::new(permits), count: permits }
    }

    fn permits(&self) -> u32 {
        self.count
    }

    fn weigh(&self, _: u32) -> u32 {
        1
    }

    async fn lock(&self, kind: u32) -> Guard<'_> {
        loop {
            if let Some(guard) = self.try_lock(kind) {
                return guard;
            }
            let listener = self.event.listen();
            if let Some(guard) = self.try_lock(kind) {
                return guard;
            }
            listener.await;
        }
    }

    fn try_lock(&self, _: u32) -> Option<Guard<'_>> {
        let took = self.free.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |free| free.checked_sub(1));
        took.is_ok().then(|| Guard(self))
    }

    fn try_all(&self) -> bool {
        let all: Option<Vec<_>> = (0..self.count).map(|_| self.try_lock(1)).collect();
        all.is_some()
    }
}
