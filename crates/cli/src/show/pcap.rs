//! The packets of a run for Wireshark: headers with the right ports, sequence numbers, flags and lengths.
//!
//! A trace knows how many bytes were sent, not which. So packets are cut after their headers, as a capture with a short
//! snap length does, and Wireshark says so. What was lost is in the file at its sender, and is marked in a comment.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use crate::trace::{Event, Trace};

/// Blocks of the format pcapng.
const SECTION: u32 = 0x0a0d_0d0a;
const INTERFACE: u32 = 1;
const PACKET: u32 = 6;
/// Packets begin with their IP header.
const LINK_RAW: u16 = 101;

const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const PSH: u8 = 8;
const ACK: u8 = 16;

const TCP: u8 = 6;
const UDP: u8 = 17;

/// The longest payload of one packet: the length of an IP packet has 16 bits.
const PAYLOAD_MAX: u64 = 65_000;

/// An end of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct End {
    ip: Ipv4Addr,
    port: u16,
}

pub(super) fn file(trace: &Trace) -> Vec<u8> {
    let mut file = File::default();
    file.begin(trace);
    let mut sent: BTreeMap<(End, End), u32> = BTreeMap::new();
    let addresses: BTreeMap<&str, Ipv4Addr> =
        trace.hosts().into_iter().filter_map(|(host, address)| Some((host, address.parse().ok()?))).collect();
    let end = |event: &Event, host: &str, port: &str| {
        let ip = event.member(host).and_then(|host| addresses.get(host).copied());
        Some(End { ip: ip?, port: u16::try_from(event.count(port)?).ok()? })
    };
    for event in &trace.events {
        let ends = end(event, "from", "from_port").zip(end(event, "to", "to_port"));
        let (Some((from, to)), Some(fact)) = (ends, event.member("what")) else { continue };
        let bytes = event.count("bytes").unwrap_or(0);
        match (&*event.kind, fact) {
            ("datagram", "sends") => file.datagram(event, from, to, bytes),
            ("network", "connects") => file.segment(&mut sent, event, (from, to), SYN, 0),
            // The answer travels the other way, and the handshake's last segment this way.
            ("network", "connected") => {
                file.segment(&mut sent, event, (to, from), SYN | ACK, 0);
                file.segment(&mut sent, event, (from, to), ACK, 0);
            }
            ("network", "refused") => file.segment(&mut sent, event, (to, from), RST | ACK, 0),
            ("network", "sends") => {
                let mut left = bytes;
                while left > 0 {
                    let part = left.min(PAYLOAD_MAX);
                    file.segment(&mut sent, event, (from, to), PSH | ACK, part);
                    left -= part;
                }
            }
            ("network", "sends FIN") => file.segment(&mut sent, event, (from, to), FIN | ACK, 0),
            ("network", "sends RST") => file.segment(&mut sent, event, (from, to), RST | ACK, 0),
            _ => {}
        }
    }
    file.0
}

#[derive(Default)]
struct File(Vec<u8>);

impl File {
    fn begin(&mut self, trace: &Trace) {
        let mut section = Vec::new();
        section.extend(0x1a2b_3c4d_u32.to_le_bytes());
        section.extend([1, 0, 0, 0]);
        section.extend(u64::MAX.to_le_bytes());
        option(&mut section, 4, format!("cargo wavetank: {}", trace.test()).as_bytes());
        end_options(&mut section);
        self.block(SECTION, &section);
        let mut interface = Vec::new();
        interface.extend(LINK_RAW.to_le_bytes());
        interface.extend([0; 6]);
        // Times are in nanoseconds.
        option(&mut interface, 9, &[9]);
        option(&mut interface, 2, b"simulated network");
        end_options(&mut interface);
        self.block(INTERFACE, &interface);
    }

