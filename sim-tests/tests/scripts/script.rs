//! Scripts: what two hosts call, and when.
//!
//! Host 0 connects, host 1 listens. A call is made at its time whatever became of the earlier ones; one that has to
//! wait goes on waiting while later calls are made. Where a call makes no sense when its time comes (its socket is
//! not there, or waits in another call) it is skipped, in every world for the same reason.
//!
//! Times avoid races that no world decides: calls are tens of milliseconds apart, which is long for a network and
//! short for its timers; a partition lasts whole seconds, and after it the script waits until every retransmission
//! has come.

use std::fmt;

/// Connections of a drawn script at most.
pub(crate) const CONNECTIONS: usize = 3;

/// Between two calls.
const GAP_MS: u32 = 60;

/// How long a script waits for the rest at its end.
const TAIL_MS: u32 = 2_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum How {
    Read,
    Write,
    Both,
}

/// A call. `host` is the host whose end of connection `at` it concerns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Listen {
        backlog: u32,
    },
    CloseListener,
    /// Listens for a moment where client `at` had its port.
    ListenAsClient {
        at: usize,
    },
    Connect {
        at: usize,
    },
    Accept,
    Write {
        host: usize,
        at: usize,
        bytes: usize,
    },
    /// Reads until this many bytes, the end or an error have come.
    Read {
        host: usize,
        at: usize,
        bytes: usize,
    },
    Shutdown {
        host: usize,
        at: usize,
        how: How,
    },
    Close {
        host: usize,
        at: usize,
    },
    /// Closes with a linger time of zero.
    Abort {
        host: usize,
        at: usize,
    },
    /// Loses what the hosts send, each or not.
    Cut {
        from: [bool; 2],
    },
    Heal,
}

/// A call and how long it comes after the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Step {
    pub(crate) after_ms: u32,
    pub(crate) call: Call,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Script {
    pub(crate) steps: Vec<Step>,
    /// After the last step.
    pub(crate) tail_ms: u32,
}

/// A small generator of pseudo-random numbers (SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }
}

impl Script {
    /// Draws a script. The same seed gives the same script.
    pub(crate) fn draw(seed: u64) -> Self {
        let mut random = Random(seed);
        let mut steps = Vec::new();
        let mut add = |after_ms: u32, call| steps.push(Step { after_ms, call });
        let mut cut: Option<u32> = None;
        if !random.one_in(10) {
            let backlog = if random.one_in(4) { random.below(3) as u32 } else { 16 };
            add(GAP_MS, Call::Listen { backlog });
        }
        if !random.one_in(8) {
            add(GAP_MS, Call::Connect { at: 0 });
            if !random.one_in(4) {
                add(GAP_MS, Call::Accept);
            }
        }
        for _ in 0..3 + random.below(12) {
            match (random.below(30), cut) {
                (0..3, None) => {
                    let from =
                        [[true, true], [true, true], [true, false], [false, true]][random.below(4) as usize];
                    add(GAP_MS, Call::Cut { from });
                    cut = Some(0);
                }
                (0..4, Some(since_ms)) => heal(&mut random, &mut add, since_ms, &mut cut),
                _ => {
                    if let Some(since_ms) = &mut cut {
                        *since_ms += GAP_MS;
                    }
                    add(GAP_MS, call(&mut random));
                }
            }
        }
        if let Some(since_ms) = cut {
            heal(&mut random, &mut add, since_ms, &mut cut);
        }
        let mut script = Self { steps, tail_ms: TAIL_MS };
        script.end();
        script
    }

    /// Adds what shows how each socket ended up: what it can still read, and whether it can write.
    fn end(&mut self) {
        for at in 0..CONNECTIONS {
            for host in [0, 1] {
                self.steps.push(Step { after_ms: GAP_MS, call: Call::Read { host, at, bytes: 100_000 } });
            }
        }
        for (at, host) in (0..CONNECTIONS).flat_map(|at| [(at, 0), (at, 1)]) {
            self.steps.push(Step { after_ms: GAP_MS, call: Call::Write { host, at, bytes: 1 } });
        }
    }

    /// A script of these calls, each with its milliseconds after the one before. It ends after `tail_ms`.
    pub(crate) fn of(steps: &[(u32, Call)], tail_ms: u32) -> Self {
        let steps = steps.iter().map(|&(after_ms, call)| Step { after_ms, call }).collect();
        Self { steps, tail_ms }
    }

