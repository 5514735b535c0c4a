//! The re-created Ariadne handler on Tokio and real sockets.
//!
//! These tests show what holds without races. The simulation finds the races.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use wavetank_runtime::{ListenOptions, Listener as _, Runtime, TaskHandle as _, Tokio};
use wavetank_sim_tests::museum::ariadne::scenarios::converse;
use wavetank_sim_tests::museum::ariadne::{Answer, Handler, PeerScript, Settings, Version, serve};

const ANY_PORT: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), 0);
const VERSIONS: [Version; 3] = [Version::V0_26_0, Version::V0_26_1, Version::Fixed];
/// Long enough for a connection on loopback, short enough for a test.
const SHORT: Duration = Duration::from_millis(200);

/// Returns how a server with `settings` answers each of `clients`.
fn answers(settings: Settings, clients: &[PeerScript]) -> Vec<Answer> {
    // One thread, like asyncio.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(async {
        let listener = Tokio.listen(ANY_PORT, ListenOptions::new()).await.expect("loopback has a free port");
        let address = listener.local_addr().expect("the listener is open");
        let server = Tokio.spawn("server", serve(Tokio, listener, Handler::new(&Tokio, settings)));
        let mut answers = Vec::new();
        for &script in clients {
            answers.push(converse(&Tokio, address, script).await.expect("the server listens"));
        }
        server.abort();
        answers
    })
}

#[test]
fn a_client_that_initialises_is_acknowledged() {
    for version in VERSIONS {
        let answers = answers(Settings::new(version), &[PeerScript::Initialises; 3]);
        assert_eq!(answers, [Answer::Acknowledged; 3], "{version:?}");
    }
}

#[test]
fn a_silent_or_pinging_client_times_out() {
    for version in VERSIONS {
        let settings = Settings::new(version).connection_init_wait_timeout(SHORT);
        let answers = answers(settings, &[PeerScript::IsSilent, PeerScript::Pings]);
        assert_eq!(answers, [Answer::Closed(4408); 2], "{version:?}");
    }
}

#[test]
fn a_client_that_initialises_twice_is_sent_away() {
    for version in VERSIONS {
        let answers = answers(Settings::new(version), &[PeerScript::InitialisesTwice]);
        assert_eq!(answers, [Answer::Closed(4429)], "{version:?}");
    }
}

#[test]
fn on_connect_may_outlast_the_initialisation_timeout() {
    for version in VERSIONS {
        let settings =
            Settings::new(version).connection_init_wait_timeout(SHORT).on_connect_takes(SHORT + SHORT / 2);
        let answers = answers(settings, &[PeerScript::Initialises]);
        assert_eq!(answers, [Answer::Acknowledged], "{version:?}");
    }
}
