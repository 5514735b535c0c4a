//! What the handles and the two threads of a session share: one protocol state behind one lock.
//!
//! # Invariants
//!
//! - Nothing blocks while it holds the lock: reads and writes of the transport happen outside it.
//! - Every change goes through [`Shared::settle`] before the lock is given back. It alone wakes other threads, and
//!   derives from the state which: no change can forget a waiter.

use std::net::Shutdown;
use std::sync::Arc;
use std::time::Duration;

use wavetank_runtime::MutexGuard;
use wavetank_runtime::{Condvar, Instant, Mutex, Threads};

use super::transport::Control;
use crate::protocol::{self, Connection, Event, StreamKey};

/// A session, as its handles and threads see it.
pub(super) struct Shared<T: Threads> {
    pub(super) threads: T,
    state: Mutex<T, State<T>>,
    /// Wait: callers that want to open a stream.
    pub(super) openers: Condvar<T>,
    /// Wait: callers that want to accept one.
    pub(super) acceptors: Condvar<T>,
    /// Wait: callers that want a pong or the end of the session.
    pub(super) watchers: Condvar<T>,
    /// Waits: the writer thread, for work.
    pub(super) work: Condvar<T>,
}

/// Where the threads wait that use a stream.
pub(super) struct StreamWaits<T: Threads> {
    pub(super) readable: Condvar<T>,
    pub(super) writable: Condvar<T>,
    pub(super) ended: Condvar<T>,
}

/// What the lock guards.
pub(super) struct State<T: Threads> {
    pub(super) connection: Connection,
    /// By [`StreamKey::index`].
    slots: Vec<Option<Arc<StreamWaits<T>>>>,
    /// `None` once the transport has been ended.
    control: Option<Box<dyn Control>>,
    half_closed: bool,
    /// What the writer thread does.
    pub(super) writer: Writer,
    pub(super) opening: usize,
    pub(super) accepting: usize,
    pub(super) watching: usize,
    /// How many `Session` handles there are.
    pub(super) handles: usize,
}

/// What the writer thread does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Writer {
    Busy,
    /// Waits for work, at most until the given time.
    Rests(Option<Instant>),
}

pub(super) type Guard<'a, T> = MutexGuard<'a, T, State<T>>;

impl<T: Threads> Shared<T> {
    pub(super) fn new(threads: T, connection: Connection, control: Box<dyn Control>) -> Self {
        let state = State {
            connection,
            slots: Vec::new(),
            control: Some(control),
            half_closed: false,
            writer: Writer::Busy,
            opening: 0,
            accepting: 0,
            watching: 0,
            handles: 1,
        };
        Self {
            state: Mutex::new(&threads, "multiplexer", state),
            openers: Condvar::new(&threads, "room to open"),
            acceptors: Condvar::new(&threads, "stream to accept"),
            watchers: Condvar::new(&threads, "pong or end"),
            work: Condvar::new(&threads, "work"),
            threads,
        }
    }

    pub(super) fn lock(&self) -> Guard<'_, T> {
        self.state.lock()
    }

    /// Changes the session, and then wakes the threads that have waited for what changed.
    pub(super) fn with<V>(&self, body: impl FnOnce(&mut State<T>) -> V) -> V {
        let mut guard = self.lock();
        let result = body(&mut guard);
        self.settle(&mut guard);
        result
    }

    /// Does to the transport what the state asks for, and wakes the threads that wait for what it has become.
    pub(super) fn settle(&self, state: &mut State<T>) {
        state.connection.check();
        while let Some(event) = state.connection.next_event() {
            self.take_event(state, event);
        }
        if state.opening > 0 && state.connection.may_open() {
            self.openers.notify_all();
        }
        if state.accepting > 0 && state.connection.may_accept() {
            self.acceptors.notify_all();
        }
        state.drive_transport();
        if let Writer::Rests(until) = state.writer
            && state.has_work(until)
        {
            state.writer = Writer::Busy;
            self.work.notify_all();
        }
    }

    fn take_event(&self, state: &State<T>, event: Event) {
        match event {
            Event::Readable(key) => {
                if let Some(waits) = state.waits(key) {
                    waits.readable.notify_all();
                }
            }
            Event::Writable(key) => {
                if let Some(waits) = state.waits(key) {
                    waits.writable.notify_all();
                }
            }
            Event::SendingEnded(key, _) => {
                if let Some(waits) = state.waits(key) {
                    waits.ended.notify_all();
                }
            }
            // `settle` looks at these after every change.
            Event::Acceptable | Event::MayOpen => {}
            Event::Pong => self.watchers.notify_all(),
            Event::Ending | Event::Closed => {
                for waits in state.slots.iter().flatten() {
                    waits.readable.notify_all();
                    waits.writable.notify_all();
                    waits.ended.notify_all();
                }
                self.openers.notify_all();
                self.acceptors.notify_all();
                self.watchers.notify_all();
            }
        }
    }

    /// Makes the place where threads wait that use a new stream.
    pub(super) fn add_stream(&self, state: &mut State<T>, key: StreamKey) -> Arc<StreamWaits<T>> {
        let waits = Arc::new(StreamWaits {
            readable: Condvar::new(&self.threads, "stream to read"),
            writable: Condvar::new(&self.threads, "stream to write"),
            ended: Condvar::new(&self.threads, "stream to end"),
        });
        if state.slots.len() <= key.index() {
            state.slots.resize_with(key.index() + 1, || None);
        }
        state.slots[key.index()] = Some(Arc::clone(&waits));
        waits
    }

    /// Gives the lock back and waits, at most until `deadline`.
    pub(super) fn wait<'a>(
        &self,
        condvar: &Condvar<T>,
        mut guard: Guard<'a, T>,
        deadline: Option<Instant>,
    ) -> Guard<'a, T> {
        self.settle(&mut guard);
        let Some(deadline) = deadline else { return condvar.wait(guard) };
        match deadline - self.threads.now() {
            Duration::ZERO => guard,
            left => condvar.wait_timeout(guard, left).0,
        }
    }
}

impl<T: Threads> State<T> {
    fn waits(&self, key: StreamKey) -> Option<&Arc<StreamWaits<T>>> {
        self.slots.get(key.index())?.as_ref()
    }

    /// Whether the writer thread, which rests until `until`, has something to do before.
    fn has_work(&self, until: Option<Instant>) -> bool {
        let connection = &self.connection;
        if connection.has_output() || connection.state() == protocol::State::Closed {
            return true;
        }
        match (connection.deadline(), until) {
            (Some(deadline), Some(until)) => deadline < until,
            (deadline, None) => deadline.is_some(),
            (None, Some(_)) => false,
        }
    }

    fn drive_transport(&mut self) {
        match self.connection.transport() {
            protocol::Transport::Open => {}
            protocol::Transport::ShutDown => {
                if !std::mem::replace(&mut self.half_closed, true)
                    && let Some(control) = &self.control
                {
                    control.shutdown(Shutdown::Write);
                }
            }
            protocol::Transport::Drop => {
                // Frees a thread that is in a read or a write.
                if let Some(control) = self.control.take() {
                    control.shutdown(Shutdown::Both);
                }
            }
        }
    }
}
