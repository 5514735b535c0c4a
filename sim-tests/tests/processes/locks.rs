//! Locks of C: a program that waits by `pthread_mutex_lock` and its kin, as libraries in C do.

#![expect(unsafe_code, reason = "calls what a library in C calls")]

use std::cell::UnsafeCell;
use std::io;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use wavetank::{Sim, Sweep};

/// A counter as C has it, under each kind of lock.
struct Shared {
    mutex: UnsafeCell<libc::pthread_mutex_t>,
    condition: UnsafeCell<libc::pthread_cond_t>,
    lock: UnsafeCell<libc::pthread_rwlock_t>,
    semaphore: UnsafeCell<libc::sem_t>,
    count: UnsafeCell<u32>,
}

// SAFETY: the locks are for several threads, and guard the count.
unsafe impl Send for Shared {}
// SAFETY: as above.
unsafe impl Sync for Shared {}

impl Shared {
    fn new() -> Arc<Self> {
        let mut semaphore = MaybeUninit::uninit();
        // SAFETY: the call fills the semaphore in.
        let semaphore = unsafe {
            assert_eq!(libc::sem_init(semaphore.as_mut_ptr(), 0, 0), 0);
            semaphore.assume_init()
        };
        Arc::new(Self {
            mutex: UnsafeCell::new(libc::PTHREAD_MUTEX_INITIALIZER),
            condition: UnsafeCell::new(libc::PTHREAD_COND_INITIALIZER),
            lock: UnsafeCell::new(libc::PTHREAD_RWLOCK_INITIALIZER),
            semaphore: UnsafeCell::new(semaphore),
            count: UnsafeCell::new(0),
        })
    }

    fn lock(&self) {
        // SAFETY: an initialised mutex, which stays where it is.
        assert_eq!(unsafe { libc::pthread_mutex_lock(self.mutex.get()) }, 0);
    }

    fn unlock(&self) {
        // SAFETY: as above, and this thread has locked it.
        assert_eq!(unsafe { libc::pthread_mutex_unlock(self.mutex.get()) }, 0);
    }

    /// Waits for the condition, at most `limit` of the clock of the day.
    fn wait(&self, limit: Option<Duration>) -> libc::c_int {
        let Some(limit) = limit else {
            // SAFETY: both are initialised and stay, and this thread has locked the mutex.
            return unsafe { libc::pthread_cond_wait(self.condition.get(), self.mutex.get()) };
        };
        let time = std::time::SystemTime::UNIX_EPOCH.elapsed().expect("a time after 1970") + limit;
        let time = libc::timespec { tv_sec: time.as_secs() as i64, tv_nsec: time.subsec_nanos().into() };
        // SAFETY: as above.
        unsafe { libc::pthread_cond_timedwait(self.condition.get(), self.mutex.get(), &time) }
    }

    fn signal(&self) {
        // SAFETY: an initialised condition, which stays where it is.
        assert_eq!(unsafe { libc::pthread_cond_signal(self.condition.get()) }, 0);
    }

    fn count(&self) -> u32 {
        // SAFETY: the caller holds a lock.
        unsafe { *self.count.get() }
    }

    fn add(&self) {
        let before = self.count();
        // Others run now, if the lock does not hold them.
        thread::sleep(Duration::from_millis(1));
        // SAFETY: the caller holds a lock.
        unsafe { *self.count.get() = before + 1 };
    }
}

fn threads(shared: &Arc<Shared>, count: usize, f: fn(&Shared)) -> Vec<thread::JoinHandle<()>> {
    let shared = || Arc::clone(shared);
    (0..count).map(|_| shared()).map(|shared| thread::spawn(move || f(&shared))).collect()
}

fn joined(threads: Vec<thread::JoinHandle<()>>) {
    threads.into_iter().for_each(|thread| thread.join().expect("no panic"));
}

fn sweep(name: &str) -> Sweep {
    Sweep::new(format!("processes::{name}"), env!("CARGO_MANIFEST_DIR")).seeds(100).check_every(1)
}

#[test]
fn contended_locks_of_c_exclude_each_other() {
    sweep("locks_of_c").run(|sim| {
        sim.process_client("client", || {
            let shared = Shared::new();
            joined(threads(&shared, 4, |shared| {
                for _ in 0..3 {
                    shared.lock();
                    shared.add();
                    shared.unlock();
                }
            }));
            assert_eq!(shared.count(), 12);
            let mut all = threads(&shared, 3, |shared| {
                // SAFETY: an initialised lock, which stays where it is. This thread unlocks what it has locked.
                unsafe { assert_eq!(libc::pthread_rwlock_wrlock(shared.lock.get()), 0) };
                shared.add();
                // SAFETY: as above.
                unsafe { assert_eq!(libc::pthread_rwlock_unlock(shared.lock.get()), 0) };
            });
            all.extend(threads(&shared, 3, |shared| {
                // SAFETY: as above.
                unsafe { assert_eq!(libc::pthread_rwlock_rdlock(shared.lock.get()), 0) };
                let before = shared.count();
                thread::sleep(Duration::from_millis(2));
                assert_eq!(shared.count(), before);
                // SAFETY: as above.
                unsafe { assert_eq!(libc::pthread_rwlock_unlock(shared.lock.get()), 0) };
            }));
            joined(all);
            assert_eq!(shared.count(), 15);
            io::Result::Ok(())
        });
    });
}

#[test]
fn waits_of_c_end_by_post_or_time() {
    sweep("waits_of_c").run(|sim| {
        sim.process_client("client", || {
            let shared = Shared::new();
            let poster = threads(&shared, 1, |shared| {
                thread::sleep(Duration::from_millis(5));
                // SAFETY: an initialised semaphore, which stays where it is.
                unsafe { assert_eq!(libc::sem_post(shared.semaphore.get()), 0) };
            });
            // SAFETY: as above.
            unsafe { assert_eq!(libc::sem_wait(shared.semaphore.get()), 0) };
            joined(poster);
            let begin = std::time::Instant::now();
            shared.lock();
            assert_eq!(shared.wait(Some(Duration::from_millis(50))), libc::ETIMEDOUT);
            shared.unlock();
            assert!((50..2_000).contains(&begin.elapsed().as_millis()));
            io::Result::Ok(())
        });
    });
}

/// A queue of one item. The taker looks without the lock, and then waits.
fn hand_over(sim: &mut Sim, looks_under_the_lock: bool) {
    sim.process_client("client", move || {
        let shared = Shared::new();
        let giver = threads(&shared, 1, |shared| {
            shared.lock();
            shared.add();
            shared.unlock();
            shared.signal();
        });
        shared.lock();
        if !looks_under_the_lock && shared.count() == 0 {
            // The bug: what comes now is not seen.
            shared.unlock();
            shared.lock();
            assert_eq!(shared.wait(None), 0);
        }
        while shared.count() == 0 {
            assert_eq!(shared.wait(None), 0);
        }
        shared.unlock();
        joined(giver);
        io::Result::Ok(())
    });
}

#[wavetank::test(seeds = 300, finds = "deadlock")]
fn a_signal_before_the_wait_is_lost(sim: &mut Sim) {
    hand_over(sim, false);
}

#[wavetank::test(seeds = 200)]
fn a_taker_that_looks_again_misses_nothing(sim: &mut Sim) {
    hand_over(sim, true);
}
