//! Where another OS thread of this process is: for the watchdog, which reports a run that is stuck.
//!
//! The thread is interrupted by a signal, whose handler notes the addresses of its frames and nothing else. The thread
//! that asks gives them names.
//!
//! # Invariants
//!
//! - The handler allocates nothing, takes no lock, and writes only while it is waited for.
//! - An answer that does not come in time is no answer: the thread may be somewhere where signals are blocked.

#[cfg(all(target_os = "linux", not(miri)))]
mod linux {
    #![expect(unsafe_code, reason = "signal handlers and their registration are libc calls")]

    use std::sync::atomic::{AtomicI32, AtomicUsize, Ordering};
    use std::sync::{Mutex, Once, PoisonError};
    use std::time::Duration;

    use libc::c_int;

    const FRAMES_MAX: usize = 96;

    /// How long an answer is waited for, in steps.
    const STEP: Duration = Duration::from_millis(5);
    const STEPS: u32 = 200;

    /// One thread is asked at a time.
    static ASKS: Mutex<()> = Mutex::new(());
    /// The thread that is to answer, or 0.
    static ASKED: AtomicI32 = AtomicI32::new(0);
    static FRAMES: [AtomicUsize; FRAMES_MAX] = [const { AtomicUsize::new(0) }; FRAMES_MAX];
    /// How many frames there are, once it has answered.
    static COUNT: AtomicUsize = AtomicUsize::new(NONE);
    const NONE: usize = usize::MAX;

    /// A signal that programs seldom use, and that ends a process which does not handle it.
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

    /// The addresses of the frames of this thread, the innermost first.
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
        // One that begins to answer only now is not listened to; one that has begun ends soon, or never.
        ASKED.store(0, Ordering::Release);
        match COUNT.load(Ordering::Acquire) {
            NONE => Vec::new(),
            count => FRAMES[..count].iter().map(|frame| frame.load(Ordering::Relaxed)).collect(),
        }
    }
}

/// Most lines of an answer.
const LINES_MAX: usize = 12;

/// Says where the OS thread with this number is: its functions from the innermost out, up to the simulator's own. Empty
/// where the system does not tell.
#[cfg(all(target_os = "linux", not(miri)))]
pub(crate) fn of_thread(thread: i32) -> Vec<String> {
    let mut names = Vec::new();
    for address in linux::frames(thread) {
        backtrace::resolve(address as *mut _, |symbol| {
            let name = symbol
                .name()
                .map_or_else(|| "a function without a name".to_owned(), |name| format!("{name:#}"));
            let place = symbol.filename().map(|file| {
                let line = symbol.lineno().map_or_else(String::new, |line| format!(":{line}"));
                format!(" ({}{line})", file.display())
            });
            names.push(format!("{name}{}", place.unwrap_or_default()));
        });
    }
    told(names)
}

/// Says where the OS thread with this number is: this system does not tell.
#[cfg(not(all(target_os = "linux", not(miri))))]
pub(crate) fn of_thread(_: i32) -> Vec<String> {
    Vec::new()
}

/// Leaves out the handler's own functions and those of the simulator around the code under test.
#[cfg_attr(not(all(target_os = "linux", not(miri))), expect(dead_code, reason = "only Linux tells"))]
fn told(names: Vec<String>) -> Vec<String> {
    let is_handler =
        |name: &String| name.starts_with("wavetank::whereabouts::linux") || name.starts_with("backtrace::");
    let begin = names.iter().rposition(is_handler).map_or(0, |last| last + 1);
    let is_of_the_simulator = |name: &&String| {
        ["wavetank::sched", "wavetank::pool", "wavetank::run::"].iter().any(|own| name.starts_with(own))
    };
    let is_trampoline =
        |name: &&String| name.starts_with("__restore_rt") || name.starts_with("a function without");
    let told = names[begin..].iter().skip_while(is_trampoline).take_while(|name| !is_of_the_simulator(name));
    told.take(LINES_MAX).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_frames_of_tested_code_are_told() {
        let names = [
            "backtrace::backtrace::trace_unsynchronized",
            "wavetank::whereabouts::linux::answer",
            "__restore_rt",
            "syscall",
            "std::sync::mpsc::Receiver::recv",
            "chat::waits",
            "wavetank::sched::coroutine::run_to_end",
            "main",
        ];
        let told = told(names.map(str::to_owned).to_vec());
        assert_eq!(told, ["syscall", "std::sync::mpsc::Receiver::recv", "chat::waits"]);
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_waiting_thread_is_found_where_it_waits() {
        use std::sync::mpsc;
        #[inline(never)]
        fn waits_in_here(released: &mpsc::Receiver<()>) {
            // No tail call, which would leave no frame.
            std::hint::black_box(released.recv().is_ok());
        }
        let (told, hear) = mpsc::channel();
        let (release, released) = mpsc::channel();
        let waits = std::thread::Builder::new().spawn(move || {
            let link = std::fs::read_link("/proc/thread-self").expect("Linux has it");
            let number =
                link.file_name().expect("a number").to_string_lossy().parse::<i32>().expect("a number");
            told.send(number).expect("it is heard");
            waits_in_here(&released);
        });
        let thread = hear.recv().expect("the thread says who it is");
        let found = (0..1_000).find_map(|_| {
            let frames = of_thread(thread);
            frames.iter().any(|frame| frame.contains("waits_in_here")).then_some(frames)
        });
        let frames = found.expect("it waits there sooner or later");
        assert!(!frames.iter().any(|frame| frame.contains("whereabouts::linux")), "{frames:?}");
        drop(release);
        waits.expect("it starts").join().expect("the signal has not harmed it");
        assert_eq!(of_thread(thread), Vec::<String>::new(), "it is gone");
    }
}