    /// How many connections it has room for.
    pub(crate) fn connections(&self) -> usize {
        let last = self.steps.iter().filter_map(|step| match step.call {
            Call::Connect { at } => Some(at),
            _ => None,
        });
        last.max().map_or(CONNECTIONS, |last| CONNECTIONS.max(last + 1))
    }

    /// The script without one of its steps; those after it keep their times.
    pub(crate) fn without(&self, index: usize) -> Self {
        let mut shorter = self.clone();
        let removed = shorter.steps.remove(index);
        if let Some(next) = shorter.steps.get_mut(index) {
            next.after_ms += removed.after_ms;
        }
        shorter
    }

    /// The script with a partition that ends a little earlier or later, or with the calls of a partition from one of
    /// them on a little later, each within what timers may differ: which of two timers is first may be another.
    pub(crate) fn variants(&self) -> Vec<Self> {
        let (times, _) = self.times_ms();
        let mut variants = Vec::new();
        let mut began = None;
        for (index, step) in self.steps.iter().enumerate() {
            match (step.call, began) {
                (Call::Cut { .. }, None) => began = Some(index),
                (Call::Heal, Some(cut)) => {
                    let room_ms = step.after_ms.saturating_sub(20);
                    variants.push(self.moved(index, index + 1, -i64::from(room_ms.min(80))));
                    variants.push(self.moved(index, index + 1, 80));
                    for moved in cut + 1..index {
                        let tolerance_ms = 80 + (times[index] - times[moved]) / 12;
                        variants.push(self.moved(moved, index, tolerance_ms.min(room_ms).into()));
                    }
                    began = None;
                }
                _ => {}
            }
        }
        variants
    }

    /// The script with the steps from `first` to before `last` moved in time.
    fn moved(&self, first: usize, last: usize, by_ms: i64) -> Self {
        let shifted = |ms: u32, by_ms: i64| u32::try_from(i64::from(ms) + by_ms).unwrap_or(0);
        let mut moved = self.clone();
        moved.steps[first].after_ms = shifted(moved.steps[first].after_ms, by_ms);
        if let Some(next) = moved.steps.get_mut(last) {
            next.after_ms = shifted(next.after_ms, -by_ms);
        }
        moved
    }

    /// When each step's call is made, in milliseconds, and when the script ends.
    pub(crate) fn times_ms(&self) -> (Vec<u32>, u32) {
        let mut now = 0;
        let times = self.steps.iter().map(|step| {
            now += step.after_ms;
            now
        });
        let times: Vec<u32> = times.collect();
        (times, now + self.tail_ms)
    }
}

/// Ends a partition after whole seconds, and waits until everything lost in it was sent again.
fn heal(random: &mut Random, add: &mut impl FnMut(u32, Call), since_ms: u32, cut: &mut Option<u32>) {
    let lasts_ms = 1000 * (1 + since_ms / 1000 + [0, 0, 1, 2, 4][random.below(5) as usize]);
    add(lasts_ms - since_ms, Call::Heal);
    // Timeouts double: the next retransmission comes within the time that has passed since the first.
    add(lasts_ms + 1_500, Call::Heal);
    *cut = None;
}

fn call(random: &mut Random) -> Call {
    let host = random.below(2) as usize;
    let at = random.below(random.0 % 2 * (CONNECTIONS as u64 - 1) + 1) as usize;
    match random.below(24) {
        0..3 => Call::Connect { at },
        3..5 => Call::Accept,
        5..10 => Call::Write { host, at, bytes: [1, 3, 10, 500, 1460, 4000][random.below(6) as usize] },
        10..15 => Call::Read { host, at, bytes: [1, 5, 100, 5000][random.below(4) as usize] },
        15..18 => {
            Call::Shutdown { host, at, how: [How::Read, How::Write, How::Both][random.below(3) as usize] }
        }
        18..20 => Call::Close { host, at },
        20..22 => Call::Abort { host, at },
        22 => Call::CloseListener,
        _ => Call::Listen { backlog: random.below(4) as u32 },
    }
}

impl fmt::Display for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |host: usize| ["client", "server"][host];
        match *self {
            Self::Listen { backlog } => write!(f, "listen with a backlog of {backlog}"),
            Self::CloseListener => f.write_str("close the listener"),
            Self::ListenAsClient { at } => write!(f, "listen on the port of client {at}"),
            Self::Connect { at } => write!(f, "client {at} connects"),
            Self::Accept => f.write_str("accept"),
            Self::Write { host, at, bytes } => write!(f, "{} {at} writes {bytes} B", name(host)),
            Self::Read { host, at, bytes } => write!(f, "{} {at} reads {bytes} B", name(host)),
            Self::Shutdown { host, at, how } => write!(f, "{} {at} shuts down {how:?}", name(host)),
            Self::Close { host, at } => write!(f, "{} {at} closes", name(host)),
            Self::Abort { host, at } => write!(f, "{} {at} aborts", name(host)),
            Self::Cut { from: [true, true] } => f.write_str("cut both ways"),
            Self::Cut { from: [true, false] } => f.write_str("cut from client to server"),
            Self::Cut { .. } => f.write_str("cut from server to client"),
            Self::Heal => f.write_str("heal"),
        }
    }
}

