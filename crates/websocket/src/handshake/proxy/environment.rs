//! The customary variables of the environment: `HTTPS_PROXY` and its kin, and `NO_PROXY`.
//!
//! hyper-util has a matcher for them (`client::proxy::matcher`). It knows no `WSS_PROXY` and no port in `NO_PROXY`, and
//! passes over a value that it cannot parse. Here such a value is an error that names its variable.

use std::net::IpAddr;

use super::Proxy;
use crate::OpenError;
use crate::handshake::target::Target;

/// What the environment says about proxies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Environment {
    secure: Option<Setting>,
    plain: Option<Setting>,
    /// Elements of `NO_PROXY`, in small letters.
    except: Vec<String>,
}

/// A variable that names a proxy. It is read when it is needed: a value that no connection needs is not checked.
#[derive(Clone, PartialEq, Eq)]
struct Setting {
    /// Its name, in small letters or capitals, as it is set.
    variable: String,
    text: String,
}

impl Setting {
    fn proxy(&self) -> Result<Proxy, OpenError> {
        Proxy::parse(&in_scheme_of(&self.variable, &self.text)).map_err(|error| match error {
            OpenError::Url { url, reason } => {
                OpenError::Url { url: format!("{}={url}", self.variable), reason }
            }
            other => other,
        })
    }
}

impl std::fmt::Debug for Setting {
    /// The text may have a password.
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_tuple("Setting").field(&self.variable).finish()
    }
}

