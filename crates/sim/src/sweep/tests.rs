//! Whole sweeps over toy programs.

use std::fmt;
use std::fs;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc;

mod deviations;
mod explain;
mod guided;
mod others;
mod past;
mod reach;
mod runs;

use super::*;
use crate::recording::{Expect, Recording, text};
use crate::settings::Only;
use crate::test_folder::TestFolder;
use crate::toy::{Toy, ToyRun, panic_in};

/// A test in a workspace of its own.
struct Fixture {
    folder: TestFolder,
    settings: Settings,
    workers: usize,
    interrupt: Interrupt,
}

impl Fixture {
    fn new(name: &str) -> Self {
        let folder = TestFolder::new(name);
        fs::write(folder.path().join("Cargo.lock"), "").expect("writes");
        Self { folder, settings: Settings::default(), workers: 1, interrupt: Interrupt::default() }
    }

    fn sweep(&self) -> Sweep {
        Sweep::new("toys::bug", self.folder.path()).package("toys").seeds(200).base_seed(0)
    }

    fn session(
        &self,
        sweep: Sweep,
        program: impl Fn(&mut ToyRun) -> Option<Symptom> + Send + Sync + 'static,
    ) -> Session {
        let pool = Arc::new(Pool::new(NonZeroUsize::new(self.workers).expect("a worker")));
        let runner = Toy::runner(program);
        Session::new(sweep, self.settings.clone(), runner, pool, self.interrupt.clone()).expect("a session")
    }

    fn verify(
        &self,
        program: impl Fn(&mut ToyRun) -> Option<Symptom> + Send + Sync + 'static,
    ) -> Result<Passed, Stop> {
        // What the traces hash to and what was run twice is for other tests.
        let passed = self.session(self.sweep(), program).verify();
        passed.map(|passed| Passed { trace_hash: 0, checked: 0, ..passed })
    }

    fn find(
        &self,
        finds: &str,
        program: impl Fn(&mut ToyRun) -> Option<Symptom> + Send + Sync + 'static,
    ) -> Result<Found, Stop> {
        self.session(self.sweep().finds(finds), program).find()
    }

    fn recordings(&self) -> Vec<(PathBuf, Recording)> {
        let store = Store::new(self.folder.path(), "toys/toys::bug");
        let paths = store.list().expect("lists");
        paths.into_iter().map(|path| (path.clone(), store.load(&path).expect("loads"))).collect()
    }

    fn only_recording(&self) -> (PathBuf, Recording) {
        let mut recordings = self.recordings();
        assert_eq!(recordings.len(), 1, "{recordings:?}");
        recordings.remove(0)
    }
}

/// Fails in about one of nine seeds, by two values among much noise.
fn bug(run: &mut ToyRun) -> Option<Symptom> {
    for turn in 0..20 {
        run.ask("schedule", &format!("noise{} yield", turn % 3), 5);
    }
    let broken = run.ask("fault", "link break", 3) == 2;
    let switched = run.ask("schedule", "closer lock", 3) != 0;
    run.event("the end");
    (broken && switched).then(|| panic_in("closer: not closed").expect("a symptom"))
}

fn fixed(run: &mut ToyRun) -> Option<Symptom> {
    bug(run);
    None
}

fn passed_with(recordings: usize, seeds: u64) -> Passed {
    Passed { recordings, seeds, ..Passed::default() }
}

fn report_of<T: fmt::Debug>(result: Result<T, Stop>) -> String {
    match result.expect_err("the test fails") {
        Stop::Failed(report) => report,
        Stop::Interrupted(found) => panic!("interrupted: {found}"),
    }
}

/// Returns what the last line of a report sets, as (variable, value).
fn command_of(report: &str) -> (&str, &str) {
    let last = report.lines().last().expect("has lines");
    last.split(' ').next().and_then(|word| word.split_once('=')).expect("begins with a variable")
}

#[test]
fn a_passing_test_reruns_one_seed_in_64() {
    let runs = Arc::new(AtomicUsize::new(0));
    let fixture = Fixture { workers: 3, ..Fixture::new("passes") };
    let count = Arc::clone(&runs);
    let passed = fixture.verify(move |run| {
        count.fetch_add(1, Ordering::SeqCst);
        fixed(run)
    });
    assert_eq!(passed, Ok(passed_with(0, 200)));
    assert_eq!(runs.load(Ordering::SeqCst), 1 + 200 + 4, "a warm-up, and every 64th twice");
    assert_eq!(fixture.recordings(), []);
}

