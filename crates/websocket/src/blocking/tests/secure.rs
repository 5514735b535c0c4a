//! Both ends are ours, and both talk, in TLS.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{RootCertStore, ServerConfig};
use wavetank_runtime::{BlockingListener, SocketOptions, Std, Threads};

use super::flooding::{drain, flood};
use super::peer::listen;
use super::{LONG, quiet, spawn};
use crate::blocking::{Client, Server, WebSocket};
use crate::handshake::{AcceptOptions, ClientRequest, TlsOptions};
use crate::session::tls_options::provider;
use crate::{Cause, CloseCode, Config};

/// A client and the server's end of its connection.
fn secure_pair(config: Config) -> (WebSocket<Std>, WebSocket<Std>) {
    let certificate =
        CertificateDer::from_pem_slice(include_bytes!("../../../testdata/certificate.pem")).expect("PEM");
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("../../../testdata/key.pem")).expect("PEM");
    let builder = ServerConfig::builder_with_provider(provider().expect("a feature brings one"));
    let builder = builder.with_safe_default_protocol_versions().expect("it has them").with_no_client_auth();
    let tls = builder.with_single_cert(vec![certificate.clone()], key).expect("they belong together");
    let options = AcceptOptions::new().tls(Arc::new(tls));

    let (listener, address) = listen();
    let server = Server::new(Std).config(config.clone()).options(options);
    let accepting = spawn(move || {
        let (stream, _) = listener.accept().expect("a connection");
        server.accept(stream).expect("a client of ours")
    });
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("a certificate");
    let request =
        ClientRequest::new("wss://example.test/").expect("a URL").tls(TlsOptions::new().roots(roots));
    let stream = Std.connect(address, SocketOptions::new(), None).expect("a listener");
    let client = Client::new(Std).config(config).connect_over(stream, request).expect("a server of ours");
    (client, accepting())
}

#[test]
fn ends_flooding_each_other_over_tls_lose_nothing() {
    let (client, server) = secure_pair(quiet(LONG));
    let received = [drain(client.clone()), drain(server.clone())];
    let sent = [flood(server.clone(), 100_000), flood(client.clone(), 100_000)];
    Std.sleep(super::millis(300));
    let closed = client.close(CloseCode::NORMAL, "enough");
    assert!(closed.is_clean(), "{closed}");
    let [_, from_client] = sent.map(|end| end());
    let [by_client, by_server] = received.map(|end| end());
    assert!(by_server >= from_client && by_server <= from_client + 1, "{by_server} of {from_client}");
    assert!(by_client > 0 && by_server > 0);
}

#[test]
fn closing_over_tls_respects_the_close_timeout() {
    let mut config = quiet(super::millis(200));
    config.limits.receive_queue_bytes = 1;
    let (client, _server) = secure_pair(config);
    let flooding = flood(client.clone(), 64 * 1024);
    Std.sleep(super::millis(300));
    let closed = client.close(CloseCode::NORMAL, "");
    assert_eq!(closed.cause, Cause::CloseTimeout { timeout: super::millis(200) });
    flooding();
}
