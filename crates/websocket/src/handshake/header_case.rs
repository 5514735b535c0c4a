//! Headers as they are customarily written: `Sec-WebSocket-Protocol`, not `sec-websocket-protocol`.
//!
//! Case means nothing in HTTP/1.1, but there are peers that compare bytes.

use http::{HeaderMap, HeaderName, HeaderValue};

/// Writes one header.
pub(crate) fn write_header(output: &mut Vec<u8>, name: &HeaderName, value: &HeaderValue) {
    let start = output.len();
    output.extend_from_slice(name.as_str().as_bytes());
    capitalise(&mut output[start..]);
    output.extend_from_slice(b": ");
    output.extend_from_slice(value.as_bytes());
    output.extend_from_slice(b"\r\n");
}

/// Writes all headers.
pub(crate) fn write_headers(output: &mut Vec<u8>, headers: &HeaderMap) {
    for (name, value) in headers {
        write_header(output, name, value);
    }
}

fn capitalise(name: &mut [u8]) {
    for word in name.split_mut(|byte| *byte == b'-') {
        if word == b"websocket" {
            word.copy_from_slice(b"WebSocket");
        } else if let Some(first) = word.first_mut() {
            first.make_ascii_uppercase();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_written_as_is_customary() {
        let mut output = Vec::new();
        for name in ["sec-websocket-protocol", "X-API-key", "etag", "-x--y-"] {
            let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
            write_header(&mut output, &name, &HeaderValue::from_static("v"));
        }
        let expected = "Sec-WebSocket-Protocol: v\r\nX-Api-Key: v\r\nEtag: v\r\n-X--Y-: v\r\n";
        assert_eq!(String::from_utf8(output).unwrap(), expected);
    }
}
