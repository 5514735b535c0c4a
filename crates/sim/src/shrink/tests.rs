//! Shrinking of logs that a predicate judges.

use super::*;
use crate::choice::{Choices, LaneName, Replay};

/// A toy program: makes choices, and returns whether the symptom appeared.
type Program = fn(&mut Ask<'_>) -> bool;

/// Asks one question: lane, point, bound.
type Ask<'a> = dyn FnMut(&str, &str, u32) -> u32 + 'a;

fn run(program: Program, mut choices: Choices) -> Option<ChoiceLog> {
    let failed = program(&mut |lane, point, bound| {
        let lane = choices.named_lane(LaneName::parse(lane).expect("a kind of lane"));
        let point = choices.point(lane, point);
        choices.choose_uniform(point, bound)
    });
    failed.then(|| choices.into_log())
}

fn first_failure(program: Program) -> ChoiceLog {
    (0..10_000).find_map(|seed| run(program, Choices::seeded(seed))).expect("some seed fails")
}

const NEVER: &dyn Fn() -> bool = &|| false;

fn limits() -> Limits<'static> {
    Limits { runs_max: 2_000, time_max: Duration::from_secs(60), stop: NEVER }
}

fn shrunk_within(program: Program, limits: Limits<'_>) -> Shrunk {
    let first = first_failure(program);
    let shrunk = shrink(first, limits, &mut |candidate| {
        run(program, Choices::replayed(0, candidate, Replay::Lenient))
    });
    let replay = run(program, Choices::replayed(0, &shrunk.best, Replay::Strict));
    assert_eq!(replay.as_ref(), Some(&shrunk.best), "the best log is what a run chose");
    assert!(shrunk.runs <= limits.runs_max);
    shrunk
}

/// Returns the values that are not 0 as (point, ordinal within the point, value).
fn values(log: &ChoiceLog) -> Vec<(String, usize, u32)> {
    let nonzero = log.choices.iter().enumerate().filter(|(_, choice)| choice.value != 0);
    nonzero
        .map(|(index, choice)| {
            let ordinal = log.choices[..index].iter().filter(|other| other.point == choice.point).count();
            (log.point(choice.point).point.clone(), ordinal, choice.value)
        })
        .collect()
}

fn expect(shrunk: &Shrunk, expected: &[(&str, usize, u32)]) {
    let found = values(&shrunk.best);
    let found: Vec<_> =
        found.iter().map(|(point, ordinal, value)| (point.as_str(), *ordinal, *value)).collect();
    assert_eq!(found, expected);
}

#[test]
fn a_failure_of_defaults_shrinks_in_one_run() {
    let shrunk = shrunk_within(
        |ask| {
            (0..50).for_each(|_| _ = ask("schedule", "a yield", 9));
            true
        },
        limits(),
    );
    expect(&shrunk, &[]);
    assert_eq!((shrunk.runs, shrunk.end), (1, End::Fixpoint));
}

#[test]
fn shrinking_removes_300_irrelevant_values() {
    let shrunk = shrunk_within(
        |ask| {
            let mut seen = (false, false);
            for turn in 0..150 {
                ask("schedule", &format!("task{} yield", turn % 7), 10);
                ask("link a -> b", "a deliver", 1_000);
                seen.0 |= turn == 40 && ask("schedule", "reader lock", 3) != 0;
                seen.1 |= turn == 110 && ask("fault", "link break", 3) != 0;
            }
            seen == (true, true)
        },
        limits(),
    );
    expect(&shrunk, &[("reader lock", 0, 1), ("link break", 0, 1)]);
    assert!(shrunk.runs < 100, "{} runs", shrunk.runs);
    assert_eq!(shrunk.end, End::Fixpoint);
}

#[test]
fn halving_finds_needles_in_one_busy_lane() {
    let shrunk = shrunk_within(
        |ask| {
            let all: Vec<u32> = (0..300).map(|_| ask("schedule", "a yield", 4)).collect();
            all[37] != 0 && all[181] != 0 && all[299] != 0
        },
        limits(),
    );
    expect(&shrunk, &[("a yield", 37, 1), ("a yield", 181, 1), ("a yield", 299, 1)]);
    assert!(shrunk.runs < 250, "{} runs", shrunk.runs);
}

