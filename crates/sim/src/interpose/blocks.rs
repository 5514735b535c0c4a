//! Preemption at basic blocks: what an instrumented build calls at every edge of its code.
//!
//! With the flags [`FLAGS`], rustc puts a call before each basic block that the control flow can enter in more than one
//! way, and at the start of each function. Each place of such a call is a *site* with a number. The call (`hook`)
//! counts the sites of tested code that a task reaches. When those that the task was granted are used up, the scheduler
//! may stop the task there.
//!
//! A site counts once in a grant, however often a loop passes it. So a search for a byte, whose loop depends on the
//! address of the text, counts the same in every run. A loop that reaches no new site for [`SPIN_EDGES`] edges *spins*:
//! it may wait for what another task has to do.
//!
//! # Which sites count
//!
//! Only sites in code under test count. The file that the debug information names decides. The simulator, tokio without
//! `tokio::sync`, `tracing` and what these are made of are left out: they share state among all tasks of an OS thread,
//! and no real program would stop there and run another task on the same OS thread. For the same reason no task stops
//! inside of a thread-local variable's `with`, inside of an allocator, or in `unsimulated`. Where a lock of std asks
//! whether its thread panics, nothing counts: the path depends on whether any OS thread of the process panics.
//!
//! # Invariants
//!
//! - A build without the flags has no site, and nothing here does anything.
//! - The hook never unwinds. LLVM assumes that it does not: no destructor would run in the function that it interrupts.
//! - While the hook works it is switched off: what it calls is instrumented, too.
//! - Whether a site counts depends on the program alone.

#![cfg_attr(
    not(all(target_os = "linux", target_arch = "x86_64", not(miri))),
    expect(dead_code, reason = "this platform has no hook")
)]

#[cfg(all(target_os = "linux", target_arch = "x86_64", not(miri)))]
mod hook;
#[cfg(not(all(target_os = "linux", target_arch = "x86_64", not(miri))))]
#[path = "blocks/absent.rs"]
mod hook;
mod origin;

use std::collections::BTreeMap;
use std::sync::{Mutex, OnceLock, PoisonError};

pub(crate) use hook::{Aside, grant, is_instrumented, set_aside, stop};
use origin::{Frame, counts, forbids};

/// The flags of rustc that instrument a build. Stable rustc takes them.
///
/// The last two keep the lines and names by which sites are told apart.
pub(crate) const FLAGS: [&str; 5] = [
    "-Cpasses=sancov-module",
    "-Cllvm-args=-sanitizer-coverage-level=3",
    "-Cllvm-args=-sanitizer-coverage-trace-pc-guard",
    "-Cdebuginfo=line-tables-only",
    "-Cstrip=none",
];

/// The target that has the hook. It must be named when cargo builds, so that build scripts and procedural macros are
/// not instrumented: nothing in them has the hook.
pub(crate) const TARGET: &str = "x86_64-unknown-linux-gnu";

/// So many edges without a new site are a spin: some ten microseconds.
const SPIN_EDGES: u64 = 10_000;

/// A grant without a limit.
pub(crate) const UNLIMITED: u32 = u32::MAX;

/// Returns the options of cargo for an instrumented build, in a folder of its own.
pub(crate) fn cargo_options() -> String {
    let flags = FLAGS.map(|flag| format!("\"{flag}\"")).join(",");
    format!("--target {TARGET} --target-dir target/fine --config 'build.rustflags=[{flags}]'")
}

/// A place in the code, by its number in the program. The same in every run of one build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Site(u32);

/// Why the hook calls the scheduler.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Spent {
    /// The sites that were granted are used up.
    Sites,
    /// The running code spins.
    Spins,
}

/// What the scheduler does for the hook.
#[derive(Clone, Copy)]
pub(crate) struct Scheduling {
    /// Is called on the stack of the task. It grants anew before it returns.
    pub(crate) spent: fn(Spent, Site),
    /// Returns `true` if an address is on the stack of the coroutine that runs now. A handler of signals is elsewhere.
    pub(crate) is_on_stack: fn(usize) -> bool,
    /// Runs what may need much stack on the stack of the scheduler.
    pub(crate) apart: fn(&mut (dyn FnMut() + Send)),
}

static SCHEDULING: OnceLock<Scheduling> = OnceLock::new();

/// Sets what the scheduler does for the hook.
pub(crate) fn schedule_by(scheduling: Scheduling) {
    let _ = SCHEDULING.set(scheduling);
}

/// Where the sites are that tested code has reached, as addresses of instructions.
static PLACES: Mutex<BTreeMap<u32, usize>> = Mutex::new(BTreeMap::new());

/// Whether no task may stop below a function, by the address of a call in it.
static FORBIDDEN: Mutex<BTreeMap<usize, bool>> = Mutex::new(BTreeMap::new());

/// Returns `true` if the site whose call returns to `address` counts.
fn find_out(site: u32, address: usize) -> bool {
    let is_counted = counts(&frames(address));
    if is_counted {
        PLACES.lock().unwrap_or_else(PoisonError::into_inner).insert(site, address);
    }
    is_counted
}

/// Returns `true` if no function that is running forbids that the task stops.
fn may_stop(scheduling: Scheduling) -> bool {
    let mut callers = Vec::with_capacity(64);
    backtrace::trace(|frame| {
        let is_of_the_task = (scheduling.is_on_stack)(frame.sp() as usize);
        if is_of_the_task {
            callers.push(frame.ip() as usize);
        }
        is_of_the_task
    });
    let unknown: Vec<usize> = {
        let known = FORBIDDEN.lock().unwrap_or_else(PoisonError::into_inner);
        callers.iter().copied().filter(|caller| !known.contains_key(caller)).collect()
    };
    if !unknown.is_empty() {
        (scheduling.apart)(&mut || {
            for &caller in &unknown {
                let is_forbidden = forbids(&frames(caller));
                FORBIDDEN.lock().unwrap_or_else(PoisonError::into_inner).insert(caller, is_forbidden);
            }
        });
    }
    let known = FORBIDDEN.lock().unwrap_or_else(PoisonError::into_inner);
    callers.iter().all(|caller| known.get(caller) == Some(&false))
}

/// Returns the functions that are inlined at `address`, the innermost first, and the one that they are inlined into.
fn frames(address: usize) -> Vec<Frame> {
    let mut frames = Vec::new();
    backtrace::resolve(address as *mut _, |symbol| {
        frames.push(Frame {
            name: symbol.name().map(|name| format!("{name:#}")).unwrap_or_default(),
            file: symbol.filename().map(|file| file.display().to_string()).unwrap_or_default(),
            line: symbol.lineno().unwrap_or(0),
        });
    });
    frames
}

impl Site {
    /// Returns the file and line of the tested code there. It reads debug information, which takes a while.
    pub(crate) fn place(self) -> String {
        let address = PLACES.lock().unwrap_or_else(PoisonError::into_inner).get(&self.0).copied();
        let place = address.and_then(|address| origin::place(&frames(address)));
        place.unwrap_or_else(|| format!("site {}", self.0))
    }
}
