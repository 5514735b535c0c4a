//! Failures of openings: where an opening failed, whose fault it was, and what to do.

use std::fmt;
use std::io;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use url::Url;

use crate::deflate::NegotiationError;
use crate::fault::Fault;

/// How far an opening was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Stage {
    /// The transport was being connected.
    Connect,
    /// The proxy was being asked.
    Proxy,
    /// TLS was being agreed on.
    Tls,
    /// The WebSocket handshake (RFC 6455, section 4) was under way.
    Handshake,
}

impl fmt::Display for Stage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Connect => "connecting",
            Self::Proxy => "the request to the proxy",
            Self::Tls => "the TLS handshake",
            Self::Handshake => "the WebSocket handshake",
        })
    }
}

/// The failure of an opening. It leaves nothing open.
///
/// [`peer`](Self::peer) says with which peer, [`fault`](Self::fault) whose fault it is, and
/// [`is_transient`](Self::is_transient) whether it may be tried again as it is. No text of these shows a user or
/// password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The caller's: this is not a WebSocket address. Give another one.
    #[error("invalid address {url:?}: {reason}")]
    Url {
        /// The address, without password.
        url: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// The caller's: the request, or the answer to one, cannot be made with these settings.
    #[error("the opening cannot be set up: {0}")]
    Setup(String),
    /// The transport did not connect: the network's fault. May be tried again.
    #[error("connecting to {endpoint} failed: {error}")]
    Connect {
        /// Where to.
        endpoint: String,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// The transport failed on the way: the network's fault, or the proxy's while that was asked. May be tried again.
    #[error("the transport to {peer} failed during {stage}: {error}")]
    Io {
        /// How far the opening was.
        stage: Stage,
        /// The peer that it was under way with: see [`peer`](OpenError::peer).
        peer: String,
        /// Why.
        #[source]
        error: io::Error,
    },
    /// The transport ended on the way, before an answer: the network's fault, or the proxy's while that was asked.
    /// May be tried again.
    #[error("the transport to {peer} ended during {stage}")]
    Ended {
        /// How far the opening was.
        stage: Stage,
        /// The peer that it was under way with: see [`peer`](OpenError::peer).
        peer: String,
    },
    /// The opening took longer than its timeout: the network's fault, or the proxy's while that was asked. May be
    /// tried again.
    #[error("the opening with {peer} timed out during {stage}")]
    TimedOut {
        /// How far it was.
        stage: Stage,
        /// The peer that it was under way with: see [`peer`](OpenError::peer).
        peer: String,
    },
    /// The proxy's: it did not connect us. May be tried again if it says that it is overloaded, or that the network
    /// failed.
    #[error("the proxy {proxy} did not connect to {target}: {error}")]
    Proxy {
        /// The proxy: host and port.
        proxy: String,
        /// What it was asked for: host and port.
        target: String,
        /// What it said.
        #[source]
        error: ProxyError,
    },
    /// The peer's: TLS failed, by a certificate that is not trusted, no common version, or a violation. Check the roots
    /// ([`TlsOptions::roots`](crate::session::TlsOptions::roots)) and the name before trying again.
    #[error("TLS with {peer} failed: {error}")]
    Tls {
        /// The peer.
        peer: String,
        /// Why.
        #[source]
        error: rustls::Error,
    },
    /// The server answered, but did not accept. Its status says what to do: 4xx is the caller's fault, any other
    /// the server's; after 429, 500, 502, 503 and 504 it may be tried again.
    #[error("{} was refused with status {}", .0.url, .0.status)]
    Rejected(Box<Rejection>),
    /// The server's: it sent us elsewhere, and we do not go there.
    #[error("the redirect of {url} to {location:?} is not followed: {error}")]
    Redirect {
        /// Where from, without user and password.
        url: Box<Url>,
        /// Where to, as the server said it, but without user and password.
        location: String,
        /// Why not.
        #[source]
        error: RedirectError,
    },
    /// The server's: its answer is not a valid acceptance. Trying again will not help until it is fixed.
    #[error("{peer} broke the WebSocket handshake: {error}")]
    Handshake {
        /// The server: see [`peer`](OpenError::peer).
        peer: String,
        /// How.
        #[source]
        error: HandshakeError,
    },
    /// The client's (seen from a server): its request is invalid. It was answered with an error status.
    #[error("the client broke the WebSocket handshake: {0}")]
    Request(#[source] RequestError),
    /// The server's application (seen from that server) refused the request, with this status.
    #[error("the request was refused with status {0}")]
    Refused(StatusCode),
    /// The caller's: another thread stopped the opening (`blocking::Stopper`).
    #[error("the opening was stopped by another thread")]
    Stopped,
}

impl OpenError {
    /// Returns whose fault it is.
    #[must_use]
    pub fn fault(&self) -> Fault {
        match self {
            Self::Url { .. } | Self::Setup(_) | Self::Refused(_) | Self::Stopped => Fault::Caller,
            Self::Proxy { .. }
            | Self::Io { stage: Stage::Proxy, .. }
            | Self::Ended { stage: Stage::Proxy, .. }
            | Self::TimedOut { stage: Stage::Proxy, .. } => Fault::Proxy,
            Self::Connect { .. } | Self::Io { .. } | Self::Ended { .. } | Self::TimedOut { .. } => {
                Fault::Network
            }
            Self::Rejected(rejection) if rejection.status.is_client_error() => Fault::Caller,
            Self::Tls { .. }
            | Self::Rejected(_)
            | Self::Redirect { .. }
            | Self::Handshake { .. }
            | Self::Request(_) => Fault::Peer,
        }
    }

    /// Returns the peer of the opening at the time of the failure, if there was one: the server, or the
    /// proxy that was connected to or asked, as host and port (IPv6 in brackets); the path of a Unix socket; on the
    /// accept side, `the client`.
    #[must_use]
    pub fn peer(&self) -> Option<String> {
        match self {
            Self::Connect { endpoint: peer, .. }
            | Self::Io { peer, .. }
            | Self::Ended { peer, .. }
            | Self::TimedOut { peer, .. }
            | Self::Proxy { proxy: peer, .. }
            | Self::Tls { peer, .. }
            | Self::Handshake { peer, .. } => Some(peer.clone()),
            Self::Rejected(rejection) => Some(authority(&rejection.url)),
            Self::Redirect { url, .. } => Some(authority(url)),
            Self::Request(_) | Self::Refused(_) => Some(CLIENT.to_owned()),
            Self::Url { .. } | Self::Setup(_) | Self::Stopped => None,
        }
    }

    /// Returns whether the same request may well succeed later: the network failed, or the server said that it is
    /// overloaded or broken for now (429, 500, 502, 503, 504; of a proxy the same, and SOCKS5's network failures).
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Connect { .. } | Self::Io { .. } | Self::Ended { .. } | Self::TimedOut { .. } => true,
            Self::Rejected(rejection) => is_transient_status(rejection.status),
            Self::Proxy { error: ProxyError::Status { status, .. }, .. } => is_transient_status(*status),
            Self::Proxy { error: ProxyError::Socks(code), .. } => matches!(code, 1 | 3..=6),
            _ => false,
        }
    }
}

