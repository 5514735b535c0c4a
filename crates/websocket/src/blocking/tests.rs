//! The blocking client on real threads and sockets, against peers that do to it what peers do.

mod closing;
mod cutting;
mod failing;
mod flooding;
mod opening;
mod peer;
#[cfg(feature = "proxies")]
mod proxies;
mod read_sizes;
mod reading;
mod receiving;
mod reconnecting;
#[cfg(any(feature = "ring", feature = "aws-lc-rs"))]
mod secure;
mod sending;
mod upgraded;

use std::sync::{Arc, Weak};
use std::time::Duration;

use wavetank_runtime::{Std, ThreadHandle, Threads};

use super::WebSocket;
use super::shared::Shared;
use crate::Config;

/// Longer than anything here takes, unless it hangs.
const LONG: Duration = Duration::from_secs(20);

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// No pings of its own, no compression, and `close_timeout` to close.
fn quiet(close_timeout: Duration) -> Config {
    let mut config = Config { close_timeout, ..Config::default() };
    config.keepalive.interval = None;
    config.compression.enabled = false;
    config
}

/// Runs `body` on a thread of its own.
fn spawn<R: Send + 'static>(body: impl FnOnce() -> R + Send + 'static) -> impl FnOnce() -> R {
    let handle = Std.spawn("test", body).expect("a thread");
    move || handle.join().expect("the thread does not panic")
}

/// What both threads of a connection hold: it is gone when they have ended and no handle is left.
fn trace_of(client: &WebSocket<Std>) -> Weak<Shared<Std>> {
    Arc::downgrade(&client.handle.shared)
}
