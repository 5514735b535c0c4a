//! Compares GraphQL-over-WebSocket handlers: same engine, same schema, same transport, rounds interleaved.
//!
//! A binary for each engine has the schema and the contenders, and calls [`run`]. The client is the same for all:
//! it counts messages by their type.

mod cells;
mod client;
pub mod events;
pub mod meter;
pub mod ours;
pub mod pipe;
mod table;

use std::process::ExitCode;

use futures::future::BoxFuture;
use futures::stream::BoxStream;

use cells::{Cell, Who};
use pipe::{Receiver, Sender};

#[global_allocator]
static ALLOCATOR: meter::CountingAllocator = meter::CountingAllocator;

/// The server's ends of a connection.
pub struct Ends {
    pub receiver: Receiver,
    pub sender: Sender,
}

/// A handler.
pub struct Contender {
    pub name: &'static str,
    /// Serves a connection of `graphql-transport-ws` until its client is gone.
    pub serve: fn(Ends) -> BoxFuture<'static, ()>,
}

/// An engine with its contenders.
pub struct Bench {
    pub engine: &'static str,
    /// Ours, and theirs.
    pub contenders: [Contender; 2],
    /// The engine alone: the results of a document, each serialised.
    pub results: fn(&'static str) -> BoxStream<'static, String>,
}

/// Reads the arguments and measures.
///
/// ```text
/// [--quick] [PART OF A CELL'S NAME]       the table, medians of 7 rounds
/// check                                   every cell once, with little of everything
/// count CELL (ours|theirs|engine) COUNT   one cell once, for callgrind: its messages, events or operations
/// ```
pub fn run(bench: &'static Bench) -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, name, who, count] = &arguments[..]
        && mode == "count"
    {
        let cell = Cell::all(1).into_iter().find(|cell| cell.name() == *name);
        let who = Who::ALL.into_iter().find(|known| known.word() == who);
        let (Some(cell), Some(who), Ok(count)) = (cell, who, count.parse()) else {
            eprintln!("usage: count CELL (ours|theirs|engine) COUNT");
            return ExitCode::from(2);
        };
        cell.with_count(count).run(bench, who);
        return ExitCode::SUCCESS;
    }
    if arguments == ["check"] {
        table::check(bench);
        return ExitCode::SUCCESS;
    }
    let quick = arguments.iter().any(|argument| argument == "--quick");
    let parts: Vec<&String> = arguments.iter().filter(|argument| !argument.starts_with("--")).collect();
    table::print(bench, if quick { 10 } else { 1 }, |name| {
        parts.is_empty() || parts.iter().any(|part| name.contains(part.as_str()))
    });
    ExitCode::SUCCESS
}
