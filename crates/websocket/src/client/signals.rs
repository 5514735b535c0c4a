//! Which task is woken when the stream can be read or written again.
//!
//! A stream remembers one waker a direction, but several tasks do its I/O: the one that receives, those that send,
//! and the driver. So the stream is polled with the same two wakers, and these pass the wake on: reading to the
//! receiver that waits, which then reads for itself without a detour over another task; writing, and everything that
//! no task waits for, to the driver.
//!
//! A woken receiver may not read: its future may be dropped, or kept and no longer polled. So while the driver
//! *watches*, it looks at the stream at short intervals without being woken. While it does not watch, a wake goes to it
//! as well. So while it watches the wakers of this file are not needed for reading: then a receiver polls the stream
//! with its own ([`State::read_for_receiver`](super::shared::State::read_for_receiver)), and the driver's look puts
//! them back.
//!
//! # Invariants
//!
//! - The driver's waker is in its place, or the driver has been woken and will look again: it puts the waker there
//!   before it looks.
//! - No other code runs while the lock is held, so that a wake may come from anywhere, also from inside another
//!   connection's lock.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Wake, Waker};

/// Where wakes of one connection go.
#[derive(Debug, Default)]
pub(super) struct Signals {
    /// The stream woke its reader, and has not been polled since.
    readable: AtomicBool,
    /// The receiver's waker is in its place, or was until a moment ago: spares a look under the lock.
    receiver_waits: AtomicBool,
    slots: Mutex<Slots>,
}

#[derive(Debug, Default)]
struct Slots {
    receiver: Option<Waker>,
    driver: Option<Waker>,
    /// The driver looks after the stream soon, woken or not.
    watching: bool,
}

impl Signals {
    fn slots(&self) -> MutexGuard<'_, Slots> {
        self.slots.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says that the stream is about to be polled for reading.
    #[inline]
    pub(super) fn begin_read(&self) {
        // A reader that takes back what a wake has said sees what was there before the wake. Where nothing was said
        // yet, or it cannot be seen yet, it stays said.
        if self.readable.load(Ordering::Relaxed) {
            self.readable.swap(false, Ordering::Acquire);
        }
    }

    /// Whether the stream woke its reader since it was last polled. Does not miss a wake that has passed the lock.
    #[inline]
    pub(super) fn is_readable(&self) -> bool {
        self.readable.load(Ordering::Acquire)
    }

    /// Makes `waker` the receiver's, after it has polled the stream without result. Returns false if the stream has
    /// woken its reader in between: the receiver is to look again.
    #[must_use]
    pub(super) fn register_receiver(&self, waker: &Waker) -> bool {
        let mut slots = self.slots();
        if !slots.receiver.as_ref().is_some_and(|present| present.will_wake(waker)) {
            slots.receiver = Some(waker.clone());
            self.receiver_waits.store(true, Ordering::Relaxed);
        }
        // `wake_reader` says `readable` before it takes the lock: it finds the waker, or is seen here.
        !self.is_readable()
    }

    /// Takes the receiver's waker, to wake it or because it has gone; `None` if it is woken already. Not to be called
    /// beside [`register_receiver`](Self::register_receiver): both are under the connection's lock.
    #[inline]
    pub(super) fn take_receiver(&self) -> Option<Waker> {
        if !self.receiver_waits.load(Ordering::Relaxed) {
            return None;
        }
        let mut slots = self.slots();
        self.receiver_waits.store(false, Ordering::Relaxed);
        slots.receiver.take()
    }

    /// Makes `waker` the driver's.
    pub(super) fn register_driver(&self, waker: &Waker) {
        let mut slots = self.slots();
        if !slots.driver.as_ref().is_some_and(|present| present.will_wake(waker)) {
            slots.driver = Some(waker.clone());
        }
    }

    /// Takes the driver's waker, to wake it; `None` if it is woken already.
    pub(super) fn take_driver(&self) -> Option<Waker> {
        self.slots().driver.take()
    }

    /// Says whether the driver looks after the stream soon without being woken. Returns false if it must not cease to,
    /// because the stream has woken its reader.
    pub(super) fn watch(&self, watching: bool) -> bool {
        self.slots().watching = watching;
        watching || !self.is_readable()
    }

