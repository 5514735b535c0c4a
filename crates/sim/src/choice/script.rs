//! What a replay is to answer: a recording, sorted by lane and by point. Names are compared once for each point and not
//! for each choice.

use std::collections::BTreeMap;

use super::{ChoiceLog, LaneName, PointName, Replay};

/// A recorded point, by its number in the recording.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RecordedPoint(u32);

/// One recorded question of a lane, with its answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expected {
    pub(super) point: RecordedPoint,
    pub(super) bound: u32,
    pub(super) value: u32,
}

/// What a point answers in a replay.
#[derive(Debug, Default)]
pub(super) struct PointScript {
    /// `None` if it was not recorded.
    pub(super) recorded: Option<RecordedPoint>,
    /// Lenient replay: its (bound, value)s, in order.
    pub(super) values: Vec<(u32, u32)>,
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Script {
    names: Vec<String>,
    /// Until the point is first named.
    points: BTreeMap<PointName, PointScript>,
    /// Strict replay: until the lane is first used.
    lanes: BTreeMap<LaneName, Vec<Expected>>,
}

impl Script {
    pub(super) fn new(log: &ChoiceLog, replay: Replay) -> Self {
        let mut script = Self::default();
        // By the numbers of the log: the point's number here, and its lane's.
        let mut places = Vec::with_capacity(log.points.len());
        let mut lanes: BTreeMap<&LaneName, usize> = BTreeMap::new();
        for name in &log.points {
            let next = RecordedPoint(script.names.len() as u32);
            let point = *script.points.entry(name.clone()).or_default().recorded.get_or_insert(next);
            if point == next {
                script.names.push(name.point.clone());
            }
            let count = lanes.len();
            places.push((point, *lanes.entry(&name.lane).or_insert(count)));
        }
        let mut of_points: Vec<Vec<(u32, u32)>> = vec![Vec::new(); script.names.len()];
        let mut of_lanes: Vec<Vec<Expected>> = vec![Vec::new(); lanes.len()];
        for choice in &log.choices {
            let (point, lane) = places[choice.point.index()];
            let (bound, value) = (choice.bound, choice.value);
            match replay {
                Replay::Lenient => of_points[point.0 as usize].push((bound, value)),
                Replay::Strict => of_lanes[lane].push(Expected { point, bound, value }),
            }
        }
        for point in script.points.values_mut() {
            if let Some(RecordedPoint(number)) = point.recorded {
                point.values = std::mem::take(&mut of_points[number as usize]);
            }
        }
        let of_lane =
            |(name, index): (&LaneName, usize)| (name.clone(), std::mem::take(&mut of_lanes[index]));
        script.lanes = lanes.into_iter().map(of_lane).collect();
        script
    }

    pub(super) fn take_lane(&mut self, lane: &LaneName) -> Vec<Expected> {
        self.lanes.remove(lane).unwrap_or_default()
    }

    pub(super) fn take_point(&mut self, lane: &LaneName, point: &str) -> PointScript {
        if self.points.is_empty() {
            return PointScript::default();
        }
        let name = PointName { lane: lane.clone(), point: point.to_owned() };
        self.points.remove(&name).unwrap_or_default()
    }

    pub(super) fn name(&self, point: RecordedPoint) -> &str {
        &self.names[point.0 as usize]
    }
}
