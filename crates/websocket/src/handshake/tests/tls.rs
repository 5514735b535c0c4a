//! TLS in memory, with a self-signed certificate.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

use super::*;
use crate::error::{RedirectError, Stage};
use crate::protocol::State;
use crate::session::tls_options::provider;
use crate::{Cause, CloseCode, Kind};

fn certificate() -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(include_bytes!("../../../testdata/certificate.pem")).unwrap()
}

fn server_config(protocols: &[&str]) -> Arc<ServerConfig> {
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("../../../testdata/key.pem")).unwrap();
    let builder = ServerConfig::builder_with_provider(provider().unwrap());
    let builder = builder.with_safe_default_protocol_versions().unwrap().with_no_client_auth();
    let mut config = builder.with_single_cert(vec![certificate()], key).unwrap();
    config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

fn roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add(certificate()).unwrap();
    roots
}

fn trusting() -> TlsOptions {
    TlsOptions::new().roots(roots())
}

/// Two sessions in TLS, or how the opening failed. Bytes go in pieces of random size.
fn both(
    request: ClientRequest,
    server: Arc<ServerConfig>,
    seed: u64,
) -> Result<(Session, Session), OpenError> {
    let mut chance = chance(seed);
    let mut opening = open(request);
    let mut accepting =
        Accepting::new(AcceptOptions::new().tls(server), Config::default(), [9; 32], NOW).unwrap();
    let mut accepted = None;
    for _ in 0..100 {
        for piece in pieces(&written(&mut opening), &mut chance) {
            accepting.input().extend_from_slice(&piece);
            match accepting.process(NOW) {
                AcceptStep::Continue => {}
                AcceptStep::Request => {
                    assert!(accepting.request().unwrap().is_secure);
                    accepting.accept();
                    let AcceptStep::Done(session, _) = accepting.process(NOW) else { panic!() };
                    accepted = Some(*session);
                }
                AcceptStep::Done(..) => panic!("done without asking"),
                AcceptStep::Failed(error) => return Err(error),
            }
        }
        let output = match &mut accepted {
            Some(session) => {
                let output = session.output().to_vec();
                session.output_written(output.len(), &|| NOW);
                output
            }
            None => {
                let output = accepting.output().to_vec();
                accepting.output_written(output.len());
                output
            }
        };
        let mut fed = 0;
        for piece in pieces(&output, &mut chance) {
            fed += piece.len();
            match feed(&mut opening, &piece) {
                Step::Continue => {}
                Step::Done(client, _) => {
                    let mut client = *client;
                    // What is left of the flight belongs to the session.
                    client.input().extend_from_slice(&output[fed..]);
                    return Ok((client, accepted.unwrap()));
                }
                Step::Failed(error) => return Err(error),
                Step::Reconnect => panic!("no server redirects"),
            }
        }
    }
    panic!("the opening does not end")
}

