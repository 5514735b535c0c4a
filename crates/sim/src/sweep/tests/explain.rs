//! Causality curves.

use super::*;

#[test]
fn an_explanation_shows_where_a_failure_is_decided() {
    let fixture = Fixture::new("explain");
    report_of(fixture.verify(bug));
    let (path, _) = fixture.only_recording();
    let session = fixture.session(fixture.sweep(), bug);
    let explain = || {
        let recording = session.replayable(path.clone()).expect("loads");
        session.explained(&recording, 64).expect("it fails")
    };
    let explanation = explain();
    assert_eq!(explanation, explain(), "the same every time");
    // 20 questions of noise, and then the two that matter.
    assert_eq!(explanation.choices(), 22);
    let kept: Vec<usize> = explanation.points().iter().map(CausalityPoint::kept).collect();
    assert!(kept.ends_with(&[20, 21, 22]), "{kept:?}");
    let failures: Vec<u32> = explanation.points().iter().rev().map(CausalityPoint::failures).collect();
    // Two of nine, two of three, and all.
    assert_eq!(failures[0], 64);
    assert!((28..56).contains(&failures[1]), "{failures:?}");
    assert!(failures[2..].iter().all(|count| (4..28).contains(count)), "{failures:?}");
    let certain = explanation.certain().expect("it is decided");
    assert_eq!((certain.kept(), certain.last()), (22, "schedule: closer lock = 1"));
    let text = explanation.to_string();
    assert!(text.contains("nothing is kept"), "{text}");
    let end = "certain after choice 22 of 22, as far as 64 runs show: schedule: closer lock = 1";
    assert!(text.ends_with(end), "{text}");
}

#[test]
fn a_replay_reports_its_causality_curve() {
    let mut fixture = Fixture::new("explain-report");
    let report = report_of(fixture.verify(bug));
    let (variable, word) = command_of(&report);
    let value = word.to_owned();
    fixture.settings = Settings::from_lookup(&|name| match name {
        "WAVETANK_EXPLAIN" => Some("8".to_owned()),
        name if name == variable => Some(value.clone()),
        _ => None,
    })
    .expect("allowed");
    let report = report_of(fixture.verify(bug));
    assert!(report.contains("causality   "), "{report}");
    assert!(report.contains("   8 of 8 fail after choice    22  schedule: closer lock = 1"), "{report}");
}

#[test]
fn the_journal_has_each_point_of_the_curve() {
    let mut fixture = Fixture::new("explain-journal");
    let report = report_of(fixture.verify(bug));
    let (variable, word) = command_of(&report);
    let value = word.to_owned();
    let journal = fixture.folder.path().join("journal.jsonl");
    fixture.settings = Settings::from_lookup(&|name| match name {
        "WAVETANK_EXPLAIN" => Some("8".to_owned()),
        "WAVETANK_JOURNAL" => Some(journal.display().to_string()),
        name if name == variable => Some(value.clone()),
        _ => None,
    })
    .expect("allowed");
    report_of(fixture.verify(bug));
    let text = fs::read_to_string(&journal).expect("written");
    let points: Vec<&str> = text.lines().filter(|line| line.contains("\"event\":\"causality\"")).collect();
    assert!(points.len() > 3, "{text}");
    let last = points.last().expect("at least one");
    for member in
        ["\"kept\":22", "\"choices\":22", "\"failures\":8", "\"runs\":8", "schedule: closer lock = 1"]
    {
        assert!(last.contains(member), "{member} is missing in {last}");
    }
}

#[test]
fn a_recording_that_passes_has_nothing_to_explain() {
    let fixture = Fixture::new("explain-fixed");
    report_of(fixture.verify(bug));
    let (path, _) = fixture.only_recording();
    let session = fixture.session(fixture.sweep(), fixed);
    let recording = session.replayable(path).expect("loads");
    let report = report_of(session.explained(&recording, 8));
    assert!(report.contains("does not fail any more, so there is nothing to explain"), "{report}");
}
