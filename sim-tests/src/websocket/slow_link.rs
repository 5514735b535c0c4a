//! Narrow links, and the peer behind one.

use std::time::Duration;

use wavetank::Sim;
use wavetank_runtime::{Runtime, SocketOptions};
use wavetank_websocket::{Config, Keepalive};

use super::frames::{self, BINARY, CLOSE, PING, PONG};
use super::peer::Peer;
use super::scripts::say_goodbye;

const SECOND: Duration = Duration::from_secs(1);

/// The most bytes that a socket buffer of these tests holds. Later bytes wait as long as these take at the link's
/// rate.
pub const BUFFERED: u64 = 16 * 1024;

/// Round trips and timers take no longer than this.
pub const ROUND_TRIP: Duration = Duration::from_millis(20);

/// Returns options with small buffers, so that a full buffer passes the link within a timeout.
#[must_use]
pub const fn narrow() -> SocketOptions {
    SocketOptions::new().send_buffer_bytes(4096).receive_buffer_bytes(4096)
}

/// Returns how long `bytes` take at `rate` bytes a second.
#[must_use]
pub const fn time_of(bytes: u64, rate: u64) -> Duration {
    Duration::from_millis(bytes * 1000 / rate)
}

/// Draws a keepalive whose timeout is a quarter of the time of a transfer, or the default, and puts it into `config`.
/// Returns its interval and timeout.
pub fn hurry(sim: &mut Sim, config: &mut Config, bytes: u64, rate: u64) -> (Duration, Duration) {
    config.limits().write_buffer(2048);
    if sim.choose("default keepalive", 2) == 1 && time_of(BUFFERED, rate) < 15 * SECOND {
        *config.keepalive() = Keepalive::default();
        return (20 * SECOND, 20 * SECOND);
    }
    let timeout = time_of(bytes / 4, rate).max(time_of(BUFFERED, rate) + ROUND_TRIP);
    let interval = timeout / (1 << sim.choose("interval", 3));
    config.keepalive().interval(Some(interval)).timeout(Some(timeout));
    (interval, timeout)
}

/// What a peer on a narrow link does with a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Way {
    /// The client sends, and the peer reads.
    Up,
    /// The peer sends, once it is asked to.
    Down,
    /// The peer sends the client's message back.
    Both,
}

/// Sends the client a message, takes one, or sends one back, as `way` says. Answers pings and the Close.
///
/// # Errors
///
/// The stream's.
pub async fn transfer<R: Runtime>(mut peer: Peer<R>, way: Way, bytes: usize) -> std::io::Result<()> {
    while let Some(frame) = peer.input.frame().await? {
        match frame.opcode {
            BINARY if way == Way::Up => peer.output.send(&frames::frame(BINARY, b"thanks")).await?,
            BINARY if way == Way::Down => peer.output.send(&frames::frame(BINARY, &vec![7; bytes])).await?,
            BINARY => peer.output.send(&frames::frame(BINARY, &frame.payload)).await?,
            PING => peer.output.send(&frames::frame(PONG, &frame.payload)).await?,
            CLOSE => return say_goodbye(peer, &frame.payload).await,
            _ => {}
        }
    }
    Ok(())
}
