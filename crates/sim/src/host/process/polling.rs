//! Waits for several descriptors: `poll` and `epoll`.
//!
//! The network says when it is worth asking a socket again. For an edge-triggered interest that is the edge: the
//! interest is pending, and a wait reports it once. Edges may be spurious, as on Linux.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::{Rc, Weak};

use libc::{c_int, epoll_event, pollfd};

use super::call::{Answer, Call, Errno};
use super::descriptors::{File, Key, Open};
use super::{Sleeper, System};
use crate::time::Nanos;
use crate::wait::{HostIndex, Wait};
use crate::world::Run;

/// An epoll instance.
#[derive(Default)]
pub(super) struct Epoll {
    /// By descriptor.
    interests: RefCell<BTreeMap<c_int, Interest>>,
    waiting: RefCell<Vec<Sleeper>>,
}

struct Interest {
    open: Weak<Open>,
    keys: Vec<Key>,
    events: u32,
    data: u64,
    /// There was an edge since the last report.
    pending: bool,
}

impl Epoll {
    pub(super) fn keys(&self, keys: &mut Vec<Key>) {
        self.interests.borrow().values().for_each(|interest| keys.extend(&interest.keys));
    }

    pub(super) fn forget_host(&self, host: HostIndex) {
        self.waiting.borrow_mut().retain(|sleeper| sleeper.host != host);
    }

    /// Takes at most `max` events that are ready.
    fn take(&self, call: &Call, max: usize) -> Vec<epoll_event> {
        let mut events = Vec::new();
        for interest in self.interests.borrow_mut().values_mut() {
            if events.len() == max {
                break;
            }
            let is_edge = interest.events & libc::EPOLLET as u32 != 0;
            if interest.events & !FLAGS == 0 || (is_edge && !interest.pending) {
                continue;
            }
            let Some(open) = interest.open.upgrade() else { continue };
            let ready = readiness(call, &open.file.borrow());
            let asked = interest.events | (libc::EPOLLERR | libc::EPOLLHUP) as u32;
            interest.pending = false;
            if ready & asked == 0 {
                continue;
            }
            events.push(epoll_event { events: ready & asked, u64: interest.data });
            if interest.events & libc::EPOLLONESHOT as u32 != 0 {
                interest.events &= FLAGS;
            }
        }
        events
    }
}

/// The bits of an interest that are not events.
const FLAGS: u32 = (libc::EPOLLET | libc::EPOLLONESHOT | libc::EPOLLEXCLUSIVE | libc::EPOLLWAKEUP) as u32;

/// What poll(2) would say of a file, in the bits of epoll, which are those of poll.
fn readiness(call: &Call, file: &File) -> u32 {
    let events = match file {
        File::Fresh(_) => libc::EPOLLOUT | libc::EPOLLHUP,
        File::FreshUdp(_) => libc::EPOLLOUT,
        File::Listener(listening) => {
            let ready = call.run.network(|network, _, _| network.can_accept(listening.id));
            if ready { libc::EPOLLIN } else { 0 }
        }
        File::Stream(socket) => {
            let Some(id) = socket.tcp_id() else { return 0 };
            let ready = call.run.network(|network, now, _| network.readiness(now, id));
            let on = |is: bool, bits: c_int| if is { bits } else { 0 };
            on(ready.readable, libc::EPOLLIN)
                | on(ready.writable, libc::EPOLLOUT)
                | on(ready.peer_ended, libc::EPOLLRDHUP)
                | on(ready.failed, libc::EPOLLERR)
                | on(ready.ended, libc::EPOLLHUP)
        }
        File::Udp(socket) => {
            let ready = call.run.network(|network, _, _| network.udp_readable(socket.id));
            libc::EPOLLOUT | if ready { libc::EPOLLIN } else { 0 }
        }
        File::Counter(counter) => libc::EPOLLOUT | if counter.count.get() > 0 { libc::EPOLLIN } else { 0 },
        File::Pipe(end) => end.readiness(),
        File::Epoll(epoll) => {
            let interests = epoll.interests.borrow();
            let is_ready = interests.values().any(|interest| {
                let is_pending = interest.events & libc::EPOLLET as u32 == 0 || interest.pending;
                let open = interest.open.upgrade().filter(|_| is_pending);
                open.is_some_and(|open| readiness(call, &open.file.borrow()) & interest.events != 0)
            });
            if is_ready { libc::EPOLLIN } else { 0 }
        }
    };
    events as u32
}

