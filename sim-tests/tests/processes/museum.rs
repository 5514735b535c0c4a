//! The bugs of python-websockets once more: the same code on plain std threads and sockets, as processes.

use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use wavetank::runtime::Std;
use wavetank::{Sim, Sweep};
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

fn sweep(name: &str) -> Sweep {
    Sweep::new(format!("processes::museum::{name}"), env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn recv_reads_unpublished_state() {
    let found = sweep("websockets_13_0_1")
        .seeds(1_000)
        .finds("connection isn't closed yet")
        .find(|sim| beside_a_silent_peer(sim, Version::V13_0_1, recv_while_closing));
    insta::assert_snapshot!(found.trace_to_review().expect("it is reviewed"));
}

#[test]
fn the_fixed_version_passes_both_scenarios() {
    for (name, scenario) in [("recv", recv_while_closing::<Std> as Scenario), ("closers", two_closers::<Std>)]
    {
        sweep(name).seeds(200).run(move |sim| beside_a_silent_peer(sim, Version::V14_2, scenario));
    }
}
