//! Datagrams on their way: latency, datagram faults, delivery.
//!
//! A datagram takes its link's latency and keeps the order of its link, as on one path through a network. If fates are
//! set, a datagram may instead be late (so that later ones overtake it), come twice, or get lost. Datagrams of a host
//! to itself always arrive. A datagram for a port without a socket is answered with ICMP's "port unreachable", which
//! may get lost like any other.
//!
//! # Invariants
//!
//! - Flights arrive in the order of (time, launch).
//! - A cut link loses the datagrams on it, and those sent until it is healed. Nothing is sent again.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::super::conditions::Passage;
use super::super::link::{Links, nanos};
use super::super::{HostId, LinkId, Nanos, Network, Outside};
use super::{DatagramEvent, DatagramEventKind, Received};

/// The alternatives of a datagram's delay: each is twice the one before.
const DELAY_STEPS: u32 = 10;

/// A datagram fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Fate {
    /// It is late, and others overtake it.
    Late,
    /// It comes twice, the second time late.
    Twice,
    Lost,
}

/// The possible fates of datagrams. Without any, none is drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Fates {
    /// In ascending order, so that a lower value is more ordinary.
    pub(crate) kinds: Vec<Fate>,
    /// One datagram of this many has one of them.
    pub(crate) one_in: u32,
    pub(crate) delay_max: Duration,
}

impl Fates {
    pub(crate) const fn none() -> Self {
        Self { kinds: Vec::new(), one_in: 8, delay_max: Duration::from_millis(200) }
    }

    fn ask(&self, link: LinkId, outside: &mut dyn Outside) -> Option<Fate> {
        if self.kinds.is_empty() || link.from == link.to {
            return None;
        }
        let bound = u32::try_from(self.kinds.len() + 1).expect("a handful of fates");
        let pick = outside.pick_datagram(link, Chance::Fate { one_in: self.one_in }, bound);
        (pick > 0).then(|| self.kinds[pick as usize - 1])
    }

    fn ask_delay(&self, link: LinkId, outside: &mut dyn Outside) -> Nanos {
        let pick = outside.pick_datagram(link, Chance::Delay, DELAY_STEPS);
        (nanos(self.delay_max) >> (DELAY_STEPS - 1 - pick)).max(1)
    }
}

/// A question about a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chance {
    /// Which fault it has: 0 (none) in all but one of `one_in` cases.
    Fate { one_in: u32 },
    /// How late it is.
    Delay,
}

/// The ends of one datagram. A host is `None` if no host has the address.
#[derive(Clone, Copy, Debug)]
struct Course {
    from: (HostId, SocketAddr),
    to: (Option<HostId>, SocketAddr),
}

impl Course {
    fn tell(&self, what: DatagramEventKind, outside: &mut dyn Outside) {
        outside.datagram_event(DatagramEvent {
            from: self.from.0,
            from_port: self.from.1.port(),
            to: self.to.0,
            to_port: self.to.1.port(),
            what,
        });
    }
}

#[derive(Debug)]
enum Content {
    Datagram(Vec<u8>),
    /// "Port unreachable", the answer to a datagram of this course.
    Unreachable,
}

#[derive(Debug)]
struct Flight {
    link: LinkId,
    course: Course,
    content: Content,
}

#[derive(Debug)]
pub(super) struct Flights {
    /// By arrival, then by launch.
    on_the_way: BTreeMap<(Nanos, u64), Flight>,
    launched: u64,
    /// The datagrams that wait for a paused link, in the order of sending.
    paused: Vec<Flight>,
    /// When the last one in order arrives, by link.
    last_arrivals: BTreeMap<LinkId, Nanos>,
    fates: Fates,
}

impl Default for Flights {
    fn default() -> Self {
        Self {
            on_the_way: BTreeMap::new(),
            launched: 0,
            paused: Vec::new(),
            last_arrivals: BTreeMap::new(),
            fates: Fates::none(),
        }
    }
}

impl Flights {
    #[inline]
    pub(super) fn next_arrival(&self) -> Option<Nanos> {
        if self.on_the_way.is_empty() {
            return None;
        }
        self.on_the_way.first_key_value().map(|(&(arrives, _), _)| arrives)
    }

    fn push(&mut self, arrives: Nanos, flight: Flight) {
        self.launched += 1;
        self.on_the_way.insert((arrives, self.launched), flight);
    }

    /// When a flight that keeps the order of its link arrives.
    fn in_order(&mut self, now: Nanos, link: LinkId, links: &Links, outside: &mut dyn Outside) -> Nanos {
        let last = self.last_arrivals.entry(link).or_default();
        *last = now.saturating_add(links.pick_latency(link, outside)).max(*last);
        *last
    }

    fn out_of_order(
        &self,
        now: Nanos,
        link: LinkId,
        links: &Links,
        outside: &mut dyn Outside,
    ) -> (Nanos, Nanos) {
        let delay = self.fates.ask_delay(link, outside);
        (now.saturating_add(links.pick_latency(link, outside)).saturating_add(delay), delay)
    }
}

impl Network {
    /// Sets the datagram faults between hosts. Default: none.
    pub(crate) fn set_fates(&mut self, fates: Fates) {
        self.udp.flights.fates = fates;
    }

