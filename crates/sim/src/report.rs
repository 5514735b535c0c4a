//! The report of a failure: what failed, how to read it, and how to see it again.
//!
//! The last line is the command that replays the failure, if there is one. Nothing else has to be copied from a CI log.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::choice::{ChoiceLog, LaneKind};
use crate::interpose::blocks;
use crate::printable;
use crate::recording::inline;
use crate::run::Outcome;
use crate::shrink::{End, Shrunk};
use crate::symptom::{Symptom, SymptomKind};
use crate::time::Nanos;

pub use command::Built;

mod command;

/// Delays up to this happen on every machine: 10 ms.
const WORTH_SAYING: Nanos = 10_000_000;

/// The longest inline form in a command. A longer failure is replayed from its seed.
const INLINE_MAX: usize = 1_500;

/// The numbers of a run's choices.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Counts {
    nondefault: usize,
    choices: usize,
    faults: usize,
    switches: usize,
    preemptions: usize,
    inside: usize,
    delays: usize,
}

impl Counts {
    pub(crate) fn of(outcome: &Outcome) -> Self {
        let log = &outcome.log;
        let (mut switches, mut delays) = (0, 0);
        for choice in log.choices.iter().filter(|choice| choice.value != 0) {
            match log.point(choice.point).lane.kind() {
                LaneKind::Schedule => switches += 1,
                // The trace counts these: a grant of sites need not preempt.
                LaneKind::Block => {}
                LaneKind::WokenDelay | LaneKind::PreemptedDelay | LaneKind::Pending | LaneKind::Spurious => {
                    delays += 1
                }
                // The outcome counts faults, and the trace counts preemptions: a choice of a budget need not preempt.
                LaneKind::Fault | LaneKind::Datagrams | LaneKind::Short | LaneKind::Budget => {}
                LaneKind::Swarm | LaneKind::Link | LaneKind::Test | LaneKind::Turmoil | LaneKind::Entropy => {
                }
                LaneKind::Adversary | LaneKind::Cancel | LaneKind::Buggify => {}
            }
        }
        Self {
            nondefault: log.nonzero(),
            choices: log.choices.len(),
            faults: outcome.faults,
            switches,
            preemptions: outcome.trace.preempted(),
            inside: outcome.trace.stopped_inside(),
            delays,
        }
    }

    /// Counts the choices that were not the default: those that a reader has to follow.
    pub const fn nondefault(&self) -> usize {
        self.nondefault
    }

    /// Counts all choices.
    pub const fn choices(&self) -> usize {
        self.choices
    }

    /// Counts the faults that happened.
    pub const fn faults(&self) -> usize {
        self.faults
    }

    /// Counts the forced context switches: a task or thread ran before its turn.
    pub const fn switches(&self) -> usize {
        self.switches
    }

    /// Counts how often a task was preempted between two operations because its budget had ended.
    pub const fn preemptions(&self) -> usize {
        self.preemptions
    }

    /// Counts how often a task or thread stopped at a basic block, in an instrumented build.
    pub const fn preemptions_inside(&self) -> usize {
        self.inside
    }

    /// Counts the delays of tasks and threads, the spurious `Pending` and the spurious wake-ups.
    pub const fn delays(&self) -> usize {
        self.delays
    }
}

/// The test of a sweep.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    /// The test's name with its module path.
    pub(crate) test: String,
    pub(crate) manifest_dir: PathBuf,
    pub(crate) package: Option<String>,
    /// What the macro knows about the test's build.
    pub(crate) built: Option<Built>,
    /// The program that runs.
    pub(crate) executable: PathBuf,
}

impl Identity {
    /// Returns the unique name of this test in a workspace: `package/crate::module::test`. Two packages may have tests
    /// of the same path. So may the library, a binary and an integration test of one package, which may all have the
    /// package's name. Then the library has the short name.
    pub(crate) fn name(&self) -> String {
        let Some(package) = &self.package else { return self.test.clone() };
        let is_called_as_package = self.crate_name() == package.replace('-', "_");
        let target = match self.built {
            Some(Built { is_binary: true, .. }) => "bin/",
            Some(Built { is_integration: true, .. }) if is_called_as_package => "test/",
            _ => "",
        };
        format!("{package}/{target}{}", self.test)
    }

    fn crate_name(&self) -> &str {
        self.test.split_once("::").map_or("", |(crate_name, _)| crate_name)
    }

