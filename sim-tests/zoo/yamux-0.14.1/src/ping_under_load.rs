//! Both ends of a connection send as fast as a slow link allows, for longer than the ten seconds between pings.
//!
//! While a pong waits to be written, yamux reads nothing. If both ends have a pong to write, neither can write it,
//! because the other does not read. They wait for each other without end.

use std::time::Duration;

use wavetank::Sim;

use crate::both_ways::{client_and_server, receive, send, small_buffers};

/// The size of a write in bytes, and the number of writes of each end.
const WRITE: usize = 16 << 10;
const WRITES: usize = 128;

/// The body of the test: builds the hosts.
pub fn both_ends_stream_for_longer_than_a_ping_interval(sim: &mut Sim) {
    sim.latency(Duration::from_millis(20)..=Duration::from_millis(60));
    client_and_server(
        sim,
        small_buffers(),
        |_, writer| send(writer, WRITE, WRITES),
        |reader| receive(reader, WRITE * WRITES),
    );
}
