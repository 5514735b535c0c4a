//! Both ends of a stream send and receive at once, each half in a task of its own, over small socket buffers.
//!
//! The halves of a stream send their commands to the connection through one channel handle, which has room for one
//! waker. While a writer waits for room, a reader that is polled (it asks for room too, for window updates) takes its
//! place: yamux 0.14.0 never wakes that writer again. 0.14.1 gives each half a handle.

use std::time::Duration;

use wavetank::Sim;

use crate::both_ways::{client_and_server, receive, send, small_buffers};

/// Bytes of one write, and how often each end writes them.
const WRITE: usize = 1 << 10;
const WRITES: usize = 256;

/// The body of the test.
pub fn both_ends_stream_through_split_halves(sim: &mut Sim) {
    // Longer, and the exchange goes on when the first ping is sent after 10 s. It has a bug of its own (`ping_under_load`).
    sim.delay_max(Duration::from_millis(1));
    client_and_server(
        sim,
        small_buffers(),
        |_, writer| send(writer, WRITE, WRITES),
        |reader| receive(reader, WRITE * WRITES),
    );
}