/// The name of the accept side's peer: that side is given a stream, and knows no address.
pub(crate) const CLIENT: &str = "the client";

/// Host and port, as errors name them.
pub(crate) fn authority(url: &Url) -> String {
    let default_port = if url.scheme() == "wss" { 443 } else { 80 };
    format!("{}:{}", url.host_str().unwrap_or_default(), url.port().unwrap_or(default_port))
}

fn is_transient_status(status: StatusCode) -> bool {
    matches!(status.as_u16(), 429 | 500 | 502 | 503 | 504)
}

/// An answer of a server other than `101 Switching Protocols`.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Rejection {
    /// What was asked for, at the end of all redirects; without user and password.
    pub url: Url,
    /// Its status.
    pub status: StatusCode,
    /// Its headers.
    pub headers: HeaderMap,
    /// Its body, or the beginning of it.
    pub body: Bytes,
    /// Whether all of the body is there: it was not longer than the limit, did not break off, and came within 1 s of
    /// the head.
    pub complete: bool,
}

/// How a server's `101` is invalid (RFC 6455, section 4.1, "Once the client's opening handshake has been
/// sent"), or not HTTP at all.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// The answer is not HTTP/1: another protocol is spoken there. Known from the first bytes, and not waited for any
    /// longer.
    #[error("the answer is not HTTP/1.1: it begins with \"{beginning}\"{hint}", hint = hint(beginning))]
    NotHttp {
        /// The first bytes, at most 32. Bytes that are not printable ASCII are escaped as in Rust's literals.
        beginning: String,
    },
    /// The head of the answer is longer than the limit.
    #[error("the head of the answer is longer than {limit_bytes} bytes, or has too many headers")]
    HeadTooLarge {
        /// The limit.
        limit_bytes: usize,
    },
    /// `Upgrade` is missing, or is not `websocket`.
    #[error("{found} (RFC 6455, section 4.1, step 2)", found = header("Upgrade", .0, "not websocket"))]
    Upgrade(Option<String>),
    /// `Connection` is missing, or has no token `Upgrade`.
    #[error(
        "{found} (RFC 6455, section 4.1, step 3)",
        found = header("Connection", .0, "and has no token Upgrade")
    )]
    Connection(Option<String>),
    /// `Sec-WebSocket-Accept` is missing, repeated, or not the digest of our key: something answered that did not
    /// understand.
    #[error(
        "{found} (RFC 6455, section 4.1, step 4)",
        found = header("Sec-WebSocket-Accept", .0, "not the digest of our key")
    )]
    Accept(Option<String>),
    /// An extension was chosen that we did not offer, or with parameters that cannot be.
    #[error(
        "the header Sec-WebSocket-Extensions: {0} (RFC 6455, section 4.1, step 5; RFC 7692, section 7.1)"
    )]
    Extensions(#[source] NegotiationError),
    /// A subprotocol was chosen that we did not offer, or several.
    #[error("the subprotocol {0:?} was chosen, which was not offered (RFC 6455, section 4.1, step 6)")]
    Subprotocol(String),
}

