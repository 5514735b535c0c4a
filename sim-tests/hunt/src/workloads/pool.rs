//! Users of a pool of connections that take time to make, fail, and break.
//!
//! There are never more connections than the pool may have, none has two users, every call ends in time, and in the end
//! the pool can give all it has.

use std::future::Future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::Duration;

use wavetank::runtime::Runtime;
use wavetank::{Host, Sim, sometimes};

use super::{Patience, work};

/// The workload, for the table.
pub(crate) const WORKLOAD: &str =
    "a pool of 1 to 3 connections that fail and break; users that give up, are cancelled, or pause";

/// What the factory does, and what it has made.
#[derive(Debug)]
pub(crate) struct Factory {
    host: Host,
    most: u32,
    alive: AtomicU32,
    made: AtomicU32,
    checked: AtomicU32,
    slowness: u32,
    /// Every how many-th connection cannot be made; 0: all can.
    fails_every: u32,
    /// Every how many-th check of an idle connection fails; 0: none does.
    breaks_every: u32,
    /// Nothing fails any more.
    is_calm: AtomicBool,
}

/// A connection of the pool.
#[derive(Debug)]
pub(crate) struct Connection {
    factory: Arc<Factory>,
    in_use: AtomicBool,
    is_broken: AtomicBool,
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.factory.alive.fetch_sub(1, Ordering::SeqCst);
    }
}

/// The factory or the check failed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Broken;

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("broken")
    }
}

impl std::error::Error for Broken {}

impl Factory {
    fn fails(&self, count: &AtomicU32, every: u32) -> bool {
        let count = 1 + count.fetch_add(1, Ordering::SeqCst);
        every > 0 && count.is_multiple_of(every) && !self.is_calm.load(Ordering::SeqCst)
    }

    /// Makes a connection, which may take time and fail.
    pub(crate) async fn connect(self: &Arc<Self>) -> Result<Connection, Broken> {
        work(self.host, self.slowness).await;
        if self.fails(&self.made, self.fails_every) {
            return Err(Broken);
        }
        let alive = 1 + self.alive.fetch_add(1, Ordering::SeqCst);
        assert!(alive <= self.most, "{alive} connections of a pool that may have {}", self.most);
        Ok(Connection {
            factory: Arc::clone(self),
            in_use: AtomicBool::new(false),
            is_broken: AtomicBool::new(false),
        })
    }

    /// Checks an idle connection, which may take time and fail.
    pub(crate) async fn check(&self, connection: &Connection) -> Result<(), Broken> {
        work(self.host, self.slowness).await;
        let fails = self.fails(&self.checked, self.breaks_every);
        if fails || connection.is_broken.load(Ordering::SeqCst) { Err(Broken) } else { Ok(()) }
    }
}

impl Connection {
    /// Says whether it was broken by its user.
    pub(crate) fn is_broken(&self) -> bool {
        self.is_broken.load(Ordering::SeqCst)
    }
}

/// How a crate gives connections.
pub(crate) trait Pool: Clone + Send + Sync + Sized + 'static {
    /// Gives the connection back when it is dropped.
    type Guard: Send;
    /// Makes a pool of at most `most`, in which a call takes at most `wait`.
    fn open(factory: Arc<Factory>, most: u32, wait: Duration) -> impl Future<Output = Self> + Send;
    /// Takes one. Returns `None` for any error.
    fn get(&self) -> impl Future<Output = Option<Self::Guard>> + Send;
    /// Returns the connection.
    fn connection(guard: &Self::Guard) -> &Connection;
    /// Takes the connection out of the pool for ever, if the crate can.
    fn take(guard: Self::Guard) -> Option<Connection>;
    /// Returns how many connections the pool counts.
    fn size(&self) -> u32;
}

#[derive(Clone, Copy, Debug)]
struct User {
    turns: u32,
    patience: Patience,
    holds: u32,
    pause: u32,
    /// Every how many-th turn breaks its connection, and takes one out; 0: none.
    breaks_every: u32,
    takes_every: u32,
}

const fn hits(turn: u32, every: u32) -> bool {
    every > 0 && turn.is_multiple_of(every)
}

async fn user<P: Pool>(host: Host, pool: P, plan: User, wait: Duration) {
    for turn in 1..=plan.turns {
        let begin = host.now();
        if let Some(Some(guard)) = plan.patience.wait(host, pool.get()).await {
            let connection = P::connection(&guard);
            assert!(!connection.in_use.swap(true, Ordering::SeqCst), "a connection has two users");
            work(host, plan.holds).await;
            if hits(turn, plan.breaks_every) {
                connection.is_broken.store(true, Ordering::SeqCst);
            }
            connection.in_use.store(false, Ordering::SeqCst);
            if hits(turn, plan.takes_every) {
                drop(P::take(guard));
            }
        }
        // Waiting, making, checking, and what the simulator may delay.
        let took = host.now().duration_since(begin);
        assert!(took < wait + Duration::from_secs(2), "a call took {took:?}");
        work(host, plan.pause).await;
    }
}

/// The body of the test: builds the host.
pub(crate) fn users_share<P: Pool>(sim: &mut Sim) {
    let most = 1 + sim.choose("connections", 3);
    let wait = Duration::from_millis([1_000, 1][sim.choose("wait", 2) as usize]);
    let slowness = sim.choose("slowness", 3);
    let fails_every = [0, 3, 2][sim.choose("fails", 3) as usize];
    let breaks_every = [0, 4, 2][sim.choose("breaks", 3) as usize];
    let users = 2 + sim.choose("users", 4);
    let users: Vec<User> = (0..users)
        .map(|_| User {
            turns: 1 + sim.choose("turns", 4),
            patience: Patience::drawn(sim.choose("patience", Patience::KINDS)),
            holds: sim.choose("holds", 3),
            pause: sim.choose("pause", 3),
            breaks_every: [0, 3, 2][sim.choose("user breaks", 3) as usize],
            takes_every: [0, 0, 0, 2][sim.choose("user takes", 4) as usize],
        })
        .collect();
    sim.client("client", async move |host| {
        let factory = Arc::new(Factory {
            host,
            most,
            alive: AtomicU32::new(0),
            made: AtomicU32::new(0),
            checked: AtomicU32::new(0),
            slowness,
            fails_every,
            breaks_every,
            is_calm: AtomicBool::new(false),
        });
        let pool = P::open(Arc::clone(&factory), most, wait).await;
        let users: Vec<_> =
            users.iter().map(|plan| host.spawn("user", user(host, pool.clone(), *plan, wait))).collect();
        for user in users {
            user.await.expect("a task neither panics nor is aborted");
        }
        factory.is_calm.store(true, Ordering::SeqCst);
        let all = (0..most).map(|_| {
            let pool = pool.clone();
            host.spawn("last", async move {
                let begin = host.now();
                loop {
                    let guard = pool.get().await;
                    let waited = host.now().duration_since(begin);
                    if guard.is_some() || waited > Duration::from_secs(5) {
                        break guard;
                    }
                }
            })
        });
        let mut held = Vec::new();
        for last in all.collect::<Vec<_>>() {
            held.push(last.await.expect("a task neither panics nor is aborted"));
        }
        assert!(held.iter().all(Option::is_some), "the pool does not give all it has");
        assert_eq!(pool.size(), most, "what the pool counts");
        drop(held);
        sometimes!(factory.made.load(Ordering::SeqCst) > most, "connections are made again");
        drop(pool);
        // Tasks of the pool end, and with them the last connection.
        host.sleep(Duration::from_secs(1)).await;
        assert_eq!(factory.alive.load(Ordering::SeqCst), 0, "connections are left");
    });
}
