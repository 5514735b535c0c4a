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

use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};

use libc::{c_int, c_long, c_void, size_t};

use super::linux::{fill, virtual_time};
use super::{Real, free_lock, is_refused};
use crate::original::Original;

type Syscall = unsafe extern "C" fn(c_long, c_long, c_long, c_long, c_long, c_long, c_long) -> c_long;

static REAL_SYSCALL: Original = Original::new(c"syscall");

/// How long a lock in static memory is waited for, because another OS thread may hold it: 5 s.
const PATIENCE: libc::timespec = libc::timespec { tv_sec: 5, tv_nsec: 0 };

/// How long if a task of a run has held it before: 10 ms.
const PATIENCE_WITH_OURS: libc::timespec = libc::timespec { tv_sec: 0, tv_nsec: 10_000_000 };

/// The addresses of the locks in static memory that an interrupted task held. Code that does so once does it often, and
/// is not waited for so long again.
static OURS: [AtomicUsize; 64] = [const { AtomicUsize::new(0) }; 64];

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
    #[cfg(feature = "process")]
    if let Some(calls) = super::user::calls() {
        // SAFETY: the arguments are passed on as they came.
        return unsafe { (calls.syscall)(number, [a, b, c, d, e, f]) };
    }
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
        if free_lock(false) && may_be_free_now(word, c, b) {
            // Returns as a spurious wake-up, which every caller must handle.
            return 0;
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
    // SAFETY: the arguments are passed on as they came.
    unsafe { real_syscall()(number, a, b, c, d, e, f) }
}

/// libc's own `syscall`.
fn real_syscall() -> Syscall {
    let real = REAL_SYSCALL.get();
    // SAFETY: the symbol of this name in libc takes these registers, whatever the call needs of them.
    unsafe { std::mem::transmute(real) }
}

const fn is_wait(operation: c_long) -> bool {
    let command = operation as c_int & !(libc::FUTEX_PRIVATE_FLAG | libc::FUTEX_CLOCK_REALTIME);
    matches!(command, libc::FUTEX_WAIT | libc::FUTEX_WAIT_BITSET)
}

/// Waits until another OS thread frees a lock, or has the tasks of this run free it. Returns `false` if neither can.
///
/// Which of the two holds it cannot be seen. How long another OS thread holds it depends on the machine, and must not
/// decide when the tasks of this run go on.
fn may_be_free_now(word: &AtomicU32, held: c_long, operation: c_long) -> bool {
    let lock = word.as_ptr() as usize;
    let is_shared = is_static(lock);
    if is_shared && is_freed_by_others(lock, held, operation) {
        return true;
    }
    let is_held = || word.load(Ordering::Acquire) == held as u32;
    if !is_held() {
        return true;
    }
    let has_finished = free_lock(true);
    if has_finished && is_shared && !is_held() {
        let remember =
            |ours: &AtomicUsize| ours.compare_exchange(0, lock, Ordering::Relaxed, Ordering::Relaxed);
        OURS.iter().any(|ours| remember(ours).is_ok());
    }
    has_finished
}

fn is_freed_by_others(lock: usize, held: c_long, operation: c_long) -> bool {
    let is_ours = OURS.iter().any(|ours| ours.load(Ordering::Relaxed) == lock);
    let patience = if is_ours { &PATIENCE_WITH_OURS } else { &PATIENCE };
    let wait = c_long::from(libc::FUTEX_WAIT) | operation & c_long::from(libc::FUTEX_PRIVATE_FLAG);
    let patience = std::ptr::from_ref(patience) as c_long;
    // SAFETY: the caller waits at this address, and the kernel only reads the patience.
    let waited = unsafe { real_syscall()(libc::SYS_futex, lock as c_long, wait, held, patience, 0, 0) };
    // SAFETY: the address of this OS thread's errno is valid.
    waited == 0 || unsafe { *libc::__errno_location() } != libc::ETIMEDOUT
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
