//! Connections whose opening handshake another HTTP stack carries.

use bytes::{Bytes, BytesMut};
use http::header::{
    ALLOW, CONNECTION, CONTENT_TYPE, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS, SEC_WEBSOCKET_PROTOCOL,
    SEC_WEBSOCKET_VERSION, UPGRADE,
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, Version};
use wavetank_runtime::Instant;

use super::accept_options::AcceptOptions;
use super::accepting::Agreed;
use super::head::RequestHead;
use super::opened::Opened;
use super::server_request::Request;
use super::{digest, server_response};
use crate::Config;
use crate::deflate::{Parameters, negotiation};
use crate::error::RequestError;
use crate::protocol::{Connection, Role};
use crate::session::Session;

/// What was agreed on in an opening handshake that another HTTP stack has carried.
///
/// [`WebSocket::from_upgraded`](crate::client::WebSocket::from_upgraded) goes on with its stream in tasks, and the
/// [method of the same name](crate::blocking::WebSocket::from_upgraded) on threads.
///
/// # Defaults
///
/// No compression, no subprotocol, no headers, nothing read beyond the handshake, [`Config::default`].
///
/// ```
/// use wavetank_websocket::handshake::Upgraded;
/// use wavetank_websocket::protocol::Role;
///
/// let upgraded = Upgraded::new(Role::Client).subprotocol("chat.v2").buffered(&b"\x81\x02hi"[..]);
/// ```
#[derive(Debug, Clone)]
pub struct Upgraded {
    pub(crate) role: Role,
    pub(crate) config: Config,
    pub(crate) compression: Option<Parameters>,
    pub(crate) buffered: Bytes,
    pub(crate) opened: Opened,
}

impl Upgraded {
    /// Begins with the defaults, at this end of the connection.
    #[must_use]
    pub fn new(role: Role) -> Self {
        let opened = Opened::Elsewhere { headers: HeaderMap::new(), subprotocol: None, compression: None };
        Self { role, config: Config::default(), compression: None, buffered: Bytes::new(), opened }
    }

    /// Sets limits, timeouts and keepalive of the connection. Of its compression, only level and threshold matter:
    /// the rest is agreed on.
    #[must_use]
    pub fn config(self, config: Config) -> Self {
        Self { config, ..self }
    }

    /// Sets the parameters of permessage-deflate that the handshake has agreed on. They must be those of the wire: a
    /// peer that has agreed on others is failed at its first compressed message.
    #[cfg(feature = "compression")]
    #[must_use]
    pub fn compression(mut self, agreed: Parameters) -> Self {
        if let Opened::Elsewhere { compression, .. } = &mut self.opened {
            *compression = Some(agreed);
        }
        Self { compression: Some(agreed), ..self }
    }

    /// Sets the subprotocol that the handshake has agreed on, for
    /// [`subprotocol`](crate::client::WebSocket::subprotocol).
    #[must_use]
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        if let Opened::Elsewhere { subprotocol, .. } = &mut self.opened {
            *subprotocol = Some(name.into());
        }
        self
    }

    /// Sets the peer's headers in the handshake, for [`headers`](crate::client::WebSocket::headers).
    #[must_use]
    pub fn headers(mut self, peer: HeaderMap) -> Self {
        if let Opened::Elsewhere { headers, .. } = &mut self.opened {
            *headers = peer;
        }
        self
    }

    /// Begins the connection, with `seed` as its entropy.
    pub(crate) fn begin(self, seed: [u8; 32], now: Instant) -> (Session, Opened) {
        let Self { role, config, compression, buffered, opened } = self;
        let mut connection = Connection::new(role, config, compression, seed, now);
        connection.append(&buffered);
        let mut session = Session::new(connection, None, BytesMut::new());
        session.process(now);
        (session, opened)
    }

    /// Sets the bytes that were read from the stream behind the handshake: they belong to the first frames.
    #[must_use]
    pub fn buffered(self, bytes: impl Into<Bytes>) -> Self {
        Self { buffered: bytes.into(), ..self }
    }
}

/// The answer to a request that another HTTP stack has read.
#[derive(Debug)]
pub struct Answered {
    /// The response that accepts the request, `101`. It has no body. After it the stream is the connection's.
    pub response: http::Response<()>,
    /// What to go on with: see [`WebSocket::from_upgraded`](crate::client::WebSocket::from_upgraded).
    pub upgraded: Upgraded,
}

/// The refusal of a request that another HTTP stack has read.
#[derive(Debug)]
pub struct Refusal {
    /// What is wrong with the request.
    pub error: RequestError,
    /// The response that says so, with a text as its body.
    pub response: http::Response<String>,
}

/// Checks a request that another HTTP stack has read (RFC 6455, section 4.2.1), and answers it as
/// [`Server`](crate::server::Server) would: with the first of the server's subprotocols that the client offers, and
/// with compression as `config` has it.
///
/// `is_secure` says whether the request came through TLS ([`Request::is_secure`]). Limits of heads are the other
/// stack's.
///
/// # Errors
///
/// [`Refusal`] if the request is refused: send its response.
pub fn answer<B>(
    request: &http::Request<B>,
    is_secure: bool,
    options: &AcceptOptions,
    config: &Config,
) -> Result<Answered, Box<Refusal>> {
    let (method, version, uri) = (request.method(), request.version(), request.uri());
    answer_parts(method, version, uri, request.headers(), is_secure, options, config)
}

