//! Threads of unmodified programs, and the calls of libc that they make.
//!
//! Such a thread is a real pthread that has *lent* its stack and its thread control block (TCB) to the OS thread of a
//! run, and sleeps. The OS thread runs the thread's code itself. It switches to it in user space: another stack, and
//! another FS base, by which code finds its thread-local values.
//!
//! In *user mode* the FS base is the thread's own. A call of libc that the simulator answers enters *kernel mode*: the
//! stack stays, and the FS base is that of the run. So everything that finds its run by a thread-local works there. A
//! thread suspends only in kernel mode, so a switch to and from the scheduler changes the stack alone.
//!
//! # Invariants
//!
//! - A thread that is suspended is in kernel mode.
//! - One FS base is in force during a whole Rust function, because compilers keep addresses of thread-local values in
//!   registers. It changes only inside of the functions in assembly.
//! - A thread that is killed unwinds in kernel mode only. Frames of the program never run again, as in a killed
//!   process.
//! - A pthread that was lent is never given back to glibc. A run with processes is a process of its own, which ends by
//!   `_exit`.

#![expect(unsafe_code, reason = "switches stacks and thread control blocks, and calls libc by pointer")]

mod faults;

use std::arch::{asm, global_asm};
use std::cell::{Cell, RefCell};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use libc::{addrinfo, c_char, c_int, c_long, c_void, pthread_attr_t, pthread_t, size_t};

pub(crate) use faults::catch_faults;

/// The main function of a pthread.
pub(crate) type Start = extern "C-unwind" fn(*mut c_void) -> *mut c_void;

/// What answers the calls of libc for which the simulator had a symbol before there were processes.
pub(crate) struct Calls {
    pub(crate) socket: fn(c_int, c_int, c_int) -> c_int,
    pub(crate) socketpair: unsafe fn(c_int, c_int, c_int, *mut c_int) -> c_int,
    pub(crate) write: unsafe fn(c_int, *const c_void, size_t) -> isize,
    pub(crate) getaddrinfo:
        unsafe fn(*const c_char, *const c_char, *const addrinfo, *mut *mut addrinfo) -> c_int,
    pub(crate) pthread_create: unsafe fn(*mut pthread_t, *const pthread_attr_t, Start, *mut c_void) -> c_int,
    pub(crate) syscall: unsafe fn(c_long, [c_long; 6]) -> c_long,
    pub(crate) abort: fn() -> !,
    /// Fills a buffer with the entropy of the thread's host.
    pub(crate) entropy: fn(&mut [u8]),
    pub(crate) process_id: fn() -> c_int,
    /// The number of processors of a host.
    pub(crate) processors: usize,
}

static CALLS: OnceLock<Calls> = OnceLock::new();

/// Sets what answers the calls of threads in user mode.
pub(crate) fn install(calls: Calls) {
    let _ = CALLS.set(calls);
    crate::panics::on_panic_of_program(note_panic);
}

/// Notes a panic that has just begun, if it is one of a thread in user mode.
fn note_panic(info: &std::panic::PanicHookInfo<'_>) -> bool {
    let Some(thread) = user() else { return false };
    // Looked for on the program's stack, before anything of the simulator is on it.
    let is_caught = crate::panics::catcher::is_caught_by_program();
    kernel(thread, || crate::panics::note_of_program(info, is_caught));
    true
}

/// Whether this OS process does one run, and nothing else.
static IS_OF_ONE_RUN: AtomicBool = AtomicBool::new(false);

/// Notes that this OS process does one run, and nothing else.
pub(crate) fn is_of_one_run_from_now_on() {
    IS_OF_ONE_RUN.store(true, Ordering::Relaxed);
}

/// Returns `true` if a run in this OS process may have unmodified programs.
pub(crate) fn is_of_one_run() -> bool {
    IS_OF_ONE_RUN.load(Ordering::Relaxed)
}

/// What answers the calls of this thread, if it is a thread of a program in user mode.
#[inline]
pub(crate) fn calls() -> Option<&'static Calls> {
    user().and_then(|_| CALLS.get())
}

thread_local! {
    /// A value of a lent thread's own TCB. Null on every other thread, and so in kernel mode.
    static USER: Cell<*const UserThread> = const { Cell::new(std::ptr::null()) };
    /// Lent threads that run nothing yet. A value of the run's OS thread.
    static IDLE: RefCell<Vec<&'static UserThread>> = const { RefCell::new(Vec::new()) };
}

