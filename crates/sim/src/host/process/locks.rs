//! Locks of C: mutexes, conditions, read-write locks and semaphores. std's own wait by futexes instead.
//!
//! libc keeps the state of a lock and its owner, and is only asked to try. A thread that would wait in libc waits in
//! the simulation, at the address of the lock. A condition is such an address and nothing more: libc's state of it
//! stays as it was made.
//!
//! libc is asked in user mode, because it notes the calling thread as the owner.

#![expect(unsafe_code, reason = "symbols of libc are C functions, which work with pointers")]
#![expect(
    unsafe_op_in_unsafe_fn,
    reason = "the symbols use the pointers of their callers, by the contract of libc, and do nothing else unsafe"
)]

use std::ffi::CStr;

use libc::{
    c_int, c_void, clockid_t, pthread_cond_t, pthread_condattr_t, pthread_mutex_t, pthread_rwlock_t, sem_t,
    timespec,
};

use super::call::{Call, Errno, set_errno};
use super::futex;
use super::symbols::{nanos_of, real, symbols};
use crate::interpose::user::{self, UserThread};
use crate::original::Original;
use crate::time::Nanos;

/// Calls `attempt` in user mode until it returns something other than `EBUSY`.
fn acquire(
    thread: &'static UserThread,
    verb: &'static str,
    address: usize,
    until: Option<Nanos>,
    attempt: impl Fn() -> c_int,
) -> c_int {
    user::kernel(thread, || Call::of(thread).point(verb, None));
    loop {
        let tried = attempt();
        if tried != libc::EBUSY {
            return tried;
        }
        let slept = user::kernel(thread, || Call::of(thread).sleep_at(address, until));
        if slept == Err(Errno(libc::ETIMEDOUT)) {
            return libc::ETIMEDOUT;
        }
    }
}

/// Wakes at most `count` threads that wait for what has been released.
fn released(thread: &'static UserThread, verb: &'static str, address: usize, count: usize) {
    user::kernel(thread, || {
        let call = Call::of(thread);
        if call.wake_at(address, count) > 0 {
            call.after(verb);
        }
    });
}

/// The virtual time that `clock` shows as `time`.
fn at(clock: clockid_t, time: *const timespec) -> Option<Nanos> {
    // SAFETY: a caller passes a time, or null where it may.
    unsafe { time.as_ref() }.map(|time| futex::until(clock == libc::CLOCK_REALTIME, nanos_of(time)))
}

/// Tries to lock a mutex. Waiting until a time that has passed is a `trylock` that knows mutexes that check for errors.
unsafe fn try_mutex(mutex: *mut pthread_mutex_t) -> c_int {
    let passed = timespec { tv_sec: -1, tv_nsec: 0 };
    let lock =
        real!(pthread_mutex_timedlock: unsafe extern "C" fn(*mut pthread_mutex_t, *const timespec) -> c_int);
    match lock(mutex, &passed) {
        libc::ETIMEDOUT => libc::EBUSY,
        other => other,
    }
}

unsafe fn lock(thread: &'static UserThread, mutex: *mut pthread_mutex_t, until: Option<Nanos>) -> c_int {
    acquire(thread, "mutex_lock", mutex as usize, until, || try_mutex(mutex))
}

unsafe fn unlock(mutex: *mut pthread_mutex_t) -> c_int {
    real!(pthread_mutex_unlock: unsafe extern "C" fn(*mut pthread_mutex_t) -> c_int)(mutex)
}

/// Releases the mutex, waits for the condition, and locks the mutex again.
unsafe fn wait(
    thread: &'static UserThread,
    condition: *mut pthread_cond_t,
    mutex: *mut pthread_mutex_t,
    until: Option<Nanos>,
) -> c_int {
    user::kernel(thread, || Call::of(thread).point("cond_wait", None));
    let unlocked = unlock(mutex);
    if unlocked != 0 {
        return unlocked;
    }
    // No other thread has run since.
    let slept = user::kernel(thread, || {
        let call = Call::of(thread);
        call.wake_at(mutex as usize, 1);
        call.sleep_at(condition as usize, until)
    });
    match lock(thread, mutex, None) {
        0 if slept == Err(Errno(libc::ETIMEDOUT)) => libc::ETIMEDOUT,
        locked => locked,
    }
}

/// The clock of a condition whose waits name none.
fn clock_of(thread: &'static UserThread, condition: *mut pthread_cond_t) -> clockid_t {
    let is_monotonic = user::kernel(thread, || {
        Call::of(thread).system.monotonic_conditions.borrow().contains(&(condition as usize))
    });
    if is_monotonic { libc::CLOCK_MONOTONIC } else { libc::CLOCK_REALTIME }
}

