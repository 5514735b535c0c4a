//! What sweeps say of `sometimes!` points.

use std::sync::mpsc;
use std::time::Duration;

use super::{Fixture, report_of};
use crate::settings::{Settings, Shard};
use crate::symptom::Symptom;
use crate::toy::{ToyRun, panic_in};

/// Passes. Of three points one is reached, one is evaluated, one is in the way of no seed.
fn passes(run: &mut ToyRun) -> Option<Symptom> {
    run.sometimes("a late seed", run.seed() == 150);
    run.sometimes("the impossible", false);
    if run.seed() > 1_000 {
        run.sometimes("a far seed", true);
    }
    None
}

#[test]
fn any_parallelism_reports_the_points_never_reached() {
    for workers in [1, 2, 8] {
        let passed = Fixture { workers, ..Fixture::new("reach") }.verify(passes).expect("it passes");
        assert_eq!(passed.never_reached(), ["the impossible"]);
    }
}

#[test]
fn a_required_point_must_be_reached() {
    let fixture = Fixture::new("required");
    let run = |sweep| fixture.session(sweep, passes).verify();
    insta::assert_snapshot!(report_of(run(fixture.sweep().sometimes_required())), @r"
    wavetank: toys::bug passed, but never reached what it must reach

      seeds       200
      missed      the impossible

    note: a point counts by its text, and is known from its first evaluation
    ");
    run(fixture.sweep().reaches("a late seed")).expect("a named point is reached");
    let unknown = report_of(run(fixture.sweep().reaches("a far seed")));
    assert!(unknown.contains("missed      a far seed"), "{unknown}");
}

#[test]
fn a_shortened_sweep_may_miss_required_points() {
    let cut = [
        Settings { seeds: Some(10), ..Settings::default() },
        Settings { shard: Shard { index: 0, count: 2 }, ..Settings::default() },
    ];
    for settings in cut {
        let fixture = Fixture { settings, ..Fixture::new("cut") };
        let sweep = fixture.sweep().sometimes_required().reaches("a far seed");
        let passed = fixture.session(sweep, passes).verify().expect("it passes");
        assert!(passed.never_reached().contains(&"a far seed".to_owned()), "{passed:?}");
    }
}

#[test]
fn a_find_ignores_points_beyond_its_seed() {
    for workers in [1, 2, 8] {
        let fixture = Fixture { workers, ..Fixture::new("found") };
        let found = fixture.find("late", |run| {
            // The lower a seed, the later it ends: with several workers, seeds beyond the first failing one are done
            // first.
            let delay = Duration::from_millis(30_u64.saturating_sub(run.seed() * 2));
            let (_sender, nothing) = mpsc::channel::<()>();
            let _ = nothing.recv_timeout(if run.is_replay() { Duration::ZERO } else { delay });
            run.sometimes("an early seed", run.seed() == 2);
            run.sometimes("a seed beyond", run.seed() > 7);
            (run.seed() >= 7).then(|| panic_in("late").expect("a symptom"))
        });
        let found = found.expect("found");
        assert_eq!((found.seed(), found.never_reached()), (7, &["a seed beyond".to_owned()][..]));
    }
}

#[test]
fn a_missing_bug_is_reported_with_missed_points() {
    let report = report_of(Fixture::new("not-found").find("not closed", passes));
    assert!(report.contains("note: never reached: the impossible"), "{report}");
}
