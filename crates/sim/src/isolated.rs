//! Runs in OS processes of their own: those with unmodified programs.
//!
//! An unmodified program leaves statics behind, and so would poison the next run of its process. It may abort, exit or
//! overwrite memory. So each such run is a fork. What forks is a *template*: a process that was itself forked from the
//! test's, has one thread, and does nothing but fork for every run that it is asked for. A sweep has one for each
//! worker.
//!
//! The test's process sends a plan. The fork runs it, leaves the outcome in memory that both share, and ends. The
//! template waits for it and says how it has ended.
//!
//! # Invariants
//!
//! - A template allocates nothing between two runs, so that equal plans find equal memory.
//! - A template ends when the test's process closes its end of the socket, or dies; a fork dies with its template.
//! - While a template is forked, this thread holds the locks of std's output and of backtraces, so that no other thread
//!   does.

#![cfg(all(feature = "process", not(miri)))]
#![expect(unsafe_code, reason = "forks, and talks to the forks by sockets and shared memory")]

mod telling;

use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;

use crate::interpose::user;
use crate::panics::catcher::{self, Known};
use crate::progress::{Progress, SharedProgress};
use crate::run::Plan;
use crate::sim::{self, Body};
use crate::symptom::SymptomKind;
use crate::trace;
use crate::wire::{Reader, Writer};
use crate::world::Outcome;

/// Room for an outcome. Only pages that are touched take memory.
const SHARED_BYTES: usize = 256 << 20;

/// The stack of a template's thread, on which runs run.
const STACK_BYTES: usize = 8 << 20;

/// How often the test's process looks at a run's progress: 20 ms.
const GLANCE_MILLISECONDS: i32 = 20;

/// The memory that a run shares with the test's process.
#[repr(C)]
struct Shared {
    progress: SharedProgress,
    process: AtomicU32,
    /// The length of the outcome, once it is complete.
    outcome: AtomicUsize,
    /// What runs have learnt about addresses of the program.
    known: Known,
}

/// The ends of all templates' sockets that this process holds. A new template closes its copies.
static ENDS: Mutex<Vec<RawFd>> = Mutex::new(Vec::new());

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A process that forks for each run.
struct Template {
    socket: OwnedFd,
    shared: usize,
}

impl Drop for Template {
    fn drop(&mut self) {
        lock(&ENDS).retain(|end| *end != self.socket.as_raw_fd());
        // SAFETY: the mapping of this template, which nothing points into any more.
        unsafe { libc::munmap(self.shared as *mut libc::c_void, SHARED_BYTES) };
    }
}

/// The templates of one test.
#[derive(Default)]
pub(crate) struct Templates {
    is_needed: AtomicBool,
    idle: Mutex<Vec<Template>>,
}

impl Templates {
    /// Whether a run of this test has needed a process of its own.
    pub(crate) fn are_needed(&self) -> bool {
        self.is_needed.load(Ordering::Relaxed)
    }

    /// Runs `body` once, in a process of its own. `body` must live as long as these templates.
    pub(crate) fn run(&self, body: &Body, plan: &Plan<'_>, progress: &Arc<Progress>) -> Outcome {
        self.is_needed.store(true, Ordering::Relaxed);
        let idle = lock(&self.idle).pop();
        let template = match idle.map_or_else(|| Template::start(body), Ok) {
            Ok(template) => template,
            Err(why) => return telling::failed(SymptomKind::Setup, why),
        };
        let outcome = template.run(plan, progress);
        match outcome {
            Ok(outcome) => {
                lock(&self.idle).push(template);
                outcome
            }
            // The template is of no use any more.
            Err(why) => telling::failed(SymptomKind::Panic, why),
        }
    }
}

fn last_error(what: &str) -> String {
    format!("cannot {what} for a run with processes: {}", std::io::Error::last_os_error())
}

