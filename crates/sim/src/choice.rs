//! The choices of a run: which of `bound` alternatives each source of randomness took.
//!
//! A run repeats one question: "which of these `bound` alternatives?" A *choice point* asks it (host and task name,
//! then the operation). A *lane* answers it, from one ChaCha stream per lane or from a recording. The *value* is
//! written down. Replaying the log replays the run. Shrinking the log shrinks the run.
//!
//! # Invariants
//!
//! - Only this module makes random number generators. Other modules draw with them.
//! - Value 0 is the default (keep running the same task, base latency, no fault). Lowering a value makes a run more
//!   ordinary. After its end, a recording continues with 0.
//! - Lanes are independent: an extra question in one lane changes no answer of another.
//!
//! # Not here
//!
//! The file format of recordings (`recording`), what to ask (`sched`, `net`, `fault`), which values to try when
//! shrinking (`shrink`).

mod lane;
mod script;

use std::collections::{BTreeMap, VecDeque};
use std::fmt;

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

pub(crate) use lane::{LaneKind, LaneName, SWARM, THREADS, spoken};
use script::{Expected, PointScript, Script};

/// One lane: an independent source of randomness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct LaneId(u32);

/// One choice point in one lane: the task that asks, and the operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PointId(u32);

/// One answered question.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Choice {
    pub(crate) point: PointId,
    pub(crate) bound: u32,
    pub(crate) value: u32,
}

/// A choice point as recordings name it. The text is "SCOPE OPERATION"; all choices of a scope in a lane form a span,
/// which shrinks as a whole.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct PointName {
    pub(crate) lane: LaneName,
    pub(crate) point: String,
}

/// The choices of a run: its points, and its choices in the order in which they were made.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ChoiceLog {
    pub(crate) points: Vec<PointName>,
    pub(crate) choices: Vec<Choice>,
}

impl PointId {
    pub(crate) const fn new(index: usize) -> Self {
        Self(index as u32)
    }

    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }
}

impl ChoiceLog {
    /// Counts the choices that are not the default.
    pub(crate) fn nonzero(&self) -> usize {
        self.choices.iter().filter(|choice| choice.value != 0).count()
    }

    /// Returns `true` if it preempts at basic blocks: only an instrumented build can replay it.
    pub(crate) fn stops_at_blocks(&self) -> bool {
        let stops = |choice: &&Choice| self.point(choice.point).lane.kind() == LaneKind::Block;
        self.choices.iter().filter(|choice| choice.value != 0).any(|choice| stops(&choice))
    }

    pub(crate) fn point(&self, point: PointId) -> &PointName {
        &self.points[point.index()]
    }
}

/// A choice of a default run that is not the default.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Deviation {
    /// 0-based position among all choices of the run, in the order in which they are made.
    pub(crate) at: usize,
    pub(crate) value: u32,
}

/// How strictly a replay follows its recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Replay {
    /// The run must ask exactly the recorded questions, lane by lane, in order. The first other question ends it.
    Strict,
    /// Every point answers with its own recorded values, in order. A question that was not recorded is answered with 0
    /// and counted.
    Lenient,
}

/// The first difference of a strict replay from its recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Divergence {
    pub(crate) lane: LaneName,
    /// 0-based position in the lane.
    pub(crate) position: usize,
    /// The recorded question, as (point, bound).
    pub(crate) recorded: (String, u32),
    pub(crate) asked: (String, u32),
}

impl fmt::Display for Divergence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { lane, position, recorded, asked } = self;
        write!(
            f,
            "choice {} of lane `{lane}`: the recording has `{}` ({} alternatives), the run asked `{}` ({} \
             alternatives)",
            position + 1,
            spoken(&recorded.0),
            recorded.1,
            spoken(&asked.0),
            asked.1
        )
    }
}

struct Lane {
    name: LaneName,
    rng: ChaCha8Rng,
    /// Strict replay: the lane's recorded questions, in order.
    expected: Vec<Expected>,
    asked: usize,
    points: BTreeMap<String, PointId>,
}

struct Point {
    lane: LaneId,
    name: String,
    script: PointScript,
    asked: usize,
}

/// Room for choices that a run has from the beginning. Growing it step by step costs more.
const USUAL: usize = 1024;

/// Answers the questions of one run.
pub(crate) struct Choices {
    seed: u64,
    /// The seed of everything except entropy.
    draws: u64,
    replay: Option<Replay>,
    /// After so many choices, answers come from the seed.
    replay_end: usize,
    /// The next ones, ascending, of a run that has no recording.
    deviations: VecDeque<Deviation>,
    script: Script,
    lanes: Vec<Lane>,
    lane_ids: BTreeMap<LaneName, LaneId>,
    points: Vec<Point>,
    log: Vec<Choice>,
    mismatches: usize,
    divergence: Option<Divergence>,
}

