//! One run inside of turmoil: the hosts of a body are built into a `turmoil::Sim`, which is then stepped to its end.
//!
//! # Invariants
//!
//! - Everything that a run draws follows from its seed: our choices, turmoil's seed (one of them), and libc's entropy.
//! - Faults and hooks act between steps, never inside of a host.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use wavetank_runtime::__private::panic_message;

use super::drive::Driver;
use super::faults::FaultDriver;
use super::sim::{Inner, TurmoilPlan, TurmoilSim};
use crate::panics;
use crate::run::drive::fail;
use crate::run::{self, Outcome, Plan, Progress, oracle};
use crate::symptom::{Symptom, SymptomKind};
use crate::time::{Nanos, nanos};
use crate::world::{self, HostPlan, Run, context};

/// The body of a test, which sets up one run.
pub(crate) type Body = dyn Fn(&mut TurmoilSim) + Send + Sync;

/// Simulates `body` once. Must be called on an OS thread that simulates nothing else, before or after.
pub(crate) fn simulate(body: &Body, plan: &Plan<'_>, progress: &Arc<Progress>) -> Outcome {
    run::in_libc(plan.choices(), |choices| {
        tracing::dispatcher::with_default(world::dispatch(), || {
            let mut sim = TurmoilSim::new(choices);
            let built = catch_unwind(AssertUnwindSafe(|| body(&mut sim)));
            let mut setup = built.err().map(|payload| panic_message(&*payload));
            plan.tell(&mut sim.options);
            let roles: Vec<HostPlan> = sim.hosts.iter().map(TurmoilPlan::role).collect();
            setup = setup.or_else(|| sim.options.problem("TurmoilSim", &HostPlan::labels(&roles)));
            if setup.is_some() {
                // The run would refuse these names. Nothing is simulated anyway.
                sim.hosts.clear();
            }
            simulate_hosts(sim, &roles, setup, progress)
        })
    })
}

fn simulate_hosts(
    mut sim: TurmoilSim,
    roles: &[HostPlan],
    setup: Option<String>,
    progress: &Arc<Progress>,
) -> Outcome {
    let mut choices = sim.take_choices();
    let hosts: Vec<(String, bool)> = sim.hosts.iter().map(|host| (host.name.clone(), !host.client)).collect();
    let mut faults = FaultDriver::new(&sim.faults, &mut choices, &hosts);
    let roles = if setup.is_some() { &[] } else { roles };
    let options = std::mem::take(&mut sim.options);
    let run = Rc::new(Run::new(context::next_run_number(), choices, options, roles, progress.clone()));
    let entered = context::enter(run.clone());
    match setup {
        Some(problem) => run.scheduler.fail(Symptom::new(SymptomKind::Setup, problem)),
        None => run_turmoil(&run, sim, &mut faults),
    }
    drop(entered);
    let mut outcome = context::outcome_of(run);
    outcome.faults += faults.happened();
    outcome
}

/// Builds turmoil's simulation, steps it to its end and takes it down.
fn run_turmoil(run: &Run, mut plan: TurmoilSim, faults: &mut FaultDriver) {
    let mut sim: Inner = match catch_unwind(AssertUnwindSafe(|| plan.builder.build())) {
        Ok(sim) => sim,
        Err(payload) => {
            let problem = format!("turmoil's builder: {}", panic_message(&*payload));
            return run.scheduler.fail(Symptom::new(SymptomKind::Setup, problem));
        }
    };
    let stepped = catch_unwind(AssertUnwindSafe(|| {
        add_hosts(run, &mut plan, &mut sim);
        step(run, &mut plan, &mut sim, faults);
    }));
    if let Err(payload) = stepped {
        // The panic is turmoil's own, a hook's, or that of a task that code under test spawned on tokio directly.
        let message = panics::last_message().unwrap_or_else(|| panic_message(&*payload));
        run.scheduler.fail(Symptom::new(SymptomKind::Panic, format!("turmoil: {message}")));
    }
    // turmoil's simulation must still exist, because tasks drop its sockets now.
    run.scheduler.tear_down();
    run.scheduler.drop_at_the_end("turmoil's simulation", sim);
}

fn add_hosts(run: &Run, plan: &mut TurmoilSim, sim: &mut Inner) {
    run.scheduler.schedule_hosts_apart();
    for (index, host) in plan.hosts.iter().enumerate() {
        let (number, start) = (run.number, host.start.clone());
        if host.client {
            sim.client(host.name.as_str(), Driver::new(number, index, start));
        } else {
            sim.host(host.name.as_str(), move || Driver::new(number, index, start.clone()));
        }
    }
    for prepare in plan.prepare.drain(..) {
        let before = sim.elapsed();
        prepare(sim);
        must_not_step(run, "prepare", before, sim);
    }
}