#[test]
fn a_failure_of_the_first_run_is_reported() {
    let runs = AtomicUsize::new(0);
    let fixture = Fixture::new("first_run");
    let report = report_of(fixture.verify(move |run| {
        fixed(run);
        (runs.fetch_add(1, Ordering::SeqCst) == 0).then(|| panic_in("client: first use").expect("a symptom"))
    }));
    assert!(report.contains("failed in its warm-up"), "{report}");
    assert!(report.contains("  symptom     panic in client: first use\n"), "{report}");
    assert!(report.contains("look at what is initialised once per process"), "{report}");
}

#[test]
fn any_parallelism_reports_the_lowest_failing_seed() {
    for workers in [1, 2, 8] {
        let fixture = Fixture { workers, ..Fixture::new("lowest") };
        let report = report_of(fixture.verify(|run| {
            // The lower a failing seed, the later it is known.
            let delay = Duration::from_millis(30_u64.saturating_sub(run.seed() * 2));
            let (_sender, nothing) = mpsc::channel::<()>();
            let _ = nothing.recv_timeout(if run.is_replay() { Duration::ZERO } else { delay });
            (run.seed() >= 7).then(|| panic_in("late").expect("a symptom"))
        }));
        assert!(report.contains("seed        0x7, after 7 that passed"), "{workers} workers: {report}");
    }
}

#[test]
fn a_failure_is_recorded_before_and_after_shrinking() {
    let fixture = Fixture::new("unshrunk");
    let folder = fixture.folder.path().join("seeds/toys/toys.bug");
    let path = folder.join("panic-closer-not-closed.seed");
    let unshrunk = Arc::new(AtomicUsize::new(0));
    let (seen, there) = (Arc::clone(&unshrunk), path.clone());
    let report = report_of(fixture.verify(move |run| {
        let symptom = bug(run);
        if run.is_replay() {
            // The first replay, of the failure itself, comes before there is anything to record.
            if let Ok(text) = fs::read_to_string(&there) {
                let values = text::parse(&text).expect("a whole file").log.nonzero();
                seen.fetch_max(values, Ordering::SeqCst);
            }
        }
        symptom
    }));
    assert!(unshrunk.load(Ordering::SeqCst) > 10, "the noise was on disk");
    let (written, recording) = fixture.only_recording();
    assert_eq!(written, path);
    assert_eq!((recording.log.nonzero(), recording.test.as_str()), (2, "toys/toys::bug"));
    assert!(report.contains("recording   seeds/toys/toys.bug/panic-closer-not-closed.seed"), "{report}");
    let trace: Vec<&str> =
        report.lines().filter_map(|line| line.split_once("| ")).map(|(_, event)| event).collect();
    assert!(trace.starts_with(&["fault: link break 2", "schedule: closer lock 1", "the end"]), "{report}");
}

#[test]
fn the_replay_command_shows_the_same_symptom() {
    let first = Fixture::new("command");
    let report = report_of(first.verify(bug));
    let (variable, word) = command_of(&report);
    assert!(word.len() < 100, "{word}");
    let mut elsewhere = Fixture::new("elsewhere");
    let value = word.to_owned();
    elsewhere.settings =
        Settings::from_lookup(&|name| (name == variable).then(|| value.clone())).expect("allowed");
    let again = report_of(elsewhere.verify(bug));
    assert!(again.starts_with("wavetank: toys::bug failed a recording"), "{again}");
    assert!(again.contains("symptom     panic in closer: not closed"), "{again}");
    assert_eq!(command_of(&again), (variable, word));
    assert_eq!(elsewhere.verify(fixed), Ok(passed_with(1, 0)));
    elsewhere.settings.strict = true;
    assert!(report_of(elsewhere.verify(bug)).contains("WAVETANK_STRICT=1 needs the path of a .seed file"));
}

#[test]
fn recordings_run_first_and_may_pass() {
    let fixture = Fixture::new("regression");
    report_of(fixture.verify(bug));
    let before = fixture.only_recording();
    let seeds = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&seeds);
    let report = report_of(fixture.verify(move |run| {
        count.fetch_add(usize::from(!run.is_replay()), Ordering::SeqCst);
        bug(run)
    }));
    assert!(report.contains("failed a recording"), "{report}");
    assert_eq!(seeds.load(Ordering::SeqCst), 0);
    assert_eq!(fixture.verify(fixed), Ok(passed_with(1, 200)));
    assert_eq!(fixture.only_recording(), before, "replaying changes no file");
}

