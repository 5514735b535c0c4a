//! Destructors that panic when turmoil crashes their host, or when the run ends: the run fails, and the process goes
//! on.

use super::*;

/// Panics when it is dropped.
struct Fragile;

impl Drop for Fragile {
    fn drop(&mut self) {
        panic!("dropped before it was finished");
    }
}

/// A client that ends after 200 ms. The server crashes after 100 ms if `crashes`.
fn ends_after_the_crash(sim: &mut TurmoilSim, crashes: bool) {
    sim.perturb(false);
    sim.before_each_step(move |sim| {
        if crashes && sim.elapsed() == 100 * MILLISECOND {
            sim.crash("server");
        }
    });
    sim.client("client", async |host: TurmoilHost| {
        Runtime::sleep(&host, 200 * MILLISECOND).await;
        Ok(())
    });
}

/// A server whose thread sleeps with something fragile.
fn thread_with_a_fragile_value(sim: &mut TurmoilSim) {
    sim.host_thread("server", |host: TurmoilHost| {
        let _fragile = Fragile;
        Threads::sleep(&host, Duration::from_secs(3600));
        wavetank::Ok(())
    });
}

/// A server whose task waits with something fragile.
fn task_with_a_fragile_value(sim: &mut TurmoilSim) {
    sim.host("server", async |_: TurmoilHost| {
        let _fragile = Fragile;
        std::future::pending::<()>().await;
        Ok(())
    });
}

#[test]
fn a_crashed_threads_panicking_destructor_fails_the_run() {
    let found = find("a-fragile-thread-crashes", |sim| {
        thread_with_a_fragile_value(sim);
        ends_after_the_crash(sim, true);
    });
    let expected = "server/main, when its host was killed: dropped before it was finished";
    assert!(found.symptom().matches(expected), "{}", found.symptom());
}

#[test]
fn a_threads_panicking_destructor_fails_at_the_end() {
    let found = find("a-fragile-thread-ends", |sim| {
        thread_with_a_fragile_value(sim);
        ends_after_the_crash(sim, false);
    });
    let expected = "server/main, when it was dropped at the end of the run: dropped before it was finished";
    assert!(found.symptom().matches(expected), "{}", found.symptom());
}

#[test]
fn a_tasks_panicking_destructor_fails_at_the_end() {
    let found = find("a-fragile-task-ends", |sim| {
        task_with_a_fragile_value(sim);
        ends_after_the_crash(sim, false);
    });
    let expected = "when it was dropped at the end of the run: dropped before it was finished";
    assert!(found.symptom().matches(expected), "{}", found.symptom());
}

/// A real process that is killed runs no destructors.
#[wavetank::test(seeds = 3)]
fn a_crashed_tasks_panicking_destructor_is_only_traced(sim: &mut TurmoilSim) {
    task_with_a_fragile_value(sim);
    ends_after_the_crash(sim, true);
}