unsafe fn read_lock(thread: &'static UserThread, lock: *mut pthread_rwlock_t, until: Option<Nanos>) -> c_int {
    let attempt = real!(pthread_rwlock_tryrdlock: unsafe extern "C" fn(*mut pthread_rwlock_t) -> c_int);
    acquire(thread, "rwlock_rdlock", lock as usize, until, || attempt(lock))
}

unsafe fn write_lock(
    thread: &'static UserThread,
    lock: *mut pthread_rwlock_t,
    until: Option<Nanos>,
) -> c_int {
    let attempt = real!(pthread_rwlock_trywrlock: unsafe extern "C" fn(*mut pthread_rwlock_t) -> c_int);
    acquire(thread, "rwlock_wrlock", lock as usize, until, || attempt(lock))
}

unsafe fn take(thread: &'static UserThread, semaphore: *mut sem_t, until: Option<Nanos>) -> c_int {
    let attempt = real!(sem_trywait: unsafe extern "C" fn(*mut sem_t) -> c_int);
    let taken = acquire(thread, "sem_wait", semaphore as usize, until, || match attempt(semaphore) {
        0 => 0,
        _ if *libc::__errno_location() == libc::EAGAIN => libc::EBUSY,
        _ => libc::EINVAL,
    });
    if taken == 0 {
        return 0;
    }
    set_errno(taken);
    -1
}

type Timed<T> = unsafe extern "C" fn(*mut T, *const timespec) -> c_int;
type Clocked<T> = unsafe extern "C" fn(*mut T, clockid_t, *const timespec) -> c_int;
type Plain<T> = unsafe extern "C" fn(*mut T) -> c_int;