#[test]
fn a_recording_that_expects_to_pass_must_pass() {
    let fixture = Fixture::new("expects-pass");
    report_of(fixture.verify(bug));
    let (path, recording) = fixture.only_recording();
    fs::write(&path, text::write(&Recording { expect: Expect::Passes, ..recording })).expect("writes");
    let report = report_of(fixture.verify(bug));
    assert!(report.contains("recorded as a run that passes"), "{report}");
    let report = report_of(fixture.find("closer", bug));
    assert!(report.contains("recorded as a run that passes"), "{report}");
}

#[test]
fn an_expected_bug_is_found_shrunk_and_proven() {
    let fixture = Fixture::new("find");
    // The first seed passes.
    let bug = |run: &mut ToyRun| if run.seed() == 0 { None } else { bug(run) };
    let found = fixture.find("closer: not closed", bug).expect("finds it");
    assert_eq!((found.after().nondefault(), found.after().faults(), found.after().switches()), (2, 1, 1));
    assert!(found.before().nondefault() > 10 && found.runs() > 1 && found.shrink_runs() > 3);
    assert_eq!(found.seed(), found.runs() - 1, "the base is 0");
    let trace = found.trace().render();
    let events: Vec<&str> =
        trace.lines().filter_map(|line| line.split_once("| ")).map(|(_, event)| event).collect();
    let expected =
        ["fault: link break 2", "schedule: closer lock 1", "the end", "panic in closer: not closed"];
    assert_eq!(events, expected);
    assert_eq!(found.recording(), Some(&*fixture.only_recording().0));
    // Again, now with its own recording there.
    let again = fixture.find("closer: not closed", bug).expect("finds it again");
    assert_eq!(
        (again.trace(), again.after(), again.recording()),
        (found.trace(), found.after(), found.recording())
    );
}

#[test]
fn a_smaller_committed_recording_is_shown() {
    let fixture = Fixture::new("committed");
    let committed = fixture.find("closer", bug).expect("finds it");
    let without_shrinking = fixture.sweep().finds("closer").shrink_at_most(0, Duration::from_secs(1));
    let found = fixture.session(without_shrinking, bug).find().expect("finds it");
    assert_eq!((found.shrink_runs(), found.after()), (0, committed.after()));
    assert_eq!(found.trace(), committed.trace());
    assert!(found.before().nondefault() > 10);
}

#[test]
fn an_expected_failure_must_still_fail() {
    let fixture = Fixture::new("museum");
    fixture.find("closer", bug).expect("finds it");
    let report = report_of(fixture.find("closer", fixed));
    assert!(
        report.contains("lost its bug") && report.contains("panic-closer-not-closed.seed no longer fails"),
        "{report}"
    );
    let report = report_of(fixture.find("closer", |run| bug(run).and(panic_in("closer: exploded"))));
    assert!(report.contains("fails another way than recorded"), "{report}");
    assert!(report.contains("recorded as `panic in closer: not closed`"), "{report}");
}

#[test]
fn missing_an_expected_bug_is_a_failure() {
    let fixture = Fixture::new("not-found");
    let report = report_of(fixture.find("closer", fixed));
    assert!(report.contains("200 seeds ran and all passed; this test must find `closer`"), "{report}");
    let report = report_of(fixture.find("something else", bug));
    assert!(report.contains("found another bug"), "{report}");
    assert!(
        report.contains("this test must find `something else`, and another symptom came first"),
        "{report}"
    );
    assert_eq!(command_of(&report).0, "WAVETANK_REPLAY");
}

