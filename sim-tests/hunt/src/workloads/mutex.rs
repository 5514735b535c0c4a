//! Tasks that contend for one lock, or for the permits of a semaphore.
//!
//! Some wait for ever, some give up, some are cancelled or not polled for a while. There are never more inside than may
//! be, every task gets in, and in the end all that was taken is there again.

use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use wavetank::runtime::Runtime;
use wavetank::{Host, Sim};

use super::{Patience, work};

/// How many tasks there are at most.
pub(crate) const USERS_MAX: u32 = 5;

/// How a crate locks.
pub(crate) trait Lock: Send + Sync + Sized + 'static {
    /// Holds what was taken until it is dropped.
    type Guard<'a>: Send;
    /// Makes one for `permits` tasks at once. One for a single task ignores the number, and says 1 in
    /// [`permits`](Self::permits).
    fn open(permits: u32) -> Self;
    /// Returns how many tasks may be inside at once.
    fn permits(&self) -> u32;
    /// Returns how many of the permits a task of this kind (1 to 3) takes.
    fn weigh(&self, kind: u32) -> u32 {
        kind.min(self.permits())
    }
    /// Takes what a task of this kind takes.
    fn lock(&self, kind: u32) -> impl Future<Output = Self::Guard<'_>> + Send;
    /// Tries to take it.
    fn try_lock(&self, kind: u32) -> Option<Self::Guard<'_>>;
    /// Tries to take all there is.
    fn try_all(&self) -> bool {
        self.try_lock(3).is_some()
    }
}

/// The workload, for the table.
pub(crate) const WORKLOAD: &str = "2 to 5 tasks contend: they wait, give up, are cancelled, or pause";

#[derive(Clone, Copy, Debug)]
struct User {
    turns: u32,
    patience: Patience,
    kind: u32,
    tries: bool,
    holds: u32,
    pause: u32,
}

#[derive(Debug)]
struct Shared<L> {
    lock: L,
    inside: AtomicU32,
}

/// How often a task may be woken while it waits. No task is inside for longer than a millisecond.
const POLLS_MAX: u32 = 2_000;

/// Waits for a lock, and fails if it takes too many polls: then waiters wake each other without end.
async fn calmly<T>(lock: impl Future<Output = T>) -> T {
    let mut polls = 0;
    let mut lock = pin!(lock);
    poll_fn(|context| {
        polls += 1;
        assert!(polls <= POLLS_MAX, "a waiter is woken again and again, while it cannot get in");
        lock.as_mut().poll(context)
    })
    .await
}

async fn user<L: Lock>(host: Host, shared: Arc<Shared<L>>, plan: User) {
    let weight = shared.lock.weigh(plan.kind);
    for turn in 0..plan.turns {
        let guard = if plan.tries && turn % 2 == 1 {
            shared.lock.try_lock(plan.kind)
        } else {
            plan.patience.wait(host, calmly(shared.lock.lock(plan.kind))).await
        };
        if let Some(guard) = guard {
            let inside = shared.inside.fetch_add(weight, Ordering::SeqCst) + weight;
            let most = shared.lock.permits();
            assert!(inside <= most, "{inside} are inside where {most} may be");
            work(host, plan.holds).await;
            shared.inside.fetch_sub(weight, Ordering::SeqCst);
            drop(guard);
        }
        work(host, plan.pause).await;
    }
}

/// The body of the test: builds the host.
pub(crate) fn tasks_contend<L: Lock>(sim: &mut Sim) {
    let permits = 1 + sim.choose("permits", 3);
    let users = 2 + sim.choose("users", USERS_MAX - 1);
    let users: Vec<User> = (0..users)
        .map(|_| User {
            turns: 1 + sim.choose("turns", 4),
            patience: Patience::drawn(sim.choose("patience", Patience::KINDS)),
            kind: 1 + sim.choose("kind", 3),
            tries: sim.choose("tries", 4) == 3,
            holds: sim.choose("holds", 3),
            pause: sim.choose("pause", 3),
        })
        .collect();
    sim.client("client", async move |host| {
        let shared = Arc::new(Shared { lock: L::open(permits), inside: AtomicU32::new(0) });
        let users = users.iter().map(|plan| host.spawn("user", user(host, Arc::clone(&shared), *plan)));
        let users: Vec<_> = users.collect();
        for user in users {
            user.await.expect("a task neither panics nor is aborted");
        }
        assert!(shared.lock.try_all(), "not all permits came back");
    });
}
