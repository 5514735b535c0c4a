//! The transport of all contenders: one direction of a connection in memory, with room for so many messages.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll, Waker};

use futures::{Sink, Stream};

/// Messages of a direction that fit in.
pub const CAPACITY: usize = 64;

#[derive(Default)]
struct State {
    queue: VecDeque<String>,
    is_over: bool,
    reader: Option<Waker>,
    writer: Option<Waker>,
}

type Shared = Arc<Mutex<State>>;

/// Puts messages in. Dropping it ends the receiver's stream behind them.
pub struct Sender(Shared);

/// Takes messages out. When it is gone, sending fails.
pub struct Receiver(Shared);

/// The other end is gone.
#[derive(Debug)]
pub struct Gone;

/// Makes a direction.
pub fn pipe() -> (Sender, Receiver) {
    let shared = Shared::default();
    (Sender(Arc::clone(&shared)), Receiver(shared))
}

fn state(shared: &Shared) -> MutexGuard<'_, State> {
    shared.lock().expect("nothing panics under the lock")
}

fn wake(waker: Option<Waker>) {
    if let Some(waker) = waker {
        waker.wake();
    }
}

fn end(shared: &Shared) {
    let mut state = state(shared);
    state.is_over = true;
    let wakers = [state.reader.take(), state.writer.take()];
    drop(state);
    wakers.into_iter().for_each(wake);
}

impl Sender {
    /// Waits for room.
    pub fn poll_room(&self, context: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        let mut state = state(&self.0);
        if state.is_over {
            return Poll::Ready(Err(Gone));
        }
        if state.queue.len() < CAPACITY {
            return Poll::Ready(Ok(()));
        }
        state.writer = Some(context.waker().clone());
        Poll::Pending
    }

    /// Puts a message in, for which there is room.
    pub fn put(&self, message: String) {
        let mut state = state(&self.0);
        state.queue.push_back(message);
        let reader = state.reader.take();
        drop(state);
        wake(reader);
    }
}

impl Receiver {
    /// Waits for a message. `None` is the end.
    pub fn poll_take(&self, context: &mut Context<'_>) -> Poll<Option<String>> {
        let mut state = state(&self.0);
        let Some(message) = state.queue.pop_front() else {
            if state.is_over {
                return Poll::Ready(None);
            }
            state.reader = Some(context.waker().clone());
            return Poll::Pending;
        };
        let writer = state.writer.take();
        drop(state);
        wake(writer);
        Poll::Ready(Some(message))
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        end(&self.0);
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        end(&self.0);
    }
}

impl Sink<String> for Sender {
    type Error = Gone;

    fn poll_ready(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        self.poll_room(context)
    }

    fn start_send(self: Pin<&mut Self>, message: String) -> Result<(), Gone> {
        self.put(message);
        Ok(())
    }

    fn poll_flush(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        Poll::Ready(Ok(()))
    }

    fn poll_close(self: Pin<&mut Self>, _context: &mut Context<'_>) -> Poll<Result<(), Gone>> {
        end(&self.0);
        Poll::Ready(Ok(()))
    }
}

impl Stream for Receiver {
    type Item = String;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<String>> {
        self.poll_take(context)
    }
}
