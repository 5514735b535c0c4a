//! The clock and the entropy of libc, interposed inside of a run; what else depends on the machine (`machine`), what
//! would leave the simulation (`real`), and what an instrumented build calls (`blocks`).
//!
//! std reads the time with `clock_gettime` and seeds `HashMap` with `getrandom`. This library defines both symbols.
//! Inside of a run they answer from the virtual clock and the seed; elsewhere they pass the call on. State is per OS
//! thread, and while it lasts a run has one for itself, so parallel runs do not disturb each other.
//!
//! # What this does not reach
//!
//! Code that asks the kernel directly (inline assembly), the vDSO behind glibc's own internal calls, `RDTSC`, and
//! foreign OS threads.
//!
//! On systems other than Linux nothing is interposed: simulation works, but `std::time::Instant` is the real clock
//! there and `HashMap` order is not reproducible.

mod abort;
pub(crate) mod addresses;
pub(crate) mod blocks;
mod machine;
mod real;
mod syscall;
#[cfg(all(feature = "process", not(miri)))]
pub(crate) mod user;

use std::cell::{Cell, RefCell};
use std::ops::Range;
use std::sync::OnceLock;

use rand_chacha::ChaCha8Rng;

use crate::thread_memory::place_of;
use crate::time::Nanos;

/// The virtual time at which a run begins, as the realtime clock shows it: 2024-01-01T00:00:00Z, in seconds.
#[cfg_attr(
    not(any(target_os = "linux", feature = "rustls")),
    expect(dead_code, reason = "only interposed on Linux")
)]
pub(crate) const EPOCH_SECONDS: u64 = 1_704_067_200;
/// The virtual time at which a run begins, as the monotonic clock shows it, in seconds: far from zero, so that code
/// which subtracts from `Instant::now()` does not underflow.
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only interposed on Linux"))]
pub(crate) const UPTIME_SECONDS: u64 = 1_000_000;

// Const-initialised: reading these allocates nothing, which code called from anywhere in libc must not rely on.
thread_local! {
    static CLOCK: Cell<Option<Nanos>> = const { Cell::new(None) };
    static POLLING: Cell<bool> = const { Cell::new(false) };
    static OBSERVED: Cell<bool> = const { Cell::new(false) };
    static ENTROPY: RefCell<Option<ChaCha8Rng>> = const { RefCell::new(None) };
    static UNSIMULATED: Cell<u32> = const { Cell::new(0) };
    /// std is about to abort, and the stack that runs now is left instead.
    static LEAVING: Cell<bool> = const { Cell::new(false) };
}

/// Whether this platform's libc is interposed.
pub(crate) const INTERPOSED: bool = cfg!(all(target_os = "linux", not(miri)));

/// Whether a stack can be left where std would end the process.
pub(crate) const CATCHES_ABORT: bool =
    cfg!(all(target_os = "linux", not(miri), not(target_feature = "crt-static")));

/// How the stack that runs now is left.
static ON_ABORT: OnceLock<fn()> = OnceLock::new();

/// Has `leave` called instead of the `abort` with which std is about to end the process. Only where
/// [`CATCHES_ABORT`].
pub(crate) fn leave_at_abort(leave: fn()) {
    let _ = ON_ABORT.set(leave);
    LEAVING.set(true);
}

/// Where the thread-local values of this module are that a run changes.
pub(crate) fn thread_locals() -> Vec<Range<usize>> {
    vec![CLOCK.with(place_of), OBSERVED.with(place_of), ENTROPY.with(place_of)]
}

/// Interposes on this OS thread until the guard is dropped.
pub(crate) fn enter(entropy: ChaCha8Rng) -> Entered {
    ENTROPY.with(|slot| *slot.borrow_mut() = Some(entropy));
    OBSERVED.set(false);
    POLLING.set(false);
    CLOCK.set(Some(0));
    Entered
}

/// Stops interposing when dropped.
pub(crate) struct Entered;

impl Drop for Entered {
    fn drop(&mut self) {
        CLOCK.set(None);
        ENTROPY.with(|slot| *slot.borrow_mut() = None);
    }
}

