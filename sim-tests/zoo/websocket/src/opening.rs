//! The opening handshake: the server's side, and a client's side for clients that start after it.

use std::io;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest, Sha1};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use wavetank::Host;
use wavetank::host::SimStream;
use wavetank::runtime::SocketOptions;

use crate::{connect, text};

/// The sample nonce of RFC 6455 section 1.3. A constant suffices here, because nothing caches the response.
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";

/// Connects and opens the WebSocket. Reads no byte after the response.
///
/// # Errors
///
/// If the connection fails or the response is not the expected one.
pub async fn connect_and_open(host: Host, socket: SocketOptions) -> Result<SimStream, String> {
    let mut stream = connect(host, socket).await?;
    let request = format!(
        "GET / HTTP/1.1\r\nHost: server\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.map_err(text)?;
    let expected = response(KEY);
    let mut answer = vec![0; expected.len()];
    stream.read_exact(&mut answer).await.map_err(text)?;
    if answer == expected.as_bytes() { Ok(stream) } else { Err("the response is not 101".to_owned()) }
}

/// Reads a client's request and answers with 101. Reads no byte after the request.
///
/// # Errors
///
/// The socket's. `InvalidData` if the request does not ask for a WebSocket.
pub(crate) async fn accept(stream: &mut SimStream) -> io::Result<()> {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        // A client sends nothing after its request until it has the answer.
        if stream.read_buf(&mut request).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let request = String::from_utf8_lossy(&request);
    let key = request
        .lines()
        .filter_map(|line| line.split_once(':'))
        .find_map(|(name, value)| name.eq_ignore_ascii_case("sec-websocket-key").then_some(value.trim()));
    let key = key.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "the request has no key"))?;
    stream.write_all(response(key).as_bytes()).await
}

fn response(key: &str) -> String {
    let digest = Sha1::digest(format!("{key}258EAFA5-E914-47DA-95CA-C5AB0DC85B11"));
    let accept = STANDARD.encode(digest);
    format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {accept}\r\n\r\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sample_key_has_the_rfcs_accept_value() {
        assert!(response(KEY).contains("\r\nSec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"));
    }
}
