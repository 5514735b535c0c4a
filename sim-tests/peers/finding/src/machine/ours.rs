//! Programs on Wavetank: a host's threads.

use std::time::Duration;

use wavetank::Host;
use wavetank::runtime::{Condvar, Mutex, MutexGuard, ThreadHandle, Threads};

use super::{Access, Machine, Object};

/// The threads of a simulated host.
#[derive(Clone, Debug)]
pub struct Ours(pub Host);

impl Machine for Ours {
    type Mutex = Mutex<Host, ()>;
    type Guard<'a> = MutexGuard<'a, Host, ()>;
    type Condvar = Condvar<Host>;
    type Handle = <Host as Threads>::ThreadHandle<()>;

    fn touch(&self, object: Object, _: Access) {
        if object == Object::OWN {
            // A sleep of no time is a scheduling point and nothing else. `yield_now` asks for another thread.
            Threads::sleep(&self.0, Duration::ZERO);
        } else {
            Threads::access(&self.0, object.name, object.index);
        }
    }

    fn spawn(&self, name: &'static str, body: impl FnOnce() + Send + 'static) -> Self::Handle {
        Threads::spawn(&self.0, name, body).expect("memory for a thread")
    }

    fn join(&self, handle: Self::Handle) {
        handle.join().expect("the thread does not panic");
    }

    fn mutex(&self, name: &'static str) -> Self::Mutex {
        Mutex::new(&self.0, name, ())
    }

    fn lock<'a>(&self, mutex: &'a Self::Mutex) -> Self::Guard<'a> {
        mutex.lock()
    }

    fn condvar(&self, name: &'static str) -> Self::Condvar {
        Condvar::new(&self.0, name)
    }

    fn wait<'a>(&self, condvar: &Self::Condvar, guard: Self::Guard<'a>) -> Self::Guard<'a> {
        condvar.wait(guard)
    }

    fn notify_one(&self, condvar: &Self::Condvar) {
        condvar.notify_one();
    }

    fn notify_all(&self, condvar: &Self::Condvar) {
        condvar.notify_all();
    }
}
