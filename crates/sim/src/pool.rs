//! The pool: how many runs are active in the process, and the OS thread of each.
//!
//! libtest and other harnesses start tests in parallel, and each test sweeps in parallel. A process-wide count of
//! permits keeps the number of runs at the number of cores. Every run gets an OS thread that is fresh or as good as
//! that, so no thread-local state passes from one run to the next. A watchdog gives up a run that blocks for real.
//!
//! # Invariants
//!
//! - A permit is held from before a run starts until it ends or is given up.
//! - A run that is given up keeps its thread. Nothing can stop an OS thread, and the test fails anyway.

mod fresh;
mod idle;
mod worker;

use std::num::NonZeroUsize;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError, mpsc};
use std::thread;
use std::time::Duration;

use idle::Idle;
use worker::{End, Work, Worker};

use crate::choice::{ChoiceLog, Deviation, Replay};
#[cfg(all(feature = "process", not(miri)))]
use crate::isolated::Templates;
use crate::os_backtrace;
use crate::run::{Outcome, Plan, Progress};
use crate::sched::Profile;
use crate::sim::{self, Body};

/// Runs a test once. [`BodyRunner`] does it in the simulator; simulations inside of turmoil have another.
pub(crate) trait Runner: Send + Sync {
    fn run(&self, plan: &Plan<'_>, progress: &Arc<Progress>) -> Outcome;
}

/// Runs a test's body in the simulator.
pub(crate) struct BodyRunner {
    #[cfg(all(feature = "process", not(miri)))]
    templates: Templates,
    body: Box<Body>,
}

impl BodyRunner {
    pub(crate) fn new(body: Box<Body>) -> Self {
        Self {
            #[cfg(all(feature = "process", not(miri)))]
            templates: Templates::default(),
            body,
        }
    }
}

impl Runner for BodyRunner {
    fn run(&self, plan: &Plan<'_>, progress: &Arc<Progress>) -> Outcome {
        #[cfg(all(feature = "process", not(miri)))]
        if self.templates.are_needed() {
            return self.templates.run(&*self.body, plan, progress);
        }
        let outcome = sim::run(&*self.body, plan, progress);
        #[cfg(all(feature = "process", not(miri)))]
        let outcome = outcome.or_else(|| Some(self.templates.run(&*self.body, plan, progress)));
        outcome.expect("only processes need an OS process of their own")
    }
}

/// A [`Plan`] that may outlive the thread that asked for it.
#[derive(Clone, Debug)]
pub(crate) enum Job {
    Seed {
        seed: u64,
        profile: Arc<Profile>,
    },
    /// See [`Plan::WarmUp`].
    WarmUp,
    Replay {
        seed: u64,
        log: Arc<ChoiceLog>,
        mode: Replay,
    },
    /// See [`Plan::Deviate`].
    Deviate {
        seed: u64,
        deviations: Arc<[Deviation]>,
    },
    /// See [`Plan::Redraw`].
    Redraw {
        seed: u64,
        log: Arc<ChoiceLog>,
        kept: usize,
        draws: u64,
        profile: Arc<Profile>,
    },
}

impl Job {
    /// A seed of which nothing is known.
    #[cfg(test)]
    pub(crate) fn seed_alone(seed: u64) -> Self {
        Self::Seed { seed, profile: Arc::default() }
    }

    pub(crate) fn replay(seed: u64, log: &ChoiceLog, mode: Replay) -> Self {
        Self::Replay { seed, log: Arc::new(log.clone()), mode }
    }

    pub(crate) const fn seed(&self) -> u64 {
        match self {
            Self::Seed { seed, .. }
            | Self::Replay { seed, .. }
            | Self::Deviate { seed, .. }
            | Self::Redraw { seed, .. } => *seed,
            Self::WarmUp => 0,
        }
    }

    fn plan(&self) -> Plan<'_> {
        match self {
            Self::Seed { seed, profile } => Plan::Seed { seed: *seed, profile },
            Self::WarmUp => Plan::WarmUp,
            Self::Replay { seed, log, mode } => Plan::Replay { seed: *seed, log, mode: *mode },
            Self::Deviate { seed, deviations } => Plan::Deviate { seed: *seed, deviations },
            Self::Redraw { seed, log, kept, draws, profile } => {
                Plan::Redraw { seed: *seed, log, kept: *kept, draws: *draws, profile }
            }
        }
    }
}

/// The result of a run.
#[derive(Debug)]
pub(crate) enum Ran {
    Ended(Box<Outcome>),
    /// It made no step while the watchdog waited, and was given up.
    Stuck {
        running: String,
        /// The functions that its OS thread is in, the innermost first, if the system tells.
        place: Vec<String>,
    },
    /// The code around the test panicked. That is a bug of the simulator.
    Crashed {
        message: String,
    },
}

