//! The trace: what happened in a run, event by event.
//!
//! Events of the scheduler and the network, and the `tracing` events of the code under test (`world`), in the order in
//! which they happened, with virtual time and task. Recording is cheap, because every run of a sweep records. Only
//! failures are rendered (`render`).
//!
//! # Invariants
//!
//! - The hash covers every event, also those that a long run has dropped.
//! - Nothing in an event depends on the machine: no address, no wall time, no source line. The number of a place in
//!   the code, which only instrumented builds have, depends on the build.

mod json;
mod render;
mod spans;
mod stop;
mod told;

use std::collections::VecDeque;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use crate::interpose::blocks::Site;
use crate::net::{DatagramEvent, LocalEvent, NetEvent, Network};
use crate::time::Nanos;
use crate::wait::{Operation, TaskId, Wait};

pub(crate) use spans::{
    dispatch_or_init, is_formatting, is_switching, leave_spans, reenter_spans, set_formatting,
};
pub(crate) use stop::stop_at;
#[cfg(all(feature = "process", not(miri)))]
pub(crate) use stop::take as take_stop;
#[cfg(all(feature = "process", not(miri)))]
use told::Told;

/// Something that happened.
///
/// Hashes of traces contain the number of a variant. So every variant keeps its number, here and in all enums that
/// events contain. A new variant takes the next free number, which changes no hash of older traces.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum TraceEvent {
    /// The running task (or the set-up) started another.
    Started {
        task: TaskId,
    } = 0,
    Ended = 1,
    /// A thread has to wait.
    Waits(Wait) = 2,
    /// A thread could have continued, but another ran first.
    Preempted {
        before: Operation,
        by: TaskId,
    } = 3,
    /// A task could have continued, but has done the `operations` that it was granted in this step.
    OutOfBudget {
        operations: u32,
        before: Next,
    } = 19,
    /// A task runs although another was ready before it.
    Overtakes {
        first: TaskId,
    } = 4,
    /// A thread could have continued, but is delayed.
    DelayedAt {
        before: Operation,
        nanos: Nanos,
    } = 20,
    /// A task has done something and could continue, but is delayed.
    DelayedAfter {
        after: Operation,
        nanos: Nanos,
    } = 21,
    /// A task or thread could have continued at a place in its code, but another ran first.
    PreemptedInside {
        site: Site,
        by: TaskId,
    } = 23,
    /// A task or thread could have continued at a place in its code, but is delayed.
    DelayedInside {
        site: Site,
        nanos: Nanos,
    } = 24,
    /// A task or thread loops without an operation. Others run, or time passes.
    Spins {
        site: Site,
    } = 25,
    /// A woken task is delayed.
    Delayed {
        nanos: Nanos,
    } = 5,
    /// An operation of a task returned `Pending` before it was tried, and is woken after `nanos`.
    SpuriousPending {
        wait: Wait,
        nanos: Nanos,
    } = 6,
    /// A parked task was woken although nothing had happened.
    SpuriousWakeUp = 7,
    /// An adversary of the test did something: a wrapper, a cancellation, a `buggify!`.
    Adversary(Box<str>) = 8,
    Panicked(Box<str>) = 9,
    /// An `always!` that did not hold.
    Broken(Arc<str>) = 10,
    /// A host's main returned an error.
    Failed(Box<str>) = 11,
    Network(NetEvent) = 12,
    Fault(Box<str>) = 13,
    /// A read or write transferred less than it could, because the run chose so.
    Short {
        transfer: Transfer,
        could: usize,
        short: usize,
    } = 14,
    /// A `tracing` event of the code under test.
    Logged(Box<str>) = 15,
    Datagram(DatagramEvent) = 16,
    Local(LocalEvent) = 17,
    /// Something happened to a socket of a network other than the simulator's.
    #[cfg_attr(not(feature = "turmoil"), expect(dead_code, reason = "only turmoil has another network"))]
    Socket {
        what: Box<str>,
        transfer: bool,
    } = 18,
    /// An event that another OS process has rendered.
    #[cfg(all(feature = "process", not(miri)))]
    Told(Box<Told>) = 22,
}

