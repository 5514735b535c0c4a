//! Threads of unmodified programs, as the scheduler runs them: beside tasks and coroutines, a third kind of body.
//!
//! How they switch stands in `interpose::user`. One that is killed or torn down unwinds what the simulator does for it,
//! and nothing of the program: a process that ends runs no destructors.

#![cfg(all(feature = "process", not(miri)))]

use super::table::Suspends;
use super::{Body, HostIndex, Operation, Scheduler, TaskId, interpose};
use crate::interpose::user::UserThread;

/// A thread of an unmodified program. Dropping it kills the thread.
pub(super) struct UserBody(&'static UserThread);

impl Drop for UserBody {
    fn drop(&mut self) {
        self.0.kill();
    }
}

impl UserBody {
    pub(super) const fn thread(&self) -> &'static UserThread {
        self.0
    }
}

impl Scheduler {
    /// Starts a thread of an unmodified program.
    pub(crate) fn start_user(
        &self,
        host: HostIndex,
        name: &str,
        main: bool,
        thread: &'static UserThread,
    ) -> TaskId {
        let body = |_: &_| Ok(Body::User(UserBody(thread)));
        self.start(host, name, main, body).expect("it has its memory")
    }

    /// Runs a thread until it suspends or ends.
    pub(super) fn resume_user(&self, task: TaskId, body: UserBody) -> Option<Body> {
        // What runs with the run's thread-local values is the simulator. The program has its own.
        interpose::set_polling(false);
        if !body.0.resume() {
            return Some(Body::User(body));
        }
        self.queue().set_last(task, Operation::new("end"));
        None
    }

    /// Returns `true` if a thread of an unmodified program runs now.
    pub(crate) fn runs_program(&self) -> bool {
        let suspender = self.current().map(|task| self.tasks.borrow()[task.index()].suspender.clone());
        matches!(suspender, Some(Some(Suspends::User(_))))
    }

    /// Gives a thread the name that its program gives it.
    pub(crate) fn rename(&self, task: TaskId, name: &str) {
        let host = self.tasks.host(task);
        let name: std::sync::Arc<str> = self.unique_name(host, name).into();
        self.progress.rename(task.index() as u32, &name);
        self.tasks.borrow_mut()[task.index()].name = name;
    }
}