/// A thread of an unmodified program.
pub(crate) struct UserThread {
    /// Where it continues, while it does not run.
    stack_pointer: Cell<usize>,
    /// Where the scheduler continues, while it runs.
    scheduler: Cell<usize>,
    own_fs: Cell<usize>,
    run_fs: Cell<usize>,
    place: Place,
    is_lent: AtomicU32,
    begun: Cell<bool>,
    ended: Cell<bool>,
    dying: Cell<bool>,
    /// Rounds of destructors of pthread keys.
    rounds: Cell<u32>,
    start: Cell<Option<Start>>,
    argument: Cell<*mut c_void>,
    pthread: Cell<pthread_t>,
    /// What the program's owner keeps with it.
    pub(crate) host: Cell<usize>,
    pub(crate) task: Cell<u32>,
    pub(crate) is_main: Cell<bool>,
    /// What is done in kernel mode when it has ended.
    at_end: Cell<Option<fn(&'static Self)>>,
}

global_asm!(
    // wavetank_switch(save: rdi, to_stack: rsi, to_fs: rdx): continues on another stack with another FS base.
    ".globl wavetank_switch",
    ".hidden wavetank_switch",
    "wavetank_switch:",
    "push rbp",
    "push rbx",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "sub rsp, 8",
    "stmxcsr [rsp]",
    "fnstcw [rsp+4]",
    "mov [rdi], rsp",
    "wrfsbase rdx",
    "mov rsp, rsi",
    "ldmxcsr [rsp]",
    "fldcw [rsp+4]",
    "add rsp, 8",
    "pop r15",
    "pop r14",
    "pop r13",
    "pop r12",
    "pop rbx",
    "pop rbp",
    "ret",
    // wavetank_lend(save: rdi, stack: rsi, f: rdx, argument: rcx): leaves this stack as `wavetank_switch` does, and
    // calls f(argument) on another one, which must not return.
    ".globl wavetank_lend",
    ".hidden wavetank_lend",
    "wavetank_lend:",
    "push rbp",
    "push rbx",
    "push r12",
    "push r13",
    "push r14",
    "push r15",
    "sub rsp, 8",
    "stmxcsr [rsp]",
    "fnstcw [rsp+4]",
    "mov [rdi], rsp",
    "mov rsp, rsi",
    "mov rdi, rcx",
    "call rdx",
    "ud2",
    // wavetank_with_fs(fs: rdi, f: rsi, argument: rdx): calls f(argument) on this stack with another FS base.
    ".globl wavetank_with_fs",
    ".hidden wavetank_with_fs",
    "wavetank_with_fs:",
    ".cfi_startproc",
    "push rbx",
    ".cfi_adjust_cfa_offset 8",
    ".cfi_rel_offset rbx, 0",
    "rdfsbase rbx",
    "wrfsbase rdi",
    "mov rdi, rdx",
    "call rsi",
    "wrfsbase rbx",
    "pop rbx",
    ".cfi_adjust_cfa_offset -8",
    ".cfi_restore rbx",
    "ret",
    ".cfi_endproc",
);

unsafe extern "C" {
    fn wavetank_switch(save: *mut usize, to_stack: usize, to_fs: usize);
    fn wavetank_lend(
        save: *mut usize,
        stack: usize,
        f: unsafe extern "C" fn(*const c_void),
        argument: *const c_void,
    );
    fn wavetank_with_fs(fs: usize, f: unsafe extern "C" fn(*mut c_void), argument: *mut c_void);
}

/// Calls the kernel, past every symbol of libc.
#[inline]
pub(crate) fn real_syscall(number: c_long, arguments: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = arguments;
    let result: isize;
    // SAFETY: the caller's arguments are those of the system call; it clobbers rcx and r11 alone.
    unsafe {
        asm!("syscall", inlateout("rax") number as isize => result, in("rdi") a, in("rsi") b, in("rdx") c,
             in("r10") d, in("r8") e, in("r9") f, lateout("rcx") _, lateout("r11") _, options(nostack));
    }
    result
}

/// Whether this machine lets programs set their FS base, as Linux does since 5.9 on processors since 2012.
pub(crate) fn is_supported() -> bool {
    /// HWCAP2_FSGSBASE.
    const FSGSBASE: u64 = 1 << 1;
    // SAFETY: a plain call.
    unsafe { libc::getauxval(libc::AT_HWCAP2) & FSGSBASE != 0 }
}

fn fs_base() -> usize {
    let base: usize;
    // SAFETY: reads a register. Threads are lent only where `is_supported`.
    unsafe { asm!("rdfsbase {}", out(reg) base, options(nomem, nostack, preserves_flags)) };
    base
}

/// The thread of a program that runs now in user mode.
#[inline]
pub(crate) fn user() -> Option<&'static UserThread> {
    let thread = USER.try_with(Cell::get).unwrap_or(std::ptr::null());
    // SAFETY: the pointer is null or that of a thread, which are leaked.
    unsafe { thread.as_ref() }
}