    /// Returns the command that runs only this test, in a build like this one.
    pub(crate) fn cargo_test(&self) -> String {
        let path = self.test.split_once("::").map_or(&*self.test, |(_, path)| path);
        let mut words = vec!["cargo test".to_owned()];
        words.extend(command::build_options(&self.executable, !cfg!(debug_assertions)));
        if blocks::is_instrumented() {
            words.retain(|word| !word.starts_with("--target "));
            words.push(blocks::cargo_options());
        }
        if let Some(package) = &self.package {
            words.push(format!("-p {package}"));
            words.extend(match self.built {
                Some(built) => Some(built.options.to_owned()),
                None => command::target_by_folder(&self.manifest_dir, package, self.crate_name()),
            });
        }
        format!("{} {path} -- --exact --nocapture", words.join(" "))
    }
}

/// A report under construction.
#[derive(Clone, Debug)]
pub(crate) struct Report<'a> {
    identity: &'a Identity,
    headline: String,
    fields: Vec<(&'static str, String)>,
    notes: Vec<String>,
    trace: Option<String>,
    /// Whether the trace leaves events out.
    is_cut: bool,
    command: Option<String>,
}

impl<'a> Report<'a> {
    /// Starts a report: "`test` HEADLINE".
    pub(crate) fn new(identity: &'a Identity, headline: &str) -> Self {
        let headline = headline.to_owned();
        Self {
            identity,
            headline,
            fields: Vec::new(),
            notes: Vec::new(),
            trace: None,
            is_cut: false,
            command: None,
        }
    }

    /// Returns the command that replays the failure, if there is one.
    pub(crate) fn command(&self) -> Option<&str> {
        self.command.as_deref()
    }

    pub(crate) fn field(mut self, label: &'static str, value: &str) -> Self {
        self.fields.push((label, value.to_owned()));
        self
    }

    pub(crate) fn note(mut self, note: &str) -> Self {
        self.notes.push(note.to_owned());
        self
    }

    pub(crate) fn symptom(self, symptom: &Symptom, seed: u64) -> Self {
        self.field("symptom", &symptom.to_string()).field("seed", &format!("{seed:#x}"))
    }

    /// Adds how many seeds passed before the failing one.
    pub(crate) fn after(mut self, passed: u64) -> Self {
        let passed = match passed {
            0 => "the first one".to_owned(),
            1 => "after 1 that passed".to_owned(),
            count => format!("after {count} that passed"),
        };
        if let Some((_, seed)) = self.fields.iter_mut().find(|(label, _)| *label == "seed") {
            *seed += &format!(", {passed}");
        }
        self
    }

    /// Adds a run: its virtual time and its trace.
    pub(crate) fn run(mut self, outcome: &Outcome) -> Self {
        self.trace = Some(outcome.trace.render());
        self.is_cut = outcome.trace.is_cut();
        let has_place = |symptom: &Symptom| {
            matches!(symptom.kind(), SymptomKind::Panic | SymptomKind::Invariant | SymptomKind::Setup)
        };
        let has_place = outcome.symptom.as_ref().is_some_and(has_place);
        if let Some(place) = outcome.failed_at.as_ref().filter(|_| has_place) {
            self = self.field("at", place);
        }
        self.field("ran for", &format!("{:?} of virtual time, {} steps", outcome.virtual_time, outcome.steps))
    }

    /// Adds the delay that the shrunk run needs, if it needs one that is rare on real machines.
    pub(crate) fn needs(self, outcome: &Outcome) -> Self {
        let Some((nanos, whose)) = outcome.trace.longest_delay().filter(|(nanos, _)| *nanos >= WORTH_SAYING)
        else {
            return self;
        };
        let needed = Duration::from_nanos(nanos);
        let shorter = Duration::from_nanos(nanos / 10).as_millis();
        let text = format!(
            "a delay of {needed:?} of {whose}; if that cannot happen, \
             `sim.delay_max(Duration::from_millis({shorter}))`"
        );
        self.field("needs", &text)
    }

    /// Writes every event of a replayed run to a file, and adds its path.
    pub(crate) fn whole_trace(self, outcome: &Outcome, seed: u64) -> Self {
        let name = self.identity.test.replace("::", ".");
        let path = std::env::temp_dir().join(format!("wavetank-{name}-{seed:x}.trace"));
        match std::fs::write(&path, outcome.trace.render_whole()) {
            Ok(()) => self.field("whole trace", &path.display().to_string()),
            Err(error) => self.note(&format!("{}: cannot write the whole trace: {error}", path.display())),
        }
    }

    /// Adds that the shrunk run was replayed. Every expected bug must be replayed.
    pub(crate) fn replayed(self) -> Self {
        self.field("replayed", "twice, strictly: the same symptom, the same trace")
    }

