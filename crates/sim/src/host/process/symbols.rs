//! The symbols of libc that processes call. For every other thread each is the system call of its name.

#![expect(unsafe_code, reason = "symbols of libc are C functions, which work with pointers")]
#![expect(
    unsafe_op_in_unsafe_fn,
    reason = "the symbols use the pointers of their callers, by the contract of libc, and do nothing else unsafe"
)]

use std::ffi::CStr;

use libc::{
    addrinfo, c_char, c_int, c_long, c_uint, c_ulong, c_void, clockid_t, epoll_event, iovec, msghdr, nfds_t,
    pid_t, pollfd, pthread_t, size_t, sockaddr, socklen_t, ssize_t, timespec, useconds_t,
};

use super::address;
use super::call::{
    Answer, Call, Errno, answer, answer_about, in_form_of_libc, is_simulated, is_socket_or_pipe, set_errno,
};
use super::descriptors::{self, File};
use super::{
    PROCESSORS, datagrams, fate, futex, names, options, pipes, polling, sockets, threads, unsimulated,
};
use crate::interpose::user::{self, Calls, real_syscall};
use crate::original::Original;
use crate::time::Nanos;
use crate::trace::TraceEvent;
use crate::wait::{Operation, Wait};

/// The answers to calls whose symbols stand in `interpose`.
pub(super) const CALLS: Calls = Calls {
    socket: |domain, kind, _| answer(|call| sockets::socket(call, domain, kind), || 0) as c_int,
    socketpair,
    write: write_call,
    getaddrinfo: names::getaddrinfo,
    pthread_create: threads::create,
    syscall,
    abort: || fate::end_process(fate::End::Aborted),
    entropy: |buffer| {
        if let Some(thread) = user::user() {
            user::kernel(thread, || Call::of(thread).host().fill(buffer));
        }
    },
    process_id: || user::user().map_or(FIRST_PROCESS, |thread| FIRST_PROCESS + thread.host.get() as c_int),
    processors: PROCESSORS,
};

/// The number of the first process of a run: above the largest number that Linux gives.
const FIRST_PROCESS: c_int = 4_194_305;

/// The number of the first thread.
const FIRST_THREAD: c_int = 5_000_000;

/// The system's number of the thread that runs now: of a main, that of its process.
fn thread_number() -> c_int {
    let Some(thread) = user::user() else { return real_syscall(libc::SYS_gettid, [0; 6]) as c_int };
    if thread.is_main.get() { (CALLS.process_id)() } else { FIRST_THREAD + thread.task.get() as c_int }
}

/// Converts a time of libc.
pub(super) fn nanos_of(time: &timespec) -> Nanos {
    (time.tv_sec.max(0) as u64).saturating_mul(1_000_000_000).saturating_add(time.tv_nsec.max(0) as u64)
}

/// Calls the system.
macro_rules! system {
    ($number:ident $(, $argument:expr)*) => {{
        let mut arguments = [0_usize; 6];
        let given: &[usize] = &[$($argument as usize),*];
        arguments[..given.len()].copy_from_slice(given);
        real_syscall(libc::$number, arguments)
    }};
}

/// libc's own function of this name.
macro_rules! real {
    ($name:ident: $type:ty) => {{
        static REAL: Original =
            Original::new(match CStr::from_bytes_with_nul(concat!(stringify!($name), "\0").as_bytes()) {
                Ok(name) => name,
                Err(_) => panic!("a name without a zero"),
            });
        // SAFETY: the symbol of this name in libc has this signature.
        unsafe { std::mem::transmute::<*mut c_void, $type>(REAL.get()) }
    }};
}

unsafe fn bytes<'a>(buffer: *const c_void, length: size_t) -> &'a [u8] {
    if buffer.is_null() || length == 0 {
        return &[];
    }
    // SAFETY: as long as the caller says, by the contract of the call.
    unsafe { std::slice::from_raw_parts(buffer.cast(), length) }
}

unsafe fn bytes_mut<'a>(buffer: *mut c_void, length: size_t) -> &'a mut [u8] {
    if buffer.is_null() || length == 0 {
        return &mut [];
    }
    // SAFETY: as long as the caller says, by the contract of the call.
    unsafe { std::slice::from_raw_parts_mut(buffer.cast(), length) }
}