/// The payload of the unwind that ends a killed thread.
struct Killed;

struct Call<F, R> {
    f: Option<F>,
    result: Option<R>,
    thread: &'static UserThread,
}

/// Runs `f` in kernel mode, if a thread of a program runs now in user mode, and at once otherwise.
#[inline]
pub(crate) fn in_kernel<R>(f: impl FnOnce() -> R) -> R {
    match user() {
        Some(thread) => kernel(thread, f),
        None => f(),
    }
}

/// Runs `f` in kernel mode. Does not return if the thread is killed meanwhile: what `f` holds is dropped, and the
/// frames of the program are left where they are.
pub(crate) fn kernel<R, F: FnOnce() -> R>(thread: &'static UserThread, f: F) -> R {
    let mut call = Call { f: Some(f), result: None, thread };
    // SAFETY: `enter_kernel` gets the call that it is made for. The FS base is that of the run's OS thread, which runs
    // this very code, and the function restores the present one.
    unsafe { wavetank_with_fs(thread.run_fs.get(), enter_kernel::<F, R>, (&raw mut call).cast()) };
    call.result.expect("a call that returns has a result")
}

unsafe extern "C" fn enter_kernel<F: FnOnce() -> R, R>(call: *mut c_void) {
    // SAFETY: `kernel` passes its call, which nothing else uses meanwhile.
    let call = unsafe { &mut *call.cast::<Call<F, R>>() };
    let Some(f) = call.f.take() else { return };
    match catch_unwind(AssertUnwindSafe(f)) {
        Ok(result) => call.result = Some(result),
        Err(payload) if payload.is::<Killed>() => {
            drop(payload);
            call.thread.end();
        }
        // A bug of the simulator: nothing can be reported from here.
        Err(payload) => {
            let message = crate::panics::message_of(&*payload);
            crate::panics::complain(&format!("wavetank: a bug in the answer to a call of libc: {message}"));
            std::process::abort();
        }
    }
}

fn at_exit_key() -> libc::pthread_key_t {
    static KEY: OnceLock<libc::pthread_key_t> = OnceLock::new();
    *KEY.get_or_init(|| {
        let mut key = 0;
        // SAFETY: `key` is writable, and the destructor has the signature that is asked for.
        unsafe { libc::pthread_key_create(&mut key, Some(at_exit)) };
        key
    })
}

/// Runs after all destructors of thread-local values, in the last round of the keys' own.
unsafe extern "C" fn at_exit(thread: *mut c_void) {
    /// PTHREAD_DESTRUCTOR_ITERATIONS, without the last.
    const ROUNDS_BEFORE: u32 = 3;
    // SAFETY: the key's value is set by `begin` to a leaked thread.
    let thread: &'static UserThread = unsafe { &*thread.cast::<UserThread>() };
    if thread.rounds.get() < ROUNDS_BEFORE {
        thread.rounds.set(thread.rounds.get() + 1);
        // SAFETY: a valid key.
        unsafe { libc::pthread_setspecific(at_exit_key(), std::ptr::from_ref(thread).cast()) };
        return;
    }
    USER.set(std::ptr::null());
    thread.leave();
}

/// Lends the stack and the TCB of the pthread that begins here, and begins the program's thread when it is resumed.
extern "C" fn begin(thread: *mut c_void) -> *mut c_void {
    // SAFETY: `lend` passes a leaked thread.
    let thread: &'static UserThread = unsafe { &*thread.cast::<UserThread>() };
    thread.own_fs.set(fs_base());
    // SAFETY: the scratch stack is for the sleeper alone, and its top is aligned as a call needs it. The stack that is
    // left is resumed once, by `resume`, with this pthread's own FS base.
    unsafe {
        let top = thread.place.scratch + SCRATCH_BYTES - 16;
        wavetank_lend(thread.stack_pointer.as_ptr(), top, sleep_for_ever, std::ptr::from_ref(thread).cast());
        libc::pthread_setspecific(at_exit_key(), std::ptr::from_ref(thread).cast());
    }
    USER.set(thread);
    match thread.start.get() {
        Some(start) => start(thread.argument.get()),
        None => std::ptr::null_mut(),
    }
}

