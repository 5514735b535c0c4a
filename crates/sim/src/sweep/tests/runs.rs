//! Runs that differ from time to time, hang, or crash the simulator.

use super::*;
use crate::symptom::SymptomKind;

/// The first words of the usual suspects that a report lists, in its order.
fn suspects(report: &str) -> Vec<&str> {
    let (_, listed) = report.split_once("usual suspects: ").expect("they are listed");
    let listed = listed.lines().next().unwrap_or_default();
    listed.split("; ").filter_map(|one| one.split_whitespace().next()).collect()
}

#[test]
fn an_address_in_the_trace_is_suspected_first() {
    let fixture = Fixture::new("address");
    let runs = AtomicU64::new(0);
    let report = report_of(fixture.verify(move |run| {
        run.event(format!("kept at 0x7f30{:08x}", runs.fetch_add(1, Ordering::SeqCst) << 12));
        None
    }));
    assert_eq!(suspects(&report), ["addresses,", "statics", "hashers", "real", "files,"], "{report}");
}

#[test]
fn a_different_second_run_is_nondeterminism() {
    for fails in [false, true] {
        let fixture = Fixture::new("nondeterminism");
        let runs = AtomicU64::new(0);
        let report = report_of(fixture.verify(move |run| {
            run.event("the same");
            run.event(format!("run {}", runs.fetch_add(1, Ordering::SeqCst)));
            fails.then(|| panic_in("closer").expect("a symptom"))
        }));
        assert!(report.contains("symptom     nondeterminism: event 2 differs\n"), "{report}");
        // A warm-up that fails is run again.
        let first = 1 + u64::from(fails);
        assert!(report.contains(&format!("first run:  0.000ms    | run {first}\n")), "{report}");
        assert!(report.contains(&format!("second run: 0.000ms    | run {}\n", first + 1)), "{report}");
        assert!(!report.contains("two further runs were the same"), "{report}");
        assert_eq!(suspects(&report), ["statics", "hashers", "real", "addresses,", "files,"], "{report}");
        assert_eq!(report.contains("the first run failed with: panic in closer"), fails, "{report}");
        assert_eq!(command_of(&report), ("WAVETANK_SEED", "0x0"));
        assert_eq!(fixture.recordings(), [], "what does not replay is not recorded");
    }
}

#[test]
fn the_warm_up_initialises_what_is_static() {
    let fixture = Fixture::new("warm-up");
    let cold = AtomicBool::new(true);
    let program = move |run: &mut ToyRun| {
        run.event(if cold.swap(false, Ordering::SeqCst) { "initialises" } else { "finds it initialised" });
        None
    };
    let passed = fixture.session(fixture.sweep().check_every(1), program).verify();
    assert_eq!(passed.map(|passed| passed.seeds()), Ok(200));
}

#[test]
fn late_initialisation_is_named_as_the_nondeterminism() {
    let fixture = Fixture::new("cold");
    let verify = |check_every| {
        let cold = AtomicBool::new(true);
        let program = move |run: &mut ToyRun| {
            // As if the default run of the warm-up did not come here.
            let is_first = run.seed() == 5 && cold.swap(false, Ordering::SeqCst);
            run.event(if is_first { "initialises" } else { "finds it initialised" });
            None
        };
        fixture.session(fixture.sweep().check_every(check_every), program).verify()
    };
    let report = report_of(verify(5));
    assert!(report.contains("symptom     nondeterminism: event 1 differs\n"), "{report}");
    assert!(report.contains("two further runs were the same: the first of them all initialised something"));
    assert_eq!(suspects(&report), ["statics", "hashers", "addresses,", "files,", "real"], "{report}");
    assert!(verify(0).is_ok() && verify(3).is_ok(), "seed 5 is not checked");
}

#[test]
fn a_stuck_run_names_what_was_running() {
    let fixture = Fixture::new("stuck");
    let (sender, released) = mpsc::channel::<()>();
    let released = std::sync::Mutex::new(released);
    let program = move |run: &mut ToyRun| {
        run.step("client/closer, last seen at `lock protocol`");
        let _ = released.lock().expect("no thread panics with it").recv();
        None
    };
    let sweep = fixture.sweep().watchdog(Duration::from_millis(40));
    let report = report_of(fixture.session(sweep, program).verify());
    assert!(report.contains("symptom     stuck in client/closer, last seen at `lock protocol`"), "{report}");
    assert!(report.contains("no step for 40ms of real time"), "{report}");
    assert_eq!(command_of(&report), ("WAVETANK_SEED", "0x0"));
    drop(sender);
}

#[test]
fn an_endless_warm_up_fails_unless_expected() {
    let endless = |_: &mut ToyRun| Some(Symptom::new(SymptomKind::StepLimit, "9 steps and no end"));
    let fixture = Fixture::new("endless");
    let in_warm_up =
        "wavetank: toys::bug failed in its warm-up\n\n  symptom     step limit: 9 steps and no end\n";
    let report = report_of(fixture.session(fixture.sweep(), endless).verify());
    assert!(report.starts_with(in_warm_up), "{report}");
    let report = report_of(fixture.session(fixture.sweep().finds("panic"), endless).find());
    assert!(report.starts_with(in_warm_up), "{report}");
    for sweep in [fixture.sweep(), fixture.sweep().finds("no end")] {
        assert_eq!(fixture.session(sweep, endless).find().expect("it is found").runs(), 1);
    }
}

#[test]
fn a_crash_while_shrinking_keeps_the_failure() {
    let fixture = Fixture::new("crash");
    let replays = AtomicUsize::new(0);
    let report = report_of(fixture.verify(move |run| {
        // After the warm-up, the second runs of the first seed and of the failure are the last that work.
        assert!(!run.is_replay() || replays.fetch_add(1, Ordering::SeqCst) < 3, "a bug of the simulator");
        bug(run)
    }));
    assert!(report.contains("note: the shrunk run does not replay strictly"), "{report}");
    assert!(report.contains("a bug of the simulator"), "{report}");
    assert!(fixture.only_recording().1.log.nonzero() > 10);
    let seed = fixture.only_recording().1.seed;
    let passed = if seed == 0 { "the first one".to_owned() } else { format!("after {seed} that passed") };
    assert!(report.contains(&format!("seed        {seed:#x}, {passed}")), "{report}");
}