pub(crate) fn answer_parts(
    method: &Method,
    version: Version,
    uri: &Uri,
    headers: &HeaderMap,
    is_secure: bool,
    options: &AcceptOptions,
    config: &Config,
) -> Result<Answered, Box<Refusal>> {
    let head = RequestHead { method: method.clone(), target: target(uri), headers: headers.clone() };
    // 1. "An HTTP/1.1 or higher GET request": HTTP/2 has another handshake (RFC 8441), which is not supported.
    let checked = match version {
        _ if method != Method::GET => Err(RequestError::Method(method.to_string())),
        Version::HTTP_11 => Request::check(head, is_secure),
        _ => Err(RequestError::NoUpgrade),
    };
    let checked = checked.and_then(|request| match options.origins.allow(request.origin.as_deref()) {
        true => Ok(request),
        false => Err(RequestError::Origin(request.origin)),
    });
    match checked {
        Ok(request) => Ok(accept(request, options, config)),
        Err(error) => Err(Box::new(refuse(error))),
    }
}

/// The target of the request line, which some stacks complete to a whole URI.
fn target(uri: &Uri) -> String {
    uri.path_and_query().map_or_else(|| uri.to_string(), |path| path.as_str().to_owned())
}

fn accept(request: Request, options: &AcceptOptions, config: &Config) -> Answered {
    let subprotocol = options.subprotocols.iter().find(|name| request.subprotocols.contains(name)).cloned();
    let chosen = negotiation::wanted(&config.compression)
        .and_then(|wanted| negotiation::choose(wanted, &request.offers));
    let mut response = http::Response::new(());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    insert(headers, SEC_WEBSOCKET_ACCEPT, &digest::accept(request.key.as_bytes()));
    if let Some(name) = &subprotocol {
        insert(headers, SEC_WEBSOCKET_PROTOCOL, name);
    }
    if let Some((_, extensions)) = &chosen {
        insert(headers, SEC_WEBSOCKET_EXTENSIONS, extensions);
    }
    let compression = chosen.map(|(agreed, _)| agreed);
    let opened = Opened::Server(Agreed { request, subprotocol, compression });
    let upgraded = Upgraded { config: config.clone(), compression, opened, ..Upgraded::new(Role::Server) };
    Answered { response, upgraded }
}

fn refuse(error: RequestError) -> Refusal {
    let (status, names_upgrade) = server_response::status_of(&error);
    let mut response = http::Response::new(format!("{error}\n"));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    if names_upgrade {
        headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
        headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    }
    match error {
        RequestError::Method(_) => drop(headers.insert(ALLOW, HeaderValue::from_static("GET"))),
        RequestError::Version(_) => {
            drop(headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13")))
        }
        _ => {}
    }
    Refusal { error, response }
}

/// What the handshake makes of valid input is valid; what the caller has set and no header can carry is left out.
fn insert(headers: &mut HeaderMap, name: http::HeaderName, value: &str) {
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> http::request::Builder {
        http::Request::builder()
            .uri("/chat?room=5")
            .header("Host", "example.com")
            .header("Upgrade", "websocket")
            .header("Connection", "keep-alive, Upgrade")
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==")
    }

    fn answered(request: http::request::Builder) -> Result<Answered, Box<Refusal>> {
        let options = AcceptOptions::new().subprotocols(["b", "a"]);
        answer(&request.body(()).unwrap(), false, &options, &Config::default())
    }

    #[test]
    fn a_request_is_accepted_with_the_agreed_options() {
        let offers = request()
            .header("Sec-WebSocket-Protocol", "a, b")
            .header("Sec-WebSocket-Extensions", "permessage-deflate");
        let Answered { response, upgraded } = answered(offers).unwrap();
        assert_eq!(response.status(), StatusCode::SWITCHING_PROTOCOLS);
        assert_eq!(response.headers()["sec-websocket-accept"], "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
        assert_eq!(response.headers()["sec-websocket-protocol"], "b");
        let compression = cfg!(feature = "compression").then(Parameters::default);
        let extension = response.headers().get("sec-websocket-extensions");
        assert_eq!(extension.map(|value| value.as_bytes()), compression.map(|_| &b"permessage-deflate"[..]));
        assert_eq!(upgraded.compression, compression);
        assert_eq!(upgraded.opened.subprotocol(), Some("b"));
        assert_eq!(upgraded.opened.request().unwrap().query(), Some("room=5"));
    }

    #[test]
    fn other_requests_are_refused() {
        for (request, status) in [
            (request().method("POST"), 405),
            (http::Request::post("/").header("Host", "a"), 405),
            (http::Request::post("/").header("Host", "a").version(Version::HTTP_2), 405),
            (request().header("Content-Length", "1"), 400),
            (request().version(Version::HTTP_2), 426),
            (http::Request::builder().header("Host", "a"), 426),
        ] {
            let refusal = answered(request).unwrap_err();
            assert_eq!(refusal.response.status().as_u16(), status, "{}", refusal.error);
            assert!(!refusal.response.body().is_empty());
            assert_eq!(refusal.response.headers()["content-type"], "text/plain; charset=utf-8");
            assert_eq!(refusal.response.headers().contains_key("upgrade"), status == 426);
            assert_eq!(refusal.response.headers().contains_key("allow"), status == 405);
        }
    }
}
