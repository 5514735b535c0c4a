//! Ours with the two published crates on Tokio: in process and over loopback, in both roles, up to 1,000
//! streams; and ours over TLS.

use std::time::Duration;

use futures::future::join_all;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use wavetank_multiplexer::{Cause, Config, Session};
use wavetank_runtime::Tokio;
use wavetank_sim_tests::multiplexer::interoperability::{AnySession, Scenario, acceptor, opener};
use wavetank_sim_tests::multiplexer::network::Side;
use wavetank_sim_tests::multiplexer::{Foreign, Kind, Monitor, Tap, body};

/// How long `tokio-yamux` waits for an answer to its GoAway. Ours gives none while its application does not close.
const GO_AWAY_WAIT: Duration = Duration::from_millis(500);

/// What is on either side.
#[derive(Clone, Copy, Debug)]
struct Pairing {
    kind: Kind,
    our_side: Side,
    we_open: bool,
}

impl Pairing {
    fn all() -> Vec<Self> {
        let mut all = Vec::new();
        for kind in Kind::ALL {
            for our_side in Side::BOTH {
                for we_open in [true, false] {
                    all.push(Self { kind, our_side, we_open });
                }
            }
        }
        all
    }

    async fn run<S>(self, scenario: Scenario, ours: S, theirs: S)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let monitor = Monitor::new("ours");
        let ours = self.our_side.session(Tokio, Tap::new(ours, monitor.clone()), Config::default());
        let foreign = Foreign::start_waiting(&Tokio, self.kind, self.our_side.other(), theirs, GO_AWAY_WAIT);
        let (ours, theirs) = (AnySession::Ours(ours), AnySession::Foreign(foreign));
        let (opening, accepting) = if self.we_open { (ours, theirs) } else { (theirs, ours) };
        tokio::join!(opener(Tokio, opening, scenario), acceptor(Tokio, accepting, scenario));
        assert!(monitor.is_quiescent(), "{self:?} {scenario:?}");
    }
}

async fn tcp() -> (TcpStream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound");
    let (connected, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    let (connected, accepted) = (connected.expect("connected"), accepted.expect("accepted").0);
    connected.set_nodelay(true).expect("an option");
    accepted.set_nodelay(true).expect("an option");
    (connected, accepted)
}

async fn patiently(what: impl Future<Output = ()>, name: String) {
    // A test that hangs says where.
    tokio::time::timeout(Duration::from_secs(120), what).await.unwrap_or_else(|_| panic!("{name} hangs"));
}

async fn every_scenario_in_process(kind: Kind) {
    // At once, because each waits for much of its time.
    join_all(Pairing::all().into_iter().filter(|pairing| pairing.kind == kind).map(async |pairing| {
        for scenario in Scenario::ALL {
            let (ours, theirs) = tokio::io::duplex(64 * 1024);
            patiently(pairing.run(scenario, ours, theirs), format!("{pairing:?} {scenario:?}")).await;
        }
    }))
    .await;
}

async fn every_scenario_over_loopback(kind: Kind) {
    join_all(Pairing::all().into_iter().filter(|pairing| pairing.kind == kind).map(async |pairing| {
        for scenario in Scenario::ALL {
            let (ours, theirs) = tcp().await;
            patiently(pairing.run(scenario, ours, theirs), format!("{pairing:?} {scenario:?}")).await;
        }
    }))
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn yamux_agrees_in_process() {
    every_scenario_in_process(Kind::Yamux).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokio_yamux_agrees_in_process() {
    every_scenario_in_process(Kind::TokioYamux).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn yamux_agrees_over_loopback() {
    every_scenario_over_loopback(Kind::Yamux).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn tokio_yamux_agrees_over_loopback() {
    every_scenario_over_loopback(Kind::TokioYamux).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn both_crates_answer_pings_and_go_away() {
    for kind in Kind::ALL {
        for side in Side::BOTH {
            let (ours, theirs) = tcp().await;
            let monitor = Monitor::new("ours");
            let ours = side.session(Tokio, Tap::new(ours, monitor.clone()), Config::default());
            let theirs = Foreign::start_waiting(&Tokio, kind, side.other(), theirs, GO_AWAY_WAIT);
            ours.ping().await.expect("a pong");
            assert!(!ours.statistics().peer_understands_stop, "{kind:?}");
            theirs.close().await;
            let closed = ours.closed().await;
            assert_eq!(closed.cause, Cause::Peer, "{kind:?}");
            assert_eq!(monitor.go_aways_received(), [0], "{kind:?}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ours_agree_in_every_scenario() {
    for scenario in Scenario::ALL {
        let (one, other) = tcp().await;
        let one = AnySession::Ours(Session::client(Tokio, one, Config::default()));
        let other = AnySession::Ours(Session::server(Tokio, other, Config::default()));
        let both = async {
            tokio::join!(opener(Tokio, one, scenario), acceptor(Tokio, other, scenario));
        };
        patiently(both, format!("{scenario:?}")).await;
    }
}

mod over_tls {
    use std::sync::Arc;

    use rustls::pki_types::ServerName;
    use tokio_rustls::{TlsAcceptor, TlsConnector};
    use wavetank_sim_tests::deterministic_tls::{self, SERVER_NAME};

    use super::*;

    /// A half-close, a stop and a thousand streams pass through TLS, which has its own record boundaries.
    #[tokio::test]
    async fn every_scenario_passes() {
        for scenario in Scenario::ALL {
            let (client, server) = tokio::io::duplex(64 * 1024);
            let connector = TlsConnector::from(Arc::clone(&deterministic_tls::client_config()));
            let acceptor_of_tls = TlsAcceptor::from(deterministic_tls::server_config());
            let name = ServerName::try_from(SERVER_NAME).expect("a name");
            let (client, server) =
                tokio::join!(connector.connect(name, client), acceptor_of_tls.accept(server));
            let (client, server) = (client.expect("a handshake"), server.expect("a handshake"));
            let one = AnySession::Ours(Session::client(Tokio, client, Config::default()));
            let other = AnySession::Ours(Session::server(Tokio, server, Config::default()));
            let both = async {
                tokio::join!(opener(Tokio, one, scenario), acceptor(Tokio, other, scenario));
            };
            patiently(both, format!("{scenario:?}")).await;
        }
    }

    #[tokio::test]
    async fn a_stopped_writer_is_told() {
        let (client, server) = tokio::io::duplex(64 * 1024);
        let connector = TlsConnector::from(deterministic_tls::client_config());
        let acceptor_of_tls = TlsAcceptor::from(deterministic_tls::server_config());
        let name = ServerName::try_from(SERVER_NAME).expect("a name");
        let (client, server) = tokio::join!(connector.connect(name, client), acceptor_of_tls.accept(server));
        let client = Session::client(Tokio, client.expect("a handshake"), Config::default());
        let server = Session::server(Tokio, server.expect("a handshake"), Config::default());
        let mut stream = client.open().await.expect("a stream");
        body::write(&mut stream, 0, 0..100, 100).await.1.expect("written");
        let mut accepted = server.accept().await.expect("a stream");
        accepted.close().expect("the stream is open");
        let end = stream.stopped().await;
        assert_eq!(end, wavetank_multiplexer::WriteEnd::Failed(wavetank_multiplexer::WriteError::Stopped));
        assert!(client.close().await.is_clean());
    }
}
