//! Everything that can be set, with its default.

use std::time::Duration;

use http::HeaderMap;
use http::header::{HOST, ORIGIN};

/// Deadlines, limits and policies of connections.
///
/// # Defaults
///
/// | Setting | Default |
/// |---|---|
/// | [`init_timeout`](Self::init_timeout) | 10 s |
/// | [`keepalive`](Self::keepalive) | every 20 s ± 10 %, 20 s for an answer |
/// | [`idle_timeout`](Self::idle_timeout), [`age_max`](Self::age_max) | none |
/// | [`write_timeout`](Self::write_timeout) | 30 s without progress |
/// | [`close_timeout`](Self::close_timeout) | 5 s |
/// | [`hook_timeout`](Self::hook_timeout) | 30 s |
/// | [`message_bytes_max`](Self::message_bytes_max) | 1 MiB |
/// | [`init_payload_bytes_max`](Self::init_payload_bytes_max) | 64 KiB |
/// | [`id_bytes_max`](Self::id_bytes_max) | 256 bytes |
/// | [`nesting_max`](Self::nesting_max) | 100 |
/// | [`operations_max`](Self::operations_max) | 100 a connection |
/// | [`operations_overall_max`](Self::operations_overall_max), [`connections_max`](Self::connections_max) | none |
/// | [`write_buffer_bytes`](Self::write_buffer_bytes) | 64 KiB |
/// | [`origins`](Self::origins) | the host's own |
/// | [`legacy`](Self::legacy) | off |
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) init_timeout: Duration,
    pub(crate) keepalive: Option<Keepalive>,
    pub(crate) idle_timeout: Option<Duration>,
    pub(crate) age_max: Option<Duration>,
    pub(crate) write_timeout: Duration,
    pub(crate) close_timeout: Duration,
    pub(crate) hook_timeout: Duration,
    pub(crate) message_bytes_max: usize,
    pub(crate) init_payload_bytes_max: usize,
    pub(crate) id_bytes_max: usize,
    pub(crate) nesting_max: usize,
    pub(crate) operations_max: usize,
    pub(crate) operations_overall_max: usize,
    pub(crate) connections_max: usize,
    pub(crate) write_buffer_bytes: usize,
    pub(crate) origins: Origins,
    pub(crate) legacy: Legacy,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            init_timeout: Duration::from_secs(10),
            keepalive: Some(Keepalive::default()),
            idle_timeout: None,
            age_max: None,
            write_timeout: Duration::from_secs(30),
            close_timeout: Duration::from_secs(5),
            hook_timeout: Duration::from_secs(30),
            message_bytes_max: 1 << 20,
            init_payload_bytes_max: 64 << 10,
            id_bytes_max: 256,
            nesting_max: 100,
            operations_max: 100,
            operations_overall_max: usize::MAX,
            connections_max: usize::MAX,
            write_buffer_bytes: 64 << 10,
            origins: Origins::SameHost,
            legacy: Legacy::Off,
        }
    }
}

impl Config {
    /// Makes the default configuration.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the time a client has to send `connection_init`. It starts when the handler gets the accepted transport.
    /// When it has passed, the connection is closed with 4408. A message that has arrived by then counts, so with
    /// zero only a client whose message is already there is served.
    #[must_use]
    pub const fn init_timeout(mut self, timeout: Duration) -> Self {
        self.init_timeout = timeout;
        self
    }

    /// Sets how the server finds out that a client is gone. With `None` it does not: the transport has to.
    #[must_use]
    pub const fn keepalive(mut self, keepalive: Option<Keepalive>) -> Self {
        self.keepalive = keepalive;
        self
    }

    /// Sets how long an acknowledged connection may be without operations before it is closed with 3008. Pings do
    /// not count.
    #[must_use]
    pub const fn idle_timeout(mut self, timeout: Option<Duration>) -> Self {
        self.idle_timeout = timeout;
        self
    }

