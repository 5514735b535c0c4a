//! Events of `tracing` reach the trace of a run even if code outside a run used their call sites first.
//!
//! The test needs its own process: `tracing` asks only once per process whether a call site is enabled.

use std::fs;
use std::path::Path;

use wavetank::{Sim, Sweep};

fn code_under_test(number: u32) {
    tracing::info!(number, "works");
}

/// Makes a sweep whose recordings are in a workspace of their own.
fn sweep(name: &str) -> Sweep {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("call_sites");
    fs::create_dir_all(&folder).expect("writable");
    fs::write(folder.join("Cargo.lock"), "").expect("writable");
    Sweep::new(format!("call_sites::{name}"), folder).seeds(1)
}

#[test]
fn call_sites_reached_before_a_run_are_traced() {
    sweep("something_else").run(|sim: &mut Sim| sim.client("client", async |_| {}));
    code_under_test(1);
    let found = sweep("the_code_under_test").finds("look at the trace").find(|sim: &mut Sim| {
        sim.client("client", async |_| {
            code_under_test(2);
            panic!("look at the trace");
        });
    });
    let trace = found.trace().render();
    assert!(trace.contains("| works number=2"), "{trace}");
}
