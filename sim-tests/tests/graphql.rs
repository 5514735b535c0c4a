//! The GraphQL handler in simulation: what must hold whatever clients, hooks, engines and networks do.
//!
//! `graphql_scenarios.md`, beside this file, says which test is which scenario. Every run also checks the
//! invariants of [`Checked`](wavetank_sim_tests::graphql::Checked), and that nothing is left behind. The bodies that
//! are shared with the zoo check what they are about. Most modules have their tests twice: over the transport in
//! memory, and over a WebSocket on the simulated network.

#[path = "graphql/ariadne.rs"]
mod ariadne;
#[path = "graphql/cutting.rs"]
mod cutting;
#[path = "graphql/fairness.rs"]
mod fairness;
#[path = "graphql/legacy.rs"]
mod legacy;
#[path = "graphql/limits.rs"]
mod limits;
#[path = "graphql/liveness.rs"]
mod liveness;
#[path = "graphql/opening.rs"]
mod opening;
#[path = "graphql/operations.rs"]
mod operations;
#[path = "graphql/shutdown.rs"]
mod shutdown;
#[path = "graphql/threads.rs"]
mod threads;
#[path = "graphql/zoo.rs"]
mod zoo;

/// Only the worlds serve, and they check. A module that serves by itself has to check too.
#[test]
fn no_simulation_serves_an_unchecked_transport() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/graphql");
    let mut serving = 0;
    for entry in std::fs::read_dir(folder).expect("the folder of the simulations") {
        let path = entry.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("a file of Rust");
        for line in text.lines().filter(|line| line.contains(".serve(")) {
            assert!(line.contains("Checked::new("), "{}: {line}", path.display());
            serving += 1;
        }
    }
    assert!(serving > 0, "a module that serves by itself is found");
}
