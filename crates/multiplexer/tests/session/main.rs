//! Sessions on Tokio, over in-memory pipes and loopback.

mod support;

mod closing;
mod streams;
mod waiting;
