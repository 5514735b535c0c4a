//! Our client and our server with each other in TLS.

use std::sync::Arc;

#[cfg(all(feature = "aws-lc-rs", not(feature = "ring")))]
use rustls::crypto::aws_lc_rs as provider;
#[cfg(feature = "ring")]
use rustls::crypto::ring as provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{RootCertStore, ServerConfig};
use wavetank_runtime::Tokio;
use wavetank_websocket::client::Client;
use wavetank_websocket::handshake::{AcceptOptions, ClientRequest, TlsOptions};
use wavetank_websocket::server::Server;
use wavetank_websocket::{CloseCode, OpenError};

use crate::serving::{converse, serve_once};

fn certificate() -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(include_bytes!("../../testdata/certificate.pem")).expect("a certificate")
}

/// Certificates that a client trusts, and a server's options.
fn roots_and_options() -> (RootCertStore, AcceptOptions) {
    let key = PrivateKeyDer::from_pem_slice(include_bytes!("../../testdata/key.pem")).expect("a key");
    let builder = ServerConfig::builder_with_provider(Arc::new(provider::default_provider()));
    let builder = builder.with_safe_default_protocol_versions().expect("versions").with_no_client_auth();
    let server = builder.with_single_cert(vec![certificate()], key).expect("they belong together");
    let mut roots = RootCertStore::empty();
    roots.add(certificate()).expect("a root");
    (roots, AcceptOptions::new().tls(Arc::new(server)))
}

/// What a client asks for, and what its server offers.
#[cfg(feature = "ring")]
pub(crate) fn options() -> (ClientRequest, AcceptOptions) {
    let (roots, options) = roots_and_options();
    let request: ClientRequest = "wss://example.test/".parse().expect("a URL");
    (request.tls(TlsOptions::new().roots(roots)), options)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn our_client_and_our_server_converse_in_tls() {
    let (roots, options) = roots_and_options();
    let (port, serving) = serve_once(Server::new(Tokio).options(options.clone())).await;
    let request = ClientRequest::new(&format!("wss://127.0.0.1:{port}/")).expect("a request");
    let trusting = request.tls(TlsOptions::new().roots(roots.clone()));
    let socket = Client::new(Tokio).connect(trusting).await.expect("a connection");
    converse(&socket).await;
    let closed = socket.close(CloseCode::NORMAL, "done").await;
    assert!(closed.is_clean(), "{closed}");
    assert!(serving.await.expect("no panic").expect("a connection").is_clean());

    // A client that does not trust the certificate says so, and does not try again.
    let (port, serving) = serve_once(Server::new(Tokio).options(options)).await;
    let request = ClientRequest::new(&format!("wss://127.0.0.1:{port}/")).expect("a request");
    let distrusting = request.tls(TlsOptions::new().roots(roots).server_name("elsewhere.test"));
    let error = Client::new(Tokio).connect(distrusting).await.expect_err("another name");
    assert!(matches!(error, OpenError::Tls { .. }) && !error.is_transient(), "{error}");
    assert!(serving.await.expect("no panic").is_err());
}

#[tokio::test(start_paused = true)]
async fn tls_opens_over_streams_that_hold_little() {
    for capacity in [1, 64, 300, 1000] {
        let (roots, options) = roots_and_options();
        let (near, far) = tokio::io::duplex(capacity);
        let request: ClientRequest = "wss://example.test/".parse().expect("a URL");
        let (client, server) = (Client::new(Tokio), Server::new(Tokio).options(options));
        let opening = client.connect_over(near, request.tls(TlsOptions::new().roots(roots)));
        let (client, server) = tokio::join!(opening, server.accept_over(far));
        let (client, server) = (client.expect("a server"), server.expect("a client"));
        client.send("hello").await.expect("is open");
        assert_eq!(server.recv().await, Ok("hello".into()), "{capacity} bytes");
    }
}
