//! The key of a handshake and the digest that proves it was understood (RFC 6455, section 1.3).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha1::{Digest as _, Sha1};

const GUID: &[u8] = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// What `Sec-WebSocket-Key` says: "a nonce consisting of a randomly selected 16-byte value that has been
/// base64-encoded".
pub(crate) fn encode_key(nonce: [u8; 16]) -> String {
    STANDARD.encode(nonce)
}

/// Whether a client's key is 16 bytes in base64 (section 4.2.1, step 5).
pub(crate) fn is_key(key: &[u8]) -> bool {
    key.len() == 24 && STANDARD.decode(key).is_ok_and(|nonce| nonce.len() == 16)
}

/// What `Sec-WebSocket-Accept` says in answer to a key (section 4.2.2, step 5.4).
pub(crate) fn accept(key: &[u8]) -> String {
    STANDARD.encode(Sha1::new().chain_update(key).chain_update(GUID).finalize())
}

/// The value of `Authorization` or `Proxy-Authorization` (RFC 7617, section 2).
pub(crate) fn basic(user: &[u8], password: &[u8]) -> String {
    format!("Basic {}", STANDARD.encode([user, b":", password].concat()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_the_rfc_is_digested() {
        assert_eq!(accept(b"dGhlIHNhbXBsZSBub25jZQ=="), "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=");
    }

    #[test]
    fn only_sixteen_bytes_are_a_key() {
        assert!(is_key(encode_key([7; 16]).as_bytes()));
        for bad in
            ["", "AAAA", "dGhlIHNhbXBsZSBub25jZQ=", "dGhlIHNhbXBsZSBub25jZTEy", "!GhlIHNhbXBsZSBub25jZQ=="]
        {
            assert!(!is_key(bad.as_bytes()), "{bad}");
        }
    }

    #[test]
    fn the_example_of_basic_authentication_is_encoded() {
        assert_eq!(basic(b"Aladdin", b"open sesame"), "Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==");
    }
}
