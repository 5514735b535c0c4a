//! Sweeps in which seeds begin like earlier runs.

use super::*;

/// Fails if six answers are right, which happens to one seed in 262,144. Each right one is a new schedule.
fn a_chain_of_six(run: &mut ToyRun) -> Option<Symptom> {
    let answers: Vec<u32> = (0..6).map(|_| run.ask("schedule", "chain lock", 8)).collect();
    let right = answers.iter().take_while(|&&answer| answer == 7).count();
    run.fingerprint(right as u64);
    (right == 6).then(|| panic_in("closer: a chain").expect("a symptom"))
}

fn long_sweep(fixture: &Fixture) -> Sweep {
    fixture.sweep().seeds(12_000)
}

#[test]
fn guided_sweeps_find_chains_of_rare_events() {
    let fixture = Fixture::new("chain");
    let unguided = fixture.session(long_sweep(&fixture).guided(false), a_chain_of_six).verify();
    assert_eq!(unguided.expect("no seed finds it").seeds(), 12_000);
    let report = report_of(fixture.session(long_sweep(&fixture), a_chain_of_six).verify());
    assert!(report.contains("found by    the first "), "{report}");
    assert_eq!(fixture.only_recording().1.log.nonzero(), 6);
    let (variable, word) = command_of(&report);
    let mut elsewhere = Fixture::new("chain-elsewhere");
    let value = word.to_owned();
    elsewhere.settings =
        Settings::from_lookup(&|name| (name == variable).then(|| value.clone())).expect("allowed");
    assert!(report_of(elsewhere.verify(a_chain_of_six)).contains("symptom     panic in closer: a chain"));
}

#[test]
fn guided_sweeps_are_equal_at_any_parallelism() {
    let of = |workers| {
        let fixture = Fixture { workers, ..Fixture::new("guided-parallel") };
        let sweep = long_sweep(&fixture).seeds(3_000);
        let passed = fixture.session(sweep, |run| a_chain_of_six(run).and(None)).verify().expect("passes");
        passed.trace_hash()
    };
    let alone = of(1);
    assert_eq!((of(2), of(7)), (alone, alone));
}

#[test]
fn the_first_thousand_seeds_are_not_guided() {
    let hash = |seeds, is_guided| {
        let fixture = Fixture::new("not-guided");
        let sweep = fixture.sweep().seeds(seeds).guided(is_guided);
        let passed = fixture.session(sweep, |run| a_chain_of_six(run).and(None)).verify().expect("passes");
        passed.trace_hash()
    };
    assert_eq!(hash(1_000, true), hash(1_000, false));
    assert_ne!(hash(1_100, true), hash(1_100, false));
}

#[test]
fn a_guided_run_that_begins_otherwise_is_nondeterminism() {
    let fixture = Fixture::new("guided-nondeterminism");
    let runs = AtomicU64::new(0);
    let sweep = long_sweep(&fixture).check_every(0);
    let report = report_of(
        fixture
            .session(sweep, move |run| {
                let count = runs.fetch_add(1, Ordering::SeqCst);
                run.ask("schedule", &format!("lock{} lock", count / 600), 8);
                a_chain_of_six(run).and(None)
            })
            .verify(),
    );
    assert!(report.contains("a run that begins like another does something else"), "{report}");
}
