//! A call of libc in kernel mode, and its answer in the form of libc.

use std::io;
use std::rc::Rc;
use std::task::Poll;

use libc::c_int;

use super::descriptors::{self, Open};
use super::{Sleeper, System, system_of};
use crate::host::Host;
use crate::interpose::user::{self, UserThread};
use crate::wait::{Operation, TaskId, Wait};
use crate::world::{Run, context};

/// An error number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Errno(pub(super) c_int);

/// The answer to a call: what it returns, or its error.
pub(super) type Answer = Result<isize, Errno>;

impl From<io::Error> for Errno {
    fn from(error: io::Error) -> Self {
        Self(error.raw_os_error().unwrap_or_else(|| match error.kind() {
            io::ErrorKind::WouldBlock => libc::EAGAIN,
            io::ErrorKind::TimedOut => libc::ETIMEDOUT,
            io::ErrorKind::ConnectionRefused => libc::ECONNREFUSED,
            io::ErrorKind::ConnectionReset => libc::ECONNRESET,
            io::ErrorKind::ConnectionAborted => libc::ECONNABORTED,
            io::ErrorKind::BrokenPipe => libc::EPIPE,
            io::ErrorKind::NotConnected => libc::ENOTCONN,
            io::ErrorKind::AddrInUse => libc::EADDRINUSE,
            io::ErrorKind::AddrNotAvailable => libc::EADDRNOTAVAIL,
            io::ErrorKind::InvalidInput => libc::EINVAL,
            io::ErrorKind::NotFound => libc::ENOENT,
            _ => libc::EIO,
        }))
    }
}

/// Returns `EAGAIN` for what is not ready.
pub(super) fn now<T>(polled: Poll<io::Result<T>>) -> Result<T, Errno> {
    match polled {
        Poll::Ready(result) => Ok(result?),
        Poll::Pending => Err(Errno(libc::EAGAIN)),
    }
}

/// A call that a thread of a process makes.
pub(super) struct Call {
    pub(super) run: Rc<Run>,
    pub(super) system: Rc<System>,
    pub(super) thread: &'static UserThread,
}

impl Call {
    pub(super) fn of(thread: &'static UserThread) -> Self {
        let run = context::current().expect("a thread of a process runs in its run");
        Self { system: system_of(&run), run, thread }
    }

    pub(super) fn host(&self) -> Host {
        Host::new(self.run.number, self.thread.host.get())
    }

    pub(super) fn task(&self) -> TaskId {
        TaskId::new(self.thread.task.get() as usize)
    }

    pub(super) fn sleeper(&self) -> Sleeper {
        Sleeper { task: self.task(), host: self.thread.host.get() }
    }

    /// A scheduling point before an operation that touches `object` of the network, if it has one.
    pub(super) fn point(&self, verb: &'static str, object: Option<u64>) {
        self.run.scheduler.scheduling_point_at(Operation::new(verb), |host| {
            object.and_then(|object| Wait::Io { verb, object, until: None }.object(host))
        });
    }

    /// A scheduling point after the effect of an operation.
    pub(super) fn after(&self, verb: &'static str) {
        self.run.scheduler.after_effect_in_thread(Operation::new(verb));
    }

    /// The open file with this number.
    pub(super) fn file(&self, descriptor: c_int) -> Result<Rc<Open>, Errno> {
        self.system.table.borrow().file(descriptor).ok_or(Errno(libc::EBADF))
    }
}

/// Returns `true` if a thread of a process calls, in user mode.
pub(super) fn is_simulated() -> bool {
    user::user().is_some()
}

/// Whether the real descriptor is of a socket or a pipe. The test's process opened it before this process was forked,
/// and a static keeps it, as tokio's for signals: a copy is a socket on which nothing ever comes.
#[expect(unsafe_code, reason = "asks the system about a descriptor")]
pub(super) fn is_socket_or_pipe(file: c_int) -> bool {
    if !(3..descriptors::FIRST).contains(&file) {
        return false;
    }
    // SAFETY: plain data that the call fills in.
    let mut status: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: `status` is writable.
    let known = unsafe { libc::fstat(file, &mut status) } == 0;
    known && matches!(status.st_mode & libc::S_IFMT, libc::S_IFSOCK | libc::S_IFIFO)
}

/// Simulates a call of a process. Passes a call of any other thread to the system.
pub(super) fn answer(simulated: impl FnOnce(&Call) -> Answer, real: impl FnOnce() -> isize) -> isize {
    let Some(thread) = user::user() else { return in_form_of_libc(real()) };
    let answer = user::kernel(thread, || simulated(&Call::of(thread)));
    in_form_of_libc(answer.unwrap_or_else(|Errno(errno)| -errno as isize))
}

/// As [`answer`], for a call about a descriptor. Those of real files are the system's.
pub(super) fn answer_about(
    descriptor: c_int,
    simulated: impl FnOnce(&Call, Rc<Open>) -> Answer,
    real: impl FnOnce() -> isize,
) -> isize {
    if descriptor < descriptors::FIRST {
        return in_form_of_libc(real());
    }
    answer(|call| simulated(call, call.file(descriptor)?), real)
}

/// Converts the answer of the kernel: errors go to `errno`.
pub(super) fn in_form_of_libc(answer: isize) -> isize {
    const ERRNO_MAX: isize = 4095;
    if !(-ERRNO_MAX..0).contains(&answer) {
        return answer;
    }
    set_errno(-answer as c_int);
    -1
}

#[expect(unsafe_code, reason = "errno is a place in memory")]
pub(super) fn set_errno(errno: c_int) {
    // SAFETY: the address of this thread's errno is valid.
    unsafe { *libc::__errno_location() = errno };
}
