//! [`Threads`] on the threads, locks and sockets of std.
//!
//! # Not here
//!
//! Streams and listeners ([`tcp`]), UDP ([`udp`]), Unix sockets (`unix`).

pub mod tcp;
pub(crate) use tcp::limit_unsent;
pub mod udp;
#[cfg(unix)]
pub mod unix;

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, TryLockError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::join::panic_message;
use crate::raw_locks::RawLocks;
use crate::{Instant, JoinError, ListenOptions, SocketOptions, Threads, WaitOutcome, clock};

/// The blocking runtime for production: OS threads, `std::sync`, `std::net`.
#[derive(Clone, Copy, Debug, Default)]
pub struct Std;

impl Threads for Std {
    type Stream = tcp::TcpStream;
    type Listener = tcp::TcpListener;
    type ThreadHandle<T: Send + 'static> = ThreadHandle<T>;

    fn now(&self) -> Instant {
        clock::now()
    }

    #[expect(clippy::disallowed_methods, reason = "the runtime's own implementation")]
    fn sleep(&self, duration: Duration) {
        thread::sleep(duration);
    }

    fn spawn<T, F>(&self, name: &str, body: F) -> io::Result<ThreadHandle<T>>
    where
        F: FnOnce() -> T + Send + 'static,
        T: Send + 'static,
    {
        Ok(ThreadHandle { thread: thread::Builder::new().name(name.to_owned()).spawn(body)? })
    }

    fn yield_now(&self) {
        thread::yield_now();
    }

    fn resolve(&self, host: &str, port: u16) -> io::Result<Vec<SocketAddr>> {
        let addresses: Vec<SocketAddr> = (host, port).to_socket_addrs()?.collect();
        if addresses.is_empty() {
            return Err(io::Error::new(io::ErrorKind::NotFound, "the name has no address"));
        }
        Ok(addresses)
    }

    fn connect(
        &self,
        address: SocketAddr,
        options: SocketOptions,
        timeout: Option<Duration>,
    ) -> io::Result<tcp::TcpStream> {
        tcp::connect(address, options, timeout)
    }

    fn listen(&self, address: SocketAddr, options: ListenOptions) -> io::Result<tcp::TcpListener> {
        tcp::listen(address, options)
    }

    fn fill_random(&self, buffer: &mut [u8]) {
        crate::entropy::fill(buffer);
    }
}

impl RawLocks for Std {
    type RawMutex<T: Send> = Mutex<T>;
    type RawGuard<'a, T: Send + 'a> = MutexGuard<'a, T>;
    type RawCondvar = Condvar;

    // The locks of std have no names. The simulator uses them.
    fn raw_mutex<T: Send>(&self, _name: &'static str, value: T) -> Mutex<T> {
        Mutex::new(value)
    }

    fn raw_lock<T: Send>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn raw_try_lock<T: Send>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
        match mutex.try_lock() {
            Ok(guard) => Some(guard),
            Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => None,
        }
    }

    fn raw_into_inner<T: Send>(mutex: Mutex<T>) -> T {
        mutex.into_inner().unwrap_or_else(PoisonError::into_inner)
    }

    fn raw_condvar(&self, _name: &'static str) -> Condvar {
        Condvar::new()
    }

    fn raw_wait<'a, T: Send + 'a>(condvar: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
        condvar.wait(guard).unwrap_or_else(PoisonError::into_inner)
    }

    fn raw_wait_timeout<'a, T: Send + 'a>(
        condvar: &Condvar,
        guard: MutexGuard<'a, T>,
        timeout: Duration,
    ) -> (MutexGuard<'a, T>, WaitOutcome) {
        let (guard, result) = condvar.wait_timeout(guard, timeout).unwrap_or_else(PoisonError::into_inner);
        (guard, if result.timed_out() { WaitOutcome::TimedOut } else { WaitOutcome::Notified })
    }

    fn raw_notify_one(condvar: &Condvar) {
        condvar.notify_one();
    }

    fn raw_notify_all(condvar: &Condvar) {
        condvar.notify_all();
    }
}

/// A handle to an OS thread.
#[derive(Debug)]
pub struct ThreadHandle<T> {
    thread: JoinHandle<T>,
}

impl<T: Send + 'static> crate::ThreadHandle<T> for ThreadHandle<T> {
    fn join(self) -> Result<T, JoinError> {
        self.thread.join().map_err(|payload| JoinError::Panicked(panic_message(&*payload)))
    }

    fn is_finished(&self) -> bool {
        self.thread.is_finished()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::ThreadHandle as _;

    #[test]
    fn a_thread_carries_its_name() {
        let thread = Std.spawn("reader", || thread::current().name().map(str::to_owned)).expect("a thread");
        assert_eq!(thread.join(), Ok(Some("reader".to_owned())));
    }

    #[test]
    fn a_panic_yields_its_message() {
        let thread = Std.spawn("faulty", || panic!("out of {}", "cheese")).expect("a thread");
        let result: Result<(), JoinError> = thread.join();
        assert_eq!(result, Err(JoinError::Panicked("out of cheese".to_owned())));
    }

    #[test]
    fn a_panic_does_not_poison_the_lock() {
        let state = Arc::new(crate::Mutex::new(&Std, "state", 1));
        let shared = Arc::clone(&state);
        let faulty = Std.spawn("faulty", move || {
            let mut held = shared.lock();
            *held = 2;
            panic!("with the lock held");
        });
        let result: Result<(), JoinError> = faulty.expect("a thread").join();
        assert!(result.is_err());
        assert_eq!(*state.lock(), 2);
        assert_eq!(state.try_lock().as_deref(), Some(&2));
        let state = Arc::into_inner(state).expect("the thread has ended");
        assert_eq!(state.into_inner(), 2);
    }

    #[test]
    fn a_condvar_hands_on_a_poisoned_lock_too() {
        let state = Arc::new((crate::Mutex::new(&Std, "state", false), crate::Condvar::new(&Std, "changed")));
        let shared = Arc::clone(&state);
        let faulty = Std.spawn("faulty", move || {
            let mut done = shared.0.lock();
            *done = true;
            shared.1.notify_all();
            panic!("with the lock held");
        });
        let mut done = state.0.lock();
        while !*done {
            done = state.1.wait(done);
        }
        drop(done);
        let result: Result<(), JoinError> = faulty.expect("a thread").join();
        assert!(result.is_err());
        let (_guard, outcome) = state.1.wait_timeout(state.0.lock(), Duration::from_millis(1));
        assert_eq!(outcome, WaitOutcome::TimedOut);
    }

    #[test]
    fn an_address_as_text_resolves_to_itself() {
        let addresses = Std.resolve("::1", 80).expect("text of an address resolves");
        assert_eq!(addresses, ["[::1]:80".parse().expect("an address")]);
    }
}