unsafe fn slices<'a>(vector: *const iovec, count: usize) -> &'a [iovec] {
    if vector.is_null() || count == 0 {
        return &[];
    }
    // SAFETY: as many as the caller says, by the contract of the call.
    unsafe { std::slice::from_raw_parts(vector, count) }
}

/// Collects the bytes of several slices.
unsafe fn gathered(vector: &[iovec]) -> Vec<u8> {
    // SAFETY: as long as each says.
    vector.iter().flat_map(|one| unsafe { bytes(one.iov_base, one.iov_len) }).copied().collect()
}

/// Distributes bytes over several slices.
unsafe fn scatter(vector: &[iovec], mut from: &[u8]) {
    for one in vector {
        // SAFETY: as long as each says.
        let to = unsafe { bytes_mut(one.iov_base, one.iov_len) };
        let count = to.len().min(from.len());
        to[..count].copy_from_slice(&from[..count]);
        from = &from[count..];
    }
}

fn length_of(vector: &[iovec]) -> usize {
    vector.iter().map(|one| one.iov_len).sum()
}

/// What a process writes to its standard output or error becomes lines of the trace. Without a scheduling point: std
/// holds a lock in a static meanwhile.
fn log_output(call: &Call, bytes: &[u8]) -> Answer {
    let mut output = call.system.output.borrow_mut();
    let part = output.entry(call.task()).or_default();
    part.extend_from_slice(bytes);
    while let Some(end) = part.iter().position(|byte| *byte == b'\n') {
        let line: Vec<u8> = part.drain(..=end).collect();
        let line = String::from_utf8_lossy(&line[..end]).into_owned();
        call.run.scheduler.trace_event(TraceEvent::Logged(line.into()));
    }
    Ok(bytes.len() as isize)
}

unsafe fn write_call(file: c_int, buffer: *const c_void, length: size_t) -> ssize_t {
    // SAFETY: by the contract of the call.
    let bytes = unsafe { bytes(buffer, length) };
    if matches!(file, libc::STDOUT_FILENO | libc::STDERR_FILENO) {
        return answer(|call| log_output(call, bytes), || 0);
    }
    answer_about(
        file,
        |call, open| sockets::write(call, &open, open.nonblocking.get(), bytes),
        || system!(SYS_write, file, buffer, length),
    )
}

unsafe fn socketpair(_: c_int, kind: c_int, _: c_int, pair: *mut c_int) -> c_int {
    let write = |call: &Call| {
        let made = pipes::pair(call, kind);
        // SAFETY: two writable integers, by the contract of the call.
        unsafe { pair.cast::<[c_int; 2]>().write(made) };
        Ok(0)
    };
    answer(write, || 0) as c_int
}

/// Calls by number that have no effect outside of the process, or only tell about it.
const HARMLESS: [c_long; 14] = [
    libc::SYS_membarrier,
    libc::SYS_getcpu,
    libc::SYS_statx,
    libc::SYS_prctl,
    libc::SYS_madvise,
    libc::SYS_mmap,
    libc::SYS_munmap,
    libc::SYS_mprotect,
    libc::SYS_openat,
    libc::SYS_copy_file_range,
    libc::SYS_getdents64,
    libc::SYS_rseq,
    libc::SYS_memfd_create,
    libc::SYS_getuid,
];

unsafe fn syscall(number: c_long, arguments: [c_long; 6]) -> c_long {
    let [a, b, c, d, ..] = arguments;
    match number {
        // SAFETY: the arguments of the call.
        libc::SYS_getpid => (CALLS.process_id)().into(),
        libc::SYS_gettid => thread_number().into(),
        // SAFETY: the arguments of the call.
        libc::SYS_futex => answer(|call| unsafe { futex::futex(call, arguments) }, || 0) as c_long,
        libc::SYS_getrandom => {
            if let Some(calls) = user::calls() {
                // SAFETY: a caller passes a buffer and its length.
                (calls.entropy)(unsafe { bytes_mut(a as *mut c_void, b as size_t) });
            }
            b
        }
        // SAFETY: the arguments of the call.
        libc::SYS_clock_gettime => unsafe { libc::clock_gettime(a as clockid_t, b as *mut timespec).into() },
        // SAFETY: the arguments of the call.
        libc::SYS_accept4 => unsafe {
            accept4(a as c_int, b as *mut sockaddr, c as *mut socklen_t, d as c_int).into()
        },
        // SAFETY: it takes nothing.
        libc::SYS_sched_yield => unsafe { sched_yield().into() },
        _ if HARMLESS.contains(&number) => {
            in_form_of_libc(real_syscall(number, arguments.map(|one| one as usize))) as c_long
        }
        // A program asks whether there is io_uring, and does without.
        libc::SYS_io_uring_setup => {
            set_errno(libc::ENOSYS);
            -1
        }
        _ => {
            let name = format!("syscall({number})");
            let complain =
                |call: &Call| Err(unsimulated::complain(call, &name, "make the call by its function"));
            answer(complain, || 0) as c_long
        }
    }
}

