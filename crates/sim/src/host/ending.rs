//! The result of a task or thread, on its way to the handle that waits for it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Waker;

use wavetank_runtime::JoinError;

/// Makes the two ends. The first is moved into the task or thread, the second into its handle.
pub(super) fn ending<T>() -> (End<T>, Ending<T>) {
    let note = Arc::new(Mutex::new(Note { output: None, ended: false, joiner: None }));
    (End(note.clone()), Ending(note))
}

#[derive(Debug)]
struct Note<T> {
    output: Option<Result<T, JoinError>>,
    ended: bool,
    joiner: Option<Waker>,
}

/// The end inside of the task or thread. If it is dropped without a result, the task was cancelled.
#[derive(Debug)]
pub(super) struct End<T>(Arc<Mutex<Note<T>>>);

/// The end inside of the handle.
#[derive(Debug)]
pub(super) struct Ending<T>(Arc<Mutex<Note<T>>>);

fn look<T>(note: &Mutex<Note<T>>) -> MutexGuard<'_, Note<T>> {
    note.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<T> End<T> {
    /// Sets the result. Only the first counts.
    pub(super) fn set(&self, output: Result<T, JoinError>) {
        let joiner = {
            let mut note = look(&self.0);
            if note.ended {
                return;
            }
            note.ended = true;
            note.output = Some(output);
            note.joiner.take()
        };
        if let Some(joiner) = joiner {
            joiner.wake();
        }
    }
}

impl<T> Drop for End<T> {
    fn drop(&mut self) {
        self.set(Err(JoinError::Cancelled));
    }
}

impl<T> Ending<T> {
    /// Takes the result, if there is one. Otherwise `waker` is woken when there is. A result can be taken once;
    /// afterwards it reads as cancelled.
    pub(super) fn take_or_wake(&self, waker: Option<&Waker>) -> Option<Result<T, JoinError>> {
        // Cloned before and dropped after the lock is held: the code of a waker may call this.
        let mut joiner = waker.cloned();
        let mut note = look(&self.0);
        if note.ended {
            return Some(note.output.take().unwrap_or(Err(JoinError::Cancelled)));
        }
        std::mem::swap(&mut note.joiner, &mut joiner);
        drop(note);
        None
    }

    pub(super) fn has_come(&self) -> bool {
        look(&self.0).ended
    }
}
