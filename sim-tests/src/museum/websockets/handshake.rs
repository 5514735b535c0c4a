//! The opening handshake, RFC 6455 section 4, as bytes: the necessary parts of the original's `client.py` and
//! `http11.py`.

use std::fmt;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use httparse::{EMPTY_HEADER, Header, Status};
use sha1::{Digest as _, Sha1};

/// The longest accepted head of a message, in bytes.
const HEAD_MAX: usize = 8192;
const HEADERS_MAX: usize = 32;

/// Why a peer's half of the opening handshake is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HandshakeError {
    /// It is not the head of an HTTP/1.1 message, or it is too long.
    Malformed,
    /// The stream ended inside the head.
    Ended,
    /// The server's status was not 101.
    Status(u16),
    /// The header of this name is missing or has the wrong value.
    Header(&'static str),
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Malformed => f.write_str("did not receive a valid HTTP message"),
            Self::Ended => f.write_str("the stream ended during the opening handshake"),
            Self::Status(status) => write!(f, "server rejected WebSocket connection: HTTP {status}"),
            Self::Header(name) => write!(f, "missing or invalid {name} header"),
        }
    }
}

impl std::error::Error for HandshakeError {}

/// Makes the value of Sec-WebSocket-Key from a nonce.
pub(super) fn key(nonce: [u8; 16]) -> String {
    BASE64.encode(nonce)
}

/// Returns the value of Sec-WebSocket-Accept, which proves that a server has read `key`.
fn accept_key(key: &str) -> String {
    let digest =
        Sha1::new().chain_update(key).chain_update("258EAFA5-E914-47DA-95CA-C5AB0DC85B11").finalize();
    BASE64.encode(digest)
}

pub(super) fn request(host: &str, key: &str) -> Vec<u8> {
    format!(
        "GET / HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
    .into_bytes()
}

pub(super) fn response(key: &str) -> Vec<u8> {
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        accept_key(key)
    )
    .into_bytes()
}

/// Takes a request from the front of `buffer` and returns its key, or `None` if the request is not yet complete.
pub(super) fn parse_request(buffer: &mut Vec<u8>) -> Result<Option<String>, HandshakeError> {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut request = httparse::Request::new(&mut headers);
    let parsed = request.parse(buffer).map_err(|_| HandshakeError::Malformed)?;
    let Status::Complete(end) = parsed else { return incomplete(buffer) };
    check_upgrade(request.headers)?;
    let key = value(request.headers, "Sec-WebSocket-Key")?.to_owned();
    buffer.drain(..end);
    Ok(Some(key))
}

/// Takes the response to a request with `key` from the front of `buffer`. Returns `None` if it is not yet complete.
pub(super) fn parse_response(buffer: &mut Vec<u8>, key: &str) -> Result<Option<()>, HandshakeError> {
    let mut headers = [EMPTY_HEADER; HEADERS_MAX];
    let mut response = httparse::Response::new(&mut headers);
    let parsed = response.parse(buffer).map_err(|_| HandshakeError::Malformed)?;
    let Status::Complete(end) = parsed else { return incomplete(buffer) };
    match response.code {
        Some(101) => {}
        other => return Err(HandshakeError::Status(other.unwrap_or_default())),
    }
    check_upgrade(response.headers)?;
    if value(response.headers, "Sec-WebSocket-Accept")? != accept_key(key) {
        return Err(HandshakeError::Header("Sec-WebSocket-Accept"));
    }
    buffer.drain(..end);
    Ok(Some(()))
}

fn incomplete<T>(buffer: &[u8]) -> Result<Option<T>, HandshakeError> {
    if buffer.len() > HEAD_MAX { Err(HandshakeError::Malformed) } else { Ok(None) }
}

fn check_upgrade(headers: &[Header<'_>]) -> Result<(), HandshakeError> {
    if !value(headers, "Upgrade")?.eq_ignore_ascii_case("websocket") {
        return Err(HandshakeError::Header("Upgrade"));
    }
    let mut options = value(headers, "Connection")?.split(',');
    if !options.any(|option| option.trim().eq_ignore_ascii_case("upgrade")) {
        return Err(HandshakeError::Header("Connection"));
    }
    Ok(())
}

fn value<'a>(headers: &[Header<'a>], name: &'static str) -> Result<&'a str, HandshakeError> {
    let header = headers.iter().find(|header| header.name.eq_ignore_ascii_case(name));
    let value = header.and_then(|header| std::str::from_utf8(header.value).ok());
    value.map(str::trim).ok_or(HandshakeError::Header(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The key of the RFC's example. The RFC also gives its accept value.
    const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

    #[test]
    fn the_proof_is_that_of_the_rfcs_example() {
        assert_eq!(key(*b"the sample nonce"), KEY);
        assert_eq!(accept_key(KEY), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn the_servers_answer_satisfies_the_client() {
        let mut wire = [request("example.com:80", KEY), b"\x81".to_vec()].concat();
        assert_eq!(parse_request(&mut wire), Ok(Some(KEY.to_owned())));
        assert_eq!(wire, b"\x81");
        let mut wire = [response(KEY), b"\x82".to_vec()].concat();
        assert_eq!(parse_response(&mut wire, KEY), Ok(Some(())));
        assert_eq!(wire, b"\x82");
    }

    #[test]
    fn an_incomplete_head_waits_for_more() {
        let whole = response(KEY);
        for cut in 0..whole.len() {
            let mut wire = whole[..cut].to_vec();
            assert_eq!(parse_response(&mut wire, KEY), Ok(None), "cut at {cut}");
        }
    }

    #[test]
    fn answers_that_are_no_upgrade_are_refused() {
        let refused = |text: &str| parse_response(&mut text.as_bytes().to_vec(), KEY).expect_err("refused");
        assert_eq!(refused("HTTP/1.1 404 Not Found\r\n\r\n"), HandshakeError::Status(404));
        assert_eq!(refused("SSH-2.0-OpenSSH\r\n"), HandshakeError::Malformed);
        let head = "HTTP/1.1 101 Switching Protocols\r\n";
        assert_eq!(refused(&format!("{head}\r\n")), HandshakeError::Header("Upgrade"));
        let head = format!("{head}Upgrade: WebSocket\r\n");
        assert_eq!(
            refused(&format!("{head}Connection: close\r\n\r\n")),
            HandshakeError::Header("Connection")
        );
        let head = format!("{head}Connection: keep-alive, Upgrade\r\n");
        let wrong = format!("{head}Sec-WebSocket-Accept: x\r\n\r\n");
        assert_eq!(refused(&wrong), HandshakeError::Header("Sec-WebSocket-Accept"));
    }

    #[test]
    fn an_endless_head_is_refused() {
        let mut wire =
            format!("HTTP/1.1 101 Switching Protocols\r\nX: {}", "x".repeat(HEAD_MAX)).into_bytes();
        assert_eq!(parse_response(&mut wire, KEY), Err(HandshakeError::Malformed));
    }
}
