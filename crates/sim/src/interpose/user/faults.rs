//! Faults of unmodified programs: a stack that overflows, memory that is not theirs, an illegal instruction.
//!
//! The signal comes while the program's code runs, so the simulator's state is whole. The handler has the thread go on
//! at a function on a stack of its own, which fails the run and ends the thread. So a fault leaves its choices behind,
//! and shrinks, as a panic does. A fault in kernel mode is one of the simulator, and is left to the handlers before.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

use libc::{c_int, c_void, siginfo_t, ucontext_t};

use super::user;

/// Fails the run with these words, and ends the thread.
static ON_FAULT: OnceLock<fn(&str) -> !> = OnceLock::new();

/// The top of the stack on which a run fails. One is enough: a run fails once.
static STACK_TOP: AtomicUsize = AtomicUsize::new(0);

const STACK_BYTES: usize = 512 << 10;

const SIGNALS: [c_int; 4] = [libc::SIGSEGV, libc::SIGBUS, libc::SIGILL, libc::SIGFPE];

static PREVIOUS: [AtomicUsize; SIGNALS.len()] = [const { AtomicUsize::new(libc::SIG_DFL) }; SIGNALS.len()];

/// The fault: 0 for a stack that has overflowed, else the signal.
const OVERFLOW: c_int = 0;

/// Calls `on_fault` when a program in this process crashes.
pub(crate) fn catch_faults(on_fault: fn(&str) -> !) {
    if ON_FAULT.set(on_fault).is_err() {
        return;
    }
    // SAFETY: a fresh mapping, and handlers with the signature that is asked for; the structures are plain data, zeroed
    // where unused.
    unsafe {
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
        let stack =
            libc::mmap(std::ptr::null_mut(), STACK_BYTES, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0);
        if stack == libc::MAP_FAILED {
            return;
        }
        STACK_TOP.store(stack as usize + STACK_BYTES, Ordering::Release);
        for (signal, previous) in SIGNALS.iter().zip(&PREVIOUS) {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = on_signal as *const () as usize;
            action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
            let mut before: libc::sigaction = std::mem::zeroed();
            if libc::sigaction(*signal, &action, &mut before) == 0 {
                previous.store(before.sa_sigaction, Ordering::Release);
            }
        }
    }
}

extern "C" fn on_signal(signal: c_int, info: *mut siginfo_t, context: *mut c_void) {
    /// The bytes below a stack's end that count as its overflow: the guard page, and what a large frame skips.
    const BELOW: usize = 1 << 20;
    let top = STACK_TOP.load(Ordering::Acquire);
    if let Some(thread) = user().filter(|_| top != 0) {
        // SAFETY: the kernel passes a valid siginfo and context. When this handler returns, the thread goes on at
        // `fail` with its own FS base, on a stack that nothing uses, aligned as after a call.
        unsafe {
            let address = (*info).si_addr() as usize;
            let guard = thread.guard();
            let is_overflow =
                signal == libc::SIGSEGV && (guard.saturating_sub(BELOW)..guard + 4096).contains(&address);
            let registers = &mut (*context.cast::<ucontext_t>()).uc_mcontext.gregs;
            registers[libc::REG_RDI as usize] = if is_overflow { OVERFLOW.into() } else { signal.into() };
            registers[libc::REG_RSP as usize] = (top - 64 - 8) as i64;
            registers[libc::REG_RIP as usize] = fail as *const () as i64;
        }
        return;
    }
    let index = SIGNALS.iter().position(|known| *known == signal).unwrap_or(0);
    match PREVIOUS[index].load(Ordering::Acquire) {
        libc::SIG_DFL | libc::SIG_IGN => {
            // SAFETY: a plain call; the fault happens again when the handler returns.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
        previous => {
            // SAFETY: the address was registered as a signal handler that takes these.
            let previous: extern "C" fn(c_int, *mut siginfo_t, *mut c_void) =
                unsafe { std::mem::transmute(previous) };
            previous(signal, info, context);
        }
    }
}

/// Where a thread that has crashed continues.
extern "C" fn fail(fault: c_int) -> ! {
    let what = match fault {
        OVERFLOW => "its stack overflowed",
        libc::SIGSEGV => "SIGSEGV, a fault of memory",
        libc::SIGBUS => "SIGBUS, a fault of memory",
        libc::SIGILL => "SIGILL, an illegal instruction",
        _ => "SIGFPE, an arithmetic fault",
    };
    match ON_FAULT.get() {
        Some(on_fault) => on_fault(what),
        None => std::process::abort(),
    }
}
