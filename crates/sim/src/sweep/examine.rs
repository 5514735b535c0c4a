//! Judges one run: whether it failed, and whether a second run does the same.

use std::fmt;

use super::Session;
use crate::choice::Replay;
use crate::pool::{Job, Ran};
use crate::recording::canonical;
use crate::run::Outcome;
use crate::symptom::{Symptom, SymptomKind};

/// When a run is repeated, by strict replay of its own choices.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SecondRun {
    IfItFails,
    Always,
}

/// A run that failed.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) seed: u64,
    pub(super) symptom: Symptom,
    /// The run, if it ended.
    pub(super) outcome: Option<Box<Outcome>>,
    /// Its index in the sweep and how it came about, if it is not the run of a seed.
    pub(super) turn: Option<(u64, String)>,
}

impl Failure {
    /// Returns `true` if the same choices show the same symptom. Only then can it be recorded and shrunk. A mistake in
    /// the test's body is repeatable too, but it is not a bug to keep.
    pub(super) const fn is_repeatable(&self) -> bool {
        self.outcome.is_some()
            && !matches!(self.symptom.kind(), SymptomKind::Nondeterminism | SymptomKind::Setup)
    }
}

impl Session {
    /// Does `job` and applies every oracle that needs no recording. Returns a passed run as it ended.
    pub(super) fn examine(&self, job: Job, second: SecondRun) -> Result<Box<Outcome>, Failure> {
        let seed = job.seed();
        let outcome = match self.ran(job.clone()) {
            Ran::Ended(outcome) => outcome,
            other => {
                return Err(Failure {
                    seed,
                    symptom: self.symptom_of_no_end(&other),
                    outcome: None,
                    turn: None,
                });
            }
        };
        if let (Job::Redraw { .. }, Some(divergence)) = (&job, &outcome.divergence) {
            let detail = format!(
                "a run that begins like another does something else: {divergence}\n{}",
                suspects(SuspectedBy::SecondRun)
            );
            let symptom = Symptom::new(SymptomKind::Nondeterminism, detail);
            return Err(Failure { seed, symptom, outcome: Some(outcome), turn: None });
        }
        if second == SecondRun::IfItFails && outcome.symptom.is_none() {
            return Ok(outcome);
        }
        // A run that was stopped has nothing to compare with.
        if self.settings.until.is_some() {
            return match outcome.symptom.clone() {
                Some(symptom) => Err(Failure { seed, symptom, outcome: Some(outcome), turn: None }),
                None => Ok(outcome),
            };
        }
        if let Some(difference) = self.difference_of_second_run(seed, &outcome) {
            let is_settled = self.agrees_with_itself_by_now(job);
            let suspected_by = match () {
                () if is_settled => SuspectedBy::FirstRun,
                () if difference.contains("0x") => SuspectedBy::AddressInTrace,
                () => SuspectedBy::SecondRun,
            };
            let mut detail = format!("{difference}\n{}", suspects(suspected_by));
            if is_settled {
                detail.push_str(
                    "\ntwo further runs were the same: the first of them all initialised something that lasts (a \
                     `static`, a `LazyLock`). Do that in the test's body, before the hosts",
                );
            }
            if let Some(first) = &outcome.symptom {
                detail = format!("{detail}\nthe first run failed with: {first}");
            }
            let symptom = Symptom::new(SymptomKind::Nondeterminism, detail);
            return Err(Failure { seed, symptom, outcome: Some(outcome), turn: None });
        }
        match outcome.symptom.clone() {
            None => Ok(outcome),
            Some(symptom) => Err(Failure { seed, symptom, outcome: Some(outcome), turn: None }),
        }
    }

    pub(super) fn ran(&self, job: Job) -> Ran {
        self.pool.run(&self.runner, job, self.sweep.patience)
    }