/// Sets the virtual clock of this OS thread.
pub(crate) fn set_clock(now: Nanos) {
    if CLOCK.get().is_some() {
        CLOCK.set(Some(now));
    }
}

/// Returns `true` if code under test runs now, as opposed to the simulator or tokio's own driver.
pub(crate) fn set_polling(polling: bool) {
    POLLING.set(polling);
}

/// Runs `f` as code under test.
pub(crate) fn as_code_under_test<T>(f: impl FnOnce() -> T) -> T {
    with_polling(true, f)
}

/// Runs `f` as part of the simulator, though code under test called it. It may use what is real, and a lock for which
/// it waits is held by another OS thread and not by a task of this run.
pub(crate) fn as_simulator<T>(f: impl FnOnce() -> T) -> T {
    with_polling(false, f)
}

fn with_polling<T>(polling: bool, f: impl FnOnce() -> T) -> T {
    struct Back(bool);
    impl Drop for Back {
        fn drop(&mut self) {
            POLLING.set(self.0);
        }
    }
    let _back = Back(POLLING.replace(polling));
    f()
}

/// Whether code under test may have read a clock other than the runtime's, and so may have armed a tokio timer.
pub(crate) fn observed() -> bool {
    !INTERPOSED || OBSERVED.get()
}

/// Notes that timers may exist of which the simulator does not know.
#[cfg_attr(not(tokio_unstable), expect(dead_code, reason = "sweeps refuse such a build"))]
pub(crate) fn observe() {
    OBSERVED.set(true);
}

/// Something real that code under test asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only interposed on Linux"))]
pub(crate) enum Real {
    Socket,
    Name,
    Thread,
    /// A lock, condition or channel of std, for some time.
    Time,
}

/// What is done when code under test asks for something real.
static ON_REAL: OnceLock<fn(Real)> = OnceLock::new();

/// Sets `on_real`. It is called on the OS thread of a run when code under test asks for something real.
pub(crate) fn on_real(on_real: fn(Real)) {
    let _ = ON_REAL.set(on_real);
}

/// What is done when code under test is about to wait for a real lock. Returns `true` if the lock may be free now.
/// Asked with `false`, it only returns whether there is something to do.
static ON_LOCK: OnceLock<fn(bool) -> bool> = OnceLock::new();

/// Sets `on_lock`. It is called on the OS thread of a run when code under test is about to wait for a real lock.
pub(crate) fn on_lock(on_lock: fn(bool) -> bool) {
    let _ = ON_LOCK.set(on_lock);
}

/// Asks what [`on_lock`] has set, if code under test runs now.
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only interposed on Linux"))]
fn free_lock(really: bool) -> bool {
    inside().is_some()
        && POLLING.try_with(Cell::get).unwrap_or(false)
        && ON_LOCK.get().is_some_and(|on_lock| on_lock(really))
}

/// Runs `f`, which may ask for real things.
pub(crate) fn unsimulated<T>(f: impl FnOnce() -> T) -> T {
    struct Leave;
    impl Drop for Leave {
        fn drop(&mut self) {
            UNSIMULATED.set(UNSIMULATED.get() - 1);
        }
    }
    UNSIMULATED.set(UNSIMULATED.get() + 1);
    let _leave = Leave;
    f()
}

/// Returns `true` if code under test runs now and must not have something real. Reports it to the run.
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only interposed on Linux"))]
fn is_refused(what: Real) -> bool {
    let is_simulated = inside().is_some()
        && POLLING.try_with(Cell::get).unwrap_or(false)
        && UNSIMULATED.try_with(Cell::get).unwrap_or(1) == 0;
    if is_simulated && let Some(on_real) = ON_REAL.get() {
        on_real(what);
    }
    is_simulated
}

/// The virtual time of this OS thread, inside of a run.
#[cfg_attr(not(target_os = "linux"), expect(dead_code, reason = "only interposed on Linux"))]
fn inside() -> Option<Nanos> {
    CLOCK.try_with(Cell::get).ok().flatten()
}

