//! What a server accepts.

use std::fmt;
use std::sync::Arc;

use rustls::ServerConfig;

/// What a server accepts. How long it takes for it is in [`Config::open_timeout`](crate::Config::open_timeout).
///
/// # Defaults
///
/// No TLS, any origin, no subprotocols, heads of at most 64 KiB.
#[derive(Clone, Default)]
pub struct AcceptOptions {
    pub(super) tls: Option<Arc<ServerConfig>>,
    pub(super) origins: Origins,
    pub(super) subprotocols: Vec<String>,
    pub(super) head_bytes_max: Option<usize>,
}

/// From which pages browsers may connect (RFC 6455, section 10.2).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Origins {
    /// From any, or the application looks at [`Request::origin`](super::Request::origin) itself.
    #[default]
    Any,
    /// From these alone, as browsers write them (`https://example.com`; case does not matter), and by clients that
    /// are not browsers and send no origin.
    Listed(Vec<String>),
    /// From these alone; a client without an `Origin` may not connect.
    ListedOnly(Vec<String>),
}

impl Origins {
    pub(super) fn allow(&self, origin: Option<&str>) -> bool {
        let is_in = |list: &[String]| {
            origin.is_some_and(|origin| list.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin)))
        };
        match self {
            Self::Any => true,
            Self::Listed(list) => origin.is_none() || is_in(list),
            Self::ListedOnly(list) => is_in(list),
        }
    }
}

impl AcceptOptions {
    /// The defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Speaks TLS, as `config` has it. Its application protocols (ALPN), if it has any, must include `http/1.1`.
    pub fn tls(self, config: Arc<ServerConfig>) -> Self {
        Self { tls: Some(config), ..self }
    }

    /// Lets pages of these origins connect. Others are answered by 403.
    pub fn origins(self, origins: Origins) -> Self {
        Self { origins, ..self }
    }

    /// Speaks these subprotocols, the most wanted first; see [`Accepting::accept`](super::Accepting::accept).
    pub fn subprotocols<S: Into<String>>(self, names: impl IntoIterator<Item = S>) -> Self {
        Self { subprotocols: names.into_iter().map(Into::into).collect(), ..self }
    }

    /// Takes heads of at most this many bytes. Longer ones are answered by 431.
    pub fn head_bytes_max(self, bytes: usize) -> Self {
        Self { head_bytes_max: Some(bytes), ..self }
    }

    pub(super) fn head_limit(&self) -> usize {
        self.head_bytes_max.unwrap_or(64 * 1024)
    }
}

impl fmt::Debug for AcceptOptions {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("AcceptOptions")
            .field("tls", &self.tls.is_some())
            .field("origins", &self.origins)
            .field("subprotocols", &self.subprotocols)
            .field("head_bytes_max", &self.head_limit())
            .finish()
    }
}
