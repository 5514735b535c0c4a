//! Plans and outcomes on their way between processes.

use std::sync::Arc;
use std::time::Duration;

use crate::choice::{Choice, ChoiceLog, Deviation, Divergence, LaneName, PointId, PointName, Replay};
use crate::run::Plan;
use crate::sched::Profile;
use crate::symptom::{Symptom, SymptomKind};
use crate::trace::{self, Trace};
use crate::wire::{Reader, Writer};
use crate::world::Outcome;

/// The outcome of a run that was not told.
pub(super) fn failed(kind: SymptomKind, why: String) -> Outcome {
    Outcome {
        symptom: Some(Symptom::new(kind, why)),
        log: ChoiceLog::default(),
        trace: Trace::new(),
        divergence: None,
        mismatches: 0,
        steps: 0,
        virtual_time: Duration::ZERO,
        faults: 0,
        failed_at: None,
        points: std::collections::BTreeMap::new(),
        fingerprint: 0,
        waits: Vec::new(),
        profile: None,
    }
}

fn tell_log(to: &mut Writer, log: &ChoiceLog) {
    to.all(log.points.iter(), |to, PointName { lane, point }| {
        to.text(lane.text()).text(point);
    });
    to.all(log.choices.iter(), |to, choice| {
        to.small(choice.point.index() as u32).small(choice.bound).small(choice.value);
    });
}

fn lane(from: &mut Reader<'_>) -> LaneName {
    LaneName::parse(&from.text()).expect("a lane of this program")
}

fn told_log(from: &mut Reader<'_>) -> ChoiceLog {
    ChoiceLog {
        points: from.all(|from| PointName { lane: lane(from), point: from.text() }),
        choices: from.all(|from| Choice {
            point: PointId::new(from.small() as usize),
            bound: from.small(),
            value: from.small(),
        }),
    }
}

pub(super) fn tell_plan(to: &mut Writer, plan: &Plan<'_>, stops_at: usize) {
    to.number(stops_at as u64);
    match *plan {
        Plan::Seed { seed, profile } => {
            to.small(0).number(seed);
            profile.tell(to);
        }
        Plan::WarmUp => {
            to.small(1);
        }
        Plan::Replay { seed, log, mode } => {
            to.small(2).number(seed).small(u32::from(mode == Replay::Strict));
            tell_log(to, log);
        }
        Plan::Deviate { seed, deviations } => {
            to.small(3).number(seed).all(deviations.iter(), |to, deviation| {
                to.number(deviation.at as u64).small(deviation.value);
            });
        }
        Plan::Redraw { seed, log, kept, draws, profile } => {
            to.small(4).number(seed).number(kept as u64).number(draws);
            tell_log(to, log);
            profile.tell(to);
        }
    }
}

/// Reads a plan and calls `f` with it.
pub(super) fn with_plan<T>(from: &mut Reader<'_>, f: impl FnOnce(&Plan<'_>) -> T) -> T {
    let stops_at = from.number();
    if stops_at != usize::MAX as u64 {
        trace::stop_at(stops_at);
    }
    match from.small() {
        0 => {
            let seed = from.number();
            f(&Plan::Seed { seed, profile: &Arc::new(Profile::told(from)) })
        }
        1 => f(&Plan::WarmUp),
        2 => {
            let seed = from.number();
            let mode = if from.small() == 1 { Replay::Strict } else { Replay::Lenient };
            f(&Plan::Replay { seed, log: &told_log(from), mode })
        }
        3 => {
            let seed = from.number();
            let deviations: Vec<Deviation> =
                from.all(|from| Deviation { at: from.number() as usize, value: from.small() });
            f(&Plan::Deviate { seed, deviations: &deviations })
        }
        _ => {
            let (seed, kept, draws) = (from.number(), from.number() as usize, from.number());
            let log = told_log(from);
            let profile = Arc::new(Profile::told(from));
            f(&Plan::Redraw { seed, log: &log, kept, draws, profile: &profile })
        }
    }
}

pub(super) fn tell_outcome(to: &mut Writer, outcome: &Outcome) {
    to.maybe(outcome.symptom.as_ref(), |to, symptom| {
        to.small(symptom.kind().number()).text(symptom.detail());
    });
    tell_log(to, &outcome.log);
    // The events of a run that passes are not read.
    outcome.trace.tell(to, outcome.symptom.is_some() || !outcome.waits.is_empty());
    to.maybe(outcome.divergence.as_ref(), |to, divergence| {
        let Divergence { lane, position, recorded, asked } = divergence;
        to.text(lane.text()).number(*position as u64);
        to.text(&recorded.0).small(recorded.1).text(&asked.0).small(asked.1);
    });
    to.number(outcome.mismatches as u64).number(outcome.steps).number(outcome.virtual_time.as_nanos() as u64);
    to.number(outcome.faults as u64).maybe(outcome.failed_at.as_ref(), |to, place| {
        to.text(place);
    });
    to.all(outcome.points.iter(), |to, (name, reached)| {
        to.text(name).small(u32::from(*reached));
    });
    to.number(outcome.fingerprint).all(outcome.waits.iter(), |to, wait| {
        to.text(wait);
    });
    to.maybe(outcome.profile.as_ref(), |to, profile| profile.tell(to));
}

pub(super) fn told_outcome(from: &mut Reader<'_>) -> Outcome {
    Outcome {
        symptom: from.maybe(|from| Symptom::new(SymptomKind::of_number(from.small()), from.text())),
        log: told_log(from),
        trace: Trace::told(from),
        divergence: from.maybe(|from| Divergence {
            lane: lane(from),
            position: from.number() as usize,
            recorded: (from.text(), from.small()),
            asked: (from.text(), from.small()),
        }),
        mismatches: from.number() as usize,
        steps: from.number(),
        virtual_time: Duration::from_nanos(from.number()),
        faults: from.number() as usize,
        failed_at: from.maybe(Reader::text),
        points: from.all(|from| (from.name(), from.small() == 1)),
        fingerprint: from.number(),
        waits: from.all(Reader::text),
        profile: from.maybe(Profile::told),
    }
}