fn sleep_until(call: &Call, until: Nanos) -> Answer {
    call.run.scheduler.scheduling_point(Operation::new("sleep"));
    while call.run.scheduler.now() < until {
        if !call.run.scheduler.block(Wait::Sleep { until }, Some(until)) {
            return Err(Errno(libc::EINTR));
        }
    }
    call.run.scheduler.unblocked();
    Ok(0)
}

type Spawn = unsafe extern "C" fn(
    *mut pid_t,
    *const c_char,
    *const c_void,
    *const c_void,
    *const *mut c_char,
    *const *mut c_char,
) -> c_int;

/// Refuses to start a real process.
fn refuse_spawn() -> c_int {
    let complain = |call: &Call| {
        Err(unsimulated::complain(
            call,
            "posix_spawn",
            "make another process by `Sim::process`, and no `Command`",
        ))
    };
    answer(complain, || 0);
    libc::ENOSYS
}

/// Defines symbols of libc. All are documented by their manual pages; the contract of each is libc's.
macro_rules! symbols {
    ($($(#[$attribute:meta])* fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty $body:block)*) => {$(
        $(#[$attribute])*
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name($($argument: $type),*) -> $result $body
    )*};
}

pub(super) use {real, symbols};

symbols! {
    fn bind(file: c_int, to: *const sockaddr, length: socklen_t) -> c_int {
        answer_about(
            file,
            |call, open| sockets::bind(call, &open, address::read(to, length)?),
            || system!(SYS_bind, file, to, length),
        ) as c_int
    }

    fn listen(file: c_int, backlog: c_int) -> c_int {
        answer_about(
            file,
            |call, open| sockets::listen(call, &open, backlog),
            || system!(SYS_listen, file, backlog),
        ) as c_int
    }

    fn accept4(file: c_int, peer: *mut sockaddr, length: *mut socklen_t, flags: c_int) -> c_int {
        answer_about(
            file,
            |call, open| {
                let (accepted, from) = sockets::accept(call, &open, flags)?;
                address::write(peer, length, from);
                Ok(accepted as isize)
            },
            || system!(SYS_accept4, file, peer, length, flags),
        ) as c_int
    }

    fn accept(file: c_int, peer: *mut sockaddr, length: *mut socklen_t) -> c_int {
        accept4(file, peer, length, 0)
    }

    fn connect(file: c_int, to: *const sockaddr, length: socklen_t) -> c_int {
        answer_about(
            file,
            |call, open| sockets::connect(call, &open, address::read(to, length)?),
            || system!(SYS_connect, file, to, length),
        ) as c_int
    }

    fn getsockname(file: c_int, name: *mut sockaddr, length: *mut socklen_t) -> c_int {
        answer_about(
            file,
            |_, open| {
                address::write(name, length, sockets::local_address(&open)?);
                Ok(0)
            },
            || system!(SYS_getsockname, file, name, length),
        ) as c_int
    }

    fn getpeername(file: c_int, name: *mut sockaddr, length: *mut socklen_t) -> c_int {
        answer_about(
            file,
            |_, open| {
                address::write(name, length, sockets::peer_address(&open)?);
                Ok(0)
            },
            || system!(SYS_getpeername, file, name, length),
        ) as c_int
    }

    fn setsockopt(
        file: c_int, level: c_int, option: c_int, value: *const c_void, length: socklen_t
    ) -> c_int {
        answer_about(
            file,
            |_, open| options::set(&open, level, option, bytes(value, length as usize)),
            || system!(SYS_setsockopt, file, level, option, value, length),
        ) as c_int
    }

    fn getsockopt(
        file: c_int, level: c_int, option: c_int, value: *mut c_void, length: *mut socklen_t
    ) -> c_int {
        answer_about(
            file,
            |call, open| {
                let of = options::of(call, &open, level, option)?;
                let count = of.len().min(*length as usize);
                bytes_mut(value, count).copy_from_slice(&of[..count]);
                *length = count as socklen_t;
                Ok(0)
            },
            || system!(SYS_getsockopt, file, level, option, value, length),
        ) as c_int
    }

    fn shutdown(file: c_int, how: c_int) -> c_int {
        answer_about(
            file,
            |call, open| sockets::shut_down(call, &open, how),
            || system!(SYS_shutdown, file, how),
        ) as c_int
    }

    fn read(file: c_int, buffer: *mut c_void, length: size_t) -> ssize_t {
        answer_about(
            file,
            |call, open| sockets::read(call, &open, open.nonblocking.get(), bytes_mut(buffer, length)),
            || system!(SYS_read, file, buffer, length),
        )
    }

    fn readv(file: c_int, vector: *const iovec, count: c_int) -> ssize_t {
        answer_about(
            file,
            |call, open| {
                let vector = slices(vector, count.max(0) as usize);
                let mut buffer = vec![0; length_of(vector)];
                let read = sockets::read(call, &open, open.nonblocking.get(), &mut buffer)?;
                scatter(vector, &buffer[..read as usize]);
                Ok(read)
            },
            || system!(SYS_readv, file, vector, count),
        )
    }

    fn writev(file: c_int, vector: *const iovec, count: c_int) -> ssize_t {
        if is_simulated() && matches!(file, libc::STDOUT_FILENO | libc::STDERR_FILENO) {
            let bytes = gathered(slices(vector, count.max(0) as usize));
            return answer(|call| log_output(call, &bytes), || 0);
        }
        answer_about(
            file,
            |call, open| {
                let bytes = gathered(slices(vector, count.max(0) as usize));
                sockets::write(call, &open, open.nonblocking.get(), &bytes)
            },
            || system!(SYS_writev, file, vector, count),
        )
    }

    fn recvfrom(
        file: c_int, buffer: *mut c_void, length: size_t, flags: c_int, from: *mut sockaddr,
        from_length: *mut socklen_t
    ) -> ssize_t {
        answer_about(
            file,
            |call, open| {
                let buffer = bytes_mut(buffer, length);
                let nonblocking = open.nonblocking.get() || flags & libc::MSG_DONTWAIT != 0;
                let file = open.file.borrow().clone();
                match file {
                    _ if flags & (libc::MSG_PEEK | libc::MSG_OOB | libc::MSG_WAITALL) != 0 => {
                        let remedy = "receive what you peek at, and no urgent data";
                        Err(unsimulated::complain(call, &format!("recv with flags {flags:#x}"), remedy))
                    }
                    File::Udp(socket) => {
                        let (count, sender) = datagrams::receive(call, &socket, nonblocking, buffer)?;
                        address::write(from, from_length, sender);
                        Ok(count as isize)
                    }
                    _ => sockets::read(call, &open, nonblocking, buffer),
                }
            },
            || system!(SYS_recvfrom, file, buffer, length, flags, from, from_length),
        )
    }

    fn recv(file: c_int, buffer: *mut c_void, length: size_t, flags: c_int) -> ssize_t {
        recvfrom(file, buffer, length, flags, std::ptr::null_mut(), std::ptr::null_mut())
    }

    fn sendto(
        file: c_int, buffer: *const c_void, length: size_t, flags: c_int, to: *const sockaddr,
        to_length: socklen_t
    ) -> ssize_t {
        answer_about(
            file,
            |call, open| {
                let bytes = bytes(buffer, length);
                let is_datagram = matches!(&*open.file.borrow(), File::Udp(_) | File::FreshUdp(_));
                if is_datagram && !to.is_null() {
                    return datagrams::send_to(call, &open, bytes, address::read(to, to_length)?);
                }
                let nonblocking = open.nonblocking.get() || flags & libc::MSG_DONTWAIT != 0;
                sockets::write(call, &open, nonblocking, bytes)
            },
            || system!(SYS_sendto, file, buffer, length, flags, to, to_length),
        )
    }

    fn send(file: c_int, buffer: *const c_void, length: size_t, flags: c_int) -> ssize_t {
        sendto(file, buffer, length, flags, std::ptr::null(), 0)
    }

    fn sendmsg(file: c_int, message: *const msghdr, flags: c_int) -> ssize_t {
        if file < descriptors::FIRST || !is_simulated() {
            return in_form_of_libc(system!(SYS_sendmsg, file, message, flags));
        }
        let message = &*message;
        let bytes = gathered(slices(message.msg_iov, message.msg_iovlen));
        sendto(file, bytes.as_ptr().cast(), bytes.len(), flags, message.msg_name.cast(), message.msg_namelen)
    }

    fn recvmsg(file: c_int, message: *mut msghdr, flags: c_int) -> ssize_t {
        if file < descriptors::FIRST || !is_simulated() {
            return in_form_of_libc(system!(SYS_recvmsg, file, message, flags));
        }
        let message = &mut *message;
        let vector = slices(message.msg_iov, message.msg_iovlen);
        let mut buffer = vec![0_u8; length_of(vector)];
        let name = message.msg_name.cast();
        let name_length = if message.msg_name.is_null() { std::ptr::null_mut() } else { &raw mut message.msg_namelen };
        let count = recvfrom(file, buffer.as_mut_ptr().cast(), buffer.len(), flags, name, name_length);
        if count >= 0 {
            scatter(vector, &buffer[..count as usize]);
            message.msg_controllen = 0;
            message.msg_flags = 0;
        }
        count
    }

    fn close(file: c_int) -> c_int {
        answer_about(file, |call, open| {
            drop(open);
            sockets::close(call, file)
        }, || system!(SYS_close, file)) as c_int
    }

    fn dup(file: c_int) -> c_int {
        answer_about(file, sockets::duplicate, || system!(SYS_dup, file)) as c_int
    }

    fn dup2(file: c_int, to: c_int) -> c_int {
        answer_about(file, |call, open| sockets::duplicate_to(call, open, to), || system!(SYS_dup2, file, to))
            as c_int
    }

    fn dup3(file: c_int, to: c_int, flags: c_int) -> c_int {
        answer_about(
            file,
            |call, open| sockets::duplicate_to(call, open, to),
            || system!(SYS_dup3, file, to, flags),
        ) as c_int
    }

    fn fcntl(file: c_int, command: c_int, argument: usize) -> c_int {
        let duplicates = matches!(command, libc::F_DUPFD | libc::F_DUPFD_CLOEXEC);
        if duplicates && is_simulated() && is_socket_or_pipe(file) {
            return answer(|call| Ok(pipes::pair(call, 0)[0] as isize), || 0) as c_int;
        }
        answer_about(file, |call, open| options::fcntl(call, open, command, argument), || {
            system!(SYS_fcntl, file, command, argument)
        }) as c_int
    }

    fn fcntl64(file: c_int, command: c_int, argument: usize) -> c_int {
        fcntl(file, command, argument)
    }

    fn ioctl(file: c_int, request: c_ulong, argument: usize) -> c_int {
        answer_about(file, |call, open| match request {
            libc::FIONBIO => {
                open.nonblocking.set(*(argument as *const c_int) != 0);
                Ok(0)
            }
            libc::FIOCLEX | libc::FIONCLEX => Ok(0),
            _ => {
                let name = format!("ioctl({request:#x})");
                Err(unsimulated::complain(call, &name, "use sockets by the functions of std"))
            }
        }, || system!(SYS_ioctl, file, request, argument)) as c_int
    }

    fn pipe2(ends: *mut c_int, flags: c_int) -> c_int {
        answer(
            |call| {
                ends.cast::<[c_int; 2]>().write(pipes::pipe(call, flags));
                Ok(0)
            },
            || system!(SYS_pipe2, ends, flags),
        ) as c_int
    }

    fn pipe(ends: *mut c_int) -> c_int {
        pipe2(ends, 0)
    }

    fn eventfd(count: c_uint, flags: c_int) -> c_int {
        answer(|call| pipes::eventfd(call, count, flags), || system!(SYS_eventfd2, count, flags)) as c_int
    }

    fn epoll_create1(flags: c_int) -> c_int {
        answer(polling::epoll_create, || system!(SYS_epoll_create1, flags)) as c_int
    }

    fn epoll_create(_size: c_int) -> c_int {
        epoll_create1(0)
    }

    fn epoll_ctl(epoll: c_int, operation: c_int, file: c_int, event: *mut epoll_event) -> c_int {
        answer_about(
            epoll,
            |call, open| polling::epoll_ctl(call, &open, operation, file, event.as_ref().copied()),
            || system!(SYS_epoll_ctl, epoll, operation, file, event),
        ) as c_int
    }

    fn epoll_wait(epoll: c_int, events: *mut epoll_event, max: c_int, milliseconds: c_int) -> c_int {
        answer_about(
            epoll,
            |call, open| {
                let ready = polling::epoll_wait(call, &open, max, milliseconds)?;
                for (index, event) in ready.iter().enumerate() {
                    events.add(index).write_unaligned(*event);
                }
                Ok(ready.len() as isize)
            },
            || system!(SYS_epoll_wait, epoll, events, max, milliseconds),
        ) as c_int
    }

    fn poll(polled: *mut pollfd, count: nfds_t, milliseconds: c_int) -> c_int {
        let all = if count == 0 || polled.is_null() {
            &mut [][..]
        } else {
            std::slice::from_raw_parts_mut(polled, count as usize)
        };
        // std asks at the start of a process whether the standard streams are open.
        if is_simulated() && all.iter().any(|one| one.fd >= descriptors::FIRST || one.fd < 0) || all.is_empty() {
            return answer(
                |call| polling::poll(call, all, milliseconds),
                || system!(SYS_poll, polled, count, milliseconds),
            ) as c_int;
        }
        in_form_of_libc(system!(SYS_poll, polled, count, milliseconds)) as c_int
    }

    fn nanosleep(time: *const timespec, left: *mut timespec) -> c_int {
        answer(
            |call| sleep_until(call, call.run.scheduler.now().saturating_add(nanos_of(&*time))),
            || system!(SYS_nanosleep, time, left),
        ) as c_int
    }

    fn clock_nanosleep(clock: clockid_t, flags: c_int, time: *const timespec, left: *mut timespec) -> c_int {
        if !is_simulated() {
            // This one returns its error.
            return -system!(SYS_clock_nanosleep, clock, flags, time, left) as c_int;
        }
        let sleep = |call: &Call| {
            let time = nanos_of(&*time);
            let until = match flags & libc::TIMER_ABSTIME {
                0 => call.run.scheduler.now().saturating_add(time),
                _ => futex::until(clock == libc::CLOCK_REALTIME, time),
            };
            sleep_until(call, until)
        };
        match answer(sleep, || 0) {
            0 => 0,
            _ => libc::EINTR,
        }
    }

    fn sleep(seconds: c_uint) -> c_uint {
        let time = timespec { tv_sec: seconds.into(), tv_nsec: 0 };
        nanosleep(&time, std::ptr::null_mut());
        0
    }

    fn usleep(microseconds: useconds_t) -> c_int {
        let time = timespec {
            tv_sec: (microseconds / 1_000_000).into(),
            tv_nsec: (microseconds % 1_000_000 * 1_000).into(),
        };
        nanosleep(&time, std::ptr::null_mut())
    }

    fn sched_yield() -> c_int {
        answer(
            |call| {
                call.run.scheduler.yield_now();
                Ok(0)
            },
            || system!(SYS_sched_yield),
        ) as c_int
    }

    fn pthread_join(thread: pthread_t, value: *mut *mut c_void) -> c_int {
        if !is_simulated() {
            return real!(pthread_join: unsafe extern "C" fn(pthread_t, *mut *mut c_void) -> c_int)(thread, value);
        }
        answer(|call| Ok(threads::join(call, thread) as isize), || 0) as c_int
    }

    fn pthread_detach(thread: pthread_t) -> c_int {
        if !is_simulated() {
            return real!(pthread_detach: unsafe extern "C" fn(pthread_t) -> c_int)(thread);
        }
        // A thread that was lent is not reclaimed before the end of its run.
        0
    }

    fn pthread_setname_np(thread: pthread_t, name: *const c_char) -> c_int {
        if !is_simulated() {
            return real!(pthread_setname_np: unsafe extern "C" fn(pthread_t, *const c_char) -> c_int)(thread, name);
        }
        let name = CStr::from_ptr(name).to_string_lossy().into_owned();
        answer(
            |call| {
                threads::name(call, thread, &name);
                Ok(0)
            },
            || 0,
        ) as c_int
    }

    // std gives each thread an alternate stack for signals. All threads of a run share that of its OS thread.
    fn sigaltstack(new: *const libc::stack_t, old: *mut libc::stack_t) -> c_int {
        if !is_simulated() {
            return in_form_of_libc(system!(SYS_sigaltstack, new, old)) as c_int;
        }
        if let Some(old) = old.as_mut() {
            *old = libc::stack_t { ss_sp: std::ptr::null_mut(), ss_flags: 0, ss_size: 0 };
        }
        0
    }

    fn freeaddrinfo(first: *mut addrinfo) -> () {
        if is_simulated() {
            names::freeaddrinfo(first);
        } else {
            real!(freeaddrinfo: unsafe extern "C" fn(*mut addrinfo))(first);
        }
    }

    fn posix_spawn(
        process: *mut pid_t, path: *const c_char, actions: *const c_void, attributes: *const c_void,
        arguments: *const *mut c_char, environment: *const *mut c_char
    ) -> c_int {
        if is_simulated() {
            return refuse_spawn();
        }
        real!(posix_spawn: Spawn)(process, path, actions, attributes, arguments, environment)
    }

    fn posix_spawnp(
        process: *mut pid_t, path: *const c_char, actions: *const c_void, attributes: *const c_void,
        arguments: *const *mut c_char, environment: *const *mut c_char
    ) -> c_int {
        if is_simulated() {
            return refuse_spawn();
        }
        real!(posix_spawnp: Spawn)(process, path, actions, attributes, arguments, environment)
    }

    fn gettid() -> pid_t {
        thread_number()
    }

    fn fork() -> pid_t {
        if is_simulated() {
            return answer(|call| {
                Err(unsimulated::complain(call, "fork", "make another process by `Sim::process`"))
            }, || 0) as pid_t;
        }
        real!(fork: unsafe extern "C" fn() -> pid_t)()
    }
}

/// libc's `exit(3)`: ends the process of a host, and not the test.
///
/// # Safety
///
/// None beyond libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn exit(status: c_int) -> ! {
    if is_simulated() {
        fate::end_process(fate::End::Exit(status));
    }
    let real = real!(exit: unsafe extern "C" fn(c_int) -> !);
    // SAFETY: the argument is passed on as it came.
    unsafe { real(status) }
}

/// libc's `_exit(2)`: as [`exit`].
///
/// # Safety
///
/// None beyond libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn _exit(status: c_int) -> ! {
    if is_simulated() {
        fate::end_process(fate::End::Exit(status));
    }
    system!(SYS_exit_group, status);
    unreachable!("the process has ended");
}

