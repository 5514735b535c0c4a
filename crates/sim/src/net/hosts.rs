//! Hosts: their names and addresses, the way to an address, ephemeral ports.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::{HostId, Network};

/// IANA's range of ephemeral ports.
pub(super) const EPHEMERAL_FIRST: u16 = 49152;

/// Hosts that fit into 192.168.0.0/16.
const HOSTS_MAX: usize = 254 * 256;

#[derive(Debug)]
pub(super) struct Host {
    name: String,
    ip: IpAddr,
    /// The ephemeral port to try next.
    next_port: u16,
    /// Connections with an end here.
    pub(super) connections: BTreeSet<u32>,
}

/// A destination, seen from one host.
pub(super) struct Route {
    pub(super) destination: IpAddr,
    pub(super) source: IpAddr,
    /// `None` if no host has the address.
    pub(super) host: Option<HostId>,
}

impl Network {
    /// Adds a host. Addresses are given in order: 192.168.0.1, 192.168.0.2, ...
    ///
    /// # Errors
    ///
    /// `AlreadyExists` if the name is taken, `AddrNotAvailable` beyond 65024 hosts.
    pub(crate) fn add_host(&mut self, name: &str) -> io::Result<HostId> {
        let lower_name = name.to_ascii_lowercase();
        if self.by_lower_name.contains_key(&lower_name) {
            return Err(io::Error::new(
                io::ErrorKind::AlreadyExists,
                format!("host `{name}` exists already"),
            ));
        }
        let index = self.hosts.len();
        if index >= HOSTS_MAX {
            return Err(io::Error::new(io::ErrorKind::AddrNotAvailable, "the network is full"));
        }
        let ip = IpAddr::V4(Ipv4Addr::new(192, 168, (index / 254) as u8, (index % 254 + 1) as u8));
        self.hosts.push(Host {
            name: name.to_owned(),
            ip,
            next_port: EPHEMERAL_FIRST,
            connections: BTreeSet::new(),
        });
        let host = HostId(index as u32);
        self.by_lower_name.insert(lower_name, host);
        Ok(host)
    }

    pub(crate) fn host_by_name(&self, name: &str) -> Option<HostId> {
        self.by_lower_name.get(&name.to_ascii_lowercase()).copied()
    }

    pub(crate) fn host_name(&self, host: HostId) -> &str {
        &self.hosts[host.index()].name
    }

    /// Returns the hosts' names and addresses, in the order in which they were added.
    pub(crate) fn hosts(&self) -> impl Iterator<Item = (&str, String)> {
        self.hosts.iter().map(|host| (&*host.name, host.ip.to_string()))
    }

    pub(crate) fn host_ip(&self, host: HostId) -> IpAddr {
        self.hosts[host.index()].ip
    }

    /// Finds an address by a host's name, by "localhost", or by an address's text. Names ignore case.
    pub(crate) fn resolve(&self, from: HostId, name: &str) -> Option<IpAddr> {
        debug_assert!(from.index() < self.hosts.len(), "hosts are made by this network");
        if let Ok(ip) = name.parse() {
            return Some(ip);
        }
        match name.to_ascii_lowercase().as_str() {
            "localhost" => Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            lower => match self.by_lower_name.get(lower) {
                Some(&host) => Some(self.host_ip(host)),
                None => old_text(name).map(IpAddr::V4),
            },
        }
    }

    /// Returns `true` if a socket of `host` can have this address.
    pub(super) fn is_own_address(&self, host: HostId, ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(v4) => v4.is_loopback() || ip == self.host_ip(host),
            IpAddr::V6(v6) => v6 == Ipv6Addr::LOCALHOST,
        }
    }

    /// Finds the way to `ip`. An unspecified address means this host.
    pub(super) fn route(&self, from: HostId, ip: IpAddr) -> io::Result<Route> {
        let destination = match ip {
            IpAddr::V4(Ipv4Addr::UNSPECIFIED) => IpAddr::V4(Ipv4Addr::LOCALHOST),
            IpAddr::V6(Ipv6Addr::UNSPECIFIED) => IpAddr::V6(Ipv6Addr::LOCALHOST),
            ip => ip,
        };
        let own = self.host_ip(from);
        match destination {
            IpAddr::V4(v4) if v4.is_loopback() => {
                Ok(Route { destination, source: IpAddr::V4(Ipv4Addr::LOCALHOST), host: Some(from) })
            }
            IpAddr::V6(Ipv6Addr::LOCALHOST) => {
                Ok(Route { destination, source: destination, host: Some(from) })
            }
            IpAddr::V4(v4) if v4.octets()[..2] == [192, 168] => {
                Ok(Route { destination, source: own, host: self.host_at(v4) })
            }
            _ => Err(io::Error::from_raw_os_error(libc::ENETUNREACH)),
        }
    }

    /// Returns the host that has an address, by its place in the order in which addresses are given.
    fn host_at(&self, ip: Ipv4Addr) -> Option<HostId> {
        let [.., third, fourth] = ip.octets();
        let index = usize::from(third) * 254 + usize::from(fourth).checked_sub(1)?;
        (fourth < 255 && index < self.hosts.len()).then(|| HostId::new(index))
    }

    /// Takes the next ephemeral port of `host` that `is_free`.
    pub(super) fn take_port(
        &mut self,
        host: HostId,
        is_free: impl Fn(&Self, u16) -> bool,
    ) -> io::Result<u16> {
        for _ in EPHEMERAL_FIRST..=u16::MAX {
            let next = &mut self.hosts[host.index()].next_port;
            let port = *next;
            *next = port.checked_add(1).unwrap_or(EPHEMERAL_FIRST);
            if is_free(self, port) {
                return Ok(port);
            }
        }
        Err(io::Error::from_raw_os_error(libc::EADDRNOTAVAIL))
    }
}

