//! Configurations of TLS for tests: [`wavetank::tls`] with the certificate of the websocket crate's tests.
//!
//! The certificate's key is Ed25519, whose signatures need no nonce.

use std::sync::Arc;

use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore, ServerConfig};

/// The host name in the certificate; see `testdata` of the websocket crate.
pub const SERVER_NAME: &str = "example.test";

const CERTIFICATE: &[u8] = include_bytes!("../../crates/websocket/testdata/certificate.pem");
const KEY: &[u8] = include_bytes!("../../crates/websocket/testdata/key.pem");

/// Makes the configuration of a client that trusts the certificate of [`server_config`].
///
/// # Panics
///
/// If the certificate of the tests is broken.
#[must_use]
pub fn client_config() -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate()).expect("the certificate is a trust anchor");
    Arc::new(wavetank::tls::client_config(roots))
}

/// Makes the configuration of a server called [`SERVER_NAME`].
///
/// # Panics
///
/// If the certificate of the tests is broken.
#[must_use]
pub fn server_config() -> Arc<ServerConfig> {
    let key = PrivateKeyDer::from_pem_slice(KEY).expect("the key is PEM");
    let config = wavetank::tls::server_config(vec![certificate()], key);
    Arc::new(config.expect("the key is the certificate's"))
}

fn certificate() -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(CERTIFICATE).expect("the certificate is PEM")
}