/// Defines symbols of libc that processes may not call, with a remedy for each.
macro_rules! refused {
    ($(fn $name:ident($($argument:ident: $type:ty),*) -> $result:ty, $remedy:literal)*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name($($argument: $type),*) -> $result {
            if is_simulated() {
                let complain = |call: &Call| Err(unsimulated::complain(call, stringify!($name), $remedy));
                return answer(complain, || 0) as $result;
            }
            real!($name: unsafe extern "C" fn($($type),*) -> $result)($($argument),*)
        }
    )*};
}

type Any = *mut c_void;

refused! {
    fn select(count: c_int, read: Any, write: Any, except: Any, timeout: Any) -> c_int, "use poll or epoll"
    fn pselect(count: c_int, read: Any, write: Any, except: Any, timeout: Any, mask: Any) -> c_int,
        "use poll or epoll"
    fn ppoll(polled: Any, count: nfds_t, timeout: Any, mask: Any) -> c_int, "use poll or epoll"
    fn epoll_pwait(epoll: c_int, events: Any, max: c_int, milliseconds: c_int, mask: Any) -> c_int,
        "use epoll_wait"
    fn recvmmsg(file: c_int, messages: Any, count: c_uint, flags: c_int, timeout: Any) -> c_int, "use recvmsg"
    fn sendmmsg(file: c_int, messages: Any, count: c_uint, flags: c_int) -> c_int, "use sendmsg"
    fn timerfd_create(clock: c_int, flags: c_int) -> c_int, "use a timeout of epoll_wait"
    fn signalfd(file: c_int, mask: Any, flags: c_int) -> c_int, "end a process by a message"
    fn sendfile(to: c_int, from: c_int, offset: Any, count: size_t) -> ssize_t, "use read and write"
    fn splice(from: c_int, offset: Any, to: c_int, to_offset: Any, count: size_t, flags: c_uint) -> ssize_t,
        "use read and write"
    fn inotify_init1(flags: c_int) -> c_int, "watch no files"
}