impl fmt::Display for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (times, end) = self.times_ms();
        for (at, step) in times.iter().zip(&self.steps) {
            writeln!(f, "{at:>7} ms  {}", step.call)?;
        }
        writeln!(f, "{end:>7} ms  end")
    }
}

/// What became of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// It made no sense.
    Skipped,
    /// It took or gave this many bytes.
    Done(usize),
    /// The peer of an accepted connection: which client it was, if any.
    Accepted(Option<usize>),
    /// The end came, after this many bytes.
    End(usize),
    /// It failed with this error of the system, after this many bytes.
    Failed(i32, usize),
    /// The bytes were not those that were written.
    Corrupt,
    /// It waited when the script ended, after this many bytes.
    Waits(usize),
}

/// What became of each call, and how long it took in milliseconds.
pub(crate) type Outcomes = Vec<(Outcome, u32)>;

/// The byte at a position of what an end writes.
pub(crate) fn byte_at(host: usize, position: usize) -> u8 {
    (position * 7 + position / 251 + host * 101) as u8
}

/// Returns `true` if the order of a timer and a call may be either in one of the worlds: a call that had waited for a
/// timer went on about when another call was made.
pub(crate) fn is_undecided(script: &Script, outcomes: &Outcomes) -> bool {
    let (times, end) = script.times_ms();
    outcomes.iter().zip(&times).any(|((_, took), made)| {
        let over = made + took;
        // What happens right after a call was caused by it.
        let caused = times.iter().any(|time| (*time..time + 20).contains(&over));
        let tolerance = 100 + took / 10;
        let near = |time: u32| time.abs_diff(over) <= tolerance;
        !caused && *took > 0 && (times.iter().any(|time| near(*time)) || near(end))
    })
}

/// Where two worlds differ, one line each: what the real one showed, and the simulated one.
pub(crate) fn differences(script: &Script, real: &Outcomes, simulated: &Outcomes) -> Vec<String> {
    let (times, _) = script.times_ms();
    let mut found = Vec::new();
    for (index, step) in script.steps.iter().enumerate() {
        let ((real, real_ms), (simulated, simulated_ms)) = (&real[index], &simulated[index]);
        let allowed = 100 + real_ms.max(simulated_ms) / 10;
        if real != simulated || real_ms.abs_diff(*simulated_ms) > allowed {
            found.push(format!(
                "{:>7} ms  {}: {real:?} after {real_ms} ms on Linux, {simulated:?} after {simulated_ms} ms here",
                times[index], step.call
            ));
        }
    }
    if found.is_empty() {
        found.extend(disorder(script, &times, real, simulated));
    }
    found
}

/// By so many milliseconds one call must end before another, in both worlds, if their order is to count.
const ORDER_MS: u32 = 50;

/// Two calls that end in one order on Linux and in the other in the simulation, one line for each pair.
fn disorder(script: &Script, times: &[u32], real: &Outcomes, simulated: &Outcomes) -> Vec<String> {
    let ended = |outcomes: &Outcomes| {
        let ends = outcomes.iter().zip(times).map(|((outcome, took), made)| {
            let has_ended = !matches!(outcome, Outcome::Skipped | Outcome::Waits(_));
            has_ended.then_some(made + took)
        });
        ends.collect::<Vec<_>>()
    };
    let (real, simulated) = (ended(real), ended(simulated));
    let is_before = |ends: &[Option<u32>], one: usize, other: usize| {
        ends[one].zip(ends[other]).is_some_and(|(one, other)| one + ORDER_MS <= other)
    };
    let mut found = Vec::new();
    for (one, other) in (0..times.len()).flat_map(|one| (0..times.len()).map(move |other| (one, other))) {
        if is_before(&real, one, other) && is_before(&simulated, other, one) {
            let (first, second) = (&script.steps[one].call, &script.steps[other].call);
            found.push(format!("{first} ends before {second} on Linux, and after it here"));
        }
    }
    found
}
