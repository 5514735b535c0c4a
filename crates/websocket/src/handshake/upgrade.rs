//! The client's request for an upgrade, and its checks of the answer (RFC 6455, section 4.1).

use http::header::{AUTHORIZATION, CONNECTION, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS};
use http::header::{SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{HeaderMap, HeaderName};

use super::client_request::ClientRequest;
use super::head::{has_token, shown, single, tokens};
use super::header_case::write_header;
use super::{digest, head::ResponseHead};
use crate::Compression;
use crate::deflate::{NegotiationError, Parameters, extensions, negotiation};
use crate::error::HandshakeError;

/// What is asked for once: the nonce, and what is offered.
#[derive(Debug)]
pub(super) struct Upgrade {
    key: String,
    compression: Option<Parameters>,
    /// Whether the server has to confirm the limits of `compression`.
    requires_limits: bool,
}

/// What client and server agreed on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Agreement {
    pub(super) subprotocol: Option<String>,
    pub(super) compression: Option<Parameters>,
}

impl Upgrade {
    /// `nonce` is fresh for each request (section 4.1, step 7 of the requirements on the request).
    pub(super) fn new(nonce: [u8; 16], compression: &Compression) -> Self {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# The value of this header field MUST be a nonce consisting of a randomly selected 16-byte value that
        //# has been base64-encoded (see Section 4 of [RFC4648]). The nonce MUST be selected randomly for each
        //# connection.
        Self {
            key: digest::encode_key(nonce),
            compression: negotiation::wanted(compression),
            requires_limits: compression.require_limits,
        }
    }

    /// The request as it goes on the wire.
    pub(super) fn write(&self, request: &ClientRequest) -> Vec<u8> {
        let mut output = Vec::with_capacity(512);
        let mut line = |text: &[&str]| {
            text.iter().for_each(|part| output.extend_from_slice(part.as_bytes()));
            output.extend_from_slice(b"\r\n");
        };
        let target = &request.target;
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# The method of the request MUST be GET, and the HTTP version MUST be at least 1.1.
        line(&["GET ", target.resource_name(), " HTTP/1.1"]);
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# The request MUST contain a |Host| header field whose value contains /host/ plus optionally ":"
        //# followed by /port/ (when not using the default port).
        if !request.headers.contains_key(HOST) {
            line(&["Host: ", &target.host_header()]);
        }
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# The request MUST contain an |Upgrade| header field whose value MUST include the "websocket" keyword.
        line(&["Upgrade: websocket"]);
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# The request MUST contain a |Connection| header field whose value MUST include the "Upgrade" token.
        line(&["Connection: Upgrade"]);
        line(&["Sec-WebSocket-Key: ", &self.key]);
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# The request MUST include a header field with the name |Sec-WebSocket-Version|. The value of this
        //# header field MUST be 13.
        line(&["Sec-WebSocket-Version: 13"]);
        if !request.subprotocols.is_empty() {
            line(&["Sec-WebSocket-Protocol: ", &request.subprotocols.join(", ")]);
        }
        if let Some(wanted) = self.compression {
            line(&["Sec-WebSocket-Extensions: ", &negotiation::offer(wanted)]);
        }
        if let (Some(credentials), false) =
            (target.credentials(), request.headers.contains_key(AUTHORIZATION))
        {
            line(&["Authorization: ", &digest::basic(&credentials.user, &credentials.password)]);
        }
        for (name, value) in &request.headers {
            write_header(&mut output, name, value);
        }
        output.extend_from_slice(b"\r\n");
        output
    }