/// Says that the thread is lent, and sleeps. The pthread is still there because the kernel clears its number in the TCB
/// when it ends.
unsafe extern "C" fn sleep_for_ever(thread: *const c_void) {
    // SAFETY: `begin` passes a leaked thread.
    let thread = unsafe { &*thread.cast::<UserThread>() };
    thread.is_lent.store(1, Ordering::Release);
    wake(&thread.is_lent);
    let never = AtomicU32::new(0);
    loop {
        wait(&never, 0);
    }
}

fn wait(word: &AtomicU32, value: u32) {
    let operation = (libc::FUTEX_WAIT | libc::FUTEX_PRIVATE_FLAG) as usize;
    real_syscall(libc::SYS_futex, [word.as_ptr() as usize, operation, value as usize, 0, 0, 0]);
}

fn wake(word: &AtomicU32) {
    let operation = (libc::FUTEX_WAKE | libc::FUTEX_PRIVATE_FLAG) as usize;
    real_syscall(libc::SYS_futex, [word.as_ptr() as usize, operation, 1, 0, 0, 0]);
}

/// What the answers of the simulator need of a stack.
const KERNEL_BYTES: usize = 256 << 10;

/// The sizes of the stacks that are lent ahead, and how many: those of mains, and what std gives a thread.
const AHEAD: [(usize, usize); 2] = [((8 << 20) + KERNEL_BYTES, 3), ((2 << 20) + KERNEL_BYTES, 9)];

/// The stack on which a pthread sleeps that has lent its own.
const SCRATCH_BYTES: usize = 16 << 10;

const PAGE: usize = 4096;

/// Where a lent thread is: a guard page with its stack above, and the scratch stack.
#[derive(Clone, Copy)]
struct Place {
    guard: usize,
    stack_bytes: usize,
    scratch: usize,
}

/// Lends threads ahead, for the runs of this OS thread and of processes that it forks. In such a process the pthreads
/// do not exist and are not needed.
///
/// A fork copies each mapping on its own. So all stacks are one mapping, and the scratch stacks are left out.
pub(crate) fn lend_ahead() {
    let (count, bytes) = AHEAD.iter().fold((0, 0), |(all, bytes), (stack_bytes, count)| {
        (all + count, bytes + count * (PAGE + stack_bytes))
    });
    let (Ok(mut guard), Ok(mut scratch)) = (map(bytes), map(count * SCRATCH_BYTES)) else { return };
    // SAFETY: a fresh mapping, which only pthreads of this process use.
    unsafe { libc::madvise(scratch as *mut c_void, count * SCRATCH_BYTES, libc::MADV_DONTFORK) };
    for (stack_bytes, count) in AHEAD {
        for _ in 0..count {
            if let Ok(thread) = UserThread::lend(Place { guard, stack_bytes, scratch }) {
                IDLE.with_borrow_mut(|idle| idle.push(thread));
            }
            guard += PAGE + stack_bytes;
            scratch += SCRATCH_BYTES;
        }
    }
}

fn map(bytes: usize) -> Result<usize, c_int> {
    let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE | libc::MAP_STACK;
    // SAFETY: a fresh mapping.
    let base =
        unsafe { libc::mmap(std::ptr::null_mut(), bytes, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0) };
    if base == libc::MAP_FAILED { Err(libc::EAGAIN) } else { Ok(base as usize) }
}

/// Makes every access to a page crash.
fn protect(page: usize) {
    /// Linux 6.13 and later: such a page does not divide its mapping.
    const MADV_GUARD_INSTALL: c_int = 102;
    // SAFETY: a page of a fresh mapping, which nothing uses.
    unsafe {
        if libc::madvise(page as *mut c_void, PAGE, MADV_GUARD_INSTALL) != 0 {
            libc::mprotect(page as *mut c_void, PAGE, libc::PROT_NONE);
        }
    }
}

impl UserThread {
    /// Prepares a thread with a stack of at least `stack_bytes`, which will run `start(argument)`. Kernel mode only.
    ///
    /// # Errors
    ///
    /// The error number of `mmap` or `pthread_create`.
    pub(crate) fn new(
        stack_bytes: usize,
        start: Start,
        argument: *mut c_void,
        at_end: fn(&'static Self),
    ) -> Result<&'static Self, c_int> {
        let stack_bytes = stack_bytes.saturating_add(KERNEL_BYTES).checked_next_multiple_of(PAGE);
        let stack_bytes = stack_bytes.ok_or(libc::EAGAIN)?;
        // The small ones were lent last.
        let idle = IDLE.with_borrow_mut(|idle| {
            let fits = idle.iter().rposition(|thread| thread.place.stack_bytes >= stack_bytes)?;
            Some(idle.remove(fits))
        });
        let thread = match idle {
            Some(thread) => thread,
            None => {
                let scratch = map(SCRATCH_BYTES + PAGE + stack_bytes)?;
                Self::lend(Place { guard: scratch + SCRATCH_BYTES, stack_bytes, scratch })?
            }
        };
        thread.start.set(Some(start));
        thread.argument.set(argument);
        thread.at_end.set(Some(at_end));
        thread.run_fs.set(fs_base());
        Ok(thread)
    }