/// A number of permits to run.
pub(crate) struct Pool {
    size: NonZeroUsize,
    free: Mutex<usize>,
    freed: Condvar,
    /// Threads that wait for a run.
    idle: Mutex<Vec<Worker>>,
}

impl Pool {
    pub(crate) fn new(size: NonZeroUsize) -> Self {
        Self { size, free: Mutex::new(size.get()), freed: Condvar::new(), idle: Mutex::default() }
    }

    /// Returns the pool of the process. The first caller sets its size: `size`, or one per core.
    pub(crate) fn of_process(size: Option<NonZeroUsize>) -> Arc<Self> {
        static POOL: OnceLock<Arc<Pool>> = OnceLock::new();
        let cores = || thread::available_parallelism().unwrap_or(NonZeroUsize::MIN);
        Arc::clone(POOL.get_or_init(|| Arc::new(Self::new(size.unwrap_or_else(cores)))))
    }

    pub(crate) const fn size(&self) -> usize {
        self.size.get()
    }

    /// Waits for a permit and does `job` on a thread that is fresh, or as good as that. Gives it up after `patience`
    /// without a step.
    pub(crate) fn run(&self, runner: &Arc<dyn Runner>, job: Job, patience: Duration) -> Ran {
        let _permit = self.acquire();
        let progress = Arc::new(Progress::default());
        let idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
        let worker = match idle.map_or_else(Worker::start, Ok) {
            Ok(worker) => worker,
            Err(error) => return Ran::Crashed { message: format!("cannot start a thread: {error}") },
        };
        worker.give(Work { runner: Arc::clone(runner), job, progress: Arc::clone(&progress) });
        let Some(End { outcome, is_fresh }) = watch(&worker.ended, &progress, patience) else {
            progress.give_up();
            return Ran::Stuck {
                running: progress.running(),
                place: os_backtrace::of_thread(progress.thread()),
            };
        };
        if is_fresh {
            self.idle.lock().unwrap_or_else(PoisonError::into_inner).push(worker);
        } else {
            // The thread has done its work and has nearly always ended. Some thread-local values may still be dropping
            // on systems with another order of destructors than Linux.
            worker.join();
        }
        match outcome {
            Ok(outcome) => Ran::Ended(Box::new(outcome)),
            Err(message) => Ran::Crashed { message },
        }
    }

    fn acquire(&self) -> Permit<'_> {
        let mut free = self.lock();
        while *free == 0 {
            free = self.freed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        Permit(self)
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        self.free.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Permit<'a>(&'a Pool);

impl Drop for Permit<'_> {
    fn drop(&mut self) {
        *self.0.lock() += 1;
        self.0.freed.notify_one();
    }
}

