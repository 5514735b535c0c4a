//! Probes in runs of their own.

use std::collections::BTreeSet;

use wavetank_runtime::{Runtime, Threads, always, buggify, sometimes};

use crate::host::Host;
use crate::run::tests::{seeded, strictly_again, symptom};
use crate::sim::Sim;
use crate::symptom::SymptomKind;

#[test]
fn a_broken_always_ends_the_run() {
    let outcome = seeded(1, |sim| {
        sim.perturb(false).client("client", async |host: Host| {
            always!(1 + 1 == 2, "arithmetic holds");
            always!(host.name().len() > 100, "host names are long");
            Runtime::sleep(&host, std::time::Duration::from_secs(1)).await;
            unreachable!("the run ends at the task's next suspension");
        });
    });
    assert_eq!(symptom(&outcome), "invariant broken in client/main: host names are long");
    assert_eq!(outcome.symptom.unwrap().kind(), SymptomKind::Invariant);
    assert!(outcome.failed_at.is_some_and(|place| place.contains("tests.rs")));
    assert!(outcome.trace.render().ends_with("client/main  ! broken: host names are long\n"));
}

#[test]
fn a_thread_stops_at_a_broken_always() {
    let outcome = seeded(1, |sim| {
        sim.client_thread("client", |host| {
            let child = Threads::spawn(&host, "child", || {
                always!(false, "this is not reached");
                unreachable!("the thread has stopped");
            });
            drop(child);
        });
    });
    assert_eq!(symptom(&outcome), "invariant broken in client/child: this is not reached");
    assert!(!outcome.trace.render().contains("panics"), "{}", outcome.trace.render());
}

#[test]
fn probes_in_destructors_after_the_run_do_nothing() {
    struct Last;
    impl Drop for Last {
        fn drop(&mut self) {
            always!(false, "a destructor runs within the run");
            sometimes!(true, "a destructor ran");
            assert!(!buggify!(1.0));
        }
    }
    let outcome = seeded(1, |sim| {
        sim.server("server", async |_| {
            let _last = Last;
            std::future::pending::<()>().await;
        });
        sim.client("client", async |_| sometimes!(true, "the client ran"));
    });
    assert_eq!(symptom(&outcome), "");
    assert_eq!(outcome.points.into_iter().collect::<Vec<_>>(), [("the client ran", true)]);
}

#[test]
fn a_true_sometimes_point_counts_as_reached() {
    let outcome = seeded(1, |sim| {
        sim.client("client", async |_| {
            for turn in 0..3 {
                sometimes!(turn == 1, "the second turn");
                sometimes!(turn == 3, "the fourth turn");
            }
        });
    });
    let points: Vec<_> = outcome.points.into_iter().collect();
    assert_eq!(points, [("the fourth turn", false), ("the second turn", true)]);
}

/// Two points in one function, evaluated often.
fn buggified(sim: &mut Sim) {
    sim.client("client", async |_| {
        for _ in 0..40 {
            let (first, second) = (buggify!(), buggify!(0.9));
            tracing::info!("first {first}, second {second}, named {}", buggify!(1.0, "named point"));
        }
    });
}

#[test]
fn buggify_fires_as_often_as_documented() {
    let path = "wavetank::probe::tests::buggified";
    let (mut runs, mut first, mut second, mut named) = (BTreeSet::new(), 0, 0, 0);
    for seed in 0..400 {
        let outcome = seeded(seed, buggified);
        assert_eq!(symptom(&outcome), "", "seed {seed}");
        let again = strictly_again(seed, &outcome, buggified);
        assert_eq!(again.trace.first_difference(&outcome.trace), None);
        let fired = |point: &str| {
            let is_point = |choice: &&crate::choice::Choice| {
                choice.value == 1 && outcome.log.point(choice.point).point == format!("{point} happens")
            };
            outcome.log.choices.iter().filter(is_point).count()
        };
        let fired = [fired(path), fired(&format!("{path}#2")), fired("named-point")];
        first += fired[0];
        second += fired[1];
        named += fired[2];
        if fired[0] > 0 {
            runs.insert(seed);
        }
    }
    assert!((60..140).contains(&runs.len()), "{} runs of 400", runs.len());
    // Of about 4,000 evaluations in enabled runs each.
    assert!((600..1_400).contains(&first), "{first}");
    assert!((2_400..4_800).contains(&second), "{second}");
    assert!(named % 40 == 0 && named > 0, "{named}: always true where it is enabled");
    let default = seeded(1, |sim| {
        sim.perturb(false);
        buggified(sim);
    });
    assert!(
        default.log.points.iter().all(|point| point.lane.kind() != crate::choice::LaneKind::Buggify),
        "perturbation turns it off"
    );
}
