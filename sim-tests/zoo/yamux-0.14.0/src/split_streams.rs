//! Both ends of a stream send and receive at once, each half in its own task, over small socket buffers.
//!
//! The halves of a stream send their commands to the connection through one channel handle with room for one waker.
//! While a writer waits for room, a reader that is polled also asks for room, for window updates, and replaces the
//! waker. yamux 0.14.0 then never wakes the writer. 0.14.1 gives each half its own handle.

use std::time::Duration;

use wavetank::Sim;

use crate::both_ways::{client_and_server, receive, send, small_buffers};

/// The size of a write in bytes, and the number of writes of each end.
const WRITE: usize = 1 << 10;
const WRITES: usize = 256;

/// The body of the test: builds the hosts.
pub fn both_ends_stream_through_split_halves(sim: &mut Sim) {
    // The exchange must end before the first ping, after 10 s, which has a bug of its own (`ping_under_load`).
    sim.delay_max(Duration::from_millis(1));
    client_and_server(
        sim,
        small_buffers(),
        |_, writer| send(writer, WRITE, WRITES),
        |reader| receive(reader, WRITE * WRITES),
    );
}
