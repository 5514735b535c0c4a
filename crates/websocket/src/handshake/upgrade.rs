//! The client's request for an upgrade, and its checks of the answer (RFC 6455, section 4.1).

use http::header::{AUTHORIZATION, CONNECTION, HOST, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_EXTENSIONS};
use http::header::{SEC_WEBSOCKET_PROTOCOL, UPGRADE};
use http::{HeaderMap, HeaderName};

use super::client_request::ClientRequest;
use super::head::{has_token, shown, single, tokens};
use super::header_case::write_header;
use super::{digest, head::ResponseHead};
use crate::deflate::{NegotiationError, Parameters, extensions, negotiation};
use crate::error::HandshakeError;

/// What is asked for once: the nonce, and what is offered.
#[derive(Debug)]
pub(super) struct Upgrade {
    key: String,
    compression: Option<Parameters>,
}

/// What client and server agreed on.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Agreement {
    pub(super) subprotocol: Option<String>,
    pub(super) compression: Option<Parameters>,
}

impl Upgrade {
    /// `nonce` is fresh for each request (section 4.1, step 7 of the requirements on the request).
    pub(super) fn new(nonce: [u8; 16], compression: Option<Parameters>) -> Self {
        Self { key: digest::encode_key(nonce), compression }
    }

    /// The request as it goes on the wire.
    pub(super) fn write(&self, request: &ClientRequest) -> Vec<u8> {
        let mut output = Vec::with_capacity(512);
        let mut line = |text: &[&str]| {
            text.iter().for_each(|part| output.extend_from_slice(part.as_bytes()));
            output.extend_from_slice(b"\r\n");
        };
        let target = &request.target;
        line(&["GET ", target.resource_name(), " HTTP/1.1"]);
        if !request.headers.contains_key(HOST) {
            line(&["Host: ", &target.host_header()]);
        }
        line(&["Upgrade: websocket"]);
        line(&["Connection: Upgrade"]);
        line(&["Sec-WebSocket-Key: ", &self.key]);
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
        // 2. "... an |Upgrade| header field ... an ASCII case-insensitive match for the value 'websocket'".
        let upgrade = single(headers, &UPGRADE).ok().flatten();
        if !upgrade.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket")) {
            return Err(HandshakeError::Upgrade(shown(headers, &UPGRADE)));
        }
        // 3. "... a |Connection| header field ... a token that is an ASCII case-insensitive match for 'Upgrade'".
        if !has_token(headers, &CONNECTION, "Upgrade") {
            return Err(HandshakeError::Connection(shown(headers, &CONNECTION)));
        }
        // 4. "... ignoring any leading and trailing whitespace".
        let accept = single(headers, &SEC_WEBSOCKET_ACCEPT).ok().flatten();
        let expected = digest::accept(self.key.as_bytes());
        if accept.is_none_or(|value| value.as_bytes().trim_ascii() != expected.as_bytes()) {
            return Err(HandshakeError::Accept(shown(headers, &SEC_WEBSOCKET_ACCEPT)));
        }
        let compression = check_extensions(headers, self.compression).map_err(HandshakeError::Extensions)?;
        let subprotocol = check_subprotocol(headers, subprotocols)?;
        Ok(Agreement { subprotocol, compression })
    }
}

/// Step 5: only what was offered may be chosen.
fn check_extensions(
    headers: &HeaderMap,
    wanted: Option<Parameters>,
) -> Result<Option<Parameters>, NegotiationError> {
    let chosen = parse_extensions(headers).map_err(|extensions::Malformed| NegotiationError::Malformed)?;
    negotiation::check_response(wanted, &chosen)
}

/// All of `Sec-WebSocket-Extensions`.
pub(super) fn parse_extensions(
    headers: &HeaderMap,
) -> Result<Vec<extensions::Extension>, extensions::Malformed> {
    extensions::parse(headers.get_all(SEC_WEBSOCKET_EXTENSIONS).iter().map(|value| value.as_bytes()))
}

/// Step 6: "If the response includes a |Sec-WebSocket-Protocol| header field and this header field indicates the use of a
/// subprotocol that was not present in the client's handshake ... the client MUST fail". None at all is legal.
fn check_subprotocol(headers: &HeaderMap, offered: &[String]) -> Result<Option<String>, HandshakeError> {
    const NAME: &HeaderName = &SEC_WEBSOCKET_PROTOCOL;
    if !headers.contains_key(NAME) {
        return Ok(None);
    }
    let mut chosen = tokens(headers, NAME);
    let known = chosen.next().and_then(|name| offered.iter().find(|offer| offer.as_bytes() == name));
    match (known, chosen.next()) {
        (Some(name), None) => Ok(Some(name.clone())),
        _ => Err(HandshakeError::Subprotocol(shown(headers, NAME).unwrap_or_default())),
    }
}
