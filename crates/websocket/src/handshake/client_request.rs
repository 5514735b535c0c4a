//! What a client asks for, and how it gets there.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use http::header::{
    AUTHORIZATION, CONNECTION, CONTENT_LENGTH, COOKIE, EXPECT, HOST, ORIGIN, PROXY_AUTHORIZATION,
    SEC_WEBSOCKET_PROTOCOL, TRAILER, TRANSFER_ENCODING, UPGRADE, USER_AGENT,
};
use http::{HeaderMap, HeaderName, HeaderValue};
use url::Url;

use super::head::tokens;
use super::proxy::Proxies;
use super::target::Target;
use crate::OpenError;
use crate::deflate::extensions::is_token_byte;
use crate::session::TlsOptions;

/// What a client asks for: an address, and what goes with the request.
///
/// # Defaults
///
/// No headers but the necessary ones and a `User-Agent`; Basic authentication if the URL has a user; up to 10
/// redirects; no proxy; TLS as [`TlsOptions`] has it; heads of answers of at most 64 KiB, of whose bodies 64 KiB
/// are kept. How long the opening may take is in [`Config::open_timeout`](crate::Config::open_timeout).
///
/// ```
/// use wavetank_websocket::handshake::ClientRequest;
///
/// let request = ClientRequest::new("wss://example.com/chat?room=5")?
///     .header("X-Trace", "17")?
///     .subprotocol("chat.v2")?;
/// # Ok::<_, wavetank_websocket::OpenError>(())
/// ```
#[derive(Clone)]
pub struct ClientRequest {
    pub(super) target: Target,
    pub(super) headers: HeaderMap,
    pub(super) subprotocols: Vec<String>,
    pub(super) proxies: Proxies,
    pub(super) redirects_max: u32,
    pub(super) tls: TlsOptions,
    pub(super) unix_path: Option<PathBuf>,
    pub(super) head_bytes_max: usize,
    pub(super) body_bytes_max: usize,
}

impl ClientRequest {
    /// Asks for `url`: `ws://` or `wss://`, with user and password if the server wants Basic authentication.
    ///
    /// # Errors
    ///
    /// [`OpenError::Url`] if this is not a WebSocket address.
    pub fn new(url: &str) -> Result<Self, OpenError> {
        Target::parse(url).map(Self::with_target)
    }

    fn with_target(target: Target) -> Self {
        let mut headers = HeaderMap::new();
        let agent = concat!("wavetank-websocket/", env!("CARGO_PKG_VERSION"));
        headers.insert(USER_AGENT, HeaderValue::from_static(agent));
        Self {
            target,
            headers,
            subprotocols: Vec::new(),
            proxies: Proxies::none(),
            redirects_max: 10,
            tls: TlsOptions::new(),
            unix_path: None,
            head_bytes_max: 64 * 1024,
            body_bytes_max: 64 * 1024,
        }
    }

    /// Adds a header. `Host`, `Origin` and `User-Agent` replace an earlier value; `Authorization` goes before the
    /// URL's user. `Authorization`, `Cookie` and `Host` do not follow a redirect to another origin.
    ///
    /// # Errors
    ///
    /// [`OpenError::Setup`] if the header is invalid, is set by the handshake itself, or speaks of a body:
    /// `Content-Length`, `Transfer-Encoding`, `Trailer`, `Expect`.
    pub fn header<N, V>(mut self, name: N, value: V) -> Result<Self, OpenError>
    where
        N: TryInto<HeaderName>,
        V: TryInto<HeaderValue>,
    {
        let name = name.try_into().map_err(|_| setup("invalid name of a header"))?;
        let mut value =
            value.try_into().map_err(|_| setup(&format!("invalid value of the header {name}")))?;
        if speaks_of_a_body(&name) {
            return Err(setup(&format!("the request has no body: leave the header {name} out")));
        }
        if name == CONNECTION || name == UPGRADE || name.as_str().starts_with("sec-websocket-") {
            return Err(setup(&format!("the handshake sets the header {name} itself: leave it out")));
        }
        if [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION].contains(&name) {
            value.set_sensitive(true);
        }
        let replaces = [HOST, ORIGIN, USER_AGENT, AUTHORIZATION].contains(&name);
        if replaces {
            self.headers.insert(name, value);
        } else {
            self.headers.append(name, value);
        }
        Ok(self)
    }

    /// Says which page this request is from, as browsers do (RFC 6455, section 10.2).
    ///
    /// # Errors
    ///
    /// [`OpenError::Setup`] if no header can say it.
    pub fn origin(self, origin: &str) -> Result<Self, OpenError> {
        self.header(ORIGIN, origin)
    }

    /// Introduces itself by this `User-Agent`.
    ///
    /// # Errors
    ///
    /// [`OpenError::Setup`] if no header can say it.
    pub fn user_agent(self, agent: &str) -> Result<Self, OpenError> {
        self.header(USER_AGENT, agent)
    }

    /// Asks for another `Host` than the one it connects to.
    ///
    /// # Errors
    ///
    /// [`OpenError::Setup`] if no header can say it.
    pub fn host(self, host: &str) -> Result<Self, OpenError> {
        self.header(HOST, host)
    }