#[cfg(all(target_os = "linux", not(miri)))]
#[expect(unsafe_code, reason = "symbols of libc are C functions, and the real ones are called by pointer")]
mod linux {
    use libc::{c_int, c_uint, c_void, clockid_t, size_t, ssize_t, timespec};
    use rand_core::Rng;

    use super::{CLOCK, ENTROPY, EPOCH_SECONDS, OBSERVED, POLLING, UPTIME_SECONDS};
    use crate::original::Original;

    type ClockGettime = unsafe extern "C" fn(clockid_t, *mut timespec) -> c_int;

    /// libc's own `clock_gettime`, which uses the vDSO.
    static REAL_CLOCK_GETTIME: Original = Original::new(c"clock_gettime");

    pub(super) fn virtual_time(clock: clockid_t) -> Option<timespec> {
        #[cfg(feature = "process")]
        if let Some(thread) = super::user::user() {
            return super::user::kernel(thread, || virtual_time(clock));
        }
        let now = CLOCK.try_with(std::cell::Cell::get).ok().flatten()?;
        let seconds = match clock {
            libc::CLOCK_REALTIME | libc::CLOCK_REALTIME_COARSE => EPOCH_SECONDS,
            libc::CLOCK_MONOTONIC
            | libc::CLOCK_MONOTONIC_RAW
            | libc::CLOCK_MONOTONIC_COARSE
            | libc::CLOCK_BOOTTIME => UPTIME_SECONDS,
            // CPU time of a thread or process is real whatever we say.
            _ => return None,
        };
        if POLLING.try_with(std::cell::Cell::get).unwrap_or(false) {
            OBSERVED.with(|observed| observed.set(true));
        }
        Some(timespec {
            tv_sec: (seconds + now / 1_000_000_000) as libc::time_t,
            tv_nsec: (now % 1_000_000_000) as libc::c_long,
        })
    }

    /// Shows an hour after this time of the monotonic clock, and after the present one. The simulator ends that when it
    /// sets the clock.
    pub(super) fn show(time: timespec) {
        let nanos = (time.tv_sec as u64).saturating_sub(UPTIME_SECONDS).saturating_mul(1_000_000_000);
        CLOCK
            .with(|clock| clock.set(clock.get().map(|now| now.max(nanos).saturating_add(3_600_000_000_000))));
    }

    /// libc's `clock_gettime(2)`: the virtual clock inside of a run.
    ///
    /// # Safety
    ///
    /// `time` is null or points to a writable `timespec`, as libc demands.
    #[unsafe(no_mangle)]
    pub(super) unsafe extern "C" fn clock_gettime(clock: clockid_t, time: *mut timespec) -> c_int {
        if !time.is_null()
            && let Some(now) = virtual_time(clock)
        {
            // SAFETY: `time` is not null, so it is writable by this function's contract.
            unsafe { time.write(now) };
            return 0;
        }
        // SAFETY: the arguments are passed on as they came.
        unsafe { real_clock_gettime(clock, time) }
    }

    unsafe fn real_clock_gettime(clock: clockid_t, time: *mut timespec) -> c_int {
        let real = REAL_CLOCK_GETTIME.find();
        if real.is_null() {
            // SAFETY: the kernel's own interface, with the caller's arguments.
            return unsafe { libc::syscall(libc::SYS_clock_gettime, clock, time) as c_int };
        }
        // SAFETY: the symbol of this name in libc has this signature.
        let real: ClockGettime = unsafe { std::mem::transmute(real) };
        // SAFETY: the arguments are passed on as they came.
        unsafe { real(clock, time) }
    }

