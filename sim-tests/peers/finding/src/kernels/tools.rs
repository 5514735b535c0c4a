//! What Go's standard library has and a machine or tokio has not: locks for readers and writers, wait groups, channels
//! without a buffer.

use std::sync::atomic::{AtomicI64, Ordering::Relaxed};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::{mpsc, oneshot, watch};

use crate::machine::Machine;

/// What a thread of a kernel does.
pub type Body<M> = Box<dyn FnOnce(&M) + Send>;

/// Starts a thread for each body, and waits for all.
pub fn together<M: Machine>(machine: &M, bodies: Vec<Body<M>>) {
    let start = |body: Body<M>| {
        let own = machine.clone();
        machine.spawn("thread", move || body(&own))
    };
    let threads: Vec<M::Handle> = bodies.into_iter().map(start).collect();
    threads.into_iter().for_each(|thread| machine.join(thread));
}

/// A value that only the holder of some lock uses: its accesses are no scheduling points.
#[derive(Debug, Default)]
pub struct Guarded(AtomicI64);

impl Guarded {
    pub const fn new(value: i64) -> Self {
        Self(AtomicI64::new(value))
    }

    pub fn get(&self) -> i64 {
        self.0.load(Relaxed)
    }

    pub fn set(&self, value: i64) {
        self.0.store(value, Relaxed);
    }

    pub fn add(&self, number: i64) {
        self.0.fetch_add(number, Relaxed);
    }
}

/// A lock for readers or a writer. As Go's, a waiting writer stops new readers.
pub struct RwLock<M: Machine> {
    lock: M::Mutex,
    changed: M::Condvar,
    readers: Guarded,
    writers: Guarded,
    waiting_writers: Guarded,
}

impl<M: Machine> RwLock<M> {
    pub fn new(machine: &M, name: &'static str) -> Self {
        Self {
            lock: machine.mutex(name),
            changed: machine.condvar(name),
            readers: Guarded::default(),
            writers: Guarded::default(),
            waiting_writers: Guarded::default(),
        }
    }

    pub fn read(&self, machine: &M) {
        let mut guard = machine.lock(&self.lock);
        while self.writers.get() + self.waiting_writers.get() > 0 {
            guard = machine.wait(&self.changed, guard);
        }
        self.readers.add(1);
        drop(guard);
    }

    pub fn end_read(&self, machine: &M) {
        let guard = machine.lock(&self.lock);
        self.readers.add(-1);
        machine.notify_all(&self.changed);
        drop(guard);
    }

    pub fn write(&self, machine: &M) {
        let mut guard = machine.lock(&self.lock);
        self.waiting_writers.add(1);
        while self.writers.get() + self.readers.get() > 0 {
            guard = machine.wait(&self.changed, guard);
        }
        self.waiting_writers.add(-1);
        self.writers.add(1);
        drop(guard);
    }

    pub fn end_write(&self, machine: &M) {
        let guard = machine.lock(&self.lock);
        self.writers.add(-1);
        machine.notify_all(&self.changed);
        drop(guard);
    }
}

/// A flag or counter that threads wait for.
pub struct Counter<M: Machine> {
    pub lock: M::Mutex,
    pub changed: M::Condvar,
    pub value: Guarded,
}

impl<M: Machine> Counter<M> {
    pub fn new(machine: &M, name: &'static str, value: i64) -> Self {
        Self { lock: machine.mutex(name), changed: machine.condvar(name), value: Guarded::new(value) }
    }

    /// Adds, and wakes all that wait.
    pub fn add(&self, machine: &M, number: i64) {
        let guard = machine.lock(&self.lock);
        self.value.add(number);
        machine.notify_all(&self.changed);
        drop(guard);
    }

    /// Waits until the value is as given.
    pub fn wait_for(&self, machine: &M, value: i64) {
        let mut guard = machine.lock(&self.lock);
        while self.value.get() != value {
            guard = machine.wait(&self.changed, guard);
        }
        drop(guard);
    }
}

/// A channel of Go's. All clones may send, receive and close.
pub struct Channel<T> {
    sender: Arc<Mutex<Option<mpsc::Sender<Sent<T>>>>>,
    receiver: Arc<tokio::sync::Mutex<mpsc::Receiver<Sent<T>>>>,
    is_buffered: bool,
}

/// A value, and how its sender learns that it was received.
type Sent<T> = (T, oneshot::Sender<()>);

impl<T> Clone for Channel<T> {
    fn clone(&self) -> Self {
        let (sender, receiver) = (self.sender.clone(), self.receiver.clone());
        Self { sender, receiver, is_buffered: self.is_buffered }
    }
}

impl<T> Channel<T> {
    /// Makes a channel whose senders wait until their value was received.
    pub fn unbuffered() -> Self {
        Self::new(1, false)
    }

    /// Makes a channel with room for `capacity` values.
    pub fn buffered(capacity: usize) -> Self {
        Self::new(capacity, true)
    }

    fn new(capacity: usize, is_buffered: bool) -> Self {
        let (sender, receiver) = mpsc::channel(capacity);
        Self {
            sender: Arc::new(Mutex::new(Some(sender))),
            receiver: Arc::new(tokio::sync::Mutex::new(receiver)),
            is_buffered,
        }
    }

    /// Sends a value. Waits for room, or for a receiver if the channel has no buffer.
    pub async fn send(&self, value: T) {
        let sender = self.sender.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (received, is_received) = oneshot::channel();
        if let Some(sender) = sender {
            // The receiver lives as long as this clone.
            let _ = sender.send((value, received)).await;
            drop(sender);
            if !self.is_buffered {
                let _ = is_received.await;
            }
        }
    }

    /// Receives a value; `None` if the channel is closed and empty.
    pub async fn receive(&self) -> Option<T> {
        let (value, received) = self.receiver.lock().await.recv().await?;
        // A sender with a buffer does not wait.
        let _ = received.send(());
        Some(value)
    }

    /// Lets receivers learn that no value will come.
    pub fn close(&self) {
        self.sender.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// Waits until the flag is set, or until no task can set it any more.
pub async fn is_set(mut flag: watch::Receiver<bool>) {
    let _ = flag.wait_for(|is_set| *is_set).await;
}
