//! Which tasks wait for which socket or listener of the network.
//!
//! Sockets and listeners are numbered from 0 and no number is used twice, so what waits for them is in lists by number.
//!
//! Nothing here clones, drops or wakes a waker, because that may run code under test, which may call back.

use std::collections::BTreeMap;
use std::task::Waker;

use crate::net::{Direction, Ready};
use crate::sched::Waiter;
use crate::wait::TaskId;

/// What waits for a run's sockets and listeners.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    sockets: Vec<[Vec<Waiter>; Direction::COUNT]>,
    listeners: Vec<Vec<Waiter>>,
    /// Datagram and Unix sockets, of which there are few.
    others: BTreeMap<Ready, Vec<Waiter>>,
}

impl Waiters {
    /// Returns `true` if `waker`, which is that of `task` if one is given, is woken once `ready` is ready.
    pub(super) fn has(&mut self, ready: Ready, waker: &Waker, task: Option<TaskId>) -> bool {
        self.list(ready).is_some_and(|waiting| waiting.iter().any(|known| known.is(waker, task)))
    }

    /// Wakes `waiter` once `ready` is ready.
    pub(super) fn add(&mut self, ready: Ready, waiter: Waiter) {
        self.list_to_add(ready).push(waiter);
    }

    /// Returns `true` if `waker`, which is that of `task` if one is given, and no other is woken once `ready` is ready.
    pub(super) fn has_only(&mut self, ready: Ready, waker: &Waker, task: Option<TaskId>) -> bool {
        self.list(ready).is_some_and(|waiting| matches!(&**waiting, [only] if only.is(waker, task)))
    }

    /// Wakes `waiter`, and no other, once `ready` is ready. The caller drops the others, when nothing is borrowed.
    #[inline]
    pub(super) fn replace(&mut self, ready: Ready, waiter: Waiter) -> Vec<Waiter> {
        let waiting = self.list_to_add(ready);
        let others = if waiting.is_empty() { Vec::new() } else { std::mem::take(waiting) };
        waiting.push(waiter);
        others
    }

    /// Moves what waits for `ready` to the end of `waiters`.
    #[inline]
    pub(super) fn take(&mut self, ready: Ready, waiters: &mut Vec<Waiter>) {
        if let Some(waiting) = self.list(ready) {
            if waiting.len() == 1 {
                waiters.extend(waiting.pop());
            } else {
                waiters.append(waiting);
            }
        }
    }

    /// Forgets what waits for a closed `ready`. The caller drops it, when nothing is borrowed.
    pub(super) fn forget(&mut self, ready: Ready) -> Vec<Waiter> {
        let other = self.others.remove(&ready);
        other.or_else(|| self.list(ready).map(std::mem::take)).unwrap_or_default()
    }

    fn list(&mut self, ready: Ready) -> Option<&mut Vec<Waiter>> {
        match ready {
            Ready::Socket(socket, direction) => {
                Some(&mut self.sockets.get_mut(socket.index())?[direction as usize])
            }
            Ready::Listener(listener) => self.listeners.get_mut(listener.index()),
            other => self.others.get_mut(&other),
        }
    }

    #[inline]
    fn list_to_add(&mut self, ready: Ready) -> &mut Vec<Waiter> {
        match ready {
            Ready::Socket(socket, direction) => {
                &mut grown(&mut self.sockets, socket.index())[direction as usize]
            }
            Ready::Listener(listener) => grown(&mut self.listeners, listener.index()),
            other => self.others.entry(other).or_default(),
        }
    }
}

fn grown<T: Default>(lists: &mut Vec<T>, index: usize) -> &mut T {
    if index >= lists.len() {
        lists.resize_with(index + 1, T::default);
    }
    &mut lists[index]
}
