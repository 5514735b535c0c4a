//! The passes of the shrinker: which candidates to try, the boldest first.
//!
//! Every pass looks the values up anew after a success, because the run that succeeded made choices of its own. All
//! end: a success makes the log smaller, and a failure moves on.

use std::collections::BTreeMap;

use super::{End, Shrinker};
use crate::choice::LaneName;
use crate::order::Rank;

/// A pass proposes candidates until it has none left or a limit is reached.
type Pass = fn(&mut Shrinker<'_>) -> Result<(), End>;

/// All passes, in the order of a round.
pub(super) const ALL: [Pass; 8] =
    [everything, lanes, spans, blocks, single_values, switch_pairs, lower_values, earlier_values];

/// If there are at most this many context switches, every pair is tried. Otherwise only neighbours are.
const PAIRS_OF_ALL_MAX: usize = 24;

fn everything(shrinker: &mut Shrinker<'_>) -> Result<(), End> {
    let all = shrinker.nonzero();
    shrinker.try_without(&all).map(drop)
}

fn lanes(shrinker: &mut Shrinker<'_>) -> Result<(), End> {
    groups(shrinker, |lane, _| lane.text().to_owned())
}

/// A span is what one scope chose in a lane: a fault, a connection, a thread.
fn spans(shrinker: &mut Shrinker<'_>) -> Result<(), End> {
    groups(shrinker, |lane, point| {
        let scope = point.split_once(' ').map_or(point, |(scope, _)| scope);
        format!("{}\n{scope}", lane.text())
    })
}

/// Tries to do without each group of values, by rank and name.
fn groups(shrinker: &mut Shrinker<'_>, group_of: impl Fn(&LaneName, &str) -> String) -> Result<(), End> {
    let mut done = None;
    loop {
        let mut groups: BTreeMap<(Rank, String), Vec<usize>> = BTreeMap::new();
        for index in shrinker.nonzero() {
            let name = shrinker.best.point(shrinker.best.choices[index].point);
            groups.entry((Rank::of(&name.lane), group_of(&name.lane, &name.point))).or_default().push(index);
        }
        let Some((group, indices)) = groups.into_iter().find(|(group, _)| Some(group) > done.as_ref()) else {
            return Ok(());
        };
        shrinker.try_without(&indices)?;
        done = Some(group);
    }
}

/// Halves, quarters and so on, down to pairs.
fn blocks(shrinker: &mut Shrinker<'_>) -> Result<(), End> {
    let mut size = shrinker.nonzero().len() / 2;
    while size >= 2 {
        blocks_of(shrinker, size)?;
        size /= 2;
    }
    Ok(())
}

fn single_values(shrinker: &mut Shrinker<'_>) -> Result<(), End> {
    blocks_of(shrinker, 1)
}

fn blocks_of(shrinker: &mut Shrinker<'_>, size: usize) -> Result<(), End> {
    let mut start = 0;
    loop {
        let values = shrinker.nonzero();
        if start >= values.len() {
            return Ok(());
        }
        let end = values.len().min(start + size);
        if !shrinker.try_without(&values[start..end])? {
            start = end;
        }
    }
}

/// A switch away and the switch back often go only together.
fn switch_pairs(shrinker: &mut Shrinker<'_>) -> Result<(), End> {
    let mut distance = 1;
    loop {
        let mut first = 0;
        loop {
            let mut switches = shrinker.nonzero();
            switches.retain(|&index| {
                let point = shrinker.best.choices[index].point;
                Rank::of(&shrinker.best.point(point).lane) == Rank::Schedule
            });
            let furthest = if switches.len() > PAIRS_OF_ALL_MAX { 1 } else { switches.len() };
            if distance > furthest {
                return Ok(());
            }
            let Some(&second) = switches.get(first + distance) else { break };
            if !shrinker.try_without(&[switches[first], second])? {
                first += 1;
            }
        }
        distance += 1;
    }
}

/// Lowers each value: to 1, then by halves towards the lowest that still fails.
fn lower_values(shrinker: &mut Shrinker<'_>) -> Result<(), End> {
    let mut position = 0;
    loop {
        let values = shrinker.nonzero();
        if position >= values.len() {
            return Ok(());
        }
        // Single values were tried before: 0 does not fail.
        let mut too_low = 0;
        loop {
            let now = shrinker.nonzero();
            // A lowered value can make others vanish; the next round sees to what then stands here.
            let Some(&index) = now.get(position).filter(|_| now.len() == values.len()) else { break };
            let value = shrinker.best.choices[index].value;
            if value - too_low <= 1 {
                break;
            }
            let lower = if too_low == 0 { 1 } else { too_low + (value - too_low) / 2 };
            let mut candidate = shrinker.best.clone();
            candidate.choices[index].value = lower;
            if !shrinker.try_log(&candidate)? {
                too_low = lower;
            }
        }
        position += 1;
    }
}

/// Moves each value to an earlier question of its point, where it may end the run sooner: the loop that had to turn
/// fifty times before its fault may only need one turn.
fn earlier_values(shrinker: &mut Shrinker<'_>) -> Result<(), End> {
    for position in 0..shrinker.nonzero().len() {
        let mut too_early = None;
        loop {
            let Some(&index) = shrinker.nonzero().get(position) else { return Ok(()) };
            let choice = shrinker.best.choices[index];
            let same_point: Vec<usize> =
                (0..=index).filter(|&other| shrinker.best.choices[other].point == choice.point).collect();
            let ordinal = same_point.len() - 1;
            let earlier = too_early.map_or(0, |tried: usize| tried.midpoint(ordinal));
            if earlier >= ordinal || Some(earlier) == too_early {
                break;
            }
            let target = same_point[earlier];
            let mut candidate = shrinker.best.clone();
            let there = &mut candidate.choices[target];
            let fits = there.value == 0 && choice.value < there.bound;
            there.value = choice.value;
            candidate.choices[index].value = 0;
            if !fits || !shrinker.try_log(&candidate)? {
                too_early = Some(earlier);
            }
        }
    }
    Ok(())
}