impl System {
    /// Says that it is worth asking `key` again.
    pub(super) fn mark(&self, run: &Run, key: Key) {
        let mut woken = Vec::new();
        let mut epolls = self.epolls.borrow_mut();
        epolls.retain(|epoll| epoll.strong_count() > 0);
        for epoll in epolls.iter().filter_map(Weak::upgrade) {
            let mut interests = epoll.interests.borrow_mut();
            let mut is_concerned = false;
            for interest in interests.values_mut().filter(|interest| interest.keys.contains(&key)) {
                interest.pending = true;
                is_concerned = true;
            }
            if is_concerned {
                woken.append(&mut epoll.waiting.borrow_mut());
            }
        }
        drop(epolls);
        self.pollers.borrow_mut().retain(|(sleeper, keys)| {
            let is_concerned = keys.contains(&key);
            if is_concerned {
                woken.push(*sleeper);
            }
            !is_concerned
        });
        woken.into_iter().for_each(|sleeper| run.scheduler.wake(sleeper.task));
    }

    /// Removes a descriptor that was closed from all epolls, unless another one has its file open.
    pub(super) fn forget_descriptor(&self, descriptor: c_int, open: &Rc<Open>) {
        for epoll in self.epolls.borrow().iter().filter_map(Weak::upgrade) {
            let mut interests = epoll.interests.borrow_mut();
            let is_of_this =
                |interest: &Interest| interest.open.upgrade().is_some_and(|of| Rc::ptr_eq(&of, open));
            if interests.get(&descriptor).is_some_and(is_of_this) {
                interests.remove(&descriptor);
            }
        }
    }

    /// A file has become another: what its interests wait for has changed.
    pub(super) fn has_changed(&self, open: &Rc<Open>) {
        let mut keys = Vec::new();
        open.file.borrow().keys(&mut keys);
        for epoll in self.epolls.borrow().iter().filter_map(Weak::upgrade) {
            for interest in epoll.interests.borrow_mut().values_mut() {
                if interest.open.upgrade().is_some_and(|of| Rc::ptr_eq(&of, open)) {
                    interest.keys.clone_from(&keys);
                    interest.pending = true;
                }
            }
        }
    }
}

impl Call {
    /// Waits until one of `keys` is worth another try, or `until` has come. May return early.
    pub(super) fn wait_for(&self, keys: Vec<Key>, until: Option<Nanos>) -> Result<(), Errno> {
        let sleeper = self.sleeper();
        self.system.pollers.borrow_mut().push((sleeper, keys));
        let waited = self.run.scheduler.block(Wait::Poll { until }, until);
        self.system.pollers.borrow_mut().retain(|(other, _)| *other != sleeper);
        if waited { Ok(()) } else { Err(Errno(libc::EINTR)) }
    }

    /// When a wait of this many milliseconds ends. `None` if negative: there is no limit.
    pub(super) fn end_of(&self, milliseconds: c_int) -> Option<Nanos> {
        let milliseconds = u64::try_from(milliseconds).ok()?;
        Some(self.run.scheduler.now().saturating_add(milliseconds * 1_000_000))
    }
}

pub(super) fn epoll_create(call: &Call) -> Answer {
    let epoll = Rc::<Epoll>::default();
    call.system.epolls.borrow_mut().push(Rc::downgrade(&epoll));
    let open =
        Open { file: File::Epoll(epoll).into(), nonblocking: false.into(), host: call.thread.host.get() };
    Ok(call.system.table.borrow_mut().add(Rc::new(open)) as isize)
}

