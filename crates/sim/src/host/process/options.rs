//! Options of sockets and flags of descriptors.

use std::rc::Rc;
use std::time::Duration;

use libc::c_int;

use super::call::{Answer, Call, Errno, now};
use super::descriptors::{File, Fresh, Open};
use super::{sockets, unsimulated};
use crate::host::transport::{DatagramSocket, StreamSocket};

/// A number, as most options have it.
fn number(value: &[u8]) -> Result<c_int, Errno> {
    value.first_chunk().map(|bytes| c_int::from_ne_bytes(*bytes)).ok_or(Errno(libc::EINVAL))
}

/// A timeout: seconds and microseconds. None is for ever.
fn timeout(value: &[u8]) -> Result<Option<Duration>, Errno> {
    let (Some(seconds), Some(micros)) = (value.first_chunk::<8>(), value.last_chunk::<8>()) else {
        return Err(Errno(libc::EINVAL));
    };
    let [seconds, micros] = [seconds, micros].map(|bytes| i64::from_ne_bytes(*bytes).max(0) as u64);
    let timeout = Duration::from_secs(seconds) + Duration::from_micros(micros);
    Ok(Some(timeout).filter(|timeout| !timeout.is_zero()))
}

/// Sets an option. Those that only tune, or that the simulated network has no use for, are taken and have no effect.
pub(super) fn set(open: &Open, level: c_int, option: c_int, value: &[u8]) -> Answer {
    let file = open.file.borrow().clone();
    match (level, option) {
        (libc::SOL_SOCKET, libc::SO_RCVTIMEO) => set_timeout(open, file, 0, timeout(value)?),
        (libc::SOL_SOCKET, libc::SO_SNDTIMEO) => set_timeout(open, file, 1, timeout(value)?),
        (libc::SOL_SOCKET, libc::SO_SNDBUF) => {
            let bytes = number(value)?.max(0) as u32;
            set_fresh(open, file, |fresh| fresh.options = fresh.options.send_buffer_bytes(bytes))
        }
        (libc::SOL_SOCKET, libc::SO_RCVBUF) => {
            let bytes = number(value)?.max(0) as u32;
            set_fresh(open, file, |fresh| fresh.options = fresh.options.receive_buffer_bytes(bytes))
        }
        (libc::SOL_SOCKET, libc::SO_LINGER) => {
            let seconds = value.last_chunk().map(|bytes| c_int::from_ne_bytes(*bytes));
            let linger_zero = number(value)? != 0 && seconds == Some(0);
            match file {
                File::Stream(socket) if linger_zero => socket.linger_zero(),
                File::Fresh(fresh) => {
                    open.file.replace(File::Fresh(Fresh { linger_zero, ..fresh }));
                }
                _ => {}
            }
            Ok(0)
        }
        (libc::IPPROTO_TCP, libc::TCP_NODELAY) => {
            let nodelay = number(value)? != 0;
            match file {
                File::Stream(socket) => socket.set_nodelay(nodelay),
                File::Fresh(fresh) => {
                    open.file.replace(File::Fresh(Fresh { nodelay, ..fresh }));
                }
                _ => {}
            }
            Ok(0)
        }
        (
            libc::SOL_SOCKET,
            libc::SO_REUSEADDR
            | libc::SO_REUSEPORT
            | libc::SO_KEEPALIVE
            | libc::SO_BROADCAST
            | libc::SO_PRIORITY,
        )
        | (
            libc::IPPROTO_TCP,
            libc::TCP_KEEPIDLE
            | libc::TCP_KEEPINTVL
            | libc::TCP_KEEPCNT
            | libc::TCP_USER_TIMEOUT
            | libc::TCP_QUICKACK
            | libc::TCP_CORK
            | libc::TCP_NOTSENT_LOWAT,
        )
        | (libc::IPPROTO_IP, libc::IP_TTL | libc::IP_TOS)
        | (libc::IPPROTO_IPV6, libc::IPV6_V6ONLY | libc::IPV6_UNICAST_HOPS | libc::IPV6_TCLASS) => Ok(0),
        _ => Err(Errno(libc::ENOPROTOOPT)),
    }
}