impl Choices {
    /// Every answer comes from `seed`.
    pub(crate) fn seeded(seed: u64) -> Self {
        Self {
            seed,
            draws: seed,
            replay: None,
            replay_end: usize::MAX,
            deviations: VecDeque::new(),
            script: Script::default(),
            lanes: Vec::new(),
            lane_ids: BTreeMap::new(),
            points: Vec::new(),
            log: Vec::with_capacity(USUAL),
            mismatches: 0,
            divergence: None,
        }
    }

    /// Answers come from `log`; entropy still comes from `seed`.
    pub(crate) fn replayed(seed: u64, log: &ChoiceLog, replay: Replay) -> Self {
        Self { replay: Some(replay), script: Script::new(log, replay), ..Self::seeded(seed) }
    }

    /// Every answer is 0, except for these.
    pub(crate) fn deviating(seed: u64, deviations: &[Deviation]) -> Self {
        let deviations = deviations.iter().copied().collect();
        Self { deviations, ..Self::replayed(seed, &ChoiceLog::default(), Replay::Lenient) }
    }

    /// The first `kept` answers come from `log`, strictly, and the others from the seed `draws`. Entropy comes from
    /// `seed`, so that the run repeats what was recorded.
    pub(crate) fn redrawn(seed: u64, log: &ChoiceLog, kept: usize, draws: u64) -> Self {
        let replay = if kept == 0 { None } else { Some(Replay::Strict) };
        Self { replay, replay_end: kept, draws, ..Self::replayed(seed, log, Replay::Strict) }
    }

    /// Returns the lane of a kind that belongs to `scope`. It has the same stream of the seed in every run.
    pub(crate) fn lane(&mut self, kind: LaneKind, scope: &str) -> LaneId {
        self.named_lane(LaneName::new(kind, scope))
    }

    /// Returns the lane of this name.
    pub(crate) fn named_lane(&mut self, name: LaneName) -> LaneId {
        if let Some(&lane) = self.lane_ids.get(&name) {
            return lane;
        }
        let lane = LaneId(u32::try_from(self.lanes.len()).expect("fewer than 2^32 lanes"));
        let seed = if name.kind() == LaneKind::Entropy { self.seed } else { self.draws };
        self.lanes.push(Lane {
            rng: stream(seed, name.text()),
            expected: self.script.take_lane(&name),
            asked: 0,
            points: BTreeMap::new(),
            name: name.clone(),
        });
        self.lane_ids.insert(name, lane);
        lane
    }

    /// Names a point of a lane: "SCOPE OPERATION".
    pub(crate) fn point(&mut self, lane: LaneId, name: &str) -> PointId {
        let Lane { name: lane_name, points, .. } = &mut self.lanes[lane.0 as usize];
        if let Some(&point) = points.get(name) {
            return point;
        }
        let point = PointId::new(self.points.len());
        points.insert(name.to_owned(), point);
        let script = self.script.take_point(lane_name, name);
        self.points.push(Point { lane, name: name.to_owned(), script, asked: 0 });
        point
    }

    /// Chooses one of `bound` alternatives at `point` and writes the value down.
    ///
    /// `draw` takes the lane's stream if the answer comes from the seed. It is not called in a replay.
    ///
    /// # Panics
    ///
    /// Only on a bug here: no alternatives, or a draw outside the bound.
    #[inline]
    pub(crate) fn choose(
        &mut self,
        point: PointId,
        bound: u32,
        draw: impl FnOnce(&mut ChaCha8Rng) -> u32,
    ) -> u32 {
        self.choose_within(point, bound, || bound, draw)
    }

