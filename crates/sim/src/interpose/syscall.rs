//! Calls of the kernel by number: what draws entropy or reads the clock that way, and the call by which std's
//! locks wait.
//!
//! Cryptography draws its entropy by `syscall(SYS_getrandom, ..)`. Inside of a run the seed answers, so a TLS
//! handshake is the same in every run of a seed.
//!
//! All tasks of a run share an OS thread. A task that waits for a lock of std, which another task with an interrupted
//! poll holds, would wait for ever. So the interrupted poll first runs to its end.

#![cfg(all(target_os = "linux", not(miri), not(target_feature = "crt-static")))]
#![cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
#![expect(unsafe_code, reason = "symbols of libc are C functions, and the real ones are called by pointer")]

use std::sync::atomic::{AtomicPtr, AtomicU32, Ordering};

use libc::{c_int, c_long, c_void, size_t};

use super::linux::{fill, virtual_time};
use super::{Real, free_lock, is_refused};

type Syscall = unsafe extern "C" fn(c_long, c_long, c_long, c_long, c_long, c_long, c_long) -> c_long;

static REAL_SYSCALL: AtomicPtr<c_void> = AtomicPtr::new(std::ptr::null_mut());

/// How long a lock in static memory is waited for, because other OS threads may hold it: 10 ms.
const PATIENCE: libc::timespec = libc::timespec { tv_sec: 0, tv_nsec: 10_000_000 };

/// libc's `syscall(2)`. Everything is passed on, except the wait for a lock that an interrupted task may hold.
///
/// # Safety
///
/// Those of libc. It is variadic there. On these architectures all its arguments are passed as those of a function of
/// seven.
#[unsafe(no_mangle)]
unsafe extern "C" fn syscall(
    number: c_long,
    a: c_long,
    b: c_long,
    c: c_long,
    d: c_long,
    e: c_long,
    f: c_long,
) -> c_long {
    if number == libc::SYS_getrandom {
        // SAFETY: a caller passes a buffer and its length.
        if unsafe { fill(a as *mut c_void, b as size_t) } {
            return b;
        }
    } else if number == libc::SYS_clock_gettime
        && b != 0
        && let Some(now) = virtual_time(a as libc::clockid_t)
    {
        // SAFETY: a caller passes a clock and a place for its time, which is not null.
        unsafe { (b as *mut libc::timespec).write(now) };
        return 0;
    } else if number == libc::SYS_futex && is_wait(b) {
        // SAFETY: a caller that waits passes the address of the lock's word.
        let word = unsafe { AtomicU32::from_ptr(a as *mut u32) };
        let is_held = || word.load(Ordering::Acquire) == c as u32;
        if free_lock(false) {
            if is_static(a as usize) {
                // SAFETY: a plain call; the remaining time is not asked for.
                unsafe { libc::nanosleep(&PATIENCE, std::ptr::null_mut()) };
            }
            if !is_held() || free_lock(true) {
                // Returns as a spurious wake-up, which every caller must handle.
                return 0;
            }
        }
        // std waits until a time of the clock, which is virtual here and means nothing to the kernel. So the run fails.
        // Callers wait again until that time has come, so the clock shows it at once.
        if d != 0 && is_held() && is_refused(Real::Time) {
            // SAFETY: a caller passes null or a time.
            let until = unsafe { (d as *const libc::timespec).read() };
            super::linux::show(until);
            // SAFETY: the address of this OS thread's errno is valid.
            unsafe { *libc::__errno_location() = libc::ETIMEDOUT };
            return -1;
        }
    }
    let mut real = REAL_SYSCALL.load(Ordering::Relaxed);
    if real.is_null() {
        // SAFETY: a plain symbol look-up.
        real = unsafe { libc::dlsym(libc::RTLD_NEXT, c"syscall".as_ptr()) };
        assert!(!real.is_null(), "libc has `syscall`");
        REAL_SYSCALL.store(real, Ordering::Relaxed);
    }
    // SAFETY: the symbol of this name in libc takes these registers, whatever the call needs of them.
    let real: Syscall = unsafe { std::mem::transmute(real) };
    // SAFETY: the arguments are passed on as they came.
    unsafe { real(number, a, b, c, d, e, f) }
}

const fn is_wait(operation: c_long) -> bool {
    let command = operation as c_int & !(libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME);
    matches!(command, libc::FUTEX_WAIT | libc::FUTEX_WAIT_BITSET)
}

/// Returns `true` if `address` is in a loaded program or library, as the values of `static` items do.
fn is_static(address: usize) -> bool {
    unsafe extern "C" fn holds(info: *mut libc::dl_phdr_info, _: size_t, address: *mut c_void) -> c_int {
        // SAFETY: the loader passes a valid description with this many headers.
        let (base, headers) = unsafe {
            let info = &*info;
            (info.dlpi_addr as usize, std::slice::from_raw_parts(info.dlpi_phdr, info.dlpi_phnum.into()))
        };
        let holds = headers.iter().filter(|header| header.p_type == libc::PT_LOAD).any(|header| {
            let start = base + header.p_vaddr as usize;
            (start..start + header.p_memsz as usize).contains(&(address as usize))
        });
        c_int::from(holds)
    }
    // SAFETY: the callback reads what it is given and keeps nothing.
    unsafe { libc::dl_iterate_phdr(Some(holds), address as *mut c_void) != 0 }
}
