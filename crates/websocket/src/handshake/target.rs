//! What a client asks for: the address of a WebSocket (RFC 6455, section 3) taken apart.

use std::fmt;

use percent_encoding::percent_decode_str;
use url::{Host, Position, Url};

use crate::OpenError;
use crate::error::authority;

/// The longest name of a host in bytes, without the dot that may end it: as text, two bytes shorter than the 255 of
/// RFC 1035, section 2.3.4. SOCKS5 has no room for a name of more than 255.
const HOST_BYTES_MAX: usize = 253;

/// The address of a WebSocket.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Target {
    /// Its scheme is ws or wss; without fragment and user-info.
    url: Url,
    credentials: Option<Credentials>,
}

/// A user and a password, for Basic authentication (RFC 7617) or SOCKS5.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Credentials {
    pub(crate) user: Vec<u8>,
    pub(crate) password: Vec<u8>,
}

impl Target {
    /// Takes a URL apart.
    pub(crate) fn parse(text: &str) -> Result<Self, OpenError> {
        let refuse = |reason| OpenError::Url { url: without_user_info(text), reason };
        let url = Url::parse(text).map_err(|_| refuse("it cannot be parsed as a URL"))?;
        if !names_its_host(text) {
            return Err(refuse("the scheme must be followed by `//` and the host"));
        }
        Self::from_url(url)
    }

    pub(crate) fn from_url(mut url: Url) -> Result<Self, OpenError> {
        let credentials = take_credentials(&mut url);
        match check(&url) {
            Ok(()) => Ok(Self { url, credentials }),
            Err(reason) => Err(OpenError::Url { url: url.to_string(), reason }),
        }
    }

    /// Where a redirect leads from here, or what is wrong with it. `http` and `https` mean `ws` and `wss`; a fragment
    /// is of no use to us.
    pub(crate) fn join(&self, location: &str) -> Result<Self, &'static str> {
        let mut url = self.url.join(location).map_err(|_| "it cannot be parsed as a URL")?;
        let scheme = match url.scheme() {
            "http" | "ws" => "ws",
            "https" | "wss" => "wss",
            _ => return Err("the scheme must be ws, wss, http or https"),
        };
        if !is_path(location) && !names_its_host(location) {
            return Err("the host must follow `//`");
        }
        // Does not fail between these four; and drops a port that is the default of the new scheme.
        url.set_scheme(scheme).map_err(|()| "it cannot be parsed as a URL")?;
        url.set_fragment(None);
        let credentials = take_credentials(&mut url);
        check(&url)?;
        Ok(Self { url, credentials })
    }

    pub(crate) fn is_secure(&self) -> bool {
        self.url.scheme() == "wss"
    }

    /// A name, or the text of an address: IPv6 without brackets.
    pub(crate) fn host(&self) -> String {
        match self.url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(address)) => address.to_string(),
            Some(Host::Ipv6(address)) => address.to_string(),
            None => String::new(),
        }
    }

    /// RFC 6455, section 3: 80 for ws, 443 for wss, where the URL has none.
    pub(crate) fn port(&self) -> u16 {
        self.url.port().unwrap_or(if self.is_secure() { 443 } else { 80 })
    }

    /// What `Host` says (section 4.1, step 4): with the port only if it is not the default; IPv6 in brackets.
    pub(crate) fn host_header(&self) -> String {
        self.url[Position::BeforeHost..Position::AfterPort].to_owned()
    }

    /// Host and port as `CONNECT` and errors name them: IPv6 in brackets.
    pub(crate) fn authority(&self) -> String {
        authority(&self.url)
    }

    /// Path and query (section 3, "resource-name"): never empty.
    pub(crate) fn resource_name(&self) -> &str {
        &self.url[Position::BeforePath..Position::AfterQuery]
    }

    pub(crate) fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    pub(crate) fn with_credentials_of(self, other: &Self) -> Self {
        Self { credentials: other.credentials.clone(), ..self }
    }

    /// Without user and password.
    pub(crate) fn url(&self) -> &Url {
        &self.url
    }

    /// Whether both have the same scheme, host and port (RFC 6454, section 5).
    pub(crate) fn has_origin_of(&self, other: &Self) -> bool {
        self.is_secure() == other.is_secure()
            && self.url.host() == other.url.host()
            && self.port() == other.port()
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_tuple("Target").field(&self.url.as_str()).finish()
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Credentials")
    }
}

