//! The client of tasks, against peers that speak in bytes: on pipes with Tokio's paused clock, and on TCP.

mod closing;
mod conversing;
mod failing;
#[cfg(feature = "compression")]
mod fairness;
mod nodelay;
mod opening;
#[cfg(feature = "proxies")]
mod proxies;
mod raw_peer;
mod read_sizes;
mod receiving;
mod reconnecting;
#[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
mod secure;
mod sending;
mod serving;
mod streaming;
mod upgraded;