    /// Offers a subprotocol, after those that are offered already.
    ///
    /// # Errors
    ///
    /// [`OpenError::Setup`] if it is not a token, or is offered already (RFC 6455, section 4.1, step 10).
    pub fn subprotocol(mut self, name: &str) -> Result<Self, OpenError> {
        if name.is_empty() || !name.bytes().all(is_token_byte) {
            return Err(setup(&format!(
                "invalid subprotocol {name:?}: it must be a token (RFC 9110, section 5.6.2)"
            )));
        }
        if self.subprotocols.iter().any(|offered| offered == name) {
            return Err(setup(&format!("the subprotocol {name:?} is offered twice")));
        }
        self.subprotocols.push(name.to_owned());
        Ok(self)
    }

    /// Goes through proxies.
    #[cfg(feature = "proxies")]
    pub fn proxies(self, proxies: Proxies) -> Self {
        Self { proxies, ..self }
    }

    /// Follows at most this many redirects. 0: a redirect is a rejection.
    pub fn redirects_max(self, count: u32) -> Self {
        Self { redirects_max: count, ..self }
    }

    /// Does TLS like this. The [name to ask for](TlsOptions::server_name) does not follow a redirect to another
    /// origin; all else does.
    pub fn tls(self, tls: TlsOptions) -> Self {
        Self { tls, ..self }
    }

    /// Connects to a Unix socket, and asks there for the URL. No proxy is used.
    pub fn unix_path(self, path: impl AsRef<Path>) -> Self {
        Self { unix_path: Some(path.as_ref().to_owned()), ..self }
    }

    /// Whether it names a Unix socket.
    pub(crate) const fn is_for_unix(&self) -> bool {
        self.unix_path.is_some()
    }

    /// Takes heads of answers, the server's and the proxy's, of at most this many bytes.
    pub fn head_bytes_max(self, bytes: usize) -> Self {
        Self { head_bytes_max: bytes, ..self }
    }

    /// Keeps at most this many bytes of the body of an answer that refuses.
    pub fn body_bytes_max(self, bytes: usize) -> Self {
        Self { body_bytes_max: bytes, ..self }
    }

    /// What is asked for, without user and password.
    pub fn url(&self) -> &Url {
        self.target.url()
    }

    /// Goes on to where a redirect leads. What is for the old origin alone does not go along: RFC 9110, section 15.4.
    pub(super) fn follow(&mut self, target: Target) {
        if !target.has_origin_of(&self.target) {
            for name in [AUTHORIZATION, COOKIE, PROXY_AUTHORIZATION, HOST] {
                self.headers.remove(name);
            }
            self.tls = std::mem::take(&mut self.tls).for_another_origin();
        } else if target.credentials().is_none() {
            self.target = target.with_credentials_of(&self.target);
            return;
        }
        self.target = target;
    }
}

/// Whether a server would wait for a body because of this header, or for one that it refers to.
fn speaks_of_a_body(name: &HeaderName) -> bool {
    [CONTENT_LENGTH, TRANSFER_ENCODING, TRAILER, EXPECT].contains(name)
}

fn setup(reason: &str) -> OpenError {
    OpenError::Setup(reason.to_owned())
}

impl fmt::Debug for ClientRequest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("ClientRequest")
            .field("url", &self.target.url().as_str())
            .field("headers", &self.headers)
            .field("subprotocols", &self.subprotocols)
            .field("proxies", &self.proxies)
            .field("unix_path", &self.unix_path)
            .finish_non_exhaustive()
    }
}

impl FromStr for ClientRequest {
    type Err = OpenError;

    fn from_str(url: &str) -> Result<Self, OpenError> {
        Self::new(url)
    }
}

impl TryFrom<&str> for ClientRequest {
    type Error = OpenError;

    fn try_from(url: &str) -> Result<Self, OpenError> {
        Self::new(url)
    }
}

impl TryFrom<String> for ClientRequest {
    type Error = OpenError;

    fn try_from(url: String) -> Result<Self, OpenError> {
        Self::new(&url)
    }
}

impl TryFrom<Url> for ClientRequest {
    type Error = OpenError;

    fn try_from(url: Url) -> Result<Self, OpenError> {
        Target::from_url(url).map(Self::with_target)
    }
}

impl<B> TryFrom<http::Request<B>> for ClientRequest {
    type Error = OpenError;

    /// Takes address and headers of a request, as other WebSocket clients take it. What the handshake itself says is
    /// left out: `Upgrade`, `Connection` and `Sec-WebSocket-…`, except `Sec-WebSocket-Protocol`, whose subprotocols
    /// are offered. The body is not sent, and neither is what speaks of it: `Content-Length`, `Transfer-Encoding`,
    /// `Trailer` and `Expect`.
    fn try_from(request: http::Request<B>) -> Result<Self, OpenError> {
        let mut asked = Self::new(&request.uri().to_string())?;
        for (name, value) in request.headers() {
            let is_own = name == CONNECTION || name == UPGRADE || name.as_str().starts_with("sec-websocket-");
            if !is_own && !speaks_of_a_body(name) {
                asked = asked.header(name, value)?;
            }
        }
        for name in tokens(request.headers(), &SEC_WEBSOCKET_PROTOCOL) {
            asked = asked.subprotocol(&String::from_utf8_lossy(name))?;
        }
        Ok(asked)
    }
}