#[test]
fn strict_replay_names_the_first_divergence() {
    let mut fixture = Fixture::new("strict");
    report_of(fixture.verify(bug));
    let before = fixture.only_recording();
    let other = |run: &mut ToyRun| {
        run.ask("schedule", "newcomer yield", 2);
        fixed(run)
    };
    assert_eq!(fixture.verify(other), Ok(passed_with(1, 200)), "leniently no failure");
    fixture.settings.strict = true;
    let report = report_of(fixture.verify(other));
    assert!(report.contains("left a recording"), "{report}");
    assert!(
        report.contains(
            "does not replay strictly: choice 1 of lane `schedule`: the recording has `noise0 yield`"
        )
    );
    assert!(
        report.contains("the run asked `newcomer yield`") && report.ends_with("the file is unchanged"),
        "{report}"
    );
    let report = report_of(fixture.verify(|_| None));
    assert!(report.contains("the run ended before its last recorded choice; it passed"), "{report}");
    let report = report_of(fixture.verify(|run| {
        let symptom = bug(run);
        run.event("one more event");
        symptom
    }));
    assert!(report.contains("the choices are the recorded ones and the trace is not"), "{report}");
    assert!(report_of(fixture.verify(bug)).contains("failed a recording"), "the same code replays");
    assert_eq!(fixture.only_recording(), before);
}

#[test]
fn a_report_counts_choices_that_no_longer_fit() {
    let fixture = Fixture::new("mismatch");
    report_of(fixture.verify(bug));
    let report = report_of(fixture.verify(|run| {
        run.ask("fault", "link break", 2);
        panic_in("closer: not closed")
    }));
    let note = "note: the code has changed since it was recorded (1 choice no longer fitted and was answered with 0)";
    assert!(report.contains(note), "{report}");
}

#[test]
fn ctrl_c_says_what_was_run_and_found() {
    let fixture = Fixture::new("ctrl-c");
    let interrupt = fixture.interrupt.clone();
    let result = fixture.verify(move |run| {
        if run.seed() == 41 {
            interrupt.raise();
        }
        None
    });
    let said = "wavetank: toys::bug interrupted after 42 seeds, all passed";
    assert_eq!(result, Err(Stop::Interrupted(said.to_owned())));

    let fixture = Fixture::new("ctrl-c-shrinking");
    let (interrupt, replays) = (fixture.interrupt.clone(), AtomicUsize::new(0));
    let result = fixture.verify(move |run| {
        if run.is_replay() && replays.fetch_add(1, Ordering::SeqCst) == 8 {
            interrupt.raise();
        }
        bug(run)
    });
    let Err(Stop::Interrupted(report)) = result else { panic!("interrupted: {result:?}") };
    assert!(
        report.contains("; interrupted)") && report.contains("recording   seeds/toys/toys.bug/"),
        "{report}"
    );
    let values = fixture.only_recording().1.log.nonzero();
    assert!(
        values > 0 && report.contains(&format!(" -> {values} non-default")),
        "the best so far is kept: {report}"
    );
}

#[test]
fn settings_choose_the_seeds() {
    let mut fixture = Fixture::new("settings");
    let seeds_run = |fixture: &Fixture| {
        let seen = Arc::new(std::sync::Mutex::new(Vec::new()));
        let noted = Arc::clone(&seen);
        let passed = fixture.verify(move |run| {
            if !run.is_replay() {
                noted.lock().expect("no thread panics with it").push(run.seed());
            }
            None
        });
        let seen = seen.lock().expect("no thread panics with it").clone();
        assert_eq!(passed.map(|passed| passed.seeds()), Ok(seen.len() as u64));
        seen
    };
    fixture.settings.seeds = Some(7);
    fixture.settings.base_seed = Some(100);
    fixture.settings.shard = Shard { index: 1, count: 3 };
    assert_eq!(seeds_run(&fixture), [101, 104]);
    fixture.settings.only = Some(Only::Seed(9));
    assert_eq!(seeds_run(&fixture), [9]);
    fixture.settings = Settings { time_budget: Some(Duration::ZERO), ..Settings::default() };
    let none = fixture.verify(|_| None).expect_err("no seed is no success");
    assert!(
        matches!(&none, Stop::Failed(report) if report.starts_with("wavetank: toys::bug ran no seed\n")),
        "{none:?}"
    );
    fixture.settings.shard = Shard { index: 100, count: 101 };
    fixture.settings.seeds = Some(100);
    assert_eq!(seeds_run(&fixture), [], "machines without a seed are no failure");
}

