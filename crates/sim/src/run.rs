//! The loop of a run: simulates hosts once, from a seed or from recorded choices.
//!
//! [`simulate`] drives the scheduler, the network and the clock (`drive`) until every client's main has ended or an
//! oracle fails the run. Then it tears everything down and returns the result.

mod clock;
pub(crate) mod drive;
#[cfg(test)]
mod hostile;
pub(crate) mod oracle;
mod real;
#[cfg(test)]
pub(crate) mod tests;

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;

use wavetank_runtime::__private::panic_message;

use crate::choice::{ChoiceLog, Choices, Deviation, Replay};
use crate::options::RunOptions;
pub(crate) use crate::progress::Progress;
use crate::sched::Profile;
use crate::symptom::{Symptom, SymptomKind};
use crate::trace::TraceEvent;
pub(crate) use crate::world::Outcome;
use crate::world::{self, HostPlan, Run, Start, context};
use crate::{inject, interpose, panics, probe};

/// Where a run's choices come from.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Plan<'a> {
    Seed {
        seed: u64,
        profile: &'a Arc<Profile>,
    },
    /// The default run of seed 0, which counts what strategies need to know.
    WarmUp,
    Replay {
        seed: u64,
        log: &'a ChoiceLog,
        mode: Replay,
    },
    /// The default run of a seed, except for these choices.
    Deviate {
        seed: u64,
        deviations: &'a [Deviation],
    },
    /// A recorded run up to the choice `kept`, and then another.
    Redraw {
        seed: u64,
        log: &'a ChoiceLog,
        kept: usize,
        draws: u64,
        profile: &'a Arc<Profile>,
    },
}

impl Plan<'_> {
    pub(crate) fn choices(&self) -> Choices {
        match *self {
            Self::Seed { seed, .. } => Choices::seeded(seed),
            Self::WarmUp => Choices::replayed(0, &ChoiceLog::default(), Replay::Lenient),
            Self::Replay { seed, log, mode } => Choices::replayed(seed, log, mode),
            Self::Deviate { seed, deviations } => Choices::deviating(seed, deviations),
            Self::Redraw { seed, log, kept, draws, .. } => Choices::redrawn(seed, log, kept, draws),
        }
    }
}

impl Plan<'_> {
    /// Sets in `options` what a strategy may know, and whether the run counts it.
    pub(crate) fn tell(&self, options: &mut RunOptions) {
        match *self {
            Self::Seed { profile, .. } | Self::Redraw { profile, .. } => {
                options.profile = Arc::clone(profile);
            }
            Self::WarmUp => options.counts = true,
            Self::Replay { .. } | Self::Deviate { .. } => {}
        }
    }
}

/// Calls `f` while libc's clock and entropy, and the probes, are the run's.
pub(crate) fn in_libc<T>(choices: Choices, f: impl FnOnce(Choices) -> T) -> T {
    probe::install();
    interpose::on_real(world::real::asked_for);
    interpose::on_lock(world::real::free_lock);
    let _interposed = interpose::enter(choices.libc_stream());
    f(choices)
}

/// Simulates `plans` once, unless the set-up has a problem. Called inside of [`in_libc`].
pub(crate) fn simulate(
    choices: Choices,
    options: RunOptions,
    plans: Vec<HostPlan>,
    setup: Option<String>,
    progress: &Arc<Progress>,
) -> Outcome {
    let number = context::next_run_number();
    tracing::dispatcher::with_default(world::dispatch(), || {
        let runtime = tokio_runtime(choices.seed(), options.tolerate_panics);
        // Invalid hosts are not made.
        let plans = if setup.is_some() { Vec::new() } else { plans };
        let run = Rc::new(Run::new(number, choices, options, &plans, progress.clone()));
        let entered = context::enter(run.clone());
        let driven = catch_unwind(AssertUnwindSafe(|| {
            runtime.block_on(async {
                match setup {
                    Some(problem) => run.scheduler.fail(Symptom::new(SymptomKind::Setup, problem)),
                    None => {
                        start(&run, plans);
                        drive::drive(&run).await;
                    }
                }
                run.tear_down();
            });
        }));
        if driven.is_err() {
            run.fail_by_foreign_panic();
            // Destructors may ask for the runtime, although it runs nothing any more.
            let _inside = runtime.enter();
            run.tear_down();
        }
        let passed = !run.scheduler.stopped();
        if passed {
            panics::forget();
        }
        // Tasks that third-party code spawned on tokio die here, while their sockets still find their run.
        run.scheduler.drop_at_the_end("a task of tokio's", runtime);
        if passed {
            run.fail_by_panic_at_the_end();
        }
        // Tasks that their destructors have started.
        run.scheduler.tear_down();
        drop(entered);
        context::outcome_of(run)
    })
}

fn tokio_runtime(seed: u64, tolerate_panics: bool) -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_current_thread();
    builder.enable_time().start_paused(!interpose::INTERPOSED);
    seed_select(&mut builder, seed);
    world::foreign::watch(&mut builder, tolerate_panics);
    builder.build().expect("a runtime without I/O takes nothing from the system")
}

#[cfg(tokio_unstable)]
fn seed_select(builder: &mut tokio::runtime::Builder, seed: u64) {
    builder.rng_seed(tokio::runtime::RngSeed::from_bytes(&seed.to_le_bytes()));
}

#[cfg(not(tokio_unstable))]
fn seed_select(_: &mut tokio::runtime::Builder, _: u64) {
    unreachable!("sweeps look at the build first, see `settings::problem_of_build`");
}

fn start(run: &Run, plans: Vec<HostPlan>) {
    inject::set_up(run);
    for (index, plan) in plans.into_iter().enumerate() {
        run.scheduler.progress.tick();
        let start = || match plan.start {
            Start::Once(main) => main(run, index),
            Start::Again(main) => main(run, index),
        };
        if let Err(payload) = catch_unwind(AssertUnwindSafe(start)) {
            let message = panic_message(&*payload);
            run.scheduler.trace_event(TraceEvent::Failed(message.as_str().into()));
            let detail = format!("{}, when it was started: {message}", plan.name);
            run.scheduler.fail(Symptom::new(SymptomKind::Panic, detail));
        }
    }
}