/// Returns whether a URL, or a reference with a host, names its host behind `//`. `url` reads `ws:host/`,
/// `ws:\\host/`, `ws:///host/` and `ws://\host/` as it reads `ws://host/`, as browsers do. Where a text says two
/// things, another reader of it may find another host.
fn names_its_host(text: &str) -> bool {
    let rest = behind_scheme(text);
    //= https://www.rfc-editor.org/rfc/rfc6455#section-3
    //# ws-URI = "ws:" "//" host [ ":" port ] path [ "?" query ]
    rest.strip_prefix("//").is_some_and(|host| !host.starts_with(['/', '\\']))
}

/// Returns whether a reference has neither scheme nor host.
fn is_path(text: &str) -> bool {
    let rest = behind_scheme(text);
    rest.len() == without_controls(text).len()
        && rest.bytes().take(2).filter(|byte| is_slash(*byte)).count() < 2
}

fn is_slash(byte: u8) -> bool {
    matches!(byte, b'/' | b'\\')
}

/// Returns what follows the scheme of a URL, if it has one, without what `url` ignores.
fn behind_scheme(text: &str) -> String {
    let text = without_controls(text);
    let is_scheme = |scheme: &str| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
    };
    match text.split_once(':') {
        Some((scheme, rest)) if is_scheme(scheme) => rest.to_owned(),
        _ => text,
    }
}

/// Leaves out what `url` ignores: tabs, line ends, and control characters and spaces at both ends.
fn without_controls(text: &str) -> String {
    let text = text.trim_matches(|character| character <= ' ');
    text.chars().filter(|character| !matches!(character, '\t' | '\n' | '\r')).collect()
}

/// Checks that this is a WebSocket address; if not, returns why.
fn check(url: &Url) -> Result<(), &'static str> {
    if !matches!(url.scheme(), "ws" | "wss") {
        return Err("the scheme must be ws or wss");
    }
    if url.fragment().is_some() {
        //= https://www.rfc-editor.org/rfc/rfc6455#section-3
        //# Fragment identifiers are meaningless in the context of WebSocket URIs and MUST NOT be used on
        //# these URIs.
        return Err("fragments are not allowed: remove `#` and what follows");
    }
    let host = url.host_str().unwrap_or_default();
    if host.is_empty() {
        return Err("the host is missing");
    }
    if host.strip_suffix('.').unwrap_or(host).len() > HOST_BYTES_MAX {
        return Err("the host is longer than 253 bytes");
    }
    if url.port() == Some(0) {
        return Err("port 0 cannot be connected to");
    }
    Ok(())
}

/// Moves user and password out of a URL.
pub(crate) fn take_credentials(url: &mut Url) -> Option<Credentials> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let credentials = Credentials {
        user: percent_decode_str(url.username()).collect(),
        password: percent_decode_str(url.password().unwrap_or_default()).collect(),
    };
    // These fail for URLs that have no host, and those have no credentials either.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    Some(credentials)
}