#[test]
fn settings_choose_how_many_seeds_are_run_twice() {
    let mut fixture = Fixture::new("check");
    for (check_every, checked) in [(None, 4), (Some(1), 200), (Some(3), 67), (Some(0), 0)] {
        fixture.settings.check_every = check_every;
        let runs = Arc::new(AtomicU64::new(0));
        let count = Arc::clone(&runs);
        let session = fixture.session(fixture.sweep(), move |_| {
            count.fetch_add(1, Ordering::SeqCst);
            None
        });
        let passed = session.verify().expect("passes");
        assert_eq!(passed.checked(), checked, "{check_every:?}");
        assert_eq!(runs.load(Ordering::SeqCst), 1 + 200 + checked, "a warm-up, the seeds, and those again");
        let hash = passed.trace_hash();
        let said = format!("0 recordings, 200 seeds, {checked} of them twice, trace hash {hash:#018x}");
        assert_eq!(passed.to_string(), said);
    }
}

#[test]
fn a_finding_test_runs_all_seeds_when_sharded() {
    let mut fixture = Fixture::new("find-shard");
    fixture.settings.seeds = Some(1);
    fixture.settings.shard = Shard { index: 1, count: 2 };
    let found = fixture.find("closer", bug).expect("finds it");
    assert_eq!(found.seed(), found.runs() - 1);
}

#[test]
fn a_named_recording_runs_alone() {
    let mut fixture = Fixture::new("only-file");
    report_of(fixture.verify(bug));
    let (path, recording) = fixture.only_recording();
    let from_root = path.strip_prefix(fixture.folder.path()).expect("below the root").to_owned();
    fixture.settings.only = Some(Only::File(from_root));
    assert!(report_of(fixture.verify(bug)).contains("failed a recording"));
    let found = fixture.find("closer", bug).expect("the recording fails");
    assert_eq!((found.seed(), found.runs(), found.recording()), (recording.seed, 0, Some(&*path)));
    fs::write(&path, text::write(&Recording { test: "toys::other".to_owned(), ..recording }))
        .expect("writes");
    let report = report_of(fixture.verify(bug));
    assert!(
        report.contains(
            "is a recording of `toys::other`, and this test is `toys/toys::bug`: run that one with it"
        ),
        "{report}"
    );
}

#[test]
fn packages_do_not_share_recordings_or_seeds() {
    let fixture = Fixture::new("packages");
    let sweep = |package: &str| Sweep::new("it::works", fixture.folder.path()).package(package).seeds(200);
    let report = report_of(fixture.session(sweep("one"), bug).verify());
    assert!(report.contains("recording   seeds/one/it.works/panic-closer-not-closed.seed"), "{report}");
    let passed = |package| fixture.session(sweep(package), |_| None).verify().expect("it passes");
    let (one, two) = (passed("one"), passed("two"));
    assert_eq!((one.recordings(), two.recordings()), (1, 0));
    assert_ne!(one.trace_hash(), two.trace_hash(), "other seeds");
}

#[test]
fn a_broken_recording_fails_naming_its_line() {
    let fixture = Fixture::new("broken-file");
    report_of(fixture.verify(bug));
    let (path, _) = fixture.only_recording();
    let broken = fs::read_to_string(&path).expect("reads").replace("seed = ", "sed = ");
    fs::write(&path, &broken).expect("writes");
    let report = report_of(fixture.verify(bug));
    assert!(report.contains("cannot read a recording"), "{report}");
    assert!(report.contains("panic-closer-not-closed.seed, line 4: expected `seed = NUMBER`"), "{report}");
    assert_eq!(fs::read_to_string(&path).expect("reads"), broken);
}

#[test]
fn a_failure_is_reported_even_if_not_recorded() {
    let fixture = Fixture::new("read-only");
    let in_the_way = fixture.folder.path().join("seeds");
    let report = report_of(fixture.verify(move |run| {
        // Only once seeds are run: the recordings have been looked for.
        if !run.is_replay() {
            fs::write(&in_the_way, "not a folder").expect("writes");
        }
        bug(run)
    }));
    assert!(
        report.contains("toys/toys.bug/panic-closer-not-closed.seed: cannot write the recording"),
        "{report}"
    );
    assert!(report.contains("2 non-default") && command_of(&report).0 == "WAVETANK_REPLAY", "{report}");
}

#[test]
fn the_first_failure_leaves_no_recording() {
    let fixture = Fixture::new("first-failure");
    let first = fixture.session(fixture.sweep(), bug).first_failure().expect("no interrupt").expect("fails");
    assert_eq!(fixture.recordings(), []);
    let found = fixture.find("not closed", bug).expect("finds it");
    assert_eq!((first.seed(), first.runs(), first.symptom()), (found.seed(), found.runs(), found.symptom()));
    assert_eq!(first.counts(), Some(found.before()), "as it was found, not shrunk");
    let passed = fixture.session(fixture.sweep(), fixed).first_failure();
    assert_eq!(passed, Ok(None));
}

