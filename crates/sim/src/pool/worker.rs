//! The OS threads of runs, used again where a run leaves no trace on its thread.

use std::cell::RefCell;
use std::io;
use std::sync::{Arc, mpsc};
use std::thread::{self, JoinHandle};

use super::fresh::Fresh;
use super::{Job, Runner};
use crate::run::{Outcome, Progress};
use crate::{panics, process_end};

/// A run that was given to an OS thread.
pub(super) struct Work {
    pub(super) runner: Arc<dyn Runner>,
    pub(super) job: Job,
    pub(super) progress: Arc<Progress>,
}

/// How a run has ended.
pub(super) struct End {
    pub(super) outcome: Result<Outcome, String>,
    /// The thread can do another run.
    pub(super) is_fresh: bool,
}

/// An OS thread that does one run after the other.
pub(super) struct Worker {
    work: mpsc::SyncSender<Work>,
    pub(super) ended: mpsc::Receiver<End>,
    thread: JoinHandle<()>,
}

impl Worker {
    pub(super) fn start() -> io::Result<Self> {
        let (work, takes) = mpsc::sync_channel(1);
        let (tells, ended) = mpsc::sync_channel(1);
        let thread =
            thread::Builder::new().name("wavetank-run".to_owned()).spawn(move || serve(&takes, tells))?;
        Ok(Self { work, ended, thread })
    }

    /// Gives work to the thread, which waits for it.
    pub(super) fn give(&self, work: Work) {
        // The thread waits until this sender is dropped.
        let _ = self.work.try_send(work);
    }

    /// Waits for the end of the thread.
    pub(super) fn join(self) {
        drop(self.work);
        let _ = self.thread.join();
    }
}

fn serve(takes: &mpsc::Receiver<Work>, tells: mpsc::SyncSender<End>) {
    LAST_WORD.with(|last| last.borrow_mut().sender = Some(tells.clone()));
    let mut fresh = None;
    while let Ok(Work { runner, job, progress }) = takes.recv() {
        let fresh = fresh.get_or_insert_with(Fresh::prepare);
        fresh.iter_mut().for_each(Fresh::begin);
        progress.runs_here();
        let outcome = panics::catch(|| runner.run(&job.plan(), &progress));
        drop((runner, job, progress));
        panics::forget_all();
        if !fresh.as_ref().is_some_and(Fresh::is_as_before) {
            LAST_WORD.with(|last| last.borrow_mut().outcome = Some(outcome));
            return;
        }
        process_end::clear();
        // No thread receives if the watchdog has given the run up.
        let _ = tells.try_send(End { outcome, is_fresh: true });
    }
}

/// The result of a run, on its way to the thread that waits for it.
#[derive(Default)]
struct LastWord {
    sender: Option<mpsc::SyncSender<End>>,
    outcome: Option<Result<Outcome, String>>,
}

thread_local! {
    /// The first thread-local value of its thread that has a destructor, and so the last that is dropped. It wakes the
    /// waiting thread once, when this thread is about to end, instead of twice.
    static LAST_WORD: RefCell<LastWord> = RefCell::default();
}

impl Drop for LastWord {
    fn drop(&mut self) {
        if let (Some(sender), Some(outcome)) = (&self.sender, self.outcome.take()) {
            // No thread receives if the watchdog has given the run up.
            let _ = sender.try_send(End { outcome, is_fresh: false });
        }
    }
}
