//! What the handles and the driver of a session share.
//!
//! # Invariants
//!
//! - The lock is held for the time of one call: never over an await, and never while a waker is woken.
//! - What follows from a change is worked out in one place, [`Shared::with`], under the same lock: a task is woken
//!   after what it waits for can be seen.
//! - Each half of a stream has one waker. Reset, close and the end of the session wake both.

use std::future::Future;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};

use wavetank_runtime::{Instant, Runtime};

use super::wait::{EndWaiters, Place, Waiters};
use crate::error::{WriteEnd, WriteError};
use crate::protocol::{Connection, Event, StreamKey};

/// A session, as its handles and its driver see it.
pub(super) struct Shared<R> {
    pub(super) runtime: R,
    state: Mutex<State>,
}

/// The part of [`Shared`] that changes.
pub(super) struct State {
    pub(super) connection: Connection,
    /// The wakers of each stream, by [`StreamKey::index`].
    slots: Vec<Slot>,
    /// Wakes the driver. `None`: it was woken, or is at work.
    driver: Option<Waker>,
    /// When the driver wakes by itself.
    pub(super) timer: Option<Instant>,
    pub(super) openers: Waiters,
    pub(super) acceptors: Waiters,
    /// Tasks that wait for a pong or the end of the session.
    pub(super) watchers: Waiters,
    /// Tasks that wait for the end of a sending half.
    pub(super) stop_watchers: EndWaiters,
    /// How many `Session` handles there are.
    pub(super) handles: usize,
    /// Wakers that are to be dropped once the lock is free.
    forgotten: Vec<Waker>,
}

/// The wakers of a stream.
#[derive(Default)]
struct Slot {
    reader: Option<Waker>,
    writer: Option<Waker>,
}

/// The tasks to be woken once the lock is free.
#[derive(Default)]
pub(super) struct Wakes {
    driver: Option<Waker>,
    others: Vec<Waker>,
    /// These are only dropped: the last reference to a task may drop streams, which need the lock.
    forgotten: Vec<Waker>,
}

impl Wakes {
    #[inline]
    pub(super) fn run(&mut self) {
        if let Some(driver) = self.driver.take() {
            driver.wake();
        }
        // Draining costs something also where there is nothing.
        if !self.others.is_empty() {
            self.others.drain(..).for_each(Waker::wake);
        }
        self.forgotten.clear();
    }
}

impl<R: Runtime> Shared<R> {
    pub(super) fn new(runtime: R, connection: Connection) -> Self {
        let state = State {
            connection,
            slots: Vec::new(),
            driver: None,
            timer: None,
            openers: Waiters::default(),
            acceptors: Waiters::default(),
            watchers: Waiters::default(),
            stop_watchers: EndWaiters::default(),
            handles: 1,
            forgotten: Vec::new(),
        };
        Self { runtime, state: Mutex::new(state) }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // The state holds its invariants whenever the lock is free, also after a panic of the application's.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Changes the session, and then wakes the tasks that have waited for what changed.
    #[inline]
    pub(super) fn with<T>(&self, body: impl FnOnce(&mut State) -> T) -> T {
        let mut wakes = Wakes::default();
        let mut state = self.lock();
        let result = body(&mut state);
        state.settle(&mut wakes);
        drop(state);
        wakes.run();
        result
    }

    /// Waits among `waiters` until `poll` is ready.
    pub(super) fn wait_for<T, F>(
        &self,
        waiters: fn(&mut State) -> &mut Waiters,
        poll: F,
    ) -> impl Future<Output = T> + Send
    where
        F: FnMut(&mut State, bool) -> Poll<T> + Send,
    {
        let mut waiting = Waiting { shared: self, waiters, place: None };
        let mut poll = poll;
        std::future::poll_fn(move |context| waiting.poll(context, &mut poll))
    }
}

/// A task in one of the lines. Dropped, it leaves the line, and the next one gets its turn.
struct Waiting<'a, R: Runtime> {
    shared: &'a Shared<R>,
    waiters: fn(&mut State) -> &mut Waiters,
    place: Option<Place>,
}

impl<R: Runtime> Waiting<'_, R> {
    fn poll<T>(
        &mut self,
        context: &mut Context<'_>,
        poll: &mut impl FnMut(&mut State, bool) -> Poll<T>,
    ) -> Poll<T> {
        let (waiters, place) = (self.waiters, &mut self.place);
        let (result, _forgotten) = self.shared.with(|state| {
            let first = waiters(state).is_first(*place);
            let result = poll(state, first);
            let forgotten = match &result {
                Poll::Pending => waiters(state).wait(place, context.waker()),
                Poll::Ready(_) => place.take().and_then(|place| waiters(state).leave(place)),
            };
            (result, forgotten)
        });
        result
    }
}