    fn block(&mut self, kind: u32, body: &[u8]) {
        let length = u32::try_from(body.len().next_multiple_of(4) + 12).unwrap_or(u32::MAX);
        self.0.extend(kind.to_le_bytes());
        self.0.extend(length.to_le_bytes());
        self.0.extend(body);
        self.0.resize(self.0.len().next_multiple_of(4), 0);
        self.0.extend(length.to_le_bytes());
    }

    fn segment(
        &mut self,
        sent: &mut BTreeMap<(End, End), u32>,
        event: &Event,
        (from, to): (End, End),
        flags: u8,
        payload: u64,
    ) {
        if flags & SYN != 0 {
            sent.insert((from, to), 0);
        }
        let sequence = *sent.entry((from, to)).or_insert(1);
        let acknowledged = sent.get(&(to, from)).copied().unwrap_or(0);
        let mut header = Vec::with_capacity(20);
        header.extend(from.port.to_be_bytes());
        header.extend(to.port.to_be_bytes());
        header.extend(sequence.to_be_bytes());
        header.extend(if flags & ACK == 0 { 0 } else { acknowledged }.to_be_bytes());
        header.extend([5 << 4, flags, 0xff, 0xff, 0, 0, 0, 0]);
        let length = u32::from(flags & (SYN | FIN) != 0) + u32::try_from(payload).unwrap_or(0);
        sent.insert((from, to), sequence.wrapping_add(length));
        self.packet(event, (from, to), TCP, &header, payload);
    }

    fn datagram(&mut self, event: &Event, from: End, to: End, payload: u64) {
        let payload = payload.min(PAYLOAD_MAX);
        let mut header = Vec::with_capacity(8);
        header.extend(from.port.to_be_bytes());
        header.extend(to.port.to_be_bytes());
        header.extend(u16::try_from(payload + 8).unwrap_or(u16::MAX).to_be_bytes());
        header.extend([0, 0]);
        self.packet(event, (from, to), UDP, &header, payload);
    }

    fn packet(&mut self, event: &Event, (from, to): (End, End), protocol: u8, header: &[u8], payload: u64) {
        let length = 20 + header.len() as u64 + payload;
        let mut ip = vec![0x45, 0];
        ip.extend(u16::try_from(length).unwrap_or(u16::MAX).to_be_bytes());
        ip.extend([0, 0, 0x40, 0, 64, protocol, 0, 0]);
        ip.extend(from.ip.octets());
        ip.extend(to.ip.octets());
        let check = checksum(&ip).to_be_bytes();
        ip[10..12].copy_from_slice(&check);
        ip.extend(header);
        let mut packet = Vec::new();
        packet.extend(0_u32.to_le_bytes());
        let time = event.at.to_le_bytes();
        packet.extend(&time[4..]);
        packet.extend(&time[..4]);
        packet.extend(u32::try_from(ip.len()).unwrap_or(0).to_le_bytes());
        packet.extend(u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
        packet.extend(&ip);
        packet.resize(packet.len().next_multiple_of(4), 0);
        let task = event.task.as_deref().unwrap_or("the network");
        option(&mut packet, 1, format!("event {}: {task}: {}", event.number, event.text).as_bytes());
        end_options(&mut packet);
        self.block(PACKET, &packet);
    }
}

fn option(body: &mut Vec<u8>, code: u16, value: &[u8]) {
    let value = &value[..value.len().min(1000)];
    body.extend(code.to_le_bytes());
    body.extend(u16::try_from(value.len()).unwrap_or(0).to_le_bytes());
    body.extend(value);
    body.resize(body.len().next_multiple_of(4), 0);
}

fn end_options(body: &mut Vec<u8>) {
    body.extend([0; 4]);
}

/// The checksum of an IP header (RFC 1071).
fn checksum(header: &[u8]) -> u16 {
    let mut sum: u32 =
        header.chunks(2).map(|pair| u32::from(pair[0]) << 8 | u32::from(*pair.get(1).unwrap_or(&0))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or(0)
}
