//! The threads of processes: `pthread_create`, `pthread_join`, and the main of a process.

#![expect(unsafe_code, reason = "threads begin with pointers of C")]

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use libc::{c_int, c_void, pthread_attr_t, pthread_t};

use super::call::Call;
use super::{fate, system_of};
use crate::interpose::user::{self, Start, UserThread};
use crate::wait::{HostIndex, Operation, TaskId, Wait};
use crate::world::Run;

/// The main of a process. It returns what failed, if anything did.
pub(crate) type Main = Box<dyn FnOnce() -> Option<String>>;

/// The stack of a main, as Linux has it, and of a thread that asks for none.
const MAIN_STACK_BYTES: usize = 8 << 20;

/// The threads of a run's processes.
#[derive(Default)]
pub(super) struct Threads {
    all: BTreeMap<TaskId, Thread>,
}

struct Thread {
    user: &'static UserThread,
    host: HostIndex,
    has_ended: bool,
    joiner: Option<TaskId>,
}

impl Threads {
    fn of_pthread(&self, pthread: pthread_t) -> Option<TaskId> {
        self.all.iter().find(|(_, thread)| thread.user.pthread() == pthread).map(|(task, _)| *task)
    }

    pub(super) fn forget_host(&mut self, host: HostIndex) {
        self.all.retain(|_, thread| thread.host != host);
    }
}

fn start(run: &Run, host: HostIndex, name: &str, is_client: bool, user: &'static UserThread) -> TaskId {
    user.host.set(host);
    let task = run.scheduler.start_user(host, name, is_client, user);
    user.task.set(task.index() as u32);
    let thread = Thread { user, host, has_ended: false, joiner: None };
    system_of(run).threads.borrow_mut().all.insert(task, thread);
    task
}

/// Starts the process of a host.
pub(crate) fn start_main(run: &Run, host: HostIndex, is_client: bool, main: Main) {
    system_of(run);
    let argument = Box::into_raw(Box::new(main)).cast();
    let user = UserThread::new(MAIN_STACK_BYTES, begin_main, argument, at_end);
    let user = user.unwrap_or_else(|errno| {
        panic!("no thread for a process: {}", std::io::Error::from_raw_os_error(errno))
    });
    user.is_main.set(true);
    let task = start(run, host, "main", is_client, user);
    run.scheduler.mark_host_main(task);
}

extern "C-unwind" fn begin_main(main: *mut c_void) -> *mut c_void {
    // SAFETY: `start_main` passes a box that nothing else owns.
    let main: Main = *unsafe { Box::from_raw(main.cast::<Main>()) };
    let end = match catch_unwind(AssertUnwindSafe(main)) {
        Ok(None) => fate::End::Exit(0),
        Ok(Some(failure)) => fate::End::Failed(failure),
        Err(payload) => fate::End::Panicked(crate::panics::take_message(payload)),
    };
    fate::end_process(end)
}

/// A thread has ended, in kernel mode.
fn at_end(user: &'static UserThread) {
    let call = Call::of(user);
    let joiner = call.system.threads.borrow_mut().all.get_mut(&call.task()).and_then(|thread| {
        thread.has_ended = true;
        thread.joiner.take()
    });
    if let Some(joiner) = joiner {
        call.run.scheduler.wake(joiner);
    }
}

/// Starts a thread of a process.
///
/// # Safety
///
/// As libc's `pthread_create`.
pub(super) unsafe fn create(
    pthread: *mut pthread_t,
    attributes: *const pthread_attr_t,
    begin: Start,
    argument: *mut c_void,
) -> c_int {
    let Some(thread) = user::user() else { return libc::EAGAIN };
    let mut stack_bytes = MAIN_STACK_BYTES;
    if !attributes.is_null() {
        // SAFETY: attributes that the caller has initialised.
        unsafe { libc::pthread_attr_getstacksize(attributes, &mut stack_bytes) };
    }
    let created = user::kernel(thread, || {
        let call = Call::of(thread);
        call.run.scheduler.scheduling_point(Operation::new("spawn"));
        let user = UserThread::new(stack_bytes, begin, argument, at_end)?;
        // Before it runs, because it may compare the number with its own.
        // SAFETY: writable, by this function's contract.
        unsafe { pthread.write(user.pthread()) };
        start(&call.run, thread.host.get(), "thread", false, user);
        call.after("spawn");
        Ok(())
    });
    created.err().unwrap_or(0)
}

/// Waits for the end of a thread. The result of the thread is not kept: Rust passes it another way.
pub(super) fn join(call: &Call, pthread: pthread_t) -> c_int {
    call.run.scheduler.scheduling_point(Operation::new("join"));
    let Some(task) = call.system.threads.borrow().of_pthread(pthread) else { return libc::ESRCH };
    if task == call.task() {
        return libc::EDEADLK;
    }
    loop {
        {
            let mut threads = call.system.threads.borrow_mut();
            let Some(thread) = threads.all.get_mut(&task) else { return libc::ESRCH };
            if thread.has_ended {
                threads.all.remove(&task);
                break;
            }
            thread.joiner = Some(call.task());
        }
        if !call.run.scheduler.block(Wait::Join { task }, None) {
            return libc::EINTR;
        }
    }
    call.run.scheduler.unblocked();
    0
}

/// Names a thread.
pub(super) fn name(call: &Call, pthread: pthread_t, name: &str) {
    // Names of tasks are words in recordings.
    let name = name.replace(|c: char| c.is_whitespace() || c == '/' || c.is_control(), "-");
    if let Some(task) = call.system.threads.borrow().of_pthread(pthread).filter(|_| !name.is_empty()) {
        call.run.scheduler.rename(task, &name);
    }
}
