//! Other questions that a program asks its machine: the time by older calls, the number of processors, its process id.
//!
//! Inside of a run the answers are the same on every machine.

#![cfg(all(target_os = "linux", not(miri), not(target_feature = "crt-static")))]
#![expect(unsafe_code, reason = "symbols of libc are C functions, and the real ones are called by pointer")]

use libc::{c_int, c_long, c_void, cpu_set_t, pid_t, pthread_attr_t, pthread_t, size_t, time_t, timeval};

use super::{EPOCH_SECONDS, inside};
use crate::original::Original;

/// The number of a process in a run: above the largest that Linux gives, so that a signal to it reaches no process.
const PROCESS: pid_t = 4_194_305;

type Sysconf = unsafe extern "C" fn(c_int) -> c_long;
type PthreadGetattr = unsafe extern "C" fn(pthread_t, *mut pthread_attr_t) -> c_int;

static REAL_SYSCONF: Original = Original::new(c"sysconf");
static REAL_PTHREAD_GETATTR: Original = Original::new(c"pthread_getattr_np");

/// Whether a thread of an unmodified program asks.
fn is_in_process() -> bool {
    #[cfg(feature = "process")]
    return super::user::user().is_some();
    #[cfg(not(feature = "process"))]
    false
}

fn seconds_and_nanos() -> Option<(u64, u64)> {
    #[cfg(feature = "process")]
    if let Some(thread) = super::user::user() {
        return super::user::kernel(thread, seconds_and_nanos);
    }
    inside().map(|now| (EPOCH_SECONDS + now / 1_000_000_000, now % 1_000_000_000))
}

/// libc's `time(2)`: the virtual clock inside of a run.
///
/// # Safety
///
/// `time` is null or points to a writable `time_t`, as libc demands.
#[unsafe(no_mangle)]
unsafe extern "C" fn time(time: *mut time_t) -> time_t {
    let seconds = match seconds_and_nanos() {
        Some((seconds, _)) => seconds as time_t,
        None => {
            // SAFETY: plain data that the call fills in.
            let mut now: libc::timespec = unsafe { std::mem::zeroed() };
            // SAFETY: `now` is writable.
            unsafe { libc::clock_gettime(libc::CLOCK_REALTIME, &mut now) };
            now.tv_sec
        }
    };
    if !time.is_null() {
        // SAFETY: not null, so writable by this function's contract.
        unsafe { time.write(seconds) };
    }
    seconds
}

/// libc's `gettimeofday(2)`: the virtual clock inside of a run.
///
/// # Safety
///
/// `time` is null or points to a writable `timeval`; `zone` as libc demands.
#[unsafe(no_mangle)]
unsafe extern "C" fn gettimeofday(time: *mut timeval, zone: *mut c_void) -> c_int {
    if let Some((seconds, nanos)) = seconds_and_nanos() {
        if !time.is_null() {
            let now = timeval { tv_sec: seconds as time_t, tv_usec: (nanos / 1_000) as libc::suseconds_t };
            // SAFETY: not null, so writable by this function's contract.
            unsafe { time.write(now) };
        }
        return 0;
    }
    // SAFETY: the kernel's own interface, with the caller's arguments.
    unsafe { libc::syscall(libc::SYS_gettimeofday, time, zone) as c_int }
}

/// libc's `getpid(2)`: one number for all processes of a run.
///
/// # Safety
///
/// None.
#[unsafe(no_mangle)]
unsafe extern "C" fn getpid() -> pid_t {
    #[cfg(feature = "process")]
    if let Some(calls) = super::user::calls() {
        return (calls.process_id)();
    }
    if inside().is_some() {
        return PROCESS;
    }
    // SAFETY: the kernel's own interface.
    unsafe { libc::syscall(libc::SYS_getpid) as pid_t }
}

/// libc's `sched_getaffinity(2)`: one processor inside of a run; std derives `available_parallelism` from it.
///
/// # Safety
///
/// `set` points to `size` writable bytes, as libc demands.
#[unsafe(no_mangle)]
unsafe extern "C" fn sched_getaffinity(process: pid_t, size: size_t, set: *mut cpu_set_t) -> c_int {
    #[cfg(feature = "process")]
    if let Some(calls) = super::user::calls()
        && size > 0
        && !set.is_null()
    {
        // SAFETY: not null and `size` bytes long by this function's contract.
        unsafe {
            set.cast::<u8>().write_bytes(0, size);
            set.cast::<u8>().write((1 << calls.processors) - 1);
        }
        return 0;
    }
    if inside().is_some() && size > 0 && !set.is_null() {
        // SAFETY: not null and `size` bytes long by this function's contract.
        unsafe {
            set.cast::<u8>().write_bytes(0, size);
            set.cast::<u8>().write(1);
        }
        return 0;
    }
    // SAFETY: the kernel's own interface, with the caller's arguments.
    let filled = unsafe { libc::syscall(libc::SYS_sched_getaffinity, process, size, set) };
    let Ok(filled) = size_t::try_from(filled) else { return -1 };
    // SAFETY: libc clears what the kernel left; `filled` is at most `size`.
    unsafe { set.cast::<u8>().add(filled).write_bytes(0, size - filled) };
    0
}

