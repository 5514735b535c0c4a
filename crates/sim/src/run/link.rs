//! What the network asks of its run: the choices of its links, and lines in the trace.

use super::Run;
use crate::choices::{SiteId, below};
use crate::net::{Chance, DatagramEvent, HostId, LinkId, LocalEvent, NetEvent, Outside};
use crate::trace::Fact;

/// What a link asks about every segment.
#[derive(Clone, Copy)]
enum Question {
    Latency,
    Losses,
}

/// The sites of links that have asked: by source, then by target, then by question.
#[derive(Debug, Default)]
pub(super) struct LinkSites(Vec<Vec<[Option<SiteId>; 2]>>);

impl LinkSites {
    fn of(&mut self, link: LinkId, question: Question) -> &mut Option<SiteId> {
        let targets = grown(&mut self.0, link.from.index());
        &mut grown(targets, link.to.index())[question as usize]
    }
}

fn grown<T: Default>(list: &mut Vec<T>, index: usize) -> &mut T {
    if index >= list.len() {
        list.resize_with(index + 1, T::default);
    }
    &mut list[index]
}

/// What the network needs from outside: the lanes of its links and the trace.
pub(crate) struct RunOutside<'a> {
    pub(super) run: &'a Run,
}

impl RunOutside<'_> {
    fn site(&self, link: LinkId, question: Question) -> SiteId {
        let mut sites = self.run.link_sites.borrow_mut();
        *sites.of(link, question).get_or_insert_with(|| {
            let mut choices = self.run.executor.choices.borrow_mut();
            let LinkId { from, to } = link;
            let name = |host: HostId| &self.run.hosts[host.index()].name;
            let lane = choices.lane(&format!("link {}>{}", name(from), name(to)));
            let what = match question {
                Question::Latency => "latency",
                Question::Losses => "losses",
            };
            choices.site(lane, &format!("{}>{} {what}", name(from), name(to)))
        })
    }
}

impl Outside for RunOutside<'_> {
    fn pick_latency(&mut self, link: LinkId, bound: u32) -> u32 {
        let site = self.site(link, Question::Latency);
        self.run.executor.choices.borrow_mut().pick_uniform(site, bound)
    }

    fn pick_losses(&mut self, link: LinkId, bound: u32, one_in: u32) -> u32 {
        let site = self.site(link, Question::Losses);
        let lost = |rng: &mut _| (1..bound).find(|_| below(rng, one_in) != 0).unwrap_or(bound) - 1;
        self.run.executor.choices.borrow_mut().pick(site, bound, lost)
    }

    fn event(&mut self, event: NetEvent) {
        self.run.executor.fact(Fact::Network(event));
    }

    fn pick_datagram(&mut self, link: LinkId, chance: Chance, bound: u32) -> u32 {
        let mut choices = self.run.executor.choices.borrow_mut();
        let name = |host: HostId| &self.run.hosts[host.index()].name;
        let scope = format!("{}>{}", name(link.from), name(link.to));
        let lane = choices.lane(&format!("datagrams {scope}"));
        match chance {
            Chance::Delay => {
                let site = choices.site(lane, &format!("{scope} delay"));
                choices.pick_uniform(site, bound)
            }
            Chance::Fate { one_in } => {
                let site = choices.site(lane, &format!("{scope} fate"));
                choices.pick(site, bound, |rng| match below(rng, one_in) {
                    0 => 1 + below(rng, bound - 1),
                    _ => 0,
                })
            }
        }
    }

    fn datagram_event(&mut self, event: DatagramEvent) {
        self.run.executor.fact(Fact::Datagram(event));
    }

    fn local_event(&mut self, event: LocalEvent) {
        self.run.executor.fact(Fact::Local(event));
    }
}
