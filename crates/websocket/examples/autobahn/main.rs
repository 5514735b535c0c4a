//! Autobahn's test suite against the clients, `cargo run --release --example autobahn -- async` or `blocking`, and
//! against the accept side, `accept`.
//!
//! `AUTOBAHN_URL` is the address of its fuzzing server, or where its fuzzing client looks for the accept side:
//! `ws://127.0.0.1:9001` by default.

mod accept_side;
mod async_agent;
mod blocking_agent;

use std::error::Error;
use std::process::ExitCode;

/// What goes wrong between cases; within one, the suite is the judge.
type Result<T> = std::result::Result<T, Box<dyn Error + Send + Sync>>;

/// An agent: its name in the report, and what runs it.
type Agent = (&'static str, fn(&str, &str) -> Result<()>);

const AGENTS: &[Agent] =
    &[("async", async_agent::run), ("blocking", blocking_agent::run), ("accept", accept_side::run)];

fn main() -> ExitCode {
    #[expect(clippy::disallowed_methods, reason = "an example has no settings of its own")]
    let url = std::env::var("AUTOBAHN_URL").unwrap_or_else(|_| "ws://127.0.0.1:9001".to_owned());
    let wanted: Vec<String> = std::env::args().skip(1).collect();
    let known = |name: &String| AGENTS.iter().any(|(agent, _)| agent == name);
    if wanted.is_empty() || !wanted.iter().all(known) {
        let names: Vec<_> = AGENTS.iter().map(|(name, _)| name).collect();
        eprintln!("usage: autobahn AGENT...; the agents are {names:?}");
        return ExitCode::from(2);
    }
    for (name, run) in AGENTS.iter().filter(|(name, _)| wanted.iter().any(|agent| agent == name)) {
        if let Err(error) = run(&url, name) {
            eprintln!("agent {name}: {error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}

/// The defaults, with more time to open: the server is one slow thread.
fn patient() -> wavetank_websocket::Config {
    let mut config = wavetank_websocket::Config::default();
    config.open_timeout(std::time::Duration::from_secs(120));
    config
}

/// The number of cases, from the message in which the server tells it.
fn count_of(message: &wavetank_websocket::Message) -> Result<u32> {
    match message {
        wavetank_websocket::Message::Text(text) => Ok(text.as_str().parse()?),
        wavetank_websocket::Message::Binary(_) => Err("the number of cases is not a text".into()),
    }
}
