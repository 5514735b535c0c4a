//! Publishing and subscribing within the mock.

use std::collections::{BTreeMap, VecDeque};
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use futures_core::Stream;

use super::{Live, data, quoted};

/// Texts that wait for one subscription. The oldest gives way to the newest.
const WAITING_MAX: usize = 1024;

#[derive(Debug, Default)]
pub(super) struct Channels {
    state: Arc<Mutex<State>>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    subscribers: BTreeMap<(String, u64), Subscriber>,
}

#[derive(Debug, Default)]
struct Subscriber {
    waiting: VecDeque<String>,
    waker: Option<Waker>,
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Channels {
    /// Gives a text to the subscriptions of a channel, and returns how many there are.
    pub(super) fn publish(&self, channel: &str, text: &str) -> usize {
        let mut wakers = Vec::new();
        let mut reached = 0;
        {
            let mut state = lock(&self.state);
            let of_channel = (channel.to_owned(), 0)..=(channel.to_owned(), u64::MAX);
            for (_, subscriber) in state.subscribers.range_mut(of_channel) {
                if subscriber.waiting.len() >= WAITING_MAX {
                    subscriber.waiting.pop_front();
                }
                subscriber.waiting.push_back(text.to_owned());
                wakers.extend(subscriber.waker.take());
                reached += 1;
            }
        }
        for waker in wakers {
            waker.wake();
        }
        reached
    }

    pub(super) fn subscribe(&self, channel: &str, live: Live) -> Subscription {
        let mut state = lock(&self.state);
        let key = (channel.to_owned(), state.next);
        state.next += 1;
        state.subscribers.insert(key.clone(), Subscriber::default());
        Subscription { state: Arc::clone(&self.state), key, live }
    }
}

/// What is published on a channel.
pub(super) struct Subscription {
    state: Arc<Mutex<State>>,
    key: (String, u64),
    live: Live,
}

impl Stream for Subscription {
    type Item = String;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<String>> {
        let mut state = lock(&self.state);
        let Some(subscriber) = state.subscribers.get_mut(&self.key) else { return Poll::Ready(None) };
        match subscriber.waiting.pop_front() {
            Some(text) => {
                self.live.result();
                Poll::Ready(Some(data("channel", quoted(&text))))
            }
            None => {
                subscriber.waker = Some(context.waker().clone());
                Poll::Pending
            }
        }
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        lock(&self.state).subscribers.remove(&self.key);
    }
}
