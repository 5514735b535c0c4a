//! The oracles that look at a run as a whole: deadlock, stall, leak.
//!
//! Panics, errors of mains, foreign wake-ups and the step limit are noticed where they happen. The sweep detects
//! nondeterminism, because only it sees two runs.

use std::fmt::Write;
use std::sync::Arc;

use crate::sched::Straggler;
use crate::symptom::{Symptom, SymptomKind};
use crate::time::{Nanos, milliseconds};
use crate::wait::{Names, Until, Waiting};

use super::Run;

/// Nothing is runnable, no timer is armed, nothing is in flight.
pub(super) fn nothing_left(run: &Run) -> Symptom {
    if run.scheduler.mains_left() == 0 {
        return leak(run)
            .unwrap_or_else(|| Symptom::new(SymptomKind::Leak, "a task that has ended since it was found"));
    }
    let stuck = run.scheduler.stragglers();
    let (mains, others): (Vec<_>, Vec<_>) =
        stuck.iter().partition(|one| one.main && run.hosts[one.host].client);
    let first: Vec<String> =
        mains.iter().take(NAMED_MAX).map(|main| describe(run, main, Times::Left)).collect();
    // The key of a symptom is its first line. It contains no time, because times differ from run to run.
    let mut detail = format!("nothing can happen: {}", first.join("; "));
    if mains.len() > NAMED_MAX {
        let _ = write!(detail, "; and {} more clients", mains.len() - NAMED_MAX);
    }
    detail.push_str(&list(run, mains.iter().chain(&others).copied()));
    detail.push_str(&outliving(run));
    if let Some(main) = mains.iter().find(|main| !main.runnable && main.waits.is_empty()) {
        if blocking_threads() > 0 {
            return waits_outside(&main.name);
        }
        detail.push_str(
            "\nIf it waits for a real OS thread (`std::thread`, a runtime of its own): the simulator knows \
            nothing of those. \
             Start threads with `Threads::spawn`",
        );
    }
    Symptom::new(SymptomKind::Deadlock, detail)
}

/// Names open sockets whose threads have ended. A thread-local keeps them: all threads of a run share those.
fn outliving(run: &Run) -> String {
    let orphans: Vec<String> = run
        .orphans()
        .into_iter()
        .take(NAMED_MAX)
        .map(|(object, maker)| format!("{}, made by {maker}", Names::object(run, object)))
        .collect();
    if orphans.is_empty() {
        return String::new();
    }
    format!(
        "\nStill open, although the thread that made it has ended: {}\nIf a thread-local keeps it: all threads of a \
         run share their thread-locals, so it is closed when the run ends. Keep it in the thread, or close it there",
        orphans.join("; ")
    )
}

/// Returns the text about a main that waits for `spawn_blocking`.
fn waits_outside(main: &str) -> Symptom {
    outside(format_args!("{main} waits, and `spawn_blocking` has started a real OS thread"))
}

/// Returns the text about a call of `spawn_blocking`.
pub(super) fn calls_outside(task: &str) -> Symptom {
    outside(format_args!("{task} starts a real OS thread by `spawn_blocking`"))
}

fn outside(what: std::fmt::Arguments<'_>) -> Symptom {
    let detail = format!(
        "{what}: what runs outside of the simulation cannot be replayed\nCall the function directly, or on a thread of \
         `Threads::spawn`"
    );
    Symptom::new(SymptomKind::ForeignWake, detail)
}

/// Counts the OS threads that tokio has started for blocking calls.
#[cfg(tokio_unstable)]
pub(super) fn blocking_threads() -> usize {
    tokio::runtime::Handle::try_current().map_or(0, |handle| handle.metrics().num_blocking_threads())
}

#[cfg(not(tokio_unstable))]
pub(super) const fn blocking_threads() -> usize {
    0
}

/// Returns when an operation of a client will exceed the test's bound, if nothing ends it before.
pub(crate) fn stall_at(run: &Run) -> Option<Nanos> {
    let bound = run.options.stall_after?;
    longest_wait(run).map(|(since, ..)| since.saturating_add(bound))
}

/// Returns the operation that has exceeded the test's bound.
pub(crate) fn stall(run: &Run) -> Option<Symptom> {
    let bound = run.options.stall_after?;
    let (_, name, waiting) = longest_wait(run)?;
    let detail = format!("{name} waits {} for more than {}", words(run, &waiting), milliseconds(bound));
    Some(Symptom::new(SymptomKind::Stall, detail))
}