    /// Like [`choose`](Self::choose), where the run has room for the first `room()` alternatives only. Draws keep
    /// within it, and so does a deviation. A recording may exceed it.
    #[inline]
    pub(crate) fn choose_within(
        &mut self,
        point: PointId,
        bound: u32,
        room: impl FnOnce() -> u32,
        draw: impl FnOnce(&mut ChaCha8Rng) -> u32,
    ) -> u32 {
        assert!(bound > 0, "a question has at least one alternative");
        let asked = &mut self.points[point.index()];
        let lane = &mut self.lanes[asked.lane.0 as usize];
        let value = match self.replay {
            None => draw(&mut lane.rng),
            Some(Replay::Lenient) => match asked.script.values.get(asked.asked) {
                Some(&(_, value)) if value < bound => value,
                Some(_) => {
                    self.mismatches += 1;
                    0
                }
                None => match self.deviations.front() {
                    Some(&Deviation { at, value }) if at == self.log.len() => {
                        self.deviations.pop_front();
                        if value < bound.min(room()) { value } else { 0 }
                    }
                    _ => 0,
                },
            },
            Some(Replay::Strict) => match lane.expected.get(lane.asked) {
                Some(expected)
                    if Some(expected.point) == asked.script.recorded && expected.bound == bound =>
                {
                    expected.value
                }
                Some(expected) => {
                    let recorded = self.script.name(expected.point);
                    self.divergence.get_or_insert_with(|| Divergence {
                        lane: lane.name.clone(),
                        position: lane.asked,
                        recorded: (recorded.to_owned(), expected.bound),
                        asked: (asked.name.clone(), bound),
                    });
                    0
                }
                None => 0,
            },
        };
        assert!(value < bound, "a value is below the bound of its question");
        asked.asked += 1;
        lane.asked += 1;
        self.log.push(Choice { point, bound, value });
        if self.log.len() == self.replay_end {
            self.replay = None;
        }
        value
    }

    /// Chooses uniformly.
    #[inline]
    pub(crate) fn choose_uniform(&mut self, point: PointId, bound: u32) -> u32 {
        self.choose(point, bound, |rng| below(rng, bound))
    }

    /// Fills `buffer` from the entropy stream of `scope`. Entropy is not a choice: it is not recorded and does not
    /// shrink.
    pub(crate) fn entropy(&mut self, scope: &str, buffer: &mut [u8]) {
        let lane = self.lane(LaneKind::Entropy, scope);
        self.lanes[lane.0 as usize].rng.fill_bytes(buffer);
    }

    /// Returns a private stream for decisions that lead to values but are not choices (a strategy's priorities).
    pub(crate) fn side_stream(&self, name: &str) -> ChaCha8Rng {
        stream(self.draws, name)
    }

    /// Returns the private stream of what the code under test reads from libc.
    pub(crate) fn libc_stream(&self) -> ChaCha8Rng {
        stream(self.seed, "libc")
    }

    pub(crate) const fn seed(&self) -> u64 {
        self.seed
    }

    /// Returns `true` if answers come from a recording.
    pub(crate) const fn is_replay(&self) -> bool {
        self.replay.is_some()
    }

    /// Returns the first difference of a strict replay, if there is one. The run cannot continue.
    pub(crate) const fn divergence(&self) -> Option<&Divergence> {
        self.divergence.as_ref()
    }

    /// Counts the lenient answers whose recorded value did not fit the question.
    pub(crate) const fn mismatches(&self) -> usize {
        self.mismatches
    }

    /// Ends the run and returns what it chose.
    pub(crate) fn into_log(self) -> ChoiceLog {
        let lanes = self.lanes;
        let points = self
            .points
            .into_iter()
            .map(|point| PointName { lane: lanes[point.lane.0 as usize].name.clone(), point: point.name })
            .collect();
        ChoiceLog { points, choices: self.log }
    }
}

impl fmt::Debug for Choices {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Choices")
            .field("seed", &self.seed)
            .field("made", &self.log.len())
            .finish_non_exhaustive()
    }
}

/// Draws uniformly below `bound` (Lemire's multiplication; the bias is below 2^-32 · bound).
pub(crate) fn below(rng: &mut ChaCha8Rng, bound: u32) -> u32 {
    let product = u64::from(rng.next_u32()) * u64::from(bound);
    (product >> 32) as u32
}

/// The stream of `seed` that belongs to `name`.
fn stream(seed: u64, name: &str) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(fnv1a(name.as_bytes()));
    rng
}

