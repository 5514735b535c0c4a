//! HTTP's `CONNECT` (RFC 9110, section 9.3.6): asks an HTTP proxy for a tunnel.

use bytes::BytesMut;

use super::Proxy;
use crate::error::ProxyError;
use crate::handshake::digest;
use crate::handshake::head::{HeadError, HeadReader, ResponseHead};
use crate::handshake::target::Target;

/// Waits for the proxy's answer.
#[derive(Debug)]
pub(in crate::handshake) struct HttpConnect {
    head: HeadReader,
}

impl HttpConnect {
    /// Writes the request (RFC 6455, section 4.1, step 3 has an example).
    pub(in crate::handshake) fn start(proxy: &Proxy, target: &Target, output: &mut BytesMut) -> Self {
        let authority = target.authority();
        let mut request = format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n");
        if let Some(credentials) = &proxy.credentials {
            request.push_str("Proxy-Authorization: ");
            request.push_str(&digest::basic(&credentials.user, &credentials.password));
            request.push_str("\r\n");
        }
        request.push_str("\r\n");
        output.extend_from_slice(request.as_bytes());
        Self { head: HeadReader::of_response() }
    }

    /// `true`: the tunnel is open, and all further bytes are the target's.
    pub(in crate::handshake) fn process(
        &mut self,
        input: &mut BytesMut,
        limit_bytes: usize,
    ) -> Result<bool, ProxyError> {
        loop {
            let Some(head) = self.head.take(input, limit_bytes).map_err(proxy_error)? else {
                return Ok(false);
            };
            let ResponseHead { status, headers } = ResponseHead::parse(&head).map_err(proxy_error)?;
            if status.is_success() {
                // A successful answer has no body, whatever its headers say.
                return Ok(true);
            }
            if !status.is_informational() {
                return Err(ProxyError::Status { status, headers: Box::new(headers) });
            }
        }
    }
}

fn proxy_error(error: HeadError) -> ProxyError {
    match error {
        HeadError::TooLarge => ProxyError::HeadTooLarge,
        HeadError::Malformed(beginning) => ProxyError::Malformed { beginning },
    }
}
