//! What a benchmark asks of a contender, and how a contender with `Stream` and `Sink` gives it.

use std::future::poll_fn;
use std::task::{Context, Poll, ready};

use crate::payload::Payload;

/// An open connection of a contender, in the client's role. Failures panic: a benchmark has no use for half a result.
pub trait Socket {
    /// Sends a message and leaves nothing in buffers.
    async fn send(&mut self, payload: &Payload) {
        self.feed(payload).await;
        self.flush().await;
    }
    /// Sends a message, which may stay in a buffer.
    async fn feed(&mut self, payload: &Payload);
    /// Writes out what `feed` left in buffers.
    async fn flush(&mut self);
    /// Receives a message and gives its length.
    async fn receive(&mut self) -> usize;
}

/// A connection that sends and receives at once.
pub trait Pipelined {
    /// Sends `count` messages and receives as many, with at most `window` sent and not yet received.
    ///
    /// Sends as much as the window lets it before it flushes, and flushes before it waits.
    async fn pipeline(&mut self, payload: &Payload, count: u64, window: u64);
}

/// A connection in the manner of `Stream` and `Sink`.
pub trait Polled {
    /// As `Sink::poll_ready`.
    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<()>;
    /// As `Sink::start_send`.
    fn start_send(&mut self, payload: &Payload);
    /// As `Sink::poll_flush`.
    fn poll_flush(&mut self, context: &mut Context<'_>) -> Poll<()>;
    /// As `Stream::poll_next`: the length of a message.
    fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<usize>;
}

impl<T: Polled> Socket for T {
    async fn feed(&mut self, payload: &Payload) {
        poll_fn(|context| self.poll_ready(context)).await;
        self.start_send(payload);
    }

    async fn flush(&mut self) {
        poll_fn(|context| self.poll_flush(context)).await;
    }

    async fn receive(&mut self) -> usize {
        poll_fn(|context| self.poll_receive(context)).await
    }
}

impl<T: Polled> Pipelined for T {
    async fn pipeline(&mut self, payload: &Payload, count: u64, window: u64) {
        let mut sent = 0;
        let mut received = 0;
        let mut flushed = true;
        poll_fn(|context| {
            loop {
                let before = (sent, received);
                while sent < count && sent - received < window && self.poll_ready(context).is_ready() {
                    self.start_send(payload);
                    sent += 1;
                    flushed = false;
                }
                if !flushed {
                    flushed = self.poll_flush(context).is_ready();
                }
                while let Poll::Ready(length) = self.poll_receive(context) {
                    assert_eq!(length, payload.bytes.len(), "an answer as long as the question");
                    received += 1;
                    if received == count {
                        return Poll::Ready(());
                    }
                }
                if before == (sent, received) {
                    return Poll::Pending;
                }
            }
        })
        .await;
    }
}

/// Unwraps what a contender's `poll_next` gave.
pub fn message<M, E: std::fmt::Debug>(polled: Poll<Option<Result<M, E>>>) -> Poll<M> {
    Poll::Ready(ready!(polled).expect("the peer goes on").expect("the peer keeps to the protocol"))
}

/// Unwraps what a contender's `poll_ready` or `poll_flush` gave.
pub fn done<E: std::fmt::Debug>(polled: Poll<Result<(), E>>) -> Poll<()> {
    polled.map(|result| result.expect("the peer goes on"))
}