impl Template {
    fn start(body: &Body) -> Result<Self, String> {
        if !user::is_supported() {
            return Err(
                "`Sim::process` needs a processor and a Linux with FSGSBASE (since 2012 and 5.9)".to_owned()
            );
        }
        let mut ends = [0; 2];
        // SAFETY: two writable integers.
        let made = unsafe {
            libc::socketpair(libc::AF_UNIX, libc::SOCK_STREAM | libc::SOCK_CLOEXEC, 0, ends.as_mut_ptr())
        };
        if made != 0 {
            return Err(last_error("make a socket"));
        }
        // SAFETY: a fresh mapping. Zeroes are a valid `Shared`.
        let shared = unsafe {
            let flags = libc::MAP_SHARED | libc::MAP_ANONYMOUS | libc::MAP_NORESERVE;
            libc::mmap(std::ptr::null_mut(), SHARED_BYTES, libc::PROT_READ | libc::PROT_WRITE, flags, -1, 0)
        };
        // SAFETY: both were just made.
        let [ours, theirs] = ends.map(|end| unsafe { OwnedFd::from_raw_fd(end) });
        if shared == libc::MAP_FAILED {
            return Err(last_error("share memory"));
        }
        let shared = shared as usize;
        lock(&ENDS).push(ours.as_raw_fd());
        let template = Self { socket: ours, shared };
        let served = Served { body: std::ptr::from_ref(body), socket: theirs, shared };
        // A thread of its own, because a fork's thread begins with what this one has done.
        let (forked, has_forked) = mpsc::sync_channel(1);
        let keeper = thread::Builder::new().name("wavetank-fork".to_owned()).stack_size(STACK_BYTES);
        let keeper = keeper.spawn(move || keep(served, &forked));
        match keeper.map(|_| has_forked.recv()) {
            Ok(Ok(true)) => Ok(template),
            _ => Err(last_error("fork a process")),
        }
    }

    fn shared(&self) -> &Shared {
        // SAFETY: the mapping lives as long as the template, and begins with this. All of it is atomic.
        unsafe { &*(self.shared as *const Shared) }
    }

    fn run(&self, plan: &Plan<'_>, progress: &Progress) -> Result<Outcome, String> {
        let shared = self.shared();
        shared.progress.begin();
        shared.outcome.store(0, Ordering::Relaxed);
        shared.process.store(0, Ordering::Relaxed);
        let mut job = Writer::default();
        telling::tell_plan(&mut job, plan, trace::take_stop());
        let job = job.into_bytes();
        let socket = self.socket.as_raw_fd();
        let whole = [&(job.len() as u64).to_le_bytes()[..], &job].concat();
        if !send_all(socket, &whole) {
            return Err("the process that forks for runs is gone".to_owned());
        }
        let status = loop {
            let mut polled = libc::pollfd { fd: socket, events: libc::POLLIN, revents: 0 };
            // SAFETY: one writable entry.
            let ready = unsafe { libc::poll(&mut polled, 1, GLANCE_MILLISECONDS) };
            if ready > 0 {
                let mut status = [0; 4];
                if !receive_all(socket, &mut status) {
                    return Err("the process that forks for runs has ended".to_owned());
                }
                break i32::from_le_bytes(status);
            }
            if progress.is_given_up() {
                let process = shared.process.load(Ordering::Acquire) as i32;
                if process > 0 {
                    // SAFETY: a plain call. The process has not been waited for, or its template has said so.
                    unsafe { libc::kill(process, libc::SIGKILL) };
                }
                return Err("given up".to_owned());
            }
            progress.repeat(&shared.progress);
        };
        let length = shared.outcome.load(Ordering::Acquire);
        if length == 0 {
            let how = how_it_ended(status);
            let running = shared.progress.running();
            return Ok(telling::failed(
                SymptomKind::Panic,
                format!("{running}: the process of the run {how}"),
            ));
        }
        // SAFETY: the run has written so many bytes behind the header, and has ended.
        let bytes =
            unsafe { std::slice::from_raw_parts((self.shared + size_of::<Shared>()) as *const u8, length) };
        Ok(telling::told_outcome(&mut Reader::new(bytes)))
    }
}

