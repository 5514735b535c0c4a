//! Sweeps that go on after a failure, recordings that are shrunk again, and the journal of both.

use std::fs;
use std::time::Duration;

use super::{Fixture, bug, report_of};
use crate::settings::{Only, Settings};
use crate::sweep::Session;
use crate::symptom::Symptom;
use crate::toy::{ToyRun, panic_in};

/// Fails in two ways, one of them rare.
fn two_bugs(run: &mut ToyRun) -> Option<Symptom> {
    match run.seed() {
        3 | 5 | 90 => panic_in("client: often"),
        150 => panic_in("client: once"),
        _ => None,
    }
}

fn fixture(name: &str) -> Fixture {
    let mut fixture = Fixture { workers: 3, ..Fixture::new(name) };
    let journal = Some(fixture.folder.path().join("journal"));
    fixture.settings = Settings { others: true, journal, ..Settings::default() };
    fixture
}

/// Returns the entries of this kind, each a line.
fn entries(fixture: &Fixture, event: &str) -> Vec<String> {
    let journal = fs::read_to_string(fixture.folder.path().join("journal")).expect("a journal");
    let begin = format!("{{\"event\":\"{event}\",\"test\":\"toys/toys::bug\"");
    journal.lines().filter(|line| line.starts_with(&begin)).map(str::to_owned).collect()
}

#[test]
fn a_sweep_for_others_reports_each_symptom_once() {
    let fixture = fixture("others");
    let session = fixture.session(fixture.sweep(), two_bugs);
    let report = report_of(session.noted(Session::verify));
    assert_eq!(report.matches("toys::bug failed").count(), 2, "{report}");
    assert!(report.find("often").expect("reported") < report.find("once").expect("reported"), "{report}");
    assert!(report.contains("0x3, after 3 that passed"), "the lowest seed: {report}");
    assert_eq!(fixture.recordings().len(), 2);
    assert_eq!((entries(&fixture, "failing").len(), entries(&fixture, "failure").len()), (4, 2));
    let swept = &entries(&fixture, "swept")[0];
    assert!(swept.contains("\"seeds\":196,\"failed\":4,"), "{swept}");
    assert!(entries(&fixture, "end")[0].contains("\"result\":\"failed\""));
}

#[test]
fn a_recorded_symptom_does_not_end_a_sweep() {
    let fixture = fixture("others-recorded");
    report_of(fixture.session(fixture.sweep().seeds(10), two_bugs).verify());
    assert_eq!(fixture.recordings().len(), 1, "the frequent bug");
    let report = report_of(fixture.session(fixture.sweep(), two_bugs).verify());
    let headlines = ["toys::bug failed a recording", "client: once"];
    assert!(headlines.iter().all(|headline| report.contains(headline)), "{report}");
    assert_eq!(
        report.matches("often").count(),
        report.split("client: once").next().map_or(0, |before| { before.matches("often").count() }),
        "known by its recording: {report}"
    );
    assert_eq!(fixture.recordings().len(), 2);
}

#[test]
fn a_recording_is_shrunk_in_its_place() {
    let mut fixture = fixture("shrunk-again");
    fixture.settings.others = false;
    // Kept as it was found.
    fixture.settings.shrink = Some(Duration::ZERO);
    report_of(fixture.verify(bug));
    let (path, before) = fixture.only_recording();
    fixture.settings.shrink = Some(Duration::from_secs(60));
    fixture.settings.only = Some(Only::File(path.clone()));
    let report = report_of(fixture.verify(bug));
    assert!(report.starts_with("wavetank: toys::bug is shrunk"), "{report}");
    let (same, after) = fixture.only_recording();
    assert_eq!(same, path);
    assert!(after.log.nonzero() == 2 && after.log.nonzero() < before.log.nonzero(), "{report}");
    assert!(entries(&fixture, "trace").len() >= 2, "of the replay and of the shrunk run");
}
