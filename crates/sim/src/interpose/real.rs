//! Calls of libc that would leave the simulation: real sockets, names and OS threads.
//!
//! Inside of a step of code under test they are refused, or noted if they cannot be. Elsewhere (outside of a run, in
//! the simulator, in turmoil) they pass through.

#![cfg(all(target_os = "linux", not(miri), not(target_feature = "crt-static")))]
#![expect(unsafe_code, reason = "symbols of libc are C functions, and the real ones are called by pointer")]

use libc::{addrinfo, c_char, c_int, c_void, pthread_attr_t, pthread_t};

use super::{Real, inside, is_refused};
use crate::original::Original;
use crate::process_end;

type Start = extern "C-unwind" fn(*mut c_void) -> *mut c_void;
type PthreadCreate = unsafe extern "C" fn(*mut pthread_t, *const pthread_attr_t, Start, *mut c_void) -> c_int;
type Getaddrinfo =
    unsafe extern "C" fn(*const c_char, *const c_char, *const addrinfo, *mut *mut addrinfo) -> c_int;

static REAL_PTHREAD_CREATE: Original = Original::new(c"pthread_create");
static REAL_GETADDRINFO: Original = Original::new(c"getaddrinfo");

fn refused() -> c_int {
    // SAFETY: the address of this OS thread's errno is valid.
    unsafe { *libc::__errno_location() = libc::EACCES };
    -1
}

/// libc's `socket(2)`: `EACCES` in a step of code under test. A non-blocking socket passes: it is tokio's, and tokio
/// explains itself that it cannot use one.
///
/// # Safety
///
/// None beyond libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn socket(domain: c_int, kind: c_int, protocol: c_int) -> c_int {
    #[cfg(feature = "process")]
    if let Some(calls) = super::user::calls() {
        return (calls.socket)(domain, kind, protocol);
    }
    let is_network = matches!(domain, libc::AF_INET | libc::AF_INET6 | libc::AF_UNIX);
    if is_network && kind & libc::SOCK_NONBLOCK == 0 && is_refused(Real::Socket) {
        return refused();
    }
    // SAFETY: the kernel's own interface, with the caller's arguments.
    unsafe { libc::syscall(libc::SYS_socket, domain, kind, protocol) as c_int }
}

/// libc's `socketpair(2)`: as [`socket`].
///
/// # Safety
///
/// `pair` points to two writable integers, as libc demands.
#[unsafe(no_mangle)]
unsafe extern "C" fn socketpair(domain: c_int, kind: c_int, protocol: c_int, pair: *mut c_int) -> c_int {
    #[cfg(feature = "process")]
    if let Some(calls) = super::user::calls() {
        // SAFETY: the arguments are passed on as they came.
        return unsafe { (calls.socketpair)(domain, kind, protocol, pair) };
    }
    if kind & libc::SOCK_NONBLOCK == 0 && is_refused(Real::Socket) {
        return refused();
    }
    // SAFETY: the kernel's own interface, with the caller's arguments.
    unsafe { libc::syscall(libc::SYS_socketpair, domain, kind, protocol, pair) as c_int }
}

/// libc's `getaddrinfo(3)`: `EAI_FAIL` in a step of code under test.
///
/// # Safety
///
/// As libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn getaddrinfo(
    node: *const c_char,
    service: *const c_char,
    hints: *const addrinfo,
    result: *mut *mut addrinfo,
) -> c_int {
    #[cfg(feature = "process")]
    if let Some(calls) = super::user::calls() {
        // SAFETY: the arguments are passed on as they came.
        return unsafe { (calls.getaddrinfo)(node, service, hints, result) };
    }
    let real = REAL_GETADDRINFO.find();
    if real.is_null() || is_refused(Real::Name) {
        return libc::EAI_FAIL;
    }
    // SAFETY: the symbol of this name in libc has this signature.
    let real: Getaddrinfo = unsafe { std::mem::transmute(real) };
    // SAFETY: the arguments are passed on as they came.
    unsafe { real(node, service, hints, result) }
}

/// libc's `pthread_create(3)`: notes, in a step of code under test, that an OS thread was started. It is not refused,
/// because tokio starts one for `spawn_blocking`, which another report explains.
///
/// # Safety
///
/// As libc's.
#[unsafe(no_mangle)]
unsafe extern "C" fn pthread_create(
    thread: *mut pthread_t,
    attributes: *const pthread_attr_t,
    start: Start,
    argument: *mut c_void,
) -> c_int {
    #[cfg(feature = "process")]
    if let Some(calls) = super::user::calls() {
        // SAFETY: the arguments are passed on as they came.
        return unsafe { (calls.pthread_create)(thread, attributes, start, argument) };
    }
    let real = REAL_PTHREAD_CREATE.find();
    if real.is_null() {
        return libc::EAGAIN;
    }
    // SAFETY: the symbol of this name in libc has this signature.
    let real: PthreadCreate = unsafe { std::mem::transmute(real) };
    is_refused(Real::Thread);
    let Some(run) = inside().and_then(|_| process_end::name()) else {
        // SAFETY: the arguments are passed on as they came.
        return unsafe { real(thread, attributes, start, argument) };
    };
    let named = Box::into_raw(Box::new(Named { run, start, argument }));
    // SAFETY: `begin` takes what it is given here, and then does what the caller asked for.
    let result = unsafe { real(thread, attributes, begin, named.cast()) };
    if result != 0 {
        // SAFETY: no thread was started, so this is the only owner.
        drop(unsafe { Box::from_raw(named) });
    }
    result
}

/// libc's own `pthread_create`, for threads that the simulator starts.
///
/// # Safety
///
/// As libc's.
#[cfg(feature = "process")]
pub(super) unsafe fn real_pthread_create(
    thread: *mut pthread_t,
    attributes: *const pthread_attr_t,
    start: extern "C" fn(*mut c_void) -> *mut c_void,
    argument: *mut c_void,
) -> c_int {
    type Create = unsafe extern "C" fn(
        *mut pthread_t,
        *const pthread_attr_t,
        extern "C" fn(*mut c_void) -> *mut c_void,
        *mut c_void,
    ) -> c_int;
    let real = REAL_PTHREAD_CREATE.find();
    if real.is_null() {
        return libc::EAGAIN;
    }
    // SAFETY: the symbol of this name in libc has this signature.
    let real: Create = unsafe { std::mem::transmute(real) };
    // SAFETY: the arguments are passed on as they came.
    unsafe { real(thread, attributes, start, argument) }
}

/// What an OS thread of a run begins with.
struct Named {
    /// The name of the run, which must be said if the thread ends the process.
    run: Box<str>,
    start: Start,
    argument: *mut c_void,
}

extern "C-unwind" fn begin(named: *mut c_void) -> *mut c_void {
    // SAFETY: `pthread_create` above passes a box that nothing else owns.
    let Named { run, start, argument } = *unsafe { Box::from_raw(named.cast::<Named>()) };
    process_end::set_name(&run);
    drop(run);
    start(argument)
}
