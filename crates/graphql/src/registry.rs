//! What all connections of a server share: how many there are, and whether the server shuts down.

use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use crate::close::{CloseCode, CloseFrame};

/// How a server shuts down: every connection is drained, and then closed.
///
/// While a connection drains, its queries and mutations may end, and nothing new is started. It is closed when no query
/// and no mutation is running, and at the latest after the drain timeout. The close code tells the client that it may
/// connect again: npm's `graphql-ws` then repeats its subscriptions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shutdown {
    pub(crate) frame: CloseFrame,
    pub(crate) drain_timeout: Duration,
}

impl Shutdown {
    /// The server goes away: 1001.
    #[must_use]
    pub fn going_away(drain_timeout: Duration) -> Self {
        Self { frame: CloseFrame::new(CloseCode::GOING_AWAY, "Going away"), drain_timeout }
    }

    /// The service restarts: 1012.
    #[must_use]
    pub fn restart(drain_timeout: Duration) -> Self {
        Self { frame: CloseFrame::new(CloseCode::SERVICE_RESTART, "Service restart"), drain_timeout }
    }
}

/// What a connection is woken with, to look around.
pub(crate) trait Notify: Send + Sync {
    fn notify(&self);
}

#[derive(Default)]
struct State {
    next: u64,
    connections: BTreeMap<u64, Arc<dyn Notify>>,
    shutdown: Option<Shutdown>,
    /// Tasks that wait until no connection is left.
    waiting: Vec<Waker>,
}

/// What all connections of a server share.
#[derive(Default)]
pub(crate) struct Registry {
    state: Mutex<State>,
    /// Whether `shutdown` is set: spares a look under the lock.
    shuts_down: AtomicBool,
    operations: AtomicUsize,
}

impl Registry {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts a connection, unless there are `connections_max` already.
    pub(crate) fn enter(
        self: &Arc<Self>,
        connections_max: usize,
        notify: Arc<dyn Notify>,
    ) -> Option<Membership> {
        let mut state = self.state();
        if state.connections.len() >= connections_max {
            return None;
        }
        let number = state.next;
        state.next += 1;
        state.connections.insert(number, notify);
        Some(Membership { number, registry: Arc::clone(self) })
    }

    /// Counts an operation, unless there are `operations_max` already.
    pub(crate) fn start_operation(self: &Arc<Self>, operations_max: usize) -> Option<OperationPermit> {
        let counted = self.operations.fetch_update(Ordering::AcqRel, Ordering::Acquire, |operations| {
            (operations < operations_max).then_some(operations + 1)
        });
        counted.ok().map(|_| OperationPermit { registry: Arc::clone(self) })
    }

    pub(crate) fn connections(&self) -> usize {
        self.state().connections.len()
    }

    pub(crate) fn operations(&self) -> usize {
        self.operations.load(Ordering::Acquire)
    }

    /// Returns how to shut down, once the server does.
    pub(crate) fn shutdown(&self) -> Option<Shutdown> {
        if self.shuts_down.load(Ordering::Acquire) { self.state().shutdown.clone() } else { None }
    }

    /// Tells every connection to shut down. The first call counts.
    pub(crate) fn begin_shutdown(&self, shutdown: Shutdown) {
        let connections: Vec<Arc<dyn Notify>> = {
            let mut state = self.state();
            state.shutdown.get_or_insert(shutdown);
            self.shuts_down.store(true, Ordering::Release);
            state.connections.values().cloned().collect()
        };
        for connection in connections {
            connection.notify();
        }
    }

    /// Waits until there is no connection.
    pub(crate) async fn empty(&self) {
        poll_fn(|context| {
            let mut state = self.state();
            if state.connections.is_empty() {
                return Poll::Ready(());
            }
            if !state.waiting.iter().any(|waiting| waiting.will_wake(context.waker())) {
                state.waiting.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }
}

/// One connection of a server, until it is dropped.
pub(crate) struct Membership {
    number: u64,
    registry: Arc<Registry>,
}

impl Drop for Membership {
    fn drop(&mut self) {
        let waiting = {
            let mut state = self.registry.state();
            state.connections.remove(&self.number);
            if state.connections.is_empty() { std::mem::take(&mut state.waiting) } else { Vec::new() }
        };
        for waiting in waiting {
            waiting.wake();
        }
    }
}

/// One operation of a server, until it is dropped.
pub(crate) struct OperationPermit {
    registry: Arc<Registry>,
}

impl Drop for OperationPermit {
    fn drop(&mut self) {
        self.registry.operations.fetch_sub(1, Ordering::AcqRel);
    }
}
