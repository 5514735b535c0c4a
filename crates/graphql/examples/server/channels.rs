//! What both schemas resolve to: channels that texts are published on, numbers that count, and pauses.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_core::Stream;
use tokio::sync::mpsc;
use tokio::time::Sleep;

/// Messages that a subscriber may be behind before it misses some.
const BEHIND_MAX: usize = 64;

/// The longest pause of a query.
const PAUSE_MAX: Duration = Duration::from_secs(60);

/// The channels, each with its subscribers.
#[derive(Clone, Default)]
pub(crate) struct Channels(Arc<Mutex<BTreeMap<String, Vec<mpsc::Sender<String>>>>>);

impl Channels {
    /// Sends a text to the subscribers of a channel, and returns how many it reached.
    pub(crate) fn publish(&self, channel: &str, text: &str) -> i32 {
        let mut channels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(subscribers) = channels.get_mut(channel) else { return 0 };
        subscribers.retain(|subscriber| !subscriber.is_closed());
        let reached =
            subscribers.iter().filter(|subscriber| subscriber.try_send(text.to_owned()).is_ok()).count();
        if subscribers.is_empty() {
            channels.remove(channel);
        }
        i32::try_from(reached).unwrap_or(i32::MAX)
    }

    /// Returns the texts that are published on a channel from now on.
    pub(crate) fn subscribe(&self, channel: String) -> Received {
        let (sender, receiver) = mpsc::channel(BEHIND_MAX);
        self.0.lock().unwrap_or_else(PoisonError::into_inner).entry(channel).or_default().push(sender);
        Received(receiver)
    }
}

/// The texts of a channel.
pub(crate) struct Received(mpsc::Receiver<String>);

impl Stream for Received {
    type Item = String;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<String>> {
        self.0.poll_recv(context)
    }
}

/// Numbers from 1, `every` apart.
pub(crate) struct Count {
    next: i32,
    to: i32,
    every: Duration,
    pause: Pin<Box<Sleep>>,
}

impl Count {
    /// Counts to `to`, or without end; every 100 ms unless `every_ms` says otherwise.
    pub(crate) fn new(to: Option<i32>, every_ms: Option<i32>) -> Self {
        let every = millis(every_ms.unwrap_or(100));
        Self { next: 1, to: to.unwrap_or(i32::MAX), every, pause: Box::pin(sleep(every)) }
    }

    /// Gives 1 at once, and ends.
    pub(crate) fn one() -> Self {
        Self::new(Some(1), Some(0))
    }

    /// Gives nothing, and never ends.
    pub(crate) fn silent() -> Self {
        let ages = Duration::from_secs(1 << 32);
        Self { next: 1, to: 1, every: ages, pause: Box::pin(sleep(ages)) }
    }
}

impl Stream for Count {
    type Item = i32;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<i32>> {
        if self.next > self.to {
            return Poll::Ready(None);
        }
        if !self.every.is_zero() {
            ready!(self.pause.as_mut().poll(context));
            self.pause = Box::pin(sleep(self.every));
        }
        self.next += 1;
        Poll::Ready(Some(self.next - 1))
    }
}

/// Waits for a second, or as long as `ms` says.
pub(crate) async fn pause(ms: Option<i32>) {
    sleep(millis(ms.unwrap_or(1000)).min(PAUSE_MAX)).await;
}

fn millis(ms: i32) -> Duration {
    Duration::from_millis(u64::try_from(ms).unwrap_or(0))
}

#[expect(clippy::disallowed_methods, reason = "an example of a server on Tokio")]
fn sleep(duration: Duration) -> Sleep {
    tokio::time::sleep(duration)
}