    /// Adds what shrinking did.
    pub(crate) fn shrunk(self, before: Counts, after: Counts, shrunk: &Shrunk) -> Self {
        let end = if shrunk.end == End::Fixpoint { String::new() } else { format!("; {}", shrunk.end) };
        let inside = match (before.inside, after.inside) {
            (0, 0) => String::new(),
            (before, after) => format!(", preemptions at blocks {before} -> {after}"),
        };
        let counts = format!(
            "{} -> {} non-default of {} -> {} choices (in {} runs{end})\n\
             faults {} -> {}, context switches {} -> {}, preemptions by budget {} -> {}{inside}, delays {} -> {}",
            before.nondefault,
            after.nondefault,
            before.choices,
            after.choices,
            shrunk.runs,
            before.faults,
            after.faults,
            before.switches,
            after.switches,
            before.preemptions,
            after.preemptions,
            before.delays,
            after.delays,
        );
        self.field("shrunk", &counts)
    }

    /// Adds the command that replays the failure: by its choices, or by its seed if these are too long or not known.
    pub(crate) fn replay(mut self, seed: u64, symptom: &Symptom, log: Option<&ChoiceLog>) -> Self {
        let word = log.map(|log| inline::write(seed, symptom.key_hash(), log));
        let variable = match word.filter(|word| word.len() <= INLINE_MAX) {
            Some(word) => format!("WAVETANK_REPLAY={word}"),
            None => format!("WAVETANK_SEED={seed:#x}"),
        };
        self.command = Some(format!("{variable} {}", self.identity.cargo_test()));
        self
    }

    /// Adds the command that replays a failure that no seed shows: by its choices, or by its recording if these are too
    /// long for a line.
    pub(crate) fn replay_choices(
        mut self,
        seed: u64,
        symptom: &Symptom,
        log: &ChoiceLog,
        recording: Option<&Path>,
    ) -> Self {
        let word = inline::write(seed, symptom.key_hash(), log);
        let replay = match recording.filter(|_| word.len() > INLINE_MAX) {
            Some(path) => path.display().to_string(),
            None => word,
        };
        self.command = Some(format!("WAVETANK_REPLAY={replay} {}", self.identity.cargo_test()));
        self
    }

    /// Adds the command that runs the sweep again, up to a failure that has no choices to replay.
    pub(crate) fn sweep_again(mut self, runs: u64) -> Self {
        self.command = Some(format!("WAVETANK_SEEDS={runs} {}", self.identity.cargo_test()));
        self
    }
}

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut text = String::new();
        self.write(&mut text)?;
        f.write_str(&printable::lines(&text))
    }
}