/// Fails the run with a set-up error if a hook has stepped the simulation.
fn must_not_step(run: &Run, hook: &str, before: Duration, sim: &Inner) {
    if sim.elapsed() != before {
        let problem = format!("a hook of `{hook}` stepped turmoil's simulation, which the run does");
        run.scheduler.fail(Symptom::new(SymptomKind::Setup, problem));
    }
}

/// Steps until the run has a verdict, or its clients have ended and left nothing behind.
fn step(run: &Run, plan: &mut TurmoilSim, sim: &mut Inner, faults: &mut FaultDriver) {
    let mut leaving = None;
    loop {
        faults.act(run, sim);
        let before = sim.elapsed();
        for hook in &mut plan.before_step {
            hook(sim);
        }
        must_not_step(run, "before_each_step", before, sim);
        if run.scheduler.must_stop() {
            return;
        }
        run.scheduler.progress.tick();
        let stepped = sim.step();
        run.scheduler.set_now(nanos(sim.elapsed()));
        if has_ended(run, faults, &mut leaving) {
            return;
        }
        // A driver never fails, so the only error of turmoil is its limit of simulated time.
        if let Err(limit) = stepped
            && leaving.is_none()
        {
            let detail = format!("turmoil: {limit}; {}", oracle::unfinished(run));
            return fail(run, Symptom::new(SymptomKind::TimeLimit, detail));
        }
    }
}

fn has_ended(run: &Run, faults: &FaultDriver, leaving: &mut Option<Nanos>) -> bool {
    if run.scheduler.must_stop() {
        return true;
    }
    let now = run.scheduler.now();
    if run.scheduler.mains_left() == 0 {
        let until = *leaving.get_or_insert(now + run.options.leak_grace);
        match oracle::leak(run) {
            None => return true,
            Some(leak) if now >= until => fail(run, leak),
            Some(_) => {}
        }
        return run.scheduler.must_stop();
    }
    if !faults.is_active()
        && oracle::stall_at(run).is_some_and(|at| at < now)
        && let Some(stall) = oracle::stall(run)
    {
        fail(run, stall);
        return true;
    }
    false
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use wavetank_runtime::{ListenOptions, Listener, Runtime, SocketOptions};

    use super::*;
    use crate::choice::Replay;
    use crate::turmoil::TurmoilHost;

    /// A client that connects, writes and reads. Each operation may be preempted or get a spurious `Pending`.
    fn asks_and_is_answered(sim: &mut TurmoilSim) {
        sim.host("server", async |host: TurmoilHost| {
            let address = "0.0.0.0:80".parse()?;
            let listener = Runtime::listen(&host, address, ListenOptions::new()).await?;
            let (mut stream, _) = listener.accept().await?;
            let question = stream.read_u8().await?;
            stream.write_u8(question + 1).await?;
            std::future::pending().await
        });
        sim.client("client", async |host: TurmoilHost| {
            let server = Runtime::resolve(&host, "server", 80).await?[0];
            let mut stream = Runtime::connect(&host, server, SocketOptions::new()).await?;
            stream.write_u8(7).await?;
            assert_eq!(stream.read_u8().await?, 8);
            Ok(())
        });
    }

    #[test]
    fn perturbations_in_turmoil_lose_nothing() {
        let mut seen = BTreeSet::new();
        for seed in 0..200 {
            let outcome = simulate(
                &asks_and_is_answered,
                &Plan::Seed { seed, profile: &Arc::default() },
                &Arc::default(),
            );
            let trace = outcome.trace.render();
            assert_eq!(outcome.symptom, None, "seed {seed}\n{trace}");
            let marks = [
                "~ gets a spurious Pending before it can accept",
                "~ gets a spurious Pending before it can connect",
                "~ gets a spurious Pending before it can read",
                "~ gets a spurious Pending before it can write",
            ];
            let marks = marks.into_iter().chain(["~ is woken spuriously"]);
            seen.extend(marks.filter(|mark| trace.contains(mark)));
            let plan = Plan::Replay { seed, log: &outcome.log, mode: Replay::Strict };
            let again = simulate(&asks_and_is_answered, &plan, &Arc::default());
            assert_eq!(again.divergence, None);
            assert_eq!(again.trace.first_difference(&outcome.trace), None);
        }
        assert_eq!(seen.len(), 5, "{seen:?}");
    }
}
