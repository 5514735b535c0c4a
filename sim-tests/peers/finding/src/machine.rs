//! What a program needs of a simulator: threads, locks, and a scheduling point before each access to shared memory.
//!
//! A program is written once against [`Machine`] and runs on Wavetank ([`Ours`]) and on shuttle ([`Shuttle`]).
//!
//! # Invariants
//!
//! - Every access to shared memory goes through [`Machine::touch`], which says what it touches.
//! - A machine adds nothing of its own: locks, threads and condition variables are the simulator's.

pub use ours::Ours;
pub use shuttle::Shuttle;

mod ours;
mod shuttle;

/// A piece of memory that threads access.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Object {
    /// The name of the variable or array.
    pub name: &'static str,
    /// The index in the array. 0 for a variable.
    pub index: usize,
}

impl Object {
    /// The stack of the accessing thread: no other thread accesses it.
    pub const OWN: Self = Self { name: "own", index: 0 };

    /// Makes the object of a variable.
    pub const fn new(name: &'static str) -> Self {
        Self { name, index: 0 }
    }
}

/// How memory is accessed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Loads a value.
    Read,
    /// Stores a value, or loads and stores at once.
    Write,
}

/// A simulator of threads.
pub trait Machine: Clone + Send + Sync + 'static {
    /// A lock without a value.
    type Mutex: Send + Sync + 'static;
    /// Holds a lock until it is dropped.
    type Guard<'a>;
    /// A condition variable.
    type Condvar: Send + Sync + 'static;
    /// A handle to a thread.
    type Handle: 'static;

    /// Lets another thread run before this thread accesses `object`.
    fn touch(&self, object: Object, access: Access);

    /// Starts a thread.
    fn spawn(&self, name: &'static str, body: impl FnOnce() + Send + 'static) -> Self::Handle;

    /// Waits until the thread has ended.
    fn join(&self, handle: Self::Handle);

    /// Makes a lock.
    fn mutex(&self, name: &'static str) -> Self::Mutex;

    /// Waits until the lock is free and takes it.
    fn lock<'a>(&self, mutex: &'a Self::Mutex) -> Self::Guard<'a>;

    /// Makes a condition variable.
    fn condvar(&self, name: &'static str) -> Self::Condvar;

    /// Releases the lock, waits for a notification, and takes the lock again.
    fn wait<'a>(&self, condvar: &Self::Condvar, guard: Self::Guard<'a>) -> Self::Guard<'a>;

    /// Wakes one waiter.
    fn notify_one(&self, condvar: &Self::Condvar);

    /// Wakes all waiters.
    fn notify_all(&self, condvar: &Self::Condvar);

    /// Makes `accesses` accesses to memory that no other thread uses.
    ///
    /// The published figures are of a harness that switches threads at these too, so a faithful program has as many as
    /// the original compiled without optimisation.
    fn own(&self, accesses: usize) {
        for _ in 0..accesses {
            self.touch(Object::OWN, Access::Write);
        }
    }
}