/// What is wrong with a client's request (RFC 6455, section 4.2.1).
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RequestError {
    /// The request is not HTTP/1.1, perhaps another protocol. Known from the first bytes. Answered by 400.
    #[error("the request is not HTTP/1.1: it begins with \"{beginning}\"{hint}", hint = hint(beginning))]
    NotHttp {
        /// The first bytes, at most 32. Bytes that are not printable ASCII are escaped as in Rust's literals.
        beginning: String,
    },
    /// The head is longer than the limit. Answered by 431.
    #[error("the head of the request is longer than {limit_bytes} bytes, or has too many headers")]
    HeadTooLarge {
        /// The limit.
        limit_bytes: usize,
    },
    /// The method is not `GET`. Answered by 405.
    #[error("the method is {0}, not GET")]
    Method(String),
    /// The request is plain HTTP: it does not ask for an upgrade to `websocket`. Answered by 426.
    #[error("the request does not ask for an upgrade to websocket")]
    NoUpgrade,
    /// The version is not 13. Answered by 426 and the version that is spoken (section 4.4).
    #[error("{found}", found = header("Sec-WebSocket-Version", .0, "not 13"))]
    Version(Option<String>),
    /// A header is missing, repeated, or has a value that it cannot have. Answered by 400.
    #[error("the header {0} is missing, repeated or malformed")]
    Header(&'static str),
    /// The request has a body. Answered by 400: it would be read as frames.
    #[error("the request has a body")]
    Body,
    /// The page's origin is not among those that may connect (section 10.2). Answered by 403.
    #[error("{client} may not connect", client = origin(.0))]
    Origin(Option<String>),
}

/// What a header was, and what is wrong with that; or that there is none.
fn header(name: &str, value: &Option<String>, judgement: &str) -> String {
    match value {
        Some(value) => format!("the header {name} is {value:?}, {judgement}"),
        None => format!("the header {name} is missing"),
    }
}

fn origin(origin: &Option<String>) -> String {
    match origin {
        Some(origin) => format!("the origin {origin:?}"),
        None => "a client without an Origin".to_owned(),
    }
}

/// What a proxy said instead of connecting.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// An HTTP proxy answered by this status. 407: it wants credentials, or others, and its header
    /// `Proxy-Authenticate` says which.
    #[error("it answered with status {status}")]
    Status {
        /// The status.
        status: StatusCode,
        /// All headers of the answer.
        headers: Box<HeaderMap>,
    },
    /// A SOCKS5 proxy answered by this code (RFC 1928, section 6).
    #[error("it answered with code {0} ({text})", text = socks_text(*.0))]
    Socks(u8),
    /// A SOCKS5 proxy wants another way of authentication, or credentials.
    #[error("it accepts no authentication method that is offered: check user and password")]
    NoAcceptableMethod,
    /// A SOCKS5 proxy did not take the user and password.
    #[error("it rejected the user and password")]
    Credentials,
    /// What it sent is not its protocol. Known from the first bytes.
    #[error("its answer is not of the proxy protocol: it begins with \"{beginning}\"{hint}", hint = hint(beginning))]
    Malformed {
        /// The first bytes, at most 32. Bytes that are not printable ASCII are escaped as in Rust's literals.
        beginning: String,
    },
    /// The head of its answer is longer than the limit.
    #[error("the head of its answer is too long")]
    HeadTooLarge,
}