fn set_fresh(open: &Open, file: File, change: impl FnOnce(&mut Fresh)) -> Answer {
    match file {
        File::Fresh(mut fresh) => {
            change(&mut fresh);
            open.file.replace(File::Fresh(fresh));
        }
        File::FreshUdp(mut fresh) => {
            change(&mut fresh);
            open.file.replace(File::FreshUdp(fresh));
        }
        _ => {}
    }
    Ok(0)
}

fn set_timeout(open: &Open, file: File, direction: usize, timeout: Option<Duration>) -> Answer {
    match file {
        File::Stream(socket) if direction == 0 => socket.set_read_timeout(timeout)?,
        File::Stream(socket) => socket.set_write_timeout(timeout)?,
        File::Udp(socket) if direction == 0 => socket.set_read_timeout(timeout)?,
        fresh @ (File::Fresh(_) | File::FreshUdp(_)) => {
            let nanos = timeout.map_or(0, crate::time::nanos);
            return set_fresh(open, fresh, |fresh| fresh.timeouts[direction] = nanos);
        }
        _ => {}
    }
    Ok(0)
}

/// Returns the value of an option.
pub(super) fn of(call: &Call, open: &Open, level: c_int, option: c_int) -> Result<Vec<u8>, Errno> {
    let file = open.file.borrow().clone();
    let value = match (level, option) {
        (libc::SOL_SOCKET, libc::SO_ERROR) => match file {
            File::Stream(socket) => match now(socket.try_connected(&call.run)) {
                Ok(()) | Err(Errno(libc::EAGAIN)) => 0,
                Err(Errno(errno)) => errno,
            },
            _ => 0,
        },
        (libc::SOL_SOCKET, libc::SO_TYPE) => match file {
            File::Udp(_) | File::FreshUdp(_) => libc::SOCK_DGRAM,
            _ => libc::SOCK_STREAM,
        },
        (libc::SOL_SOCKET, libc::SO_DOMAIN) => match sockets::local_address(open)? {
            address if address.is_ipv6() => libc::AF_INET6,
            _ => libc::AF_INET,
        },
        (libc::SOL_SOCKET, libc::SO_ACCEPTCONN) => matches!(file, File::Listener(_)).into(),
        (libc::SOL_SOCKET, libc::SO_SNDBUF | libc::SO_RCVBUF) => 64 << 10,
        (libc::SOL_SOCKET, libc::SO_RCVTIMEO | libc::SO_SNDTIMEO) => {
            let read = option == libc::SO_RCVTIMEO;
            let nanos = match &file {
                File::Stream(socket) => socket.timeout(read),
                File::Fresh(fresh) | File::FreshUdp(fresh) => fresh.timeouts[usize::from(!read)],
                _ => 0,
            };
            let parts = [nanos / 1_000_000_000, nanos % 1_000_000_000 / 1_000];
            return Ok(parts.map(u64::to_ne_bytes).concat());
        }
        (libc::IPPROTO_TCP, libc::TCP_NODELAY) => match file {
            File::Fresh(fresh) => fresh.nodelay.into(),
            _ => 0,
        },
        _ => return Err(Errno(libc::ENOPROTOOPT)),
    };
    Ok(value.to_ne_bytes().to_vec())
}

pub(super) fn fcntl(call: &Call, open: Rc<Open>, command: c_int, argument: usize) -> Answer {
    match command {
        libc::F_GETFD => Ok(libc::FD_CLOEXEC as isize),
        libc::F_SETFD => Ok(0),
        libc::F_GETFL => {
            let flag = if open.nonblocking.get() { libc::O_NONBLOCK } else { 0 };
            Ok((libc::O_RDWR | flag) as isize)
        }
        libc::F_SETFL => {
            open.nonblocking.set(argument as c_int & libc::O_NONBLOCK != 0);
            Ok(0)
        }
        libc::F_DUPFD | libc::F_DUPFD_CLOEXEC => sockets::duplicate(call, open),
        _ => {
            let name = format!("fcntl({command})");
            Err(unsimulated::complain(call, &name, "use sockets by the functions of std"))
        }
    }
}