impl TraceEvent {
    /// The length of a delay, if it is one.
    fn delay(&self) -> Option<Nanos> {
        match self {
            Self::DelayedAt { nanos, .. }
            | Self::DelayedAfter { nanos, .. }
            | Self::DelayedInside { nanos, .. }
            | Self::Delayed { nanos }
            | Self::SpuriousPending { nanos, .. } => Some(*nanos),
            #[cfg(all(feature = "process", not(miri)))]
            Self::Told(told) => told.delay,
            _ => None,
        }
    }
}

/// The shortened operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Transfer {
    Read = 0,
    Write = 1,
}

/// What a task was about to do when its budget ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(crate) enum Next {
    /// What it may have to wait for.
    Wait(Wait) = 0,
    /// What never waits.
    Operation(Operation) = 1,
    /// An operation of tokio. Its kind is unknown.
    OfTokio = 2,
}

/// An event with its time and its task.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Record {
    pub(crate) at: Nanos,
    pub(crate) task: Option<TaskId>,
    pub(crate) event: TraceEvent,
}

/// Objects from here on are labels. Below, they are numbers that the simulator's network gave.
pub(crate) const FIRST_LABEL: u64 = 1 << 63;

/// The label of an object, if it is one.
pub(crate) fn label_of(labels: &[Arc<str>], object: u64) -> Option<&Arc<str>> {
    labels.get(usize::try_from(object.checked_sub(FIRST_LABEL)?).ok()?)
}

/// Room that a trace has from the beginning. Growing it step by step is most of the cost of a short one.
const USUAL: usize = 1024;

/// Events kept from the beginning of a run, and as many from its end.
const KEPT_EACH: usize = 100_000;

/// The events of one run.
#[derive(Clone)]
pub struct Trace {
    head: Vec<Record>,
    tail: VecDeque<Record>,
    dropped: usize,
    preempted: usize,
    stopped_inside: usize,
    gives_way: bool,
    hasher: StableHasher,
    closed: bool,
    /// The number of the event after which the run is to stop.
    stops_at: usize,
    stopped: bool,
    names: Vec<Arc<str>>,
    /// The network at the end of the run. It knows the names of hosts and sockets.
    network: Option<Arc<Network>>,
    /// The objects of waits that the network does not know.
    labels: Vec<Arc<str>>,
    /// The hosts and their addresses, of a trace that another OS process tells.
    #[cfg(all(feature = "process", not(miri)))]
    told_hosts: Vec<(String, String)>,
}

impl Trace {
    pub(crate) fn new() -> Self {
        Self {
            head: Vec::with_capacity(USUAL),
            tail: VecDeque::new(),
            dropped: 0,
            preempted: 0,
            stopped_inside: 0,
            gives_way: false,
            hasher: StableHasher(0),
            closed: false,
            stops_at: stop::take(),
            stopped: false,
            names: Vec::new(),
            network: None,
            labels: Vec::new(),
            #[cfg(all(feature = "process", not(miri)))]
            told_hosts: Vec::new(),
        }
    }

    /// A trace of finished lines, for a toy.
    #[cfg(test)]
    pub(crate) fn from_lines(lines: Vec<String>) -> Self {
        let mut trace = Self::new();
        for line in lines {
            trace.record(0, None, TraceEvent::Logged(line.into_boxed_str()));
        }
        trace
    }

    #[inline]
    pub(crate) fn record(&mut self, at: Nanos, task: Option<TaskId>, event: TraceEvent) {
        if self.closed {
            return;
        }
        let record = Record { at, task, event };
        record.hash(&mut self.hasher);
        if self.head.len() < KEPT_EACH {
            self.head.push(record);
            if self.head.len() == self.stops_at {
                self.stop();
            }
            return;
        }
        if self.tail.len() == KEPT_EACH {
            self.tail.pop_front();
            self.dropped += 1;
        }
        self.tail.push_back(record);
    }

    /// Records that the budget of `task` ended.
    pub(crate) fn record_preemption(
        &mut self,
        at: Nanos,
        task: Option<TaskId>,
        operations: u32,
        before: Next,
    ) {
        self.preempted += usize::from(!self.closed);
        self.record(at, task, TraceEvent::OutOfBudget { operations, before });
    }

