//! The museum's bugs inside turmoil: the same code and the same scenarios, over turmoil's network.
//!
//! All three bugs are races of tasks, threads and timers. They need only a network that delivers bytes, so turmoil
//! shows them too. This file has the three triggers of the first bug; `yamux` and `ariadne` have the others. An
//! interruption also shows the first bug, but in another way: the simulator's partition delays data, while turmoil's
//! loses it for good, so the connection stalls until `close()` times out.
//!
//! # Triggers that turmoil cannot show
//!
//! - *A reset by the peer or on the way.* turmoil resets a connection only when an end is dropped with unread bytes. It
//!   has no such fault, and its crash of a host looks like an orderly end.
//! - *A user timeout* (data that stays unacknowledged for minutes). turmoil has none: a write into a partition
//!   succeeds.
//! - *A long wait.* It costs real time, a tick for each millisecond. So the timeouts here are a tenth to a hundredth of
//!   the originals'. Only the simulator shows that the original yamux releases its writer after five minutes.

#[path = "museum_in_turmoil/ariadne.rs"]
mod ariadne;
#[path = "museum_in_turmoil/yamux.rs"]
mod yamux;

use std::net::SocketAddr;
use std::time::Duration;

use wavetank::runtime::Threads;
use wavetank::sometimes;
use wavetank::turmoil::{TurmoilFaults, TurmoilHost, TurmoilSim};
use wavetank_sim_tests::museum::websockets::scenarios::{Outcome, recv_while_closing, two_closers};
use wavetank_sim_tests::museum::websockets::{OpenError, Settings, Version, echo_peer, silent_peer};

/// Builds a peer and the threaded client of websockets. The client's host runs `scenario`.
fn websockets(
    sim: &mut TurmoilSim,
    faults: TurmoilFaults,
    version: Version,
    peer: fn(TurmoilHost, SocketAddr) -> std::io::Result<()>,
    scenario: fn(TurmoilHost, SocketAddr, Settings) -> Result<Outcome, OpenError>,
) {
    // turmoil simulates every millisecond, even if nothing happens in it. The original's timeouts of 10 s would only
    // make a run much longer.
    let timeout = Duration::from_millis(500);
    sim.builder().simulation_duration(Duration::from_secs(10)).max_message_latency(Duration::from_millis(20));
    let is_interrupted = faults != TurmoilFaults::none();
    sim.faults(faults);
    sim.host_thread("server", move |host| peer(host, SocketAddr::from(([0, 0, 0, 0], 80))));
    sim.client_thread("client", move |host| {
        let server = Threads::resolve(&host, "server", 80).map_err(|error| error.to_string())?[0];
        let settings = Settings::new(version).open_timeout(timeout).close_timeout(timeout);
        match scenario(host, server, settings) {
            Ok(outcome) => {
                sometimes!(outcome.surprise().is_none(), "the connection ends as it should");
                outcome.surprise().map_or(Ok(()), Err)
            }
            // The network may be interrupted, or a thread delayed, before the connection is open.
            Err(_) if is_interrupted => Ok(()),
            Err(OpenError::TimedOut) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    });
}

fn on_an_interrupted_network(sim: &mut TurmoilSim, version: Version) {
    let faults = TurmoilFaults::none().paused_links().partitions().begin_max(Duration::from_millis(100));
    websockets(sim, faults, version, echo_peer, recv_while_closing);
}

#[wavetank::test(
    seeds = 1000,
    finds = "panic in client/receiver: connection isn't closed yet",
    base_seed = 0xed217103d77fbb2d
)]
fn recv_reads_unpublished_state_with_a_silent_peer(sim: &mut TurmoilSim) {
    websockets(sim, TurmoilFaults::none(), Version::V13_0_1, silent_peer, recv_while_closing);
}

#[wavetank::test(
    seeds = 1000,
    finds = "panic in client/receiver: connection isn't closed yet",
    base_seed = 0xeb73414c5b263428
)]
fn recv_reads_unpublished_state_on_an_interrupted_network(sim: &mut TurmoilSim) {
    on_an_interrupted_network(sim, Version::V13_0_1);
}

#[wavetank::test(seeds = 1000, reaches = "the connection ends as it should", base_seed = 0xc9cd4ea20a558d68)]
fn recv_is_fixed_with_a_silent_peer(sim: &mut TurmoilSim) {
    websockets(sim, TurmoilFaults::none(), Version::V14_2, silent_peer, recv_while_closing);
}

#[wavetank::test(seeds = 1000, reaches = "the connection ends as it should", base_seed = 0x8d5727d6c0afbd3d)]
fn recv_is_fixed_on_an_interrupted_network(sim: &mut TurmoilSim) {
    on_an_interrupted_network(sim, Version::V14_2);
}

mod two_threads_close_at_once {
    use super::*;

    // `close_socket` detects that the other thread is half done: by its assertion, or by a stream that has ended.
    #[wavetank::test(seeds = 2000, finds = "close_socket")]
    fn run_into_each_other_in_the_first_fix(sim: &mut TurmoilSim) {
        websockets(sim, TurmoilFaults::none(), Version::V13_1, silent_peer, two_closers);
    }

    #[wavetank::test(
        seeds = 2000,
        reaches = "the connection ends as it should",
        base_seed = 0x8aea504784d1a808
    )]
    fn are_serialised_by_the_second_fix(sim: &mut TurmoilSim) {
        websockets(sim, TurmoilFaults::none(), Version::V14_2, silent_peer, two_closers);
    }
}
