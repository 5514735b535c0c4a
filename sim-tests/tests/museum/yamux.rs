//! yamux: a writer waits for five minutes, because a reader that closes cannot say that it reads no more.

use std::net::SocketAddr;
use std::time::Duration;

use wavetank::Sim;
use wavetank::runtime::Threads;
use wavetank_sim_tests::museum::yamux::scenarios::{Outcome, serve, write_messages};
use wavetank_sim_tests::museum::yamux::{Config, Error, PeerScript, Version, Workload};

/// A writer never waits longer on a healthy connection.
const PATIENCE: Duration = Duration::from_secs(60);

/// Builds a client that writes and a server that closes before the end. `check` judges the client's outcome.
fn yamux(
    sim: &mut Sim,
    version: Version,
    workload: Workload,
    script: PeerScript,
    check: fn(Outcome) -> Result<(), String>,
) {
    // A simulated host may be delayed for 10 s, the original's default. That would end the session and hide the bug.
    let config = Config::new(version).connection_write_timeout(PATIENCE / 2);
    sim.server_thread("server", move |host| {
        serve(&host, SocketAddr::from(([0, 0, 0, 0], 80)), config, workload, script)
    });
    sim.client_thread("client", move |host| {
        let server = Threads::resolve(&host, "server", 80).map_err(|error| error.to_string())?[0];
        check(write_messages(&host, server, config, workload).map_err(|error| error.to_string())?)
    });
}

/// Checks that the server read everything or reset the stream.
fn ends_well(outcome: Outcome) -> Result<(), String> {
    match outcome.end {
        Ok(()) | Err(Error::ConnectionReset) => Ok(()),
        Err(_) => Err(format!("{outcome:?}")),
    }
}

fn is_read_to_the_end(outcome: Outcome) -> Result<(), String> {
    outcome.end.map_err(|_| format!("{outcome:?}"))
}

/// Draws how much is written and read, up to twice the workload of the bug report.
fn some_workload(sim: &mut Sim) -> Workload {
    let messages = 1 + sim.choose("messages", 20);
    let reads = sim.choose("reads", 11);
    Workload { messages, reads, ..Workload::REPORTED }
}

mod the_reported_program {
    use super::*;

    fn reported(sim: &mut Sim, version: Version, script: PeerScript) {
        sim.stall_after(PATIENCE);
        yamux(sim, version, Workload::REPORTED, script, ends_well);
    }

    #[wavetank::test(seeds = 1000, finds = "stall: client/main waits for a notification on `credit granted`")]
    fn stalls_though_the_connection_is_healthy(sim: &mut Sim) {
        reported(sim, Version::Upstream, PeerScript::Closes);
    }

    #[wavetank::test(seeds = 1000, base_seed = 0x4149538d7a5fdddf)]
    fn goes_on_if_the_server_drains_before_closing(sim: &mut Sim) {
        sim.stall_after(PATIENCE);
        yamux(sim, Version::Upstream, Workload::REPORTED, PeerScript::DrainsThenCloses, is_read_to_the_end);
    }

    #[wavetank::test(seeds = 1000, base_seed = 0x86035278aa98fcc8)]
    fn is_stopped_by_the_second_remedy(sim: &mut Sim) {
        reported(sim, Version::StopsSending, PeerScript::Closes);
    }

    #[wavetank::test(seeds = 20, base_seed = 0xfd810d8cdef4ec19)]
    fn is_released_by_the_original_after_five_minutes(sim: &mut Sim) {
        yamux(sim, Version::Upstream, Workload::REPORTED, PeerScript::Closes, |outcome| {
            let five_minutes = Duration::from_secs(300);
            let late = outcome.elapsed >= five_minutes && outcome.elapsed < five_minutes + PATIENCE;
            // How far the writer gets depends on how often the server granted credit.
            let stuck = (5..=7).contains(&outcome.written);
            if late && stuck && outcome.end == Err(Error::ConnectionReset) {
                return Ok(());
            }
            Err(format!("{outcome:?}"))
        });
    }
}

mod a_writer_and_a_reader_that_stops {
    use super::*;

    fn some(sim: &mut Sim, version: Version, script: PeerScript) {
        sim.stall_after(PATIENCE);
        let workload = some_workload(sim);
        yamux(sim, version, workload, script, ends_well);
    }

    #[wavetank::test(
        seeds = 1000,
        finds = "stall: client/main waits for a notification on `credit granted`",
        base_seed = 0x0679905c149c3edf
    )]
    fn stall_in_the_original(sim: &mut Sim) {
        some(sim, Version::Upstream, PeerScript::Closes);
    }

    #[wavetank::test(seeds = 1000, base_seed = 0x89dbf6624df3d931)]
    fn get_on_if_the_reader_drains_before_closing(sim: &mut Sim) {
        some(sim, Version::Upstream, PeerScript::DrainsThenCloses);
    }

    #[wavetank::test(
        seeds = 1000,
        finds = "stall: client/main waits for a notification on `credit granted`",
        base_seed = 0x155985f591b4c343
    )]
    fn stall_in_the_first_remedy_once_windows_fill(sim: &mut Sim) {
        some(sim, Version::AnswersData, PeerScript::Closes);
    }

    #[wavetank::test(seeds = 1000, base_seed = 0x98fd67e3fee10d59)]
    fn get_on_in_the_second_remedy(sim: &mut Sim) {
        some(sim, Version::StopsSending, PeerScript::Closes);
    }
}
