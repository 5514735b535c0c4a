//! Which tasks wait for which socket or listener of the network.
//!
//! Sockets and listeners are numbered from 0 and no number is used twice, so their wakers are in lists by number.
//!
//! Nothing here clones, drops or wakes a waker, because that may run code under test, which may call back.

use std::collections::BTreeMap;
use std::task::Waker;

use crate::net::{Direction, Ready};

/// The wakers of a run's sockets and listeners.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    sockets: Vec<[Vec<Waker>; Direction::COUNT]>,
    listeners: Vec<Vec<Waker>>,
    /// Datagram and Unix sockets, of which there are few.
    others: BTreeMap<Ready, Vec<Waker>>,
}

impl Waiters {
    /// Returns `true` if `waker` is woken once `ready` is ready.
    pub(super) fn has(&mut self, ready: Ready, waker: &Waker) -> bool {
        self.list(ready).is_some_and(|waiting| waiting.iter().any(|known| known.will_wake(waker)))
    }

    /// Wakes `waker` once `ready` is ready.
    pub(super) fn add(&mut self, ready: Ready, waker: Waker) {
        self.list_to_add(ready).push(waker);
    }

    /// Returns `true` if `waker`, and no other, is woken once `ready` is ready.
    pub(super) fn has_only(&mut self, ready: Ready, waker: &Waker) -> bool {
        self.list(ready).is_some_and(|waiting| matches!(&**waiting, [only] if only.will_wake(waker)))
    }

    /// Wakes `waker`, and no other, once `ready` is ready. The caller drops the others, when nothing is borrowed.
    pub(super) fn replace(&mut self, ready: Ready, waker: Waker) -> Vec<Waker> {
        let waiting = self.list_to_add(ready);
        let others = if waiting.is_empty() { Vec::new() } else { std::mem::take(waiting) };
        waiting.push(waker);
        others
    }

    /// Moves the wakers of `ready` to the end of `wakers`.
    pub(super) fn take(&mut self, ready: Ready, wakers: &mut Vec<Waker>) {
        if let Some(waiting) = self.list(ready) {
            wakers.append(waiting);
        }
    }

    /// Forgets the wakers of a closed `ready`. The caller drops the wakers, when nothing is borrowed.
    pub(super) fn forget(&mut self, ready: Ready) -> Vec<Waker> {
        let other = self.others.remove(&ready);
        other.or_else(|| self.list(ready).map(std::mem::take)).unwrap_or_default()
    }

    fn list(&mut self, ready: Ready) -> Option<&mut Vec<Waker>> {
        match ready {
            Ready::Socket(socket, direction) => {
                Some(&mut self.sockets.get_mut(socket.index())?[direction as usize])
            }
            Ready::Listener(listener) => self.listeners.get_mut(listener.index()),
            other => self.others.get_mut(&other),
        }
    }

    fn list_to_add(&mut self, ready: Ready) -> &mut Vec<Waker> {
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
