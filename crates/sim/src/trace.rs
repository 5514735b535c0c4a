//! What happened in a run.

use crate::choices::fnv1a;

/// The events of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Trace {
    lines: Vec<String>,
}

impl Trace {
    /// Makes a trace of ready lines.
    pub(crate) fn from_lines(lines: Vec<String>) -> Self {
        Self { lines }
    }

    pub(crate) fn hash(&self) -> u64 {
        fnv1a(self.lines.join("\n").as_bytes())
    }

    /// Renders one event a line, at most 60 lines.
    pub fn render(&self) -> String {
        self.lines.iter().take(60).map(|line| format!("{line}\n")).collect()
    }

    pub(crate) fn first_difference(&self, other: &Self) -> Option<String> {
        let longer = self.lines.len().max(other.lines.len());
        (0..longer).find_map(|index| {
            let of = |trace: &Self| trace.lines.get(index).cloned().unwrap_or_else(|| "the end".to_owned());
            let (ours, theirs) = (of(self), of(other));
            (ours != theirs).then(|| format!("event {}: `{ours}`, then `{theirs}`", index + 1))
        })
    }
}