fn carry(from: &mut Session, to: &mut Session) -> usize {
    let output = from.output().to_vec();
    from.output_written(output.len(), &|| NOW);
    to.input().extend_from_slice(&output);
    to.process(NOW);
    while to.connection().has_input_left() {
        to.process(NOW);
    }
    output.len()
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# If /secure/ is true, the client MUST perform a TLS handshake over the connection after opening the
//# connection and before sending the handshake data
#[test]
fn client_and_server_speak_tls_at_any_split() {
    for seed in 0..20 {
        let (mut client, mut server) =
            both(request("wss://example.test/").tls(trusting()), server_config(&["http/1.1"]), seed).unwrap();
        assert!(client.is_secure() && server.is_secure());
        client.connection_mut().send(Kind::Text, b"Hello").unwrap();
        assert!(!client.output().windows(5).any(|window| window == b"Hello"));
        carry(&mut client, &mut server);
        assert_hello(&mut server);
        server.connection_mut().send(Kind::Text, b"Hello").unwrap();
        carry(&mut server, &mut client);
        assert_hello(&mut client);
    }
}

#[test]
fn encryption_ahead_of_the_wire_is_bounded() {
    let (mut client, mut server) =
        both(request("wss://example.test/").tls(trusting()), server_config(&[]), 1).unwrap();
    let big = (0..1_000_000_u32).map(|index| index.wrapping_mul(2_654_435_761) as u8).collect::<Vec<_>>();
    client.connection_mut().send(Kind::Binary, &big).unwrap();
    let waiting = client.connection().output().len();
    let mut total = 0;
    loop {
        let length = client.output().len();
        assert!(length < 70_000, "{length}");
        if length == 0 {
            break;
        }
        // The connection sees what is not written.
        assert!(client.connection().output().len() + total >= waiting);
        total += carry(&mut client, &mut server).min(65_536);
    }
    assert_eq!(client.connection().output().len(), 0);
    assert_eq!(received(&mut server), Some(Message::binary(big)));
}

#[test]
fn an_untrusted_certificate_fails_and_alerts_the_server() {
    let strangers = TlsOptions::new().roots(RootCertStore::empty());
    let error = both(request("wss://example.test/").tls(strangers), server_config(&[]), 1).unwrap_err();
    let OpenError::Tls { peer, error: rustls::Error::InvalidCertificate(_) } = &error else {
        panic!("{error}")
    };
    assert_eq!(peer, "example.test:443");
    assert!(!error.is_transient());
}

//= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
//= type=test
//# Clients MUST use the Server Name Indication extension in the TLS handshake
#[test]
fn a_certificate_must_match_the_requested_name() {
    let error = both(request("wss://other.test/").tls(trusting()), server_config(&[]), 1).unwrap_err();
    assert!(matches!(error, OpenError::Tls { error: rustls::Error::InvalidCertificate(_), .. }), "{error}");
    let named = trusting().server_name("example.test");
    both(request("wss://other.test/").tls(named), server_config(&[]), 1).unwrap();
    both(request("wss://127.0.0.1/").tls(trusting()), server_config(&[]), 1).unwrap();
    let bad = trusting().server_name("not a name");
    let error = Opening::new(request("wss://a/").tls(bad), Config::default(), [7; 32], NOW).unwrap_err();
    assert!(matches!(error, OpenError::Setup(_)), "{error}");
}

#[test]
fn a_transport_lost_in_tls_is_named() {
    for (asked, expected) in [
        (false, "connecting to a:443 failed: connection reset"),
        (true, "the transport to a:443 failed during the TLS handshake: connection reset"),
    ] {
        let mut opening = open(request("wss://a/"));
        if asked {
            written(&mut opening);
        }
        let error = opening.transport_failed(std::io::ErrorKind::ConnectionReset.into());
        assert_eq!(error.to_string(), expected);
    }
}

#[test]
fn http_1_is_announced_and_h2_only_fails() {
    let error = both(request("wss://example.test/").tls(trusting()), server_config(&["h2"]), 1).unwrap_err();
    assert!(matches!(error, OpenError::Tls { .. }), "{error}");
}

#[test]
fn a_custom_tls_configuration_is_used_unchanged() {
    let builder = ClientConfig::builder_with_provider(provider().unwrap());
    let builder = builder.with_protocol_versions(&[&rustls::version::TLS12]).unwrap();
    let config = Arc::new(builder.with_root_certificates(roots()).with_no_client_auth());
    let own = TlsOptions::new().config(config).roots(RootCertStore::empty());
    let (mut client, mut server) =
        both(request("wss://example.test/").tls(own), server_config(&["h2", "http/1.1"]), 1).unwrap();
    client.connection_mut().send(Kind::Text, b"Hello").unwrap();
    carry(&mut client, &mut server);
    assert_hello(&mut server);
}

#[test]
fn plaintext_and_ended_tls_servers_fail_differently() {
    let mut opening = open(request("wss://example.test/").tls(trusting()));
    written(&mut opening);
    let error = failure(feed(&mut opening, b"HTTP/1.1 400 Bad Request\r\n\r\n"));
    assert!(matches!(error, OpenError::Tls { .. }), "{error}");
    let mut opening = open(request("wss://example.test/").tls(trusting()));
    written(&mut opening);
    opening.end_of_input();
    assert!(matches!(failure(opening.process(NOW)), OpenError::Ended { stage: Stage::Tls, .. }));
}

#[cfg(feature = "proxies")]
#[test]
fn tls_goes_through_a_proxy() {
    let proxies = Proxies::always(Proxy::parse("proxy").unwrap());
    let mut opening = open(request("wss://example.test/").tls(trusting()).proxies(proxies));
    assert!(written_text(&mut opening).starts_with("CONNECT example.test:443 "));
    assert!(matches!(feed(&mut opening, b"HTTP/1.1 200 OK\r\n\r\n"), Step::Continue));
    // A record of the handshake, with TLS 1.0 as its version for old middle boxes.
    assert_eq!(written(&mut opening)[..3], [0x16, 3, 1]);
}

#[test]
fn a_missing_close_notify_matters_only_before_closing() {
    let pair = || both(request("wss://example.test/").tls(trusting()), server_config(&[]), 1).unwrap();
    let (mut client, _) = pair();
    client.end_of_input(NOW);
    assert_eq!(client.connection().state(), State::Closed);
    assert!(client.connection().closed().unwrap().received.is_none());

    let (mut client, mut server) = pair();
    client.connection_mut().close(CloseCode::NORMAL, "", NOW);
    carry(&mut client, &mut server);
    carry(&mut server, &mut client);
    client.end_of_input(NOW);
    let closed = client.connection().closed().unwrap();
    assert!(closed.sent.is_some() && closed.received.is_some(), "{closed:?}");
}

#[test]
fn a_server_sends_close_notify_before_shutting_down() {
    let (mut client, mut server) =
        both(request("wss://example.test/").tls(trusting()), server_config(&[]), 1).unwrap();
    client.connection_mut().close(CloseCode::NORMAL, "", NOW);
    carry(&mut client, &mut server);
    assert!(carry(&mut server, &mut client) > 0);
    // The Close frame is written; what follows is close_notify, and it ends the client's wait for the end of the
    // transport.
    carry(&mut server, &mut client);
    assert_eq!(server.output(), b"");
    assert_eq!(client.connection().state(), State::Closed);
}

#[test]
fn damaged_records_end_the_connection_with_tls_cause() {
    let (mut client, mut server) =
        both(request("wss://example.test/").tls(trusting()), server_config(&[]), 1).unwrap();
    server.connection_mut().send(Kind::Text, b"Hello").unwrap();
    let mut record = server.output().to_vec();
    let last = record.len() - 1;
    record[last] ^= 1;
    client.input().extend_from_slice(&record);
    client.process(NOW);
    assert_eq!(client.connection().state(), State::Closed);
    let closed = client.connection().closed().unwrap();
    assert_eq!(closed.cause, Cause::Tls { message: "cannot decrypt peer's message".into() });
    assert_eq!(client.output(), b"");
}

#[test]
fn a_damaged_record_while_closing_is_the_cause() {
    let (mut client, mut server) =
        both(request("wss://example.test/").tls(trusting()), server_config(&[]), 1).unwrap();
    client.connection_mut().close(CloseCode::NORMAL, "", NOW);
    carry(&mut client, &mut server);
    let mut record = server.output().to_vec();
    record[7] ^= 1;
    client.input().extend_from_slice(&record);
    client.process(NOW);
    let closed = client.connection().closed().unwrap();
    assert!(matches!(closed.cause, Cause::Tls { .. }) && closed.received.is_none(), "{closed}");
    assert_eq!(closed.sent.as_ref().and_then(|frame| frame.code), Some(CloseCode::NORMAL));
}

#[test]
fn receiving_goes_on_after_a_failed_tls_write() {
    let (mut client, mut server) =
        both(request("wss://example.test/").tls(trusting()), server_config(&[]), 1).unwrap();
    client.connection_mut().send(Kind::Text, b"lost").unwrap();
    assert!(!client.output().is_empty());
    client.write_failed(&std::io::ErrorKind::BrokenPipe.into(), NOW);
    assert_eq!(client.output(), b"");
    server.connection_mut().send(Kind::Text, b"Hello").unwrap();
    server.connection_mut().close(CloseCode::NORMAL, "", NOW);
    carry(&mut server, &mut client);
    assert_hello(&mut client);
    assert!(client.connection().closed().unwrap().received.is_some());
}

/// What an opening does when the server, in TLS, sends it to `location`.
fn redirected_in_tls(opening: &mut Opening, location: &str) -> Step {
    let mut server = rustls::ServerConnection::new(server_config(&[])).unwrap();
    let answer = format!("HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n");
    loop {
        let flight = written(opening);
        server.read_tls(&mut &flight[..]).unwrap();
        let state = server.process_new_packets().unwrap();
        if state.plaintext_bytes_to_read() > 0 {
            std::io::Write::write_all(&mut server.writer(), answer.as_bytes()).unwrap();
        }
        let mut flight = Vec::new();
        while server.wants_write() {
            server.write_tls(&mut flight).unwrap();
        }
        assert!(!flight.is_empty(), "the opening does not end");
        match feed(opening, &flight) {
            Step::Continue => {}
            step => return step,
        }
    }
}

#[test]
fn a_redirect_does_not_lead_out_of_tls() {
    let mut opening = open(request("wss://example.test/").tls(trusting()));
    match redirected_in_tls(&mut opening, "ws://example.test/") {
        Step::Failed(OpenError::Redirect { error, .. }) => assert_eq!(error, RedirectError::Downgrade),
        step => panic!("{step:?}"),
    }
}

/// The name that the beginning of TLS asks for (SNI).
fn name_asked_for(opening: &mut Opening) -> String {
    let hello = written(opening);
    let mut acceptor = rustls::server::Acceptor::default();
    acceptor.read_tls(&mut &hello[..]).unwrap();
    acceptor.accept().unwrap().expect("a whole hello").client_hello().server_name().unwrap().to_owned()
}

#[test]
fn a_custom_server_name_stays_with_its_origin() {
    let request = || request("wss://front.test/").tls(trusting().server_name("example.test"));
    assert_eq!(name_asked_for(&mut open(request())), "example.test");
    for (location, name) in [
        ("/elsewhere", "example.test"),
        ("wss://other.test/", "other.test"),
        ("https://front.test:444/", "front.test"),
    ] {
        let mut opening = open(request());
        assert!(matches!(redirected_in_tls(&mut opening, location), Step::Reconnect));
        assert_eq!(name_asked_for(&mut opening), name, "{location}");
    }
}
