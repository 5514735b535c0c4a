//! How fast masking is, against copying the same bytes.
//!
//! Ours cannot be called alone: what is measured is sending. A server's frames are copied, a client's are copied and
//! masked in one pass (with a mask that is drawn for each), so that the one is what the other is to be compared with;
//! everything else that sending costs is in both. `fastwebsockets::unmask` masks in place, and does nothing else.

use std::hint::black_box;

use wavetank_runtime::Instant;
use wavetank_websocket::Kind;
use wavetank_websocket::protocol::{Connection, Role};

use crate::contenders::ours::config;
use crate::meter::Meter;

const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

/// Gigabytes a second that `work` passes, which handles `size` bytes a call.
fn speed(size: usize, nanoseconds: u64, mut work: impl FnMut()) -> f64 {
    let calls = (nanoseconds as usize / (size / 16).max(10)).max(4);
    for _ in 0..calls / 8 + 1 {
        work();
    }
    let meter = Meter::start();
    for _ in 0..calls {
        work();
    }
    (size * calls) as f64 / meter.stop(calls as u64).processor as f64
}

/// Gigabytes a second that a connection sends into nothing.
fn sending(role: Role, source: &[u8], nanoseconds: u64) -> f64 {
    let now = Instant::from_nanos(0);
    let mut connection = Connection::new(role, config(), None, [7; 32], now);
    speed(source.len(), nanoseconds, || {
        connection.send(Kind::Binary, black_box(source)).expect("the connection is open");
        let written = black_box(connection.output()).len();
        connection.output_written(written, &|| now);
    })
}

/// Prints the table.
pub fn print(rounds: usize, nanoseconds: u64) {
    println!(
        "| masking | memcpy GB/s | ours: copied | ours: masked | of copied | of memcpy | fastwebsockets::unmask |"
    );
    println!("|---|--:|--:|--:|--:|--:|--:|");
    for size in [16, 1 << 10, 64 << 10, 4 << 20] {
        let source: Vec<u8> = (0..size).map(|index| index as u8).collect();
        let mut target = source.clone();
        let mut rows = Vec::new();
        for _ in 0..rounds {
            let memcpy =
                speed(size, nanoseconds, || black_box(&mut target).copy_from_slice(black_box(&source)));
            let copied = sending(Role::Server, &source, nanoseconds);
            let masked = sending(Role::Client, &source, nanoseconds);
            let other = speed(size, nanoseconds, || fastwebsockets::unmask(black_box(&mut target), MASK));
            rows.push([memcpy, copied, masked, masked / copied, masked / memcpy, other]);
        }
        let middle = |column: usize| crate::report::median(rows.iter().map(|row| row[column]));
        let [memcpy, copied, masked, of_copied, of_memcpy, other] = [0, 1, 2, 3, 4, 5].map(middle);
        println!(
            "| {size} B | {memcpy:.1} | {copied:.1} | {masked:.1} | {of_copied:.2} | {of_memcpy:.2} | {other:.1} |"
        );
    }
    println!();
}
