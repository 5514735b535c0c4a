//! A client's request, as a server reads and checks it (RFC 6455, section 4.2.1).

use http::header::{CONNECTION, CONTENT_LENGTH, HOST, ORIGIN, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL};
use http::header::{SEC_WEBSOCKET_VERSION, TRANSFER_ENCODING, UPGRADE};
use http::{HeaderMap, HeaderName, Method, Uri};

use super::digest;
use super::head::{RequestHead, beginning, has_token, shown, single, tokens};
use super::upgrade::parse_extensions;
use crate::deflate::extensions::{self, Extension};
use crate::error::RequestError;

/// A client's request for a WebSocket. All that RFC 6455 demands of it holds.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Request {
    /// What is asked for.
    pub uri: Uri,
    /// All headers.
    pub headers: HeaderMap,
    /// The subprotocols that the client offers, the most wanted first.
    pub subprotocols: Vec<String>,
    /// The page that the request is from: browsers say so.
    pub origin: Option<String>,
    /// What the client asked for by `Host`.
    pub host: String,
    /// Whether it came through TLS.
    pub is_secure: bool,
    pub(super) key: String,
    /// The extensions that the client offers.
    pub(super) offers: Vec<Extension>,
}

impl Request {
    /// The path that is asked for.
    pub fn path(&self) -> &str {
        self.uri.path()
    }

    /// The query, without question mark.
    pub fn query(&self) -> Option<&str> {
        self.uri.query()
    }

    pub(super) fn check(head: RequestHead, is_secure: bool) -> Result<Self, RequestError> {
        let RequestHead { method, target, headers } = head;
        // 1. "An HTTP/1.1 or higher GET request" (the version is checked with the syntax).
        if method != Method::GET {
            return Err(RequestError::Method(method.to_string()));
        }
        // 3. and 4. Before the version: a request without an upgrade is not for a WebSocket of any version.
        if !has_token(&headers, &UPGRADE, "websocket") || !has_token(&headers, &CONNECTION, "upgrade") {
            return Err(RequestError::NoUpgrade);
        }
        // 6. "A |Sec-WebSocket-Version| header field, with a value of 13."
        let version = single(&headers, &SEC_WEBSOCKET_VERSION).ok().flatten();
        if version.is_none_or(|value| value.as_bytes() != b"13") {
            return Err(RequestError::Version(shown(&headers, &SEC_WEBSOCKET_VERSION)));
        }
        if has_body(&headers) {
            return Err(RequestError::Body);
        }
        // 2. "A |Host| header field containing the server's authority."
        let host = only_text(&headers, &HOST, "Host")?.ok_or(RequestError::Header("Host"))?;
        let origin = only_text(&headers, &ORIGIN, "Origin")?;
        // 5. "... when decoded, is 16 bytes in length."
        let key = only_text(&headers, &SEC_WEBSOCKET_KEY, "Sec-WebSocket-Key")?;
        let key = key.filter(|key| digest::is_key(key.as_bytes()));
        let key = key.ok_or(RequestError::Header("Sec-WebSocket-Key"))?;
        let uri = target.parse::<Uri>().map_err(|_| no_target(&target))?;
        let subprotocols = subprotocols(&headers)?;
        //= https://www.rfc-editor.org/rfc/rfc6455#section-9.1
        //# If a value is received by either the client or the server during negotiation that does not conform
        //# to the ABNF below, the recipient of such malformed data MUST immediately _Fail the WebSocket
        //# Connection_.
        let offers = parse_extensions(&headers)
            .map_err(|extensions::Malformed| RequestError::Header("Sec-WebSocket-Extensions"))?;
        Ok(Self { uri, headers, subprotocols, origin, host, is_secure, key, offers })
    }
}

/// The request is a `GET` of what cannot be asked for.
fn no_target(target: &str) -> RequestError {
    RequestError::NotHttp { beginning: beginning(format!("GET {target}").as_bytes()) }
}

/// Bytes of a body would be read as frames.
fn has_body(headers: &HeaderMap) -> bool {
    let is_empty = headers.get_all(CONTENT_LENGTH).iter().all(|length| length.as_bytes() == b"0");
    headers.contains_key(TRANSFER_ENCODING) || !is_empty
}

fn subprotocols(headers: &HeaderMap) -> Result<Vec<String>, RequestError> {
    tokens(headers, &SEC_WEBSOCKET_PROTOCOL)
        .map(|name| String::from_utf8(name.to_vec()).ok())
        .collect::<Option<_>>()
        .ok_or(RequestError::Header("Sec-WebSocket-Protocol"))
}

fn only_text(
    headers: &HeaderMap,
    name: &HeaderName,
    shown: &'static str,
) -> Result<Option<String>, RequestError> {
    let value = single(headers, name).map_err(|_several| RequestError::Header(shown))?;
    let text = value.map(|value| value.to_str().map(str::to_owned));
    text.transpose().map_err(|_| RequestError::Header(shown))
}
