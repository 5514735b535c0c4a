//! A server's answers (RFC 6455, sections 4.2.2 and 4.4).

use bytes::BytesMut;
use http::{HeaderMap, StatusCode};

use super::digest;
use super::header_case::write_headers;
use crate::error::RequestError;

/// The acceptance: `101 Switching Protocols`.
pub(super) fn accept(
    key: &str,
    subprotocol: Option<&str>,
    extensions: Option<&str>,
    headers: &HeaderMap,
) -> BytesMut {
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
    //# If the server chooses to accept the incoming connection, it MUST reply with a valid HTTP response
    //# indicating the following.
    let accept = digest::accept(key.as_bytes());
    let mut text = format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n"
    );
    if let Some(name) = subprotocol {
        text.push_str(&format!("Sec-WebSocket-Protocol: {name}\r\n"));
    }
    if let Some(extensions) = extensions {
        text.push_str(&format!("Sec-WebSocket-Extensions: {extensions}\r\n"));
    }
    let mut output = text.into_bytes();
    write_headers(&mut output, headers);
    output.extend_from_slice(b"\r\n");
    BytesMut::from(&output[..])
}

/// A refusal, after which the transport is closed.
pub(super) fn refuse(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> BytesMut {
    let reason = status.canonical_reason().unwrap_or("Refused");
    let mut output = format!("HTTP/1.1 {} {reason}\r\n", status.as_str()).into_bytes();
    write_headers(&mut output, headers);
    output
        .extend_from_slice(format!("Connection: close\r\nContent-Length: {}\r\n\r\n", body.len()).as_bytes());
    output.extend_from_slice(body);
    BytesMut::from(&output[..])
}

/// The status of the refusal of a request that is none for a WebSocket, and whether the response names the upgrade.
pub(super) fn status_of(error: &RequestError) -> (StatusCode, bool) {
    match error {
        RequestError::Method(_) => (StatusCode::METHOD_NOT_ALLOWED, false),
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2
        //# If this version does not match a version understood by the server, the server MUST abort the
        //# WebSocket handshake described in this section and instead send an appropriate HTTP error code (such
        //# as 426 Upgrade Required) and a |Sec-WebSocket-Version| header field indicating the version(s) the
        //# server is capable of understanding.
        RequestError::NoUpgrade | RequestError::Version(_) => (StatusCode::UPGRADE_REQUIRED, true),
        RequestError::HeadTooLarge { .. } => (StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, false),
        //= https://www.rfc-editor.org/rfc/rfc6455#section-10.2
        //# If the origin indicated is unacceptable to the server, then it SHOULD respond to the WebSocket
        //# handshake with a reply containing HTTP 403 Forbidden status code.
        RequestError::Origin(_) => (StatusCode::FORBIDDEN, false),
        RequestError::NotHttp { .. } | RequestError::Header(_) | RequestError::Body => {
            (StatusCode::BAD_REQUEST, false)
        }
    }
}

/// The refusal of a request that is none for a WebSocket: its status, and a text that says why.
pub(super) fn refuse_broken(error: &RequestError) -> BytesMut {
    let (status, names_upgrade) = status_of(error);
    let header = match error {
        RequestError::Method(_) => "Allow: GET\r\n",
        RequestError::Version(_) => "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n",
        _ if names_upgrade => "Upgrade: websocket\r\n",
        _ => "",
    };
    let reason = status.canonical_reason().unwrap_or_default();
    // Section 4.1 has HTTP demand `Connection: Upgrade` beside `Upgrade`.
    let connection = if names_upgrade { "Upgrade, close" } else { "close" };
    let body = format!("{error}\n");
    let text = format!(
        "HTTP/1.1 {} {reason}\r\n{header}Connection: {connection}\r\nContent-Type: text/plain; charset=utf-8\r\n\
         Content-Length: {}\r\n\r\n{body}",
        status.as_str(),
        body.len()
    );
    BytesMut::from(text.as_bytes())
}
