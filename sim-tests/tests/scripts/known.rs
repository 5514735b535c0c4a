//! What Linux is known to do where only a network shows it, as scripts: both worlds must do it.

use std::time::Duration;

use super::script::{Call, Outcome, Outcomes, Script};

/// How long a packet takes each way.
pub(crate) const DELAY: Duration = Duration::from_millis(20);

const EADDRINUSE: i32 = 98;
const ETIMEDOUT: i32 = 110;

/// A script, and a check of what became of its calls.
pub(crate) struct Known {
    pub(crate) name: &'static str,
    pub(crate) script: Script,
    pub(crate) check: fn(&Outcomes),
}

/// All of them.
pub(crate) fn all() -> Vec<Known> {
    vec![healed_syn(), lost_syn(), time_wait(), nagle(), cookies()]
}

const BOTH: Call = Call::Cut { from: [true, true] };
const LISTEN: Call = Call::Listen { backlog: 16 };

#[track_caller]
fn took(outcome: &(Outcome, u32), expected: Outcome, about_ms: u32) {
    assert_eq!(outcome.0, expected);
    assert!(outcome.1.abs_diff(about_ms) <= 100 + about_ms / 10, "{} ms, not {about_ms} ms", outcome.1);
}

/// `tcp_syn_linear_timeouts` = 4: the first retries of a SYN are a second apart.
fn healed_syn() -> Known {
    let steps = [(60, LISTEN), (60, BOTH), (60, Call::Connect { at: 0 }), (3300, Call::Heal)];
    Known {
        name: "a SYN is sent again every second at first",
        script: Script::of(&steps, 3000),
        check: |outcomes| took(&outcomes[2], Outcome::Done(0), 4100),
    }
}

fn lost_syn() -> Known {
    let steps = [(60, LISTEN), (60, BOTH), (60, Call::Connect { at: 0 })];
    Known {
        name: "a connect gives up after more than two minutes",
        script: Script::of(&steps, 145_000),
        check: |outcomes| took(&outcomes[2], Outcome::Failed(ETIMEDOUT, 0), 134_900),
    }
}

/// A port whose socket closed first is in TIME-WAIT for a minute.
fn time_wait() -> Known {
    let again = Call::ListenAsClient { at: 0 };
    let steps = [
        (60, LISTEN),
        (60, Call::Connect { at: 0 }),
        (100, Call::Accept),
        (100, Call::Close { host: 0, at: 0 }),
        (100, Call::Close { host: 1, at: 0 }),
        (100, again),
        (50_000, again),
        (12_000, again),
    ];
    Known {
        name: "TIME-WAIT keeps a port for a minute",
        script: Script::of(&steps, 100),
        check: |outcomes| {
            let listened: Vec<&Outcome> = outcomes[5..].iter().map(|(outcome, _)| outcome).collect();
            let in_use = Outcome::Failed(EADDRINUSE, 0);
            assert_eq!(listened, [&in_use, &in_use, &Outcome::Done(0)]);
        },
    }
}

/// A small write is kept back while the acknowledgement of another is lost.
fn nagle() -> Known {
    let steps = [
        (60, LISTEN),
        (60, Call::Connect { at: 0 }),
        (100, Call::Accept),
        (100, Call::Cut { from: [false, true] }),
        (60, Call::Write { host: 0, at: 0, bytes: 5 }),
        (60, Call::Read { host: 1, at: 0, bytes: 5 }),
        // Earlier it would go as a tail loss probe.
        (500, Call::Write { host: 0, at: 0, bytes: 6 }),
        (60, Call::Read { host: 1, at: 0, bytes: 6 }),
        (2000, Call::Heal),
    ];
    Known {
        name: "a small write waits for a lost acknowledgement",
        script: Script::of(&steps, 4000),
        check: |outcomes| {
            took(&outcomes[5], Outcome::Done(5), 0);
            assert_eq!(outcomes[7].0, Outcome::Done(6));
            assert!(outcomes[7].1 >= 2000, "it came after {} ms", outcomes[7].1);
        },
    }
}

/// 60 clients at a backlog of 8: `tcp_syncookies` = 1 lets all connect, and in those that write.
fn cookies() -> Known {
    const CLIENTS: usize = 60;
    let mut steps = vec![(60, Call::Listen { backlog: 8 })];
    steps.extend((0..CLIENTS).map(|at| (if at == 0 { 60 } else { 0 }, Call::Connect { at })));
    let writing = (1..CLIENTS).step_by(2);
    steps.extend(writing.map(|at| (if at == 1 { 500 } else { 0 }, Call::Write { host: 0, at, bytes: 10 })));
    steps.extend((0..160).map(|number| (if number == 0 { 1000 } else { 100 }, Call::Accept)));
    Known {
        name: "SYN cookies connect more clients than the backlog holds",
        script: Script::of(&steps, 10_000),
        check: |outcomes| {
            for outcome in &outcomes[1..=CLIENTS] {
                took(outcome, Outcome::Done(0), 40);
            }
            let accepted = outcomes[1 + CLIENTS + 30..].iter().filter_map(|(outcome, _)| match outcome {
                Outcome::Accepted(client) => *client,
                _ => None,
            });
            let (wrote, silent): (Vec<usize>, Vec<usize>) = accepted.partition(|client| client % 2 == 1);
            assert_eq!(wrote.len(), 30, "all that write get in");
            assert_eq!(silent.len(), 5, "of the others those that were among the first nine");
        },
    }
}