    pub(super) fn symptom_of_no_end(&self, ran: &Ran) -> Symptom {
        match ran {
            Ran::Stuck { running, place } => {
                let patience = self.sweep.patience;
                let place = place.iter().map(|line| format!("\n  {line}")).collect::<String>();
                let place =
                    if place.is_empty() { place } else { format!("\nit is in, from the innermost:{place}") };
                let what = "it blocks in something that the simulator does not control, or loops without end\n\
                            A lock or channel of std blocks the OS thread that all tasks and threads of a \
                            run share: use \
                            `Mutex` and `Condvar` of `wavetank::runtime`";
                Symptom::new(
                    SymptomKind::Stuck,
                    format!("{running}\nno step for {patience:?} of real time: {what}{place}"),
                )
            }
            Ran::Crashed { message } => {
                Symptom::new(SymptomKind::Panic, format!("wavetank itself, this is a bug: {message}"))
            }
            Ran::Ended(_) => unreachable!("the run has ended"),
        }
    }

    /// Returns `true` if a further run and its replay are the same: the first run differed because it was the first.
    fn agrees_with_itself_by_now(&self, job: Job) -> bool {
        let seed = job.seed();
        match self.ran(job) {
            Ran::Ended(third) => self.difference_of_second_run(seed, &third).is_none(),
            Ran::Stuck { .. } | Ran::Crashed { .. } => false,
        }
    }

    /// Replays the choices of a run, and describes the first difference.
    fn difference_of_second_run(&self, seed: u64, first: &Outcome) -> Option<String> {
        match self.ran(Job::replay(seed, &first.log, Replay::Strict)) {
            Ran::Ended(second) => first_difference(first, &second),
            other => Some(format!("the second run ended with: {}", self.symptom_of_no_end(&other))),
        }
    }
}

/// What makes the usual suspects of nondeterminism more or less likely.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SuspectedBy {
    /// The first run of all differs from those that follow.
    FirstRun,
    /// What differs shows an address.
    AddressInTrace,
    /// Runs of one process differ.
    SecondRun,
    /// Runs of two processes differ, and those of one do not.
    SecondProcess,
}

/// Lists what usually makes two runs of the same choices differ, what fits first.
pub(super) fn suspects(by: SuspectedBy) -> String {
    const ADDRESSES: &str = "addresses, and ids of OS threads (printed, hashed, or used as an order)";
    const STATICS: &str =
        "statics and thread-locals that one run leaves to the next (a cache, a counter, a `OnceLock`)";
    const HASHERS: &str = "hashers with entropy of their own (ahash, foldhash)";
    const THREADS: &str = "real OS threads and what they do meanwhile";
    const OUTSIDE: &str = "files, the environment, other processes";
    let (all, remedy) = match by {
        SuspectedBy::FirstRun => ([STATICS, HASHERS, ADDRESSES, OUTSIDE, THREADS], ""),
        SuspectedBy::AddressInTrace => ([ADDRESSES, STATICS, HASHERS, THREADS, OUTSIDE], ""),
        SuspectedBy::SecondRun => ([STATICS, HASHERS, THREADS, ADDRESSES, OUTSIDE], ""),
        SuspectedBy::SecondProcess => (
            [ADDRESSES, STATICS, HASHERS, OUTSIDE, THREADS],
            "; with WAVETANK_ASLR=0 every process has the same addresses",
        ),
    };
    format!("usual suspects: {}{remedy}", all.join("; "))
}

/// Describes where two runs of the same choices first differ.
pub(super) fn first_difference(first: &Outcome, second: &Outcome) -> Option<String> {
    let mut found: Vec<String> = Vec::new();
    if first.trace.hash() != second.trace.hash() {
        let event = first.trace.first_difference(&second.trace);
        found.push(event.unwrap_or_else(|| "the traces have different hashes".to_owned()));
    }
    if let Some(divergence) = &second.divergence {
        found.push(divergence.to_string());
    } else if first.symptom.as_ref().map(Symptom::key) != second.symptom.as_ref().map(Symptom::key) {
        found.push(format!("the first run {}, the second {}", Ended(first), Ended(second)));
    } else if canonical(&first.log) != canonical(&second.log) {
        found.push("the second run asked fewer questions".to_owned());
    }
    (!found.is_empty()).then(|| found.join("; "))
}

/// Displays how a run ended.
pub(super) struct Ended<'a>(pub(super) &'a Outcome);

impl fmt::Display for Ended<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.symptom {
            Some(symptom) => write!(f, "failed with `{}`", symptom.key()),
            None => f.write_str("passed"),
        }
    }
}
