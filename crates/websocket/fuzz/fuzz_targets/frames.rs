//! Any input on an open connection, of either role, compressed or not: no panic, and the same messages and the same
//! outcome for every split.
#![no_main]

use libfuzzer_sys::fuzz_target;
use wavetank_runtime::Instant;
use wavetank_websocket::deflate::Parameters;
use wavetank_websocket::protocol::{Connection, Role};
use wavetank_websocket::{Closed, Config, Message};

const NOW: Instant = Instant::from_nanos(1);

fuzz_target!(|data: &[u8]| {
    let Some((&[way, size], bytes)) = data.split_first_chunk::<2>() else { return };
    let whole = outcome(way, bytes, bytes.len().max(1));
    let split = outcome(way, bytes, usize::from(size).max(1));
    assert_eq!(whole, split);
});

fn outcome(way: u8, bytes: &[u8], piece: usize) -> (Vec<Message>, Option<Closed>) {
    let role = if way & 1 == 0 { Role::Client } else { Role::Server };
    let compression = (way & 2 != 0).then(|| Parameters {
        server_no_context_takeover: way & 4 != 0,
        client_no_context_takeover: way & 8 != 0,
        ..Parameters::default()
    });
    let mut config = Config::default();
    config.limits().message(4096);
    config.limits().frame(4096);
    let mut connection = Connection::new(role, config, compression, [7; 32], NOW);
    let mut messages = Vec::new();
    for piece in bytes.chunks(piece) {
        connection.input().extend_from_slice(piece);
        connection.process(NOW);
        settle(&mut connection, &mut messages);
    }
    connection.end_of_input(NOW);
    settle(&mut connection, &mut messages);
    (messages, connection.closed().cloned())
}

/// Takes all messages and all output until there is no more of either.
fn settle(connection: &mut Connection, messages: &mut Vec<Message>) {
    loop {
        let before = messages.len();
        while let Some(message) = connection.recv_message() {
            messages.push(message);
        }
        let written = connection.output().len();
        connection.output_written(written, &|| NOW);
        connection.process(NOW);
        if messages.len() == before && written == 0 {
            return;
        }
    }
}
