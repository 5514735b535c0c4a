//! What an instrumented build finds. `../run` makes one.

use std::sync::mpsc::{Sender, channel};
use std::sync::{Mutex, PoisonError};
use std::thread::JoinHandle;

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

/// An OS thread that unwinds until this is dropped. Meanwhile std asks in every thread whether it is the one.
struct Unwinding {
    end: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Unwinding {
    #[expect(clippy::disallowed_methods, reason = "a real OS thread beside the runs is what is tested")]
    fn start() -> Self {
        struct Waits<F: FnMut()>(F);
        impl<F: FnMut()> Drop for Waits<F> {
            fn drop(&mut self) {
                (self.0)();
            }
        }
        let (end, ended) = channel::<()>();
        let (unwinds, unwinding) = channel();
        let thread = std::thread::spawn(move || {
            let _waits = Waits(|| {
                unwinds.send(()).expect("the other end waits");
                let _ = ended.recv();
            });
            std::panic::resume_unwind(Box::new(()));
        });
        unwinding.recv().expect("the destructor runs");
        Self { end: Some(end), thread: Some(thread) }
    }
}

impl Drop for Unwinding {
    fn drop(&mut self) {
        drop(self.end.take());
        let _ = self.thread.take().expect("it is joined once").join();
    }
}

#[test]
fn a_panic_elsewhere_changes_no_run() {
    for race in RACES {
        let elsewhere = Mutex::new(None);
        // Of the two runs of a seed, one has it.
        sweep(race.name).seeds(200).check_every(1).run(move |sim: &mut Sim| {
            let mut unwinding = elsewhere.lock().unwrap_or_else(PoisonError::into_inner);
            *unwinding = if unwinding.is_none() { Some(Unwinding::start()) } else { None };
            (race.fixed)(sim);
        });
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
