//! The bugs of python-websockets once more: the same code on plain std threads and sockets, as processes.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use wavetank::Sim;
use wavetank::runtime::Std;
use wavetank_sim_tests::museum::websockets::scenarios::{Outcome, recv_while_closing, two_closers};
use wavetank_sim_tests::museum::websockets::{OpenError, Settings, Version, silent_peer};

type Scenario = fn(Std, SocketAddr, Settings) -> Result<Outcome, OpenError>;

fn beside_a_silent_peer(sim: &mut Sim, version: Version, scenario: Scenario) {
    sim.process("server", || silent_peer(Std, SocketAddr::from(([0, 0, 0, 0], 80))));
    sim.process_client("client", move || {
        let server = "server:80".to_socket_addrs().map_err(|error| error.to_string())?.next();
        let settings = Settings::new(version).close_timeout(Duration::from_secs(10));
        match scenario(Std, server.ok_or("no address")?, settings) {
            Ok(outcome) => outcome.surprise().map_or(Ok(()), |surprise| Err(surprise.to_string())),
            Err(OpenError::TimedOut) => Ok(()),
            Err(error) => Err(error.to_string()),
        }
    });
}

#[wavetank::test(seeds = 1000, finds = "panic in client/receiver: connection isn't closed yet")]
fn recv_reads_unpublished_state(sim: &mut Sim) {
    beside_a_silent_peer(sim, Version::V13_0_1, recv_while_closing);
}

#[wavetank::test(seeds = 200)]
fn the_fixed_recv_passes(sim: &mut Sim) {
    beside_a_silent_peer(sim, Version::V14_2, recv_while_closing);
}

#[wavetank::test(seeds = 200)]
fn the_fixed_closers_pass(sim: &mut Sim) {
    beside_a_silent_peer(sim, Version::V14_2, two_closers);
}
