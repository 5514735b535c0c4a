//! Ariadne inside turmoil: a timer closes a WebSocket that is not yet accepted, or one that is in use.
//!
//! The server, the clients and the checks are those of the simulator's tests. The races are between tasks and a timer
//! of one host. turmoil's timers fire on whole milliseconds, but that hides no race, because ready tasks are delayed.
//!
//! # Triggers that turmoil cannot show
//!
//! A connection that is reset while the timer closes it: turmoil's network injects no resets.

use std::net::SocketAddr;
use std::time::Duration;

use wavetank::runtime::{ListenOptions, Runtime};
use wavetank::turmoil::{TurmoilHost, TurmoilSim};
use wavetank_sim_tests::museum::ariadne::scenarios::converse;
use wavetank_sim_tests::museum::ariadne::{Answer, Handler, PeerScript, Settings, Version, serve};

/// How long the server waits for `connection_init`, as the seed draws. The original's minute would be 60,000 ticks in
/// turmoil.
const TIMEOUTS_MS: [u64; 5] = [2_000, 500, 50, 5, 0];

/// Builds a server and a client that follows `script`. `is_allowed` checks the answer that the client gets.
fn ariadne(sim: &mut TurmoilSim, version: Version, script: PeerScript, is_allowed: fn(Answer) -> bool) {
    sim.builder().max_message_latency(Duration::from_millis(20));
    // asyncio runs nothing between two awaits.
    sim.interrupt_polls(false);
    let timeout = TIMEOUTS_MS[sim.choose("connection_init_wait_timeout", 5) as usize];
    let settings = Settings::new(version).connection_init_wait_timeout(Duration::from_millis(timeout));
    sim.host("server", async move |host: TurmoilHost| {
        let address = SocketAddr::from(([0, 0, 0, 0], 80));
        let listener = Runtime::listen(&host, address, ListenOptions::new()).await?;
        Ok(serve(host, listener, Handler::new(&host, settings)).await?)
    });
    sim.client("client", async move |host: TurmoilHost| {
        let server = Runtime::resolve(&host, "server", 80).await?[0];
        match converse(&host, server, script).await? {
            answer if is_allowed(answer) => Ok(()),
            answer => Err(format!("the server's answer is {answer:?}"))?,
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
        seeds = 2_000,
        finds = "panic in server/app: exception in ASGI application, accepting: RuntimeError"
    )]
    fn closes_the_socket_before_it_is_accepted(sim: &mut TurmoilSim) {
        // The client accepts a refusal, so that the sweep finds the server's error.
        let is_answered = |answer| is_timed_out(answer) || answer == Answer::Refused;
        ariadne(sim, Version::V0_26_0, PeerScript::IsSilent, is_answered);
    }

    #[wavetank::test(seeds = 2_000)]
    fn says_4408_if_the_socket_is_accepted_first(sim: &mut TurmoilSim) {
        ariadne(sim, Version::V0_26_1, PeerScript::IsSilent, is_timed_out);
    }

    #[wavetank::test(seeds = 2_000, base_seed = 0x8d365c33cac910c3)]
    fn says_4408_in_the_fixed_version(sim: &mut TurmoilSim) {
        ariadne(sim, Version::Fixed, PeerScript::IsSilent, is_timed_out);
    }
}

mod a_message_in_flight_when_the_timer_closes {
    use super::*;

    #[wavetank::test(
        seeds = 2_000,
        finds = "panic in server/app: exception in ASGI application, handling connection_init: RuntimeError",
        base_seed = 0x31991dd5e9efe475
    )]
    fn reaches_on_connect_in_the_first_fix(sim: &mut TurmoilSim) {
        ariadne(sim, Version::V0_26_1, PeerScript::Initialises, is_acknowledged_or_timed_out);
    }

    #[wavetank::test(
        seeds = 2_000,
        finds = "panic in server/app: exception in ASGI application, handling ping: RuntimeError",
        base_seed = 0x0c5dc2696330a8a3
    )]
    fn is_an_unanswerable_ping_in_the_first_fix(sim: &mut TurmoilSim) {
        ariadne(sim, Version::V0_26_1, PeerScript::Pings, is_timed_out);
    }

    #[wavetank::test(seeds = 2_000, base_seed = 0x2176737b891663e3)]
    fn is_dropped_in_the_fixed_version(sim: &mut TurmoilSim) {
        ariadne(sim, Version::Fixed, PeerScript::Initialises, is_acknowledged_or_timed_out);
    }

    #[wavetank::test(seeds = 2_000, base_seed = 0x26b7a54caf606347)]
    fn is_a_dropped_ping_in_the_fixed_version(sim: &mut TurmoilSim) {
        ariadne(sim, Version::Fixed, PeerScript::Pings, is_timed_out);
    }
}
