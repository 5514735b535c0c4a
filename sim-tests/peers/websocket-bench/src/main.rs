//! Compares WebSocket clients: the same peer, the same bytes, rounds interleaved. See the README beside this folder's
//! sources.

mod cell;
mod compression;
mod contenders;
mod masking;
mod measure;
mod meter;
mod payload;
mod peer;
mod report;
mod socket;
mod transport;

use std::process::ExitCode;

use measure::{Contender, Length};

#[global_allocator]
static ALLOCATOR: meter::CountingAllocator = meter::CountingAllocator;

const USAGE: &str = "\
usage: websocket-bench [--quick] [--rounds N] [--time MS | --count N] [--only NAME,...] [FILTER...]

  FILTER        run the cells whose name contains one of these (decode/16B/text, duplex/1KiB/binary/w16),
                or of the tables `masking` and `compression`; a `$` stands for the end of a name (w1$, not w16)
  --quick       2 rounds of 2 ms: whether it works, not how fast
  --rounds N    rounds a cell; each measures every contender twice, forward and backward (default 7)
  --time MS     how long one measurement takes, about (default 20)
  --count N     how many messages one measurement passes, instead, to count instructions: under callgrind, the
                difference between two counts is that of messages
  --only NAMES  only these contenders
  --list        names the cells";

/// What the command line asks for.
#[derive(Debug)]
struct Settings {
    rounds: usize,
    nanoseconds: u64,
    count: Option<u64>,
    contenders: Vec<Contender>,
    filters: Vec<String>,
    list: bool,
}

fn settings(arguments: impl Iterator<Item = String>) -> Result<Settings, String> {
    let mut settings = Settings {
        rounds: 7,
        nanoseconds: 20_000_000,
        count: None,
        contenders: Contender::ALL.to_vec(),
        filters: Vec::new(),
        list: false,
    };
    let mut arguments = arguments;
    while let Some(argument) = arguments.next() {
        let mut value = || arguments.next().ok_or(format!("{argument} needs a value"));
        let number = |text: String| text.parse::<u64>().map_err(|error| format!("{text}: {error}"));
        match argument.as_str() {
            "--quick" => (settings.rounds, settings.nanoseconds) = (2, 2_000_000),
            "--rounds" => settings.rounds = number(value()?)?.max(1) as usize,
            "--time" => settings.nanoseconds = number(value()?)?.max(1) * 1_000_000,
            "--count" => settings.count = Some(number(value()?)?.max(4)),
            "--only" => {
                let names = value()?;
                settings.contenders.retain(|contender| names.split(',').any(|name| name == contender.name()));
            }
            "--list" => settings.list = true,
            flag if flag.starts_with('-') => return Err(format!("{flag} is not an option")),
            filter => settings.filters.push(filter.to_owned()),
        }
    }
    Ok(settings)
}

fn main() -> ExitCode {
    let settings = match settings(std::env::args().skip(1)) {
        Ok(settings) => settings,
        Err(error) => {
            eprintln!("{error}\n\n{USAGE}");
            return ExitCode::FAILURE;
        }
    };
    let mut cells = cell::all();
    cells.retain(|cell| {
        // With its end marked, so that `w1$` does not mean w16 as well.
        let name = format!("{cell}$");
        settings.filters.is_empty() || settings.filters.iter().any(|filter| name.contains(filter.as_str()))
    });
    if settings.list {
        cells.iter().for_each(|cell| println!("{cell}"));
        return ExitCode::SUCCESS;
    }
    let wanted =
        |table: &str| settings.filters.is_empty() || settings.filters.iter().any(|filter| filter == table);
    if wanted("compression") {
        compression::print(settings.rounds, settings.nanoseconds);
    }
    if wanted("masking") {
        masking::print(settings.rounds, settings.nanoseconds);
    }
    println!("{}", report::HEAD);
    for cell in cells {
        let mut contenders = settings.contenders.clone();
        contenders.retain(|contender| contender.takes_part(&cell));
        let length = settings.count.map_or(Length::Nanoseconds(settings.nanoseconds), Length::Messages);
        let rounds = measure::rounds(cell, &contenders, settings.rounds, length);
        report::print(&cell, &contenders, &rounds);
    }
    ExitCode::SUCCESS
}
