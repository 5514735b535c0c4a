//! Advice for panics of other crates, whose text does not know simulations.

const BORROWED: &str = "If it is in a thread-local: all threads of a run share their thread-locals. Keep it in the \
                        thread, or do not wait while it is borrowed";

/// Returns advice on a panic's message, if code in a simulation typically meets it.
pub(super) fn on(message: &str) -> Option<&'static str> {
    let known = [
        (
            "IO is disabled",
            "Real sockets have no place in a simulation: connect and listen through `Runtime` or `Threads`",
        ),
        (
            "there is no reactor running",
            "A real OS thread has no simulated time: start threads with `Threads::spawn`",
        ),
        (
            "Cannot block the current thread from within a runtime",
            "All threads of a simulation share one OS thread, which tokio must not block: let threads talk through \
             `Mutex` and `Condvar` of the runtime traits, or make them tasks",
        ),
        (
            "Cannot start a runtime from within a runtime",
            "A simulated host brings its runtime along: start tasks with `Runtime::spawn`",
        ),
        (
            "can call blocking only when running on the multi-threaded runtime",
            "All tasks of a simulation run on one OS thread, where `block_in_place` cannot move the others away: call \
             the function directly",
        ),
        ("get a task id", "tokio does not know the tasks of `Runtime::spawn`: give them ids of your own"),
        ("already borrowed", BORROWED),
        ("already mutably borrowed", BORROWED),
    ];
    known.into_iter().find(|(text, _)| message.contains(text)).map(|(_, advice)| advice)
}
