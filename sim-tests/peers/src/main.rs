//! Tests the WebSocket clients against servers of other ecosystems and over real sockets that stop and break.
//!
//! The script `run` in this folder installs the servers and runs everything. The commands:
//!
//! - `wavetank-peers check WITHOUT CERTIFICATE WS_URL WSS_URL` runs the [`checks`] against a server with both clients,
//!   but for those that need what `WITHOUT` lists (`compression,limits,fragments,pings,drop`, or nothing).
//! - `wavetank-peers slow [NAME=HOST:PORT]...` sends long messages to each server over a slow link: see [`slow`].
//! - `wavetank-peers soak SECONDS [NAME=HOST:PORT]...` talks to each server, and to a server of its own, through an
//!   unreliable proxy: see [`soak`].
//!
//! [`clients`] has one interface for both clients.

mod checks;
mod clients;
mod slow;
mod soak;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

/// The error of a check or a soak.
type Result<T = ()> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["check", without, certificate, plain, secure] => checks::run(without, certificate, plain, secure),
        ["slow", ref peers @ ..] => slow::run(peers),
        ["soak", seconds, ref peers @ ..] => match seconds.parse() {
            Ok(seconds) => soak::run(Duration::from_secs(seconds), peers),
            Err(error) => Err(format!("invalid number of seconds {seconds:?}: {error}").into()),
        },
        _ => {
            eprintln!(
                "usage: wavetank-peers check WITHOUT CERTIFICATE WS_URL WSS_URL | slow [NAME=HOST:PORT]... | \
                 soak SECONDS [NAME=HOST:PORT]..."
            );
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("failed: {error}");
            ExitCode::FAILURE
        }
    }
}