    /// Records that `task` stops at a basic block.
    pub(crate) fn record_stop_inside(&mut self, at: Nanos, task: TaskId, event: TraceEvent) {
        self.stopped_inside += usize::from(!self.closed);
        self.record(at, Some(task), event);
    }

    /// Returns how often a task stopped at a basic block.
    pub(crate) const fn stopped_inside(&self) -> usize {
        self.stopped_inside
    }

    /// Notes that a task gives way that spins, or waits for a real lock.
    pub(crate) const fn note_giving_way(&mut self) {
        self.gives_way = true;
    }

    /// Returns `true` if only an instrumented build goes on as this run did, whatever it chose.
    pub(crate) const fn gives_way(&self) -> bool {
        self.gives_way
    }

    /// Returns how often the budget of a task ended.
    pub(crate) const fn preempted(&self) -> usize {
        self.preempted
    }

    /// Returns the longest delay of a task or thread, with its task. Of equal delays, the first.
    pub(crate) fn longest_delay(&self) -> Option<(Nanos, &str)> {
        let mut longest: Option<(Nanos, &str)> = None;
        for record in self.records() {
            let Some(nanos) = record.event.delay() else { continue };
            if longest.is_none_or(|(known, _)| nanos > known) {
                longest = Some((nanos, record.task.map_or("a task", |task| self.name(task))));
            }
        }
        longest
    }

    /// Stops recording: teardown follows.
    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    /// Keeps what rendering needs after the run.
    pub(crate) fn keep_names(&mut self, names: Vec<Arc<str>>, network: Network) {
        self.names = names;
        self.network = Some(Arc::new(network));
    }

    /// Keeps the names of objects outside of the simulator's network; see [`label_of`].
    pub(crate) fn keep_labels(&mut self, labels: Vec<Arc<str>>) {
        self.labels = labels;
    }

    /// A number that is equal for two runs if, and practically only if, they had the same events.
    #[must_use]
    pub fn hash(&self) -> u64 {
        self.hasher.finish()
    }

    /// Describes the first event in which `self` and `other` differ, if they do.
    pub(crate) fn first_difference(&self, other: &Self) -> Option<String> {
        if self.hash() == other.hash() {
            return None;
        }
        let mut position = 0;
        let (mut mine, mut theirs) = (self.records(), other.records());
        loop {
            position += 1;
            match (mine.next(), theirs.next()) {
                (Some(a), Some(b)) if a == b => {}
                (None, None) => return Some("the runs differ in events that are no longer held".to_owned()),
                (a, b) => {
                    let line = |trace: &Self, event: Option<&Record>| {
                        event.map_or_else(|| "the end of the run".to_owned(), |event| trace.line(event))
                    };
                    return Some(format!(
                        "event {position} differs\n  first run:  {}\n  second run: {}",
                        line(self, a),
                        line(other, b)
                    ));
                }
            }
        }
    }

    fn records(&self) -> impl Iterator<Item = &Record> {
        self.head.iter().chain(&self.tail)
    }
}

impl PartialEq for Trace {
    /// Traces are equal if they had the same events; see [`hash`](Self::hash).
    fn eq(&self, other: &Self) -> bool {
        self.hash() == other.hash()
    }
}

impl Eq for Trace {}

impl std::fmt::Debug for Trace {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let events = self.head.len() + self.tail.len() + self.dropped;
        f.debug_struct("Trace").field("events", &events).finish_non_exhaustive()
    }
}

/// A hasher with the same result on every machine and in every build. std's promises neither.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct StableHasher(u64);

impl Hasher for StableHasher {
    fn finish(&self) -> u64 {
        let mixed = (self.0 ^ (self.0 >> 32)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        mixed ^ (mixed >> 29)
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(value.into());
    }

    fn write_u16(&mut self, value: u16) {
        self.write_u64(value.into());
    }

    fn write_u32(&mut self, value: u32) {
        self.write_u64(value.into());
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(23) ^ value).wrapping_mul(0xff51_afd7_ed55_8ccd);
    }

    fn write_usize(&mut self, value: usize) {
        self.write_u64(value as u64);
    }

