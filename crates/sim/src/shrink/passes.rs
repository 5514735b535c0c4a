//! The passes of the shrinker: which candidates to try, the boldest first.
//!
//! Every pass looks the picks up anew after a success, because the run that succeeded made choices of its own. All
//! end: a success makes the log smaller, and a failure moves on.

use std::collections::BTreeMap;

use super::order::Rank;
use super::{End, Shrinker};

/// A pass proposes candidates until it has none left or a limit is reached.
type Pass = fn(&mut Shrinker<'_>) -> Result<(), End>;

/// All passes, in the order of a round.
pub(super) const ALL: [(&str, Pass); 8] = [
    ("everything", everything),
    ("lanes", lanes),
    ("spans", spans),
    ("blocks", blocks),
    ("single picks", single_picks),
    ("pairs of context switches", switch_pairs),
    ("lower picks", lower_picks),
    ("earlier picks", earlier_picks),
];

/// Most context switches of which every pair is tried; of more, only neighbours are.
const PAIRS_OF_ALL_MAX: usize = 24;

fn everything(shrinker: &mut Shrinker<'_>) -> Result<(), End> {
    let all = shrinker.nonzero();
    shrinker.try_without(&all).map(drop)
}

fn lanes(shrinker: &mut Shrinker<'_>) -> Result<(), End> {
    groups(shrinker, |lane, _| lane.to_owned())
}

/// A span is what one scope chose in a lane: a fault, a connection, a thread.
fn spans(shrinker: &mut Shrinker<'_>) -> Result<(), End> {
    groups(shrinker, |lane, site| {
        let scope = site.split_once(' ').map_or(site, |(scope, _)| scope);
        format!("{lane}\n{scope}")
    })
}

/// Tries to do without each group of picks, by rank and name.
fn groups(shrinker: &mut Shrinker<'_>, group_of: impl Fn(&str, &str) -> String) -> Result<(), End> {
    let mut done = None;
    loop {
        let mut groups: BTreeMap<(Rank, String), Vec<usize>> = BTreeMap::new();
        for index in shrinker.nonzero() {
            let name = shrinker.best.site(shrinker.best.choices[index].site);
            groups.entry((Rank::of(&name.lane), group_of(&name.lane, &name.site))).or_default().push(index);
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

fn single_picks(shrinker: &mut Shrinker<'_>) -> Result<(), End> {
    blocks_of(shrinker, 1)
}

fn blocks_of(shrinker: &mut Shrinker<'_>, size: usize) -> Result<(), End> {
    let mut start = 0;
    loop {
        let picks = shrinker.nonzero();
        if start >= picks.len() {
            return Ok(());
        }
        let end = picks.len().min(start + size);
        if !shrinker.try_without(&picks[start..end])? {
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
                let site = shrinker.best.choices[index].site;
                Rank::of(&shrinker.best.site(site).lane) == Rank::Schedule
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

/// Lowers each pick: to 1, then by halves towards the lowest that still fails.
fn lower_picks(shrinker: &mut Shrinker<'_>) -> Result<(), End> {
    let mut position = 0;
    loop {
        let picks = shrinker.nonzero();
        if position >= picks.len() {
            return Ok(());
        }
        // Single picks were tried before: 0 does not fail.
        let mut too_low = 0;
        loop {
            let now = shrinker.nonzero();
            // A lowered pick can make others vanish; the next round sees to what then stands here.
            let Some(&index) = now.get(position).filter(|_| now.len() == picks.len()) else { break };
            let pick = shrinker.best.choices[index].pick;
            if pick - too_low <= 1 {
                break;
            }
            let lower = if too_low == 0 { 1 } else { too_low + (pick - too_low) / 2 };
            let mut candidate = shrinker.best.clone();
            candidate.choices[index].pick = lower;
            if !shrinker.try_log(&candidate)? {
                too_low = lower;
            }
        }
        position += 1;
    }
}

/// Moves each pick to an earlier question of its site, where it may end the run sooner: the loop that had to turn
/// fifty times before its fault may only need one turn.
fn earlier_picks(shrinker: &mut Shrinker<'_>) -> Result<(), End> {
    for position in 0..shrinker.nonzero().len() {
        let mut too_early = None;
        loop {
            let Some(&index) = shrinker.nonzero().get(position) else { return Ok(()) };
            let choice = shrinker.best.choices[index];
            let same_site: Vec<usize> =
                (0..=index).filter(|&other| shrinker.best.choices[other].site == choice.site).collect();
            let ordinal = same_site.len() - 1;
            let earlier = too_early.map_or(0, |tried: usize| tried.midpoint(ordinal));
            if earlier >= ordinal || Some(earlier) == too_early {
                break;
            }
            let target = same_site[earlier];
            let mut candidate = shrinker.best.clone();
            let there = &mut candidate.choices[target];
            let fits = there.pick == 0 && choice.pick < there.bound;
            there.pick = choice.pick;
            candidate.choices[index].pick = 0;
            if !fits || !shrinker.try_log(&candidate)? {
                too_early = Some(earlier);
            }
        }
    }
    Ok(())
}
