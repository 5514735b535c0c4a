//! The signal that asks a thread for its frames, and its handler.

#![expect(unsafe_code, reason = "signal handlers and their registration are libc calls")]

use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
use std::sync::{Mutex, Once, PoisonError};
use std::time::Duration;

use libc::c_int;

const FRAMES_MAX: usize = 96;

/// The wait for an answer, in steps.
const STEP: Duration = Duration::from_millis(5);
const STEPS: u32 = 200;

/// One thread is asked at a time.
static ASKS: Mutex<()> = Mutex::new(());
/// The thread that must answer, or 0.
static ASKED: AtomicI32 = AtomicI32::new(0);
static FRAMES: [AtomicUsize; FRAMES_MAX] = [const { AtomicUsize::new(0) }; FRAMES_MAX];
/// The number of frames, once the thread has answered.
static COUNT: AtomicUsize = AtomicUsize::new(NONE);
const NONE: usize = usize::MAX;

/// Returns a signal that programs seldom use. It ends a process that does not handle it.
fn signal() -> c_int {
    libc::SIGRTMIN() + 13
}

extern "C" fn answer(_: c_int) {
    // SAFETY: the call takes nothing and never fails.
    let own = unsafe { libc::gettid() };
    if ASKED.compare_exchange(own, 0, Ordering::AcqRel, Ordering::Relaxed).is_err() {
        return;
    }
    let mut count = 0;
    // SAFETY: not synchronised with other traces, which matters only to names; the closure does plain stores.
    unsafe {
        backtrace::trace_unsynchronized(|frame| {
            if let Some(place) = FRAMES.get(count) {
                place.store(frame.ip() as usize, Ordering::Relaxed);
                count += 1;
            }
            count < FRAMES_MAX
        });
    }
    COUNT.store(count, Ordering::Release);
}

fn install() {
    static INSTALL: Once = Once::new();
    INSTALL.call_once(|| {
        // SAFETY: the handler has the signature that is asked for and lives as long as the process; the structure
        // is plain data, zeroed where unused. Calls that the signal interrupts are started again.
        unsafe {
            let mut action: libc::sigaction = std::mem::zeroed();
            action.sa_sigaction = answer as *const () as usize;
            action.sa_flags = libc::SA_RESTART;
            libc::sigaction(signal(), &action, std::ptr::null_mut());
        }
    });
}

/// Returns the addresses of the frames of this thread, the innermost first.
pub(super) fn frames(thread: i32) -> Vec<usize> {
    if thread == 0 {
        return Vec::new();
    }
    let _one = ASKS.lock().unwrap_or_else(PoisonError::into_inner);
    install();
    COUNT.store(NONE, Ordering::Relaxed);
    ASKED.store(thread, Ordering::Release);
    // SAFETY: a plain call. Where the thread is gone it fails, and no answer comes.
    let sent = unsafe { libc::syscall(libc::SYS_tgkill, libc::getpid(), thread, signal()) };
    for _ in 0..STEPS {
        if sent != 0 || COUNT.load(Ordering::Acquire) != NONE {
            break;
        }
        #[expect(clippy::disallowed_methods, reason = "the watchdog waits outside of all runs")]
        std::thread::sleep(STEP);
    }
    // An answer that begins now does not count. An answer that has begun ends soon, or never.
    ASKED.store(0, Ordering::Release);
    match COUNT.load(Ordering::Acquire) {
        NONE => Vec::new(),
        count => FRAMES[..count].iter().map(|frame| frame.load(Ordering::Relaxed)).collect(),
    }
}