/// FNV-1a, 64 bits. The numbering of streams must never change, so no library's hash is used.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draw_three(choices: &mut Choices, lane: &str) -> [u32; 3] {
        let lane = choices.named_lane(LaneName::parse(lane).expect("a kind of lane"));
        let point = choices.point(lane, "host/task operation");
        [(); 3].map(|()| choices.choose_uniform(point, 1_000_000))
    }

    #[test]
    fn an_extra_choice_never_shifts_other_lanes() {
        let mut alone = Choices::seeded(7);
        let mut beside = Choices::seeded(7);
        draw_three(&mut beside, "fault");
        assert_eq!(draw_three(&mut alone, "schedule"), draw_three(&mut beside, "schedule"));
    }

    #[test]
    fn both_replays_give_back_what_was_picked() {
        let mut first = Choices::seeded(7);
        let values = draw_three(&mut first, "schedule");
        let log = first.into_log();
        for replay in [Replay::Strict, Replay::Lenient] {
            let mut again = Choices::replayed(7, &log, replay);
            assert_eq!(draw_three(&mut again, "schedule"), values);
            assert_eq!((again.divergence(), again.mismatches()), (None, 0));
            assert_eq!(again.into_log(), log);
        }
    }

    #[test]
    fn an_exhausted_recording_goes_on_with_zero() {
        let mut again = Choices::replayed(7, &ChoiceLog::default(), Replay::Strict);
        assert_eq!(draw_three(&mut again, "schedule"), [0, 0, 0]);
        assert_eq!(again.divergence(), None);
    }

    #[test]
    fn strict_replay_names_the_first_other_question() {
        let mut first = Choices::seeded(7);
        draw_three(&mut first, "schedule");
        let log = first.into_log();
        let mut again = Choices::replayed(7, &log, Replay::Strict);
        let lane = again.lane(LaneKind::Schedule, "");
        let point = again.point(lane, "host/other operation");
        assert_eq!(again.choose_uniform(point, 5), 0);
        let named = again.divergence().expect("another point asked").to_string();
        assert_eq!(
            named,
            "choice 1 of lane `schedule`: the recording has `host/task operation` (1000000 alternatives), \
             the run asked `host/other operation` (5 alternatives)"
        );
    }

    #[test]
    fn a_deviating_run_is_the_default_elsewhere() {
        let deviations = [(0, 7), (2, 9)].map(|(at, value)| Deviation { at, value });
        let mut choices = Choices::deviating(7, &deviations);
        assert_eq!(draw_three(&mut choices, "schedule"), [7, 0, 9]);
        assert_eq!(draw_three(&mut choices, "fault"), [0, 0, 0]);
        // The log repeats the run.
        let log = choices.into_log();
        let mut again = Choices::replayed(7, &log, Replay::Strict);
        assert_eq!(draw_three(&mut again, "schedule"), [7, 0, 9]);
    }

    #[test]
    fn a_deviation_keeps_within_its_room() {
        let deviations = [(0, 4), (1, 2)].map(|(at, value)| Deviation { at, value });
        let mut choices = Choices::deviating(7, &deviations);
        let lane = choices.lane(LaneKind::Schedule, "");
        let point = choices.point(lane, "host/task delay");
        let mut choose = || choices.choose_within(point, 5, || 3, |_| unreachable!("nothing is drawn"));
        assert_eq!([choose(), choose(), choose()], [0, 2, 0]);
    }

    #[test]
    fn a_redrawn_run_keeps_first_choices_and_entropy() {
        let mut first = Choices::seeded(7);
        let values = draw_three(&mut first, "schedule");
        let mut bytes = [0; 8];
        first.entropy("host", &mut bytes);
        let log = first.into_log();
        let mut redrawn = Choices::redrawn(7, &log, 2, 8);
        let others = draw_three(&mut redrawn, "schedule");
        assert_eq!(others[..2], values[..2]);
        assert_ne!(others[2], values[2]);
        let mut same = [0; 8];
        redrawn.entropy("host", &mut same);
        assert_eq!(same, bytes);
        assert_eq!(redrawn.divergence(), None);
        // Nothing kept: only the entropy is that of the seed.
        assert_ne!(draw_three(&mut Choices::redrawn(7, &log, 0, 8), "schedule"), values);
    }

    #[test]
    fn lenient_replay_keeps_the_values_of_remaining_points() {
        let mut first = Choices::seeded(7);
        let lane = first.lane(LaneKind::Schedule, "");
        let (a, b) = (first.point(lane, "a x"), first.point(lane, "b x"));
        first.choose(a, 3, |_| 2);
        first.choose(b, 3, |_| 1);
        let mut log = first.into_log();
        log.choices.remove(0);
        let mut again = Choices::replayed(7, &log, Replay::Lenient);
        let lane = again.lane(LaneKind::Schedule, "");
        let (a, b) = (again.point(lane, "a x"), again.point(lane, "b x"));
        assert_eq!((again.choose_uniform(a, 3), again.choose_uniform(b, 3)), (0, 1));
        // A value that no longer fits is answered with the default and counted.
        let mut narrow = Choices::replayed(7, &log, Replay::Lenient);
        let lane = narrow.lane(LaneKind::Schedule, "");
        let b = narrow.point(lane, "b x");
        assert_eq!((narrow.choose_uniform(b, 1), narrow.mismatches()), (0, 1));
    }
}
