//! Ariadne: a timer closes a WebSocket that is not yet accepted, and, after the first fix, one that is in use.

use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use wavetank::runtime::{ListenOptions, Runtime};
use wavetank::{Faults, Sim, sometimes};
use wavetank_sim_tests::museum::ariadne::scenarios::converse;
use wavetank_sim_tests::museum::ariadne::{Answer, Handler, PeerScript, Settings, Version, serve};

/// How long the server waits for `connection_init`, as the seed draws. The first is the original's default.
const TIMEOUTS_MS: [u64; 6] = [60_000, 5_000, 500, 50, 5, 0];

/// Builds a server and a client that follows `script`. `is_allowed` checks the answer that the client gets.
fn ariadne(sim: &mut Sim, version: Version, script: PeerScript, is_allowed: fn(Answer) -> bool) {
    ariadne_with(sim, Faults::none(), version, script, is_allowed);
}

fn ariadne_with(
    sim: &mut Sim,
    faults: Faults,
    version: Version,
    script: PeerScript,
    is_allowed: fn(Answer) -> bool,
) {
    let is_interrupted = faults != Faults::none();
    // asyncio runs nothing between two awaits.
    sim.faults(faults).interrupt_polls(false);
    let timeout = TIMEOUTS_MS[sim.choose("connection_init_wait_timeout", 6) as usize];
    let settings = Settings::new(version).connection_init_wait_timeout(Duration::from_millis(timeout));
    sim.server("server", async move |host| {
        let address = SocketAddr::from(([0, 0, 0, 0], 80));
        let listener = Runtime::listen(&host, address, ListenOptions::new()).await?;
        serve(host, listener, Handler::new(&host, settings)).await
    });
    sim.client("client", async move |host| {
        let server = Runtime::resolve(&host, "server", 80).await.map_err(|error| error.to_string())?[0];
        match converse(&host, server, script).await {
            Ok(answer) => {
                sometimes!(answer == Answer::Acknowledged, "the init is acknowledged");
                sometimes!(answer == Answer::Closed(4408), "the timer closes the connection");
                if is_allowed(answer) { Ok(()) } else { Err(format!("the server's answer is {answer:?}")) }
            }
            // The network may be interrupted before the connection is open.
            Err(error)
                if is_interrupted
                    && matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::ConnectionRefused) =>
            {
                Ok(())
            }
            Err(error) => Err(error.to_string()),
        }
    });
}

fn is_timed_out(answer: Answer) -> bool {
    answer == Answer::Closed(4408)
}

fn is_acknowledged_or_timed_out(answer: Answer) -> bool {
    matches!(answer, Answer::Acknowledged | Answer::Closed(4408))
}

mod the_timer_of_a_silent_client {
    use super::*;

    #[wavetank::test(
        seeds = 10_000,
        finds = "panic in server/app: exception in ASGI application, accepting: RuntimeError"
    )]
    fn closes_the_socket_before_it_is_accepted(sim: &mut Sim) {
        // The client accepts a refusal, so that the sweep finds the server's error.
        let is_answered = |answer| is_timed_out(answer) || answer == Answer::Refused;
        ariadne(sim, Version::V0_26_0, PeerScript::IsSilent, is_answered);
    }

    #[wavetank::test(seeds = 10_000)]
    fn says_4408_if_the_socket_is_accepted_first(sim: &mut Sim) {
        ariadne(sim, Version::V0_26_1, PeerScript::IsSilent, is_timed_out);
    }

    #[wavetank::test(seeds = 10_000, base_seed = 0xe2152f660abd908e)]
    fn says_4408_in_the_fixed_version(sim: &mut Sim) {
        ariadne(sim, Version::Fixed, PeerScript::IsSilent, is_timed_out);
    }
}

mod a_message_in_flight_when_the_timer_closes {
    use super::*;

    #[wavetank::test(
        seeds = 5_000,
        finds = "panic in server/app: exception in ASGI application, handling connection_init: RuntimeError",
        base_seed = 0x89b960150e798984
    )]
    fn reaches_on_connect_in_the_first_fix(sim: &mut Sim) {
        ariadne(sim, Version::V0_26_1, PeerScript::Initialises, is_acknowledged_or_timed_out);
    }

    #[wavetank::test(
        seeds = 5_000,
        finds = "panic in server/app: exception in ASGI application, handling ping: RuntimeError",
        base_seed = 0x382436773edf054e
    )]
    fn is_an_unanswerable_ping_in_the_first_fix(sim: &mut Sim) {
        ariadne(sim, Version::V0_26_1, PeerScript::Pings, is_timed_out);
    }

    #[wavetank::test(
        seeds = 5_000,
        reaches = "the init is acknowledged",
        reaches = "the timer closes the connection",
        base_seed = 0x1c7cb78c2bdfc4ae
    )]
    fn is_dropped_in_the_fixed_version(sim: &mut Sim) {
        ariadne(sim, Version::Fixed, PeerScript::Initialises, is_acknowledged_or_timed_out);
    }

    #[wavetank::test(seeds = 5_000, base_seed = 0xa6cd37612bfe7ff6)]
    fn is_a_dropped_ping_in_the_fixed_version(sim: &mut Sim) {
        ariadne(sim, Version::Fixed, PeerScript::Pings, is_timed_out);
    }

    #[wavetank::test(
        seeds = 2_000,
        reaches = "the init is acknowledged",
        reaches = "the timer closes the connection",
        base_seed = 0x9e9392f9a5c0fe2a
    )]
    fn survives_resets_in_the_fixed_version(sim: &mut Sim) {
        let resets = Faults::none().resets().begin_max(Duration::from_secs(1));
        ariadne_with(sim, resets, Version::Fixed, PeerScript::Initialises, |_| true);
    }
}
