//! Sweeps that go past known symptoms.

use super::*;
use crate::settings::Past;

/// Every third seed fails in one way, seed 50 in another.
fn two_bugs(run: &mut ToyRun) -> Option<Symptom> {
    run.ask("schedule", "closer lock", 3);
    match run.seed() {
        50 => panic_in("closer: exploded"),
        seed if seed % 3 == 1 => panic_in("closer: not closed"),
        _ => None,
    }
}

fn one_bug(run: &mut ToyRun) -> Option<Symptom> {
    two_bugs(run).filter(|symptom| symptom.matches("not closed"))
}

#[test]
fn a_sweep_goes_past_a_known_symptom() {
    for workers in [1, 4] {
        let fixture = Fixture { workers, ..Fixture::new("past") };
        let sweep = || fixture.sweep().past("not closed");
        let report = report_of(fixture.session(sweep(), two_bugs).verify());
        assert!(report.contains("symptom     panic in closer: exploded"), "{report}");
        assert!(report.contains("seed        0x32"), "{report}");
        let passed = Fixture::new("past-passes");
        let passed = passed.session(passed.sweep().past("not closed"), one_bug).verify().expect("passes");
        assert_eq!((passed.seeds(), passed.known()), (133, 67));
    }
}

#[test]
fn what_is_recorded_may_be_known() {
    let mut fixture = Fixture::new("past-recorded");
    assert!(report_of(fixture.verify(two_bugs)).contains("closer: not closed"));
    // The recording fails again, before any seed.
    assert!(report_of(fixture.verify(two_bugs)).contains("failed a recording"));
    fixture.settings.past = Some(Past::Recorded);
    assert!(report_of(fixture.verify(two_bugs)).contains("symptom     panic in closer: exploded"));
    // Now both are recorded.
    let passed = fixture.session(fixture.sweep(), two_bugs).verify().expect("passes");
    assert_eq!((passed.recordings(), passed.seeds(), passed.known()), (2, 132, 68 + 2));
}

#[test]
fn what_must_be_found_is_never_gone_past() {
    let mut fixture = Fixture::new("past-finds");
    fixture.settings.past = Some(Past::Part("closer".to_owned()));
    let found = fixture.find("exploded", two_bugs).expect("finds it past the other one");
    assert_eq!(found.seed(), 50);
}
