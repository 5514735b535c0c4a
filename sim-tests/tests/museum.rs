//! The museum: sweeps find historical bugs from seeds alone, and pass on the versions that fixed them.
//!
//! To see how a bug is found, shrunk and replayed:
//! `cargo test -p wavetank-sim-tests --test museum -- --nocapture`.

#[path = "museum/ariadne.rs"]
mod ariadne;
#[path = "museum/yamux.rs"]
mod yamux;

use std::net::SocketAddr;
use std::time::Duration;

use wavetank::runtime::Threads;
use wavetank::{Faults, Host, Sim, sometimes};
use wavetank_sim_tests::museum::websockets::scenarios::{Outcome, recv_while_closing, two_closers};
use wavetank_sim_tests::museum::websockets::{OpenError, Settings, Version, echo_peer, silent_peer};

/// Builds a peer and the threaded client of websockets. The client's host runs `scenario`.
fn websockets(
    sim: &mut Sim,
    faults: Faults,
    version: Version,
    peer: fn(Host, SocketAddr) -> std::io::Result<()>,
    scenario: fn(Host, SocketAddr, Settings) -> Result<Outcome, OpenError>,
) {
    let is_interrupted = faults != Faults::none();
    sim.faults(faults);
    sim.server_thread("server", move |host| peer(host, SocketAddr::from(([0, 0, 0, 0], 80))));
    sim.client_thread("client", move |host| {
        let server = Threads::resolve(&host, "server", 80).map_err(|error| error.to_string())?[0];
        match scenario(host, server, Settings::new(version)) {
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

mod recv_while_another_thread_closes {
    use super::*;

    fn beside_a_silent_peer(sim: &mut Sim, version: Version) {
        websockets(sim, Faults::none(), version, silent_peer, recv_while_closing);
    }

    fn on_an_interrupted_network(sim: &mut Sim, version: Version) {
        // The network must delay the peer's answer for ten seconds, not the scheduler.
        sim.delay_max(Duration::from_secs(1));
        websockets(sim, Faults::none().partitions().silence(), version, echo_peer, recv_while_closing);
    }

    #[wavetank::test(
        seeds = 1000,
        finds = "panic in client/receiver: connection isn't closed yet",
        base_seed = 0x4de7cbd8b1f86ae4
    )]
    fn reads_unpublished_state_with_a_silent_peer(sim: &mut Sim) {
        beside_a_silent_peer(sim, Version::V13_0_1);
    }

    #[wavetank::test(
        seeds = 1000,
        finds = "panic in client/receiver: connection isn't closed yet",
        base_seed = 0xdec2d271c6e5ae49
    )]
    fn reads_unpublished_state_on_an_interrupted_network(sim: &mut Sim) {
        on_an_interrupted_network(sim, Version::V13_0_1);
    }

    #[wavetank::test(
        seeds = 1000,
        reaches = "the connection ends as it should",
        base_seed = 0x7781a6b705680857
    )]
    fn is_fixed_with_a_silent_peer(sim: &mut Sim) {
        beside_a_silent_peer(sim, Version::V14_2);
    }

    #[wavetank::test(
        seeds = 1000,
        reaches = "the connection ends as it should",
        base_seed = 0xa732821d9b1da15e
    )]
    fn is_fixed_on_an_interrupted_network(sim: &mut Sim) {
        on_an_interrupted_network(sim, Version::V14_2);
    }
}

mod two_threads_close_at_once {
    use super::*;

    // `close_socket` detects that the other thread is half done: by its assertion, or by a stream that has ended.
    #[wavetank::test(seeds = 2000, finds = "close_socket")]
    fn run_into_each_other_in_the_first_fix(sim: &mut Sim) {
        websockets(sim, Faults::none(), Version::V13_1, silent_peer, two_closers);
    }

    #[wavetank::test(
        seeds = 2000,
        reaches = "the connection ends as it should",
        base_seed = 0x6395d5877f9d1e0b
    )]
    fn are_serialised_by_the_second_fix(sim: &mut Sim) {
        websockets(sim, Faults::none(), Version::V14_2, silent_peer, two_closers);
    }
}
