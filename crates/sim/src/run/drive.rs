//! The loop that drives a run. It steps what is ready. When nothing is, it lets time pass. When nothing can happen any
//! more, it asks the oracles why.

use std::cell::Cell;
use std::future::poll_fn;
use std::task::Poll;

use crate::symptom::{Symptom, SymptomKind};
use crate::trace::TraceEvent;

use super::clock::{Clock, Jump};
use super::real::refuse_os_threads;
use super::{Run, oracle};
use crate::time::Nanos;
use crate::world::foreign::ROUNDS_MAX;

/// Drives `run` until it has a verdict or all mains have ended and left nothing behind.
pub(super) async fn drive(run: &Run) {
    let mut clock = Clock::new();
    let deferred = &run.scheduler.deferred;
    // Whether a future was polled, or time passed, since tokio last had control. Wake-ups that tokio deferred meanwhile
    // arrive only by returning to it, and so do its timers and tasks.
    let mut polled = false;
    let mut leaving = None;
    // How often in a row tokio was given control because it may still have had something to run at this moment.
    let mut rounds = 0;
    run.scheduler.begin();
    deferred.watch();
    loop {
        let foreign = clock.may_have_foreign_timers();
        let mut is_quiet = !foreign;
        if polled && (foreign || deferred.any()) {
            let before = run.foreign.polls();
            return_to_tokio().await;
            is_quiet |= run.foreign.polls() == before;
            run.scheduler.budget_is_renewed();
            if !foreign {
                deferred.watch();
            }
        }
        polled = false;
        refuse_os_threads(run);
        if run.scheduler.is_looked_at() {
            run.waits.replace(oracle::waits(run));
            return;
        }
        if run.scheduler.must_stop() {
            return;
        }
        if let Some(task) = run.scheduler.next() {
            polled = run.scheduler.is_async(task);
            run.scheduler.step(task);
            rounds = 0;
            continue;
        }
        if !is_quiet && rounds < ROUNDS_MAX {
            rounds += 1;
            polled = true;
            continue;
        }
        if run.scheduler.mains_left() == 0 {
            if leaving.is_none() {
                run.scheduler.end_all_delays();
                leaving = Some(run.scheduler.now().saturating_add(run.options.leak_grace));
                continue;
            }
            let until = leaving.unwrap_or(Nanos::MAX);
            match oracle::leak(run) {
                None => return,
                Some(leak) if run.scheduler.now() >= until => return fail(run, leak),
                Some(_) => {}
            }
        }
        if !pass_time(run, &mut clock, leaving, rounds == ROUNDS_MAX).await {
            return;
        }
        rounds = 0;
        // Everything that this instant has woken outside of the runtime traits runs before time passes again.
        polled = clock.may_have_foreign_timers();
    }
}

/// Ends the run with the finding of an oracle. No task does anything wrong at that moment, so the trace has to say it.
pub(crate) fn fail(run: &Run, symptom: Symptom) {
    run.scheduler.trace_event(TraceEvent::Failed(symptom.to_string().into()));
    run.scheduler.fail(symptom);
}

/// Gives control to tokio once. It renews the budget, delivers deferred wake-ups, and runs its own tasks.
pub(super) async fn return_to_tokio() {
    let returned = Cell::new(false);
    poll_fn(|context| {
        if returned.replace(true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

fn earlier(one: Option<Nanos>, other: Option<Nanos>) -> Option<Nanos> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// Lets time pass until something happens. Returns `false` when the run has ended.
async fn pass_time(run: &Run, clock: &mut Clock, leaving: Option<Nanos>, spins: bool) -> bool {
    let limit = run.options.time_limit;
    let scheduler = &run.scheduler;
    let own = earlier(scheduler.next_timer(), run.faults.borrow().next());
    let own = match own {
        // What is still on its way is relevant for no task.
        None if run.network.borrow().quiet() => None,
        own => earlier(own, run.network.borrow_mut().next_event()),
    };
    let foreign = clock.may_have_foreign_timers();
    if own.is_none() && !foreign {
        fail(run, oracle::nothing_left(run));
        return false;
    }
    let target = own.unwrap_or(limit).min(leaving.unwrap_or(limit)).min(limit);
    // A stall counts only when its time has come, because an unknown timer of tokio may come first.
    let stall_at = oracle::stall_at(run).filter(|&at| at < target);
    let target = stall_at.map_or(target, |at| at.max(scheduler.now()));
    if clock.jump(run, target, spins).await == Jump::Interrupted {
        // Irrelevant events were left out above and may be over by now. Time must not pass to one of them next, because
        // it does not go back.
        run.network(|network, now, outside| network.process(now, outside));
        return true;
    }
    if stall_at.is_some()
        && !scheduler.has_ready()
        && let Some(stall) = oracle::stall(run)
    {
        fail(run, stall);
        return false;
    }
    if own.is_none() && !scheduler.has_ready() && leaving.is_none() {
        // Even tokio had nothing up to the limit.
        fail(run, oracle::nothing_left(run));
        return false;
    }
    if target >= limit {
        let detail = format!(
            "{:?} of virtual time and no end; {}\n`Sim::time_limit` sets the limit",
            run.options.time_limit(),
            oracle::unfinished(run)
        );
        fail(run, Symptom::new(SymptomKind::TimeLimit, detail));
        return false;
    }
    run.network(|network, now, outside| network.process(now, outside));
    scheduler.fire_timers();
    crate::inject::act(run);
    true
}
