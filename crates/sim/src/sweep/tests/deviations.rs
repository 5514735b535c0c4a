//! Sweeps that enumerate deviations.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;

use super::*;

/// Four questions, of which one has a single answer.
fn four_questions(run: &mut ToyRun) -> Vec<u32> {
    [3, 2, 1, 2].iter().map(|&bound| run.ask("schedule", "a lock", bound)).collect()
}

/// How often each list of answers came in a sweep.
fn enumerated(deviations: u32, workers: usize) -> (BTreeMap<Vec<u32>, usize>, Passed) {
    let fixture = Fixture { workers, ..Fixture::new("enumerated") };
    let seen = Arc::new(Mutex::new(BTreeMap::new()));
    let answers = Arc::clone(&seen);
    let sweep = fixture.sweep().deviations(deviations).check_every(0);
    let session = fixture.session(sweep, move |run| {
        *answers.lock().expect("no panic").entry(four_questions(run)).or_default() += 1;
        None
    });
    let passed = session.verify().expect("passes");
    let mut seen = std::mem::take(&mut *seen.lock().expect("no panic"));
    // The warm-up is the default run, too.
    *seen.entry(vec![0; 4]).or_default() -= 1;
    (seen, passed)
}

#[test]
fn every_run_within_the_bound_runs_once() {
    // One, four with one deviation, five with two, two with three.
    for (deviations, runs) in [(1, 5), (2, 10), (3, 12), (4, 12)] {
        let (seen, passed) = enumerated(deviations, 1);
        assert_eq!((passed.seeds(), passed.deviations()), (runs, Some(deviations)));
        assert_eq!(seen.len() as u64, runs);
        assert!(seen.values().all(|&count| count == 1), "{seen:?}");
        let most = seen.keys().map(|answers| answers.iter().filter(|&&answer| answer != 0).count()).max();
        assert_eq!(most, Some(deviations.min(3) as usize));
    }
}

#[test]
fn an_enumeration_is_the_same_at_any_parallelism() {
    let alone = enumerated(3, 1);
    for workers in [2, 8] {
        assert_eq!(enumerated(3, workers), alone);
    }
}

#[test]
fn a_bug_of_two_deviations_is_found() {
    let fixture = Fixture { workers: 2, ..Fixture::new("two-deviations") };
    let session =
        |fixture: &Fixture, deviations| fixture.session(fixture.sweep().deviations(deviations), bug);
    let passed = session(&fixture, 1).verify().expect("one is too few");
    assert_eq!((passed.seeds(), passed.deviations()), (1 + 20 * 4 + 2 + 2, Some(1)));
    let report = report_of(session(&fixture, 2).verify());
    assert!(report.contains("found by    2 deviations from the default run"), "{report}");
    let (_, recording) = fixture.only_recording();
    assert_eq!(recording.log.nonzero(), 2);
    let (variable, word) = command_of(&report);
    let mut elsewhere = Fixture::new("two-elsewhere");
    let value = word.to_owned();
    elsewhere.settings =
        Settings::from_lookup(&|name| (name == variable).then(|| value.clone())).expect("allowed");
    assert!(report_of(elsewhere.verify(bug)).contains("symptom     panic in closer: not closed"));
}

#[test]
fn an_expected_bug_may_be_found_by_deviations() {
    let fixture = Fixture::new("finds-by-deviations");
    let found = fixture.session(fixture.sweep().finds("not closed").deviations(2), bug).find();
    assert_eq!(found.expect("finds it").after().nondefault(), 2);
    let fixture = Fixture::new("finds-nothing-by-deviations");
    let report = report_of(fixture.session(fixture.sweep().finds("else").deviations(1), fixed).find());
    assert!(
        report.contains("no failure within 1 deviation (85 runs); this test must find `else`"),
        "{report}"
    );
}

/// The summary of a sweep with these settings.
fn summary_of(settings: Settings, program: impl Fn(&mut ToyRun) + Send + Sync + 'static) -> (Passed, String) {
    let fixture = Fixture { settings, ..Fixture::new("summary") };
    let session = fixture.session(fixture.sweep().deviations(2), move |run| {
        program(run);
        None
    });
    let hunted = session.hunt(session.seeds_to_verify(), &BTreeSet::new());
    (session.verify().expect("passes"), hunted.summary.expect("an enumeration has one"))
}

#[test]
fn a_sweep_says_how_far_its_budget_went() {
    let ask = |run: &mut ToyRun| drop(four_questions(run));
    let (passed, summary) = summary_of(Settings::default(), ask);
    assert_eq!(summary, "no failure within 2 deviations (10 runs)");
    assert_eq!(passed.deviations(), Some(2));
    let (passed, summary) = summary_of(Settings { seeds: Some(7), ..Settings::default() }, ask);
    assert_eq!(
        summary,
        "no failure within 1 deviation (7 runs); the budget ended after 2 runs with 2 deviations"
    );
    assert_eq!(passed.deviations(), Some(1));
    // The environment may turn it off.
    let fixture =
        Fixture { settings: Settings { deviations: Some(0), ..Settings::default() }, ..Fixture::new("off") };
    let passed = fixture.session(fixture.sweep().deviations(2), fixed).verify().expect("passes");
    assert_eq!((passed.deviations(), passed.seeds()), (None, 200));
}

#[test]
fn three_values_of_a_long_choice_are_tried() {
    let ask = |run: &mut ToyRun| {
        run.ask("link a>b", "a>b latency", 1_000);
    };
    let (passed, summary) = summary_of(Settings::default(), ask);
    assert_eq!(passed.seeds(), 4);
    let said = "no failure within 2 deviations (4 runs); of choices with more than 16 alternatives, three were tried";
    assert_eq!(summary, said);
}

#[test]
fn shards_share_the_runs_with_the_most_deviations() {
    let of_shard = |index| {
        let settings = Settings { shard: Shard { index, count: 2 }, ..Settings::default() };
        let (passed, summary) = summary_of(settings, |run| drop(four_questions(run)));
        assert!(summary.ends_with(&format!("; the last ones of shard {}/2", index + 1)), "{summary}");
        passed.seeds()
    };
    // Five of ten have fewer than two deviations.
    assert_eq!((of_shard(0), of_shard(1)), (5 + 3, 5 + 2));
}
