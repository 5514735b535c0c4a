//! What all contenders share: the conversation of two hosts, and the measurement.
//!
//! Each contender is a program of its own, because some replace functions of libc. It takes a scenario, a count of runs
//! and a seed, and prints the CPU time of its process for one run, in nanoseconds.

use std::hint::black_box;
use std::io;

use cpu_time::ProcessTime;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The length of a conversation.
pub const ROUND_TRIPS: usize = 100;

/// The threads of the scenario `locks`.
pub const THREADS: usize = 3;

/// How often each thread takes the lock.
pub const LOCKS: usize = 10;

/// What passes through the bounded buffer.
pub const ITEMS: usize = 20;

/// The places of the bounded buffer.
pub const PLACES: usize = 4;

/// The runs before the measured ones.
const WARM_UP: u64 = 20;

/// What is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scenario {
    /// Two hosts: one connects to the other, 100 round trips of 64 bytes.
    RoundTrips,
    /// Three threads take one lock ten times each.
    Locks,
    /// A thread passes 20 items to another through a buffer of four places, with a lock and two condition variables.
    Buffer,
}

impl Scenario {
    /// All scenarios, with their names.
    pub const ALL: [(Self, &'static str); 3] =
        [(Self::RoundTrips, "round-trips"), (Self::Locks, "locks"), (Self::Buffer, "buffer")];

    /// Returns the name on the command line.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(scenario, _)| *scenario == self).map_or("", |(_, name)| name)
    }
}

/// The main function of a contender. `run` runs a scenario so many times, from a seed on.
///
/// # Panics
///
/// If the arguments are not a scenario, a count and a seed.
pub fn contend(run: impl Fn(Scenario, u64, u64)) {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [name, runs, seed] = &arguments[..] else { panic!("SCENARIO RUNS SEED") };
    let scenario = Scenario::ALL.iter().find(|(_, known)| known == name).expect("a scenario").0;
    let runs: u64 = runs.parse().expect("a count of runs");
    let seed: u64 = seed.parse().expect("a seed");
    run(scenario, WARM_UP, seed);
    let start = ProcessTime::now();
    run(scenario, runs, seed + WARM_UP);
    println!("{}", start.elapsed().as_nanos() as f64 / runs as f64);
}

/// Answers what [`ask`] asks, until the connection ends.
pub async fn answer(mut stream: impl AsyncRead + AsyncWrite + Unpin) {
    let mut message = [0; 64];
    while stream.read_exact(&mut message).await.is_ok() {
        if stream.write_all(&message).await.is_err() || stream.flush().await.is_err() {
            return;
        }
    }
}

/// Asks and reads the answers.
///
/// # Errors
///
/// That the connection has broken, or that an answer differs.
pub async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<()> {
    let mut answer = [0; 64];
    for number in 0..ROUND_TRIPS {
        stream.write_all(&[number as u8; 64]).await?;
        stream.flush().await?;
        stream.read_exact(&mut answer).await?;
        if black_box(answer) != [number as u8; 64] {
            return Err(io::Error::other("the answer to another question"));
        }
    }
    Ok(())
}
