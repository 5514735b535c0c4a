//! Addresses of sockets as libc has them.

#![expect(unsafe_code, reason = "addresses come and go as pointers of C")]

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};

use libc::{c_int, sockaddr, sockaddr_in, sockaddr_in6, socklen_t};

use super::call::Errno;

/// Reads an address of IPv4 or IPv6.
///
/// # Safety
///
/// `address` points to `length` readable bytes.
pub(super) unsafe fn read(address: *const sockaddr, length: socklen_t) -> Result<SocketAddr, Errno> {
    let length = length as usize;
    if address.is_null() || length < size_of::<libc::sa_family_t>() {
        return Err(Errno(libc::EINVAL));
    }
    // SAFETY: the family is within the length.
    let family = c_int::from(unsafe { address.cast::<libc::sa_family_t>().read_unaligned() });
    match family {
        libc::AF_INET if length >= size_of::<sockaddr_in>() => {
            // SAFETY: as long as the length says.
            let v4 = unsafe { address.cast::<sockaddr_in>().read_unaligned() };
            let ip = Ipv4Addr::from(u32::from_be(v4.sin_addr.s_addr));
            Ok(SocketAddrV4::new(ip, u16::from_be(v4.sin_port)).into())
        }
        libc::AF_INET6 if length >= size_of::<sockaddr_in6>() => {
            // SAFETY: as long as the length says.
            let v6 = unsafe { address.cast::<sockaddr_in6>().read_unaligned() };
            let ip = Ipv6Addr::from(v6.sin6_addr.s6_addr);
            Ok(SocketAddrV6::new(ip, u16::from_be(v6.sin6_port), v6.sin6_flowinfo, v6.sin6_scope_id).into())
        }
        libc::AF_INET | libc::AF_INET6 => Err(Errno(libc::EINVAL)),
        _ => Err(Errno(libc::EAFNOSUPPORT)),
    }
}

/// Writes an address, as much as there is room for, and its length.
///
/// # Safety
///
/// Both are null, or `address` points to `*length` writable bytes.
pub(super) unsafe fn write(address: *mut sockaddr, length: *mut socklen_t, value: SocketAddr) {
    if address.is_null() || length.is_null() {
        return;
    }
    let put = |bytes: *const u8, count: usize| {
        // SAFETY: at most as many bytes as there is room for, by this function's contract.
        unsafe {
            let room = *length as usize;
            std::ptr::copy_nonoverlapping(bytes, address.cast::<u8>(), count.min(room));
            *length = count as socklen_t;
        }
    };
    match value {
        SocketAddr::V4(v4) => {
            let raw = raw_v4(v4);
            put((&raw const raw).cast(), size_of::<sockaddr_in>());
        }
        SocketAddr::V6(v6) => {
            let raw = raw_v6(v6);
            put((&raw const raw).cast(), size_of::<sockaddr_in6>());
        }
    }
}

pub(super) fn raw_v4(v4: SocketAddrV4) -> sockaddr_in {
    sockaddr_in {
        sin_family: libc::AF_INET as libc::sa_family_t,
        sin_port: v4.port().to_be(),
        sin_addr: libc::in_addr { s_addr: u32::from(*v4.ip()).to_be() },
        sin_zero: [0; 8],
    }
}

pub(super) fn raw_v6(v6: SocketAddrV6) -> sockaddr_in6 {
    sockaddr_in6 {
        sin6_family: libc::AF_INET6 as libc::sa_family_t,
        sin6_port: v6.port().to_be(),
        sin6_flowinfo: v6.flowinfo(),
        sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
        sin6_scope_id: v6.scope_id(),
    }
}

/// The address that a socket has before it has one.
pub(super) fn unspecified(domain: c_int) -> SocketAddr {
    match domain {
        libc::AF_INET6 => (Ipv6Addr::UNSPECIFIED, 0).into(),
        _ => (Ipv4Addr::UNSPECIFIED, 0).into(),
    }
}