/// Waits for the end of a run. Returns `None` if it made no step while it used the processor, or waited in the kernel,
/// for `patience`.
///
/// Counts its own waiting instead of reading a clock: a stopped process is not a stuck run.
fn watch<T>(ended: &mpsc::Receiver<T>, progress: &Progress, patience: Duration) -> Option<T> {
    let slice = (patience / 8).clamp(Duration::from_millis(1), Duration::from_millis(500));
    let mut seen = progress.steps();
    let mut idle = Idle::default();
    loop {
        // A sender always sends before it is dropped, because the thread catches every panic of its work.
        if let Ok(outcome) = ended.recv_timeout(slice) {
            return Some(outcome);
        }
        let steps = progress.steps();
        if steps == seen {
            idle.add(slice, progress.thread());
        } else {
            idle = Idle::default();
        }
        seen = steps;
        if idle.exceeds(patience) {
            return None;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Barrier;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;
    use crate::toy::Toy;

    const PATIENCE: Duration = Duration::from_secs(20);

    fn pool(size: usize) -> Pool {
        Pool::new(NonZeroUsize::new(size).expect("not zero"))
    }

    #[test]
    fn parallel_runs_never_exceed_the_permits() {
        let pool = pool(2);
        let (now, most) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let runner = Toy::runner({
            let (now, most) = (Arc::clone(&now), Arc::clone(&most));
            move |_| {
                most.fetch_max(now.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                thread::yield_now();
                now.fetch_sub(1, Ordering::SeqCst);
                None
            }
        });
        thread::scope(|scope| {
            for _ in 0..6 {
                scope.spawn(|| {
                    (0..50).for_each(|seed| drop(pool.run(&runner, Job::seed_alone(seed), PATIENCE)))
                });
            }
        });
        assert!((1..=2).contains(&most.load(Ordering::SeqCst)));
        assert_eq!(*pool.lock(), 2, "every permit came back");
    }

    #[test]
    fn every_run_has_a_fresh_thread() {
        thread_local! { static USED: std::cell::Cell<bool> = const { std::cell::Cell::new(false) } }
        let pool = pool(1);
        let runner = Toy::runner(|_| {
            assert!(!USED.replace(true), "thread-local state of another run");
            assert_eq!(thread::current().name(), Some("wavetank-run"));
            None
        });
        for seed in 0..5 {
            assert!(matches!(pool.run(&runner, Job::seed_alone(seed), PATIENCE), Ran::Ended(_)));
        }
    }

    /// The thread of each of five runs.
    #[cfg(target_os = "linux")]
    fn threads_of(body: impl Fn() + Send + Sync + 'static) -> Vec<thread::ThreadId> {
        let threads = Arc::new(Mutex::new(Vec::new()));
        let runner = Toy::runner({
            let threads = Arc::clone(&threads);
            move |_| {
                threads.lock().expect("no panic").push(thread::current().id());
                body();
                None
            }
        });
        let pool = pool(1);
        (0..5).for_each(|seed| drop(pool.run(&runner, Job::seed_alone(seed), PATIENCE)));
        let mut threads = threads.lock().expect("no panic").clone();
        threads.dedup();
        threads
    }

    #[test]
    #[cfg(all(target_os = "linux", not(miri)))]
    fn a_thread_without_traces_is_used_again() {
        use std::hash::BuildHasher;
        assert_eq!(threads_of(|| ()).len(), 1);
        let maps = || assert_ne!(std::hash::RandomState::new().hash_one(1), 0);
        assert_eq!(threads_of(maps).len(), 1, "std's keys are drawn again");
        let panics = || drop(std::panic::catch_unwind(|| panic!("is caught")));
        assert_eq!(threads_of(panics).len(), 1);
    }

    #[test]
    #[cfg(all(target_os = "linux", not(miri)))]
    fn a_thread_with_traces_ends_with_its_run() {
        static DROPPED: AtomicUsize = AtomicUsize::new(0);
        struct Counts;
        impl Drop for Counts {
            fn drop(&mut self) {
                DROPPED.fetch_add(1, Ordering::SeqCst);
            }
        }
        thread_local! {
            static NUMBER: std::cell::Cell<u32> = const { std::cell::Cell::new(7) };
            static VALUE: Counts = const { Counts };
        }
        // Read, because an optimiser removes a value that is only written, and with it the trace.
        assert_eq!(threads_of(|| assert_eq!(NUMBER.replace(8), 7)).len(), 5);
        assert_eq!(threads_of(|| VALUE.with(|_| ())).len(), 5);
        assert_eq!(DROPPED.load(Ordering::SeqCst), 5, "before the result is there");
        let of_c = || {
            let mut key = 0;
            // SAFETY: plain calls with a key of their own.
            #[expect(unsafe_code, reason = "calls of libc")]
            unsafe {
                libc::pthread_key_create(&mut key, None);
                libc::pthread_setspecific(key, std::ptr::dangling());
            }
        };
        assert_eq!(threads_of(of_c).len(), 5);
    }

    #[test]
    fn a_stuck_run_frees_its_permit() {
        let pool = pool(1);
        let never = Arc::new(Barrier::new(2));
        let runner = Toy::runner({
            let never = Arc::clone(&never);
            move |run| {
                run.step("client/closer, last seen at `lock protocol`");
                never.wait();
                None
            }
        });
        let ran = pool.run(&runner, Job::seed_alone(1), Duration::from_millis(50));
        let Ran::Stuck { running, place } = ran else { panic!("given up: {ran:?}") };
        assert_eq!(running, "client/closer, last seen at `lock protocol`");
        #[cfg(target_os = "linux")]
        assert!(place.iter().any(|line| line.contains("Barrier")), "{place:?}");
        assert_eq!(*pool.lock(), 1);
        never.wait();
    }

    #[test]
    fn a_slow_run_with_steps_is_not_stuck() {
        let ran = pool(1).run(
            &Toy::runner(|run| {
                let (_sender, nothing) = mpsc::channel::<()>();
                for _ in 0..10 {
                    run.step("client");
                    let _ = nothing.recv_timeout(Duration::from_millis(30));
                }
                None
            }),
            Job::seed_alone(1),
            Duration::from_millis(200),
        );
        assert!(matches!(ran, Ran::Ended(_)), "{ran:?}");
    }

    #[test]
    fn a_panic_of_the_simulator_is_a_crash() {
        let ran =
            pool(1).run(&Toy::runner(|_| panic!("a bug of the simulator")), Job::seed_alone(1), PATIENCE);
        let Ran::Crashed { message } = ran else { panic!("crashed: {ran:?}") };
        assert!(message.contains("a bug of the simulator"), "{message}");
    }
}