#[test]
fn a_value_is_lowered_to_its_threshold() {
    let shrunk = shrunk_within(|ask| ask("link a -> b", "a deliver", 1_000_000) >= 17, limits());
    expect(&shrunk, &[("a deliver", 0, 17)]);
    assert!(shrunk.runs < 60, "{} runs", shrunk.runs);
}

#[test]
fn two_dependent_switches_are_removed_together() {
    let shrunk = shrunk_within(
        |ask| {
            let noise: Vec<u32> = (0..10).map(|_| ask("schedule", "a yield", 2)).collect();
            // An odd number of switches is another program state; only a pair of them can go.
            noise.iter().sum::<u32>() % 2 == 0 && ask("schedule", "b lock", 5) != 0
        },
        limits(),
    );
    expect(&shrunk, &[("b lock", 0, 1)]);
}

#[test]
fn a_failure_without_faults_is_preferred() {
    let program: Program = |ask| {
        let broken = ask("fault", "a break", 2) != 0;
        let switched = ask("schedule", "a yield", 2) != 0;
        broken || switched
    };
    let both = (0..).filter_map(|seed| run(program, Choices::seeded(seed))).find(|log| log.nonzero() == 2);
    let shrunk = shrink(both.expect("some seed chooses both"), limits(), &mut |candidate| {
        run(program, Choices::replayed(0, candidate, Replay::Lenient))
    });
    expect(&shrunk, &[("a yield", 0, 1)]);
}

#[test]
fn a_longer_run_without_the_fault_is_smaller() {
    let shrunk = shrunk_within(
        |ask| {
            // A fault cuts the run short; without it there is more to choose.
            if ask("fault", "a break", 2) == 0 {
                (0..100).for_each(|_| _ = ask("schedule", "a yield", 3));
            }
            ask("schedule", "b lock", 2) != 0
        },
        limits(),
    );
    expect(&shrunk, &[("b lock", 0, 1)]);
}

#[test]
fn late_faults_move_to_the_first_failing_choice() {
    let shrunk =
        shrunk_within(|ask| (0..60).any(|turn| turn >= 5 && ask("fault", "a break", 20) == 7), limits());
    expect(&shrunk, &[("a break", 0, 7)]);
    assert_eq!(shrunk.best.choices.len(), 1, "the run ends where the fault is");
}

#[test]
fn every_limit_keeps_the_best_so_far() {
    let program: Program = |ask| {
        let all: Vec<u32> = (0..300).map(|_| ask("schedule", "a yield", 4)).collect();
        all[37] != 0 && all[181] != 0
    };
    let first = first_failure(program).nonzero();
    let few_runs = shrunk_within(program, Limits { runs_max: 10, ..limits() });
    assert_eq!((few_runs.runs, few_runs.end), (10, End::RunsSpent));
    assert!(few_runs.best.nonzero() < first);
    let no_time = shrunk_within(program, Limits { time_max: Duration::ZERO, ..limits() });
    assert_eq!((no_time.runs, no_time.end, no_time.best.nonzero()), (0, End::TimeSpent, first));
    let asked = std::cell::Cell::new(0);
    let stop = || asked.replace(asked.get() + 1) >= 20;
    let stopped = shrunk_within(program, Limits { stop: &stop, ..limits() });
    assert_eq!((stopped.runs, stopped.end), (20, End::Stopped));
    assert!(stopped.best.nonzero() < first);
}

#[test]
fn no_candidate_is_run_twice() {
    let program: Program = |ask| {
        let all: Vec<u32> = (0..40).map(|_| ask("schedule", "a yield", 4)).collect();
        all[3] > 1 && all[18] > 2
    };
    let mut seen = BTreeSet::new();
    let shrunk = shrink(first_failure(program), limits(), &mut |candidate| {
        assert!(seen.insert(inline::write(0, 0, candidate)), "run before");
        run(program, Choices::replayed(0, candidate, Replay::Lenient))
    });
    assert_eq!(shrunk.end, End::Fixpoint);
    expect(&shrunk, &[("a yield", 3, 2), ("a yield", 18, 3)]);
}