/// Names the protocol of `beginning`, if it is known: records of TLS, whose first bytes are 20 to 23 and 3 (RFC 8446,
/// section 5.1).
fn hint(beginning: &str) -> &'static str {
    let in_tls = ["\\x14\\x03", "\\x15\\x03", "\\x16\\x03", "\\x17\\x03"];
    if in_tls.iter().any(|record| beginning.starts_with(record)) { " (this is TLS)" } else { "" }
}

fn socks_text(code: u8) -> &'static str {
    match code {
        1 => "general failure",
        2 => "not allowed by its rules",
        3 => "network unreachable",
        4 => "host unreachable",
        5 => "connection refused",
        6 => "time to live expired",
        7 => "command not supported",
        8 => "address type not supported",
        _ => "unassigned",
    }
}

/// Why a redirect is not followed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RedirectError {
    /// There were as many as are allowed.
    #[error("there were {0} redirects already")]
    TooMany(u32),
    /// It leads from TLS to none.
    #[error("it leads from wss to ws")]
    Downgrade,
    /// Its location is missing, or not a WebSocket address, for this reason.
    #[error("its location is not a WebSocket address: {0}")]
    Location(&'static str),
    /// It leads away from the Unix socket, or the stream, that was given.
    #[error("it leads away from the transport that was given")]
    OtherTransport,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_headers_are_reported_as_missing() {
        let upgrade = HandshakeError::Upgrade;
        assert_eq!(
            upgrade(None).to_string(),
            "the header Upgrade is missing (RFC 6455, section 4.1, step 2)"
        );
        assert_eq!(
            upgrade(Some("h2c".to_owned())).to_string(),
            "the header Upgrade is \"h2c\", not websocket (RFC 6455, section 4.1, step 2)"
        );
        let texts = |value: Option<&str>| {
            let value = || value.map(str::to_owned);
            let answers = [HandshakeError::Connection(value()), HandshakeError::Accept(value())];
            let requests = [RequestError::Version(value()), RequestError::Origin(value())];
            answers.iter().map(ToString::to_string).chain(requests.iter().map(ToString::to_string)).collect()
        };
        let missing: Vec<_> = texts(None);
        assert_eq!(
            missing,
            [
                "the header Connection is missing (RFC 6455, section 4.1, step 3)",
                "the header Sec-WebSocket-Accept is missing (RFC 6455, section 4.1, step 4)",
                "the header Sec-WebSocket-Version is missing",
                "a client without an Origin may not connect",
            ]
        );
        assert_eq!(
            texts(Some("x")),
            [
                "the header Connection is \"x\", and has no token Upgrade (RFC 6455, section 4.1, step 3)",
                "the header Sec-WebSocket-Accept is \"x\", not the digest of our key (RFC 6455, section 4.1, step 4)",
                "the header Sec-WebSocket-Version is \"x\", not 13",
                "the origin \"x\" may not connect",
            ]
        );
    }
}
