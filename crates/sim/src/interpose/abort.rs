//! The end of a process in which a destructor has panicked during an unwind.
//!
//! std calls the panic hook, says on standard error that it ends the process, and calls libc's `abort`. At that moment
//! no lock of std's is held. So a stack that can be abandoned is left there, and the rest of the process goes on.

#![cfg(all(target_os = "linux", not(miri), not(target_feature = "crt-static")))]
#![expect(unsafe_code, reason = "symbols of libc are C functions, and the real ones are called by pointer")]

use libc::{c_int, c_void, size_t, ssize_t};

use super::{LEAVING, ON_ABORT};
use crate::original::Original;

type Abort = unsafe extern "C" fn() -> !;

static REAL_ABORT: Original = Original::new(c"abort");

/// libc's `abort(3)`: leaves the stack that runs now, if that was announced.
///
/// # Safety
///
/// None beyond libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn abort() -> ! {
    #[cfg(feature = "process")]
    if let Some(calls) = super::user::calls() {
        (calls.abort)();
    }
    if LEAVING.try_with(|leaving| leaving.replace(false)).unwrap_or(false)
        && let Some(leave) = ON_ABORT.get()
    {
        leave();
    }
    let real = REAL_ABORT.find();
    if real.is_null() {
        // SAFETY: ends the process as `abort` would, but for handlers of SIGABRT.
        unsafe { libc::_exit(134) };
    }
    // SAFETY: the symbol of this name in libc has this signature.
    let real: Abort = unsafe { std::mem::transmute(real) };
    // SAFETY: it takes nothing.
    unsafe { real() }
}

/// libc's `write(2)`: drops std's message of an abort if the process does not abort.
///
/// # Safety
///
/// As libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn write(file: c_int, bytes: *const c_void, length: size_t) -> ssize_t {
    #[cfg(feature = "process")]
    if let Some(calls) = super::user::calls() {
        // SAFETY: the arguments are passed on as they came.
        return unsafe { (calls.write)(file, bytes, length) };
    }
    if file == libc::STDERR_FILENO && LEAVING.try_with(std::cell::Cell::get).unwrap_or(false) {
        return length as ssize_t;
    }
    // SAFETY: the kernel's own interface, with the caller's arguments.
    unsafe { libc::syscall(libc::SYS_write, file, bytes, length) as ssize_t }
}