    /// Starts a pthread on a stack in a fresh mapping. It lends both.
    fn lend(place: Place) -> Result<&'static Self, c_int> {
        protect(place.guard);
        let thread: &'static Self = Box::leak(Box::new(Self {
            stack_pointer: Cell::new(0),
            scheduler: Cell::new(0),
            own_fs: Cell::new(0),
            run_fs: Cell::new(0),
            place,
            is_lent: AtomicU32::new(0),
            begun: Cell::new(false),
            ended: Cell::new(false),
            dying: Cell::new(false),
            rounds: Cell::new(0),
            start: Cell::new(None),
            argument: Cell::new(std::ptr::null_mut()),
            pthread: Cell::new(0),
            host: Cell::new(0),
            task: Cell::new(0),
            is_main: Cell::new(false),
            at_end: Cell::new(None),
        }));
        at_exit_key();
        let mut pthread = 0;
        // SAFETY: the attributes are initialised before they are used, and name a mapping that stays. The pthread
        // writes the thread's cells before it says that it is lent, and never again.
        let created = unsafe {
            let mut attributes: pthread_attr_t = std::mem::zeroed();
            libc::pthread_attr_init(&mut attributes);
            let stack = (place.guard + PAGE) as *mut c_void;
            libc::pthread_attr_setstack(&mut attributes, stack, place.stack_bytes);
            let argument = std::ptr::from_ref(thread).cast_mut().cast();
            let created = super::real::real_pthread_create(&mut pthread, &attributes, begin, argument);
            libc::pthread_attr_destroy(&mut attributes);
            created
        };
        if created != 0 {
            return Err(created);
        }
        thread.pthread.set(pthread);
        while thread.is_lent.load(Ordering::Acquire) == 0 {
            wait(&thread.is_lent, 0);
        }
        Ok(thread)
    }

    pub(crate) fn pthread(&self) -> pthread_t {
        self.pthread.get()
    }

    /// The lowest address of the guard page below its stack.
    const fn guard(&self) -> usize {
        self.place.guard
    }

    /// Runs the thread until it suspends or ends. Returns `true` if it has ended.
    pub(crate) fn resume(&self) -> bool {
        let fs = if self.begun.replace(true) { self.run_fs.get() } else { self.own_fs.get() };
        // SAFETY: the thread does not run, so its stack pointer was saved by `wavetank_lend` or `wavetank_switch`. It
        // suspended in kernel mode, or is about to begin in user mode.
        unsafe { wavetank_switch(self.scheduler.as_ptr(), self.stack_pointer.get(), fs) };
        self.ended.get()
    }

    /// Gives control back to the scheduler until it resumes this thread, which runs now in kernel mode.
    ///
    /// # Panics
    ///
    /// Unwinds if the thread is killed while it is suspended.
    pub(crate) fn suspend(&self) {
        self.switch_out();
        if self.dying.get() {
            resume_unwind(Box::new(Killed));
        }
    }

    fn switch_out(&self) {
        // SAFETY: this thread runs in kernel mode, so the scheduler has saved where it continues.
        unsafe { wavetank_switch(self.stack_pointer.as_ptr(), self.scheduler.get(), self.run_fs.get()) };
    }

    /// Ends this thread, which runs now in kernel mode.
    fn end(&self) -> ! {
        self.ended.set(true);
        self.switch_out();
        unreachable!("a thread that has ended is not resumed");
    }

    /// Ends this thread, which runs now in user mode, without running anything of the program any more.
    pub(crate) fn leave(&'static self) -> ! {
        kernel(self, || {
            if let Some(at_end) = self.at_end.get() {
                at_end(self);
            }
            self.end()
        })
    }

    /// Has a suspended thread unwind in kernel mode and end. Nothing of the program runs.
    pub(crate) fn kill(&self) {
        if self.ended.get() {
            return;
        }
        self.dying.set(true);
        if !self.begun.get() {
            self.ended.set(true);
            return;
        }
        while !self.resume() {}
    }
}
