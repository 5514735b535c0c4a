//! Both ends of a connection send as fast as a slow link takes it, for longer than the ten seconds between pings.
//!
//! While one pong waits to be written, yamux reads nothing. Where both ends have a pong to write and neither can write,
//! as the other does not read, they wait for each other for ever.

use std::time::Duration;

use wavetank::Sim;

use crate::both_ways::{client_and_server, receive, send, small_buffers};

/// Bytes of one write, and how often each end writes them.
const WRITE: usize = 16 << 10;
const WRITES: usize = 128;

/// The body of the test.
pub fn both_ends_stream_for_longer_than_a_ping_interval(sim: &mut Sim) {
    sim.latency(Duration::from_millis(20)..=Duration::from_millis(60));
    client_and_server(
        sim,
        small_buffers(),
        |_, writer| send(writer, WRITE, WRITES),
        |reader| receive(reader, WRITE * WRITES),
    );
}