#[test]
fn a_replay_writes_the_whole_trace() {
    let mut fixture = Fixture::new("whole-trace");
    let long = |run: &mut ToyRun| {
        (0..100).for_each(|number| run.event(format!("event {number}")));
        bug(run)
    };
    let report = report_of(fixture.verify(long));
    assert!(report.contains("replay it with (which writes the whole trace to a file):\n"), "{report}");
    assert!(!report.contains("  whole trace"), "{report}");
    let (variable, value) = command_of(&report);
    assert_eq!(variable, "WAVETANK_REPLAY");
    let seed = value.split(':').nth(1).expect("a seed").to_owned();
    let seed = u64::from_str_radix(&seed, 16).expect("hexadecimal");
    for only in [Only::Inline(value.to_owned()), Only::Seed(seed)] {
        fixture.settings.only = Some(only);
        let report = report_of(fixture.verify(long));
        let (_, path) = report.split_once("  whole trace ").expect("it says where");
        let path = path.lines().next().expect("a path").trim();
        let whole = fs::read_to_string(path).expect("it is there");
        assert!((0..100).all(|number| whole.contains(&format!("event {number}\n"))), "{whole}");
        fs::remove_file(path).expect("it was written");
    }
}

#[test]
fn a_new_failure_leaves_a_fixed_bugs_recording() {
    let fixture = Fixture::new("fixed");
    report_of(fixture.verify(bug));
    let committed = fixture.only_recording();
    assert_eq!(fixture.verify(fixed), Ok(passed_with(1, 200)));
    // The same symptom by another cause, which the old recording does not show.
    let other = |run: &mut ToyRun| {
        bug(run);
        let broken = run.ask("fault", "host crash", 5) == 4;
        broken.then(|| panic_in("closer: not closed").expect("a symptom"))
    };
    let report = report_of(fixture.verify(other));
    assert!(report.contains("panic-closer-not-closed-2.seed"), "{report}");
    let recordings = fixture.recordings();
    assert_eq!(recordings.len(), 2);
    assert!(recordings.contains(&committed), "unchanged");
}

/// With one seed, and with choices that a command names, no recording is replayed before.
#[test]
fn a_single_run_leaves_a_fixed_bugs_recording() {
    let mut fixture = Fixture::new("fixed-single");
    report_of(fixture.verify(bug));
    let committed = fixture.only_recording();
    // Smaller than the old failure, and with its symptom.
    let other = |run: &mut ToyRun| {
        let broken = run.ask("fault", "host crash", 5) == 4;
        broken.then(|| panic_in("closer: not closed").expect("a symptom"))
    };
    let elsewhere = Fixture::new("fixed-elsewhere");
    let report = report_of(elsewhere.verify(other));
    let seed = report.split_once("seed        ").and_then(|(_, rest)| rest.split([',', '\n']).next());
    let (variable, word) = command_of(&report);
    for (name, value) in [("WAVETANK_SEED", seed.expect("a seed")), (variable, word)] {
        for shrink in [None, Some("1")] {
            let of_variables = |asked: &str| match asked {
                "WAVETANK_SHRINK" => shrink.map(str::to_owned),
                asked => (asked == name).then(|| value.to_owned()),
            };
            fixture.settings = Settings::from_lookup(&of_variables).expect("allowed");
            report_of(fixture.verify(other));
            assert!(fixture.recordings().contains(&committed), "{name} {shrink:?}");
        }
    }
}

#[test]
fn mistakes_and_expected_failures_record_nothing() {
    let fixture = Fixture::new("unrecorded");
    let mistake =
        |_: &mut ToyRun| Some(Symptom::new(crate::symptom::SymptomKind::Setup, "two hosts of one name"));
    let report = report_of(fixture.verify(mistake));
    assert!(report.contains("setup: two hosts of one name") && !report.contains("recording"), "{report}");
    let report = report_of(fixture.session(fixture.sweep().without_recordings(), bug).verify().map(drop));
    assert!(report.contains("closer: not closed") && !report.contains("recording"), "{report}");
    assert_eq!(fixture.recordings(), []);
}
