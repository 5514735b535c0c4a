//! yamux inside turmoil: a writer waits for credit that a reader never grants after it has closed the stream.
//!
//! The scenario, the versions and the checks are those of the simulator's tests. The bug is between the two ends of a
//! stream. turmoil's network contributes only the order of arrivals.
//!
//! # Triggers that turmoil cannot show
//!
//! The release of the original's writer after five minutes: they would be 300,000 ticks in each run. Here a writer that
//! waits for 5 s counts as stuck. Only the simulator's test waits to the end.

use std::net::SocketAddr;
use std::time::Duration;

use wavetank::runtime::Threads;
use wavetank::turmoil::TurmoilSim;
use wavetank_sim_tests::museum::yamux::scenarios::{Outcome, serve, write_messages};
use wavetank_sim_tests::museum::yamux::{Config, Error, PeerScript, Version, Workload};

/// A writer never waits longer on a healthy connection: latencies and delays of tasks take up to 100 ms each.
const PATIENCE: Duration = Duration::from_secs(5);

/// Builds a client that writes and a server that closes before the end. The seed draws both amounts.
fn yamux(sim: &mut TurmoilSim, version: Version, script: PeerScript) {
    sim.builder().simulation_duration(6 * PATIENCE).max_message_latency(Duration::from_millis(20));
    sim.stall_after(PATIENCE);
    let messages = 1 + sim.choose("messages", 20);
    let reads = sim.choose("reads", 11);
    let workload = Workload { messages, reads, ..Workload::REPORTED };
    // The session's own threads must wait less than the stall limit.
    let config = Config::new(version).keep_alive_interval(PATIENCE / 2);
    sim.host_thread("server", move |host| {
        serve(&host, SocketAddr::from(([0, 0, 0, 0], 80)), config, workload, script)
    });
    sim.client_thread("client", move |host| {
        let server = Threads::resolve(&host, "server", 80).map_err(|error| error.to_string())?[0];
        ends_well(write_messages(&host, server, config, workload).map_err(|error| error.to_string())?)
    });
}

/// Checks that the server read everything or reset the stream.
fn ends_well(outcome: Outcome) -> Result<(), String> {
    match outcome.end {
        Ok(()) | Err(Error::ConnectionReset) => Ok(()),
        Err(_) => Err(format!("{outcome:?}")),
    }
}

mod a_writer_and_a_reader_that_stops {
    use super::*;

    #[wavetank::test(
        seeds = 500,
        finds = "stall: client/main waits for a notification on `credit granted`",
        base_seed = 0x02fc52e5c912009a
    )]
    fn stall_in_the_original(sim: &mut TurmoilSim) {
        yamux(sim, Version::Upstream, PeerScript::Closes);
    }

    #[wavetank::test(seeds = 500, base_seed = 0xa0f3159763b7281a)]
    fn get_on_if_the_reader_drains_before_closing(sim: &mut TurmoilSim) {
        yamux(sim, Version::Upstream, PeerScript::DrainsThenCloses);
    }

    #[wavetank::test(
        seeds = 500,
        finds = "stall: client/main waits for a notification on `credit granted`",
        base_seed = 0xe66178fd453f87d0
    )]
    fn stall_in_the_first_remedy_once_windows_fill(sim: &mut TurmoilSim) {
        yamux(sim, Version::AnswersData, PeerScript::Closes);
    }

    #[wavetank::test(seeds = 500, base_seed = 0xc18be77da49d4964)]
    fn get_on_in_the_second_remedy(sim: &mut TurmoilSim) {
        yamux(sim, Version::StopsSending, PeerScript::Closes);
    }
}
