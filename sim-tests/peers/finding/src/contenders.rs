//! What searches: our strategies, and shuttle's schedulers.

use std::any::Any;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread;

use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler, UrwRandomScheduler};
use shuttle::{Config, FailurePersistence, Runner};
use wavetank::{Strategy, Sweep, SymptomKind};

use crate::budget::Budget;
use crate::subject::Subject;

/// How many schedules a search tries.
pub const SCHEDULES_MAX: u64 = 10_000;

/// The distance between two base seeds.
const BASE_DISTANCE: u64 = 1_000_000;

/// Our strategies, in the order of the columns. The last is the default of every test.
pub const OURS: [(&str, Strategy); 8] = [
    ("random", Strategy::Random),
    ("sticky", Strategy::Sticky { every: 8 }),
    ("PCT-3", Strategy::Pct { depth: 3 }),
    ("PCT-8", Strategy::Pct { depth: 8 }),
    ("POS", Strategy::Pos),
    ("URW", Strategy::Urw),
    ("SURW", Strategy::Surw),
    ("default", Strategy::Swarm),
];

/// Shuttle's schedulers, in the order of the columns.
pub const SHUTTLE: [(&str, ShuttleScheduler); 3] = [
    ("random", ShuttleScheduler::Random),
    ("PCT-3", ShuttleScheduler::Pct { depth: 3 }),
    ("URW", ShuttleScheduler::Urw),
];

/// A scheduler of shuttle.
#[derive(Clone, Copy, Debug)]
pub enum ShuttleScheduler {
    /// `RandomScheduler`.
    Random,
    /// `PctScheduler`.
    Pct {
        /// The depth of the bug.
        depth: usize,
    },
    /// `UrwRandomScheduler`.
    Urw,
}

/// What searches for a bug.
#[derive(Clone, Copy, Debug)]
pub enum Contender {
    /// Wavetank with a strategy.
    Ours(Strategy),
    /// shuttle with a scheduler.
    Shuttle(ShuttleScheduler),
}

/// How a search ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// The bug was found by the schedule of this number, counted from 1.
    Found(u64),
    /// The bug was not found in [`SCHEDULES_MAX`] schedules.
    Missed,
    /// The budget of the cell was spent after this many schedules.
    CutOff(u64),
}

impl Contender {
    /// Searches from a base seed. Returns `None` if the contender cannot express the subject.
    ///
    /// # Errors
    ///
    /// A text, if something else than the bug was found.
    pub fn search(self, subject: &Subject, base: u64, budget: &Budget) -> Option<Result<Ended, String>> {
        match self {
            Self::Ours(strategy) => Some(search_ours(subject, strategy, base, budget)),
            Self::Shuttle(scheduler) => {
                subject.shuttle.map(|program| search_shuttle(subject, program, scheduler, base, budget))
            }
        }
    }
}

/// Makes a sweep of one worker that does nothing but run seeds.
pub fn sweep(subject: &Subject) -> Sweep {
    let name = format!("finding::{}", subject.name);
    // A strategy is measured alone, beyond the first thousand seeds too.
    Sweep::new(name, env!("CARGO_MANIFEST_DIR")).workers(1).check_every(0).guided(false).without_recordings()
}

fn search_ours(subject: &Subject, strategy: Strategy, base: u64, budget: &Budget) -> Result<Ended, String> {
    let program = subject.ours;
    let seeds = sweep(subject).base_seed(base * BASE_DISTANCE).seeds(SCHEDULES_MAX);
    let own = budget.clone();
    let failure = seeds.first_failure(move |sim| {
        // A panic of the body is a failure of the set-up and ends the sweep.
        assert!(!wavetank::unsimulated(|| own.is_spent()), "the budget is spent");
        program(sim);
        sim.strategy(strategy);
        // Only the strategy is compared. The default strategy is measured as a test gets it.
        sim.perturb(strategy == Strategy::Swarm);
    });
    match failure {
        None => Ok(Ended::Missed),
        Some(failure) if failure.symptom().kind() == SymptomKind::Setup => {
            Ok(Ended::CutOff(failure.runs() - 1))
        }
        Some(failure) if !subject.finds.is(failure.symptom().kind()) => Err(format!(
            "{}: {strategy:?} found, from seed {}: {}",
            subject.name,
            failure.seed(),
            failure.symptom()
        )),
        Some(failure) => Ok(Ended::Found(failure.runs())),
    }
}

fn search_shuttle(
    subject: &Subject,
    program: fn(),
    scheduler: ShuttleScheduler,
    base: u64,
    budget: &Budget,
) -> Result<Ended, String> {
    let seed = base * BASE_DISTANCE;
    let schedules = SCHEDULES_MAX as usize;
    let scheduler: Box<dyn Scheduler + Send> = match scheduler {
        ShuttleScheduler::Random => Box::new(RandomScheduler::new_from_seed(seed, schedules)),
        ShuttleScheduler::Pct { depth } => Box::new(PctScheduler::new_from_seed(seed, depth, schedules)),
        ShuttleScheduler::Urw => Box::new(UrwRandomScheduler::new_from_seed(seed, schedules)),
    };
    let count = Arc::new(AtomicU64::new(0));
    let (own, runs) = (budget.clone(), count.clone());
    let run = move || {
        assert!(!own.is_spent(), "the budget is spent");
        runs.fetch_add(1, Relaxed);
        program();
    };
    // On a thread of its own: a failed execution may leave the OS thread counted as panicking, and then its locks are
    // poisoned from the beginning.
    let search = thread::spawn(move || Runner::new(scheduler, shuttle_config()).run(run));
    match search.join() {
        Ok(_) => Ok(Ended::Missed),
        Err(_) if budget.was_spent() => Ok(Ended::CutOff(count.load(Relaxed))),
        Err(panic) => {
            let message = message_of(&*panic);
            // While the failing thread unwinds others run on, and their panics may take the place of its message.
            let is_masked = message.contains("unwinding") || message.contains("Poison");
            let is_deadlock = message.contains("deadlock!");
            let kind = if is_deadlock { SymptomKind::Deadlock } else { SymptomKind::Panic };
            if is_masked || subject.finds.is(kind) {
                Ok(Ended::Found(count.load(Relaxed)))
            } else {
                Err(format!("{}: shuttle found: {message}", subject.name))
            }
        }
    }
}

fn message_of(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<String>().map(String::as_str);
    text.or(panic.downcast_ref::<&str>().copied()).unwrap_or("a panic without a message")
}

fn shuttle_config() -> Config {
    let mut config = Config::new();
    config.failure_persistence = FailurePersistence::None;
    config.silence_warnings = true;
    config
}

/// Has shuttle report nothing. Its panic hook, which the first run
/// installs, prints each failure.
pub fn silence_shuttle() {
    std::panic::set_hook(Box::new(|_| {}));
    let runner = Runner::new(RandomScheduler::new(1), shuttle_config());
    runner.run(|| {});
    std::panic::set_hook(Box::new(|_| {}));
}