impl Environment {
    pub(super) fn read(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let setting = |name: &str| {
            let in_cgi = name == "HTTP_PROXY" && lookup("REQUEST_METHOD").is_some();
            // Small letters first, as curl has it; what is empty is not set.
            let names = [name.to_ascii_lowercase(), name.to_owned()];
            names.into_iter().filter(|variable| !(in_cgi && variable == name)).find_map(|variable| {
                let text = lookup(&variable).filter(|text| !text.is_empty())?;
                Some(Setting { variable, text })
            })
        };
        let first = |names: &[&str]| names.iter().find_map(|name| setting(name));
        Self {
            secure: first(&["WSS_PROXY", "SOCKS_PROXY", "HTTPS_PROXY", "ALL_PROXY"]),
            plain: first(&["WS_PROXY", "SOCKS_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "ALL_PROXY"]),
            except: setting("NO_PROXY")
                .map_or_else(String::new, |setting| setting.text)
                .split(',')
                .map(|element| element.trim().to_ascii_lowercase())
                .filter(|element| !element.is_empty())
                .collect(),
        }
    }

    pub(super) fn choose(&self, target: &Target) -> Result<Option<Proxy>, OpenError> {
        let setting = if target.is_secure() { &self.secure } else { &self.plain };
        let host = target.host();
        let direct = self.except.iter().any(|element| matches(element, &host, target.port()));
        setting.as_ref().filter(|_| !direct).map(Setting::proxy).transpose()
    }
}

/// A proxy that is given without scheme speaks what its variable is named after.
fn in_scheme_of(name: &str, text: &str) -> String {
    if name.eq_ignore_ascii_case("SOCKS_PROXY") && !text.contains("://") {
        format!("socks5://{text}")
    } else {
        text.to_owned()
    }
}

/// Whether an element of `NO_PROXY` means a host (in small letters; IPv6 without brackets) and port.
fn matches(element: &str, host: &str, port: u16) -> bool {
    if element == "*" {
        return true;
    }
    let (name, wanted_port) = split_port(element);
    if wanted_port.is_some_and(|wanted| wanted != port) {
        return false;
    }
    match host.parse::<IpAddr>() {
        Ok(address) => is_in_network(name, address),
        Err(_) => {
            let name = name.trim_start_matches("*.").trim_start_matches('.');
            let name = name.strip_suffix('.').unwrap_or(name);
            let host = host.trim_end_matches('.');
            // The name itself, or what ends in it after a dot. The dot of the root may end either.
            host.strip_suffix(name)
                .is_some_and(|rest| rest.is_empty() || (!name.is_empty() && rest.ends_with('.')))
        }
    }
}

/// `host`, `host:port`, `[address]`, `[address]:port` or a bare IPv6 address.
fn split_port(element: &str) -> (&str, Option<u16>) {
    if let Some(rest) = element.strip_prefix('[') {
        let (address, tail) = rest.split_once(']').unwrap_or((rest, ""));
        return (address, tail.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    match element.rsplit_once(':') {
        Some((name, port)) if !name.contains(':') => match port.parse() {
            Ok(port) => (name, Some(port)),
            Err(_) => (element, None),
        },
        _ => (element, None),
    }
}

/// Whether `network` is the address, or a network (`address/bits`) that it is in.
fn is_in_network(network: &str, address: IpAddr) -> bool {
    let (base, bits) = network.split_once('/').map_or((network, None), |(base, bits)| (base, Some(bits)));
    let Ok(base) = base.parse::<IpAddr>() else { return false };
    let (base, address, width) = match (base, address) {
        (IpAddr::V4(base), IpAddr::V4(address)) => {
            (u128::from(base.to_bits()), u128::from(address.to_bits()), 32_u32)
        }
        (IpAddr::V6(base), IpAddr::V6(address)) => (base.to_bits(), address.to_bits(), 128),
        _ => return false,
    };
    let Some(bits) = bits.map_or(Some(width), |bits| bits.parse().ok()) else { return false };
    match width.checked_sub(bits) {
        None => false,
        // A network of no bits has everything.
        Some(128) => true,
        Some(rest) => (base ^ address) >> rest == 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment(variables: &[(&str, &str)]) -> Environment {
        let find = |name: &str| variables.iter().find(|(known, _)| *known == name);
        Environment::read(|name| find(name).map(|(_, value)| (*value).to_owned()))
    }

    fn chosen(environment: &Environment, url: &str) -> Option<String> {
        let target = Target::parse(url).unwrap();
        environment.choose(&target).unwrap().map(|proxy| format!("{proxy:?}"))
    }

    #[test]
    fn lowercase_proxy_variables_come_first() {
        let all = environment(&[
            ("ALL_PROXY", "all:1"),
            ("HTTP_PROXY", "plain:1"),
            ("http_proxy", "small:1"),
            ("HTTPS_PROXY", ""),
            ("WSS_PROXY", "secure:1"),
        ]);
        assert_eq!(chosen(&all, "ws://a").unwrap(), "Proxy(Http, small:1)");
        assert_eq!(chosen(&all, "wss://a").unwrap(), "Proxy(Http, secure:1)");
        let socks = environment(&[("SOCKS_PROXY", "h:9"), ("HTTPS_PROXY", "x:1")]);
        assert_eq!(chosen(&socks, "wss://a").unwrap(), "Proxy(Socks5, h:9)");
        assert_eq!(chosen(&environment(&[]), "ws://a"), None);
    }

    #[test]
    fn only_values_that_are_used_can_be_wrong() {
        let target = Target::parse("wss://a.b").unwrap();
        let unused = environment(&[("https_proxy", "https://x"), ("NO_PROXY", "*")]);
        assert_eq!(unused.choose(&target).unwrap(), None);
        let plain = environment(&[("HTTP_PROXY", "ftp://x"), ("WSS_PROXY", "p:1")]);
        assert!(plain.choose(&target).unwrap().is_some());
        let used = environment(&[("https_proxy", "https://user:secret@x")]);
        let error = used.choose(&target).unwrap_err().to_string();
        assert!(error.contains("https_proxy=https://x") && error.contains("TLS to a proxy"), "{error}");
        assert!(!error.contains("secret") && !format!("{used:?}").contains("secret"), "{error}");
    }

    #[test]
    fn a_cgi_program_ignores_the_http_proxy_header() {
        let cgi = environment(&[("HTTP_PROXY", "evil:1"), ("REQUEST_METHOD", "GET")]);
        assert_eq!(chosen(&cgi, "ws://a"), None);
    }

    #[test]
    fn no_proxy_matches_suffixes_addresses_networks_and_ports() {
        for (except, url, direct) in [
            ("*", "ws://a", true),
            ("a.b", "ws://a.b", true),
            ("A.B", "ws://x.a.B:99", true),
            (".a.b", "ws://x.a.b", true),
            ("*.a.b", "ws://x.a.b", true),
            ("a.b", "ws://xa.b", false),
            ("a.b.", "ws://a.b", true),
            ("a.b", "ws://a.b.", true),
            ("a.b:81", "ws://a.b:81", true),
            ("a.b:81", "ws://a.b", false),
            (".", "ws://a.b", false),
            ("10.0.0.0/8", "ws://10.9.8.7", true),
            ("10.0.0.0/8", "ws://11.9.8.7", false),
            ("0.0.0.0/0", "ws://11.9.8.7", true),
            ("10.0.0.0/33", "ws://10.0.0.0", false),
            ("10.0.0.1", "ws://10.0.0.1", true),
            ("0.0.1", "ws://10.0.0.1", false),
            ("::1", "ws://[::1]", true),
            ("[::1]:80", "ws://[::1]", true),
            ("[::1]:81", "ws://[::1]", false),
            ("fd00::/8", "ws://[fd12::1]", true),
            ("::/0", "ws://[fd12::1]", true),
            ("x, a.b ,", "ws://a.b", true),
        ] {
            let environment = environment(&[("all_proxy", "p:1"), ("no_proxy", except)]);
            assert_eq!(chosen(&environment, url).is_none(), direct, "{except} {url}");
        }
    }
}
