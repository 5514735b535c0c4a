//! Whatever arrives from the peer, in either role: no panic, the invariants hold, and the outcome does not depend on
//! how the bytes are split.
#![no_main]

use bytes::BytesMut;
use libfuzzer_sys::fuzz_target;
use wavetank_multiplexer::protocol::{Connection, Role, Statistics, Transmit};
use wavetank_multiplexer::{Closed, Config};
use wavetank_runtime::Instant;

const NOW: Instant = Instant::from_nanos(1);

fuzz_target!(|data: &[u8]| {
    let Some((&[way, size], bytes)) = data.split_first_chunk::<2>() else { return };
    let whole = outcome(way, bytes, bytes.len().max(1));
    let split = outcome(way, bytes, usize::from(size).max(1));
    assert_eq!(whole, split);
});

fn outcome(way: u8, bytes: &[u8], piece: usize) -> (Option<Closed>, Statistics, Vec<u8>) {
    let role = if way & 1 == 0 { Role::Client } else { Role::Server };
    let mut config = Config::default();
    config
        .limits()
        .inbound_streams(8)
        .accept_backlog(4)
        .receive_budget_bytes(1000)
        .pending_refusals(4)
        .early_resets(4)
        .idle_frames(20)
        .control_bytes(60)
        .skipped_ids(2)
        .tombstones(2);
    let mut connection = Connection::new(role, config, 1, NOW);
    for _ in 0..way >> 6 {
        let _ = connection.open(NOW);
    }
    for piece in bytes.chunks(piece) {
        connection.receive(&mut BytesMut::from(piece), NOW);
        connection.assert_invariants();
    }
    let statistics = connection.statistics();
    let mut transmit = Transmit::new();
    connection.take_output(&mut transmit, NOW);
    let output = transmit.slices().iter().flat_map(|slice| slice.to_vec()).collect();
    connection.end_of_input(NOW);
    (connection.closed().cloned(), statistics, output)
}
