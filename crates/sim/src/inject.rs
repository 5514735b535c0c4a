//! Begins and ends faults, on schedule or when a test says so.
//!
//! Partitions and all other faults act here. `act` begins and ends them, [`Injector`] is the handle by which a test
//! injects one, and `short` cuts reads and writes.
//!
//! # Not here
//!
//! The kinds of faults, and how a seed draws them: `fault`. What links do to segments: `net`.

mod accept;
mod act;
mod injector;
mod short;

pub(crate) use accept::{AcceptFailure, failed_accept};
pub(crate) use act::{act, set_up};
pub use injector::Injector;
pub(crate) use short::shortened;
