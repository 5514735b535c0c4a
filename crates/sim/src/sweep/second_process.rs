//! A second process runs the same seeds again, at other addresses and with fresh statics.
//!
//! Some things differ from process to process only: the address of a static, the order of a map that hashes by
//! address. A second run in the same process does not notice them. The second process is this program, started with
//! this one test. It runs the seeds that an environment variable names, prints their results, and exits.
//!
//! # Not here
//!
//! Programs that make a [`Sweep`](super::Sweep) of their own. Starting them again would also repeat everything else
//! that they do.

use std::io::{BufRead, BufReader, Write};
use std::process::{Command, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use super::Session;
use super::examine::{SuspectedBy, suspects};
use crate::pool::Ran;
use crate::symptom::{Symptom, SymptomKind};

/// Names the seeds of a second process. It is not a setting: only the simulator sets it.
const VARIABLE: &str = "SECOND_PROCESS_OF_WAVETANK";

/// The beginning of each line of an answer.
const ANSWER: &str = "second process of wavetank: ";

/// The longest wait for an answer. Another test harness may not know the arguments.
const PATIENCE: Duration = Duration::from_secs(60);

/// How many passing seeds run in a second process.
const SAMPLE: usize = 4;

/// A sweep of fewer seeds runs no passing seed in a second process, because a process costs as much as some hundred
/// runs.
const SEEDS_MIN: u64 = 1_000;

/// The result of a seed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) seed: u64,
    pub(super) trace_hash: u64,
    /// The key of its symptom. Empty if it passed.
    pub(super) key: String,
}

/// Returns the seeds that this process must run, if it is a second process.
pub(super) fn seeds_asked_for() -> Option<Vec<u64>> {
    #[expect(clippy::disallowed_methods, reason = "how the two processes talk, and no setting")]
    let seeds = std::env::var(VARIABLE).ok()?;
    Some(seeds.split(',').filter_map(|seed| seed.parse().ok()).collect())
}

impl Session {
    /// Does the work of a second process.
    pub(super) fn answer(&self, seeds: &[u64]) -> ! {
        let _ = self.warm_up(|_| true);
        for &seed in seeds {
            // Code under test may print meanwhile, on the OS thread of its run: nothing here holds standard output.
            if let Ran::Ended(outcome) = self.ran(self.job_of(seed)) {
                let key = outcome.symptom.as_ref().map(Symptom::key).unwrap_or_default();
                // The other end of the pipe may be gone.
                let _ = writeln!(std::io::stdout(), "\n{ANSWER}{seed} {} {key}", outcome.trace.hash());
            }
        }
        let _ = std::io::stdout().flush();
        std::process::exit(0);
    }

    /// Runs seeds in a second process. Returns its answers, of which there may be none.
    fn ask_second_process(&self, seeds: &[u64]) -> Vec<Answer> {
        let identity = &self.sweep.identity;
        if identity.built.is_none() || cfg!(miri) || seeds.is_empty() {
            return Vec::new();
        }
        let path = identity.test.split_once("::").map_or(&*identity.test, |(_, path)| path);
        let list = seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(",");
        let mut command = Command::new(&identity.executable);
        command.args([path, "--exact", "--nocapture", "--include-ignored", "--test-threads=1"]);
        command.env(VARIABLE, list).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("WAVETANK_") {
                command.env_remove(name);
            }
        }
        let Ok(mut child) = command.spawn() else { return Vec::new() };
        let (sender, answers) = mpsc::channel();
        let stdout = child.stdout.take();
        let reader = thread::Builder::new().name("wavetank-second-process".to_owned()).spawn(move || {
            let lines =
                stdout.into_iter().flat_map(|stdout| BufReader::new(stdout).lines().map_while(Result::ok));
            let _ = sender.send(lines.filter_map(|line| parsed(&line)).collect());
        });
        let answered = answers.recv_timeout(PATIENCE).unwrap_or_default();
        let _ = child.kill();
        let _ = child.wait();
        if let Ok(reader) = reader {
            let _ = reader.join();
        }
        answered
    }

    /// Runs a failing seed in a second process. Returns a note if the result differs there.
    pub(super) fn differs_in_second_process(&self, here: &Answer) -> Option<String> {
        let there = self.ask_second_process(&[here.seed]);
        let there = there.iter().find(|there| there.seed == here.seed && *there != here)?;
        let what = match &*there.key {
            "" => "passed".to_owned(),
            key if key == here.key => "failed in the same way, with another trace".to_owned(),
            key => format!("failed with `{key}`"),
        };
        let suspects = suspects(SuspectedBy::SecondProcess);
        Some(format!("in a second process, at other addresses, this seed {what}\n{suspects}"))
    }

    /// Runs some of the seeds that passed in a second process. Returns the first whose result differs there.
    pub(super) fn sample_in_second_process(&self, passed: u64, sample: &[Answer]) -> Option<(u64, Symptom)> {
        if passed < SEEDS_MIN && self.settings.check_every.is_none_or(|every| every == 0) {
            return None;
        }
        let sample = &sample[..sample.len().min(SAMPLE)];
        let seeds: Vec<u64> = sample.iter().map(|here| here.seed).collect();
        let there = self.ask_second_process(&seeds);
        let differs = |here: &&Answer| there.iter().any(|there| there.seed == here.seed && *there != **here);
        let here = sample.iter().find(differs)?;
        let detail = format!(
            "a seed that passed does something else in a second process, at other addresses\n{}",
            suspects(SuspectedBy::SecondProcess)
        );
        Some((here.seed, Symptom::new(SymptomKind::Nondeterminism, detail)))
    }
}

fn parsed(line: &str) -> Option<Answer> {
    let mut words = line.strip_prefix(ANSWER)?.splitn(3, ' ');
    let (seed, hash) = (words.next()?.parse().ok()?, words.next()?.parse().ok()?);
    Some(Answer { seed, trace_hash: hash, key: words.next()?.trim_end().to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_has_seed_hash_and_symptom() {
        let answer = |key: &str| Answer { seed: 7, trace_hash: 9, key: key.to_owned() };
        assert_eq!(parsed("second process of wavetank: 7 9 "), Some(answer("")));
        assert_eq!(
            parsed("second process of wavetank: 7 9 panic in a: b c"),
            Some(answer("panic in a: b c"))
        );
        assert_eq!(parsed("test x ... ok"), None);
        assert_eq!(parsed("second process of wavetank: 7"), None);
    }
}
