//! A simulated host as published crates want it: hyper, axum, hyper-util, tonic, quinn.
//!
#![cfg_attr(
    all(feature = "axum", feature = "hyper", feature = "quinn", feature = "tonic", feature = "tower"),
    doc = include_str!("../guide/src/third-party.md")
)]

#[cfg(feature = "axum")]
mod axum;
#[cfg(feature = "hyper")]
#[expect(clippy::disallowed_types, reason = "its deadlines are instants of std")]
mod hyper;
#[cfg(feature = "quinn")]
#[expect(clippy::disallowed_types, reason = "its deadlines are instants of std")]
mod quinn;
#[cfg(feature = "tonic")]
mod tonic;
#[cfg(feature = "tower")]
mod tower;

#[cfg(any(feature = "hyper", feature = "quinn"))]
use std::time::Duration;

/// Returns how long it is until `deadline`, by the clock that third-party code reads. Its deadlines come from there.
#[cfg(any(feature = "hyper", feature = "quinn"))]
#[expect(clippy::disallowed_types, reason = "the clock of third-party code, which is virtual on Linux")]
fn until(deadline: std::time::Instant) -> Duration {
    deadline.saturating_duration_since(std::time::Instant::now())
}
