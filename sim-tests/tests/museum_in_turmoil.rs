//! The museum's bugs, found inside of turmoil: the same code and the same scenarios, over turmoil's network.
//!
//! All three are races of tasks, threads and timers that need nothing of the network but that bytes arrive, so they are
//! found there as in the simulator: the first one's three triggers here, yamux's and Ariadne's in `yamux` and `ariadne`. An
//! interruption shows the first one too, but another one: where the simulator's partition delays what is sent, turmoil's loses
//! it for good, and the connection stalls until `close()` gives up on its peer.
//!
//! # Where turmoil cannot show a trigger
//!
//! - *A reset by the peer or by something on the way.* turmoil resets a connection only when an end is dropped with
//!   unread bytes, and has no fault that does. Its crash of a host looks like an orderly end.
//! - *A user timeout* (data that stays unacknowledged for minutes) does not exist: a write into a partition succeeds.
//! - *A long wait* costs real time, a tick for each millisecond. So the timeouts here are a tenth to a hundredth of the
//!   originals', and that the original of yamux sets its writer free after five minutes is shown in the simulator alone.

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

/// websockets' threaded client and a peer; the client's host runs `scenario`.
fn websockets(
    sim: &mut TurmoilSim,
    faults: TurmoilFaults,
    version: Version,
    peer: fn(TurmoilHost, SocketAddr) -> std::io::Result<()>,
    scenario: fn(TurmoilHost, SocketAddr, Settings) -> Result<Outcome, OpenError>,
) {
    // turmoil simulates each millisecond, whether or not something happens in it: the original's timeouts of 10 s would
    // make a run a hundred times longer and no different.
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
            // The network may be interrupted before the connection is open, and whoever is delayed is late for anything.
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

#[wavetank::test(seeds = 1000, reaches = "the connection ends as it should")]
fn recv_is_fixed_when_the_peer_is_silent(sim: &mut TurmoilSim) {
    websockets(sim, TurmoilFaults::none(), Version::V14_2, silent_peer, recv_while_closing);
}

#[wavetank::test(seeds = 1000, reaches = "the connection ends as it should")]
fn recv_is_fixed_when_the_network_is_interrupted(sim: &mut TurmoilSim) {
    on_an_interrupted_network(sim, Version::V14_2);
}

mod two_threads_close_at_once {
    use super::*;

    // `close_socket` finds that the other has got half as far: by its assertion, or by a stream that has ended.
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
