//! The kinds of faults: what each does to links while it lasts, and its lines in the trace.

use crate::net::{Conditions, HostId, LinkId};
use crate::time::Nanos;
use crate::time::milliseconds;

/// How a host crashes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Crash {
    /// The process is killed. The kernel closes its sockets: with RST if something was not yet read, otherwise with
    /// FIN. Connections are refused until the host is started again.
    Process,
    /// The machine is lost. Its peers learn nothing, and nothing answers until the host is started again. Then old
    /// connections are answered with RST.
    Machine,
}

/// One fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    Partition {
        a: HostId,
        b: HostId,
    },
    OneWayPartition {
        from: HostId,
        to: HostId,
    },
    PausedLink {
        a: HostId,
        b: HostId,
    },
    /// All links of a host are paused.
    Clog {
        host: HostId,
    },
    Slow {
        a: HostId,
        b: HostId,
        by: Nanos,
    },
    Lossy {
        a: HostId,
        b: HostId,
        one_in: u32,
    },
    Narrow {
        a: HostId,
        b: HostId,
        bytes_per_second: u64,
    },
    Silence {
        host: HostId,
    },
    PausedHost {
        host: HostId,
    },
    Crash {
        host: HostId,
        how: Crash,
    },
    Reset {
        a: HostId,
        b: HostId,
    },
    /// A connection is forgotten: for segments from `a` if `ways[0]`, for segments from `b` if `ways[1]`.
    HalfOpen {
        a: HostId,
        b: HostId,
        ways: [bool; 2],
        index: usize,
    },
}

