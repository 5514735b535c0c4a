//! Chooses the await of a future at which it is cancelled or paused.

use crate::choice::{LaneKind, below};
use crate::world::Run;

/// The latest await that is chosen.
const AWAITS_MAX: u32 = 16;

/// Returns the scope of the choices about a future: the running task, and the future's name.
pub(super) fn scope_of(run: &Run, name: &str) -> String {
    let scheduler = &run.scheduler;
    let task =
        scheduler.current().map_or_else(|| "outside".to_owned(), |task| scheduler.name(task).to_string());
    format!("{task}/{}", name.replace(' ', "-"))
}

/// Chooses one of the first awaits of a future, counted from 1, or none: the default.
pub(super) fn draw_await(run: &Run, kind: LaneKind, point: &str) -> Option<u32> {
    let point = run.scheduler.named_point(kind, point);
    let at = run.scheduler.choose(point, AWAITS_MAX + 1, |rng| {
        // Early awaits are more likely to exist.
        let nearest = 1 << below(rng, 1 + AWAITS_MAX.ilog2());
        if below(rng, 2) == 0 { 0 } else { 1 + below(rng, nearest) }
    });
    (at > 0).then_some(at)
}

/// "1st", "2nd".
pub(super) fn ordinal(number: u32) -> String {
    let suffix = match number {
        11..=13 => "th",
        _ => match number % 10 {
            1 => "st",
            2 => "nd",
            3 => "rd",
            _ => "th",
        },
    };
    format!("{number}{suffix}")
}
