//! What a client's TLS trusts, and by which name it asks for the server.

use std::fmt;
use std::sync::{Arc, OnceLock};

use rustls::crypto::CryptoProvider;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, RootCertStore};
#[cfg(feature = "platform-verifier")]
use rustls_platform_verifier::BuilderVerifierExt as _;

use super::tls_wire::TlsWire;

/// How a client does TLS.
///
/// Clones share what they made of the settings: tickets of earlier sessions are used again, and the system's
/// certificates are loaded once.
///
/// # Defaults
///
/// Whatever the operating system trusts (feature `platform-verifier`), TLS 1.2 and 1.3 with rustls and ring (feature
/// `ring`, or `aws-lc-rs`), the host of the URL as the server's name.
///
/// # Determinism
///
/// The defaults draw entropy and read the clock inside of rustls. A simulation passes its own
/// [`config`](Self::config), with a provider and a clock of its own.
#[derive(Clone, Default)]
pub struct TlsOptions {
    config: Option<Arc<ClientConfig>>,
    roots: Option<Arc<RootCertStore>>,
    server_name: Option<String>,
    made: Arc<OnceLock<Arc<ClientConfig>>>,
}

impl TlsOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Uses this configuration as it is: versions, provider, clock, verifier, client certificate. The protocol
    /// `http/1.1` is announced (ALPN) unless the configuration announces something itself.
    ///
    /// It goes along when a redirect leads to another origin, and so does a client certificate that it has: any
    /// server that asks for one is shown it. If only one server is to see it, follow no redirects
    /// ([`ClientRequest::redirects_max`](crate::handshake::ClientRequest::redirects_max)).
    pub fn config(self, config: Arc<ClientConfig>) -> Self {
        Self { config: Some(config), ..self }
    }

    /// Trusts these certificates, and no others. Ignored if there is a [`config`](Self::config).
    pub fn roots(self, roots: impl Into<Arc<RootCertStore>>) -> Self {
        Self { roots: Some(roots.into()), made: Arc::default(), ..self }
    }

    /// Asks for the server by this name (SNI), and expects a certificate for it, instead of for the host of the URL.
    ///
    /// The name is one for that URL's origin: after a redirect to another, the host there is asked for by its own.
    pub fn server_name(self, name: impl Into<String>) -> Self {
        Self { server_name: Some(name.into()), ..self }
    }

    /// The same, but for the name, which is the old origin's alone.
    pub(crate) fn for_another_origin(self) -> Self {
        Self { server_name: None, ..self }
    }

    /// Begins a connection to `host`, as a URL gives it (IPv6 without brackets).
    pub(crate) fn connect(&self, host: &str) -> Result<TlsWire, TlsSetupError> {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# Clients MUST use the Server Name Indication extension in the TLS handshake
        let name = self.server_name.as_deref().unwrap_or(host);
        let server =
            ServerName::try_from(name.to_owned()).map_err(|_| TlsSetupError::Name(name.to_owned()))?;
        let config = self.client_config()?;
        let protocols = match &config.alpn_protocols[..] {
            [] => vec![b"http/1.1".to_vec()],
            own => own.to_vec(),
        };
        Ok(TlsWire::new(ClientConnection::new_with_alpn(config, server, protocols)?))
    }

    fn client_config(&self) -> Result<Arc<ClientConfig>, rustls::Error> {
        if let Some(config) = self.config.as_ref().or(self.made.get()) {
            return Ok(Arc::clone(config));
        }
        let builder =
            ClientConfig::builder_with_provider(provider()?).with_safe_default_protocol_versions()?;
        let builder = match &self.roots {
            Some(roots) => builder.with_root_certificates(Arc::clone(roots)),
            #[cfg(feature = "platform-verifier")]
            None => builder.with_platform_verifier()?,
            #[cfg(not(feature = "platform-verifier"))]
            None => {
                let how = "set `TlsOptions::roots`, or build with the feature `platform-verifier`";
                return Err(rustls::Error::General(format!("no certificates are trusted: {how}")));
            }
        };
        let config = Arc::new(builder.with_no_client_auth());
        Ok(Arc::clone(self.made.get_or_init(|| config)))
    }
}

/// The provider of cryptography that this crate is built with, or the one that the process has installed.
pub(crate) fn provider() -> Result<Arc<CryptoProvider>, rustls::Error> {
    #[cfg(feature = "ring")]
    return Ok(Arc::new(rustls::crypto::ring::default_provider()));
    #[cfg(all(feature = "aws-lc-rs", not(feature = "ring")))]
    return Ok(Arc::new(rustls::crypto::aws_lc_rs::default_provider()));
    #[cfg(not(any(feature = "ring", feature = "aws-lc-rs")))]
    CryptoProvider::get_default().map(Arc::clone).ok_or_else(|| {
        let how = "build with the feature `ring` or `aws-lc-rs`, or set `TlsOptions::config`";
        rustls::Error::General(format!("there is no provider of cryptography: {how}"))
    })
}

impl fmt::Debug for TlsOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("TlsOptions")
            .field("config", &self.config.is_some())
            .field("roots", &self.roots)
            .field("server_name", &self.server_name)
            .finish_non_exhaustive()
    }
}

/// Why TLS cannot even begin.
#[derive(Debug)]
pub(crate) enum TlsSetupError {
    /// No certificate can be for this name.
    Name(String),
    /// rustls, or the system's trust, cannot be set up.
    Setup(rustls::Error),
}

impl From<rustls::Error> for TlsSetupError {
    fn from(error: rustls::Error) -> Self {
        Self::Setup(error)
    }
}
