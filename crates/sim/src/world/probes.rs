//! What the probes of one run have said.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;

use crate::choice::PointId;

/// The points of a run: whether each was reached.
pub(crate) type Points = BTreeMap<&'static str, bool>;

/// What the probes of one run have said.
#[derive(Debug, Default)]
pub(crate) struct Probes {
    pub(crate) points: RefCell<Points>,
    pub(crate) buggified: RefCell<BTreeMap<(&'static str, &'static str), Buggified>>,
    /// The source place of the first broken `always!`.
    pub(crate) broken_at: Cell<Option<&'static str>>,
}

/// A `buggify!` in a run.
#[derive(Clone, Debug)]
pub(crate) struct Buggified {
    pub(crate) name: String,
    /// Where it asks, if this run has it enabled.
    pub(crate) fires: Option<PointId>,
}

impl Probes {
    pub(crate) fn into_parts(self) -> (Points, Option<&'static str>) {
        (self.points.into_inner(), self.broken_at.get())
    }
}