    /// Fills a buffer with the seed's entropy. Returns `false` outside of a run.
    ///
    /// # Safety
    ///
    /// `buffer` is null or points to `length` writable bytes.
    pub(super) unsafe fn fill(buffer: *mut c_void, length: size_t) -> bool {
        let inside = CLOCK.try_with(std::cell::Cell::get).ok().flatten().is_some();
        // A probe of no bytes, which std makes once per process, draws nothing.
        if !inside || length == 0 || buffer.is_null() {
            return false;
        }
        // SAFETY: not null and `length` bytes long by this function's contract; bytes have no invalid values, and
        // zeroing first makes the slice initialised.
        let bytes = unsafe {
            buffer.cast::<u8>().write_bytes(0, length);
            std::slice::from_raw_parts_mut(buffer.cast::<u8>(), length)
        };
        let filled = ENTROPY.try_with(|entropy| {
            let mut entropy = entropy.try_borrow_mut().ok()?;
            entropy.as_mut()?.fill_bytes(bytes);
            Some(())
        });
        matches!(filled, Ok(Some(())))
    }

    /// libc's `getrandom(2)`: the seed's entropy inside of a run.
    ///
    /// # Safety
    ///
    /// `buffer` points to `length` writable bytes, as libc demands.
    #[unsafe(no_mangle)]
    pub(super) unsafe extern "C" fn getrandom(buffer: *mut c_void, length: size_t, flags: c_uint) -> ssize_t {
        #[cfg(feature = "process")]
        if let Some(calls) = super::user::calls() {
            if length > 0 && !buffer.is_null() {
                // SAFETY: `length` writable bytes, by this function's contract; bytes have no invalid values.
                (calls.entropy)(unsafe { std::slice::from_raw_parts_mut(buffer.cast(), length) });
            }
            return length as ssize_t;
        }
        // SAFETY: `length` writable bytes, by this function's contract.
        if unsafe { fill(buffer, length) } {
            return length as ssize_t;
        }
        // SAFETY: the kernel's own interface, with the caller's arguments.
        unsafe { libc::syscall(libc::SYS_getrandom, buffer, length, flags) as ssize_t }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::choice::Choices;

    #[test]
    #[cfg(target_os = "linux")]
    #[expect(clippy::disallowed_types, reason = "the real clock is what is tested")]
    fn std_clocks_are_virtual_only_inside_a_run() {
        use std::time::{Instant, SystemTime, UNIX_EPOCH};
        let real = SystemTime::now();
        {
            let _inside = enter(Choices::seeded(1).side_stream("libc"));
            let start = Instant::now();
            set_clock(5_000_000_123);
            assert_eq!(start.elapsed().as_nanos(), 5_000_000_123);
            let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
            assert_eq!(since.as_secs(), EPOCH_SECONDS + 5);
        }
        assert!(SystemTime::now().duration_since(real).unwrap().as_secs() < 3600);
    }

    #[test]
    #[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]
    #[expect(unsafe_code, reason = "the call by number is what is tested")]
    fn calls_by_number_follow_the_seed() {
        let draw = || {
            let mut bytes = [0_u8; 16];
            // SAFETY: the buffer is as long as is said.
            let drawn = unsafe { libc::syscall(libc::SYS_getrandom, bytes.as_mut_ptr(), bytes.len(), 0) };
            assert_eq!(drawn, 16);
            bytes
        };
        let in_run = |seed| {
            let _inside = enter(Choices::seeded(seed).side_stream("libc"));
            set_clock(1_500_000_000);
            // SAFETY: plain data that the call fills in.
            let mut now: libc::timespec = unsafe { std::mem::zeroed() };
            // SAFETY: `now` is writable.
            let read = unsafe { libc::syscall(libc::SYS_clock_gettime, libc::CLOCK_MONOTONIC, &mut now) };
            assert_eq!((read, now.tv_sec as u64, now.tv_nsec), (0, UPTIME_SECONDS + 1, 500_000_000));
            draw()
        };
        assert_eq!(in_run(1), in_run(1));
        assert_ne!(in_run(1), in_run(2));
        assert_ne!(draw(), draw(), "outside, the system answers");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn only_clock_reads_of_tested_code_are_noted() {
        #[expect(clippy::disallowed_types, reason = "the read is what is tested")]
        fn read() {
            let _ = std::time::Instant::now();
        }
        let _inside = enter(Choices::seeded(1).side_stream("libc"));
        read();
        assert!(!observed());
        set_polling(true);
        read();
        set_polling(false);
        assert!(observed());
    }
}