    /// Checks a `101` in the steps of section 4.1.
    pub(super) fn check(
        &self,
        head: &ResponseHead,
        subprotocols: &[String],
    ) -> Result<Agreement, HandshakeError> {
        let headers = &head.headers;
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# If the response lacks an |Upgrade| header field or the |Upgrade| header field contains a value that
        //# is not an ASCII case-insensitive match for the value "websocket", the client MUST _Fail the
        //# WebSocket Connection_.
        let upgrade = single(headers, &UPGRADE).ok().flatten();
        if !upgrade.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket")) {
            return Err(HandshakeError::Upgrade(shown(headers, &UPGRADE)));
        }
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# If the response lacks a |Connection| header field or the |Connection| header field doesn't contain a
        //# token that is an ASCII case-insensitive match for the value "Upgrade", the client MUST _Fail the
        //# WebSocket Connection_.
        if !has_token(headers, &CONNECTION, "Upgrade") {
            return Err(HandshakeError::Connection(shown(headers, &CONNECTION)));
        }
        //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
        //# If the response lacks a |Sec-WebSocket-Accept| header field or the |Sec-WebSocket-Accept| contains a
        //# value other than the base64-encoded SHA-1 of the concatenation of the |Sec-WebSocket-Key| (as a
        //# string, not base64-decoded) with the string "258EAFA5-E914-47DA-95CA-C5AB0DC85B11" but ignoring any
        //# leading and trailing whitespace, the client MUST _Fail the WebSocket Connection_.
        let accept = single(headers, &SEC_WEBSOCKET_ACCEPT).ok().flatten();
        let expected = digest::accept(self.key.as_bytes());
        if accept.is_none_or(|value| value.as_bytes().trim_ascii() != expected.as_bytes()) {
            return Err(HandshakeError::Accept(shown(headers, &SEC_WEBSOCKET_ACCEPT)));
        }
        let compression = check_extensions(headers, self.compression, self.requires_limits)
            .map_err(HandshakeError::Extensions)?;
        let subprotocol = check_subprotocol(headers, subprotocols)?;
        Ok(Agreement { subprotocol, compression })
    }
}

/// Step 5: only what was offered may be chosen.
fn check_extensions(
    headers: &HeaderMap,
    wanted: Option<Parameters>,
    requires_limits: bool,
) -> Result<Option<Parameters>, NegotiationError> {
    //= https://www.rfc-editor.org/rfc/rfc6455#section-9.1
    //# If a value is received by either the client or the server during negotiation that does not conform to
    //# the ABNF below, the recipient of such malformed data MUST immediately _Fail the WebSocket Connection_.
    let chosen = parse_extensions(headers).map_err(|extensions::Malformed| NegotiationError::Malformed)?;
    negotiation::check_response(wanted, requires_limits, &chosen)
}

/// All of `Sec-WebSocket-Extensions`.
pub(super) fn parse_extensions(
    headers: &HeaderMap,
) -> Result<Vec<extensions::Extension>, extensions::Malformed> {
    extensions::parse(headers.get_all(SEC_WEBSOCKET_EXTENSIONS).iter().map(|value| value.as_bytes()))
}

/// Step 6: "If the response includes a |Sec-WebSocket-Protocol| header field and this header field indicates the use
/// of a subprotocol that was not present in the client's handshake ... the client MUST fail". None at all is legal.
fn check_subprotocol(headers: &HeaderMap, offered: &[String]) -> Result<Option<String>, HandshakeError> {
    const NAME: &HeaderName = &SEC_WEBSOCKET_PROTOCOL;
    if !headers.contains_key(NAME) {
        return Ok(None);
    }
    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //# If the response includes a |Sec-WebSocket-Protocol| header field and this header field indicates the use
    //# of a subprotocol that was not present in the client's handshake (the server has indicated a subprotocol
    //# not requested by the client), the client MUST _Fail the WebSocket Connection_.
    let mut chosen = tokens(headers, NAME);
    let known = chosen.next().and_then(|name| offered.iter().find(|offer| offer.as_bytes() == name));
    match (known, chosen.next()) {
        (Some(name), None) => Ok(Some(name.clone())),
        _ => Err(HandshakeError::Subprotocol(shown(headers, NAME).unwrap_or_default())),
    }
}
