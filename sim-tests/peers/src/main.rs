//! Our WebSocket clients against the world: servers of other ecosystems, and real sockets that are stopped and cut.
//!
//! `run`, beside this crate, installs the servers and starts all of this; by hand:
//!
//! - `wavetank-peers check CERTIFICATE WS_URL WSS_URL`: does with the server there what [`checks`] has, with both clients.
//! - `wavetank-peers soak SECONDS [NAME=HOST:PORT]...`: talks to each server, and to one of our own, through a flaky proxy:
//!   see [`soak`].
//!
//! [`clients`] makes the two clients look alike.

mod checks;
mod clients;
mod soak;

use std::error::Error;
use std::process::ExitCode;
use std::time::Duration;

/// What ends a check or a soak.
type Result<T = ()> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let done = match arguments[..] {
        ["check", certificate, plain, secure] => checks::run(certificate, plain, secure),
        ["soak", seconds, ref peers @ ..] => match seconds.parse() {
            Ok(seconds) => soak::run(Duration::from_secs(seconds), peers),
            Err(error) => Err(format!("{seconds:?} is no number of seconds: {error}").into()),
        },
        _ => {
            eprintln!(
                "usage: wavetank-peers check CERTIFICATE WS_URL WSS_URL | soak SECONDS [NAME=HOST:PORT]..."
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