/// Returns the operation of a client that has waited longest while no fault was active, and since when.
fn longest_wait(run: &Run) -> Option<(Nanos, Arc<str>, Waiting)> {
    if run.faults.borrow().is_active() {
        return None;
    }
    let clients = run.scheduler.stragglers().into_iter().filter(|one| run.hosts[one.host].client);
    let waits = clients.flat_map(|one| {
        let waits = one.waits.into_iter().filter(|waiting| waiting.on.can_stall());
        waits.map(move |waiting| (waiting.since.max(run.healed_at.get()), one.name.clone(), waiting))
    });
    waits.min_by_key(|(since, ..)| *since)
}

/// Returns what clients left behind, if anything.
pub(crate) fn leak(run: &Run) -> Option<Symptom> {
    let mut left = Vec::new();
    for one in run.scheduler.stragglers() {
        if run.hosts[one.host].client {
            left.push(describe(run, &one, Times::Left));
        }
    }
    let timers = run.scheduler.timers_of_hosts();
    let network = run.network.borrow();
    for (index, host) in run.hosts.iter().enumerate().filter(|(_, host)| host.client) {
        let sockets = network.open_sockets(crate::net::HostId::new(index));
        left.extend(sockets.into_iter().map(|(_, socket)| format!("the socket {socket}")));
        left.extend(network.open_objects(crate::net::HostId::new(index)).into_iter().map(
            |(object, what)| {
                let name = network.describe_object(object);
                format!("{what}{name}{}", run.made_by(object))
            },
        ));
        if left.is_empty()
            && let Some(count) = timers.get(&index)
        {
            left.push(format!("{count} timers of {}", host.name));
        }
    }
    if left.is_empty() {
        return None;
    }
    let detail = format!("left after every main had ended: {}", left.join("; "));
    Some(Symptom::new(SymptomKind::Leak, detail))
}

/// Returns everything that has not ended, for limits.
pub(crate) fn unfinished(run: &Run) -> String {
    format!("still there:{}", list(run, run.scheduler.stragglers().iter()))
}

/// Returns what every task and thread waits for, a line each.
pub(super) fn waits(run: &Run) -> Vec<String> {
    run.scheduler.stragglers().iter().map(|one| describe(run, one, Times::Shown)).collect()
}

/// Clients that the first line of a deadlock names.
const NAMED_MAX: usize = 4;

/// Longest list of tasks, in lines.
const LINES_MAX: usize = 16;

/// Lists tasks, one line each. Of tasks that wait for the same but for numbers, only the first is listed. Adds the
/// number of the others.
fn list<'a>(run: &Run, tasks: impl Iterator<Item = &'a Straggler>) -> String {
    let mut groups: Vec<(String, &Straggler, usize)> = Vec::new();
    let mut count = 0;
    for one in tasks {
        count += 1;
        let alike = alike(&describe(run, one, Times::Left), &one.name);
        match groups.iter_mut().find(|(known, ..)| *known == alike) {
            Some((_, _, more)) => *more += 1,
            None => groups.push((alike, one, 0)),
        }
    }
    let mut text = String::new();
    for (_, one, more) in groups.iter().take(LINES_MAX) {
        count -= 1 + more;
        let _ = write!(text, "\n  {}", describe(run, one, Times::Shown));
        if *more > 0 {
            let _ = write!(text, " (and {more} more like it)");
        }
    }
    if count > 0 {
        let _ = write!(text, "\n  and {count} more tasks and threads");
    }
    text
}