    fn write_isize(&mut self, value: isize) {
        self.write_u64(value as u64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trace(times: &[Nanos]) -> Trace {
        let mut trace = Trace::new();
        for &at in times {
            trace.record(at, None, TraceEvent::Ended);
        }
        trace
    }

    #[test]
    fn equal_events_have_equal_hashes_and_no_difference() {
        assert_eq!(trace(&[1, 2]).hash(), trace(&[1, 2]).hash());
        assert_eq!(trace(&[1, 2]).first_difference(&trace(&[1, 2])), None);
    }

    #[test]
    fn hashes_use_explicit_variant_numbers() {
        fn hash(value: impl Hash) -> u64 {
            let mut hasher = StableHasher::default();
            value.hash(&mut hasher);
            hasher.finish()
        }
        let out_of_budget = TraceEvent::OutOfBudget { operations: 4, before: Next::OfTokio };
        assert_eq!(hash(TraceEvent::Ended), hash(1_u8));
        assert_eq!(hash(out_of_budget), hash((19_u8, 4_u32, 2_u8)));
        assert_eq!(hash(TraceEvent::Overtakes { first: TaskId::new(5) }), hash((4_u8, 5_u32)));
        assert_eq!(hash(TraceEvent::Waits(Wait::Sleep { until: 7 })), hash((2_u8, 2_u8, 7_u64)));
        assert_eq!(hash(TraceEvent::Logged("ahoy".into())), hash((15_u8, "ahoy")));
    }

    #[test]
    fn the_first_difference_is_named_by_its_position() {
        let difference = trace(&[1, 2, 3]).first_difference(&trace(&[1, 5, 3])).expect("they differ");
        assert!(difference.starts_with("event 2 differs"), "{difference}");
        let shorter = trace(&[1]).first_difference(&trace(&[1, 2])).expect("they differ");
        assert!(shorter.contains("the end of the run"), "{shorter}");
    }

    #[test]
    fn a_long_trace_hashes_what_it_drops() {
        let times: Vec<Nanos> = (0..250_000).collect();
        let mut other = times.clone();
        other[150_000] = 0;
        let (long, changed) = (trace(&times), trace(&other));
        assert_eq!(long.dropped, 50_000);
        assert_ne!(long.hash(), changed.hash());
    }

    /// A trace of `coarse` events of which each has `fine` ones before it, and a failure.
    fn of_levels(coarse: usize, fine: usize) -> Trace {
        let mut trace = Trace::new();
        for number in 0..coarse * (fine + 1) {
            let event = match number % (fine + 1) {
                0 => TraceEvent::Logged(format!("coarse {number}").into()),
                _ => TraceEvent::Waits(Wait::Sleep { until: number as Nanos }),
            };
            trace.record(number as Nanos, None, event);
        }
        trace.record(1_000_000, None, TraceEvent::Panicked("boom".into()));
        trace
    }

    #[test]
    fn what_happened_last_fills_sixty_lines() {
        let text = of_levels(20, 9).render();
        assert_eq!(text.lines().count(), 60, "{text}");
        let (before, after) = text.split_once(" events are left out above …").expect("it says so");
        let left_out: usize = before.rsplit_once("… ").expect("a count").1.parse().expect("a number");
        // 20 coarse ones, the failure, and that line leave room for 38 others; the last are shown.
        assert_eq!(left_out, 180 - 38, "{text}");
        assert_eq!(after.matches("waits until").count(), 38, "{text}");
        assert_eq!(text.matches("coarse").count(), 20, "{text}");
        assert!(text.trim_end().ends_with("! panics: boom"), "{text}");
    }

    #[test]
    fn a_trace_that_fits_is_whole() {
        let text = of_levels(5, 9).render();
        assert_eq!((text.lines().count(), text.contains("left out")), (51, false), "{text}");
        assert!(!of_levels(5, 9).is_cut() && of_levels(20, 9).is_cut());
    }

    #[test]
    fn what_never_fits_is_cut_from_the_middle() {
        let text = of_levels(100, 0).render();
        assert_eq!(text.lines().count(), 60, "{text}");
        assert!(
            text.contains("… 42 events …") && text.contains("coarse 19") && text.contains("coarse 99"),
            "{text}"
        );
        let whole = of_levels(100, 0).render_whole();
        assert_eq!(whole.lines().count(), 101);
    }
}