impl Fault {
    /// Returns the point that some run of a sweep should reach. Otherwise the fault tested nothing.
    pub(crate) const fn meets(self) -> Option<&'static str> {
        match self {
            Self::Partition { .. } | Self::OneWayPartition { .. } => Some("a partition meets traffic"),
            Self::PausedLink { .. } | Self::Clog { .. } => Some("a paused link meets traffic"),
            Self::Slow { .. } => Some("a slow link meets traffic"),
            Self::Lossy { .. } => Some("a link that loses segments meets traffic"),
            Self::Narrow { .. } => Some("a narrow link meets traffic"),
            Self::Silence { .. } => Some("a silent host meets traffic"),
            Self::Reset { .. } => Some("a reset meets a connection"),
            // It happens to something, or it does not happen.
            Self::PausedHost { .. } | Self::Crash { .. } | Self::HalfOpen { .. } => None,
        }
    }

    /// Returns `true` if a segment on `link` meets it while it lasts.
    pub(crate) fn touches(self, link: LinkId) -> bool {
        let of_host = |host| link.from == host || link.to == host;
        match self {
            Self::Silence { host } => of_host(host),
            Self::Reset { a, b } => (link.from, link.to) == (a, b) || (link.from, link.to) == (b, a),
            // `conditions` knows every other kind.
            _ => self.conditions(link) != Conditions::default(),
        }
    }

    /// Returns `true` if it happens at one moment.
    pub(crate) const fn is_sudden(self) -> bool {
        matches!(self, Self::Reset { .. } | Self::HalfOpen { .. })
    }

    /// Returns the links that it touches while it lasts, in a run with this many hosts.
    pub(crate) fn links(self, hosts: usize) -> Vec<LinkId> {
        let both = |a, b| [LinkId { from: a, to: b }, LinkId { from: b, to: a }];
        match self {
            Self::OneWayPartition { from, to } => vec![LinkId { from, to }],
            Self::Partition { a, b }
            | Self::PausedLink { a, b }
            | Self::Slow { a, b, .. }
            | Self::Lossy { a, b, .. }
            | Self::Narrow { a, b, .. } => both(a, b).into(),
            Self::Clog { host } => {
                let others = (0..hosts).map(HostId::new).filter(|&other| other != host);
                others.flat_map(|other| both(host, other)).collect()
            }
            Self::Silence { .. }
            | Self::PausedHost { .. }
            | Self::Crash { .. }
            | Self::Reset { .. }
            | Self::HalfOpen { .. } => Vec::new(),
        }
    }

    /// Returns the conditions of `link` while it lasts.
    pub(crate) fn conditions(self, link: LinkId) -> Conditions {
        let fair = Conditions::default();
        let LinkId { from, to } = link;
        let between = |a, b| (from, to) == (a, b) || (to, from) == (a, b);
        let (is_met, conditions) = match self {
            Self::Partition { a, b } => (between(a, b), Conditions { cut: true, ..fair }),
            Self::OneWayPartition { from: a, to: b } => {
                ((from, to) == (a, b), Conditions { cut: true, ..fair })
            }
            Self::PausedLink { a, b } => (between(a, b), Conditions { paused: true, ..fair }),
            Self::Clog { host } => (from == host || to == host, Conditions { paused: true, ..fair }),
            Self::Slow { a, b, by } => (between(a, b), Conditions { delay: by, ..fair }),
            Self::Lossy { a, b, one_in } => (between(a, b), Conditions { one_lost_in: one_in, ..fair }),
            Self::Narrow { a, b, bytes_per_second } => {
                (between(a, b), Conditions { bytes_per_second, ..fair })
            }
            Self::Silence { .. }
            | Self::PausedHost { .. }
            | Self::Crash { .. }
            | Self::Reset { .. }
            | Self::HalfOpen { .. } => (false, fair),
        };
        if is_met { conditions } else { fair }
    }

    /// Returns `true` if `conditions`, of a link that it touched, still have its effect.
    pub(crate) const fn lingers_in(self, conditions: &Conditions) -> bool {
        match self {
            Self::Partition { .. } | Self::OneWayPartition { .. } => conditions.cut,
            Self::PausedLink { .. } | Self::Clog { .. } => conditions.paused,
            Self::Slow { .. } => conditions.delay > 0,
            Self::Lossy { .. } => conditions.one_lost_in > 0,
            Self::Narrow { .. } => conditions.bytes_per_second > 0,
            Self::Silence { .. }
            | Self::PausedHost { .. }
            | Self::Crash { .. }
            | Self::Reset { .. }
            | Self::HalfOpen { .. } => false,
        }
    }

    /// Returns the host that is silent while it lasts.
    pub(crate) const fn silences(self) -> Option<HostId> {
        match self {
            Self::Silence { host } | Self::Crash { host, how: Crash::Machine } => Some(host),
            Self::Partition { .. }
            | Self::OneWayPartition { .. }
            | Self::PausedLink { .. }
            | Self::Clog { .. }
            | Self::Slow { .. }
            | Self::Lossy { .. }
            | Self::Narrow { .. }
            | Self::PausedHost { .. }
            | Self::Crash { how: Crash::Process, .. }
            | Self::Reset { .. }
            | Self::HalfOpen { .. } => None,
        }
    }

    /// Returns the trace line of its beginning. `lasts` is how long it will last, if known.
    pub(crate) fn beginning(self, name: impl Fn(HostId) -> String, lasts: Option<Nanos>) -> String {
        let during = lasts.map(|lasts| format!(" for {}", milliseconds(lasts))).unwrap_or_default();
        let again = lasts
            .map(|lasts| format!(", and started again after {}", milliseconds(lasts)))
            .unwrap_or_default();
        let pair = |a, b| format!("between {} and {}", name(a), name(b));
        match self {
            Self::Partition { a, b } => {
                format!("{} and {} are cut off from each other{during}", name(a), name(b))
            }
            Self::OneWayPartition { from, to } => {
                format!("nothing from {} reaches {}{during}", name(from), name(to))
            }
            Self::PausedLink { a, b } => format!("segments {} wait{during}", pair(a, b)),
            Self::Clog { host } => format!("all segments from and to {} wait{during}", name(host)),
            Self::Slow { a, b, by } => {
                format!("segments {} take {} longer{during}", pair(a, b), milliseconds(by))
            }
            Self::Lossy { a, b, one_in } => format!("one segment in {one_in} {} is lost{during}", pair(a, b)),
            Self::Narrow { a, b, bytes_per_second } => {
                format!("only {bytes_per_second} B a second pass {}{during}", pair(a, b))
            }
            Self::Silence { host } => format!("{} falls silent{during}", name(host)),
            Self::PausedHost { host } => format!("{} is paused{during}", name(host)),
            Self::Crash { host, how: Crash::Process } => {
                format!("the process of {} is killed{again}", name(host))
            }
            Self::Crash { host, how: Crash::Machine } => {
                format!("the machine of {} is lost{again}", name(host))
            }
            Self::Reset { a, b } => format!("something resets the connections {}", pair(a, b)),
            Self::HalfOpen { a, b, ways, .. } => match ways {
                [true, false] => format!("from {} to {}", name(a), name(b)),
                [false, true] => format!("from {} to {}", name(b), name(a)),
                _ => "both ways".to_owned(),
            },
        }
    }

    /// Returns the trace line of its end.
    pub(crate) fn end(self, name: impl Fn(HostId) -> String) -> String {
        let pair = |a, b| format!("between {} and {}", name(a), name(b));
        match self {
            Self::Partition { a, b } | Self::OneWayPartition { from: a, to: b } => {
                format!("{} and {} reach each other again", name(a), name(b))
            }
            Self::PausedLink { a, b } => format!("segments {} go on", pair(a, b)),
            Self::Clog { host } => format!("all segments from and to {} go on", name(host)),
            Self::Slow { a, b, .. } => format!("segments {} are as fast as before", pair(a, b)),
            Self::Lossy { a, b, .. } => format!("no more segments {} are lost", pair(a, b)),
            Self::Narrow { a, b, .. } => format!("the link {} is as wide as before", pair(a, b)),
            Self::Silence { host } => format!("{} is heard again", name(host)),
            Self::PausedHost { host } => format!("{} runs on", name(host)),
            Self::Crash { host, .. } => format!("{} is started again", name(host)),
            Self::Reset { .. } | Self::HalfOpen { .. } => unreachable!("what is sudden has no end"),
        }
    }
}