    fn wake_reader(&self) {
        // Before the lock, which it shares with all tasks that look afterwards.
        self.readable.store(true, Ordering::Release);
        let (receiver, driver) = {
            let mut slots = self.slots();
            self.receiver_waits.store(false, Ordering::Relaxed);
            let receiver = slots.receiver.take();
            (receiver, if slots.watching { None } else { slots.driver.take() })
        };
        if let Some(receiver) = receiver {
            receiver.wake();
        }
        if let Some(driver) = driver {
            driver.wake();
        }
    }

    fn wake_writer(&self) {
        if let Some(driver) = self.take_driver() {
            driver.wake();
        }
    }
}

/// The waker with which the stream is polled for reading.
pub(super) fn read_waker(signals: &Arc<Signals>) -> Waker {
    Waker::from(Arc::new(ReadWake(Arc::clone(signals))))
}

/// The waker with which the stream is polled for writing.
pub(super) fn write_waker(signals: &Arc<Signals>) -> Waker {
    Waker::from(Arc::new(WriteWake(Arc::clone(signals))))
}

struct ReadWake(Arc<Signals>);

impl Wake for ReadWake {
    fn wake(self: Arc<Self>) {
        self.0.wake_reader();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.wake_reader();
    }
}

struct WriteWake(Arc<Signals>);

impl Wake for WriteWake {
    fn wake(self: Arc<Self>) {
        self.0.wake_writer();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.0.wake_writer();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use super::*;

    #[derive(Default)]
    struct Count(AtomicU32);

    impl Wake for Count {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    fn counter() -> (Arc<Count>, Waker) {
        let count = Arc::new(Count::default());
        (Arc::clone(&count), Waker::from(count))
    }

    fn wakes(count: &Count) -> u32 {
        count.0.load(Ordering::SeqCst)
    }

    #[test]
    fn a_read_wake_reaches_receiver_and_driver_once() {
        let signals = Arc::new(Signals::default());
        let ((received, receiver), (driven, driver)) = (counter(), counter());
        signals.register_driver(&driver);
        assert!(signals.register_receiver(&receiver));
        read_waker(&signals).wake();
        assert_eq!((wakes(&received), wakes(&driven)), (1, 1));
        read_waker(&signals).wake();
        assert_eq!((wakes(&received), wakes(&driven)), (1, 1));
    }

    #[test]
    fn a_watching_driver_wakes_only_for_writing() {
        let signals = Arc::new(Signals::default());
        let (driven, driver) = counter();
        signals.register_driver(&driver);
        assert!(signals.watch(true));
        read_waker(&signals).wake();
        assert_eq!(wakes(&driven), 0);
        write_waker(&signals).wake();
        assert_eq!(wakes(&driven), 1);
    }

    #[test]
    fn a_registered_receiver_is_taken_only_once() {
        let signals = Arc::new(Signals::default());
        let (received, receiver) = counter();
        assert!(signals.take_receiver().is_none());
        for round in 1..=3 {
            assert!(signals.register_receiver(&receiver));
            // Registering twice is waiting once.
            assert!(signals.register_receiver(&receiver));
            signals.take_receiver().expect("a receiver").wake();
            assert!(signals.take_receiver().is_none());
            signals.begin_read();
            read_waker(&signals).wake();
            assert_eq!(wakes(&received), round, "a receiver that was taken is not woken");
            signals.begin_read();
        }
        assert!(signals.register_receiver(&receiver));
        read_waker(&signals).wake();
        assert_eq!(wakes(&received), 4);
        assert!(signals.take_receiver().is_none(), "a receiver that was woken is not there");
    }

    #[test]
    fn a_wake_before_registering_is_not_lost() {
        let signals = Arc::new(Signals::default());
        let (_count, receiver) = counter();
        signals.begin_read();
        read_waker(&signals).wake();
        assert!(!signals.register_receiver(&receiver));
        assert!(!signals.watch(false));
        signals.begin_read();
        assert!(signals.register_receiver(&receiver));
        assert!(signals.watch(false));
    }
}
