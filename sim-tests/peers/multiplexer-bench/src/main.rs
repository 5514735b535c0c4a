//! Compares stream multiplexers: same transports, same bytes, rounds interleaved.
//!
//! ```text
//! multiplexer-bench [--quick] [PART OF A CELL'S NAME]   the table, medians of 7 rounds
//! multiplexer-bench messages CONTENDER COUNT            COUNT messages of 128 B and nothing else, for callgrind
//! multiplexer-bench blocks CONTENDER COUNT              COUNT messages of 64 KiB
//! multiplexer-bench streams CONTENDER COUNT             COUNT messages of 64 KiB on each of 100 streams
//! multiplexer-bench round-trips CONTENDER COUNT         COUNT times 64 B there and back
//! multiplexer-bench opens CONTENDER COUNT               COUNT streams, one after another: open, echo, close
//! multiplexer-bench MODE CONTENDER COUNT tcp            the same over TCP on two threads, for strace
//! multiplexer-bench link                                MB/s of the 50 ms link without a multiplexer, medians of 7
//! multiplexer-bench hostile [CONNECTIONS]               the memory of sessions whose peers are hostile
//! ```

mod cells;
mod contenders;
mod hostile;
mod meter;
mod transport;

use std::process::ExitCode;

use cells::Cell;
use contenders::{Contender, Windows};
use transport::Link;

#[global_allocator]
static ALLOCATOR: meter::CountingAllocator = meter::CountingAllocator;

const ROUNDS: usize = 7;

fn all_cells(scale: usize) -> Vec<Cell> {
    let mut all = Vec::new();
    for link in [Link::Duplex, Link::Tcp, Link::Delayed] {
        for streams in [1, 100, 1000] {
            // So that a round takes some tenths of a second.
            let large = if link == Link::Delayed { 16 << 20 } else { 256 << 20 };
            let small = if link == Link::Delayed { 2 << 20 } else { 16 << 20 };
            for (write, bytes) in [(64 * 1024, large), (128, small)] {
                let bytes = (bytes / scale).max(write * streams as usize * 2);
                all.push(Cell::Throughput { link, streams, write, bytes, windows: Windows::Fixed });
            }
        }
    }
    let (link, windows) = (Link::Delayed, Windows::Tuned);
    all.push(Cell::Throughput { link, streams: 1, write: 64 * 1024, bytes: (128 << 20) / scale, windows });
    for link in [Link::Duplex, Link::Tcp] {
        all.push(Cell::PingPong { link, rounds: 5000 / scale as u32 });
        all.push(Cell::OpenRate { link, streams: 5000 / scale as u32 });
        all.push(Cell::Beside { link, rounds: 500 });
    }
    all.push(Cell::Beside { link: Link::SmallTcp, rounds: 500 });
    all.push(Cell::IdleHeap { streams: 10_000 });
    all.push(Cell::Allocations { messages: 200_000 / scale });
    all
}

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match &arguments[..] {
        [mode] if mode == "link" => return bare_link(),
        [mode, rest @ ..] if mode == "hostile" => return hostile_connections(rest.first()),
        [mode, name, count] if MODES.contains(&mode.as_str()) => {
            return counted(mode, name, count, Link::Duplex);
        }
        [mode, name, count, tcp] if MODES.contains(&mode.as_str()) && tcp == "tcp" => {
            return counted(mode, name, count, Link::Tcp);
        }
        _ => {}
    }
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let filter: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    let scale = if quick { 16 } else { 1 };
    println!("| | ours | yamux | tokio-yamux | h2 | ours / yamux | ours / tokio-yamux | ours / h2 |");
    println!("|---|---|---|---|---|---|---|---|");
    for cell in all_cells(scale) {
        if filter.iter().all(|part| cell.name().contains(part.as_str())) {
            println!("{}", row(cell));
        }
    }
    ExitCode::SUCCESS
}

const MODES: [&str; 5] = ["messages", "blocks", "streams", "round-trips", "opens"];

const USAGE: &str = "\
usage: multiplexer-bench (messages|blocks|streams|round-trips|opens) (ours|yamux|tokio-yamux|h2) COUNT [tcp]
       multiplexer-bench link
       multiplexer-bench hostile [CONNECTIONS]
       multiplexer-bench [--quick] [PART OF A CELL'S NAME]";

/// Runs one thing with one contender: over a pipe on one thread, for callgrind, or over TCP on two, for strace.
fn counted(mode: &str, name: &str, count: &str, link: Link) -> ExitCode {
    let contender = Contender::ALL.into_iter().find(|contender| contender.name() == name);
    let (Some(contender), Ok(count)) = (contender, count.parse::<u32>()) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    let windows = Windows::Fixed;
    let transfer = |streams: u32, write: usize| {
        let bytes = streams as usize * write * count as usize;
        Cell::Throughput { link, streams, write, bytes, windows }
    };
    let cell = match mode {
        "messages" => transfer(1, 128),
        "blocks" => transfer(1, 64 * 1024),
        "streams" => transfer(100, 64 * 1024),
        "round-trips" => Cell::PingPong { link, rounds: count },
        "opens" => Cell::OpenRate { link, streams: count },
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    let runtime = if link == Link::Tcp { two_threads() } else { one_thread() };
    runtime.block_on(cell.run(contender));
    ExitCode::SUCCESS
}

/// What the link itself moves: as much as the row with tuned windows moves over it.
fn bare_link() -> ExitCode {
    let rates = (0..ROUNDS).map(|_| two_threads().block_on(cells::bare(Link::Delayed, 128 << 20)));
    println!("{:.1} MB/s", median(rates.collect()));
    ExitCode::SUCCESS
}

fn hostile_connections(connections: Option<&String>) -> ExitCode {
    let Ok(connections) = connections.map_or(Ok(1000), |text| text.parse()) else {
        eprintln!("{USAGE}");
        return ExitCode::from(2);
    };
    if one_thread().block_on(hostile::run(connections)) { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn one_thread() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime")
}

fn two_threads() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

/// Runs a cell with all contenders, one after another in each round, and returns its row.
fn row(cell: Cell) -> String {
    let mut rounds = Vec::new();
    for round in 0..ROUNDS {
        let mut results = [f64::NAN; 4];
        // Each begins in turn.
        for place in 0..4 {
            let index = (round + place) % 4;
            if !cell.suits(Contender::ALL[index]) {
                continue;
            }
            let runtime = two_threads();
            results[index] = runtime.block_on(cell.run(Contender::ALL[index]));
            runtime.shutdown_timeout(std::time::Duration::from_secs(1));
        }
        rounds.push(results);
    }
    let values = (0..4).map(|index| {
        let value = median(rounds.iter().map(|results| results[index]).collect());
        if value.is_nan() {
            "–".to_owned()
        } else if value < 10.0 {
            format!("{value:.2}")
        } else {
            format!("{value:.0}")
        }
    });
    // How many times better ours is: the ratio of the same round.
    let ratios = (1..4).map(|index| {
        let ratio = |results: &[f64; 4]| {
            if cell.is_rate() { results[0] / results[index] } else { results[index] / results[0] }
        };
        let ratio = median(rounds.iter().map(ratio).collect());
        if ratio.is_nan() { "–".to_owned() } else { format!("{ratio:.2}") }
    });
    let cells: Vec<String> = values.chain(ratios).collect();
    let comma = if cell.unit().is_empty() { "" } else { ", " };
    format!("| {}{comma}{} | {} |", cell.name(), cell.unit(), cells.join(" | "))
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}