/// Reads an IPv4 address as `inet_aton` does: up to four numbers, decimal, octal or hexadecimal, of which the last
/// fills the bytes that are left ("127.1").
fn old_text(name: &str) -> Option<Ipv4Addr> {
    let number = |text: &str| match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hexadecimal) => u32::from_str_radix(hexadecimal, 16).ok(),
        None if text.starts_with('+') => None,
        None if text.len() > 1 && text.starts_with('0') => u32::from_str_radix(text, 8).ok(),
        None => text.parse().ok(),
    };
    let numbers = name.split('.').map(number).collect::<Option<Vec<u32>>>()?;
    let (&last, bytes) = numbers.split_last()?;
    if bytes.len() > 3
        || bytes.iter().any(|&byte| byte > 255)
        || u64::from(last) >> (8 * (4 - bytes.len())) > 0
    {
        return None;
    }
    let first = bytes.iter().enumerate().map(|(index, &byte)| byte << (24 - 8 * index)).sum::<u32>();
    Some(Ipv4Addr::from(first | last))
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind::*;

    use wavetank_runtime::SocketOptions;

    use super::super::SocketId;
    use super::super::harness::{Harness, fails, outcome};
    use super::super::link::SECOND;
    use super::*;

    #[test]
    fn hosts_get_addresses_in_order() {
        let mut network = Network::new();
        let hosts: Vec<HostId> =
            (0..255).map(|index| network.add_host(&format!("host-{index}")).unwrap()).collect();
        assert_eq!(network.host_ip(hosts[0]).to_string(), "192.168.0.1");
        assert_eq!(network.host_ip(hosts[253]).to_string(), "192.168.0.254");
        assert_eq!(network.host_ip(hosts[254]).to_string(), "192.168.1.1");
        assert_eq!(network.add_host("host-7").unwrap_err().kind(), AlreadyExists);
        assert_eq!(network.host_by_name("host-7"), Some(hosts[7]));
        assert_eq!(network.host_name(hosts[7]), "host-7");
    }

    #[test]
    fn names_addresses_and_localhost_resolve() {
        let harness = Harness::new();
        let resolve = |name: &str| harness.network.resolve(harness.client, name).map(|ip| ip.to_string());
        assert_eq!(resolve("server").as_deref(), Some("192.168.0.2"));
        assert_eq!(resolve("localhost").as_deref(), Some("127.0.0.1"));
        assert_eq!(resolve("SERVER").as_deref(), Some("192.168.0.2"));
        assert_eq!(resolve("LocalHost").as_deref(), Some("127.0.0.1"));
        assert_eq!(resolve("10.1.2.3").as_deref(), Some("10.1.2.3"));
        for text in ["127.1", "0x7f.1", "2130706433", "0177.0.0.1", "127.0.0.01"] {
            assert_eq!(resolve(text).as_deref(), Some("127.0.0.1"), "{text}");
        }
        for text in
            ["", "localhost.", "127.0.0.1.", "127.1.", "256.1", "1.2.3.4.5", "4294967296", "1.16777216"]
        {
            assert_eq!(resolve(text), None, "{text}");
        }
        assert_eq!(resolve("unknown"), None);
    }

    #[test]
    fn addresses_without_a_host_are_unreachable() {
        let mut harness = Harness::new();
        let mut connect = |addr: &str| {
            let addr = addr.parse().unwrap();
            harness.network.connect(
                harness.now,
                &mut harness.outside,
                harness.client,
                addr,
                SocketOptions::new(),
            )
        };
        for address in ["10.0.0.1:80", "[2001:db8::1]:80"] {
            assert_eq!(connect(address).unwrap_err().kind(), NetworkUnreachable);
        }
        let client = connect("192.168.7.7:80").unwrap();
        harness.settle();
        assert_eq!(harness.now, 3 * SECOND);
        assert_eq!(outcome(harness.network.poll_connected(client)), fails(HostUnreachable));
        harness.close(client);
        assert!(harness.is_empty());
    }

    #[test]
    fn ephemeral_ports_count_up_and_run_out() {
        let mut harness = Harness::new();
        let sockets: Vec<SocketId> = (EPHEMERAL_FIRST..=u16::MAX).map(|_| harness.connect()).collect();
        assert_eq!(harness.network.local_addr(sockets[5]).unwrap().port(), EPHEMERAL_FIRST + 5);
        let addr = harness.server_addr();
        let another = harness.network.connect(
            harness.now,
            &mut harness.outside,
            harness.client,
            addr,
            SocketOptions::new(),
        );
        assert_eq!(another.unwrap_err().kind(), AddrNotAvailable);
        harness.close(sockets[5]);
        let again = harness.connect();
        assert_eq!(harness.network.local_addr(again).unwrap().port(), EPHEMERAL_FIRST + 5);
        harness.settle();
        // All were refused, which frees their ports.
        harness.connect();
    }
}
