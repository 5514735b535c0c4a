//! The GraphQL handler in simulation: what must hold whatever clients, hooks, engines and networks do.
//!
//! `graphql_scenarios.md`, beside this file, says which test is which scenario. Every run also checks the
//! invariants of [`Checked`](wavetank_sim_tests::graphql::Checked), and that nothing is left behind. Each module
//! has its tests twice: over the transport in memory, and over a WebSocket on the simulated network.

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