fn epoll_of(open: &Open) -> Result<Rc<Epoll>, Errno> {
    match &*open.file.borrow() {
        File::Epoll(epoll) => Ok(Rc::clone(epoll)),
        _ => Err(Errno(libc::EINVAL)),
    }
}

pub(super) fn epoll_ctl(
    call: &Call,
    open: &Open,
    operation: c_int,
    descriptor: c_int,
    event: Option<epoll_event>,
) -> Answer {
    let epoll = epoll_of(open)?;
    let target = call.file(descriptor)?;
    let mut interests = epoll.interests.borrow_mut();
    let is_known = interests.contains_key(&descriptor);
    match operation {
        libc::EPOLL_CTL_DEL if is_known => {
            interests.remove(&descriptor);
            return Ok(0);
        }
        libc::EPOLL_CTL_ADD if is_known => return Err(Errno(libc::EEXIST)),
        libc::EPOLL_CTL_DEL | libc::EPOLL_CTL_MOD if !is_known => return Err(Errno(libc::ENOENT)),
        libc::EPOLL_CTL_ADD | libc::EPOLL_CTL_MOD => {}
        _ => return Err(Errno(libc::EINVAL)),
    }
    let Some(event) = event else { return Err(Errno(libc::EFAULT)) };
    let mut keys = Vec::new();
    target.file.borrow().keys(&mut keys);
    let interest = Interest {
        open: Rc::downgrade(&target),
        keys,
        events: event.events,
        data: event.u64,
        // What is ready already is an edge.
        pending: true,
    };
    interests.insert(descriptor, interest);
    drop(interests);
    let waiting = epoll.waiting.take();
    waiting.into_iter().for_each(|sleeper| call.run.scheduler.wake(sleeper.task));
    Ok(0)
}

/// Waits for events, and returns them.
pub(super) fn epoll_wait(
    call: &Call,
    open: &Open,
    max: c_int,
    milliseconds: c_int,
) -> Result<Vec<epoll_event>, Errno> {
    let epoll = epoll_of(open)?;
    let max = usize::try_from(max).ok().filter(|max| *max > 0).ok_or(Errno(libc::EINVAL))?;
    call.point("epoll_wait", None);
    let until = call.end_of(milliseconds);
    loop {
        let events = epoll.take(call, max);
        if !events.is_empty() || until.is_some_and(|until| call.run.scheduler.now() >= until) {
            call.run.scheduler.unblocked();
            return Ok(events);
        }
        let sleeper = call.sleeper();
        epoll.waiting.borrow_mut().push(sleeper);
        let waited = call.run.scheduler.block(Wait::Poll { until }, until);
        epoll.waiting.borrow_mut().retain(|other| *other != sleeper);
        if !waited {
            return Err(Errno(libc::EINTR));
        }
    }
}

pub(super) fn poll(call: &Call, polled: &mut [pollfd], milliseconds: c_int) -> Answer {
    call.point("poll", None);
    let until = call.end_of(milliseconds);
    loop {
        let mut keys = Vec::new();
        let mut ready = 0;
        for one in &mut *polled {
            one.revents = 0;
            if one.fd < 0 {
                continue;
            }
            match call.file(one.fd) {
                Ok(open) => {
                    let file = open.file.borrow();
                    file.keys(&mut keys);
                    let asked = one.events as u32 | (libc::EPOLLERR | libc::EPOLLHUP) as u32;
                    one.revents = (readiness(call, &file) & asked) as i16;
                }
                Err(_) => one.revents = libc::POLLNVAL,
            }
            ready += isize::from(one.revents != 0);
        }
        if ready > 0 || until.is_some_and(|until| call.run.scheduler.now() >= until) {
            call.run.scheduler.unblocked();
            return Ok(ready);
        }
        call.wait_for(keys, until)?;
    }
}
