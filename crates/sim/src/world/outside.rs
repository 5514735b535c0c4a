//! What the network needs from its run: the choices of its links, and lines in the trace.

use std::collections::BTreeMap;

use super::Run;
use crate::choice::{LaneKind, PointId, below};
use crate::net::{Chance, DatagramEvent, HostId, LinkId, LocalEvent, NetEvent, Outside};
use crate::trace::TraceEvent;

/// The questions of a link about every segment.
#[derive(Clone, Copy)]
enum Question {
    Latency,
    Losses,
}

/// The points of links, by question.
#[derive(Debug, Default)]
pub(super) struct LinkPoints(BTreeMap<LinkId, [Option<PointId>; 2]>);

impl LinkPoints {
    fn of(&mut self, link: LinkId, question: Question) -> &mut Option<PointId> {
        &mut self.0.entry(link).or_default()[question as usize]
    }
}

/// What the network needs from outside: the lanes of its links and the trace.
pub(crate) struct RunOutside<'a> {
    pub(super) run: &'a Run,
}

impl RunOutside<'_> {
    #[inline]
    fn point(&self, link: LinkId, question: Question) -> PointId {
        let mut points = self.run.link_points.borrow_mut();
        *points.of(link, question).get_or_insert_with(|| {
            let mut choices = self.run.scheduler.choices.borrow_mut();
            let LinkId { from, to } = link;
            let name = |host: HostId| &*self.run.hosts[host.index()].name;
            let scope = [name(from), ">", name(to)].concat();
            let lane = choices.lane(LaneKind::Link, &scope);
            let what = match question {
                Question::Latency => "latency",
                Question::Losses => "losses",
            };
            choices.point(lane, &[&scope, " ", what].concat())
        })
    }
}

impl RunOutside<'_> {
    /// Tells the faults that a segment passes on a link.
    fn meet(&self, link: LinkId) {
        if let Ok(mut faults) = self.run.faults.try_borrow_mut() {
            faults.meet(link);
        }
    }
}

impl Outside for RunOutside<'_> {
    #[inline]
    fn pick_latency(&mut self, link: LinkId, bound: u32) -> u32 {
        let point = self.point(link, Question::Latency);
        self.run.scheduler.choices.borrow_mut().choose_uniform(point, bound)
    }

    fn pick_losses(&mut self, link: LinkId, bound: u32, one_in: u32) -> u32 {
        let point = self.point(link, Question::Losses);
        let lost = |rng: &mut _| (1..bound).find(|_| below(rng, one_in) != 0).unwrap_or(bound) - 1;
        self.run.scheduler.choices.borrow_mut().choose(point, bound, lost)
    }

    #[inline]
    fn event(&mut self, event: NetEvent) {
        if let Some(to) = event.path.to {
            self.meet(LinkId { from: event.path.from, to });
        }
        self.run.scheduler.trace_event(TraceEvent::Network(event));
    }

    fn pick_datagram(&mut self, link: LinkId, chance: Chance, bound: u32) -> u32 {
        let mut choices = self.run.scheduler.choices.borrow_mut();
        let name = |host: HostId| &self.run.hosts[host.index()].name;
        let scope = format!("{}>{}", name(link.from), name(link.to));
        let lane = choices.lane(LaneKind::Datagrams, &scope);
        match chance {
            Chance::Delay => {
                let point = choices.point(lane, &format!("{scope} delay"));
                choices.choose_uniform(point, bound)
            }
            Chance::Fate { one_in } => {
                let point = choices.point(lane, &format!("{scope} fate"));
                choices.choose(point, bound, |rng| match below(rng, one_in) {
                    0 => 1 + below(rng, bound - 1),
                    _ => 0,
                })
            }
        }
    }

    fn datagram_event(&mut self, event: DatagramEvent) {
        if let Some(to) = event.to {
            self.meet(LinkId { from: event.from, to });
        }
        self.run.scheduler.trace_event(TraceEvent::Datagram(event));
    }

    fn local_event(&mut self, event: LocalEvent) {
        self.run.scheduler.trace_event(TraceEvent::Local(event));
    }
}