    /// Sets how old a connection may become. Each connection gets up to 10 % less, so that they do not all end at
    /// once. An old connection is drained as by a shutdown with 1001: running queries and mutations have
    /// [`close_timeout`](Self::close_timeout) to end.
    #[must_use]
    pub const fn age_max(mut self, age: Option<Duration>) -> Self {
        self.age_max = age;
        self
    }

    /// Sets how long sending may make no progress. Then the connection is dropped, at most an eighth of the time later.
    /// Any progress restarts the time, so the deadline does not depend on the size of messages. A transport that does
    /// not count its bytes ([`MessageTransport::progress`](crate::MessageTransport::progress)) makes progress with
    /// whole messages only.
    #[must_use]
    pub const fn write_timeout(mut self, timeout: Duration) -> Self {
        self.write_timeout = timeout;
        self
    }

    /// Sets how long closing may take in all: what is still to be sent, the Close frame, and the client's answer. On
    /// threads the client's answer is not included: for it the transport has a timeout of its own
    /// ([`blocking`](crate::blocking)).
    #[must_use]
    pub const fn close_timeout(mut self, timeout: Duration) -> Self {
        self.close_timeout = timeout;
        self
    }

    /// Sets how long a hook may take. An `on_connect` that takes longer closes the connection with 1013, an
    /// `on_operation` or `persisted_query` fails the operation, an `on_ping` leaves the ping without an answer.
    #[must_use]
    pub const fn hook_timeout(mut self, timeout: Duration) -> Self {
        self.hook_timeout = timeout;
        self
    }

    /// Sets the longest message of a client, in bytes. A longer one closes the connection with 1009. The transport
    /// should have a limit of its own, before it allocates memory.
    #[must_use]
    pub const fn message_bytes_max(mut self, bytes: usize) -> Self {
        self.message_bytes_max = bytes;
        self
    }

    /// Sets the longest payload of `connection_init`, in bytes. A longer one closes the connection with 4400.
    #[must_use]
    pub const fn init_payload_bytes_max(mut self, bytes: usize) -> Self {
        self.init_payload_bytes_max = bytes;
        self
    }

    /// Sets the longest id of an operation, in bytes. A longer one closes the connection with 4400.
    #[must_use]
    pub const fn id_bytes_max(mut self, bytes: usize) -> Self {
        self.id_bytes_max = bytes;
        self
    }

    /// Sets how deeply arrays and objects of a message may be nested. Deeper nesting closes the connection with 4400.
    /// Keep it at 120 or less: serde_json refuses variables that are nested more than 128 levels deep.
    #[must_use]
    pub const fn nesting_max(mut self, depth: usize) -> Self {
        self.nesting_max = depth;
        self
    }

    /// Sets how many operations a connection may have at a time. A further one is answered with `error`; the
    /// connection stays.
    #[must_use]
    pub const fn operations_max(mut self, operations: usize) -> Self {
        self.operations_max = operations;
        self
    }

    /// Sets how many operations all connections together may have at a time. A further one is answered with `error`.
    #[must_use]
    pub const fn operations_overall_max(mut self, operations: usize) -> Self {
        self.operations_overall_max = operations;
        self
    }

    /// Sets how many connections the server may have at a time. A further one is closed with 1013.
    #[must_use]
    pub const fn connections_max(mut self, connections: usize) -> Self {
        self.connections_max = connections;
        self
    }

    /// Sets how many bytes may wait for the transport before operations are no longer polled for results. One
    /// result may overshoot it. Streams are polled only while no message of an operation waits. With twice as many
    /// bytes waiting, nothing is read from the client either. 0 counts as 1.
    #[must_use]
    pub const fn write_buffer_bytes(mut self, bytes: usize) -> Self {
        self.write_buffer_bytes = if bytes == 0 { 1 } else { bytes };
        self
    }