/// Returns the part of a description that tasks share which wait alike.
fn alike(description: &str, name: &str) -> String {
    let words = description.strip_prefix(name).unwrap_or(description);
    let is_number = |c: char| c.is_ascii_digit();
    let whole = name;
    let name = whole.rsplit_once('#').map_or(
        whole,
        |(name, number)| {
            if number.chars().all(is_number) { name } else { whole }
        },
    );
    format!("{name}{words}").split(is_number).filter(|part| !part.is_empty()).collect::<Vec<_>>().join("#")
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Times {
    Shown,
    Left,
}

fn describe(run: &Run, one: &Straggler, times: Times) -> String {
    if one.paused {
        return format!("{} could run, but its host is paused", one.name);
    }
    if one.runnable {
        return format!("{} is able to run", one.name);
    }
    if one.waits.is_empty() {
        let since = if times == Times::Shown {
            format!(", since {}", milliseconds(one.parked_since))
        } else {
            String::new()
        };
        return format!(
            "{} waits for something inside the program (a channel, a task, a notification){since}",
            one.name
        );
    }
    let waits: Vec<String> = one
        .waits
        .iter()
        .map(|waiting| {
            let what = words(run, waiting);
            if times == Times::Shown {
                format!("{what}, since {}", milliseconds(waiting.since))
            } else {
                what
            }
        })
        .collect();
    format!("{} waits {}", one.name, waits.join(" or "))
}

fn words(run: &Run, waiting: &Waiting) -> String {
    waiting.on.describe(run, Until::Hidden)
}

#[cfg(test)]
mod tests {
    use wavetank_runtime::{ListenOptions, Listener, Runtime};

    use crate::host::Host;
    use crate::run::tests::{seeded, symptom};

    #[test]
    fn tasks_waiting_alike_share_one_line() {
        let outcome = seeded(1, |sim| {
            sim.client("client", async |host: Host| {
                for number in 0..60 {
                    let port = 1000 + number;
                    let listener = Runtime::listen(&host, ([0, 0, 0, 0], port).into(), ListenOptions::new())
                        .await
                        .unwrap();
                    drop(Runtime::spawn(&host, "worker", async move { drop(listener.accept().await) }));
                }
                std::future::pending::<()>().await;
            });
        });
        let text = symptom(&outcome);
        assert!(
            text.starts_with("deadlock: nothing can happen: client/main waits for something inside"),
            "{text}"
        );
        assert!(text.lines().count() <= 5, "{text}");
        assert!(text.contains("\n  client/worker waits to accept"), "{text}");
        assert!(text.contains(" (and 59 more like it)\n"), "{text}");
    }

    #[test]
    fn a_deadlock_names_connections_that_outlive_threads() {
        use std::cell::RefCell;
        use std::io::Read;

        use wavetank_runtime::{BlockingListener, SocketOptions, ThreadHandle, Threads};

        thread_local! {
            static POOL: RefCell<Vec<<Host as Threads>::Stream>> = const { RefCell::new(Vec::new()) };
        }
        for is_kept in [true, false] {
            let outcome = seeded(1, move |sim| {
                sim.client_thread("server", |host: Host| -> std::io::Result<()> {
                    let listener = Threads::listen(&host, ([0, 0, 0, 0], 80).into(), ListenOptions::new())?;
                    let (mut stream, _) = listener.accept()?;
                    // Until the client closes.
                    stream.read_to_end(&mut Vec::new()).map(drop)
                });
                sim.client_thread("client", move |host: Host| -> std::io::Result<()> {
                    let worker = Threads::spawn(&host, "worker", move || {
                        let server = Threads::resolve(&host, "server", 80)?[0];
                        let stream = Threads::connect(&host, server, SocketOptions::new(), None)?;
                        if is_kept {
                            POOL.with_borrow_mut(|pool| pool.push(stream));
                        }
                        std::io::Result::Ok(())
                    });
                    worker?.join().expect("no panic")
                });
            });
            let text = symptom(&outcome);
            if !is_kept {
                assert_eq!(text, "");
                continue;
            }
            assert!(text.starts_with("deadlock: nothing can happen: server/main waits to read"), "{text}");
            let which =
                "the thread that made it has ended: client:49152 -> server:80, made by client/worker\n";
            assert!(text.contains(which) && text.contains("If a thread-local keeps it"), "{text}");
        }
    }

    #[test]
    fn long_deadlock_reports_are_cut_with_a_count() {
        let outcome = seeded(1, |sim| {
            for name in (0..60)
                .map(|number| format!("{}{}", char::from(b'a' + number % 26), "x".repeat(number.into())))
            {
                sim.client(&name, async |_| std::future::pending::<()>().await);
            }
        });
        let text = symptom(&outcome);
        assert!(text.lines().count() <= 20, "{text}");
        assert!(text.lines().next().is_some_and(|first| first.ends_with("; and 56 more clients")), "{text}");
        assert!(text.contains("\n  and 44 more tasks and threads\n"), "{text}");
    }
}
