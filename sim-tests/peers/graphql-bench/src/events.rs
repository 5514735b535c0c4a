//! What the subscriptions of every schema yield.
//!
//! - `count`: the numbers from 1, always ready
//! - `one`: 1, and the end
//! - `events`: the numbers that [`publish`] is given
//! - `silent`: nothing, without end
//! - `padded`: texts of 1 KiB, always ready
//!
//! Every query is `{ hello }`.

use futures::stream::{self, BoxStream, StreamExt};
use std::sync::LazyLock;
use tokio::sync::broadcast;

static EVENTS: LazyLock<broadcast::Sender<i32>> = LazyLock::new(|| broadcast::Sender::new(256));

/// Yields the numbers from 1.
pub fn count() -> BoxStream<'static, i32> {
    stream::iter(1..).boxed()
}

/// Yields 1 and ends.
pub fn one() -> BoxStream<'static, i32> {
    stream::iter([1]).boxed()
}

/// Yields nothing.
pub fn silent() -> BoxStream<'static, i32> {
    stream::pending().boxed()
}

/// Yields texts of 1 KiB.
pub fn padded() -> BoxStream<'static, String> {
    stream::repeat_with(|| "x".repeat(1024)).boxed()
}

/// Yields what is published from now on.
pub fn events() -> BoxStream<'static, i32> {
    let receiver = EVENTS.subscribe();
    stream::unfold(receiver, |mut receiver| async move {
        let event = receiver.recv().await.expect("no reader is 256 events behind");
        Some((event, receiver))
    })
    .boxed()
}

/// Waits until there are so many streams of `events`, and those of earlier runs are gone. A handler may answer a query
/// before it has polled a subscription that came first.
pub async fn streams(count: usize) {
    while EVENTS.receiver_count() != count {
        tokio::task::yield_now().await;
    }
}

/// Publishes a number to every stream of `events`.
pub fn publish(number: i32) {
    EVENTS.send(number).expect("there are streams");
}