    /// Sets which pages of browsers may connect. Others are closed with 4403.
    #[must_use]
    pub fn origins(mut self, origins: Origins) -> Self {
        self.origins = origins;
        self
    }

    /// Sets whether clients may speak the legacy protocol.
    #[must_use]
    pub const fn legacy(mut self, legacy: Legacy) -> Self {
        self.legacy = legacy;
        self
    }
}

/// Finding clients that are gone: the server pings, and closes with 3008 where nothing comes back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Keepalive {
    /// How long after the connection began, or after the previous ping, the next is sent. Less than 1 ms counts as
    /// 1 ms. While a ping has no answer, no other is sent. In the legacy protocol `ka` is sent in this interval too.
    pub interval: Duration,
    /// How long a client may be silent after a ping. Any byte from it is an answer. Time in which the handler does not
    /// read does not count.
    pub timeout: Duration,
    /// How far intervals vary, in percent of the interval, 0 to 100: spreads the pings of many connections.
    pub jitter_percent: u8,
    /// Which ping is sent.
    pub ping: PingKind,
}

impl Default for Keepalive {
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(20),
            timeout: Duration::from_secs(20),
            jitter_percent: 10,
            ping: PingKind::Message,
        }
    }
}

impl Keepalive {
    /// Pings every `interval`, and waits for an answer for `timeout`; jitter and kind as by default.
    #[must_use]
    pub fn new(interval: Duration, timeout: Duration) -> Self {
        Self { interval, timeout, ..Self::default() }
    }

    /// Sets how far intervals vary, in percent.
    #[must_use]
    pub const fn jitter_percent(mut self, percent: u8) -> Self {
        self.jitter_percent = percent;
        self
    }

    /// Sets which ping is sent.
    #[must_use]
    pub const fn ping(mut self, ping: PingKind) -> Self {
        self.ping = ping;
        self
    }
}

/// Which ping the server sends.
///
/// Frames need a transport that can send them
/// ([`MessageTransport::start_ping`](crate::MessageTransport::start_ping)). This project's WebSocket, axum's and the
/// transport in memory can. Transports of threads cannot. There a client of the legacy protocol gets no pings, so only
/// its transport finds out that it is gone: turn on the keepalive of its WebSocket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PingKind {
    /// The protocol's `ping` message. A client that speaks the legacy protocol, or may
    /// ([`Legacy::Tolerated`]), gets a frame instead: that protocol has no `ping`.
    Message,
    /// A WebSocket ping frame, where the transport can send any; otherwise a message.
    Frame,
}

/// Whether the legacy protocol `graphql-ws` is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Legacy {
    /// Not at all: a client that offers nothing else is closed with 4406.
    Off,
    /// Where it was agreed on.
    On,
    /// Where it was agreed on. Also with a client that agreed on `graphql-transport-ws` and then sends `start`.
    /// Python's `gql` does so if the server writes the names of its response headers in small letters, as hyper and
    /// axum do.
    Tolerated,
}

/// Which origins may connect. A request without `Origin` does not come from a page of a browser, and always may.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origins {
    /// Any.
    Any,
    /// The page's host and port must be those of the request's `Host`. A proxy that changes `Host` needs a list.
    SameHost,
    /// One of these, such as `https://example.com`. Letters of either case are equal.
    List(Vec<String>),
}