/// libc's `sysconf(3)`: one processor inside of a run.
///
/// # Safety
///
/// None beyond libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn sysconf(name: c_int) -> c_long {
    if matches!(name, libc::_SC_NPROCESSORS_ONLN | libc::_SC_NPROCESSORS_CONF) {
        #[cfg(feature = "process")]
        if let Some(calls) = super::user::calls() {
            return calls.processors as c_long;
        }
        if inside().is_some() {
            return 1;
        }
    }
    let real = REAL_SYSCONF.find();
    if real.is_null() {
        return -1;
    }
    // SAFETY: the symbol of this name in libc has this signature.
    let real: Sysconf = unsafe { std::mem::transmute(real) };
    // SAFETY: the argument is passed on as it came.
    unsafe { real(name) }
}

/// libc's `pthread_getattr_np(3)`: fails inside of a run.
///
/// Tasks and threads of a run have stacks of their own. Code that measures what is left of its stack (`stacker`, and so
/// `pest`) would take the bounds of the OS thread for them, and find nothing left. Without bounds it goes on.
///
/// # Safety
///
/// As libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn pthread_getattr_np(thread: pthread_t, attributes: *mut pthread_attr_t) -> c_int {
    let real = REAL_PTHREAD_GETATTR.find();
    if real.is_null() || inside().is_some() || is_in_process() {
        return libc::ENOSYS;
    }
    // SAFETY: the symbol of this name in libc has this signature.
    let real: PthreadGetattr = unsafe { std::mem::transmute(real) };
    // SAFETY: the arguments are passed on as they came.
    unsafe { real(thread, attributes) }
}

#[cfg(test)]
mod tests {
    use super::super::{enter, set_clock};
    use super::*;
    use crate::choice::Choices;

    #[test]
    fn stack_bounds_are_unknown_in_a_run() {
        let answers = || {
            // SAFETY: plain data that the call fills in.
            let mut attributes: pthread_attr_t = unsafe { std::mem::zeroed() };
            // SAFETY: this OS thread, and writable attributes.
            let answer = unsafe { libc::pthread_getattr_np(libc::pthread_self(), &mut attributes) };
            if answer == 0 {
                // SAFETY: the call has filled them in.
                unsafe { libc::pthread_attr_destroy(&mut attributes) };
            }
            answer == 0
        };
        assert!(answers());
        {
            let _inside = enter(Choices::seeded(1).side_stream("libc"));
            assert!(!answers());
        }
        assert!(answers());
    }

    #[test]
    fn a_run_hides_the_real_machine() {
        let real = (std::process::id(), std::thread::available_parallelism().unwrap());
        let seconds = || {
            // SAFETY: null is allowed.
            unsafe { libc::time(std::ptr::null_mut()) }
        };
        let before = seconds();
        {
            let _inside = enter(Choices::seeded(1).side_stream("libc"));
            set_clock(3_500_000_000);
            assert_eq!(std::process::id(), PROCESS as u32);
            assert_eq!(std::thread::available_parallelism().unwrap().get(), 1);
            assert_eq!(seconds() as u64, EPOCH_SECONDS + 3);
            // SAFETY: a plain call.
            assert_eq!(unsafe { libc::sysconf(libc::_SC_NPROCESSORS_ONLN) }, 1);
            // SAFETY: plain data that the call fills in.
            let mut now: timeval = unsafe { std::mem::zeroed() };
            // SAFETY: `now` is writable, and no zone is asked for.
            unsafe { libc::gettimeofday(&mut now, std::ptr::null_mut()) };
            assert_eq!((now.tv_sec as u64, now.tv_usec), (EPOCH_SECONDS + 3, 500_000));
        }
        assert_eq!(real, (std::process::id(), std::thread::available_parallelism().unwrap()));
        assert!((before..before + 3600).contains(&seconds()));
    }
}
