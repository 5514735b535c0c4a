//! Deterministic TLS: a crypto provider for rustls that takes all entropy from the simulator.
//!
//! With ring, three things in rustls do not follow the seed: what rustls draws itself (`secure_random`), the secrets of
//! key exchanges, which ring draws without asking rustls, and the clock. [`client_config`] and [`server_config`]
//! replace them. The certificate's key is Ed25519, whose signatures need no nonce; with ECDSA every handshake would
//! differ. Sessions are not resumed, because a ticket cache would carry state from one run into the next.
//!
//! # Invariants
//!
//! - Entropy comes only from the thread-local source that this run set with [`draw_from`]. The source is thread-local
//!   because rustls' hooks are statics and each run has an OS thread of its own. Without a source, handshakes fail.
//! - Only TLS 1.3 with X25519.
//!
//! # Not here
//!
//! Secrecy. The key of the certificate is public, and so is the seed.

use std::cell::RefCell;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::crypto::{
    ActiveKeyExchange, CryptoProvider, GetRandomFailed, SecureRandom, SharedSecret, SupportedKxGroup, ring,
};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::time_provider::TimeProvider;
use rustls::{ClientConfig, NamedGroup, PeerMisbehaved, RootCertStore, ServerConfig};
use x25519_dalek::{PublicKey, StaticSecret};

/// The host name in the certificate; see `testdata` of the websocket crate.
pub const SERVER_NAME: &str = "example.test";

const CERTIFICATE: &[u8] = include_bytes!("../../crates/websocket/testdata/certificate.pem");
const KEY: &[u8] = include_bytes!("../../crates/websocket/testdata/key.pem");

/// Fills a buffer with entropy.
type Source = Box<dyn Fn(&mut [u8])>;

thread_local! {
    static SOURCE: RefCell<Option<Source>> = const { RefCell::new(None) };
}

/// Takes all entropy of TLS on this OS thread from `source`: a host's `fill_random`. Every run must call this, because
/// a host of an earlier run panics.
pub fn draw_from(source: impl Fn(&mut [u8]) + 'static) {
    SOURCE.with_borrow_mut(|slot| *slot = Some(Box::new(source)));
}

/// Makes the configuration of a client that trusts the certificate of [`server_config`].
///
/// # Panics
///
/// If the certificate of the tests is broken.
#[must_use]
pub fn client_config() -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(certificate()).expect("the certificate is a trust anchor");
    let builder = ClientConfig::builder_with_details(Arc::new(provider()), Arc::new(FixedTime));
    let builder =
        builder.with_protocol_versions(&[&rustls::version::TLS13]).expect("the provider has TLS 1.3");
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.resumption = Resumption::disabled();
    Arc::new(config)
}

/// Makes the configuration of a server called [`SERVER_NAME`].
///
/// # Panics
///
/// If the certificate of the tests is broken.
#[must_use]
pub fn server_config() -> Arc<ServerConfig> {
    let key = PrivateKeyDer::from_pem_slice(KEY).expect("the key is PEM");
    let builder = ServerConfig::builder_with_details(Arc::new(provider()), Arc::new(FixedTime));
    let builder =
        builder.with_protocol_versions(&[&rustls::version::TLS13]).expect("the provider has TLS 1.3");
    let mut config = builder
        .with_no_client_auth()
        .with_single_cert(vec![certificate()], key)
        .expect("the key is the certificate's");
    config.send_tls13_tickets = 0;
    Arc::new(config)
}

fn certificate() -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(CERTIFICATE).expect("the certificate is PEM")
}

/// Returns the provider of ring with these sources of entropy.
fn provider() -> CryptoProvider {
    CryptoProvider { kx_groups: vec![&X25519], secure_random: &Drawn, ..ring::default_provider() }
}

/// The entropy that rustls draws itself: randoms and session ids of its hellos.
#[derive(Debug)]
struct Drawn;

impl SecureRandom for Drawn {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), GetRandomFailed> {
        SOURCE.with_borrow(|source| match source {
            Some(source) => {
                source(buffer);
                Ok(())
            }
            None => Err(GetRandomFailed),
        })
    }
}

/// The time of the realtime clock at the beginning of every run: 2024-01-01T00:00:00Z.
#[derive(Debug)]
struct FixedTime;

impl TimeProvider for FixedTime {
    fn current_time(&self) -> Option<UnixTime> {
        Some(UnixTime::since_unix_epoch(Duration::from_secs(1_704_067_200)))
    }
}

/// Diffie-Hellman on Curve25519 (RFC 7748), with secrets from the source.
#[derive(Debug)]
struct X25519;

impl SupportedKxGroup for X25519 {
    fn start(&self) -> Result<Box<dyn ActiveKeyExchange>, rustls::Error> {
        let mut secret = [0; 32];
        Drawn.fill(&mut secret)?;
        let secret = StaticSecret::from(secret);
        let public = PublicKey::from(&secret);
        Ok(Box::new(Exchange { secret, public }))
    }

    fn name(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

/// A key exchange that has sent its public key.
struct Exchange {
    secret: StaticSecret,
    public: PublicKey,
}

impl ActiveKeyExchange for Exchange {
    fn complete(self: Box<Self>, peer: &[u8]) -> Result<SharedSecret, rustls::Error> {
        let peer = <[u8; 32]>::try_from(peer).map_err(|_| PeerMisbehaved::InvalidKeyShare)?;
        let shared = self.secret.diffie_hellman(&PublicKey::from(peer));
        // RFC 8446, section 7.4.2: a result of all zeros ends the handshake.
        if !shared.was_contributory() {
            return Err(PeerMisbehaved::InvalidKeyShare.into());
        }
        Ok(shared.as_bytes()[..].into())
    }

    fn pub_key(&self) -> &[u8] {
        self.public.as_bytes()
    }

    fn group(&self) -> NamedGroup {
        NamedGroup::X25519
    }
}

impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").finish_non_exhaustive()
    }
}
