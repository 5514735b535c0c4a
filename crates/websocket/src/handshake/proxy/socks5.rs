//! SOCKS5 (RFC 1928) with no authentication or user and password (RFC 1929). Names are resolved by the proxy.

use std::net::IpAddr;

use bytes::{Buf as _, BufMut as _, BytesMut};

use super::Proxy;
use crate::error::ProxyError;
use crate::handshake::head::beginning;
use crate::handshake::target::{Credentials, Target};

const VERSION: u8 = 5;
const NO_AUTHENTICATION: u8 = 0;
const USER_AND_PASSWORD: u8 = 2;

/// A conversation with a SOCKS5 proxy.
#[derive(Debug)]
pub(in crate::handshake) struct Socks5 {
    credentials: Option<Credentials>,
    host: String,
    port: u16,
    step: Step,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// Waits for the choice of a method.
    Method,
    /// Waits for the verdict on user and password.
    Verdict,
    /// Waits for the answer to the request.
    Reply,
}

impl Socks5 {
    /// Writes the greeting (RFC 1928, section 3).
    pub(in crate::handshake) fn start(proxy: &Proxy, target: &Target, output: &mut BytesMut) -> Self {
        if proxy.credentials.is_some() {
            output.extend_from_slice(&[VERSION, 2, NO_AUTHENTICATION, USER_AND_PASSWORD]);
        } else {
            output.extend_from_slice(&[VERSION, 1, NO_AUTHENTICATION]);
        }
        Self {
            credentials: proxy.credentials.clone(),
            host: target.host(),
            port: target.port(),
            step: Step::Method,
        }
    }

    /// `true`: the tunnel is open, and all further bytes are the target's.
    pub(in crate::handshake) fn process(
        &mut self,
        input: &mut BytesMut,
        output: &mut BytesMut,
    ) -> Result<bool, ProxyError> {
        loop {
            match (self.step, &input[..]) {
                (Step::Method, [version, ..]) if *version != VERSION => return Err(malformed(input)),
                (Step::Method, [_version, method, ..]) => {
                    self.method_chosen(*method, output)?;
                    input.advance(2);
                }
                (Step::Verdict, [_version, status, ..]) => {
                    // RFC 1929, section 2: "A STATUS field of X'00' indicates success."
                    if *status != 0 {
                        return Err(ProxyError::Credentials);
                    }
                    input.advance(2);
                    self.request(output);
                }
                (Step::Reply, reply) => {
                    let Some(length) = reply_length(reply)? else { return Ok(false) };
                    input.advance(length);
                    return Ok(true);
                }
                _ => return Ok(false),
            }
        }
    }

    fn method_chosen(&mut self, method: u8, output: &mut BytesMut) -> Result<(), ProxyError> {
        match (method, &self.credentials) {
            (NO_AUTHENTICATION, _) => self.request(output),
            (USER_AND_PASSWORD, Some(credentials)) => {
                output.put_u8(1);
                put_short(output, &credentials.user);
                put_short(output, &credentials.password);
                self.step = Step::Verdict;
            }
            _ => return Err(ProxyError::NoAcceptableMethod),
        }
        Ok(())
    }

    /// RFC 1928, section 4: `CONNECT` to an address or a name.
    fn request(&mut self, output: &mut BytesMut) {
        output.extend_from_slice(&[VERSION, 1, 0]);
        match self.host.parse() {
            Ok(IpAddr::V4(address)) => {
                output.put_u8(1);
                output.extend_from_slice(&address.octets());
            }
            Ok(IpAddr::V6(address)) => {
                output.put_u8(4);
                output.extend_from_slice(&address.octets());
            }
            Err(_) => {
                output.put_u8(3);
                put_short(output, self.host.as_bytes());
            }
        }
        output.put_u16(self.port);
        self.step = Step::Reply;
    }
}

/// How long a reply is, once that much of it is there; its failure as soon as it is known (RFC 1928, section 6).
fn reply_length(reply: &[u8]) -> Result<Option<usize>, ProxyError> {
    match reply {
        [version, ..] if *version != VERSION => return Err(malformed(reply)),
        [_, code, ..] if *code != 0 => return Err(ProxyError::Socks(*code)),
        _ => {}
    }
    // The proxy's own address, which is not needed.
    let address = match reply {
        [_, _, _, 1, ..] => 4,
        [_, _, _, 4, ..] => 16,
        [_, _, _, 3, length, ..] => 1 + usize::from(*length),
        [] | [_] | [_, _] | [_, _, _] | [_, _, _, 3] => return Ok(None),
        _ => return Err(malformed(reply)),
    };
    let length = 4 + address + 2;
    Ok((reply.len() >= length).then_some(length))
}

fn malformed(bytes: &[u8]) -> ProxyError {
    ProxyError::Malformed { beginning: beginning(bytes) }
}

/// A length of one byte and as many bytes. What is longer was refused before: users and passwords by `Proxy`, names
/// of hosts by `Target`. Cut short, a name would be another host's.
fn put_short(output: &mut BytesMut, bytes: &[u8]) {
    let length = u8::try_from(bytes.len()).unwrap_or(u8::MAX);
    output.put_u8(length);
    output.extend_from_slice(&bytes[..usize::from(length)]);
}