fn how_it_ended(status: i32) -> String {
    if libc::WIFSIGNALED(status) {
        format!("was ended by signal {}", libc::WTERMSIG(status))
    } else {
        format!("ended with status {}", libc::WEXITSTATUS(status))
    }
}

fn send_all(socket: RawFd, mut bytes: &[u8]) -> bool {
    while !bytes.is_empty() {
        // SAFETY: the pointer and length are those of a slice.
        let sent = unsafe { libc::send(socket, bytes.as_ptr().cast(), bytes.len(), libc::MSG_NOSIGNAL) };
        match usize::try_from(sent) {
            Ok(count) => bytes = &bytes[count..],
            Err(_) if std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
    true
}

fn receive_all(socket: RawFd, mut bytes: &mut [u8]) -> bool {
    while !bytes.is_empty() {
        // SAFETY: the pointer and length are those of a slice.
        let received = unsafe { libc::recv(socket, bytes.as_mut_ptr().cast(), bytes.len(), 0) };
        match usize::try_from(received) {
            Ok(0) => return false,
            Ok(count) => bytes = &mut bytes[count..],
            Err(_) if std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
    true
}

/// What a template works with.
struct Served {
    body: *const Body,
    socket: OwnedFd,
    shared: usize,
}

// SAFETY: the body is `Sync`, and lives as long as its test's templates. The thread that gets this only forks.
unsafe impl Send for Served {}

/// Forks the template, and waits for its end.
fn keep(served: Served, forked: &mpsc::SyncSender<bool>) {
    let ends = lock(&ENDS).clone();
    let mut process = -1;
    {
        // Held, so that no other thread holds them in the fork.
        let _stdout = std::io::stdout().lock();
        let _stderr = std::io::stderr().lock();
        backtrace::trace(|_| {
            // SAFETY: the fork has this thread alone. What other threads hold at this moment is locked there for ever:
            // hence the locks above. glibc takes care of its own.
            process = unsafe { libc::fork() };
            false
        });
    }
    if process == 0 {
        serve(&served, &ends);
    }
    drop(served.socket);
    let _ = forked.send(process > 0);
    let mut status = 0;
    // SAFETY: a child of this process, and a writable integer.
    while unsafe { libc::waitpid(process, &mut status, 0) } == -1
        && std::io::Error::last_os_error().kind() == std::io::ErrorKind::Interrupted
    {}
}

/// Does once what each run would do.
fn prepare() {
    grow_heap();
    user::lend_ahead();
    crate::host::process::prepare();
    // Events of programs, whose threads have thread-local values of their own.
    let _ = tracing::dispatcher::set_global_default(crate::world::dispatch().clone());
    // The first unwind looks up the symbols of the unwinder.
    let _ = std::panic::catch_unwind(|| std::panic::resume_unwind(Box::new(())));
}

/// Has the heap of this thread grow ahead, which otherwise asks the system for each page.
fn grow_heap() {
    const BYTES: usize = 1 << 20;
    /// Less than what malloc maps on its own by default.
    const CHUNK_BYTES: usize = 64 << 10;
    // SAFETY: plain calls, and memory that is freed once.
    unsafe {
        // Free memory stays with the heap. The second would otherwise follow what the program frees.
        libc::mallopt(libc::M_TRIM_THRESHOLD, 64 << 20);
        libc::mallopt(libc::M_MMAP_THRESHOLD, 4 << 20);
        let chunks = std::array::from_fn::<_, { BYTES / CHUNK_BYTES }, _>(|_| libc::malloc(CHUNK_BYTES));
        std::hint::black_box(&chunks).iter().for_each(|chunk| libc::free(*chunk));
    }
}

/// Maps the pages of the heap that each run writes to: one call for all, instead of a page fault for each.
fn touch_heap() {
    const BYTES: usize = 64 << 10;
    const PAGE: usize = 4096;
    const MADV_POPULATE_WRITE: libc::c_int = 23;
    // SAFETY: the pages are of memory that nothing else uses, and that is freed once. Older systems than Linux 5.14
    // refuse the advice.
    unsafe {
        let chunk = libc::malloc(BYTES);
        let from = (chunk as usize).next_multiple_of(PAGE);
        libc::madvise(from as *mut libc::c_void, BYTES - PAGE, MADV_POPULATE_WRITE);
        libc::free(std::hint::black_box(chunk));
    }
}

/// The work of a template.
fn serve(served: &Served, ends: &[RawFd]) -> ! {
    let socket = served.socket.as_raw_fd();
    // SAFETY: plain calls. The ends are copies that this process does not use. The thread that forked this process
    // lives as long as it, so its end is that of its process.
    unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        ends.iter().for_each(|end| {
            libc::close(*end);
        });
        libc::mallopt(libc::M_ARENA_MAX, 1);
    }
    prepare();
    loop {
        let mut next = 0_u8;
        // SAFETY: one writable byte, which stays in the socket.
        let asked = unsafe { libc::recv(socket, (&raw mut next).cast(), 1, libc::MSG_PEEK) };
        if asked == 0 {
            // SAFETY: ends the process without anything else.
            unsafe { libc::_exit(0) };
        }
        if asked < 0 {
            continue;
        }
        // SAFETY: as in `keep`; this process has one thread that runs.
        match unsafe { libc::fork() } {
            0 => run_here(served),
            process => {
                let mut status = 0;
                // SAFETY: a child of this process, and a writable integer.
                while unsafe { libc::waitpid(process, &mut status, 0) } == -1 {
                    if std::io::Error::last_os_error().raw_os_error() == Some(libc::ECHILD) {
                        break;
                    }
                }
                send_all(socket, &status.to_le_bytes());
            }
        }
    }
}

/// Does one run, in a process of its own.
fn run_here(served: &Served) -> ! {
    user::is_of_one_run_from_now_on();
    touch_heap();
    let socket = served.socket.as_raw_fd();
    let mut length = [0; 8];
    let mut job = Vec::new();
    // SAFETY: plain calls. The mapping is that of this template, and only this process writes to it now.
    let shared = unsafe {
        libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
        &*(served.shared as *const Shared)
    };
    catcher::share(&shared.known);
    shared.process.store(std::process::id(), Ordering::Release);
    if receive_all(socket, &mut length) {
        job.resize(u64::from_le_bytes(length) as usize, 0);
        if receive_all(socket, &mut job) {
            let progress = Arc::new(Progress::told_to(&shared.progress));
            progress.runs_here();
            // SAFETY: the body lives in the test's process as long as its templates, and was forked with it.
            let body = unsafe { &*served.body };
            let mut outcome = Writer::default();
            let ran = crate::panics::catch(|| {
                let outcome =
                    telling::with_plan(&mut Reader::new(&job), |plan| sim::run(body, plan, &progress));
                outcome.expect("a run in a process of its own needs no other")
            });
            match ran {
                Ok(ran) => telling::tell_outcome(&mut outcome, &ran),
                Err(message) => {
                    telling::tell_outcome(&mut outcome, &telling::failed(SymptomKind::Setup, message))
                }
            }
            let bytes = outcome.into_bytes();
            if bytes.len() < SHARED_BYTES - size_of::<Shared>() {
                // SAFETY: behind the header there is room for so many bytes.
                unsafe {
                    let to = (served.shared + size_of::<Shared>()) as *mut u8;
                    std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len());
                }
                shared.outcome.store(bytes.len(), Ordering::Release);
            }
        }
    }
    // SAFETY: ends the process without destructors, which nothing waits for.
    unsafe { libc::_exit(0) };
}
