//! How fast masking is, against copying the same bytes.
//!
//! Ours cannot be called alone: what is measured is sending, which copies and masks in one pass, so that a copy is what it is to be
//! compared with. `fastwebsockets::unmask` masks in place.

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

/// Prints the table.
pub fn print(rounds: usize, nanoseconds: u64) {
    println!("| masking | memcpy GB/s | ours: copy and mask | of memcpy | fastwebsockets::unmask |");
    println!("|---|--:|--:|--:|--:|");
    for size in [16, 1 << 10, 64 << 10, 4 << 20] {
        let source: Vec<u8> = (0..size).map(|index| index as u8).collect();
        let mut target = source.clone();
        let now = Instant::from_nanos(0);
        let mut connection = Connection::new(Role::Client, config(), None, [7; 32], now);
        let mut rows = Vec::new();
        for _ in 0..rounds {
            let copy =
                speed(size, nanoseconds, || black_box(&mut target).copy_from_slice(black_box(&source)));
            let ours = speed(size, nanoseconds, || {
                connection.send(Kind::Binary, black_box(&source), now).expect("the connection is open");
                let written = black_box(connection.output()).len();
                connection.output_written(written, now);
            });
            let other = speed(size, nanoseconds, || fastwebsockets::unmask(black_box(&mut target), MASK));
            rows.push([copy, ours, ours / copy, other]);
        }
        let middle = |column: usize| crate::report::median(rows.iter().map(|row| row[column]));
        let [copy, ours, part, other] = [0, 1, 2, 3].map(middle);
        println!("| {size} B | {copy:.1} | {ours:.1} | {part:.2} | {other:.1} |");
    }
    println!();
}
