//! Panics on the threads of runs: kept for the report instead of printed.
//!
//! A simulated panic is a finding, and the shrinker repeats it a thousand times: the default hook would bury the
//! report under backtraces. So one hook, installed over whatever hook the process has, notes the panics of run threads
//! and hands all others on.

use std::cell::{Cell, RefCell};
use std::panic::{self, AssertUnwindSafe};
use std::sync::Once;

thread_local! {
    static IS_RUN_THREAD: Cell<bool> = const { Cell::new(false) };
    static LAST_PANIC: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Runs `f` as the work of a run's thread: its panics are not printed.
///
/// # Errors
///
/// The message and place of the panic that ended `f`.
pub(crate) fn catch<T>(f: impl FnOnce() -> T) -> Result<T, String> {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let outer = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            if IS_RUN_THREAD.try_with(Cell::get).unwrap_or(false) {
                let _ = LAST_PANIC.try_with(|last| last.replace(Some(info.to_string())));
            } else {
                outer(info);
            }
        }));
    });
    IS_RUN_THREAD.set(true);
    let result = panic::catch_unwind(AssertUnwindSafe(f));
    IS_RUN_THREAD.set(false);
    result.map_err(|payload| LAST_PANIC.take().unwrap_or_else(|| message_of(&*payload)))
}

/// Returns the text of a panic's payload.
pub(crate) fn message_of(payload: &(dyn std::any::Any + Send)) -> String {
    let text = payload.downcast_ref::<String>().map(String::as_str);
    text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or("a panic without a message").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_panic_comes_back_with_its_message_and_place() {
        let message = catch(|| panic!("the hull is {}", "open")).expect_err("it panics");
        assert!(message.contains("the hull is open") && message.contains("quiet.rs"), "{message}");
        assert_eq!(catch(|| 7), Ok(7));
    }

    #[test]
    fn a_payload_that_went_round_the_hook_is_read_too() {
        let message = catch(|| panic::resume_unwind(Box::new("quietly".to_owned())));
        assert_eq!(message, Err::<(), _>("quietly".to_owned()));
    }
}
