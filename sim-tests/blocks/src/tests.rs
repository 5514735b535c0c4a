//! What an instrumented build finds. `../run` makes one.

use wavetank::{Sim, Sweep};

use crate::{ENDLESS, RACES, SOUND};

/// Recordings and snapshots would change with every compiler.
fn sweep(name: &str) -> Sweep {
    Sweep::new(format!("blocks::{name}"), env!("CARGO_MANIFEST_DIR")).without_recordings().seeds(3_000)
}

fn passes(name: &str, body: fn(&mut Sim)) {
    sweep(name).seeds(500).check_every(2).run(body);
}

#[test]
fn every_race_is_found_shrunk_and_shown() {
    for race in RACES {
        let found = sweep(race.name).finds(race.symptom).find(race.bad);
        let trace = found.trace().render();
        assert!(trace.contains("~ is preempted at src/"), "{}\n{trace}", race.name);
        assert!(found.after().preemptions_inside() > 0, "{}: {:?}", race.name, found.after());
    }
}

#[test]
fn every_fixed_version_passes() {
    for race in RACES {
        passes(race.name, race.fixed);
    }
}

#[test]
fn spinning_and_crashes_break_nothing() {
    for (name, body) in SOUND {
        passes(name, body);
    }
}

#[test]
fn an_endless_loop_ends_the_run() {
    let found = sweep("endless").finds("stuck in client/main: loops without").find(ENDLESS);
    let symptom = found.symptom().to_string();
    assert!(symptom.contains("It was at src/threads.rs:"), "{symptom}");
}
