//! Races that have no scheduling point between their two halves: not at an operation of the runtime traits, nor at one
//! of tokio. Only preemption at basic blocks finds them. Each is here with its bug and without.

pub mod shared;
mod tasks;
#[cfg(test)]
mod tests;
mod threads;

use wavetank::Sim;

/// A race.
#[derive(Clone, Copy, Debug)]
pub struct Race {
    /// What it is, in a table.
    pub name: &'static str,
    /// A part of the symptom of its bug.
    pub symptom: &'static str,
    /// The simulation with the bug.
    pub bad: fn(&mut Sim),
    /// The simulation with the bug fixed.
    pub fixed: fn(&mut Sim),
}

/// All of them.
pub const RACES: [Race; 8] = [
    Race {
        name: "a lost update, in tasks",
        symptom: "an update is lost",
        bad: tasks::two_sections_lose_an_update,
        fixed: tasks::one_section_loses_no_update,
    },
    Race {
        name: "a lost update, in threads",
        symptom: "an update is lost",
        bad: threads::two_sections_lose_an_update,
        fixed: threads::one_section_loses_no_update,
    },
    Race {
        name: "a flag checked and set before a socket call, in tasks",
        symptom: "greeted twice",
        bad: tasks::a_checked_flag_lets_two_greet,
        fixed: tasks::a_swapped_flag_lets_one_greet,
    },
    Race {
        name: "a flag checked and set before a socket call, in threads",
        symptom: "greeted twice",
        bad: threads::a_checked_flag_lets_two_greet,
        fixed: threads::a_swapped_flag_lets_one_greet,
    },
    Race {
        name: "a lost wake-up, in tasks",
        symptom: "deadlock: nothing can happen: client/main",
        bad: tasks::a_waker_noted_after_the_check_is_lost,
        fixed: tasks::a_waker_noted_before_the_check_is_woken,
    },
    Race {
        name: "a lost wake-up, in threads",
        symptom: "deadlock: nothing can happen: client/main",
        bad: threads::a_wait_announced_after_the_check_is_missed,
        fixed: threads::a_wait_announced_before_the_check_is_seen,
    },
    Race {
        name: "a spin lock that is checked, then taken, in threads",
        symptom: "two hold the lock",
        bad: threads::a_checked_spin_lock_lets_two_in,
        fixed: threads::a_swapped_spin_lock_lets_one_in,
    },
    Race {
        name: "two locks of std taken in two orders, in threads",
        symptom: "waits for a lock of std without end",
        bad: threads::locks_in_two_orders_block_each_other,
        fixed: threads::locks_in_one_order_are_waited_for,
    },
];

/// What builds a simulation.
pub type Body = fn(&mut Sim);

/// Simulations without a bug: loops that spin, and crashes of what is stopped inside of its code.
pub const SOUND: [(&str, Body); 4] = [
    ("a spin lock, in tasks", tasks::a_swapped_spin_lock_lets_one_in),
    ("a task that spins", tasks::a_spinning_task_lets_time_pass),
    ("a thread that spins", threads::a_spinning_thread_lets_time_pass),
    ("crashes of tasks", tasks::counting_hosts_crash),
];

/// A loop that nothing ends.
pub const ENDLESS: fn(&mut Sim) = threads::loops_without_end;