symbols! {
    fn pthread_mutex_lock(mutex: *mut pthread_mutex_t) -> c_int {
        match user::user() {
            Some(thread) => lock(thread, mutex, None),
            None => real!(pthread_mutex_lock: Plain<pthread_mutex_t>)(mutex),
        }
    }

    fn pthread_mutex_timedlock(mutex: *mut pthread_mutex_t, time: *const timespec) -> c_int {
        match user::user() {
            Some(thread) => lock(thread, mutex, at(libc::CLOCK_REALTIME, time)),
            None => real!(pthread_mutex_timedlock: Timed<pthread_mutex_t>)(mutex, time),
        }
    }

    fn pthread_mutex_clocklock(mutex: *mut pthread_mutex_t, clock: clockid_t, time: *const timespec) -> c_int {
        match user::user() {
            Some(thread) => lock(thread, mutex, at(clock, time)),
            None => real!(pthread_mutex_clocklock: Clocked<pthread_mutex_t>)(mutex, clock, time),
        }
    }

    fn pthread_mutex_unlock(mutex: *mut pthread_mutex_t) -> c_int {
        let unlocked = unlock(mutex);
        if let Some(thread) = user::user().filter(|_| unlocked == 0) {
            released(thread, "mutex_unlock", mutex as usize, 1);
        }
        unlocked
    }

    fn pthread_cond_init(condition: *mut pthread_cond_t, attributes: *const pthread_condattr_t) -> c_int {
        let mut clock = libc::CLOCK_REALTIME;
        if let Some(thread) = user::user() {
            if !attributes.is_null() {
                libc::pthread_condattr_getclock(attributes, &mut clock);
            }
            user::kernel(thread, || {
                let call = Call::of(thread);
                let mut monotonic = call.system.monotonic_conditions.borrow_mut();
                match clock {
                    libc::CLOCK_MONOTONIC => monotonic.insert(condition as usize),
                    _ => monotonic.remove(&(condition as usize)),
                };
            });
        }
        real!(
            pthread_cond_init: unsafe extern "C" fn(*mut pthread_cond_t, *const pthread_condattr_t) -> c_int
        )(condition, attributes)
    }

    fn pthread_cond_wait(condition: *mut pthread_cond_t, mutex: *mut pthread_mutex_t) -> c_int {
        match user::user() {
            Some(thread) => wait(thread, condition, mutex, None),
            None => real!(
                pthread_cond_wait: unsafe extern "C" fn(*mut pthread_cond_t, *mut pthread_mutex_t) -> c_int
            )(condition, mutex),
        }
    }

    fn pthread_cond_timedwait(
        condition: *mut pthread_cond_t,
        mutex: *mut pthread_mutex_t,
        time: *const timespec
    ) -> c_int {
        match user::user() {
            Some(thread) => wait(thread, condition, mutex, at(clock_of(thread, condition), time)),
            None => real!(pthread_cond_timedwait: unsafe extern "C" fn(
                *mut pthread_cond_t,
                *mut pthread_mutex_t,
                *const timespec,
            ) -> c_int)(condition, mutex, time),
        }
    }

    fn pthread_cond_clockwait(
        condition: *mut pthread_cond_t,
        mutex: *mut pthread_mutex_t,
        clock: clockid_t,
        time: *const timespec
    ) -> c_int {
        match user::user() {
            Some(thread) => wait(thread, condition, mutex, at(clock, time)),
            None => real!(pthread_cond_clockwait: unsafe extern "C" fn(
                *mut pthread_cond_t,
                *mut pthread_mutex_t,
                clockid_t,
                *const timespec,
            ) -> c_int)(condition, mutex, clock, time),
        }
    }

    fn pthread_cond_signal(condition: *mut pthread_cond_t) -> c_int {
        match user::user() {
            Some(thread) => released(thread, "cond_signal", condition as usize, 1),
            None => return real!(pthread_cond_signal: Plain<pthread_cond_t>)(condition),
        }
        0
    }

    fn pthread_cond_broadcast(condition: *mut pthread_cond_t) -> c_int {
        match user::user() {
            Some(thread) => released(thread, "cond_broadcast", condition as usize, usize::MAX),
            None => return real!(pthread_cond_broadcast: Plain<pthread_cond_t>)(condition),
        }
        0
    }

    fn pthread_rwlock_rdlock(lock: *mut pthread_rwlock_t) -> c_int {
        match user::user() {
            Some(thread) => read_lock(thread, lock, None),
            None => real!(pthread_rwlock_rdlock: Plain<pthread_rwlock_t>)(lock),
        }
    }

    fn pthread_rwlock_timedrdlock(lock: *mut pthread_rwlock_t, time: *const timespec) -> c_int {
        match user::user() {
            Some(thread) => read_lock(thread, lock, at(libc::CLOCK_REALTIME, time)),
            None => real!(pthread_rwlock_timedrdlock: Timed<pthread_rwlock_t>)(lock, time),
        }
    }

    fn pthread_rwlock_clockrdlock(lock: *mut pthread_rwlock_t, clock: clockid_t, time: *const timespec) -> c_int {
        match user::user() {
            Some(thread) => read_lock(thread, lock, at(clock, time)),
            None => real!(pthread_rwlock_clockrdlock: Clocked<pthread_rwlock_t>)(lock, clock, time),
        }
    }

    fn pthread_rwlock_wrlock(lock: *mut pthread_rwlock_t) -> c_int {
        match user::user() {
            Some(thread) => write_lock(thread, lock, None),
            None => real!(pthread_rwlock_wrlock: Plain<pthread_rwlock_t>)(lock),
        }
    }

    fn pthread_rwlock_timedwrlock(lock: *mut pthread_rwlock_t, time: *const timespec) -> c_int {
        match user::user() {
            Some(thread) => write_lock(thread, lock, at(libc::CLOCK_REALTIME, time)),
            None => real!(pthread_rwlock_timedwrlock: Timed<pthread_rwlock_t>)(lock, time),
        }
    }

    fn pthread_rwlock_clockwrlock(lock: *mut pthread_rwlock_t, clock: clockid_t, time: *const timespec) -> c_int {
        match user::user() {
            Some(thread) => write_lock(thread, lock, at(clock, time)),
            None => real!(pthread_rwlock_clockwrlock: Clocked<pthread_rwlock_t>)(lock, clock, time),
        }
    }

    // All that wait are woken, because several readers may go on at once.
    fn pthread_rwlock_unlock(lock: *mut pthread_rwlock_t) -> c_int {
        let unlocked = real!(pthread_rwlock_unlock: Plain<pthread_rwlock_t>)(lock);
        if let Some(thread) = user::user().filter(|_| unlocked == 0) {
            released(thread, "rwlock_unlock", lock as usize, usize::MAX);
        }
        unlocked
    }

    fn sem_wait(semaphore: *mut sem_t) -> c_int {
        match user::user() {
            Some(thread) => take(thread, semaphore, None),
            None => real!(sem_wait: Plain<sem_t>)(semaphore),
        }
    }

    fn sem_timedwait(semaphore: *mut sem_t, time: *const timespec) -> c_int {
        match user::user() {
            Some(thread) => take(thread, semaphore, at(libc::CLOCK_REALTIME, time)),
            None => real!(sem_timedwait: Timed<sem_t>)(semaphore, time),
        }
    }

    fn sem_clockwait(semaphore: *mut sem_t, clock: clockid_t, time: *const timespec) -> c_int {
        match user::user() {
            Some(thread) => take(thread, semaphore, at(clock, time)),
            None => real!(sem_clockwait: Clocked<sem_t>)(semaphore, clock, time),
        }
    }

    fn sem_post(semaphore: *mut sem_t) -> c_int {
        let posted = real!(sem_post: Plain<sem_t>)(semaphore);
        if let Some(thread) = user::user().filter(|_| posted == 0) {
            released(thread, "sem_post", semaphore as usize, 1);
        }
        posted
    }
}
