//! The table of deviations, read from the very text that people read.

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deviation {
    pub(crate) world: &'static str,
    pub(crate) behaviour: &'static str,
    /// A part of how the behaviour fails there.
    pub(crate) seen: &'static str,
}

/// Every row, in order.
pub(crate) fn all() -> impl Iterator<Item = Deviation> {
    // The first table; the second is of what the suite does not run.
    let first = include_str!("deviations.md").split("\n## ").next().unwrap_or_default();
    // Below the head of the table and the line under it.
    let rows = first.lines().filter(|line| line.starts_with('|')).skip(2);
    rows.map(|row| {
        let mut cells = row.trim_matches('|').split(" | ").map(|cell| cell.trim().trim_matches('`'));
        let mut cell = || cells.next().expect("a row has four cells");
        Deviation { world: cell(), behaviour: cell(), seen: cell() }
    })
}

/// The row of `behaviour` in `world`, if it deviates there.
pub(crate) fn of(world: &str, behaviour: &str) -> Option<Deviation> {
    all().find(|row| row.world == world && row.behaviour == behaviour)
}
