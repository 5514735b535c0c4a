//! The 28 programs of SCTBench that port to threads: what each does wrong, and what was published about finding it.
//!
//! Written anew from the behaviour of the originals, with the same threads, locks and shared variables. [`own`] stands
//! for accesses to a thread's own stack: as many as the original makes when compiled without optimisation. Initial
//! values are not accesses: only main runs then.
//!
//! [`own`]: Machine::own

use crate::machine::Machine;
use crate::subject::{Finds, Published, Subject, program};

mod bounded_buffer;
mod locked;
mod loops;
mod quicksort;
mod string_buffer;
mod unlocked;
mod work_steal;

/// The published result "never found": a miss in the geometric mean.
const NEVER: f64 = 10_001.0;

/// Starts a thread of a program: its argument and its end are accesses.
fn start<M: Machine>(machine: &M, name: &'static str, body: impl FnOnce(&M) + Send + 'static) -> M::Handle {
    let own = machine.clone();
    machine.spawn(name, move || {
        own.own(1);
        body(&own);
        own.own(1);
    })
}

/// Starts `count` threads in a loop, as the originals do.
fn start_many<M: Machine>(
    machine: &M,
    name: &'static str,
    count: usize,
    body: impl Fn(&M) + Clone + Send + 'static,
) -> Vec<M::Handle> {
    machine.own(2);
    let start = |_| {
        machine.own(2);
        let body = body.clone();
        let handle = start(machine, name, move |machine| body(machine));
        machine.own(6);
        handle
    };
    (0..count).map(start).collect()
}

/// Waits for all threads in a loop.
fn join_many<M: Machine>(machine: &M, handles: Vec<M::Handle>) {
    machine.own(2);
    for handle in handles {
        machine.own(3);
        machine.join(handle);
        machine.own(5);
    }
}

/// Returns the programs in the order of the table. The figures are those of the SURW paper's runs: median schedules of
/// SURW, URW, POS, PCT-3, PCT-10 and random, recomputed from its raw data.
pub fn programs() -> Vec<Subject> {
    let mut programs = reorders();
    programs.extend(twostages());
    programs.extend(small_programs());
    programs.extend(larger_programs());
    programs
}

fn reorders() -> Vec<Subject> {
    use Finds::Panic;
    vec![
        program!("reorder_3", Panic, [4.5, 12.5, 82.5, 130.5, 71.5, NEVER], |m| unlocked::reorder(m, 2, 1)),
        program!("reorder_4", Panic, [4.0, 11.0, 251.5, 374.5, 371.0, NEVER], |m| unlocked::reorder(m, 3, 1)),
        program!("reorder_5", Panic, [6.5, 16.0, 1582.5, 605.5, 544.5, NEVER], |m| unlocked::reorder(
            m, 4, 1
        )),
        program!("reorder_10", Panic, [18.5, 64.0, NEVER, 3787.0, 8210.0, NEVER], |m| {
            unlocked::reorder(m, 9, 1);
        }),
        program!("reorder_20", Panic, [4.0, 6.0, NEVER, 1990.0, 4919.0, NEVER], |m| {
            unlocked::reorder(m, 10, 10);
        }),
        program!("reorder_50", Panic, [11.5, 52.0, NEVER, NEVER, NEVER, NEVER], |m| {
            unlocked::reorder(m, 40, 10);
        }),
        program!("reorder_100", Panic, [111.5, 7784.5, NEVER, NEVER, NEVER, NEVER], |m| {
            unlocked::reorder(m, 99, 1);
        }),
    ]
}

fn twostages() -> Vec<Subject> {
    use Finds::Panic;
    vec![
        program!("twostage", Panic, [6.0, 6.5, 11.5, 8.0, 5.0, 166.5], |m| locked::twostage(m, 1, 1)),
        program!("twostage_20", Panic, [5.0, 14.5, 116.0, 83.0, 91.0, NEVER], |m| locked::twostage(
            m, 10, 10
        )),
        program!("twostage_50", Panic, [16.5, 91.5, 1383.5, 1169.0, 678.5, NEVER], |m| {
            locked::twostage(m, 40, 10);
        }),
        program!("twostage_100", Panic, [272.5, 3346.5, NEVER, NEVER, NEVER, NEVER], |m| {
            locked::twostage(m, 99, 1);
        }),
    ]
}

fn small_programs() -> Vec<Subject> {
    use Finds::{Deadlock, Panic};
    vec![
        program!("wronglock", Panic, [4.0, 3.5, 5.0, 42.0, 13.5, 16.0], |m| locked::wronglock(m, 7)),
        program!("wronglock_3", Panic, [7.0, 4.5, 5.0, 47.0, 12.0, 16.0], |m| locked::wronglock(m, 3)),
        program!("account", Panic, [4.0, 2.5, 3.0, 4.0, 4.0, 12.0], locked::account),
        program!("lazy01", Panic, [2.0, 3.0, 4.0, 5.0, 4.0, 15.0], locked::lazy01),
        program!("token_ring", Panic, [7.0, 10.0, 6.0, 6.5, 5.0, 7.5], locked::token_ring),
        program!("deadlock01", Deadlock, [2.0, 2.0, 2.5, 8.5, 6.0, 2.0], locked::deadlock01),
        program!("bluetooth_driver", Panic, [53.0, 1402.5, 22.0, 104.5, 53.0, 161.5], {
            unlocked::bluetooth_driver
        }),
        program!("circular_buffer", Panic, [3.0, 11.0, 1.5, 8.5, 3.0, 3.0], loops::circular_buffer),
        program!("queue", Panic, [2.0, 2.0, 1.0, 3.0, 2.0, 1.0], loops::queue),
        program!("stack", Panic, [4.0, 682.0, 1.0, 2.0, 2.0, 155.5], loops::stack),
    ]
}

fn larger_programs() -> Vec<Subject> {
    use Finds::{Deadlock, Panic, PanicOrDeadlock};
    vec![
        program!("stringbuffer-jdk1.4", Panic, [5.0, 716.0, 16.0, 162.5, 24.5, 1433.0], {
            string_buffer::string_buffer
        }),
        program!("boundedBuffer", Panic, [5.0, 5.0, 4.5, 16.5, 5.0, 5.0], bounded_buffer::bounded_buffer),
        program!("qsort_mt", PanicOrDeadlock, [3375.0, 284.5, 2337.5, 6788.5, 4176.5, 2333.5], {
            quicksort::quicksort
        }),
        program!("InterlockedWSQ", Panic, [5.0, 24.5, 12.0, 47.0, 8.0, NEVER], work_steal::interlocked),
        program!("InterlockedWSQWithState", Panic, [4.5, NEVER, 4.0, 731.0, 104.0, 18.0], {
            work_steal::interlocked_with_state
        }),
        program!("RADBench bug4", Panic, [13.0, 323.5, 192.5, 579.5, 669.0, 1307.5], unlocked::lazy_monitor),
        program!("RADBench bug6", Deadlock, [3.5, 3.5, 15.5, 33.5, 14.5, 28.0], locked::read_lock_twice),
    ]
}
