//! Proxies: which one is used for what, and the protocols that they speak.
//!
//! [`connect`] is HTTP's `CONNECT`, [`socks5`] is SOCKS5; [`environment`] reads the customary variables.

pub(super) mod connect;
mod environment;
pub(super) mod socks5;

use std::fmt;

use bytes::BytesMut;
use url::Url;

use super::target::{Credentials, Target, take_credentials, without_user_info};
use crate::OpenError;
use crate::error::ProxyError;
use connect::HttpConnect;
use socks5::Socks5;

/// Which proxy is used for what.
///
/// # Defaults
///
/// [`none`](Self::none).
#[derive(Debug, Clone, Default)]
pub struct Proxies(Choice);

#[derive(Debug, Clone, Default)]
enum Choice {
    #[default]
    None,
    Always(Proxy),
    Environment(environment::Environment),
}

impl Proxies {
    /// No proxy for anything.
    pub fn none() -> Self {
        Self::default()
    }

    /// This proxy for everything.
    pub fn always(proxy: Proxy) -> Self {
        Self(Choice::Always(proxy))
    }

    /// What the process's environment says; see [`from_lookup`](Self::from_lookup).
    ///
    /// # Determinism
    ///
    /// This reads the environment, once, here and nowhere else in this crate. A simulation uses `from_lookup`.
    #[must_use]
    pub fn from_env() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "the one place that reads the environment, and says so"
        )]
        let lookup = |name: &str| std::env::var(name).ok();
        Self::from_lookup(lookup)
    }

    /// The proxies in variables whose values `lookup` returns.
    ///
    /// The first one that is set and not empty counts: for `wss`, of `WSS_PROXY`, `SOCKS_PROXY`, `HTTPS_PROXY`,
    /// `ALL_PROXY`; for `ws`, of `WS_PROXY`, `SOCKS_PROXY`, `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`; each first in
    /// small letters. `HTTP_PROXY` in capitals is not read in a CGI program (if `REQUEST_METHOD` is set), where it
    /// would be a client's header. `NO_PROXY` lists, separated by commas, hosts that are connected to directly: names
    /// with all that end in them (`example.com`, `.example.com`), addresses, networks (`10.0.0.0/8`), each maybe with
    /// a port; or `*`.
    ///
    /// A value that is not the address of a proxy fails the attempts that would use it, with [`OpenError::Url`];
    /// others do not read it.
    pub fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Self {
        Self(Choice::Environment(environment::Environment::read(lookup)))
    }

    pub(super) fn choose(&self, target: &Target) -> Result<Option<Proxy>, OpenError> {
        match &self.0 {
            Choice::None => Ok(None),
            Choice::Always(proxy) => Ok(Some(proxy.clone())),
            Choice::Environment(environment) => environment.choose(target),
        }
    }
}

impl From<Proxy> for Proxies {
    fn from(proxy: Proxy) -> Self {
        Self::always(proxy)
    }
}

/// A proxy: its address and its protocol.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy {
    pub(super) kind: ProxyKind,
    /// IPv6 without brackets.
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) credentials: Option<Credentials>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ProxyKind {
    Http,
    Socks5,
}

impl Proxy {
    /// Reads a proxy's address: `http://` (the default, port 80) or `socks5://`, `socks5h://` (both leave names to
    /// the proxy; port 1080), with user and password if it wants them.
    ///
    /// # Errors
    ///
    /// [`OpenError::Url`] if the address is not one of a proxy. TLS to the proxy itself (`https://`) is not supported.
    pub fn parse(text: &str) -> Result<Self, OpenError> {
        let with_scheme = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let refuse = |reason| OpenError::Url { url: without_user_info(&with_scheme), reason };
        let mut url = Url::parse(&with_scheme).map_err(|_| refuse("it cannot be parsed as a URL"))?;
        let credentials = take_credentials(&mut url);
        let refuse = |reason| OpenError::Url { url: url.to_string(), reason };
        let (kind, default_port) = match url.scheme() {
            "http" => (ProxyKind::Http, 80),
            "socks5" | "socks5h" | "socks" => (ProxyKind::Socks5, 1080),
            "https" => return Err(refuse("TLS to a proxy is not supported: use http or socks5")),
            _ => return Err(refuse("the scheme must be http or socks5")),
        };
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).to_owned();
        let port = url.port().unwrap_or(default_port);
        if host.is_empty() || port == 0 {
            return Err(refuse("the host is missing, or the port is 0"));
        }
        let too_long = |part: &[u8]| part.len() > 255;
        if kind == ProxyKind::Socks5
            && credentials.as_ref().is_some_and(|found| too_long(&found.user) || too_long(&found.password))
        {
            return Err(refuse("SOCKS5 allows at most 255 bytes for user and for password"));
        }
        Ok(Self { kind, host, port, credentials })
    }

    /// A name, or the text of an address: IPv6 without brackets.
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// Host and port, for errors.
    pub(super) fn authority(&self) -> String {
        if self.host.contains(':') {
            format!("[{}]:{}", self.host, self.port)
        } else {
            format!("{}:{}", self.host, self.port)
        }
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Proxy({:?}, {})", self.kind, self.authority())
    }
}

/// The conversation with a proxy that asks it for a tunnel.
#[derive(Debug)]
pub(super) enum Tunnel {
    Http(HttpConnect),
    Socks5(Socks5),
}

impl Tunnel {
    /// Writes what is said first.
    pub(super) fn start(proxy: &Proxy, target: &Target, output: &mut BytesMut) -> Self {
        match proxy.kind {
            ProxyKind::Http => Self::Http(HttpConnect::start(proxy, target, output)),
            ProxyKind::Socks5 => Self::Socks5(Socks5::start(proxy, target, output)),
        }
    }

    /// `true`: the tunnel is open, and all further bytes are the target's.
    pub(super) fn process(
        &mut self,
        input: &mut BytesMut,
        output: &mut BytesMut,
        limit_bytes: usize,
    ) -> Result<bool, ProxyError> {
        match self {
            Self::Http(connect) => connect.process(input, limit_bytes),
            Self::Socks5(socks) => socks.process(input, output),
        }
    }
}

impl std::str::FromStr for Proxy {
    type Err = OpenError;

    fn from_str(text: &str) -> Result<Self, OpenError> {
        Self::parse(text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_parse_from_url_or_host_and_port() {
        for (text, shown) in [
            ("http://proxy:3128", "Proxy(Http, proxy:3128)"),
            ("proxy:3128", "Proxy(Http, proxy:3128)"),
            ("proxy", "Proxy(Http, proxy:80)"),
            ("socks5://u:p@10.0.0.1", "Proxy(Socks5, 10.0.0.1:1080)"),
            ("socks5h://[::1]:9", "Proxy(Socks5, [::1]:9)"),
        ] {
            assert_eq!(format!("{:?}", Proxy::parse(text).unwrap()), shown, "{text}");
        }
        for text in ["https://proxy", "ftp://proxy", "", "http://", "socks5://h:0", "http://u:secret@h:0"] {
            let error = Proxy::parse(text).unwrap_err().to_string();
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