impl Report<'_> {
    fn write(&self, f: &mut impl fmt::Write) -> fmt::Result {
        write!(f, "wavetank: {} {}", self.identity.test, self.headline)?;
        if !self.fields.is_empty() {
            writeln!(f)?;
        }
        for (label, value) in &self.fields {
            let mut lines = value.lines();
            write!(f, "\n  {label:<11} {}", lines.next().unwrap_or_default())?;
            for line in lines {
                write!(f, "\n  {:<11} {line}", "")?;
            }
        }
        if !self.notes.is_empty() {
            writeln!(f)?;
        }
        for note in &self.notes {
            write!(f, "\nnote: {note}")?;
        }
        if let Some(trace) = &self.trace {
            write!(f, "\n\ntrace:")?;
            for line in trace.lines() {
                write!(f, "\n  {line}")?;
            }
        }
        if let Some(command) = &self.command {
            let how = if self.is_cut { " (which writes the whole trace to a file)" } else { "" };
            write!(f, "\n\nreplay it with{how}:\n{command}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pool::{Job, Pool, Ran};
    use crate::toy::{Toy, panic_in};

    fn identity() -> Identity {
        let test = "chat_tests::close::while_waiting".to_owned();
        Identity {
            test,
            manifest_dir: PathBuf::from("/nowhere"),
            package: Some("chat-tests".to_owned()),
            built: None,
            executable: PathBuf::from("/w/target/debug/deps/chat_tests-0123"),
        }
    }

    fn outcome(questions: u32) -> Box<Outcome> {
        let runner = Toy::runner(move |run| {
            run.event("client/main connects to server:80");
            for _ in 0..questions {
                run.ask("schedule", "client/closer lock protocol", 7);
            }
            run.ask("fault", "link break", 3);
            panic_in("client/closer: connection isn't closed yet\nleft: 1")
        });
        let pool = Pool::new(std::num::NonZeroUsize::MIN);
        match pool.run(&runner, Job::seed_alone(6), Duration::from_secs(20)) {
            Ran::Ended(outcome) => outcome,
            other => panic!("the toy ends: {other:?}"),
        }
    }

    #[test]
    fn a_report_ends_with_the_replay_command() {
        let identity = identity();
        let outcome = outcome(3);
        let symptom = outcome.symptom.clone().expect("it fails");
        let shrunk = Shrunk { best: ChoiceLog::default(), runs: 214, end: End::TimeSpent };
        let before = Counts {
            nondefault: 312,
            choices: 1_204,
            faults: 6,
            switches: 80,
            preemptions: 5,
            inside: 0,
            delays: 7,
        };
        let report = Report::new(&identity, "failed")
            .symptom(&symptom, 6)
            .after(16)
            .shrunk(before, Counts::of(&outcome), &shrunk)
            .run(&outcome)
            .field("recording", "seeds/chat_tests.close.while_waiting/panic-client-closer.seed")
            .note("the code has changed since it was recorded")
            .replay(6, &symptom, Some(&outcome.log));
        insta::assert_snapshot!(report, @r"
        wavetank: chat_tests::close::while_waiting failed

          symptom     panic in client/closer: connection isn't closed yet
                      left: 1
          seed        0x6, after 16 that passed
          shrunk      312 -> 4 non-default of 1204 -> 4 choices (in 214 runs; limit of time reached)
                      faults 6 -> 1, context switches 80 -> 3, preemptions by budget 5 -> 0, delays 7 -> 0
          ran for     6ms of virtual time, 0 steps
          recording   seeds/chat_tests.close.while_waiting/panic-client-closer.seed

        note: the code has changed since it was recorded

        trace:
               0.000ms    | client/main connects to server:80
               0.000ms    | schedule: client/closer lock protocol 2
               0.000ms    | schedule: client/closer lock protocol 6
               0.000ms    | schedule: client/closer lock protocol 5
               0.000ms    | fault: link break 1
               0.000ms    | panic in client/closer: connection isn't closed yet

        replay it with:
        WAVETANK_REPLAY=v1:6:11a942ee:fault,link+break=0:schedule,client/closer+lock+protocol=0-2_1-6_2-5:26fa1b cargo test -p chat-tests close::while_waiting -- --exact --nocapture
        ");
    }

    #[test]
    fn a_long_failure_is_replayed_from_its_seed() {
        let identity = identity();
        let symptom = Symptom::new(SymptomKind::Panic, "a");
        let last_line = |log| {
            let report = Report::new(&identity, "failed").replay(6, &symptom, log).to_string();
            report.lines().last().expect("has lines").to_owned()
        };
        let by_seed =
            "WAVETANK_SEED=0x6 cargo test -p chat-tests close::while_waiting -- --exact --nocapture";
        let long = outcome(1_000);
        assert_eq!(last_line(Some(&long.log)), by_seed);
        assert_eq!(last_line(None), by_seed);
    }

    #[test]
    fn the_command_builds_what_failed() {
        let built =
            Built { is_binary: false, is_integration: true, options: "--features extra --test chat-tests" };
        let executable = PathBuf::from("/w/target/sim/deps/close-0123");
        let identity = Identity { built: Some(built), executable, ..identity() };
        assert_eq!(
            identity.cargo_test(),
            "cargo test --profile sim -p chat-tests --features extra --test chat-tests close::while_waiting -- --exact \
             --nocapture"
        );
        let bare = Identity { test: "alone".to_owned(), package: None, ..self::identity() };
        assert_eq!(bare.cargo_test(), "cargo test alone -- --exact --nocapture");
    }

    #[test]
    fn a_report_shows_what_a_terminal_would_obey() {
        let identity = identity();
        let symptom = Symptom::new(SymptomKind::Panic, "a: \u{1b}[2J\u{1b}[1;1Hall is well\r\nleft: \u{7}");
        let report = Report::new(&identity, "failed").symptom(&symptom, 6).note("\u{1b}c").to_string();
        insta::assert_snapshot!(report, @r"
        wavetank: chat_tests::close::while_waiting failed

          symptom     panic in a: \u{1b}[2J\u{1b}[1;1Hall is well
                      left: \u{7}
          seed        0x6

        note: \u{1b}c
        ");
    }

    #[test]
    fn equal_paths_in_different_targets_have_different_names() {
        let other = Identity { package: Some("chat-tests-2".to_owned()), ..identity() };
        assert_eq!(identity().name(), "chat-tests/chat_tests::close::while_waiting");
        assert_eq!(other.name(), "chat-tests-2/chat_tests::close::while_waiting");
        let in_binary = Built { is_binary: true, is_integration: false, options: "" };
        let in_integration = Built { is_binary: false, is_integration: true, ..in_binary };
        let name = |built| Identity { built: Some(built), ..identity() }.name();
        assert_eq!(name(in_binary), "chat-tests/bin/chat_tests::close::while_waiting");
        assert_eq!(name(in_integration), "chat-tests/test/chat_tests::close::while_waiting");
    }
}
