//! TLS that follows the seed: a provider of cryptography for rustls, and configurations that use it.
//!
//! With the providers of rustls, a handshake in a simulation may differ from run to run. The randoms of hellos, the
//! session ids, the secrets of key exchanges and the clock all come from the system. On Linux the simulator answers
//! those system calls, which is enough for ring. aws-lc-rs draws from the processor as well. On other systems the
//! simulator answers none. With this module, entropy comes from the running simulated host,
//! and time is virtual, on every system.
//!
//! Three more things make handshakes differ. The functions here avoid them:
//!
//! - **Resumed sessions.** A configuration in a `static` keeps tickets, so the second run of a process resumes
//!   sessions of the first. [`client_config`] and [`server_config`] do not resume.
//! - **Signatures with a nonce.** ECDSA draws a nonce for each signature, and the length of the signature depends on
//!   it. The server's flight then has another length in each handshake (526 to 529 bytes with P-256). Use an Ed25519
//!   key, whose signatures draw nothing.
//! - **Rotating ticket keys**, which follow real time.
//!
//! The feature `rustls` turns this module on.
//!
//! # Example: a client and a server over TLS
//!
//! With `tokio-rustls`, whose streams take those of a simulated host:
//!
//! ```no_run
//! # use std::sync::Arc;
//! # fn configurations(
//! #     certificate: rustls::pki_types::CertificateDer<'static>,
//! #     key: rustls::pki_types::PrivateKeyDer<'static>,
//! # ) -> Result<(), rustls::Error> {
//! let server = Arc::new(wavetank::tls::server_config(vec![certificate.clone()], key)?);
//! let mut roots = rustls::RootCertStore::empty();
//! roots.add(certificate)?;
//! let client = Arc::new(wavetank::tls::client_config(roots));
//! // On the server:  tokio_rustls::TlsAcceptor::from(server).accept(stream).await?
//! // On the client:  tokio_rustls::TlsConnector::from(client).connect(name, stream).await?
//! # let _ = (server, client);
//! # Ok(())
//! # }
//! ```
//!
//! # Not here
//!
//! Secrecy: the seed determines all keys. Outside of a run, the system's entropy and clock are used.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use rustls::client::Resumption;
use rustls::crypto::{
    ActiveKeyExchange, CryptoProvider, GetRandomFailed, SecureRandom, SharedSecret, SupportedKxGroup, ring,
};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::time_provider::{DefaultTimeProvider, TimeProvider};
use rustls::{ClientConfig, NamedGroup, PeerMisbehaved, RootCertStore, ServerConfig};
use x25519_dalek::{PublicKey, StaticSecret};

use crate::host::Host;
use crate::interpose::EPOCH_SECONDS;
use crate::world::context;

/// Makes the configuration of a client that trusts `roots`: TLS 1.3 with X25519, without resumption and without a
/// certificate of its own.
///
/// # Determinism
///
/// Entropy and time are those of the running simulated host.
#[must_use]
#[expect(clippy::missing_panics_doc, reason = "the provider has the version that is asked for")]
pub fn client_config(roots: RootCertStore) -> ClientConfig {
    let builder = ClientConfig::builder_with_details(Arc::new(provider()), time_provider());
    let builder =
        builder.with_protocol_versions(&[&rustls::version::TLS13]).expect("the provider has TLS 1.3");
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.resumption = Resumption::disabled();
    config
}

/// Makes the configuration of a server with this certificate: TLS 1.3 with X25519, without resumption. `key` should be
/// an Ed25519 key (see the module).
///
/// # Errors
///
/// If the key is not the certificate's, or its kind is unknown.
///
/// # Determinism
///
/// Entropy and time are those of the running simulated host.
#[expect(clippy::missing_panics_doc, reason = "the provider has the version that is asked for")]
pub fn server_config(
    chain: Vec<CertificateDer<'static>>,
    key: PrivateKeyDer<'static>,
) -> Result<ServerConfig, rustls::Error> {
    let builder = ServerConfig::builder_with_details(Arc::new(provider()), time_provider());
    let builder =
        builder.with_protocol_versions(&[&rustls::version::TLS13]).expect("the provider has TLS 1.3");
    let mut config = builder.with_no_client_auth().with_single_cert(chain, key)?;
    config.send_tls13_tickets = 0;
    Ok(config)
}

/// Returns ring's provider with the entropy of the running simulated host, and X25519 as the only key exchange.
///
/// # Determinism
///
/// Everything but signatures of ECDSA and RSA, which draw from the system.
#[must_use]
pub fn provider() -> CryptoProvider {
    CryptoProvider { kx_groups: vec![&X25519], secure_random: &Drawn, ..ring::default_provider() }
}

/// Returns the virtual clock of the run, as the realtime clock shows it.
#[must_use]
pub fn time_provider() -> Arc<dyn TimeProvider> {
    Arc::new(VirtualTime)
}

/// The entropy of the running host.
#[derive(Debug)]
struct Drawn;

impl SecureRandom for Drawn {
    fn fill(&self, buffer: &mut [u8]) -> Result<(), GetRandomFailed> {
        let running = context::current().and_then(|run| Some((run.number, run.scheduler.running_host()?)));
        match running {
            Some((run, host)) => {
                let host: Host = Host::new(run, host);
                host.fill(buffer);
                Ok(())
            }
            // Outside of a run, or in a task that tokio runs by itself. There libc's entropy comes from the seed.
            None => ring::default_provider().secure_random.fill(buffer),
        }
    }
}

#[derive(Debug)]
struct VirtualTime;

impl TimeProvider for VirtualTime {
    fn current_time(&self) -> Option<UnixTime> {
        match context::current() {
            Some(run) => {
                let since = Duration::from_secs(EPOCH_SECONDS) + Duration::from_nanos(run.scheduler.now());
                Some(UnixTime::since_unix_epoch(since))
            }
            None => DefaultTimeProvider.current_time(),
        }
    }
}

/// Diffie-Hellman on Curve25519 (RFC 7748), with secrets from [`Drawn`].
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
