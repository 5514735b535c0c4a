//! Programs on shuttle.

use std::time::Duration;

use shuttle::sync::{Condvar, Mutex, MutexGuard};
use shuttle::thread;

use super::{Access, Machine, Object};

/// The threads of shuttle.
#[derive(Clone, Copy, Debug)]
pub struct Shuttle;

impl Machine for Shuttle {
    type Mutex = Mutex<()>;
    type Guard<'a> = MutexGuard<'a, ()>;
    type Condvar = Condvar;
    type Handle = thread::JoinHandle<()>;

    fn touch(&self, _: Object, _: Access) {
        // A context switch and nothing else. `yield_now` would make PCT lower the priority of the thread.
        thread::sleep(Duration::ZERO);
    }

    fn spawn(&self, _: &'static str, body: impl FnOnce() + Send + 'static) -> Self::Handle {
        thread::spawn(body)
    }

    fn join(&self, handle: Self::Handle) {
        handle.join().expect("the thread does not panic");
    }

    fn mutex(&self, _: &'static str) -> Self::Mutex {
        Mutex::new(())
    }

    fn lock<'a>(&self, mutex: &'a Self::Mutex) -> Self::Guard<'a> {
        mutex.lock().expect("no holder panics")
    }

    fn condvar(&self, _: &'static str) -> Self::Condvar {
        Condvar::new()
    }

    fn wait<'a>(&self, condvar: &Self::Condvar, guard: Self::Guard<'a>) -> Self::Guard<'a> {
        condvar.wait(guard).expect("no holder panics")
    }

    fn notify_one(&self, condvar: &Self::Condvar) {
        condvar.notify_one();
    }

    fn notify_all(&self, condvar: &Self::Condvar) {
        condvar.notify_all();
    }
}