    pub(super) fn launch(
        &mut self,
        now: Nanos,
        outside: &mut dyn Outside,
        from: (HostId, SocketAddr),
        to: (Option<HostId>, SocketAddr),
        bytes: &[u8],
    ) {
        let course = Course { from, to };
        let size = u32::try_from(bytes.len()).expect("a datagram is small");
        course.tell(DatagramEventKind::Sent { bytes: size }, outside);
        let Some(target) = to.0 else {
            return course.tell(DatagramEventKind::Nowhere { bytes: size }, outside);
        };
        let link = LinkId { from: from.0, to: target };
        let flight = || Flight { link, course, content: Content::Datagram(bytes.to_vec()) };
        match self.wire.links.passage(link) {
            Passage::Lost => return course.tell(DatagramEventKind::CutOff { bytes: size }, outside),
            Passage::Paused => return self.udp.flights.paused.push(flight()),
            Passage::Open => {}
        }
        if self.wire.links.pick_losses(link, outside) > 0 {
            // Datagrams are never sent again.
            return course.tell(DatagramEventKind::Lost { bytes: size }, outside);
        }
        let now = self.wire.links.squeeze(link, now, bytes.len() as u64);
        let links = &self.wire.links;
        let flights = &mut self.udp.flights;
        let fate = flights.fates.ask(link, outside);
        match fate {
            Some(Fate::Lost) => return course.tell(DatagramEventKind::Lost { bytes: size }, outside),
            Some(Fate::Late) => {
                let (arrives, delay) = flights.out_of_order(now, link, links, outside);
                course.tell(DatagramEventKind::Late { bytes: size, delay }, outside);
                flights.push(arrives, flight());
            }
            Some(Fate::Twice) | None => {
                let arrives = flights.in_order(now, link, links, outside);
                flights.push(arrives, flight());
            }
        }
        if fate == Some(Fate::Twice) {
            let (arrives, delay) = flights.out_of_order(now, link, links, outside);
            course.tell(DatagramEventKind::Twice { bytes: size, delay }, outside);
            flights.push(arrives, flight());
        }
    }

    /// The next flight arrives, at `now`.
    pub(in super::super) fn datagram_arrives(&mut self, now: Nanos, outside: &mut dyn Outside) {
        let Some((_, Flight { course, content, .. })) = self.udp.flights.on_the_way.pop_first() else {
            return;
        };
        self.now = self.now.max(now);
        match content {
            Content::Datagram(bytes) => self.deliver(now, outside, course, bytes),
            Content::Unreachable => {
                let (host, local) = course.from;
                if let Some(id) = self.udp.find_connected(host, local, course.to.1) {
                    course.tell(DatagramEventKind::Refused, outside);
                    self.udp.open.get_mut(&id).expect("it was just found").error = Some(libc::ECONNREFUSED);
                    self.udp.report(id, &mut self.wire.ready);
                }
            }
        }
    }

    fn deliver(&mut self, now: Nanos, outside: &mut dyn Outside, course: Course, bytes: Vec<u8>) {
        let (Some(host), to) = course.to else { return };
        let size = u32::try_from(bytes.len()).expect("a datagram is small");
        let Some(id) = self.udp.find(host, to, course.from.1) else {
            course.tell(DatagramEventKind::Unwanted { bytes: size }, outside);
            return self.answer_unreachable(now, outside, course, host);
        };
        let socket = self.udp.open.get_mut(&id).expect("it was just found");
        let received = Received { from: course.from.1, bytes };
        if !socket.has_room(&received) {
            return course.tell(DatagramEventKind::Overflowed { bytes: size }, outside);
        }
        socket.put(received);
        course.tell(DatagramEventKind::Delivered { bytes: size }, outside);
        self.udp.report(id, &mut self.wire.ready);
    }

    /// RFC 1122 section 4.1.3.1: an ICMP "port unreachable" should be sent.
    fn answer_unreachable(&mut self, now: Nanos, outside: &mut dyn Outside, course: Course, host: HostId) {
        // Only a connected sender learns it, so nothing is drawn for others.
        if self.udp.find_connected(course.from.0, course.from.1, course.to.1).is_none() {
            return;
        }
        let link = LinkId { from: host, to: course.from.0 };
        let links = &self.wire.links;
        let flights = &mut self.udp.flights;
        if links.passage(link) == Passage::Lost || flights.fates.ask(link, outside) == Some(Fate::Lost) {
            return course.tell(DatagramEventKind::AnswerLost, outside);
        }
        let arrives = flights.in_order(now, link, links, outside);
        flights.push(arrives, Flight { link, course, content: Content::Unreachable });
    }

    /// Applies a change of the links: datagrams on a cut link are lost, those of an ended pause continue.
    pub(in super::super) fn datagrams_meet_the_links(&mut self, now: Nanos, outside: &mut dyn Outside) {
        let links = &self.wire.links;
        let flights = &mut self.udp.flights;
        for flight in std::mem::take(&mut flights.paused) {
            if links.passage(flight.link) == Passage::Paused {
                flights.paused.push(flight);
            } else {
                // A link that is cut now loses these below, with the others on the way.
                let arrives = flights.in_order(now, flight.link, links, outside);
                flights.push(arrives, flight);
            }
        }
        self.udp.flights.on_the_way.retain(|_, flight| {
            let passes = links.passage(flight.link) != Passage::Lost;
            if !passes {
                let what = match &flight.content {
                    Content::Datagram(bytes) => DatagramEventKind::CutOff {
                        bytes: u32::try_from(bytes.len()).expect("a datagram is small"),
                    },
                    Content::Unreachable => DatagramEventKind::AnswerLost,
                };
                flight.course.tell(what, outside);
            }
            passes
        });
    }

    /// Returns `true` if an application could notice that a datagram arrives.
    pub(in super::super) fn datagrams_concern_application(&self) -> bool {
        self.udp.flights.on_the_way.values().chain(&self.udp.flights.paused).any(|flight| {
            let Course { from, to } = flight.course;
            let heard = match (&flight.content, to.0) {
                (Content::Datagram(_), Some(host)) => self.udp.find(host, to.1, from.1).is_some(),
                _ => false,
            };
            heard || self.udp.find_connected(from.0, from.1, to.1).is_some()
        })
    }
}
