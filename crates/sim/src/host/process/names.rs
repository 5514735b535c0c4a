//! `getaddrinfo(3)`: the names of hosts.

#![expect(unsafe_code, reason = "answers are lists of C")]

use std::ffi::CStr;
use std::net::SocketAddr;

use libc::{addrinfo, c_char, c_int, sockaddr_in, sockaddr_in6};

use super::address::{raw_v4, raw_v6};
use super::call::Call;
use crate::host::simulated::Simulated;
use crate::host::transport::Transport;
use crate::interpose::user;

/// One answer, in one piece of memory, so that it is freed as one.
#[repr(C)]
struct Entry {
    info: addrinfo,
    v4: sockaddr_in,
    v6: sockaddr_in6,
}

/// Answers a look-up of a process.
///
/// # Safety
///
/// As libc's `getaddrinfo`.
pub(super) unsafe fn getaddrinfo(
    node: *const c_char,
    service: *const c_char,
    hints: *const addrinfo,
    result: *mut *mut addrinfo,
) -> c_int {
    let Some(thread) = user::user() else { return libc::EAI_FAIL };
    // SAFETY: null or texts and hints of C, by this function's contract.
    let (node, service, hints) = unsafe {
        let text = |text: *const c_char| {
            if text.is_null() { None } else { CStr::from_ptr(text).to_str().ok() }
        };
        (text(node), text(service), hints.as_ref())
    };
    let port = match service.map(str::parse::<u16>) {
        None => 0,
        Some(Ok(port)) => port,
        Some(Err(_)) => return libc::EAI_SERVICE,
    };
    let flags = hints.map_or(0, |hints| hints.ai_flags);
    let node = node.unwrap_or(if flags & libc::AI_PASSIVE != 0 { "0.0.0.0" } else { "127.0.0.1" });
    let found = user::kernel(thread, || {
        let call = Call::of(thread);
        call.point("resolve", None);
        Simulated::resolve(call.host(), node, port)
    });
    let Ok(found) = found else { return libc::EAI_NONAME };
    let family = hints.map_or(libc::AF_UNSPEC, |hints| hints.ai_family);
    let fits = |address: &&SocketAddr| match family {
        libc::AF_INET => address.is_ipv4(),
        libc::AF_INET6 => address.is_ipv6(),
        _ => true,
    };
    let kind = hints.map_or(0, |hints| hints.ai_socktype);
    let kinds = if kind == 0 { &[libc::SOCK_STREAM, libc::SOCK_DGRAM][..] } else { &[kind][..] };
    let mut first: *mut addrinfo = std::ptr::null_mut();
    for address in found.iter().filter(fits).rev() {
        for &kind in kinds.iter().rev() {
            first = entry(*address, kind, first);
        }
    }
    if first.is_null() {
        return libc::EAI_NONAME;
    }
    // SAFETY: writable, by this function's contract.
    unsafe { result.write(first) };
    0
}

fn entry(address: SocketAddr, kind: c_int, next: *mut addrinfo) -> *mut addrinfo {
    // SAFETY: plain data.
    let mut entry: Box<Entry> = Box::new(unsafe { std::mem::zeroed() });
    entry.info.ai_socktype = kind;
    entry.info.ai_protocol = if kind == libc::SOCK_STREAM { libc::IPPROTO_TCP } else { libc::IPPROTO_UDP };
    entry.info.ai_next = next;
    match address {
        SocketAddr::V4(v4) => {
            entry.v4 = raw_v4(v4);
            entry.info.ai_family = libc::AF_INET;
            entry.info.ai_addrlen = size_of::<sockaddr_in>() as u32;
            entry.info.ai_addr = (&raw mut entry.v4).cast();
        }
        SocketAddr::V6(v6) => {
            entry.v6 = raw_v6(v6);
            entry.info.ai_family = libc::AF_INET6;
            entry.info.ai_addrlen = size_of::<sockaddr_in6>() as u32;
            entry.info.ai_addr = (&raw mut entry.v6).cast();
        }
    }
    Box::into_raw(entry).cast()
}

/// Frees an answer.
///
/// # Safety
///
/// `first` is null or an answer of [`getaddrinfo`] that was not yet freed.
pub(super) unsafe fn freeaddrinfo(first: *mut addrinfo) {
    let mut next = first;
    while !next.is_null() {
        // SAFETY: made by `entry` from a box, whose first field is the list's.
        let entry = unsafe { Box::from_raw(next.cast::<Entry>()) };
        next = entry.info.ai_next;
    }
}
