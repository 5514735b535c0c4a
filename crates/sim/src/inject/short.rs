//! Short reads and writes: an operation transfers fewer bytes than it could.

use crate::choice::{LaneKind, below};
use crate::net::HostId;
use crate::trace::{TraceEvent, Transfer};
use crate::world::Run;

/// The lengths that a transfer of `could` bytes may have, from all of them to one.
fn lengths(could: usize) -> [usize; 6] {
    let mut shortest = could;
    [could, could - 1, could / 2, could / 8, 2, 1].map(|length| {
        shortest = shortest.min(length.max(1));
        shortest
    })
}

/// One transfer in this many is short, on a host with short transfers.
const SHORT_ONE_IN: u32 = 3;

/// Shortens a transfer of the running task on `host` that could move `could` bytes. Returns how many bytes it may move,
/// at least one.
///
/// # Determinism
///
/// Draws only on hosts with short transfers, and only if there is more than one byte to transfer.
pub(crate) fn shortened(run: &Run, transfer: Transfer, host: HostId, could: usize) -> usize {
    if could < 2 || !run.faults().borrow().is_short(host) {
        return could;
    }
    let lengths = lengths(could);
    let bound = lengths.len() as u32;
    let value = {
        let name = run.host_name(host.index());
        let who = run.scheduler.current().map_or_else(|| name.clone(), |task| run.scheduler.name(task));
        let operation = match transfer {
            Transfer::Read => "read",
            Transfer::Write => "write",
        };
        let mut choices = run.scheduler.choices.borrow_mut();
        let lane = choices.lane(LaneKind::Short, &name);
        let point = choices.point(lane, &format!("{who} {operation}"));
        choices.choose(point, bound, |rng| if below(rng, SHORT_ONE_IN) == 0 { below(rng, bound) } else { 0 })
    };
    let short = lengths[value as usize];
    if short < could {
        run.scheduler.trace_event(TraceEvent::Short { transfer, could, short });
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn higher_values_never_lengthen_a_short_transfer() {
        for could in 2..100 {
            let lengths = lengths(could);
            assert_eq!((lengths[0], lengths[5]), (could, 1));
            assert!(lengths.is_sorted_by(|longer, shorter| longer >= shorter), "{lengths:?}");
        }
    }
}
