//! Names the simulated thread whose stack overflowed.
//!
//! The guard page below a stack turns an overflow into SIGSEGV. The handler knows which simulated thread ran on the
//! faulting OS thread and where its guard page is. It prints one sentence and lets the fault kill the process, because
//! no stack is left to unwind on.

#![expect(unsafe_code, reason = "signal handlers and their registration are libc calls")]

use std::cell::Cell;
use std::sync::Once;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The simulated thread that an OS thread runs now.
#[derive(Clone, Copy)]
struct Running {
    guard: usize,
    message: *const u8,
    message_len: usize,
}

const NO_THREAD: Running = Running { guard: 0, message: std::ptr::null(), message_len: 0 };

thread_local! {
    // Const-initialised and without a destructor, so that a signal handler can read it without running code.
    static RUNNING: Cell<Running> = const { Cell::new(NO_THREAD) };
}

static INSTALL: Once = Once::new();
/// The handler that was there before ours (std's), for faults that are not ours.
static PREVIOUS: AtomicUsize = AtomicUsize::new(libc::SIG_DFL);
static PAGE_BYTES: AtomicUsize = AtomicUsize::new(4096);

/// Runs `f` while a fault at the guard page `guard` prints `message`.
pub(super) fn watched<T>(guard: usize, message: &str, f: impl FnOnce() -> T) -> T {
    INSTALL.call_once(install);
    let outer = RUNNING.replace(Running { guard, message: message.as_ptr(), message_len: message.len() });
    let result = f();
    RUNNING.set(outer);
    result
}

fn install() {
    // SAFETY: `handler` has the signature that SA_SIGINFO asks for and lives as long as the process; the structures are
    // plain data, zeroed where unused. SA_ONSTACK uses the alternate stack that std gives each of its threads.
    unsafe {
        let page = libc::sysconf(libc::_SC_PAGESIZE);
        PAGE_BYTES.store(usize::try_from(page).unwrap_or(4096), Ordering::Relaxed);
        let mut action: libc::sigaction = std::mem::zeroed();
        action.sa_sigaction = handler as *const () as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        let mut previous: libc::sigaction = std::mem::zeroed();
        if libc::sigaction(libc::SIGSEGV, &action, &mut previous) == 0 {
            PREVIOUS.store(previous.sa_sigaction, Ordering::Release);
        }
    }
}

extern "C" fn handler(signal: libc::c_int, info: *mut libc::siginfo_t, context: *mut libc::c_void) {
    // SAFETY: the kernel passes a valid siginfo. Only async-signal-safe calls follow: write, signal and the previous
    // handler, which was registered as a signal handler itself.
    unsafe {
        let address = (*info).si_addr() as usize;
        let running = RUNNING.get();
        let page = PAGE_BYTES.load(Ordering::Relaxed);
        if running.guard != 0 && (running.guard..running.guard + page).contains(&address) {
            libc::write(2, running.message.cast(), running.message_len);
            crate::process_end::said();
            libc::signal(signal, libc::SIG_DFL);
            return;
        }
        match PREVIOUS.load(Ordering::Acquire) {
            libc::SIG_DFL | libc::SIG_IGN => {
                libc::signal(signal, libc::SIG_DFL);
            }
            previous => {
                let previous: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) =
                    std::mem::transmute(previous);
                previous(signal, info, context);
            }
        }
    }
}