impl<R: Runtime> Drop for Waiting<'_, R> {
    fn drop(&mut self) {
        if let Some(place) = self.place.take() {
            drop(self.shared.with(|state| (self.waiters)(state).leave(place)));
        }
    }
}

impl State {
    /// Makes room for the wakers of a new stream.
    pub(super) fn add_stream(&mut self, key: StreamKey) {
        if self.slots.len() <= key.index() {
            self.slots.resize_with(key.index() + 1, Slot::default);
        }
    }

    /// The reader of the stream has gone.
    pub(super) fn forget_reader(&mut self, key: StreamKey) {
        self.forgotten.extend(self.slots[key.index()].reader.take());
    }

    /// The writer of the stream has gone.
    pub(super) fn forget_writer(&mut self, key: StreamKey) {
        self.forgotten.extend(self.slots[key.index()].writer.take());
    }

    pub(super) fn wait_readable(&mut self, key: StreamKey, waker: &Waker) {
        self.connection.wait_readable(key);
        register(&mut self.slots[key.index()].reader, waker, &mut self.forgotten);
    }

    pub(super) fn wait_writable(&mut self, key: StreamKey, waker: &Waker, now: Instant) {
        register(&mut self.slots[key.index()].writer, waker, &mut self.forgotten);
        self.connection.wait_writable(key, now);
    }

    pub(super) fn wait_flushed(&mut self, key: StreamKey, waker: &Waker) {
        register(&mut self.slots[key.index()].writer, waker, &mut self.forgotten);
        self.connection.wait_flushed(key);
    }

    /// Registers `waker` to wake the driver.
    pub(super) fn register_driver(&mut self, waker: &Waker) {
        register(&mut self.driver, waker, &mut self.forgotten);
    }

    /// Collects the tasks that are to be woken, and the driver, if there is something for it to do.
    #[inline]
    fn settle(&mut self, wakes: &mut Wakes) {
        self.settle_for_driver(wakes);
        if self.driver.is_some() && self.driver_has_work() {
            wakes.driver = self.driver.take();
        }
    }

    /// Collects the tasks that are to be woken by the driver.
    #[inline]
    pub(super) fn settle_for_driver(&mut self, wakes: &mut Wakes) {
        self.connection.check();
        while let Some(event) = self.connection.next_event() {
            self.take_event(event, wakes);
        }
        if !self.openers.is_empty() && self.connection.may_open() {
            wakes.others.extend(self.openers.wake_first());
        }
        if !self.acceptors.is_empty() && self.connection.may_accept() {
            wakes.others.extend(self.acceptors.wake_first());
        }
        if !self.forgotten.is_empty() {
            wakes.forgotten.append(&mut self.forgotten);
        }
    }

    fn driver_has_work(&self) -> bool {
        let connection = &self.connection;
        let ends = || !matches!(connection.transport(), crate::protocol::Transport::Open);
        if connection.has_output() || connection.awaits_written() || ends() {
            return true;
        }
        match (connection.deadline(), self.timer) {
            (Some(deadline), Some(timer)) => deadline < timer,
            (deadline, None) => deadline.is_some(),
            (None, Some(_)) => false,
        }
    }

    fn take_event(&mut self, event: Event, wakes: &mut Wakes) {
        match event {
            Event::Readable(key) => wakes.others.extend(self.slot(key).and_then(|slot| slot.reader.take())),
            Event::Writable(key) => wakes.others.extend(self.slot(key).and_then(|slot| slot.writer.take())),
            Event::SendingEnded(key, end) => {
                wakes.others.extend(self.stop_watchers.end(key, &end.into()));
            }
            // `settle` looks at these lines after every change.
            Event::Acceptable | Event::MayOpen => {}
            Event::Pong => wakes.others.extend(self.watchers.wake_all()),
            Event::Ending | Event::Closed => self.wake_everything(wakes),
        }
    }

    fn slot(&mut self, key: StreamKey) -> Option<&mut Slot> {
        self.slots.get_mut(key.index())
    }

    #[cold]
    fn wake_everything(&mut self, wakes: &mut Wakes) {
        for slot in &mut self.slots {
            wakes.others.extend(slot.reader.take());
            wakes.others.extend(slot.writer.take());
        }
        if let Some(closed) = self.connection.closed() {
            let end = WriteEnd::Failed(WriteError::Closed(closed.clone()));
            wakes.others.extend(self.stop_watchers.end_all(&end));
        }
        for waiters in [&mut self.openers, &mut self.acceptors, &mut self.watchers] {
            wakes.others.extend(waiters.wake_all());
        }
    }
}

fn register(place: &mut Option<Waker>, waker: &Waker, forgotten: &mut Vec<Waker>) {
    if !place.as_ref().is_some_and(|present| present.will_wake(waker)) {
        forgotten.extend(place.replace(waker.clone()));
    }
}
