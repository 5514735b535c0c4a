//! The museum's scenario of Ariadne against this handler: a timer for `connection_init` beside the handshake, and a
//! message that is on its way when the timer closes.

use std::time::Duration;

use serde_json::json;
use wavetank::runtime::Runtime as _;
use wavetank::{Faults, Sim, sometimes};
use wavetank_sim_tests::graphql::{Got, On, SECOND, SLACK, Setup, World};

/// None at all, a millisecond, around a handshake of three ways of 0.5 to 2 ms, and longer.
const TIMEOUTS: [Duration; 8] = [
    Duration::ZERO,
    Duration::from_millis(1),
    Duration::from_millis(2),
    Duration::from_millis(3),
    Duration::from_millis(4),
    Duration::from_millis(6),
    Duration::from_millis(50),
    Duration::from_secs(60),
];

/// What the client does once its socket is accepted.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Says {
    Nothing,
    Init,
    Ping,
    TwoInits,
}

fn ariadne(sim: &mut Sim, says: Says, faults: Faults) {
    let is_interrupted = faults != Faults::none();
    sim.faults(faults);
    let timeout = TIMEOUTS[sim.choose("init timeout", 8) as usize];
    let setup = Setup::default().config(|config| config.init_timeout(timeout));
    World::run(sim, On::WebSocket, setup, async move |world: World| {
        let mut peer = match world.try_connect(Some("graphql-transport-ws"), &[]).await {
            Ok(peer) => peer,
            // The network may be interrupted before the connection is open. The handler never refuses it.
            Err(error) => return assert!(is_interrupted, "the socket is not accepted: {error}"),
        };
        let start = world.host.now();
        match says {
            Says::Nothing => {}
            Says::Init => peer.init("a").await,
            Says::Ping => peer.send(json!({"type": "ping"})).await,
            Says::TwoInits => {
                peer.init("a").await;
                peer.init("a").await;
            }
        }
        let mut heard = Vec::new();
        let end = loop {
            match peer.hear_within(timeout + SLACK).await {
                Some(got @ Got::Message(_)) => heard.extend(got.kind().map(str::to_owned)),
                other => break other,
            }
        };
        let connects = world.hooks().of("a").connects;
        match end {
            Some(Got::Closed { code: 4408, .. }) => {
                sometimes!(true, "the timer closes the connection");
                assert_eq!(connects, 0, "`on_connect` runs for a connection that is closed");
                assert!(heard.iter().all(|kind| kind == "pong"), "{heard:?}");
                assert!(is_interrupted || world.host.now() - start < timeout + SLACK);
            }
            Some(Got::Closed { code: 4429, .. }) => assert!(says == Says::TwoInits),
            Some(Got::Lost) => assert!(is_interrupted, "the connection is lost"),
            None => {
                sometimes!(true, "the init is acknowledged");
                assert!(says == Says::Init || is_interrupted, "the timer does not close: {heard:?}");
                peer.close().await;
            }
            Some(other) => panic!("{other:?}"),
        }
        if is_interrupted {
            // The client's own WebSocket waits for the end of a connection that is cut, up to its close timeout.
            world.host.sleep(301 * SECOND).await;
        }
    });
}

#[wavetank::test(seeds = 1000, reaches = "the timer closes the connection")]
fn a_silent_client_hears_4408(sim: &mut Sim) {
    ariadne(sim, Says::Nothing, Faults::none());
}

#[wavetank::test(
    seeds = 1000,
    reaches = "the timer closes the connection",
    reaches = "the init is acknowledged"
)]
fn an_init_beside_the_timer_is_clean(sim: &mut Sim) {
    ariadne(sim, Says::Init, Faults::none());
}

#[wavetank::test(seeds = 1000, reaches = "the timer closes the connection")]
fn a_ping_beside_the_timer_is_clean(sim: &mut Sim) {
    ariadne(sim, Says::Ping, Faults::none());
}

#[wavetank::test(seeds = 500)]
fn two_inits_beside_the_timer_are_clean(sim: &mut Sim) {
    ariadne(sim, Says::TwoInits, Faults::none());
}

#[wavetank::test(seeds = 500)]
fn resets_beside_the_timer_are_clean(sim: &mut Sim) {
    ariadne(sim, Says::Init, Faults::none().resets().partitions().begin_max(SECOND).last_max(20 * SECOND));
}