impl Origins {
    /// Returns `true` if a request with these headers may connect.
    #[must_use]
    pub fn allow(&self, headers: &HeaderMap) -> bool {
        let mut origins = headers.get_all(ORIGIN).iter();
        let Some(origin) = origins.next() else { return true };
        if *self == Self::Any {
            return true;
        }
        // Two origins, or one that is not text: not a browser's request.
        let (Ok(origin), None) = (origin.to_str(), origins.next()) else { return false };
        match self {
            Self::Any => true,
            Self::List(list) => list.iter().any(|allowed| allowed.eq_ignore_ascii_case(origin)),
            Self::SameHost => {
                let host = headers.get(HOST).and_then(|host| host.to_str().ok());
                let (Some(host), Some((scheme, authority))) = (host, origin.split_once("://")) else {
                    return false;
                };
                let default_port = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
                let bare = |name: &str| name.strip_suffix(default_port).unwrap_or(name).to_ascii_lowercase();
                bare(host) == bare(authority)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(origin: &[&str], host: Option<&str>) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for origin in origin {
            headers.append(ORIGIN, origin.parse().expect("a value"));
        }
        if let Some(host) = host {
            headers.insert(HOST, host.parse().expect("a value"));
        }
        headers
    }

    #[test]
    fn the_readme_states_the_defaults() {
        let config = Config::default();
        let keepalive = config.keepalive.expect("a keepalive");
        let seconds = |time: Duration| format!("{} s", time.as_secs());
        let bytes = |bytes: usize| match bytes {
            1_048_576.. => format!("{} MiB", bytes >> 20),
            1024.. => format!("{} KiB", bytes >> 10),
            _ => format!("{bytes} bytes"),
        };
        let keepalive = format!(
            "{} ± {} %, {}",
            seconds(keepalive.interval),
            keepalive.jitter_percent,
            seconds(keepalive.timeout)
        );
        let [init, id] = [config.init_payload_bytes_max, config.id_bytes_max].map(bytes);
        let rows = [
            ("`init_timeout`", seconds(config.init_timeout)),
            ("`keepalive`", keepalive),
            ("`write_timeout`", seconds(config.write_timeout)),
            ("`close_timeout`", seconds(config.close_timeout)),
            ("`hook_timeout`", seconds(config.hook_timeout)),
            ("`message_bytes_max`", bytes(config.message_bytes_max)),
            (
                "`init_payload_bytes_max`, `id_bytes_max`, `nesting_max`",
                format!("{init}, {id}, {}", config.nesting_max),
            ),
            ("`operations_max`, `operations_overall_max`", format!("{}, none", config.operations_max)),
            ("`idle_timeout`", "none".to_owned()),
            ("`age_max`", "none".to_owned()),
            ("`connections_max`", "none".to_owned()),
            ("`write_buffer_bytes`", bytes(config.write_buffer_bytes)),
        ];
        assert_eq!((config.idle_timeout, config.age_max), (None, None));
        assert_eq!((config.operations_overall_max, config.connections_max), (usize::MAX, usize::MAX));
        for (name, default) in rows {
            let row = format!("| {name} | {default} |");
            assert!(include_str!("../README.md").contains(&row), "the README has the row {row}");
        }
    }

    #[test]
    fn a_request_without_origin_may_always_connect() {
        for origins in [Origins::Any, Origins::SameHost, Origins::List(Vec::new())] {
            assert!(origins.allow(&headers(&[], None)), "{origins:?}");
        }
    }

    #[test]
    fn default_ports_belong_to_the_same_host() {
        let allowed = |origin, host| Origins::SameHost.allow(&headers(&[origin], host));
        assert!(allowed("http://a.example", Some("A.example")));
        assert!(allowed("https://a.example", Some("a.example:443")));
        assert!(allowed("http://localhost:4000", Some("localhost:4000")));
        assert!(!allowed("http://localhost:4000", Some("localhost:4001")));
        assert!(!allowed("http://a.example.evil", Some("a.example")));
        assert!(!allowed("null", Some("a.example")));
        assert!(!allowed("http://a.example", None));
    }

    #[test]
    fn a_list_allows_its_origins_alone() {
        let list = Origins::List(vec!["https://a.example".into()]);
        assert!(list.allow(&headers(&["https://A.example"], None)));
        assert!(!list.allow(&headers(&["https://b.example"], None)));
        assert!(!list.allow(&headers(&["https://a.example", "https://a.example"], None)));
    }
}