/// What may be no URL, but have a password where one has it (RFC 3986, section 3.2: between `//` and the last `@`
/// before the path), or where parsers of browsers look for it: behind any number of slashes and backslashes.
pub(super) fn without_user_info(text: &str) -> String {
    let is_slash = |c: char| matches!(c, '/' | '\\');
    let scheme = if text.starts_with(is_slash) { 0 } else { text.find(':').map_or(0, |colon| colon + 1) };
    let rest = text[scheme..].trim_start_matches(|c: char| is_slash(c) || c.is_ascii_whitespace());
    let authority = rest.find(['/', '\\', '?', '#']).map_or(rest, |end| &rest[..end]);
    match authority.rfind('@') {
        Some(at) => format!("{}{}", &text[..text.len() - rest.len()], &rest[at + 1..]),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Target {
        Target::parse(url).unwrap()
    }

    //= https://www.rfc-editor.org/rfc/rfc6455#section-4.1
    //= type=test
    //# The request MUST contain a |Host| header field whose value contains /host/ plus optionally ":" followed
    //# by /port/ (when not using the default port).
    #[test]
    fn default_ports_are_omitted_from_the_host_header() {
        for (url, port, header) in [
            ("ws://example.com", 80, "example.com"),
            ("ws://example.com:80/", 80, "example.com"),
            ("ws://example.com:443/", 443, "example.com:443"),
            ("wss://EXAMPLE.com:443", 443, "example.com"),
            ("wss://example.com:8443", 8443, "example.com:8443"),
            ("ws://[2001:DB8::1]/", 80, "[2001:db8::1]"),
            ("ws://[::1]:9000/", 9000, "[::1]:9000"),
            ("ws://user:secret@127.0.0.1:9000/", 9000, "127.0.0.1:9000"),
        ] {
            let target = target(url);
            assert_eq!((target.port(), &*target.host_header()), (port, header), "{url}");
        }
        assert_eq!(target("ws://[::1]/").host(), "::1");
        assert_eq!(target("ws://[::1]/").authority(), "[::1]:80");
    }

    #[test]
    fn path_and_query_stay_and_empty_becomes_slash() {
        for (url, name) in [
            ("ws://a", "/"),
            ("ws://a?b=c", "/?b=c"),
            ("ws://a/b%20c/d?e=/f?g", "/b%20c/d?e=/f?g"),
            ("ws://a/b?", "/b?"),
        ] {
            assert_eq!(target(url).resource_name(), name, "{url}");
        }
    }

    //= https://www.rfc-editor.org/rfc/rfc6455#section-3
    //= type=test
    //# Fragment identifiers are meaningless in the context of WebSocket URIs and MUST NOT be used on these
    //# URIs.
    #[test]
    fn invalid_urls_are_refused_without_showing_passwords() {
        for url in [
            "",
            "example.com",
            "http://a",
            "https://a",
            "ws://",
            "ws://a#b",
            "ws://a/#",
            "ws://a:0",
            "ws://a:70000",
            "ws:///b#c",
            "mailto:a@b",
            "ws://a b",
            "wss://u:secret@a#f",
            "wss://u:secret@a:70000/b",
            "wss://u:se@secret@a b/",
            "wss:///u:secret@a/",
            "wss:u:secret@a/",
            "ws:/u:secret@a",
            r"ws:\\u:secret@a",
            "ws:\t//u:secret@a b/",
            "//u:secret@a/",
        ] {
            let error = Target::parse(url).unwrap_err();
            assert!(matches!(error, OpenError::Url { .. }), "{url}");
            assert!(!error.to_string().contains("secret"));
        }
    }

    #[test]
    fn an_address_names_its_host_behind_two_slashes() {
        for url in [
            "ws:a/",
            "ws:/a/",
            "ws:///a/",
            "ws:////a",
            "ws:\\\\a/",
            "ws://\\a",
            "ws:/\\a",
            "ws://\t/a",
            "ws:/\n//a",
        ] {
            let reason = match Target::parse(url) {
                Err(OpenError::Url { reason, .. }) => reason,
                other => panic!("{url}: {other:?}"),
            };
            assert_eq!(reason, "the scheme must be followed by `//` and the host", "{url}");
        }
        for url in ["ws://a/", " ws://a/", "w\ts:/\n/a", "WS://a//b", "ws://a\\b"] {
            assert_eq!(target(url).host(), "a", "{url}");
        }
    }

    #[test]
    fn hosts_are_as_long_as_names_can_be() {
        for (bytes, dot, taken) in [(253, "", true), (253, ".", true), (254, "", false), (255, ".", false)] {
            let host = format!("{}{dot}", &"abc.".repeat(64)[..bytes]);
            assert_eq!(Target::parse(&format!("ws://{host}/")).is_ok(), taken, "{bytes}");
            assert_eq!(target("ws://a/").join(&format!("//{host}/")).is_ok(), taken, "{bytes}");
        }
    }

    #[test]
    fn user_info_is_decoded_and_not_shown() {
        let target = target("ws://us%65r:p%40ss%3A%zz@a/");
        let credentials = target.credentials().unwrap();
        assert_eq!(credentials.user, b"user");
        assert_eq!(credentials.password, b"p@ss:%zz");
        assert_eq!(target.url().as_str(), "ws://a/");
        assert!(!format!("{target:?} {credentials:?}").contains("ss:"));
    }

    #[test]
    fn redirects_resolve_and_http_means_ws() {
        let from = target("ws://a/b/c?d");
        for (location, url) in [
            ("e", "ws://a/b/e"),
            ("/e?f#g", "ws://a/e?f"),
            ("//h/i", "ws://h/i"),
            ("https://h", "wss://h/"),
            ("http://h:80/", "ws://h/"),
            ("https://h:443/", "wss://h/"),
        ] {
            assert_eq!(from.join(location).unwrap().url().as_str(), url, "{location}");
        }
        let unclear = ["ws:///h", "https:h", "///h", "\\\\h", "/\\h", "//\\h", "http:/h", "/\t/\n/h"];
        for location in ["ftp://a", "ws://", "mailto:a"].into_iter().chain(unclear) {
            assert!(from.join(location).is_err(), "{location}");
        }
        assert!(from.has_origin_of(&target("ws://a:80/x")));
        assert!(!from.has_origin_of(&target("wss://a:80/x")));
        assert!(!from.has_origin_of(&target("ws://a:81/x")));
        assert!(!from.has_origin_of(&target("ws://b/x")));
    }
}
